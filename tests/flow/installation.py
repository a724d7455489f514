"""An installation of its own: settings, a database, and its processes, on a Redis server that others may use, too."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gala import entrypoints
from gala.embedded import EmbeddedServer
from gala.processes import spawn, stop_all
from tests.servers import running_gateway

ROOT = Path(__file__).resolve().parent.parent.parent
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


class Installation:
    """What the processes of one installation share; on SQLite, so that its database is a file."""

    def __init__(self, data: Path, server: EmbeddedServer, number: int, secret: str) -> None:
        data.mkdir(parents=True)
        self.data, self.log = data, data / "gateway.log"
        self.database = f"sqlite:///{data / 'gala.sqlite3'}"
        self.environment: dict[str, Any] = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "GALA_DATA": str(data),
            "DATABASE_URL": self.database,
            "REDIS_URL": server.url.replace("db=0", f"db={number}"),
            "SECRET_KEY": secret,
            "INSTALLATION": "",  # not the one of the tests, which `running_gateway` would give it
            "PYTHONWARNINGS": "default",
        }

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """A command of manage.py, or what tests.flow.stage does, in the background."""
        command = ["-m", "tests.flow.stage"] if arguments[0] == "stage" else [str(ROOT / "manage.py")]
        words = arguments[1:] if arguments[0] == "stage" else arguments
        return subprocess.Popen(
            [sys.executable, *command, *words],
            env=self.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The same to its end: status, output and errors."""
        process = self.begin(*arguments)
        said, complained = process.communicate(timeout=240)
        return process.returncode, said, complained

    def expect(self, *arguments: str) -> Any:
        """The same where it has to succeed; what it printed, read as JSON where it is that."""
        status, said, complained = self.run(*arguments)
        assert status == 0, f"{arguments}: status {status}\n{said}\n{complained}"
        return json.loads(said) if said.startswith(("{", '"')) else said

    @property
    def name(self) -> str:
        """What its keys begin with."""
        return str(self.expect("stage", "name"))

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """Its gateway: host:port."""
        with running_gateway(self.log, **self.environment) as (address, _):
            yield address

    @contextmanager
    def tasks(self) -> Iterator[None]:
        """Its worker and its conductor."""
        commands = {"worker": entrypoints.worker(concurrency=1), "conductor": entrypoints.conductor()}
        started = [
            spawn(command, env=self.environment, log=self.data / f"{name}.log")
            for name, command in commands.items()
        ]
        try:
            yield
        finally:
            stop_all(started, 5)
