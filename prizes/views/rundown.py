"""The rundown of a show, a part at a time."""

import hashlib
from bisect import bisect_left
from datetime import UTC, datetime
from typing import NamedTuple

from django.db.models import Exists, OuterRef

from engagement.core.digests import canonical_json
from engagement.core.phases import CALLED_OFF, Phase
from engagement.models import Segment, Show
from prizes.models import MAX_ATTEMPTS, Draw

SEGMENTS_AT_ONCE = 50
BEFORE = 10  # of them stand before the first one that is not over
OVER = (Phase.PUBLISHED, *CALLED_OFF)
NEVER = datetime.min.replace(tzinfo=UTC)
STEPPING = (Phase.ARMED, Phase.OPEN, Phase.CLOSING, Phase.SEALED)  # in which something is waited for


class Rundown(NamedTuple):
    """A part of the segments of a show, and from which position on the parts around it go; None where none is."""

    segments: list[Segment]
    start: int
    earlier: int | None
    later: int | None


class Place(NamedTuple):
    """As much of a segment as tells whether it is shown."""

    position: int
    phase: str
    opens_at: datetime | None
    stopped: bool

    @property
    def is_pinned(self) -> bool:
        """Under way, or waiting for a person."""
        return self.stopped or self.phase in (*STEPPING, Phase.DRAWN)


def rundown(show: Show, start: int | None) -> Rundown:
    """The segments from a position on, with all that the control room needs, in a fixed number of queries.

    Without a position, around the first segment that is not over. Whatever part is shown: what is under way, has
    stopped, or was on air last is there, too.
    """
    stopped = Draw.objects.filter(segment=OuterRef("pk"), attempts__gte=MAX_ATTEMPTS)
    rows = show.segments.order_by("position").values_list("position", "phase", "opens_at", Exists(stopped))
    places = [Place(*row) for row in rows]
    first = _find_first(places) if start is None else bisect_left(places, (start,))
    shown, later = places[first : first + SEGMENTS_AT_ONCE], places[first + SEGMENTS_AT_ONCE :]
    return Rundown(
        _read_segments(show, {place.position for place in [*shown, *_find_pinned(places)]}),
        shown[0].position if shown else 0,
        places[max(0, first - SEGMENTS_AT_ONCE)].position if first else None,
        later[0].position if later else None,
    )


def _find_pinned(places: list[Place]) -> list[Place]:
    aired = [place for place in places if place.opens_at is not None and place.phase not in CALLED_OFF]
    last = sorted(aired, key=lambda place: place.opens_at or NEVER)[-1:]
    return [place for place in places if place.is_pinned][-SEGMENTS_AT_ONCE:] + last


def _find_first(places: list[Place]) -> int:
    """Where the part begins that is shown to somebody who has asked for none."""
    going = next((index for index, place in enumerate(places) if place.phase not in OVER), len(places))
    whole = len(places) <= SEGMENTS_AT_ONCE
    return 0 if whole else max(0, min(going - BEFORE, len(places) - SEGMENTS_AT_ONCE))


def _read_segments(show: Show, positions: set[int]) -> list[Segment]:
    related = ("show__feeds", "draws__revealed", "draws__dice_entries", "prize_lists")
    shown = show.segments.filter(position__in=positions).select_related("show", "freeze")
    segments = list(shown.prefetch_related(*related))
    for segment in segments:
        lists = {row.pk: row for row in segment.prize_lists.all()}
        for draw in segment.draws.all():
            draw.segment = segment  # with its freeze, which is not asked for again
            draw.prize_list = lists[draw.prize_list_id]
    return segments


def current_segment(segments: list[Segment]) -> Segment | None:
    """The segment whose shakes are shown: the one that was on air last."""
    aired = [
        segment for segment in segments if segment.opens_at is not None and segment.phase not in CALLED_OFF
    ]
    return max(aired, key=lambda segment: segment.air_time.opens_at, default=None)


def fingerprint(show: Show, segments: list[Segment]) -> str:
    """Of all that the page shows and no script writes anew: where it differs, the page is loaded again."""
    rows = [
        [row.pk, row.position, row.title, row.title_zh, [plan.beacon for plan in row.prize_lists.all()]]
        for row in segments
    ]
    return hashlib.sha256(canonical_json([str(show), rows])).hexdigest()[:16]
