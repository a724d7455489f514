"""When somebody has logged in here: in this session, not anywhere."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest

from engagement.clock import now_ms

RECENT = timedelta(minutes=15)
LOGGED_IN_AT = "logged_in_at"  # in the session, UTC ms


def remember_login(request: HttpRequest, **_: Any) -> None:
    """Receiver of `user_logged_in`. The account's last login would be refreshed by a login on any other device."""
    request.session[LOGGED_IN_AT] = now_ms()


def is_recent(request: HttpRequest) -> bool:
    """Whether this session has logged in within the last `RECENT`."""
    since = request.session.get(LOGGED_IN_AT)
    return since is not None and now_ms() - since <= RECENT.total_seconds() * 1000
