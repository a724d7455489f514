#!/usr/bin/env python3
"""Witness the ledgers of shows with nothing but this file and Python 3.8 or newer, on Linux or macOS.

    python witness.py keygen NAME --key FILE --state DIR                                    once; prints the public key
    python witness.py run --key FILE --state DIR --log VKEY [--log VKEY] --listen HOST:PORT
    python witness.py show --state DIR                                                      what it has seen

A witness is somebody beside the organiser: a broadcaster, a notary, a newspaper. It signs each newer checkpoint of a
ledger together with the time, after it has checked that nothing that it saw before was changed, and never two
histories of one ledger. It speaks C2SP tlog-witness (https://c2sp.org/tlog-witness) and signs C2SP tlog-cosignature v1,
so that it serves other transparency logs, too. docs/witness.md says how to run it. In this order:

    1. What is cosigned    the rules of tlog-witness
    2. State               what was cosigned last, and the evidence of forks
    3. Notes               keys, signed notes, checkpoints, cosignatures (C2SP signed-note, tlog-checkpoint)
    4. Tree                RFC 9162
    5. Ed25519             RFC 8032
    6. HTTP
    7. Command line
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Sequence, TextIO, Tuple

try:  # quicker, and it takes the same time whatever the key is
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    HAS_LIBRARY = True
except ImportError:
    HAS_LIBRARY = False

Log = Callable[[str], None]

MOST_PROOF_LINES = 63  # "The client MUST NOT send more than 63 consistency proof lines."
CLOCK_S = 60  # a clock that goes back by more than that since the last cosignature needs a person


class Refusal(Exception):
    """Why there is no cosignature, as HTTP says it."""

    def __init__(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        super().__init__(text)
        self.status, self.text, self.kind = status, text, kind


# --- 1. What is cosigned ---


class Request(NamedTuple):
    """The body of add-checkpoint: the size that the log believes us to have, the proof from there, the signed note."""

    old: int
    proof: list[bytes]
    note: str


class Witness:
    """Cosigns what continues that which it has cosigned before. One request at a time."""

    def __init__(
        self,
        signer: Signer,
        logs: dict[str, list[Key]],
        state: State,
        say: Log,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.signer, self.logs, self.state, self.say, self.clock = signer, logs, state, say, clock
        self.seen = {origin: state.load(origin) for origin in logs}

    def add_checkpoint(self, body: bytes) -> str:
        """The line of the cosignature, once it is kept; raises Refusal."""
        request = parse_request(body)
        text, lines = split_note(request.note)
        checkpoint = parse_checkpoint(text)
        if checkpoint.origin not in self.logs:
            raise Refusal(404, "this witness does not know the log " + clip(checkpoint.origin))
        signed = check_signatures(text, lines, self.logs[checkpoint.origin])
        if request.old > checkpoint.size:
            raise Refusal(400, f"expected old <= size, got old {request.old}, size {checkpoint.size}")
        seen = self.seen[checkpoint.origin]
        if request.old != (seen.checkpoint.size if seen else 0):
            raise Refusal(409, f"{seen.checkpoint.size if seen else 0}", "text/x.tlog.size")
        self._check_continues(seen, checkpoint, request)
        if (
            seen and seen.text == text
        ):  # asked again: the answer was lost, and the first time is the better one
            return seen.cosignature
        return self._cosign(seen, text, signed)

    def _check_continues(self, seen: Seen | None, checkpoint: Checkpoint, request: Request) -> None:
        empty = hashlib.sha256(b"").digest()
        if checkpoint.size == 0 and checkpoint.root != empty:
            raise Refusal(422, "expected the root of the empty tree for no entries, got another one")
        if request.old == 0 or seen is None:
            if request.proof:
                raise Refusal(422, "expected no proof from size 0, got one")
            return
        first = seen.checkpoint
        if first.size == checkpoint.size and first.root == checkpoint.root and not request.proof:
            return
        roots = walk_proof(first, checkpoint.size, request.proof)
        if first.size < checkpoint.size and roots == (first.root, checkpoint.root):
            return
        is_fork = first.size == checkpoint.size and first.root != checkpoint.root
        # The path ends at the signed root, so that it is of this tree; but this tree began otherwise.
        is_fork = is_fork or (roots is not None and roots[1] == checkpoint.root and roots[0] != first.root)
        self._keep_evidence("fork" if is_fork else "unproven", seen, checkpoint, request)
        found = "another history was cosigned" if is_fork else "the proof does not hold"
        raise Refusal(422, f"from {first.size} to {checkpoint.size} entries: {found}")

    def _keep_evidence(self, kind: str, seen: Seen, shown: Checkpoint, request: Request) -> None:
        proof = {
            "first": {"size": seen.checkpoint.size},
            "second": {"size": shown.size},
            "proof": [node.hex() for node in request.proof],
        }
        files = {"cosigned.txt": seen.note, "shown.txt": request.note, "proof.json": json.dumps(proof) + "\n"}
        try:
            kept = self.state.keep_evidence(kind, shown, files)
        except OSError as error:
            self.say(f"{kind}: the evidence could not be kept: {error}")
            return
        if kept:
            what = (
                "FORK: signed were two histories" if kind == "fork" else "no proof that nothing was changed"
            )
            self.say(f"{clip(shown.origin)}, {shown.size} entries: {what}; both notes are in {kept}")

    def _cosign(self, seen: Seen | None, text: str, signed: list[str]) -> str:
        checkpoint, now = parse_checkpoint(text), int(self.clock())
        last = seen.time if seen else 0
        if now < last - CLOCK_S:
            self.say(
                f"the clock is behind the last cosignature by {last - now} s: nothing is signed until it is right"
            )
            raise Refusal(500, "the clock of this witness is not right")
        line = self.signer.cosign(text, max(now, last))
        try:
            self.state.save(checkpoint.origin, text + "\n" + "".join([*signed, line]))
            self.seen[checkpoint.origin] = self.state.load(checkpoint.origin)
        except OSError as error:
            self.say(f"{clip(checkpoint.origin)}: could not be kept, and is not cosigned: {error}")
            self.seen[checkpoint.origin] = self.state.load(checkpoint.origin) or seen  # as far as it came
            raise Refusal(500, "this witness cannot write its state") from None
        self.say(f"{clip(checkpoint.origin)}: cosigned {checkpoint.size} entries")
        return line


def parse_request(body: bytes) -> Request:
    """ "old <size>", the lines of the proof, an empty line, a signed note; raises Refusal."""
    try:
        head, gap, note = body.decode("utf-8").partition("\n\n")
        first, *lines = head.split("\n")
        found = re.fullmatch("old (0|[1-9][0-9]{0,18})", first)
        if found and gap and len(lines) <= MOST_PROOF_LINES:
            return Request(int(found[1]), [decode_hash(line) for line in lines], note)
    except ValueError:
        pass
    raise Refusal(400, "expected 'old <size>', the lines of a proof, an empty line and a signed note")


# --- 2. State ---


class Seen(NamedTuple):
    """What was cosigned last of a log. `note` has the log's signatures and our cosignature."""

    note: str
    text: str
    checkpoint: Checkpoint
    cosignature: str
    time: int


