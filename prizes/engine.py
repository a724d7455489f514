"""The fast draw: rolls assembled and ranked from files in bounded memory (docs/draw.md, sections 3, 6 and 8).

The independent second implementation is prizes/core/verify.py; both must agree before anything is announced.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from engagement.core.merkle import build_levels, leaf_hash, proof_from_levels, root
from prizes.core.digests import roll_digest
from prizes.core.record import Ranked
from prizes.core.roll import (
    ENTRY_BYTES,
    HEADER_BYTES,
    RUN_BYTES,
    RUN_ENTRIES,
    TOTAL_BYTES,
    RollHeader,
    parse_header,
)
from prizes.core.tickets import TicketTable

TOTAL = np.dtype([("pseudonym", "S14"), ("total", ">u4")])
ENTRY = np.dtype([("pseudonym", "S14"), ("tickets", ">u2")])
ENTRIES_PER_CHUNK = 1 << 16
SCORED = np.dtype([("high", "u8"), ("low", "u8"), ("index", "i8"), ("ticket", "i8")])
BLOCKS_PER_CHUNK = 1 << 18  # 4 MiB of AES blocks, plus at most one viewer's
AUDIT_TICKET = 0xFFFF  # never a real ticket: those end at 0xFFFE

Bytes2D = npt.NDArray[np.uint8]


class RollSummary(NamedTuple):
    """What `assemble_roll` made: counts, 64-byte header, 32-byte digests, and the totals it came from."""

    entries: int
    tickets: int
    header: bytes
    root: bytes
    digest: bytes
    totals_digest: bytes
    viewers: int
    shakes: int


def assemble_roll(
    shard_paths: Sequence[Path],
    table: TicketTable,
    excluded: Collection[bytes],
    rules_digest: bytes,
    roll_path: Path,
    totals_path: Path,
) -> RollSummary:
    """Write the roll and the whole frozen totals from shards of frozen totals, in the order of their ranges.

    Pseudonyms must strictly increase within and across the shards; ValueError otherwise, and no file is left.
    """
    entries = tickets = viewers = shakes = 0
    totals_hash = hashlib.sha256()
    with _replacing(roll_path) as roll, _replacing(totals_path) as totals:
        roll.write(bytes(HEADER_BYTES))  # the counts are known at the end
        for chunk in _sorted_totals(shard_paths):
            totals.write(chunk.data)
            totals_hash.update(chunk.data)
            counted = count_tickets(chunk, table, excluded)
            roll.write(counted.data)
            viewers += len(chunk)
            shakes += int(chunk["total"].sum(dtype=np.uint64))
            entries += len(counted)
            tickets += int(counted["tickets"].sum(dtype=np.uint64))
        header = RollHeader(entries, tickets, rules_digest, table.tmax).pack()
        roll.seek(0)
        roll.write(header)
    top = root(_leaf_hashes(roll_path))
    digest = roll_digest(header, top)
    return RollSummary(entries, tickets, header, top, digest, totals_hash.digest(), viewers, shakes)


def count_tickets(
    totals: npt.NDArray[np.void], table: TicketTable, excluded: Collection[bytes]
) -> npt.NDArray[np.void]:
    """Return the roll's entries for rows of frozen totals: no excluded ones, none below the minimum."""
    thresholds, worth = zip(*table.rows, strict=True)
    reached = np.searchsorted(np.array(thresholds, np.uint32), totals["total"].astype(np.uint32), "right")
    counted = np.empty(len(totals), ENTRY)
    counted["pseudonym"] = totals["pseudonym"]
    counted["tickets"] = np.array([0, *worth], np.uint16)[reached]
    keep = counted["tickets"] > 0
    if excluded:
        keep &= ~np.isin(counted["pseudonym"], np.array(sorted(excluded), "S14"))
    return counted[keep]


def rank_roll(roll_path: Path, key: bytes, count: int) -> list[Ranked]:
    """Return the `count` entries with the smallest scores, ascending, or all if the roll has fewer."""
    return _smallest(roll_path, key, count, _ticket_blocks)


