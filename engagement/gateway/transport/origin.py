"""Which pages may open a socket: our own. Apps send no Origin and show a pass instead."""

from typing import Any
from urllib.parse import urlparse

from channels.security.websocket import OriginValidator
from django.conf import settings


class SameOriginOrApp(OriginValidator):  # type: ignore[misc]  # channels has no types
    """Lets in sockets without an Origin, and pages of the host they connect to or of CSRF_TRUSTED_ORIGINS."""

    def __init__(self, application: Any) -> None:
        super().__init__(application, settings.CSRF_TRUSTED_ORIGINS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", []))
        origin, host = headers.get(b"origin"), headers.get(b"host")
        # The host is compared with its port: a page of another service on this machine is not ours.
        if origin is None or (host and origin.partition(b"://")[2] == host) or self._is_trusted(origin):
            await self.application(scope, receive, send)
            return
        # Channels' own WebsocketDenier would subscribe to a channel in Redis first.
        await receive()
        await send({"type": "websocket.close"})

    def _is_trusted(self, origin: bytes) -> bool:
        try:
            return bool(self.validate_origin(urlparse(origin.decode("latin-1"))))
        except ValueError:  # no address at all
            return False
