"""The form of a second factor: what the page needs, and what comes back."""

import json
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from prizes.crew import factors

LONGEST_CREDENTIAL = 20_000


def step_context(user: User) -> dict[str, Any]:
    return {"options": factors.ask_passkey(user), "account": user.get_username()}


def read_step(request: HttpRequest, user: User) -> None:
    """WrongFactor where neither the code nor the passkey is right."""
    if credential := request.POST.get("credential"):
        return factors.check_passkey(user, read_credential(credential))
    return factors.check_code(user, request.POST.get("code", ""))


def read_credential(text: str) -> Any:
    """What the browser has made or signed; nothing of it is believed before it was checked."""
    try:
        found = json.loads(text) if len(text) <= LONGEST_CREDENTIAL else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise factors.WrongFactor
    return found
