"""What a guest's pass is worth under rules that were made after it: carriers, and whether guests take part at all."""

from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from engagement import tally
from engagement.actions import announce_later
from engagement.fair_play.core.origins import Origin, block_of, parse_origin
from engagement.fair_play.models import FairPlay
from engagement.keys import own
from engagement.models import Segment, Show
from engagement.passes import GUEST_BIT, _sign, issue_guest_pass, issue_pass
from engagement.vault import open_secret
from tests.cast import armed_segment, make_show, put_on_air
from tests.client import TestPhone
from tests.engagement.gateway.test_revoking import is_sent_away

pytestmark = pytest.mark.django_db(transaction=True)

HERE, ELSEWHERE = "127.0.0.1", "198.51.100.7"


def carriers_kept(segment: Segment) -> dict[str, int]:
    """The carrier of each viewer in the tally."""
    redis, kept = tally.connect(), dict[str, int]()
    for shard in range(settings.TALLY_SHARDS):
        rows: Any = redis.hgetall(own(f"origins:{segment.key}:{shard}"))
        kept |= {viewer.hex(): parse_origin(origin).carrier for viewer, origin in rows.items()}
    return kept


async def hear_open(phone: TestPhone) -> None:
    """Until it was told that the window is open."""
    while (await phone.hear("state"))["segment"]["phase"] != "open":
        pass


def arm_with(show: Show, carriers: str) -> Segment:
    FairPlay.objects.filter(show=show).update(carriers=carriers)
    return put_on_air(armed_segment(show))


@pytest.mark.every_server
@pytest.mark.parametrize("connected", [False, True], ids=["comes later", "is here already"])
async def test_a_pass_has_the_carrier_of_the_list_that_is_promised_not_of_the_one_it_was_given_under(
    gateway: str, transactional_db: None, connected: bool
) -> None:
    show = await sync_to_async(make_show)()
    await sync_to_async(announce_later)(show.pk)
    key = open_secret(show.k_show)

    def given(address: str, number: int, prefix: str) -> str:
        origin = Origin("guest", number, block_of(key, ip_address(address))).pack()
        return issue_guest_pass(show.slug, origin=origin, carrier=prefix)

    # Under the list "198.51.100.0/24 2", "203.0.113.0/24 3".
    passes = [
        given(ELSEWHERE, 1, "198.51.100.0/24"),  # the third of the list now
        given("203.0.113.7", 2, "203.0.113.0/24"),  # not on it any more
        given(HERE, 0, ""),  # named now
    ]
    promised = "192.0.2.0/24 10000\n127.0.0.0/8 5\n198.51.100.0/24 2"
    async with AsyncExitStack() as stack:
        if not connected:
            segment = await sync_to_async(arm_with)(show, promised)
        phones = [await stack.enter_async_context(TestPhone(gateway, show.slug)) for _ in passes]
        viewers = [(await phone.hello(token))["viewer"] for phone, token in zip(phones, passes, strict=True)]
        if connected:
            segment = await sync_to_async(arm_with)(show, promised)
            for phone in phones:
                await hear_open(phone)
        for phone in phones:
            await phone.shake(segment.pk, 3)
            await phone.hear("ack")
    assert await sync_to_async(carriers_kept)(segment) == dict(zip(viewers, (3, 0, 2), strict=True))


async def test_where_the_rules_take_no_guests_none_from_before_counts(
    gateway: str, transactional_db: None
) -> None:
    show = await sync_to_async(make_show)()
    await sync_to_async(announce_later)(show.pk)

    def without_guests() -> Segment:
        Show.objects.filter(pk=show.pk).update(guests_allowed=False)
        return put_on_air(armed_segment(Show.objects.get(pk=show.pk)))

    async with AsyncExitStack() as stack:
        guest, user = [await stack.enter_async_context(TestPhone(gateway, show.slug)) for _ in range(2)]
        token = issue_guest_pass(show.slug)
        await guest.hello(token)
        await user.hello(issue_pass(show.slug, 7))
        segment = await sync_to_async(without_guests)()
        assert await is_sent_away(guest)
        again = await stack.enter_async_context(TestPhone(gateway, show.slug))
        await again.say({"type": "hello", "pass": token})
        assert await is_sent_away(again)
        await hear_open(user)
        await user.shake(segment.pk, 3)
        await user.hear("ack", total=3)
    assert await sync_to_async(carriers_kept)(segment) == {}


async def test_passes_that_were_saved_up_before_there_were_blocks_share_like_all_others(
    gateway: str, on_air: Segment
) -> None:
    show, kept = on_air.show, dict[bytes, bytes]()
    old = [
        _sign(show.slug, GUEST_BIT | number, None, None) for number in range(3)
    ]  # as the version before did
    async with AsyncExitStack() as stack:
        for token in old:
            phone = await stack.enter_async_context(TestPhone(gateway, show.slug))
            await phone.hello(token)
            await phone.shake(on_air.pk, 3)
            await phone.hear("ack")
    for shard in range(settings.TALLY_SHARDS):
        kept |= tally.connect().hgetall(own(f"origins:{on_air.key}:{shard}"))  # type: ignore[arg-type]
    here = Origin("guest", 0, block_of(open_secret(show.k_show), ip_address(HERE)))
    assert list(kept.values()) == [here.pack()] * 3
