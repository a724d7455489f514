"""Evidence packs: made by the command, unpacked elsewhere, checked without the project, and tampered with."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tracemalloc
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from engagement import tally
from engagement.clock import from_ms, now_ms
from engagement.core.digests import canonical_json
from engagement.core.names import stage_name
from engagement.keys import own
from engagement.ledger.append import append_entry
from engagement.ledger.statements import WON_ELSEWHERE, is_public
from engagement.models import RollVisibility, Show
from engagement.vault import open_secret
from prizes.evidence import pack as packing
from prizes.evidence import verdicts
from prizes.evidence.archive import write_zip
from prizes.evidence.content import ACTIONS
from prizes.evidence.staging import MANIFEST, README, REPORT, SUMS, Staging
from prizes.evidence.state import State, read_state
from prizes.files import fetch, record_name, roll_name
from prizes.management.commands.evidence import Progress
from prizes.models import Disposition, Draw, Freeze
from prizes.steps import claims, freeze
from prizes.steps.dispositions import LEDGER_ACTIONS
from prizes.steps.publish import publish_segment
from prizes.steps.spoil import spoil_segment
from prizes.steps.void import void_segment
from tests.cast import OPERATOR, armed_segment, make_show
from tests.guards import tamper, without_guards
from tests.prizes import nights
from tests.prizes.pipeline import ended, run_all
from tests.prizes.published import THROWS, make_draw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def show() -> Show:
    return nights.show(slug="gala", title="Gala <b>& friends", draws_per_minute=60)


@pytest.fixture
def night(show: Show) -> Draw:
    """A published draw, whose first winner has declined, so that the reserve has moved up; another one is armed."""
    return nights.once("evidence", lambda: play_night(show))


def play_night(show: Show) -> Draw:
    draw = run_all(ended(armed_segment(show)))
    publish_segment(draw.segment_id, actor=OPERATOR)
    draw.refresh_from_db()
    claims.decline_prize(draw.pk, draw.wins.earliest("rank").pseudonym)
    armed_segment(show)
    return draw


def make(tmp_path: Path, *options: str, slug: str = "gala", name: str = "pack.zip") -> tuple[Path, str, int]:
    """The pack, what the command says, and its exit status."""
    out, status = io.StringIO(), 0
    try:
        call_command("evidence", slug, "-o", str(tmp_path / name), *options, stdout=out)
    except SystemExit as stop:
        status = int(str(stop.code))
    return tmp_path / name, out.getvalue(), status


def pack_of_the_night(tmp_path: Path, *options: str) -> Path:
    """The pack of the night as it was played, for tests that change nothing before it is made: made once."""
    content = nights.once(f"pack {options}", lambda: make(tmp_path, *options)[0].read_bytes())
    (tmp_path / "pack.zip").write_bytes(content)
    return tmp_path / "pack.zip"


def unpack(pack: Path) -> Path:
    folder = pack.with_suffix("")
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(folder)
    return folder


def run(folder: Path, command: str) -> tuple[int, str]:
    """A line of the README in an empty environment, far from the project."""
    words = command.split()
    if words[0] == "python3":
        words[:1] = [sys.executable, "-I"]
    env = {"PATH": os.defpath, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def readme_commands(folder: Path) -> list[str]:
    lines = (folder / "README.txt").read_text().splitlines()
    return [line.strip() for line in lines if re.match(r"     (python3 verify|sha256sum)", line)]


def flip(path: Path, at: int | None = None) -> None:
    """One bit of a byte, of the one in the middle unless said otherwise."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    path.write_bytes(content)


