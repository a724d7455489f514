"""Server time. Taken once per operation and passed down; nothing in `core` reads a clock."""

from datetime import UTC, datetime, timedelta
from time import time_ns

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_ms() -> int:
    """UTC milliseconds since the epoch, as on the wire."""
    return time_ns() // 1_000_000


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime; whole, rounded down."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """The aware datetime of a time on the wire."""
    return EPOCH + timedelta(milliseconds=ms)
