"""The one place in which a step of a draw may fail: what fails is counted and told, and nothing else stops for it.

A step that fails for a reason of its own is tried three times; then it waits for a person, and the control room says
why. A server that is away is nobody's strike: the step is tried until it is back. A full disk is one: it does not get
empty by itself.
"""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import OperationalError
from django.db.models import Max
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

from engagement.actions import ActionRefused, Conflict, DatabaseRestored
from engagement.clock import now_ms
from engagement.languages import say
from engagement.tally import TallyLost
from prizes.models import MAX_ATTEMPTS, Disposition, Draw
from prizes.steps.claims import settle_draw
from prizes.steps.draw import Disagreement
from prizes.steps.freeze import Broken, Waiting

log = logging.getLogger(__name__)

AWAY = (RedisError, OperationalError, BrokerError, ConnectionError, TimeoutError, BlockingIOError)
FULL = (errno.ENOSPC, errno.EDQUOT)
# What a person does when a step has given up.
DRAW, PUBLISH, SETTLE = "press Draw", "press Publish", "press Settle on the page of claims"


def tries_of(draws: list[int]) -> int | None:
    """How often the next step of these draws has failed; None where that was too often, or there are none."""
    tried: int | None = Draw.objects.filter(pk__in=draws).aggregate(most=Max("attempts"))["most"]
    return tried if tried is not None and tried < MAX_ATTEMPTS else None


def attempt(draws: list[int], step: Callable[[], object], *, then: str, tried: int | None = None) -> None:
    """Runs a step of these draws unless it has given up; `then` is what a person does in that case.

    Tasks that work on one step at the same time are told how often it had failed when they were queued (`tried`): of
    those, one failure counts, and the rest of them is left to the next try.
    """
    found = tries_of(draws)
    if found is not None and tried in (None, found):
        with counted(draws, found, then=then):
            step()


@contextmanager
def counted(draws: list[int], tried: int, *, then: str) -> Iterator[None]:
    """Whatever its body raises ends here: written down for the control room, and counted where it is a strike."""
    rows = Draw.objects.filter(pk__in=draws)
    try:
        yield
    except (Waiting, TallyLost, DatabaseRestored) as reason:
        rows.filter(attempts=0).update(trouble=str(reason))
        log.info("%s", reason)
    except Conflict as reason:  # the same step ran twice, or a person was faster
        log.info("draws %s: %s", draws, reason)
    except AWAY as error:
        rows.filter(attempts=0).update(trouble=f"will be tried again: {error}")
        log.warning("draws %s: %s", draws, error)
    except Disagreement as reason:
        log.error("draws %s are stopped: %s", draws, reason)
    except Exception as error:  # FileNotFoundError, too: a file that is lost does not come back by itself
        _strike(draws, tried, explain(error), then)


def _strike(draws: list[int], tried: int, why: str, then: str) -> None:
    """One more failure, once however many tasks have failed at the same try."""
    strikes = tried + 1
    rows = Draw.objects.filter(pk__in=draws)
    last = f"Given up after {strikes} tries: mend it, then {then}."
    says = f"{why}. {last if strikes >= MAX_ATTEMPTS else f'Try {strikes} of {MAX_ATTEMPTS}.'}"
    if rows.filter(attempts=tried).update(attempts=strikes, trouble=says):
        log.exception("draws %s: %s", draws, says)
    # A draw that gives up makes way for the others of its show.
    rows.filter(attempts__gte=MAX_ATTEMPTS, step=Draw.Step.DRAWING).update(step=Draw.Step.SEALED)


def settle_by_hand(draw_id: int) -> list[Disposition]:
    """Settles a draw now, whether it has given up or not; ActionRefused says what hinders it."""
    try:
        return settle_draw(draw_id, now=now_ms())
    except (OSError, ValueError) as error:
        raise ActionRefused(say("not settled: {why}", why=explain(error))) from None


def explain(error: Exception) -> str:
    """What has happened, for somebody who can do something about it."""
    if isinstance(error, OSError) and error.errno in FULL:
        return f"Disk full: make room in {settings.DRAWS_DIR} (DRAWS_DIR). Nothing is lost"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}: {error.filename or settings.DRAWS_DIR}. Nothing is lost"
    if isinstance(error, SoftTimeLimitExceeded):
        return f"It took longer than {settings.CELERY_TASK_SOFT_TIME_LIMIT} s"
    if isinstance(error, ActionRefused | Broken | FileNotFoundError):
        return str(error).rstrip(".")
    return f"{type(error).__name__}: {error}"
