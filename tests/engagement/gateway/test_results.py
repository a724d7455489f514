"""Who is told that they have won: when it is published, when they connect later, and when a reserve moves up."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db.models import F

from engagement.actions import announce
from engagement.core.phases import Phase
from engagement.models import Segment, Show
from engagement.passes import issue_pass
from tests.cast import armed_segment, make_show, put_on_air
from tests.client import TestPhone

pytestmark = pytest.mark.django_db(transaction=True)

PRIZE = {"id": 1, "garment": "Coat"}


@pytest.fixture
def segment() -> Segment:
    return put_on_air(armed_segment(make_show()), opened_ms_ago=60_000, left_ms=-30_000, phase=Phase.DRAWN)


def result(segment: Segment, *winners: dict[str, Any], draw: int = 5) -> dict[str, Any]:
    told = {"draw": draw, "segment": segment.pk, "seal": "", "strength": "rehearsal", "record_url": "/r"}
    rows = [{"prize": PRIZE, "name": "x", **winner} for winner in winners]
    return {**told, "winners": rows, "claim_url": "/c", "claim_by": 1_000, "published_at": draw}


@sync_to_async
def tell(segment: Segment, *results: dict[str, Any]) -> None:
    """As prizes leaves it after publication and after every claim."""
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.PUBLISHED, announced_results=list(results))
    Show.objects.filter(pk=segment.show_id).update(seq=F("seq") + 1)
    announce(segment.show_id)


async def test_a_winner_is_told_and_told_again_when_it_is_claimed(gateway: str, segment: Segment) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as phone, TestPhone(gateway, slug) as other:
        viewer = (await phone.hello(issue_pass(slug, 1)))["viewer"]
        await other.hello(issue_pass(slug, 2))
        await tell(segment, result(segment, {"pseudonym": viewer}))
        won = await phone.hear("won")
        assert won == {
            "type": "won",
            "draw": 5,
            "prize": PRIZE,
            "claim_url": "/c",
            "claim_by": 1_000,
            "status": "won",
        }
        await tell(segment, result(segment, {"pseudonym": viewer, "status": "claimed"}))
        assert (await phone.hear("won"))["status"] == "claimed"
        await other.hear("state", results=[result(segment, {"pseudonym": viewer, "status": "claimed"})])
        assert not [message for message in other.heard if message["type"] == "won"]


async def test_a_reserve_who_moved_up_is_told_its_own_deadline_now_or_later(
    gateway: str, segment: Segment
) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as first, TestPhone(gateway, slug) as reserve:
        loser = (await first.hello(issue_pass(slug, 1)))["viewer"]
        viewer = (await reserve.hello(issue_pass(slug, 2)))["viewer"]
        await tell(segment, result(segment, {"pseudonym": loser}))
        await first.hear("won")
        now = result(segment, {"pseudonym": viewer, "moved_up": True, "claim_by": 2_000})
        await tell(segment, now)
        assert (await reserve.hear("won"))["claim_by"] == 2_000
        assert (await first.hear("state", results=[now]))["results"][0]["winners"][0]["moved_up"] is True
    async with TestPhone(gateway, slug) as later:
        await later.hello(issue_pass(slug, 2))
        assert (await later.hear("won"))["claim_by"] == 2_000


async def test_a_winner_of_the_first_of_many_draws_is_still_told(gateway: str, segment: Segment) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as phone:
        viewer = (await phone.hello(issue_pass(slug, 1)))["viewer"]
        await tell(
            segment,
            result(segment, {"pseudonym": viewer}, draw=1),
            *[result(segment, draw=draw) for draw in range(2, 40)],
        )
        assert (await phone.hear("won"))["draw"] == 1
        (state,) = [row for row in phone.heard if row["type"] == "state" and row["results"]]
        assert [row["draw"] for row in state["results"]] == list(range(39, 19, -1))
