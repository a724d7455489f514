"""What comes of a button: a sentence on the page, or JSON for the page's script."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect


def wants_json(request: HttpRequest) -> bool:
    """Whether a script asks, and not a person."""
    return bool(request.get_preferred_type(["text/html", "application/json"]) == "application/json")


def forbid(request: HttpRequest, page: str, slug: str) -> HttpResponseBase:
    """403, or the login page for a person who is not logged in."""
    if not wants_json(request):
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect(page, slug=slug)  # by way of the login page
    message = "You may not do this." if request.user.is_authenticated else "Please log in again."
    return JsonResponse({"ok": False, "message": message}, status=403)


def answer(
    request: HttpRequest, page: str, slug: str, status: int, message: str, **more: Any
) -> HttpResponseBase:
    """The message: as JSON, with `more` beside it, or on the page itself."""
    if wants_json(request):
        return JsonResponse({"ok": status == 200, "message": message, **more}, status=status)
    (messages.success if status == 200 else messages.error)(request, message)
    return redirect(page, slug=slug)
