"""Who is told that they have won: when it is published, when they connect later, and when a reserve moves up."""

import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from engagement import actions, broadcast, wins
from engagement.actions import announce, announce_later, change_wins, record_change
from engagement.clock import now_ms
from engagement.core.messages import Result, Won
from engagement.core.phases import Phase
from engagement.gateway.hub import TOGETHER_S
from engagement.healing import heal_states
from engagement.models import Segment
from engagement.passes import issue_pass
from tests.cast import armed_segment, make_result, make_show, make_winner, make_won, put_on_air
from tests.client import TestPhone

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def segment() -> Segment:
    return put_on_air(armed_segment(make_show()), opened_ms_ago=60_000, left_ms=-30_000, phase=Phase.DRAWN)


@sync_to_async
@transaction.atomic
def tell(segment: Segment, wins: dict[str, Won], *results: Result, at_once: bool = True) -> None:
    """As prizes leaves it after publication and after every claim: who is told, and what stands in states."""
    told = {bytes.fromhex(viewer): [won] for viewer, won in wins.items()}
    Segment.objects.filter(pk=segment.pk).update(
        phase=Phase.PUBLISHED, announced_results=msgspec.to_builtins(results)
    )
    change_wins(segment.show_id, lambda: told)
    announce_later(segment.show_id, at_once=at_once)


async def test_a_winner_is_told_and_told_again_when_it_is_claimed_and_nobody_else(
    gateway: str, segment: Segment
) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as phone, TestPhone(gateway, slug) as other:
        viewer = (await phone.hello(issue_pass(slug, 1)))["viewer"]
        await other.hello(issue_pass(slug, 2))
        await tell(segment, {viewer: make_won()}, make_result(segment.pk, make_winner(viewer)))
        assert await phone.hear("won") == msgspec.to_builtins(make_won())
        await other.hear("state", results=msgspec.to_builtins([make_result(segment.pk, make_winner(viewer))]))
        claimed = make_result(segment.pk, make_winner(viewer, status="claimed"))
        await tell(segment, {viewer: make_won(status="claimed")}, claimed)
        assert (await phone.hear("won"))["status"] == "claimed"
        assert await other.listen(0.7) == await phone.listen(0.1) == []


async def test_screens_see_a_claim_and_the_hall_does_not(gateway: str, segment: Segment) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as phone, TestPhone(gateway, slug) as screen:
        viewer = (await phone.hello(issue_pass(slug, 1)))["viewer"]
        await screen.hello(role="screen")
        await tell(segment, {viewer: make_won()}, make_result(segment.pk, make_winner(viewer)))
        await screen.hear(
            "state", results=msgspec.to_builtins([make_result(segment.pk, make_winner(viewer))])
        )
        claimed = make_result(segment.pk, make_winner(viewer, status="claimed"))
        await tell(segment, {viewer: make_won(status="claimed")}, claimed)
        seen = await screen.hear("state", results=msgspec.to_builtins([claimed]))
        told = await phone.hear("state")
        assert seen["seq"] == told["seq"] and seen["results"] != told["results"]
        assert [message["type"] for message in await phone.listen(0.7)] == ["won"]


async def test_a_claim_of_somebody_who_is_not_listed_is_told_to_the_winner_alone(
    gateway: str, segment: Segment
) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as phone, TestPhone(gateway, slug) as screen:
        viewer = (await phone.hello(issue_pass(slug, 1)))["viewer"]
        await screen.hello(role="screen")
        result = make_result(segment.pk, make_winner("ab" * 14), winners_total=1_000)
        await tell(segment, {viewer: make_won()}, result)
        await screen.hear("state", results=msgspec.to_builtins([result]))
        await tell(segment, {viewer: make_won(status="claimed")}, result)
        await phone.hear("won", status="claimed")
        assert await screen.listen(0.7) == []


async def test_a_loser_and_the_reserve_who_moved_up_are_told_now_or_later(
    gateway: str, segment: Segment
) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as first, TestPhone(gateway, slug) as second:
        loser = (await first.hello(issue_pass(slug, 1)))["viewer"]
        viewer = (await second.hello(issue_pass(slug, 2)))["viewer"]
        await tell(segment, {loser: make_won()}, make_result(segment.pk, make_winner(loser)))
        await first.hear("won", status="won")
        now = make_result(segment.pk, make_winner(viewer, moved_up=True, claim_by=2_000))
        moved = {loser: make_won(status="lost"), viewer: make_won(claim_by=2_000)}
        await tell(segment, moved, now)
        await first.hear("won", status="lost")
        assert (await second.hear("won"))["claim_by"] == 2_000
        await second.listen(2 * TOGETHER_S)
    async with TestPhone(gateway, slug) as again:
        document = await again.hello(issue_pass(slug, 2))
        assert document["state"]["results"][0]["winners"][0]["moved_up"] is True
        assert (await again.hear("won"))["claim_by"] == 2_000


async def test_a_winner_of_the_first_of_many_draws_is_still_told(gateway: str, segment: Segment) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as phone:
        viewer = (await phone.hello(issue_pass(slug, 1)))["viewer"]
    await tell(
        segment,
        {viewer: make_won(draw=1)},
        make_result(segment.pk, make_winner(viewer), draw=1),
        *[make_result(segment.pk, draw=draw) for draw in range(2, 40)],
    )
    async with TestPhone(gateway, slug) as phone:
        state = (await phone.hello(issue_pass(slug, 1)))["state"]
        assert [row["draw"] for row in state["results"]] == list(range(39, 19, -1))
        assert (await phone.hear("won"))["draw"] == 1


async def test_wins_that_redis_has_lost_are_told_again_from_the_database(
    gateway: str, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as phone:
        viewer = (await phone.hello(issue_pass(slug, 1)))["viewer"]
        won = {bytes.fromhex(viewer): [make_won()]}
        await tell(segment, {viewer: make_won()}, make_result(segment.pk, make_winner(viewer)))
        await phone.hear("won")
        monkeypatch.setattr(wins, "describe_wins", lambda show_id: won)
        await sync_to_async(broadcast.forget_state)(slug)
        await sync_to_async(heal_states)()
    async with TestPhone(gateway, slug) as phone:
        await phone.hello(issue_pass(slug, 1))
        assert (await phone.hear("won"))["draw"] == 5


async def test_a_broadcast_of_wins_that_was_lost_is_made_up_for(
    gateway: str, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug = segment.show.slug
    async with TestPhone(gateway, slug) as phone:
        viewer = (await phone.hello(issue_pass(slug, 1)))["viewer"]
        with monkeypatch.context() as patch:
            send = broadcast._send
            patch.setattr(
                broadcast, "_send", lambda slug, row: None if row["type"] == "wins" else send(slug, row)
            )
            await tell(segment, {viewer: make_won()}, make_result(segment.pk, make_winner(viewer)))
        assert (await phone.hear("won"))["draw"] == 5


def test_recording_is_not_announcing(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(actions, "send_state", lambda state, _: sent.append(state.seq))
    announce(segment.show_id)
    with transaction.atomic():
        for _ in range(3):
            record_change(segment, "reveal", actor="somebody", now=now_ms())
    first = list(sent)
    record_change(segment, "reveal", actor="somebody", now=now_ms())
    assert len(first) <= 1 and sent == [*first, first[0]]  # the number stays: nobody sees anything new
