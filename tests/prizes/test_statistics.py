"""The draw is fair: the model exactly, and the engine by fixed keys, so these tests say the same in every run.

The limit of each chi-square is the 99.9 % point of its distribution. Keys are fixed, so a value below it stays there.
"""

import hashlib
from collections import Counter
from fractions import Fraction
from itertools import permutations, product

import pytest

from prizes import engine
from prizes.core.odds import first_odds, place_odds
from prizes.core.roll import build_roll
from prizes.engine import ranking as engine_ranking

# The 99.9 % points of chi-square, by degrees of freedom (tables of every book of statistics).
LIMITS = {1: 10.83, 3: 16.27, 5: 20.52, 9: 27.88, 11: 31.26, 15: 37.70, 31: 61.10}
DRAWS = 4_000


@pytest.fixture(scope="module", autouse=True)
def small_buffers():
    """No roll here has more entries, and nobody more tickets. Making room for 32,768 takes longer than to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_ranking, "CHUNK_ENTRIES", 2_048)
        yield


def name_of(number):
    return hashlib.sha256(f"viewer {number}".encode()).digest()[:14]


def draw_many(folder, tickets, count, draws=DRAWS):
    """Rank one roll, whose entries have these tickets in the order of the roll, under many keys."""
    path = folder / "roll.bin"
    names = sorted(map(name_of, range(len(tickets))))
    path.write_bytes(build_roll(zip(names, tickets, strict=True), bytes(32), max(tickets)))
    keys = (hashlib.sha256(f"key {number}".encode()).digest() for number in range(draws))
    return [engine.rank_roll(path, key, count) for key in keys]


def assert_fair(seen, expected):
    """Pearson's chi-square of counts against exact probabilities of all that can be seen."""
    draws = sum(seen.values())
    assert sum(expected.values()) == 1 and set(seen) <= set(expected)
    chi = sum((seen[what] - draws * odds) ** 2 / (draws * odds) for what, odds in expected.items())
    assert chi < LIMITS[len(expected) - 1], f"{float(chi):.2f} of {dict(seen)}"


def sampled_successively(ranking, tickets):
    """The chance of the first entries of a ranking, drawn one after the other in proportion to tickets."""
    chance, left = Fraction(1), sum(tickets)
    for entry in ranking:
        chance *= Fraction(tickets[entry], left)
        left -= tickets[entry]
    return chance


# --- the model, exactly ---


def ranked_by_smallest(order):
    """Entries by their smallest score, where `order` says whose ticket has the smallest score, the next, ..."""
    return tuple(dict.fromkeys(order))


@pytest.mark.parametrize("tickets", [(1, 1), (1, 3), (2, 2, 1), (1, 2, 3), (1, 1, 2, 3), (4, 2, 1)])
def test_ranking_by_the_smallest_score_is_successive_sampling(tickets):
    """All orders of all tickets are equally likely, scores being distinct: the chance of a ranking is a count."""
    owners = [entry for entry, many in enumerate(tickets) for _ in range(many)]
    orders = [tuple(owners[ticket] for ticket in order) for order in permutations(range(len(owners)))]
    seen = Counter(map(ranked_by_smallest, orders))
    assert len(seen) == len(list(permutations(tickets)))
    for ranking, count in seen.items():
        assert Fraction(count, len(orders)) == sampled_successively(ranking, tickets)


# --- the engine, by fixed keys ---


def test_ordered_pairs_come_as_often_as_their_weights_say(tmp_path):
    tickets = (1, 2, 3, 6)
    rankings = draw_many(tmp_path, tickets, 2)
    expected = {pair: sampled_successively(pair, tickets) for pair in permutations(range(4), 2)}
    assert_fair(Counter(tuple(row.index for row in ranked) for ranked in rankings), expected)


def test_whole_rankings_of_equals_are_equally_likely(tmp_path):
    rankings = draw_many(tmp_path, (2, 2, 2), 3)
    expected = dict.fromkeys(permutations(range(3)), Fraction(1, 6))
    assert_fair(Counter(tuple(row.index for row in ranked) for ranked in rankings), expected)


@pytest.fixture(scope="module")
def first_of_ten(tmp_path_factory):
    """How often each of ten entries, which have 1 to 10 tickets, is the first."""
    rankings = draw_many(tmp_path_factory.mktemp("ten"), tuple(range(1, 11)), 1)
    return Counter(ranked[0].index for ranked in rankings)


def test_the_first_place_goes_in_proportion_to_tickets(first_of_ten):
    assert_fair(first_of_ten, {entry: first_odds(entry + 1, 55) for entry in range(10)})


def test_the_position_in_the_roll_does_not_matter(tmp_path):
    """608 equal entries over three runs, in 32 neighbourhoods: those at the edges of runs and of the roll, too."""
    winners = Counter(ranked[0].index * 32 // 608 for ranked in draw_many(tmp_path, (2,) * 608, 1))
    assert_fair(winners, dict.fromkeys(range(32), Fraction(1, 32)))


def test_every_ticket_of_a_viewer_wins_as_often(tmp_path):
    tickets = Counter(ranked[0].ticket for ranked in draw_many(tmp_path, (16, 16, 16), 1))
    assert_fair(tickets, dict.fromkeys(range(16), Fraction(1, 16)))


def test_tickets_of_two_bytes_win_as_often_as_those_of_one(tmp_path):
    """Ticket numbers above 255 fill both bytes of their field: four quarters of 1,024."""
    tickets = Counter(ranked[0].ticket // 256 for ranked in draw_many(tmp_path, (1024,), 1, draws=2_000))
    assert_fair(tickets, dict.fromkeys(range(4), Fraction(1, 4)))


@pytest.mark.parametrize("most", [3, 10, 100])
def test_one_ticket_and_the_most_tickets_have_the_odds_of_the_theory(tmp_path, most):
    """Five entries with one ticket, five with the most: how often is the first of either kind among the first 1, 2, 3?

    The first two of three are those that two places would have: test_engine.py compares rankings of every length.
    """
    rankings = draw_many(tmp_path, (1, most) * 5, 3, draws=3_000)
    for places, (entry, tickets) in product((1, 2, 3), ((0, 1), (1, most))):
        odds, exact = place_odds(tickets, {1: 5, most: 5}, places)
        assert odds == exact
        listed = sum(entry in {row.index for row in ranked[:places]} for ranked in rankings)
        assert_fair(Counter({True: listed, False: 3_000 - listed}), {True: odds, False: 1 - odds})


def test_the_audit_sample_takes_everybody_as_often_whatever_their_tickets(tmp_path):
    path = tmp_path / "roll.bin"
    entries = [(name, number + 1) for number, name in enumerate(sorted(map(name_of, range(10))))]
    path.write_bytes(build_roll(entries, bytes(32), 10))
    keys = [hashlib.sha256(f"audit {number}".encode()).digest() for number in range(DRAWS)]
    sampled = Counter(engine.audit_sample(path, key, 1)[0].index for key in keys)
    assert_fair(sampled, dict.fromkeys(range(10), Fraction(1, 10)))


def test_a_biased_draw_would_be_noticed(first_of_ten):
    """The limit is not so wide that anything passes: one ticket too many for each of ten viewers exceeds it."""
    with pytest.raises(AssertionError):
        assert_fair(first_of_ten, {entry: first_odds(entry + 2, 65) for entry in range(10)})
