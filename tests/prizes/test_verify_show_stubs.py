"""What phones were told, held against the whole pack of a night."""

import json
from pathlib import Path
from typing import Any

import pytest

from engagement.core.digests import canonical_json
from engagement.ledger.append import append_entry
from engagement.ledger.core.stubs import Batch
from engagement.ledger.statements import statement
from engagement.models import LedgerCheckpoint, Segment, Show
from tests.cast import make_show
from tests.clock import clock as clock
from tests.prizes import kept
from tests.prizes.pipeline import VIEWERS
from tests.prizes.shows import FIRST, SPOILED, Look, PackNow, failed
from tests.prizes.shows import folder as folder
from tests.prizes.shows import look as look
from tests.prizes.shows import night as night
from tests.prizes.shows import pack_now as pack_now
from tests.prizes.shows import program as program
from tests.prizes.test_rewritten_ledger import rewrite_and_sign

pytestmark = pytest.mark.django_db(transaction=True)


def stub_of(night: Show, draw: str, viewer: bytes, total: int, **changes: Any) -> bytes:
    """What a phone keeps, as the gateway of the night signs it."""
    play = Segment.objects.get(draws__draw_id=draw).key
    said = {"show": night.slug, "segment": play, "gateway": kept.GATEWAY, "at": kept.AT, **changes}
    return kept.keep(kept.sign_stub(Batch(**said), viewer, total), statement(night, 0))


def test_what_phones_were_told_is_held_against_the_rolls(
    night: Show, folder: Path, look: Look, program: Any, tmp_path: Path
) -> None:
    viewers, phones = sorted(VIEWERS)[10:13], tmp_path / "phones"
    phones.mkdir()
    for number, viewer in enumerate(viewers):
        (phones / f"{number}.json").write_bytes(stub_of(night, FIRST, viewer, VIEWERS[viewer]))
    bare = json.loads((phones / "0.json").read_text())["stub"]
    (phones / "0.json").write_bytes(canonical_json(bare))  # its key is found in the pack
    report = look(folder, stubs=[str(phones)])
    assert failed(report) == set()
    assert program.rests_on(report) == ["arithmetic", "signature", "log", "stubs"]
    more = tmp_path / "more.json"
    more.write_bytes(stub_of(night, FIRST, viewers[0], 10**6))
    report = look(folder, stubs=[str(phones), str(more)])
    assert failed(report) == {f"stub {viewers[0].hex()}"}
    assert next(check for check in report.checks if not check.ok).detail.startswith("PROOF OF FRAUD")


def test_a_stub_of_a_segment_that_ended_is_not_compared(
    night: Show, folder: Path, look: Look, program: Any, tmp_path: Path
) -> None:
    told = tmp_path / "told.json"
    told.write_bytes(stub_of(night, SPOILED, sorted(VIEWERS)[10], 30))
    report = look(folder, stubs=[str(told)])
    assert failed(report) == set() and "NOT COMPARED" in report.checks[-1].detail
    assert "stubs" not in program.rests_on(report)
    told.write_bytes(stub_of(night, FIRST, sorted(VIEWERS)[10], 30, segment="9-elsewhere"))
    assert "expected a stub of a segment of this show" in look(folder, stubs=[str(told)]).checks[-1].detail
    told.write_bytes(b"{}")
    assert failed(look(folder, stubs=[str(told)])) == {"stub told.json"}


def test_a_file_whose_checkpoint_was_made_up_accuses_nobody(
    night: Show, folder: Path, look: Look, tmp_path: Path
) -> None:
    told, viewer = tmp_path / "told.json", sorted(VIEWERS)[10]
    kept_file = json.loads(stub_of(night, FIRST, viewer, VIEWERS[viewer]))
    note = kept_file["gateway_key"]["checkpoint"]
    append_entry(make_show(slug="other"), "note")
    elsewhere = LedgerCheckpoint.objects.get(show__slug="other", size=1).note
    size = note.split("\n")[1]
    changed = [note.replace(f"\n{size}\n", f"\n{other}\n", 1) for other in (int(size) - 1, 9999)]
    for checkpoint in (*changed, elsewhere, "?"):
        kept_file["gateway_key"]["checkpoint"] = checkpoint
        told.write_bytes(canonical_json(kept_file))
        report = look(folder, stubs=[str(told)])
        assert failed(report) == {f"stub {viewer.hex()}"}
        said = report.checks[-1].detail
        assert "was shown another ledger" not in said and "proves nothing" in said, said


def test_a_phone_that_was_shown_another_ledger_tells_of_it(
    night: Show, look: Look, pack_now: PackNow, tmp_path: Path
) -> None:
    """Attack 4, with what phones have kept in place of a checkpoint."""
    told, viewer = tmp_path / "told.json", sorted(VIEWERS)[10]
    told.write_bytes(stub_of(night, FIRST, viewer, VIEWERS[viewer]))
    rewrite_and_sign(night, 1)
    append_entry(night, "note")
    report = look(pack_now(), stubs=[str(told)])
    assert failed(report) == {f"stub {viewer.hex()}"}
    assert "the phone was shown another ledger" in report.checks[-1].detail
