"""Both verifiers, which share no code with the trees that they check, say of every public proof what it is."""

from operator import itemgetter
from typing import Any

import pytest

from engagement.ledger import verify_ledger
from prizes import verify_draw, witness
from tests.merkle_vectors import MERKLE_CONSISTENCY, MERKLE_INCLUSION, is_strict


def test_the_vectors_are_of_all_kinds() -> None:
    assert len(MERKLE_INCLUSION) == len(MERKLE_CONSISTENCY) == 98
    for cases in (MERKLE_INCLUSION, MERKLE_CONSISTENCY):
        assert sum(case["holds"] for case in cases) == 6
    odd = [
        case["name"] for case in [*MERKLE_INCLUSION, *MERKLE_CONSISTENCY] if is_strict(case) != case["holds"]
    ]
    assert odd == ["additional/sizes-are-equal-one-and-proof-is-empty"]


@pytest.mark.parametrize("case", MERKLE_INCLUSION, ids=itemgetter("name"))
@pytest.mark.parametrize("program", [verify_draw, verify_ledger], ids=["draw", "ledger"])
def test_inclusion_is_what_the_vectors_say(program: Any, case: dict[str, Any]) -> None:
    leaf, top = bytes.fromhex(case["leaf"]), bytes.fromhex(case["root"])
    path = [bytes.fromhex(node) for node in case["proof"]]
    assert program.is_included(leaf, case["index"], case["size"], path, top) == is_strict(case)


@pytest.mark.parametrize("case", MERKLE_CONSISTENCY, ids=itemgetter("name"))
def test_a_witness_is_led_to_both_roots_by_what_holds_and_by_nothing_else(case: dict[str, Any]) -> None:
    if case["first"] == case["second"]:
        return  # a checkpoint that it has seen: it compares the roots
    older = witness.Checkpoint("", case["first"], bytes.fromhex(case["first_root"]))
    path = [bytes.fromhex(node) for node in case["proof"]]
    roots = older.root, bytes.fromhex(case["second_root"])
    assert (witness.walk_proof(older, case["second"], path) == roots) == is_strict(case)


@pytest.mark.parametrize("case", MERKLE_CONSISTENCY, ids=itemgetter("name"))
def test_consistency_is_what_the_vectors_say(case: dict[str, Any]) -> None:
    older, newer = (
        verify_ledger.Checkpoint("", "", case[which], bytes.fromhex(case[f"{which}_root"]))
        for which in ("first", "second")
    )
    path = [bytes.fromhex(node) for node in case["proof"]]
    assert verify_ledger.is_consistent(older, newer, path) == is_strict(case)
