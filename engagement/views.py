"""The pages of the live side: phone, stage, their QR codes, and the ledger of a show."""

import io

import segno
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from engagement.clock import from_ms
from engagement.ledger import find_break
from engagement.models import LedgerEntry, Show

LANGUAGES = ("en", "zh")
LEDGER_PAGE = 200


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The crew goes to the console, everybody else to the newest show."""
    if request.user.is_authenticated and request.user.is_staff:
        return redirect("console")
    newest = Show.objects.order_by("-created_at", "-pk").first()
    if newest is None:
        return render(request, "engagement/no_show.html", page_texts(request, "Shake to win", "摇一摇"))
    return redirect("play", slug=newest.slug)


@require_safe
def play(request: HttpRequest, slug: str) -> HttpResponse:
    show = get_object_or_404(Show, slug=slug)
    texts = page_texts(request, show.title, show.title_zh)
    feed = request.GET.get("feed", "")
    other = {"lang": "en" if texts["language"] == "zh" else "zh", **({"feed": feed} if feed else {})}
    context = {"show": show, "feed": feed, "other_language_query": urlencode(other), **texts}
    return render(request, "engagement/play.html", context)


@require_safe
def stage(request: HttpRequest, slug: str) -> HttpResponse:
    show = get_object_or_404(Show, slug=slug)
    context = {
        "show": show,
        "play_address": _play_address(request, show.slug),
        "seal_address": reverse("seal_qr", args=["0" * 64]).replace("0" * 64, "SEAL"),
        **page_texts(request, show.title, show.title_zh),
    }
    return render(request, "engagement/stage.html", context)


def page_texts(request: HttpRequest, title: str, title_zh: str) -> dict[str, str]:
    """The language of a page, and its title in it: as asked for with ?lang=, else as the browser prefers."""
    language = request.GET.get("lang", "")
    if language not in LANGUAGES:
        language = _preferred(request.headers.get("Accept-Language", ""))
    return {"language": language, "title": title_zh if language == "zh" and title_zh else title}


def _preferred(accepted: str) -> str:
    """The first language of the header that we have; browsers list them in the order of preference."""
    named = (item.strip().lower()[:2] for item in accepted.split(","))
    return next((name for name in named if name in LANGUAGES), "en")


# --- QR codes -----------------------------------------------------------------------------------------------


def _play_address(request: HttpRequest, slug: str) -> str:
    return request.build_absolute_uri(reverse("play", args=[slug]))


@require_safe
def join_qr(request: HttpRequest, slug: str) -> HttpResponse:
    """The address of the phone page, as the host of this request has it."""
    show = get_object_or_404(Show, slug=slug)
    return _svg(_play_address(request, show.slug))


@require_safe
@cache_control(public=True, max_age=86400, immutable=True)
def seal_qr(request: HttpRequest, seal: str) -> HttpResponse:
    """The 64 digits of a seal, for a photograph that shows all of it."""
    return _svg(seal)


def _svg(content: str) -> HttpResponse:
    image = io.BytesIO()
    segno.make(content, error="m", micro=False).save(image, kind="svg", border=3, omitsize=True)
    return HttpResponse(image.getvalue(), content_type="image/svg+xml")


# --- the ledger ---------------------------------------------------------------------------------------------


@require_safe
@login_required
@permission_required("engagement.view_ledgerentry", raise_exception=True)
def ledger(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Everything that was done to a show, newest first, and whether the chain is whole."""
    show = get_object_or_404(Show, slug=slug)
    entries = LedgerEntry.objects.filter(show=show).order_by("-position")
    page = Paginator(entries, LEDGER_PAGE).get_page(request.GET.get("page"))
    rows = [{"entry": entry, "at": from_ms(entry.at_ms)} for entry in page]
    context = {"show": show, "page": page, "rows": rows, "broken_at": find_break(show)}
    return render(request, "engagement/ledger.html", context)
