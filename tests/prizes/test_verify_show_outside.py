"""What people outside have seen of a night, in its pack: witnesses, time stampers, counts on air, and canaries."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from engagement.clock import now_ms
from engagement.core.digests import canonical_json
from engagement.ledger.append import append_entry
from engagement.ledger.core.canaries import Canary, canaries_commitment
from engagement.models import Segment, Show
from prizes import stampers, witnesses
from prizes.canaries import commit_canaries, open_canaries
from prizes.models import Draw, Quorum
from prizes.steps import draw as drawing
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR, armed_segment, make_show
from tests.clock import Clock
from tests.clock import clock as clock
from tests.guards import tamper
from tests.prizes import shows
from tests.prizes.pipeline import VIEWERS, ended, stuff_tally
from tests.prizes.shows import Look, PackNow, detail, failed
from tests.prizes.shows import folder as folder
from tests.prizes.shows import look as look
from tests.prizes.shows import night as night
from tests.prizes.shows import pack_now as pack_now
from tests.prizes.shows import program as program
from tests.prizes.test_rewritten_ledger import rewrite_and_sign
from tests.prizes.test_stamped_night import finish
from tests.prizes.test_stampers import ask as ask_stampers
from tests.prizes.test_witnessed_night import go_on
from tests.prizes.test_witnesses import ask as ask_witnesses
from tests.prizes.test_witnesses import name_witness, own_witness
from tests.prizes.tsa import Authority, name_stamper, pem, running_tsa

pytestmark = pytest.mark.django_db(transaction=True)

SALT = bytes(range(32))


def test_a_night_with_a_witness_and_a_time_stamper_rests_on_both(
    tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnesses, "asking", witnesses.Asking())
    monkeypatch.setattr(stampers, "asking", stampers.Asking())
    show, honest = make_show(slug="gala"), Authority(tmp_path / "tsa", root_name="honest root")
    other = Authority(tmp_path / "other", kind="p256", root_name="other root")
    Quorum.objects.create(show=show, needed=1, unwitnessed="wait")
    append_entry(show, "note", now=now_ms() - 120_000)
    with own_witness(tmp_path, show, "w.example/good") as running, running_tsa(honest) as stamper:
        name_witness(show, running)
        name_stamper(show, honest, stamper.url)
        segment = ended(armed_segment(show, beacon="dice"))
        go_on(segment)
        ask_witnesses(witnesses.asking)
        draw = go_on(segment)
        ask_witnesses(witnesses.asking)
        ask_stampers(stampers.asking)
        finish(draw)
        ask_witnesses(witnesses.asking)
    pack = shows.make_pack(tmp_path / "pack.zip")
    asked = program.Asked(
        [shows.key_of(show)], [running.vkey], [program.D.read_pem(pem(honest.root).encode())]
    )
    report = program.verify_show(str(pack), asked)
    assert failed(report) == set()
    assert program.rests_on(report) == ["arithmetic", "signature", "log", "witnesses", "time stamps"]
    assert detail(report, "cosignatures").startswith("w.example/good has signed ")
    assert "throws" in report.not_checked
    assert program.by_rules(report) == ""
    by_rules = program.by_rules(program.verify_show(str(pack), asked._replace(tsas=())))
    assert "--tsa names those that you trust" in by_rules
    folder = shows.unpack(pack, tmp_path / "pack")
    record = folder / f"draw-{draw.pk}/record.json"
    changed = json.loads(record.read_text())
    changed["log"]["stamps"] = []
    path, said = folder / "ledger/checkpoints.jsonl", detail(report, "cosignatures")
    path.write_bytes(path.read_bytes() * 2)  # a line costs its time once, however often it is there
    report = program.verify_show(str(shows.list_again(folder)), asked)
    assert failed(report) == set() and detail(report, "cosignatures") == said
    record.write_bytes(canonical_json(changed))
    report = program.verify_show(str(shows.list_again(folder)), asked)
    told = {f"{draw.draw_id} {name}" for name in ("in the ledger", "time stamps")}
    assert failed(report) == {draw.draw_id, *told}
    strange = asked._replace(tsas=[program.D.read_pem(pem(other.root).encode())])
    assert failed(program.verify_show(str(pack), strange)) == {"outside"}
    (tmp_path / "root.pem").write_text(pem(honest.root))
    folder = shows.lay_out(tmp_path / "programs")
    words = [
        str(folder / "verify_show.py"),
        str(pack),
        "--key",
        shows.key_of(show),
        "--witness",
        running.vkey,
    ]
    for name, status in (("root.pem", 0), ("pack.zip", 2), ("nothing.pem", 2)):
        command = [sys.executable, "-I", *words, "--tsa", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr


# --- counts ---


def test_a_roll_that_was_stuffed_is_told(night: Show, clock: Clock, look: Look, pack_now: PackNow) -> None:
    segment = ended(shows.arm(clock, shows.draft(night)))
    stuff_tally(segment, {bytes([0xEE]) * 14: 100})
    run_to_the_end(segment)
    report = look(pack_now())
    assert failed(report) == {"counts"}
    assert "at most 99 entries in the roll" in detail(report, "counts")


def run_to_the_end(segment: Segment) -> Draw:
    draw = go_on(segment)
    drawing.run_draw(draw.pk)
    publish_segment(segment.pk, actor=OPERATOR)
    return go_on(segment)


def change_counts(show: Show, change: str) -> None:
    """In the entry of the last fence, by somebody who signs what he has made."""
    [row] = show.ledger.filter(action="counts").order_by("-position")[:1]
    tamper(
        "UPDATE engagement_ledgerentry SET details = %s WHERE id = %s",
        change_text(row.details, change),
        row.pk,
    )
    rewrite_and_sign(show, 1)


def change_text(details: str, change: str) -> str:
    old, new = change.split(" -> ")
    assert old in details
    return details.replace(old, new)


def test_counts_that_are_not_whole_are_not_compared(night: Show, look: Look, pack_now: PackNow) -> None:
    change_counts(night, '"complete":true -> "complete":false')
    report = look(pack_now())
    assert "counts" in report.not_checked
    assert detail(report, "counts").endswith(f"NOT COMPARED, as nothing whole was counted: {shows.AGAIN}")


def test_a_gateway_that_disappears_from_the_counts_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow
) -> None:
    segment = shows.arm(clock, shows.draft(night))
    for gateways in (["a", "b"], ["b", "c"]):
        append_entry(night, "counts", details=counts_of(segment, gateways))
    report = look(pack_now())
    assert failed(report) == set()  # it has no roll yet
    run_to_the_end(ended(segment))
    assert "those of a do in entry" in detail(look(pack_now()), "counts")


def counts_of(segment: Segment, gateways: Iterable[str]) -> dict[str, Any]:
    rows = [{"gateway": name, "viewers": 1, "shakes": 1, "app": 1} for name in gateways]
    fields = {"segment": segment.pk, "play": segment.key, "minute": 1, "fence": False, "complete": True}
    zero = {"app": 0, "guest": 0}
    sums: dict[str, Any] = {name: len(rows) for name in ("viewers", "shakes", "app")}
    sums |= {"silent": [], "passes": zero, "issued": zero}
    return {**fields, **sums, "gateways": rows}


def test_a_ledger_that_does_not_say_what_was_counted_is_told(
    night: Show, look: Look, folder: Path, program: Any
) -> None:
    case = program.Show(program.read_pack(str(folder)), program.Asked())
    program.check_whole_ledger(case)
    for name, check in program.ON_THE_WHOLE[:2]:
        assert program.run(name, check, case).ok
    case.rows = [row for row in case.rows if row.action != "counts"]
    told = program.run("counts", program.check_counts, case)
    assert not told.ok and f"to say what was counted for {shows.FIRST}" in told.detail


# --- canaries ---


def play_with_canaries(night: Show, clock: Clock, told: list[Canary]) -> Segment:
    segment = shows.arm(clock, shows.draft(night))
    digest = canaries_commitment(night.slug, "notary", SALT, [row.pseudonym for row in told]).hex()
    commit_canaries(segment.pk, "notary", digest, len(told), actor="nora")
    run_to_the_end(ended(segment))
    return segment


def some(extra: int = 0) -> list[Canary]:
    return [Canary(name.hex(), VIEWERS[name] + extra) for name in sorted(VIEWERS)[10:12]]


def test_canaries_are_in_the_roll_once_they_are_shown(
    night: Show, clock: Clock, look: Look, pack_now: PackNow
) -> None:
    segment = play_with_canaries(night, clock, some())
    report = look(pack_now())
    assert failed(report) == set() and "; not opened: notary in entry " in detail(report, "canaries")
    open_canaries(segment.pk, "notary", SALT.hex(), some(), actor="nora")
    report = look(pack_now())
    assert failed(report) == set()
    assert detail(report, "canaries") == "2 canaries are in their rolls with what they were told"


def test_a_canary_whose_shakes_were_taken_away_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow
) -> None:
    segment = play_with_canaries(night, clock, some())
    open_canaries(segment.pk, "notary", SALT.hex(), some(extra=10**6), actor="nora")
    report = look(pack_now())
    assert failed(report) == {"canaries"}
    assert f"at least 10 tickets of the canary {some()[0].pseudonym}" in detail(report, "canaries")


def test_a_canary_that_is_not_in_the_roll_is_told(
    night: Show, clock: Clock, look: Look, pack_now: PackNow
) -> None:
    told = [Canary("ee" * 14, 100)]
    segment = play_with_canaries(night, clock, told)
    open_canaries(segment.pk, "notary", SALT.hex(), told, actor="nora")
    assert "got 0" in detail(look(pack_now()), "canaries")
