"""A night with witnesses, from the arming to a record that is checked elsewhere with the published files alone."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from engagement.ledger import verify_ledger
from engagement.ledger.checkpoints import keys_of, origin_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import Segment, Show
from prizes import publication, tasks, verify_draw
from prizes.files import fetch, roll_name
from prizes.models import Cosignature, Draw, Quorum
from prizes.publication import record_of
from prizes.steps import draw as drawing
from prizes.steps import freeze
from prizes.steps.beacon import enter_dice
from prizes.steps.publish import publish_segment
from prizes.witnesses import Asking
from tests.cast import OPERATOR, armed_segment
from tests.guards import tamper
from tests.prizes.draws import failed
from tests.prizes.draws import verify_draw as check
from tests.prizes.pipeline import ended
from tests.prizes.test_witnesses import ask, name_witness, own_witness
from tests.prizes.test_witnesses import asking as asking
from tests.prizes.test_witnesses import show as show
from tests.prizes.witnesses import Log, Running

pytestmark = pytest.mark.django_db(transaction=True)

THROWS = ("123456" * 9)[:50]


def go_on(segment: Segment) -> Draw:
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    return Draw.objects.select_related("show", "segment__freeze").get(segment=segment)


def play(show: Show, asking: Asking) -> Draw:
    """A night whose witnesses are asked as often as the conductor does."""
    segment = ended(armed_segment(show, beacon="dice"))
    assert go_on(segment).segment.freeze.frozen_at_ms is None  # nobody has seen the fence yet
    ask(asking)
    draw = go_on(segment)
    assert draw.seal, draw.trouble
    ask(asking)
    for operator in ("olga", "omar"):
        enter_dice(segment.pk, THROWS, actor=operator)
    drawing.run_draw(draw.pk)
    publish_segment(segment.pk, actor=OPERATOR)
    return go_on(segment)


def lay_out(folder: Path, draw: Draw) -> Path:
    """What anybody can download, in a directory of its own."""
    folder.mkdir()
    shutil.copy(verify_draw.__file__, folder)
    shutil.copy(verify_ledger.__file__, folder)
    (folder / "record.json").write_bytes(record_of(draw).content)
    shutil.copy(fetch(roll_name(draw.key)), folder / "roll.bin")
    return folder


def run(folder: Path, *arguments: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_three_witnesses_one_stopped_and_one_that_was_shown_a_fork(
    tmp_path: Path, show: Show, asking: Asking
) -> None:
    key = format_vkey(keys_of(show)[0])
    Quorum.objects.create(show=show, needed=1, unwitnessed="wait")
    forged = Log(origin_of(show), forks_at=3, seed=settings.LEDGER_KEYS[0])
    with contextlib.ExitStack() as stack:
        running: list[Running] = [
            stack.enter_context(own_witness(tmp_path, show, f"w.example/{name}"))
            for name in ("good", "away", "forked")
        ]
        for row in running:
            name_witness(show, row)
        running[1].process.kill()
        assert running[2].send(forged.request(0, 5)).status == 200  # our own key has shown it another ledger
        draw = play(show, asking)
    folder = lay_out(tmp_path / "empty", draw)
    told = run(folder, "verify_draw.py", "record.json", "roll.bin", "--key", key,
               *(part for row in running for part in ("--witness", row.vkey)), "--json")  # fmt: skip
    found = json.loads(told.stdout)
    assert (told.returncode, found["ok"], told.stderr) == (0, True, "")
    assert found["rests_on"] == ["arithmetic", "signature", "log", "witnesses"]
    details = {row["name"]: row["detail"] for row in found["checks"]}
    assert re.fullmatch(
        "1 of 3 named witnesses saw the seal before the beacon: w.example/good at [-0-9]+ [:0-9]+ UTC",
        details["witnesses"],
    )
    # What the witness has kept shows the fork to anybody, against the checkpoint in the record.
    [evidence] = (tmp_path / "w.example-forked/state").glob("*/fork-*")
    texts = (
        [path for path in sorted(evidence.rglob("*")) if path.is_file()] if evidence.is_dir() else [evidence]
    )
    shown = run(folder, "verify_ledger.py", "--key", key, *texts)
    assert shown.returncode == 1 and "FAIL" in shown.stdout, shown.stdout


def test_a_seal_that_nobody_has_seen_in_time_is_not_called_witnessed(
    tmp_path: Path, show: Show, asking: Asking
) -> None:
    Quorum.objects.create(show=show, needed=1, unwitnessed="wait")
    with own_witness(tmp_path, show, "w.example/good") as running:
        name_witness(show, running)
        draw = play(show, asking)
    keys, seen = [format_vkey(keys_of(show)[0])], [running.vkey]
    content = record_of(draw).content
    assert failed(check(content, keys=keys, witnesses=seen)) == set()
    tamper("DELETE FROM prizes_cosignature")
    assert not Cosignature.objects.exists()
    publication._record.cache_clear()
    checks = check(record_of(draw).content, keys=keys, witnesses=seen)
    assert failed(checks) == {"witnesses"}
    assert (
        "0 of 1 given witnesses signed the seal in time, 1 were promised"
        in {row.name: row.detail for row in checks}["witnesses"]
    )
    stranger = "w.example/x+00000000+BAAA"
    assert "witnesses" in failed(check(content, keys=keys, witnesses=[stranger]))


def test_where_the_rules_let_it_go_on_it_is_labelled(tmp_path: Path, show: Show, asking: Asking) -> None:
    with own_witness(tmp_path, show, "w.example/good") as running:
        name_witness(show, running)
        running.process.kill()
        segment = ended(armed_segment(show, beacon="dice"))
        draw = go_on(segment)
        assert draw.seal and draw.promised["unwitnessed"] == "go on" and draw.promised["quorum"] == 1
        for operator in ("olga", "omar"):
            enter_dice(segment.pk, THROWS, actor=operator)
        drawing.run_draw(draw.pk)
        publish_segment(segment.pk, actor=OPERATOR)
    record = record_of(go_on(segment)).content
    (told,) = [
        row
        for row in check(record, keys=[format_vkey(keys_of(show)[0])], witnesses=[running.vkey])
        if row.name == "witnesses"
    ]
    assert told.ok and told.detail.startswith("NOT WITNESSED")
    assert verify_draw.rests_on([told]) == ["arithmetic"]
