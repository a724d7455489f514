"""The gateway: pages and the API over HTTP, phones and screens over WebSocket."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")

from django.core.asgi import get_asgi_application

site = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from engagement.gateway.admission import admission, is_admission  # noqa: E402
from engagement.gateway.hub import get_hub, stop_hub  # noqa: E402
from engagement.gateway.transport.origin import SameOriginOrApp  # noqa: E402
from engagement.pictures.serving import is_picture, serve_pictures  # noqa: E402
from engagement.urls import websocket_urlpatterns  # noqa: E402
from gala.answers import answer_safely  # noqa: E402
from gala.beats import beat  # noqa: E402
from gala.doors import Doors  # noqa: E402
from gala.health import is_probe, probes  # noqa: E402
from gala.limiter import Limiter  # noqa: E402
from gala.logins import LoginDoor, costs_a_hash  # noqa: E402
from gala.proxy import seen_from_outside  # noqa: E402

# So many new objects; Python's own number is 700. Of the gateway a phone leaves nothing that only a collection finds
# (test_garbage.py), and looking for it took a tenth of the time in which 15,000 of them came.
COLLECT_AFTER = 20_000

pages = Doors(Limiter(site, settings.HTTP_AT_ONCE))
logins = Doors(LoginDoor(site))
phones = SameOriginOrApp(URLRouter(websocket_urlpatterns))

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


async def http(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Probes, passes and pictures are answered in front of Django, everything else is Django's, behind its limiters."""
    await answer_safely(app_for(scope), seen_from_outside(scope), receive, send)


def app_for(scope: dict[str, Any]) -> Callable[..., Awaitable[None]]:
    if is_probe(scope):
        return probes
    if is_admission(scope):
        return admission
    if is_picture(scope):
        return serve_pictures
    return logins if costs_a_hash(scope) else pages


async def sockets(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await phones(seen_from_outside(scope), receive, send)


async def lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """uvicorn's start and stop: before the process ends, what was accepted is written and acknowledged."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            # What was imported stays for ever: without this, collections would look at it again and again, 50 ms each.
            gc.collect()
            gc.freeze()
            gc.set_threshold(COLLECT_AFTER)
            await get_hub()
            beating = asyncio.create_task(beat())
        else:
            await stop_hub()
            beating.cancel()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": sockets,
        "lifespan": lifespan,
    }
)
