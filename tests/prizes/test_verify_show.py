"""One command over the whole pack of a night: it holds, and whatever somebody does to the files is told by its name."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engagement.core.digests import canonical_json
from engagement.ledger.core.checkpoints import format_vkey, verifier_key
from engagement.models import Show
from prizes.core.record import record_digest
from prizes.models import Draw
from prizes.software import SHOW_VERIFIER
from tests.clock import clock as clock
from tests.prizes import shows
from tests.prizes.shows import AGAIN, FIRST, SPOILED, VOID, Look, detail, failed, key_of, make_pack
from tests.prizes.shows import folder as folder
from tests.prizes.shows import look as look
from tests.prizes.shows import night as night
from tests.prizes.shows import program as program
from tests.prizes.test_verifier_pythons import other_python, run
from tests.pythons import VERSIONS
from tests.test_docs import named, tables

pytestmark = pytest.mark.django_db(transaction=True)


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def home(draw: str) -> str:
    return f"draw-{Draw.objects.get(draw_id=draw).pk}"


def remove_lines(path: Path, words: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    assert any(words in line for line in lines)
    path.write_text("".join(line for line in lines if words not in line))


# --- a night as it should be ---


def test_the_pack_of_a_night_holds_as_a_zip_and_unpacked(night: Show, folder: Path, look: Look) -> None:
    reports = [look(path) for path in (folder, folder.with_suffix(".zip"))]
    assert reports[0] == reports[1]
    assert failed(reports[0]) == set(), reports[0].checks
    assert [(draw.name, draw.state) for draw in reports[0].draws] == [
        (FIRST, "published"), (SPOILED, "spoiled"), (AGAIN, "published"), (VOID, "void"),
    ]  # fmt: skip
    assert detail(reports[0], "called off").endswith(
        f"{SPOILED} spoiled: the round was out; {VOID} void: rain"
    )
    assert detail(reports[0], "repeats") == "1 draws repeat one that was spoiled, each by two people"
    assert [draw.rests_on for draw in reports[0].draws if draw.checks] == [
        ["arithmetic", "signature", "log"]
    ] * 2


def test_the_command_says_it_line_by_line_and_for_programs(night: Show, folder: Path, tmp_path: Path) -> None:
    programs = shows.lay_out(tmp_path / "programs")
    command = [sys.executable, "-I", str(programs / "verify_show.py"), str(folder)]
    keys = ["--key", key_of(night)]
    done = subprocess.run([*command, *keys], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    *lines, note, verdict = done.stdout.splitlines()
    assert all(line.startswith("ok   ") for line in lines) and f"ok   {VOID}: void: no record" in lines
    missing = "checkpoints, witnesses, time stampers, stubs, totals, random numbers, pages"
    assert note == f"note NOT CHECKED: {missing}"
    said = "They rest on arithmetic, signature, log. REHEARSAL: the random number is the server's word alone"
    assert verdict.endswith(f"4 draws, 2 of them drawn. {said}")
    assert [line for line in lines if line.startswith(f"ok   {FIRST}: ") and "log. REHEARSAL: " in line]
    found = json.loads(
        subprocess.run([*command, *keys, "--json"], capture_output=True, text=True, check=False).stdout
    )
    assert list(found) == ["ok", "rests_on", "checks", "not_checked", "draws"]
    assert (found["ok"], found["rests_on"]) == (True, ["arithmetic", "signature", "log"])
    assert list(found["draws"][0]) == ["draw_id", "folder", "state", "rests_on", "checks"]
    assert [set(row) for row in found["checks"]] == [{"name", "ok", "detail"}] * len(found["checks"])
    assert sorted(path.name for path in programs.iterdir()) == sorted(path.name for path in shows.PROGRAMS)
    for words, status, said in (
        ([], 0, "OK, ARITHMETIC ONLY"),
        (["--key", "nonsense"], 2, "argument --key"),
        (["--witness", key_of(night)], 2, "argument --witness"),
    ):
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        assert (done.returncode, said in done.stdout + done.stderr) == (status, True)
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pack_is_checked_alike_by_every_python(
    night: Show, folder: Path, tmp_path: Path, version: str
) -> None:
    python, home = other_python(version), shows.lay_out(tmp_path / "programs")
    (home / "odd.zip").write_bytes(folder.with_suffix(".zip").read_bytes()[:-1])
    key = ["--key", shows.key_of(night)]
    for words, status in (
        ([str(folder.with_suffix(".zip")), *key, "--json"], 0),
        ([str(folder), *key], 0),
        ([str(folder)], 0),
        (["odd.zip"], 1),
    ):
        here = run(sys.executable, home, "verify_show.py", *words)
        assert here[::2] == (status, "")
        assert run(python, home, "verify_show.py", *words) == here


def test_the_page_tells_of_every_check(folder: Path, look: Look, program: Any) -> None:
    rows = tables("docs/evidence.md", "check of a pack", "it holds when", "when it fails")
    assert [name for row in rows for name in named(row[0])] == list(program.NAMES)
    rows = tables("docs/evidence.md", "not checked", "what it would need")
    assert {name for row in rows for name in named(row[0])} == {*program.NOT_CHECKED, "promised verifier of"}
    report = look(folder)
    assert {check.name for check in report.checks} - {FIRST, SPOILED, AGAIN, VOID} <= set(program.NAMES)
    assert set(report.not_checked) <= set(program.NOT_CHECKED)


def test_without_its_neighbours_it_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    shutil.copy(SHOW_VERIFIER, tmp_path)
    command = [sys.executable, "-I", "verify_show.py", "pack.zip"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "have to stand beside it" in done.stderr and "Traceback" not in done.stderr


def test_the_server_says_what_the_receiver_will_see(night: Show, folder: Path, tmp_path: Path) -> None:
    said = (folder / "verification/show.txt").read_text()
    command = said.splitlines()[0].removeprefix("$ ")
    assert command.startswith("python3 verify_show.py . --key ")
    words = [sys.executable, "-I", *command.split()[1:]]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, f"$ {command}\n{done.stdout}") == (0, said)


def test_with_the_totals_the_roll_follows_from_the_shakes(night: Show, look: Look, tmp_path: Path) -> None:
    report = look(make_pack(tmp_path / "totals.zip", "--totals"))
    assert failed(report) == set() and "totals" not in report.not_checked
    checks = {check.name for check in report.draws[0].checks}
    assert {"tickets from shakes", "exclusions", "totals digest"} <= checks
    folder = shows.unpack(tmp_path / "totals.zip", tmp_path / "totals")
    (folder / home(FIRST) / "excluded.txt").write_text("ab" * 14 + "\n")
    assert failed(look(shows.list_again(folder))) == {"exclusions"}


def test_without_a_key_it_is_nobodys_pack(folder: Path, look: Look, program: Any) -> None:
    report = look(folder, keys=[])
    assert failed(report) == set() and report.not_checked[0] == "key"
    assert program.rests_on(report) == ["arithmetic"]


def test_another_key_has_signed_nothing_of_it(folder: Path, night: Show, look: Look) -> None:
    report = look(folder, keys=[format_vkey(verifier_key("localhost/gala", bytes(32)))])
    assert {"ledger signatures", "ledger roots"} & failed(report) or any(
        "signature" in name for name in failed(report)
    )
    assert not report.ok


def kept_key() -> str:
    from engagement.ledger.core.checkpoints import format_vkey, verifier_key

    return format_vkey(verifier_key("localhost/gala", bytes(32)))


# --- what was taken out, or put in, by somebody who has the files ---


def test_a_changed_file_is_not_the_one_of_the_list(folder: Path, look: Look) -> None:
    path = folder / "report.html"
    path.write_bytes(path.read_bytes() + b" ")
    assert failed(look(folder)) == {"sums"}


@pytest.mark.parametrize("name", ["README.txt", "timeline.csv"])
def test_a_file_that_is_missing_is_missed(folder: Path, look: Look, name: str) -> None:
    (folder / name).unlink()
    assert f"not there: {name}" in detail(look(folder), "sums")


def test_a_record_that_was_dropped_is_missed(folder: Path, look: Look) -> None:
    for name in ("record.json", "record-as-drawn.json", "claims.json"):
        (folder / home(AGAIN) / name).unlink()
    report = look(shows.list_again(folder))
    assert failed(report) == {"records"}
    assert f"the record of {AGAIN}, which was drawn, but it is not there" in detail(report, "records")


@pytest.mark.parametrize("draw", [SPOILED, VOID])
def test_a_draw_that_ended_and_is_hidden_is_missed(folder: Path, look: Look, draw: str) -> None:
    shutil.rmtree(folder / home(draw))
    report = look(shows.list_again(folder))
    assert "draws" in failed(report) and f"not there: {draw}" in detail(report, "draws")


def test_a_void_that_was_struck_out_of_the_statements_is_missed(folder: Path, look: Look) -> None:
    remove_lines(folder / "ledger/statements.jsonl", '"action":"void"')
    report = look(shows.list_again(folder))
    assert failed(report) == {"ledger complete"}
    assert "not told: void in entry" in detail(report, "ledger complete")


def test_a_void_that_was_struck_out_of_all_the_ledger_is_missed(folder: Path, look: Look) -> None:
    remove_lines(folder / "ledger/statements.jsonl", '"action":"void"')
    remove_lines(folder / "ledger/entries.jsonl", '"action":"void"')
    report = look(shows.list_again(folder))
    assert {"ledger roots"} <= failed(report)
    assert "the last ones were removed" in detail(report, "ledger roots")


def test_a_disposition_that_was_changed_is_told(folder: Path, look: Look) -> None:
    path = folder / home(FIRST) / "record.json"
    record = json.loads(path.read_text())
    record["dispositions"][0]["reason"] = "deadline passed"
    path.write_bytes(canonical_json({**record, "digest": record_digest(record).hex()}))
    report = look(shows.list_again(folder))
    assert {f"{FIRST} signature", f"{FIRST} dispositions in the ledger"} <= failed(report)


def test_a_winner_who_was_struck_out_of_a_record_is_missed(folder: Path, look: Look) -> None:
    """Attack 1: and nobody is framed by it."""
    path = folder / home(AGAIN) / "record.json"
    record = json.loads(path.read_text())
    record["ranked"].pop(0)
    path.write_bytes(canonical_json({**record, "digest": record_digest(record).hex()}))
    report = look(shows.list_again(folder))
    assert "records" in failed(report) and "what came later only" in detail(report, "records")


def test_a_roll_that_was_exchanged_is_told(folder: Path, look: Look) -> None:
    for draw in (SPOILED, AGAIN):
        path = folder / home(draw) / "roll.bin"
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        assert f"roll of {draw}, as it was frozen" in detail(look(shows.list_again(folder)), "rolls")
        path.write_bytes(before)
    (folder / home(SPOILED) / "roll.bin").unlink()
    assert f"the roll of {SPOILED}, which was frozen" in detail(look(shows.list_again(folder)), "rolls")


def test_a_draw_that_nobody_has_armed_is_told(folder: Path, look: Look) -> None:
    """Attack 3: whatever is in it, the ledger knows nothing of it."""
    shutil.copytree(folder / home(AGAIN), folder / "draw-99")
    rules = read(folder, "draw-99/rules.json") | {"draw_id": "gala/seg-9/draw-1"}
    (folder / "draw-99/rules.json").write_bytes(canonical_json(rules))
    report = look(shows.list_again(folder))
    assert "knows nothing of gala/seg-9/draw-1" in detail(report, "draws")
    (folder / "draw-99/rules.json").unlink()
    assert "rules in every folder" in detail(look(shows.list_again(folder)), "draws")
    shutil.copy(folder / home(AGAIN) / "rules.json", folder / "draw-99")
    assert f"one folder of {AGAIN}, got two" in detail(look(shows.list_again(folder)), "draws")


def test_other_rules_than_those_that_were_armed_are_told(folder: Path, look: Look) -> None:
    path = folder / home(VOID) / "rules.json"
    path.write_bytes(canonical_json(json.loads(path.read_text()) | {"eligibility": "friends"}))
    assert f"rules of {VOID}, as they were armed" in detail(look(shows.list_again(folder)), "draws")


def test_a_promise_that_says_something_else_is_told(folder: Path, look: Look) -> None:
    path = folder / home(VOID) / "precommitment.json"
    for field, value in (("ledger", 0), ("rules", {}), ("time", 1), ("commitments", {}), ("more", 1)):
        before = path.read_bytes()
        path.write_bytes(canonical_json(json.loads(before) | {field: value}))
        assert VOID in detail(look(shows.list_again(folder)), "draws")
        path.write_bytes(before)
