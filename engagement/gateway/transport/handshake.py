"""uvicorn's HTTP protocol with a quick handshake for phones; it is given to uvicorn with `--http`.

The application is called with an ASGI scope as ever, and finds an offer in its `extensions`: to take the connection
over as a `DirectSocket`. What is not a plain handshake for a show goes uvicorn's own way, through plain ASGI.
See docs/decisions/0023-the-fast-path.md.
"""

import logging
from collections.abc import Awaitable
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from engagement.gateway.core.frames import accept_key
from engagement.gateway.intake import Intake
from engagement.gateway.transport import denial
from engagement.gateway.transport.bounded import BoundedHttp, is_key, refusal
from engagement.gateway.transport.direct import DirectSocket
from engagement.gateway.transport.stepping import start

log = logging.getLogger(__name__)

EXTENSION = "gala.direct"
PREFIX = b"/ws/shows/"  # engagement/urls.py
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


class FastHttp(BoundedHttp):
    """One HTTP connection; a phone's is given away after the handshake."""

    def handle_websocket_upgrade(self) -> None:
        headers = dict(self.headers)
        if not self._is_plain(headers):
            super().handle_websocket_upgrade()
            return
        handshake = Handshake(self, accept_key(headers[b"sec-websocket-key"]))
        try:
            rest = start(
                self.app(self._websocket_scope(headers, handshake), handshake.receive, handshake.send)
            )
        except Exception:
            handshake.fail()
            return
        if rest is not None:
            self.transport.pause_reading()  # until somebody listens
            task = self.loop.create_task(_finish(rest, handshake))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def _is_plain(self, headers: dict[bytes, bytes]) -> bool:
        """Whether this handshake is as simple as those of phones."""
        return (
            self.url.startswith(PREFIX)
            and self.scheme == "http"
            and self.scope["method"] == "GET"
            and self.scope["http_version"] == "1.1"
            and headers.get(b"sec-websocket-version") == b"13"
            and is_key(headers.get(b"sec-websocket-key", b""))
            and len(headers) == len(self.headers)  # no header came twice
            # An earlier answer that is not there yet, or not written, would come in the middle of the frames.
            and (self.cycle is None or self.cycle.response_complete)
            and not self.transport.get_write_buffer_size()
        )

    def _websocket_scope(self, headers: dict[bytes, bytes], handshake: "Handshake") -> dict[str, Any]:
        path, _, query = self.url.partition(b"?")
        offered = headers.get(b"sec-websocket-protocol", b"").decode("latin-1")
        return {
            **self.scope,
            "type": "websocket",
            "scheme": "ws",
            "path": self.root_path + unquote(path.decode("latin-1")),
            "raw_path": self.root_path.encode() + path,
            "query_string": query,
            "subprotocols": [name.strip() for name in offered.split(",")] if offered else [],
            "extensions": {EXTENSION: {"take_over": handshake.take_over}, denial.EXTENSION: {}},
        }

    def give_away(self, greeting: bytes, intake: Intake) -> DirectSocket:
        """Hands the connection over; this object is of no use after that."""
        if self.transport.is_closing():
            raise ConnectionResetError("the peer has gone")
        self.connections.discard(self)
        self.parser = None  # type: ignore[assignment]  # it points back: without it no garbage is left to collect
        socket = DirectSocket(self.transport, intake, self.connections, self.config.ws_max_size)
        self.connections.add(socket)  # type: ignore[arg-type]
        self.transport.set_protocol(socket)
        socket.put(greeting)
        return socket


class Handshake:
    """One upgrade, as the application sees it: it takes the connection over, or refuses it."""

    __slots__ = ("_accept", "_answered", "_head", "_http")

    def __init__(self, http: FastHttp, accept: bytes) -> None:
        self._http = http
        self._accept = accept
        self._answered = False
        self._head = b""  # of a refusal whose body follows

    def take_over(self, subprotocol: str | None, intake: Intake) -> DirectSocket:
        """Accepts, and gives the connection away, to be read by that intake."""
        self._answered = True
        lines = b"Sec-WebSocket-Accept: " + self._accept + b"\r\n"
        if subprotocol is not None:
            lines += b"Sec-WebSocket-Protocol: " + subprotocol.encode() + b"\r\n"
        return self._http.give_away(SWITCHING + lines + b"\r\n", intake)

    async def receive(self) -> dict[str, Any]:
        """ASGI: the wish to connect, and after the answer nothing but the end comes this way."""
        if self._answered:
            return {"type": "websocket.disconnect", "code": 1006}
        return {"type": "websocket.connect"}

    async def send(self, event: dict[str, Any]) -> None:
        """ASGI: an answer over HTTP refuses. Who accepts takes over."""
        if event["type"] == "websocket.http.response.body" and self._head:
            self._refuse(self._head + event["body"])
        elif event["type"] != "websocket.http.response.start" or self._answered:
            raise RuntimeError(f"expected take_over or websocket.http.response, got {event['type']}")
        else:
            rows = b"".join(b"%b: %b\r\n" % row for row in event["headers"])
            self._head, self._answered = STATUS_LINE[event["status"]] + rows + b"\r\n", True

    def fail(self) -> None:
        """The application has raised: it is logged, unless only the peer has gone."""
        log.exception("a handshake failed")
        if self._answered:
            self._http.transport.abort()
        else:
            self._refuse(refusal(500))

    def _refuse(self, answer: bytes) -> None:
        self._answered = True
        transport = self._http.transport
        if not transport.is_closing():
            transport.write(answer)
            transport.close()


async def _finish(rest: Awaitable[None], handshake: Handshake) -> None:
    """Goes on with an application that has to wait for something."""
    try:
        await rest
    except ConnectionResetError:
        pass  # the peer did not wait for the answer
    except Exception:
        handshake.fail()
