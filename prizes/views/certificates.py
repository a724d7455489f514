"""The certificate of a draw: one page to print and to keep, from the seal on."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.clock import from_ms
from engagement.languages import fill
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import LedgerCheckpoint
from engagement.qr import qr_code
from engagement.views import render_page
from prizes.garments import announced_prizes, show_prizes, words_of
from prizes.models import Beacon, Draw, Win, known
from prizes.results import list_holders
from prizes.story import describe_beacon
from prizes.verdict import describe_verdict
from prizes.views.draws import stored_record

# What one sheet has room for, with titles as long as they may be.
PRIZES_ON_SHEET, NAMES_ON_SHEET, SHORT_TITLE = 2, 6, 40


@require_safe
@never_cache
def certificate(request: HttpRequest, draw_id: int) -> HttpResponse:
    """What was won by whom, and what fixes the draw, to compare with later: seal, beacon, digests, key, witnesses."""
    draw = get_object_or_404(Draw.objects.select_related("show", "segment__freeze"), pk=draw_id)
    if not draw.seal:
        raise Http404("a draw has a certificate from its seal on")
    record = stored_record(draw) if draw.step == Draw.Step.PUBLISHED else None
    origin = request.build_absolute_uri("/")
    winners = list_holders(draw) if record else None
    witnessed = describe_verdict(draw, record, origin)
    prizes = show_prizes(draw)
    context = {
        "draw": draw,
        "prizes": prizes[:PRIZES_ON_SHEET],
        "more_prizes": len(prizes[PRIZES_ON_SHEET:]),
        "photo": next((row["photo"] for row in prizes if row["photo"]), None),
        "long": _has_long_titles(draw),
        "beacon": describe_beacon(draw, draw.promised, told=record is not None),
        "rehearsal": draw.beacon_kind == Beacon.LOCAL,
        "verdict": witnessed,
        "winners": _name_winners(draw, winners) if winners is not None else None,
        "record": record,
        "sealed_at": from_ms(known(draw.sealed_at_ms)),
        "key": format_vkey(keys_of(draw.show)[0]),
        "checkpoints": _checkpoints(draw, record.value if record else {}),
        "address": request.build_absolute_uri(reverse("draw_page", args=[draw.pk])),
        "printed_at": f"{now():%Y-%m-%d %H:%M:%S}",
    }
    return render_page(request, "prizes/certificate.html", draw.draw_id, draw.draw_id, **context)


def _has_long_titles(draw: Draw) -> bool:
    """Whether the sheet has to be set in a smaller hand for them, in any language."""
    rows = announced_prizes(draw)
    words = [row[name] for row in rows for name in ("garment", "garment_zh", "celebrity", "celebrity_zh")]
    return any(len(one) > SHORT_TITLE for one in [draw.show.title, draw.segment.title, *words])


def _name_winners(draw: Draw, holders: QuerySet[Win]) -> dict[str, Any]:
    """Who holds the prizes now, under the names that were said; the first of them, and how many there are beside."""
    first = list(holders[:NAMES_ON_SHEET])
    words = {row["id"]: words_of(row) for row in announced_prizes(draw)}
    several = len(words) > 1
    rows = [
        {
            "name": win.name,
            "prize": fill(gettext("{garment}, worn by {celebrity}"), **words[win.prize_id])
            if several
            else "",
        }
        for win in first
        if win.prize_id in words
    ]
    return {"rows": rows, "more": holders.count() - len(rows)}


def _checkpoints(draw: Draw, record: dict[str, Any]) -> dict[str, str]:
    """The ledger as it was signed with the seal and, in the record, at the publication; "" where there is none."""
    sealed = LedgerCheckpoint.objects.filter(show=draw.show_id, size=known(draw.sealed_ledger) + 1)
    log = record.get("log") or {}
    return {
        "seal": sealed.values_list("note", flat=True).first() or "",
        "publication": log.get("checkpoint", ""),
    }


@require_safe
def code(request: HttpRequest, draw_id: int) -> HttpResponse:
    """The address of a draw's page, as the host of this request has it, for a camera."""
    draw = get_object_or_404(Draw, pk=draw_id)
    return qr_code(request.build_absolute_uri(reverse("draw_page", args=[draw.pk])))
