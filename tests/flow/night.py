"""`manage.py show` as a person starts it, in a data directory (and on PostgreSQL a database) of its own."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import environ
import psycopg
from django.conf import settings

from gala.processes import spawn, stop_all

MANAGE = str(settings.BASE_DIR / "manage.py")
INHERITED = ("DATABASE_URL", "PATH", "HOME", "LANG", "TMPDIR")


class Night:
    """One data directory, the commands that are run on it, and the processes that live on it."""

    def __init__(self, data: Path, database: str | None = None) -> None:
        self.data = data
        kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.environment = {**kept, "GALA_DATA": str(data), "PYTHONWARNINGS": "default"}
        self.environment.pop("DATABASE_URL", None)
        self.database = database or f"sqlite:///{data / 'gala.sqlite3'}"
        if database is not None:
            self.environment["DATABASE_URL"] = database
            self.environment["SECRET_KEY"] = "flow-tests-only-4k2mQx8vR7tYb1nZ"
        self.port = free_port()

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """One of manage.py's commands, to its end."""
        return subprocess.run(
            [sys.executable, MANAGE, *arguments],
            env=self.environment, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def expect(self, *arguments: str, timeout: float = 60) -> str:
        """A command that has to succeed; what it printed."""
        done = self.run(*arguments, timeout=timeout)
        assert done.returncode == 0, f"{arguments}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """One of manage.py's commands in the background; it dies with this process."""
        log = self.data / "logs" / f"{arguments[0]}-by-hand.log"
        return spawn([sys.executable, MANAGE, *arguments], env=self.environment, log=log)

    @contextlib.contextmanager
    def show(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """The show in the background; whatever the test does, it is over afterwards."""
        command = [sys.executable, MANAGE, "show", "--port", str(self.port), *arguments]
        process = spawn(command, env=self.environment, log=self.log)
        try:
            yield process
        finally:
            stop_all([process], 8)

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def output(self) -> str:
        """What the show has printed so far, and the logs of its children."""
        logs = sorted((self.data / "logs").glob("*.log"))
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in [self.log, *logs]
        )

    def wait_for(self, path: Path, process: "subprocess.Popen[bytes]", seconds: float) -> Any:
        """The content of a JSON file that the show writes in one go."""
        deadline = time.monotonic() + seconds
        while True:
            assert process.poll() is None and time.monotonic() < deadline, self.output()
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                return json.loads(path.read_text())
            time.sleep(0.2)

    def wait_for_phase(self, segment: int, phase: str, seconds: float) -> dict[str, Any]:
        """What `segment status` says as soon as it is in this phase."""
        deadline = time.monotonic() + seconds
        while (found := self.ask(f"SELECT phase FROM engagement_segment WHERE id = {segment}")) != phase:
            assert time.monotonic() < deadline, f"{found}\n{self.output()}"
            time.sleep(0.2)
        state: dict[str, Any] = json.loads(self.expect("segment", "status", str(segment), "--json"))
        assert state["phase"] == phase
        return state

    def ask(self, query: str) -> Any:
        """The one value that a query finds: looked up here, because a command takes a second of a processor."""
        return ask(self.database, query)

    def processes(self) -> list[int]:
        """Every process of this night that lives: they all have its directory in their environment."""
        mark = f"GALA_DATA={self.data}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if mark in (folder / "environ").read_bytes().split(b"\0") and state != "Z":
                    found.append(int(folder.name))
        return found

    def ends_within(self, seconds: float) -> bool:
        """Whether all of them are gone in time."""
        deadline = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def ask(database: str, query: str) -> Any:
    """The one value that a query finds in a database, named as in DATABASE_URL; None if there is none."""
    with closing(connect(database)) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def connect(database: str) -> Any:
    """A connection to a database, named as in DATABASE_URL, that has nothing to do with Django's."""
    config = environ.Env.db_url_config(database)
    if database.startswith("sqlite:"):
        return sqlite3.connect(f"file:{config['NAME']}?mode=rw", uri=True)  # it makes none
    words = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    return psycopg.connect(
        **{word: config[key] for word, key in words.items() if config[key]}, autocommit=True
    )


def interrupt(process: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C."""
    os.kill(process.pid, signal.SIGINT)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
