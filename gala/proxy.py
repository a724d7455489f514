"""What the proxy in front says of a request: did the viewer come by https, and from where. Read here and nowhere else;
all others look at `scheme` and `client` of the ASGI scope.

Anybody can send these headers, so each is believed only where the settings say that a proxy sets it.
"""

from typing import Any

from django.conf import settings


def seen_from_outside(scope: dict[str, Any]) -> dict[str, Any]:
    """The scope of a request as the viewer made it."""
    if not (settings.BEHIND_TLS_PROXY or settings.TRUST_REAL_IP_HEADER):
        return scope
    seen = dict(scope)
    if settings.BEHIND_TLS_PROXY:
        seen["scheme"] = "https" if _first(scope, b"x-forwarded-proto").lower() == "https" else "http"
    if settings.TRUST_REAL_IP_HEADER and (address := _first(scope, b"x-real-ip")):
        seen["client"] = (address, 0)
    return seen


def _first(scope: dict[str, Any], header: bytes) -> str:
    """The first word of a list: where proxies stand behind one another, that of the one nearest to the viewer."""
    values = (value for name, value in scope["headers"] if name == header)
    return bytes(next(values, b"")).partition(b",")[0].strip().decode("latin-1")
