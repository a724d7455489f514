"""The state of a show as gateways hold it, and the frames made from it. All times are server milliseconds.

`ShowState` is the document that actions write to Redis after every change; it is whole, so the newest one replaces
everything older. Nothing in it is secret but `k_show`, which is encrypted.
"""

from typing import Any

import msgspec
from msgspec import Struct

from engagement.core.messages import encode
from engagement.core.phases import REPORTING, Phase
from engagement.core.windows import Window, feed_window

MAX_RESULTS = 20  # in a `state`; a gateway knows all of them, and who has won in them


class SegmentState(Struct, frozen=True, kw_only=True):
    """One segment; `opens_at` and `closes_at` are studio time, None until it is scheduled."""

    id: int
    key: str  # its name in Redis
    title: str
    title_zh: str
    phase: Phase
    opens_at: int | None
    closes_at: int | None
    shards: int
    prizes: list[dict[str, Any]]
    seals: list[str]  # one per draw


class ShowState(Struct, frozen=True, kw_only=True):
    """Everything a gateway needs to know of a show."""

    slug: str
    title: str
    title_zh: str
    epoch: int
    seq: int
    guests: bool
    k_show: str  # encrypted; a gateway derives salts and pseudonyms from it
    feeds: dict[str, int]  # name -> delay in ms behind the studio; the first is the default
    max_hz: int
    burst: int
    grace_ms: int
    current: int | None  # the segment that phones and the stage show now
    segments: list[SegmentState]  # the current one and all that may take reports
    results: list[dict[str, Any]]  # all published draws, newest first

    def segment(self, segment_id: int | None) -> SegmentState | None:
        """The segment of this id, or None where it is not on air.

        >>> demo_state().segment(7).title
        'Opening'
        """
        return next((segment for segment in self.segments if segment.id == segment_id), None)

    def is_newer_than(self, other: "ShowState | None") -> bool:
        """Whether this document replaces `other`; a different epoch always does."""
        return other is None or self.epoch != other.epoch or self.seq > other.seq

    @property
    def last_delay_ms(self) -> int:
        """The delay of the feed that is furthest behind; it ends the segment."""
        return max(self.feeds.values(), default=0)

    @property
    def default_feed(self) -> str | None:
        return next(iter(self.feeds), None)

    def delay_of(self, feed: str | None) -> int:
        """The delay in ms of a feed; a screen has none and lives on studio time, a removed feed comes last."""
        return 0 if feed is None else self.feeds.get(feed, self.last_delay_ms)

    def window(self, segment: SegmentState, feed: str | None) -> Window | None:
        """When `segment` takes reports from `feed`; None while it is not scheduled or takes none any more.

        >>> demo_state().window(demo_state().segment(7), "tv")
        Window(opens_at=11500, closes_at=31500, grace_ends_at=34500)
        """
        if segment.phase not in REPORTING or segment.opens_at is None or segment.closes_at is None:
            return None
        return feed_window(
            opens_at=segment.opens_at,
            closes_at=segment.closes_at,
            delay_ms=self.delay_of(feed),
            last_delay_ms=self.last_delay_ms,
            grace_ms=self.grace_ms,
        )


_state_decoder = msgspec.json.Decoder(ShowState)


def pack_state(state: ShowState) -> bytes:
    """The document as it is kept in Redis and sent to gateways.

    >>> parse_state(pack_state(demo_state())) == demo_state()
    True
    """
    return msgspec.json.encode(state)


def parse_state(document: bytes) -> ShowState:
    """The inverse of `pack_state`; raises msgspec.DecodeError for anything else."""
    return _state_decoder.decode(document)


def state_fields(state: ShowState, feed: str | None) -> dict[str, Any]:
    """The fields of a `state` message for one feed (docs/protocol.md).

    >>> state_fields(demo_state(), "tv")["segment"]["opens_at"]
    11500
    """
    return {
        "epoch": state.epoch,
        "seq": state.seq,
        "segment": _segment_fields(state, state.segment(state.current), state.delay_of(feed)),
        "results": state.results[:MAX_RESULTS],
    }


def _segment_fields(state: ShowState, segment: SegmentState | None, delay_ms: int) -> dict[str, Any] | None:
    if segment is None:
        return None
    fields: dict[str, Any] = {
        "id": segment.id,
        "title": segment.title,
        "title_zh": segment.title_zh,
        "phase": segment.phase,
        "opens_at": None if segment.opens_at is None else segment.opens_at + delay_ms,
        "closes_at": None if segment.closes_at is None else segment.closes_at + delay_ms,
        "prizes": segment.prizes,
    }
    if segment.seals:
        fields["seal"] = segment.seals[0]
    if len(segment.seals) > 1:
        fields["seals"] = segment.seals
    return fields


def state_frame(state: ShowState, feed: str | None) -> str:
    """The whole `state` message, encoded once for all phones of a feed."""
    return encode("state", **state_fields(state, feed))


def choose_current(segments: list[SegmentState]) -> int | None:
    """The id of the segment to show: the one on air, else the next that is scheduled, else the last that was on air.

    `segments` come in the order of the rundown.

    >>> choose_current(demo_state().segments)
    7
    >>> choose_current([]) is None
    True
    """

    def rank(segment: SegmentState) -> tuple[int, int]:
        scheduled = segment.opens_at is not None
        if segment.phase == Phase.OPEN:
            return (3, 0)
        if segment.phase == Phase.ARMED and scheduled:
            return (2, -(segment.opens_at or 0))
        if segment.phase in (Phase.DRAFT, Phase.VOID, Phase.ARMED):
            return (0, 0)
        return (1, segment.closes_at or 0)

    best = max(segments, key=rank, default=None)
    if best is None:
        return None
    if rank(best)[0] == 0:  # nothing was on air yet: announce the first armed one of the rundown
        best = next((segment for segment in segments if segment.phase == Phase.ARMED), None)
    return best.id if best else None


def demo_state() -> ShowState:
    """A small show for the examples in this package: segment 7 is open from 10 s to 30 s, feed "tv" is 1.5 s late."""
    segment = SegmentState(
        id=7,
        key="1-7",
        title="Opening",
        title_zh="开场",
        phase=Phase.OPEN,
        opens_at=10_000,
        closes_at=30_000,
        shards=4,
        prizes=[],
        seals=[],
    )
    return ShowState(
        slug="demo",
        title="Demo",
        title_zh="演示",
        epoch=1,
        seq=3,
        guests=True,
        k_show="",
        feeds={"app": 0, "tv": 1_500},
        max_hz=8,
        burst=10,
        grace_ms=3_000,
        current=7,
        segments=[segment],
        results=[],
    )
