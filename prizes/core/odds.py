"""The odds of a draw as exact fractions, from what a roll holds (docs/draw.md, section 6)."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import chain, islice, repeat
from math import comb

MAX_STATES = 1_000
"""Up to so many states `place_odds` follows every possible ranking; beyond, it gives bounds."""


def first_odds(tickets: int, all_tickets: int) -> Fraction:
    """Return the chance to be ranked first: one's own tickets of all tickets in the roll.

    ValueError unless 1 <= tickets <= all_tickets. Source: docs/draw.md, section 6: every ticket has the smallest
    score with the same chance.

    >>> first_odds(3, 12)
    Fraction(1, 4)
    >>> first_odds(0, 12)
    Traceback (most recent call last):
    ...
    ValueError: expected 1 .. 12 tickets, got 0
    """
    if not 1 <= tickets <= all_tickets:
        raise ValueError(f"expected 1 .. {all_tickets} tickets, got {tickets}")
    return Fraction(tickets, all_tickets)


def place_odds(tickets: int, classes: Mapping[int, int], places: int) -> tuple[Fraction, Fraction]:
    """Return bounds of the chance that an entry with these tickets is ranked among the first `places`.

    `classes` maps tickets to the number of entries of the roll with so many, one's own entry included. The two bounds
    are the same fraction, the exact chance, where every possible ranking could be followed (for one place always, for
    ten kinds of entries up to four places), or where all entries have the same tickets. Otherwise they are exact
    bounds: at every place the chance is `tickets` of what is left, and that is least when those with the
    fewest tickets were ranked before, and most when those with the most were. In a large roll they are very close.

    ValueError for no such entry, or for numbers below 0 (entries) or 1 (tickets, places).
    Source: docs/draw.md, section 6, successive sampling without replacement.

    >>> place_odds(1, {1: 1, 2: 1}, 1)
    (Fraction(1, 3), Fraction(1, 3))
    >>> low, high = place_odds(10, {n: 3_500_000 for n in range(1, 11)}, 20)
    >>> f"1 in {float(1 / high):.3f} .. {float(1 / low):.3f}"
    '1 in 962500.000 .. 962500.428'
    """
    _check(tickets, classes, places)
    if places >= sum(classes.values()):
        return Fraction(1), Fraction(1)
    kinds = sum(1 for entries in classes.values() if entries)
    if comb(places - 1 + kinds, kinds) <= MAX_STATES:
        exact = 1 - _passed_over(tickets, classes, places)
        return exact, exact
    others = _others(tickets, classes)
    fewest, most = _each(others, sorted(others)), _each(others, sorted(others, reverse=True))
    everything = sum(worth * entries for worth, entries in classes.items())
    return _bound(tickets, everything, fewest, places), _bound(tickets, everything, most, places)


def _check(tickets: int, classes: Mapping[int, int], places: int) -> None:
    if places < 1:
        raise ValueError(f"expected at least 1 place, got {places}")
    for worth, entries in classes.items():
        if worth < 1 or entries < 0:
            raise ValueError(f"expected tickets from 1 and entries from 0, got {worth} and {entries}")
    if not classes.get(tickets):
        raise ValueError(f"expected an entry with {tickets} tickets in the roll, got none")


def _others(tickets: int, classes: Mapping[int, int]) -> dict[int, int]:
    """The classes without one entry, one's own."""
    return {worth: entries - (worth == tickets) for worth, entries in classes.items()}


def _each(classes: Mapping[int, int], order: list[int]) -> Iterator[int]:
    """The tickets of each entry, class by class in this order."""
    return chain.from_iterable(repeat(worth, classes[worth]) for worth in order)


def _bound(tickets: int, left: int, before: Iterator[int], places: int) -> Fraction:
    """The chance if these entries took the places before one's own."""
    passed_over = Fraction(left - tickets, left)
    for worth in islice(before, places - 1):
        left -= worth
        passed_over *= Fraction(left - tickets, left)
    return 1 - passed_over


def _passed_over(tickets: int, classes: Mapping[int, int], places: int) -> Fraction:
    """The exact chance not to be among the first: over all ways in which others take all these places.

    A state is how many entries of each class were ranked; in which order does not matter for what follows.
    """
    others = _others(tickets, classes)
    kinds = [worth for worth, entries in others.items() if entries]
    everything = sum(worth * entries for worth, entries in classes.items())
    states = {(0,) * len(kinds): Fraction(1)}
    for _ in range(places):
        following: dict[tuple[int, ...], Fraction] = {}
        for taken, chance in states.items():
            left = everything - sum(worth * many for worth, many in zip(kinds, taken, strict=True))
            for place, worth in enumerate(kinds):
                weight = worth * (others[worth] - taken[place])
                if weight:
                    state = (*taken[:place], taken[place] + 1, *taken[place + 1 :])
                    following[state] = following.get(state, Fraction(0)) + chance * weight / left
        states = following
    return sum(states.values(), Fraction(0))
