"""The public pages of draws: everything anybody may know, from the arming on; and the program that checks it."""

from functools import cache
from hashlib import sha256
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.clock import from_ms
from engagement.core.phases import CALLED_OFF
from engagement.languages import fill
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import RollVisibility, Show
from engagement.paging import in_order, newest_first
from engagement.views import render_page
from prizes import files
from prizes.core.receipt import roll_bytes
from prizes.downloads import ASK_AGAIN, answer_document
from prizes.garments import show_prizes
from prizes.models import Beacon, Draw
from prizes.on_air import FIGURES, uncounted_of
from prizes.publication import BrokenRecord, PublishedRecord, record_of
from prizes.software import SHOW_VERIFIER, VERIFIER, WITNESS
from prizes.story import (
    describe_beacon,
    describe_odds,
    describe_outcome,
    describe_promise,
    group,
    timeline,
    void_reason,
    void_reasons,
)
from prizes.verdict import describe_verdict

TOLD = (Draw.Step.DRAWN, Draw.Step.PUBLISHED)
DRAWS_AT_ONCE = 50
SEGMENTS_AT_ONCE = 30
OTHERS_AT_ONCE = 20  # further draws of the same segment
LONG = ("excluded", "classes", "prior", "house_secret")  # columns that lists do not tell


@require_safe
@never_cache
def draws(request: HttpRequest) -> HttpResponseBase:
    """What is published and what is promised, the newest first; older ones on further pages."""
    listed = Draw.objects.select_related("show", "segment").defer(*LONG)
    published = listed.filter(step=Draw.Step.PUBLISHED)
    promised = listed.exclude(step=Draw.Step.PUBLISHED).exclude(segment__phase__in=CALLED_OFF)
    called_off = listed.filter(segment__phase__in=CALLED_OFF)
    context = {
        "published": newest_first(request, published, DRAWS_AT_ONCE),
        "promised": newest_first(request, promised, DRAWS_AT_ONCE, "promised_before"),
        "called_off": newest_first(request, called_off, DRAWS_AT_ONCE, "called_off_before"),
    }
    return render_page(request, "prizes/draws.html", "", "", **context)


@require_safe
@never_cache
def show_draws(request: HttpRequest, slug: str) -> HttpResponseBase:
    """What was promised in a show, segment by segment: also what was called off or spoiled, with its reason."""
    show = get_object_or_404(Show, slug=slug)
    armed = show.segments.filter(Exists(Draw.objects.filter(segment=OuterRef("pk"))))
    told = Draw.objects.defer(*LONG).order_by("prize_list__number")
    page = in_order(request, armed.prefetch_related(Prefetch("draws", told)), SEGMENTS_AT_ONCE, "position")
    off = {row: row.draws.all()[0].committed_ledger for row in page.rows if row.phase in CALLED_OFF}
    reasons = void_reasons(off)
    rows = [
        {"segment": row, "called_off": row.phase in CALLED_OFF, "reason": reasons.get(row.pk, "")}
        for row in page.rows
    ]
    return render_page(
        request, "prizes/show_draws.html", show.title, show.title_zh, show=show, rows=rows, page=page
    )


@require_safe
@never_cache
def draw_page(request: HttpRequest, draw_id: int) -> HttpResponseBase:
    """One draw: its promise from the arming on, its winners once they are published, before that for the auditor."""
    related = ("show", "segment__freeze", "prize_list")
    draw = get_object_or_404(Draw.objects.select_related(*related), pk=draw_id)
    rules = draw.promised
    told = draw.step in TOLD and may_see(draw, request.user)
    record = stored_record(draw) if told else None
    context = {
        "draw": draw,
        "rules": rules,
        "told": told,
        "public": draw.step == Draw.Step.PUBLISHED,
        "rehearsal": rules["beacon"]["kind"] == Beacon.LOCAL,
        "verdict": describe_verdict(draw, record, request.build_absolute_uri("/")),
        "publish_by": _publish_by(draw),
        "uncounted": _say_uncounted(draw),
        "void_reason": void_reason(draw) if draw.segment.phase in CALLED_OFF else None,
        "promise": describe_promise(draw, rules),
        "prizes": show_prizes(draw),
        "beside": list(_beside(draw)),
        "timeline": timeline(draw),
        "studio": get_current_timezone_name(),
        "beacon": describe_beacon(draw, rules, told),
        "odds": describe_odds(draw, rules["winners"]),
        "outcome": describe_outcome(draw, rules, record) if told else None,
        "downloads": _downloads(draw, record),
        "verifier": _describe_verifier(rules),
        "show_verifier": _describe_show_verifier(),
        "keys": " ".join(map(format_vkey, keys_of(draw.show))),
        "origin": request.build_absolute_uri("/"),
    }
    return render_page(request, "prizes/draw.html", draw.draw_id, draw.draw_id, **context)


