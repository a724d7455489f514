"""What server processes cost, read from outside, and how they are held, starved and counted."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gala.processes import spawn, stop_all

CPUCLOCK_SCHED = 2  # <linux/posix-timers.h>: the clock of all threads of a process, in nanoseconds
STANDING = "TZ"  # stopped, or ended: nobody waits for that one for ever
BUSY = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def cpu_seconds(pids: list[int]) -> float:
    """The processor time of these processes so far; /proc/<pid>/stat would say it in steps of 10 ms only.

    They are held for it: the clock of a process that runs elsewhere goes on at the kernel's next tick only.
    """
    with held(pids):
        return read_cpu_seconds(pids)


def read_cpu_seconds(pids: Iterable[int]) -> float:
    """The same of processes that are held already."""
    return sum(time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED) for pid in pids)


def resident_kib(pids: Iterable[int]) -> int:
    return sum(_status(pid, "VmRSS") for pid in pids)


def threads(pid: int) -> int:
    return _status(pid, "Threads")


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _status(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def held(pids: list[int]) -> Iterator[None]:
    """Stops processes for a moment, so that what they get meanwhile is all there when they go on."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        while any(_state(pid) not in STANDING for pid in pids):
            time.sleep(0)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def busy_loops(number: int, core: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that want the whole of a core: another one there gets 1 / (number + 1) of it.

    Each leads a session of its own, like the gateway: where the kernel groups by session (autogroup), a nice value
    would have no effect between them.
    """
    with tempfile.TemporaryDirectory(prefix="bench-busy-") as folder:
        command, log = [sys.executable, "-I", "-c", BUSY, str(core)], Path(folder, "log")
        loops: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(number):
                loops.append(spawn(command, env=os.environ, log=log))
            yield loops
        finally:
            stop_all(loops, 2)
