"""How shakes are counted: the clamp on a total, the limit on frames, and the pace of reports."""

from typing import NamedTuple


def clamp(reported: int, *, burst: int, max_hz: int, elapsed_ms: int) -> int:
    """The total that is accepted: nobody shakes faster than `max_hz` for longer than the window has been open.

    It needs no state, so a reconnect does not reset it and a phone that was offline keeps what it counted.

    >>> clamp(42, burst=10, max_hz=8, elapsed_ms=10_000)
    42
    >>> clamp(500, burst=10, max_hz=8, elapsed_ms=10_000)
    90
    """
    return min(reported, burst + max_hz * elapsed_ms // 1000)


class FrameLimit:
    """A token bucket for one socket: bursts of 10 frames, 4 per second sustained.

    >>> limit = FrameLimit(now_ms=0)
    >>> [limit.take(now_ms=0) for _ in range(10)].count(0)
    10
    >>> limit.take(now_ms=0)  # the eleventh: milliseconds until a frame would be welcome again
    250
    """

    __slots__ = ("_full_at_ms",)
    BURST = 10
    FRAME_MS = 250

    def __init__(self, now_ms: int) -> None:
        # One number is the whole bucket: the moment at which it will be full again.
        self._full_at_ms = now_ms

    def take(self, now_ms: int) -> int:
        """0 when the frame is within the limit, else how many milliseconds too early it came."""
        full_at = max(self._full_at_ms, now_ms) + self.FRAME_MS
        excess = full_at - now_ms - self.BURST * self.FRAME_MS
        if excess > 0:
            return excess
        self._full_at_ms = full_at
        return 0


class Pace(NamedTuple):
    """How often phones report, and over how long they spread a reconnect; milliseconds, as in the `pace` message."""

    report_every_ms: int
    jitter_ms: int
    spread_ms: int


CALM_MS, PRESSED_MS = 1_000, 10_000
SPREAD_MS = 5_000


def choose_pace(*, phones: int, flush_ms: int, reports_per_second: int, connects_per_second: int) -> Pace:
    """The pace for `phones` on one process that can take so many reports and connects per second.

    `flush_ms` is how long the oldest accepted total waits for the tally: above a second it slows the phones too.

    >>> choose_pace(phones=300, flush_ms=3, reports_per_second=20_000, connects_per_second=2_000)
    Pace(report_every_ms=1000, jitter_ms=500, spread_ms=5000)
    >>> choose_pace(phones=60_000, flush_ms=3, reports_per_second=20_000, connects_per_second=2_000)
    Pace(report_every_ms=3000, jitter_ms=1500, spread_ms=30000)
    """
    every = max(CALM_MS, phones * 1000 // reports_per_second, CALM_MS * (flush_ms // 1000 + 1))
    # Whole seconds, so that a handful of phones coming and going does not change the pace all the time.
    every = min(PRESSED_MS, -(-every // 1000) * 1000)
    return Pace(every, every // 2, max(SPREAD_MS, phones * 1000 // connects_per_second))
