"""The odds: against enumeration of every ranking, and against what must add up."""

from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prizes.core import odds
from prizes.core.odds import first_odds, place_odds

TEN_KINDS = dict.fromkeys(range(1, 11), 3_500_000)
small_rolls = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def classes_of(weights):
    return {tickets: weights.count(tickets) for tickets in weights}


def ranking_chance(ranking, weights):
    """The chance of one ranking by successive sampling: at each place in proportion to what is left."""
    chance, left = Fraction(1), sum(weights)
    for entry in ranking:
        chance, left = chance * Fraction(weights[entry], left), left - weights[entry]
    return chance


def enumerated(weights, entry, places):
    """The chance to be among the first, summed over all rankings of the whole roll."""
    rankings = permutations(range(len(weights)))
    return sum(ranking_chance(row, weights) for row in rankings if entry in row[:places])


@given(weights=small_rolls, places=st.integers(1, 6))
def test_exact_odds_are_those_of_all_rankings_together(weights, places):
    for entry, tickets in enumerate(weights):
        low, high = place_odds(tickets, classes_of(weights), places)
        assert low == high == enumerated(weights, entry, places)


@settings(max_examples=40)
@given(weights=small_rolls, places=st.integers(1, 6))
def test_bounds_hold_the_exact_odds(weights, places):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(odds, "MAX_STATES", 0)
        for entry, tickets in enumerate(weights):
            low, high = place_odds(tickets, classes_of(weights), places)
            assert low <= enumerated(weights, entry, places) <= high
            assert low == high or len(set(weights)) > 1


@pytest.mark.parametrize("places", [1, 2, 3, 4])
def test_the_chances_of_all_add_up_to_the_places(places):
    exact = {tickets: place_odds(tickets, TEN_KINDS, places) for tickets in TEN_KINDS}
    assert all(low == high for low, high in exact.values())
    assert sum(TEN_KINDS[tickets] * low for tickets, (low, _) in exact.items()) == places


@pytest.mark.parametrize("places", [5, 20, 300])
def test_the_bounds_of_all_add_up_to_bounds_of_the_places(places):
    bounds = {tickets: place_odds(tickets, TEN_KINDS, places) for tickets in TEN_KINDS}
    low, high = (sum(TEN_KINDS[t] * bound[end] for t, bound in bounds.items()) for end in (0, 1))
    assert low < places < high
    assert high - low < places * Fraction(places, 10_000_000)


def test_one_place_has_the_first_odds_however_many_kinds_there_are():
    classes = dict.fromkeys(range(1, 3000), 2)
    assert place_odds(2999, classes, 1)[0] == first_odds(2999, sum(t * 2 for t in classes))


def test_whoever_has_as_many_places_as_entries_is_among_them():
    assert place_odds(1, {1: 1, 65535: 2}, 3) == (Fraction(1), Fraction(1))
    assert place_odds(1, {1: 1, 65535: 2}, 2)[0] < Fraction(1, 10_000)


def test_classes_without_entries_change_nothing():
    assert place_odds(1, {1: 2, 2: 1, 3: 0}, 2) == place_odds(1, {1: 2, 2: 1}, 2)


@pytest.mark.parametrize(
    ("tickets", "classes", "places", "message"),
    [
        (1, {1: 1}, 0, "at least 1 place, got 0"),
        (0, {0: 1}, 1, "tickets from 1"),
        (1, {1: -1}, 1, "entries from 0"),
        (2, {1: 1}, 1, "an entry with 2 tickets"),
        (2, {1: 1, 2: 0}, 1, "an entry with 2 tickets"),
    ],
)
def test_odds_of_what_cannot_be_are_refused(tickets, classes, places, message):
    with pytest.raises(ValueError, match=message):
        place_odds(tickets, classes, places)


@pytest.mark.parametrize(("tickets", "everything"), [(0, 5), (6, 5), (1, 0), (-1, 5)])
def test_first_odds_need_tickets_of_the_roll(tickets, everything):
    with pytest.raises(ValueError, match="tickets, got"):
        first_odds(tickets, everything)
