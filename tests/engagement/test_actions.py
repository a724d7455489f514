"""Operators and the conductor: every legal step, every illegal one, and two people at the same button."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, transaction

from engagement import actions, tally
from engagement.actions import (
    ActionRefused,
    Conflict,
    close_segment,
    lock_segment,
    move_due_segments,
    open_segment,
    record_change,
)
from engagement.broadcast import keep_state
from engagement.clock import from_ms, now_ms
from engagement.core.phases import TRANSITIONS, Phase
from engagement.core.show_state import SegmentState, ShowState, state_message
from engagement.keys import own
from engagement.ledger.append import GENESIS, append_entry
from engagement.models import Feed, LedgerEntry, Segment, Show
from engagement.tasks import conduct
from prizes.models import PrizeList
from prizes.steps.arm import arm_segment
from prizes.steps.draw import request_draw
from prizes.steps.publish import publish_segment
from prizes.steps.void import void_segment
from tests.cast import (
    DIRECTOR,
    OPERATOR,
    armed_segment,
    break_of,
    in_ms,
    make_segment,
    make_show,
    state_in_redis,
)
from tests.guards import tamper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

NOW = 1_794_000_000_000


@pytest.fixture
def show() -> Show:
    return make_show()


def in_phase(show: Show, phase: Phase) -> Segment:
    """A segment as it would be in this phase."""
    segment = make_segment(show) if phase == Phase.DRAFT else armed_segment(show)
    now = now_ms()
    times = {"opens_at": from_ms(now - 9_000), "closes_at": from_ms(now + 11_000)}  # 20 s, as promised
    scheduled = {} if phase in (Phase.DRAFT, Phase.ARMED, Phase.VOID) else times
    Segment.objects.filter(pk=segment.pk).update(phase=phase, **scheduled)
    return Segment.objects.select_related("show").get(pk=segment.pk)


def of_segment(state: ShowState, segment: Segment) -> SegmentState:
    """What a state says of this segment."""
    found = state.segment(segment.pk)
    assert found is not None
    return found


BUTTONS: dict[str, tuple[Callable[[int], Segment], Phase, set[Phase]]] = {
    # button: (action, phase after it, phases in which it works)
    "arm": (lambda pk: arm_segment(pk, actor=OPERATOR), Phase.ARMED, {Phase.DRAFT}),
    "open": (lambda pk: open_segment(pk, actor=OPERATOR), Phase.ARMED, {Phase.ARMED}),
    "close": (lambda pk: close_segment(pk, actor=OPERATOR), Phase.OPEN, {Phase.OPEN}),
    "void": (
        lambda pk: void_segment(pk, actor=DIRECTOR, reason="the stage caught fire"),
        Phase.VOID,
        {Phase.DRAFT, Phase.ARMED, Phase.OPEN, Phase.CLOSING},
    ),
    "draw": (lambda pk: request_draw(pk, actor=OPERATOR), Phase.SEALED, {Phase.SEALED}),
    "publish": (lambda pk: publish_segment(pk, actor=OPERATOR), Phase.PUBLISHED, {Phase.DRAWN}),
}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("button", BUTTONS)
def test_each_button_works_in_its_phases_and_changes_nothing_in_the_others(
    show: Show, button: str, phase: Phase
) -> None:
    action, after, works_in = BUTTONS[button]
    segment = in_phase(show, phase)
    if phase == Phase.SEALED:
        segment.draws.update(step="sealed", seal="ab" * 32)
    before = LedgerEntry.objects.count()
    if phase in works_in:
        assert action(segment.pk).phase == after
        assert LedgerEntry.objects.count() == before + 1
        assert LedgerEntry.objects.order_by("-position")[0].actor in (OPERATOR, DIRECTOR)
    else:
        with pytest.raises(ActionRefused):
            action(segment.pk)
        assert LedgerEntry.objects.count() == before
        assert Segment.objects.get(pk=segment.pk).phase == phase


@pytest.mark.parametrize("old", Phase)
@pytest.mark.parametrize("new", Phase)
def test_the_phase_table_is_the_law_of_the_database_too(show: Show, old: Phase, new: Phase) -> None:
    segment = in_phase(show, old)
    if new in TRANSITIONS[old]:
        fields = {"opens_at": from_ms(0), "closes_at": from_ms(1)} if segment.opens_at is None else {}
        actions.change_phase(segment, new, NOW, **fields)
        assert Segment.objects.get(pk=segment.pk).phase == new
    else:
        with pytest.raises(ValueError, match="cannot become"):
            actions.change_phase(segment, new, NOW)
        assert Segment.objects.get(pk=segment.pk).phase == old


def test_a_phase_changes_by_compare_and_set(show: Show) -> None:
    mine, theirs = in_phase(show, Phase.ARMED), None
    theirs = Segment.objects.select_related("show").get(pk=mine.pk)
    actions.change_phase(theirs, Phase.VOID, NOW)
    with pytest.raises(Conflict, match="is void by now"):
        actions.change_phase(mine, Phase.OPEN, NOW, opens_at=from_ms(0), closes_at=from_ms(1))


@pytest.mark.parametrize("button", ["arm", "open", "close", "void"])
def test_of_two_operators_at_one_button_one_wins_and_the_other_is_told(show: Show, button: str) -> None:
    start = {"arm": Phase.DRAFT, "open": Phase.ARMED, "close": Phase.OPEN, "void": Phase.OPEN}[button]
    segment = in_phase(show, start)
    before = LedgerEntry.objects.count()

    def press(_: int) -> str:
        try:
            BUTTONS[button][0](segment.pk)
            return "done"
        except Conflict as conflict:
            return str(conflict)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(press, range(2)), key=lambda answer: answer == "done")
    assert answers[1] == "done"
    assert f"{button} by" in answers[0]
    assert LedgerEntry.objects.count() == before + 1


# --- arming ---


def test_a_segment_without_prizes_cannot_be_armed_and_says_why(show: Show) -> None:
    segment = make_segment(show, prizes=0)
    with pytest.raises(ActionRefused, match="has no prizes"):
        arm_segment(segment.pk, actor=OPERATOR)
    PrizeList.objects.all().delete()
    with pytest.raises(ActionRefused, match="has no prizes"):
        arm_segment(segment.pk, actor=OPERATOR)


def test_an_empty_second_prize_list_is_named(show: Show) -> None:
    segment = make_segment(show)
    PrizeList.objects.create(segment=segment, number=2, beacon="local")
    with pytest.raises(ActionRefused, match="prize list 2 has no prizes"):
        arm_segment(segment.pk, actor=OPERATOR)


def test_a_show_without_feeds_cannot_be_armed(show: Show) -> None:
    segment = make_segment(show)
    Feed.objects.all().delete()
    with pytest.raises(ActionRefused, match="no feeds"):
        arm_segment(segment.pk, actor=OPERATOR)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"tickets": [[20, 1], [10, 2]]}, "shakes above 20 in row 2, got 10"),
        ({"tickets": []}, "at least one"),
        ({"tickets": [[0, 1]]}, "shakes above 0 in row 1"),
        ({"reserves": 9}, "reserves of 0 .. 7"),
    ],
)
def test_rules_that_make_no_sense_are_refused_at_arming(show: Show, fields: dict, why: str) -> None:
    segment = make_segment(show)
    PrizeList.objects.update(**fields)
    with pytest.raises(ActionRefused, match=f"(?i)cannot be armed.*{why}"):
        arm_segment(segment.pk, actor=OPERATOR)
    assert Segment.objects.get(pk=segment.pk).phase == Phase.DRAFT
    assert not segment.draws.exists()
    assert not LedgerEntry.objects.exists()


# --- opening and closing ---


def test_opening_schedules_the_window_and_the_conductor_follows_the_clock(show: Show) -> None:
    segment = armed_segment(show, window_s=10)
    now = now_ms()
    open_segment(segment.pk, actor=OPERATOR, lead_s=5, now=now)
    phases = {}
    for at in (4_999, 5_000, 15_399, 15_400):  # the feed tv is 0.4 s behind
        actions.move_due_segments(now + at)
        phases[at] = Segment.objects.get(pk=segment.pk).phase
    assert phases == {4_999: "armed", 5_000: "open", 15_399: "open", 15_400: "closing"}
    assert [entry.action for entry in LedgerEntry.objects.all()] == ["arm", "open", "opened", "closing"]


def test_the_conductor_run_twice_records_once(show: Show) -> None:
    segment = armed_segment(show)
    open_segment(segment.pk, actor=OPERATOR, lead_s=0)
    for _ in range(3):
        conduct()
    assert [entry.action for entry in LedgerEntry.objects.all()] == ["arm", "open", "opened"]


def test_a_late_conductor_opens_and_closes_in_order(show: Show) -> None:
    one, two = armed_segment(show, window_s=5), armed_segment(show, window_s=5)
    now = now_ms()
    open_segment(one.pk, actor=OPERATOR, lead_s=0, now=now)
    open_segment(two.pk, actor=OPERATOR, lead_s=10, now=now)
    actions.move_due_segments(now + 1)
    actions.move_due_segments(now + 12_000)
    assert [Segment.objects.get(pk=segment.pk).phase for segment in (one, two)] == ["closing", "open"]


def test_two_segments_that_are_due_at_once_do_not_stop_the_conductor(show: Show) -> None:
    one, two = armed_segment(show), armed_segment(show)
    times = {"opens_at": from_ms(now_ms() - 2_000), "closes_at": from_ms(now_ms() + 18_000)}
    Segment.objects.filter(pk__in=[one.pk, two.pk]).update(**times)
    conduct()
    assert sorted(Segment.objects.values_list("phase", flat=True)) == ["armed", "open"]
    tally.connect().delete(own(f"show:{show.slug}"))
    conduct()
    assert state_in_redis(show).slug == show.slug


def test_a_segment_in_its_grace_is_not_overlapped(show: Show) -> None:
    one, two = in_phase(show, Phase.OPEN), armed_segment(show)
    close_segment(one.pk, actor=OPERATOR)
    Segment.objects.filter(pk=one.pk).update(phase=Phase.CLOSING)
    with pytest.raises(ActionRefused, match="would overlap"):
        open_segment(two.pk, actor=OPERATOR, lead_s=0)


def test_whoever_came_second_is_told_of_this_segment_not_of_one_with_a_similar_number(show: Show) -> None:
    one = armed_segment(show)
    ten = armed_segment(show)
    append_entry(show, "test", actor=DIRECTOR, details={"segment": int(f"{one.pk}0")})
    with pytest.raises(Conflict, match=f"arm by {OPERATOR}"):
        arm_segment(one.pk, actor=DIRECTOR)
    assert actions.last_change(ten).startswith("arm by")


@pytest.mark.parametrize("lead", [-1, 3601])
def test_a_lead_time_out_of_range_is_refused(show: Show, lead: int) -> None:
    with pytest.raises(ActionRefused, match="lead: expected 0 to 3600"):
        open_segment(armed_segment(show).pk, actor=OPERATOR, lead_s=lead)


def test_overlapping_segments_are_refused_feeds_and_grace_included(show: Show) -> None:
    one, two = armed_segment(show, window_s=10), armed_segment(show, window_s=10)
    now = now_ms()
    open_segment(one.pk, actor=OPERATOR, lead_s=0, now=now)
    with pytest.raises(ActionRefused, match="would overlap with 1"):
        open_segment(two.pk, actor=OPERATOR, lead_s=10, now=now)  # the grace ends at 11.0
    open_segment(two.pk, actor=OPERATOR, lead_s=11, now=now)


def test_the_database_allows_one_open_segment_per_show(show: Show) -> None:
    in_phase(show, Phase.OPEN)
    with pytest.raises(IntegrityError), transaction.atomic():
        in_phase(show, Phase.OPEN)


def test_the_database_refuses_a_window_that_ends_before_it_starts(show: Show) -> None:
    segment = in_phase(show, Phase.OPEN)
    with pytest.raises(IntegrityError), transaction.atomic():
        Segment.objects.filter(pk=segment.pk).update(closes_at=from_ms(in_ms(segment.opens_at) - 1))


def test_closing_before_opening_is_refused(show: Show) -> None:
    segment = armed_segment(show)
    open_segment(segment.pk, actor=OPERATOR, lead_s=60)
    with pytest.raises(ActionRefused, match="not open yet"):
        close_segment(segment.pk, actor=OPERATOR)


def test_close_now_ends_the_window_now_and_a_second_time_is_told_so(show: Show) -> None:
    segment, now = in_phase(show, Phase.OPEN), now_ms()
    assert in_ms(close_segment(segment.pk, actor=OPERATOR, now=now).closes_at) == now
    with pytest.raises(Conflict, match="closed already: close by olga"):
        close_segment(segment.pk, actor=DIRECTOR)


@pytest.mark.parametrize("reason", ["", "   "])
def test_void_needs_a_reason(show: Show, reason: str) -> None:
    with pytest.raises(ActionRefused, match="reason"):
        void_segment(in_phase(show, Phase.OPEN).pk, actor=DIRECTOR, reason=reason)


def test_an_action_on_no_segment_says_so() -> None:
    with pytest.raises(ActionRefused, match="there is no segment 4711"):
        open_segment(4711, actor=OPERATOR)


# --- announcing ---


def test_every_action_announces_the_new_state_once_it_is_committed(show: Show) -> None:
    segment = armed_segment(show)
    before = state_in_redis(show)
    open_segment(segment.pk, actor=OPERATOR)
    after = state_in_redis(show)
    assert after.seq == before.seq + 1
    assert after.current == segment.pk
    assert of_segment(after, segment).opens_at is not None


def test_an_entry_of_the_ledger_that_nobody_can_see_is_not_announced(show: Show) -> None:
    segment = armed_segment(show)
    before = state_in_redis(show)
    with transaction.atomic():
        record_change(lock_segment(segment.pk), "note", actor=OPERATOR, now=now_ms())
    assert show.ledger.latest("position").action == "note"
    conduct()
    assert state_in_redis(show) == before


def test_several_changes_before_the_first_is_announced_are_one_state(show: Show) -> None:
    segment = armed_segment(show)
    before = state_in_redis(show)
    with transaction.atomic():
        open_segment(segment.pk, actor=OPERATOR, lead_s=0)
        move_due_segments(now_ms() + 1)
    after = state_in_redis(show)
    assert (after.seq, of_segment(after, segment).phase) == (before.seq + 1, Phase.OPEN)


def test_a_segment_whose_ledger_is_damaged_keeps_no_other_one_waiting(show: Show, caplog) -> None:
    damaged, other = armed_segment(show), armed_segment(make_show())
    for segment in (damaged, other):
        open_segment(segment.pk, actor=OPERATOR, lead_s=0, now=now_ms() - 1_000)
    tamper("UPDATE engagement_ledgerentry SET digest = 'no hex' WHERE show_id = %s", show.pk)
    tally.connect().flushdb()  # else the database would be taken for an older one
    conduct()
    assert [row.phase for row in Segment.objects.order_by("pk")] == [Phase.ARMED, Phase.OPEN]
    assert f"segment {damaged.pk} cannot become open" in caplog.text


def test_what_a_killed_process_has_not_announced_the_conductor_does(show: Show) -> None:
    segment = armed_segment(show)
    before = state_in_redis(show)
    Segment.objects.filter(pk=segment.pk).update(title="Renamed")
    Show.objects.filter(pk=show.pk).update(stale=True, title="Renamed, too")  # and then the process was gone
    conduct()
    after = state_in_redis(show)
    assert (after.seq, of_segment(after, segment).title) == (before.seq + 1, "Renamed")
    assert state_message(after, "app").title == "Renamed, too"


def test_an_action_that_fails_announces_nothing(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = armed_segment(show)
    before = state_in_redis(show)
    monkeypatch.setattr("engagement.ledger.append.entry_digest", lambda entry: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_segment(segment.pk, actor=OPERATOR)
    assert Segment.objects.get(pk=segment.pk).opens_at is None  # the ledger could not be written
    assert state_in_redis(show) == before


def test_an_older_state_never_replaces_a_newer_one(show: Show) -> None:
    segment = armed_segment(show)
    old = state_in_redis(show)
    open_segment(segment.pk, actor=OPERATOR)
    assert not keep_state(old)
    assert state_in_redis(show).seq == old.seq + 1


def test_a_document_of_another_version_is_replaced(show: Show) -> None:
    armed_segment(show)
    tally.connect().set(own(f"show:{show.slug}"), b'{"version":0}')
    conduct()
    assert state_in_redis(show).slug == show.slug


def test_the_conductor_repairs_a_state_that_redis_has_lost(show: Show) -> None:
    armed_segment(show)
    tally.connect().delete(own(f"show:{show.slug}"))
    conduct()
    assert state_in_redis(show).slug == show.slug


# --- ledger ---


def test_the_ledger_is_a_chain_and_a_changed_entry_breaks_it(show: Show) -> None:
    for number in range(4):
        append_entry(show, "test", actor=OPERATOR, details={"number": number})
    first = LedgerEntry.objects.order_by("position")[0]
    assert first.previous == GENESIS
    assert break_of(show) is None
    tamper("UPDATE engagement_ledgerentry SET actor = %s WHERE position = 2", "mallory")
    assert break_of(show) == 2


@pytest.mark.parametrize("details", ["{", '{"number": 1}', '{"number":1.5}'])
def test_an_entry_that_is_not_canonical_breaks_the_chain(show: Show, details: str) -> None:
    append_entry(show, "test", details={"number": 1})
    tamper("UPDATE engagement_ledgerentry SET details = %s", details)
    assert break_of(show) == 0


def test_a_removed_entry_breaks_the_chain(show: Show) -> None:
    for _ in range(3):
        append_entry(show, "test")
    tamper("DELETE FROM engagement_ledgerentry WHERE position = 1")
    assert break_of(show) == 1


def test_the_ledger_cannot_be_changed_through_the_models(show: Show) -> None:
    entry = append_entry(show, "test")
    for change in (entry.save, entry.delete, LedgerEntry.objects.all().delete,
                   lambda: LedgerEntry.objects.update(actor="x"),
                   lambda: LedgerEntry.objects.bulk_create([entry])):  # fmt: skip
        with pytest.raises(TypeError, match="append-only"):
            change()


def test_parallel_entries_of_one_show_line_up(show: Show) -> None:
    def write(number: int) -> None:
        try:
            with transaction.atomic():
                append_entry(show, "test", details={"number": number})
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert LedgerEntry.objects.count() == 40
    assert break_of(show) is None


def test_details_are_canonical_json(show: Show) -> None:
    entry = append_entry(show, "test", details={"b": 1, "a": "é"})
    assert entry.details == '{"a":"é","b":1}'
    assert json.loads(entry.details) == {"a": "é", "b": 1}
