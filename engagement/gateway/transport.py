"""One socket as the hub sees it: writing never waits, and a slow phone costs a handful of frames, no more."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from engagement.core.errors import PhoneFault
from engagement.core.messages import error_frame

Event = dict[str, Any]
Send = Callable[[Event], Coroutine[Any, Any, None]]


def text_event(frame: str) -> Event:
    """The ASGI event of one text frame; built once for a broadcast and shared by all its sockets."""
    return {"type": "websocket.send", "text": frame}


class Socket:
    """Writes frames through ASGI's `send` without a task per frame, and coalesces them while the peer is slow.

    ASGI's `send` only suspends while the socket's buffer is full. So its coroutine is run by hand: it mostly ends at
    once. When it does not, one task finishes it, and what comes meanwhile waits in `_waiting`, the newest of each kind.
    """

    __slots__ = ("_reader", "_send", "_waiting", "_writer", "blocked_since", "closed", "given_up")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._reader = asyncio.current_task()  # the consumer, which waits for the peer's next frame
        self._waiting: dict[str, Event] = {}
        self._writer: asyncio.Task[None] | None = None
        self.blocked_since: float | None = None
        self.closed = False
        self.given_up: asyncio.Task[None] | None = None

    def write(self, kind: str, event: Event) -> None:
        """Sends one frame, or keeps it as the newest of its kind until the socket drains."""
        if self.closed:
            return
        if self._writer is not None:
            self._waiting[kind] = event
            return
        rest = _start(self._send(event))
        if rest is not None:
            self.blocked_since = asyncio.get_running_loop().time()
            self._writer = asyncio.create_task(self._drain(rest))

    async def _drain(self, rest: Awaitable[None]) -> None:
        try:
            await rest
            while self._waiting and not self.closed:
                kind = next(iter(self._waiting))
                self.blocked_since = asyncio.get_running_loop().time()  # it does drain, if slowly
                await self._send(self._waiting.pop(kind))
        except Exception:
            # Servers differ in what they raise when the peer is gone; the consumer sees the disconnect itself.
            self.closed = True
        finally:
            self._writer, self.blocked_since = None, None

    def give_up(self, fault: PhoneFault) -> None:
        """Closes from the outside: tries to tell the peer, then drops it and ends its consumer."""
        if self.given_up is None:
            self.given_up = asyncio.create_task(self._drop(fault))

    async def _drop(self, fault: PhoneFault) -> None:
        await self.close(fault)
        # ASGI has no word for it, and a close that waits for a peer that never reads waits for ever.
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()
        if self._reader is not None:
            self._reader.cancel()

    async def close(self, fault: PhoneFault, patience_s: float = 1.0) -> None:
        """Tells the phone why and closes; a peer that does not read is not waited for."""
        if self.closed:
            return
        self.write("error", text_event(error_frame(fault)))
        self.closed = True
        if self._writer is not None:
            self._writer.cancel()
        reason = "" if fault.retry_after_ms is None else f"retry={fault.retry_after_ms}"
        event = {"type": "websocket.close", "code": fault.error.close, "reason": reason}
        try:
            await asyncio.wait_for(self._send(event), patience_s)
        except Exception:
            return  # the peer is gone, or never reads: there is nobody to tell


def _start(coroutine: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Runs a coroutine up to its first suspension: None when it ended, else what remains of it, to be awaited."""
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    except Exception:
        return None  # the peer is gone: the consumer's own receive loop says so, too
    return _go_on(coroutine, awaited)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Awaits the rest of a coroutine that was started by hand (an `await` of it would be refused by Python)."""
    while True:
        problem: BaseException | None = None
        try:
            answer = yield awaited
        except BaseException as error:
            problem = error
        try:
            awaited = coroutine.send(answer) if problem is None else coroutine.throw(problem)
        except StopIteration:
            return
