"""Receipts: what the roll says of one viewer, read from the few blocks that prove it.

A request never reads a whole roll: the entry is found by bisection, and the nodes of the proof stand in a file beside
the roll, written once with it. 35 million entries have a tree of 8.8 MB.
"""

import os
import threading
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from engagement.core.digests import PSEUDONYM_BYTES, canonical_json
from engagement.ledger.checkpoints import sign_text
from engagement.ledger.core.merkle import check_inclusion, leaf_hash
from prizes import files
from prizes.core.digests import version_of
from prizes.core.receipt import Entry, Run, build_receipt, receipt_statement, runs_around
from prizes.core.record import FORMAT
from prizes.core.roll import ENTRY_BYTES, HEADER_BYTES, RUN_BYTES, RUN_ENTRIES, parse_header
from prizes.engine import Tree, make_tree
from prizes.models import Draw


class BrokenRoll(ValueError):
    """The stored roll is not the one that was sealed."""


_one_at_a_time = threading.Lock()
_broken: dict[
    tuple[Path, int, int, str], str
] = {}  # version of a roll's file, and what it should be -> its root


def make_receipt(draw: Draw, pseudonym: bytes) -> bytes:
    """The receipt of a viewer in a sealed draw, as canonical JSON; FileNotFoundError where the roll is not stored."""
    header = bytes.fromhex(draw.roll_header)
    entries = parse_header(header).entries
    position, entry = _find(draw, pseudonym)
    runs = read_runs(draw, runs_around(position, entries, entry is not None))
    version = version_of(draw.promised)
    receipt = build_receipt(
        version=version,
        draw_id=draw.draw_id,
        pseudonym=pseudonym,
        roll_header=header,
        roll_root=bytes.fromhex(draw.roll_root),
        seal=bytes.fromhex(draw.seal),
        entry=entry,
        runs=runs,
    )
    if version == FORMAT:
        receipt["signature"] = sign_text(draw.show, receipt_statement(receipt))
    return canonical_json(receipt)


def find_entry(draw: Draw, pseudonym: bytes) -> Entry | None:
    """What the roll has of a viewer, without proof; FileNotFoundError where it is not stored."""
    return _find(draw, pseudonym)[1]


def _find(draw: Draw, pseudonym: bytes) -> tuple[int, Entry | None]:
    """Where the viewer stands in the roll, or would stand."""
    entries = parse_header(bytes.fromhex(draw.roll_header)).entries
    with files.fetch(files.roll_name(draw.key)).open("rb") as roll:
        _check_roll(draw, roll, HEADER_BYTES + entries * ENTRY_BYTES)
        return _look_up(roll, entries, pseudonym)


def _check_roll(draw: Draw, roll: BinaryIO, size: int) -> None:
    """A roll that was cut would make viewers absent who are in it."""
    if os.fstat(roll.fileno()).st_size != size or roll.read(HEADER_BYTES).hex() != draw.roll_header:
        raise BrokenRoll(f"draw {draw.pk}: the stored roll is not the one that was frozen")


def _look_up(roll: BinaryIO, entries: int, pseudonym: bytes) -> tuple[int, Entry | None]:
    def entry_at(index: int) -> bytes:
        return os.pread(roll.fileno(), ENTRY_BYTES, HEADER_BYTES + index * ENTRY_BYTES)

    # Two entries never share a pseudonym, so the shorter of two equal beginnings sorts before the entry itself.
    position = bisect_left(range(entries), pseudonym, key=entry_at)
    found = entry_at(position) if position < entries else b""
    if found[:PSEUDONYM_BYTES] != pseudonym:
        return position, None
    return position, Entry(position, int.from_bytes(found[PSEUDONYM_BYTES:], "big"))


# --- runs with their proofs ---


def read_runs(draw: Draw, wanted: Iterable[int]) -> list[Run]:
    """These leaves of a frozen roll with proofs that lead to its root; BrokenRoll where the stored roll is another.

    The tree beside the roll follows from it: where it is missing or damaged, it is made anew.
    """
    wanted = list(wanted)
    leaves = -(-parse_header(bytes.fromhex(draw.roll_header)).entries // RUN_ENTRIES)
    runs = _read_runs(draw, wanted, leaves)
    if runs is None:
        with _one_at_a_time:
            runs = _read_runs(draw, wanted, leaves)  # who waited for the lock finds the tree that was made
            if runs is None:
                _make_tree(draw)
                runs = _read_runs(draw, wanted, leaves)
    if runs is None:
        raise BrokenRoll(f"draw {draw.pk}: the stored roll is not the one that was frozen")
    return runs


def _read_runs(draw: Draw, wanted: list[int], leaves: int) -> list[Run] | None:
    """None unless every proof leads to the root."""
    try:
        nodes = files.fetch(files.tree_name(draw.key)).open("rb")
    except FileNotFoundError:
        return None
    root = bytes.fromhex(draw.roll_root)
    with nodes, files.fetch(files.roll_name(draw.key)).open("rb") as roll:
        tree = Tree(nodes, leaves)
        runs = [Run(leaf, _read_run(roll, leaf), tree.prove(leaf)) for leaf in wanted]
    proven = (check_inclusion(leaf_hash(run.data), run.leaf, leaves, run.siblings, root) for run in runs)
    return runs if all(proven) else None


def _read_run(roll: BinaryIO, leaf: int) -> bytes:
    return os.pread(roll.fileno(), RUN_BYTES, HEADER_BYTES + leaf * RUN_BYTES)


def _make_tree(draw: Draw) -> None:
    """Hashes the whole roll; one that is broken is not hashed again for every request."""
    roll = files.fetch(files.roll_name(draw.key))
    stat = roll.stat()
    version = roll, stat.st_mtime_ns, stat.st_size, draw.roll_root
    found = _broken.get(version)
    if found is None:
        with files.writing(files.tree_name(draw.key)) as path:
            found = make_tree(roll, path).hex()
    if found != draw.roll_root:
        _broken[version] = found
        raise BrokenRoll(f"draw {draw.pk}: expected a roll with the root {draw.roll_root}, got {found}")
