"""The Merkle tree of a roll in a file, so that neither the tree nor a proof takes memory that grows with the roll."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from engagement.ledger.core.merkle import node_hash, root

HASH_BYTES = 32
CHUNK_BYTES = 1 << 16  # whole pairs


class Tree:
    """A file of all levels of the tree of RFC 9162 2.1.1: the leaves' hashes, the nodes above them, ..., the root.

    An odd last node passes up unchanged, as in `engagement.core.merkle.build_levels`.
    """

    def __init__(self, file: BinaryIO, leaves: int) -> None:
        self._file = file
        self._levels: list[tuple[int, int]] = []  # first node in the file, nodes
        first, nodes = 0, leaves
        while nodes > 1:
            self._levels.append((first, nodes))
            first, nodes = first + nodes, -(-nodes // 2)
        self._top = (first, nodes)

    @classmethod
    def build(cls, leaves: Iterable[bytes], file: BinaryIO) -> "Tree":
        """Write the tree over these leaf hashes to an empty file that can be read, too."""
        count = 0
        for leaf in leaves:
            file.write(leaf)
            count += 1
        tree = cls(file, count)
        for first, nodes in tree._levels:
            tree._write_above(first, nodes)
        file.flush()
        return tree

    @property
    def root(self) -> bytes:
        """The 32-byte root; of no leaves it is the SHA-256 of nothing."""
        first, nodes = self._top
        return self._read(first) if nodes else root([])

    def prove(self, leaf: int) -> list[bytes]:
        """The sibling hashes from a leaf up to the root: RFC 9162 2.1.3.1; ValueError where there is no such leaf."""
        leaves = (self._levels or [self._top])[0][1]
        if not 0 <= leaf < leaves:
            raise ValueError(f"expected a leaf of 0 .. {leaves - 1}, got {leaf}")
        siblings = []
        for height, (first, nodes) in enumerate(self._levels):
            sibling = leaf >> height ^ 1
            if sibling < nodes:
                siblings.append(self._read(first + sibling))
        return siblings

    def _write_above(self, first: int, nodes: int) -> None:
        start, end = first * HASH_BYTES, (first + nodes) * HASH_BYTES
        for offset in range(start, end, CHUNK_BYTES):
            self._file.seek(offset)
            level = self._file.read(min(CHUNK_BYTES, end - offset))
            self._file.seek(0, 2)
            self._file.write(b"".join(_pairs(level)))

    def _read(self, node: int) -> bytes:
        self._file.seek(node * HASH_BYTES)
        return self._file.read(HASH_BYTES)


def _pairs(level: bytes) -> Iterator[bytes]:
    for start in range(0, len(level), 2 * HASH_BYTES):
        left, right = level[start : start + HASH_BYTES], level[start + HASH_BYTES : start + 2 * HASH_BYTES]
        yield node_hash(left, right) if right else left
