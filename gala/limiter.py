"""The limiter in front of Django's pages: so many requests inside at once, a short queue, and for the rest 503 at once.

Every request inside Django is a thread, and most of them a connection to the database. Without a limit, a few hundred
readers of pages would take the processor from the sockets of the same gateway, and the database's last connections.

A place is taken when the whole request has arrived, and given back when Django has done its work: who sends or reads
slowly holds none. See docs/decisions/0021-a-limiter-in-front-of-django.md.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[..., Awaitable[None]]

QUEUE = 4  # so many requests wait for each place
PATIENCE_S = 5.0
RETRY_S = (1, 3)  # not all of them in the same moment
KEPT = 1 << 20  # bytes of an answer that are kept for a slow reader; what is longer is a stream
MESSAGE = "too many requests at once, try again in a moment"


class Limiter:
    """ASGI: lets `places` requests at once into the application, and as many streams beside them."""

    def __init__(self, app: App, places: int, queue: int | None = None) -> None:
        self.app = app
        self._places = asyncio.Semaphore(places)
        self._queue = QUEUE * places if queue is None else queue
        self._streams = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(self, scope, receive, send)
        try:
            await self.app(scope, visit.receive, visit.send)
        finally:
            visit.leave()
        await visit.deliver()

    async def enter(self) -> bool:
        """Takes a place, after a short wait if there is room to wait; False: there is none."""
        if not self._places.locked():
            return await self._places.acquire()
        if not self._queue:
            return False
        self._queue -= 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            self._queue += 1

    def leave(self) -> None:
        """Gives a place back."""
        self._places.release()

    def begin_stream(self) -> bool:
        """Whether there is room for one more answer that takes as long as its reader."""
        if not self._streams:
            return False
        self._streams -= 1
        return True

    def end_stream(self) -> None:
        self._streams += 1


class Visit:
    """One request and its answer: what stands between the server and the application."""

    def __init__(self, limiter: Limiter, scope: Scope, receive: Receive, send: Send) -> None:
        self._limiter, self._scope, self._receive, self._send = limiter, scope, receive, send
        self._asked = self._inside = self._streams = False
        self._kept: list[Message] = []
        self._size = 0

    async def receive(self) -> Message:
        """The request; its last part is handed on as soon as there is a place."""
        message = await self._receive()
        if self._asked or message["type"] != "http.request" or message.get("more_body", False):
            return message
        self._asked, self._inside = True, await self._limiter.enter()
        if self._inside:
            return message
        await refuse(self._scope, self._send)
        return {"type": "http.disconnect"}  # Django stops here, before it has begun

    async def send(self, message: Message) -> None:
        """Keeps the answer, so that no thread waits for its reader; hands it on when it gets too long for that."""
        if self._streams:
            return await self._send(message)
        self._kept.append(message)
        self._size += len(message.get("body", b""))
        if self._size > KEPT:
            await self._stream()

    async def _stream(self) -> None:
        if not self._limiter.begin_stream():
            self._kept.clear()
            await refuse(self._scope, self._send)
            raise asyncio.CancelledError  # as when the reader has gone: Django closes what it has opened
        self._streams = True
        self._leave_place()
        await self.deliver()

    async def deliver(self) -> None:
        """Sends what was kept."""
        kept, self._kept = self._kept, []
        for message in kept:
            await self._send(message)

    def leave(self) -> None:
        """Gives back what this request holds."""
        self._leave_place()
        if self._streams:
            self._limiter.end_stream()

    def _leave_place(self) -> None:
        if self._inside:
            self._inside = False
            self._limiter.leave()


async def refuse(scope: Scope, send: Send) -> None:
    """503: JSON for programs, a line of text for people."""
    again = (b"retry-after", str(random.randint(*RETRY_S)).encode())
    content = {"code": "busy", "message": MESSAGE} if wants_json(scope) else f"{MESSAGE}\n"
    await answer(send, 503, content, again)


def wants_json(scope: Scope) -> bool:
    """Whether a program has asked, or a person."""
    accepted = dict(scope["headers"]).get(b"accept", b"")
    return scope["path"].startswith("/api/") or b"application/json" in accepted


async def answer(send: Send, status: int, content: dict[str, Any] | str, *extra: tuple[bytes, bytes]) -> None:
    """A short answer, without Django."""
    kind = b"text/plain; charset=utf-8" if isinstance(content, str) else b"application/json"
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    headers += [(b"cache-control", b"no-store"), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
