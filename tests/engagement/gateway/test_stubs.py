"""Stubs over real sockets: who gets one, when, and that it says what was written; on every server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from engagement import tally
from engagement.actions import announce_later, change_phase
from engagement.clock import now_ms
from engagement.core.digests import canonical_json
from engagement.core.phases import Phase
from engagement.gateway.stubs import SETTLED_MS, TOGETHER
from engagement.ledger.core.stubs import check_stub, parse_stub
from engagement.models import Segment
from engagement.passes import issue_guest_pass, issue_pass
from tests.cast import armed_segment, gateways_were_here, make_show, put_on_air, totals_in_tally
from tests.client import TestPhone
from tests.servers import running_gateway

pytestmark = pytest.mark.django_db(transaction=True)

LEFT_MS = 1_500  # of the window, when a test begins
GRACE_MS = 12_000


@pytest.fixture
def closing(transactional_db: None) -> Segment:
    """A segment that closes in a moment, with a long grace."""
    return put_on_air(armed_segment(make_show(grace_ms=GRACE_MS)), left_ms=LEFT_MS)


def checked(message: dict[str, Any], segment: Segment) -> dict[str, Any]:
    """The stub in a message, as strict as whoever wants to prove something with it."""
    stub = parse_stub(canonical_json(message["stub"]))
    check_stub(stub, bytes.fromhex(message["key"]))
    assert message["segment"] == segment.pk
    assert stub["show"] == segment.show.slug and stub["segment"] == segment.key
    assert abs(stub["at"] - now_ms()) < 5_000
    return stub


async def until_closed(segment: Segment) -> None:
    assert segment.closes_at is not None
    await asyncio.sleep(max(0.0, segment.closes_at.timestamp() - now_ms() / 1000) + 0.05)


@pytest.mark.every_server
async def test_the_ack_of_the_final_total_comes_with_a_stub_of_just_that_total(
    gateway: str, closing: Segment
) -> None:
    async with TestPhone(gateway, closing.show.slug) as phone:
        welcome = await phone.hello(issue_guest_pass(closing.show.slug), feed="app")
        await phone.shake(closing.pk, 3)
        assert (await phone.hear("ack"))["total"] == 3
        await until_closed(closing)
        assert [message["type"] for message in phone.heard if message["type"] == "stub"] == []
        await phone.shake(closing.pk, 8)
        await phone.hear("ack", total=8)
        message = await phone.hear("stub", patience_s=1)
        stub = checked(message, closing)
        assert (stub["pseudonym"], stub["total"]) == (welcome["viewer"], 8)
        assert await sync_to_async(totals_in_tally)(closing) == {welcome["viewer"]: 8}
        # The gateway of another test may still have its heartbeat there.
        assert message["key"] in {beat["key"] for beat in tally.read_gateways(now_ms()).values()}
        # It is said once, whatever is repeated; and again where the total was raised.
        await phone.shake(closing.pk, 8)
        await phone.shake(closing.pk, 5)
        assert [said["type"] for said in await phone.listen(SETTLED_MS / 1000 + 0.6)] == ["ack"]
        await phone.shake(closing.pk, 9)
        assert checked(await phone.hear("stub"), closing)["total"] == 9


@pytest.mark.every_server
async def test_whoever_was_acknowledged_before_the_end_gets_it_soon_after(
    gateway: str, closing: Segment
) -> None:
    slug = closing.show.slug
    async with (
        TestPhone(gateway, slug) as phone,
        TestPhone(gateway, slug) as later,
        TestPhone(gateway, slug) as idle,
        TestPhone(gateway, slug) as screen,
    ):
        one = await phone.hello(issue_guest_pass(slug), feed="app")
        two = await later.hello(issue_guest_pass(slug), feed="tv")  # 400 ms behind
        await idle.hello(issue_guest_pass(slug), feed="app")
        await screen.hello(role="screen")
        for speaker, total in ((phone, 5), (later, 7)):
            await speaker.shake(closing.pk, total)
            await speaker.hear("ack", total=total)
        first = checked(await phone.hear("stub"), closing)
        second = checked(await later.hear("stub"), closing)
        assert (first["pseudonym"], first["total"]) == (one["viewer"], 5)
        assert (second["pseudonym"], second["total"]) == (two["viewer"], 7)
        assert closing.closes_at is not None
        ends_at = int(closing.closes_at.timestamp() * 1000)
        assert first["at"] >= ends_at + SETTLED_MS - 1 and second["at"] >= ends_at + 400 + SETTLED_MS - 1
        heard = await asyncio.gather(*(one.listen(0.8) for one in (phone, later, idle, screen)))
        assert [message for said in heard for message in said if message["type"] == "stub"] == []
        assert [message for one in (idle, screen) for message in one.heard if message["type"] == "stub"] == []


async def test_both_devices_of_a_viewer_get_it_and_each_new_connection_once_more(
    gateway: str, closing: Segment
) -> None:
    slug = closing.show.slug
    token = issue_pass(slug, 77)
    async with TestPhone(gateway, slug) as one, TestPhone(gateway, slug) as two:
        await one.hello(token, feed="app")
        await two.hello(token, feed="app")
        await until_closed(closing)
        await one.shake(closing.pk, 6)
        assert checked(await one.hear("stub"), closing) == checked(await two.hear("stub"), closing)
        async with TestPhone(gateway, slug) as again:
            assert (await again.hello(token, feed="app"))["total"] == 6
            assert checked(await again.hear("stub"), closing)["total"] == 6
        quiet = await asyncio.gather(one.listen(0.5), two.listen(0.5))
        assert list(quiet) == [[], []], "they have it"


async def test_a_gateway_that_comes_later_signs_what_another_one_has_written(
    closing: Segment, tmp_path: Path
) -> None:
    """Also one that was not there when the window ended: with a key of its own, which its heartbeat tells."""
    slug, token = closing.show.slug, issue_pass(closing.show.slug, 78)
    gateways_were_here()
    with running_gateway(tmp_path / "one.log") as (address, process):
        async with TestPhone(address, slug) as phone:
            await phone.hello(token, feed="app")
            await phone.shake(closing.pk, 9)
            await phone.hear("ack", total=9)
            await until_closed(closing)
            process.kill()
    with running_gateway(tmp_path / "two.log") as (address, _):
        async with TestPhone(address, slug) as phone:
            welcome = await phone.hello(token, feed="app")
            assert welcome["total"] == 9
            message = await phone.hear("stub")
            stub = checked(message, closing)
            assert stub["total"] == 9 and stub["pseudonym"] == welcome["viewer"]
            beats = tally.read_gateways(now_ms())
            assert beats[stub["gateway"]]["key"] == message["key"]
            assert len({beat["key"] for beat in beats.values()}) == len(beats), "each life has its own"


@sync_to_async
def seal(segment: Segment) -> None:
    with transaction.atomic():
        change_phase(Segment.objects.get(pk=segment.pk), Phase.CLOSING, now_ms())
        change_phase(Segment.objects.get(pk=segment.pk), Phase.SEALED, now_ms(), announced_seals=["5e" * 32])
        announce_later(segment.show_id)


async def test_whoever_comes_back_after_the_seal_gets_it_of_a_gateway_that_was_there(
    gateway: str, closing: Segment, tmp_path: Path
) -> None:
    """Not of one that came later: its key is not in the ledger, so that its stub would prove nothing."""
    slug, token = closing.show.slug, issue_pass(closing.show.slug, 79)
    async with TestPhone(gateway, slug) as phone:
        await phone.hello(token, feed="app")
        await phone.shake(closing.pk, 7)
        await phone.hear("ack", total=7)
    async with TestPhone(gateway, slug) as screen:
        await screen.hello(role="screen")
        await until_closed(closing)
        await asyncio.sleep(SETTLED_MS / 1000)
        await seal(closing)
        while (await screen.hear("state"))["segment"]["phase"] != "sealed":
            pass
    async with TestPhone(gateway, slug) as phone, TestPhone(gateway, slug) as stranger:
        welcome = await phone.hello(token, feed="app")
        assert welcome["state"]["segment"]["phase"] == "sealed" and welcome["total"] == 7
        stub = checked(await phone.hear("stub"), closing)
        assert stub["total"] == 7 and stub["pseudonym"] == welcome["viewer"]
        await stranger.hello(issue_guest_pass(slug), feed="app")
        assert await stranger.listen(0.5) == [], "who has shaken nothing is promised nothing"
    with running_gateway(tmp_path / "later.log") as (address, _):
        async with TestPhone(address, slug) as phone:
            assert (await phone.hello(token, feed="app"))["total"] == 7
            await asyncio.sleep(1.2)  # two heartbeats, and sweeps
            assert [said for said in await phone.listen(0.5) if said["type"] == "stub"] == []


async def test_whoever_is_there_gets_it_also_where_the_seal_is_faster_than_the_gateway(
    gateway: str, closing: Segment
) -> None:
    """Sealed before the moment in which stubs are handed out, as by a gateway that was too busy for it."""
    slug = closing.show.slug
    async with TestPhone(gateway, slug) as phone:
        welcome = await phone.hello(issue_guest_pass(slug), feed="app")
        await phone.shake(closing.pk, 6)
        await phone.hear("ack", total=6)
        await until_closed(closing)
        await asyncio.sleep(0.5)  # the gateway has seen the end of the window
        await seal(closing)
        stub = checked(await phone.hear("stub"), closing)
        assert (stub["pseudonym"], stub["total"]) == (welcome["viewer"], 6)
        assert [said for said in await phone.listen(SETTLED_MS / 1000 + 0.5) if said["type"] == "stub"] == []


async def test_a_total_behind_the_fence_is_never_signed(gateway: str, closing: Segment) -> None:
    """A report that is not acknowledged is not in a stub either."""
    slug = closing.show.slug
    async with TestPhone(gateway, slug) as phone:
        await phone.hello(issue_guest_pass(slug), feed="app")
        await phone.shake(closing.pk, 4)
        await phone.hear("ack", total=4)
        await until_closed(closing)
        await sync_to_async(tally.close_tally)(closing.key, closing.shards)
        await phone.shake(closing.pk, 12)
        said = await phone.listen(SETTLED_MS / 1000 + 0.8)
        assert [checked(message, closing)["total"] for message in said if message["type"] == "stub"] == [4]
        assert [message for message in said if message["type"] == "ack"] == []


async def test_many_phones_at_once_share_a_few_signatures(gateway: str, closing: Segment) -> None:
    slug, phones = closing.show.slug, 60
    listeners = [TestPhone(gateway, slug) for _ in range(phones)]
    try:
        for listener in listeners:
            await listener.__aenter__()
        await asyncio.gather(*(one.hello(issue_guest_pass(slug), feed="app") for one in listeners))
        await until_closed(closing)
        for number, one in enumerate(listeners):
            await one.shake(closing.pk, number % 9 + 1)
        messages = await asyncio.gather(*(one.hear("stub") for one in listeners))
    finally:
        for listener in listeners:
            await listener.__aexit__(None, None, None)
    stubs = [checked(message, closing) for message in messages]
    assert [stub["total"] for stub in stubs] == [number % 9 + 1 for number in range(phones)]
    batches = {stub["signature"]: stub["size"] for stub in stubs}
    assert sum(batches.values()) == phones and len(batches) <= 4
    assert max(batches.values()) <= TOGETHER
    assert all(len(json.dumps(message)) < 1_400 for message in messages), "it fits into a packet"
