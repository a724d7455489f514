"""A handshake that is refused: over HTTP with a reason where the server can say one, else with its plain 403."""

import json
from typing import Any

from engagement.headers import with_security
from engagement.hosts import host_of

# In `extensions` of the scope, ASGI: the server sends an answer of ours instead of its own.
EXTENSION = "websocket.http.response"


async def deny(scope: Any, receive: Any, send: Any, status: int = 403, **content: Any) -> None:
    """Refuses with a status, and what a program is told. Nothing stays open."""
    await receive()  # websocket.connect
    if EXTENSION not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    body = json.dumps(content).encode() if content else b""
    headers = [(b"content-type", b"application/json")] if content else []
    headers += [
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    secure = scope.get("scheme") in ("https", "wss")
    headers = with_security(headers, scope["path"], host_of(scope["headers"]), secure=secure)
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
