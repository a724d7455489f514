"""Passes, and the two addresses where they are handed out."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.core import signing
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from engagement import tally
from engagement.actions import announce_later
from engagement.clock import now_ms
from engagement.core.digests import derive_salt
from engagement.fair_play.models import FairPlay
from engagement.gateway.hub import get_hub, stop_hub
from engagement.healing import heal_states
from engagement.models import Show
from engagement.passes import (
    ANY_TIME,
    GUEST_BIT,
    LEEWAY_MS,
    PURPOSE,
    BadPass,
    check_pass,
    issue_guest_pass,
    issue_pass,
    renew_guest_pass,
)
from engagement.vault import open_secret
from gala.asgi import application
from tests.cast import make_show

NOW = 1_700_000_000_000
KEY = "a-key-of-a-host-app-0123456789"


@given(uid=st.integers(0, GUEST_BIT - 1))
def test_a_pass_says_who_it_is_for(uid: int) -> None:
    assert check_pass(issue_pass("gala", uid, now=NOW), "gala", NOW).uid == uid


@pytest.mark.parametrize("lifetime_s", [60, 7 * 24 * 3600])
def test_a_pass_says_when_it_was_given_however_long_it_lives(lifetime_s: int) -> None:
    """Else a revocation up to a time would take good passes that live shortly, and spare bad ones that live long."""
    before = now_ms()
    for token in (
        issue_pass("gala", 7, lifetime_s=lifetime_s),
        issue_guest_pass("gala", lifetime_s=lifetime_s),
        guest_of_before_origins(lifetime_s),
    ):
        assert before - 1_000 <= check_pass(token, "gala", now_ms()).issued_at <= now_ms()


def guest_of_before_origins(lifetime_s: int) -> str:
    signer = signing.TimestampSigner(key=settings.PASS_KEYS[0], salt=PURPOSE)
    return signer.sign_object(["gala", GUEST_BIT + 7, now_ms() + lifetime_s * 1000])


def test_a_renewed_pass_is_as_old_as_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    an_hour_ago = time.time() - 3_600
    monkeypatch.setattr("time.time", lambda: an_hour_ago)
    first = guest_of_before_origins(7_200)
    monkeypatch.undo()
    old = check_pass(first, "gala", now_ms())
    again = check_pass(renew_guest_pass(old), "gala", now_ms())
    assert again.issued_at == old.issued_at <= now_ms() - 3_600_000
    assert check_pass(renew_guest_pass(again), "gala", now_ms()).issued_at == old.issued_at


@pytest.mark.parametrize("uid", [-1, GUEST_BIT, 2**64])
def test_a_uid_out_of_range_is_refused(uid: int) -> None:
    with pytest.raises(ValueError, match="uid: expected"):
        issue_pass("gala", uid)


def test_guests_can_never_be_a_host_apps_user() -> None:
    uids = {check_pass(issue_guest_pass("gala", now=NOW), "gala", NOW).uid for _ in range(50)}
    assert len(uids) == 50
    assert all(uid >= GUEST_BIT for uid in uids)


def test_a_pass_expires_with_a_minute_of_leeway() -> None:
    token = issue_pass("gala", 1, lifetime_s=10, now=NOW)
    check_pass(token, "gala", NOW + 10_000 + LEEWAY_MS)
    with pytest.raises(BadPass, match="expired"):
        check_pass(token, "gala", NOW + 10_001 + LEEWAY_MS)


@given(st.text(max_size=200))
def test_garbage_is_a_bad_pass_and_nothing_else(token: str) -> None:
    with pytest.raises(BadPass):
        check_pass(token, "gala", NOW)


def test_a_value_signed_for_another_purpose_is_no_pass(settings) -> None:
    from django.core import signing

    token = signing.dumps(["gala", 1, NOW + 1], key=settings.PASS_KEYS[0], salt="something.else")
    with pytest.raises(BadPass):
        check_pass(token, "gala", NOW)


def test_an_old_key_is_accepted_while_it_is_in_the_list(settings) -> None:
    token = issue_pass("gala", 1, now=NOW)
    settings.PASS_KEYS = ["the-new-key", *settings.PASS_KEYS]
    assert check_pass(token, "gala", NOW).uid == 1
    settings.PASS_KEYS = ["the-new-key"]
    with pytest.raises(BadPass):
        check_pass(token, "gala", NOW)


def test_a_guests_pass_is_renewed_for_the_same_guest_whatever_its_age() -> None:
    old = check_pass(issue_guest_pass("gala", lifetime_s=10, now=0), "gala", ANY_TIME)
    renewed = check_pass(renew_guest_pass(old, now=NOW), "gala", NOW)
    assert renewed.uid == old.uid and renewed.expires_at > NOW
    with pytest.raises(ValueError, match="the host app gives its users new ones"):
        renew_guest_pass(check_pass(issue_pass("gala", 42), "gala", ANY_TIME))


# --- over HTTP ---


@pytest.fixture
def show(transactional_db: None) -> Show:
    show = make_show()
    announce_later(show.pk)
    return show


@pytest.fixture(autouse=True)
async def hub_ends_with_the_test() -> AsyncIterator[None]:
    yield
    await stop_hub()


async def promise(show: Show, **fields: Any) -> None:
    """What this show promises about guests, told to the gateways."""
    await sync_to_async(FairPlay.objects.filter(show=show).update)(**fields)
    await sync_to_async(announce_later)(show.pk)


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    content: dict[str, Any]


async def ask(
    path: str, body: str = "", *, method: str = "POST", address: str = "192.0.2.1", **headers: str
) -> Answer:
    """One request to the whole ASGI application, as a server would make it."""
    sent = {"host": "gala.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "scheme": "http",
        "client": (address, 5000),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    server = ApplicationCommunicator(application, scope)
    with override_settings(ALLOWED_HOSTS=["gala.example"]):
        await server.send_input({"type": "http.request", "body": body.encode()})
        start = await server.receive_output(5)
        content = await server.receive_output(5)
    return Answer(start["status"], dict(start["headers"]), json.loads(content["body"]))


async def test_a_guest_gets_a_pass_and_the_address_to_say_it_at(show: Show) -> None:
    answer = await ask(f"/api/shows/{show.slug}/passes")
    assert answer.status == 200 and answer.content["feeds"] == ["app", "tv"]
    assert answer.content["url"] == f"ws://gala.example/ws/shows/{show.slug}/"
    assert check_pass(answer.content["pass"], show.slug, now_ms()).uid >= GUEST_BIT
    assert answer.headers[b"cache-control"] == b"no-store"


async def test_a_show_without_guests_refuses_them(transactional_db: None) -> None:
    show = await sync_to_async(make_show)(guests_allowed=False)
    await sync_to_async(announce_later)(show.pk)
    answer = await ask(f"/api/shows/{show.slug}/passes")
    assert (answer.status, answer.content["code"]) == (403, "no_guests")


async def test_an_unknown_show_is_404(transactional_db: None) -> None:
    await sync_to_async(heal_states)()
    answer = await ask("/api/shows/nowhere/passes")
    assert (answer.status, answer.content["code"]) == (404, "no_such_show")


async def test_a_pass_is_asked_for_with_post(show: Show) -> None:
    assert (await ask(f"/api/shows/{show.slug}/passes", method="GET")).status == 405


async def test_the_address_is_the_proxys_word_only_where_there_is_a_proxy(show: Show, settings) -> None:
    await promise(show, passes_ipv4=1, ways=[])
    path = f"/api/shows/{show.slug}/passes"
    liar = [await ask(path, address="192.0.2.9", x_real_ip=f"192.0.2.{number}") for number in range(100, 106)]
    assert liar[-1].status == 429
    settings.TRUST_REAL_IP_HEADER = True
    assert (await ask(path, address="192.0.2.9", x_real_ip="192.0.2.110")).status == 200


@pytest.mark.parametrize(
    ("forwarded", "scheme"),
    [
        ("https", "wss"),
        ("https,http", "wss"),
        (" HTTPS , http", "wss"),
        ("http,https", "ws"),
        ("", "ws"),
        (",https", "ws"),
    ],
)
async def test_the_socket_is_as_safe_as_the_page_was_for_the_viewer(
    show: Show, settings, forwarded: str, scheme: str
) -> None:
    settings.BEHIND_TLS_PROXY = True
    answer = await ask(f"/api/shows/{show.slug}/passes", x_forwarded_proto=forwarded)
    assert answer.content["url"] == f"{scheme}://gala.example/ws/shows/{show.slug}/"


async def test_without_a_proxy_nobody_can_say_how_safe_the_page_was(show: Show) -> None:
    answer = await ask(f"/api/shows/{show.slug}/passes", x_forwarded_proto="https")
    assert answer.content["url"].startswith("ws://")


async def test_a_full_server_is_503_with_retry_after(show: Show) -> None:
    from engagement.gateway.hub import get_hub

    (await get_hub()).max_connections = 0
    answer = await ask(f"/api/shows/{show.slug}/passes")
    assert answer.status == 503 and int(answer.headers[b"retry-after"]) >= 1


def salt_of(show: Show, token: str) -> str:
    """As a welcome tells it to the viewer of this pass."""
    uid = check_pass(token, show.slug, ANY_TIME).uid
    return derive_salt(open_secret(show.k_show), show.slug, uid).hex()


def renewal(token: str, salt: str) -> str:
    return json.dumps({"pass": token, "salt": salt})


async def test_an_expired_pass_and_its_salt_give_a_pass_of_the_same_viewer(show: Show) -> None:
    old = issue_guest_pass(show.slug, lifetime_s=1, now=NOW)
    answer = await ask(f"/api/shows/{show.slug}/passes", renewal(old, salt_of(show, old)))
    assert answer.status == 200
    renewed = check_pass(answer.content["pass"], show.slug, now_ms())
    assert renewed.uid == check_pass(old, show.slug, ANY_TIME).uid
    assert (await get_hub()).issued == {}  # nobody new has come


async def test_a_show_whose_key_was_destroyed_gives_and_renews_no_passes(show: Show) -> None:
    token, path = issue_guest_pass(show.slug), f"/api/shows/{show.slug}/passes"
    await sync_to_async(Show.objects.filter(pk=show.pk).update)(k_show="")
    await sync_to_async(announce_later)(show.pk)
    for body in ("", renewal(token, "00" * 32)):
        answer = await ask(path, body)
        assert (answer.status, answer.content["code"]) == (404, "no_such_show")


async def test_nobody_renews_what_is_not_theirs(show: Show) -> None:
    mine, other = issue_guest_pass(show.slug), issue_guest_pass(show.slug)
    user, elsewhere = issue_pass(show.slug, 42), issue_guest_pass("elsewhere")
    salt = salt_of(show, mine)
    asked = {
        renewal(other, salt): (401, "wrong_salt"),
        renewal(mine, salt.upper()): (401, "wrong_salt"),
        renewal(mine, "é"): (401, "wrong_salt"),
        json.dumps({"pass": mine}): (401, "wrong_salt"),
        renewal(f"{mine}x", salt): (401, "bad_pass"),
        renewal(elsewhere, salt): (401, "bad_pass"),
        renewal(user, salt_of(show, user)): (403, "not_a_guest"),
        json.dumps({"pass": 5}): (422, "bad_body"),
        json.dumps({"passport": mine}): (422, "bad_body"),
        "[" * 900: (422, "bad_body"),
    }
    for body, refusal in asked.items():
        answer = await ask(f"/api/shows/{show.slug}/passes", body)
        assert (answer.status, answer.content["code"]) == refusal, body


async def test_a_host_app_gets_passes_for_its_own_users(show: Show, settings) -> None:
    settings.HOST_API_KEYS = [KEY]
    path = f"/api/shows/{show.slug}/users/passes"
    answer = await ask(path, '{"uid": 42}', authorization=f"Bearer {KEY}")
    assert check_pass(answer.content["pass"], show.slug, now_ms()).uid == 42


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x"])
@pytest.mark.parametrize("keys", [[KEY], [], [""]])
async def test_without_its_key_a_host_app_gets_nothing(
    show: Show, settings, header: str, keys: list[str]
) -> None:
    settings.HOST_API_KEYS = keys
    answer = await ask(f"/api/shows/{show.slug}/users/passes", '{"uid": 42}', authorization=header)
    assert (answer.status, answer.content["code"]) == (401, "bad_key")


@pytest.mark.parametrize("body", ['{"uid":-1}', '{"uid":"42"}', '{"uid":1.5}', '{"uid":9223372036854775808}', "{}",
                                  '{"uid":1,"name":"x"}', "not json", "", "[" * 900, '{"uid":true}'])  # fmt: skip
async def test_a_bad_uid_is_a_clear_error(show: Show, settings, body: str) -> None:
    settings.HOST_API_KEYS = [KEY]
    answer = await ask(f"/api/shows/{show.slug}/users/passes", body, authorization=f"Bearer {KEY}")
    assert answer.status == 422 and "uid" in answer.content["message"]


async def test_a_huge_body_is_refused(show: Show, settings) -> None:
    settings.HOST_API_KEYS = [KEY]
    answer = await ask(f"/api/shows/{show.slug}/users/passes", "x" * 5000, authorization=f"Bearer {KEY}")
    assert answer.status == 413


async def test_passes_are_counted_by_source_where_they_are_issued(
    show: Show, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HOST_API_KEYS = ["key"]
    for _ in range(2):
        await ask(f"/api/shows/{show.slug}/passes")
    await ask(f"/api/shows/{show.slug}/users/passes", '{"uid": 7}', authorization="Bearer key")
    await ask(f"/api/shows/{show.slug}/users/passes", '{"uid": -7}', authorization="Bearer key")  # refused
    hub = await get_hub()
    assert hub.issued == {show.slug: {"guest": 2, "app": 1}}
    await hub._beat()
    counted = await asyncio.to_thread(tally.read_counted, "no-segment", show.slug)
    assert {name.decode(): json.loads(row) for name, row in counted.issued.items()} == {
        hub.name: {"guest": 2, "app": 1}
    }
