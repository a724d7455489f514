"""What every answer over HTTP gets, whoever gives it: security headers, and for public records leave to be read by the
pages of other sites (CORS). Around everything, so that no refusal and no failure is without.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from engagement.headers import with_security
from engagement.hosts import host_of
from gala.limiter import answer

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What anybody may read to check a draw (docs/api.md): nothing that depends on who asks, no pass, no claim, no page.
PUBLIC = re.compile(
    r"/api/(?:draws/[0-9]+/(?:precommitment|record|roll|shared|winners|receipt/[^/]+)"
    r"|shows/[^/]+/(?:draws|ledger(?:/.+)?))"
)
READING = ("GET", "HEAD")
ASKED_WITH = b"if-match, if-none-match, if-range, range"
TOLD = b"accept-ranges, content-length, content-range, etag, retry-after"
ANYBODY = (b"access-control-allow-origin", b"*")
A_DAY = b"86400"


async def answer_safely(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Runs an ASGI application; what it answers is sent with the headers that are missing."""
    visit = Visit(scope, send)
    if visit.is_preflight:
        return await visit.allow()
    try:
        await app(scope, receive, visit.send)
    except Exception:
        await visit.fail()
        raise  # the server writes it into its log


class Visit:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._begun = False

    @property
    def _is_public(self) -> bool:
        return PUBLIC.fullmatch(self._scope["path"]) is not None

    @property
    def is_preflight(self) -> bool:
        """Whether a browser asks if a page of another site may read this."""
        if self._scope["method"] != "OPTIONS" or not self._is_public:
            return False
        return any(name == b"access-control-request-method" for name, _ in self._scope["headers"])

    async def allow(self) -> None:
        """The answer to a preflight."""
        headers = [
            (b"access-control-allow-methods", b"GET, HEAD"),
            (b"access-control-allow-headers", ASKED_WITH),
            (b"access-control-max-age", A_DAY),
            ANYBODY,
        ]
        await self.send({"type": "http.response.start", "status": 204, "headers": headers})
        await self.send({"type": "http.response.body", "body": b""})

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            message = {**message, "headers": self._complete(message.get("headers", []))}
        await self._send(message)

    def _complete(self, headers: Any) -> list[tuple[bytes, bytes]]:
        scope, rows = self._scope, list(headers)
        if scope["method"] in READING and self._is_public:
            rows += [ANYBODY, (b"access-control-expose-headers", TOLD)]
        secure = scope.get("scheme") == "https"
        return with_security(rows, scope["path"], host_of(scope["headers"]), secure=secure)

    async def fail(self) -> None:
        """The application has raised."""
        if not self._begun:
            await answer(self.send, 500, "Internal Server Error\n", (b"connection", b"close"))
