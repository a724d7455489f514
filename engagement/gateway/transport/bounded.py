"""uvicorn's HTTP protocol with an end to everything that a peer can draw out: heads, bodies, idling, and not reading.

nginx has the same deadlines in front (docker/nginx.conf); these hold for whoever reaches a gateway directly. What the
server answers by itself has the security headers of all answers. See docs/decisions/0051-doors-of-our-own.md.
"""

import asyncio
import binascii
import fcntl
import termios
from enum import Enum
from typing import Any

import httptools
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from engagement.headers import security_headers

HEAD_S = 10.0  # from the connection, or from the first byte of a further head, until it is whole
BEHIND_S = 1.0  # more for whoever has sent something that was not read yet
BODY_S = 20.0  # from the end of the head until the body is whole; a large one gets more
BODY_BYTES_PER_S = 64 << 10  # so many bytes that are announced give another second
MOST_BODY_S = 180.0
SEND_S = 20.0  # so long a peer may take nothing of an answer
LARGEST_HEAD = 32 << 10  # bytes, as of nginx
MOST_HEADERS = 100
LONGEST_NUMBER = 18  # digits of a content-length that are looked at
KEY_BYTES = 16  # of the random key, RFC 6455, 4.2.1
SOCKET_VERSION = b"sec-websocket-version: 13\r\n"


class Part(Enum):
    """What a peer is sending."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class PlainSocket(WebSocketsSansIOProtocol):
    """uvicorn's own sockets, which take an answer over HTTP for a handshake that was forgotten, and log it."""

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def send_500_response(self) -> None:
        if not (self.initial_response or self.handshake_complete):
            self.transport.write(refusal(500))


class BoundedHttp(HttpToolsProtocol):
    """One HTTP connection; it is given to uvicorn with `--http`."""

    _part = Part.NOTHING
    _head_bytes = 0  # of a head that is not whole yet
    _read_bytes = 0  # of what is being parsed
    _refusal = 400
    _answering: Any = None  # the request that is in the application
    _timer: asyncio.TimerHandle | None = None  # for what the peer sends
    _reader: asyncio.TimerHandle | None = None  # for what it reads

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._forget_reader()
        self._tell_the_answering()
        super().connection_lost(exc)

    # --- in ---

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._read_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self._stop_waiting()
                self.handle_websocket_upgrade()
                return
        except httptools.HttpParserError:
            self.refuse(self._refusal)
            return
        self._look_after(len(data))

    def _look_after(self, read: int) -> None:
        """After each read: is what has begun within its bounds, and is there an end to it."""
        if self._part is Part.HEAD:
            self._head_bytes += read
            if self._head_bytes > LARGEST_HEAD:
                self.refuse(431)
                return
        if self._timer is not None or self.transport.is_closing():
            return
        if self._part is Part.BODY:
            self._wait(min(MOST_BODY_S, BODY_S + self._announced / BODY_BYTES_PER_S))
            if len(self.headers) > MOST_HEADERS:
                self.refuse(431)
        elif self._part is Part.HEAD or not self._is_answering:
            self._wait(HEAD_S)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _announced(self) -> int:
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        return int(length[:LONGEST_NUMBER]) if length.isdigit() else 0

    def on_message_begin(self) -> None:
        self._part = Part.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._head_bytes + self._read_bytes > LARGEST_HEAD or len(self.headers) > MOST_HEADERS:
            self._check_head()
        self._part, self._head_bytes = Part.BODY, 0
        self._stop_waiting()
        super().on_headers_complete()

    def _check_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > LARGEST_HEAD or len(self.headers) > MOST_HEADERS:
            self._refusal = 431
            raise ValueError("the head is too large")

    def on_message_complete(self) -> None:
        self._part = Part.NOTHING
        self._stop_waiting()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Handshakes that are none are refused here: the library's own refusals have no headers of ours."""
        headers = dict(self.headers)
        if headers.get(b"sec-websocket-version") != b"13" or not is_key(
            headers.get(b"sec-websocket-key", b"")
        ):
            self.refuse(400, SOCKET_VERSION)
        else:
            self.ws_protocol_class = PlainSocket
            super().handle_websocket_upgrade()

    # --- deadlines ---

    def _wait(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._too_late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self._is_behind:
            self._wait(BEHIND_S)
        elif self._part is Part.HEAD and self._is_answering:
            self._wait(HEAD_S)  # the next request, while the last one is being answered
        elif self._part is Part.NOTHING:
            self._hang_up()
        else:
            self.refuse(408)

    @property
    def _is_behind(self) -> bool:
        """Whether something has come that is not read yet: in a storm it is us who are late, and not the peer."""
        try:
            waiting = fcntl.ioctl(
                self.transport.get_extra_info("socket").fileno(), termios.FIONREAD, bytes(4)
            )
        except OSError:
            return False
        return any(waiting)

    def _hang_up(self) -> None:
        """Closes, and does not wait for a peer that does not read."""
        if self.transport.get_write_buffer_size():
            self._abort()
        else:
            self.transport.close()

    def _abort(self) -> None:
        """Drops the connection; whoever is still writing an answer hears of it before the next write."""
        self._tell_the_answering()
        self.transport.abort()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle  # `cycle` is the newest request, and others may have come in one read with it
        super()._start_asgi_task(cycle, app)

    def _tell_the_answering(self) -> None:
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    # --- out ---

    def refuse(self, status: int, more: bytes = b"") -> None:
        """The server's own answer, and the end of the connection."""
        if self.transport.is_closing():
            return
        self._stop_waiting()
        if self._is_answering and (self._answering is not self.cycle or self._answering.response_started):
            self._abort()  # in the middle of an answer, or before one: ours would be taken for it
            return
        self._tell_the_answering()
        path = self.url.partition(b"?")[0].decode("latin-1") if self.url else ""
        self.transport.write(refusal(status, path, more))
        self._hang_up()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_reader()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._expect_reader()  # it waits until all is sent, for ever

    def timeout_keep_alive_handler(self) -> None:
        self._hang_up()

    def _expect_reader(self) -> None:
        self._forget_reader()
        self._reader = self.loop.call_later(SEND_S, self._abort)

    def _forget_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None


def refusal(status: int, path: str = "", more: bytes = b"") -> bytes:
    """A whole answer of the server itself: its status line says it, in words, too."""
    line = STATUS_LINE[status]
    body = line.split(b" ", 2)[2].strip() + b"\n"
    headers = b"".join(
        b"%b: %b\r\n" % row for row in security_headers(path, secure=settings.BEHIND_TLS_PROXY)
    )
    return (
        b"%b%b%bcontent-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n%b" % (line, headers, more, len(body), body)
    )


def is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == KEY_BYTES
    except binascii.Error:
        return False
