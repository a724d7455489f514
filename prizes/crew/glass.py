"""Break glass: one account on paper, for when nobody of the crew can log in. Its use is loud, and spends it."""

import logging
import secrets
from typing import NamedTuple

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from engagement.clock import from_ms, now_ms
from engagement.core.phases import UNDER_WAY
from engagement.languages import say
from engagement.ledger.append import append_entry
from engagement.models import Show
from engagement.roles import DIRECTOR
from prizes.accounts import ensure_account
from prizes.crew import factors, sessions
from prizes.crew.throttle import neighbour
from prizes.crew_models import BreakGlass

log = logging.getLogger(__name__)

NAME, ACTION = "break-glass", "break glass"
PASSWORD_WORDS, ALPHABET = 5, "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks alike on paper
MOST_SHOWS = 50
TOLD_MS = 24 * 3_600_000  # for how long the control room says so
SESSION_S = 12 * 3600


class Sheet(NamedTuple):
    """What is printed."""

    name: str
    password: str
    codes: list[str]


@transaction.atomic
def renew() -> Sheet:
    """The account with a new password and new codes: an earlier sheet is worth nothing any more."""
    user, _ = ensure_account(NAME, DIRECTOR)
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(PASSWORD_WORDS))
    password = "-".join(groups)
    user.set_password(password)
    user.save(update_fields=["password"])
    sessions.end_all(user)
    codes = factors.renew_codes(user)
    fresh = {"made_ms": now_ms(), "used_ms": None, "used_from": ""}
    BreakGlass.objects.update_or_create(user=user, defaults=fresh)
    return Sheet(user.get_username(), password, codes)


@transaction.atomic
def spend(request: HttpRequest, user: User) -> None:
    """At a login of any account; of this one it is the last until it is renewed. This session stays."""
    row = BreakGlass.objects.filter(user=user).first()
    if row is None:
        return
    row.used_ms, row.used_from = now_ms(), neighbour(request)
    row.save(update_fields=["used_ms", "used_from"])
    for show in _running():
        append_entry(show, ACTION, actor=user.get_username(), details={"at_ms": row.used_ms})
    factors.forget_all(user)
    user.set_unusable_password()
    user.save(update_fields=["password"])
    update_session_auth_hash(request, user)
    request.session.set_expiry(SESSION_S)
    log.critical("the break-glass account was used, from %s: it is spent", row.used_from)


def _running() -> list[Show]:
    """Shows with a segment under way; where there is none, the newest."""
    running = list(Show.objects.filter(segments__phase__in=UNDER_WAY).distinct().order_by("-pk")[:MOST_SHOWS])
    return running or list(Show.objects.order_by("-pk")[:1])


def alarm() -> str:
    """What the console says for a day; empty where there is nothing to say."""
    row = BreakGlass.objects.filter(used_ms__gt=now_ms() - TOLD_MS).first()
    if row is None or row.used_ms is None:
        return ""
    at = f"{from_ms(row.used_ms):%Y-%m-%d %H:%M:%S} UTC"
    return say(
        "The break-glass account was used at {at}, from {place}. It is spent: find out why, and make another "
        "sheet (manage.py break_glass).",
        at=at,
        place=row.used_from,
    )
