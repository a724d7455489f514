"""Reads PASS_ATTESTATION: the words of each service, and what is wrong with them."""

import base64
import functools
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc.jwk import ECKey, OctKey

from engagement.fair_play.attestation import app_attest
from engagement.fair_play.attestation.app_attest import AppAttest
from engagement.fair_play.attestation.play_integrity import PlayIntegrity
from engagement.fair_play.attestation.shape import Service
from engagement.fair_play.attestation.siteverify import Siteverify

Words = tuple[str, ...]

FORMS = (
    "`name https://address secret`, `name app-attest TEAM.bundle` or"
    " `name play-integrity package decryption-key verification-key`, with commas between services"
)
APP_ID = re.compile(r"[A-Z0-9]{10}\.[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")


class BadService(ValueError):
    """Words that name no service. What came is not repeated where it may be a secret."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(f"expected {expected}, got {came}")
        self.expected, self.came = expected, came


@functools.lru_cache(maxsize=8)
def read_services(rows: tuple[Words, ...]) -> dict[str, Service]:
    """The services by their names; raises BadService."""
    found: dict[str, Service] = {}
    for words in rows:
        service = _read(words)
        if found.setdefault(service.name, service) is not service:
            raise BadService("a name of its own for each service", f"{service.name!r} twice")
    return found


def _read(words: Words) -> Service:
    match words:
        case name, "app-attest", app:
            if not APP_ID.fullmatch(app):
                raise BadService(
                    "ten characters of a team, a dot and a bundle such as com.example", repr(app)
                )
            return AppAttest(name, app, app_attest.APPLE)
        case name, "play-integrity", package, decryption, verification:
            if not PACKAGE.fullmatch(package):
                raise BadService("the name of a package such as com.example.app", repr(package))
            return PlayIntegrity(name, package, _decryption_key(decryption), _verification_key(verification))
        case name, address, secret if address.startswith(("https://", "http://")):
            return Siteverify(name, address, secret)
    raise BadService(FORMS, "another")


def _decryption_key(text: str) -> OctKey:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise BadService("a decryption key of the Play Console, 32 bytes in base64", "another")
    return OctKey.import_key(key)


def _verification_key(text: str) -> ECKey:
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not (isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)):
        raise BadService("a verification key of the Play Console, P-256 in base64", "another")
    return ECKey.import_key(key)
