"""A viewer who wants to be forgotten: what goes, what stays, and that both are said."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from engagement import tally
from engagement.core.phases import Phase
from engagement.keys import own
from engagement.ledger.append import people_in
from engagement.models import LedgerEntry, Segment, Show
from prizes.forgetting import pseudonym_of
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR, armed_segment, put_on_air
from tests.prizes.pipeline import ended, run_all

pytestmark = pytest.mark.django_db(transaction=True)
UID = 1001


def forget(show: Show, *words: str) -> dict[str, object]:
    out = StringIO()
    call_command("forget_viewer", show.slug, "--uid", str(UID), "--json", *words, stdout=out)
    told: dict[str, object] = json.loads(out.getvalue())
    return told


def in_redis(segment: Segment, viewer: str) -> bool:
    shard = tally.shard_of(bytes.fromhex(viewer), segment.shards)
    found = [
        tally.connect().zscore(own(f"{name}:{segment.key}:{shard}"), bytes.fromhex(viewer))
        for name in ("tally", "frozen")
    ]
    return any(score is not None for score in found)


def test_what_redis_has_goes_and_what_is_sealed_stays(show: Show) -> None:
    viewer = pseudonym_of(show, UID)
    segment = ended(armed_segment(show), {bytes.fromhex(viewer): 50, bytes([9]) * 14: 60})
    run_all(segment)
    publish_segment(segment.pk, actor=OPERATOR)
    segment.refresh_from_db()
    assert in_redis(segment, viewer)
    looked = forget(show, "--look")
    assert looked["viewer"] == viewer and in_redis(segment, viewer)
    told = forget(show, "--reason", "asked for it")
    kept = {str(row["where"]): row["erased"] for row in told["kept"]}  # type: ignore[attr-defined]
    assert kept[f"{segment}: total and origin in Redis"] is True
    assert kept[f"{segment}: frozen totals and rolls, where the viewer shook"] is False
    assert not in_redis(segment, viewer)
    show.refresh_from_db()
    assert {"viewer": viewer} in show.revoked
    entry = LedgerEntry.objects.get(show=show, action="forget")
    assert people_in(entry) == {"viewer": viewer} and viewer not in entry.details
    again = forget(show, "--reason", "asked for it")  # once more does no harm
    assert not any(row["erased"] for row in again["kept"])  # type: ignore[attr-defined]
    call_command("audit_draw", str(segment.draws.get().pk), stdout=StringIO())
    call_command("verify_ledger", show.slug, stdout=StringIO())


def test_nobody_is_forgotten_during_a_show_without_a_reason_or_by_a_wrong_name(show: Show) -> None:
    segment = put_on_air(armed_segment(show))
    with pytest.raises(CommandError, match="once nothing is under way"):
        forget(show, "--reason", "asked for it")
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.VOID)
    with pytest.raises(CommandError, match="needs a reason"):
        forget(show)
    with pytest.raises(CommandError, match="expected a pseudonym of 28 hex digits"):
        call_command("forget_viewer", show.slug, "--viewer", "Lin Mei", "--reason", "x")
    assert not LedgerEntry.objects.filter(action="forget").exists()
