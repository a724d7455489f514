"""The messages of `shake.v1`, decoded and validated where they come in; inside there are only typed objects.

The wire format is docs/protocol.md, and docs/wire.schema.json is made from these classes (schema.py). From phones
unknown types and fields are refused, and integers must be in range.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from engagement.core.errors import PhoneFault, WireError
from engagement.core.phases import Phase

SUBPROTOCOL = "shake.v1"
MAX_FRAME_BYTES = 1024
# A frozen total is stored as BE32 (docs/draw.md, section 3); so far nobody shook more often than that.
MAX_TOTAL = 2**32 - 1
# What a state lists, so that its size does not grow with the past: the newest draws, and the first winners of each.
# All others are pages: of `winners_url`, and of `/draws/`. Winners hear of their own prizes by themselves.
MAX_RESULTS = 20
MAX_WINNERS = 20  # of a draw
MAX_LISTED = 60  # of all draws together
MAX_PRIZES = 60  # of the segment
MAX_LEADERS = 5
MAX_TICKET_ROWS = 64  # of a ticket table; one that is longer is not told
MAX_NAMED = 20  # winners of a naming, the newest

SegmentId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Total = Annotated[int, Meta(ge=0, le=MAX_TOTAL)]
Millis = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Inbound(Struct, tag_field="type", forbid_unknown_fields=True, frozen=True, gc=False):
    """What a phone may say."""


class Hello(Inbound, tag="hello", rename={"pass_": "pass"}, frozen=True):
    """The first message. `role: "screen"` needs no pass and only watches."""

    pass_: Annotated[str, Meta(max_length=900)] | None = None
    feed: Name | None = None
    role: Literal["screen"] | None = None


class Shakes(Inbound, tag="shakes", frozen=True):
    """A report: the cumulative number of shakes counted in this segment."""

    segment: SegmentId
    total: Total


class Sync(Inbound, tag="sync", frozen=True):
    """Clock sync; `t0` is the phone's own clock in milliseconds."""

    t0: Millis


class Resync(Inbound, tag="resync", frozen=True):
    """Asks for the whole state again."""


# --- what the server says ---


