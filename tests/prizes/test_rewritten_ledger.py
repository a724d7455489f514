"""The owner of the database and of the key writes history anew: who has kept a checkpoint, or the record, sees it."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from engagement.ledger.checkpoints import keys_of, newest_checkpoint, origin_of, sign_text
from engagement.ledger.core.checkpoints import Checkpoint, format_checkpoint, format_vkey
from engagement.ledger.core.merkle import grow_tree
from engagement.ledger.tree import leaf_of
from engagement.models import LedgerCheckpoint, LedgerEntry, Show
from prizes import publication
from prizes.audit import audit_draw, check_signed
from prizes.models import Draw
from prizes.publication import record_of
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR
from tests.engagement.ledger.test_ledger import rewrite_chain
from tests.guards import tamper
from tests.prizes import nights
from tests.prizes.draws import failed, verify_draw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def draw(show: Show) -> Draw:
    ranked = nights.ranked(show)
    publish_segment(ranked.segment_id, actor=OPERATOR)
    return Draw.objects.select_related("show", "segment__freeze").get(pk=ranked.pk)


def rewrite_and_sign(show: Show, position: int) -> None:
    """Another name for who did it, and every checkpoint signed again, as only the organiser can."""
    rewrite_chain(show, position, actor="nobody")
    tamper("DELETE FROM engagement_ledgercheckpoint")
    digests = list(
        LedgerEntry.objects.filter(show=show).order_by("position").values_list("digest", flat=True)
    )
    tree = grow_tree(map(leaf_of, digests))
    for size in range(1, len(digests) + 1):
        root = tree.root(size)
        note = sign_text(show, format_checkpoint(Checkpoint(origin_of(show), size, root)))
        LedgerCheckpoint.objects.create(show=show, size=size, root=root.hex(), note=note, at_ms=1)
    publication._record.cache_clear()


def run(*words: str) -> tuple[int, dict[str, object]]:
    out = StringIO()
    status = 0
    try:
        call_command("audit_draw", *words, "--json", stdout=out)
    except SystemExit as end:
        status = int(str(end.code))
    return status, json.loads(out.getvalue())


def test_a_kept_checkpoint_and_a_kept_record_tell_of_a_history_that_was_signed_again(
    draw: Draw, tmp_path: Path
) -> None:
    kept, before, key = tmp_path / "kept.txt", record_of(draw).content, format_vkey(keys_of(draw.show)[0])
    newest = newest_checkpoint(draw.show)
    assert newest is not None
    kept.write_text(newest.note)
    assert run(str(draw.pk), "--checkpoint", str(kept))[0] == 0
    rewrite_and_sign(draw.show, draw.committed_ledger)
    assert [check for check in audit_draw(draw) if not check.ok] == []  # from inside nothing is seen
    status, report = run(str(draw.pk), "--checkpoint", str(kept))
    assert status == 1
    assert [row["name"] for row in report["checks"] if not row["ok"]] == ["file kept.txt"]  # type: ignore[attr-defined]
    # Both records verify: two signed logs of one show, which do not fit each other, are the proof.
    after = record_of(draw).content
    assert failed(verify_draw(before, keys=[key])) == failed(verify_draw(after, keys=[key])) == set()
    logs = [json.loads(record)["log"]["checkpoint"].splitlines() for record in (before, after)]
    assert logs[0][:2] == logs[1][:2] and logs[0][2] != logs[1][2]


def test_the_audit_holds_the_published_record_to_the_organisers_key(
    draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_signed(draw).ok
    monkeypatch.setattr(publication, "log_of", lambda draw: None)
    publication._record.cache_clear()
    told = check_signed(draw)
    publication._record.cache_clear()
    assert not told.ok and "with its log" in told.detail
