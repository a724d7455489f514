"""The pages of the live side: phone, stage, and their QR codes."""

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext, override
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe

from engagement.clock import now_ms
from engagement.fair_play.core.air_code import PERIOD_MS, code_of
from engagement.fair_play.promised import describe_fair_play
from engagement.languages import choose_language, localize, page_language
from engagement.models import Show
from engagement.qr import qr_code
from engagement.roles import CONSOLE
from engagement.vault import open_secret


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The crew goes to the console, everybody else to the newest show."""
    if request.user.has_perm(CONSOLE):
        return redirect("console")
    newest = Show.objects.order_by("-pk").first()
    if newest is None:
        return render_page(request, "engagement/no_show.html", gettext("Shake to win"), "")
    return redirect("play", slug=newest.slug)


@require_safe
def play(request: HttpRequest, slug: str) -> HttpResponse:
    show = get_object_or_404(Show, slug=slug)
    feed = request.GET.get("feed", "")
    with override(feed_language(request, show)):
        return render_page(request, "engagement/play.html", show.title, show.title_zh, show=show, feed=feed)


def feed_language(request: HttpRequest, show: Show) -> str:
    """Whoever prefers none of our languages is spoken to in that of the feed that the address names."""
    preferred = {choose_language(request, otherwise) for otherwise in ("en", "zh-hans")}
    if len(preferred) == 1 or "feed" not in request.GET:
        return page_language()
    feed = show.feeds.filter(name=request.GET.get("feed", "")).exclude(language="").first()
    return choose_language(request, feed.language if feed else "")


@require_safe
@never_cache
@login_required
@permission_required(CONSOLE, raise_exception=True)
def air_codes(request: HttpRequest, slug: str) -> HttpResponse:
    """The code of each feed, for whoever puts it on the screen; the page comes anew with the next one."""
    show, now = get_object_or_404(Show, slug=slug), now_ms()
    key = open_secret(show.k_show) if show.k_show else None
    codes = [(feed.title, code_of(key, feed.name, now)) for feed in show.feeds.all()] if key else []
    context = {
        "show": show,
        "codes": codes,
        "taken": "code" in describe_fair_play(show).ways,
        "next_s": (PERIOD_MS - now % PERIOD_MS) // 1000 + 1,
    }
    return render(request, "engagement/air_codes.html", context)


def render_page(
    request: HttpRequest, template: str, title: str, title_zh: str, **context: object
) -> HttpResponse:
    """A page and its title in the language of its reader."""
    return render(request, template, {"title": localize(title, title_zh), **context})


# --- QR codes -----------------------------------------------------------------------------------------------


def play_address(request: HttpRequest, slug: str) -> str:
    return request.build_absolute_uri(reverse("play", args=[slug]))


@require_safe
def join_qr(request: HttpRequest, slug: str) -> HttpResponse:
    """The address of the phone page, as the host of this request has it."""
    show = get_object_or_404(Show, slug=slug)
    return qr_code(play_address(request, show.slug))


@require_safe
@cache_control(public=True, max_age=86400, immutable=True)
def seal_qr(request: HttpRequest, seal: str) -> HttpResponse:
    """The 64 digits of a seal, for a photograph that shows all of it."""
    return qr_code(seal)
