"""Challenges for devices: signed, so that nothing is kept until one is used."""

import functools
import secrets

from django.conf import settings
from django.core import signing

PURPOSE = "engagement.attestation/v1"


class BadChallenge(ValueError):
    """The challenge is forged, expired or of another place."""


def make_challenge(show: str, block: str, expires_at: int) -> str:
    """A challenge for somebody in this block who wants to take part in this show, until then (UTC ms)."""
    return _signer(tuple(settings.PASS_KEYS)).sign_object([show, block, expires_at, secrets.token_hex(8)])


def check_challenge(challenge: str, show: str, block: str, now: int) -> None:
    """Raises BadChallenge, which says what is wrong with it."""
    try:
        bound_to, at, expires_at, _ = _signer(tuple(settings.PASS_KEYS)).unsign_object(challenge)
    except (signing.BadSignature, ValueError, TypeError):
        raise BadChallenge("expected the challenge that came with `earn_it`") from None
    if (bound_to, at) != (show, block):
        raise BadChallenge("the challenge was for another show, or in another network")
    if expires_at <= now:
        raise BadChallenge("the challenge was handed out too long ago")


@functools.cache
def _signer(keys: tuple[str, ...]) -> signing.Signer:
    return signing.Signer(key=keys[0], salt=PURPOSE, fallback_keys=list(keys[1:]))
