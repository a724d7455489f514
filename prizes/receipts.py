"""Receipts: what the roll says of one viewer, read from the few blocks that prove it.

A request never reads a whole roll: the entry is found by bisection, and the nodes of the proof stand in a file beside
the roll, written once with it. 35 million entries have a tree of 8.8 MB.
"""

import hashlib
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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
    roll_sha256(draw)  # makes what stands beside the roll, where the freeze has not
    with (
        _opened(files.fetch(files.roll_name(draw.pk))) as roll,
        _opened(files.fetch(tree_name(draw.pk))) as tree,
    ):
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


# --- what stands beside the roll ---


def tree_name(draw: int) -> str:
    """All nodes of the tree of a draw's roll."""
    return f"draw-{draw}/tree.bin"


def sum_name(draw: int) -> str:
    """The root of that tree and the SHA-256 of the roll as a file, in hex; written last."""
    return f"draw-{draw}/roll.sha256"


def write_beside(draw: int, root: str) -> None:
    """Writes tree and SHA-256 of a stored roll, in one pass: the last part of its making.

    BrokenRoll where the roll has another root. Two seconds for 35 million entries.
    """
    sha256 = hashlib.sha256()
    with files.fetch(files.roll_name(draw)).open("rb") as roll:
        sha256.update(roll.read(HEADER_BYTES))
        leaves = [leaf_hash(run) for run in _runs(roll, sha256.update)]
    levels = build_levels(leaves)
    found = levels[-1][0].hex() if leaves else root
    if found != root:
        raise BrokenRoll(f"draw {draw}: expected a roll with the root {root}, got {found}")
    files.write(tree_name(draw), pack_tree(levels))
    files.write(sum_name(draw), f"{root} {sha256.hexdigest()}".encode())


def _runs(roll: BinaryIO, tell: Callable[[bytes], None]) -> Iterator[bytes]:
    while run := roll.read(RUN_BYTES):
        tell(run)
        yield run


def roll_sha256(draw: Draw) -> str:
    """The SHA-256 of the roll as it was made; FileNotFoundError where nothing of it is stored."""
    found = _read_sum(draw)
    if found is None:
        with _one_at_a_time:
            if _read_sum(draw) is None:
                write_beside(draw.pk, draw.roll_root)
        found = _read_sum(draw)
    return found or ""


def _read_sum(draw: Draw) -> str | None:
    """What was written beside this roll; None where nothing was, or beside another one."""
    try:
        root, sha256 = files.fetch(sum_name(draw.pk)).read_text().split()
    except FileNotFoundError:
        return None
    return sha256 if root == draw.roll_root else None