class BadState(Exception):
    """The state is not one that may be gone on with; the text says why."""


class State:
    """A directory: the name of the witness, and for each log a folder with the newest note, and what was kept.

    A folder is named as in tlog-witness: the hex of SHA-256 of the log's origin.
    """

    MOST = {"fork": 100, "unproven": 20}  # pieces of evidence for each log

    def __init__(self, folder: Path, key: Key) -> None:
        self.folder, self.key = folder, key
        owner = read_owner(folder)
        if owner != key:
            raise BadState(f"{folder} is the state of {format_vkey(owner)}, the key is {format_vkey(key)}")

    @classmethod
    def create(cls, folder: Path, key: Key) -> None:
        """An empty state, made with its key: a `run` that finds none stops, instead of forgetting what it has seen."""
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "witness", format_vkey(key) + "\n")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time: two that write to one state could cosign two histories."""
        with open(self.folder / "lock", "w", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BadState(f"another process uses {self.folder}") from None
            yield

    def load(self, origin: str) -> Seen | None:
        """What was cosigned last, checked; None where nothing was."""
        path = self._home(origin) / "checkpoint"
        if not path.exists():
            return None
        try:
            return read_seen(path.read_bytes().decode("utf-8"), origin, self.key)
        except (ValueError, Refusal) as error:
            raise BadState(
                f"{path} is damaged: {error}. Nothing is cosigned before a person has looked at it"
            ) from None

    def save(self, origin: str, note: str) -> None:
        """All or nothing, and on the disk when it returns."""
        home = self._home(origin)
        if not home.exists():
            home.mkdir()
            sync(self.folder)
        write_file(home / "checkpoint", note)

    def keep_evidence(self, kind: str, shown: Checkpoint, files: dict[str, str]) -> Path | None:
        """A folder with the files, once for what was shown, and not without end; None where there is nothing new."""
        home = self._home(shown.origin)
        place = home / f"{kind}-{shown.size}-{shown.root.hex()[:16]}"
        if place.exists() or len(list(home.glob(kind + "-*"))) >= self.MOST[kind]:
            return None
        half = home / f"half-{kind}"
        shutil.rmtree(half, ignore_errors=True)  # of one that was killed
        half.mkdir()
        for name, content in files.items():
            write_file(half / name, content)
        half.rename(place)
        sync(home)
        return place

    def logs(self) -> list[tuple[Seen, list[Path]]]:
        """All that were ever cosigned, and the evidence that was kept of each."""
        found = []
        for path in sorted(self.folder.glob("*/checkpoint")):
            seen = read_seen(path.read_bytes().decode("utf-8"), None, self.key)
            kept = [place for kind in self.MOST for place in sorted(path.parent.glob(kind + "-*"))]
            found.append((seen, kept))
        return found

    def _home(self, origin: str) -> Path:
        return self.folder / hash_origin(origin)


def read_owner(folder: Path) -> Key:
    try:
        return parse_vkey((folder / "witness").read_text(encoding="utf-8").strip(), COSIGNATURE)
    except (OSError, ValueError):
        raise BadState(
            f"{folder} is no state of a witness: `keygen` makes one together with the key"
        ) from None


def hash_origin(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def read_seen(note: str, origin: str | None, key: Key) -> Seen:
    """A note as it was kept: of this log, and with our cosignature."""
    text, lines = split_note(note)
    checkpoint = parse_checkpoint(text)
    ours = [line for line in lines if (line.name, line.key_id) == (key.name, key.key_id)]
    if len(ours) != 1 or origin not in (None, checkpoint.origin):
        raise ValueError("expected a checkpoint with our cosignature")
    return Seen(note, text, checkpoint, ours[0].whole, check_cosignature(key, text, ours[0].signature))


def write_file(path: Path, content: str) -> None:
    """The old content or the new one, never a part of it, whenever the machine stops."""
    new = path.with_name(path.name + ".new")
    with open(new, "wb") as file:
        file.write(content.encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Names that were made in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- 3. Notes ---

ED25519, COSIGNATURE = b"\x01", b"\x04"  # "Signature types" of signed-note
PRIVATE = "PRIVATE+KEY+"


class Key(NamedTuple):
    """A verifier key: the name in signature lines, 4 bytes of id, 32 bytes of an Ed25519 public key, its type."""

    name: str
    key_id: bytes
    public: bytes
    kind: bytes


class Checkpoint(NamedTuple):
    """The first three lines: which log, how many entries, the root over them."""

    origin: str
    size: int
    root: bytes


class Line(NamedTuple):
    """A signature line, as a whole and in its parts."""

    whole: str
    name: str
    key_id: bytes
    signature: bytes


class Signer:
    """The key of the witness."""

    def __init__(self, name: str, seed: bytes) -> None:
        self.seed = seed
        self.key = make_key(name, public_of(seed), COSIGNATURE)

    def cosign(self, text: str, at: int) -> str:
        """The line: the id, "timestamp" as 8 bytes "in big-endian order", and the signature."""
        signature = sign(self.seed, cosigned_message(text, at))
        raw = self.key.key_id + at.to_bytes(8, "big") + signature
        return f"\u2014 {self.key.name} {encode_base64(raw)}\n"


def cosigned_message(text: str, at: int) -> bytes:
    """tlog-cosignature: "one header line and one timestamp line", and "the whole note body"."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def check_cosignature(key: Key, text: str, signature: bytes) -> int:
    """The time of a cosignature that holds; ValueError."""
    at = int.from_bytes(signature[:8], "big")
    if len(signature) != 72 or not is_signed(key.public, cosigned_message(text, at), signature[8:]):
        raise ValueError(f"the cosignature of {key.name} does not hold")
    return at