def read_json(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


# --- a pack as it should be ---


def test_the_pack_verifies_on_a_machine_without_the_project(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    commands = readme_commands(folder)
    assert [command.split()[:2] for command in commands] == [
        ["sha256sum", "-c"],
        ["python3", "verify_show.py"],
        ["python3", "verify_draw.py"],
        ["python3", "verify_ledger.py"],
    ]
    for command in commands:
        status, said = run(folder, command)
        assert status == 0, said


def test_the_files_of_a_pack(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    drawn, armed = (f"draw-{draw.pk}" for draw in Draw.objects.order_by("pk"))
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        *("README.txt", "report.html", "check-list.html", "manifest.json", "SHA256SUMS"),
        *("verify_draw.py", "verify_ledger.py", "verify_show.py"),
        *("timeline.json", "timeline.csv", "statistics.json"),
        *(
            f"ledger/{name}"
            for name in (
                "entries.jsonl",
                "checkpoints.jsonl",
                "statements.jsonl",
                "latest-checkpoint.txt",
                "keys.txt",
            )
        ),
        *(f"{drawn}/{name}" for name in ("rules.json", "precommitment.json", "roll.bin", "claims.json")),
        *(f"{drawn}/{name}" for name in ("record.json", "record-as-drawn.json")),
        *(f"{armed}/{name}" for name in ("rules.json", "precommitment.json")),
        *(f"verification/{name}.txt" for name in ("show", "ledger", drawn, f"{drawn}-on-the-server")),
    }
    assert {row["path"] for row in read_json(folder, "manifest.json")["files"]} == names - {
        "manifest.json",
        "SHA256SUMS",
    }


def test_the_records_are_those_of_the_draw_and_of_today(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    as_drawn = (folder / f"draw-{night.pk}/record-as-drawn.json").read_bytes()
    assert hashlib.sha256(as_drawn).hexdigest() == night.record_digest
    assert read_json(folder, f"draw-{night.pk}/record-as-drawn.json")["dispositions"] == []
    today = read_json(folder, f"draw-{night.pk}/record.json")["dispositions"]
    assert [row["status"] for row in today] == ["forfeited", "won"]
    assert today == read_json(folder, f"draw-{night.pk}/claims.json")["dispositions"]
    statuses = [win["status"] for win in read_json(folder, f"draw-{night.pk}/claims.json")["wins"]]
    assert sorted(statuses) == ["forfeited", "won", "won"]


def test_the_timeline_tells_every_step_in_words(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    rows = read_json(folder, "timeline.json")
    told = list(night.show.ledger.order_by("position").values_list("position", "action", "at_ms"))
    assert [(row["position"], row["action"], row["ms"]) for row in rows] == told
    assert all(row["what"].removesuffix(" (house)") == ACTIONS[row["action"]] for row in rows)
    with (folder / "timeline.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["time"] for row in table] == [row["time"] for row in rows]


def test_statistics_tell_figures_and_exact_odds(night: Draw, tmp_path: Path) -> None:
    first, second = read_json(unpack(pack_of_the_night(tmp_path)), "statistics.json")
    freeze = Freeze.objects.get()
    assert (first["viewers"], first["shakes"], first["missing_gateways"]) == (
        freeze.viewers,
        freeze.shakes,
        [],
    )
    (draw,) = first["draws"]
    odds = [(row["tickets"], row["viewers"]) for row in draw["odds"]]
    assert odds == [tuple(row) for row in night.classes]
    assert sum(Fraction(row["first"]) * row["viewers"] for row in draw["odds"]) == 1
    assert (
        sum(Fraction(row["win"][0]) * row["viewers"] for row in draw["odds"]) == 2
    )  # as many as there are prizes
    assert (second["phase"], second["viewers"], second["draws"]) == ("armed", None, [])


def test_clamped_reports_are_told_while_the_counters_live(night: Draw, tmp_path: Path) -> None:
    row = '{"shakes":5,"reports":3,"clamped":1,"viewers":2,"unsure":4}'
    tally.connect().delete(own(f"live:{night.segment.key}"))
    tally.connect().hset(own(f"live:{night.segment.key}"), "gw", row)
    live = read_json(unpack(make(tmp_path)[0]), "statistics.json")[0]["live"]
    assert live == {"clamped": 1, "reports": 3, "shakes": 5}


def test_the_same_state_gives_the_same_bytes(night: Draw, tmp_path: Path) -> None:
    first, second = (make(tmp_path, name=name)[0] for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()
    append_entry(night.show, "void", reason="one more")
    assert make(tmp_path, name="c.zip")[0].read_bytes() != first.read_bytes()


def test_every_public_entry_stands_in_the_pack_as_a_statement_that_may_be_passed_on(
    night: Draw, tmp_path: Path
) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    rows = [json.loads(line) for line in (folder / "ledger/statements.jsonl").read_text().splitlines()]
    entries = night.show.ledger.order_by("position")
    public = [entry.position for entry in entries if is_public(entry)]
    assert [row["entry"]["position"] for row in rows] == public and len(public) > 8
    assert not any("olga" in json.dumps(row) for row in rows)
    key = (folder / "ledger/keys.txt").read_text().strip()
    status, said = run(folder, f"python3 verify_ledger.py --key {key} ledger/statements.jsonl")
    assert (status, f"{len(public)} statements are signed as they are here" in said) == (0, True)


def test_a_win_that_was_lost_to_another_one_is_no_statement(show: Show, tmp_path: Path) -> None:
    for reason in (WON_ELSEWHERE, "declined"):
        append_entry(show, "forfeit", reason=reason)
    rows = (unpack(make(tmp_path)[0]) / "ledger/statements.jsonl").read_text().splitlines()
    assert [json.loads(row)["entry"]["reason"] for row in rows] == ["declined"]


def test_where_entries_were_removed_there_are_no_statements(night: Draw, tmp_path: Path) -> None:
    tamper("DELETE FROM engagement_ledgerentry WHERE action = 'drawn'")
    _, said, status = make(tmp_path)
    assert (status, "FAIL ledger/statements.jsonl is missing" in said) == (1, True)


def test_files_are_stored_as_they_are_with_the_time_of_the_last_entry(night: Draw, tmp_path: Path) -> None:
    last = from_ms(night.show.ledger.latest("position").at_ms)
    with zipfile.ZipFile(pack_of_the_night(tmp_path)) as archive:
        rows = archive.infolist()
    assert {row.compress_type for row in rows} == {zipfile.ZIP_STORED}
    assert {row.date_time[:5] for row in rows} == {(last.year, last.month, last.day, last.hour, last.minute)}
    assert [row.filename for row in rows][:3] == ["README.txt", "report.html", "SHA256SUMS"]


def test_totals_are_packed_and_checked_where_the_auditor_asks(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path, "--totals"))
    (command,) = [command for command in readme_commands(folder) if "verify_draw" in command]
    assert f"segment-{night.segment_id}/totals.bin draw-{night.pk}/excluded.txt --key " in command
    status, said = run(folder, command)
    assert (status, "tickets from shakes" in said) == (0, True)
    assert "shakes of every viewer" in (folder / "README.txt").read_text()


# --- nothing secret ---


def test_nothing_secret_is_in_a_pack(night: Draw, tmp_path: Path) -> None:
    armed = Draw.objects.exclude(pk=night.pk).get()
    content = pack_of_the_night(tmp_path, "--totals").read_bytes()
    secrets = [open_secret(night.show.k_show), open_secret(armed.house_secret), settings.LEDGER_KEYS[0]]
    for secret in secrets:
        assert secret not in content
        assert secret.hex().encode() not in content
    stored = [
        night.show.k_show,
        armed.house_secret,
        night.house_secret,
        settings.SECRET_KEY,
        *settings.STORAGE_KEYS,
    ]
    assert not any(text.encode() in content for text in stored)
    assert open_secret(night.house_secret).hex().encode() in content  # it was revealed: the seal needs it


def test_an_armed_draw_shows_commitments_only(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    armed = Draw.objects.exclude(pk=night.pk).get()
    assert sorted(path.name for path in (folder / f"draw-{armed.pk}").iterdir()) == [
        "precommitment.json",
        "rules.json",
    ]
    assert "only what was promised is here" in (folder / "report.html").read_text()


# --- the report ---


def test_the_report_escapes_what_people_have_typed(night: Draw, tmp_path: Path) -> None:
    report = (unpack(pack_of_the_night(tmp_path)) / "report.html").read_text()
    assert "Gala &lt;b&gt;&amp; friends" in report
    assert "<b>" not in report


def test_the_report_says_rehearsal_and_names_winners_digests_and_checkpoint(
    night: Draw, tmp_path: Path
) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    report = (folder / "report.html").read_text()
    assert "<strong>REHEARSAL</strong>" in report
    for win in night.wins.all():
        assert win.pseudonym in report
        assert stage_name(bytes.fromhex(win.pseudonym)) in report
    sums = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    beside = ("report.html", "README.txt", "manifest.json")
    assert all(digest in report for digest, name in sums if name not in beside)
    assert night.seal in report
    assert (folder / "ledger/latest-checkpoint.txt").read_text().splitlines()[2] in report


def test_a_draw_with_dice_is_no_rehearsal(show: Show, tmp_path: Path) -> None:
    make_draw(Draw.Step.PUBLISHED, show=show, viewers=20)
    append_entry(show, "publish")
    report = (unpack(make(tmp_path)[0]) / "report.html").read_text()
    assert "REHEARSAL" not in report
    assert "throws of a six-sided die" in report
    assert THROWS in report


def test_a_round_of_drand_that_was_exchanged_is_told_on_the_first_page(show: Show, tmp_path: Path) -> None:
    stored = make_draw(
        Draw.Step.PUBLISHED, show=show, viewers=20, beacon="drand"
    )  # with the signature of round 1000
    append_entry(show, "publish")
    pack, _, status = make(tmp_path)
    report = (unpack(pack) / "report.html").read_text()
    first_page = report.partition("<h2>")[0]
    assert (status, "NOT OK" in first_page, "beacon" in first_page) == (1, True, True)
    assert f'<td class="number">{stored.record["seal"]["round"]}</td>' in report


# --- tampering, without the project ---


def test_a_changed_byte_in_any_file_is_named_by_sha256sum(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    names = [line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert len(names) > 20
    for name in names:
        flip(folder / name)
        status, said = run(folder, "sha256sum -c SHA256SUMS")
        assert (status, said.count("FAILED"), f"{name}: FAILED" in said) == (1, 1, True), said
        flip(folder / name)
    assert run(folder, "sha256sum -c SHA256SUMS")[0] == 0


def test_a_changed_byte_in_what_is_proved_is_named_by_the_verifiers(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path, "--totals"))
    _, _, draw_command, ledger_command = readme_commands(folder)
    signed = (folder / "ledger/checkpoints.jsonl").read_bytes().index(b'"note":"') + 40
    for name, at, command in (
        (f"draw-{night.pk}/record.json", None, draw_command),
        (f"draw-{night.pk}/roll.bin", None, draw_command),
        (f"segment-{night.segment_id}/totals.bin", None, draw_command),
        ("ledger/entries.jsonl", None, ledger_command),
        ("ledger/checkpoints.jsonl", signed, ledger_command),
    ):
        flip(folder / name, at)
        status, said = run(folder, command)
        assert (status, "FAIL" in said) == (1, True), said
        flip(folder / name, at)
    assert [run(folder, command)[0] for command in (draw_command, ledger_command)] == [0, 0]


def test_a_ledger_that_was_cut_after_a_noted_checkpoint_is_named(night: Draw, tmp_path: Path) -> None:
    folder = unpack(pack_of_the_night(tmp_path))
    command = readme_commands(folder)[-1]
    lines = (folder / "ledger/entries.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "ledger/entries.jsonl").write_bytes(b"".join(lines[:-1]))
    notes = (folder / "ledger/checkpoints.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "ledger/checkpoints.jsonl").write_bytes(b"".join(notes[:-1]))
    assert run(folder, command)[0] == 0  # whole in itself: only what somebody has noted shows it
    status, said = run(folder, f"{command} ledger/latest-checkpoint.txt")
    assert (status, "the last ones were removed" in said) == (1, True)


def test_a_changed_byte_of_the_zip_itself_does_not_unpack(night: Draw, tmp_path: Path) -> None:
    pack = pack_of_the_night(tmp_path)
    flip(pack)
    with pytest.raises(zipfile.BadZipFile):
        unpack(pack)


# --- what is wrong is packed, and said ---


def test_a_missing_roll_is_named_and_the_status_is_1(night: Draw, tmp_path: Path) -> None:
    fetch(roll_name(night.key)).unlink()
    pack, said, status = make(tmp_path)
    folder, name = unpack(pack), f"draw-{night.pk}/roll.bin"
    assert (status, f"FAIL {name} is missing" in said) == (1, True)
    assert read_json(folder, "manifest.json")["missing"] == [name]
    assert f"MISSING: {name}" in (folder / "README.txt").read_text()
    assert "NOT OK" in (folder / "report.html").read_text()


def test_a_missing_record_is_named_and_the_status_is_1(night: Draw, tmp_path: Path) -> None:
    fetch(record_name(night.key)).unlink()
    pack, _, status = make(tmp_path, "--json")
    found = read_json(unpack(pack), "manifest.json")
    assert (status, found["ok"]) == (1, False)
    assert found["missing"] == [f"draw-{night.pk}/record-as-drawn.json", f"draw-{night.pk}/record.json"]


@pytest.mark.parametrize("name", [record_name, roll_name])
def test_a_changed_file_is_packed_as_it_is_and_the_status_is_1(
    night: Draw, tmp_path: Path, name: Any
) -> None:
    path = fetch(name(night.key))
    changed = path.read_bytes()[:-1] + b"!"
    path.write_bytes(changed)
    pack, said, status = make(tmp_path)
    folder = unpack(pack)
    assert (status, "NOT OK" in said) == (1, True)
    packed = "roll.bin" if name is roll_name else "record-as-drawn.json"
    assert (folder / f"draw-{night.pk}/{packed}").read_bytes() == changed
    assert "FAIL" in (folder / f"verification/draw-{night.pk}.txt").read_text()


def test_a_changed_database_is_told_by_the_server(night: Draw, tmp_path: Path) -> None:
    tamper("UPDATE prizes_draw SET seal = %s WHERE id = %s", "00" * 32, night.pk)
    pack, _, status = make(tmp_path)
    said = (unpack(pack) / f"verification/draw-{night.pk}-on-the-server.txt").read_text()
    assert (status, "FAIL seal in the ledger" in said) == (1, True)


def test_an_invented_disqualification_is_told_by_the_server(night: Draw, tmp_path: Path) -> None:
    """It follows from what was before, so the verifier of the record has nothing to say against it."""
    win = night.wins.filter(status="won").earliest("rank")
    line = {
        "pseudonym": win.pseudonym,
        "piece": win.piece_id,
        "status": "disqualified",
        "reason": "under age",
    }
    Disposition.objects.create(draw=night, at_ms=now_ms(), ledger=9_999, **line)
    with without_guards():
        night.wins.filter(pk=win.pk).update(status="disqualified")
    pack, _, status = make(tmp_path)
    folder = unpack(pack)
    said = (folder / f"verification/draw-{night.pk}-on-the-server.txt").read_text()
    assert (status, "FAIL dispositions in the ledger" in said, "FAIL disqualifications" in said) == (
        1,
        True,
        True,
    )
    assert "FAIL" not in (folder / f"verification/draw-{night.pk}.txt").read_text()
    assert compare_as_the_readme_says(folder, f"draw-{night.pk}") == {9_999}


def compare_as_the_readme_says(folder: Path, name: str) -> set[int]:
    """The positions at which the record and the ledger of a pack do not tell the same of the prizes."""
    record = read_json(folder, f"{name}/record.json")
    words = re.findall(r'"([a-z ]+)" +for (?:the status )?(\w+)', (folder / "README.txt").read_text())
    lines = map(json.loads, (folder / "ledger/entries.jsonl").read_text().splitlines())
    entries: dict[int, tuple[Any, ...]] = {
        entry["position"]: (dict(words)[entry["action"]], entry["reason"], entry["at"], entry["details"])
        for entry in lines
        if entry["action"] in dict(words) and entry["details"]["draw"] == record["rules"]["draw_id"]
    }
    for row in record["dispositions"]:
        *said, details = entries.get(row["ledger"], (None, {}))
        told = *said, details.get("pseudonym"), details.get("prize")
        if told == (row["status"], row["reason"], row["time"], row["pseudonym"], row["prize"]):
            del entries[row["ledger"]]
        else:
            entries[row["ledger"]] = (None, {})
    return set(entries)


def test_the_record_and_the_ledger_of_a_pack_tell_the_same_of_the_prizes(night: Draw, tmp_path: Path) -> None:
    claims.claim_prize(night.pk, night.wins.filter(status="won").earliest("rank").pseudonym)
    folder = unpack(make(tmp_path)[0])
    assert len(read_json(folder, f"draw-{night.pk}/record.json")["dispositions"]) == 3
    assert compare_as_the_readme_says(folder, f"draw-{night.pk}") == set()
    readme = (folder / "README.txt").read_text()
    assert all(f'"{action}"' in readme for action in LEDGER_ACTIONS.values())


def test_an_unlawful_disposition_in_the_database_is_told_by_the_verifier(night: Draw, tmp_path: Path) -> None:
    tamper("UPDATE prizes_disposition SET reason = 'whim' WHERE status = 'forfeited'")
    pack, _, status = make(tmp_path)
    said = (unpack(pack) / f"verification/draw-{night.pk}.txt").read_text()
    assert (status, "FAIL dispositions" in said) == (1, True)


def test_an_entry_that_is_no_json_any_more_is_packed_and_told(night: Draw, tmp_path: Path) -> None:
    tamper("UPDATE engagement_ledgerentry SET details = '{', at_ms = %s WHERE action = 'drawn'", 10**18)
    pack, _, status = make(tmp_path)
    folder = unpack(pack)
    assert (status, f"{10**18} ms" in (folder / "report.html").read_text()) == (1, True)
    assert "FAIL" in (folder / "verification/ledger.txt").read_text()
    assert "FAIL" in (folder / f"verification/draw-{night.pk}-on-the-server.txt").read_text()


def test_rules_that_are_no_json_any_more_are_named(night: Draw, tmp_path: Path) -> None:
    tamper("UPDATE prizes_draw SET rules = '{' WHERE id = %s", night.pk)
    with pytest.raises(
        CommandError, match="gala/seg-1/draw-1: its rules in the database are not what was written"
    ):
        make(tmp_path)


def test_a_verifier_that_does_not_end_is_not_ok(
    night: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "TIMEOUT_S", 0.001)
    _, said, status = make(tmp_path)
    assert (status, "it did not end within" in said) == (1, True)


def test_a_verifier_that_was_promised_in_another_version_is_noted(night: Draw, tmp_path: Path) -> None:
    rules = json.loads(night.rules) | {"verifier_digest": "11" * 32}
    tamper("UPDATE prizes_draw SET rules = %s WHERE id = %s", canonical_json(rules).decode(), night.pk)
    _, said, status = make(tmp_path)
    assert (status, "has promised another version of verify_draw.py" in said) == (1, True)


# --- shows without draws, and shows that are not there ---


def test_an_unknown_show_is_refused_with_those_that_are_known(show: Show, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no show 'galaxy'; there are: gala"):
        make(tmp_path, slug="galaxy")


def test_a_show_in_which_nothing_has_happened_is_refused(show: Show, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="its ledger is empty"):
        make(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_show_without_draws_is_packed_with_its_ledger(show: Show, tmp_path: Path) -> None:
    append_entry(show, "note", actor=OPERATOR, reason="=SUM(A1)")
    pack, said, status = make(tmp_path)
    folder = unpack(pack)
    assert (status, "No segment was armed" in said) == (0, True)
    assert "'=SUM(A1)" in (folder / "timeline.csv").read_text()
    assert run(folder, readme_commands(folder)[-1])[0] == 0


def test_a_sealed_draw_is_packed_with_its_roll_and_told_to_be_secret(show: Show, tmp_path: Path) -> None:
    nights.sealed(show, beacon="dice")
    pack, said, status = make(tmp_path)
    (draw,) = Draw.objects.all()
    assert (status, f"{draw} is not published" in said) == (0, True)
    names = {path.name for path in (unpack(pack) / f"draw-{draw.pk}").iterdir()}
    assert names == {"precommitment.json", "rules.json", "roll.bin"}


def test_a_segment_that_was_called_off_is_told(show: Show, tmp_path: Path) -> None:
    void_segment(armed_segment(show).pk, actor=OPERATOR, reason="rain")
    report = (unpack(make(tmp_path)[0]) / "report.html").read_text()
    assert "called off before the freeze" in report
    assert "rain" in report


def test_a_spoiled_segment_is_told_and_its_roll_is_packed(show: Show, tmp_path: Path) -> None:
    segment = ended(armed_segment(show))
    Draw.objects.update(attempts=3)
    freeze.close_tally(segment, now_ms() + 60_000)
    for number in range(segment.shards):
        freeze.freeze_shard(segment.pk, number)
    freeze.complete_freeze(segment.freeze)
    spoil_segment(segment.pk, "the round was out")
    folder = unpack(make(tmp_path)[0])
    report, draw = (folder / "report.html").read_text(), segment.draws.get()
    assert "spoiled: it got no seal in time" in report and "the round was out" in report
    assert (folder / f"draw-{draw.pk}/roll.bin").exists()


def test_rolls_for_auditors_only_are_noted(night: Draw, tmp_path: Path) -> None:
    Show.objects.filter(pk=night.show_id).update(roll_visibility=RollVisibility.AUDITOR)
    assert "The rolls of this show are for auditors only." in make(tmp_path)[1]


# --- the file ---


def test_a_pack_of_the_same_show_is_replaced(night: Draw, tmp_path: Path) -> None:
    first = make(tmp_path)[0].read_bytes()
    append_entry(night.show, "note")
    assert make(tmp_path)[0].read_bytes() != first
    assert [path.name for path in tmp_path.iterdir()] == ["pack.zip"]


@pytest.mark.parametrize("content", [b"my thesis", b""])
def test_a_file_that_is_no_pack_is_replaced_by_force_only(
    night: Draw, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "pack.zip").write_bytes(content)
    with pytest.raises(CommandError, match="--force replaces it"):
        make(tmp_path)
    assert (tmp_path / "pack.zip").read_bytes() == content
    assert make(tmp_path, "--force")[2] == 0


def test_the_pack_of_another_show_is_no_pack_of_this_one(night: Draw, tmp_path: Path) -> None:
    append_entry(make_show(slug="other"), "note")
    make(tmp_path, slug="other")
    with pytest.raises(CommandError, match="no evidence pack of gala"):
        make(tmp_path)


@pytest.mark.parametrize("name", ["", "no/such/folder/pack.zip"])
def test_a_target_that_cannot_be_written_is_refused(night: Draw, tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="expected the name of a file in a folder that is there"):
        make(tmp_path, name=name)


def test_without_a_name_the_pack_is_named_after_the_show(
    night: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call_command("evidence", "gala", stdout=io.StringIO())
    assert [path.name for path in tmp_path.iterdir()] == ["evidence-gala.zip"]


def test_nothing_is_left_of_a_pack_that_could_not_be_finished(
    night: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make(tmp_path)[0].read_bytes()

    def write_after_a_change(staging: Staging, state: State, target: Path) -> tuple[str, int]:
        (staging.folder / f"draw-{night.pk}/claims.json").write_text("{}")
        return write_zip(staging, state, target)

    monkeypatch.setattr(packing, "write_zip", write_after_a_change)
    with pytest.raises(CommandError, match="was changed while it was packed"):
        make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["pack.zip"]
    assert (tmp_path / "pack.zip").read_bytes() == before


def test_a_large_roll_is_streamed_in_bounded_memory(show: Show, tmp_path: Path) -> None:
    staging = Staging(tmp_path / "stage", lambda *_: None)
    roll = tmp_path / "roll.bin"
    with roll.open("wb") as file:
        file.truncate(200 << 20)
    tracemalloc.start()
    staging.link("roll.bin", roll, "a large roll")
    for name in (README, REPORT, SUMS, MANIFEST):
        staging.write(name, "", "")
    append_entry(show, "note")
    write_zip(staging, read_state("gala"), tmp_path / "pack.zip")
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert (tmp_path / "pack.zip").stat().st_size > 200 << 20


# --- what the command says ---


def test_the_summary_for_machines_names_what_was_made(night: Draw, tmp_path: Path) -> None:
    pack, said, status = make(tmp_path, "--json")
    summary = json.loads(said)
    assert (status, summary["ok"], summary["missing"]) == (0, True, [])
    assert summary["sha256"] == hashlib.sha256(pack.read_bytes()).hexdigest()
    assert summary["bytes"] == pack.stat().st_size
    assert {row["name"]: row["ok"] for row in summary["verdicts"]} == {
        "show": True,
        "ledger": True,
        f"draw-{night.pk}": True,
        f"draw-{night.pk}-on-the-server": True,
    }


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "said"), [(Terminal(), "\r\033[Kpacking 50 %\r\033[K"), (io.StringIO(), "packing\n")]
)
def test_progress_is_told_after_two_seconds_only(stream: io.StringIO, said: str) -> None:
    progress = Progress(stream)
    progress.tell("reading", 1, 2)
    progress.next = 0
    progress.tell("packing", 1, 2)
    progress.next = 0 if not stream.isatty() else progress.next
    progress.tell("packing", 2, 2)
    progress.end()
    assert stream.getvalue() == said
