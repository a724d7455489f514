"""Passes: the signed, expiring tokens with which a phone says hello. Checked without the database.

A host app's backend issues them for its own users with `issue_pass`, or over HTTP (docs/connect-a-phone.md).
"""

import functools
import secrets
from typing import NamedTuple

from django.conf import settings
from django.core import signing

from engagement.clock import now_ms
from engagement.fair_play.core.origins import APP, GUEST, NO_BLOCK, Origin, parse_origin

# The salt keeps a pass from being used as any other signed value of the site, and the other way round.
PURPOSE = "engagement.pass/v1"
# Guests get ids in the upper half of the 64 bits, host apps use the lower half: they can never be the same viewer.
GUEST_BIT = 1 << 63
LEEWAY_MS = 60_000  # between the clocks of two servers
NOWHERE = Origin(GUEST, 0, NO_BLOCK).pack()
ANY_TIME = 0  # the time at which no pass has expired


class BadPass(ValueError):
    """The pass is forged, expired or for another show."""


class Pass(NamedTuple):
    """What a pass says: this viewer may take part in this show until then.

    `origin` is how and where a guest got it (10 bytes, engagement/fair_play/core/origins.py), users of a host app have
    none. `issued_at` is when it was given first (UTC ms), however long it lives. `carrier` is the prefix of the carrier
    that it came from ("": none). A renewed pass keeps all three.
    """

    show: str
    uid: int
    expires_at: int
    origin: bytes = b""
    issued_at: int = 0
    carrier: str = ""

    @property
    def kind(self) -> str:
        """How it was earned: `app`, `guest`, `work`, `code` or `attested`."""
        return kind_of(self.origin)


def kind_of(origin: bytes) -> str:
    """How a pass with this origin was earned; without one its viewer is a user of a host app."""
    return parse_origin(origin).kind if origin else APP


def issue_pass(show: str, uid: int, *, lifetime_s: int | None = None, now: int | None = None) -> str:
    """A pass for the host app's user `uid` (its internal id, below 2**63, never a phone number) for this show.

    Raises ValueError for a uid out of range.
    """
    if not 0 <= uid < GUEST_BIT:
        raise ValueError(f"uid: expected an integer of 0 to 2**63 - 1, got {uid}")
    return _sign(show, uid, lifetime_s, now)


def issue_guest_pass(
    show: str,
    *,
    origin: bytes = NOWHERE,
    carrier: str = "",
    lifetime_s: int | None = None,
    now: int | None = None,
) -> str:
    """A pass for somebody nobody knows: a fresh random id, with how and where it was earned."""
    now = now_ms() if now is None else now
    return _sign(show, GUEST_BIT | secrets.randbits(63), lifetime_s, now, origin.hex(), now, carrier)


def renew_guest_pass(old: Pass, *, lifetime_s: int | None = None, now: int | None = None) -> str:
    """A pass for the same guest, valid from now on; raises ValueError for a user of a host app."""
    if old.uid < GUEST_BIT:
        raise ValueError("expected the pass of a guest: the host app gives its users new ones")
    return _sign(old.show, old.uid, lifetime_s, now, old.origin.hex(), old.issued_at, old.carrier)


def _sign(show: str, uid: int, lifetime_s: int | None, now: int | None, *more: str | int) -> str:
    lifetime = settings.PASS_LIFETIME_S if lifetime_s is None else lifetime_s
    expires_at = (now_ms() if now is None else now) + lifetime * 1000
    return _signer(tuple(settings.PASS_KEYS)).sign_object([show, uid, expires_at, *more])


@functools.cache
def _signer(keys: tuple[str, ...]) -> signing.TimestampSigner:
    """Kept: making one takes as long as checking a pass."""
    return signing.TimestampSigner(key=keys[0], salt=PURPOSE, fallback_keys=list(keys[1:]))


def check_pass(token: str, show: str, now: int) -> Pass:
    """The content of a valid pass for this show; raises BadPass, which says what is wrong with it."""
    try:
        said = _signer(tuple(settings.PASS_KEYS)).unsign_object(token)
        found = _parse(_signed_at(token), *said)
    except (signing.BadSignature, ValueError, TypeError):
        raise BadPass("the pass is not one of ours") from None
    if found.show != show:
        raise BadPass("the pass is for another show")
    if now > found.expires_at + LEEWAY_MS:
        raise BadPass("the pass has expired")
    return found


def _signed_at(token: str) -> int:
    """When a token whose signature was checked was signed, in UTC ms: to the second, as the signer has written it."""
    return signing.b62_decode(token.rsplit(":", 2)[-2]) * 1000


def _parse(
    signed_at: int, show: str, uid: int, expires_at: int, origin: str = "", since: int = 0, carrier: str = ""
) -> Pass:
    """A guest's pass without an origin is one from before there were any."""
    packed = bytes.fromhex(origin) or (NOWHERE if uid >= GUEST_BIT else b"")
    return Pass(show, uid, expires_at, packed, since or signed_at, carrier)