def check_signatures(text: str, lines: Sequence[Line], keys: Sequence[Key]) -> list[str]:
    """The lines with which the log has signed; raises Refusal where there is none, or one that does not hold."""
    known = {(key.name, key.key_id): key for key in keys}
    ours = [line for line in lines if (line.name, line.key_id) in known]
    for line in ours:
        if not is_signed(known[line.name, line.key_id].public, text.encode(), line.signature):
            raise Refusal(403, "a signature of the log does not hold")
    if not ours:
        names = ", ".join(f"{key.name}+{key.key_id.hex()}" for key in keys)
        raise Refusal(403, f"expected a signature of {clip(names)}, got none")
    return list(dict.fromkeys(line.whole for line in ours))


def split_note(note: str) -> tuple[str, list[Line]]:
    """The text, and the lines after the last empty one; raises Refusal."""
    text, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n") or any(letter < " " for letter in note.replace("\n", "")):
        raise Refusal(400, "expected text, an empty line and signatures")
    return text + "\n", [parse_line(line) for line in tail[:-1].split("\n")]


def parse_line(line: str) -> Line:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        raw = decode_base64(encoded)
    except ValueError:
        raw = b""
    if dash != "\u2014" or not is_name(name) or len(raw) < 5:
        raise Refusal(400, "expected a signature line, got " + clip(line))
    return Line(line + "\n", name, raw[:4], raw[4:])


