"""The Merkle tree of a ledger in the database: every entry keeps the nodes that are complete with it.

A complete node never changes again. So a further entry, a root and a proof of any size cost one query for about
log2(size) rows, however long the ledger is.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from engagement.ledger.core.merkle import GrowingTree, Node, leaf_hash, needed_nodes
from engagement.models import LedgerEntry, Show

Answer = TypeVar("Answer")
HEX_DIGITS = 64  # of a hash


def leaf_of(digest: str) -> bytes:
    """The leaf of an entry with this digest."""
    try:
        return leaf_hash(bytes.fromhex(digest))
    except ValueError:  # somebody wrote what is no hex; no entry has this digest
        return leaf_hash(b"")


def pack_nodes(hashes: Iterable[bytes]) -> str:
    """What an entry keeps, from its leaf upwards."""
    return "".join(node.hex() for node in hashes)


def read_nodes(show: Show, nodes: Iterable[Node]) -> dict[Node, bytes]:
    """Those of these nodes that the ledger has; one query."""
    wanted = list(nodes)
    entries = LedgerEntry.objects.filter(show=show, position__in={node.end - 1 for node in wanted})
    kept = dict(entries.values_list("position", "nodes"))
    found = {node: _unpack(kept.get(node.end - 1, ""), node.level) for node in wanted}
    return {node: known for node, known in found.items() if known is not None}


def _unpack(nodes: str, level: int) -> bytes | None:
    text = nodes[level * HEX_DIGITS : (level + 1) * HEX_DIGITS]
    try:
        return bytes.fromhex(text) if len(text) == HEX_DIGITS else None
    except ValueError:  # somebody wrote what is no hex
        return None


def ask_tree(show: Show, size: int, ask: Callable[[GrowingTree], Answer]) -> Answer:
    """What `ask` finds out about the tree of so many entries; KeyError where the ledger has not all of it."""
    return ask(GrowingTree(size, read_nodes(show, needed_nodes(size, ask))))


def count_entries(show: Show) -> int:
    """How many entries the ledger has: the position of the newest one and one more."""
    newest = LedgerEntry.objects.filter(show=show).order_by("-position").values_list("position", flat=True)
    position = newest.first()
    return 0 if position is None else position + 1
