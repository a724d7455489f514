"""Which pages may open a socket: our own. Apps send no Origin and show a pass instead."""

from typing import Any
from urllib.parse import urlparse

from channels.security.websocket import OriginValidator
from django.conf import settings

from engagement.gateway.transport.denial import deny
from engagement.hosts import host_of


class SameOriginOrApp(OriginValidator):  # type: ignore[misc]  # channels has no types
    """Lets in sockets without an Origin, and pages of the host they connect to or of SOCKET_ORIGINS."""

    def __init__(self, application: Any) -> None:
        super().__init__(application, settings.SOCKET_ORIGINS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        origin = dict(scope.get("headers", [])).get(b"origin")
        if origin is None or self._is_ours(origin, scope) or self._is_trusted(origin):
            await self.application(scope, receive, send)
            return
        # Channels' own WebsocketDenier would subscribe to a channel in Redis first.
        await deny(scope, receive, send)

    def _is_ours(self, origin: bytes, scope: Any) -> bool:
        """The host is compared with its port: a page of another service on this machine is not ours."""
        host = host_of(scope["headers"])
        return bool(host) and origin.partition(b"://")[2].decode("latin-1") == host

    def _is_trusted(self, origin: bytes) -> bool:
        try:
            return bool(self.validate_origin(urlparse(origin.decode("latin-1"))))
        except ValueError:  # no address at all
            return False
