"""Pages that nobody holds in a hand: the wall, and its parts for a vision mixer."""

import hashlib
from functools import cache
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext, override
from django.views.decorators.http import require_safe

from engagement.languages import fill
from engagement.models import Show
from engagement.views import feed_language, play_address, render_page

OVERLAYS = ("counter", "join", "prize", "winner")
LONGEST_NAME = 60  # of a screen
SCRIPTS = Path(__file__).resolve().parent / "static" / "engagement"


@require_safe
def stage(request: HttpRequest, slug: str) -> HttpResponse:
    """The wall; with `?overlay=` one part of it alone, for a vision mixer; with `?card=1` its test card."""
    show = get_object_or_404(Show, slug=slug)
    with override(feed_language(request, show)):
        if "overlay" in request.GET:
            return _overlay(request, show, request.GET["overlay"])
        return _wall(request, show)


def _wall(request: HttpRequest, show: Show) -> HttpResponse:
    context = describe_screen(request, show)
    if request.GET.get("card"):
        context |= {
            "card": True,
            "feed_text": _describe_feed(show, str(context["feed"])),
            "screen_name": request.GET.get("name", "")[:LONGEST_NAME],
            "version": screens_version(),
        }
    return render_page(request, "engagement/stage.html", show.title, show.title_zh, **context)


def describe_screen(request: HttpRequest, show: Show) -> dict[str, object]:
    """What the pages of all screens are made from."""
    address = play_address(request, show.slug)
    _, _, shown = address.rstrip("/").partition("://")
    return {
        "show": show,
        "feed": request.GET.get("feed", ""),
        "play_address": address,
        "address_parts": [f"{part}/" for part in shown.split("/")],  # a line may end behind each
    }


def _overlay(request: HttpRequest, show: Show, overlay: str) -> HttpResponse:
    context = describe_screen(request, show)
    if overlay not in OVERLAYS:
        named = {**context, "overlays": OVERLAYS}
        return render_page(request, "engagement/overlays.html", show.title, show.title_zh, **named)
    key = "green" if request.GET.get("key") == "green" else "alpha"
    part = {**context, "overlay": overlay, "key": key}
    return render_page(request, "engagement/overlay.html", show.title, show.title_zh, **part)


def _describe_feed(show: Show, name: str) -> str:
    """The feed that a screen lives on, and how late it is."""
    feed = show.feeds.filter(name=name).first()
    if feed is None:
        return gettext("studio time")
    return fill(
        gettext("{name}, {seconds} s late"),
        name=feed.title or feed.name,
        seconds=format(feed.delay_ms / 1000, "g"),
    )


@cache
def screens_version() -> str:
    """The first 8 digits of the SHA-256 of what screens run: two walls that show the same are alike."""
    files = sorted(path for path in SCRIPTS.iterdir() if path.suffix in (".js", ".css"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
