"""Counts: the larger figures of each gateway, a bounded number of names, and what is more than was counted."""

from typing import Any

import pytest

from engagement.core.counts import (
    LARGEST,
    MOST_GATEWAYS,
    SOURCES,
    Counts,
    Excess,
    Figures,
    describe_counts,
    excess,
    merge_counts,
    parse_counts,
    passes_since,
    read_passes,
    read_row,
)
from engagement.core.digests import canonical_json

ONE = Counts({"b": Figures(5, 80, 2)})


def test_what_was_told_once_is_never_taken_back() -> None:
    later = merge_counts(ONE, {"a": Figures(1, 7, 0), "b": Figures(6, 70, 1)})
    assert list(later.gateways) == ["b", "a"] and later.gateways["b"] == Figures(6, 80, 2)
    assert merge_counts(later, {}) == later and later.total == Figures(7, 87, 2)


def test_of_very_many_gateways_some_are_named_and_the_sum_has_all() -> None:
    many = {f"{number:0100}": Figures(10**6, 10**9, 10**5) for number in range(MOST_GATEWAYS + 50)}
    counts = merge_counts(Counts({}), many)
    assert len(counts.gateways) == MOST_GATEWAYS and counts.others == Figures(
        50 * 10**6, 50 * 10**9, 50 * 10**5
    )
    assert counts.total == Figures(250 * 10**6, 250 * 10**9, 250 * 10**5)
    assert len(canonical_json(describe_counts(counts))) < 40_000
    fewer = merge_counts(counts, {f"{number:0100}": Figures(1, 1, 0) for number in range(MOST_GATEWAYS, 300)})
    assert fewer.others == counts.others
    assert parse_counts(describe_counts(fewer)) == fewer


@pytest.mark.parametrize(
    "changed",
    [
        {"gateways": None},
        {"gateways": [7]},
        {"gateways": [{"gateway": "b", "viewers": 5}]},
        {"gateways": [{"gateway": "b", "viewers": 5, "shakes": -80, "app": 2}]},
        {"gateways": [{"gateway": "b", "viewers": True, "shakes": 80, "app": 2}]},
        {"gateways": [{"gateway": "b", "viewers": 5, "shakes": 80, "app": 2}] * 2},
        {"viewers": 6},
        {"app": 3},
        {"gateways": [{"gateway": "b", "viewers": 5, "shakes": 80}]},
        {"others": {"viewers": 1, "shakes": 1, "app": 0}},
        {"others": 7},
    ],
)
def test_what_no_entry_says_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_counts({**describe_counts(ONE), **changed})


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        "7",
        {},
        {"viewers": 1, "shakes": 2},
        {"viewers": -1, "shakes": 2, "unsure": 0},
        {"viewers": 1, "shakes": 2, "unsure": 0, "app": "1"},
    ],
)
def test_a_row_without_a_ceiling_has_no_figures(row: Any) -> None:
    assert read_row(row) is None


@pytest.mark.parametrize("name", ["viewers", "shakes", "unsure", "app"])
def test_a_figure_is_at_most_what_stays_writable_in_any_sum(name: str) -> None:
    row = {"viewers": 0, "shakes": 0, "unsure": 0, "app": 0}
    assert read_row({**row, name: LARGEST}) is not None
    assert read_row({**row, name: LARGEST + 1}) is None


def test_passes_of_what_is_no_row_are_none() -> None:
    assert [read_passes(row, "app") for row in (None, {}, {"app": -1}, {"app": LARGEST + 1})] == [0] * 4
    assert read_passes({"app": LARGEST}, "app") == LARGEST


def test_passes_are_those_since_the_last_entry() -> None:
    nothing = dict.fromkeys(SOURCES, 0)
    since = passes_since({"app": 5, "guest": 40, "work": 1, "other": 9}, {"app": 2, "guest": 40})
    assert since == nothing | {"app": 3, "work": 1}
    assert passes_since({}, {"app": "two", "guest": None}) == nothing


def test_more_than_was_counted_is_an_excess() -> None:
    counted = Figures(5, 80, 2)
    assert excess(counted, viewers=5, shakes=80, app=2) == Excess(0, 0, 0)
    assert excess(counted, viewers=6, shakes=10, app=0) == Excess(1, 0, 0)
    assert excess(counted, viewers=1, shakes=81, app=0) == Excess(0, 1, 0)
    assert excess(counted, viewers=5, shakes=80, app=3) == Excess(0, 0, 1)
