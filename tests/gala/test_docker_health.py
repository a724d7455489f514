"""The health checks of docker/compose.yaml as themselves, against real processes: what their exit status says is so."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from gala import alive
from gala.embedded import start_server
from gala.entrypoints import ROOT, arguments_of
from gala.listener import listen
from gala.processes import spawn, stop_all
from tests.gala.compose import SERVICES
from tests.gala.test_processes import ps, until

START_S = 40.0
LATE_S = alive.OLDEST_S + 8
EVERY_S = 0.5  # a check is a process of its own


class Container:
    """One of our services as a process, with a folder of its own for /tmp."""

    def __init__(self, name: str, folder: Path, **environment: str) -> None:
        self.name, self.folder = name, folder
        self.environment = {**os.environ, "HEALTH_DIR": str(folder), **environment}
        (entry_point,) = SERVICES[name]["command"]
        command = arguments_of(entry_point, environment=self.environment)
        self.process = spawn(command, env={**self.environment, "PYTHONPATH": str(ROOT)}, log=folder / "log")

    def check(self) -> tuple[bool, str]:
        """Runs the health check of this service: whether it is healthy, and what was said."""
        kind, program, *rest = SERVICES[self.name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        seconds = int(SERVICES[self.name]["healthcheck"]["timeout"].removesuffix("s"))
        done = subprocess.run(
            [sys.executable, *rest],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        return done.returncode == 0, done.stderr.strip()

    def healthy(self) -> bool:
        return self.check()[0]


@contextmanager
def running(name: str, folder: Path, **environment: str) -> Iterator[Container]:
    folder.mkdir(exist_ok=True)
    container = Container(name, folder, **environment)
    try:
        assert not container.healthy(), "nothing can be healthy before it works"
        assert until(container.healthy, START_S, EVERY_S), (folder / "log").read_text()[-3000:]
        yield container
    finally:
        stop_all([container.process], 10)


def test_a_gateway_is_healthy_while_it_answers(tmp_path: Path) -> None:
    free = listen("127.0.0.1", 0)
    port = str(free.getsockname()[1])
    free.close()
    with running("gateway", tmp_path / "tmp", GATEWAY_PORT=port) as gateway:
        os.kill(gateway.process.pid, signal.SIGSTOP)  # its socket still takes connections
        healthy, said = gateway.check()
        os.kill(gateway.process.pid, signal.SIGCONT)
        assert (healthy, said) == (False, f"gateway: /healthz at port {port}: timed out")
        assert until(gateway.healthy)


def test_a_worker_is_healthy_while_it_listens_at_the_broker(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    server = start_server(data)
    try:
        with running("worker", tmp_path / "tmp", REDIS_URL=server.url) as worker:
            server.stop()
            assert until(lambda: not worker.healthy(), LATE_S, EVERY_S)
            assert worker.check()[1] == "worker: no sign of worker in the last 15 s"
            assert worker.process.poll() is None
            server = start_server(data)
            assert until(worker.healthy, START_S, EVERY_S)
    finally:
        server.stop()


def test_a_conductor_whose_beat_has_died_is_not_healthy(tmp_path: Path, migrated: Path) -> None:
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/gala.sqlite3"}
    shutil.copy(migrated / "gala.sqlite3", tmp_path)
    with running("conductor", tmp_path / "tmp", **database) as conductor:
        pid = conductor.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)  # beat and the pool; the latter is filled again
        assert until(lambda: not conductor.healthy(), LATE_S, EVERY_S)
        assert (
            conductor.check()[1]
            == "conductor: no sign of conduct, conduct_draws, conduct_witnesses and conduct_stampers in the last 15 s"
        )
        assert conductor.process.poll() is None and "beat" in ps("command", conductor.process.pid)


def test_a_conductor_whose_tasks_fail_is_not_healthy(tmp_path: Path) -> None:
    """Here for want of tables."""
    (tmp_path / "tmp").mkdir()
    conductor = Container("conductor", tmp_path / "tmp", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")
    try:
        assert until(lambda: "no such table" in (tmp_path / "tmp" / "log").read_text(), START_S)
        assert not conductor.healthy()
    finally:
        stop_all([conductor.process], 10)


def test_the_conductor_has_to_mark_each_of_its_tasks() -> None:
    tasks = {str(row["task"]).rpartition(".")[2] for row in settings.CELERY_BEAT_SCHEDULE.values()}
    assert tasks == set(alive.MARKS["conductor"])


@pytest.mark.parametrize("written", ["", "words", "-1", "99999999999"])
def test_a_mark_that_makes_no_sense_is_none(written: str, tmp_path: Path) -> None:
    (tmp_path / "alive-worker").write_text(written)
    said = subprocess.run(
        [sys.executable, "-m", "gala.alive", "worker"],
        cwd=ROOT, env={**os.environ, "HEALTH_DIR": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (said.returncode, said.stderr) == (1, "worker: no sign of worker in the last 15 s\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["worker"], "HEALTH_DIR: expected the folder"), ([], "expected gateway, worker or")],
)
def test_a_check_that_cannot_be_made_says_what_it_needs(arguments: list[str], reason: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HEALTH_DIR"}
    command = [sys.executable, "-m", "gala.alive", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and reason in done.stderr and done.stderr.count("\n") == 1
