"""The crew: who is logged in where, and which logins have failed."""

import logging
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.clock import from_ms, now_ms
from engagement.languages import say
from engagement.paging import newest_first
from engagement.roles import CONSOLE
from prizes.crew import glass, sessions, throttle
from prizes.models import CrewSession, FailedLogin
from prizes.views.answers import button, forbid
from prizes.views.own_account import describe

log = logging.getLogger(__name__)

ENDS = "prizes.end_sessions"


@require_safe
@never_cache
@login_required
@permission_required(CONSOLE, raise_exception=True)
def crew(request: HttpRequest) -> HttpResponseBase:
    """Failed logins for everybody of the crew, sessions for those who may end them."""
    failed = FailedLogin.objects.order_by("-last_ms")[: sessions.SHOWN]
    context: dict[str, Any] = {"failed": [describe_failed(row) for row in failed], "alarm": glass.alarm()}
    if request.user.has_perm(ENDS):
        page = newest_first(request, CrewSession.objects.select_related("user"), sessions.SHOWN)
        context |= {"page": page, "sessions": [describe(row, request) for row in page.rows]}
    return render(request, "prizes/crew.html", context)


def describe_failed(row: FailedLogin) -> dict[str, Any]:
    held = row.in_a_row >= throttle.TRIES and row.last_ms + throttle.COOL_OFF_MS > now_ms()
    return {"row": row, "last_at": from_ms(row.last_ms), "first_at": from_ms(row.first_ms), "held": held}


@button
def end_session(request: HttpRequest, number: int) -> HttpResponseBase:
    """That of somebody else: its next request is a stranger's."""
    if not request.user.has_perm(ENDS):
        return forbid(request, "crew")
    row = get_object_or_404(CrewSession.objects.select_related("user"), pk=number)
    sessions.end(row)
    log.warning("a session of %s was ended by %s", row.user, request.user)
    messages.success(request, say("The session of {user} has ended.", user=row.user))
    return redirect("crew")