class Picture(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A picture in several sizes; the address of one is `base`, its width, and `.webp` or `.jpg`."""

    base: str
    sizes: list[tuple[int, int]]  # [[width, height], ...], the smallest first
    alt: str = ""  # what it shows, in words
    alt_zh: str = ""
    alt_hant: str = ""
    alt_hk: str = ""


class Prize(Struct, frozen=True, kw_only=True):
    """A prize as it was announced when its segment was armed; the value is in the currency's minor unit."""

    id: int
    celebrity: str
    celebrity_zh: str
    brand: str
    garment: str
    garment_zh: str
    size: str
    quantity: int
    value_minor: int
    currency: str
    picture: Picture | UnsetType = UNSET
    # In Traditional Chinese, where that differs: as in Taiwan, and as in Hong Kong where it is not as in Taiwan.
    celebrity_hant: str | UnsetType = UNSET
    celebrity_hk: str | UnsetType = UNSET
    garment_hant: str | UnsetType = UNSET
    garment_hk: str | UnsetType = UNSET


class Winner(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who holds a prize now. A reserve who moved up has until its own `claim_by`, not the result's."""

    pseudonym: str
    name: str
    prize: int  # its id
    status: Literal["won", "claimed"] = "won"
    moved_up: bool = False
    claim_by: int | UnsetType = UNSET


class Result(Struct, frozen=True, kw_only=True):
    """A published draw: its first winners, how many there are, and where the rest of them is listed."""

    draw: int
    segment: int
    seal: str
    strength: Literal["public", "rehearsal"]
    record_url: str
    claim_url: str
    claim_by: int
    published_at: int
    winners: list[Winner]
    winners_total: int
    winners_url: str
    prizes: list[Prize]  # those that these winners hold
    shown_at: int  # when the screens of this feed show it: no phone tells its owner before the wall does


class NamedWinner(Struct, frozen=True, kw_only=True):
    """A winner whom the host has named, and when this feed's screens do."""

    number: int  # of the naming: 1, 2, ...
    at: int
    pseudonym: str
    name: str
    prize: int  # its id


class Naming(Struct, frozen=True, kw_only=True):
    """The winners of a drawn segment, as the host names them one by one; nobody is shown before their `at`."""

    of: int  # winners
    named: int
    winners: Annotated[
        list[NamedWinner], Meta(max_length=MAX_NAMED)
    ]  # the newest, in the order of the naming
    prizes: list[Prize]  # those that these winners hold


class Cue(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the crew has put on the screens: `auto` follows the phase."""

    kind: Literal["auto", "announce", "prize", "clear", "standby"]
    at: int
    prize: int | UnsetType = UNSET  # its id
    shown: Prize | UnsetType = UNSET  # and the prize itself: it may be of another segment


class Next(Struct, frozen=True, kw_only=True):
    """The segment that comes after this one."""

    title: str
    title_zh: str
    opens_at: int | None  # where it is scheduled
    title_hant: str | UnsetType = UNSET
    title_hk: str | UnsetType = UNSET


class Segment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A segment as one feed sees it."""

    id: int
    title: str
    title_zh: str
    phase: Phase
    opens_at: int | None
    closes_at: int | None
    prizes: Annotated[list[Prize], Meta(max_length=MAX_PRIZES)]
    seal: str | UnsetType = UNSET
    seals: list[str] | UnsetType = UNSET  # where it has several draws, in the order of drawing
    draws: list[int] | UnsetType = UNSET  # and how many of the prizes each of them has, in the same order
    checkpoint: str | UnsetType = UNSET  # while it is sealed: the ledger with the seals in it, signed
    # The ticket table of its first draw: [[shakes, tickets], ...].
    tickets: Annotated[list[tuple[int, int]], Meta(max_length=MAX_TICKET_ROWS)] | UnsetType = UNSET
    rehearsal: bool = False  # its randomness is the organiser's own: nothing is won
    entries: int | UnsetType = UNSET  # viewers who take part, once they are frozen
    beacon_at: int | UnsetType = UNSET  # while it is sealed: when the round of the beacon is due
    reason: str = ""  # why it was called off
    naming: Naming | UnsetType = UNSET
    title_hant: str | UnsetType = UNSET
    title_hk: str | UnsetType = UNSET


class Show(Struct, frozen=True, kw_only=True):
    """What a socket is connected to; a screen may have no feed."""

    slug: str
    title: str
    title_zh: str
    feed: str | None
    title_hant: str | UnsetType = UNSET
    title_hk: str | UnsetType = UNSET


class Leader(Struct, frozen=True):
    """One of those who have shaken most."""

    name: str
    total: int


class Outbound(Struct, tag_field="type", frozen=True, kw_only=True, gc=False):
    """What a gateway says."""


class State(Outbound, tag="state", frozen=True, kw_only=True, gc=False):
    """Everything that phones and screens show; it replaces all that came before."""

    epoch: int
    seq: int
    segment: Segment | None
    results: Annotated[list[Result], Meta(max_length=MAX_RESULTS)]
    more_to_come: bool
    next: Next | None
    cue: Cue
    title: str  # of the show
    title_zh: str
    picture: Picture | UnsetType = UNSET  # of the show
    standby: Picture | UnsetType = UNSET  # what the cue `standby` shows
    title_hant: str | UnsetType = UNSET
    title_hk: str | UnsetType = UNSET


class Named(Outbound, tag="named", frozen=True, kw_only=True, gc=False):
    """One more winner is named: all that is new since the state before this `seq`."""

    epoch: int
    seq: int
    segment: SegmentId
    of: int
    winner: NamedWinner
    prize: Prize


class Cued(Outbound, tag="cue", frozen=True, kw_only=True, gc=False):
    """The screens show something else: all that is new since the state before this `seq`."""

    epoch: int
    seq: int
    cue: Cue


class Pace(Outbound, tag="pace", frozen=True, kw_only=True, gc=False):
    """How often to report, from now on."""

    report_every_ms: int
    jitter_ms: int
    spread_ms: int


class Welcome(Outbound, tag="welcome", frozen=True, kw_only=True, gc=False):
    """The answer to hello."""

    now: int
    viewer: Annotated[str, Meta(pattern="^([0-9a-f]{28})?$")]
    salt: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]
    show: Show
    epoch: int
    seq: int
    state: State
    total: Total
    report_every_ms: int
    jitter_ms: int
    spread_ms: int
    max_hz: int


class Pulse(Outbound, tag="pulse", frozen=True, kw_only=True, gc=False):
    """The live figures of the whole show."""

    epoch: int
    seq: int
    segment: int | None
    phones: int
    shakes: int
    per_second: int
    leaders: Annotated[list[Leader], Meta(max_length=MAX_LEADERS)]


class Ack(Outbound, tag="ack", frozen=True, kw_only=True, gc=False):
    """So much is written to the tally."""

    segment: SegmentId
    total: Total


class StubText(Struct, frozen=True, kw_only=True, rename={"format_": "$format"}):
    """What was told, and the proof of it: docs/protocol.md, "Stubs"."""

    format_: Literal["shake-stub/v1"]
    at: int
    blind: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    gateway: str
    index: int
    proof: list[Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]]
    pseudonym: Annotated[str, Meta(pattern="^[0-9a-f]{28}$")]
    segment: str  # this play of it
    show: str
    signature: Annotated[str, Meta(max_length=128)]
    size: int
    total: Total


class Stub(Outbound, tag="stub", frozen=True, kw_only=True, gc=False):
    """After the window: the total that was acknowledged, signed. To be kept as it came."""

    segment: SegmentId
    key: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]  # of the gateway; the ledger says whether it is
    stub: StubText


