"""Several gateway processes on one port, as the container starts them: GATEWAY_WORKERS=2."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gala import gateways
from gala.entrypoints import ROOT
from gala.listener import listen
from gala.processes import spawn, stop_all
from tests.gala.test_processes import alive, ps, until

START_S = 40.0
# What Python runs at its start, here of the children alone.
IN_CHILDREN = "import sys\nif 'uvicorn' in sys.orig_argv:\n    {}\n"


class Running:
    """`python -m gala.entrypoints gateway` with two workers."""

    def __init__(self, folder: Path, at_start_of_children: str = "pass") -> None:
        (folder / "sitecustomize.py").write_text(IN_CHILDREN.format(at_start_of_children))
        free = listen("127.0.0.1", 0)
        self.port = free.getsockname()[1]
        free.close()
        self.log, self._told = folder / "log", 0
        self.process = spawn(
            [sys.executable, "-m", "gala.entrypoints", "gateway"],
            env={
                **os.environ,
                "GATEWAY_WORKERS": "2",
                "GATEWAY_PORT": str(self.port),
                "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            },
            log=self.log,
        )

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def children(self) -> list[int]:
        """The gateway processes that live."""
        mine = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in mine if "uvicorn" in ps("command", int(pid)) and alive(int(pid))]

    def hand_on(self) -> None:
        """To the next test, for which nothing has been said yet."""
        self._told += len(self.news)

    @property
    def news(self) -> list[str]:
        """What is said to this test of gateway processes beside the start of both."""
        lines = [line for line in self.said.splitlines() if " gala.gateways: " in line]
        starts = [
            line for line in lines if re.search(r"INFO gala.gateways: gateway process \d+ serves$", line)
        ]
        return [line for line in lines if line not in starts[:2]][self._told :]

    def both_serve(self) -> list[int]:
        """The two processes, once both of them do."""
        assert until(lambda: self.said.count(" serves\n") >= 2, START_S), self.said
        return self.children

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        return False


@contextlib.contextmanager
def running(folder: Path, at_start_of_children: str = "pass") -> Iterator[Running]:
    gateway = Running(folder, at_start_of_children)
    try:
        assert until(gateway.answers, START_S), gateway.said
        yield gateway
    finally:
        stop_all([gateway.process], 8)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateways")) as gateway:
        yield gateway


@pytest.fixture
def gateway(started: Running) -> Running:
    """One for all tests that leave two processes serving."""
    started.hand_on()
    return started


def test_gateways_that_need_six_seconds_to_import_are_left_to_start(tmp_path: Path) -> None:
    with running(tmp_path, "import time; time.sleep(6)") as gateway:
        assert gateway.both_serve()
        assert gateway.news == []


def test_a_gateway_that_can_never_start_ends_it_all_with_the_reason(tmp_path: Path) -> None:
    gateway = Running(tmp_path, "sys.modules['channels'] = None")
    try:
        assert gateway.process.wait(START_S) == 1
    finally:
        stop_all([gateway.process], 5)
    assert "import of channels halted" in gateway.said  # of the child itself
    last = gateway.said.splitlines()[-1]
    assert re.fullmatch(
        r"gateways: gateway process \d+ ended with status 1 before it served, and no other .*", last
    )


def test_who_is_stopped_for_nine_seconds_goes_on_and_the_log_says_so(gateway: Running) -> None:
    before = gateway.both_serve()
    os.kill(before[0], signal.SIGSTOP)
    time.sleep(9)
    os.kill(before[0], signal.SIGCONT)
    assert until(lambda: len(gateway.news) == 2)
    silent, back = gateway.news
    name = f"WARNING gala.gateways: gateway process {before[0]} is"
    assert f"{name} silent for 5 s: it hangs, or the machine does" in silent
    assert re.search(rf"{name} back after (9|10|11) s$", back)
    assert gateway.children == before


def test_a_machine_that_stands_still_for_a_while_kills_nobody_and_is_no_news(gateway: Running) -> None:
    everybody = [*gateway.both_serve(), gateway.process.pid]
    for number, seconds in ((signal.SIGSTOP, 7), (signal.SIGCONT, 2)):
        for pid in everybody:
            os.kill(pid, number)
        time.sleep(seconds)
    assert [*gateway.children, gateway.process.pid] == everybody
    assert gateway.news == []


def test_a_gateway_that_dies_is_replaced_and_the_log_says_so(gateway: Running) -> None:
    killed, other = gateway.both_serve()
    os.kill(killed, signal.SIGKILL)
    assert until(lambda: len(gateway.news) == 3, START_S), gateway.said
    died, started, serves = gateway.news
    assert f"ERROR gala.gateways: gateway process {killed} was ended by signal 9" in died
    [new] = set(gateway.children) - {other}
    assert f"WARNING gala.gateways: gateway process {new} is started instead" in started
    assert f"gateway process {new} serves" in serves


def test_sigterm_ends_all_of_them_in_order(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        children = gateway.both_serve()
        gateway.process.terminate()
        assert gateway.process.wait(8) == 0
        assert not any(map(alive, children))
        assert gateway.news == []


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    taken = listen("127.0.0.1", 0)
    done = subprocess.run(
        [sys.executable, "-m", "gala.gateways", "--processes", "2", "--port", str(taken.getsockname()[1])],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    taken.close()
    assert done.returncode == 1
    assert re.fullmatch(
        r"gateways: port \d+ on 127.0.0.1 cannot be used: Address already in use\n", done.stderr
    )


# --- what takes minutes, in steps ---


BEATING = "while echo . >&$GATEWAY_BEATS; do sleep 0.05; done"
ONE_BEAT = "echo . >&$GATEWAY_BEATS; sleep 600"
NO_BEAT = "sleep 600"


@contextlib.contextmanager
def children(script: str, count: int = 1, ready: int = 0) -> Iterator[gateways.Gateways]:
    """So many; yields once so many of them serve."""
    listener = listen("127.0.0.1", 0)
    scene = gateways.Gateways(count, ["bash", "-c", script], listener)
    try:
        assert until(lambda: sum(child.serves for child in watched(scene)) >= ready)
        yield scene
    finally:
        scene.stop(0)
        listener.close()


def watched(scene: gateways.Gateways) -> Sequence[gateways.Child]:
    scene.watch(0)
    return scene.children


def pids(scene: gateways.Gateways) -> set[int]:
    return {child.process.pid for child in scene.children}


def test_who_hangs_for_a_minute_is_killed_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    with children(ONE_BEAT, 2, ready=2) as scene:
        before = pids(scene)
        for _ in range(12):
            scene.watch(5.0)
        assert pids(scene) == before
        scene.watch(1.0)
        assert not pids(scene) & before
        scene.watch(1.0)
        assert not any(map(alive, before))
    assert caplog.text.count("was killed after 60 s of silence") == 2


def test_who_beats_lives_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    with children(BEATING, 2, ready=2) as scene:
        before = pids(scene)
        for _ in range(20):
            time.sleep(0.1)
            scene.watch(20.0)
        assert pids(scene) == before


def test_who_starts_for_three_minutes_ends_it_all() -> None:
    with children(NO_BEAT) as scene:
        scene.watch(180.0)
        with pytest.raises(gateways.CannotServe, match="was killed after 180 s of silence before it served"):
            scene.watch(1.0)


def test_replacements_that_die_come_later_each_time_while_another_serves(tmp_path: Path) -> None:
    with children(f"mkdir {tmp_path}/one 2>&- || {{ sleep 0.2; exit 7; }}; {BEATING}", 2, ready=1) as scene:
        waits: list[int] = []
        while len(waits) < 6:
            assert until(lambda: len(watched(scene)) == 1)
            waits.append(0)
            while len(scene.children) == 1:
                scene.watch(1.0)
                waits[-1] += 1
    assert waits == [1, 2, 5, 10, 30, 30]
