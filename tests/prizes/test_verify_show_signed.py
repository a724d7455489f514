"""The pack of an organiser who does what he likes and signs all of it: what is put together shows it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engagement.core.digests import canonical_json
from engagement.ledger.append import append_entry
from engagement.models import Segment, Show
from prizes.core.receipt import build_precommitment
from prizes.exclusions import EXCLUDE, WHO, exclude_viewer
from prizes.models import Draw, Exclusion, Prize
from prizes.steps import arm as arming
from prizes.steps import draw as drawing
from prizes.steps.void import void_segment
from tests.cast import OPERATOR, make_segment
from tests.clock import Clock
from tests.clock import clock as clock
from tests.guards import tamper
from tests.prizes import shows
from tests.prizes.pipeline import VIEWERS, ended, run_all
from tests.prizes.shows import FIRST, SPOILED, VOID, Look, PackNow, detail, failed
from tests.prizes.shows import folder as folder
from tests.prizes.shows import look as look
from tests.prizes.shows import night as night
from tests.prizes.shows import pack_now as pack_now
from tests.prizes.shows import program as program
from tests.prizes.test_rewritten_ledger import rewrite_and_sign

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_history_that_was_written_anew_is_shown_by_a_kept_checkpoint(
    night: Show, folder: Path, look: Look, pack_now: PackNow, tmp_path: Path
) -> None:
    """Attack 4."""
    noted = tmp_path / "noted.txt"
    shutil.copy(folder / "ledger/latest-checkpoint.txt", noted)
    report = look(folder, checkpoints=[str(noted)])
    assert failed(report) == set() and "checkpoints" not in report.not_checked
    rewrite_and_sign(night, 1)
    report = look(pack_now(), checkpoints=[str(noted)])
    assert failed(report) == {"checkpoint noted.txt"}
    assert "was rewritten" in detail(report, "checkpoint noted.txt")
    noted.write_text("no checkpoint")
    assert failed(look(folder, checkpoints=[str(noted)])) == {"checkpoint noted.txt"}


def test_a_void_that_was_cut_off_with_its_checkpoints_is_shown_by_a_kept_one(
    night: Show, folder: Path, look: Look, tmp_path: Path
) -> None:
    noted = tmp_path / "noted.txt"
    shutil.copy(folder / "ledger/latest-checkpoint.txt", noted)
    gone = Draw.objects.get(draw_id=VOID).committed_ledger
    for name in ("entries", "checkpoints"):
        path = folder / f"ledger/{name}.jsonl"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:gone]))
    shutil.rmtree(folder / f"draw-{Draw.objects.get(draw_id=VOID).pk}")
    for name in ("statements.jsonl", "latest-checkpoint.txt"):
        (folder / "ledger" / name).write_text("")
    last = json.loads((folder / "ledger/checkpoints.jsonl").read_text().splitlines()[-1])["note"]
    (folder / "ledger/latest-checkpoint.txt").write_text(last)
    report = look(shows.list_again(folder), checkpoints=[str(noted)])
    assert "the last ones were removed" in detail(report, "checkpoint noted.txt")


def test_a_second_seal_is_told(night: Show, look: Look, pack_now: PackNow) -> None:
    """Attack 14."""
    segment = Segment.objects.get(draws__draw_id=FIRST)
    append_entry(night, "seal", details={"draw": FIRST, "seal": "00" * 32, "segment": segment.pk})
    report = look(pack_now())
    assert "ledger steps" in failed(report) and f"a second seal of {FIRST}" in detail(report, "ledger steps")


def test_times_that_run_back_are_told(night: Show, look: Look, pack_now: PackNow) -> None:
    """Attack 14."""
    tamper("UPDATE engagement_ledgerentry SET at_ms = at_ms - 1 WHERE action = 'void'")
    rewrite_and_sign(night, 1)
    tamper("UPDATE engagement_ledgerentry SET at_ms = 1 WHERE action = 'void'")
    rewrite_and_sign(night, 1)
    assert "ledger times" in failed(look(pack_now()))


def test_a_segment_that_was_called_off_after_its_freeze_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow
) -> None:
    """Attack 6: a worker is held until the outcome can be computed, and then the segment is called off."""
    segment = shows.freeze_all(shows.arm(clock, shows.draft(night)))
    append_entry(night, "void", reason="it does not suit", details={"segment": segment.pk, "phase": "void"})
    tamper("UPDATE engagement_segment SET phase = 'void' WHERE id = %s", segment.pk)
    report = look(pack_now())
    assert failed(report) == {"called off"}
    assert "until its freeze only" in detail(report, "called off")


def test_a_draw_that_was_sealed_and_then_spoiled_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow
) -> None:
    """Attack 6: its seal names no segment, so that the end of the segment seems to come before it."""
    segment = shows.freeze_all(shows.arm(clock, shows.draft(night)))
    draw = segment.draws.get()
    append_entry(night, "seal", details={"draw": draw.draw_id, "seal": "00" * 32})
    append_entry(night, "spoil", reason="the round was out", details={"segment": segment.pk})
    report = look(pack_now())
    assert "ledger steps" in failed(report)
    assert f"spoil of segment {segment.pk} after seal" in detail(report, "ledger steps")


def test_one_account_under_two_names_is_not_two_people(program: Any) -> None:
    case = program.Show({}, program.Asked())
    who = {"draw": FIRST, "pseudonym": "00" * 14}

    def row(position: int, action: str, actor: str) -> Any:
        return program.Row(position, 0, action, "false identity", who, actor, {})

    case.rows = [row(1, "ask disqualification", "olga (cli:host)")]
    program.check_two_people(case, row(2, "disqualify", "olga (cli:host) and otto (cli:other)"))
    for both in ("olga (cli:host) and otto (cli:host)", "olga (cli:host) and olga (cli:host)", "otto"):
        with pytest.raises(program.D.Wrong, match="two people"):
            program.check_two_people(case, row(2, "disqualify", both))


def test_a_frozen_draw_that_is_never_sealed_nor_ended_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow
) -> None:
    """Attack 6: with its outcome known it is left alone, without a word of its end."""
    shows.freeze_all(shows.arm(clock, shows.draft(night)))
    assert failed(look(pack_now())) == set()
    clock.move(2 * 86_400_000)
    append_entry(night, "note")
    report = look(pack_now())
    assert failed(report) == {"published in time"} and "it was frozen at 2026-" in detail(
        report, "published in time"
    )


def test_a_draw_by_the_first_version_after_one_by_the_second_is_told(
    night: Show, look: Look, pack_now: PackNow, program: Any, tmp_path: Path
) -> None:
    """The first version asks for less: by it a draw may be called off after its freeze."""
    rules = Draw.objects.get(draw_id=FIRST).promised
    old = {name: value for name, value in rules.items() if name in program.D.RULES_V1}
    old |= {"draw_id": "gala/seg-9/draw-1", "beacon": {**rules["beacon"]}}
    del old["beacon"]["throws"]
    digest = program.D.tagged("shake-draw/v1/rules", canonical_json(old)).hex()
    entry = append_entry(
        night, "arm", details={"segment": 99, "play": "gala/99", "rules": {old["draw_id"]: digest}}
    )
    folder = shows.unpack(pack_now(), tmp_path / "old")
    (folder / "draw-99").mkdir()
    (folder / "draw-99/rules.json").write_bytes(canonical_json(old))
    promise = build_precommitment(old, entry.at_ms, entry.position) | {
        "$format": "shake-draw/v1/precommitment", "rules_digest": digest,
    }  # fmt: skip
    (folder / "draw-99/precommitment.json").write_bytes(canonical_json(promise))
    report = look(shows.list_again(folder))
    assert failed(report) == {"draws"}
    assert "to be armed by shake-draw/v2, as the draw before it" in detail(report, "draws")


def same_garments(night: Show) -> Segment:
    """As those of the segment that was spoiled."""
    segment = make_segment(night)
    Prize.objects.filter(prize_list__segment=segment).update(garment="Coat 2")
    return segment


def test_prizes_of_a_spoiled_draw_that_are_drawn_again_without_naming_it_are_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack 6: by a server that lets it happen."""
    monkeypatch.setattr(arming, "refuse_second_chances", lambda *_: None)
    shows.arm(clock, same_garments(night))
    report = look(pack_now())
    assert failed(report) == {"repeats"}
    assert f"to name {SPOILED} in its rules, whose prizes it draws again" in detail(report, "repeats")


