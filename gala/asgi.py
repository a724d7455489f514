"""The gateway: pages and the API over HTTP, phones and screens over WebSocket."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")

from django.core.asgi import get_asgi_application

pages = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from engagement.gateway.admission import admission, is_admission  # noqa: E402
from engagement.gateway.hub import stop_hub  # noqa: E402
from engagement.gateway.origin import SameOriginOrApp  # noqa: E402
from engagement.urls import websocket_urlpatterns  # noqa: E402

Message = dict[str, Any]


async def lifespan(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """uvicorn's start and stop: before the process ends, what was accepted is written and acknowledged."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await stop_hub()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def http(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Passes are handed out in front of Django, everything else is Django's."""
    await (admission if is_admission(scope) else pages)(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": SameOriginOrApp(URLRouter(websocket_urlpatterns)),
        "lifespan": lifespan,
    }
)
