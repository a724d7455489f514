"""Rolls as files: counted from sorted totals, joined from parts, and what a receipt shows of them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from engagement.ledger.core.merkle import leaf_hash
from prizes.core.digests import roll_digest
from prizes.core.roll import (
    ENTRY_BYTES,
    HEADER_BYTES,
    RUN_BYTES,
    TOTAL_BYTES,
    RollHeader,
)
from prizes.core.sharing import NOTHING_SHARED, Sharing
from prizes.core.tickets import TicketTable
from prizes.engine.sharing import Caps, LeftOut
from prizes.engine.streams import (
    ENTRY,
    TOTAL,
    Progress,
    Reporter,
    Rows,
    bytes_of,
    check_increasing,
    count_rows,
    read_chunks,
    writing,
)
from prizes.engine.tree import Tree

CHUNK_ROWS = 1 << 15
COPY_BYTES = 1 << 20
LOOKUP_SHAKES = 1 << 20  # up to here the tickets of a total are looked up, above they are searched for


class PartSummary(NamedTuple):
    """Of one shard's part of a roll: the number of entries, the sum of their tickets, and tickets -> entries."""

    entries: int
    tickets: int
    classes: dict[int, int]


class RollSummary(NamedTuple):
    """Of a roll: counts, 64-byte header, Merkle root and roll digest of 32 bytes, and tickets -> entries."""

    entries: int
    tickets: int
    header: bytes
    root: bytes
    digest: bytes
    classes: dict[int, int]


def count_shard(
    sorted_totals: Path,
    table: TicketTable,
    excluded: Collection[bytes],
    out: Path,
    origins: Path | None = None,
    sharing: Sharing = NOTHING_SHARED,
) -> PartSummary:
    """Write the entries of one sorted shard, without a header; ValueError unless it is sorted and whole.

    Left out are the excluded pseudonyms and totals below the table's minimum. With the shard's `origins` an entry has
    at most the tickets of its kind.
    """
    count_rows(sorted_totals, TOTAL_BYTES)
    tickets_of, banned, last = _Tickets(table), _Excluded(excluded), b""
    classes = np.zeros(table.tmax + 1, np.int64)
    with ExitStack() as stack:
        part, file = stack.enter_context(writing(out)), stack.enter_context(open(sorted_totals, "rb"))
        capped = Caps(table, sharing, stack.enter_context(open(origins, "rb"))) if origins else None
        for chunk in read_chunks(file, CHUNK_ROWS * TOTAL_BYTES):
            totals = np.frombuffer(chunk, TOTAL)
            last = check_increasing(totals, last, sorted_totals)
            tickets = tickets_of(totals["total"])
            banned.remove(totals, tickets)
            if capped is not None:
                capped.lower(totals, tickets)
            classes += np.bincount(tickets, minlength=table.tmax + 1)
            part.write(bytes_of(_entries(totals, tickets)))
    return PartSummary(*_summary(classes))


def join_roll(
    parts: Sequence[Path],
    rules_digest: bytes,
    tmax: int,
    roll_path: Path,
    tree_path: Path,
    progress: Progress | None = None,
    left_out: Path | None = None,
) -> RollSummary:
    """Write a roll from the parts of its shards, in the order of their ranges, and its tree (`Tree`) beside it.

    Without the entries whose pseudonyms are in the sorted file `left_out`.

    What the summary says is taken from the file as it then stands: counts, order and leaves. ValueError where
    pseudonyms do not strictly increase or tickets are not 1 .. tmax; then no file is left.
    """
    rows = sum(count_rows(path, ENTRY_BYTES) for path in parts)
    with ExitStack() as stack:
        roll, hashes = stack.enter_context(writing(roll_path)), stack.enter_context(writing(tree_path))
        shared = LeftOut(stack.enter_context(open(left_out, "rb"))) if left_out else None
        roll.write(bytes(HEADER_BYTES))  # the sum of the tickets is known at the end
        for path in parts:
            with open(path, "rb") as part:
                for chunk in read_chunks(part, COPY_BYTES):
                    roll.write(chunk if shared is None else shared.without(chunk))
        examination = _Examination(roll_path, tmax, Reporter(progress, rows))
        root = Tree.build(examination.leaf_hashes(roll), hashes).root
        entries, tickets, classes = examination.summary()
        header = RollHeader(entries, tickets, rules_digest, tmax).pack()
        roll.seek(0)
        roll.write(header)
    return RollSummary(entries, tickets, header, root, roll_digest(header, root), classes)


