"""The conductor's half on the draw side, and the steps as tasks. Every task may run twice, late, or be killed.

What is due is read from the database once a second; a lost message or a killed worker costs a few seconds, no more.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import shared_task
from django.core.cache import cache
from django.db import OperationalError
from django.db.models import F
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from engagement.actions import ActionRefused
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.ledger import SYSTEM
from engagement.models import Segment
from engagement.tally import TallyLost
from prizes import actions, claims, draw, freeze, seal
from prizes.draw import MAX_ATTEMPTS
from prizes.models import Beacon, Draw

log = logging.getLogger(__name__)

# A server or a disk is away for the moment.
AWAY = (RedisError, OperationalError, BrokerError, ConnectionError, TimeoutError, BlockingIOError)

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
    _conduct_sealed(now)
    for segment in Segment.objects.filter(phase=Phase.DRAWN, publish_at_once=True):
        dispatch(publish_segment, segment.pk)
    claims.settle_due(now)


def _conduct_sealed(now: int) -> None:
    due = Draw.objects.filter(
        segment__phase=Phase.SEALED,
        step__in=[Draw.Step.SEALED, Draw.Step.DRAWING],
        attempts__lt=MAX_ATTEMPTS,
        disagreement="",
    )
    for row in due.select_related("segment__freeze", "show", "prize_list"):
        if row.beacon_kind == Beacon.DRAND and not row.beacon_value:
            if now >= actions.beacon_due_at(row):
                dispatch(fetch_beacon, row.pk)
        elif row.step == Draw.Step.DRAWING or draw.may_start(row, now):
            dispatch(run_draw, row.pk)


# --- the queue ---


def dispatch(task: Any, *args: int) -> None:
    """Queues a step unless it is in the queue; the mark only keeps the queue short, twice does no harm."""
    if cache.add(_mark(task, args), 1, timeout=DISPATCH_S):
        task.delay(*args)


def _mark(task: Any, args: tuple[int, ...]) -> str:
    return f"dispatched:{task.name}:{args}"


@contextmanager
def dispatched(task: Any, *args: int) -> Iterator[None]:
    """The body of a dispatched step: while it runs, nobody queues it again; however it ends, the next second may."""
    mark, ended = _mark(task, args), threading.Event()
    keeper = threading.Thread(target=_keep_mark, args=(mark, ended), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        with suppress(RedisError, OSError):
            cache.delete(mark)


def _keep_mark(mark: str, ended: threading.Event) -> None:
    """A roll of millions takes longer than the mark lasts; a worker that is killed stops renewing it."""
    while not ended.wait(DISPATCH_S / 3):
        with suppress(RedisError, OSError):
            cache.set(mark, 1, timeout=DISPATCH_S)


# --- steps ---


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
            shard = freeze.freeze_shard(segment_id, number)
        except TallyLost as reason:
            log.warning("%s", reason)  # the conductor has it fenced again
            return
    if not freeze.missing_shards(shard.freeze):
        seal_segment.delay(segment_id)


@shared_task
def fetch_beacon(draw_id: int) -> None:
    """Asks once for the round of drand that a sealed draw waits for; the conductor asks again in a second."""
    with dispatched(fetch_beacon, draw_id):
        attempt([draw_id], lambda: actions.take_drand_beacon(draw_id, now_ms()))


@shared_task
def rank_part(draw_id: int, number: int) -> None:
    """Ranks one part of a roll; the last one goes on with the draw."""
    with dispatched(rank_part, draw_id, number):
        attempt([draw_id], lambda: draw.rank_part(draw_id, number))
    if not draw.missing_parts(Draw.objects.get(pk=draw_id)):
        run_draw.delay(draw_id)


@shared_task
def run_draw(draw_id: int) -> None:
    """Draws, has the second implementation check it, and writes the record and the winners."""
    with dispatched(run_draw, draw_id):
        attempt(
            [draw_id],
            lambda: draw.run_draw(draw_id, lambda number: dispatch(rank_part, draw_id, number)),
        )


@shared_task
def publish_segment(segment_id: int) -> None:
    """Publishes where the rundown says: at once."""
    with dispatched(publish_segment, segment_id):
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
    tally = freeze.close_tally(segment, now_ms())
    for number in freeze.missing_shards(tally):
        start_shard(number)
    if not freeze.missing_shards(tally):
        freeze.complete_freeze(tally)
        seal.seal_segment(segment.pk)


def attempt(draws: list[int], step: Callable[[], object]) -> None:
    """Runs a step; a fault of its own is counted and shown, after three the step waits for an operator."""
    rows = Draw.objects.filter(pk__in=draws)
    if not rows.filter(attempts__lt=MAX_ATTEMPTS).exists():
        return
    try:
        step()
    except (freeze.Waiting, TallyLost) as reason:
        rows.filter(attempts=0).update(trouble=str(reason))
        log.info("%s", reason)
    except AWAY as error:
        rows.update(
            trouble=f"will be tried again: {error}"
        )  # a server is away: that is nobody's third strike
        log.warning("draws %s: %s", draws, error)
    except draw.Disagreement as reason:
        log.error("draws %s are stopped: %s", draws, reason)
    except Exception as error:  # FileNotFoundError, too: a file that is lost does not come back by itself
        rows.update(attempts=F("attempts") + 1, trouble=f"{type(error).__name__}: {error}")
        # A draw that gives up makes way for the others of its show.
        rows.filter(attempts__gte=MAX_ATTEMPTS, step=Draw.Step.DRAWING).update(step=Draw.Step.SEALED)
        log.exception("draws %s", draws)
