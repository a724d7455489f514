"""Where entries come from: origins along the rows of totals and rolls, and the entries that a block has too many.

Origins are rows of 24 bytes, `p14 || origin`, sorted by pseudonym as all files here are.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from engagement.fair_play.core.origins import APP, KINDS, ORIGIN_BYTES
from prizes.core.roll import ENTRY_BYTES
from prizes.core.sharing import SHARED_BYTES, Sharing, shared_rank
from prizes.core.tickets import TicketTable
from prizes.engine.streams import (
    ENTRY,
    TOTAL,
    Rows,
    bytes_of,
    read_chunks,
    read_joined,
    writing,
)
from prizes.engine.totals import sort_shard

ROW_BYTES = 14 + ORIGIN_BYTES
ORIGIN = np.dtype(
    {
        "names": ["pseudonym", "high", "kind", "carrier", "group", "block"],
        "formats": ["S14", ">u8", "u1", "u1", "S9", ">u8"],
        "offsets": [0, 0, 14, 15, 15, 16],
        "itemsize": ROW_BYTES,
    }
)
NAME = np.dtype({"names": ["pseudonym"], "formats": ["S14"], "itemsize": SHARED_BYTES})
# An entry that may be one too many: its rank as four numbers, its group (carrier and block), its pseudonym.
RANKED = np.dtype([("rank", ">u8", (4,)), ("group", "S9"), ("pseudonym", "S14")])
CHUNK_ROWS = 1 << 15
COUNTERS_BITS = 22  # 16 MiB of counters: with 35 million guests in as many blocks each has about 8
KINDS_AT_MOST = 256  # the kind is a byte
SPREAD = 64  # files by the first bits of the rank

Numbers = npt.NDArray[np.int64]


class OriginsSummary(NamedTuple):
    """Of joined origins: the SHA-256 of the file (32 bytes), and viewers by the byte of their kind."""

    sha256: bytes
    kinds: dict[int, int]


class Shared(NamedTuple):
    """Blocks with more entries than count, how many entries these had, and how many of them stayed."""

    blocks: int
    entries: int
    kept: int


class Along:
    """The rows of a sorted file that go along with sorted names which come in chunks."""

    def __init__(self, file: BinaryIO, dtype: np.dtype[np.void]) -> None:
        self._chunks = read_chunks(file, CHUNK_ROWS * dtype.itemsize)
        self._dtype = dtype
        self._rows = np.empty(0, dtype)

    def up_to(self, last: npt.NDArray[np.bytes_]) -> Rows:
        """All rows up to this name that were not given before."""
        given = []
        while True:
            end = int(np.searchsorted(self._rows["pseudonym"], last, "right"))
            given.append(self._rows[:end])
            if end < len(self._rows):
                self._rows = self._rows[end:]
                break
            chunk = next(self._chunks, None)
            self._rows = np.frombuffer(b"" if chunk is None else bytes(chunk), self._dtype)
            if chunk is None:
                break
        return np.concatenate(given)


def places_of(names: npt.NDArray[np.bytes_], rows: Rows) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Where rows stand among sorted names, and whether they stand there at all."""
    places = np.minimum(np.searchsorted(names, rows["pseudonym"]), len(names) - 1)
    return places, names[places] == rows["pseudonym"]


class Caps:
    """The most tickets of an entry by the kind of its pass."""

    def __init__(self, table: TicketTable, sharing: Sharing, origins: BinaryIO) -> None:
        worth = np.array([0, *(tickets for _, tickets in table.rows)], np.uint16)
        every = np.arange(table.tmax + 1)
        self._lowered = {
            kind: worth[np.searchsorted(worth, np.minimum(every, most), "right") - 1]
            for kind, most in sharing.caps.items()
        }
        self._along = Along(origins, ORIGIN)

    def lower(self, totals: Rows, tickets: npt.NDArray[np.uint16]) -> None:
        """Lower the tickets of these rows of totals to what their kinds may have."""
        names = totals["pseudonym"]
        rows = self._along.up_to(names[-1])
        places, known = places_of(names, rows)
        for kind, lowered in self._lowered.items():
            mine = places[known & (rows["kind"] == kind)]
            tickets[mine] = lowered[tickets[mine]]


def join_origins(shards: Sequence[Path], out: Path) -> OriginsSummary:
    """Write the origins of sorted shards one after the other; ValueError unless pseudonyms increase across them."""
    digest, kinds = hashlib.sha256(), np.zeros(256, np.int64)
    with writing(out) as file:
        for rows in read_joined(shards, ORIGIN, CHUNK_ROWS):
            kinds += np.bincount(rows["kind"], minlength=256)
            digest.update(bytes_of(rows))
            file.write(bytes_of(rows))
    return OriginsSummary(digest.digest(), {int(kind): int(kinds[kind]) for kind in np.flatnonzero(kinds)})


def name_kinds(viewers: int, kinds: dict[int, int]) -> dict[str, int]:
    """Viewers by the name of their kind; who has no origin is a user of the host app."""
    named = {KINDS[kind - 1]: many for kind, many in kinds.items()}
    return {APP: viewers - sum(named.values()), **named}


