"""One socket that does not drain: frames coalesce, nobody waits, and it is given up in the end."""

import asyncio
from typing import Any

import pytest

from engagement.core.errors import PhoneFault, WireError
from engagement.gateway.transport import Socket, text_event


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
    Socket(wire.send).write("state", text_event("one"))
    assert wire.texts == ["one"]


async def test_while_the_peer_is_slow_the_newest_of_each_kind_waits(wire: Wire) -> None:
    socket = Socket(wire.send)
    wire.writable.clear()
    for number in range(100):
        socket.write("pulse", text_event(f"pulse {number}"))
        socket.write("ack", text_event(f"ack {number}"))
    assert socket.blocked_since is not None
    wire.writable.set()
    await asyncio.sleep(0.01)
    assert wire.texts == ["pulse 0", "ack 99", "pulse 99"] or wire.texts == ["pulse 0", "pulse 99", "ack 99"]
    assert socket.blocked_since is None
    socket.write("state", text_event("after"))
    assert wire.texts[-1] == "after"


async def test_a_peer_that_is_gone_is_no_error_for_whoever_writes(wire: Wire) -> None:
    wire.gone = True
    socket = Socket(wire.send)
    socket.write("state", text_event("lost"))
    wire.writable.clear()
    socket.write("state", text_event("lost too"))
    wire.writable.set()
    await asyncio.sleep(0.01)
    assert socket.closed and wire.texts == []


async def test_closing_tells_why_in_words_and_in_the_close_frame(wire: Wire) -> None:
    socket = Socket(wire.send)
    await socket.close(PhoneFault(WireError.OVERLOADED, "full", 1500))
    assert '"retry_after_ms":1500' in wire.texts[0]
    assert wire.sent[-1] == {"type": "websocket.close", "code": 4503, "reason": "retry=1500"}
    socket.write("state", text_event("too late"))
    await socket.close(PhoneFault(WireError.OVERLOADED, "again"))
    assert len(wire.sent) == 2


async def test_a_peer_that_never_reads_is_dropped_and_its_consumer_ends(wire: Wire) -> None:
    async def consumer() -> Socket:
        socket = Socket(wire.send)
        sockets.append(socket)
        await asyncio.Event().wait()
        return socket

    sockets: list[Socket] = []
    task = asyncio.create_task(consumer())
    await asyncio.sleep(0)
    wire.writable.clear()
    sockets[0].write("state", text_event("never read"))
    sockets[0].give_up(PhoneFault(WireError.TOO_SLOW, "blocked"))
    sockets[0].give_up(PhoneFault(WireError.TOO_SLOW, "blocked"))
    await asyncio.wait([task], timeout=3)
    assert task.cancelled() and sockets[0].closed