def parse_checkpoint(text: str) -> Checkpoint:
    """Origin, size and root; "extension lines" may follow, and are signed with them. Raises Refusal."""
    lines = text[:-1].split("\n")
    try:
        if len(lines) >= 3 and lines[0] and re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]) and all(lines):
            return Checkpoint(lines[0], int(lines[1]), decode_hash(lines[2]))
    except ValueError:
        pass
    raise Refusal(400, "expected the lines origin, size and root of a checkpoint")


def make_key(name: str, public: bytes, kind: bytes) -> Key:
    """The id is SHA-256(name || 0x0A || type || public key)[:4]."""
    if not is_name(name):
        raise ValueError("expected a name without spaces and plus, got " + clip(repr(name)))
    return Key(name, hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4], public, kind)


def format_vkey(key: Key) -> str:
    """name+hexid+base64(type || public key)."""
    return f"{key.name}+{key.key_id.hex()}+{encode_base64(key.kind + key.public)}"


def parse_vkey(text: str, kind: bytes) -> Key:
    """The inverse of `format_vkey` for keys of one type; ValueError."""
    name, _, rest = text.partition("+")
    material = decode_base64(rest.partition("+")[2])
    key = make_key(name, material[1:], kind)
    if len(key.public) != 32 or format_vkey(key) != text:
        raise ValueError("expected name+id+base64 of an Ed25519 key, got " + clip(text))
    return key


