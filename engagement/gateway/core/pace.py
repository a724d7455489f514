"""The pace of reports: lengthened fast when a gateway cannot keep up, shortened slowly when it can."""

from collections import deque
from typing import NamedTuple

SHORTEST_MS, LONGEST_MS = 1_000, 10_000
GRID_MS = 250  # what differs by less is not worth a message to everybody
SPREAD_MS, LONGEST_SPREAD_MS = 5_000, 60_000
CONNECTS_PER_SECOND = 4_000  # what one process admits when everybody comes at once

BUSY = 0.85  # above this share of the processor a process is overloaded
TARGET = 0.70  # what a longer pace aims at; between the two nothing happens
SAFE = 0.75  # what a shorter pace must stay under, even if reports were all of the load
FLUSH_MS = 500  # two rounds of the write-behind: so long a total may wait on a quiet evening
CATCH_UP_MS = 500  # work that waits is to be done in this time, on top of what comes in
LARGEST_STEP = 3  # one stall of a second or two is no reason to report every ten seconds

LENGTHEN_AFTER_MS = 1_500  # between two steps: phones need an interval to obey the first
QUIET_MS = 3_000  # at least so long without overload before a step down
PATIENCE_MS, LONGEST_PATIENCE_MS = 5_000, 160_000


class Pace(NamedTuple):
    """How often phones report, and over how long they spread a reconnect; milliseconds, as in the `pace` message."""

    report_every_ms: int
    jitter_ms: int
    spread_ms: int


class Load(NamedTuple):
    """What a gateway process measured of itself since it last looked.

    `busy` is the share of that time in which it ran or waited for a processor, 0 to 1; `lag_ms` how late it came at
    worst to a timer, or to what phones had said; `flush_ms` how long the oldest accepted total has been waiting for
    the tally.
    """

    busy: float
    lag_ms: int
    flush_ms: int

    @property
    def late_ms(self) -> int:
        """How long work waits beyond the ordinary.

        >>> Load(busy=0.1, lag_ms=20, flush_ms=1_700).late_ms
        1200
        """
        return max(self.lag_ms, self.flush_ms - FLUSH_MS)

    @property
    def demand(self) -> float:
        """The work there is, as a share of what one process can do: what it does, and what waits.

        >>> Load(busy=1.0, lag_ms=400, flush_ms=250).demand
        1.8
        """
        return self.busy + self.late_ms / CATCH_UP_MS


def make_pace(report_every_ms: int, *, phones: int) -> Pace:
    """The pace of that interval, with the jitter and the spread of reconnects that go with it.

    >>> make_pace(3_000, phones=60_000)
    Pace(report_every_ms=3000, jitter_ms=1500, spread_ms=15000)
    """
    spread = min(LONGEST_SPREAD_MS, max(SPREAD_MS, phones * 1000 // CONNECTS_PER_SECOND))
    return Pace(report_every_ms, report_every_ms // 2, spread)


class PaceControl:
    """The pace of one gateway process, which follows its load; milliseconds of any clock that never goes back.

    >>> control = PaceControl()
    >>> control.follow(Load(busy=0.3, lag_ms=5, flush_ms=250), phones=9_000, now_ms=0)
    Pace(report_every_ms=1000, jitter_ms=500, spread_ms=5000)
    >>> control.follow(Load(busy=1.0, lag_ms=400, flush_ms=600), phones=9_000, now_ms=500)
    Pace(report_every_ms=2750, jitter_ms=1375, spread_ms=5000)
    """

    __slots__ = (
        *("_busy", "_demands", "_every", "_judge_at", "_late_ms", "_obeyed_at", "_overloaded_at"),
        *("_patience_ms", "_tried"),
    )

    def __init__(self) -> None:
        self._every = SHORTEST_MS
        self._judge_at = 0  # not before then the last step can have had its effect
        self._obeyed_at = 0  # by then all phones have heard of it
        self._overloaded_at = -LONGEST_PATIENCE_MS
        self._busy = 0.0  # the mean of the last second or so
        self._late_ms = 0  # when last looked
        # (when, demand) since all obey, the last interval of it
        self._demands: deque[tuple[int, float]] = deque()
        self._tried = False  # the last change was a small step down, which may turn out to be too much
        self._patience_ms = PATIENCE_MS

    def follow(self, load: Load, *, phones: int, now_ms: int) -> Pace:
        """The pace from now on: nearly always the same as before."""
        self._busy += (load.busy - self._busy) / 2
        demand = self._mean_demand(load, now_ms)
        if load.demand > 1 or self._busy > BUSY:
            self._overloaded_at = now_ms
            every = self._lengthened(load, now_ms)
        else:
            every = self._shortened(demand, now_ms)
        self._late_ms = load.late_ms
        if every != self._every:
            self._judge_at = now_ms + LENGTHEN_AFTER_MS + load.late_ms
            self._obeyed_at = now_ms + self._every
            self._demands.clear()
            self._every = every
        return make_pace(every, phones=phones)

    def _lengthened(self, load: Load, now_ms: int) -> int:
        """Longer at once, by as much as there is too much to do; not while it is catching up."""
        if now_ms < self._judge_at or load.late_ms < self._late_ms:
            return self._every
        if self._tried:
            self._tried, self._patience_ms = False, min(LONGEST_PATIENCE_MS, self._patience_ms * 2)
        factor = min(max(load.demand, self._busy) / TARGET, LARGEST_STEP)
        return min(LONGEST_MS, _on_grid(self._every * factor))

    def _shortened(self, demand: float | None, now_ms: int) -> int:
        """Shorter after some quiet seconds: soon when the load has fallen, else with patience.

        How much of the load comes with the reports is not known: pulses cost as much at any pace. So the step is one
        that keeps clear of overload even where reports are all of it, and where they are not, another one follows.
        """
        if demand is None or demand > TARGET or self._every == SHORTEST_MS:
            return self._every
        fallen = demand < TARGET / 2
        quiet_ms = now_ms - max(self._obeyed_at, self._overloaded_at)
        if quiet_ms < (QUIET_MS if fallen else self._patience_ms):
            return self._every
        self._tried = not fallen
        if fallen:
            self._patience_ms = PATIENCE_MS
        return _on_grid(self._every * max(demand / SAFE, 1 / LARGEST_STEP))

    def _mean_demand(self, load: Load, now_ms: int) -> float | None:
        """Over one interval of the present pace; None before there was one."""
        if now_ms < self._obeyed_at:
            return None
        # Phones that were slowed together report in waves as long as an interval and its jitter.
        wave = max(QUIET_MS, self._every * 5 // 4)
        self._demands.append((now_ms, min(load.demand, 1.0)))
        while self._demands[0][0] < now_ms - wave:
            self._demands.popleft()
        if now_ms < self._obeyed_at + wave:
            return None
        return sum(demand for _, demand in self._demands) / len(self._demands)


def _on_grid(every_ms: float) -> int:
    """Rounded up to the grid, and never shorter than the shortest."""
    return max(SHORTEST_MS, -int(-every_ms // GRID_MS) * GRID_MS)
