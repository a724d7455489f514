"""Receipts: what the roll says of one viewer, read from the few blocks that prove it.

A request never reads a whole roll: the entry is found by bisection, and the nodes of the proof stand in a file beside
the roll, written once with it. 35 million entries have a tree of 8.8 MB.
"""

import os
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engagement.core.digests import PSEUDONYM_BYTES, canonical_json
from engagement.core.merkle import build_levels, leaf_hash
from prizes import files
from prizes.core.receipt import (
    NODE_BYTES,
    Entry,
    Run,
    build_receipt,
    pack_tree,
    runs_around,
    sibling_offsets,
)
from prizes.core.roll import ENTRY_BYTES, HEADER_BYTES, RUN_BYTES, RUN_ENTRIES, parse_header
from prizes.models import Draw


class BrokenRoll(ValueError):
    """The stored roll is not the one that was sealed."""


_one_at_a_time = threading.Lock()


def make_receipt(draw: Draw, pseudonym: bytes) -> bytes:
    """The receipt of a viewer in a sealed draw, as canonical JSON; FileNotFoundError where the roll is not stored."""
    header = bytes.fromhex(draw.roll_header)
    entries = parse_header(header).entries
    with _opened(files.fetch(files.roll_name(draw.pk))) as roll, _opened(_tree(draw)) as tree:
        _check_roll(draw, roll, HEADER_BYTES + entries * ENTRY_BYTES)
        position, entry = _look_up(roll, entries, pseudonym)
        leaves = -(-entries // RUN_ENTRIES)
        runs = [
            _read_run(roll, tree, leaves, leaf) for leaf in runs_around(position, entries, entry is not None)
        ]
    receipt = build_receipt(
        draw_id=draw.draw_id,
        pseudonym=pseudonym,
        roll_header=header,
        roll_root=bytes.fromhex(draw.roll_root),
        seal=bytes.fromhex(draw.seal),
        entry=entry,
        runs=runs,
    )
    return canonical_json(receipt)


def _check_roll(draw: Draw, roll: int, size: int) -> None:
    """A roll that was cut would make viewers absent who are in it."""
    if os.fstat(roll).st_size != size or os.pread(roll, HEADER_BYTES, 0).hex() != draw.roll_header:
        raise BrokenRoll(f"draw {draw.pk}: the stored roll is not the one that was frozen")


def _look_up(roll: int, entries: int, pseudonym: bytes) -> tuple[int, Entry | None]:
    """Where the viewer stands in the roll, or would stand."""

    def entry_at(index: int) -> bytes:
        return os.pread(roll, ENTRY_BYTES, HEADER_BYTES + index * ENTRY_BYTES)

    # Two entries never share a pseudonym, so the shorter of two equal beginnings sorts before the entry itself.
    position = bisect_left(range(entries), pseudonym, key=entry_at)
    found = entry_at(position) if position < entries else b""
    if found[:PSEUDONYM_BYTES] != pseudonym:
        return position, None
    return position, Entry(position, int.from_bytes(found[PSEUDONYM_BYTES:], "big"))


def _read_run(roll: int, tree: int, leaves: int, leaf: int) -> Run:
    data = os.pread(roll, RUN_BYTES, HEADER_BYTES + leaf * RUN_BYTES)
    return Run(leaf, data, [os.pread(tree, NODE_BYTES, offset) for offset in sibling_offsets(leaves, leaf)])


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


# --- the tree beside the roll ---


def tree_name(draw: int) -> str:
    """All nodes of the tree of a draw's roll."""
    return f"draw-{draw}/tree.bin"


def write_tree(draw: int, leaf_hashes: Sequence[bytes], root: str) -> None:
    """Writes the nodes of the tree over these leaves, in the same step as the roll; BrokenRoll for another root."""
    levels = build_levels(leaf_hashes)
    if leaf_hashes and levels[-1][0].hex() != root:
        raise BrokenRoll(f"draw {draw}: expected a roll with the root {root}, got {levels[-1][0].hex()}")
    files.write(tree_name(draw), pack_tree(levels))


def _tree(draw: Draw) -> Path:
    """The tree file; made now, once, where the freeze has left none."""
    name = tree_name(draw.pk)
    try:
        return files.fetch(name)
    except FileNotFoundError:
        pass
    with _one_at_a_time:
        if not files.exists(name):
            _write_missing_tree(draw)
    return files.fetch(name)


def _write_missing_tree(draw: Draw) -> None:
    with files.fetch(files.roll_name(draw.pk)).open("rb") as roll:
        roll.seek(HEADER_BYTES)
        write_tree(
            draw.pk, [leaf_hash(run) for run in iter(lambda: roll.read(RUN_BYTES), b"")], draw.roll_root
        )
