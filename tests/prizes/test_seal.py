"""The seal: made once, in time, and of what was promised."""

from collections.abc import Callable
from typing import Any

import pytest

from engagement.actions import ActionRefused, void_segment
from engagement.core.phases import Phase
from engagement.models import Show
from prizes import freeze, seal, tasks
from prizes.models import Draw, Freeze, PrizeList, Win
from tests.cast import (
    OPERATOR,
    add_prize,
    arm,
    armed_segment,
    make_segment,
    make_show,
    put_on_air,
)
from tests.guards import without_guards
from tests.prizes.steps import ended

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def show() -> Show:
    return make_show(draws_per_minute=60)


def test_nothing_is_sealed_before_the_grace_has_ended(show: Show) -> None:
    segment = put_on_air(armed_segment(show), opened_ms_ago=20_000, left_ms=5_000, phase=Phase.CLOSING)
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    assert not Freeze.objects.exists()


def test_after_the_seal_nothing_can_be_called_off(show: Show) -> None:
    segment = ended(armed_segment(show))
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    with pytest.raises(ActionRefused, match="after the seal"):
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
    assert not draw.seal and "Broken" in draw.trouble
    assert (
        void_segment(segment.pk, actor=OPERATOR, reason="somebody touched the database").phase == Phase.VOID
    )


def test_two_draws_are_sealed_together_or_not_at_all(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = make_segment(show, prizes=1)
    add_prize(PrizeList.objects.create(segment=segment, number=2, reserves=0))
    segment = ended(arm(segment))
    original, calls = seal.build_seal, []
    monkeypatch.setattr(
        seal, "build_seal", lambda *args: calls.append(1) or (original(*args) if len(calls) < 2 else 1 / 0)
    )
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    assert len(calls) == 2 and not segment.draws.exclude(seal="").exists()
    void_segment(segment.pk, actor=OPERATOR, reason="the seal fails")
    monkeypatch.setattr(seal, "build_seal", original)
    Draw.objects.update(attempts=0)
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    tasks.conduct_draws()
    assert not Win.objects.exists() and not segment.draws.exclude(seal="").exists()
