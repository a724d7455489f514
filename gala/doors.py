"""The door in front of all pages: a body that is larger than any page takes is refused before it is read.

Django writes a body to the disk before anybody looks at it. nginx has the same bounds in front (docker/nginx.conf);
these hold without it, too, and also for a body that does not say how long it is.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from gala.limiter import answer, wants_json

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[..., Awaitable[None]]

LARGEST_BODY = 64 << 10  # bytes
LARGEST_UPLOAD = 8 << 20
UPLOADS = "/admin/"  # long lists, with a form for each row
# A picture of 10 MB, and somewhat more, so that the page itself can say what is too much.
LARGEST_PICTURE = 12 << 20
PICTURES = re.compile(r"/console/[^/]+/pictures/keep/")
LINGER_S, LINGER_BYTES = 1.0, 1 << 20
LONGEST_NUMBER = 18  # digits; the first of more are too large, too


def largest_body(path: str) -> int:
    """So many bytes may be sent to this address."""
    if PICTURES.fullmatch(path):
        return LARGEST_PICTURE
    return LARGEST_UPLOAD if path.startswith(UPLOADS) else LARGEST_BODY


class Doors:
    """ASGI: lets requests in whose bodies are small enough, by what they announce and by what comes."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(scope, receive, send)
        if visit.announced > visit.most:
            return await visit.refuse()
        await self.app(scope, visit.receive, visit.send)


class Visit:
    """One request: counts what comes, and answers for the application where that is too much."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._came, self._refused, self._answered = 0, False, False
        self.most = largest_body(scope["path"])

    @property
    def announced(self) -> int:
        """Servers have checked that it is a number; 0 where nothing is said, as of a body in chunks."""
        length: bytes = dict(self._scope["headers"]).get(b"content-length", b"")
        return int(length[:LONGEST_NUMBER]) if length.isdigit() else 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._came += len(message.get("body", b""))
        if self._came <= self.most:
            return message
        await self.refuse()
        return {"type": "http.disconnect"}  # the application stops here

    async def send(self, message: Message) -> None:
        if not self._refused:
            self._answered = True
            await self._send(message)

    async def refuse(self) -> None:
        """413, and the end of the connection."""
        if self._refused or self._answered:
            return
        self._refused = True
        text = f"expected at most {self.most:,} bytes"
        content = {"code": "too_large", "message": text} if wants_json(self._scope) else f"{text}\n"
        await answer(self._say, 413, content, (b"connection", b"close"))
        await self._linger()
        await self._send({"type": "http.response.body", "body": b""})

    async def _say(self, message: Message) -> None:
        """The answer is whole by its length, and the server does not hang up with it."""
        more = {"more_body": True} if message["type"] == "http.response.body" else {}
        await self._send({**message, **more})

    async def _linger(self) -> None:
        """Throws away what is on its way, for a moment: whoever is cut off while sending never sees the answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while self._came < self.most + LINGER_BYTES:
                    message = await self._receive()
                    self._came += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
