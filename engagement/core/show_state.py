"""The state of a show as gateways hold it, and the frames made from it. All times are server milliseconds.

`ShowState` is the document that actions write to Redis after every change; it is whole, so the newest one replaces
everything older. Nothing in it is secret but `k_show`, which is encrypted.
"""

import hashlib
import re
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Struct

from engagement.core.messages import (
    MAX_LISTED,
    MAX_PRIZES,
    MAX_RESULTS,
    MAX_TICKET_ROWS,
    Cue,
    Cued,
    Named,
    Naming,
    Next,
    Picture,
    Prize,
    Result,
    Segment,
    Show,
    State,
)
from engagement.core.phases import CALLED_OFF, REPORTING, UNDER_WAY, Phase
from engagement.core.windows import Window, feed_window


class Position(NamedTuple):
    """Where a show is in its life: which document of it is newer than which.

    `seq` counts what everybody sees; `wins` what became of prizes since, which winners and screens see.
    """

    epoch: int
    seq: int
    wins: int

    def is_newer_than(self, other: "Position | None") -> bool:
        """Whether a document at this position replaces one at `other`; a different epoch always does.

        >>> Position(1, 3, 0).is_newer_than(Position(1, 2, 5)), Position(1, 3, 0).is_newer_than(Position(1, 3, 0))
        (True, False)
        >>> Position(1, 3, 2).is_newer_than(Position(1, 3, 1)), Position(1, 3, 1).is_newer_than(Position(1, 3, 2))
        (True, False)
        >>> Position(2, 0, 0).is_newer_than(Position(1, 3, 0)), Position(1, 0, 0).is_newer_than(None)
        (True, True)
        """
        return other is None or self.epoch != other.epoch or self[1:] > other[1:]


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What everybody is told of a segment's draws, as it becomes known: when it is armed, sealed, or called off."""

    tickets: list[tuple[int, int]] = []  # the table of the first draw
    rehearsal: bool = False
    entries: int | None = None  # viewers in the roll
    beacon_at: int | None = None  # when drand's round is due
    reason: str = ""  # why it was called off
    draws: list[int] = []  # where there are several: how many of the prizes each of them has


class SegmentState(Struct, frozen=True, kw_only=True):
    """One segment; `opens_at` and `closes_at` are studio time, None until it is scheduled."""

    id: int
    key: str  # its name in Redis, of this one play of it
    title: str
    title_zh: str
    phase: Phase
    opens_at: int | None
    closes_at: int | None
    shards: int
    prizes: list[Prize]
    seals: list[str]  # one per draw
    checkpoint: str = ""  # the signed ledger with the seals in it; "" where it could not be signed
    phase_at: int = 0  # since when it is in this phase
    facts: Facts = Facts()
    naming: Naming | None = None  # in studio time
    title_hant: str = (
        ""  # in Traditional Chinese, where that differs: Taiwan, and Hong Kong where it is not as there
    )
    title_hk: str = ""

    def takes_key(self, fingerprint: str) -> bool:
        """Whether its tally is for pseudonyms of the show key with this fingerprint; it stands in its name.

        What was armed before fingerprints stood in names takes any.

        >>> segment = msgspec.structs.replace(demo_state().segments[0], key="7-49a8-0c1d")
        >>> segment.takes_key("0c1d"), segment.takes_key("ffff"), demo_state().segments[0].takes_key("ffff")
        (True, False, True)
        """
        return self.key.split("-")[2:] in ([], [fingerprint])


class FairPlayState(Struct, frozen=True, kw_only=True):
    """What is promised about guests (docs/draw.md, section 1, `fair_play`); the defaults are those of a new show."""

    ways: list[str] = msgspec.field(default_factory=lambda: ["work"])  # in which more passes are earned
    passes_ipv4: int = 60  # free ones per hour, of a block
    passes_ipv6_64: int = 20
    passes_ipv6_48: int = 120
    carriers: list[tuple[str, int]] = []  # prefix and factor; an origin has 1 + the index
    keeps_origins: bool = True  # the tally keeps where guests come from


