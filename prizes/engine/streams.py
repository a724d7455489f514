"""Files of rows of one width: read in chunks, checked for their order, written whole or not at all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from engagement.whole import replacing
from prizes.core.roll import ENTRY_BYTES, TOTAL_BYTES

Rows = npt.NDArray[np.void]
Progress = Callable[[int, int], None]
"""Told `(done, all)` entries, a few times per second and at the end."""

# `high`, the first 8 bytes as a number, overlaps the pseudonym: numbers compare faster than texts. `word` and
# `tail` are the same bytes as they stand, for moving them.
TOTAL = np.dtype(
    {
        "names": ["pseudonym", "high", "word", "tail", "total"],
        "formats": ["S14", ">u8", "u8", "u8", ">u4"],
        "offsets": [0, 0, 0, 8, 14],
        "itemsize": TOTAL_BYTES,
    }
)
ENTRY = np.dtype(
    {
        "names": ["pseudonym", "high", "word", "tail", "tickets"],
        "formats": ["S14", ">u8", "u8", "u8", ">u2"],
        "offsets": [0, 0, 0, 8, 14],
        "itemsize": ENTRY_BYTES,
    }
)
PROGRESS_S = 0.3


def count_rows(path: Path, row_bytes: int) -> int:
    """How many rows a file has; ValueError unless they are whole."""
    size = path.stat().st_size
    if size % row_bytes:
        raise ValueError(f"expected whole rows of {row_bytes} bytes in {path}, got a cut one ({size} bytes)")
    return size // row_bytes


def read_chunks(file: BinaryIO, size: int, stop: int | None = None) -> Iterator[memoryview]:
    """Yield the rest of a file, up to the position `stop`, in chunks of `size` bytes, the last may be short.

    Each is only good until the next: one buffer that stays in the processor's cache is much faster than fresh ones.
    """
    buffer = memoryview(bytearray(size))
    while True:
        wanted = size if stop is None else min(size, stop - file.tell())
        got = file.readinto(buffer[:wanted])  # type: ignore[attr-defined]
        if not got:
            return
        yield buffer[:got]


def bytes_of(rows: Rows) -> memoryview:
    """The bytes of rows; numpy does not export records whose fields overlap by themselves."""
    return rows.view(np.uint8).data


def check_increasing(rows: Rows, last: bytes, where: Path) -> bytes:
    """Return the last pseudonym of rows that strictly increase, the first of them above `last`; else ValueError.

    `last` is b"" where nothing came before.
    """
    names, high = rows["pseudonym"], rows["high"].astype(np.uint64)
    unsure = np.flatnonzero(high[1:] <= high[:-1])  # where 8 bytes are not enough, all 14 decide
    if rows[0].tobytes()[:14] <= last or not bool((names[unsure + 1] > names[unsure]).all()):
        raise ValueError(f"expected strictly increasing pseudonyms, got others in {where}")
    found: bytes = rows[-1].tobytes()[:14]
    return found


def read_joined(shards: Sequence[Path], row: np.dtype[np.void], chunk_rows: int) -> Iterator[Rows]:
    """Yield the rows of sorted shards one after the other, each chunk good until the next.

    ValueError unless pseudonyms strictly increase across all of them.
    """
    last = b""
    for path in shards:
        count_rows(path, row.itemsize)
        with open(path, "rb") as shard:
            for chunk in read_chunks(shard, chunk_rows * row.itemsize):
                rows = np.frombuffer(chunk, row)
                last = check_increasing(rows, last, path)
                yield rows


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the name `path` only when everything was written.

    Waiting for the disk is left to the caller, who knows which files could not be made again after a power cut.
    """
    with replacing(path, durable=False) as new, open(new, "w+b") as file:
        yield file


class Reporter:
    """Counts what is done and tells it a few times per second, not for each chunk."""

    def __init__(self, progress: Progress | None, everything: int) -> None:
        self._progress, self._everything = progress, everything
        self._done, self._told_at = 0, monotonic()

    def add(self, done: int) -> None:
        self._done += done
        if self._progress and monotonic() >= self._told_at + PROGRESS_S:
            self._tell(self._progress)

    def finish(self) -> None:
        if self._progress:
            self._tell(self._progress)

    def _tell(self, progress: Progress) -> None:
        progress(self._done, self._everything)
        self._told_at = monotonic()
