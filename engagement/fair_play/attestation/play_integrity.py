"""Google's Play Integrity: an app as Play has it, on a device that passes Android's checks.

Source: Google, "Integrity verdicts" and "Classic API requests". Tokens are opened here with the two keys that the Play
Console gives to who manages them; nothing is asked outside.
"""

import base64
from dataclasses import dataclass

import msgspec
from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey
from msgspec import Struct, field

from engagement.fair_play.attestation.shape import NotVouched, digest_of

FRESH_MS = 600_000  # as long as a challenge lives
SKEW_MS = 60_000  # between Google's clock and ours
KNOWN, WHOLE = "PLAY_RECOGNIZED", "MEETS_DEVICE_INTEGRITY"
# What a library says of a text that is no token
MALFORMED = (JoseError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


class Request(Struct, rename="camel"):
    """What was asked of Google, and when; classic requests have a nonce, standard ones a hash."""

    request_package_name: str
    timestamp_millis: int
    nonce: str = ""
    request_hash: str = ""


class App(Struct, rename="camel"):
    """The app as Google knows it."""

    app_recognition_verdict: str
    package_name: str = ""


class Device(Struct, rename="camel"):
    """What Google says of the device; nothing where it passes no check."""

    device_recognition_verdict: list[str] = field(default_factory=list)


class Verdict(Struct, rename="camel"):
    """What is in a token."""

    request_details: Request
    app_integrity: App
    device_integrity: Device


@dataclass(frozen=True)
class PlayIntegrity:
    """The devices that have this app, by its package name."""

    name: str
    package: str
    decryption: OctKey
    verification: ECKey
    needs_challenge: bool = True
    threads: int = 1

    def vouch(self, token: str, challenge: str, now: int) -> None:
        """Opens and checks a token; raises NotVouched."""
        said = self._open(token)
        request, app = said.request_details, said.app_integrity
        if (request.nonce or request.request_hash).rstrip("=") != nonce_of(challenge):
            raise NotVouched("the token is over another challenge")
        if not -SKEW_MS <= now - request.timestamp_millis <= FRESH_MS:
            raise NotVouched("the token is too old, or from the future")
        if request.request_package_name != self.package:
            raise NotVouched("the token is another app's")
        if app.app_recognition_verdict != KNOWN or app.package_name != self.package:
            raise NotVouched("the app is not as Google Play has it")
        if WHOLE not in said.device_integrity.device_recognition_verdict:
            raise NotVouched("the device does not meet Android's integrity")

    def _open(self, token: str) -> Verdict:
        """Names both algorithms itself: what a token says of them is no choice of its sender."""
        try:
            inner = jwe.decrypt_compact(token, self.decryption, algorithms=["A256KW", "A256GCM"]).plaintext
        except MALFORMED:
            raise NotVouched("expected a token of Play Integrity, encrypted for this site") from None
        try:
            payload = jws.deserialize_compact(inner or b"", self.verification, algorithms=["ES256"]).payload
        except MALFORMED:
            raise NotVouched("the token is not signed by Google") from None
        try:
            return msgspec.json.decode(payload, type=Verdict, strict=False)
        except (ValueError, RecursionError):
            raise NotVouched("expected a verdict of Play Integrity in the token") from None


def nonce_of(challenge: str) -> str:
    """What an app gives to Google for a challenge: its digest in URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(digest_of(challenge)).decode().rstrip("=")
