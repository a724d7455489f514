"""The second factor: an authenticator app (TOTP) or passkeys, with recovery codes, as django-allauth keeps them.

Its pages are not used: they have a throttle that locks an account out from everywhere, and a login of their own. What
is used is what must not be written twice: the checks of codes and of what authenticators sign.
"""

import io
import logging
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote, urlencode

import segno
from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.mfa.utils import decrypt, encrypt
from allauth.mfa.webauthn.internal import auth as webauthn
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from engagement.vault import VaultError

log = logging.getLogger(__name__)

Kind = Authenticator.Type
TOTP_SECRET = "totp_secret"  # in the session, until the first code of it is right
MOST_PASSKEYS = 10
LONGEST_NAME = 60


class WrongFactor(Exception):
    """The code, or what the passkey has signed, is not right."""


def factors_of(user: User) -> list[Any]:
    return list(Authenticator.objects.filter(user=user).order_by("pk"))


def has_factor(user: User) -> bool:
    """Whether a login of this account takes a second step."""
    return bool(Authenticator.objects.filter(user=user).exists())


def line_up(user: User) -> None:
    """Locks the factors of an account until the transaction ends."""
    list(Authenticator.objects.select_for_update().filter(user=user).order_by("pk").values_list("pk"))


# --- codes ---


@transaction.atomic
def check_code(user: User, code: str) -> None:
    """A code of the authenticator app, or one that was not used yet of the recovery codes; WrongFactor."""
    rows = Authenticator.objects.select_for_update().filter(
        user=user, type__in=(Kind.TOTP, Kind.RECOVERY_CODES)
    )
    for row in rows:
        if _check(row, code[:100]):
            Authenticator.objects.filter(pk=row.pk).update(last_used_at=timezone.now())
            return
    raise WrongFactor


def _check(row: Any, code: str) -> bool:
    try:
        return _check_totp(row, code) if row.type == Kind.TOTP else bool(row.wrap().validate_code(code))
    except VaultError as error:
        log.error("the second factor of %s cannot be read: %s", row.user_id, error)
        return False


def _check_totp(row: Any, code: str) -> bool:
    """Each code once: those up to the last one that was used are spent, in whichever process."""
    last, secret = row.data.get("last", -1), decrypt(row.data["secret"])
    for counter in _matching(secret, code):
        if counter > last:
            row.data["last"] = counter
            row.save(update_fields=["data"])
            return True
    return False


def _matching(secret: str, code: str) -> Iterator[int]:
    for counter in yield_hotp_counters_from_time():
        if compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, counter))):
            yield counter


# --- setting up an app ---


def begin_app(request: HttpRequest) -> tuple[str, str, str]:
    """A secret for an authenticator app, kept in the session; its address for apps, and that as a picture."""
    secret = request.session.get(TOTP_SECRET) or generate_totp_secret()
    request.session[TOTP_SECRET] = secret
    site, user = request.get_host(), request.user.get_username()
    address = f"otpauth://totp/{quote(f'{site}:{user}')}?{urlencode({'secret': secret, 'issuer': site})}"
    picture = io.BytesIO()
    segno.make(address, error="m", micro=False).save(
        picture, kind="svg", border=3, omitsize=True, xmldecl=False
    )
    return secret, address, picture.getvalue().decode()


@transaction.atomic
def finish_app(request: HttpRequest, user: User, code: str) -> None:
    """The app is a factor once it has shown a right code; it takes the place of an earlier one."""
    secret = request.session.get(TOTP_SECRET, "")
    counters = list(_matching(secret, code[:100])) if secret else []
    if not counters:
        raise WrongFactor
    Authenticator.objects.filter(user=user, type=Kind.TOTP).delete()
    data = {"secret": encrypt(secret), "last": max(counters)}
    Authenticator.objects.create(user=user, type=Kind.TOTP, data=data)
    del request.session[TOTP_SECRET]
    ensure_codes(user)


# --- passkeys ---


def begin_passkey(user: User) -> dict[str, Any]:
    """What the browser is asked to make a passkey with; in a request that allauth's middleware knows."""
    return cast(dict[str, Any], webauthn.begin_registration(user, False))


@transaction.atomic
def finish_passkey(user: User, name: str, credential: Any) -> None:
    try:
        webauthn.parse_registration_response(credential)
        webauthn.complete_registration(credential)
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        raise WrongFactor from None
    if Authenticator.objects.filter(user=user, type=Kind.WEBAUTHN).count() >= MOST_PASSKEYS:
        raise WrongFactor
    webauthn.WebAuthn.add(user, name.strip()[:LONGEST_NAME] or "Passkey", credential)
    ensure_codes(user)


def ask_passkey(user: User) -> dict[str, Any] | None:
    """What the browser is asked to sign; None where this account has no passkey."""
    if not Authenticator.objects.filter(user=user, type=Kind.WEBAUTHN).exists():
        return None
    return cast(dict[str, Any], webauthn.begin_authentication(user))


def check_passkey(user: User, credential: Any) -> None:
    try:
        webauthn.parse_authentication_response(credential)
        row = webauthn.complete_authentication(user, credential)
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        raise WrongFactor from None
    row.record_usage()


# --- recovery codes ---


def ensure_codes(user: User) -> None:
    RecoveryCodes.activate(user)


def codes_of(user: User) -> list[str]:
    """Those that were not used yet."""
    row = Authenticator.objects.filter(user=user, type=Kind.RECOVERY_CODES).first()
    return [] if row is None else cast(list[str], row.wrap().get_unused_codes())


@transaction.atomic
def renew_codes(user: User) -> list[str]:
    Authenticator.objects.filter(user=user, type=Kind.RECOVERY_CODES).delete()
    ensure_codes(user)
    return codes_of(user)


@transaction.atomic
def remove(user: User, number: int) -> None:
    """One of them; with the last app or passkey the recovery codes go, too."""
    rows = Authenticator.objects.filter(user=user)
    rows.filter(pk=number).exclude(type=Kind.RECOVERY_CODES).delete()
    if not rows.exclude(type=Kind.RECOVERY_CODES).exists():
        rows.delete()


def forget_all(user: User) -> None:
    Authenticator.objects.filter(user=user).delete()


def reencrypt() -> None:
    """With the first of STORAGE_KEYS."""
    for number in Authenticator.objects.exclude(type=Kind.WEBAUTHN).values_list("pk", flat=True):
        with transaction.atomic():
            row: Any = Authenticator.objects.select_for_update().filter(pk=number).first()
            for name in {"secret", "seed"} & set(row.data if row else ()):
                row.data[name] = encrypt(decrypt(row.data[name]))
                row.save(update_fields=["data"])