def test_a_repeat_that_nobody_has_agreed_to_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arming, "refuse_second_chances", lambda *_: None)
    again = same_garments(night)
    again.prize_lists.update(repeats=SPOILED)
    old = Segment.objects.get(draws__draw_id=SPOILED)
    for actor in ("olga (cli:host)", "otto (cli:host)"):
        action = "ask repeat" if actor.startswith("olga") else "repeat"
        append_entry(night, action, actor=actor, details={"segment": old.pk, "draws": [SPOILED]})
    void_segment(shows.arm(clock, again).pk, actor=OPERATOR, reason="rain")
    report = look(pack_now())
    assert failed(report) == {"repeats"} and "got 'host)' twice" in detail(report, "repeats")


def test_a_disposition_that_the_server_signs_and_the_ledger_does_not_tell_of_is_told(
    night: Show, look: Look, pack_now: PackNow
) -> None:
    tamper("UPDATE prizes_disposition SET reason = 'won in another draw' WHERE status = 'forfeited'")
    report = look(pack_now())
    assert failed(report) == {FIRST, f"{FIRST} dispositions in the ledger"}


def test_an_exclusion_that_the_ledger_does_not_tell_of_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack 9."""
    told = Exclusion(show=night, pseudonym=min(VIEWERS).hex())
    exclude_viewer(told, actor="dirk")
    shows.arm(clock, shows.draft(night))
    report = look(pack_now())
    assert failed(report) == set()
    monkeypatch.setattr(arming, "check_exclusions", lambda _: None)
    Exclusion.objects.create(show=night, pseudonym=max(VIEWERS).hex())
    shows.arm(clock, shows.draft(night))
    report = look(pack_now())
    assert failed(report) == {"exclusions"}
    append_entry(night, EXCLUDE, actor="dirk", people={WHO: max(VIEWERS).hex()})
    assert failed(look(pack_now())) == {"exclusions"}  # too late


def test_a_viewer_who_wins_twice_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack 2, the other way round: earlier wins are left out of a seal, so that the same people win again."""
    monkeypatch.setattr(drawing, "check_record", lambda *_: None)
    few = dict(list(VIEWERS.items())[5:8])
    for _ in range(2):
        tamper("DELETE FROM prizes_disposition")
        tamper("DELETE FROM prizes_win")
        shows.publish(shows.arm(clock, shows.draft(night)), few)
    report = look(pack_now())
    assert "one win each" in failed(report) and " holds " in detail(report, "one win each")
    assert any(name.endswith(" earlier records") for name in failed(report))


def test_what_is_sealed_and_held_back_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow
) -> None:
    segment = shows.arm(clock, shows.draft(night))
    run_all(ended(segment))
    report = look(pack_now())
    assert failed(report) == set()
    assert report.draws[-1].state == "drawn" and report.draws[-1].rests_on == ["arithmetic"]
    clock.move(86_400_000 + 1)
    append_entry(night, "note")
    assert failed(look(pack_now())) == {"published in time"}