def list_shared(
    parts: Sequence[Path], origins: Sequence[Path], sharing: Sharing, totals_digest: bytes, out: Path
) -> Shared:
    """Write the pseudonyms, sorted, of the entries that their blocks have too many; of a block the first ones by
    `shared_rank` stay.

    `parts` and `origins` are those of the shards in order. Memory grows with the blocks that have too many alone.
    """
    counters, shift = np.zeros(1 << COUNTERS_BITS, np.uint32), np.uint64(64 - COUNTERS_BITS)
    for rows in rows_of_kinds(parts, origins, sharing.kinds):
        np.add.at(counters, rows["block"].astype(np.uint64) >> shift, 1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=out.parent)))
        files = [stack.enter_context(TemporaryFile(dir=folder)) for _ in range(SPREAD)]
        for rows in rows_of_kinds(parts, origins, sharing.kinds):
            many = counters[rows["block"].astype(np.uint64) >> shift] > sharing.entries
            _spread(rows[many], totals_digest, files)
        del counters
        seen = _Seen(sharing)
        with open(folder / "raw", "wb") as raw:
            for file in files:
                raw.write(bytes_of(_as_totals(seen.take_too_many(_load(file)))))
        sort_shard(folder / "raw", folder / "sorted")
        _write_names(folder / "sorted", out)
    return seen.summary()


def rows_of_kinds(parts: Sequence[Path], origins: Sequence[Path], kinds: Collection[int]) -> Iterator[Rows]:
    """The origins of all entries of these kinds that have a block, in chunks."""
    if not kinds:
        return
    wanted = np.array(sorted(kinds), np.uint8)
    for part, whence in zip(parts, origins, strict=True):
        with open(part, "rb") as entries, open(whence, "rb") as file:
            along = Along(file, ORIGIN)
            for chunk in read_chunks(entries, CHUNK_ROWS * ENTRY_BYTES):
                names = np.frombuffer(chunk, ENTRY)["pseudonym"]
                rows = along.up_to(names[-1])
                _, known = places_of(names, rows)
                yield rows[known & np.isin(rows["kind"], wanted) & (rows["block"] != 0)]


def _spread(rows: Rows, totals_digest: bytes, files: Sequence[BinaryIO]) -> None:
    """Write entries with their ranks to files, each of which has its part of all ranks."""
    names = np.ascontiguousarray(rows["pseudonym"]).tobytes()
    ranks = [shared_rank(totals_digest, names[at : at + 14]) for at in range(0, len(names), 14)]
    ranked = np.empty(len(rows), RANKED)
    ranked["rank"] = np.frombuffer(b"".join(ranks), ">u8").reshape(-1, 4)
    ranked["group"], ranked["pseudonym"] = rows["group"], rows["pseudonym"]
    part = (ranked["rank"][:, 0].astype(np.uint64) >> np.uint64(58)).astype(np.int64)
    for number in np.unique(part):
        files[number].write(ranked[part == number].tobytes())


def _load(file: BinaryIO) -> Rows:
    file.seek(0)
    return np.frombuffer(file.read(), RANKED)


class _Seen:
    """How many entries of each group have come so far, in the order of their ranks."""

    def __init__(self, sharing: Sharing) -> None:
        self._budgets = np.array([sharing.budget(carrier) for carrier in range(256)], np.int64)
        self._groups = np.empty(0, "S9")
        self._counts = np.empty(0, np.int64)

    def take_too_many(self, ranked: Rows) -> Rows:
        """Of the next part of all ranks, the entries for which their groups have no place any more."""
        ranks = ranked["rank"]
        order = np.lexsort((ranks[:, 3], ranks[:, 2], ranks[:, 1], ranks[:, 0], ranked["group"]))
        ranked = ranked[order]
        groups, starts, counts = np.unique(ranked["group"], return_index=True, return_counts=True)
        before = self._add(groups, counts)
        places = np.arange(len(ranked)) + np.repeat(before - starts, counts)
        return ranked[places >= np.repeat(self._budget_of(groups), counts)]

    def _add(self, groups: npt.NDArray[np.bytes_], counts: Numbers) -> Numbers:
        """Count these; how many there were of each before."""
        merged = np.union1d(self._groups, groups)
        sums = np.zeros(len(merged), np.int64)
        sums[np.searchsorted(merged, self._groups)] = self._counts
        places = np.searchsorted(merged, groups)
        before = sums[places]
        sums[places] += counts
        self._groups, self._counts = merged, sums
        return before

    def _budget_of(self, groups: npt.NDArray[np.bytes_]) -> Numbers:
        carriers = np.ascontiguousarray(groups).view(np.uint8).reshape(-1, 9)[:, 0]
        return self._budgets[carriers]

    def summary(self) -> Shared:
        budgets = self._budget_of(self._groups)
        over = self._counts > budgets
        return Shared(int(over.sum()), int(self._counts[over].sum()), int(budgets[over].sum()))


def _as_totals(rows: Rows) -> Rows:
    """As rows that can be sorted like totals."""
    totals = np.zeros(len(rows), TOTAL)
    totals["pseudonym"] = rows["pseudonym"]
    return totals


def _write_names(totals: Path, out: Path) -> None:
    with open(totals, "rb") as file, writing(out) as target:
        for chunk in read_chunks(file, CHUNK_ROWS * TOTAL.itemsize):
            target.write(np.ascontiguousarray(np.frombuffer(chunk, TOTAL)["pseudonym"]).tobytes())


class LeftOut:
    """Entries that do not count, taken from the parts of a roll."""

    def __init__(self, names: BinaryIO) -> None:
        self._along = Along(names, NAME)

    def without(self, chunk: memoryview) -> memoryview:
        """The entries of a chunk but for these."""
        entries = np.frombuffer(chunk, ENTRY)
        rows = self._along.up_to(entries["pseudonym"][-1])
        if not len(rows):
            return chunk
        places, known = places_of(entries["pseudonym"], rows)
        stays = np.ones(len(entries), np.bool_)
        stays[places[known]] = False
        return bytes_of(entries[stays])
