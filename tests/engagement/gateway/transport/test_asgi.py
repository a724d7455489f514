"""One socket that does not drain: frames coalesce, nobody waits, and it is given up in the end."""

import asyncio
from typing import Any

import pytest

from engagement.core.errors import PhoneFault, WireError
from engagement.gateway.transport.asgi import AsgiSocket
from engagement.gateway.transport.socket import CLOSE_S, Frame, dismiss


class Wire:
    """An ASGI `send` whose peer can stop reading."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.writable = asyncio.Event()
        self.writable.set()
        self.gone = False

    async def send(self, event: dict[str, Any]) -> None:
        await self.writable.wait()
        if self.gone:
            raise ConnectionError("the peer is gone")
        self.sent.append(event)

    @property
    def texts(self) -> list[str]:
        return [event["text"] for event in self.sent if "text" in event]


@pytest.fixture
async def wire() -> Wire:
    return Wire()


async def test_a_frame_is_on_the_wire_before_write_returns(wire: Wire) -> None:
    AsgiSocket(wire.send).write("state", Frame("one"))
    assert wire.texts == ["one"]


async def test_while_the_peer_is_slow_the_newest_of_each_kind_waits(wire: Wire) -> None:
    socket = AsgiSocket(wire.send)
    wire.writable.clear()
    for number in range(100):
        socket.write("pulse", Frame(f"pulse {number}"))
        socket.write("ack", Frame(f"ack {number}"))
    assert socket.blocked_since is not None
    wire.writable.set()
    await asyncio.sleep(0.01)
    assert wire.texts == ["pulse 0", "ack 99", "pulse 99"] or wire.texts == ["pulse 0", "pulse 99", "ack 99"]
    assert socket.blocked_since is None
    socket.write("state", Frame("after"))
    assert wire.texts[-1] == "after"


async def test_a_peer_that_is_gone_is_no_error_for_whoever_writes(wire: Wire) -> None:
    wire.gone = True
    socket = AsgiSocket(wire.send)
    socket.write("state", Frame("lost"))
    wire.writable.clear()
    socket.write("state", Frame("lost too"))
    wire.writable.set()
    await asyncio.sleep(0.01)
    assert socket.closed and wire.texts == []


async def test_closing_tells_why_in_words_and_in_the_close_frame(wire: Wire) -> None:
    socket = AsgiSocket(wire.send)
    dismiss(socket, PhoneFault(WireError.OVERLOADED, "full", 1500))
    dismiss(socket, PhoneFault(WireError.OVERLOADED, "again"))
    socket.write("state", Frame("too late"))
    await asyncio.sleep(0.01)
    assert '"retry_after_ms":1500' in wire.texts[0]
    assert wire.sent[1:] == [{"type": "websocket.close", "code": 4503, "reason": "retry=1500"}]


class Ear:
    """Hears what a socket takes in."""

    def __init__(self) -> None:
        self.heard: list[str | bytes | None] = []
        self.gone_times = 0

    def take(self, message: str | bytes | None) -> None:
        self.heard.append(message)

    def heed(self) -> bool:
        raise AssertionError("ASGI servers answer pings themselves")

    def gone(self) -> None:
        self.gone_times += 1

    def restart(self) -> None:
        raise AssertionError("ASGI has no such word")


async def test_a_peer_that_never_reads_is_dropped_and_its_consumer_ends(wire: Wire) -> None:
    socket, ear = AsgiSocket(wire.send), Ear()
    socket.listen(ear)
    incoming: asyncio.Queue = asyncio.Queue()
    consumer = asyncio.create_task(socket.read(incoming.get))
    incoming.put_nowait({"type": "websocket.receive", "text": "hello"})
    await asyncio.sleep(0.01)
    wire.writable.clear()
    socket.write("state", Frame("never read"))
    socket.close(4508)
    incoming.put_nowait({"type": "websocket.receive", "text": "not heard any more"})
    await asyncio.wait_for(consumer, CLOSE_S + 1)
    assert ear.heard == ["hello"] and ear.gone_times == 1 and socket.closed


async def test_a_peer_that_hangs_up_is_told_to_the_listener_once(wire: Wire) -> None:
    socket, ear = AsgiSocket(wire.send), Ear()
    socket.listen(ear)
    incoming: asyncio.Queue = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.receive", "bytes": b"\x00"})
    incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await asyncio.wait_for(socket.read(incoming.get), 1)
    assert ear.heard == [None] and ear.gone_times == 1 and socket.closed
