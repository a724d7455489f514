"""Two installations on one Redis server, in real processes: nothing of one reaches the other."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis import Redis

from gala.embedded import EmbeddedServer, start_server
from tests.client import TestPhone
from tests.flow.installation import Installation

pytestmark = pytest.mark.flow

SECRETS = ("flow-tests-only-4k2mQx8vR7tYb1nZcD3e", "another-one-9f3kq7vX2mZr8sLw4bTy6hNc")


class House(NamedTuple):
    """A production and a rehearsal, both with a show called gala."""

    server: EmbeddedServer
    production: Installation
    rehearsal: Installation
    segment: str
    spy: "Spy"


class Spy:
    """Everything that is published on a server."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._pubsub = Redis.from_url(server.url).pubsub()
        self._pubsub.psubscribe("*")

    def channels(self) -> list[str]:
        """Where something was said since it was asked last."""
        heard = []
        while (message := self._pubsub.get_message(timeout=0.5)) is not None:
            if message["type"] == "pmessage":
                heard.append(message["channel"].decode())
        return heard


# The numbers of their databases, and whether they share the secret.
@pytest.fixture(
    params=[
        pytest.param((0, 1, True), id="two numbers, one secret", marks=pytest.mark.nightly),
        pytest.param((0, 0, False), id="one number, two secrets"),
    ]
)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    one, two, share = request.param
    server = start_server(tmp_path / "valkey")
    production = Installation(tmp_path / "production", server, one, SECRETS[0])
    rehearsal = Installation(tmp_path / "rehearsal", server, two, SECRETS[0 if share else 1])
    for migration in [each.begin("migrate", "--verbosity", "0") for each in (production, rehearsal)]:
        assert migration.communicate(timeout=240)[1] == ""
    segment = str(production.expect("stage", "build", "The gala")["segment"])
    rehearsal.expect("stage", "build", "The rehearsal")
    yield House(server, production, rehearsal, segment, Spy(server))
    server.stop()


def get_pass(address: str) -> str:
    request = urllib.request.Request(f"http://{address}/api/shows/gala/passes", method="POST")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(json.load(answer)["pass"])


def keys_of(server: EmbeddedServer) -> list[str]:
    """Every key of every database of the server."""
    urls = [server.url.replace("db=0", f"db={number}") for number in range(16)]
    return [str(key) for url in urls for key in Redis.from_url(url, decode_responses=True).keys("*")]


async def test_no_frame_key_or_state_of_one_is_in_the_other_and_a_pass_is_one_entry(house: House) -> None:
    production, rehearsal = house.production, house.rehearsal
    production.expect("stage", "open_now", house.segment)
    with production.gateway() as address, rehearsal.gateway(), rehearsal.tasks():
        token = await asyncio.to_thread(get_pass, address)
        async with TestPhone(address, "gala") as one:
            first = await one.hello(token)
            noise = rehearsal.begin("stage", "provoke", "20")
            while noise.poll() is None:  # the second device of the viewer comes again and again meanwhile
                async with TestPhone(address, "gala") as again:
                    await again.hello(token)
                    check_frames(again.heard, first["viewer"])
                await asyncio.sleep(0.2)
            assert noise.communicate()[1] == ""
            async with TestPhone(address, "gala") as two:
                second = await two.hello(token)
                for phone in (one, two):
                    await phone.shake(int(house.segment), 40)
                    await phone.hear("ack", total=40)
                check_frames(one.heard + two.heard, first["viewer"])
        check_names(house)
        await asyncio.to_thread(draw, production, house.segment)
        assert production.expect("stage", "frozen", house.segment) == {first["viewer"]: 40}
        assert second["viewer"] == first["viewer"]


def check_frames(heard: list[dict[str, Any]], viewer: str) -> None:
    """What the phones of the gala were told is of the gala."""
    states = [message.get("state", message) for message in heard if message["type"] in ("welcome", "state")]
    assert {state["segment"]["title"] for state in states} == {"Segment of The gala"}
    welcomes = [message for message in heard if message["type"] == "welcome"]
    assert {(row["show"]["title"], row["viewer"]) for row in welcomes} == {("The gala", viewer)}


def check_names(house: House) -> None:
    """Every key, channel and queue of the server has its owner's name, and both are busy."""
    names = house.production.name, house.rehearsal.name
    assert names[0] != names[1]
    owned = keys_of(house.server)
    assert [key for key in owned if not key.startswith(tuple(f"{name}:" for name in names))] == []
    assert {f"{name}:show:gala" for name in names} <= set(owned)
    queues = {key for key in owned if "conductor" in key}
    assert queues and all(key.startswith(names[1]) for key in queues), "the other has no conductor"
    channels = set(house.spy.channels())
    assert [channel for channel in channels if not channel.startswith(names)] == []
    assert f"{names[1]}___group__show.gala" in channels


def draw(installation: Installation, segment: str) -> None:
    """Closes the window, and does every step as soon as it can be done."""
    installation.expect("segment", "close", segment)
    deadline = time.monotonic() + 40
    while (tried := installation.run("segment", "draw", segment, "--here"))[0]:
        assert time.monotonic() < deadline, tried
        time.sleep(0.3)
