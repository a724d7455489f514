"""The hub of one process, without sockets."""

import asyncio
from typing import Any

import msgspec
import pytest
from channels.layers import get_channel_layer

from engagement import broadcast, tally
from engagement.core.show_state import demo_state, pack_state
from engagement.gateway.hub import REFRESH_S, get_hub, stop_hub
from engagement.vault import lock_secret

STATE = msgspec.structs.replace(demo_state(), slug="hub", k_show=lock_secret(bytes(32)))
RESULT = {"draw": 1, "segment": 7, "winners": [], "seal": "", "strength": "", "record_url": ""}


async def test_whoever_comes_while_a_process_starts_misses_no_broadcast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis, layer = tally.connect_async(), get_channel_layer()
    new_channel = layer.new_channel

    async def slowly() -> Any:
        await asyncio.sleep(0.3)
        return await new_channel()

    monkeypatch.setattr(layer, "new_channel", slowly)
    await redis.set("show:hub", pack_state(STATE))
    first = asyncio.create_task(get_hub())
    await asyncio.sleep(0.01)
    try:
        audience = await (await get_hub()).audience("hub")
        await asyncio.to_thread(broadcast.send_result, "hub", STATE.epoch, STATE.seq + 1, RESULT)
        async with asyncio.timeout(REFRESH_S / 2):
            while audience.seq == STATE.seq:
                await asyncio.sleep(0.02)
        assert await first is await get_hub()
    finally:
        await stop_hub()
        await redis.delete("show:hub")
        await redis.aclose(close_connection_pool=True)
