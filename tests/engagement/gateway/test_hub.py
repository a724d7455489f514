"""The hub of one process, without a server."""

import asyncio
from typing import Any

import msgspec
import pytest
from channels.layers import get_channel_layer

from engagement import broadcast, tally
from engagement.core.show_state import ShowState
from engagement.gateway.guest import Guest
from engagement.gateway.hub import REFRESH_S, get_hub
from engagement.gateway.transport import AsgiSocket

RESULT = {"draw": 1, "segment": 7, "winners": [], "seal": "", "strength": "", "record_url": ""}


async def test_whoever_comes_while_a_process_starts_misses_no_broadcast(
    known_show: ShowState, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = get_channel_layer()
    new_channel = layer.new_channel

    async def slowly() -> Any:
        await asyncio.sleep(0.3)
        return await new_channel()

    monkeypatch.setattr(layer, "new_channel", slowly)
    first = asyncio.create_task(get_hub())
    await asyncio.sleep(0.01)
    audience = await (await get_hub()).audience(known_show.slug)
    await asyncio.to_thread(
        broadcast.send_result, known_show.slug, known_show.epoch, known_show.seq + 1, RESULT
    )
    async with asyncio.timeout(REFRESH_S / 2):
        while audience.seq == known_show.seq:
            await asyncio.sleep(0.02)
    assert await first is await get_hub()


async def test_whoever_comes_during_a_beat_hears_figures_that_count_them(
    known_show: ShowState, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, said = tally.exchange_heartbeats, []

    async def send(event: dict[str, Any]) -> None:
        said.append(msgspec.json.decode(event["text"]))

    async def exchange_while_somebody_comes(*arguments: Any) -> Any:
        found = await exchange(*arguments)
        if not said:
            phone = Guest(hub, audience, AsgiSocket(send))
            phone.viewer = b"1" * 14
            audience.welcome(phone, b"", 0)
        return found

    monkeypatch.setattr(tally, "exchange_heartbeats", exchange_while_somebody_comes)
    hub = await get_hub()
    audience = await hub.audience(known_show.slug)
    async with asyncio.timeout(5):
        while len(said) < 2:
            await asyncio.sleep(0.02)
    assert [message["type"] for message in said] == ["welcome", "pulse"] and said[1]["phones"] == 1
