"""Who is logged in where, and how a session ends: its row is gone, and the browser's next request is a stranger's.

Pages of the console ask every second, so that one that is ended there is noticed within a second.
"""

from typing import Any

from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpRequest

from engagement.clock import from_ms, now_ms
from engagement.core.plain_text import leave_seen
from prizes.crew.throttle import neighbour
from prizes.crew_models import LONGEST_BROWSER, CrewSession

SHOWN = 100


def begin(request: HttpRequest, user: User) -> None:
    """At a login; what has expired by itself is forgotten."""
    if request.session.session_key is None:
        request.session.create()
    now = now_ms()
    # Not by their age: a session that goes on being used lives longer than one that is left alone.
    alive = Session.objects.filter(expire_date__gt=from_ms(now)).values("session_key")
    CrewSession.objects.exclude(key__in=alive).delete()
    browser = leave_seen(request.headers.get("User-Agent", ""))
    fields = {
        "user": user,
        "begun_ms": now,
        "neighbour": neighbour(request),
        "browser": browser[:LONGEST_BROWSER],
    }
    CrewSession.objects.update_or_create(key=request.session.session_key, defaults=fields)


def forget(request: HttpRequest, **_: Any) -> None:
    """Receiver of `user_logged_out`."""
    if request.session.session_key is not None:
        CrewSession.objects.filter(key=request.session.session_key).delete()


def end(row: CrewSession) -> None:
    SessionStore().delete(row.key)
    row.delete()


def end_all(user: User, but: str | None = None) -> int:
    """Ends all sessions of this account, but for the one with this key; how many."""
    rows = list(CrewSession.objects.filter(user=user).exclude(key=but or ""))
    for row in rows:
        end(row)
    return len(rows)


def renamed(request: HttpRequest, before: str | None) -> None:
    """After Django has given the session another key, as it does when the password was changed."""
    request.session.save()
    CrewSession.objects.filter(key=before).update(key=request.session.session_key)
