"""The certificate of a draw: one page to print and to keep, from the seal on."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.clock import from_ms
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import LedgerCheckpoint
from engagement.qr import qr_code
from engagement.views import render_page
from prizes.models import Beacon, Draw, known
from prizes.verdict import describe_verdict
from prizes.views.draws import stored_record


@require_safe
@never_cache
def certificate(request: HttpRequest, draw_id: int) -> HttpResponse:
    """What fixes a sealed draw, to compare with later: seal, digests, key, checkpoints, witnesses."""
    draw = get_object_or_404(Draw.objects.select_related("show", "segment__freeze"), pk=draw_id)
    if not draw.seal:
        raise Http404("a draw has a certificate from its seal on")
    record = stored_record(draw) if draw.step == Draw.Step.PUBLISHED else None
    origin = request.build_absolute_uri("/")
    context = {
        "draw": draw,
        "rehearsal": draw.beacon_kind == Beacon.LOCAL,
        "verdict": describe_verdict(draw, record, origin),
        "winners": draw.wins.count() if record else None,
        "record": record,
        "sealed_at": from_ms(known(draw.sealed_at_ms)),
        "key": format_vkey(keys_of(draw.show)[0]),
        "checkpoints": _checkpoints(draw, record.value if record else {}),
        "address": request.build_absolute_uri(reverse("draw_page", args=[draw.pk])),
        "printed_at": f"{now():%Y-%m-%d %H:%M:%S}",
    }
    return render_page(request, "prizes/certificate.html", draw.draw_id, draw.draw_id, **context)


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
