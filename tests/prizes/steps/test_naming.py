"""The host names the winners one by one; the last one publishes."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from engagement.actions import ActionRefused, Conflict, describe_show
from engagement.clock import now_ms
from engagement.core.digests import parse_canonical
from engagement.core.messages import encode
from engagement.core.phases import Phase
from engagement.core.show_state import state_message
from engagement.models import LedgerEntry, Segment, Show
from prizes.models import Draw, Win
from prizes.results import describe_wins
from prizes.steps.naming import ANTICIPATION_MS, PAUSE_MS, name_next_winner
from tests.cast import OPERATOR
from tests.guards import without_guards
from tests.prizes import nights

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def segment(show: Show) -> Segment:
    return nights.ranked(show).segment


def name(segment: Segment, named: int, now: int) -> Segment:
    return name_next_winner(segment.pk, named=named, actor=OPERATOR, now=now)


def shown(segment: Segment, feed: str | None) -> dict[str, Any]:
    """What the phones of a feed see."""
    state = describe_show(Segment.objects.get(pk=segment.pk).show)
    found: dict[str, Any] = json.loads(encode(state_message(state, feed)))
    return found


def test_each_press_names_one_in_the_order_of_the_ranking_and_the_last_one_publishes(
    segment: Segment,
) -> None:
    winners = list(Win.objects.filter(draw__segment=segment).order_by("rank"))
    assert len(winners) > 1
    now = now_ms()
    for number, win in enumerate(winners):
        at = now + number * PAUSE_MS
        told = name(segment, number, at).announced_naming
        assert (told["of"], told["named"]) == (len(winners), number + 1)
        row = told["winners"][-1]
        assert row == {"number": number + 1, "at": at + ANTICIPATION_MS, "pseudonym": win.pseudonym, "name": win.name,
                       "prize": win.prize_id}  # fmt: skip
        is_last = number + 1 == len(winners)
        phase = Segment.objects.values_list("phase", flat=True).get(pk=segment.pk)
        assert phase == (Phase.PUBLISHED if is_last else Phase.DRAWN)
    actions = list(
        LedgerEntry.objects.order_by("-position").values_list("action", "details")[: len(winners) + 1]
    )
    assert [action for action, _ in reversed(actions)] == ["name"] * len(winners) + ["publish"]
    assert [parse_canonical(details.encode())["number"] for _, details in reversed(actions[1:])] == [
        number + 1 for number in range(len(winners))
    ]


def test_a_feed_is_told_in_its_own_time_and_results_are_not_shown_before_the_last_name(
    segment: Segment,
) -> None:
    feeds = {feed.name: feed.delay_ms for feed in segment.show.feeds.all()}
    count, now = Win.objects.filter(draw__segment=segment).count(), now_ms()
    for number in range(count):
        name(segment, number, now + number * PAUSE_MS)
    last = now + (count - 1) * PAUSE_MS + ANTICIPATION_MS
    for feed, delay_ms in [(None, 0), *feeds.items()]:
        state = shown(segment, feed)
        assert [row["at"] for row in state["segment"]["naming"]["winners"]][-1] == last + delay_ms
        assert [result["shown_at"] for result in state["results"]] == [last + delay_ms]
    times = [won.shown_at for wins in describe_wins(segment.show_id).values() for won in wins]
    assert sorted(times) == [now + number * PAUSE_MS + ANTICIPATION_MS for number in range(count)]


@pytest.mark.parametrize(("named", "later"), [(0, PAUSE_MS), (2, PAUSE_MS), (1, PAUSE_MS - 1)])
def test_a_press_for_another_name_and_one_that_comes_too_soon_name_nobody(
    segment: Segment, named: int, later: int
) -> None:
    now = now_ms()
    name(segment, 0, now)
    before = LedgerEntry.objects.count()
    with pytest.raises(Conflict):
        name(segment, named, now + later)
    assert Segment.objects.get(pk=segment.pk).announced_naming["named"] == 1
    assert LedgerEntry.objects.count() == before


def test_a_server_whose_clock_is_behind_names_the_next_one_behind_the_last(segment: Segment) -> None:
    now = now_ms()
    last = name(segment, 0, now).announced_naming["winners"][-1]["at"]
    told = name(segment, 1, now - 300_000).announced_naming
    assert [row["at"] for row in told["winners"]] == [last, last + PAUSE_MS]


def test_what_a_winner_is_called_and_when_the_wall_says_so_cannot_be_changed(segment: Segment) -> None:
    name(segment, 0, now_ms())
    for change in ({"name": "Amber Comet 12"}, {"named_at_ms": 1}):
        with pytest.raises(IntegrityError, match="cannot change any more"), transaction.atomic():
            Win.objects.exclude(named_at_ms=None).update(**change)


def test_only_winners_of_a_drawn_segment_are_named_and_each_of_them_once(segment: Segment) -> None:
    now = now_ms()
    name(segment, 0, now)
    Win.objects.filter(draw__segment=segment, named_at_ms=None).update(named_at_ms=now)
    with pytest.raises(ActionRefused, match=r"nobody .* is left"):
        name(segment, 1, now + 60_000)
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.SEALED)
    with pytest.raises(ActionRefused, match="only winners of a drawn segment"):
        name(segment, 1, now + 60_000)
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.PUBLISHED)
    with pytest.raises(Conflict, match="published already"):
        name(segment, 1, now + 60_000)


@pytest.mark.parametrize("before", [0, 1])
def test_nobody_is_named_who_was_not_drawn(segment: Segment, before: int) -> None:
    now = now_ms()
    for number in range(before):
        name(segment, number, now)
    with without_guards():
        Draw.objects.filter(segment=segment).update(seal="ab" * 32)
    with pytest.raises(ActionRefused, match="is not what was drawn"):
        name(segment, before, now + PAUSE_MS)
    assert Win.objects.exclude(named_at_ms=None).count() == before


def test_somebody_who_holds_no_prize_is_not_named(segment: Segment) -> None:
    first = Win.objects.filter(draw__segment=segment).earliest("rank")
    with without_guards():
        Win.objects.filter(pk=first.pk).update(status=Win.Status.FORFEITED)
    with pytest.raises(ActionRefused, match="holders"):  # the ledger does not tell of it
        name(segment, 0, now_ms())


def test_the_command_names_by_the_number_that_was_seen(segment: Segment) -> None:
    show = segment.show.slug
    call_command("segment", "name", str(segment.pk), "--show", show)
    with pytest.raises(CommandError, match=r"1 winners of .* are named, not 0"):
        call_command("segment", "name", str(segment.pk), "--show", show)
    assert Segment.objects.get(pk=segment.pk).announced_naming["named"] == 1
