"""A socket on plain ASGI: any server that speaks it carries phones."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from engagement.gateway.transport.socket import CLOSE_S, Event, Frame, Listener
from engagement.gateway.transport.stepping import start

Send = Callable[[Event], Coroutine[Any, Any, None]]


class AsgiSocket:
    """Writes frames through ASGI's `send` without a task per frame, and coalesces them while the peer is slow.

    ASGI's `send` only suspends while the socket's buffer is full. So its coroutine is run by hand: it mostly ends at
    once. When it does not, one task finishes it, and what comes meanwhile waits in `_waiting`, the newest of each kind.
    """

    __slots__ = (
        "_closing",
        "_listener",
        "_reader",
        "_send",
        "_waiting",
        "_writer",
        "blocked_since",
        "closed",
    )

    def __init__(self, send: Send) -> None:
        self._send = send
        self._listener: Listener | None = None
        self._reader: asyncio.Task[Any] | None = None
        self._waiting: dict[str, Frame] = {}
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self.blocked_since: float | None = None
        self.closed = False

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    async def read(self, receive: Callable[[], Awaitable[Event]]) -> None:
        """Hands on what comes in, until the end."""
        self._reader = asyncio.current_task()
        try:
            while (event := await receive())["type"] != "websocket.disconnect":
                if self._listener is not None and not self.closed:
                    self._listener.take(event.get("text"))
        except asyncio.CancelledError:
            if not self.closed:
                raise
        finally:
            self.closed = True
            # They point at each other: nothing is left to collect.
            listener, self._listener = self._listener, None
            if listener is not None:
                listener.gone()

    def write(self, kind: str, frame: Frame) -> None:
        if self.closed:
            return
        if self._writer is not None:
            self._waiting[kind] = frame
            return
        try:
            rest = start(self._send(frame.event))
        except Exception:
            return  # the peer is gone: the reader says so, too
        if rest is not None:
            self.blocked_since = asyncio.get_running_loop().time()
            self._writer = asyncio.create_task(self._drain(rest))

    def write_together(self, frames: Mapping[str, Frame]) -> None:
        for kind, one in frames.items():
            self.write(kind, one)

    async def _drain(self, rest: Awaitable[None]) -> None:
        try:
            await rest
            while self._waiting and not self.closed:
                kind = next(iter(self._waiting))
                self.blocked_since = asyncio.get_running_loop().time()  # it does drain, if slowly
                await self._send(self._waiting.pop(kind).event)
        except Exception:
            # Servers differ in what they raise when the peer is gone; the consumer sees the disconnect itself.
            self.closed = True
        finally:
            self._writer, self.blocked_since = None, None

    def check(self) -> None:
        """Servers that speak ASGI look after their peers themselves."""

    def close(self, code: int, reason: str = "", last_word: Frame | None = None) -> None:
        if self.closed:
            return
        if last_word is not None:
            self.write("error", last_word)
        self.closed = True
        if self._writer is not None:
            self._writer.cancel()
        self._closing = asyncio.create_task(
            self._say_goodbye({"type": "websocket.close", "code": code, "reason": reason})
        )

    async def _say_goodbye(self, event: Event) -> None:
        """Ends the consumer, too; a peer that does not read is not waited for."""
        try:
            await asyncio.wait_for(self._send(event), CLOSE_S)
        except Exception:
            # The peer is gone or never reads. ASGI has no word for dropping it, and a close that waits for a peer
            # that never reads waits for ever.
            transport = getattr(getattr(self._send, "__self__", None), "transport", None)
            if transport is not None:
                transport.abort()
        if self._reader is not None:
            self._reader.cancel()