def audit_sample(roll_path: Path, audit_key: bytes, count: int) -> list[Ranked]:
    """Return the `count` entries that an auditor opens, by `AES_Ka(p14 || FFFF)`; each has ticket 0xFFFF."""
    return _smallest(roll_path, audit_key, count, _audit_blocks)


def prove_entries(roll_path: Path, indexes: Sequence[int]) -> dict[int, list[bytes]]:
    """Return the inclusion proof of every leaf (index // 256) that holds one of these entries."""
    levels = build_levels(_leaf_hashes(roll_path))
    leaves = sorted({index // RUN_ENTRIES for index in indexes})
    return {leaf: proof_from_levels(levels, leaf) for leaf in leaves}


def read_run(roll_path: Path, leaf: int) -> bytes:
    """Return one leaf of the roll's tree, 4096 bytes or less at the end, for a receipt."""
    with open(roll_path, "rb") as file:
        file.seek(HEADER_BYTES + leaf * RUN_BYTES)
        return file.read(RUN_BYTES)


def find_entry(roll_path: Path, pseudonym: bytes) -> int | None:
    """Return the index of a pseudonym in the sorted roll, or None: absent."""
    with open(roll_path, "rb") as file:
        low, high = 0, parse_header(file.read(HEADER_BYTES)).entries
        while low < high:
            middle = (low + high) // 2
            file.seek(HEADER_BYTES + middle * ENTRY_BYTES)
            found = file.read(14)
            if found == pseudonym:
                return middle
            low, high = (middle + 1, high) if found < pseudonym else (low, middle)
    return None


def _sorted_totals(shard_paths: Sequence[Path]) -> Iterator[npt.NDArray[np.void]]:
    last: bytes | None = None
    for path in shard_paths:
        if os.path.getsize(path) % TOTAL_BYTES:
            raise ValueError(f"expected whole rows of {TOTAL_BYTES} bytes in {path}, got a cut one")
        with open(path, "rb") as file:
            while data := file.read(ENTRIES_PER_CHUNK * TOTAL_BYTES):
                chunk = np.frombuffer(data, TOTAL)
                names = chunk["pseudonym"]
                first = data[:14]
                if (last is not None and first <= last) or not bool((names[1:] > names[:-1]).all()):
                    raise ValueError(f"expected strictly increasing pseudonyms, got others in {path}")
                last = data[-TOTAL_BYTES:][:14]
                yield chunk


def _leaf_hashes(roll_path: Path) -> Iterator[bytes]:
    """Hash the runs as they are in the file, not as they were in memory."""
    with open(roll_path, "rb") as file:
        file.seek(HEADER_BYTES)
        while run := file.read(RUN_BYTES):
            yield leaf_hash(run)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the name `path` only when everything was written."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")  # two workers may share a folder
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class _Encryptor:
    """AES-256 of many blocks into one buffer that is kept: `update` would be several times slower."""

    def __init__(self, key: bytes) -> None:
        # each block is encrypted on its own by definition of the score; nothing is kept secret with it
        self._context = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        self._buffer = np.empty(0, np.uint8)

    def scores(self, blocks: Bytes2D) -> npt.NDArray[np.uint64]:
        """Return the scores as rows of two native words, first the high one."""
        if len(self._buffer) < blocks.size + 15:  # update_into asks for a block less one more
            self._buffer = np.empty(blocks.size + 15, np.uint8)
        self._context.update_into(blocks.data, self._buffer.data)
        return self._buffer[: blocks.size].view(">u8").astype(np.uint64).reshape(-1, 2)


class _Blocks(NamedTuple):
    blocks: Bytes2D  # n rows of 16 bytes, to be encrypted
    owners: npt.NDArray[np.int64]  # row -> entry index
    tickets: npt.NDArray[np.int64]  # row -> ticket j


_MakeBlocks = Callable[[npt.NDArray[np.void], int], Iterator[_Blocks]]


def _ticket_blocks(entries: npt.NDArray[np.void], first: int) -> Iterator[_Blocks]:
    """Yield the blocks `p14 || BE16(j)` of all tickets, in chunks that never split an entry."""
    ends = np.cumsum(entries["tickets"], dtype=np.int64)
    start = done = 0
    while start < len(entries):
        stop = max(start + 1, int(np.searchsorted(ends, done + BLOCKS_PER_CHUNK, "right")))
        counts = entries["tickets"][start:stop].astype(np.int64)
        local = np.repeat(np.arange(start, stop), counts)
        starts = np.repeat(ends[start:stop] - counts, counts)
        tickets = np.arange(done, int(ends[stop - 1])) - starts
        yield _Blocks(_pack_blocks(entries["pseudonym"], local, tickets), local + first, tickets)
        start, done = stop, int(ends[stop - 1])


def _audit_blocks(entries: npt.NDArray[np.void], first: int) -> Iterator[_Blocks]:
    local = np.arange(len(entries))
    tickets = np.full(len(entries), AUDIT_TICKET)
    yield _Blocks(_pack_blocks(entries["pseudonym"], local, tickets), local + first, tickets)


def _pack_blocks(
    pseudonyms: npt.NDArray[np.bytes_], local: npt.NDArray[np.int64], tickets: npt.NDArray[np.int64]
) -> Bytes2D:
    packed = np.empty(len(local), ENTRY)
    packed["pseudonym"] = pseudonyms[local]
    packed["tickets"] = tickets
    return packed.view(np.uint8).reshape(-1, ENTRY_BYTES)


def _smallest(roll_path: Path, key: bytes, count: int, make_blocks: _MakeBlocks) -> list[Ranked]:
    """Keep the `count` best entries so far; their worst score thins out what each chunk has to sort.

    One pass and exact whatever the scores are, unlike a filter on leading zeros that may have to start again.
    """
    encryptor = _Encryptor(key)
    best = np.empty(0, SCORED)
    for first, entries in _read_entries(roll_path):
        for part in make_blocks(entries, first):
            scores = encryptor.scores(part.blocks)
            limit = best["high"][-1] if 0 < len(best) == count else np.uint64(0xFFFFFFFFFFFFFFFF)
            near = np.flatnonzero(scores[:, 0] <= limit)
            if len(near):
                best = _merge(best, _scored(part, scores, near), count)
    return _ranked(roll_path, best)


def _scored(
    part: _Blocks, scores: npt.NDArray[np.uint64], near: npt.NDArray[np.int64]
) -> npt.NDArray[np.void]:
    rows = np.empty(len(near), SCORED)
    rows["high"], rows["low"] = scores[near, 0], scores[near, 1]
    rows["index"], rows["ticket"] = part.owners[near], part.tickets[near]
    return rows


def _merge(best: npt.NDArray[np.void], fresh: npt.NDArray[np.void], count: int) -> npt.NDArray[np.void]:
    """Return the `count` smallest scores, one per entry, ascending."""
    rows = np.concatenate([best, fresh])
    rows = rows[np.lexsort((rows["low"], rows["high"]))]
    _, smallest = np.unique(rows["index"], return_index=True)  # the first of each entry: its best ticket
    return rows[np.sort(smallest)[:count]]


def _ranked(roll_path: Path, best: npt.NDArray[np.void]) -> list[Ranked]:
    ranked = []
    with open(roll_path, "rb") as file:
        for high, low, index, ticket in best.tolist():
            file.seek(HEADER_BYTES + index * ENTRY_BYTES)
            entry = file.read(ENTRY_BYTES)
            score = high.to_bytes(8, "big") + low.to_bytes(8, "big")
            ranked.append(Ranked(entry[:14], int.from_bytes(entry[14:], "big"), ticket, score, index))
    return ranked


def _read_entries(roll_path: Path) -> Iterator[tuple[int, npt.NDArray[np.void]]]:
    with open(roll_path, "rb") as file:
        header = parse_header(file.read(HEADER_BYTES))
        size = os.fstat(file.fileno()).st_size
        if size != HEADER_BYTES + header.entries * ENTRY_BYTES:
            raise ValueError(f"expected {header.entries} entries in {roll_path}, got {size} bytes")
        first = 0
        while data := file.read(ENTRIES_PER_CHUNK * ENTRY_BYTES):
            yield first, np.frombuffer(data, ENTRY)
            first += len(data) // ENTRY_BYTES
