"""How far the ledgers were, as Redis remembers it: one mark for each show, and which of them was made last.

A mark is an entry that was committed. A database that does not hold it is an older one: a backup was restored, or a
standby took over that had not got everything. Marks may lag behind, or be lost with Redis; they never say too much.
"""

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import DatabaseError
from django.db.models import Q
from redis.exceptions import RedisError

from engagement.keys import own
from engagement.models import LedgerEntry
from engagement.tally import connect

log = logging.getLogger(__name__)

MARKS, NEWEST = "marks", "marks:newest"
ASKED_AT_ONCE = 200  # SQLite refuses an expression of more than 1,000 parts


class Mark(NamedTuple):
    """A committed entry of the ledger of a show."""

    show: str
    position: int
    digest: str


def mark_of(entry: LedgerEntry) -> Mark:
    return Mark(entry.show.slug, entry.position, entry.digest)


def remember(entry: LedgerEntry) -> None:
    """After the commit of an entry, so that a failure here is not one of that.

    What the database does not hold is never overwritten: somebody has to see it.
    """
    mark = mark_of(entry)
    try:
        told = [row for row in _read(mark.show) if row.digest not in (entry.previous, entry.digest)]
        if any(row.show == mark.show and row.position > mark.position for row in told) or unknown(told):
            return  # another process was faster; or the database is an older one
        _write([mark])
    except (RedisError, OSError, DatabaseError) as error:
        log.warning("entry %d of %s is not marked: %s", mark.position, mark.show, error)


def unknown(told: Iterable[Mark]) -> list[Mark]:
    """Those of these marks that the database does not hold; one query for each 200 of them."""
    wanted = list({(mark.show, mark.position): mark for mark in told}.values())
    parts = (wanted[start : start + ASKED_AT_ONCE] for start in range(0, len(wanted), ASKED_AT_ONCE))
    return [mark for part in parts for mark in _unknown(part)]


def _unknown(marks: list[Mark]) -> list[Mark]:
    which = Q()
    for mark in marks:
        which |= Q(show__slug=mark.show, position=mark.position)
    held = set(LedgerEntry.objects.filter(which).values_list("show__slug", "position", "digest"))
    return [mark for mark in marks if mark not in held]


def read_marks(shows: Iterable[str]) -> list[Mark]:
    """The marks of these shows and the newest one; those that there are."""
    redis: Any = connect()
    with redis.pipeline(transaction=False) as pipe:
        pipe.get(own(NEWEST))
        for show in shows:
            pipe.hget(own(MARKS), show)
        return [_parse(row) for row in pipe.execute() if row is not None]


def read_all_marks() -> list[Mark]:
    """Those of all shows: for somebody who has to know what exactly is missing."""
    found: Any = connect().hgetall(own(MARKS))
    return [_parse(row) for row in found.values()]


def replace_marks(forgotten: Iterable[Mark], marks: list[Mark]) -> None:
    """A person has decided that the database is right: what it does not hold is forgotten."""
    redis: Any = connect()
    with redis.pipeline(transaction=True) as pipe:
        pipe.delete(own(NEWEST))
        for mark in forgotten:
            pipe.hdel(own(MARKS), mark.show)
        pipe.execute()
    _write(marks)


def forget_marks() -> None:
    """The database was made anew on purpose."""
    connect().delete(own(MARKS), own(NEWEST))


def _read(show: str) -> list[Mark]:
    return read_marks([show])


def _write(marks: list[Mark]) -> None:
    redis: Any = connect()
    with redis.pipeline(transaction=True) as pipe:
        for mark in marks:
            pipe.hset(own(MARKS), mark.show, _pack(mark))
            pipe.set(own(NEWEST), _pack(mark))
        pipe.execute()


def _pack(mark: Mark) -> str:
    return f"{mark.show} {mark.position} {mark.digest}"


def _parse(row: bytes) -> Mark:
    show, position, digest = row.decode().split()
    return Mark(show, int(position), digest)
