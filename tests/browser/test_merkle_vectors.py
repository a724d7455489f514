"""The check on the page of a draw says of every public proof of inclusion what it is, in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.merkle_vectors import MERKLE_INCLUSION, is_strict

pytestmark = pytest.mark.browser

CHECK = """async (cases) => {
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const Receipt = await import("/static/prizes/receipt.js");
  const found = [];
  for (const { root, leaf, index, size, proof } of cases)
    found.push(await Receipt.leadsTo(root, bytes(leaf), index, size, proof.map(bytes)));
  return found;
}"""


def test_inclusion_is_what_the_public_vectors_say(handsets: Callable[[str], Page]) -> None:
    page = handsets("en-GB")
    found = page.evaluate(CHECK, MERKLE_INCLUSION)
    assert found == [is_strict(case) for case in MERKLE_INCLUSION]
    assert any(found) and not all(found)


def test_a_leaf_outside_the_tree_and_numbers_that_are_none_lead_nowhere(
    handsets: Callable[[str], Page],
) -> None:
    page = handsets("en-GB")
    case = next(case for case in MERKLE_INCLUSION if case["holds"] and case["size"] > 1)
    odd = [
        {"index": -1},
        {"index": case["size"]},
        {"size": 0},
        {"index": 0.5},
        {"index": "0"},
        {"size": None},
    ]
    assert page.evaluate(CHECK, [case, *({**case, **change} for change in odd)]) == [True] + [False] * len(
        odd
    )