def is_name(name: str) -> bool:
    """ "MUST be non-empty and MUST NOT contain any Unicode spaces or plus (U+002B) characters"."""
    return bool(name) and not any(letter.isspace() or letter == "+" or letter < " " for letter in name)


def encode_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def decode_base64(text: str) -> bytes:
    """Standard base64 in its one form; ValueError."""
    raw = base64.b64decode(text.encode(), validate=True)
    if encode_base64(raw) != text:
        raise ValueError("expected base64 in its one form")
    return raw


def decode_hash(text: str) -> bytes:
    raw = decode_base64(text)
    if len(raw) != 32:
        raise ValueError("expected a hash of 32 bytes")
    return raw


# --- 4. Tree ---


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162 2.1.1: "HASH(0x01 || MTH(D[0:k]) || MTH(D[k:n]))"."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def walk_proof(first: Checkpoint, size: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Both roots that a consistency proof leads to, RFC 9162 2.1.4.2; None for what is no proof of these sizes.

    They are to be compared with the two that are signed.
    """
    if not path or not 0 < first.size < size:
        return None
    if first.size & (first.size - 1) == 0:  # "If first is an exact power of 2, then prepend first_hash"
        path = [first.root, *path]
    fn, sn = first.size - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for node in path[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            fr, sr = node_hash(node, fr), node_hash(node, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, node)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr) if sn == 0 else None


# --- 5. Ed25519 ---
# RFC 8032, section 5.1. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
ZERO = (0, 1, 1, 0)

Point = Tuple[int, int, int, int]


def public_of(seed: bytes) -> bytes:
    """RFC 8032 5.1.5: the public key of a private one of 32 bytes."""
    return encode_point(multiply(expand(seed)[0], BASE))


def sign(seed: bytes, message: bytes) -> bytes:
    """RFC 8032 5.1.6."""
    if HAS_LIBRARY:
        return Ed25519PrivateKey.from_private_bytes(seed).sign(message)
    s, prefix = expand(seed)
    r = hash_to_number(prefix, message)
    point = encode_point(multiply(r, BASE))
    k = hash_to_number(point, public_of(seed), message)
    return point + ((r + k * s) % L).to_bytes(32, "little")


def expand(seed: bytes) -> tuple[int, bytes]:
    """The secret number, and what makes each signature's r."""
    digest = hashlib.sha512(seed).digest()
    s = int.from_bytes(digest[:32], "little")
    return (s & ((1 << 254) - 8)) | (1 << 254), digest[32:]


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032 5.1.7, with the equation [S]B = R + [k]A."""
    s = int.from_bytes(signature[32:], "little")
    a = decode_point(public)
    if len(signature) != 64 or s >= L or a is None:
        return False
    k = hash_to_number(signature[:32], public, message)
    minus_a = (P - a[0], a[1], a[2], P - a[3])
    return encode_point(add_points(multiply(s, BASE), multiply(k, minus_a))) == signature[:32]


def hash_to_number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def multiply(number: int, point: Point) -> Point:
    total = ZERO
    for digit in bin(number)[2:]:
        total = add_points(total, total)
        if digit == "1":
            total = add_points(total, point)
    return total


def add_points(p: Point, q: Point) -> Point:
    """RFC 8032 5.1.4; the formulas are complete, and double as well."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def encode_point(p: Point) -> bytes:
    """RFC 8032 5.1.2: y, and the lowest bit of x as the highest of the last byte."""
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode_point(data: bytes) -> Point | None:
    """RFC 8032 5.1.3; None for what is no point."""
    y = int.from_bytes(data, "little")
    parity, y = y >> 255, y & (1 << 255) - 1
    if len(data) != 32 or y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (v * x * x - u) % P or (x == 0 and parity):
        return None
    x = P - x if x & 1 != parity else x
    return (x, y, 1, x * y % P)


