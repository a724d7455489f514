"""A database that is older than what was announced from it is noticed, and nothing else is taken for one."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from redis.exceptions import RedisError

from engagement import marks, restores, tasks
from engagement.actions import DatabaseRestored, announce_later, close_segment, open_segment
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.keys import own
from engagement.ledger.append import append_entry
from engagement.models import LedgerEntry, Restore, Segment, Show
from engagement.recovery import confirm_restore
from engagement.restores import ENTRY, STATE, find_lost, trouble, unconfirmed, watch
from engagement.tally import connect
from prizes.steps.arm import arm_segment
from prizes.steps.void import void_segment
from tests.cast import DIRECTOR, OPERATOR, armed_segment, make_segment, make_show, put_on_air, state_in_redis
from tests.guards import without_guards

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def show() -> Show:
    show = make_show()
    for number in range(3):
        append_entry(show, f"step {number}")
    return show


@pytest.fixture(autouse=True)
def no_gateways() -> Iterator[None]:
    connect().delete(own("gateways"))
    yield
    connect().delete(own("gateways"))


def go_back(show: Show, position: int) -> None:
    """The ledger as it was before its entry at this position."""
    with without_guards():
        LedgerEntry.objects.filter(show=show, position__gte=position)._raw_delete("default")
        show.checkpoints.filter(size__gt=position)._raw_delete("default")


def lost(show: Show, told: int, held: int | None) -> list[dict[str, Any]]:
    return [{"show": show.slug, "of": ENTRY, "told": told, "held": held}]


# --- what is a restore ---


def test_a_database_without_the_newest_entries_has_gone_back(show: Show) -> None:
    assert not watch(now_ms()) and trouble() == ""
    go_back(show, 1)
    assert watch(now_ms())
    found = unconfirmed()
    assert found and found.lost == lost(show, 2, 0)
    assert f"{show.slug} was at ledger entry 2 and is at ledger entry 0" in trouble()
    assert watch(now_ms()) and Restore.objects.count() == 1, "it is noticed once"


def test_a_database_without_the_show_has_gone_back(show: Show) -> None:
    go_back(show, 0)
    with without_guards():
        show.feeds.all().delete()
        show.fair_play.delete()
        Show.objects.filter(pk=show.pk)._raw_delete("default")
    assert find_lost(now_ms()) == lost(show, 2, None)
    assert "is at nothing" in restores.explain(Restore(lost=lost(show, 2, None)))


def test_other_entries_under_the_same_numbers_are_noticed_and_not_taken_for_progress(show: Show) -> None:
    go_back(show, 1)
    for number in range(5):
        append_entry(show, f"another step {number}")
    assert find_lost(now_ms()) == lost(show, 2, 5)


def test_a_show_that_lost_nothing_does_not_hide_the_one_that_did(show: Show) -> None:
    other = make_show()
    go_back(show, 1)
    append_entry(other, "step")
    assert find_lost(now_ms()) == lost(show, 2, 0)


def test_where_redis_was_emptied_too_gateways_remember(show: Show) -> None:
    marks.forget_marks()
    Show.objects.filter(pk=show.pk).update(seq=7)
    tell_heartbeat(show, epoch=show.epoch, seq=9)
    assert find_lost(now_ms()) == [{"show": show.slug, "of": STATE, "told": 9, "held": 7}]
    assert f"{show.slug} was at state 9 and is at state 7" in restores.explain(
        Restore(lost=find_lost(now_ms()))
    )


def tell_heartbeat(show: Show, **position: int) -> None:
    beat = {"at": now_ms(), "shows": {show.slug: position}}
    connect().hset(own("gateways"), "gateway", json.dumps(beat))


def test_of_many_shows_only_the_first_are_named() -> None:
    rows = [{"show": f"show-{number}", "of": ENTRY, "told": 1, "held": None} for number in range(9)]
    said = restores.explain(Restore(lost=rows))
    assert "show-4 was" in said and "show-5" not in said and "and 4 more shows" in said


# --- what is none ---


@pytest.mark.parametrize(
    "position", [{}, {"epoch": 1, "seq": 99}, {"seq": 0}, {"epoch": 2}, {"epoch": 2, "seq": "x"}]
)
def test_a_gateway_that_is_behind_or_of_another_epoch_is_no_restore(show: Show, position: dict) -> None:
    Show.objects.filter(pk=show.pk).update(epoch=2, seq=7)
    tell_heartbeat(show, **{"epoch": 2, **position} if position else {})
    assert find_lost(now_ms()) == []


def test_what_was_rolled_back_is_no_restore(show: Show) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        append_entry(show, "never happened")
        _ = 1 / 0
    assert find_lost(now_ms()) == []


def test_marks_that_are_older_or_lost_are_no_restore(show: Show) -> None:
    first = LedgerEntry.objects.get(show=show, position=0)
    marks.replace_marks([], [marks.mark_of(first)])  # its last second was not on the disk
    assert find_lost(now_ms()) == []
    append_entry(show, "and on")
    assert marks.read_all_marks()[0].position == 3
    marks.forget_marks()
    assert find_lost(now_ms()) == []


def test_two_processes_that_tell_out_of_order_leave_the_newest_mark(show: Show) -> None:
    first, _, last = LedgerEntry.objects.filter(show=show).order_by("position")
    marks.remember(last)
    marks.remember(first)
    assert marks.read_all_marks() == [marks.mark_of(last)]


def test_without_redis_nothing_is_noticed_and_actions_go_on(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_back(show, 1)
    monkeypatch.setattr(marks, "connect", no_redis)
    assert find_lost(now_ms()) == [] and armed_segment(show).phase == Phase.ARMED


def no_redis() -> Any:
    raise RedisError("away")


# --- what waits ---

ACTIONS: dict[str, Callable[[Segment], object]] = {
    "arm": lambda segment: arm_segment(segment.pk, actor=OPERATOR),
    "open": lambda segment: open_segment(segment.pk, actor=OPERATOR),
    "close": lambda segment: close_segment(segment.pk, actor=OPERATOR),
    "void": lambda segment: void_segment(segment.pk, actor=OPERATOR, reason="so"),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("is_noticed", [True, False], ids=["noticed", "not noticed yet"])
def test_every_action_is_refused_with_the_reason(show: Show, action: str, is_noticed: bool) -> None:
    segment = make_segment(show)
    go_back(show, 1)
    if is_noticed:
        watch(now_ms())
    with pytest.raises(DatabaseRestored, match=r"entry 2 and is at ledger entry 0\. Was a backup"):
        ACTIONS[action](segment)
    segment.refresh_from_db()
    assert segment.phase == Phase.DRAFT


def test_the_conductor_moves_nothing_until_it_is_confirmed(show: Show) -> None:
    segment = put_on_air(armed_segment(show), opened_ms_ago=30_000, left_ms=-5_000)
    go_back(show, 1)
    tasks.conduct()
    segment.refresh_from_db()
    assert segment.phase == Phase.OPEN and trouble()
    confirm_restore(actor=DIRECTOR)
    tasks.conduct()
    segment.refresh_from_db()
    assert segment.phase == Phase.CLOSING


# --- the confirmation ---


def test_a_confirmed_database_begins_a_new_epoch_and_says_so_in_its_ledger(show: Show) -> None:
    announce_later(show.pk)
    go_back(show, 1)
    assert [begun.pk for begun in confirm_restore(actor=DIRECTOR)] == [show.pk]
    after = Show.objects.get(pk=show.pk)
    assert after.epoch != show.epoch and trouble() == "" and not watch(now_ms())
    entry = LedgerEntry.objects.filter(show=show).latest("position")
    assert (entry.action, entry.actor) == ("restore", DIRECTOR)
    assert json.loads(entry.details)["lost"] == lost(show, 2, 0)
    assert state_in_redis(show).epoch == after.epoch
    assert arm_segment(make_segment(show).pk, actor=OPERATOR).phase == Phase.ARMED


def test_what_was_only_armed_gets_a_new_play_and_what_was_opened_keeps_its_totals(show: Show) -> None:
    opened, armed = put_on_air(armed_segment(show)), armed_segment(show)
    go_back(show, 1)
    confirm_restore(actor=DIRECTOR)
    plays = [(segment, Segment.objects.get(pk=segment.pk)) for segment in (opened, armed)]
    assert [now.play == before.play for before, now in plays] == [True, False]
    assert plays[1][1].draws.get().key.endswith(plays[1][1].play)


def test_a_show_that_is_over_and_lost_nothing_keeps_its_epoch_and_so_the_seals_on_the_phones(
    show: Show,
) -> None:
    over = make_show()
    void_segment(make_segment(over).pk, actor=DIRECTOR, reason="it rains")
    go_back(show, 1)
    confirm_restore(actor=DIRECTOR)
    assert Show.objects.get(pk=over.pk).epoch == over.epoch and find_lost(now_ms()) == []


def test_there_is_nothing_to_confirm_where_nothing_is_missing_or_redis_does_not_answer(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Exception, match="has all that was announced"):
        confirm_restore(actor=DIRECTOR)
    go_back(show, 1)
    watch(now_ms())
    monkeypatch.setattr(marks, "connect", no_redis)
    with pytest.raises(Exception, match="Redis does not answer"):
        confirm_restore(actor=DIRECTOR)
    assert trouble()


def test_the_command_confirms_once(show: Show, capsys: pytest.CaptureFixture[str]) -> None:
    go_back(show, 1)
    call_command("confirm_restore", "--as", "dirk")
    assert capsys.readouterr().out == f"Begun anew: {show.slug}.\n"
    assert Restore.objects.get().confirmed_by.startswith("dirk (cli:")
    with pytest.raises(Exception, match="Nothing has to be confirmed"):
        call_command("confirm_restore")


# --- another installation ---


def test_a_process_with_another_name_freezes_nothing_and_says_which_name_the_others_have(
    show: Show, settings: Any
) -> None:
    ours = settings.INSTALLATION
    segment = put_on_air(armed_segment(show), opened_ms_ago=30_000, left_ms=-5_000)
    settings.INSTALLATION = "spelled-differently"
    tasks.conduct()
    segment.refresh_from_db()
    assert segment.phase == Phase.OPEN and f"set INSTALLATION={ours} for this process" in trouble()
    with pytest.raises(
        DatabaseRestored, match=f"belongs to installation {ours}, and this process calls itself"
    ):
        close_segment(segment.pk, actor=OPERATOR)
    settings.INSTALLATION = ours
    assert trouble() == ""


def test_a_copy_of_a_database_that_is_confirmed_belongs_to_the_other_installation(
    show: Show, settings: Any
) -> None:
    armed_segment(show)
    settings.INSTALLATION = "rehearsal"
    assert [begun.pk for begun in confirm_restore(actor=DIRECTOR)] == [show.pk]
    assert trouble() == "" and Show.objects.get(pk=show.pk).epoch != show.epoch
    assert make_segment(show).phase == Phase.DRAFT and not watch(now_ms())
