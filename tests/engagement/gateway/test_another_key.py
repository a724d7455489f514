"""One viewer, one entry: whatever state a gateway is told, a tally takes pseudonyms of its own show's key alone."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engagement.broadcast import send_state
from engagement.core.show_state import ShowState
from engagement.gateway.hub import get_hub
from engagement.gateway.transport.asgi import AsgiSocket
from engagement.keys import own
from engagement.models import Segment
from engagement.passes import issue_pass
from engagement.tally import connect
from engagement.vault import lock_secret
from tests.cast import gateways_were_here, state_in_redis, totals_in_tally
from tests.client import TestPhone
from tests.servers import running_gateway

THEIR_KEY = lock_secret(b"\x07" * 32)
COMES_AGAIN = 4503


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A gateway that is told of another key; its log says so."""
    gateways_were_here()
    with running_gateway(tmp_path / "gateway.log") as (address, _):
        yield address
    text = (tmp_path / "gateway.log").read_text()
    assert "has another key than before" in text and "Traceback" not in text


def of_another_key(state: ShowState, **fields: Any) -> ShowState:
    """As of somebody who has the same name of an installation, the same show, and a key of his own."""
    segments = [msgspec.structs.replace(segment, **fields) for segment in state.segments]
    return msgspec.structs.replace(state, k_show=THEIR_KEY, epoch=state.epoch + 1, segments=segments)


async def tell(state: ShowState) -> None:
    await asyncio.to_thread(send_state, state, dict)


async def total_at_hello(address: str, slug: str, token: str, shakes: int, segment: int) -> dict[str, Any]:
    """A phone that comes, reports, and is acknowledged: its welcome."""
    async with TestPhone(address, slug) as phone:
        welcome = await phone.hello(token)
        await phone.shake(segment, shakes)
        await phone.hear("ack", total=shakes)
    return welcome


async def test_a_viewer_who_was_told_a_foreign_state_has_one_entry(address: str, on_air: Segment) -> None:
    slug, token = on_air.show.slug, issue_pass(on_air.show.slug, 42)
    ours = await asyncio.to_thread(state_in_redis, on_air.show)
    theirs = of_another_key(ours, key=f"{on_air.pk}-0123456789abcdef-{'0' * 16}")
    async with TestPhone(address, slug) as stays:
        before = await stays.hello(token)
        await stays.shake(on_air.pk, 10)
        await stays.hear("ack", total=10)
        await tell(theirs)
        assert (await stays.closed())[0] == COMES_AGAIN
    async with TestPhone(address, slug) as meanwhile:
        stranger = await meanwhile.hello(token)
        await meanwhile.shake(on_air.pk, 40)
        assert (await meanwhile.hear("error"))["code"] == "not_open"  # of a tally of neither key
        await tell(ours)
        assert (await meanwhile.closed())[0] == COMES_AGAIN
    after = await total_at_hello(address, slug, token, 50, on_air.pk)
    assert stranger["viewer"] != before["viewer"] == after["viewer"]
    assert await asyncio.to_thread(totals_in_tally, on_air) == {before["viewer"]: 50}


async def test_a_foreign_state_that_names_our_tally_writes_nothing_into_it(
    address: str, on_air: Segment
) -> None:
    slug, token = on_air.show.slug, issue_pass(on_air.show.slug, 42)
    ours = await asyncio.to_thread(state_in_redis, on_air.show)
    before = await total_at_hello(address, slug, token, 10, on_air.pk)
    async with TestPhone(address, slug) as phone:
        await phone.hello(token)
        await tell(of_another_key(ours))
        assert (await phone.closed())[0] == COMES_AGAIN
    async with TestPhone(address, slug) as phone:
        welcome = await phone.hello(token)
        for total in (20, 30):
            await phone.shake(on_air.pk, total)
            assert (await phone.hear("error"))["code"] == "not_open"
    assert welcome["viewer"] != before["viewer"]
    assert await asyncio.to_thread(totals_in_tally, on_air) == {before["viewer"]: 10}


def test_the_name_of_a_tally_ends_with_the_fingerprint_of_the_key(on_air: Segment) -> None:
    number, play, fingerprint = on_air.key.split("-")
    assert (int(number), len(play), len(fingerprint)) == (on_air.pk, 16, 16)
    assert on_air.draws.get().promised["k_show_commitment"].startswith(fingerprint)
    connect().delete(own(f"tally:{on_air.key}:0"))


async def test_who_said_hello_under_another_key_is_not_welcomed_and_not_counted(
    known_show: ShowState,
) -> None:
    hub = await get_hub()
    audience, said = await hub.audience(known_show.slug), []

    async def send(event: dict[str, Any]) -> None:
        said.append(event)

    phone = hub.admit(audience, AsgiSocket(send))
    phone.take(msgspec.json.encode({"type": "hello", "pass": issue_pass(known_show.slug, 1)}).decode())
    segment, now = known_show.segments[0], int(time.time() * 1000)
    on_air: dict[str, Any] = {"opens_at": now - 9_000, "closes_at": now + 9_000, "key": "7-ab"}
    audience.adopt(of_another_key(known_show, **on_air))  # before anybody is welcomed
    phone.take(msgspec.json.encode({"type": "shakes", "segment": segment.id, "total": 5}).decode())
    async with asyncio.timeout(5):
        while not any(event.get("code") == COMES_AGAIN for event in said):
            await asyncio.sleep(0.02)
    assert not any("welcome" in event.get("text", "") for event in said)
    assert all(not totals.accepted for totals in hub.totals.segments.values())
