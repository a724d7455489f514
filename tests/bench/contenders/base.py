"""What the contenders have in common: how clients talk to them, how they are started, pinned, asked and ended."""

import contextlib
import http.client
import os
import socket
import subprocess
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from gala.processes import spawn, stop_all

ROOT = Path(__file__).resolve().parent.parent.parent.parent
HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
BACKLOG = 4096  # for everybody: a short one would drop connects in a storm, and measure the kernel's retries
MESSAGE_BYTES = 250
START_S, STOP_S, ANSWER_S = 30.0, 5.0, 60.0

Address = tuple[str, int]


class Dialect(NamedTuple):
    """How a client talks to a contender, in payloads of text frames, neither framed nor masked."""

    target: Callable[[int], str]  # of the upgrade of client number i
    subprotocol: str | None
    hello: Callable[[int], Sequence[bytes]]  # what client i says after the upgrade
    welcomed: bytes  # occurs in the frame that says that hello was accepted
    report: Callable[[int], bytes]  # the report with this total
    sync: bytes  # a question that is answered at once
    synced: bytes  # occurs in its answer, and in nothing else
    ack: bytes | None  # occurs in acks; None where there is none


# Of those who take plain JSON and answer nothing but what they are asked.
JSON_DIALECT = Dialect(
    target=lambda client: "/",
    subprotocol=None,
    hello=lambda client: [b'{"type":"hello"}'],
    welcomed=b'"welcome"',
    report=lambda total: b'{"type":"shakes","segment":7,"total":%d}' % total,
    sync=b'{"type":"sync"}',
    synced=b'"synced"',
    ack=None,
)


class Running(ABC):
    """The server processes of a contender while they run; `pids` and `addresses` are in the same order."""

    def __init__(self, addresses: list[Address], pids: list[int], dialect: Dialect) -> None:
        self.addresses, self.pids, self.dialect = addresses, pids, dialect

    @abstractmethod
    def broadcast(self, marker: bytes) -> None:
        """Has one message with `marker` (letters, digits, dashes) sent to all sockets; does not wait for that.

        The whole payload that a client gets, with the contender's own envelope, is MESSAGE_BYTES long.
        """

    def accepted(self) -> int | None:
        """The reports that the server has counted, as it says itself; None where it counts none."""
        return None

    def check_tally(self, told: dict[int, int]) -> list[str]:
        """How the tally differs from what clients were told (client number: last acked total); [] when it does not."""
        return []


class Contender(ABC):
    """One that is measured: `name` is for people, `key` for programs."""

    def __init__(self, name: str, key: str) -> None:
        self.name, self.key = name, key

    def missing(self) -> str | None:
        """What is not installed, in words; None when it can run."""
        return None

    def can(self, measure: str) -> bool:
        return True

    @abstractmethod
    def start(self, folder: Path, *, core: int, processes: int = 1) -> AbstractContextManager[Running]:
        """Fresh processes on this core; with two processes the second one is on the other core."""


class Controlled(Running):
    """A server that is asked for its count and for broadcasts over HTTP, beside the sockets that are measured."""

    def __init__(self, address: Address, pid: int, dialect: Dialect, *, path: str, envelope: str) -> None:
        super().__init__([address], [pid], dialect)
        self._url = "http://{}:{}".format(*address)
        self._path = path
        self._asked: list[http.client.HTTPConnection] = []
        self._text_bytes = MESSAGE_BYTES - len(envelope)

    def broadcast(self, marker: bytes) -> None:
        connection = http.client.HTTPConnection(*self.addresses[0], timeout=ANSWER_S)
        content = fill(marker.decode("ascii"), self._text_bytes)
        connection.request("POST", self._path, content, {"content-type": "text/plain"})
        self._asked.append(connection)  # answered when everybody has been sent the message

    def close(self) -> None:
        """Raises what went wrong in the broadcasts."""
        for connection in self._asked:
            status = connection.getresponse().status
            connection.close()
            if status >= 300:
                raise RuntimeError(f"a broadcast was answered with {status}")

    def accepted(self) -> int | None:
        with urllib.request.urlopen(f"{self._url}/count", timeout=ANSWER_S) as answer:
            return int(answer.read())


def fill(marker: str, size: int) -> str:
    """The marker and dots, `size` bytes."""
    if len(marker) > size:
        raise ValueError(f"expected a marker of at most {size} bytes, got {len(marker)}")
    return marker.ljust(size, ".")


# --- processes ---


@contextlib.contextmanager
def running_server(
    command: Callable[[int], list[str]], *, path: str, env: dict[str, str], log: Path, core: int
) -> Iterator[tuple[Address, subprocess.Popen[bytes]]]:
    """The server that `command` starts on a port, once it answers at `path`.

    It opens the port itself, as in production: uvicorn takes an inherited socket for a Unix one, and uvloop then
    leaves Nagle's algorithm on.
    """
    port = free_port()
    with pinned(core):
        process = spawn(command(port), env=env, log=log)
    try:
        _wait_until_it_answers(f"http://{HOST}:{port}{path}", process, log)
        yield (HOST, port), process
    finally:
        stop_all([process], STOP_S)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            urllib.request.urlopen(url, timeout=2).close()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no answer from {url}:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.02)


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """What this thread starts meanwhile runs on this core only, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def other_core(core: int) -> int:
    """Where the load runs, and whatever is not measured; the same core where there is no other."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    return min(mine - {core}, default=core)