def _beside(draw: Draw) -> QuerySet[Draw]:
    """The other draws of the segment, each with a seal of its own."""
    others = draw.segment.draws.exclude(pk=draw.pk).select_related("segment").defer(*LONG)
    return others.order_by("prize_list__number")[:OTHERS_AT_ONCE]


def _publish_by(draw: Draw) -> str:
    """Until when a sealed draw is public by its own rules; nothing once it is."""
    if draw.publish_by_ms is None or draw.step == Draw.Step.PUBLISHED:
        return ""
    return f"{from_ms(draw.publish_by_ms):%Y-%m-%d %H:%M:%S}"


def _say_uncounted(draw: Draw) -> str:
    """Where more was frozen than the gateways had counted: how much; else nothing."""
    told = uncounted_of(draw)
    if told is None:
        return ""
    figures = {name: told[name] for name in FIGURES}
    figures |= {f"counted_{name}": told["counted"][name] for name in FIGURES}
    return fill(
        gettext(
            "More was frozen than the servers had counted on air: {viewers} viewers ({app} of the "
            "app) and {shakes} shakes against {counted_viewers} ({counted_app}) and "
            "{counted_shakes}. The organiser has to explain it."
        ),
        **figures,
    )


def may_see(draw: Draw, user: Any) -> bool:
    """Who won: everybody once it is published, before that the auditor."""
    return draw.step == Draw.Step.PUBLISHED or user.has_perm("prizes.audit_draw")


def stored_record(draw: Draw) -> PublishedRecord | None:
    """The record with what became of the prizes; None where it is not on this server any more."""
    try:
        return record_of(draw)
    except (FileNotFoundError, BrokenRecord):
        return None


# --- downloads ----------------------------------------------------------------------------------------------


def _downloads(draw: Draw, record: PublishedRecord | None) -> list[dict[str, Any]]:
    """Record and roll: where they are, how large, and their SHA-256; without an address while there is none."""
    public = draw.step == Draw.Step.PUBLISHED
    rows = [_download("record.json", f"/api/draws/{draw.pk}/record", public and record is not None)]
    if record is not None:
        rows[0] |= {"size": group(len(record.content)), "sha256": sha256(record.content).hexdigest()}
    visible = draw.show.roll_visibility == RollVisibility.PUBLIC
    stored = draw.roll_root != "" and files.exists(files.roll_name(draw.key))
    rows.append(_download("roll.bin", f"/api/draws/{draw.pk}/roll", public and visible and stored))
    rows[1]["auditors_only"] = not visible
    if stored:
        rows[1] |= {"size": group(roll_bytes(draw.entries or 0)), "sha256": draw.roll_sha256}
    return rows


def _download(name: str, address: str, there: bool) -> dict[str, Any]:
    return {"name": name, "address": address if there else None}


# --- the verifier -------------------------------------------------------------------------------------------


@require_safe
def verifier(request: HttpRequest) -> HttpResponse:
    """The program that checks a draw, for a machine without the project."""
    return answer_program(request, VERIFIER.name, _read_verifier())


def answer_program(request: HttpRequest, name: str, content: bytes) -> HttpResponse:
    """One file of Python, to download."""
    tag = f'"{sha256(content).hexdigest()}"'
    answer = answer_document(
        request, content, cache=ASK_AGAIN, content_type="text/x-python; charset=utf-8", tag=tag
    )
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_safe
def show_verifier(request: HttpRequest) -> HttpResponse:
    """The program that checks the evidence pack of a show; the two others stand beside it."""
    return answer_program(request, SHOW_VERIFIER.name, _read_show_verifier())


@require_safe
def witness(request: HttpRequest) -> HttpResponse:
    """The program that a witness runs."""
    return answer_program(request, WITNESS.name, WITNESS.read_bytes())


@cache  # as it was when this process started, like the digest that it puts into new rules
def _read_verifier() -> bytes:
    try:
        return VERIFIER.read_bytes()
    except FileNotFoundError:
        raise Http404("the verifier is not on this server") from None


@cache
def _read_show_verifier() -> bytes:
    return SHOW_VERIFIER.read_bytes()


def _describe_show_verifier() -> dict[str, Any]:
    content = _read_show_verifier()
    return {
        "address": reverse("show_verifier"),
        "size": group(len(content)),
        "sha256": sha256(content).hexdigest(),
    }


def _describe_verifier(rules: dict[str, Any]) -> dict[str, Any]:
    content = _read_verifier()
    found = sha256(content).hexdigest()
    return {
        "address": reverse("verifier"),
        "size": group(len(content)),
        "sha256": found,
        "promised": rules["verifier_digest"],
        "older": found != rules["verifier_digest"],
    }
