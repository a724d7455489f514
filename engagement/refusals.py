"""The form of every refusal over HTTP: a code for programs, and a message for people (docs/api.md)."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse


class Refused(Exception):
    """There is no answer to this request: the status, a code for programs, and a message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def refuse(
    status: int, code: str, message: str, headers: dict[str, str] | None = None, **more: Any
) -> HttpResponse:
    """JSON, and not to be kept: most of what is not there will be, later."""
    body = {**more, "code": code, "message": message}
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store", **(headers or {})})


def answer_refusal(_: HttpRequest, refusal: Any) -> HttpResponse:
    """An exception handler for the API (gala/urls.py)."""
    return refuse(refusal.status, refusal.code, str(refusal))


def wants_json(request: HttpRequest) -> bool:
    """Whether a script asks, and not a person."""
    return bool(request.get_preferred_type(["text/html", "application/json"]) == "application/json")
