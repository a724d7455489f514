"""Refusals of the API that no endpoint has made (no such address, another method, a body that is too large) as JSON."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import sync_and_async_middleware

API = "/api/"
CODES = {
    400: ("bad_request", "this request cannot be read, or its body is too large"),
    403: ("forbidden", "this is not for you"),
    404: ("no_such_address", "there is nothing under this address"),
    405: ("wrong_method", "this address does not take this method"),
    413: ("too_large", "the body is too large"),
}
FAILED = ("failed", "this did not work, and the server's log says why")
KEPT = ("Allow", "Retry-After")  # headers that belong to a refusal


@sync_and_async_middleware
def refusals_as_json(get_response: Callable[..., Any]) -> Callable[..., Any]:
    """Middleware: under /api/ nothing is refused in HTML (docs/api.md)."""
    if not iscoroutinefunction(get_response):
        return lambda request: as_json(request, get_response(request))

    async def answer(request: HttpRequest) -> HttpResponse:
        waited: Awaitable[HttpResponse] = get_response(request)
        return as_json(request, await waited)

    return answer


def as_json(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """The same answer, or a refusal in the form that docs/api.md promises."""
    if answer.status_code < 400 or not request.path_info.startswith(API):
        return answer
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        return answer
    code, message = CODES.get(answer.status_code, FAILED)
    headers = {name: answer.headers[name] for name in KEPT if name in answer.headers}
    headers["Cache-Control"] = "no-store"
    return JsonResponse({"code": code, "message": message}, status=answer.status_code, headers=headers)
