"""What comes of a button: a sentence on the page, or JSON for the page's script."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from engagement.actions import ActionRefused
from engagement.core.plain_text import check_plain
from engagement.languages import mark, say
from engagement.phrases import unseen_text
from engagement.refusals import refuse, wants_json
from prizes.logins import RECENT, is_recent

LONGEST_REASON = 500

ANOTHER = mark(
    "Nothing was done: this page was loaded by {then}, and you are logged in as {now} now. Reload it."
)


def button(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A view that does something: asked with POST, by the account that its page was drawn for.

    Two people have to agree here and there, so nobody acts as somebody who has logged in in another tab.
    """

    @require_POST
    @wraps(view)
    def pressed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        page, now = request.POST.get("account"), request.user.get_username()
        if page and now and page != now:
            return refuse(409, "another_account", say(ANOTHER, then=page, now=now), ok=False)
        return view(request, *args, **kwargs)

    return pressed


def refuse_stranger(request: HttpRequest) -> HttpResponse:
    """403 for a script of a page."""
    if request.user.is_authenticated:
        return refuse(403, "forbidden", say("You may not do this."), ok=False)
    return refuse(
        403, "logged_out", say("You were logged out, so nothing is done: please log in again."), ok=False
    )


def forbid(request: HttpRequest, page: str, **where: Any) -> HttpResponseBase:
    """403; a person who is not logged in gets to that page, by way of the login page. No link leads to a button."""
    if not wants_json(request):
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect(reverse(page, kwargs=where))
    return refuse_stranger(request)


def answer(
    request: HttpRequest, page: str, slug: str, status: int, message: str, **more: Any
) -> HttpResponseBase:
    """The message: as JSON, with `more` beside it, or on the page itself."""
    if wants_json(request):
        return JsonResponse({"ok": status == 200, "message": message, **more}, status=status)
    (messages.success if status == 200 else messages.error)(request, message)
    return redirect(page, slug=slug)


def refuse_old_login(request: HttpRequest) -> None:
    """A console that somebody has left open takes nobody's prize away."""
    if not is_recent(request):
        minutes = RECENT.seconds // 60
        page = reverse("confirm")
        raise ActionRefused(
            say(
                "to approve this, log in again, or confirm it at {page}: your login is older than "
                "{minutes} minutes",
                page=page,
                minutes=minutes,
            )
        )


def read_reason(fields: Any) -> str:
    """The reason that a form has; ActionRefused where there is something in it that nobody can see."""
    try:
        return check_plain(say("reason"), fields.get("reason", "").strip()[:LONGEST_REASON])
    except ValueError as error:
        raise ActionRefused(unseen_text(error)) from None
