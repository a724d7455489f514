"""Canaries: a commitment opens to the viewers that it was made to, and to no others."""

from typing import Any

import pytest

from engagement.ledger.core.canaries import (
    MOST_CANARIES,
    Canary,
    canaries_commitment,
    describe_canaries,
    explain_opening,
    parse_canaries,
)

ONE, TWO, SALT = "0a" * 14, "ff" * 14, b"s" * 32
MADE = {
    "name": "notary",
    "count": 2,
    "commitment": canaries_commitment("gala", "notary", SALT, [TWO, ONE]).hex(),
}


def test_it_opens_to_what_was_committed_in_any_order() -> None:
    assert explain_opening("gala", MADE, SALT, [Canary(ONE, 5), Canary(TWO, 0)]) == ""
    assert explain_opening("gala", MADE, SALT, [Canary(TWO, 0), Canary(ONE, 5)]) == ""


@pytest.mark.parametrize(
    ("show", "changed", "salt", "viewers"),
    [
        ("another", {}, SALT, [ONE, TWO]),
        ("gala", {"name": "charity"}, SALT, [ONE, TWO]),
        ("gala", {}, bytes(32), [ONE, TWO]),
        ("gala", {}, SALT[1:], [ONE, TWO]),
        ("gala", {}, SALT, [ONE]),
        ("gala", {}, SALT, []),
        ("gala", {}, SALT, [ONE, ONE]),
        ("gala", {}, SALT, [ONE, TWO.upper()]),
        ("gala", {"count": 3}, SALT, [ONE, TWO]),
    ],
)
def test_anything_else_does_not_fit(show: str, changed: Any, salt: bytes, viewers: list[str]) -> None:
    assert explain_opening(show, MADE | changed, salt, [Canary(viewer, 1) for viewer in viewers])


def test_a_commitment_is_to_a_bounded_number_of_viewers() -> None:
    many = [f"{number:028x}" for number in range(MOST_CANARIES + 1)]
    assert len(canaries_commitment("gala", "notary", SALT, many[1:])) == 32
    with pytest.raises(ValueError, match="1 to 100 different pseudonyms, got 101"):
        canaries_commitment("gala", "notary", SALT, many)


@pytest.mark.parametrize(
    "rows",
    [
        None,
        [7],
        [{"pseudonym": ONE}],
        [{"pseudonym": ONE, "total": -1}],
        [{"pseudonym": ONE, "total": 2**32}],
        [{"pseudonym": ONE, "total": True}],
        [{"pseudonym": 7, "total": 1}],
        [{"pseudonym": ONE, "total": 1, "more": 1}],
    ],
)
def test_what_are_no_canaries_is_refused(rows: Any) -> None:
    with pytest.raises(ValueError, match="expected a list of canaries"):
        parse_canaries(rows)
    assert parse_canaries(describe_canaries([Canary(TWO, 1), Canary(ONE, 2)])) == [
        Canary(ONE, 2),
        Canary(TWO, 1),
    ]
