"""The one place in which a request that failed gets its answer: what is true of it, as JSON for programs (docs/api.md)
and as a page for people. Neither needs the database, a session, or to know who asks.
"""

import logging
import sys
from contextlib import AbstractContextManager
from typing import Any

from django.db import DataError, InterfaceError, OperationalError, close_old_connections
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.translation import gettext
from redis.exceptions import RedisError

from engagement.languages import mark, say, tell_language
from engagement.middleware import Around
from engagement.outcomes import Came, Outcome, current, watched
from engagement.refusals import refuse, wants_json

log = logging.getLogger(__name__)

API = "/api/"
SAFE = ("GET", "HEAD", "OPTIONS")
KEPT = ("Allow", "Retry-After")  # headers that belong to a refusal
AWAY = (OperationalError, InterfaceError, RedisError)
# A number beyond a column, JSON that is nested without end: what came is wrong, not we.
UNFIT_ERRORS = (DataError, RecursionError)
RETRY_S = 3
CODES = {
    400: (
        "bad_request",
        mark(
            "this request cannot be read, its body is too large, or ALLOWED_HOSTS lacks the name that it was sent to"
        ),
    ),
    403: ("forbidden", mark("this is not for you")),
    404: ("no_such_address", mark("there is nothing under this address")),
    405: ("wrong_method", mark("this address does not take this method")),
    413: ("too_large", mark("the body is too large")),
}
FAILED = ("failed", mark("this did not work, and the server's log says why"))

BUSY = mark("Nothing was done: {server} is busy or away. Please try again.")
BROKEN = mark("Nothing was done: this did not work, and the server's log says why.")
UNKNOWN = mark(
    "The database was lost in the moment of writing: nobody can say yet whether it was done. Look again."
)
PARTLY = mark("Something was written before it failed: it may be done, or half of it. Look again.")
DONE = mark("It was done, and is in the ledger ({actions}). Only the answer failed: look again.")
UNFIT = mark("Nothing was done: a number or a text is one that no field takes.")
STALE = mark(
    "Nothing was done: since this page was loaded you have logged in again, or it came from another site. "
    "Reload it and try again."
)


class Refusals(Around):
    """Middleware, around all but the language: notes what a request changes, and sees that a failure tells of it."""

    def enter(self, request: HttpRequest) -> AbstractContextManager[Any]:
        return watched()

    def finish(self, request: HttpRequest, answer: HttpResponse) -> HttpResponse:
        return as_json(request, answer)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """What a view raises; None where it is a fault of ours that has changed nothing, which `fail` answers."""
        outcome = current()
        came, away = _came(request, outcome), isinstance(error, AWAY)
        if isinstance(error, UNFIT_ERRORS) and came == Came.NOT_DONE:
            log.warning(
                "%s %s: %s", request.method, request.path, type(error).__name__
            )  # what came is not repeated
            return _refuse(request, 400, "bad_request", say(UNFIT), {})
        if came == Came.NOT_DONE and not away:
            return None
        where = None if away else error  # a stack for each second of an outage would bury the log
        log.error("%s %s: %s: %s", request.method, request.path, came.value, error, exc_info=where)
        return answer_failure(request, error, outcome, {} if came == Came.NOT_DONE else _look(outcome))


