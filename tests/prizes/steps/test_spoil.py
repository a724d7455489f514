"""No second chance: what is frozen is sealed in time, or spoiled in public; nobody calls it off."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from engagement.actions import ActionRefused, Conflict
from engagement.core.phases import Phase
from engagement.models import LedgerEntry, Segment, Show
from gala.celery import app
from prizes import tasks
from prizes.core.digests import drand_time, round_after
from prizes.models import Draw
from prizes.parties import reveal_secret
from prizes.steps import freeze, seal
from prizes.steps.beacon import round_of
from prizes.steps.spoil import may_spoil, spoil_by_hand, spoil_segment
from prizes.steps.void import void_segment
from tests.cast import OPERATOR, armed_segment
from tests.clock import Clock
from tests.prizes.pipeline import VIEWERS, ended
from tests.prizes.steps.test_seal import SECRET, armed_with_notary

pytestmark = pytest.mark.django_db(transaction=True)

NOW = 1_800_000_000_000


@pytest.fixture
def here() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


def go_on(segment: Segment) -> Draw:
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    return Draw.objects.select_related("segment__freeze", "show").get(segment=segment)


def relays_know(monkeypatch: pytest.MonkeyPatch, *known: int) -> list[set[int]]:
    """The relays have these rounds; what they were asked for."""
    asked: list[set[int]] = []

    def answer(rounds: Any) -> set[int]:
        asked.append(set(rounds))
        return asked[-1] & set(known)

    monkeypatch.setattr(seal, "known_rounds", answer)
    return asked


def test_a_worker_that_was_held_until_the_round_is_out_seals_nothing(
    show: Show, clock: Clock, here: None
) -> None:
    clock.set(NOW)
    segment = ended(armed_with_notary(show, beacon="drand"))
    draw = go_on(segment)
    assert draw.segment.freeze.frozen_at_ms is not None and not draw.seal
    Draw.objects.filter(pk=draw.pk).update(attempts=3)  # nobody tries any more
    clock.set(drand_time(round_of(draw)) * 1000 - 1)
    tasks.conduct_draws()
    assert Segment.objects.get(pk=segment.pk).phase == Phase.CLOSING
    clock.move(1)
    tasks.conduct_draws()
    draw = go_on(segment)
    assert (draw.segment.phase, draw.step, draw.trouble) == (Phase.SPOILED, Draw.Step.SPOILED, "")
    with pytest.raises(ActionRefused):
        void_segment(segment.pk, actor=OPERATOR, reason="the outcome does not suit")
    with pytest.raises(Conflict):
        spoil_segment(segment.pk, "twice")
    assert LedgerEntry.objects.filter(show=show, action="spoil").count() == 1


def test_a_round_that_relays_have_already_spoils_it_whatever_our_clock_says(
    show: Show, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(NOW)
    segment = ended(armed_segment(show, beacon="drand"))
    number = round_after(NOW // 1000 + 60)
    asked = relays_know(monkeypatch, number)
    draw = go_on(segment)
    assert (draw.seal, draw.segment.phase) == ("", Phase.SPOILED)
    assert asked == [{number, round_after(NOW // 1000 + seal.SLOW_S)}]
    told = LedgerEntry.objects.get(show=show, action="spoil")
    assert told.reason.startswith(f"drand's round {number} was out before there was a seal, earlier than")


def test_a_slow_clock_holds_the_seal_until_it_is_set(
    show: Show, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(NOW)
    segment = ended(armed_segment(show, beacon="drand"))
    relays_know(monkeypatch, round_after(NOW // 1000 + seal.SLOW_S))
    draw = go_on(segment)
    assert not draw.seal and "the clock of this server is wrong" in draw.trouble and draw.attempts == 0
    relays_know(monkeypatch)
    assert go_on(segment).seal


def test_relays_are_asked_when_all_is_ready_and_not_before(
    show: Show, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(NOW)
    asked = relays_know(monkeypatch)
    segment = ended(armed_with_notary(show, beacon="drand"))
    assert not go_on(segment).seal and asked == []
    reveal_secret(segment.draws.get().pk, "notary", SECRET, actor="notary")
    assert go_on(segment).seal and len(asked) == 1


def test_a_spoiled_draw_keeps_its_roll_and_serves_its_receipts(
    show: Show, clock: Clock, client: Client
) -> None:
    clock.set(NOW)
    segment = ended(armed_with_notary(show, beacon="drand"))
    go_on(segment)
    clock.move(64_000)
    draw = go_on(segment)
    viewer = next(name for name, total in VIEWERS.items() if total > 20)
    receipt = client.get(f"/api/draws/{draw.pk}/receipt/{viewer.hex()}")
    assert receipt.status_code == 200
    told = json.loads(receipt.content)
    assert (told["seal"], told["entry"]["tickets"] > 0, told["signature"] != "") == ("", True, True)
    assert client.get(f"/api/draws/{draw.pk}/roll").status_code == 200
    assert client.get(f"/api/draws/{draw.pk}/record").status_code == 404
    page = client.get(f"/draws/{draw.pk}/").text
    assert "got no seal in time" in page and "was due before there was a seal" in page
    assert draw.draw_id in client.get("/draws/").text.partition('id="called-off"')[2]
    (row,) = client.get(f"/api/shows/{show.slug}/draws").json()["draws"]
    assert (row["step"], row["segment"]["phase"]) == ("spoiled", "spoiled")


def test_nobody_reveals_anything_of_what_was_spoiled(show: Show) -> None:
    segment = ended(armed_with_notary(show))
    go_on(segment)
    spoil_segment(segment.pk, "the disk is gone")
    with pytest.raises(ActionRefused, match="is spoiled: nothing is drawn"):
        reveal_secret(segment.draws.get().pk, "notary", SECRET, actor="notary")


def test_a_void_draw_stays_on_the_list(show: Show, client: Client) -> None:
    segment = armed_segment(show)
    void_segment(segment.pk, actor=OPERATOR, reason="rain")
    assert segment.draws.get().draw_id in client.get("/draws/").text.partition('id="called-off"')[2]


def test_by_hand_only_what_cannot_be_sealed_and_waits_for_no_round(show: Show) -> None:
    segment = ended(armed_segment(show))
    with pytest.raises(ActionRefused, match="spoiled by hand"):
        spoil_by_hand(segment.pk, actor=OPERATOR, reason="we do not like it")
    freezing = Segment.objects.select_related("show").get(pk=segment.pk)
    freeze.close_tally(freezing, 2**60)
    for number in range(freezing.shards):
        freeze.freeze_shard(segment.pk, number)
    freeze.complete_freeze(freezing.freeze)
    fresh = Segment.objects.get(pk=segment.pk)
    assert not may_spoil(fresh)
    segment.draws.update(attempts=1)
    with pytest.raises(ActionRefused, match="needs a reason"):
        spoil_by_hand(segment.pk, actor=OPERATOR, reason=" ")
    assert spoil_by_hand(segment.pk, actor=OPERATOR, reason="the disk is gone").phase == Phase.SPOILED
    told = LedgerEntry.objects.get(show=show, action="spoil")
    assert (told.actor, told.reason) == (OPERATOR, "the disk is gone")
