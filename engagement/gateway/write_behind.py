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
from engagement.core.show_state import SegmentState

log = logging.getLogger(__name__)

COUNTERS = ("shakes", "reports", "clamped", "viewers", "app", "unsure")
BATCH = 10_000  # totals per transaction: bounds how long one flush can hold Redis


@dataclass(slots=True)
class SegmentTotals:
    """What this process knows of one segment."""

    segment: int  # its id, as phones know it
    key: str  # in Redis
    shards: int
    accepted: dict[bytes, int] = field(default_factory=dict)
    dirty: dict[bytes, int] = field(default_factory=dict)
    writing: dict[bytes, int] = field(default_factory=dict)  # on its way
    written: dict[bytes, int] = field(default_factory=dict)  # and acknowledged
    # `viewers`: who have reported here first, `app`: those of them without an origin;
    # `unsure`: shakes on top of `shakes` that others may have counted, too.
    live: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    # Where guests come from, of all in `accepted` who have an origin; `untold` are those that Redis may not have.
    origins: dict[bytes, bytes] = field(default_factory=dict)
    untold: set[bytes] = field(default_factory=set)
    unknown: set[bytes] = field(default_factory=set)  # nobody could say what the tally holds of them
    learned: dict[bytes, int] = field(default_factory=dict)  # what others have counted of `accepted`
    counted_elsewhere: set[bytes] = field(
        default_factory=set
    )  # viewers in `accepted` who are not in `viewers`
    closed: bool = False
    confirmed: bool = False


Written = Callable[[SegmentTotals, dict[bytes, int]], None]


