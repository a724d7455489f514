"""The seal: made once, in time, and of what was promised."""

from collections.abc import Callable
from typing import Any

import pytest

from engagement.actions import ActionRefused
from engagement.clock import now_ms
from engagement.core.digests import commit, parse_canonical
from engagement.core.phases import Phase
from engagement.models import LedgerEntry, Segment, Show
from prizes import tasks
from prizes.audit import audit_draw
from prizes.core.record import build_seal
from prizes.files import fetch, record_name
from prizes.models import Draw, Freeze, Party, PrizeList, Win
from prizes.parties import commit_party, draw_id_of, reveal_secret
from prizes.steps import draw as drawing
from prizes.steps import freeze, seal
from prizes.steps.spoil import spoil_by_hand
from prizes.steps.void import void_segment
from tests.cast import (
    OPERATOR,
    add_prize,
    arm,
    armed_segment,
    make_segment,
    put_on_air,
)
from tests.clock import Clock
from tests.guards import without_guards
from tests.prizes import nights
from tests.prizes.pipeline import ended

pytestmark = pytest.mark.django_db(transaction=True)


def test_nothing_is_sealed_before_the_grace_has_ended(show: Show) -> None:
    segment = put_on_air(armed_segment(show), opened_ms_ago=20_000, left_ms=5_000, phase=Phase.CLOSING)
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    assert not Freeze.objects.exists()


def test_after_the_seal_nothing_can_be_called_off(show: Show) -> None:
    segment = nights.sealed(show)
    with pytest.raises(ActionRefused, match="after the freeze"):
        void_segment(segment.pk, actor=OPERATOR, reason="changed our minds")


def bend_rules(draw: Draw) -> dict[str, str]:
    return {"rules": draw.rules.replace('"tickets":[[1,1]', '"tickets":[[2,1]')}


def bend_exclusions(draw: Draw) -> dict[str, Any]:
    return {"excluded": [bytes([5, 1]).hex() + "00" * 12]}


def bend_secret(draw: Draw) -> dict[str, str]:
    from engagement.vault import lock_secret

    return {"house_secret": lock_secret(bytes(32))}


@pytest.mark.parametrize("bend", [bend_rules, bend_exclusions, bend_secret])
def test_what_was_promised_is_checked_before_the_seal_while_it_can_be_called_off(
    show: Show, bend: Callable[[Draw], dict[str, Any]]
) -> None:
    segment = armed_segment(show)
    changes = bend(segment.draws.get())
    assert changes != {"rules": segment.draws.get().rules}
    with without_guards():
        segment.draws.update(**changes)
    segment = ended(segment)
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    draw = segment.draws.get()
    assert not draw.seal and "Try 1 of 3" in draw.trouble
    with pytest.raises(ActionRefused, match="after the freeze"):
        void_segment(segment.pk, actor=OPERATOR, reason="somebody touched the database")
    spoiled = spoil_by_hand(segment.pk, actor=OPERATOR, reason="somebody touched the database")
    assert spoiled.phase == Phase.SPOILED


