"""The ledger: every entry is signed, and what was signed cannot be rewritten without being found out."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

import gala.settings
from engagement.ledger.append import append_entry, entry_body, entry_digest, people_in
from engagement.ledger.audit import audit_ledger
from engagement.ledger.checkpoints import keys_of, origin_of
from engagement.ledger.core.checkpoints import (
    Checkpoint,
    format_checkpoint,
    open_note,
    parse_checkpoint,
    sign_note,
)
from engagement.ledger.core.merkle import grow_tree, leaf_hash, root
from engagement.ledger.core.statements import person_digest
from engagement.ledger.export import export_entry
from engagement.ledger.tree import leaf_of, pack_nodes
from engagement.models import LedgerCheckpoint, LedgerEntry, Show
from tests.cast import make_show
from tests.guards import tamper, without_guards

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def show() -> Show:
    return with_entries(make_show(slug="gala"), 7)


def with_entries(show: Show, count: int) -> Show:
    for number in range(count):
        append_entry(show, "test", actor="olga", details={"number": number}, now=1_000 + number)
    return show


def checkpoints(show: Show) -> list[LedgerCheckpoint]:
    return list(LedgerCheckpoint.objects.filter(show=show))


def failures(show: Show) -> dict[str, str]:
    return {check.name: check.detail for check in audit_ledger(show) if not check.ok}


def rewrite_chain(show: Show, position: int, **fields: str) -> None:
    """What somebody who owns the database and knows this program can do without the key."""
    entries = list(LedgerEntry.objects.filter(show=show).order_by("position"))
    for name, value in fields.items():
        setattr(entries[position], name, value)
    tree = grow_tree(leaf_of(entry.digest) for entry in entries[:position])
    for entry in entries[position:]:
        entry.previous = entries[entry.position - 1].digest if entry.position else "0" * 64
        entry.digest = entry_digest(entry)
        entry.nodes = pack_nodes(tree.append(leaf_of(entry.digest)))
        tamper(
            "UPDATE engagement_ledgerentry SET actor = %s, previous = %s, digest = %s, nodes = %s WHERE id = %s",
            entry.actor, entry.previous, entry.digest, entry.nodes, entry.pk,
        )  # fmt: skip


def make_old(show: Show) -> None:
    """Its entries as they were written before people were salted in them, and not signed yet."""
    tamper("DELETE FROM engagement_ledgercheckpoint WHERE show_id = %s", show.pk)
    tamper("UPDATE engagement_ledgerentry SET salt = '', people = '' WHERE show_id = %s", show.pk)
    rewrite_chain(show, 0)


# --- checkpoints ---


def test_every_entry_is_signed_with_all_before_it(show: Show) -> None:
    digests = [bytes.fromhex(entry.digest) for entry in LedgerEntry.objects.order_by("position")]
    assert [row.size for row in checkpoints(show)] == [1, 2, 3, 4, 5, 6, 7]
    for row in checkpoints(show):
        signed = parse_checkpoint(open_note(row.note, keys_of(show)))
        assert signed == (
            "localhost/gala",
            row.size,
            root(leaf_hash(digest) for digest in digests[: row.size]),
        )
        assert (row.root, row.at_ms) == (signed.root.hex(), 999 + row.size)


def test_an_entry_that_is_rolled_back_leaves_no_checkpoint(show: Show) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        append_entry(show, "test")
        raise ZeroDivisionError
    assert len(checkpoints(show)) == 7
    assert failures(show) == {}


def test_two_shows_have_ledgers_of_their_own(show: Show) -> None:
    other = with_entries(make_show(slug="other"), 2)
    assert [row.size for row in checkpoints(other)] == [1, 2]
    assert open_note(checkpoints(other)[0].note, keys_of(other)).startswith("localhost/other\n1\n")
    assert failures(show) == failures(other) == {}


def test_a_ledger_that_was_rewritten_is_never_signed_again(
    show: Show, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite_chain(show, 3, actor="nobody")
    append_entry(show, "test")  # the show goes on
    assert len(checkpoints(show)) == 7
    assert "The ledger of gala is not the one that was signed at 7 entries" in caplog.text


def test_a_ledger_that_was_cut_short_is_never_signed_again(show: Show) -> None:
    tamper("DELETE FROM engagement_ledgerentry WHERE position = 6")
    append_entry(show, "another")
    assert len(checkpoints(show)) == 7
    assert "roots" in failures(show)


def test_a_new_key_signs_and_the_old_one_is_still_believed(show: Show, settings) -> None:
    settings.LEDGER_KEYS = [bytes(32), *settings.LEDGER_KEYS]
    append_entry(show, "test")
    assert failures(show) == {}
    settings.LEDGER_KEYS = settings.LEDGER_KEYS[1:]
    assert "checkpoint 8: expected a signature of localhost/gala" in failures(show)["signatures"]


def test_entries_from_before_the_first_checkpoint_are_signed_with_the_next(show: Show) -> None:
    tamper("DELETE FROM engagement_ledgercheckpoint")
    assert failures(show) == {"latest": "the latest checkpoint covers 0 of 7 entries"}
    append_entry(show, "test")
    assert failures(show) == {}


def test_checkpoints_cannot_be_changed_through_the_models(show: Show) -> None:
    row = checkpoints(show)[0]
    for change in (row.save, row.delete, LedgerCheckpoint.objects.all().delete):
        with pytest.raises(TypeError, match="append-only"):
            change()


# --- the tree that entries keep ---


@pytest.mark.sqlite
def test_old_ledgers_get_the_nodes_of_their_trees_and_go_on(show: Show) -> None:
    other = with_entries(make_show(slug="other"), 20)
    make_old(show)
    make_old(other)
    kept = list(LedgerEntry.objects.order_by("pk").values_list("pk", "nodes"))
    call_command("migrate", "engagement", "0010", verbosity=0)
    call_command("migrate", verbosity=0)
    assert list(LedgerEntry.objects.order_by("pk").values_list("pk", "nodes")) == kept
    assert sum(len(nodes) for _, nodes in kept) == 64 * (7 + 3 + 1 + 20 + 10 + 5 + 2 + 1)
    for ledger in (show, other):
        append_entry(ledger, "test")
        assert failures(ledger) == {}  # the guards are back, too


def test_an_entry_costs_the_same_however_long_the_ledger_is(show: Show) -> None:
    with CaptureQueriesContext(connection) as few:
        append_entry(show, "test")
    with_entries(show, 100)
    with CaptureQueriesContext(connection) as many:
        append_entry(show, "test")
    assert len(many) == len(few)


def test_nodes_that_were_changed_are_found_and_not_signed(show: Show) -> None:
    tamper("UPDATE engagement_ledgerentry SET nodes = %s WHERE position = 6", "00" * 32)
    assert failures(show) == {"tree": "entry 6 keeps other nodes"}
    append_entry(show, "test")
    assert len(checkpoints(show)) == 7
    assert failures(show)["latest"] == "the latest checkpoint covers 7 of 8 entries"


def test_a_ledger_that_has_lost_its_nodes_goes_on_without_checkpoints(show: Show) -> None:
    tamper("UPDATE engagement_ledgerentry SET nodes = ''")
    with_entries(show, 2)
    assert len(checkpoints(show)) == 7
    assert set(failures(show)) == {"tree", "latest"}


def test_the_last_entry_is_the_one_that_is_signed_on(show: Show) -> None:
    append_entry(show, "test")  # the eighth: no leaf is at the end of the tree
    tamper("UPDATE engagement_ledgerentry SET digest = %s WHERE position = 7", "ab" * 32)
    append_entry(show, "test")
    assert len(checkpoints(show)) == 8


# --- people in entries ---


def test_an_entry_names_people_to_auditors_only(show: Show) -> None:
    people = {"viewer": "ab" * 14, "asked": "ольга\0"}
    entry = append_entry(show, "exclude", actor="olga", details={"why": "staff"}, people=people)
    entry.refresh_from_db()
    salt, said = bytes.fromhex(entry.salt), json.loads(entry.details)
    assert said == {
        "why": "staff",
        "viewer": person_digest(salt, "ab" * 14),
        "asked": person_digest(salt, "ольга"),
    }
    assert people_in(entry) == {"viewer": "ab" * 14, "asked": "ольга"}
    assert entry_body(entry)["by"] == person_digest(salt, "olga")
    assert "actor" not in entry_body(entry)
    assert append_entry(show, "exclude", actor="olga").salt != entry.salt
    assert failures(show) == {}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("salt", ""), ("salt", "00" * 16), ("salt", "no hex"), ("actor", "mallory"),
        ("people", '{"viewer":"mallory"}'), ("people", "{"), ("people", "[]"), ("people", '{"viewer":1}'),
    ],
)  # fmt: skip
def test_who_did_it_and_who_is_named_cannot_be_exchanged(show: Show, column: str, value: str) -> None:
    append_entry(show, "exclude", actor="olga", people={"viewer": "vera"})
    tamper(f"UPDATE engagement_ledgerentry SET {column} = %s WHERE position = 7", value)
    assert failures(show) == {"chain": "entry 7 was changed: its digest is not that of what it says"}
    assert b'"position":7' in export_entry(LedgerEntry.objects.get(show=show, position=7))


def test_entries_of_the_first_version_stay_whole_and_new_ones_follow(show: Show) -> None:
    make_old(show)
    assert failures(show) == {"latest": "the latest checkpoint covers 0 of 7 entries"}
    assert entry_body(LedgerEntry.objects.get(position=3))["actor"] == "olga"
    append_entry(show, "test")
    assert failures(show) == {}
    tamper("UPDATE engagement_ledgerentry SET actor = 'mallory' WHERE position = 3")
    assert "entry 3 was changed" in failures(show)["chain"]


# --- what is found ---


def test_a_whole_ledger_passes_every_check(show: Show) -> None:
    checks = audit_ledger(show)
    assert [check.name for check in checks] == [
        "guards",
        "chain",
        "tree",
        "signatures",
        "roots",
        "consistency",
        "latest",
    ]
    assert all(check.ok for check in checks)
    assert failures(make_show(slug="empty")) == {}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE engagement_ledgerentry SET actor = 'x' WHERE position = 3",
         {"chain": "entry 3 was changed: its digest is not that of what it says"}),
        ("DELETE FROM engagement_ledgerentry WHERE position = 3",
         {"chain": "entry 3 is missing", "roots": "entry 3 is not the one", "latest": "covers 7 of 6"}),
        ("DELETE FROM engagement_ledgerentry WHERE position = 6",
         {"roots": "signed were 7 entries, there are 6: the last ones were removed", "latest": "7 of 6",
          "consistency": "checkpoint 7 does not continue checkpoint 6"}),
        ("UPDATE engagement_ledgerentry SET digest = 'no hex' WHERE position = 3",
         {"chain": "entry 3 was changed", "roots": "entry 3 is not the one that was signed"}),
        ("DELETE FROM engagement_ledgercheckpoint WHERE size = 7", {"latest": "covers 6 of 7 entries"}),
        ("UPDATE engagement_ledgercheckpoint SET note = 'x' WHERE size = 4",
         {"signatures": "checkpoint 4: expected text, an empty line and signatures"}),
        ("UPDATE engagement_ledgercheckpoint SET root = 'no hex' WHERE size = 4",
         {"signatures": "checkpoint 4: its note is that of", "roots": "entry 3 is not the one",
          "consistency": "checkpoint 4 does not continue checkpoint 3"}),
    ],
)  # fmt: skip
def test_what_was_changed_removed_or_cut_off_is_named(show: Show, damage: str, said: dict[str, str]) -> None:
    tamper(damage)
    found = failures(show)
    for name, detail in said.items():
        assert detail in found[name]
    assert set(found) >= set(said)
    assert "guards" not in found


def test_a_chain_that_was_written_anew_is_whole_but_not_the_one_that_was_signed(show: Show) -> None:
    rewrite_chain(show, 3, actor="nobody")
    found = failures(show)
    assert "chain" not in found
    assert found["roots"].startswith("entry 3 is not the one that was signed: it was rewritten")
    assert found["consistency"] == "checkpoint 4 does not continue checkpoint 3"


def test_an_entry_that_was_added_in_the_middle_is_named(show: Show) -> None:
    third = LedgerEntry.objects.get(show=show, position=3)
    for position in (6, 5, 4, 3):
        tamper("UPDATE engagement_ledgerentry SET position = %s WHERE position = %s", position + 1, position)
    third.pk, third.actor = None, "nobody"
    LedgerEntry._base_manager.bulk_create([third])
    assert failures(show)["chain"].startswith("entry 3 was changed")
    assert (
        failures(show)["roots"].startswith("signed were")
        or "entry 4 is not the one" in failures(show)["roots"]
    )


def test_a_checkpoint_of_another_show_is_not_taken_for_one_of_this(show: Show) -> None:
    other = with_entries(make_show(slug="other"), 3)
    tamper(
        "UPDATE engagement_ledgercheckpoint SET note = %s WHERE show_id = %s AND size = 3",
        checkpoints(other)[2].note, show.pk,
    )  # fmt: skip
    assert "checkpoint 3: expected a signature of localhost/gala" in failures(show)["signatures"]


def test_guards_that_somebody_has_lifted_are_missed(show: Show) -> None:
    with without_guards():
        assert "update of engagement_ledgerentry" in failures(show)["guards"]


# --- the command ---


def verify(*arguments: str) -> tuple[int, dict]:
    """The exit status and the report of `manage.py verify_ledger`."""
    written, status = StringIO(), 0
    try:
        call_command("verify_ledger", *arguments, "--json", stdout=written)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, json.loads(written.getvalue())


def kept(folder: Path, text: str, name: str = "noted.txt") -> str:
    path = folder / name
    path.write_bytes(text.encode())
    return f"--checkpoint={path}"


def test_the_command_checks_one_show_or_all_and_says_so_in_its_status(show: Show, capsys) -> None:
    make_show(slug="other")
    assert verify()[0] == 0
    assert {row["show"] for row in verify()[1]["checks"]} == {"gala", "other"}
    assert {row["show"] for row in verify("gala")[1]["checks"]} == {"gala"}
    tamper("UPDATE engagement_ledgerentry SET actor = 'x' WHERE position = 3")
    status, report = verify("gala")
    assert (status, report["ok"]) == (1, False)
    with pytest.raises(SystemExit) as end:
        call_command("verify_ledger")
    assert end.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert "FAIL gala chain: entry 3 was changed: its digest is not that of what it says" in lines
    assert (lines[0], lines[-1]) == ("ok   gala guards: the database refuses changes", "NOT OK")


def test_a_checkpoint_that_was_kept_elsewhere_is_compared(show: Show, tmp_path: Path) -> None:
    note = checkpoints(show)[4].note
    with_entries(show, 3)
    for text in (note, note.strip(), "\n\n" + note.replace("\n", "\r\n") + "\n"):
        status, report = verify("gala", kept(tmp_path, text))
        assert status == 0
        assert report["checks"][-1]["detail"] == "the 5 entries that it signed are still there"


def test_a_kept_checkpoint_tells_on_somebody_who_has_the_key_and_the_database(
    show: Show, tmp_path: Path
) -> None:
    kept_notes = [kept(tmp_path, checkpoints(show)[size - 1].note, f"{size}.txt") for size in (5, 2)]
    tamper("DELETE FROM engagement_ledgercheckpoint")
    rewrite_chain(show, 3, actor="nobody")
    append_entry(show, "test")
    assert failures(show) == {}
    status, report = verify("gala", *kept_notes)
    assert status == 1
    assert [row["ok"] for row in report["checks"][-2:]] == [True, False]
    assert report["checks"][-1]["detail"].startswith(
        "one of the entries 2 to 4 is not the one that was signed"
    )


def test_a_kept_checkpoint_tells_that_the_end_was_cut_off(show: Show, tmp_path: Path) -> None:
    note = kept(tmp_path, checkpoints(show)[6].note)
    tamper("DELETE FROM engagement_ledgerentry WHERE position >= 5")
    tamper("DELETE FROM engagement_ledgercheckpoint WHERE size > 5")
    assert failures(show) == {}
    status, report = verify("gala", note)
    assert status == 1
    assert "signed were 7 entries, there are 5" in report["checks"][-1]["detail"]


def test_a_kept_file_that_is_no_checkpoint_of_ours_fails(show: Show, tmp_path: Path, settings) -> None:
    mine = origin_of(show)
    text = format_checkpoint(Checkpoint("elsewhere/gala", 1, bytes(32)))
    forged = sign_note(text, mine, b"\1" * 32)
    swapped = sign_note(text, mine, settings.LEDGER_KEYS[0])
    for content, said in ((forged, "expected a signature of localhost/gala"), ("hello", "expected text"),
                          (swapped, "expected the ledger localhost/gala, got elsewhere/gala")):  # fmt: skip
        status, report = verify("gala", kept(tmp_path, content))
        assert status == 1
        assert said in report["checks"][-1]["detail"]


def test_without_a_name_a_kept_checkpoint_finds_its_show(show: Show, tmp_path: Path) -> None:
    other = with_entries(make_show(slug="other"), 2)
    notes = [kept(tmp_path, checkpoints(row)[1].note, f"{row.slug}.txt") for row in (show, other)]
    status, report = verify(*notes)
    assert status == 0
    files = {(row["show"], row["name"]) for row in report["checks"] if row["name"].startswith("file")}
    assert files == {("gala", "file gala.txt"), ("other", "file other.txt")}
    status, report = verify(kept(tmp_path, "somebody.example/gala\n1\n", "foreign.txt"))
    assert status == 1
    assert (
        report["checks"][-1]["detail"]
        == "expected a checkpoint of a show of ours, got 'somebody.example/gala'"
    )


def test_a_show_or_a_file_that_is_not_there_is_said(show: Show, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no show 'nowhere'; there are: gala"):
        call_command("verify_ledger", "nowhere")
    with pytest.raises(CommandError, match=r"nothing\.txt"):
        call_command("verify_ledger", "gala", f"--checkpoint={tmp_path / 'nothing.txt'}")


# --- the page that explains it ---


def test_every_check_and_every_code_is_explained() -> None:
    page = (ROOT / "docs/ledger.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| .* \| .* \|$", page, re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    sources = [(ROOT / f"engagement/ledger/{name}.py").read_text() for name in ("audit", "verify_ledger")]
    checks = {name.strip() for text in sources for name in re.findall(r'[Cc]heck\(\s*"([^"]+)"', text)}
    assert explained == checks | {"file"}
    told = set(re.findall(r"^\| \d+ \| `(\w+)` \|", page, re.MULTILINE))
    doors = [(ROOT / f"engagement/ledger/{name}.py").read_text() for name in ("api", "statements")]
    assert told == {code for text in doors for code in re.findall(r'Refused\(\s*\d+, "(\w+)"', text)}


# --- keys, and what else could undo a ledger ---


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LEDGER_KEYS", "short", "LEDGER_KEYS: expected 32 random bytes in base64"),
        ("LEDGER_KEYS", "c2hvcnQ=", "LEDGER_KEYS: expected 32 random bytes in base64"),
        ("LEDGER_KEYS", "A" * 43 + "=", "LEDGER_KEYS: expected 32 random bytes in base64"),
        ("LEDGER_NAME", "two words", "LEDGER_NAME: expected an address without https://, got 'two words'"),
        ("LEDGER_NAME", "a+b", "LEDGER_NAME: expected an address"),
    ],
)
def test_a_bad_key_or_name_stops_the_start(name: str, value: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import gala.settings"],
        cwd=ROOT,
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert said in done.stderr


def test_keys_are_taken_from_the_environment_and_else_made_from_the_secret(monkeypatch) -> None:
    seeds = gala.settings.seeds
    keys = [hashlib.sha256(bytes([number])).digest() for number in range(2)]
    monkeypatch.setenv("LEDGER_KEYS", ",".join(base64.b64encode(key).decode() for key in keys))
    assert seeds("LEDGER_KEYS", ["x"]) == keys
    monkeypatch.delenv("LEDGER_KEYS")
    assert seeds("LEDGER_KEYS", ["x"]) == seeds("LEDGER_KEYS", ["x"]) != seeds("LEDGER_KEYS", ["y"])
    assert seeds("LEDGER_KEYS", ["y", "x"])[1:] == seeds("LEDGER_KEYS", ["x"])


def test_a_show_with_a_ledger_cannot_be_deleted_in_the_administration(
    show: Show, admin_client: Client
) -> None:
    answer = admin_client.post(f"/admin/engagement/show/{show.pk}/delete/", {"post": "yes"})
    assert answer.status_code in (200, 403)
    assert Show.objects.filter(pk=show.pk).exists()
    assert failures(show) == {}


@pytest.mark.parametrize("model", ["ledgerentry", "ledgercheckpoint"])
def test_the_administration_shows_the_ledger_and_changes_nothing(
    show: Show, admin_client: Client, model: str
) -> None:
    base = f"/admin/engagement/{model}/"
    row = admin_client.get(base).context["cl"].result_list[0]
    assert admin_client.get(f"{base}{row.pk}/change/").status_code == 200
    for path in ("add/", f"{row.pk}/change/", f"{row.pk}/delete/"):
        assert admin_client.post(base + path, {"post": "yes"}).status_code == 403
    assert failures(show) == {}