class WriteBehind:
    """The dirty totals of one gateway process, and the loop that writes them."""

    def __init__(self, redis: Redis, gateway: str, on_written: Written) -> None:
        self._redis = redis
        self._gateway = gateway
        self._on_written = on_written
        self._dirty_since: float | None = None
        self._failing = False
        self._rewrites = 0
        self._flushing = asyncio.Lock()
        self.segments: dict[str, SegmentTotals] = {}  # by key: a segment that is armed again begins anew

    def totals_of(self, segment: SegmentState) -> SegmentTotals:
        """The totals of a segment, made at its first mention."""
        if segment.key not in self.segments:
            self.segments[segment.key] = SegmentTotals(segment.id, segment.key, segment.shards)
        return self.segments[segment.key]

    def learn(self, totals: SegmentTotals, viewer: bytes, total: int) -> None:
        """Takes over what the tally holds of a viewer who came from another process, which may be gone."""
        totals.unknown.discard(viewer)
        if total > totals.written.get(viewer, 0):
            totals.written[viewer] = total
            if viewer not in totals.accepted:
                totals.counted_elsewhere.add(viewer)
            known = totals.accepted.get(viewer, 0)
            if total > known:
                totals.accepted[viewer] = total
                totals.learned[viewer] = totals.learned.get(viewer, 0) + total - known

    def recall(self, totals: SegmentTotals, viewer: bytes) -> int:
        """What this process knows to be written of a viewer, while the tally cannot be asked."""
        if viewer not in totals.accepted:
            totals.unknown.add(viewer)
        return totals.written.get(viewer, 0)

    def locate(self, totals: SegmentTotals, viewer: bytes, origin: bytes) -> None:
        """Where a guest comes from: nothing that is written of the viewer from here on is without it."""
        if viewer not in totals.origins:
            totals.origins[viewer] = origin
            totals.untold.add(viewer)

    def accept(
        self, totals: SegmentTotals, viewer: bytes, total: int, *, clamped: bool, origin: bytes = b""
    ) -> None:
        """Takes one clamped total; it is acknowledged once it is written, a repeated one at the next flush.

        `origin` says where a guest comes from (b"": nothing is kept); it is written with the first total.
        """
        known = totals.accepted.get(viewer, -1)
        if origin:
            self.locate(totals, viewer, origin)
        if total > known:
            totals.accepted[viewer] = total
            if known < 0:
                totals.live["viewers"] += 1
                totals.live["app"] += viewer not in totals.origins
                known = 0
            if viewer in totals.unknown:
                # Another process may have counted most of it: live figures rather show a little less.
                totals.unknown.remove(viewer)
                totals.live["unsure"] += total
            else:
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
        self._rewrites += 1
        for totals in self.segments.values():
            _vouch(totals)
            totals.dirty = merge(totals.written, totals.dirty)
            totals.untold.update(totals.origins)
            totals.confirmed = False
            self._dirty_since = self._dirty_since or monotonic()

    @property
    def pending(self) -> int:
        """How many viewers wait for an ack."""
        return sum(len(totals.dirty) + len(totals.writing) for totals in self.segments.values())

    @property
    def lag_ms(self) -> int:
        """How long the oldest accepted total has been waiting to be written."""
        return 0 if self._dirty_since is None else int((monotonic() - self._dirty_since) * 1000)

    async def flush(self) -> bool:
        """Writes what is dirty now and acknowledges it; False when Redis did not take it: then it all stays dirty.

        What comes in meanwhile waits for the next flush: else there would be no end to it, and no batch of any size.
        """
        async with self._flushing:
            started = monotonic()
            for totals in list(self.segments.values()):
                if not await self._write_dirty(totals):
                    return False
            # What came in meanwhile has waited since then at most.
            self._dirty_since = started if self.pending else None
            return True

    async def _write_dirty(self, totals: SegmentTotals) -> bool:
        left = _split(totals.dirty, BATCH)
        totals.writing, totals.dirty = totals.dirty, {}
        try:
            while left and await self._write(totals, left[0]):
                del left[0]
        finally:  # also when this process is about to end
            totals.writing = {}
            for part in left:
                totals.dirty = merge(part, totals.dirty)  # reports have come in meanwhile
        return not left

    async def _write(self, totals: SegmentTotals, batch: dict[bytes, int]) -> bool:
        rewrites = self._rewrites
        untold = totals.untold.intersection(batch) if totals.untold else set()
        origins = {viewer: totals.origins[viewer] for viewer in untold}
        try:
            open_ = await tally.write_totals(
                self._redis, totals.key, totals.shards, batch, self._gateway, totals.live, origins
            )
        except (TimeoutError, RedisError, OSError) as error:
            self._complain(error)
            return False
        self._failing = False
        if self._rewrites != rewrites:
            # Redis was emptied meanwhile, perhaps after it took this.
            totals.dirty = merge(batch, totals.dirty)
        elif open_:
            totals.untold -= untold
            self._acknowledge(totals, batch)
        else:
            totals.closed = True  # the fence came first: these totals were not acknowledged and do not count
        return True

    def _acknowledge(self, totals: SegmentTotals, batch: dict[bytes, int]) -> None:
        totals.written.update(batch)
        self._on_written(totals, batch)

    def _complain(self, error: BaseException) -> None:
        if not self._failing:
            log.warning("the tally cannot be written, %d totals wait in memory: %s", self.pending, error)
        self._failing = True


def _vouch(totals: SegmentTotals) -> None:
    """Counts what was only learned: it is written from here now, and whoever had counted it is gone, perhaps."""
    totals.live["unsure"] += sum(totals.learned.values())
    totals.live["viewers"] += len(totals.counted_elsewhere)
    totals.live["app"] += len(totals.counted_elsewhere - totals.origins.keys())
    totals.learned.clear()
    totals.counted_elsewhere.clear()


def merge(one: dict[bytes, int], two: dict[bytes, int]) -> dict[bytes, int]:
    """The larger total of each viewer."""
    return {**one, **{viewer: max(total, one.get(viewer, 0)) for viewer, total in two.items()}}


def _split(totals: dict[bytes, int], size: int) -> list[dict[bytes, int]]:
    """The totals in parts of at most that size."""
    if len(totals) <= size:
        return [totals] if totals else []
    items = list(totals.items())
    return [dict(items[start : start + size]) for start in range(0, len(items), size)]
