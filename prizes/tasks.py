"""The conductor's half on the draw side, and the steps as tasks. Every task may run twice, late, or be killed.

What is due is read from the database once a second; a lost message or a killed worker costs a few seconds, no more.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import shared_task
from django.core.cache import cache
from django.db.models import Exists, OuterRef, Q
from redis.exceptions import RedisError

from engagement.actions import Conflict
from engagement.clock import from_ms, now_ms
from engagement.core.phases import Phase
from engagement.ledger.append import SYSTEM
from engagement.models import Segment
from engagement.restores import trouble
from prizes.attempts import DRAW, PUBLISH, SETTLE, attempt, counted, tries_of
from prizes.models import MAX_ATTEMPTS, Beacon, Draw
from prizes.stampers import ask_stampers
from prizes.steps.beacon import beacon_due_at, take_drand_beacon
from prizes.steps.claims import find_due, settle_draw
from prizes.steps.draw import before, has_stopped, may_start, missing_parts, rank_part, run_draw
from prizes.steps.freeze import close_tally, complete_freeze, freeze_shard, missing_shards
from prizes.steps.publish import publish_segment
from prizes.steps.seal import seal_segment
from prizes.steps.spoil import late_reason, spoil_segment
from prizes.witnesses import ask_witnesses

# A step that was queued and never ended (a killed worker, a lost message) is queued again after that.
DISPATCH_S = 3
PUBLISH_LEAD_MS = 30_000  # so long before the promised time what nobody has published is published
CONDUCTED_AT_ONCE = 40  # segments, and draws, in a second


@shared_task
def conduct_draws() -> None:
    """Starts every step that is due. It looks at what is under way, however much is over."""
    if trouble():
        return  # everything waits for a person
    now = now_ms()
    for segment in _going(phase=Phase.CLOSING, closes_at__lte=from_ms(now)):
        if now >= segment.air_time.grace_ends_at:
            dispatch(seal_task, segment.pk)
    for segment_id in _find_late(now):
        dispatch(spoil_task, segment_id)
    _conduct_sealed(now)
    for segment in _going(phase=Phase.DRAWN, publish_at_once=True, show__publish_by_two=False):
        dispatch(publish_task, segment.pk)
    # Nobody withholds a result: it is public in the time that the rules promise.
    overdue = Draw.objects.filter(
        step=Draw.Step.DRAWN,
        segment__phase=Phase.DRAWN,
        publish_by_ms__lte=now + PUBLISH_LEAD_MS,
        attempts__lt=MAX_ATTEMPTS,
    )
    for segment_id in overdue.order_by("publish_by_ms").values_list("segment", flat=True)[:CONDUCTED_AT_ONCE]:
        dispatch(publish_task, segment_id)
    for draw_id in find_due(now):
        dispatch(settle_task, draw_id)


@shared_task
def conduct_witnesses() -> None:
    """Has the newest checkpoints cosigned."""
    if not trouble():
        ask_witnesses()


@shared_task
def conduct_stampers() -> None:
    """Has the seals stamped with the time."""
    if not trouble():
        ask_stampers()


def _going(**which: Any) -> list[Segment]:
    """Segments whose draws have not given up, the newest first."""
    trying = Draw.objects.filter(segment=OuterRef("pk"), attempts__lt=MAX_ATTEMPTS)
    going = Segment.objects.filter(Exists(trying), **which).order_by("-pk")
    return list(going.select_related("show").prefetch_related("show__feeds")[:CONDUCTED_AT_ONCE])


def _find_late(now: int) -> list[int]:
    """Frozen segments that were not sealed before their round; also those whose seal has given up."""
    frozen = Draw.objects.filter(
        step=Draw.Step.COMMITTED, segment__phase=Phase.CLOSING, segment__freeze__frozen_at_ms__isnull=False
    )
    draws = frozen.select_related("segment__freeze").order_by("-pk")[:CONDUCTED_AT_ONCE]
    return list(dict.fromkeys(draw.segment_id for draw in draws if late_reason(draw, now)))


def _conduct_sealed(now: int) -> None:
    """What waits for people (dice, an operator) is left out: nights that nobody has ended wait for ever.

    The newest show first; of a show the draw that was sealed first, for which all others wait.
    """
    asked = Q(prize_list__draw_at_once=True) | Q(requested_at__isnull=False)
    drand, dice = (
        Q(beacon_value="", rules__contains=f'"kind":"{kind}"') for kind in (Beacon.DRAND, Beacon.DICE)
    )
    unfinished = Draw.objects.filter(step__in=[Draw.Step.SEALED, Draw.Step.DRAWING])
    due = unfinished.filter((asked & ~dice) | drand, attempts__lt=MAX_ATTEMPTS, disagreement="")
    in_turn = due.select_related("segment__freeze", "show", "prize_list").order_by(
        "-show_id", "sealed_ledger"
    )
    for row in in_turn[:CONDUCTED_AT_ONCE]:
        with counted([row.pk], row.attempts, then=DRAW):  # one that cannot be read does not stop the others
            _conduct_draw(row, now)


def _conduct_draw(row: Draw, now: int) -> None:
    if row.beacon_kind == Beacon.DRAND and not row.beacon_value:
        if now >= beacon_due_at(row):
            dispatch(beacon_task, row.pk)
    elif row.step == Draw.Step.DRAWING or may_start(row, now):
        dispatch(draw_task, row.pk)
    elif (first := before(row)) is not None and has_stopped(first):
        trouble = f"Waits for {first}, whose winners are passed over in this draw, and which has stopped."
        Draw.objects.filter(pk=row.pk).exclude(trouble=trouble).update(trouble=trouble)


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
def seal_task(segment_id: int) -> None:
    """Barrier, freeze and seal, as far as they go now; shards are frozen by tasks of their own, which return here."""
    with dispatched(seal_task, segment_id):
        tried = tries_of(_draws_of(segment_id)) or 0
        advance_seal(segment_id, lambda number: dispatch(freeze_task, segment_id, number, tried))


@shared_task
def freeze_task(segment_id: int, number: int, tried: int) -> None:
    """Freezes one shard; the last one goes on with the seal."""

    def step() -> None:
        if not missing_shards(freeze_shard(segment_id, number).freeze):
            seal_task.delay(segment_id)

    with dispatched(freeze_task, segment_id, number, tried):
        attempt(_draws_of(segment_id), step, then=DRAW, tried=tried)


@shared_task
def beacon_task(draw_id: int) -> None:
    """Asks once for the round of drand that a sealed draw waits for; the conductor asks again in a second."""
    with dispatched(beacon_task, draw_id):
        attempt([draw_id], lambda: take_drand_beacon(draw_id, now_ms()), then=DRAW)


@shared_task
def rank_task(draw_id: int, number: int, tried: int) -> None:
    """Ranks one part of a roll; the last one goes on with the draw."""

    def step() -> None:
        rank_part(draw_id, number)
        if not missing_parts(Draw.objects.get(pk=draw_id)):
            draw_task.delay(draw_id)

    with dispatched(rank_task, draw_id, number, tried):
        attempt([draw_id], step, then=DRAW, tried=tried)


@shared_task
def draw_task(draw_id: int) -> None:
    """Draws, has the second implementation check it, and writes the record and the winners."""

    def step() -> None:
        tried = tries_of([draw_id]) or 0
        run_draw(draw_id, lambda number: dispatch(rank_task, draw_id, number, tried))

    with dispatched(draw_task, draw_id):
        attempt([draw_id], step, then=DRAW)


@shared_task
def spoil_task(segment_id: int) -> None:
    """Ends what got no seal before its round."""
    with dispatched(spoil_task, segment_id):
        segment = Segment.objects.get(pk=segment_id)
        late = [late_reason(draw, now_ms()) for draw in segment.draws.select_related("segment__freeze")]
        if why := next(filter(None, late), ""):
            with suppress(Conflict):  # the seal was faster, or the same step ran twice
                spoil_segment(segment_id, why)


@shared_task
def publish_task(segment_id: int) -> None:
    """Publishes where the rundown says: at once."""
    with dispatched(publish_task, segment_id):
        draws = _draws_of(segment_id)
        attempt(draws, lambda: publish_segment(segment_id, actor=SYSTEM), then=PUBLISH)


@shared_task
def settle_task(draw_id: int) -> None:
    """Forfeits what was not claimed in time, and lets reserves move up."""
    with dispatched(settle_task, draw_id):
        attempt([draw_id], lambda: settle_draw(draw_id, now=now_ms()), then=SETTLE)


def advance_seal(segment_id: int, start_shard: Callable[[int], object]) -> None:
    """From `closing` to `sealed`, as far as it goes now."""
    segment = Segment.objects.select_related("show").get(pk=segment_id)
    if segment.phase == Phase.CLOSING and now_ms() >= segment.air_time.grace_ends_at:
        attempt(_draws_of(segment_id), lambda: _seal(segment, start_shard), then=DRAW)


def _seal(segment: Segment, start_shard: Callable[[int], object]) -> None:
    freeze = close_tally(segment, now_ms())
    for number in missing_shards(freeze):
        start_shard(number)
    if not missing_shards(freeze):
        complete_freeze(freeze)
        seal_segment(segment.pk)


def _draws_of(segment_id: int) -> list[int]:
    return list(Draw.objects.filter(segment=segment_id).values_list("pk", flat=True))
