"""docs/draw.md names every field, check and reason that the code has, and no other field."""

import re
from pathlib import Path

from prizes import verify_draw
from prizes.core import record

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "draw.md").read_text()


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
    assert sorted(first_cells(section(1), "field of `rules`")) == sorted(verify_draw.RULES_V2)
    assert sorted(first_cells(section(7), "field")) == sorted(verify_draw.RECORD_V2)
    assert sorted(first_cells(section(7), "field of a receipt")) == sorted(verify_draw.RECEIPT_V2)


def test_the_fields_of_a_stub_are_those_of_the_verifier():
    text = (DOCS / "protocol.md").read_text().split("\n## Stubs\n")[1]
    assert sorted(first_cells(text, "field")) == sorted(verify_draw.STUB)
    assert f"said      = canonical JSON of {', '.join(verify_draw.SAID)}\n" in text
    assert all(f"`{name}`" in text for name in verify_draw.KEPT_STUB)


def test_every_nested_field_is_named_on_the_page():
    named = set(re.findall(r"`([^`\s]+)`", section(1) + section(7)))
    assert (nested_names(verify_draw.RECORD_V2) | nested_names(verify_draw.RECEIPT_V2)) - named == set()


def test_every_check_is_listed():
    assert sorted(first_cells(section(7), "check")) == sorted(verify_draw.NAMES)


def test_the_closed_list_of_reasons_is_the_same_everywhere():
    assert {status: set(reasons) for status, reasons in record.STATUSES.items()} == verify_draw.STATUSES
    reasons = {reason for some in verify_draw.STATUSES.values() for reason in some if reason}
    assert all(f"`{name}`" in section(7).replace("\n", " ") for name in reasons | set(verify_draw.STATUSES))


def tags_of(text):
    """The tags that a program names: whole, or with the version of the document in front."""
    whole = set(re.findall(r'"(shake-draw/v[12]/[a-z]+)"', text))
    parts = set(re.findall(r'f"\{[^}"]*\}/([a-z]+)"|(?:version|form|V2|\["\$format"\]) \+ "/([a-z]+)"', text))
    both = {name for pair in parts for name in pair if name}
    return whole | {f"shake-draw/{version}/{name}" for version in ("v1", "v2") for name in both}


def test_every_tag_of_the_code_is_on_the_page_and_no_other():
    root = Path(__file__).parents[2]
    sources = [root / "engagement/core/digests.py", *sorted((root / "prizes/core").glob("*.py"))]
    code = tags_of("".join(path.read_text() for path in sources))
    own = tags_of(Path(verify_draw.__file__).read_text())
    page = set(re.findall(r'"(shake-draw/v[12]/[a-z]+)"', PAGE))
    assert code | own == page | {"shake-draw/v1/prior"}  # the verifier's way of writing it fits both
    assert {f"shake-draw/v2/{name}" for name in ("rules", "seal", "record", "receipt", "prior")} <= code & own
    assert code - own == {"shake-draw/v1/audit"} | {
        f"shake-draw/{version}/precommitment" for version in ("v1", "v2")
    }
