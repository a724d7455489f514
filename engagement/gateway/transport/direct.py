"""The fast path: a phone's socket as a protocol on uvicorn's transport, without ASGI events, tasks or queues.

See docs/decisions/0023-the-fast-path.md.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import Any

from websockets.speedups import apply_mask

from engagement.gateway.core.frames import (
    CLOSE,
    FIN,
    MASKED,
    PING,
    PING_FRAME,
    PONG,
    TEXT,
    FrameFault,
    FrameReader,
    close_frame,
    frame,
)
from engagement.gateway.intake import Intake
from engagement.gateway.transport.socket import CLOSE_S, Frame, Listener, Socket

SILENT_S = 20  # then the phone is asked whether it is there; after twice that it is gone
WHOLE_TEXT = FIN | TEXT
HEADER = 6  # bytes before the payload of a short masked frame
LONGEST_SHORT = HEADER + 126


class DirectSocket(asyncio.Protocol):
    """One phone's connection after the handshake. All there is per phone: no task, no queue, no timer.

    The intake reads it; of the transport remain what the kernel does not take at once, and the end.
    """

    __slots__ = (
        "_intake", "_listener", "_max_bytes", "_open_sockets", "_reader", "_silent_s", "_transport", "_waiting",
        "blocked_since", "closed", "fd",
    )  # fmt: skip

    def __init__(self, transport: Any, intake: Intake, open_sockets: set[Any], max_bytes: int) -> None:
        self._transport = transport
        self._intake = intake
        self.fd: int = transport.get_extra_info("socket").fileno()
        self._open_sockets = open_sockets  # of the server, which tells them when it ends
        self._max_bytes = max_bytes
        self._listener: Listener | None = None
        self._reader: FrameReader | None = None
        self._waiting: dict[str, Frame] | None = None
        self._silent_s = 0
        self.blocked_since: float | None = None
        self.closed = False
        # What the kernel does not take at once makes the socket a slow one.
        transport.set_write_buffer_limits(0)
        transport.pause_reading()
        intake.add(self.fd, self)

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    # --- in ---

    def data_received(self, data: bytes) -> None:
        self._silent_s = 0
        # Nearly every read is one whole short text frame. Its second byte is 128 + the length of the payload.
        size = len(data)
        if (
            self._reader is None
            and HEADER < size < LONGEST_SHORT
            and data[0] == WHOLE_TEXT
            and data[1] == size + (MASKED - HEADER)
            and not self.closed
        ):
            self._listener.take(apply_mask(data[6:], data[2:6]))  # type: ignore[union-attr]
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Everything else: several frames in one read, a part of one, long ones, control frames."""
        reader = self._reader or FrameReader(self._max_bytes)
        self._reader = reader
        if self.closed:  # only a short answer to our close is waited for
            self._max_bytes -= len(data)
            if self._max_bytes < 0:
                self._turn_deaf()
                return
        try:
            for opcode, payload in reader.feed(data):
                self._hear(opcode, payload)
        except FrameFault as fault:
            self.close(fault.code)
            self._turn_deaf()
            return
        if reader.idle:
            self._reader = None

    def _turn_deaf(self) -> None:
        """Nothing of this peer is read any more, not even its answer to our close."""
        self._reader = None
        self._intake.remove(self.fd)

    def _hear(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self._hang_up(payload)
        elif self.closed or self._listener is None:
            return
        elif opcode not in (PING, PONG):
            self._listener.take(payload if opcode == TEXT else None)
        # Who does not read gets no answers to keep.
        elif self._listener.heed() and opcode == PING and self.blocked_since is None:
            self.put(frame(PONG, payload))

    def _hang_up(self, payload: bytes) -> None:
        """The phone says goodbye, or answers ours."""
        if not self.closed:
            self._end()
            self.put(frame(CLOSE, payload[:2] if len(payload) > 1 else b""))
        self.eof_received()

    def eof_received(self) -> None:
        """The peer says nothing any more; `connection_lost` follows."""
        if self.blocked_since is None:
            self._transport.close()
        else:
            self._transport.abort()  # it would wait for ever for a peer that does not read

    def connection_lost(self, error: Exception | None) -> None:
        self._intake.remove(self.fd)
        self._end()
        self.blocked_since = None
        self._open_sockets.discard(self)
        # They point at each other: nothing is left to collect.
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.gone()

    # --- out ---

    def write(self, kind: str, frame: Frame) -> None:
        if self.closed:
            return
        if self.blocked_since is None:
            self.put(frame.wire)
        else:
            self._waiting = self._waiting or {}
            self._waiting[kind] = frame

    def write_together(self, frames: Mapping[str, Frame]) -> None:
        if self.blocked_since is None and not self.closed:
            self.put(b"".join([one.wire for one in frames.values()]))
        else:
            for kind, one in frames.items():
                self.write(kind, one)

    def put(self, data: bytes) -> None:
        """Hands bytes to the kernel; the transport keeps what it does not take."""
        if self.blocked_since is None:
            try:
                sent = os.write(self.fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the peer is gone; the transport says so, too
            if sent == len(data):
                return
            data = data[sent:]
        self._transport.write(data)

    def pause_writing(self) -> None:
        self.blocked_since = asyncio.get_running_loop().time()

    def resume_writing(self) -> None:
        self.blocked_since = None
        waiting, self._waiting = self._waiting, None
        for kind, newest in (waiting or {}).items():
            self.write(kind, newest)

    # --- the end ---

    def check(self) -> None:
        self._silent_s += 1
        if self._silent_s == SILENT_S and self.blocked_since is None and not self.closed:
            self.put(PING_FRAME)
        elif self._silent_s >= 2 * SILENT_S:
            self._transport.abort()

    def close(self, code: int, reason: str = "", last_word: Frame | None = None) -> None:
        if self.closed:
            return
        self._end()
        # The answer is waited for: closing with unread bytes would reset the connection, and ours would be lost.
        self.put((last_word.wire if last_word else b"") + close_frame(code, reason))
        asyncio.get_running_loop().call_later(CLOSE_S, self._transport.abort)

    def _end(self) -> None:
        """From now on nothing is written but what is put."""
        self.closed, self._waiting = True, None

    def shutdown(self) -> None:
        """Called by the server for each of its connections when it is about to end."""
        if self._listener is not None:
            self._listener.restart()


def fan_out(sockets: Iterable[Socket], kind: str, frame: Frame) -> None:
    """Sends one frame to all of them: a `write` on each, but mostly without the calls that lead there."""
    wire, size, write = frame.wire, len(frame.wire), os.write
    for socket in sockets:
        if type(socket) is not DirectSocket or socket.closed or socket.blocked_since is not None:
            socket.write(kind, frame)
            continue
        try:
            sent = write(socket.fd, wire)
        except OSError:
            sent = 0  # `put` finds out why
        if sent < size:
            socket.put(wire[sent:])
