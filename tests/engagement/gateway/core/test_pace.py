"""The pace control against a model of a gateway and its phones."""

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.gateway.core.pace import LONGEST_MS, SHORTEST_MS, Load, Pace, PaceControl, make_pace

TICK_MS, BEAT_MS, FLUSH_MS = 50, 500, 250
CALM = Load(busy=0.1, lag_ms=5, flush_ms=FLUSH_MS)

Share = Callable[
    [float], float
]  # seconds -> the reports at a pace of one second, as a share of what one process can


class Change(NamedTuple):
    at_s: float
    report_every_ms: int


class Evening(NamedTuple):
    changes: list[Change]
    ack_ms: int  # the slowest
    waiting_ms: int  # how old the oldest report is at the end

    def every_ms(self, at_s: float) -> int:
        return next((every for when, every in reversed(self.changes) if when <= at_s), SHORTEST_MS)


class Gateway:
    """One process: reports wait in a queue, pulses and the like come first and cost the same at any pace."""

    def __init__(self, fixed: float) -> None:
        self.fixed = fixed
        self.queue: deque[list[float]] = deque()  # [came at, work in ms]
        self.slowest = self.lag = self.age = 0
        self.used = 0.0

    def work(self, now: int, reports: float) -> None:
        self.queue.append([now, reports])
        left = TICK_MS * (1 - self.fixed)
        while self.queue and left > 1e-9:
            came, work = self.queue[0]
            done = min(left, work)
            left, self.queue[0][1] = left - done, work - done
            self.slowest = max(self.slowest, now - int(came))
            if work - done < 1e-9:
                self.queue.popleft()
        self.used += TICK_MS - left
        self.age = now - int(self.queue[0][0]) if self.queue else 0
        self.lag = max(self.lag, self.age)

    def stall(self, now: int, reports: float) -> None:
        """The processor is busy with something else."""
        self.queue.append([now, reports])
        self.used += TICK_MS
        self.age = now - int(self.queue[0][0])
        self.lag = max(self.lag, self.age)

    def measure(self, elapsed: int) -> Load:
        load = Load(min(1.0, self.used / elapsed), self.lag, FLUSH_MS + self.age)
        self.used, self.lag = 0.0, 0
        return load


