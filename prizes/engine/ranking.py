"""The ranking of a roll: the score of every ticket, in memory that does not grow with the roll."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from sys import byteorder
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from prizes.core.record import Ranked
from prizes.core.roll import ENTRY_BYTES, HEADER_BYTES, RollHeader, parse_header
from prizes.engine.streams import ENTRY, Progress, Reporter, Rows, read_chunks

CHUNK_ENTRIES = 1 << 15  # with their blocks and scores 1 MiB, which stays in the processor's cache
AUDIT_TICKET = 0xFFFF  # never a real ticket: those end at 0xFFFE
SCORED = np.dtype([("high", "u8"), ("low", "u8"), ("index", "i8"), ("ticket", "i8")])

Numbers = npt.NDArray[np.int64]


def rank_roll(
    roll_path: Path,
    key: bytes,
    count: int,
    start: int = 0,
    stop: int | None = None,
    progress: Progress | None = None,
) -> list[Ranked]:
    """Return the `count` entries with the smallest scores, ascending, or all if there are fewer.

    Only entries `start` .. `stop - 1` are looked at; `merge_rankings` makes the rankings of any such split one.
    """
    return _smallest(roll_path, key, count, start, stop, _score_tickets, progress)


def audit_sample(
    roll_path: Path, audit_key: bytes, count: int, start: int = 0, stop: int | None = None
) -> list[Ranked]:
    """Return the `count` entries that an auditor opens, by `AES_Ka(p14 || FFFF)`; each has ticket 0xFFFF.

    Ranges as in `rank_roll`.
    """
    return _smallest(roll_path, audit_key, count, start, stop, _score_audit, None)


def merge_rankings(parts: Iterable[Sequence[Ranked]], count: int) -> list[Ranked]:
    """Return the first `count` of the rankings of disjoint ranges, each made with at least this `count`.

    ValueError where an entry is in two of them: then a range was taken twice.
    """
    rows = sorted((row for part in parts for row in part), key=lambda row: row.score)
    if len({row.index for row in rows}) != len(rows):
        raise ValueError("expected rankings of disjoint ranges, got an entry twice")
    return rows[:count]


_Score = Callable[["_Scorer", Rows, int], None]


def _smallest(
    roll_path: Path,
    key: bytes,
    count: int,
    start: int,
    stop: int | None,
    score: _Score,
    progress: Progress | None,
) -> list[Ranked]:
    best = _Best(count)
    scorer = _Scorer(key, best)
    with open(roll_path, "rb") as roll:
        start, stop, _ = slice(start, stop).indices(_checked_header(roll, roll_path).entries)
        reporter = Reporter(progress, max(stop - start, 0))
        roll.seek(HEADER_BYTES + start * ENTRY_BYTES)
        for chunk in read_chunks(roll, CHUNK_ENTRIES * ENTRY_BYTES, HEADER_BYTES + stop * ENTRY_BYTES):
            rows = np.frombuffer(chunk, ENTRY)
            score(scorer, rows, start)
            best.settle()
            start += len(rows)
            reporter.add(len(rows))
        reporter.finish()
        return [_ranked(roll, *row) for row in best.rows.tolist()]


def _score_tickets(scorer: "_Scorer", rows: Rows, first: int) -> None:
    """Score all tickets of a chunk: ticket by ticket while many have it, then the last few viewers one by one.

    Whatever there is less of is the loop in Python, so neither many viewers nor 65,535 tickets make it long.
    """
    tickets = rows["tickets"].astype(np.uint16)
    scorer.load(rows, np.argsort(~tickets, kind="stable"), first)  # the most tickets first
    holders = len(rows) - np.cumsum(np.bincount(tickets))  # ticket -> how many have it
    most = len(holders) - 1
    for ticket, many in enumerate(holders[:most].tolist()):
        if many < most - ticket:
            return scorer.score_viewers(many, ticket)
        scorer.score_ticket(many, ticket)
    return None


def _score_audit(scorer: "_Scorer", rows: Rows, first: int) -> None:
    scorer.load(rows, np.arange(len(rows)), first)
    scorer.score_ticket(len(rows), AUDIT_TICKET)


class _Scorer:
    """AES-256 of the blocks `p14 || BE16(j)` of a chunk, in buffers that are kept."""

    def __init__(self, key: bytes, best: "_Best") -> None:
        # each block is encrypted on its own by definition of the score; nothing is kept secret with it
        self._cipher = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        self._best = best
        self._blocks = np.empty(CHUNK_ENTRIES, ENTRY)
        self._scores = np.empty(
            2 * CHUNK_ENTRIES + 2, np.uint64
        )  # update_into asks for a block less one more
        self._indexes = self._tickets = np.empty(0, np.int64)

    def load(self, rows: Rows, order: Numbers, first: int) -> None:
        """Take the rows of a chunk, whose first has the index `first`, in this order."""
        # entries as whole words are gathered faster than as records with fields
        whole = self._blocks[: len(rows)].view(np.complex128)
        rows.view(np.complex128).take(order, out=whole, mode="clip")
        self._indexes, self._tickets = order + first, rows["tickets"][order]

    def score_ticket(self, many: int, ticket: int) -> None:
        """Score one ticket of each of the first `many` viewers."""
        self._blocks["tickets"][:many] = ticket
        near = self._encrypt(many)
        if len(near):
            self._best.add(self._scores, near, self._indexes[near], ticket)

    def score_viewers(self, many: int, ticket: int) -> None:
        """Score all tickets from this one on of each of the first `many` viewers; their blocks are used up."""
        viewers = self._blocks[:many].copy()
        indexes = self._indexes[:many].tolist()
        for index, viewer, tickets in zip(indexes, viewers, self._tickets[:many].tolist(), strict=True):
            for start in range(ticket, tickets, CHUNK_ENTRIES):
                numbers = np.arange(start, min(tickets, start + CHUNK_ENTRIES))
                self._blocks[: len(numbers)] = viewer
                self._blocks["tickets"][: len(numbers)] = numbers
                near = self._encrypt(len(numbers))
                if len(near):
                    self._best.add(self._scores, near, index, numbers[near])

    def _encrypt(self, many: int) -> Numbers:
        """Encrypt the first blocks; return which of the scores may be among the best."""
        size = many * ENTRY_BYTES
        data = self._blocks.view(np.uint8).data[:size]
        self._cipher.update_into(data, self._scores.view(np.uint8).data[: size + ENTRY_BYTES - 1])
        high = self._scores[: 2 * many : 2]
        return np.flatnonzero((high & self._best.mask) == 0)


class _Best:
    """The `count` best entries so far. The worst of them says how many leading zero bits a score needs to be looked at.

    One pass and exact whatever the scores are, unlike a number of bits guessed from the size of the roll.
    """

    def __init__(self, count: int) -> None:
        self.rows = np.empty(0, SCORED)
        self.mask = _leading_bits(0 if count == 0 else 64)
        self._count = count
        self._waiting: list[Rows] = []
        self._size = 0

    def add(
        self, scores: npt.NDArray[np.uint64], near: Numbers, index: int | Numbers, ticket: int | Numbers
    ) -> None:
        """Take the scores at the places `near`, two words each, as they came from the cipher."""
        words = scores.view(">u8")
        rows = np.empty(len(near), SCORED)
        rows["high"], rows["low"] = words[2 * near], words[2 * near + 1]
        rows["index"], rows["ticket"] = index, ticket
        self._waiting.append(rows)
        self._size += len(rows)
        if self._size > CHUNK_ENTRIES:
            self.settle()

    def settle(self) -> None:
        """Keep the best of what waits, one score of each entry."""
        if not self._waiting:
            return
        rows = np.concatenate([self.rows, *self._waiting])
        rows = rows[np.lexsort((rows["low"], rows["high"]))]
        _, smallest = np.unique(rows["index"], return_index=True)  # the first of each entry: its best ticket
        self.rows = rows[np.sort(smallest)[: self._count]]
        self._waiting, self._size = [], 0
        if 0 < len(self.rows) == self._count:
            self.mask = _leading_bits(int(self.rows["high"][-1]).bit_length())


def _leading_bits(but: int) -> np.uint64:
    """A mask of all but the last `but` bits of a score's first word, in the order of the bytes in memory."""
    return np.uint64(int.from_bytes(((1 << 64) - (1 << but)).to_bytes(8, "big"), byteorder))


def _checked_header(roll: BinaryIO, path: Path) -> RollHeader:
    header = parse_header(roll.read(HEADER_BYTES))
    size = os.fstat(roll.fileno()).st_size
    if size != HEADER_BYTES + header.entries * ENTRY_BYTES:
        raise ValueError(f"expected {header.entries} entries in {path}, got {size} bytes")
    return header


def _ranked(roll: BinaryIO, high: int, low: int, index: int, ticket: int) -> Ranked:
    roll.seek(HEADER_BYTES + index * ENTRY_BYTES)
    entry = roll.read(ENTRY_BYTES)
    score = high.to_bytes(8, "big") + low.to_bytes(8, "big")
    return Ranked(entry[:14], int.from_bytes(entry[14:], "big"), ticket, score, index)