def make_tree(roll_path: Path, tree_path: Path) -> bytes:
    """Write the tree of a roll anew, where it was lost; return the root. The whole roll is hashed for it."""
    with open(roll_path, "rb") as roll, writing(tree_path) as hashes:
        return Tree.build(_leaf_hashes(roll), hashes).root


class _Tickets:
    """The ticket table for whole columns of totals."""

    def __init__(self, table: TicketTable) -> None:
        thresholds, worth = zip(*table.rows, strict=True)
        self._thresholds = np.array(thresholds, np.uint32)
        self._worth = np.array([0, *worth], np.uint16)
        self._lookup: npt.NDArray[np.uint16] | None = None
        if thresholds[-1] <= LOOKUP_SHAKES:
            self._lookup = self._search(np.arange(thresholds[-1] + 1, dtype=np.uint32))

    def __call__(self, totals: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
        if self._lookup is None:
            return self._search(totals.astype(np.uint32))
        return self._lookup[np.minimum(totals, len(self._lookup) - 1)]  # seven times as fast as a search

    def _search(self, totals: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
        return self._worth[np.searchsorted(self._thresholds, totals, "right")]


class _Excluded:
    """Excluded pseudonyms, sorted, which are looked for in sorted rows instead of the other way round."""

    def __init__(self, excluded: Collection[bytes]) -> None:
        self._names = np.array(sorted(excluded), "S14")

    def remove(self, rows: Rows, tickets: npt.NDArray[np.uint16]) -> None:
        """Set the tickets of excluded rows to 0."""
        names = rows["pseudonym"]
        start, stop = (
            np.searchsorted(self._names, names[:1], "left"),
            np.searchsorted(self._names, names[-1:], "right"),
        )
        mine = self._names[start[0] : stop[0]]
        places = np.searchsorted(names, mine)
        tickets[places[names[places] == mine]] = 0


def _entries(totals: Rows, tickets: npt.NDArray[np.uint16]) -> Rows:
    """The entries of rows with tickets: 16 bytes in two words, of which the second takes the tickets at its end."""
    entries = np.empty(len(totals), ENTRY)
    entries["word"], entries["tail"], entries["tickets"] = totals["word"], totals["tail"], tickets
    return entries if tickets.all() else entries[tickets > 0]


def _summary(counts: npt.NDArray[np.int64]) -> tuple[int, int, dict[int, int]]:
    """Entries, tickets and the classes, from how many have 0, 1, 2, ... tickets."""
    classes = {int(tickets): int(counts[tickets]) for tickets in np.flatnonzero(counts) if tickets}
    return sum(classes.values()), sum(tickets * many for tickets, many in classes.items()), classes


class _Examination:
    """Reads a roll once: checks order and tickets, counts, and gives the hashes of its leaves."""

    def __init__(self, path: Path, tmax: int, reporter: Reporter) -> None:
        self._path, self._tmax, self._reporter = path, tmax, reporter
        self._counts = np.zeros(tmax + 1, np.int64)

    def leaf_hashes(self, roll: BinaryIO) -> Iterator[bytes]:
        """Yield the hash of every run, as it is in the file and not as it was in memory."""
        last = b""
        for chunk in _body(roll):
            last = self._examine(np.frombuffer(chunk, ENTRY), last)
            yield from _hash_runs(chunk)
        self._reporter.finish()

    def summary(self) -> tuple[int, int, dict[int, int]]:
        return _summary(self._counts)

    def _examine(self, rows: Rows, last: bytes) -> bytes:
        tickets = rows["tickets"].astype(np.uint16)
        if not (tickets.min() >= 1 and tickets.max() <= self._tmax):
            raise ValueError(f"expected 1 .. {self._tmax} tickets, got others for {self._path}")
        self._counts += np.bincount(tickets, minlength=self._tmax + 1)
        self._reporter.add(len(rows))
        return check_increasing(rows, last, self._path)


def _body(roll: BinaryIO) -> Iterator[memoryview]:
    """The entries of a roll in chunks of whole runs."""
    roll.seek(HEADER_BYTES)
    return read_chunks(roll, COPY_BYTES)


def _hash_runs(chunk: memoryview) -> Iterator[bytes]:
    return (leaf_hash(bytes(chunk[at : at + RUN_BYTES])) for at in range(0, len(chunk), RUN_BYTES))


def _leaf_hashes(roll: BinaryIO) -> Iterator[bytes]:
    return (leaf for chunk in _body(roll) for leaf in _hash_runs(chunk))
