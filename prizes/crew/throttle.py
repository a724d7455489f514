"""Failed logins: counted for each account and neighbour, so that nobody is locked out by somebody elsewhere.

They are rows of the database: every gateway sees them, a login cannot do without it anyway, and Redis may be away.
Who hammers an account from one place is held off there, and only there; other accounts of that place go on, and so do
browsers that have logged in to this one before. Codes of the second factor are short, and networks of addresses are
cheap: of them strangers have a number of tries in all. Whoever uses these up has the password.
"""

import hashlib
import hmac
import logging

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q
from django.http import HttpRequest

from engagement.clock import now_ms
from engagement.core.neighbours import neighbour_of
from prizes.crew.browsers import known_browser
from prizes.crew_models import FailedLogin

log = logging.getLogger(__name__)

TRIES = 5
COOL_OFF_MS = 15 * 60_000
KEPT_MS = 7 * 24 * 3_600_000
MOST_ROWS = 10_000
PASSWORD, SECOND_FACTOR = "password", "second factor"
BROWSER = "browser "  # begins the place of one that is known
ANYWHERE, TRIES_ANYWHERE = "anywhere", 30  # codes of an account, from all browsers that are not known


def neighbour(request: HttpRequest) -> str:
    """Where a request comes from."""
    return neighbour_of(request.META.get("REMOTE_ADDR") or "nowhere")


def place_of(request: HttpRequest, name: str) -> str:
    """Where tries of this account are counted: in a browser that is known, else in the neighbourhood."""
    browser = known_browser(request, name)
    return f"{BROWSER}{browser}" if browser else neighbour(request)


def label_of(name: str) -> str:
    """What is kept of a name that somebody typed: an account's own, else a fingerprint; it may be a password."""
    if User.objects.filter(username=name).exists():
        return name
    digest = hmac.new(settings.SECRET_KEY.encode(), name.encode(errors="replace"), hashlib.sha256)
    return f"no such account #{digest.hexdigest()[:8]}"


def held_off_s(name: str, where: str, what: str) -> int:
    """So many seconds more nobody is let try this account from there; 0: now."""
    spent = Q(neighbour=where, in_a_row__gte=TRIES)
    if _is_by_strangers(where, what):
        spent |= Q(neighbour=ANYWHERE, in_a_row__gte=TRIES_ANYWHERE)
    row = FailedLogin.objects.filter(spent, account=label_of(name)).order_by("-last_ms").first()
    return 0 if row is None else max(0, -(-(row.last_ms + COOL_OFF_MS - now_ms()) // 1000))


def _is_by_strangers(where: str, what: str) -> bool:
    return what == SECOND_FACTOR and not where.startswith(BROWSER)


@transaction.atomic
def note_failure(name: str, where: str, what: str) -> None:
    """One more, and a line of the log. A count that has rested for the cool-off begins anew."""
    account = label_of(name)
    row = _count(account, where)
    held = f", held off for {COOL_OFF_MS // 60_000} minutes" if row.in_a_row >= TRIES else ""
    log.warning("login failed (%s): %s from %s, %d in a row%s", what, account, where, row.in_a_row, held)
    if _is_by_strangers(where, what) and _count(account, ANYWHERE).in_a_row == TRIES_ANYWHERE:
        log.error("somebody has the password of %s and guesses codes, last from %s", account, where)


def _count(account: str, where: str) -> FailedLogin:
    now = now_ms()
    fields = {"first_ms": now, "last_ms": now}
    row, is_new = FailedLogin.objects.get_or_create(account=account, neighbour=where, defaults=fields)
    rested = FailedLogin.objects.filter(pk=row.pk, last_ms__lt=now - COOL_OFF_MS)
    rested.update(in_a_row=0)
    FailedLogin.objects.filter(pk=row.pk).update(
        failures=F("failures") + 1, in_a_row=F("in_a_row") + 1, last_ms=now
    )
    row.refresh_from_db()
    if is_new:
        _forget_old(now)
    return row


def forgive(user: User, where: str) -> None:
    """Whoever has logged in was the one who typed wrong before. What has failed is still told."""
    FailedLogin.objects.filter(account=user.get_username(), neighbour=where).update(in_a_row=0)


def _forget_old(now: int) -> None:
    """A week, and so many rows: names and addresses are invented faster than that."""
    newest = FailedLogin.objects.order_by("-last_ms").values_list("last_ms", flat=True)
    beyond = newest[MOST_ROWS : MOST_ROWS + 1].first()
    oldest = max(now - KEPT_MS, -1 if beyond is None else beyond + 1)
    FailedLogin.objects.filter(last_ms__lt=oldest).delete()
