"""Totals on their way to the tally: accepted in memory, written in batches, acknowledged after the write.

Nothing is dropped while Redis is away: what waits is bounded by the number of viewers, because only the largest
total of each is kept. All accepted totals of a segment stay here until it is sealed, so that a Redis that lost them
gets them again.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from redis.asyncio import Redis
from redis.exceptions import RedisError

from engagement import tally

log = logging.getLogger(__name__)

BATCH = 10_000  # totals per transaction: bounds how long one flush can hold Redis
LEADERS = 5

Written = Callable[[int, dict[bytes, int]], None]


@dataclass(slots=True)
class SegmentTotals:
    """What this process knows of one segment."""

    shards: int
    accepted: dict[bytes, int] = field(default_factory=dict)
    dirty: dict[bytes, int] = field(default_factory=dict)
    written: dict[bytes, int] = field(default_factory=dict)  # and acknowledged
    live: dict[str, int] = field(default_factory=lambda: {"shakes": 0, "reports": 0, "clamped": 0})
    leaders: dict[bytes, int] = field(default_factory=dict)
    closed: bool = False
    confirmed: bool = False


class WriteBehind:
    """The dirty totals of one gateway process, and the loop that writes them."""

    def __init__(self, redis: Redis, gateway: str, on_written: Written) -> None:
        self._redis = redis
        self._gateway = gateway
        self._on_written = on_written
        self._dirty_since: float | None = None
        self._failing = False
        self._flushing = asyncio.Lock()
        self.segments: dict[int, SegmentTotals] = {}

    def totals_of(self, segment: int, shards: int) -> SegmentTotals:
        """The totals of a segment, made at its first mention."""
        if segment not in self.segments:
            self.segments[segment] = SegmentTotals(shards)
        return self.segments[segment]

    def learn(self, totals: SegmentTotals, viewer: bytes, total: int) -> None:
        """Takes over what the tally holds of a viewer who came from another process."""
        if total > totals.accepted.get(viewer, 0):
            totals.accepted[viewer] = total

    def accept(self, totals: SegmentTotals, viewer: bytes, total: int, *, clamped: bool) -> None:
        """Takes one clamped total; it is acknowledged once it is written, a repeated one at the next flush."""
        known = totals.accepted.get(viewer, 0)
        if total > known:
            totals.accepted[viewer] = total
            totals.live["shakes"] += total - known
        totals.dirty[viewer] = max(total, known)
        totals.live["reports"] += 1
        if clamped:
            totals.live["clamped"] += 1
        if self._dirty_since is None:
            self._dirty_since = monotonic()

    def rewrite_all(self) -> None:
        """Redis may have come back without what it had: everything acknowledged is written once more.

        Segments that take no reports any more, too: until the freeze is complete, theirs are needed.
        """
        for totals in self.segments.values():
            totals.dirty = {**totals.written, **totals.dirty}
            totals.confirmed = False
            self._dirty_since = self._dirty_since or monotonic()

    @property
    def pending(self) -> int:
        """How many viewers wait for an ack."""
        return sum(len(totals.dirty) for totals in self.segments.values())

    @property
    def lag_ms(self) -> int:
        """How long the oldest accepted total has been waiting to be written."""
        return 0 if self._dirty_since is None else int((monotonic() - self._dirty_since) * 1000)

    async def flush(self) -> bool:
        """Writes what is dirty and acknowledges it; False when Redis did not take it: then it all stays dirty."""
        async with self._flushing:
            started, self._dirty_since = self._dirty_since, None
            for segment, totals in list(self.segments.items()):
                while totals.dirty:
                    if not await self._write(segment, totals):
                        self._dirty_since = started
                        return False
            return True

    async def _write(self, segment: int, totals: SegmentTotals) -> bool:
        batch, totals.dirty = _split(totals.dirty, BATCH)
        try:
            open_ = await tally.write_totals(
                self._redis, segment, totals.shards, batch, self._gateway, totals.live
            )
        except (TimeoutError, RedisError, OSError) as error:
            # Reports may have come in while the write was under way: theirs are at least as large.
            totals.dirty = {**batch, **totals.dirty}
            self._complain(error)
            return False
        self._failing = False
        if open_:
            self._acknowledge(segment, totals, batch)
        else:
            totals.closed = True  # the fence came first: these totals were not acknowledged and do not count
        return True

    def _acknowledge(self, segment: int, totals: SegmentTotals, batch: dict[bytes, int]) -> None:
        totals.written.update(batch)
        totals.leaders = largest({**totals.leaders, **batch})
        self._on_written(segment, batch)

    def _complain(self, error: BaseException) -> None:
        if not self._failing:
            log.warning("the tally cannot be written, %d totals wait in memory: %s", self.pending, error)
        self._failing = True


def largest(totals: dict[bytes, int]) -> dict[bytes, int]:
    """The leaders among some totals."""
    top = sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:LEADERS]
    return dict(top)


def _split(totals: dict[bytes, int], size: int) -> tuple[dict[bytes, int], dict[bytes, int]]:
    if len(totals) <= size:
        return totals, {}
    items = list(totals.items())
    return dict(items[:size]), dict(items[size:])
