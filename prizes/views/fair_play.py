"""The crew's page of fair play: viewers and passes by kind, the largest blocks, and hints that exclude nobody."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.clock import from_ms
from engagement.core.counts import SOURCES
from engagement.counts import details_of, entries_of_play
from engagement.models import Segment, Show
from engagement.paging import newest_first, read_number
from engagement.roles import CONSOLE
from prizes.models import Draw, Freeze
from prizes.steps.hints import DRAWS_SHOWN

SEGMENTS_AT_ONCE = 20
MINUTES_SHOWN = 60
# A block whose totals are so alike is named: a farm is lazy, a family is not in step.
ALIKE_FROM, ALIKE_SHARE = 10, 0.5


@require_safe
@never_cache
@login_required
@permission_required(CONSOLE, raise_exception=True)
def fair_play(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Of the segment that was on air last, or the one that is chosen."""
    show = get_object_or_404(Show, slug=slug)
    listed = newest_first(request, show.segments.filter(opens_at__isnull=False), SEGMENTS_AT_ONCE)
    segment = _chosen(show, read_number(request, "segment"))
    freeze = Freeze.objects.filter(segment=segment, frozen_at_ms__isnull=False).first() if segment else None
    context = {
        "show": show,
        "listed": listed,
        "segment": segment,
        "minutes": _minutes(show, segment) if segment else [],
        "kinds_of_passes": SOURCES,
        "freeze": freeze,
        "most_shakes": freeze.review.get("most_shakes") if freeze else None,
        "kinds": _kinds(freeze.kinds, freeze.review.get("at_clamp", {})) if freeze else [],
        "draws": _draws(segment, freeze.review.get("draws", [])) if freeze and segment else [],
        "minutes_shown": MINUTES_SHOWN,
    }
    return render(request, "prizes/fair_play.html", context)


def _chosen(show: Show, number: int | None) -> Segment | None:
    aired = show.segments.filter(opens_at__isnull=False)
    if number is not None:
        return get_object_or_404(aired, pk=number)
    return aired.order_by("-opens_at", "-pk").first()


def _minutes(show: Show, segment: Segment) -> list[dict[str, Any]]:
    """What was counted in the last minutes of a segment, the newest first."""
    rows = []
    for entry in entries_of_play(show, segment.key)[:MINUTES_SHOWN]:
        told = details_of(entry)
        passes = told.get("passes")
        known = passes if isinstance(passes, dict) else {}
        rows.append(
            {
                "at": from_ms(entry.at_ms),
                "viewers": told.get("viewers"),
                "passes": [known.get(kind, 0) for kind in SOURCES],
            }
        )
    return rows


def _kinds(viewers: Mapping[str, int], at_clamp: Mapping[str, int]) -> list[dict[str, Any]]:
    """Viewers by kind, and the share of them with as many shakes as count at all."""
    return [
        {
            "kind": kind,
            "viewers": many,
            "at_clamp": at_clamp.get(kind, 0),
            "percent": 100 * at_clamp.get(kind, 0) / many,
        }
        for kind, many in sorted(viewers.items())
        if many
    ]


def _draws(segment: Segment, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The largest blocks of each draw, with what the rules say of them."""
    draws = {draw.pk: draw for draw in segment.draws.order_by("pk")[:DRAWS_SHOWN]}
    return [
        {"draw": draws[row["draw"]], "blocks": _blocks(draws[row["draw"]], row["blocks"])}
        for row in found
        if row["draw"] in draws
    ]


def _blocks(draw: Draw, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    carriers = draw.promised.get("fair_play", {}).get("carriers", [])
    return [{**row, **_describe(row, carriers)} for row in found]


def _describe(row: Mapping[str, Any], carriers: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The carrier by its prefix, how many entries are too many, and whether the totals are alike."""
    places, number = row["places"], row["carrier"]
    named = carriers[number - 1][0] if 0 < number <= len(carriers) else ""
    alike = row["same"] >= ALIKE_FROM and row["same"] >= ALIKE_SHARE * row["viewers"]
    return {
        "carrier": named,
        "too_many": 0 if places is None else max(0, row["entries"] - places),
        "is_alike": alike,
    }
