"""Frozen totals: a shard as it was dumped becomes a sorted one, sorted shards become the file for the auditor."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from prizes.core.roll import TOTAL_BYTES
from prizes.engine.streams import TOTAL, Rows, bytes_of, count_rows, read_chunks, read_joined, writing

BUCKET_ROWS = 1 << 16  # what the processor's cache holds; more is sorted in buckets of about so many
MAX_BUCKETS = 256  # the number of a bucket is one byte
CHUNK_ROWS = 1 << 17
MEMORY_ROWS = (48 << 20) // TOTAL_BYTES  # a shard up to here is not written to the disk on the way
MAX_FILES = 64
SAMPLES, SAMPLE_ROWS = 64, 1 << 11

Numbers = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.uint16]
Write = Callable[[Rows], None]


class ShardSummary(NamedTuple):
    """Of sorted totals: the number of viewers, the sum of their shakes, the SHA-256 of the file (32 bytes)."""

    viewers: int
    shakes: int
    sha256: bytes


def sort_shard(raw: Path, out: Path) -> ShardSummary:
    """Write the rows `p14 || BE32 total` of `raw`, in any order, to `out`, strictly increasing.

    A row more or less than whole, or a pseudonym that stands there twice, is a ValueError, and no file is left.
    """
    rows = count_rows(raw, TOTAL_BYTES)
    with writing(out) as file, open(raw, "rb") as source:
        written = _Written(file)
        _sort(source, rows, written.add, out.parent, offset=0, exact=False)
    return written.summary()


def join_totals(shards: Sequence[Path], out: Path) -> ShardSummary:
    """Write sorted shards one after the other; ValueError unless pseudonyms increase across them, too."""
    with writing(out) as file:
        written = _Written(file)
        for rows in read_joined(shards, TOTAL, CHUNK_ROWS):
            written.add(rows)
    return written.summary()


class Added(NamedTuple):
    """How many rows totals have, and the sum of their shakes."""

    viewers: int
    shakes: int


def add_totals(path: Path) -> Added:
    """Add up a file of totals; ValueError for a row more or less than whole."""
    viewers, shakes = count_rows(path, TOTAL_BYTES), 0
    with open(path, "rb") as file:
        for chunk in read_chunks(file, CHUNK_ROWS * TOTAL_BYTES):
            shakes += int(np.frombuffer(chunk, TOTAL)["total"].sum(dtype=np.uint64))
    return Added(viewers, shakes)


class _Written:
    """Counts and hashes the rows on their way to a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self._viewers = self._shakes = 0

    def add(self, rows: Rows) -> None:
        data = bytes_of(rows)
        self._file.write(data)
        self._hash.update(data)
        self._viewers += len(rows)
        self._shakes += int(rows["total"].sum(dtype=np.uint64))

    def summary(self) -> ShardSummary:
        return ShardSummary(self._viewers, self._shakes, self._hash.digest())


