"""The hub of one process, without a server."""

import asyncio
from typing import Any

import msgspec
import pytest
from channels.layers import get_channel_layer
from django.utils.translation import get_language, override

from engagement import broadcast, tally
from engagement.core.show_state import ShowState, pack_state
from engagement.gateway.hub import FLUSH_S, REFRESH_S, get_hub
from engagement.gateway.session import Session
from engagement.gateway.transport.asgi import AsgiSocket
from engagement.gateway.write_behind import WriteBehind
from engagement.keys import own


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
    newer = msgspec.structs.replace(known_show, seq=known_show.seq + 1)
    await asyncio.to_thread(broadcast.send_state, newer, dict)
    async with asyncio.timeout(REFRESH_S / 2):
        while audience.state.seq == known_show.seq:
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
            phone = Session(hub, audience, AsgiSocket(send))
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


async def test_nothing_of_another_installation_is_taken_and_that_is_told_once(
    known_show: ShowState, caplog: pytest.LogCaptureFixture
) -> None:
    broadcast._tell_of.cache_clear()
    audience = await (await get_hub()).audience(known_show.slug)
    layer, group = get_channel_layer(), broadcast.group_of(known_show.slug)
    for seq in (8, 9):
        theirs = msgspec.structs.replace(known_show, installation="rehearsal", title="Theirs", seq=seq)
        await layer.group_send(group, {"type": "state", "document": pack_state(theirs)})
        step = {"slug": known_show.slug, "step": [known_show.epoch, seq], "wins": {}, "last": True}
        await layer.group_send(group, {"type": "wins", "installation": "rehearsal", **step})
    ours = msgspec.structs.replace(known_show, seq=7)
    await layer.group_send(group, {"type": "state", "document": pack_state(ours)})
    async with asyncio.timeout(REFRESH_S / 2):
        while audience.state.seq != 7:
            await asyncio.sleep(0.02)
    assert audience.state.title == known_show.title and audience.wins.wins == 0
    assert [row.message for row in caplog.records if "rehearsal" in row.message] == [
        f"a message or state of installation rehearsal is refused: here is {known_show.installation}"
    ]


async def test_a_kept_state_of_another_installation_is_no_show(known_show: ShowState) -> None:
    theirs = msgspec.structs.replace(known_show, installation="rehearsal", slug="theirs")
    redis = tally.connect_async()
    await redis.set(own("show:theirs"), pack_state(theirs))
    assert await broadcast.fetch_state(redis, "theirs") is None
    await redis.delete(own("show:theirs"))
    await redis.aclose(close_connection_pool=True)


async def test_of_many_states_within_a_moment_phones_get_the_first_and_the_last(
    known_show: ShowState,
) -> None:
    hub = await get_hub()
    audience, said = await hub.audience(known_show.slug), []

    async def send(event: dict[str, Any]) -> None:
        said.append(msgspec.json.decode(event["text"]))

    audience.welcome(Session(hub, audience, AsgiSocket(send)), b"", 0)
    for seq in range(4, 24):
        state = msgspec.structs.replace(known_show, seq=seq)
        await asyncio.to_thread(broadcast.send_state, state, dict)
    async with asyncio.timeout(REFRESH_S / 2):
        while audience.state.seq != 23:
            await asyncio.sleep(0.02)
    told = [message["seq"] for message in said if message["type"] == "state"]
    assert told[0] == 4 and told[-1] == 23 and len(told) <= 4


async def test_a_show_in_which_nobody_is_any_more_costs_a_process_nothing(
    known_show: ShowState, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(event: dict[str, Any]) -> None:
        """Nobody listens."""

    monkeypatch.setattr("engagement.gateway.hub.REFRESH_S", 0.01)
    hub, slug = await get_hub(), known_show.slug
    audience = await hub.audience(slug)
    await asyncio.sleep(1)
    assert slug in hub.audiences  # on air
    phone = hub.admit(audience, AsgiSocket(send))
    over = msgspec.structs.replace(known_show, seq=known_show.seq + 1, segments=[], current=None)
    await asyncio.to_thread(broadcast.send_state, over, dict)
    await asyncio.sleep(1)
    assert slug in hub.audiences and audience.state == over  # somebody is about to say hello
    phone.gone()
    async with asyncio.timeout(5):
        while slug in hub.audiences:
            await asyncio.sleep(0.02)
    late = hub.admit(audience, AsgiSocket(send))  # asked for it in the last moment
    assert hub.audiences == {slug: late.audience}
    late.gone()
    again = await hub.audience(slug)
    assert again.state == over


async def test_loops_that_a_request_has_started_do_not_keep_its_language(
    known_show: ShowState, monkeypatch: pytest.MonkeyPatch
) -> None:
    languages = set()

    async def flush(_: WriteBehind) -> None:
        languages.add(get_language())

    monkeypatch.setattr(WriteBehind, "flush", flush)
    with override("zh-hant"):
        await get_hub()
        await asyncio.sleep(2 * FLUSH_S)
    assert languages == {"en"}
