"""What an older version has written is made into what this one reads."""

from datetime import UTC, datetime
from importlib import import_module

import msgspec
import pytest
from django.apps import apps

from engagement.actions import describe_show
from engagement.clock import to_ms
from engagement.core.messages import Result
from engagement.core.phases import Phase
from engagement.core.show_state import Position
from engagement.models import Segment
from engagement.tasks import conduct
from prizes.models import Win
from tests.cast import PRIZE, armed_segment, make_result, make_show, make_winner, state_in_redis
from tests.guards import without_guards
from tests.prizes.published import make_draw, own_folder  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
names_prizes = import_module("engagement.migrations.0012_results_that_name_prizes")
dates_phases = import_module("engagement.migrations.0021_cues_and_naming")
gives_names = import_module("prizes.migrations.0015_names_of_winners")


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


def test_winners_of_old_nights_keep_the_names_that_were_told_and_each_is_one_persons() -> None:
    show = make_draw().draw.show
    wins = list(Win.objects.filter(show=show).order_by("pk"))
    assert len(wins) > 1
    for _ in range(2):  # run twice, it finds what is there
        with without_guards():  # they come after every migration
            gives_names.name_winners(apps, None)
        told = dict(Win.objects.filter(show=show).values_list("pseudonym", "name"))
        assert told == {win.pseudonym: gives_names.told_name(win.pseudonym) for win in wins}
    assert gives_names.told_name("7d2b9ad16a51a6099939d32fb499") == "Ruby Comet 7d2b"


def test_segments_and_results_of_old_nights_are_dated_and_shown_when_they_were() -> None:
    segment = armed_segment(make_show())
    old = msgspec.to_builtins(make_result(segment.pk, make_winner("ab" * 14)))
    del old["shown_at"]
    over = {"phase": Phase.PUBLISHED, "opens_at": "2024-01-01T20:00Z", "closes_at": "2024-01-01T20:00Z"}
    told = {"announced_results": [old], "published_at": "2024-01-01T20:05Z", "phase_at": None}
    Segment.objects.filter(pk=segment.pk).update(**over, **told)
    dates_phases.date_phases(apps, None)
    dates_phases.show_results(apps, None)
    state = describe_show(segment.show)
    assert [row.phase_at for row in state.segments] == [to_ms(datetime(2024, 1, 1, 20, 5, tzinfo=UTC))]
    assert (
        [row.shown_at for row in state.results]
        == [row.published_at for row in state.results]
        == [old["published_at"]]
    )