_base = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
assert _base is not None
BASE = _base


# --- 6. HTTP ---

READ_S = 5  # for a whole request, and for taking the answer
IDLE_S = 60  # between two requests of a connection
MOST_HEAD, MOST_BODY = (
    8 * 1024,
    128 * 1024,
)  # bytes; a checkpoint with 16 signatures of the longest kind has 85 KB
MOST_CONNECTIONS = 200
REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           409: "Conflict", 411: "Length Required", 413: "Content Too Large", 422: "Unprocessable Entity",
           500: "Internal Server Error"}  # fmt: skip
PLAIN = "text/plain; charset=utf-8"

Answer = Tuple[int, str, str]  # status, type, body


class Call(NamedTuple):
    method: str
    path: str
    body: bytes
    stays: bool  # whether the connection is for further requests


class Server:
    """HTTP/1.1 with bounds: on the size and the time of a request, and on connections. Answers are made at once."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.open: dict[asyncio.StreamWriter, None] = {}  # the one that has waited longest first
        self.places = {f"/{hash_origin(origin)}/checkpoint": origin for origin in witness.logs}

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection. The one that has waited longest makes room where there are too many."""
        if len(self.open) >= MOST_CONNECTIONS:
            oldest = next(iter(self.open))
            del self.open[oldest]
            oldest.transport.abort()
        try:
            while await self._take_turn(reader, writer):
                pass
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open.pop(writer, None)
            writer.close()

    async def _take_turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.open.pop(writer, None)
        self.open[writer] = None
        first = await asyncio.wait_for(reader.readexactly(1), IDLE_S)
        try:
            call = await asyncio.wait_for(read_call(first, reader, writer), READ_S)
        except Refusal as refusal:  # where the next request begins is not known
            call, answer = Call("GET", "", b"", False), (refusal.status, refusal.kind, refusal.text + "\n")
        else:
            answer = self.answer(call)
        writer.write(format_answer(answer, call))
        await asyncio.wait_for(writer.drain(), READ_S)
        return call.stays

    def answer(self, call: Call) -> Answer:
        try:
            return self._route(call)
        except Refusal as refusal:
            return refusal.status, refusal.kind, refusal.text + "\n"
        except Exception as error:  # a mistake of this program: the next request is answered all the same
            self.witness.say(f"failed: {error!r}")
            return 500, PLAIN, "this witness has failed; its log says more\n"

    def _route(self, call: Call) -> Answer:
        if call.path == "/add-checkpoint":
            if call.method != "POST":
                raise Refusal(405, "expected POST")
            return 200, PLAIN, self.witness.add_checkpoint(call.body)
        if call.method not in ("GET", "HEAD"):
            raise Refusal(405 if self._find(call.path) else 404, "there is nothing to be sent to")
        found = self._find(call.path)
        if found is None:
            raise Refusal(404, "there is nothing at this address; / says what there is")
        return 200, PLAIN, found

    def _find(self, path: str) -> str | None:
        """What is at an address for everybody."""
        if path == "/":
            return self.describe()
        if path == "/healthz":
            return "ok\n"
        seen = self.witness.seen[self.places[path]] if path in self.places else None
        return seen.note if seen else None

    def describe(self) -> str:
        lines = [format_vkey(self.witness.signer.key)]
        for place, origin in self.places.items():
            seen = self.witness.seen[origin]
            known = f"{seen.checkpoint.size} entries at {format_time(seen.time)}" if seen else "nothing yet"
            lines.append(f"{place}  {clip(origin)}  {known}")
        return "\n".join(lines) + "\n"


