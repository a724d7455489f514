"""Browsers that have logged in to an account before: a signed cookie for each account tells them from strangers.

What somebody guesses behind the same address, in the hall or the studio's network, does not hold them off. The cookie
logs nobody in: it only has tries of its own (OWASP calls it a device cookie).
"""

import hashlib
import secrets

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

KNOWN_S = 180 * 86_400
PURPOSE = "prizes.crew.browsers/v1:"


def cookie_of(name: str) -> str:
    """The cookie's name; not the account's, which may be typed by anybody."""
    return f"gala-{settings.INSTALLATION}-browser-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:12]}"


def known_browser(request: HttpRequest, name: str) -> str:
    """A few digits for a browser that has logged in to this account; empty for all others."""
    try:
        return str(_signer(name).unsign(request.COOKIES.get(cookie_of(name), ""), max_age=KNOWN_S))
    except signing.BadSignature:
        return ""


def remember_browser(request: HttpRequest, answer: HttpResponse, name: str) -> None:
    """From now on it is known; after a whole login only."""
    value = _signer(name).sign(known_browser(request, name) or secrets.token_hex(8))
    answer.set_cookie(
        cookie_of(name), value, max_age=KNOWN_S, httponly=True, samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )  # fmt: skip


def _signer(name: str) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=PURPOSE + name)
