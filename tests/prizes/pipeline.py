"""Segments whose steps are run in the test's own process, and killed there."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import transaction

from engagement import tally
from engagement.core.phases import Phase
from engagement.keys import own
from engagement.models import LedgerEntry, Segment, Show
from prizes import tasks
from prizes.models import Draw
from prizes.steps import draw as drawing
from prizes.steps import freeze, review, seal
from tests.cast import (
    armed_segment,
    put_on_air,
)

VIEWERS = {bytes([number * 5 % 256, number]) + bytes(12): number * 3 % 160 for number in range(1, 100)}


_gateways = itertools.count(1)


class Killed(BaseException):
    """What kill -9 looks like from the inside: nothing catches it."""


def write_tally(segment: Segment, totals: dict[bytes, int]) -> None:
    """As a gateway does that has counted all of this."""
    stuff_tally(segment, totals)
    row = {"viewers": len(totals), "shakes": sum(totals.values()), "unsure": 0, "reports": 0, "clamped": 0}
    tally.connect().hset(own(f"live:{segment.key}"), f"gateway-{next(_gateways)}", json.dumps(row))


def stuff_tally(segment: Segment, totals: dict[bytes, int]) -> None:
    """As somebody does who can write into Redis; no gateway has counted it."""
    redis = tally.connect()
    for viewer, total in totals.items():
        redis.zadd(own(f"tally:{segment.key}:{tally.shard_of(viewer, segment.shards)}"), {viewer: total})


def ended(segment: Segment, totals: dict[bytes, int] | None = None) -> Segment:
    """A segment whose window and grace are over, with these totals in the tally."""
    segment = put_on_air(segment, opened_ms_ago=35_000, left_ms=-15_000, phase=Phase.CLOSING)
    write_tally(segment, VIEWERS if totals is None else totals)
    return segment


def run_all(segment: Segment) -> Draw:
    """Every step in this process, as `segment draw --here` does it."""
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    for draw in segment.draws.all():
        drawing.run_draw(draw.pk)
    segment.refresh_from_db()
    return segment.draws.earliest("prize_list__number")


def actions_of(segment: Segment) -> list[str]:
    entries = LedgerEntry.objects.filter(show=segment.show_id).order_by("position")
    return [entry.action for entry in entries if f'"segment":{segment.pk}' in entry.details]


def sealed(show: Show, **fields: Any) -> Segment:
    segment = ended(armed_segment(show, **fields))
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    return Segment.objects.select_related("show").get(pk=segment.pk)


def is_stopped(segment: Segment, why: str) -> bool:
    """Whether the draw refuses to go on, and says why."""
    draw = segment.draws.get()
    for _ in range(3):
        tasks.draw_task(draw.pk)
    draw.refresh_from_db()
    return draw.step == Draw.Step.SEALED and why in draw.disagreement and not draw.wins.exists()


@contextmanager
def rolled_back() -> Iterator[None]:
    """What is done here stays done in Redis and in files, but not in the database: as if that was restored."""
    with suppress(Killed), transaction.atomic():
        yield
        raise Killed


def kill_at(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The process dies at the entry of this function, once."""
    homes = [module for module in (freeze, review, seal, drawing, tasks) if hasattr(module, where)]
    originals = [getattr(module, where) for module in homes]

    def die(*args: object, **kwargs: object) -> None:
        for module, original in zip(homes, originals, strict=True):
            monkeypatch.setattr(module, where, original)
        raise Killed(where)

    for module in homes:
        monkeypatch.setattr(module, where, die)
