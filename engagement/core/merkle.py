"""The Merkle tree of RFC 9162 section 2.1 over SHA-256 (docs/draw.md, section 3)."""

import hashlib
from collections.abc import Iterable, Sequence


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

    >>> a, b, c = (leaf_hash(bytes([n])) for n in range(3))
    >>> check_inclusion(c, 2, 3, [node_hash(a, b)], root([a, b, c])), check_inclusion(c, 1, 3, [a], b)
    (True, False)
    """
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
