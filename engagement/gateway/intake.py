"""Reads from all phones of a process, in turns: however much they say, flushes, acks and pulses get theirs.

libuv hands over up to 49,152 reads in a row before it looks at a timer. With that, an overloaded gateway read for
seconds before it wrote its first ack. See docs/decisions/0023-the-fast-path.md.
"""

import asyncio
import logging
import os
import select
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol

log = logging.getLogger(__name__)

READ_BYTES = 450  # with its header a small object of Python: larger ones come from malloc
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
        self._sources: list[Source | None] = []  # by descriptor: those are small, and are given again
        self._watched = 0  # how many there are
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._take_turn)
        self._full_since: int | None = None  # a moment from which on not everything has been read
        self._reads = 0  # since then
        self._sweep_ns = 0  # how long it took to look at everybody once
        self._again: asyncio.Handle | None = None

    def add(self, fd: int, source: Source) -> None:
        """From now on this socket is read."""
        self._epoll.register(fd, select.EPOLLIN)
        self._sources += [None] * (fd + 1 - len(self._sources))
        self._sources[fd] = source
        self._watched += 1

    def remove(self, fd: int) -> None:
        """Nothing is read from it any more; to be called before it is closed, any number of times."""
        if fd < len(self._sources) and self._sources[fd] is not None:
            self._sources[fd] = None
            self._watched -= 1
            self._epoll.unregister(fd)

    @property
    def behind_ns(self) -> int:
        """How long something may have been waiting to be read: one sweep over all sockets, 0 when nothing is left."""
        return 0 if self._full_since is None else max(self._sweep_ns, monotonic_ns() - self._full_since)

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
            source = sources[fd]
            if source is None:
                continue  # removed in this turn
            try:
                data = read(fd, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            self._hand_over(fd, source, data)

    def _hand_over(self, fd: int, source: Source, data: bytes) -> None:
        try:
            if data:
                source.data_received(data)
                return
        except Exception:
            log.exception("a socket is given up")  # as the event loop would do with its own; the others go on
        self.remove(fd)
        source.eof_received()

    def _note(self, ready: int) -> None:
        """More than this may be there to read: then another turn follows, which also finds out when there is not."""
        if ready < IN_A_TURN:
            self._full_since, self._sweep_ns = None, 0
            return
        self._count(ready)
        if self._again is None:
            self._again = self._loop.call_soon(self._take_another)

    def _count(self, ready: int) -> None:
        """Sockets are ready in turns: after as many reads as there are sockets, everybody was looked at."""
        at_ns = monotonic_ns()
        if self._full_since is None:
            self._full_since, self._reads = at_ns, 0
        self._reads += ready
        if self._reads >= self._watched:
            self._sweep_ns, self._full_since, self._reads = at_ns - self._full_since, at_ns, 0

    def _take_another(self) -> None:
        self._again = None
        self._take_turn()
