"""Phones that are gone leave nothing that waits for a garbage collection: those are rare (gala/asgi.py)."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from engagement.core.show_state import ShowState
from engagement.gateway.consumer import ShakeConsumer
from engagement.gateway.hub import get_hub
from engagement.gateway.session import Session
from engagement.gateway.transport.asgi import AsgiSocket

CAME = 20


@pytest.mark.parametrize(("unknown", "told"), [("", "welcome"), ("-unknown", "error")])
async def test_who_came_over_asgi_and_went_leaves_nothing(
    known_show: ShowState, unknown: str, told: str
) -> None:
    hub = await get_hub()
    await hub.audience(known_show.slug)
    gc.collect()
    gc.disable()
    before = set(map(id, of_phones()))
    try:
        for _ in range(CAME):
            assert told in await visit(known_show.slug + unknown)
        await asyncio.sleep(0.05)  # the last one's close
        left = [type(found) for found in of_phones() if id(found) not in before]
    finally:
        gc.enable()
    assert left == [] and hub.connections == 0


def of_phones() -> list[object]:
    return [found for found in gc.get_objects() if type(found) in (ShakeConsumer, AsgiSocket, Session)]


async def visit(slug: str) -> str:
    """A screen comes, hears the first word, and goes; or it is sent away."""
    said: list[str] = []

    async def events() -> AsyncIterator[dict[str, str]]:
        yield {"type": "websocket.connect"}
        yield {"type": "websocket.receive", "text": '{"type":"hello","role":"screen"}'}
        async with asyncio.timeout(5):
            while not said:
                await asyncio.sleep(0.005)
        yield {"type": "websocket.disconnect"}

    async def send(event: dict[str, str]) -> None:
        said.extend(filter(None, [event.get("text")]))

    scope = {"type": "websocket", "url_route": {"kwargs": {"slug": slug}}}
    await asyncio.create_task(ShakeConsumer()(scope, events().__anext__, send))  # which it may cancel
    return said[0]
