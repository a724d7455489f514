"""Which pages may open a socket: our own. Apps send no Origin and show a pass instead."""

from typing import Any
from urllib.parse import ParseResult

from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings


class SameOriginOrApp(OriginValidator):
    """Lets in sockets without an Origin, and pages of the host they connect to or of CSRF_TRUSTED_ORIGINS."""

    def __init__(self, application: Any) -> None:
        super().__init__(application, settings.CSRF_TRUSTED_ORIGINS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        headers = dict(scope.get("headers", []))
        origin, host = headers.get(b"origin"), headers.get(b"host")
        # The host is compared with its port: a page of another service on this machine is not ours.
        if origin is None or (host and origin.partition(b"://")[2] == host):
            return await self.application(scope, receive, send)
        try:
            return await super().__call__(scope, receive, send)
        except ValueError:  # an Origin that is no address at all
            return await WebsocketDenier()(scope, receive, send)

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        return bool(self.validate_origin(parsed_origin))