def simulate(
    share: Share,
    seconds: int,
    *,
    fixed: float = 0.0,
    stall: range = range(0),
    tally_hangs: range = range(0),
    first_beat: int = BEAT_MS,
) -> Evening:
    """An evening that begins with everybody's first report; `stall` and `tally_hangs` are in milliseconds.

    A phone takes a new pace with its next report, and then waits for an interval and a random part of the jitter.
    """
    gateway, control, pace = Gateway(fixed), PaceControl(), make_pace(SHORTEST_MS, phones=10_000)
    due = [0.0] * ((seconds + 20) * 1000 // TICK_MS)  # the share of the phones that report in each tick
    due[: 1500 // TICK_MS] = [TICK_MS / 1500] * (1500 // TICK_MS)
    changes, beat_at, beaten_at = [], first_beat, 0
    for tick in range(seconds * 1000 // TICK_MS):
        now = tick * TICK_MS
        slots = range(
            tick + pace.report_every_ms // TICK_MS, tick + (pace.report_every_ms + pace.jitter_ms) // TICK_MS
        )
        for slot in slots:
            due[slot] += due[tick] / len(slots)
        reports = due[tick] * share(now / 1000) * 1250  # phones report every 1.25 s at a pace of 1 s
        if now in stall:
            gateway.stall(now, reports)
            continue  # no beat, either
        gateway.work(now, reports)
        if now >= beat_at:
            load = gateway.measure(now - beaten_at)
            if now in tally_hangs:
                load = load._replace(flush_ms=now - tally_hangs.start)
            newer = control.follow(load, phones=10_000, now_ms=now)
            if newer != pace:
                changes.append(Change(now / 1000, newer.report_every_ms))
            pace, beaten_at = newer, now
            beat_at = now + BEAT_MS + gateway.age  # the beat has to wait its turn like everything else
    return Evening(changes, gateway.slowest + FLUSH_MS, gateway.age)


def constant(share: float) -> Share:
    return lambda _: share


def test_a_process_that_has_room_leaves_the_pace_alone() -> None:
    assert simulate(constant(0.5), 300).changes == []


@pytest.mark.parametrize("first_beat", range(100, 600, 100))
def test_twice_the_load_that_saturates_a_process_keeps_acks_under_two_seconds(first_beat: int) -> None:
    evening = simulate(constant(2), 300, first_beat=first_beat)
    assert evening.ack_ms < 2_000 and evening.waiting_ms == 0
    assert len(evening.changes) <= 10 and 2_000 < evening.every_ms(300) < 5_000


@pytest.mark.parametrize(("share", "most_changes"), [(1.2, 6), (3, 8), (5, 20), (8, 6)])
def test_what_fits_into_the_longest_pace_settles_and_is_caught_up_with(
    share: float, most_changes: int
) -> None:
    evening = simulate(constant(share), 300)
    assert len(evening.changes) <= most_changes
    assert share * SHORTEST_MS < evening.every_ms(300) <= LONGEST_MS
    assert evening.waiting_ms <= 500 and evening.ack_ms < 20_000


def test_what_does_not_fit_goes_to_the_longest_pace_soon_and_stays() -> None:
    evening = simulate(constant(20), 120)
    assert len(evening.changes) <= 3 and evening.every_ms(20) == evening.every_ms(120) == LONGEST_MS


@pytest.mark.parametrize("share", [2, 3, 5])
@pytest.mark.parametrize("rest", [0.05, 0.3, 0.6])
def test_when_the_load_falls_the_pace_is_back_within_thirty_seconds(share: float, rest: float) -> None:
    evening = simulate(lambda second: share if second < 200 else rest, 260)
    assert evening.every_ms(199) > 2_000
    assert evening.every_ms(230) == evening.every_ms(260) == SHORTEST_MS


def test_one_stall_slows_the_phones_a_little_and_not_for_long() -> None:
    evening = simulate(constant(0.5), 60, stall=range(20_000, 21_500))
    assert max(every for _, every in evening.changes) <= 3_000
    assert evening.every_ms(40) == SHORTEST_MS


def test_a_tally_that_hangs_slows_the_phones_although_the_processor_rests() -> None:
    evening = simulate(constant(0.2), 120, tally_hangs=range(20_000, 35_000))
    assert evening.every_ms(30) == LONGEST_MS and evening.every_ms(75) == SHORTEST_MS


def test_pulses_that_take_half_of_the_processor_are_no_overload() -> None:
    assert simulate(constant(0.25), 300, fixed=0.5).changes == []


def test_beside_pulses_the_pace_comes_down_as_well() -> None:
    evening = simulate(lambda second: 2 if second < 20 else 0.1, 200, fixed=0.5)
    assert evening.every_ms(20) == LONGEST_MS and evening.every_ms(200) <= 1_750


def test_a_pace_that_turned_out_to_be_too_short_is_tried_again_later_each_time() -> None:
    control, now, failures, every = PaceControl(), 0, [], SHORTEST_MS
    while now < 600_000:  # a process that is overloaded below 2 s, and shows nothing of it above
        load = CALM._replace(busy=0.6 if every >= 2_000 else 1.0)
        pace = control.follow(load, phones=1, now_ms=now)
        if pace.report_every_ms > every:
            failures.append(now)
        every, now = pace.report_every_ms, now + 500
    pauses = [later - sooner for sooner, later in pairwise(failures[2:])]  # the first two found the pace
    assert len(pauses) >= 3 and all(later > 1.5 * sooner for sooner, later in pairwise(pauses))


def test_while_it_is_catching_up_the_pace_is_not_lengthened_again() -> None:
    control = PaceControl()
    lags = [1_500] + [1_400 - 50 * beat for beat in range(20)]
    paces = [
        control.follow(Load(1.0, lag, FLUSH_MS), phones=1, now_ms=beat * 500) for beat, lag in enumerate(lags)
    ]
    assert {pace.report_every_ms for pace in paces} == {3_000}


def test_a_step_is_judged_when_the_work_that_waited_is_done() -> None:
    control = PaceControl()
    paces = [
        control.follow(Load(1.0, 2_000 + now // 10, FLUSH_MS), phones=1, now_ms=now).report_every_ms
        for now in range(0, 4_000, 500)
    ]
    assert paces == [3_000] * 7 + [9_000]


def test_a_processor_that_stays_busy_is_overload_though_nothing_waits_and_one_busy_moment_is_none() -> None:
    for beats, expected in ((1, SHORTEST_MS), (6, 1_500)):
        control = PaceControl()
        for beat in range(beats):
            control.follow(Load(0.9, 20, FLUSH_MS), phones=1, now_ms=beat * 500)
        pace = control.follow(CALM, phones=1, now_ms=beats * 500)
        assert pace.report_every_ms == expected


def test_after_the_load_has_fallen_patience_is_as_at_the_beginning() -> None:
    def wait_for_a_step_down(control: PaceControl, now: int) -> int:
        """How long it takes after an overload, at a load that asks for patience."""
        control.follow(Load(1.0, 1_500, FLUSH_MS), phones=1, now_ms=now)
        for later in range(now + 500, now + 600_000, 500):
            pace = control.follow(CALM._replace(busy=0.5), phones=1, now_ms=later)
            if pace.report_every_ms < 3_000:
                return later - now
        raise AssertionError("never")

    control = PaceControl()
    waits = [wait_for_a_step_down(control, 0)]
    control.follow(Load(1.0, 20, FLUSH_MS), phones=1, now_ms=100_000)
    for now in range(100_500, 160_000, 500):
        control.follow(CALM, phones=1, now_ms=now)
    waits.append(wait_for_a_step_down(control, 200_000))
    assert waits[0] == waits[1]


def test_two_steps_up_are_a_while_apart() -> None:
    control = PaceControl()
    steps = [
        control.follow(Load(0.99, 20, FLUSH_MS), phones=1, now_ms=now).report_every_ms
        for now in range(0, 8_000, 250)
    ]
    changed = [at for at, (before, after) in enumerate(pairwise(steps), 1) if before != after]
    assert len(changed) >= 2 and all(later - sooner >= 6 for sooner, later in pairwise(changed))


def test_reconnects_are_spread_over_what_a_process_admits_and_a_minute_at_most() -> None:
    assert [make_pace(SHORTEST_MS, phones=phones).spread_ms for phones in (0, 20_000, 40_000, 10**6)] == [
        *(5_000, 5_000, 10_000, 60_000)
    ]


LOADS = st.builds(Load, busy=st.floats(0, 1), lag_ms=st.integers(0, 10**6), flush_ms=st.integers(0, 10**7))


@given(st.lists(st.tuples(LOADS, st.integers(0, 10**6), st.integers(0, 60_000)), max_size=200))
def test_whatever_the_load_the_pace_stays_within_its_bounds(steps: list[tuple[Load, int, int]]) -> None:
    control, now = PaceControl(), 0
    for load, phones, pause in steps:
        now += pause
        pace = control.follow(load, phones=phones, now_ms=now)
        assert SHORTEST_MS <= pace.report_every_ms <= LONGEST_MS and pace.report_every_ms % 250 == 0
        assert pace.jitter_ms == pace.report_every_ms // 2 and 5_000 <= pace.spread_ms <= 60_000


@given(st.lists(st.tuples(LOADS, st.integers(0, 2_000)), max_size=100))
def test_whatever_came_before_a_quiet_gateway_is_back_at_one_second_soon(
    steps: list[tuple[Load, int]],
) -> None:
    control, now, pace = PaceControl(), 0, Pace(0, 0, 0)
    for load, pause in steps:
        now += pause
        pace = control.follow(load, phones=1, now_ms=now)
    for _ in range(2 * 60):
        now += 500
        pace = control.follow(CALM, phones=1, now_ms=now)
    assert pace.report_every_ms == SHORTEST_MS
