"""Witnesses for tests: the program that others run, as real processes; and logs that are honest, or fork."""

import base64
import contextlib
import hashlib
import http.client
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from engagement.ledger.core.checkpoints import (
    Checkpoint,
    format_checkpoint,
    format_vkey,
    sign_note,
    verifier_key,
)
from engagement.ledger.core.merkle import GrowingTree, leaf_hash
from prizes import witness as program
from tests.servers import free_socket

PROGRAM = Path(program.__file__)
START_S = 20


class Log:
    """A log with so many entries; one that `forks_at` an entry has others from there on."""

    def __init__(
        self, origin: str, *, size: int = 100, forks_at: int = 10**9, seed: bytes = bytes(32)
    ) -> None:
        self.origin, self.seed, self.tree = origin, seed, GrowingTree()
        for number in range(size):
            self.tree.append(leaf_hash(b"%d %d" % (number, number >= forks_at)))

    @property
    def vkey(self) -> str:
        return format_vkey(verifier_key(self.origin, self.seed))

    def text(self, size: int) -> str:
        return format_checkpoint(Checkpoint(self.origin, size, self.tree.root(size)))

    def note(self, size: int) -> str:
        return sign_note(self.text(size), self.origin, self.seed)

    def request(self, old: int, size: int, *, note: str | None = None) -> str:
        """The body of add-checkpoint, with the proof of this log."""
        path = self.tree.consistency_proof(old, size) if 0 < old < size else []
        proof = "".join(base64.b64encode(node).decode() + "\n" for node in path)
        return f"old {old}\n{proof}\n{self.note(size) if note is None else note}"


class Answer(NamedTuple):
    status: int
    kind: str
    body: str


class Running:
    """A witness, its process, where it answers, and what it keeps."""

    def __init__(self, address: str, vkey: str, folder: Path, process: "subprocess.Popen[str]") -> None:
        self.address, self.vkey, self.folder, self.process = address, vkey, folder, process
        self.url = f"http://{address}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def send(self, body: str | bytes, *, path: str = "/add-checkpoint", method: str = "POST") -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body.encode() if isinstance(body, str) else body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers["Content-Type"], answer.read().decode())

    def get(self, path: str) -> Answer:
        return self.send(b"", path=path, method="GET")


def make_witness(folder: Path, name: str = "w.example/1") -> str:
    """Its key and an empty state; the public key."""
    folder.mkdir(parents=True, exist_ok=True)
    return call("keygen", name, "--key", folder / "key", "--state", folder / "state").stdout.strip()


def call(
    *arguments: object, python: Sequence[str] = (sys.executable, "-I")
) -> "subprocess.CompletedProcess[str]":
    command = [*python, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def running_witness(
    folder: Path,
    *logs: str,
    python: Sequence[str] = (sys.executable, "-I"),
    address: str = "",
    more: Sequence[str] = (),
) -> Iterator[Running]:
    """The program of `make_witness`, until the end of the block; `address` for one that comes back."""
    if not address:
        with free_socket() as listener:
            address = "{}:{}".format(*listener.getsockname())
    known = [part for log in logs for part in ("--log", log)]
    command = [*python, str(PROGRAM), "run", "--key", str(folder / "key"), "--state", str(folder / "state")]
    with open(folder / "log", "a") as file:
        process = subprocess.Popen([*command, "--listen", address, *known, *more], stderr=file, text=True)
    vkey = (folder / "state/witness").read_text().strip()
    running = Running(address, vkey, folder, process)
    try:
        wait_until_healthy(running)
        yield running
    finally:
        process.terminate()
        process.wait(10)


def wait_until_healthy(running: Running) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{running.url}/healthz", timeout=2).close()
            return
        assert running.process.poll() is None and time.monotonic() < deadline, running.log
        time.sleep(0.02)


def cosigned_at(vkey: str, text: str, line: str) -> int:
    """The time of a cosignature, checked as C2SP tlog-cosignature says it, without the program's own functions."""
    name, key_id, material = vkey.split("+", 2)
    public = base64.b64decode(material)[1:]
    dash, named, encoded = line.rstrip("\n").split(" ")
    raw = base64.b64decode(encoded)
    expected = hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    assert (dash, named, raw[:4].hex(), key_id, len(raw)) == ("—", name, expected.hex(), expected.hex(), 76)
    at = int.from_bytes(raw[4:12], "big")
    Ed25519PublicKey.from_public_bytes(public).verify(raw[12:], f"cosignature/v1\ntime {at}\n{text}".encode())
    return at
