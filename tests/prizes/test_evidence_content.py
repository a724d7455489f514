"""The lists, words and pictures of an evidence pack."""

import pytest

from prizes.core.rules import EXAMPLE, build_rules
from prizes.evidence.content import (
    Lane,
    PackedFile,
    explain_rules,
    format_csv,
    format_sums,
    lay_night,
    lay_track,
    list_odds,
    timeline_row,
)

ENTRY = {
    "position": 4,
    "at": 1_700_000_000_000,
    "actor": "olga",
    "action": "arm",
    "reason": "",
    "details": {},
}


def row(**fields: object) -> dict:
    return timeline_row({**ENTRY, **fields}, {7: "1. Coat"})


@pytest.mark.parametrize("path", ["../a b", "a\nb", "", "a\\b"])
def test_a_path_that_sha256sum_would_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path of letters"):
        format_sums([PackedFile(path, 0, "00" * 32, "")])


def test_a_step_names_its_segment_and_its_draws() -> None:
    assert row(details={"segment": 7, "rules": {"b": "22", "a": "11"}})["draws"] == ["a", "b"]
    assert row(details={"segment": 7, "records": {"a": "11"}})["segment"] == "1. Coat"
    assert row(details={"draw": "a", "segment": 8})["segment"] == ""


def test_details_that_were_damaged_do_not_hide_the_step() -> None:
    assert row(details="{not json")["what"] == "Rules, prizes and commitments are fixed"
    assert row(details={"rules": "gone"})["draws"] == []


def test_an_action_without_words_keeps_its_name() -> None:
    assert row(action="dance", details={"party": "notary"})["what"] == "dance (notary)"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@a", "\tx", "\rx"])
def test_no_cell_is_a_formula(cell: str) -> None:
    table = format_csv([row(reason=cell)])
    assert f"'{cell}" in table


@pytest.mark.parametrize(
    ("kind", "words"),
    [("drand", "until 15 s before the beacon"), ("dice", "until 45 s after the roll is frozen")],
)
def test_the_deadline_of_secrets_is_told_as_the_rules_count_it(kind: str, words: str) -> None:
    told = dict(explain_rules(build_rules(**{**EXAMPLE, "beacon_kind": kind})))
    assert words in told["Secrets"]


def test_chances_are_told_from_the_lower_bound_for_a_roll_of_millions() -> None:
    rows = list_odds([[1, 20_000_000], [10, 15_000_000]], 20)
    assert [row["first"] for row in rows] == ["1/170000000", "1/17000000"]
    assert rows[0]["one_in"] == "1 in 8,499,996.2"  # a little better than 20 tickets of 170 million


def test_an_empty_roll_has_no_chances() -> None:
    assert list_odds([], 3) == []


def test_stations_that_have_not_come_have_no_time_and_no_gap() -> None:
    stops = lay_track([("promised", 1_000), ("sealed", None), ("drawn", 3_000)])
    assert [(stop["time"], stop["gap"]) for stop in stops] == [("00:00:01", ""), ("", ""), ("00:00:03", "")]
    assert lay_track([("alone", 0)])[0]["x"] == 44


def test_the_night_has_one_scale_for_all_lanes() -> None:
    night = lay_night([Lane("a" * 30, 0, 10_000, []), Lane("b", 90_000, 100_000, [("sealed", 100_000)])])
    first, second = night["lanes"]
    assert first["title"] == "a" * 23 + "…"
    assert first["bar"]["x"] == night["left"] < second["bar"]["x"] < second["dots"][0]["x"] == 676
    assert night["height"] > night["bottom"] > second["y"] > first["y"]
