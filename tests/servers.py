"""Real gateway processes for the tests, on loopback, ended by their process id."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from gala import entrypoints
from gala.listener import listen
from gala.processes import spawn, stop_all

START_S = 30


def free_socket() -> socket.socket:
    """A listening socket on a port that the system chose, to be inherited by a server."""
    listener = listen("127.0.0.1", 0)
    listener.set_inheritable(True)
    return listener


def gateway_command(server: str, fd: int) -> list[str]:
    """The command of a gateway: "uvicorn", "plain uvicorn" (without the fast path) or "daphne"."""
    if server == "daphne":
        return daphne_command(fd)
    return entrypoints.gateway(fd=fd, fast=server == "uvicorn", graceful_seconds=2)


def daphne_command(fd: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "daphne",
        "--endpoint",
        f"fd:fileno={fd}",
        "-v",
        "0",
        "gala.asgi:application",
    ]


@contextlib.contextmanager
def running_gateway(
    log: Path, *, server: str = "uvicorn", listener: socket.socket | None = None, **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """One gateway process, ready to take sockets: its host:port, and the process.

    A listener of the caller's stays open, for the next gateway.
    """
    given, listener = listener is not None, listener or free_socket()
    fd = listener.fileno()
    # However the caller spells the database's address, this is the gateway of the tests' own installation.
    environment = {**os.environ, "INSTALLATION": settings.INSTALLATION, **environment}
    process = spawn(gateway_command(server, fd), env=environment, log=log, pass_fds=[fd])
    address = "{}:{}".format(*listener.getsockname())
    if not given:
        listener.close()
    try:
        _wait_until_healthy(address, process, log)
        yield address, process
    finally:
        stop_all([process], 5)


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://{address}/healthz", timeout=2).close()
            return
        assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
        time.sleep(0.05)