async def read_call(first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Call:
    """One request; raises Refusal for what is no request or too large."""
    try:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        raise Refusal(413, f"expected at most {MOST_HEAD} bytes of headers") from None
    start, *lines = head[:-4].split("\r\n")
    found = re.fullmatch(r"([A-Z]+) (/[!-~]*) HTTP/1\.([01])", start)
    if found is None:
        raise Refusal(400, "expected a request of HTTP/1.1")
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    headers = dict(fields)
    length = read_length(fields, found[1])
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(length)
    stays = found[3] == "1" and headers.get("connection", "").lower() != "close"
    return Call(found[1], found[2].partition("?")[0], body, stays)


def read_length(fields: Sequence[tuple[str, str]], method: str) -> int:
    """Of the body. One that is sent in chunks, or with two lengths, is refused: a proxy may count it otherwise."""
    lengths = [value for name, value in fields if name == "content-length"]
    chunked = any(name == "transfer-encoding" for name, _ in fields)
    if chunked or (method == "POST" and not lengths):
        raise Refusal(411, "expected a Content-Length")
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch("[0-9]{1,12}", lengths[0]):
        raise Refusal(400, "expected one Content-Length, a number")
    if int(lengths[0]) > MOST_BODY:
        raise Refusal(413, f"expected a body of at most {MOST_BODY} bytes")
    return int(lengths[0])


def format_answer(answer: Answer, call: Call) -> bytes:
    status, kind, text = answer
    body = text.encode()
    head = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-cache",
        "Access-Control-Allow-Origin: *",  # what it says is for everybody, and signed
        "X-Content-Type-Options: nosniff",
        "Connection: " + ("keep-alive" if call.stays else "close"),
    ]
    return "\r\n".join([*head, "", ""]).encode() + (b"" if call.method == "HEAD" else body)


async def serve(server: Server, host: str, port: int, say: Log) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listener = await asyncio.start_server(server.converse, host, port, limit=MOST_HEAD)
    for place in listener.sockets or ():
        say("listens on {}:{}".format(*place.getsockname()[:2]))
    await stop.wait()
    listener.close()
    for writer in list(server.open):
        writer.transport.abort()
    say("ends")


