import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gala.processes import spawn, stop_all

ROOT = Path(__file__).resolve().parents[2]
# A child with a child of its own, like uvicorn with workers; both write their pids.
FAMILY = "sleep 600 & echo $$ $! > {pids}; wait"
# A parent that starts the family and then sleeps.
PARENT = """
import os, signal, sys, time
from pathlib import Path
from gala.processes import spawn
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
spawn(["sh", "-c", sys.argv[1]], env=os.environ, log=Path(os.devnull))
time.sleep(600)
"""


def until(condition: Callable[[], object], seconds: float = 5.0, every: float = 0.01) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def ps(column: str, pid: int) -> str:
    """One column of ps, without needing ps on Linux; empty when there is no such process."""
    if sys.platform != "linux":
        asked = subprocess.run(["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True)
        return asked.stdout.strip()
    try:
        if column == "stat":
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return ps("stat", pid)[:1] not in ("", "Z")


def read_pids(path: Path) -> list[int]:
    assert until(lambda: path.exists() and path.read_text().strip()), f"{path} was never written"
    return [int(word) for word in path.read_text().split()]


class TestChildren:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_a_killed_parent_leaves_neither_children_nor_grandchildren(
        self, tmp_path: Path, number: int
    ) -> None:
        pids = tmp_path / "pids"
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, FAMILY.format(pids=pids)], cwd=ROOT, stderr=subprocess.DEVNULL
        )
        family = read_pids(pids)
        assert all(map(alive, family))
        parent.send_signal(number)
        parent.wait(5)
        assert until(lambda: not any(map(alive, family))), "a process outlived the parent"

    def test_stop_all_ends_a_group_that_ignores_sigterm_when_the_time_is_up(self, tmp_path: Path) -> None:
        pids = tmp_path / "pids"
        stubborn = spawn(
            ["sh", "-c", "trap '' TERM; " + FAMILY.format(pids=pids)], env=os.environ, log=tmp_path / "log"
        )
        family = read_pids(pids)
        started = time.monotonic()
        stop_all([stubborn], 0.3)
        assert stubborn.returncode == -signal.SIGKILL
        assert 0.3 <= time.monotonic() - started < 3
        assert until(lambda: not any(map(alive, family)))

    def test_stop_all_waits_for_an_orderly_end(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        orderly = spawn(
            [
                "sh",
                "-c",
                "trap 'sleep 0.2; echo done; exit 3' TERM; echo ready; while :; do sleep 0.02; done",
            ],
            env=os.environ,
            log=log,
        )
        assert until(lambda: log.exists() and "ready" in log.read_text())
        stop_all([orderly], 5)
        assert (orderly.returncode, log.read_text()) == (3, "ready\ndone\n")

    def test_one_deadline_holds_for_all_together(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        command = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done"]
        children = [spawn(command, env=os.environ, log=log) for _ in range(5)]
        assert until(lambda: log.read_text().count("ready") == 5)
        started = time.monotonic()
        stop_all(children, 0.4)
        assert time.monotonic() - started < 1.5
        assert [child.returncode for child in children] == [-signal.SIGKILL] * 5


def test_a_child_gets_the_environment_and_the_descriptors_it_was_given(tmp_path: Path) -> None:
    log = tmp_path / "log"
    reading, writing = os.pipe()
    child = spawn(
        ["sh", "-c", f"echo $WORD; echo through > /dev/fd/{writing}"],
        env={"WORD": "shake", "PATH": os.environ["PATH"]},
        log=log,
        pass_fds=[writing],
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "through\n"
    assert child.wait(5) == 0
    assert log.read_text() == "shake\n"


def test_output_is_appended_to_what_the_log_already_holds(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    assert spawn(["sh", "-c", "echo out; echo err >&2"], env=os.environ, log=log).wait(5) == 0
    assert log.read_text() == "before\nout\nerr\n"