def as_json(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """The same answer; a refusal that no endpoint has made (no such address, another method) in JSON for a program.

    A person who has pressed a button, and had to log in first, comes back by a link: that says more than an empty page.
    """
    if answer.status_code == 405 and not _is_program(request):
        return _turn_away(
            request,
            405,
            {
                "title": gettext("Nothing was done"),
                "advice": gettext(
                    "This is the address of a button, not of a page. Go back, reload the page, and "
                    "press the button again."
                ),
            },
            Allow=answer["Allow"],
        )
    if answer.status_code < 400 or not _is_program(request):
        return answer
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        return answer
    headers = {name: answer.headers[name] for name in KEPT if name in answer.headers}
    return _refuse_program(request, answer.status_code, *_code_of(answer.status_code), headers)


# --- what is true of a failure ---


def fail(request: HttpRequest) -> HttpResponse:
    """Django's handler500: whatever is raised outside of views, and our own faults."""
    return answer_failure(request, sys.exc_info()[1], current(), {})


def answer_failure(
    request: HttpRequest, error: BaseException | None, outcome: Outcome, now: dict[str, Any]
) -> HttpResponse:
    """Done, not done, or look again: with what is there now, where that could be read."""
    away, came = isinstance(error, AWAY), _came(request, outcome)
    server = "Redis" if isinstance(error, RedisError) else say("the database")
    code, message = {
        Came.NOT_DONE: ("busy", say(BUSY, server=server)) if away else ("failed", say(BROKEN)),
        Came.LOOK_AGAIN: ("look_again", say(UNKNOWN if outcome.unanswered else PARTLY)),
        Came.DONE: ("done", say(DONE, actions=", ".join(outcome.recorded))),
    }[came]
    message = " ".join(filter(None, (message, now.pop("message", ""))))
    headers = {"Retry-After": str(RETRY_S)} if away else {}
    return _refuse(request, 503 if away else 500, code, message, headers, ok=came == Came.DONE, **now)


def _came(request: HttpRequest, outcome: Outcome) -> Came:
    """Whoever only reads has done nothing, whatever was written on the side."""
    return Came.NOT_DONE if request.method in SAFE else outcome.came


def _look(outcome: Outcome) -> dict[str, Any]:
    """What is there now, read over a new connection; nothing where that fails, too."""
    if outcome.look is None:
        return {}
    try:
        close_old_connections()
        return outcome.look()
    except Exception as error:
        log.error("what is there now cannot be read: %s", error)
        return {}


def stale_page(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: the form has the token of another login."""
    return _refuse(request, 403, "stale_page", say(STALE), {})


# --- what is not there, or not for this account ---


def not_here(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404; it asks for no session, so that what is cached for everybody stays so."""
    return _turn_away(
        request,
        404,
        {
            "title": gettext("There is nothing here"),
            "advice": gettext("The address has a typing error, or what was here is gone."),
        },
    )


def not_yours(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403: with the reason that was given, which nobody would read otherwise."""
    user = getattr(request, "user", None)
    account = user.get_username() if user is not None and user.is_authenticated else ""
    context = {
        "title": gettext("This is not for your account"),
        "advice": gettext("If it should be, ask whoever made your account."),
        "account": account,
        "reason": str(exception),
    }
    return _turn_away(request, 403, context)


def _turn_away(request: HttpRequest, status: int, context: dict[str, Any], **headers: str) -> HttpResponse:
    if _is_program(request):
        return _refuse_program(request, status, *_code_of(status), headers)
    return _draw(request, "gala/turned_away.html", status, _code_of(status)[1], headers, context)


# --- for programs and for people ---


def _code_of(status: int) -> tuple[str, str]:
    code, text = CODES.get(status, FAILED)
    return code, say(text)


def _is_program(request: HttpRequest) -> bool:
    return request.path_info.startswith(API) or wants_json(request)


def _refuse(
    request: HttpRequest, status: int, code: str, message: str, headers: dict[str, str], **more: Any
) -> HttpResponse:
    if _is_program(request):
        return _refuse_program(request, status, code, message, headers, **more)
    reload = {"may_reload": request.method in SAFE, "seconds": RETRY_S}
    return _draw(request, "gala/failed.html", status, message, headers, reload)


def _draw(
    request: HttpRequest,
    page: str,
    status: int,
    message: str,
    headers: dict[str, str],
    context: dict[str, Any],
) -> HttpResponse:
    """The page, or at least its message."""
    headers = {"Cache-Control": "no-store", **headers}
    try:
        known = {"message": message, "path": request.get_full_path(), **tell_language(), **_looks()}
        return HttpResponse(render_to_string(page, known | context), status=status, headers=headers)
    except Exception as error:
        log.warning("the page of a failure cannot be drawn: %s", error)
        return HttpResponse(f"{message}\n", "text/plain; charset=utf-8", status, headers=headers)


def _looks() -> dict[str, Any]:
    """Style sheets and icon; nothing where `collectstatic` did not run: then the page is read without."""
    try:
        styles = [static(f"engagement/{name}.css") for name in ("tokens", "crew")]
        return {"styles": styles, "icon": static("engagement/icon.svg")}
    except ValueError:
        return {}


def _refuse_program(
    request: HttpRequest, status: int, code: str, message: str, headers: dict[str, str], **more: Any
) -> HttpResponse:
    """In the API as docs/api.md promises; the scripts of our own pages are told `ok`, as by every button."""
    fields = {} if request.path_info.startswith(API) else {"ok": False, **more}
    return refuse(status, code, message, headers, **fields)
