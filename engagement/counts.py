"""Live counts under checkpoints: what each gateway has counted of a segment, in the ledger while it is on air.

Once a minute, and once more at the fence, by the figures that gateways have in Redis (docs/ledger.md, "Counts"). A roll
with more than that was stuffed by somebody. Nothing here holds up a show: what cannot be read is told as that.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from redis.exceptions import RedisError

from engagement import tally
from engagement.actions import ActionRefused, lock_segment
from engagement.clock import from_ms, now_ms
from engagement.core.counts import (
    LONGEST_NAME,
    MOST_GATEWAYS,
    SOURCES,
    Counts,
    Figures,
    describe_counts,
    excess,
    merge_counts,
    parse_counts,
    passes_since,
    read_passes,
    read_row,
)
from engagement.core.digests import canonical_json, parse_canonical
from engagement.core.phases import Phase
from engagement.ledger.append import append_entry
from engagement.models import LedgerEntry, Segment, Show

log = logging.getLogger(__name__)

MINUTE_MS = 60_000
SEGMENTS_AT_ONCE = 40
REMEMBERED = 10_000
COUNTS, UNCOUNTED = "counts", "uncounted"

_told: set[tuple[str, int]] = set()  # plays and minutes that are known to stand in a ledger: looked up once


class Found(NamedTuple):
    """What Redis says: figures and silent gateways by name, passes by source; whether that is all there is."""

    figures: Mapping[str, Figures]
    silent: list[str]
    issued: dict[str, int] | None
    complete: bool


NOTHING_FOUND = Found({}, [], None, complete=False)


# --- once a minute ---


def count_segments(now: int | None = None) -> int:
    """Once a second: writes down the full minutes of what is open; how many. It may run twice, or late."""
    now = now_ms() if now is None else now
    due = Segment.objects.filter(phase=Phase.OPEN, opens_at__lte=from_ms(now - MINUTE_MS))
    related = due.select_related("show").prefetch_related("show__feeds").order_by("-opens_at")
    rows = [(row, minute_of(row, now)) for row in related[:SEGMENTS_AT_ONCE]]
    return sum(_count(row, minute, now) for row, minute in rows if (row.key, minute) not in _told)


def minute_of(segment: Segment, now: int) -> int:
    """Full minutes since the window opened in the studio."""
    return max(0, now - segment.air_time.opens_at) // MINUTE_MS


def _count(segment: Segment, minute: int, now: int) -> int:
    try:
        return _write_minute(segment, find_counts(segment), minute, now)
    except ActionRefused:
        return 0  # everything waits for a person
    except DatabaseError:
        raise  # nothing can be written now
    except Exception:
        log.exception("segment %s is not counted; all others go on", segment.pk)
        return 0


@transaction.atomic
def _write_minute(segment: Segment, found: Found, minute: int, now: int) -> int:
    play, segment = segment.key, lock_segment(segment.pk)  # two conductors line up
    if segment.phase != Phase.OPEN or segment.key != play:
        return 0
    before = last_counts(segment.show, play)
    written = int(before is None or details_of(before).get("minute", 0) < minute)
    if written:
        record_counts(segment, found, now=now, fence=False)
    transaction.on_commit(lambda: _remember(play, minute))
    return written


def _remember(play: str, minute: int) -> None:
    if len(_told) >= REMEMBERED:
        _told.clear()
    _told.add((play, minute))


# --- an entry ---


def find_counts(segment: Segment) -> Found:
    """What Redis has of a segment and its show; outside of any transaction. Without Redis: nothing."""
    slug, now = segment.show.slug, now_ms()
    try:
        counted = tally.read_counted(segment.key, slug)
    except (RedisError, OSError) as error:
        log.warning("what gateways have counted cannot be read: %s", error)
        return NOTHING_FOUND
    figures = {_name(name): read_row(tally.read_object(row)) for name, row in counted.live.items()}
    beats = {_name(name): tally.read_beat(row) for name, row in counted.beats.items()}
    issued = [tally.read_object(row) for row in counted.issued.values()]
    read = {name: row for name, row in figures.items() if row is not None}
    known = {name for name, beat in beats.items() if slug in beat["shows"]} | figures.keys()
    alive = {name for name, beat in beats.items() if beat["at"] > now - tally.ALIVE_MS}
    sums = {source: sum(read_passes(row, source) for row in issued) for source in SOURCES}
    silent = sorted(known - alive)[:MOST_GATEWAYS]
    return Found(read, silent, sums, complete=len(read) == len(figures))


def _name(gateway: bytes) -> str:
    """As far as an entry takes it."""
    return tally.name_of(gateway)[:LONGEST_NAME]


def record_counts(segment: Segment, found: Found, *, now: int, fence: bool) -> LedgerEntry:
    """The entry; inside a transaction in which the segment is locked. No phone is told: nothing changes for them."""
    show = segment.show
    counts = merge_counts(_counts_in(last_counts(show, segment.key)), found.figures)
    before = _issued_in(last_counts(show))
    issued = before if found.issued is None else found.issued
    details = {
        "segment": segment.pk,
        "play": segment.key,
        "minute": minute_of(segment, now),
        "fence": fence,
        "complete": found.complete,
        **describe_counts(counts),
        "silent": found.silent,
        "passes": passes_since(issued, before),
        "issued": issued,
    }
    return append_entry(show, COUNTS, details=details, now=now)


def entries_of_play(show: Show, play: str = "") -> QuerySet[LedgerEntry]:
    """The entries of this kind, of one play or of the whole show, the newest first."""
    told = LedgerEntry.objects.filter(show=show, action=COUNTS)
    if play:
        told = told.filter(details__contains=canonical_json({"play": play}).decode()[1:-1])
    return told.order_by("-position")


def last_counts(show: Show, play: str = "") -> LedgerEntry | None:
    """The last of them."""
    return entries_of_play(show, play).first()


def details_of(entry: LedgerEntry | None) -> dict[str, Any]:
    """What an entry says; nothing where somebody has written what is no object: the chain says so."""
    try:
        details = {} if entry is None else parse_canonical(entry.details.encode())
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}


def _counts_in(entry: LedgerEntry | None) -> Counts:
    try:
        return parse_counts(details_of(entry)) if entry else Counts({})
    except ValueError:
        return Counts({})


def _issued_in(entry: LedgerEntry | None) -> dict[str, int]:
    issued = details_of(entry).get("issued")
    return {source: read_passes(issued, source) for source in SOURCES}


# --- against the roll ---


class Ceiling(NamedTuple):
    """What was counted at the fence, and the entry that says so."""

    position: int
    figures: Figures


def ceiling_of(show: Show, play: str) -> Ceiling | None:
    """What a roll cannot exceed; None where that is not known: nothing was counted, or not all could be read."""
    entry = last_counts(show, play)
    details = details_of(entry)
    if entry is None or details.get("complete") is not True or details.get("fence") is not True:
        return None
    try:
        return Ceiling(entry.position, parse_counts(details).total)
    except ValueError:
        return None


def tell_uncounted(
    segment: Segment, *, viewers: int, shakes: int, app: int, entries: int, now: int
) -> LedgerEntry | None:
    """Writes down that more was frozen than the gateways had counted; inside the transaction of the freeze."""
    ceiling = ceiling_of(segment.show, segment.key)
    if ceiling is None:
        return None
    if not any(excess(ceiling.figures, viewers=max(viewers, entries), shakes=shakes, app=app)):
        return None
    details = {
        "segment": segment.pk,
        "play": segment.key,
        "counts": ceiling.position,
        "viewers": viewers,
        "shakes": shakes,
        "app": app,
        "entries": entries,
        "counted": ceiling.figures._asdict(),
    }
    log.error("segment %s has more than was counted: %s", segment.pk, details)
    return append_entry(segment.show, UNCOUNTED, details=details, now=now)
