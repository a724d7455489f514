"""Serves pictures in front of Django, without the database: GET and HEAD of /pictures/<digest>/<width>.<kind>.

The content of an address never changes, so that browsers and whatever is between keep it for a year. A thousand phones
ask for the same few files: the last ones stay in memory.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from engagement.pictures.core.names import ADDRESS, read_path
from engagement.pictures.store import pictures

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

FOR_EVER = b"public, max-age=31536000, immutable"
NOTHING = b"default-src 'none'; frame-ancestors 'none'; sandbox"
KEPT_BYTES = 32 << 20
PIECE = 64 << 10  # so much waits for a slow reader, whatever the size of the picture
READERS = 4


class Shelf:
    """The last files that somebody has asked for, at most `most` bytes of them."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most, self._held = most, 0
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._readers = asyncio.Semaphore(READERS)

    async def fetch(self, name: str) -> bytes:
        """The content of a file; FileNotFoundError without it."""
        if name in self._files:
            self._files.move_to_end(name)
            return self._files[name]
        async with self._readers:
            if name not in self._files:
                self._put(name, await asyncio.to_thread(_read, name))
            return self._files[name]

    def _put(self, name: str, content: bytes) -> None:
        self._files[name] = content
        self._held += len(content)
        while self._held > self._most and len(self._files) > 1:
            self._held -= len(self._files.popitem(last=False)[1])


def _read(name: str) -> bytes:
    return pictures.fetch(name).read_bytes()


shelf = Shelf()


def is_picture(scope: Scope) -> bool:
    """Whether this request is for a picture."""
    path: str = scope["path"]
    return path.startswith(ADDRESS)


async def serve_pictures(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: one file of one picture."""
    if scope["method"] not in ("GET", "HEAD"):
        return await _say(send, 405, [(b"allow", b"GET, HEAD")])
    found = read_path(scope["path"])
    if found is None:
        return await _say(send, 404)
    name, kind = found
    try:
        content = await shelf.fetch(name)
    except FileNotFoundError:
        return await _say(send, 404)
    tag = f'"{name}"'.encode()
    if dict(scope["headers"]).get(b"if-none-match") == tag:
        return await _start(send, 304, [(b"etag", tag), (b"cache-control", FOR_EVER)], b"")
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", FOR_EVER),
        (b"content-security-policy", NOTHING),
        (b"x-content-type-options", b"nosniff"),
        (b"etag", tag),
    ]
    await _start(send, 200, headers, content if scope["method"] == "GET" else b"")


async def _say(send: Send, status: int, more: Headers | None = None) -> None:
    text = {404: b"there is no such picture\n", 405: b"expected GET or HEAD\n"}[status]
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        *(more or []),
    ]
    await _start(send, status, [*headers, (b"content-length", str(len(text)).encode())], text)


async def _start(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for at in range(0, len(body), PIECE):
        await send({"type": "http.response.body", "body": body[at : at + PIECE], "more_body": True})
    await send({"type": "http.response.body", "body": b""})
