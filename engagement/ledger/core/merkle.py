"""The Merkle tree of RFC 9162 section 2.1 over SHA-256 (docs/draw.md, section 3)."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import NamedTuple

HASH_BYTES = 32


def leaf_hash(leaf: bytes) -> bytes:
    """Return `SHA-256(0x00 || leaf)`: RFC 9162 2.1.1, "MTH({d[0]}) = HASH(0x00 || d[0])".

    >>> leaf_hash(b"").hex()[:8]
    '6e340b9c'
    """
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return `SHA-256(0x01 || left || right)`: RFC 9162 2.1.1, "HASH(0x01 || MTH(D[0:k]) || MTH(D[k:n]))".

    >>> node_hash(b"N123", b"N456").hex()[:8]
    'aa217fe8'
    """
    return hashlib.sha256(b"\x01" + left + right).digest()


def build_levels(leaves: Iterable[bytes]) -> list[list[bytes]]:
    """Return all levels of the tree over leaf *hashes*, the leaves first, the root alone in the last.

    RFC 9162 2.1.1 splits at the largest power of two below n. Pairing from the left and passing an odd last
    node up unchanged gives the same tree, without recursion. No leaves: one empty level.

    >>> [len(level) for level in build_levels([leaf_hash(b"x")] * 5)]
    [5, 3, 2, 1]
    """
    level = list(leaves)
    levels = [level]
    while len(level) > 1:
        above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = above + level[len(level) & ~1 :]
        levels.append(level)
    return levels


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the 32-byte root over leaf hashes: RFC 9162 2.1.1; of none it is "MTH({}) = HASH()".

    >>> root([]).hex()[:8], root([leaf_hash(b"")]).hex()[:8]
    ('e3b0c442', '6e340b9c')
    """
    top = build_levels(leaves)[-1]
    return top[0] if top else hashlib.sha256(b"").digest()


def inclusion_proof(leaves: Iterable[bytes], index: int) -> list[bytes]:
    """Return the sibling hashes from leaf `index` up to the root: RFC 9162 2.1.3.1, PATH(m, D[n]).

    ValueError where there is no such leaf.

    >>> a, b, c = (leaf_hash(bytes([n])) for n in range(3))
    >>> inclusion_proof([a, b, c], 2) == [node_hash(a, b)]
    True
    """
    return proof_from_levels(build_levels(leaves), index)


def proof_from_levels(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """Return the proof of `inclusion_proof` from `build_levels`, for many proofs of one tree.

    >>> levels = build_levels([leaf_hash(b"x")] * 5)
    >>> [len(proof_from_levels(levels, index)) for index in range(5)]
    [3, 3, 3, 3, 1]
    """
    if not 0 <= index < len(levels[0]):
        raise ValueError(f"expected a leaf of 0 .. {len(levels[0]) - 1}, got {index}")
    proof = []
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            proof.append(level[index ^ 1])
        index >>= 1
    return proof


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """Say whether the leaf hash is at `index` of the tree of `size` leaves with that root: RFC 9162 2.1.3.2.

    Leaf, root and every hash of the proof have 32 bytes; an index outside the tree, and a proof with a hash too few or
    too many, hold nothing.

    >>> a, b, c = (leaf_hash(bytes([n])) for n in range(3))
    >>> check_inclusion(c, 2, 3, [node_hash(a, b)], root([a, b, c])), check_inclusion(c, 1, 3, [a], b)
    (True, False)
    """
    if not are_hashes([leaf, expected_root, *proof]):
        return False
    if not 0 <= index < size:  # "1. Compare leaf_index ... against tree_size ... fail the proof verification"
        return False
    fn, sn, r = index, size - 1, leaf  # "2. Set two variables fn and sn"; "3. Set r to hash"
    for p in proof:  # "4. For each value p in the inclusion_path array"
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:  # "right-shift both ... until either LSB(fn) is set or fn is 0"
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == expected_root  # "5. Compare sn to 0. Compare r against the root_hash"


def are_hashes(values: Iterable[bytes]) -> bool:
    """Say whether each of these has the 32 bytes of a hash: what is shorter or longer is a part of no proof.

    >>> are_hashes([bytes(32)]), are_hashes([bytes(32), bytes(31)])
    (True, False)
    """
    return all(len(value) == HASH_BYTES for value in values)


class Node(NamedTuple):
    """A place in a tree: the hash over the 2**level leaves that begin with leaf `number` * 2**level.

    Once those leaves are there it never changes again, however far the tree grows.

    >>> Node(2, 3).end
    16
    """

    level: int
    number: int

    @property
    def end(self) -> int:
        """The size of the tree at which the node is complete."""
        return (self.number + 1) << self.level


def full_nodes(size: int) -> list[Node]:
    """Return the complete nodes that the root at `size` is hashed from, from the left: one for each bit of the size.

    >>> full_nodes(6)
    [Node(level=2, number=0), Node(level=1, number=2)]
    """
    return _cover(0, size)


def _cover(start: int, end: int) -> list[Node]:
    """The complete nodes over the leaves start .. end - 1, the largest first; start fits the largest one."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return nodes


