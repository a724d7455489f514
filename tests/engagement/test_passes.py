"""Passes, and the two doors where they are handed out."""

import pytest
from django.test import AsyncClient
from hypothesis import given
from hypothesis import strategies as st

from engagement.actions import announce
from engagement.clock import now_ms
from engagement.models import Show
from engagement.passes import GUEST_BIT, LEEWAY_MS, BadPass, check_pass, issue_guest_pass, issue_pass
from tests.cast import make_show

NOW = 1_700_000_000_000
KEY = "a-key-of-a-host-app-0123456789"


@given(uid=st.integers(0, GUEST_BIT - 1))
def test_a_pass_says_who_it_is_for(uid: int) -> None:
    assert check_pass(issue_pass("gala", uid, now=NOW), "gala", NOW).uid == uid


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


# --- over HTTP ---


@pytest.fixture
def show(transactional_db: None) -> Show:
    show = make_show()
    announce(show.pk)
    return show


@pytest.fixture(autouse=True)
async def hub_ends_with_the_test():
    from engagement.gateway.hub import stop_hub

    yield
    await stop_hub()


async def test_a_guest_gets_a_pass_and_the_address_to_say_it_at(show: Show) -> None:
    answer = await AsyncClient().post(f"/api/shows/{show.slug}/passes")
    content = answer.json()
    assert answer.status_code == 200
    assert content["feeds"] == ["app", "tv"]
    assert content["url"] == f"ws://testserver/ws/shows/{show.slug}/"
    assert check_pass(content["pass"], show.slug, now_ms()).uid >= GUEST_BIT


async def test_a_show_without_guests_refuses_them(transactional_db: None) -> None:
    from asgiref.sync import sync_to_async

    show = await sync_to_async(make_show)(guests_allowed=False)
    await sync_to_async(announce)(show.pk)
    answer = await AsyncClient().post(f"/api/shows/{show.slug}/passes")
    assert answer.status_code == 403
    assert answer.json()["code"] == "no_guests"


async def test_an_unknown_show_is_404() -> None:
    answer = await AsyncClient().post("/api/shows/nowhere/passes")
    assert answer.status_code == 404
    assert answer.json()["code"] == "no_such_show"


async def test_too_many_passes_for_one_address_are_429_with_retry_after(show: Show, settings) -> None:
    settings.PASSES_PER_ADDRESS_PER_MINUTE = 3
    client = AsyncClient(REMOTE_ADDR="192.0.2.7")
    answers = [await client.post(f"/api/shows/{show.slug}/passes") for _ in range(5)]
    assert [answer.status_code for answer in answers[:3]] == [200, 200, 200]
    assert answers[4].status_code == 429
    assert int(answers[4]["Retry-After"]) > 0


async def test_a_host_app_gets_passes_for_its_own_users(show: Show, settings) -> None:
    settings.HOST_API_KEYS = [KEY]
    path = f"/api/shows/{show.slug}/users/passes"
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = await AsyncClient().post(path, {"uid": 42}, content_type="application/json", headers=headers)
    assert check_pass(answer.json()["pass"], show.slug, now_ms()).uid == 42


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x"])
async def test_without_its_key_a_host_app_gets_nothing(show: Show, settings, header: str) -> None:
    settings.HOST_API_KEYS = [KEY]
    path = f"/api/shows/{show.slug}/users/passes"
    answer = await AsyncClient().post(
        path, {"uid": 42}, content_type="application/json", headers={"Authorization": header}
    )
    assert answer.status_code == 401


async def test_without_any_key_configured_nobody_is_a_host_app(show: Show, settings) -> None:
    settings.HOST_API_KEYS = []
    answer = await AsyncClient().post(
        f"/api/shows/{show.slug}/users/passes",
        {"uid": 42},
        content_type="application/json",
        headers={"Authorization": "Bearer "},
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("body", ['{"uid":-1}', '{"uid":"42"}', '{"uid":1.5}', '{"uid":9223372036854775808}', "{}",
                                  '{"uid":1,"name":"x"}', "not json"])  # fmt: skip
async def test_a_bad_uid_is_a_clear_error(show: Show, settings, body: str) -> None:
    settings.HOST_API_KEYS = [KEY]
    answer = await AsyncClient().post(
        f"/api/shows/{show.slug}/users/passes",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.status_code in (400, 422)