def test_two_draws_are_sealed_together_or_not_at_all(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = make_segment(show, prizes=1)
    add_prize(PrizeList.objects.create(segment=segment, number=2, reserves=0, beacon="local"))
    segment = ended(arm(segment))
    calls: list[Any] = []

    def fail_the_second_time(*args: Any) -> Any:
        calls.append(args)
        return build_seal(*args) if len(calls) < 2 else 1 / 0

    monkeypatch.setattr(seal, "build_seal", fail_the_second_time)
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    assert len(calls) == 2 and not segment.draws.exclude(seal="").exists()
    spoil_by_hand(segment.pk, actor=OPERATOR, reason="the seal fails")
    monkeypatch.setattr(seal, "build_seal", build_seal)
    Draw.objects.update(attempts=0)
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    tasks.conduct_draws()
    assert not Win.objects.exists() and not segment.draws.exclude(seal="").exists()


# --- parties beside the house ---

SECRET = bytes(range(32))


def armed_with_notary(show: Show, **fields: Any) -> Segment:
    party = Party.objects.create(show=show, name="notary", title="Notary")
    segment = make_segment(show, **fields)
    prize_list = segment.prize_lists.get()
    promised = commit(draw_id_of(prize_list), "notary", SECRET).hex()
    commit_party(prize_list, party, promised, actor="notary")
    return arm(segment)


def freeze_and_seal(segment: Segment) -> Draw:
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    return Draw.objects.select_related("segment__freeze").get(segment=segment)


def test_the_seal_waits_for_a_party_and_is_made_when_it_has_revealed(show: Show) -> None:
    draw = freeze_and_seal(ended(armed_with_notary(show)))
    assert not draw.seal and "waiting for the secrets of notary" in draw.trouble
    reveal_secret(draw.pk, "notary", SECRET, actor="notary")
    draw = freeze_and_seal(draw.segment)
    assert draw.seal
    record = parse_canonical(run_record(draw))
    assert record["reveals"]["notary"]["secret"] == SECRET.hex()


def run_record(draw: Draw) -> bytes:
    assert drawing.run_draw(draw.pk).step == Draw.Step.DRAWN
    return fetch(record_name(draw.key)).read_bytes()


def test_a_party_that_is_absent_at_the_deadline_contributes_nothing(show: Show, clock: Clock) -> None:
    clock.set(1_800_000_000_000)
    draw = freeze_and_seal(ended(armed_with_notary(show)))
    clock.move(46_000)
    assert freeze_and_seal(draw.segment).seal
    with pytest.raises(ActionRefused, match="too late"):
        reveal_secret(draw.pk, "notary", SECRET, actor="notary")
    record = parse_canonical(run_record(draw))
    assert record["reveals"]["notary"] == {"secret": "", "time": 0, "ledger": 0}
    assert [check for check in audit_draw(Draw.objects.get(pk=draw.pk)) if not check.ok] == []


def test_what_gets_no_seal_before_its_round_is_spoiled(show: Show, clock: Clock) -> None:
    clock.set(1_800_000_000_000)
    draw = freeze_and_seal(ended(armed_with_notary(show, beacon="drand")))
    clock.move(64_000)
    draw = freeze_and_seal(draw.segment)
    assert (draw.seal, draw.step, draw.segment.phase) == ("", Draw.Step.SPOILED, Phase.SPOILED)
    told = LedgerEntry.objects.get(show=show, action="spoil")
    assert "was due before there was a seal" in told.reason and draw.draw_id in told.details


def test_a_web_server_whose_clock_is_ahead_does_not_spoil_the_record(show: Show, clock: Clock) -> None:
    clock.set(1_800_000_000_000)
    draw = freeze_and_seal(ended(armed_with_notary(show)))
    clock.move(900)
    reveal_secret(draw.pk, "notary", SECRET, actor="notary")  # there
    clock.move(-800)
    draw = freeze_and_seal(draw.segment)  # here
    assert draw.seal
    run_record(draw)


def test_the_shortest_margin_leaves_the_house_in_time(show: Show, clock: Clock) -> None:
    clock.set(1_800_000_000_999)
    segment = make_segment(show)
    segment.prize_lists.update(seal_margin_s=16, reveal_deadline_s=15)
    run_record(freeze_and_seal(ended(arm(segment))))


def test_a_freeze_that_the_ledger_tells_otherwise_is_not_sealed(show: Show) -> None:
    segment = nights.ended(show)
    fenced = freeze.close_tally(segment, now_ms())
    for number in freeze.missing_shards(fenced):
        freeze.freeze_shard(segment.pk, number)
    freeze.complete_freeze(fenced)
    assert fenced.frozen_at_ms is not None
    with without_guards():
        Freeze.objects.update(frozen_at_ms=fenced.frozen_at_ms + 5_000)
    draw = freeze_and_seal(segment)
    assert not draw.seal and "not when the ledger says" in draw.trouble