class GrowingTree:
    """A tree that leaves are appended to, with the root and the proofs of each size that it ever had.

    It needs to know complete nodes only, and of those only what it is asked about (`needed_nodes`): about log2(size)
    for a root, a proof or a further leaf. KeyError names one that is not known. Sizes are 0 .. len(tree); ValueError
    otherwise.

    >>> tree = grow_tree(leaf_hash(bytes([n])) for n in range(5))
    >>> len(tree), tree.root(3) == root([leaf_hash(bytes([n])) for n in range(3)])
    (5, True)
    >>> check_consistency(3, 5, tree.consistency_proof(3, 5), tree.root(3), tree.root(5))
    True
    """

    def __init__(self, size: int = 0, nodes: dict[Node, bytes] | None = None) -> None:
        self._size = size
        self._nodes = {} if nodes is None else nodes

    def __len__(self) -> int:
        return self._size

    def append(self, leaf: bytes) -> list[bytes]:
        """Add one leaf hash; return the nodes that are complete with it, from the leaf upwards.

        >>> tree = GrowingTree()
        >>> tree.append(leaf_hash(b""))[0].hex()[:8], len(tree.append(leaf_hash(b"")))
        ('6e340b9c', 2)
        """
        place, hashes = Node(0, self._size), [leaf]
        while place.number % 2:  # a right child completes its parent
            left = self._nodes[Node(place.level, place.number - 1)]
            hashes.append(node_hash(left, hashes[-1]))
            place = Node(place.level + 1, place.number // 2)
        # Only now: a tree that misses a node stays as it is.
        self._nodes |= {Node(level, self._size >> level): node for level, node in enumerate(hashes)}
        self._size += 1
        return hashes

    def forget(self) -> None:
        """Keep only what further leaves and the root need, for a tree that grows long.

        >>> tree = grow_tree([leaf_hash(b"")] * 4)
        >>> tree.forget()
        >>> tree.root(4) == root([leaf_hash(b"")] * 4)
        True
        """
        self._nodes = {node: self._nodes[node] for node in full_nodes(self._size)}

    def leaf(self, index: int) -> bytes:
        """Return leaf hash `index`, 0 .. len(tree) - 1.

        >>> grow_tree([leaf_hash(b"")]).leaf(0) == leaf_hash(b"")
        True
        """
        self._check(0, index, len(self) - 1)
        return self._nodes[Node(0, index)]

    def root(self, size: int) -> bytes:
        """Return the 32-byte root that the tree had at `size`: RFC 9162 2.1.1, MTH(D[n]).

        >>> GrowingTree().root(0).hex()[:8]
        'e3b0c442'
        """
        self._check(0, size, len(self))
        return self._hash(0, size) if size else root([])

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that leaf `index`, 0 .. size - 1, is in the tree of `size`: RFC 9162 2.1.3.1.

        >>> a, b, c = (leaf_hash(bytes([n])) for n in range(3))
        >>> grow_tree([a, b, c]).inclusion_proof(1, 2) == [a]
        True
        """
        self._check(index + 1, size, len(self))
        self._check(0, index, size - 1)
        return self._path(index, 0, size)

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """Return the proof that the tree of size `second` only adds to that of `first`: RFC 9162 2.1.4.1.

        Empty where the sizes are equal, and where the first tree is empty: any tree adds to that, which shows nothing.

        >>> a, b, c = (leaf_hash(bytes([n])) for n in range(3))
        >>> grow_tree([a, b, c]).consistency_proof(2, 3) == [c]
        True
        """
        self._check(first, second, len(self))
        self._check(0, first, second)
        return self._subproof(first, 0, second, True) if first else []

    def _check(self, low: int, value: int, high: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"expected a number of {low} .. {high}, got {value}")

    def _hash(self, start: int, end: int) -> bytes:
        """The hash over the leaves start .. end - 1; start is a multiple of the largest power of two in there."""
        hashes = [self._nodes[node] for node in _cover(start, end)]
        return reduce(lambda right, left: node_hash(left, right), reversed(hashes))

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:  # "PATH(0, {d[0]}) = {}"
            return []
        middle = start + _split(end - start)
        if index < middle:  # "PATH(m, D_n) = PATH(m, D[0:k]) : MTH(D[k:n]) for m < k"
            return [*self._path(index, start, middle), self._hash(middle, end)]
        # "PATH(m, D_n) = PATH(m - k, D[k:n]) : MTH(D[0:k]) for m >= k"
        return [*self._path(index, middle, end), self._hash(start, middle)]

    def _subproof(self, first: int, start: int, end: int, known: bool) -> list[bytes]:
        if first == end:  # "SUBPROOF(m, D_m, true) = {}", "SUBPROOF(m, D_m, false) = {MTH(D_m)}"
            return [] if known else [self._hash(start, end)]
        middle = start + _split(end - start)
        if first <= middle:  # "SUBPROOF(m, D_n, b) = SUBPROOF(m, D[0:k], b) : MTH(D[k:n])", m <= k
            return [*self._subproof(first, start, middle, known), self._hash(middle, end)]
        # "SUBPROOF(m, D_n, b) = SUBPROOF(m - k, D[k:n], false) : MTH(D[0:k])", m > k
        return [*self._subproof(first, middle, end, False), self._hash(start, middle)]


def grow_tree(leaves: Iterable[bytes]) -> GrowingTree:
    """Return the tree over these leaf hashes, with all of its nodes.

    >>> len(grow_tree([leaf_hash(b"")] * 3))
    3
    """
    tree = GrowingTree()
    for leaf in leaves:
        tree.append(leaf)
    return tree


def needed_nodes(size: int, compute: Callable[[GrowingTree], object]) -> set[Node]:
    """Return the nodes that `compute` asks a tree of `size` for, to know them before it is really called.

    >>> sorted(needed_nodes(7, lambda tree: tree.root(6)))
    [Node(level=1, number=2), Node(level=2, number=0)]
    """
    asked = _Asked()
    compute(GrowingTree(size, asked))
    return set(asked)


class _Asked(dict[Node, bytes]):
    """Has every node, and remembers which were asked for."""

    def __missing__(self, node: Node) -> bytes:
        self[node] = b""
        return b""


def _split(size: int) -> int:
    """RFC 9162 2.1.1: "k be the largest power of two smaller than n (i.e., k < n <= 2k)"; n is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def check_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """Say whether the tree of size `second` only adds leaves to that of size `first`: RFC 9162 2.1.4.2.

    The standard is for 0 < first < second. Equal sizes need equal roots and an empty proof. From an empty tree nothing
    is shown, so nothing holds. Roots and hashes have 32 bytes.

    >>> a, b, c = (leaf_hash(bytes([n])) for n in range(3))
    >>> check_consistency(2, 3, [c], root([a, b]), root([a, b, c]))
    True
    >>> check_consistency(2, 3, [c], root([b, a]), root([a, b, c]))
    False
    """
    if not 0 < first <= second or not are_hashes([first_root, second_root, *proof]):
        return False
    if first == second:
        return not proof and first_root == second_root
    if not proof:  # "1. If consistency_path is an empty array, stop and fail the proof verification."
        return False
    path = list(proof)
    if first & (first - 1) == 0:  # "2. If first is an exact power of 2, then prepend first_hash"
        path.insert(0, first_root)
    fn, sn = first - 1, second - 1  # "3. Set fn to first - 1 and sn to second - 1."
    while fn & 1:  # "4. If LSB(fn) is set, then right-shift both fn and sn equally until LSB(fn) is not set."
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]  # "5. Set both fr and sr to the first value in the consistency_path array."
    for c in path[1:]:  # "6. For each subsequent value c in the consistency_path array:"
        if sn == 0:  # "If sn is 0, then stop the iteration and fail the proof verification."
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:  # "right-shift both ... until either LSB(fn) is set or fn is 0"
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1  # "Finally, right-shift both fn and sn one time."
    # "7. ... verify that the fr calculated is equal to the first_hash supplied, that the sr calculated is equal to the
    # second_hash supplied, and that sn is 0."
    return fr == first_root and sr == second_root and sn == 0
