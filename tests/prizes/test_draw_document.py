"""docs/draw.md names every field, check and reason that the code has, and no other field."""

import re
from pathlib import Path

from prizes import verify_draw
from prizes.core import record

PAGE = (Path(__file__).parents[2] / "docs" / "draw.md").read_text()


def section(number):
    found = re.search(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, number
    return found[0]


def first_cells(text, heading):
    """Return the names in the first column of the table with that heading."""
    table = text.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [name for row in table.split("\n")[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def nested_names(shape):
    if isinstance(shape, dict):
        return set(shape).union(*(nested_names(member) for member in shape.values()))
    if isinstance(shape, list | verify_draw.Map | verify_draw.Maybe):
        return nested_names(shape[0])
    return set()


def test_the_fields_of_rules_and_record_are_those_of_the_verifier():
    assert sorted(first_cells(section(1), "field of `rules`")) == sorted(verify_draw.RULES)
    assert sorted(first_cells(section(7), "field")) == sorted(verify_draw.RECORD)
    assert sorted(first_cells(section(7), "field of a receipt")) == sorted(verify_draw.RECEIPT)


def test_every_nested_field_is_named_on_the_page():
    named = set(re.findall(r"`([^`\s]+)`", section(1) + section(7)))
    assert (nested_names(verify_draw.RECORD) | nested_names(verify_draw.RECEIPT)) - named == set()


def test_every_check_is_listed():
    assert sorted(first_cells(section(7), "check")) == sorted(verify_draw.NAMES)


def test_the_closed_list_of_reasons_is_the_same_everywhere():
    assert {status: set(reasons) for status, reasons in record.STATUSES.items()} == verify_draw.STATUSES
    reasons = {reason for some in verify_draw.STATUSES.values() for reason in some if reason}
    assert all(f"`{name}`" in section(7).replace("\n", " ") for name in reasons | set(verify_draw.STATUSES))


def test_every_tag_of_the_code_is_on_the_page_and_no_other():
    root = Path(__file__).parents[2]
    sources = [root / "engagement/core/digests.py", *sorted((root / "prizes/core").glob("*.py"))]
    code = "".join(path.read_text() for path in sources)
    tags = [set(re.findall(r'"(shake-draw/v1/[a-z]+)"', text)) for text in (code, PAGE)]
    assert tags[0] == tags[1]
    assert len(tags[0]) == 13
    own = set(re.findall(r'"(shake-draw/v1/[a-z]+)"', Path(verify_draw.__file__).read_text()))
    assert own <= tags[0]
    assert tags[0] - own == {
        f"shake-draw/v1/{name}" for name in ("audit", "precommitment", "pseudonym", "salt")
    }
