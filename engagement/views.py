"""The pages of the live side: phone, stage, their QR codes, and the ledger of a show."""

import hashlib
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import segno
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from engagement.audit import Ledger, audit_ledger, has_root, is_step, read_ledger
from engagement.clock import from_ms
from engagement.core.checkpoints import format_vkey
from engagement.ledger import export_checkpoint, export_entry, keys_of
from engagement.models import LedgerCheckpoint, LedgerEntry, Show

LANGUAGES = ("en", "zh")
LEDGER_PAGE = 200
VERIFIER = Path(__file__).with_name("verify_ledger.py")


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


def _for_auditors(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Who may read entries: they name operators."""
    allowed = permission_required("engagement.view_ledgerentry", raise_exception=True)(view)
    return require_safe(login_required(allowed))


@_for_auditors
def ledger(request: HttpRequest, slug: str) -> HttpResponse:
    """Everything that was done to a show, newest first; whether it is whole, and what to keep as a proof of it."""
    whole = read_ledger(get_object_or_404(Show, slug=slug))
    checks = audit_ledger(whole)
    page = Paginator(whole.entries[::-1], LEDGER_PAGE).get_page(request.GET.get("page"))
    context = {
        "show": whole.show,
        "page": page,
        "rows": [_describe_entry(whole, entry) for entry in page],
        "checks": checks,
        "failed": [check for check in checks if not check.ok],
        "latest": whole.checkpoints[-1] if whole.checkpoints else None,
        "key": format_vkey(keys_of(whole.show)[0]),
        "verifier_sha256": hashlib.sha256(VERIFIER.read_bytes()).hexdigest(),
    }
    return render(request, "engagement/ledger.html", context)


def _describe_entry(whole: Ledger, entry: LedgerEntry) -> dict[str, Any]:
    """A row of the table; the checkpoint made with an entry has one entry more than its position says."""
    size = entry.position + 1
    row, following = whole.checkpoint_of(size), whole.checkpoint_of(size + 1)
    return {
        "entry": entry,
        "at": from_ms(entry.at_ms),
        "checkpoint": row,
        "holds": row is not None and has_root(whole, row),
        "continued": None if row is None or following is None else is_step(whole, row, following),
    }


@_for_auditors
def ledger_entries(request: HttpRequest, slug: str) -> HttpResponse:
    """All entries as lines of JSON, for the check without this server."""
    whole = read_ledger(get_object_or_404(Show, slug=slug))
    return _lines(f"{slug}-entries.jsonl", (export_entry(entry) for entry in whole.entries))


@_for_auditors
def ledger_checkpoints(request: HttpRequest, slug: str) -> HttpResponse:
    """All checkpoints as lines of JSON, for the check without this server."""
    whole = read_ledger(get_object_or_404(Show, slug=slug))
    return _lines(f"{slug}-checkpoints.jsonl", (export_checkpoint(row) for row in whole.checkpoints))


def _lines(name: str, lines: Iterable[bytes]) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(b"".join(lines), content_type="application/x-ndjson", headers=headers)


@require_safe
def checkpoint_qr(request: HttpRequest, slug: str, size: int) -> HttpResponse:
    """A checkpoint to photograph: the whole signed note."""
    return _svg(get_object_or_404(LedgerCheckpoint, show__slug=slug, size=size).note)


@require_safe
def ledger_verifier(request: HttpRequest) -> HttpResponse:
    """The program that checks a ledger without this server."""
    headers = {"Content-Disposition": 'attachment; filename="verify_ledger.py"'}
    return HttpResponse(VERIFIER.read_bytes(), content_type="text/x-python; charset=utf-8", headers=headers)