# --- 7. Command line ---


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 with a sentence on standard error."""
    options = make_parser().parse_args(arguments)
    try:
        result: int = options.command(options)
        return result
    except (BadState, OSError) as error:
        tell(sys.stderr, f"witness.py: {error}")
        return 1


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="witness.py",
        description=(__doc__ or "").partition(" docs/witness.md")[0],
        epilog="The files that `run` calls evidence are worth a call to the organiser, and then to the public.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    keygen = commands.add_parser("keygen", help="make the key and an empty state, once")
    keygen.add_argument(
        "name", metavar="NAME", help="as in signatures; an address without https://, without spaces"
    )
    keygen.set_defaults(command=run_keygen)
    run = commands.add_parser("run", help="answer the logs that it knows, until SIGTERM")
    run.add_argument("--log", action="append", default=[], metavar="VKEY", type=log_key,
                     help="public key of a log, name+id+base64; may be given again")  # fmt: skip
    run.add_argument(
        "--logs", type=Path, metavar="FILE", help="more of them, one in a line; # begins a comment"
    )
    run.add_argument("--listen", type=host_and_port, default=("127.0.0.1", 8080), metavar="HOST:PORT",
                     help="default 127.0.0.1:8080")  # fmt: skip
    run.set_defaults(command=run_witness)
    show = commands.add_parser("show", help="what it has seen, and the evidence that it has kept")
    show.add_argument("--json", action="store_true", help="print one JSON value for programs")
    show.set_defaults(command=run_show)
    for command in (keygen, run):
        command.add_argument(
            "--key", type=Path, required=True, metavar="FILE", help="the private key; nobody else's"
        )
    for command in (keygen, run, show):
        command.add_argument("--state", type=Path, required=True, metavar="DIR", help="what it has cosigned")
    return parser


def log_key(text: str) -> Key:
    """The public key of a log."""
    try:
        return parse_vkey(text, ED25519)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected name+id+base64 of a log's key, got {clip(text)}"
        ) from None


def host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {clip(text)}")
    return host.strip("[]"), int(port)


def run_keygen(options: Any) -> int:
    """A new key, readable for its owner only, and a state that belongs to it."""
    seed = secrets.token_bytes(32)
    try:
        signer = Signer(options.name, seed)
    except ValueError as error:
        raise BadState(str(error)) from None
    key = signer.key
    text = f"{PRIVATE}{key.name}+{key.key_id.hex()}+{encode_base64(COSIGNATURE + seed)}\n"
    if options.state.exists() and any(options.state.iterdir()):
        raise BadState(f"expected an empty or new directory for the state, got {options.state}")
    with open(
        os.open(options.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)  # never over another key: it is made once
        file.flush()
        os.fsync(file.fileno())
    State.create(options.state, key)
    tell(sys.stdout, format_vkey(key))
    return 0


def read_signer(path: Path) -> Signer:
    text = path.read_text(encoding="utf-8").strip()
    name, _, rest = text[len(PRIVATE) :].partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        material = decode_base64(encoded)
        signer = Signer(name, material[1:])
        is_whole = material[:1] == COSIGNATURE and len(material) == 33 and key_id == signer.key.key_id.hex()
        if text.startswith(PRIVATE) and is_whole:
            return signer
    except ValueError:
        pass
    raise BadState(f"{path}: expected a private key as keygen writes it")


def run_witness(options: Any) -> int:
    """Check the state, then answer."""
    signer = read_signer(options.key)
    logs: dict[str, list[Key]] = {}
    for key in [*options.log, *read_logs(options.logs)]:
        logs.setdefault(key.name, []).append(key)
    if not logs:
        raise BadState("expected the key of a log with --log or --logs, got none")
    state = State(options.state, signer.key)
    with state.lock():
        witness = Witness(signer, logs, state, say)
        say(
            f"{format_vkey(signer.key)} witnesses {len(logs)} logs"
            + ("" if HAS_LIBRARY else ", in pure Python")
        )
        host, port = options.listen
        asyncio.run(serve(Server(witness), host, port, say))
    return 0


def read_logs(path: Path | None) -> list[Key]:
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    kept = [line.partition("#")[0].strip() for line in lines]
    try:
        return [log_key(line) for line in kept if line]
    except argparse.ArgumentTypeError as error:
        raise BadState(f"{path}: {error}") from None


def run_show(options: Any) -> int:
    """What it has seen, from the state alone; also while it runs."""
    key = read_owner(options.state)
    try:
        rows = State(options.state, key).logs()
    except (ValueError, Refusal) as error:
        raise BadState(f"{options.state} is damaged: {error}") from None
    if options.json:
        logs = [describe_log(seen, kept) for seen, kept in rows]
        tell(sys.stdout, json.dumps({"witness": format_vkey(key), "logs": logs}, indent=1))
        return 0
    tell(sys.stdout, format_vkey(key))
    for seen, kept in rows:
        size, at = seen.checkpoint.size, format_time(seen.time)
        tell(
            sys.stdout,
            f"{clip(seen.checkpoint.origin)}: {size} entries, {seen.checkpoint.root.hex()}, cosigned {at}",
        )
        for place in kept:
            tell(sys.stdout, f"  {'FORK' if place.name.startswith('fork') else 'unproven'}: {place}")
    return 0


def describe_log(seen: Seen, kept: Sequence[Path]) -> dict[str, Any]:
    origin, size, root = seen.checkpoint
    return {
        "origin": origin,
        "size": size,
        "root": root.hex(),
        "time": seen.time,
        "evidence": [str(place) for place in kept],
    }


def format_time(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def clip(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= 200 else shown[:199] + "\u2026"


def say(text: str) -> None:
    """A line of the log."""
    tell(sys.stderr, f"{format_time(int(time.time()))} {text}")


def tell(stream: TextIO, text: str) -> None:
    """Print; a letter that the terminal does not know is escaped."""
    encoding = stream.encoding or "ascii"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
