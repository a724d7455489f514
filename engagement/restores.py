"""Noticing that the database is older than what was announced from it, or belongs to another installation.

Backups are restored, and a standby that takes over may not have got the last transactions. Gateways and phones would
take no state with an older number, and a play that everybody has seen would be played again. And a process that calls
itself by another name than the others would freeze a tally that nobody has written to. So nothing is armed, opened,
closed or drawn until a person has confirmed it (engagement/recovery.py).
"""

import logging
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.conf import settings
from redis.exceptions import RedisError

from engagement.clock import now_ms
from engagement.languages import mark, say
from engagement.marks import Mark, read_all_marks, read_marks, unknown
from engagement.models import Installation, LedgerEntry, Restore, Show
from engagement.tally import read_gateways

log = logging.getLogger(__name__)

ENTRY, STATE = "ledger entry", "state"
PLACES = {ENTRY: mark("ledger entry {number}"), STATE: mark("state {number}")}
WAITS = mark(
    "Nothing is armed, opened, closed or drawn until a director confirms it in the control room, or "
    "manage.py confirm_restore does."
)
ADVICE = mark(
    "Was a backup restored, has a standby taken over, or does another installation use the same name (INSTALLATION)?"
)
SHOWN = 5  # shows in a sentence


def watch(now: int) -> bool:
    """Once a second: whether everything has to wait for a person."""
    claim_name()
    if said := trouble():
        _tell_once(said)
        return True
    lost = find_lost(now)
    if lost:
        note(lost, now)
    return bool(lost)


def claim_name() -> None:
    """The first process that uses a database gives it the name of its installation."""
    Installation.objects.get_or_create(pk=1, defaults={"name": settings.INSTALLATION})


def stranger() -> str:
    """What is to be said where the database belongs to an installation of another name; else nothing."""
    name = Installation.objects.values_list("name", flat=True).first()
    if name in (None, settings.INSTALLATION):
        return ""
    told = say(
        "The database belongs to installation {name}, and this process calls itself {own}. Where it was neither "
        "copied nor moved, set INSTALLATION={name} for this process.",
        name=name,
        own=settings.INSTALLATION,
    )
    return f"{told} {say(WAITS)}"


@cache
def _tell_once(said: str) -> None:
    log.error("%s", said)


def unconfirmed() -> Restore | None:
    """The restore that nobody has confirmed yet."""
    return Restore.objects.filter(confirmed_at_ms=None).first()


def note(lost: list[dict[str, Any]], now: int) -> Restore:
    """Writes down what is missing, for everybody to see."""
    found = Restore.objects.create(noticed_at_ms=now, lost=lost)
    _tell_once(explain(found))
    return found


def trouble() -> str:
    """What everybody has to be told; nothing where the database is what it was."""
    found = unconfirmed()
    return stranger() if found is None else explain(found)


def trouble_of(show: Show) -> str:
    """The same, and whether this very show has lost something that nobody has noticed yet."""
    claim_name()
    found = trouble()
    if found:
        return found
    try:
        missing = unknown(read_marks([show.slug]))
    except (RedisError, OSError):
        return ""  # the conductor looks again when Redis is back
    return (
        explain(Restore(noticed_at_ms=now_ms(), lost=[_describe(mark) for mark in missing]))
        if missing
        else ""
    )


def explain(restore: Restore) -> str:
    """A restore for people."""
    rows = [
        say(
            "{show} was at {then} and is at {now}",
            show=row["show"],
            then=_place(row, "told"),
            now=_place(row, "held"),
        )
        for row in restore.lost[:SHOWN]
    ]
    if len(restore.lost) > SHOWN:
        rows.append(say("and {count} more shows", count=len(restore.lost) - SHOWN))
    return say(
        "The database is older than what was announced from it: {shows}. {advice}",
        shows="; ".join(rows),
        advice=" ".join((say(ADVICE), say(WAITS))),
    )


def _place(row: dict[str, Any], when: str) -> str:
    if row[when] is None:
        return say("nothing")
    return say(PLACES[row["of"]], number=row[when])


# --- what is missing ---


def find_lost(now: int) -> list[dict[str, Any]]:
    """What Redis or a gateway knows and the database does not: cheap where nothing is missing."""
    try:
        gateways = list(read_gateways(now).values())
        if unknown(read_marks({slug for beat in gateways for slug in beat["shows"]})):
            return lost_marks()
    except (RedisError, OSError):
        return []
    return _behind(gateways)


def lost_marks() -> list[dict[str, Any]]:
    """Every show that has lost something, as far as Redis knows."""
    return [_describe(mark) for mark in unknown(read_all_marks())]


def _describe(mark: Mark) -> dict[str, Any]:
    held = LedgerEntry.objects.filter(show__slug=mark.show).order_by("-position")
    position = held.values_list("position", flat=True).first()
    return {"show": mark.show, "of": ENTRY, "told": mark.position, "held": position}


def _behind(gateways: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where Redis was emptied, too, gateways still know of later states than the database."""
    told = [(slug, show) for beat in gateways for slug, show in beat["shows"].items()]
    held = {slug: (epoch, seq) for slug, epoch, seq in _positions({slug for slug, _ in told})}
    ahead = {
        slug: max(_seq(show) for other, show in told if other == slug)
        for slug, show in told
        if slug in held and show.get("epoch") == held[slug][0] and _seq(show) > held[slug][1]
    }
    return [{"show": slug, "of": STATE, "told": seq, "held": held[slug][1]} for slug, seq in ahead.items()]


def _seq(show: dict[str, Any]) -> int:
    seq = show.get("seq")
    return seq if isinstance(seq, int) else 0


def _positions(slugs: set[str]) -> Iterable[tuple[str, int, int]]:
    return Show.objects.filter(slug__in=slugs).values_list("slug", "epoch", "seq")
