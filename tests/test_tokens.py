"""One style sheet has all colours, and every text on its ground can be read."""

import re

import pytest

from tests.tokens import (
    PAGE,
    PAPER,
    PAPER_PAIRS,
    ROOT,
    SHEET,
    STAGE,
    STAGE_PAIRS,
    TOKEN,
    contrast,
    read_tokens,
    write_page,
)

SHEETS = sorted([*ROOT.glob("engagement/static/**/*.css"), *ROOT.glob("prizes/static/**/*.css")])
COLOUR = re.compile(r":[^;{}]*(#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(|\bwhite\b|\bblack\b)")


def test_no_other_style_sheet_names_a_colour() -> None:
    assert SHEET in SHEETS and len(SHEETS) > 8
    for sheet in SHEETS:
        if sheet != SHEET and "vendor" not in sheet.parts:
            assert not COLOUR.findall(sheet.read_text()), sheet
            assert not re.findall(r"var\([^()]*\)\w", sheet.read_text()), sheet


def test_every_token_that_is_used_is_there_and_every_token_has_a_word() -> None:
    known = {**read_tokens(STAGE), **read_tokens(PAPER)}
    used = {name for sheet in SHEETS for name in re.findall(r"var\(--([a-z0-9-]+)", sheet.read_text())}
    own = {
        name
        for sheet in SHEETS
        for name in re.findall(r"^ +--([a-z0-9-]+):", sheet.read_text(), re.MULTILINE)
    }
    assert used - own == set()
    assert [token.name for token in read_tokens(STAGE).values() if not token.what] == []
    assert set(read_tokens(PAPER)) - set(known) == set()


def test_what_is_printed_is_paper() -> None:
    printed = re.search(
        r"@media print \{\n  :root \{\n(.*?)^  \}", SHEET.read_text(), re.MULTILINE | re.DOTALL
    )
    assert printed
    found = {row["name"]: row["value"] for row in TOKEN.finditer(printed[1])}
    assert found == {token.name: token.value for token in read_tokens(PAPER).values()}


@pytest.mark.parametrize(
    ("block", "pairs"), [(STAGE, STAGE_PAIRS), (PAPER, PAPER_PAIRS)], ids=["stage", "paper"]
)
def test_every_text_can_be_read_on_its_ground(block: str, pairs: list[tuple[str, str, float]]) -> None:
    tokens = {**read_tokens(STAGE), **read_tokens(block)}
    measured = {pair: contrast(tokens[pair[0]].value, tokens[pair[1]].value) for pair in pairs}
    assert {pair: round(ratio, 2) for pair, ratio in measured.items() if ratio < pair[2]} == {}


def test_contrasts_are_those_of_the_standard() -> None:
    assert round(contrast("#000000", "#ffffff"), 2) == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48  # the example that everybody knows


def test_the_page_is_what_the_style_sheet_makes() -> None:
    assert PAGE.read_text() == write_page(), "the tokens have changed; run: make tokens"
