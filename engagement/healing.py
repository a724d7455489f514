"""What has changed and was not announced yet is announced, and state documents that Redis has lost or never got are
written again: a bounded amount of work a second.

The document of a show that is over changes no more, so it is only looked at: those on air and the newest every second,
all others in rounds. Where Redis was emptied, the round begins again, and everything is back after a few of them.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import NamedTuple

from django.db import DatabaseError
from django.db.models import F
from redis.exceptions import RedisError

from engagement import wins as kept_wins
from engagement.actions import describe_show, number_state
from engagement.broadcast import keep_checked, mark_complete, read_checked, read_positions, restore_state
from engagement.core.phases import Phase
from engagement.core.show_state import Position
from engagement.models import Segment, Show

log = logging.getLogger(__name__)

# A phone may wait for these right now.
UNFINISHED = (Phase.ARMED, Phase.OPEN, Phase.CLOSING, Phase.SEALED, Phase.DRAWN)
URGENT_AT_ONCE = 40  # segments under way, those on air last first; and as many of the newest shows
CHECKED_AT_ONCE = 200  # shows of a round that are looked at in a second; 64 bytes of each
RESTORED_AT_ONCE = 50  # documents that are made in a second, in less than a tenth of it


class Row(NamedTuple):
    """As much of a show as tells whether its document is the newest."""

    id: int
    slug: str
    epoch: int
    seq: int
    wins_step: int

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq, self.wins_step)


def heal_states() -> None:
    """Once a second. Redis being away is no error: the next second goes on where this one has stopped."""
    try:
        _announce_stale()
        _restore(_stale(_urgent()))
        _go_on()
    except (RedisError, OSError) as error:
        log.warning("the states of the shows cannot be looked at: %s", error)


def _announce_stale() -> None:
    """What was changed and need not be told at once, or by somebody who was stopped before they could announce it."""
    for show_id in Show.objects.filter(stale=True).values_list("pk", flat=True)[:RESTORED_AT_ONCE]:
        with _alone(show_id):
            state = number_state(show_id)
            if state is not None:
                restore_state(state, partial(kept_wins.describe_wins, show_id))


def _urgent() -> list[Row]:
    """The shows that phones are in or come to: under way, and new."""
    under_way = Segment.objects.filter(phase__in=UNFINISHED).order_by(F("opens_at").desc(nulls_last=True))
    newest = Show.objects.order_by("-pk")
    ids = {*under_way.values_list("show", flat=True)[:URGENT_AT_ONCE]}
    return _rows(pk__in=ids | {*newest.values_list("pk", flat=True)[:URGENT_AT_ONCE]})


def _go_on() -> None:
    """The next part of the round; the mark of completeness is set at its end, when every document was seen."""
    rows = _rows(pk__gt=read_checked())
    stale = _stale(rows)
    _restore(stale[:RESTORED_AT_ONCE])
    if len(stale) > RESTORED_AT_ONCE:
        keep_checked(stale[RESTORED_AT_ONCE - 1].id)
    elif len(rows) == CHECKED_AT_ONCE:
        keep_checked(rows[-1].id)
    else:
        keep_checked(0)
        mark_complete()


def _rows(**which: object) -> list[Row]:
    shows = Show.objects.filter(**which).order_by("pk").values_list(*Row._fields)
    return [Row(*row) for row in shows[:CHECKED_AT_ONCE]]


def _stale(rows: list[Row]) -> list[Row]:
    kept = read_positions([row.slug for row in rows])
    return [row for row, found in zip(rows, kept, strict=True) if row.position.is_newer_than(found)]


def _restore(rows: Iterable[Row]) -> None:
    shows = Show.objects.filter(pk__in=[row.id for row in rows]).prefetch_related("feeds", "segments")
    for show in shows:
        with _alone(show.pk):
            restore_state(describe_show(show), partial(kept_wins.describe_wins, show.pk))


@contextmanager
def _alone(show_id: int) -> Iterator[None]:
    """A show that cannot be described keeps no other one waiting; a server that is away is away for all of them."""
    try:
        yield
    except (RedisError, OSError, DatabaseError):
        raise
    except Exception as error:
        _tell_once(show_id, f"{type(error).__name__}: {error}")


@cache
def _tell_once(show_id: int, why: str) -> None:
    log.error("the state of show %s cannot be made: %s", show_id, why)
