"""Passes for devices that a service vouches for; the service is a small server here."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from asgiref.sync import sync_to_async

from engagement.fair_play.attestation import asking
from engagement.fair_play.core.budgets import ASKS
from engagement.gateway.hub import get_hub
from engagement.models import Show
from tests.cast import make_show
from tests.engagement.gateway.test_earning import kind_of, refusal, want
from tests.engagement.test_passes import hub_ends_with_the_test as hub_ends_with_the_test  # a fixture
from tests.engagement.test_passes import promise
from tests.engagement.test_passes import show as show  # a fixture

SECRET = "a-secret-of-this-site"
ANSWERS = {
    "good": b'{"success": true}', "good too": b'{"success": true}', "bad": b'{"success": false}',
    "odd": b'{"success": "true"}', "list": b"[true]", "broken": b"{", "deep": b"[" * 60_000, "slow": b"",
}  # fmt: skip
_runs = itertools.count()
RUN: list[int] = []


class _Voucher(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        [token], [secret] = asked["response"], asked["secret"]
        token = token.partition("#")[0]
        if token == "slow":
            time.sleep(1.0)
        content = ANSWERS[token]
        self.send_response(200 if secret == SECRET else 403)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def service(settings: Any) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Voucher)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    RUN.append(next(_runs))
    address = f"http://127.0.0.1:{server.server_port}/siteverify"
    settings.PASS_ATTESTATION = [("voucher", address, SECRET), ("thief", address, "another"),
                                 ("nobody", "http://127.0.0.1:9/", SECRET)]  # fmt: skip
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def token(text: str, service: str = "voucher") -> dict[str, Any]:
    """One that no other test has used."""
    return {"attestation": {"service": service, "token": f"{text}#{RUN[-1]}"}}


async def test_a_device_that_a_service_vouches_for_gets_a_pass_once(show: Show, service: None) -> None:
    await promise(show, passes_ipv4=0, ways=["attested"])
    told = await want(show)
    assert refusal(told) == (403, "earn_it") and "work" not in told.content
    assert told.content["services"] == ["voucher", "thief", "nobody"]
    assert kind_of(show, await want(show, token("good"))) == "attested"
    again = await want(show, token("good"))
    assert refusal(again) == (403, "bad_attestation") and "before" in again.content["message"]
    assert (await get_hub()).issued == {show.slug: {"attested": 1}}


async def test_whatever_else_a_service_says_earns_nothing_and_tells_no_secret(
    show: Show, service: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await promise(show, passes_ipv4=30, ways=["attested"])
    monkeypatch.setattr(asking, "DEADLINE_S", 0.4)
    asked = [token(text) for text in ("bad", "odd", "list", "broken", "deep", "slow")]
    for body in (*asked, token("good", "thief"), token("good", "nobody")):
        answer = await want(show, body)
        assert refusal(answer) == (403, "bad_attestation"), body
        assert SECRET not in json.dumps(answer.content)
    assert refusal(await want(show, token("good", "unknown"))) == (403, "no_such_way")


async def test_wrong_tokens_are_bounded_and_so_are_those_who_wait(
    show: Show, service: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await promise(show, passes_ipv4=1, ways=["attested"])
    for _ in range(2):
        await want(show, token("bad"))
    answer = await want(show, token("good"))
    assert refusal(answer) == (403, "bad_attestation") and "too many" in answer.content["message"]
    monkeypatch.setattr(asking, "MOST_WAITING", 0)
    busy = await want(show, token("good too"), address="192.0.2.77")
    assert refusal(busy) == (403, "bad_attestation") and "try again" in busy.content["message"]


async def test_what_nobody_answers_is_forgiven_so_often_and_no_more(show: Show, service: None) -> None:
    """Else a token on which the service stumbles would have it asked without end."""
    await promise(show, passes_ipv4=1, ways=["attested"])
    answers = [await want(show, token("good", "nobody")) for _ in range(ASKS + 3)]
    assert "try again" in answers[ASKS + 1].content["message"]
    assert "too many" in answers[-1].content["message"]
    assert "too many" in (await want(show, token("good"))).content["message"]


async def test_a_token_earns_one_pass_in_all_shows_and_of_many_at_once_one(show: Show, service: None) -> None:
    await promise(show, passes_ipv4=30, ways=["attested"])
    answers = await asyncio.gather(*(want(show, token("good")) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [403] * 19
    other = await sync_to_async(make_show)()
    await promise(other, passes_ipv4=30, ways=["attested"])
    again = await want(other, token("good"))
    assert refusal(again) == (403, "bad_attestation") and "before" in again.content["message"]


async def test_a_show_that_takes_no_attestations_says_so(show: Show, service: None) -> None:
    assert refusal(await want(show, token("good"))) == (403, "no_such_way")
