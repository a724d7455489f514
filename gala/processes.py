"""Child processes that never outlive the process that started them.

Two nets, because each has a hole. The kernel's PR_SET_PDEATHSIG kills a direct child with its parent, but
knows nothing of grandchildren (uvicorn's workers, Celery's pool). So every child also leads a process group
of its own, and one small guard process per parent kills those groups when the pipe that it reads from ends,
which it does however the parent died.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_guard: tuple[int, subprocess.Popen[bytes]] | None = None  # the pid it belongs to, and the guard


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends; on Linux only."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path | None = None,
    pass_fds: Sequence[int] = (),
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start `args` in its own process group; it dies with this process.

    Its output is appended to `log`, or goes where that of this process goes.

    Call it from the main thread: PR_SET_PDEATHSIG takes the end of that thread for the parent's death.
    """
    parent = os.getpid()
    guard_pipe = _pipe_to_guard()

    def tie_to_parent() -> None:
        # The child itself tells the guard, before it becomes the program: a parent that dies in between leaves nothing.
        with contextlib.suppress(BrokenPipeError):
            os.write(guard_pipe, f"+{os.getpid()}\n".encode())
        die_with_parent()
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    with log.open("ab") if log is not None else contextlib.nullcontext() as output:
        process = subprocess.Popen(
            args,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            pass_fds=pass_fds,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            start_new_session=True,  # Ctrl-C reaches the supervisor only, which stops its children in order
            preexec_fn=tie_to_parent,
        )
    return process


def stop_all(processes: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    """SIGTERM to all, `seconds` to end together, then SIGKILL to what is left of their process groups."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    for process in processes:
        _kill_group(process.pid)
        process.wait()
        if _guard is not None:
            _tell(_guard[1], f"-{process.pid}")


def _kill_group(group: int) -> None:
    # PermissionError: macOS says so of a group whose members are all dead but not yet collected.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _pipe_to_guard() -> int:
    guard = _guard_of_this_process()
    assert guard.stdin is not None
    return guard.stdin.fileno()


def _guard_of_this_process() -> subprocess.Popen[bytes]:
    global _guard
    if _guard is None or _guard[0] != os.getpid() or _guard[1].poll() is not None:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _guard = (os.getpid(), process)
        atexit.register(_dismiss_guard)
    return _guard[1]


def _dismiss_guard() -> None:
    if _guard is not None and _guard[0] == os.getpid():
        _guard[1].communicate()  # closes its pipe, upon which it ends


def _tell(guard: subprocess.Popen[bytes], line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # someone killed the guard; PR_SET_PDEATHSIG is still there
        assert guard.stdin is not None
        guard.stdin.write(line.encode() + b"\n")
        guard.stdin.flush()


def _start_time(pid: int) -> str | None:
    """When a process began, which tells it from a later one with the same number; None if unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return None


def _guard_groups() -> None:
    """The guard: "+pid" and "-pid" lines come in; when they end, the groups still listed are killed."""
    groups: dict[int, str | None] = {}
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            groups[pid] = _start_time(pid)
        else:
            groups.pop(pid, None)
    for pid, started in groups.items():
        # A number is not given away while it names a group: another start time means the group has ended.
        if _start_time(pid) in (None, started):
            _kill_group(pid)


if __name__ == "__main__":
    _guard_groups()
