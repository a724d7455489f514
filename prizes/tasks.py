"""The conductor's half on the draw side, and the steps as tasks. Every task may run twice, late, or be killed.

What is due is read from the database once a second; a lost message or a killed worker costs a few seconds, no more.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import shared_task
from django.core.cache import cache
from django.db import OperationalError
from django.db.models import F
from redis.exceptions import RedisError

from engagement.actions import ActionRefused
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.ledger import SYSTEM
from engagement.models import Segment
from engagement.tally import TallyLost
from prizes import actions, steps
from prizes.models import Draw

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
DISPATCH_S = (
    3  # a step that was queued and never ended (a killed worker, a lost message) is queued again after that
)


@shared_task
def conduct_draws() -> None:
    """Starts every step that is due."""
    now = now_ms()
    for segment in Segment.objects.filter(phase=Phase.CLOSING).select_related("show"):
        if now >= segment.air_time.grace_ends_at:
            dispatch(seal_segment, segment.pk)
    due = Draw.objects.filter(
        segment__phase=Phase.SEALED, step__in=[Draw.Step.SEALED, Draw.Step.DRAWING], attempts__lt=MAX_ATTEMPTS
    )
    for draw in due.select_related("segment", "show", "prize_list"):
        if draw.step == Draw.Step.DRAWING or steps.may_start(draw, now):
            dispatch(run_draw, draw.pk)
    for segment in Segment.objects.filter(phase=Phase.DRAWN, publish_at_once=True):
        dispatch(publish_segment, segment.pk)


def dispatch(task: Any, *args: int) -> None:
    """Queues a step unless it is in the queue; the mark only keeps the queue short, twice does no harm."""
    if cache.add(_mark(task, args), 1, timeout=DISPATCH_S):
        task.delay(*args)


def _mark(task: Any, args: tuple[int, ...]) -> str:
    return f"dispatched:{task.name}:{args}"


@contextmanager
def dispatched(task: Any, *args: int) -> Iterator[None]:
    """The body of a dispatched step: however it ends, the next second may queue it again."""
    try:
        yield
    finally:
        with suppress(RedisError, OSError):
            cache.delete(_mark(task, args))


@shared_task
def seal_segment(segment_id: int) -> None:
    """Barrier, freeze and seal, as far as they go now; shards are frozen by tasks of their own, which return here."""
    with dispatched(seal_segment, segment_id):
        advance_seal(segment_id, lambda number: dispatch(freeze_shard, segment_id, number))


@shared_task
def freeze_shard(segment_id: int, number: int) -> None:
    """Freezes one shard; the last one goes on with the seal."""
    with dispatched(freeze_shard, segment_id, number):
        try:
            shard = steps.freeze_shard(segment_id, number)
        except TallyLost as reason:
            log.warning("%s", reason)  # the conductor has it fenced again
            return
    if not steps.missing_shards(shard.freeze):
        seal_segment.delay(segment_id)


@shared_task
def run_draw(draw_id: int) -> None:
    """Draws, has the second implementation check it, and writes the record and the winners."""
    with dispatched(run_draw, draw_id):
        attempt([draw_id], lambda: steps.run_draw(draw_id))


@shared_task
def publish_segment(segment_id: int) -> None:
    """Publishes where the rundown says: at once."""
    try:
        actions.publish_segment(segment_id, actor=SYSTEM)
    except ActionRefused as refusal:
        log.info("segment %s: %s", segment_id, refusal)  # the same step ran twice


def advance_seal(segment_id: int, start_shard: Callable[[int], object]) -> None:
    """From `closing` to `sealed`, as far as it goes now."""
    segment = Segment.objects.select_related("show").get(pk=segment_id)
    if segment.phase == Phase.CLOSING and now_ms() >= segment.air_time.grace_ends_at:
        draws = list(segment.draws.values_list("pk", flat=True))
        attempt(draws, lambda: _seal(segment, start_shard))


def _seal(segment: Segment, start_shard: Callable[[int], object]) -> None:
    freeze = steps.close_tally(segment, now_ms())
    for number in steps.missing_shards(freeze):
        start_shard(number)
    if not steps.missing_shards(freeze):
        steps.complete_freeze(freeze, now_ms())
        steps.seal_segment(segment.pk, now_ms())


def attempt(draws: list[int], step: Callable[[], object]) -> None:
    """Runs a step; a fault of its own is counted and shown, after three the step waits for an operator."""
    rows = Draw.objects.filter(pk__in=draws)
    if not rows.filter(attempts__lt=MAX_ATTEMPTS).exists():
        return
    try:
        step()
    except (steps.Waiting, TallyLost) as reason:
        rows.filter(attempts=0).update(trouble=str(reason))
        log.info("%s", reason)
    except (RedisError, OperationalError, OSError) as error:
        rows.update(
            trouble=f"will be tried again: {error}"
        )  # a server is away: that is nobody's third strike
        log.warning("draws %s: %s", draws, error)
    except Exception as error:
        rows.update(attempts=F("attempts") + 1, trouble=f"{type(error).__name__}: {error}")
        # A draw that gives up makes way for the others of its show.
        rows.filter(attempts__gte=MAX_ATTEMPTS, step=Draw.Step.DRAWING).update(step=Draw.Step.SEALED)
        log.exception("draws %s", draws)
