"""All processes of a gala on one machine: embedded server, gateway, worker and conductor; none outlives this one."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from django.conf import settings

from gala import entrypoints
from gala.embedded import EmbeddedServer, EmbeddedServerError, lock_data, start_server
from gala.environment import Environment
from gala.listener import CannotListen, listen
from gala.processes import spawn, stop_all

START_S = 30
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # and how this machine reaches itself there
DIRECT = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # this machine, whatever http_proxy says
STOP_S = 3.5  # of the 5 s in which Ctrl-C must have ended everything


def in_addresses(host: str) -> str:
    """How a host is written in front of a port: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


class CannotStart(Exception):
    """What is in the way, in one line, for the person at the terminal."""


class ChildDied(Exception):
    """A process ended that should have gone on."""


class Supervisor:
    """Starts and ends the child processes; their output goes to files in the data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.logs = data / "logs"
        self.server: EmbeddedServer | None = None
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.passing: set[str] = set()  # children that may end by themselves
        self.listener: socket.socket | None = None
        self._log_starts: dict[str, int] = {}
        self._lock: int | None = None

    def start_server(self, prepare: Callable[[], None]) -> None:
        """The embedded server, unless REDIS_URL names one. `prepare` runs once the data directory is ours."""
        try:
            if Environment().has("REDIS_URL"):
                self.data.mkdir(parents=True, exist_ok=True)
                self._lock = lock_data(self.data)
                prepare()
            else:
                self.server = start_server(self.data, prepare)
        except EmbeddedServerError as error:
            raise CannotStart(str(error)) from None
        self.logs.mkdir(parents=True, exist_ok=True)

    def listen(self, host: str, port: int) -> None:
        """Takes the port here, so that a port that is taken is one clear line; the gateway inherits the socket."""
        try:
            self.listener = listen(host, port)
        except CannotListen as reason:
            raise CannotStart(f"{reason}; choose another with --host or --port") from None

    @property
    def _bound(self) -> tuple[str, int]:
        """The address that the gateway listens on, as the socket has it, and the port."""
        assert self.listener is not None
        host, port = self.listener.getsockname()[:2]
        return host, port

    @property
    def local_address(self) -> str:
        """host:port where this machine reaches the gateway, also when it listens on every address."""
        host, port = self._bound
        return f"{EVERYWHERE.get(host) or in_addresses(host)}:{port}"

    @property
    def shown_address(self) -> str:
        """What people type: this machine's name where it listens on every address."""
        host, port = self._bound
        return f"{socket.gethostname() if host in EVERYWHERE else in_addresses(host)}:{port}"

    def start_gateway(self, workers: int) -> None:
        assert self.listener is not None
        fd = self.listener.fileno()
        command = entrypoints.gateway(workers=workers, fd=fd, graceful_seconds=2)
        self._spawn("gateway", command, pass_fds=[fd])

    def start_tasks(self) -> None:
        """Celery: the worker, and the conductor that tells it once a second what is due."""
        self._spawn("worker", entrypoints.worker(concurrency=3))
        self._spawn("conductor", entrypoints.conductor())

    def start_command(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """One of manage.py's commands as a child."""
        manage = str(settings.BASE_DIR / "manage.py")
        self.passing.add(name)
        self._spawn(name, [sys.executable, manage, *arguments])
        return self.children[name]

    def _spawn(self, name: str, command: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        path = os.pathsep.join(filter(None, [str(settings.BASE_DIR), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "GALA_DATA": str(self.data), "PYTHONPATH": path}
        environment.setdefault("ALLOWED_HOSTS", self._allowed_hosts())
        log = self.logs / f"{name}.log"
        self._log_starts[name] = log.stat().st_size if log.exists() else 0
        self.children[name] = spawn(command, env=environment, log=log, pass_fds=pass_fds)

    def _allowed_hosts(self) -> str:
        """Whom the pages answer: this machine by its usual names, and the address that was asked for with --host."""
        host, _ = self._bound
        return "*" if host in EVERYWHERE else f"localhost,127.0.0.1,[::1],{in_addresses(host)}"

    def check(self) -> None:
        """Raises ChildDied, with the end of its log, when a process ended that should go on."""
        if self.server is not None and self.server.process.poll() is not None:
            raise ChildDied(f"the embedded server ended; see {self.data / 'valkey.log'}")
        for name, child in self.children.items():
            status = child.poll()
            if status is not None and (status != 0 or name not in self.passing):
                raise ChildDied(
                    f"{name} ended with status {child.returncode}; the end of its log:\n{self._last_lines(name)}"
                )

    def _last_lines(self, name: str) -> str:
        written = (self.logs / f"{name}.log").read_bytes()[self._log_starts[name] :]
        return "\n".join(written.decode(errors="replace").splitlines()[-8:])

    def wait_until_ready(self) -> None:
        """Until the gateway answers and sees both database and Redis."""
        deadline = time.monotonic() + START_S
        while not self._ready():
            self.check()
            if time.monotonic() > deadline:
                raise ChildDied(
                    f"the gateway did not answer within {START_S} s; the end of its log:\n{self._last_lines('gateway')}"
                )
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            with DIRECT.open(f"http://{self.local_address}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Ends everything within 5 s: the children together, then the server that they write to."""
        stop_all(list(self.children.values()), STOP_S)
        if self.listener is not None:
            self.listener.close()
        if self.server is not None:
            self.server.stop()
