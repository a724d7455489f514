"""Where the nodes of a proof stand, and which runs prove what, against the tree itself."""

import pytest

from engagement.core.merkle import build_levels, leaf_hash, proof_from_levels
from prizes.core.receipt import level_sizes, pack_tree, runs_around, sibling_offsets


@pytest.mark.parametrize("leaves", [*range(1, 35), 255, 256, 257])
def test_a_proof_read_from_the_tree_file_is_the_proof_of_the_tree(leaves: int) -> None:
    levels = build_levels([leaf_hash(bytes([n & 255, n >> 8])) for n in range(leaves)])
    tree = pack_tree(levels)
    assert [len(level) for level in levels] == level_sizes(leaves)
    for leaf in range(leaves):
        read = [tree[offset : offset + 32] for offset in sibling_offsets(leaves, leaf)]
        assert read == proof_from_levels(levels, leaf)


@pytest.mark.parametrize(("leaves", "leaf"), [(0, 0), (3, 3), (3, -1)])
def test_a_leaf_that_is_not_there_has_no_proof(leaves: int, leaf: int) -> None:
    with pytest.raises(ValueError, match=f"expected a leaf of 0 .. {leaves - 1}, got {leaf}"):
        sibling_offsets(leaves, leaf)


def test_two_runs_are_shown_only_where_the_neighbours_stand_in_two() -> None:
    assert [runs_around(position, 257, False) for position in (0, 1, 255, 256, 257)] == [
        [0],
        [0],
        [0],
        [0, 1],
        [1],
    ]
    assert [runs_around(position, 256, False) for position in (255, 256)] == [[0], [0]]
    assert [runs_around(position, 257, True) for position in (0, 255, 256)] == [[0], [0], [1]]
