"""A whole night for the check of its pack: two draws, one segment called off, one spoiled and drawn again."""

import hashlib
import io
import shutil
import sys
import types
import zipfile
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from engagement.clock import now_ms
from engagement.ledger import verify_ledger
from engagement.ledger.append import append_entry
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.statements import GATEWAY_KEY
from engagement.models import Segment, Show
from prizes import verify_draw
from prizes.models import Draw, Prize
from prizes.software import SHOW_VERIFIER
from prizes.steps import claims, freeze
from prizes.steps.arm import arm_segment
from prizes.steps.publish import publish_segment
from prizes.steps.repeat import repeat_segment
from prizes.steps.spoil import spoil_segment
from prizes.steps.void import void_segment
from tests.cast import OPERATOR, make_segment, make_show
from tests.clock import Clock
from tests.prizes import nights
from tests.prizes.kept import AT, GATEWAY, GATEWAY_PUBLIC
from tests.prizes.pipeline import ended, run_all

PROGRAMS = [Path(verify_draw.__file__), Path(verify_ledger.__file__), SHOW_VERIFIER]
START = 1_794_000_000_000


def play(clock: Clock) -> Show:
    """All of it; the first winner of the first draw has declined."""
    clock.set(START)
    show = make_show(slug="gala", draws_per_minute=60)
    append_entry(show, GATEWAY_KEY, details={"gateway": GATEWAY, "key": GATEWAY_PUBLIC.hex(), "from": AT})
    first = publish(arm(clock, draft(show)))
    claims.decline_prize(first.pk, first.wins.earliest("rank").pseudonym)
    spoiled = spoil(arm(clock, draft(show)))
    repeat_segment(spoiled.pk, actor="dirk", reason="the round was out")
    again = repeat_segment(spoiled.pk, actor="dora").draft
    assert again is not None
    publish(arm(clock, again))
    void_segment(arm(clock, draft(show)).pk, actor=OPERATOR, reason="rain")
    return show


def draft(show: Show, **fields: Any) -> Segment:
    """A segment with garments that no other one has."""
    segment = make_segment(show, **fields)
    Prize.objects.filter(prize_list__segment=segment).update(garment=f"Coat {segment.position}")
    return segment


def arm(clock: Clock, segment: Segment) -> Segment:
    """Armed a minute before it can have been on air."""
    clock.move(60_000)
    arm_segment(segment.pk, actor=OPERATOR)
    clock.move(60_000)
    return Segment.objects.select_related("show").get(pk=segment.pk)


def publish(segment: Segment, totals: dict[bytes, int] | None = None) -> Draw:
    draw = run_all(ended(segment, totals))
    publish_segment(segment.pk, actor=OPERATOR)
    draw.refresh_from_db()
    return draw


def freeze_all(segment: Segment) -> Segment:
    """Frozen, and not sealed: its worker is held there."""
    segment = ended(segment)
    Draw.objects.filter(segment=segment).update(attempts=3)
    freeze.close_tally(segment, now_ms() + 60_000)
    for number in range(segment.shards):
        freeze.freeze_shard(segment.pk, number)
    freeze.complete_freeze(segment.freeze)
    return segment


def spoil(segment: Segment) -> Segment:
    return spoil_segment(freeze_all(segment).pk, "the round was out")


# --- the pack, and the program that checks it ---


def key_of(show: Show) -> str:
    return format_vkey(keys_of(show)[0])


def make_pack(target: Path, *options: str) -> Path:
    """The pack of the show as it is now, whatever the server says of it."""
    try:
        call_command("evidence", "gala", "-o", str(target), "--force", *options, stdout=io.StringIO())
    except SystemExit:
        pass
    return target


def unpack(pack: Path, folder: Path) -> Path:
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(folder)
    return folder


def list_again(folder: Path) -> Path:
    """As a careful forger does: the list of the files fits what was made of them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


def lay_out(folder: Path) -> Path:
    """The three programs, where they look for each other."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        shutil.copy(program, folder)
    return folder


def load_program(folder: Path) -> types.ModuleType:
    """The program in this process; it finds its neighbours in the folder."""
    spec = spec_from_file_location("verify_show", lay_out(folder) / "verify_show.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["verify_show"] = module
    spec.loader.exec_module(module)
    return module


def failed(report: Any) -> set[str]:
    return {check.name for check in report.checks if not check.ok}


def detail(report: Any, name: str) -> str:
    return next(str(check.detail) for check in report.checks if check.name == name)


# --- what the tests begin with: import these by name ---

FIRST, SPOILED, AGAIN, VOID = (f"gala/seg-{number}/draw-1" for number in (1, 2, 3, 4))
Look = Callable[..., Any]
PackNow = Callable[[], Path]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_program(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def night(clock: Clock) -> Show:
    show = nights.once("whole night", lambda: play(clock))
    clock.set(START + 3_600_000)
    return show


@pytest.fixture
def folder(night: Show, tmp_path: Path) -> Path:
    """The pack of the night, unpacked; the zip stands beside it."""
    target = tmp_path / "pack.zip"
    target.write_bytes(nights.once("pack of the whole night", lambda: make_pack(target).read_bytes()))
    return unpack(target, tmp_path / "pack")


@pytest.fixture
def look(program: Any, night: Show) -> Look:
    """The report on a pack, with the organiser's key unless said otherwise."""

    def look(pack: Path, **asked: Any) -> Any:
        return program.verify_show(str(pack), program.Asked(**{"keys": [key_of(night)], **asked}))

    return look


@pytest.fixture
def pack_now(night: Show, tmp_path: Path) -> PackNow:
    """The pack of what the test has made of the night."""
    return lambda: make_pack(tmp_path / "now.zip")
