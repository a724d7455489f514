"""Who runs a show does so with a second factor, where CREW_SECOND_FACTOR says so."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from engagement.languages import mark, say
from engagement.refusals import refuse, wants_json
from prizes.logins import used_second_factor

RUNS = "engagement.run_segment"  # an operator, a director, or a superuser
OPEN = ("/account/", "/login/", "/logout/", "/invitations/")
API = "/api/"
MISSING = mark(
    "Nothing was done: your role needs a second factor, which this login has not used. Set it up under Account."
)


class SecondFactor:
    """Middleware: without a second factor, these roles can do nothing but set it up.

    Public pages, too: with the rights of a role they say more than to the public.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        if not settings.CREW_SECOND_FACTOR:
            raise MiddlewareNotUsed
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        answer: HttpResponse | Awaitable[HttpResponse] = self.get_response(request)
        return answer

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        # Whoever has no session is nobody's crew; to look would make every answer vary by its cookie.
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or request.path_info.startswith(OPEN):
            return None
        if used_second_factor(request) or not request.user.has_perm(RUNS):
            return None
        if request.path_info.startswith(API) or wants_json(request) or request.method != "GET":
            return refuse(403, "second_factor", say(MISSING), ok=False)
        return redirect("account")
