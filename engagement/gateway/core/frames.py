"""WebSocket frames as bytes (RFC 6455, section 5): what a server writes, and what it reads from a phone."""

import base64
import hashlib
from collections.abc import Iterator

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
CONTINUATION = 0x0
FIN, RSV, OPCODE, MASKED = 0x80, 0x70, 0x0F, 0x80

HANDSHAKE_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PROTOCOL_ERROR, BAD_TEXT, TOO_BIG = 1002, 1007, 1009
LONGEST_HEADER = 10  # without the mask
MAX_FRAGMENTS = 64  # of one message; phones send one
PING_FRAME = bytes((FIN | PING, 0))
_DATA = (CONTINUATION, TEXT, BINARY)
_CONTROL = (CLOSE, PING, PONG)


class FrameFault(Exception):
    """The peer broke the protocol of frames; `code` is what to close with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def accept_key(key: bytes) -> bytes:
    """What a server answers to `Sec-WebSocket-Key` (4.2.2, with the example of 1.3).

    >>> accept_key(b"dGhlIHNhbXBsZSBub25jZQ==")
    b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return base64.b64encode(hashlib.sha1(key + HANDSHAKE_GUID, usedforsecurity=False).digest())


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole unmasked frame, as servers send it.

    >>> frame(TEXT, b"hello").hex(" ")
    '81 05 68 65 6c 6c 6f'
    >>> len(frame(TEXT, bytes(250))), len(frame(TEXT, bytes(70_000)))
    (254, 70010)
    """
    size = len(payload)
    if size < 126:
        return bytes((FIN | opcode, size)) + payload
    if size < 65_536:
        return bytes((FIN | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((FIN | opcode, 127)) + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """The frame that says goodbye.

    >>> close_frame(1012).hex(" ")
    '88 02 03 f4'
    """
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def unmask(payload: bytes, mask: bytes) -> bytes:
    """The payload as the phone meant it (5.3). For single frames; whoever has many uses a library's.

    >>> unmask(bytes.fromhex("7f9f4d5158"), bytes.fromhex("37fa213d"))
    b'Hello'
    """
    size = len(payload)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


class FrameReader:
    """Messages of a phone out of bytes that come in any pieces; holds no more than `max_bytes` and a header.

    >>> reader = FrameReader(max_bytes=1024)
    >>> hello = bytes.fromhex("818537fa213d7f9f4d5158")
    >>> list(reader.feed(hello[:5])), list(reader.feed(hello[5:] + hello))
    ([], [(1, b'Hello'), (1, b'Hello')])
    >>> reader.idle
    True
    """

    __slots__ = ("_data", "_fragments", "_max_bytes", "_message", "_opcode")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._data = b""
        self._message = b""
        self._opcode = CONTINUATION  # of the message that is not complete yet
        self._fragments = 0

    @property
    def idle(self) -> bool:
        """Nothing is half read: whole frames may be read without this reader."""
        return not self._data and self._opcode == CONTINUATION

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The (opcode, payload) of each message and control frame that is complete now.

        Raises FrameFault; the reader is of no use after that.
        """
        data, at = self._data + data, 0
        try:
            while (head := self._head(data[at : at + LONGEST_HEADER])) is not None:
                start, size = at + head[0], head[1]
                if len(data) < start + size:
                    return
                first, mask, at = data[at], data[start - 4 : start], start + size
                yield from self._take(first, unmask(data[start:at], mask))
        finally:
            self._data = data[at:]  # once: a read can hold thousands of frames

    def _head(self, data: bytes) -> tuple[int, int] | None:
        """Where a frame's payload starts and how long it is; None while its header is not complete."""
        if len(data) < 2:
            return None
        self._check(data[0], data[1])
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if size + len(self._message) > self._max_bytes:
            raise FrameFault(TOO_BIG, f"a message has at most {self._max_bytes} bytes")
        return start + 4, size

    def _check(self, first: int, second: int) -> None:
        opcode = first & OPCODE
        if first & RSV or opcode not in _DATA + _CONTROL:
            raise FrameFault(PROTOCOL_ERROR, "no extension was agreed on")
        if not second & MASKED:
            raise FrameFault(PROTOCOL_ERROR, "clients mask their frames")
        if opcode in _CONTROL:
            if not first & FIN or second & 0x7F > 125:
                raise FrameFault(PROTOCOL_ERROR, "control frames are short and whole")
        elif (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            raise FrameFault(PROTOCOL_ERROR, "a fragment is missing")

    def _take(self, first: int, payload: bytes) -> Iterator[tuple[int, bytes]]:
        opcode = first & OPCODE
        if opcode in _CONTROL:
            yield opcode, payload
            return
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            raise FrameFault(TOO_BIG, f"a message has at most {MAX_FRAGMENTS} fragments")
        self._opcode = opcode or self._opcode
        self._message += payload
        if first & FIN:
            whole = self._opcode, self._message
            self._opcode, self._message, self._fragments = CONTINUATION, b"", 0
            yield whole
