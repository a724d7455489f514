"""The public pages of draws: what anybody may see, and nobody earlier than the rules say."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from engagement.clock import from_ms
from engagement.core.names import stage_name
from prizes import files
from prizes.models import Beacon, Draw


@require_safe
def draws(request: HttpRequest) -> HttpResponseBase:
    """The audit index: every published draw, newest first."""
    published = Draw.objects.filter(step=Draw.Step.PUBLISHED).select_related("show", "segment", "prize_list")
    return render(request, "prizes/draws.html", {"draws": published.order_by("-published_at", "-pk")})


@require_safe
def draw_page(request: HttpRequest, draw_id: int) -> HttpResponseBase:
    """One draw: public once it is published, before that for the auditor."""
    draw = get_object_or_404(Draw.objects.select_related("show", "segment", "prize_list"), pk=draw_id)
    if not may_see(draw, request.user):
        raise Http404("no such draw, or it is not published yet")
    context = {
        "draw": draw,
        "public": draw.step == Draw.Step.PUBLISHED,
        "rehearsal": draw.beacon_kind == Beacon.LOCAL,
        "prizes": draw.prize_list.prizes.all(),
        "winners": _winners(draw),
        "sealed_at": None if draw.sealed_at_ms is None else from_ms(draw.sealed_at_ms),
        "roll_sha256": _sha256(files.roll_name(draw.pk)) if draw.roll_root else None,
        "record_exists": files.exists(files.record_name(draw.pk)),
    }
    return render(request, "prizes/draw.html", context)


def may_see(draw: Draw, user: Any) -> bool:
    """Everybody once it is published, before that the auditor."""
    return draw.step == Draw.Step.PUBLISHED or user.has_perm("prizes.audit_draw")


def _winners(draw: Draw) -> list[dict[str, Any]]:
    wins = draw.wins.select_related("prize").order_by("rank")
    return [{"name": stage_name(bytes.fromhex(win.pseudonym)), "win": win} for win in wins]


def _sha256(name: str) -> str | None:
    """The digest of a file as it is on this server now, so that a reader can compare the download; None without it."""
    try:
        path = files.fetch(name)
    except FileNotFoundError:
        return None
    stat = path.stat()
    return _digest_of_version(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _digest_of_version(path: Path, _changed_at: int, _size: int) -> str:
    # A roll of 35 million entries takes a second to read, so it is read once per version of the file.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
