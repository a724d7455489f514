"""What a login sets off, by whichever way it came."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from prizes.crew import glass, sessions, throttle
from prizes.logins import remember_login


def welcome(request: HttpRequest, user: User, **_: Any) -> None:
    """Receiver of `user_logged_in`: where one of these fails, nobody is logged in."""
    remember_login(request)
    throttle.forgive(user, throttle.place_of(request, user.get_username()))
    glass.spend(request, user)
    sessions.begin(request, user)
