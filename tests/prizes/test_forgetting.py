"""A viewer who wants to be forgotten: what goes, what stays, and that both are said."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from engagement import tally
from engagement.actions import ActionRefused
from engagement.core.phases import Phase
from engagement.keys import own
from engagement.ledger.append import people_in
from engagement.models import LedgerEntry, Segment, Show
from prizes.approvals import decide
from prizes.forgetting import forget_viewer, pseudonym_of
from prizes.models import Approval
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


def agree(show: Show) -> None:
    """A second person, in the control room."""
    decide(Approval.objects.get(show=show, approved=None).pk, approve=True, actor="dora", session="hers")


def test_one_person_alone_takes_nobody_out_between_two_segments(show: Show) -> None:
    viewer = pseudonym_of(show, UID)
    segment = ended(armed_segment(show), {bytes.fromhex(viewer): 50})
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.VOID)
    told = forget(show, "--reason", "a rival", "--as", "olga")
    show.refresh_from_db()
    assert told["asked"] is True and show.revoked == [] and in_redis(segment, viewer)
    with pytest.raises(CommandError, match="has asked for it already"):
        forget(show, "--reason", "a rival", "--as", "dora")
    with pytest.raises(ActionRefused, match="a second person has to decide"):
        decide(Approval.objects.get().pk, approve=True, actor="Dora (cli:root)")
    assert in_redis(segment, viewer)
    agree(show)
    show.refresh_from_db()
    assert show.revoked == [{"viewer": viewer}] and not in_redis(segment, viewer)
    entries = LedgerEntry.objects.filter(show=show).order_by("position")
    assert [row.action for row in entries][1:] == ["ask approval", "approve", "revoke", "forget"]
    assert not any(viewer in row.details for row in entries)


def test_where_nothing_was_armed_yet_one_person_does_it(show: Show) -> None:
    told = forget(show, "--reason", "asked for it")
    show.refresh_from_db()
    assert told["asked"] is False and show.revoked == [{"viewer": pseudonym_of(show, UID)}]


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
    assert told["asked"] is True and in_redis(segment, viewer)
    agree(show)
    kept = {str(row["where"]): row["erased"] for row in told["kept"]}  # type: ignore[attr-defined]
    assert kept[f"{segment}: frozen totals and rolls, where the viewer shook"] is False
    assert not in_redis(segment, viewer)
    show.refresh_from_db()
    assert {"viewer": viewer} in show.revoked
    entry = LedgerEntry.objects.get(show=show, action="forget")
    assert people_in(entry) == {"viewer": viewer} and viewer not in entry.details
    forget(show, "--reason", "asked for it")
    agree(show)  # once more does no harm
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


def test_what_is_erased_is_said(show: Show) -> None:
    viewer = pseudonym_of(show, UID)
    segment = ended(armed_segment(show), {bytes.fromhex(viewer): 50})
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.VOID)
    for erased in (True, False):  # once more does no harm
        kept = forget_viewer(show.pk, viewer, actor="dora", reason="asked for it")
        assert [row.where for row in kept if row.erased] == (
            [f"{segment}: total and origin in Redis"] if erased else []
        )
