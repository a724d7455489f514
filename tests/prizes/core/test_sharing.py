"""How guests' entries count, from the rules alone."""

import hashlib

import pytest

from engagement.fair_play.core.promise import EXAMPLE
from prizes.core.sharing import NOTHING_SHARED, Sharing, cap_tickets, read_sharing, shared_rank

TABLE = [[10, 1], [20, 4], [30, 9]]


def test_rules_of_the_first_version_share_nothing() -> None:
    assert read_sharing({"winners": 1}) is NOTHING_SHARED


def test_the_rules_say_kinds_places_factors_and_caps_in_the_bytes_of_origins() -> None:
    promise = {**EXAMPLE, "most_tickets": {"attested": 9, "guest": 0}}
    assert read_sharing({"fair_play": promise}) == Sharing(frozenset({1, 2, 3}), 250, (1, 50), {4: 9, 1: 0})


def test_with_no_number_of_entries_no_kind_shares() -> None:
    promise = {**EXAMPLE, "shared": {"kinds": ["guest"], "entries": 0}}
    assert read_sharing({"fair_play": promise}).kinds == frozenset()


@pytest.mark.parametrize(("carrier", "places"), [(0, 4), (1, 8), (2, 12), (3, 4), (200, 4)])
def test_a_carrier_that_is_not_on_the_list_has_the_places_of_none(carrier: int, places: int) -> None:
    assert Sharing(frozenset({1}), 4, (1, 2, 3), {}).budget(carrier) == places


@pytest.mark.parametrize(
    ("tickets", "most", "left"),
    [(9, 9, 9), (9, 8, 4), (9, 1, 1), (9, 0, 0), (4, 99, 4), (1, 3, 1), (0, 9, 0)],
)
def test_a_cap_gives_a_value_of_the_ticket_table(tickets: int, most: int, left: int) -> None:
    assert cap_tickets(TABLE, tickets, most) == left


def test_the_rank_is_a_hash_of_the_totals_and_the_pseudonym() -> None:
    expected = hashlib.sha256(b"shake-draw/v2/shared" + b"\1" * 32 + b"A" * 14).digest()
    assert shared_rank(b"\1" * 32, b"A" * 14) == expected != shared_rank(bytes(32), b"A" * 14)
