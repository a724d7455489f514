"""What a gateway process measures of itself: how busy it is, and how late it comes to what is due."""

import asyncio
import io
from collections.abc import Callable
from time import monotonic_ns, thread_time_ns

from engagement.gateway.core.pace import Load

SCHEDSTAT = "/proc/thread-self/schedstat"
TICK_S = 0.1


class LoadMeter:
    """Measures the thread that starts it, which is the event loop's; one timer for the whole process.

    A process that shares its core with others is saturated long before it has used a core's time, so the time in
    which it waited for the processor counts as busy, too. Linux counts both (Documentation/scheduler/sched-stats.rst);
    elsewhere the time on the processor must do.

    It is late by as much as its event loop comes too late to a timer, or by the time for which something has been
    waiting to be read, which `unread_ns` tells.
    """

    def __init__(self, schedstat: str = SCHEDSTAT, unread_ns: Callable[[], int] = lambda: 0) -> None:
        self._path = schedstat
        self._unread_ns = unread_ns
        self._schedstat: io.FileIO | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = monotonic_ns()
        self._lag_ns = 0
        self._lag_before_ns = 0
        # How late the process is, or was at worst since the last sample but one: what has piled up in the sockets
        # meanwhile is read after the timers have been run, a sample among them.
        self.behind_ns = 0

    def start(self) -> None:
        # Kept open: a process that has run out of descriptors is one that needs its figures.
        self._schedstat = _open_schedstat(self._path)
        self._wanted_ns, self._sampled_ns = self._read_wanted_ns(), monotonic_ns()
        self._set_timer()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._schedstat is not None:
            self._schedstat.close()

    def sample(self, flush_ms: int) -> Load:
        """The load since the last sample; `flush_ms`, how long totals wait for the tally, is passed through."""
        wanted, at_ns = self._read_wanted_ns(), monotonic_ns()
        busy = (wanted - self._wanted_ns) / max(1, at_ns - self._sampled_ns)
        lag = self._worst_ns()
        self._wanted_ns, self._sampled_ns = wanted, at_ns
        self._lag_before_ns, self._lag_ns = lag, 0
        self.look()
        return Load(min(1.0, busy), lag // 1_000_000, flush_ms)

    def look(self) -> None:
        """Brings `behind_ns` up to date: before many reads, each of which wants to know."""
        self.behind_ns = max(self._lag_before_ns, self._worst_ns())

    def _worst_ns(self) -> int:
        """Since the last sample; the timer may be overdue itself."""
        return max(self._lag_ns, monotonic_ns() - self._due_ns, self._unread_ns())

    def _set_timer(self) -> None:
        self._due_ns = monotonic_ns() + int(TICK_S * 1e9)
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._lag_ns = self._worst_ns()
        self.look()
        self._set_timer()

    def _read_wanted_ns(self) -> int:
        """For how long this thread has run or waited for a processor."""
        if self._schedstat is None:
            return thread_time_ns()
        self._schedstat.seek(0)
        ran, waited, _ = self._schedstat.read().split()
        return int(ran) + int(waited)


def _open_schedstat(path: str) -> io.FileIO | None:
    """None where the kernel has no such file, or does not count: then it consists of zeros."""
    try:
        schedstat = io.FileIO(path)
    except OSError:
        return None
    if schedstat.read().startswith(b"0 "):
        schedstat.close()
        return None
    return schedstat
