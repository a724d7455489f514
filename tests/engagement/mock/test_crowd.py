"""The crowd against a real gateway, through the command line: what it was told is counted is in the tally."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from engagement.actions import announce_later, move_due_segments
from engagement.core.phases import Phase
from engagement.mock.client import Client
from engagement.mock.crowd import Crowd, CrowdOptions
from engagement.mock.passes import CrowdError, Passes, parse_address
from engagement.mock.phone import Count
from engagement.models import Segment
from prizes.models import Win
from prizes.steps.publish import publish_segment
from tests.cast import armed_segment, make_result, make_show, put_on_air, totals_in_tally
from tests.gala.nginx import Proxy, running_nginx
from tests.prizes.pipeline import run_all

pytestmark = pytest.mark.django_db(transaction=True)


def on_air(seconds: float, **fields: Any) -> Segment:
    """A segment that opened just now."""
    show = make_show(**{"grace_ms": 3_000} | fields)
    return put_on_air(armed_segment(show), opened_ms_ago=0, left_ms=int(seconds * 1000))


def mock_phones(
    address: str, segment: Segment, path: Path, scheme: str = "ws", **options: Any
) -> dict[str, Any]:
    """Runs the command; its summary, written also when it failed."""
    options = {"phones": 40, "seconds": 3.0, "timeout": 20.0, "seed": 7, "quiet": True} | options
    call_command(
        "mock_phones", url=f"{scheme}://{address}", show=segment.show.slug, json=str(path), **options
    )
    summary: dict[str, Any] = json.loads(path.read_text())
    return summary


def test_viewer_by_viewer_the_acknowledged_totals_are_the_tally(gateway: str, tmp_path: Path) -> None:
    segment = on_air(6)
    summary = mock_phones(gateway, segment, tmp_path / "out.json", seconds=8.0)
    found = summary["segments"][str(segment.pk)]
    assert found["acknowledged"] == found["counted"] == totals_in_tally(segment)
    assert summary["phones_connected"] == summary["phones_that_shook"] == len(found["counted"]) == 40
    assert summary["shakes_counted"] == summary["shakes_acknowledged"] == sum(found["counted"].values())
    assert summary["acks"] == summary["reports_sent"] > 40
    assert summary["problems"] == []
    assert 0 < summary["ack_ms"]["p50"] <= summary["ack_ms"]["p99"]


def test_phones_that_stop_while_the_segment_is_open_get_their_last_ack(gateway: str, tmp_path: Path) -> None:
    segment = on_air(60)
    summary = mock_phones(gateway, segment, tmp_path / "out.json", seconds=1.5)
    assert summary["segments"][str(segment.pk)]["acknowledged"] == totals_in_tally(segment)
    assert summary["problems"] == []


def test_dropped_phones_come_back_and_lose_nothing_that_was_acknowledged(
    gateway: str, tmp_path: Path
) -> None:
    segment = on_air(8)
    summary = mock_phones(gateway, segment, tmp_path / "out.json", seconds=9.0, drop=0.1)
    found, held = summary["segments"][str(segment.pk)], totals_in_tally(segment)
    assert summary["dropped"] > 3
    assert summary["reconnects"] > 3
    assert all(total <= held[viewer] for viewer, total in found["acknowledged"].items())
    assert all(total <= found["counted"][viewer] for viewer, total in held.items())
    differing = {viewer for viewer, total in held.items() if total != found["acknowledged"].get(viewer)}
    assert differing <= set(summary["cut_off"])
    assert summary["problems"] == []


def test_a_machine_is_clamped_and_knows_it(gateway: str, tmp_path: Path) -> None:
    segment = on_air(5, max_hz=5, burst=10)
    summary = mock_phones(
        gateway, segment, tmp_path / "out.json", seconds=7.0, cheat_hz=50.0, cheaters=1.0, phones=5
    )
    found = summary["segments"][str(segment.pk)]
    assert set(found["acknowledged"].values()) == {35}
    assert found["acknowledged"] == totals_in_tally(segment)
    assert summary["clamped"] >= 5
    assert summary["problems"] == []


def test_all_on_one_feed_or_spread_over_all(gateway: str, tmp_path: Path) -> None:
    segment = on_air(30)
    with pytest.raises(CommandError, match="--feed: expected one of app, tv, got 'radio'"):
        mock_phones(gateway, segment, tmp_path / "out.json", feed="radio")
    assert (
        mock_phones(gateway, segment, tmp_path / "out.json", feed="tv", seconds=1.0)["phones_connected"] == 40
    )


def publish(segment: Segment, *draws: int) -> None:
    """As prizes publishes: the results and the phase, in one state."""
    results = msgspec.to_builtins([make_result(segment.pk, draw=draw) for draw in draws])
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.PUBLISHED, announced_results=results)
    announce_later(segment.show_id)


def test_it_can_stay_until_everybody_has_seen_the_result(gateway: str, tmp_path: Path) -> None:
    segment = on_air(1.5, grace_ms=2_000)
    timer = threading.Timer(5, publish, (segment, 901, 902))
    timer.start()
    summary = mock_phones(gateway, segment, tmp_path / "out.json", until_result=True)
    timer.join()
    assert summary["results_seen"] == {"901": 40, "902": 40}
    assert summary["problems"] == []


def test_winners_claim_at_once(whole_gateway: str, tmp_path: Path) -> None:
    segment = on_air(4, grace_ms=2_000)
    winners: list[str] = []

    def draw_and_publish() -> None:
        try:
            move_due_segments()
            drawn = run_all(segment)
            winners.extend(drawn.wins.values_list("pseudonym", flat=True))
            publish_segment(segment.pk, actor="olga")
        finally:
            connection.close()

    timer = threading.Timer(9, draw_and_publish)
    timer.start()
    summary = mock_phones(
        whole_gateway, segment, tmp_path / "out.json", until_result=True, claim=True, timeout=40.0
    )
    timer.join()
    assert summary["claims"] == dict.fromkeys(winners, "claimed") and len(winners) == 2
    assert set(Win.objects.values_list("status", flat=True)) == {"claimed"}
    assert summary["problems"] == []


def test_a_result_that_never_comes_is_a_failure(gateway: str, tmp_path: Path) -> None:
    segment = on_air(30)
    with pytest.raises(CommandError, match="no result was seen by all phones within 1 s") as failure:
        mock_phones(gateway, segment, tmp_path / "out.json", until_result=True, timeout=1.0)
    assert failure.value.returncode == 1


def test_a_show_that_takes_no_guests_says_so(gateway: str, tmp_path: Path) -> None:
    segment = on_air(30, guests_allowed=False)
    with pytest.raises(CommandError, match="403 this show takes") as failure:
        mock_phones(gateway, segment, tmp_path / "out.json")
    assert failure.value.returncode == 2


# --- TLS ---


@pytest.fixture(scope="module")
def proxy(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """nginx with a certificate that signed itself, as docker/README.md makes one for localhost."""
    with running_nginx(tmp_path_factory.mktemp("nginx"), [gateway]) as proxy:
        yield proxy


def test_a_certificate_that_signed_itself_is_trusted_when_it_is_named(proxy: Proxy, tmp_path: Path) -> None:
    segment, out = on_air(6), tmp_path / "out.json"
    ca = str(proxy.folder / "fullchain.pem")
    summary = mock_phones(f"localhost:{proxy.tls}", segment, out, scheme="wss", phones=10, ca=ca)
    found = summary["segments"][str(segment.pk)]
    assert found["acknowledged"] == totals_in_tally(segment)
    assert summary["phones_that_shook"] == 10


@pytest.mark.parametrize(
    ("host", "ca", "reason"),
    [
        ("localhost", None, "not trusted: self-signed certificate; .* with --ca"),
        (
            "127.0.0.1",
            "fullchain.pem",
            "not trusted: IP address mismatch, .* in --url the host that it is for",
        ),
        ("localhost", "nginx.conf", "--ca: expected a file of certificates in PEM, got .*nginx.conf"),
        ("localhost", "missing.pem", "--ca: expected a file of certificates in PEM, got .*No such file"),
    ],
)
def test_a_certificate_that_is_not_trusted_ends_the_run_at_once(
    proxy: Proxy, tmp_path: Path, host: str, ca: str | None, reason: str
) -> None:
    segment, began = on_air(30), time.monotonic()
    options: dict[str, Any] = {"scheme": "wss", "ca": ca and str(proxy.folder / ca)}
    with pytest.raises(CommandError, match=reason) as failure:
        mock_phones(f"{host}:{proxy.tls}", segment, tmp_path / "out.json", **options)
    assert failure.value.returncode == 2
    assert time.monotonic() - began < 5


# --- addresses, and servers that are busy or none ---


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("ws://127.0.0.1:8000", "ws://127.0.0.1:8000/ws/shows/demo/"),
        ("http://127.0.0.1:8000/", "ws://127.0.0.1:8000/ws/shows/demo/"),
        ("wss://gala.example/ws/shows/demo/", "wss://gala.example/ws/shows/demo/"),
        ("https://gala.example/live", "wss://gala.example/live/ws/shows/demo/"),
    ],
)
def test_any_spelling_of_the_address_will_do(url: str, socket: str) -> None:
    assert parse_address(url, "demo").socket == socket


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://gala.example",
        "ws://",
        "ws://gala.example/ws/shows/other/",
        "ws://[::1:9",
        "ws://gala.example:99999",
        "ws://gala.example/晚会",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(CrowdError, match="--url"):
        parse_address(url, "demo")


@pytest.mark.parametrize("slug", ["晚会", "a b", "", "../x"])
def test_a_name_that_no_show_can_have_is_refused(slug: str) -> None:
    with pytest.raises(CrowdError, match="--show: expected a slug"):
        parse_address("ws://gala.example", slug)


class _Refusing(BaseHTTPRequestHandler):
    """Says 429, then 503, then gives a pass."""

    protocol_version = "HTTP/1.1"
    answers = iter([429, 503])

    def do_POST(self) -> None:
        status = next(self.answers, 200)
        content = json.dumps({"pass": "p", "feeds": []} if status == 200 else {"message": "later"}).encode()
        self.send_response(status)
        if status != 200:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Forgetful(_Refusing):
    """Closes each connection after its answer, and does not say so."""

    protocol_version = "HTTP/1.1"
    answers: Iterator[int] = iter([])

    def do_POST(self) -> None:
        super().do_POST()
        self.close_connection = True


class _Silent(_Forgetful):
    """Gives passes, and closes sockets in the middle of their handshake: a server that ends just then."""

    def do_GET(self) -> None:
        self.close_connection = True


class _Elsewhere(_Refusing):
    """Some other server: it answers, but not with passes."""

    content: Any = {"feeds": []}

    def do_POST(self) -> None:
        content = json.dumps(self.content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The host:port of a small server."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_busy_server_is_asked_again_when_it_says_so() -> None:
    with serving(_Refusing) as host:
        passes = Passes(parse_address(f"http://{host}", "demo"))
        assert (await passes.get())["pass"] == "p"
        assert passes.refused == {"http_429": 1, "http_503": 1}
        passes.end()


async def test_a_connection_that_the_server_has_closed_meanwhile_is_no_refusal() -> None:
    with serving(_Forgetful) as host:
        passes = Passes(parse_address(f"http://{host}", "demo"))
        for _ in range(5):
            assert (await passes.get())["pass"] == "p"
        assert passes.refused == {}
        passes.end()


async def test_phones_whose_handshake_is_cut_off_come_back() -> None:
    with serving(_Silent) as host:
        crowd = Crowd(CrowdOptions(url=f"ws://{host}", show="demo", phones=20))
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            running = group.create_task(crowd.run())
            while crowd.figures.errors["connect_failed"] <= 20:
                await asyncio.sleep(0.05)
            running.cancel()


@pytest.mark.parametrize("content", [{"feeds": []}, {"pass": "p"}, None, "passport", ["pass", "feeds"]])
async def test_an_answer_that_is_no_pass_is_named(content: Any) -> None:
    with serving(type("Elsewhere", (_Elsewhere,), {"content": content})) as host:
        passes = Passes(parse_address(f"http://{host}", "demo"))
        with pytest.raises(CrowdError, match="gives no passes for 'demo': 200"):
            await passes.get()
        passes.end()


async def test_what_nobody_expected_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(client: Client, code: int, reason: str, now: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Client, "lost", stumble)
    with serving(_Silent) as host, pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(20):
            await Crowd(CrowdOptions(url=f"ws://{host}", show="demo", phones=2)).run()


async def test_a_phone_that_gave_up_is_not_waited_for() -> None:
    crowd = Crowd(CrowdOptions(url="ws://127.0.0.1", show="demo", phones=1, seconds=0.0))
    (client,) = crowd.clients
    client.gave_up, client.phone.counts[7] = True, Count()
    client.phone.counts[7].total = 3
    async with asyncio.timeout(5):
        await crowd._shake()
    assert len(client.missing()) == 1
    crowd.passes.end()
