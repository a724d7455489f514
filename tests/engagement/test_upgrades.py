"""What an older version has written is made into what this one reads."""

from importlib import import_module

import msgspec
import pytest
from django.apps import apps

from engagement.core.messages import Result
from engagement.core.phases import Phase
from engagement.core.show_state import Position
from engagement.models import Segment
from engagement.tasks import conduct
from tests.cast import PRIZE, armed_segment, make_result, make_show, make_winner, state_in_redis

pytestmark = pytest.mark.django_db(transaction=True)
names_prizes = import_module("engagement.migrations.0012_results_that_name_prizes")


def as_before(result: Result) -> dict[str, object]:
    """With all winners, and with each of them the prize."""
    prize = msgspec.to_builtins(PRIZE)
    told = {**msgspec.to_builtins(result)}
    for later in ("prizes", "winners_total", "winners_url"):
        del told[later]
    return {**told, "winners": [{**winner, "prize": prize} for winner in told["winners"]]}


def test_results_of_old_nights_name_prizes_by_id_and_list_the_first_winners() -> None:
    segment = armed_segment(make_show())
    winners = [make_winner(f"{number:028x}", status="claimed") for number in range(25)]
    new = make_result(segment.pk, *winners[:20], winners_total=25, winners_url="/api/draws/5/winners")
    over = {"phase": Phase.PUBLISHED, "opens_at": "2024-01-01T20:00Z", "closes_at": "2024-01-01T20:00Z"}
    old = as_before(make_result(segment.pk, *winners))
    Segment.objects.filter(pk=segment.pk).update(announced_results=[old], **over)
    names_prizes.name_prizes(apps, None)
    names_prizes.name_prizes(apps, None)  # what is new already stays as it is
    conduct()
    state = state_in_redis(segment.show)
    segment.show.refresh_from_db()
    assert state.results == [new]
    assert state.position == Position(segment.show.epoch, segment.show.seq, 1)