class Revocation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Passes that do not count any more: of a viewer (hex), or of a kind ("": any) that were given before (ms)."""

    viewer: str = ""
    kind: str = ""
    before: int = 0


class ShowState(Struct, frozen=True, kw_only=True):
    """Everything a gateway needs to know of a show."""

    epoch: int  # these three come first, so that the beginning of a document tells its position
    seq: int
    wins: int
    installation: str  # whose show this is; a gateway takes no other's
    slug: str
    title: str
    title_zh: str
    guests: bool
    k_show: str  # encrypted; a gateway derives salts and pseudonyms from it
    feeds: dict[str, int]  # name -> delay in ms behind the studio; the first is the default
    max_hz: int
    burst: int
    grace_ms: int
    current: int | None  # the segment that phones and the stage show now
    segments: list[SegmentState]  # the current one and all that may take reports
    results: list[Result]  # the newest first, bounded: see `bound_results`
    more_to_come: bool  # the rundown has another segment that is open or still to come
    fair_play: FairPlayState = FairPlayState()
    revoked: list[Revocation] = []  # at most 1,000
    next: Next | None = None
    cue: Cue = Cue(kind="auto", at=0)
    picture: Picture | None = None
    standby_picture: Picture | None = None
    title_hant: str = (
        ""  # in Traditional Chinese, where that differs: Taiwan, and Hong Kong where it is not as there
    )
    title_hk: str = ""

    def segment(self, segment_id: int | None) -> SegmentState | None:
        """The segment of this id, or None where it is not on air.

        >>> demo_state().segment(7).title
        'Opening'
        """
        return next((segment for segment in self.segments if segment.id == segment_id), None)

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq, self.wins)

    @property
    def digest(self) -> str:
        """Of what everybody sees: the whole document without its position, and without who holds which prize now.

        >>> moved_on = msgspec.structs.replace(demo_state(), seq=9, wins=9)
        >>> moved_on.digest == demo_state().digest
        True
        >>> msgspec.structs.replace(demo_state(), title="Another").digest == demo_state().digest
        False
        """
        replace = msgspec.structs.replace
        results = [replace(result, winners=[], prizes=[], winners_total=0) for result in self.results]
        return hashlib.sha256(pack_state(replace(self, seq=0, wins=0, results=results))).hexdigest()

    def is_newer_than(self, other: "ShowState | None") -> bool:
        """Whether this document replaces `other`."""
        return self.position.is_newer_than(None if other is None else other.position)

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
# Each document begins with the layout of its fields: one of another version of this program is told by that.
_LAYOUT = hashlib.sha256(msgspec.json.encode(msgspec.json.schema(ShowState), order="sorted")).hexdigest()[:8]
_HEAD = b'{"layout":"%s",' % _LAYOUT.encode()
_BEGINNING = re.compile(
    re.escape(_HEAD) + rb'"epoch":([0-9]{1,20}),"seq":([0-9]{1,20}),"wins":([0-9]{1,20}),'
)
BEGINNING_BYTES = 128  # enough of a document for `peek_position`


def pack_state(state: ShowState) -> bytes:
    """The document as it is kept in Redis and sent to gateways.

    >>> parse_state(pack_state(demo_state())) == demo_state()
    True
    """
    return _HEAD + msgspec.json.encode(state)[1:]


def parse_state(document: bytes) -> ShowState:
    """The inverse of `pack_state`; raises msgspec.DecodeError for anything else."""
    return _state_decoder.decode(document)


def peek_position(beginning: bytes) -> Position | None:
    """The position of a document from its first `BEGINNING_BYTES` bytes; None for one of another layout, or none.

    >>> peek_position(pack_state(demo_state())[:BEGINNING_BYTES])
    Position(epoch=1, seq=3, wins=0)
    >>> peek_position(b'{"epoch":1,"seq":3,') is None
    True
    """
    found = _BEGINNING.match(beginning)
    return Position(*map(int, found.groups())) if found else None


def state_message(state: ShowState, feed: str | None) -> State:
    """The `state` message for one feed (docs/protocol.md), encoded once for all that live on it.

    >>> state_message(demo_state(), "tv").segment.opens_at
    11500
    """
    segment, delay_ms = state.segment(state.current), state.delay_of(feed)
    replace = msgspec.structs.replace
    return State(
        epoch=state.epoch,
        seq=state.seq,
        segment=None if segment is None else _shift(segment, delay_ms),
        results=[replace(result, shown_at=result.shown_at + delay_ms) for result in state.results],
        more_to_come=state.more_to_come,
        next=state.next and replace(state.next, opens_at=_later(state.next.opens_at, delay_ms)),
        cue=replace(state.cue, at=state.cue.at + delay_ms),
        title=state.title,
        title_zh=state.title_zh,
        title_hant=state.title_hant or UNSET,
        title_hk=state.title_hk or UNSET,
        picture=state.picture or UNSET,
        standby=state.standby_picture or UNSET,
    )


def show_message(state: ShowState, feed: str | None) -> Show:
    """What a socket is connected to, for its `welcome`.

    >>> show_message(demo_state(), "tv").title_zh
    '演示'
    """
    return Show(
        slug=state.slug,
        title=state.title,
        title_zh=state.title_zh,
        title_hant=state.title_hant or UNSET,
        title_hk=state.title_hk or UNSET,
        feed=feed,
    )


def small_step(known: ShowState, state: ShowState, feed: str | None) -> Cued | Named | None:
    """What a feed is told where only this has changed since the state before: a cue, or one more winner is named.

    None where it is told the whole state.

    >>> cued = msgspec.structs.replace(demo_state(), seq=4, cue=Cue(kind="clear", at=9_000))
    >>> small_step(demo_state(), cued, "tv")
    Cued(epoch=1, seq=4, cue=Cue(kind='clear', at=10500, prize=UNSET, shown=UNSET))
    >>> small_step(demo_state(), msgspec.structs.replace(cued, title="Another"), "tv") is None
    True
    """
    replace = msgspec.structs.replace
    if known.cue != state.cue and replace(known, seq=known.seq + 1, wins=state.wins, cue=state.cue) == state:
        return Cued(
            epoch=state.epoch, seq=state.seq, cue=replace(state.cue, at=state.cue.at + state.delay_of(feed))
        )
    segment = state.segment(state.current)
    if segment is None or segment.naming is None or not segment.naming.winners:
        return None
    before = [replace(row, naming=segment.naming) if row.id == segment.id else row for row in known.segments]
    if replace(known, seq=known.seq + 1, wins=state.wins, segments=before) != state:
        return None
    naming = shift_naming(segment.naming, state.delay_of(feed))
    winner = naming.winners[-1]
    prize = next(prize for prize in naming.prizes if prize.id == winner.prize)
    return Named(
        epoch=state.epoch, seq=state.seq, segment=segment.id, of=naming.of, winner=winner, prize=prize
    )


def shift_naming(naming: Naming, delay_ms: int) -> Naming:
    """As a feed that is so late sees it."""
    replace = msgspec.structs.replace
    return replace(naming, winners=[replace(row, at=row.at + delay_ms) for row in naming.winners])


def _later(moment: int | None, delay_ms: int) -> int | None:
    return None if moment is None else moment + delay_ms


def _shift(segment: SegmentState, delay_ms: int) -> Segment:
    """As a feed that is so late sees it."""
    facts, is_sealed = segment.facts, segment.phase == Phase.SEALED
    beacon_at = _later(facts.beacon_at, delay_ms) if is_sealed else None
    return Segment(
        id=segment.id,
        title=segment.title,
        title_zh=segment.title_zh,
        title_hant=segment.title_hant or UNSET,
        title_hk=segment.title_hk or UNSET,
        phase=segment.phase,
        opens_at=_later(segment.opens_at, delay_ms),
        closes_at=_later(segment.closes_at, delay_ms),
        prizes=segment.prizes[:MAX_PRIZES],
        seal=segment.seals[0] if segment.seals else UNSET,
        seals=segment.seals if len(segment.seals) > 1 else UNSET,
        # Once the beacon is known it shows no time any more.
        checkpoint=segment.checkpoint or UNSET if is_sealed else UNSET,
        tickets=facts.tickets if 0 < len(facts.tickets) <= MAX_TICKET_ROWS else UNSET,
        rehearsal=facts.rehearsal,
        entries=UNSET if facts.entries is None else facts.entries,
        beacon_at=UNSET if beacon_at is None else beacon_at,
        reason=facts.reason,
        draws=facts.draws or UNSET,
        naming=UNSET if segment.naming is None else shift_naming(segment.naming, delay_ms),
    )


def bound_results(results: list[Result]) -> list[Result]:
    """The newest `MAX_RESULTS`, the newest first, with at most `MAX_LISTED` winners together; the rest have pages.

    >>> bound_results([])
    []
    """
    newest = sorted(results, key=lambda result: -result.published_at)[:MAX_RESULTS]
    bounded, left = [], MAX_LISTED
    for result in newest:
        bounded.append(cut_winners(result, left))
        left -= len(bounded[-1].winners)
    return bounded


def cut_winners(result: Result, most: int) -> Result:
    """The same result with its first `most` winners, and the prizes that these hold."""
    winners = result.winners[:most]
    held = {winner.prize for winner in winners}
    prizes = [prize for prize in result.prizes if prize.id in held]
    return msgspec.structs.replace(result, winners=winners, prizes=prizes)


def is_more_to_come(segments: list[SegmentState], current: int | None) -> bool:
    """Whether the rundown has a segment beside the current one in which something can still be won.

    >>> is_more_to_come(demo_state().segments, current=7)
    False
    >>> is_more_to_come(demo_state().segments, current=None)
    True
    """
    coming = (Phase.DRAFT, Phase.ARMED, Phase.OPEN)
    return any(segment.phase in coming and segment.id != current for segment in segments)


def choose_current(segments: list[SegmentState], cue: str = "auto") -> int | None:
    """The id of the segment to show, of those in the order of the rundown.

    The one on air; else the next that is scheduled; else the one that is being drawn; else the last that has ended, or
    the first that was armed since. With the cue `announce` an armed one comes before those that are over.

    >>> choose_current(demo_state().segments)
    7
    >>> choose_current([]) is None
    True
    """
    on_air = [segment for segment in segments if segment.phase == Phase.OPEN]
    armed = [segment for segment in segments if segment.phase == Phase.ARMED]
    scheduled = sorted((one for one in armed if one.opens_at is not None), key=lambda one: one.opens_at or 0)
    drawing = [one for one in segments if one.phase in UNDER_WAY and one not in on_air and one not in armed]
    drawing.sort(key=lambda one: one.closes_at or 0, reverse=True)
    ended = [one for one in segments if one.phase == Phase.PUBLISHED or _was_on_air(one)]
    last = max(ended, key=lambda one: one.phase_at, default=None)
    since = [one for one in armed if last is None or one.phase_at > last.phase_at]
    announced = armed if cue == "announce" else []
    for group in (on_air, scheduled, drawing, announced, since, [last] if last else []):
        if group:
            return group[0].id
    return None


def _was_on_air(segment: SegmentState) -> bool:
    """Whether it was called off before everybody's eyes."""
    return segment.phase in CALLED_OFF and segment.opens_at is not None


def find_next(segments: list[SegmentState], current: int | None) -> Next | None:
    """The first segment of the rundown behind the current one that is still to come; None where there is none.

    >>> find_next(demo_state().segments, current=7) is None
    True
    >>> find_next(demo_state().segments, current=None) is None  # it is open already
    True
    """
    ids = [segment.id for segment in segments]
    behind = segments[ids.index(current) + 1 :] if current in ids else segments
    coming = (segment for segment in behind if segment.phase in (Phase.DRAFT, Phase.ARMED))
    first = next(coming, None)
    if first is None:
        return None
    return Next(
        title=first.title,
        title_zh=first.title_zh,
        title_hant=first.title_hant or UNSET,
        title_hk=first.title_hk or UNSET,
        opens_at=first.opens_at,
    )


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
        installation="demo",
        slug="demo",
        title="Demo",
        title_zh="演示",
        epoch=1,
        seq=3,
        wins=0,
        guests=True,
        k_show="",
        feeds={"app": 0, "tv": 1_500},
        max_hz=8,
        burst=10,
        grace_ms=3_000,
        current=7,
        segments=[segment],
        results=[],
        more_to_come=False,
    )
