"""What all services that vouch for devices have in common."""

import hashlib
from typing import Protocol


class NotVouched(Exception):
    """The service does not vouch for this device, or not now, not here; the text is for the app's developer."""


class Unavailable(Exception):
    """The service has not answered as it should."""


class Service(Protocol):
    """One that is named in PASS_ATTESTATION."""

    @property
    def name(self) -> str:
        """As apps name it."""

    @property
    def needs_challenge(self) -> bool:
        """Whether its tokens are over a challenge of ours."""

    @property
    def threads(self) -> int:
        """How many may be asked at once: one where this process does the work, which goes no faster with more."""

    def vouch(self, token: str, challenge: str, now: int) -> None:
        """Returns where it vouches for the device with this token, at `now` (UTC ms), and takes its time.

        Raises NotVouched or Unavailable.
        """


def digest_of(challenge: str) -> bytes:
    """What a device has its service sign: 32 bytes, for a challenge as it was handed out."""
    return hashlib.sha256(challenge.encode()).digest()
