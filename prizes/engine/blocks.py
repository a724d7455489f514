"""What the crew is shown of where entries come from: the largest blocks, and shaking that no hand does. Nobody's entry
depends on it.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from prizes.core.roll import TOTAL_BYTES
from prizes.engine.sharing import (
    CHUNK_ROWS,
    COUNTERS_BITS,
    KINDS_AT_MOST,
    ORIGIN,
    Along,
    places_of,
    rows_of_kinds,
)
from prizes.engine.streams import TOTAL, Rows, read_chunks

LOOKED_AT = 4_096  # counters of blocks: among the largest of these the largest blocks are looked for
GROUP_BYTES = 9  # carrier and block


class Block(NamedTuple):
    """A block as one carrier has it (1 + its index, 0: none), 8 bytes, and its entries."""

    carrier: int
    block: bytes
    entries: int

    @property
    def group(self) -> bytes:
        return bytes([self.carrier]) + self.block


class Alike(NamedTuple):
    """Of a block: viewers with reports, and the exact total that most of them have, with how many these are."""

    viewers: int
    total: int
    same: int


class Hints(NamedTuple):
    """Viewers with as many shakes as count at all, by the byte of their kind (0: users of the host app), and how alike
    the totals of some blocks are, by `Block.group`."""

    at_clamp: dict[int, int]
    alike: dict[bytes, Alike]


def largest_blocks(
    parts: Sequence[Path], origins: Sequence[Path], kinds: Collection[int], most: int
) -> list[Block]:
    """Return the blocks with the most entries of these kinds, at least two, the largest first.

    `parts` and `origins` are those of the shards in order. Memory does not grow with them: only blocks whose counters
    are among the largest are counted one by one. Where thousands are equally small, some of these are shown.
    """
    counters, shift = np.zeros(1 << COUNTERS_BITS, np.uint32), np.uint64(64 - COUNTERS_BITS)
    for rows in rows_of_kinds(parts, origins, kinds):
        places, counts = np.unique(rows["block"].astype(np.uint64) >> shift, return_counts=True)
        counters[places] += counts.astype(np.uint32)
    largest = np.zeros(len(counters), np.bool_)
    largest[np.argpartition(counters, -LOOKED_AT)[-LOOKED_AT:]] = True
    largest &= counters > 1
    found: Counter[bytes] = Counter()
    if largest.any():
        for rows in rows_of_kinds(parts, origins, kinds):
            groups = rows["group"][largest[rows["block"].astype(np.uint64) >> shift]]
            found.update(_counted(groups))
    ordered = sorted(found.items(), key=lambda row: (-row[1], row[0]))[:most]
    return [Block(group[0], group[1:], entries) for group, entries in ordered if entries > 1]


def find_hints(totals: Path, origins: Path, clamp: int, groups: Collection[bytes]) -> Hints:
    """Return how many viewers have at least `clamp` shakes, by kind, and how alike the totals of these groups are."""
    at_clamp = np.zeros(KINDS_AT_MOST, np.int64)
    wanted = np.array(sorted(groups), f"V{GROUP_BYTES}").view(f"S{GROUP_BYTES}")
    seen: dict[bytes, Counter[int]] = {group: Counter() for group in groups}
    for rows, kinds, whence, places in _with_origins(totals, origins):
        at_clamp += np.bincount(kinds[rows["total"] >= clamp], minlength=KINDS_AT_MOST)
        if len(wanted):
            mine = np.isin(whence["group"], wanted)
            shakes = rows["total"][places[mine]]
            for group in np.unique(whence["group"][mine]):
                _count(seen[_bytes(group)], shakes[whence["group"][mine] == group])
    alike = {group: _alike(counts) for group, counts in seen.items() if counts}
    return Hints({int(kind): int(at_clamp[kind]) for kind in np.flatnonzero(at_clamp)}, alike)


def _with_origins(
    totals: Path, origins: Path
) -> Iterator[tuple[Rows, npt.NDArray[np.uint8], Rows, npt.NDArray[np.int64]]]:
    """Totals in chunks, the kind of each, the origins of those who have one, and where these stand in the chunk."""
    with open(totals, "rb") as file, open(origins, "rb") as beside:
        along = Along(beside, ORIGIN)
        for chunk in read_chunks(file, CHUNK_ROWS * TOTAL_BYTES):
            rows = np.frombuffer(chunk, TOTAL)
            found = along.up_to(rows["pseudonym"][-1])
            places, known = places_of(rows["pseudonym"], found)
            kinds = np.zeros(len(rows), np.uint8)
            kinds[places[known]] = found["kind"][known]
            yield rows, kinds, found[known], places[known]


def _counted(groups: npt.NDArray[np.bytes_]) -> Mapping[bytes, int]:
    names, counts = np.unique(groups, return_counts=True)
    return {_bytes(name): int(count) for name, count in zip(names, counts, strict=True)}


def _bytes(group: bytes) -> bytes:
    """All of its bytes: numpy takes zeros at the end for the end of a text."""
    return bytes(group).ljust(GROUP_BYTES, b"\0")


def _count(seen: Counter[int], shakes: npt.NDArray[np.uint32]) -> None:
    totals, counts = np.unique(shakes, return_counts=True)
    for total, count in zip(totals.tolist(), counts.tolist(), strict=True):
        seen[total] += count


def _alike(counts: Counter[int]) -> Alike:
    total, same = max(counts.items(), key=lambda row: (row[1], row[0]))
    return Alike(counts.total(), total, same)
