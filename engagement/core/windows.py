"""When a segment takes reports, as one feed sees it. All times are milliseconds since the epoch, server time."""

from typing import NamedTuple


class Window(NamedTuple):
    """Studio time shifted by the feed's delay, and the end of the segment's grace, which is the same for all feeds.

    >>> tv = feed_window(opens_at=10_000, closes_at=30_000, delay_ms=2_000, last_delay_ms=5_000, grace_ms=3_000)
    >>> tv
    Window(opens_at=12000, closes_at=32000, grace_ends_at=38000)
    >>> tv.accepts(11_999), tv.accepts(12_000), tv.accepts(37_999), tv.accepts(38_000)
    (False, True, True, False)
    >>> tv.elapsed_ms(22_000), tv.elapsed_ms(37_000)
    (10000, 20000)
    """

    opens_at: int
    closes_at: int
    grace_ends_at: int

    def accepts(self, now: int) -> bool:
        """Whether a report that arrives now counts: from this feed's start to the end of the segment's grace."""
        return self.opens_at <= now < self.grace_ends_at

    def elapsed_ms(self, now: int) -> int:
        """How much of the window this feed has seen; after its end it does not grow."""
        return max(0, min(now, self.closes_at) - self.opens_at)


def feed_window(*, opens_at: int, closes_at: int, delay_ms: int, last_delay_ms: int, grace_ms: int) -> Window:
    """The window of one feed; `last_delay_ms` is the longest delay of the show's feeds, which ends the segment."""
    return Window(opens_at + delay_ms, closes_at + delay_ms, grace_end(closes_at, last_delay_ms, grace_ms))


def segment_end(closes_at: int, last_delay_ms: int) -> int:
    """When the last feed's window has ended, and `closing` starts."""
    return closes_at + last_delay_ms


def grace_end(closes_at: int, last_delay_ms: int, grace_ms: int) -> int:
    """From here on no report is accepted any more."""
    return segment_end(closes_at, last_delay_ms) + grace_ms