class Won(Outbound, tag="won", frozen=True, kw_only=True, gc=False):
    """To the winner only. `lost`: declined, too late or disqualified."""

    draw: int
    prize: Prize
    claim_url: str
    claim_by: int
    status: Literal["won", "claimed", "lost"]
    shown_at: int  # a phone says nothing of it before


class Synced(Outbound, tag="synced", frozen=True, kw_only=True, gc=False):
    """The answer to a sync: its `t0`, when it came, and when this was sent."""

    t0: int
    t1: int
    t2: int


class Error(Outbound, tag="error", frozen=True, kw_only=True, gc=False):
    """What a phone did wrong, or why it cannot stay."""

    code: str
    message: str
    retry_after_ms: int | UnsetType = UNSET


# --- on the wire ---

FROM_PHONES = Hello | Shakes | Sync | Resync
FROM_SERVER = Welcome | State | Named | Cued | Pulse | Ack | Stub | Pace | Won | Synced | Error

_decoder: msgspec.json.Decoder[Hello | Shakes | Sync | Resync] = msgspec.json.Decoder(FROM_PHONES)
_encoder = msgspec.json.Encoder()


def decode(frame: str | bytes) -> Hello | Shakes | Sync | Resync:
    """The typed message in one text frame, as text or as its bytes.

    Raises PhoneFault (too_large above 1 KiB, bad_message for everything that is not exactly one known message).

    >>> decode('{"type":"shakes","segment":7,"total":42}')
    Shakes(segment=7, total=42)
    >>> decode('{"type":"shakes","segment":7,"total":-1}')
    Traceback (most recent call last):
    ...
    engagement.core.errors.PhoneFault: Expected `int` >= 0 - at `$.total`
    """
    if len(frame) > MAX_FRAME_BYTES // 4 and _size(frame) > MAX_FRAME_BYTES:
        raise PhoneFault(WireError.TOO_LARGE, f"a frame has at most {MAX_FRAME_BYTES} bytes")
    try:
        return _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise PhoneFault(WireError.BAD_MESSAGE, str(error) or "nested too deeply") from None


def _size(frame: str | bytes) -> int:
    return len(frame.encode(errors="surrogatepass") if isinstance(frame, str) else frame)


def encode(message: Outbound) -> str:
    """One text frame.

    >>> encode(Ack(segment=7, total=42))
    '{"type":"ack","segment":7,"total":42}'
    """
    return _encoder.encode(message).decode()


def error_frame(fault: PhoneFault) -> str:
    """The `error` message that tells a phone what it did.

    >>> error_frame(PhoneFault(WireError.NOT_OPEN, "closed"))
    '{"type":"error","code":"not_open","message":"closed"}'
    """
    retry = UNSET if fault.retry_after_ms is None else fault.retry_after_ms
    return encode(Error(code=fault.error.code, message=fault.message, retry_after_ms=retry))
