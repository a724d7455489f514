"""Turnstile and its kin, asked by the protocol that they share (`siteverify`).

What the service says is believed; nothing but the token goes there.
"""

import json
import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from engagement.fair_play.attestation.shape import NotVouched, Unavailable

TIMEOUT_S = 3.0
MOST_BYTES = 65_536


@dataclass(frozen=True)
class Siteverify:
    """A service at an address."""

    name: str
    address: str
    secret: str
    needs_challenge: bool = False
    threads: int = 8

    def vouch(self, token: str, challenge: str, now: int) -> None:
        """Asks the service; raises NotVouched or Unavailable."""
        try:
            is_vouched = self._ask(token)
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None
        if not is_vouched:
            raise NotVouched("the service does not vouch for this device")

    def _ask(self, token: str) -> bool:
        parts = urlsplit(self.address)
        connection = (
            HTTPSConnection(parts.netloc, timeout=TIMEOUT_S, context=ssl.create_default_context())
            if parts.scheme == "https"
            else HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        )
        try:
            body = urlencode({"secret": self.secret, "response": token})
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
            connection.request("POST", parts.path or "/", body, headers)
            answer = connection.getresponse()
            content = answer.read(MOST_BYTES)
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(f"expected status 200, got {answer.status}")
        said = json.loads(content)
        if not isinstance(said, dict):
            raise ValueError("expected an object")
        return said.get("success") is True
