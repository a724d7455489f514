"""The messages of `shake.v1`, decoded and validated at the door; inside there are only typed objects.

The wire format is docs/protocol.md. Unknown types and fields are refused, integers must be in range.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from engagement.core.errors import PhoneFault, WireError

SUBPROTOCOL = "shake.v1"
MAX_FRAME_BYTES = 1024
# A frozen total is stored as BE32 (docs/draw.md, section 3); so far nobody shook more often than that.
MAX_TOTAL = 2**32 - 1

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
    role: Name | None = None


class Shakes(Inbound, tag="shakes", frozen=True):
    """A report: the cumulative number of shakes counted in this segment."""

    segment: SegmentId
    total: Total


class Sync(Inbound, tag="sync", frozen=True):
    """Clock sync; `t0` is the phone's own clock in milliseconds."""

    t0: Millis


class Resync(Inbound, tag="resync", frozen=True):
    """Asks for the whole state again."""


_decoder: msgspec.json.Decoder[Hello | Shakes | Sync | Resync] = msgspec.json.Decoder(
    Hello | Shakes | Sync | Resync
)
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


def encode(type_: str, **fields: Any) -> str:
    """One outbound text frame of the given type.

    >>> encode("ack", segment=7, total=42)
    '{"type":"ack","segment":7,"total":42}'
    """
    return _encoder.encode({"type": type_, **fields}).decode()


def error_frame(fault: PhoneFault) -> str:
    """The `error` message that tells a phone what it did.

    >>> error_frame(PhoneFault(WireError.NOT_OPEN, "closed"))
    '{"type":"error","code":"not_open","message":"closed"}'
    """
    retry = {} if fault.retry_after_ms is None else {"retry_after_ms": fault.retry_after_ms}
    return encode("error", code=fault.error.code, message=fault.message, **retry)