def _sort(source: BinaryIO, rows: int, write: Write, folder: Path, *, offset: int, exact: bool) -> None:
    """Sort all rows of a file whose pseudonyms agree in the bytes before `offset`.

    More than `MEMORY_ROWS` are spread over files by the next two bytes first, so memory is bounded whatever the size.
    How many rows have which bytes is estimated from a sample; where that went wrong, an `exact` count is made.
    """
    if rows <= MEMORY_ROWS:
        _sort_in_memory(source, rows, write, offset)
        return
    counts = _count_prefixes(source, rows, offset, exact=exact)
    while exact and np.count_nonzero(counts) == 1:  # all agree in these two bytes, too
        offset += 2
        if offset == 14:
            raise ValueError(f"expected each pseudonym once, got one {rows} times")
        counts = _count_prefixes(source, rows, offset, exact=True)
    bucket_of = _choose_buckets(counts, min(MAX_FILES, -(-2 * rows // MEMORY_ROWS)))
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile(dir=folder)) for _ in range(int(bucket_of[-1]) + 1)]
        for chunk, order, ends in _by_bucket(source, bucket_of, offset):
            parts = np.split(_pairs(chunk).take(order, axis=0, mode="clip"), ends[:-1])
            for file, part in zip(files, parts, strict=True):
                file.write(part.data)
        for file in files:
            _sort(file, file.tell() // TOTAL_BYTES, write, folder, offset=offset, exact=True)


def _sort_in_memory(source: BinaryIO, rows: int, write: Write, offset: int) -> None:
    """Spread the rows over buckets that fit the processor's cache, then sort bucket by bucket."""
    counts = _count_prefixes(source, rows, offset, exact=False)
    bucket_of = _choose_buckets(counts, min(MAX_BUCKETS, -(-rows // BUCKET_ROWS)))
    spread, done, pieces = np.empty((rows, TOTAL_BYTES // 2), np.uint16), 0, []
    for chunk, order, ends in _by_bucket(source, bucket_of, offset):
        part = _pairs(chunk).take(order, axis=0, mode="clip", out=spread[done : done + len(chunk)])
        pieces.append(np.split(part, ends[:-1]))
        done += len(chunk)
    for bucket in zip(*pieces, strict=True):
        write(_sorted(np.concatenate(bucket).reshape(-1).view(TOTAL)))


def _count_prefixes(source: BinaryIO, rows: int, offset: int, *, exact: bool) -> Numbers:
    """How many rows have each value of the two bytes at `offset`: of all, or of a sample.

    The sample is of blocks from all over the file: a tally is dumped by totals, and where these are equal by pseudonym.
    """
    counts = np.zeros(1 << 16, np.int64)
    source.seek(0)
    for number, chunk in enumerate(read_chunks(source, SAMPLE_ROWS * TOTAL_BYTES)):
        counts += np.bincount(_prefixes(np.frombuffer(chunk, TOTAL), offset), minlength=1 << 16)
        if not exact:
            source.seek((number + 1) * max(rows // SAMPLES, SAMPLE_ROWS) * TOTAL_BYTES)
    return counts


def _choose_buckets(counts: Numbers, buckets: int) -> npt.NDArray[np.uint8]:
    """Two bytes -> bucket, never decreasing, so that the buckets one after the other are in order."""
    # By the middle of each value's rows: so two values never stay together in every round, however uneven they are.
    before = np.cumsum(counts)
    middle = 2 * before - counts
    chosen: npt.NDArray[np.uint8] = np.minimum(
        middle * buckets // max(2 * int(before[-1]), 1), buckets - 1
    ).astype(np.uint8)
    return chosen


def _by_bucket(
    source: BinaryIO, bucket_of: npt.NDArray[np.uint8], offset: int
) -> Iterator[tuple[Rows, Numbers, Numbers]]:
    """Yield chunks, each with the order that sorts it by bucket, and where each bucket then ends."""
    source.seek(0)
    for chunk in read_chunks(source, CHUNK_ROWS * TOTAL_BYTES):
        rows = np.frombuffer(chunk, TOTAL)
        bucket = bucket_of[_prefixes(rows, offset)]
        ends = np.cumsum(np.bincount(bucket, minlength=int(bucket_of[-1]) + 1))
        yield rows, np.argsort(bucket, kind="stable"), ends


def _prefixes(rows: Rows, offset: int) -> npt.NDArray[np.uint16]:
    """The two bytes at `offset` of each pseudonym."""
    return _pairs(rows)[:, offset // 2].view(">u2").astype(np.uint16)


def _sorted(rows: Rows) -> Rows:
    """Sort rows by pseudonym: by 32 bits in two passes of numpy's radix sort, and where these agree by all bytes.

    The sort of whole words that numpy has for AVX-512 takes three times as long on AMD's Zen 4; the radix sort is the
    same everywhere (docs/performance.md).
    """
    if not len(rows):
        return rows
    high = rows["high"].astype(np.uint64)
    common = 64 - int(high.min() ^ high.max()).bit_length()  # leading bits that are the same in all
    key = ((high << np.uint64(min(common, 63))) >> np.uint64(32)).astype(np.uint32)
    order = np.argsort(key.astype(np.uint16), kind="stable")
    order = order[np.argsort((key >> np.uint32(16)).astype(np.uint16)[order], kind="stable")]
    order = _settle_ties(rows, key[order], order)
    return _pairs(rows).take(order, axis=0, mode="clip").reshape(-1).view(TOTAL)


def _settle_ties(rows: Rows, key: npt.NDArray[np.uint32], order: Numbers) -> Numbers:
    """Put rows with the same key in order: all of them sorted together fill the same places."""
    same = key[1:] == key[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(tied):
        names = rows["pseudonym"][order[tied]]
        by_name = np.argsort(names, kind="stable")
        names = names[by_name]
        twice = np.flatnonzero(names[1:] == names[:-1])
        if len(twice):
            raise ValueError(
                f"expected each pseudonym once, got {names[twice[0]].ljust(14, bytes(1)).hex()} twice"
            )
        order[tied] = order[tied][by_name]
    return order


def _pairs(rows: Rows) -> Pairs:
    """Rows as nine numbers of two bytes each: so they are gathered faster than as odd records of 18."""
    return rows.view(np.uint16).reshape(-1, TOTAL_BYTES // 2)
