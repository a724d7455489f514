"""Reads from all phones of a process, in turns: however much they say, flushes, acks and pulses get theirs.

libuv hands over up to 49,152 reads in a row before it looks at a timer. With that, an overloaded gateway read for
seconds before it wrote its first ack. See docs/decisions/0023-the-fast-path.md.
"""

import asyncio
import os
import select
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol

READ_BYTES = 16_384
IN_A_TURN = 256  # reads: a few milliseconds


class Source(Protocol):
    """One socket that is read."""

    def data_received(self, data: bytes) -> None:
        """Some bytes."""

    def eof_received(self) -> None:
        """There will be no more."""


class Intake:
    """An `epoll` of phones' sockets inside the event loop's own."""

    def __init__(self, before_turn: Callable[[], None] = lambda: None) -> None:
        self._before_turn = before_turn
        self._epoll = select.epoll()
        self._sources: dict[int, Source] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._take_turn)
        self._full_since: int | None = None
        self._again: asyncio.Handle | None = None

    def add(self, fd: int, source: Source) -> None:
        """From now on this socket is read."""
        self._sources[fd] = source
        self._epoll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Nothing is read from it any more; to be called before it is closed, any number of times."""
        if self._sources.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    @property
    def behind_ns(self) -> int:
        """For how long there has been more to read than a turn takes; 0 when everything has been read."""
        return 0 if self._full_since is None else monotonic_ns() - self._full_since

    def close(self) -> None:
        """Reads from nobody any more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._sources.clear()

    def _take_turn(self) -> None:
        self._before_turn()
        sources, read = self._sources, os.read
        ready = self._epoll.poll(0, IN_A_TURN)
        self._note(len(ready))
        for fd, _ in ready:
            source = sources.get(fd)
            if source is None:
                continue  # removed in this turn
            try:
                data = read(fd, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                source.data_received(data)
            else:
                self.remove(fd)
                source.eof_received()

    def _note(self, ready: int) -> None:
        """More than this may be there to read: then another turn follows, which also finds out when there is not."""
        if ready < IN_A_TURN:
            self._full_since = None
            return
        self._full_since = self._full_since or monotonic_ns()
        if self._again is None:
            self._again = self._loop.call_soon(self._take_another)

    def _take_another(self) -> None:
        self._again = None
        self._take_turn()
