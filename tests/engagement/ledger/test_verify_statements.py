"""The check without the project, of what is public: statements under checkpoints that were kept, and what they tell."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from engagement.core.counts import Counts, Figures, describe_counts
from engagement.ledger import verify_ledger
from engagement.ledger.append import append_entry
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.canaries import Canary, canaries_commitment, describe_canaries
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.export import export_checkpoint, export_entry
from engagement.ledger.statements import PUBLIC_ACTIONS, statement
from engagement.models import LedgerCheckpoint, LedgerEntry, Show
from tests.cast import make_show
from tests.guards import tamper

pytestmark = pytest.mark.django_db

DRAW, OTHER = "gala/seg-1/draw-1", "gala/seg-1/draw-2"
# What is told of a segment with two draws, as it happens.
NIGHT: list[tuple[str, dict[str, Any]]] = [
    ("arm", {"segment": 1, "rules": {DRAW: "ab", OTHER: "cd"}}),
    ("open", {"segment": 1}),
    ("opened", {"segment": 1}),
    ("closing", {"segment": 1}),
    ("fence", {"segment": 1, "missing_gateways": []}),
    ("freeze", {"segment": 1, "viewers": 3, "draws": [{"draw": 1}, {"draw": 2}]}),
    ("reveal", {"segment": 1, "draw": DRAW, "party": "operator"}),
    ("reveal", {"segment": 1, "draw": OTHER, "party": "operator"}),
    ("reveal", {"segment": 1, "draw": DRAW, "party": "notary"}),
    ("seal", {"segment": 1, "draw": DRAW}),
    ("seal", {"segment": 1, "draw": OTHER}),
    ("start", {"segment": 1, "draw": DRAW}),
    ("beacon", {"segment": 1, "draw": DRAW}),
    ("start", {"segment": 1, "draw": DRAW}),  # it gave up, and was asked for again
    ("drawn", {"segment": 1, "draw": DRAW}),
    ("beacon", {"segment": 1, "draw": OTHER}),
    ("drawn", {"segment": 1, "draw": OTHER}),
    ("publish", {"segment": 1, "records": {DRAW: "ab", OTHER: "cd"}}),
    ("claim", {"segment": 1, "draw": DRAW}),
    ("forfeit", {"segment": 1, "draw": OTHER}),
    ("move up", {"segment": 1, "draw": OTHER}),
    ("arm", {"segment": 2, "rules": {"gala/seg-2/draw-1": "ab"}}),
    ("void", {"segment": 2}),
    ("restore", {"lost": [], "segments": []}),
]


def tell(story: list[tuple[str, dict[str, Any]]]) -> Show:
    show = make_show(slug="gala")
    for number, (action, details) in enumerate(story):
        append_entry(show, action, actor="olga", details=details, now=1_000 + number)
    return show


def note_of(show: Show, size: int) -> str:
    return LedgerCheckpoint.objects.get(show=show, size=size).note


def check(show: Show, *files: Path) -> dict[str, str]:
    """name of the check -> "" or what failed."""
    found = verify_ledger.read_files([str(file) for file in files])
    keys = [verify_ledger.parse_key(format_vkey(key)) for key in keys_of(show)]
    checks = verify_ledger.verify_ledger(found, keys)
    return {row.name: "" if row.ok else row.detail for row in checks}


def write_entries(show: Show, folder: Path) -> list[Path]:
    entries = LedgerEntry.objects.filter(show=show).select_related("show").order_by("position")
    (folder / "entries.jsonl").write_bytes(b"".join(map(export_entry, entries)))
    (folder / "checkpoints.jsonl").write_bytes(
        b"".join(map(export_checkpoint, LedgerCheckpoint.objects.filter(show=show)))
    )
    return [folder / "entries.jsonl", folder / "checkpoints.jsonl"]


def write_statements(show: Show, folder: Path, size: int | None = None) -> Path:
    size = LedgerEntry.objects.filter(show=show).count() if size is None else size
    lines = [json.dumps(statement(show, position, size)) for position in range(size)]
    (folder / "statements.jsonl").write_text("\n".join(lines))
    return folder / "statements.jsonl"


# --- what holds ---


def test_a_night_holds_with_its_entries_and_with_its_statements(tmp_path: Path) -> None:
    show = tell(NIGHT)
    entries, statements = write_entries(show, tmp_path), write_statements(show, tmp_path)
    held = {"signatures": "", "statements": "", "times": "", "steps": ""}
    assert check(show, statements) == held
    assert check(show, statements, *entries) == {**held, "chain": "", "roots": ""}


def test_a_statement_as_the_server_gives_it_is_an_entry_under_a_kept_checkpoint(
    tmp_path: Path, client: Client
) -> None:
    show = tell(NIGHT)
    (tmp_path / "kept.txt").write_text(note_of(show, 12))
    answer = client.get("/api/shows/gala/ledger/statements/9?size=12")
    (tmp_path / "seal.json").write_bytes(answer.content)
    held = {"signatures": "", "statements": "", "times": "", "steps": ""}
    assert check(show, tmp_path / "kept.txt", tmp_path / "seal.json") == held
    (tmp_path / "seal.json").write_text(json.dumps(answer.json(), indent=2))  # on several lines
    assert check(show, tmp_path / "seal.json", tmp_path / "kept.txt") == held


def test_a_page_of_statements_is_taken_as_the_server_lists_it(tmp_path: Path, client: Client) -> None:
    show, page = tell([*NIGHT, NIGHT[place_of("seal")]]), tmp_path / "page.json"
    page.write_bytes(client.get("/api/shows/gala/ledger/statements").content)
    found = check(show, page)
    assert (found["statements"], found["signatures"]) == ("", "")
    assert "a second seal" in found["steps"]
    page.write_text('{"next":null,"size":1,"statements":[1]}')
    assert "statement 1: expected a JSON object" in check(show, page)[f"file {page}"]


def test_statements_under_two_checkpoints_need_the_proof_that_joins_them(
    tmp_path: Path, client: Client
) -> None:
    show = tell(NIGHT)
    (tmp_path / "kept.txt").write_text(note_of(show, 12))
    files = [tmp_path / "kept.txt", write_statements(show, tmp_path)]
    assert "expected a proof from 12 to 24 entries, got none" in check(show, *files)["consistency"]
    (tmp_path / "proof.json").write_bytes(client.get("/api/shows/gala/ledger/proof?from=12&to=24").content)
    assert set(check(show, *files, tmp_path / "proof.json").values()) == {""}


# --- attack 14: what the signed ledger itself must not tell ---


def twice(action: str) -> list[tuple[str, dict[str, Any]]]:
    """The night, and at its end once more what was told of the first draw."""
    return [*NIGHT, next(row for row in NIGHT if row[0] == action)]


def place_of(action: str) -> int:
    return [row[0] for row in NIGHT].index(action)


@pytest.mark.parametrize(
    ("action", "what"),
    [("arm", DRAW), ("freeze", "segment 1"), ("reveal", f"the secret of operator in {DRAW}"), ("seal", DRAW),
     ("beacon", DRAW), ("drawn", DRAW), ("publish", DRAW), ("void", "segment 2")],
)  # fmt: skip
def test_what_happens_once_is_not_told_twice(tmp_path: Path, action: str, what: str) -> None:
    show = tell(twice(action))
    said = f"entry {len(NIGHT)}: a second {action} of {what}, after that in entry {place_of(action)}"
    assert check(show, *write_entries(show, tmp_path))["steps"] == said
    assert check(show, write_statements(show, tmp_path))["steps"] == said


def test_three_seals_of_one_draw_are_told_from_the_statements_alone(tmp_path: Path) -> None:
    show = tell([("seal", {"draw": DRAW, "seal": letter * 64}) for letter in "abc"])
    for position in (0, 2):
        (tmp_path / f"{position}.json").write_text(json.dumps(statement(show, position)))
    found = check(show, tmp_path / "2.json", tmp_path / "0.json")
    assert found["steps"] == f"entry 2: a second seal of {DRAW}, after that in entry 0"


@pytest.mark.parametrize("end", ["void", "spoil"])
@pytest.mark.parametrize(
    "action", ["opened", "fence", "freeze", "reveal", "seal", "start", "beacon", "publish"]
)
def test_nothing_goes_on_after_the_end(tmp_path: Path, end: str, action: str) -> None:
    at = place_of("seal")
    show = tell([*NIGHT[:5], (end, {"segment": 1}), NIGHT[place_of(action)]])
    found = check(show, *write_entries(show, tmp_path))["steps"]
    assert found.startswith(f"entry 6: {action} of ") and found.endswith(f"which ended with {end} in entry 5")
    assert at > 5


def test_a_draw_that_is_spoiled_ends_alone(tmp_path: Path) -> None:
    seal = place_of("seal")
    spoiled = [*NIGHT[:seal], ("spoil", {"segment": 1, "draw": DRAW}), *NIGHT[seal + 1 : seal + 2]]
    show = tell([*spoiled, ("seal", {"segment": 1, "draw": DRAW})])
    said = f"entry {seal + 2}: seal of {DRAW}, which ended with spoil in entry {seal}"
    assert check(show, *write_entries(show, tmp_path))["steps"] == said


@pytest.mark.parametrize(
    ("first", "then", "what"),
    [("seal", "void", "segment 1"), ("seal", "freeze", "segment 1"), ("beacon", "seal", DRAW),
     ("drawn", "beacon", DRAW), ("publish", "drawn", DRAW), ("claim", "seal", DRAW), ("drawn", "spoil", DRAW)],
)  # fmt: skip
def test_what_comes_before_is_not_told_after(tmp_path: Path, first: str, then: str, what: str) -> None:
    details = {"segment": 1, **({} if what == "segment 1" else {"draw": DRAW, "records": {DRAW: ""}})}
    show = tell([(first, {**details, "draw": DRAW}), (then, details)])
    found = check(show, *write_entries(show, tmp_path))
    assert found["steps"] == f"entry 1: {then} of {what} after {first}"


def test_times_do_not_run_back(tmp_path: Path) -> None:
    show = tell(NIGHT)
    # The server never writes this; whoever owns it can, and sign it.
    tamper("DELETE FROM engagement_ledgercheckpoint WHERE size > 9")
    tamper("DELETE FROM engagement_ledgerentry WHERE position > 8")
    tamper("UPDATE engagement_ledgerentry SET at_ms = 3000 WHERE position = 8")
    entry = LedgerEntry.objects.get(position=8)
    late = {**json.loads(export_entry(entry)), "at": 3_000}
    early = {**late, "position": 9, "action": "reveal refused", "at": 2_999}
    early["previous"] = verify_ledger.entry_digest(late)
    rows = [json.dumps({**row, "digest": verify_ledger.entry_digest(row)}) for row in (late, early)]
    lines = [export_entry(entry).decode().strip() for entry in LedgerEntry.objects.filter(position__lt=8)]
    (tmp_path / "entries.jsonl").write_text("\n".join([*lines, *rows]))
    found = check(show, tmp_path / "entries.jsonl")
    assert (found["chain"], found["steps"]) == ("", "")
    assert found["times"] == "entry 9 is of a time before entry 8"


# --- what is no statement ---


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        ({"entry.at": 9}, "statements", "it is not entry 9 of the 24 that were signed"),
        ({"entry.by": "00" * 32}, "statements", "it is not entry 9"),
        ({"entry.position": 10}, "statements", "it is not entry 10"),
        ({"entry.position": 24}, "statements", "it is not entry 24"),
        ({"entry.show": "other"}, "statements", "an entry of other with a checkpoint of localhost/gala"),
        ({"previous": "00" * 32}, "statements", "it is not entry 9"),
        ({"proof": []}, "statements", "it is not entry 9"),
        ({"checkpoint": "hello"}, "statements", "its checkpoint is not signed with a key that was given"),
        ({"more": 1}, "file", "with its fields and no others"),
        ({"entry.actor": "olga"}, "file", "with its fields and no others"),
        ({"entry": []}, "file", "with its fields and no others"),
        ({"entry.position": True}, "file", "expected texts, numbers, details and a proof"),
        ({"entry.position": -1}, "file", "expected texts, numbers, details and a proof"),
        ({"entry.details": []}, "file", "expected texts, numbers, details and a proof"),
        ({"entry.reason": None}, "file", "expected texts, numbers, details and a proof"),
        ({"checkpoint": None}, "file", "expected texts, numbers, details and a proof"),
        ({"proof": ["00" * 31]}, "file", "expected texts, numbers, details and a proof"),
        ({"proof": ["00" * 32] * 65}, "file", "expected texts, numbers, details and a proof"),
        ({"previous": "AB" * 32}, "file", "expected digests of 64 hex digits"),
        ({"entry.by": "olga"}, "file", "expected digests of 64 hex digits"),
        ({"entry.action": "\ud800"}, "file", ""),
    ],
)  # fmt: skip
def test_a_statement_that_was_changed_is_none(
    tmp_path: Path, change: dict[str, Any], name: str, said: str
) -> None:
    show = tell(NIGHT)
    told = statement(show, 9)
    for place, value in change.items():
        outer, _, inner = place.partition(".")
        told[outer] = {**told[outer], inner: value} if inner else value
    (tmp_path / "seal.json").write_text(json.dumps(told))
    found = check(show, tmp_path / "seal.json")
    fault = found["statements" if name == "statements" else f"file {tmp_path / 'seal.json'}"]
    assert fault and said in fault


def test_a_statement_of_a_history_that_was_rewritten_is_not_one_of_the_entries(tmp_path: Path) -> None:
    show = tell(NIGHT)
    statements = write_statements(show, tmp_path)
    lines = write_entries(show, tmp_path)[0].read_text().splitlines()
    previous = ""
    for position in range(9, len(lines)):
        line = json.loads(lines[position])
        line |= {"reason": "another"} if position == 9 else {"previous": previous}
        previous = line["digest"] = verify_ledger.entry_digest(line)
        lines[position] = json.dumps(line)
    (tmp_path / "entries.jsonl").write_text("\n".join(lines))
    found = check(show, tmp_path / "entries.jsonl", statements)
    assert found["chain"] == ""
    assert found["statements"].endswith("statements.jsonl line 10: entry 9 of the entries is another one")
    assert "is not the one that was signed" in found["roots"]


def test_a_statement_needs_a_signature_of_a_known_key(tmp_path: Path, settings: Any) -> None:
    show = tell(NIGHT)
    statements = write_statements(show, tmp_path)
    settings.LEDGER_KEYS = [bytes(32)]
    found = check(show, statements)
    assert "its checkpoint is not signed" in found["statements"]
    assert any(name.startswith("signature of") for name in found)


# --- what was seen on air ---

SALT, VIEWERS = bytes(range(32)), ["11" * 14, "00" * 14]
PLAY = {"segment": 1, "play": "1-a-play"}
MINE: dict[str, Any] = {**PLAY, "name": "notary"}
COMMITTED = {
    **MINE,
    "count": 2,
    "commitment": canaries_commitment("gala", "notary", SALT, VIEWERS).hex(),
}
OPENED: dict[str, Any] = {
    **MINE,
    "salt": SALT.hex(),
    "canaries": describe_canaries(Canary(viewer, 7) for viewer in VIEWERS),
}


def counted(many: int, shaken: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    counts = Counts({"one": Figures(many, shaken, 1)}, Figures(1, 2, 0))
    return "counts", {**PLAY, **describe_counts(counts), **fields}


def on_air(
    *before: tuple[str, dict[str, Any]], after: tuple[tuple[str, dict[str, Any]], ...] = ()
) -> list[tuple[str, dict[str, Any]]]:
    """The night with something told before its freeze, and something after its publication."""
    fence, publish = place_of("fence"), place_of("publish") + 1
    return [*NIGHT[:fence], *before, *NIGHT[fence:publish], *after, *NIGHT[publish:]]


def test_counts_that_grow_and_canaries_that_fit_hold(tmp_path: Path) -> None:
    before = (counted(5, 80), ("canaries", COMMITTED), counted(5, 81), counted(6, 90))
    show = tell(on_air(*before, after=(("uncounted", PLAY), ("canaries opened", OPENED))))
    assert check(show, *write_entries(show, tmp_path), write_statements(show, tmp_path))["steps"] == ""


@pytest.mark.parametrize(
    ("later", "fault"),
    [
        (counted(4, 80), r"counts of 1-a-play fall from \(6, 82, 1\) to \(5, 82, 1\)"),
        (counted(5, 79), "fall"),
        (counted(5, 80, viewers=500), "do not add up"),
        (counted(5, 80, shakes=None), "do not add up"),
        (counted(5, 80, app=0), "do not add up"),
        (counted(5, 80, gateways=None), "do not add up"),
        (counted(5, 80, gateways=[7]), "do not add up"),
        (counted(5, 80, others=[7]), "do not add up"),
        (counted(5, 80, play=7), ""),  # of no play: of its segment
    ],
)
def test_counts_that_fall_or_do_not_add_up_are_told(tmp_path: Path, later: Any, fault: str) -> None:
    show = tell(on_air(counted(5, 80), later))
    said = check(show, write_statements(show, tmp_path))["steps"]
    assert re.search(fault, said) if fault else said == ""


@pytest.mark.parametrize("late", [counted(5, 80), ("canaries", COMMITTED)])
def test_what_was_seen_on_air_is_told_before_the_freeze(tmp_path: Path, late: Any) -> None:
    show = tell(on_air(after=(late,)))
    assert f"{late[0]} of segment 1 after publish" in check(show, write_statements(show, tmp_path))["steps"]


@pytest.mark.parametrize(
    "opened",
    [
        {**OPENED, "salt": SALT.hex()[2:]},
        {**OPENED, "salt": 7},
        {**OPENED, "canaries": OPENED["canaries"][1:]},
        {**OPENED, "canaries": [7]},
        {**OPENED, "canaries": None},
        {**OPENED, "canaries": [{"pseudonym": 7}]},
        {**COMMITTED, "commitment": "00" * 32},
    ],
)
def test_canaries_that_do_not_fit_their_commitment_are_told(tmp_path: Path, opened: Any) -> None:
    show = tell(on_air(("canaries", COMMITTED), after=(("canaries opened", opened),)))
    assert "are not those that were committed to" in check(show, write_statements(show, tmp_path))["steps"]


COMMIT, OPEN = ("canaries", COMMITTED), ("canaries opened", OPENED)


@pytest.mark.parametrize(
    ("story", "fault"),
    [
        (on_air(COMMIT, COMMIT), "a second canaries of canaries of notary for 1-a-play"),
        (on_air(COMMIT, after=(OPEN, OPEN)), "a second canaries opened of canaries of notary"),
        (on_air(COMMIT, OPEN), "are opened before the publication"),
        (on_air(after=(OPEN,)), "are not those that were committed to"),
    ],
)
def test_canaries_are_committed_and_opened_once_and_after_the_publication(
    tmp_path: Path, story: Any, fault: str
) -> None:
    show = tell(story)
    assert fault in check(show, *write_entries(show, tmp_path))["steps"]


def test_an_opening_alone_shows_that_it_fits_no_other_statement(tmp_path: Path) -> None:
    """Without the other entries nobody knows what was committed to, or that it was not published yet."""
    show = tell([("arm", {"segment": 1, "rules": {DRAW: "ab"}}), ("canaries opened", OPENED)])
    assert check(show, write_statements(show, tmp_path))["steps"] == ""
    assert "are not those" in check(show, *write_entries(show, tmp_path))["steps"]


def test_canaries_of_a_spoiled_segment_may_be_opened(tmp_path: Path) -> None:
    freeze = place_of("freeze") + 1
    story = [
        ("canaries", COMMITTED),
        *NIGHT[:freeze],
        ("spoil", {"segment": 1}),
        ("canaries opened", OPENED),
    ]
    show = tell(story)
    assert check(show, *write_entries(show, tmp_path))["steps"] == ""


def test_what_is_public_is_the_same_for_who_checks() -> None:
    assert verify_ledger.PUBLIC == PUBLIC_ACTIONS
