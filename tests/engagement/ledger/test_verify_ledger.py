"""The check without the project: it agrees with us on what is whole, and finds what was tampered with by itself."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from engagement.ledger import verify_ledger
from engagement.ledger.append import append_entry
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import (
    Checkpoint,
    format_checkpoint,
    format_vkey,
    sign_note,
    verifier_key,
)
from engagement.ledger.core.merkle import grow_tree
from engagement.ledger.export import export_checkpoint, export_entry
from engagement.models import LedgerCheckpoint, LedgerEntry, Show
from tests.cast import make_show
from tests.engagement.ledger.core.test_checkpoints import NOTE, PETER, TEXT
from tests.engagement.ledger.core.test_merkle import CT, LEAVES
from tests.pythons import find_python

PROGRAM = Path(verify_ledger.__file__)


@pytest.fixture
def folder(db: None, client: Client, tmp_path: Path) -> Path:
    """What an auditor downloads of a show with seven entries, and what anybody can get."""
    show = make_show(slug="gala")
    for number in range(7):
        append_entry(show, "test", actor="olga", reason="雨 ☔", details={"number": number}, now=number)
    write_files(tmp_path, show)
    for name, query in (("proof", "proof?from=3&to=7"), ("inclusion", "inclusion?position=2&size=7")):
        (tmp_path / f"{name}.json").write_bytes(client.get(f"/api/shows/gala/ledger/{query}").content)
    return tmp_path


def write_files(folder: Path, show: Show) -> None:
    entries, rows = LedgerEntry.objects.filter(show=show), LedgerCheckpoint.objects.filter(show=show)
    (folder / "entries.jsonl").write_bytes(
        b"".join(export_entry(entry) for entry in entries.order_by("position"))
    )
    (folder / "checkpoints.jsonl").write_bytes(
        b"".join(export_checkpoint(row) for row in rows.order_by("size"))
    )
    for row in rows:
        (folder / f"{row.size}.txt").write_text(row.note)
    (folder / "key").write_text(format_vkey(keys_of(show)[0]))


def check(folder: Path, *names: str, key: str = "") -> dict[str, Any]:
    """name of the check -> "" or what failed."""
    keys = [verify_ledger.parse_key(key or (folder / "key").read_text())]
    found = verify_ledger.read_files([str(folder / name) for name in names])
    return {
        row.name.replace(f"{folder}/", ""): "" if row.ok else row.detail
        for row in verify_ledger.verify_ledger(found, keys)
    }


def edit_line(path: Path, number: int, **changes: Any) -> None:
    lines = path.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    path.write_text("\n".join(lines))


# --- as strangers run it ---


@pytest.mark.parametrize("version", ["3.8", "this one"])
def test_it_runs_alone_in_an_empty_directory(folder: Path, version: str) -> None:
    python = sys.executable if version == "this one" else find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not here")
    program = shutil.copy(PROGRAM, folder)
    command = [
        python,
        "-I",
        str(program),
        "--key",
        (folder / "key").read_text(),
        "entries.jsonl",
        "checkpoints.jsonl",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ok   signatures: 7 checkpoints, up to 7 entries",
        "ok   chain: 7 entries follow from one another",
        "ok   roots: 7 of 7 entries are signed, and unchanged",
        "ok   times: 7 entries, none before the one before it",
        "ok   steps: 7 entries: no second seal, and nothing after its end",
        "OK: all 5 checks hold",
    ]
    edit_line(folder / "entries.jsonl", 3, actor="mallory")
    done = subprocess.run([*command, "--json"], cwd=folder, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["not_checked"]) == (1, False, [])
    assert [row["name"] for row in report["checks"] if not row["ok"]] == ["chain"]


def test_without_a_key_or_files_it_says_how_it_is_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([], ["entries.jsonl"], ["--key", "x", "entries.jsonl"], ["--key", PETER[:-1], "a"]):
        with pytest.raises(SystemExit) as end:
            verify_ledger.main(arguments)
        assert end.value.code == 2
    assert "invalid parse_key value" in capsys.readouterr().err


def test_the_site_gives_the_program_and_the_page_its_digest(
    folder: Path, client: Client, admin_client: Client
) -> None:
    program = client.get("/verify_ledger.py")
    assert program.content == PROGRAM.read_bytes()
    assert hashlib.sha256(program.content).hexdigest() in admin_client.get("/console/gala/ledger/").text


def read_stream(answer: Any) -> bytes:
    async def read() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return async_to_sync(read)()


def test_the_downloads_of_the_page_are_what_it_reads(folder: Path, admin_client: Client) -> None:
    for name in ("entries.jsonl", "checkpoints.jsonl"):
        answer = admin_client.get(f"/console/gala/ledger/{name}")
        assert read_stream(answer) == (folder / name).read_bytes()
        assert answer["Content-Disposition"] == f'attachment; filename="gala-{name}"'


# --- what holds ---


def test_single_notes_in_any_order_and_with_suffered_line_ends_will_do(folder: Path) -> None:
    (folder / "5.txt").write_bytes(b"\n" + (folder / "5.txt").read_bytes().strip().replace(b"\n", b"\r\n"))
    found = check(folder, "5.txt", "entries.jsonl", "7.txt", "2.txt")
    assert found == {"signatures": "", "chain": "", "roots": "", "times": "", "steps": ""}


def test_entries_that_nobody_has_signed_are_not_ok(folder: Path) -> None:
    found = check(folder, "entries.jsonl", "2.txt", "5.txt")
    assert found["roots"].startswith("5 of 7 entries are signed, and unchanged; nobody has signed the others")


def test_anybody_can_check_two_checkpoints_with_a_proof_and_without_the_entries(folder: Path) -> None:
    found = check(folder, "7.txt", "3.txt", "proof.json", "inclusion.json")
    assert found == {"signatures": "", "consistency": "", "inclusion in inclusion.json": ""}


def test_what_was_not_checked_is_not_claimed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(folder, "3.txt") == check(folder, "3.txt", "3.txt") == {"signatures": ""}
    key = (folder / "key").read_text()
    assert verify_ledger.main(["--key", key, str(folder / "3.txt")]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "note NOT CHECKED, as the files were not given: chain, roots, consistency, times, steps",
        "OK as far as it goes: 1 checks hold, but without the entries nobody knows what else was done",
    ]
    files = [str(folder / name) for name in ("3.txt", "7.txt", "proof.json")]
    assert verify_ledger.main(["--key", key, *files, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["not_checked"] == ["chain", "roots", "times", "steps"]
    assert set(report) == {"ok", "checks", "not_checked"}
    assert all(set(row) == {"name", "ok", "detail"} for row in report["checks"])


# --- what does not ---


@pytest.mark.parametrize("field", sorted(verify_ledger.SALTED_FIELDS - {"people"}))
def test_a_change_of_any_field_of_any_entry_is_found(folder: Path, field: str) -> None:
    for number in (0, 3, 6):
        before = (folder / "entries.jsonl").read_text()
        value = json.loads(before.splitlines()[number])[field]
        other = value + 1 if isinstance(value, int) else {"number": 9} if field == "details" else "ab" * 32
        edit_line(folder / "entries.jsonl", number, **{field: other})
        found = check(folder, "entries.jsonl", "checkpoints.jsonl")
        assert found["chain"].startswith(f"entry {number}"), field
        (folder / "entries.jsonl").write_text(before)


@pytest.mark.parametrize(
    ("edit", "failing"),
    [
        (lambda lines: lines[:3] + lines[4:], {"chain", "roots"}),  # removed
        (lambda lines: lines[:4] + lines[3:], {"chain", "roots"}),  # added
        (lambda lines: [lines[1], lines[0], *lines[2:]], {"chain", "roots", "times"}),  # swapped
        (lambda lines: lines[:-1], {"roots"}),  # cut off
    ],
)
def test_removed_added_swapped_and_cut_off_entries_are_found(
    folder: Path, edit: Any, failing: set[str]
) -> None:
    path = folder / "entries.jsonl"
    path.write_text("\n".join(edit(path.read_text().splitlines())))
    found = check(folder, "entries.jsonl", "checkpoints.jsonl")
    assert {name for name, fault in found.items() if fault} == failing


def test_a_chain_that_was_written_anew_does_not_have_the_signed_roots(folder: Path) -> None:
    lines, previous = [], "0" * 64
    for line in (folder / "entries.jsonl").read_text().splitlines():
        entry = json.loads(line) | {"previous": previous}
        entry |= {"reason": "another"} if entry["position"] == 3 else {}
        previous = entry["digest"] = verify_ledger.entry_digest(entry)
        lines.append(json.dumps(entry))
    (folder / "entries.jsonl").write_text("\n".join(lines))
    found = check(folder, "entries.jsonl", "checkpoints.jsonl")
    assert found["chain"] == ""
    assert "entry 3 is not the one that was signed" in found["roots"]
    assert "one of the entries 2 to 4 is not" in check(folder, "entries.jsonl", "2.txt", "5.txt")["roots"]


def test_entries_without_a_checkpoint_and_checkpoints_of_a_stranger_prove_nothing(folder: Path) -> None:
    assert "got none" in check(folder, "entries.jsonl")["signatures"]
    found = check(
        folder, "entries.jsonl", "3.txt", key=format_vkey(verifier_key("localhost/gala", bytes(32)))
    )
    assert found["signature of 3.txt"].startswith("not signed by localhost/gala+")
    assert found["roots"]


def test_a_proof_that_is_missing_wrong_or_of_other_trees_does_not_join(folder: Path) -> None:
    assert check(folder, "3.txt", "7.txt")["consistency"].endswith(
        "expected a proof from 3 to 7 entries, got none"
    )
    proof = json.loads((folder / "proof.json").read_text())
    for path in ([], proof["proof"][1:], [*proof["proof"], "00" * 32]):
        (folder / "proof.json").write_text(json.dumps(proof | {"proof": path}))
        assert "does not hold" in check(folder, "3.txt", "7.txt", "proof.json")["consistency"]
    for change in ({"proof": ["no hex", *proof["proof"][1:]]}, {"proof": ["AB" * 32]}, {"more": 1}):
        (folder / "proof.json").write_text(json.dumps(proof | change))
        found = check(folder, "3.txt", "7.txt", "proof.json")
        assert found["consistency"].endswith("expected a proof from 3 to 7 entries, got none")
        assert "expected an entry, a checkpoint, a statement or a proof" in found["file proof.json"]


def test_two_histories_and_two_ledgers_are_told_apart(folder: Path, settings) -> None:
    seed = settings.LEDGER_KEYS[0]
    text = format_checkpoint(Checkpoint("localhost/gala", 3, bytes(32)))
    (folder / "other.txt").write_text(sign_note(text, "localhost/gala", seed))
    assert "two histories of 3 entries are signed" in check(folder, "3.txt", "other.txt")["consistency"]
    foreign = sign_note(format_checkpoint(Checkpoint("localhost/b", 4, bytes(32))), "localhost/b", seed)
    (folder / "foreign.txt").write_text(foreign)
    keys = [verify_ledger.parse_key((folder / "key").read_text()),
            verify_ledger.parse_key(format_vkey(verifier_key("localhost/b", seed)))]  # fmt: skip
    found = verify_ledger.read_files([str(folder / name) for name in ("3.txt", "foreign.txt")])
    assert "of two ledgers" in verify_ledger.verify_ledger(found, keys)[-1].detail
    found = verify_ledger.read_files([str(folder / name) for name in ("entries.jsonl", "foreign.txt")])
    roots = [row for row in verify_ledger.verify_ledger(found, keys) if row.name == "roots"]
    assert "these entries are of gala" in roots[0].detail


def test_an_inclusion_proof_needs_a_signed_tree_and_the_right_leaf(folder: Path) -> None:
    assert "no checkpoint" in check(folder, "3.txt", "inclusion.json")["inclusion in inclusion.json"]
    proof = json.loads((folder / "inclusion.json").read_text())
    changes: list[dict[str, Any]] = [
        {"leaf": "00" * 32}, {"position": 3}, {"position": 7}, {"proof": []},
        {"proof": [*proof["proof"], "00" * 32]},
    ]  # fmt: skip
    for change in changes:
        (folder / "inclusion.json").write_text(json.dumps(proof | change))
        assert check(folder, "7.txt", "inclusion.json")["inclusion in inclusion.json"].startswith("not shown")
    for change in ({"leaf": "no hex"}, {"leaf": proof["leaf"][:-2]}, {"more": 1}):
        (folder / "inclusion.json").write_text(json.dumps(proof | change))
        assert check(folder, "7.txt", "inclusion.json")["file inclusion.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"{",
        b"{}",
        b'{"note": 1}',
        b'{"proof": []}',
        b'{"proof": [1], "first": {"size": 1}, "second": {"size": 2}}',
        b'{"proof": [], "first": {"size": -1}, "second": {"size": 2}}',
        b'{"proof": [], "first": {"size": true}, "second": {"size": 2}}',
        b'{"proof": [], "leaf": "00", "position": 1}',
        b'{"note": "a", "note": "b"}',
        b'{"a": 1.5}',
        b'{"a": NaN}',
        b"{}\n[]",
        b'{"action":"\\ud800","actor":"","at":0,"details":{},"digest":"","position":0,'
        b'"previous":"","reason":"","show":""}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_file_with_something_else_in_it_is_a_failed_check(folder: Path, content: bytes) -> None:
    (folder / "x").write_bytes(content)
    found = check(folder, "x", "3.txt")
    assert [name for name, fault in found.items() if fault] in (["file x"], ["signature of x"])


def test_a_file_that_is_not_there_is_a_failed_check(folder: Path) -> None:
    assert "No such file" in check(folder, "nothing.txt", "3.txt")["file nothing.txt"]


@pytest.mark.parametrize("at", range(0, 190, 3))
def test_a_note_with_any_letter_changed_is_not_signed(folder: Path, at: int) -> None:
    note = (folder / "3.txt").read_text()
    letter = note[at % (len(note) - 1)]
    (folder / "x").write_text(note[:at] + ("b" if letter != "b" else "c") + note[at + 1 :])
    assert check(folder, "x")["signature of x"]


# --- known answers ---


def test_ed25519_accepts_the_known_signatures_and_nothing_near_them() -> None:
    with cryptography_vectors.open_vector_file("asymmetric/Ed25519/sign.input", "r") as file:
        rows = [line.split(":")[:4] for line in file][:1024:8]
    assert rows[0][1].startswith("d75a980182b10ab7")  # RFC 8032 7.1, TEST 1
    for _, public, message, signed in rows:
        key, text, signature = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signed)[:64]
        assert verify_ledger.is_signed(key, text, signature)
        assert not verify_ledger.is_signed(key, text + b"x", signature)
        assert not verify_ledger.is_signed(key, text, bytes([signature[0] ^ 1]) + signature[1:])


def test_a_key_of_small_order_is_refused_under_which_a_forger_needs_no_secret() -> None:
    """Under it an organiser could deny all that he has signed."""
    weak = bytes([1]) + bytes(31)
    assert not verify_ledger.is_signed(weak, b"anything", weak + bytes(32))


def test_ed25519_refuses_what_is_no_point_and_a_second_form_of_a_signature() -> None:
    _, _, signature = (bytes.fromhex(part) for part in (
        "", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25b"
        "f5f0595bbe24655141438e7a100b"))  # fmt: skip
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert verify_ledger.is_signed(public, b"", signature)
    more = int.from_bytes(signature[32:], "little") + verify_ledger.L  # RFC 8032 5.1.7: S is below L
    assert not verify_ledger.is_signed(public, b"", signature[:32] + more.to_bytes(32, "little"))
    assert not verify_ledger.is_signed(public, b"", signature[:63])
    y_too_large, no_root, minus_zero = (
        b"\xff" * 32,
        (2).to_bytes(32, "little"),
        (1 | 1 << 255).to_bytes(32, "little"),
    )
    for none in (y_too_large, no_root, minus_zero, public[:31]):
        assert verify_ledger.decode_point(none) is None
        assert not verify_ledger.is_signed(none, b"", signature)


def test_notes_and_keys_of_others_are_read() -> None:
    key = verify_ledger.parse_key(PETER)
    assert verify_ledger.open_note(NOTE, [key]) == TEXT
    witness = sign_note(TEXT, "witness.example", bytes(32)).rpartition("\n\n")[2]
    assert verify_ledger.open_note(NOTE + witness, [key]) == TEXT
    for wrong in (
        NOTE.replace("your", "my"),
        NOTE.replace("— ", "- "),
        NOTE[:-1],
        TEXT,
        NOTE.replace("nAM=", "nAM"),
    ):
        with pytest.raises(ValueError):
            verify_ledger.open_note(wrong, [key])


def test_its_tree_is_that_of_certificate_transparency_and_of_the_other_implementation() -> None:
    assert [root.hex() for root in verify_ledger.roots_of(LEAVES)] == CT["roots"]
    leaves = [verify_ledger.leaf_hash(bytes([number])) for number in range(40)]
    tree, roots = grow_tree(leaves), verify_ledger.roots_of(leaves)
    for second in range(41):
        for first in range(second):
            older, newer = (verify_ledger.Checkpoint("", "", size, roots[size]) for size in (first, second))
            path = tree.consistency_proof(first, second)
            assert verify_ledger.is_consistent(older, newer, path) == (
                first > 0
            )  # nothing is shown of no tree
            assert not verify_ledger.is_consistent(older, newer._replace(root=bytes(32)), path)
            assert verify_ledger.is_included(
                leaves[first], first, second, tree.inclusion_proof(first, second), roots[second]
            )
