"""The security headers of every answer, in one place: pages, the API, passes, probes, files, and refusals of the server
itself (docs/api.md, "Security headers"). What an answer says by itself is left as it is.
"""

import functools

from django.conf import settings

Headers = list[tuple[bytes, bytes]]

PHONE = "/play/"
API = "/api/"
# The worker that earns passes; it alone compiles WebAssembly, and older phones know but one word that allows it.
SOLVER = "/static/engagement/vendor/altcha/"

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
WORKER = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval'; frame-ancestors 'none'"
PAGE = (
    "default-src 'none'; base-uri 'none'; connect-src 'self'{sockets}; font-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; img-src 'self' data:; manifest-src 'self'; script-src 'self'; style-src 'self'; "
    "worker-src 'self'"
)
NOT_USED = ("camera", "display-capture", "geolocation", "magnetometer", "microphone", "payment", "usb")
MOTION = ("accelerometer", "gyroscope")


def security_headers(path: str, host: str = "", *, secure: bool = False) -> Headers:
    """Those of an answer at this path, to a request under this name of ours, which came by https or not."""
    if path.startswith(API):
        return _headers(NOTHING, "", phone=False, secure=secure)
    if path.startswith(SOLVER):
        return _headers(WORKER, "", phone=False, secure=secure)
    return _headers(PAGE, host, phone=path.startswith(PHONE), secure=secure)


def with_security(headers: Headers, path: str, host: str = "", *, secure: bool = False) -> Headers:
    """Headers of an answer, and of ours those that it lacks."""
    said = {name for name, _ in headers}
    ours = security_headers(path, host, secure=secure)
    return [*headers, *(row for row in ours if row[0] not in said)]


@functools.lru_cache(maxsize=256)
def _headers(policy: str, host: str, *, phone: bool, secure: bool) -> Headers:
    """A list that nobody changes."""
    # Browsers of before 2022 do not count sockets as 'self'.
    sockets = f" {'wss' if secure else 'ws'}://{host}" if host else ""
    motion = [f"{feature}={'(self)' if phone else '()'}" for feature in MOTION]
    headers = {
        "content-security-policy": policy.replace("{sockets}", sockets),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "permissions-policy": ", ".join(sorted([*motion, *(f"{feature}=()" for feature in NOT_USED)])),
        "cross-origin-opener-policy": "same-origin",
        "x-frame-options": "DENY",
    }
    if secure and settings.SECURE_HSTS_SECONDS:
        below = "; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else ""
        headers["strict-transport-security"] = f"max-age={settings.SECURE_HSTS_SECONDS}{below}"
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
