"""The tree agrees with Certificate Transparency's vectors and, at small sizes, with the RFC's recursion."""

import hashlib

import pytest

from engagement.core import merkle
from tests.prizes.draws import load_vectors

CT = load_vectors("merkle_rfc6962_basic")
LEAVES = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in CT["leaves"]]


def rfc_root(leaves):
    """RFC 9162 2.1.1, as it is written there."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


def make_leaves(size):
    return [merkle.leaf_hash(number.to_bytes(2, "big")) for number in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size):
    assert merkle.root(LEAVES[:size]).hex() == CT["roots"][size]


def test_leaf_and_node_hashes_are_those_of_certificate_transparency():
    assert merkle.leaf_hash(b"").hex() == CT["hasher"]["empty_leaf"]
    assert merkle.leaf_hash(b"L123456").hex() == CT["hasher"]["leaf_L123456"]
    assert merkle.node_hash(b"N123", b"N456").hex() == CT["hasher"]["node_N123_N456"]


def test_every_size_up_to_300_has_the_root_of_the_recursion():
    leaves = make_leaves(300)
    assert all(merkle.root(leaves[:size]) == rfc_root(leaves[:size]) for size in range(301))


def test_every_proof_of_every_small_tree_holds_for_its_leaf_and_no_other():
    for size in range(1, 34):
        leaves = make_leaves(size)
        top = merkle.root(leaves)
        for index in range(size):
            proof = merkle.inclusion_proof(leaves, index)
            holds = [merkle.check_inclusion(leaf, at, size, proof, top) for at, leaf in enumerate(leaves)]
            assert holds == [at == index for at in range(size)]


def test_a_changed_cut_or_longer_proof_does_not_hold():
    leaves = make_leaves(7)
    top, proof = merkle.root(leaves), merkle.inclusion_proof(leaves, 5)
    wrong = [proof[:-1], [*proof, bytes(32)], proof[::-1], [bytes(32), *proof[1:]], []]
    assert not any(merkle.check_inclusion(leaves[5], 5, 7, other, top) for other in wrong)
    assert merkle.check_inclusion(leaves[5], 5, 7, proof, top)


@pytest.mark.parametrize("index", [-1, 7])
def test_there_is_no_proof_for_a_leaf_outside_the_tree(index):
    leaves = make_leaves(7)
    with pytest.raises(ValueError, match=r"0 \.\. 6"):
        merkle.inclusion_proof(leaves, index)
    assert not merkle.check_inclusion(leaves[0], index, 7, [], merkle.root(leaves))
