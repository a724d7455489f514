"""Passes that were taken back, in a gateway process of its own."""

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import AsyncExitStack
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from websockets.exceptions import ConnectionClosed

from engagement.actions import ActionRefused
from engagement.clock import now_ms
from engagement.core.digests import derive_pseudonym, derive_salt, parse_canonical
from engagement.fair_play.core.origins import Origin
from engagement.fair_play.core.revoked import MOST_REVOCATIONS
from engagement.models import LedgerEntry, Segment, Show
from engagement.passes import ANY_TIME, check_pass, issue_guest_pass, issue_pass
from engagement.revoking import revoke_passes
from engagement.vault import open_secret
from tests.cast import make_show, totals_in_tally
from tests.client import TestPhone

pytestmark = pytest.mark.django_db(transaction=True)

OBEYS_S = 2.0
WORK = Origin("work", 0, b"a block!").pack()


def proof_of(show: Show, token: str) -> tuple[str, dict[str, str]]:
    """The pseudonym of whoever has this pass, and what renews it."""
    uid = check_pass(token, show.slug, ANY_TIME).uid
    salt = derive_salt(open_secret(show.k_show), show.slug, uid)
    return derive_pseudonym(show.slug, uid, salt).hex(), {"pass": token, "salt": salt.hex()}


def renew(gateway: str, slug: str, proof: dict[str, str]) -> tuple[int, str]:
    address = f"http://{gateway}/api/shows/{slug}/passes"
    request = urllib.request.Request(address, json.dumps(proof).encode(), method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)["code"]


async def is_sent_away(phone: TestPhone) -> bool:
    """Whether it is, with 4401 `bad_pass`, in time."""
    try:
        async with asyncio.timeout(OBEYS_S):
            while True:
                await phone.socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd is not None and closed.rcvd.code == 4401
    except TimeoutError:
        return False


async def revoke(show: Show, **whose: Any) -> None:
    await sync_to_async(revoke_passes)(show.pk, **whose, actor="dirk", reason="a farm")


async def test_a_revoked_viewer_is_sent_away_everywhere_and_what_was_counted_stays(
    gateway: str, on_air: Segment
) -> None:
    show, token, friend = on_air.show, issue_guest_pass(on_air.show.slug), issue_guest_pass(on_air.show.slug)
    viewer, proof = proof_of(show, token)
    async with AsyncExitStack() as stack:
        one, two, other = [await stack.enter_async_context(TestPhone(gateway, show.slug)) for _ in range(3)]
        for phone, pass_ in ((one, token), (two, token), (other, friend)):
            await phone.hello(pass_)
        await one.shake(on_air.pk, 4)
        await one.hear("ack")
        await revoke(show, viewer=viewer)
        assert await asyncio.gather(*map(is_sent_away, (one, two, other))) == [True, True, False]
    async with TestPhone(gateway, show.slug) as again:
        await again.say({"type": "hello", "pass": token})
        assert await is_sent_away(again)
    assert await asyncio.to_thread(renew, gateway, show.slug, proof) == (403, "revoked")
    friends = proof_of(show, friend)[1]
    assert await asyncio.to_thread(renew, gateway, show.slug, friends) == (200, "")
    assert list((await sync_to_async(totals_in_tally)(on_air)).values()) == [4]


async def test_a_kind_is_revoked_up_to_now_and_later_passes_are_good(gateway: str, on_air: Segment) -> None:
    show = on_air.show
    farmed, guest = issue_guest_pass(show.slug, origin=WORK), issue_guest_pass(show.slug)
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(TestPhone(gateway, show.slug)) for _ in range(3)]
        for phone, pass_ in zip(phones, (farmed, guest, issue_pass(show.slug, 7)), strict=True):
            await phone.hello(pass_)
        await revoke(show, kind="work", before=now_ms())
        assert await asyncio.gather(*map(is_sent_away, phones)) == [True, False, False]
    async with TestPhone(gateway, show.slug) as later:
        await later.hello(issue_guest_pass(show.slug, origin=WORK))


def entries(show: Show) -> list[dict[str, Any]]:
    rows = LedgerEntry.objects.filter(show=show, action="revoke").order_by("position")
    return [parse_canonical(row.details.encode()) for row in rows]


@pytest.fixture
def show() -> Show:
    return make_show()


def test_the_command_is_a_line_of_the_ledger_that_names_nobody(
    show: Show, capsys: pytest.CaptureFixture[str]
) -> None:
    viewer = "ab" * 14
    call_command("revoke_passes", show.slug, "--viewer", viewer, "--reason", "a farm", "--as", "olga")
    call_command(
        "revoke_passes",
        show.slug,
        "--kind",
        "guest",
        "--issued-before",
        "2026-01-01T00:00:00Z",
        "--reason",
        "x",
    )
    assert capsys.readouterr().out.count("Revoked passes of") == 2
    show.refresh_from_db()
    assert show.revoked == [{"viewer": viewer}, {"kind": "guest", "before": 1_767_225_600_000}]
    [first, second] = entries(show)
    assert viewer not in json.dumps(first) and second == {"before": 1_767_225_600_000, "kind": "guest"}
    row = LedgerEntry.objects.filter(show=show, action="revoke").order_by("position").first()
    assert row is not None and row.actor.startswith("olga") and row.reason == "a farm"


@pytest.mark.parametrize(
    ("whose", "why"),
    [
        ({}, "whose passes"),
        ({"viewer": "ab"}, "28 hex digits"),
        ({"viewer": "AB" * 14}, "28 hex digits"),
        ({"viewer": "ab" * 14, "kind": "guest"}, "and no kind"),
        ({"kind": "robot"}, "expected a kind of app, guest"),
        ({"before": 2**45}, "a time that has been"),
        ({"before": -1}, "a time that has been"),
        ({"kind": "guest", "reason": "  "}, "needs a reason"),
    ],
)
def test_what_nobody_can_mean_is_refused(show: Show, whose: dict[str, Any], why: str) -> None:
    with pytest.raises(ActionRefused, match=why):
        revoke_passes(show.pk, **{"actor": "olga", "reason": "a farm", **whose})
    assert entries(show) == []


def test_the_same_is_not_revoked_twice_and_there_is_a_most(show: Show) -> None:
    revoke_passes(show.pk, viewer="ab" * 14, actor="olga", reason="a farm")
    with pytest.raises(CommandError, match="revoked already"):
        call_command("revoke_passes", show.slug, "--viewer", "ab" * 14, "--reason", "a farm")
    Show.objects.filter(pk=show.pk).update(revoked=[{"kind": "", "before": 1}] * MOST_REVOCATIONS)
    with pytest.raises(ActionRefused, match="at most 1000 revocations"):
        revoke_passes(show.pk, viewer="cd" * 14, actor="olga", reason="a farm")
