"""When somebody has logged in here, and with what: in this session, not anywhere."""

import hashlib
from datetime import timedelta
from typing import Any

from django.http import HttpRequest

from engagement.clock import now_ms

RECENT = timedelta(minutes=15)
LOGGED_IN_AT = "logged_in_at"  # in the session, UTC ms
SECOND_FACTOR = "second_factor"  # in the session: a second factor was used in this login


def session_of(request: HttpRequest) -> str:
    """A fingerprint of this login, which tells it from others and gives nobody its key."""
    key = request.session.session_key or ""
    return hashlib.sha256(f"gala-session:{key}".encode()).hexdigest()[:32]


def remember_login(request: HttpRequest, **_: Any) -> None:
    """Receiver of `user_logged_in`, and whoever has confirmed it.

    The account's last login would be refreshed by a login on any other device.
    """
    request.session[LOGGED_IN_AT] = now_ms()


def remember_second_factor(request: HttpRequest) -> None:
    request.session[SECOND_FACTOR] = True


def is_recent(request: HttpRequest) -> bool:
    """Whether this session has logged in, or confirmed it, within the last `RECENT`."""
    since = request.session.get(LOGGED_IN_AT)
    return since is not None and now_ms() - since <= RECENT.total_seconds() * 1000


def used_second_factor(request: HttpRequest) -> bool:
    return bool(request.session.get(SECOND_FACTOR))
