"""Receipts: what the roll says of one viewer, read from the few blocks that prove it.

A request never reads a whole roll: the entry is found by bisection, and the nodes of the proof stand in a file beside
the roll, written once with it. 35 million entries have a tree of 8.8 MB.
"""

import os
import threading
from bisect import bisect_left
from pathlib import Path
from typing import BinaryIO

from engagement.core.digests import PSEUDONYM_BYTES, canonical_json
from prizes import files
from prizes.core.receipt import Entry, Run, build_receipt, runs_around
from prizes.core.roll import ENTRY_BYTES, HEADER_BYTES, RUN_BYTES, RUN_ENTRIES, parse_header
from prizes.engine import Tree, make_tree
from prizes.models import Draw


class BrokenRoll(ValueError):
    """The stored roll is not the one that was sealed."""


_one_at_a_time = threading.Lock()


def make_receipt(draw: Draw, pseudonym: bytes) -> bytes:
    """The receipt of a viewer in a sealed draw, as canonical JSON; FileNotFoundError where the roll is not stored."""
    header = bytes.fromhex(draw.roll_header)
    entries = parse_header(header).entries
    leaves = -(-entries // RUN_ENTRIES)
    with (
        files.fetch(files.roll_name(draw.pk)).open("rb") as roll,
        _ensure_tree(draw, leaves).open("rb") as nodes,
    ):
        _check_roll(draw, roll, HEADER_BYTES + entries * ENTRY_BYTES)
        position, entry = _look_up(roll, entries, pseudonym)
        tree, proving = Tree(nodes, leaves), runs_around(position, entries, entry is not None)
        runs = [Run(leaf, _read_run(roll, leaf), tree.prove(leaf)) for leaf in proving]
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


def _check_roll(draw: Draw, roll: BinaryIO, size: int) -> None:
    """A roll that was cut would make viewers absent who are in it."""
    if os.fstat(roll.fileno()).st_size != size or roll.read(HEADER_BYTES).hex() != draw.roll_header:
        raise BrokenRoll(f"draw {draw.pk}: the stored roll is not the one that was frozen")


def _look_up(roll: BinaryIO, entries: int, pseudonym: bytes) -> tuple[int, Entry | None]:
    """Where the viewer stands in the roll, or would stand."""

    def entry_at(index: int) -> bytes:
        return os.pread(roll.fileno(), ENTRY_BYTES, HEADER_BYTES + index * ENTRY_BYTES)

    # Two entries never share a pseudonym, so the shorter of two equal beginnings sorts before the entry itself.
    position = bisect_left(range(entries), pseudonym, key=entry_at)
    found = entry_at(position) if position < entries else b""
    if found[:PSEUDONYM_BYTES] != pseudonym:
        return position, None
    return position, Entry(position, int.from_bytes(found[PSEUDONYM_BYTES:], "big"))


def _read_run(roll: BinaryIO, leaf: int) -> bytes:
    return os.pread(roll.fileno(), RUN_BYTES, HEADER_BYTES + leaf * RUN_BYTES)


# --- the tree beside the roll ---


def _ensure_tree(draw: Draw, leaves: int) -> Path:
    """The tree that the freeze has left beside this roll; made anew, once, where it is missing or of another roll."""
    if not _is_tree_of(draw, leaves):
        with _one_at_a_time:
            if not _is_tree_of(draw, leaves):
                _make_tree(draw)
    return files.fetch(files.tree_name(draw.pk))


def _is_tree_of(draw: Draw, leaves: int) -> bool:
    try:
        with files.fetch(files.tree_name(draw.pk)).open("rb") as file:
            return Tree(file, leaves).root.hex() == draw.roll_root
    except FileNotFoundError:
        return False


def _make_tree(draw: Draw) -> None:
    with files.writing(files.tree_name(draw.pk)) as path:
        found = make_tree(files.fetch(files.roll_name(draw.pk)), path).hex()
        if found != draw.roll_root:
            raise BrokenRoll(f"draw {draw.pk}: expected a roll with the root {draw.roll_root}, got {found}")
