"""The tree agrees with Certificate Transparency's vectors and, at small sizes, with the RFC's recursion."""

import hashlib
from operator import itemgetter, methodcaller

import pytest

from engagement.ledger.core import merkle
from tests.merkle_vectors import MERKLE_CONSISTENCY, MERKLE_INCLUSION, is_strict
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


# --- trees that grow ---

TREE = merkle.grow_tree(make_leaves(40))
CT_TREE = merkle.grow_tree(LEAVES)


def rfc_subproof(m, leaves, known):
    """RFC 9162 2.1.4.1, as it is written there."""
    n = len(leaves)
    if m == n:
        return [] if known else [rfc_root(leaves)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*rfc_subproof(m, leaves[:k], known), rfc_root(leaves[k:])]
    return [*rfc_subproof(m - k, leaves[k:], False), rfc_root(leaves[:k])]


def test_a_growing_tree_has_the_roots_and_inclusion_proofs_of_the_other_one_at_every_size():
    leaves = make_leaves(40)
    for size in range(41):
        assert TREE.root(size) == rfc_root(leaves[:size])
        for index in range(size):
            proof = TREE.inclusion_proof(index, size)
            assert proof == merkle.inclusion_proof(leaves[:size], index)


def test_consistency_proofs_are_those_of_the_recursion_and_hold_at_all_small_sizes():
    leaves = make_leaves(40)
    for second in range(1, 41):
        for first in range(1, second + 1):
            proof = TREE.consistency_proof(first, second)
            assert proof == rfc_subproof(first, leaves[:second], True)
            assert merkle.check_consistency(first, second, proof, TREE.root(first), TREE.root(second))


@pytest.mark.parametrize(
    ("first", "second", "proof"),
    [
        (1, 1, []),
        (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
        (6, 8, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
        (2, 5, ["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
    ],
)  # fmt: skip
def test_consistency_proofs_are_those_of_certificate_transparency(first, second, proof):
    assert [node.hex() for node in CT_TREE.consistency_proof(first, second)] == proof
    roots = [bytes.fromhex(CT["roots"][size]) for size in (first, second)]
    assert merkle.check_consistency(first, second, [bytes.fromhex(node) for node in proof], *roots)


def test_a_rewritten_removed_or_inserted_leaf_has_no_consistency_proof():
    leaves = make_leaves(9)
    histories = [
        [leaves[0], merkle.leaf_hash(b"rewritten"), *leaves[2:]],
        [*leaves[:3], *leaves[4:]],
        [*leaves[:3], merkle.leaf_hash(b"inserted"), *leaves[3:]],
    ]
    for history in histories:
        other = merkle.grow_tree(history)
        for first in range(4, 6):
            roots = TREE.root(first), other.root(8)
            for tree in (TREE, other):
                assert not merkle.check_consistency(first, 8, tree.consistency_proof(first, 8), *roots)


def test_a_changed_cut_or_longer_consistency_proof_does_not_hold():
    for first, second in ((3, 7), (4, 7), (6, 8), (1, 2)):
        roots, proof = (TREE.root(first), TREE.root(second)), TREE.consistency_proof(first, second)
        assert merkle.check_consistency(first, second, proof, *roots)
        for wrong in ([], proof[:-1], [*proof, bytes(32)], [bytes(32), *proof[1:]], [*proof[:-1], bytes(32)]):
            assert not merkle.check_consistency(first, second, wrong, *roots)


def test_equal_sizes_need_no_proof_but_equal_roots_and_from_an_empty_tree_nothing_holds():
    none, five = merkle.root([]), TREE.root(5)
    assert merkle.check_consistency(5, 5, [], five, five)
    wrong = [(5, 5, [], five, none), (5, 5, [five], five, five), (0, 5, [], five, five), (0, 0, [], none, five),
             (0, 5, [], none, five), (0, 0, [], none, none), (5, 5, [], b"", b""),
             (0, 5, [five], none, five), (6, 5, [], five, five), (-1, 5, [], none, five)]  # fmt: skip
    assert not any(merkle.check_consistency(*arguments) for arguments in wrong)


# --- the public vectors: those of transparency-dev/merkle ---


@pytest.mark.parametrize("case", MERKLE_INCLUSION, ids=itemgetter("name"))
def test_inclusion_is_what_the_public_vectors_say(case):
    hashes = [bytes.fromhex(node) for node in case["proof"]]
    leaf, top = bytes.fromhex(case["leaf"]), bytes.fromhex(case["root"])
    assert merkle.check_inclusion(leaf, case["index"], case["size"], hashes, top) == is_strict(case)


@pytest.mark.parametrize("case", MERKLE_CONSISTENCY, ids=itemgetter("name"))
def test_consistency_is_what_the_public_vectors_say(case):
    hashes = [bytes.fromhex(node) for node in case["proof"]]
    roots = bytes.fromhex(case["first_root"]), bytes.fromhex(case["second_root"])
    assert merkle.check_consistency(case["first"], case["second"], hashes, *roots) == is_strict(case)


@pytest.mark.parametrize(
    "ask",
    [
        lambda tree: tree.leaf(40),
        lambda tree: tree.leaf(-1),
        lambda tree: tree.root(41),
        lambda tree: tree.root(-1),
        lambda tree: tree.inclusion_proof(5, 5),
        lambda tree: tree.inclusion_proof(-1, 5),
        lambda tree: tree.inclusion_proof(5, 41),
        lambda tree: tree.consistency_proof(5, 41),
        lambda tree: tree.consistency_proof(6, 5),
        lambda tree: tree.consistency_proof(-1, 5),
    ],
)
def test_sizes_that_a_tree_never_had_are_refused(ask):
    with pytest.raises(ValueError, match="expected a number of"):
        ask(TREE)


def test_a_tree_that_knows_only_what_is_needed_says_the_same():
    for second in range(1, 41):
        for first in range(1, second + 1):
            proofs = ("consistency_proof", first, second), ("inclusion_proof", first - 1, second)
            for ask in (methodcaller(*call) for call in (("root", second), *proofs)):
                needed = merkle.needed_nodes(40, ask)
                known = merkle.GrowingTree(40, {node: TREE._nodes[node] for node in needed})
                assert ask(known) == ask(TREE)
                assert len(needed) <= 2 * second.bit_length()
                assert all(node.end <= second for node in needed)


def test_a_leaf_is_added_to_a_tree_that_knows_the_nodes_of_its_root_only():
    leaves = make_leaves(40)
    for size in range(40):
        known = {node: TREE._nodes[node] for node in merkle.full_nodes(size)}
        tree = merkle.GrowingTree(size, known)
        assert tree.append(leaves[size])[0] == leaves[size]
        assert tree.root(size + 1) == TREE.root(size + 1)
        tree.forget()
        assert tree.root(size + 1) == TREE.root(size + 1)


def test_a_tree_that_misses_a_node_does_not_grow():
    tree = merkle.GrowingTree(3)
    with pytest.raises(KeyError):
        tree.append(bytes(32))
    assert len(tree) == 3
