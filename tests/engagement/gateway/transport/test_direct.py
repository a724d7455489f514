"""The fast path on real sockets: what is read, what is written, and what a slow or silent phone costs."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from websockets.frames import Close, Frame, Opcode

from engagement.core.errors import PhoneFault, WireError
from engagement.gateway.intake import Intake
from engagement.gateway.transport.direct import SILENT_S, DirectSocket, fan_out
from engagement.gateway.transport.socket import CLOSE_S, dismiss
from engagement.gateway.transport.socket import Frame as TextFrame


def masked(opcode: Opcode, payload: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


HEEDED = 10


class Ear:
    """Hears what a socket takes in."""

    def __init__(self) -> None:
        self.heard: list[str | bytes | None] = []
        self.gone_times = self.restarts = self.heeded = 0

    def take(self, message: str | bytes | None) -> None:
        self.heard.append(message)

    def heed(self) -> bool:
        self.heeded += 1
        return self.heeded <= HEEDED

    def gone(self) -> None:
        self.gone_times += 1

    def restart(self) -> None:
        self.restarts += 1


class Line:
    """A connection: the gateway's end as a DirectSocket, the phone's end as a plain socket."""

    def __init__(self) -> None:
        self.ear, self.open_sockets = Ear(), set[object]()

    async def open(self) -> "Line":
        loop = asyncio.get_running_loop()
        ours, self.phone = socket.socketpair()
        for end in (ours, self.phone):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        self.socket = DirectSocket(self.transport, Intake(), self.open_sockets, max_bytes=4096)
        self.open_sockets.add(self.socket)
        self.transport.set_protocol(self.socket)
        self.socket.listen(self.ear)
        return self

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.phone, data)
        await asyncio.sleep(0.01)

    async def read(self, size: int = 65_536) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.phone, size), 3)

    async def read_all(self) -> bytes:
        """Until the gateway has closed."""
        found = b""
        while data := await self.read():
            found += data
        return found


def on_a_line(test: Callable[[Line], Awaitable[None]]) -> Callable[[str], None]:
    """Runs a test on uvloop, as the gateway does, and on asyncio's own event loop."""

    async def run(loop: str) -> None:
        line = await Line().open()
        assert loop in type(asyncio.get_running_loop()).__module__
        try:
            await test(line)
        finally:
            line.transport.abort()
            line.phone.close()
            await asyncio.sleep(0)

    @pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
    def on_both(loop: str) -> None:
        factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run(loop))

    return on_both


@on_a_line
async def test_short_frames_are_heard_one_by_one_or_many_in_one_read(line: Line) -> None:
    await line.say(masked(Opcode.TEXT, b"one"))
    await line.say(
        masked(Opcode.TEXT, b"two") + masked(Opcode.TEXT, b"three" * 60) + masked(Opcode.BINARY, b"\0")
    )
    assert line.ear.heard == [b"one", b"two", b"three" * 60, None]


@on_a_line
async def test_a_frame_may_come_in_pieces_and_the_quick_way_goes_on_after_it(line: Line) -> None:
    whole = masked(Opcode.TEXT, b"in pieces")
    for byte in whole:
        await line.say(bytes([byte]))
    await line.say(masked(Opcode.TEXT, b"frag", fin=False))
    await line.say(masked(Opcode.TEXT, b"not heard")[:3])
    assert line.ear.heard == [b"in pieces"] and line.socket.closed  # a text inside of a text
    assert (await line.read())[:4] == b"\x88\x02" + (1002).to_bytes(2, "big")


@on_a_line
async def test_fragments_are_one_message(line: Line) -> None:
    await line.say(masked(Opcode.TEXT, b"frag", fin=False))
    await line.say(masked(Opcode.CONT, b"ments"))
    await line.say(masked(Opcode.TEXT, b"after"))
    assert line.ear.heard == [b"fragments", b"after"]


@on_a_line
async def test_a_ping_is_answered(line: Line) -> None:
    await line.say(masked(Opcode.PING, b"there?"))
    assert await line.read() == b"\x8a\x06there?"


@on_a_line
async def test_a_flood_of_pings_is_limited_like_any_other(line: Line) -> None:
    await line.say(masked(Opcode.PING, b"") * 1_000)
    async with asyncio.timeout(3):
        while line.ear.heeded < 1_000:  # read in many turns
            await asyncio.sleep(0.01)
    assert await line.read() == b"\x8a\x00" * HEEDED


@on_a_line
async def test_after_a_fault_nothing_is_read_or_kept_any_more(line: Line) -> None:
    await line.say(b"\x81\xff" + (10**9).to_bytes(8, "big") + bytes(4_000))
    await line.say(b"more")
    ours = line.transport.get_extra_info("socket")
    with socket.socket(fileno=os.dup(ours.fileno())) as peeked:
        assert line.socket._reader is None and peeked.recv(65_536, socket.MSG_PEEK).endswith(b"more")


@on_a_line
async def test_a_flood_after_our_close_is_not_read(line: Line) -> None:
    line.socket.close(4400)
    with pytest.raises(BlockingIOError):  # the buffers are full
        for _ in range(100):
            line.phone.send(masked(Opcode.PING, b"") * 200)
            await asyncio.sleep(0.005)
    assert line.ear.heeded == 0


@on_a_line
async def test_a_phone_that_says_goodbye_without_ever_reading_is_dropped(line: Line) -> None:
    line.socket.write("state", TextFrame("x" * 1_000_000))
    assert line.socket.blocked_since is not None
    await line.say(masked(Opcode.CLOSE, (1000).to_bytes(2, "big")))
    await asyncio.sleep(0.05)
    assert line.ear.gone_times == 1 and not line.open_sockets


@on_a_line
async def test_a_frame_that_is_too_long_closes_before_it_is_in_memory(line: Line) -> None:
    await line.say(b"\x81\xff" + (10**9).to_bytes(8, "big"))
    assert await line.read() == b"\x88\x02" + (1009).to_bytes(2, "big")
    assert line.socket.closed


@on_a_line
async def test_a_frame_is_on_the_wire_before_write_returns(line: Line) -> None:
    line.socket.write("state", TextFrame("one"))
    assert line.phone.recv(100) == b"\x81\x03one"


@on_a_line
async def test_while_the_phone_does_not_read_the_newest_of_each_kind_waits(line: Line) -> None:
    long = "x" * 100_000
    line.socket.write("state", TextFrame(long))
    assert line.socket.blocked_since is not None
    for number in range(1_000):
        line.socket.write("pulse", TextFrame(f"pulse {number}"))
        line.socket.write_together({"state": TextFrame(f"state {number}"), "ack": TextFrame(f"ack {number}")})
    await line.say(masked(Opcode.PING, b"who does not read gets no pong") * 10)
    assert line.transport.get_write_buffer_size() < 110_000
    found = b""
    while not found.endswith(b"ack 999"):
        found += await line.read()
    newest = (TextFrame(text).wire for text in ("pulse 999", "state 999", "ack 999"))
    assert found == TextFrame(long).wire + b"".join(newest)
    assert line.socket.blocked_since is None
    line.socket.write("state", TextFrame("after"))
    assert await line.read() == b"\x81\x05after"


@on_a_line
async def test_a_fan_out_reaches_who_reads_at_once_who_does_not_later_and_leaves_out_the_others(
    line: Line,
) -> None:
    slow, leaving, closed = [await Line().open() for _ in range(3)]
    sockets = [leaving.socket, slow.socket, closed.socket, line.socket]
    leaving.phone.close()
    closed.socket.close(1000)
    filling = "x" * 100_000
    slow.socket.write("state", TextFrame(filling))
    for number in range(3):
        fan_out(sockets, "result", TextFrame(f"result {number}"))
    assert line.phone.recv(100) == b"".join(TextFrame(f"result {number}").wire for number in range(3))
    found = b""
    while not found.endswith(b"result 2"):
        found += await slow.read()
    assert found == TextFrame(filling).wire + TextFrame("result 2").wire
    assert b"result" not in closed.phone.recv(100)
    for one in (slow, closed):
        one.phone.close()
    await asyncio.sleep(0.05)
    assert [one.ear.gone_times for one in (slow, leaving, closed)] == [1, 1, 1]


@on_a_line
async def test_what_the_kernel_does_not_take_of_a_fan_out_comes_later(line: Line) -> None:
    long = TextFrame("x" * 100_000)
    for number in range(20):
        fan_out([line.socket], "result", long if number == 0 else TextFrame(str(number)))
    found = b""
    while not found.endswith(b"19"):
        found += await line.read()
    assert found == long.wire + TextFrame("19").wire


@on_a_line
async def test_nothing_follows_a_close_on_a_socket_that_was_blocked(line: Line) -> None:
    line.socket.write("state", TextFrame("x" * 100_000))
    line.socket.write("pulse", TextFrame("waiting"))
    line.socket.close(4508)
    fan_out([line.socket], "result", TextFrame("too late"))
    found = b""
    while not found.endswith((4508).to_bytes(2, "big")):
        found += await line.read()
    assert line.socket.blocked_since is None
    fan_out([line.socket], "result", TextFrame("far too late"))
    line.socket.write_together({"ack": TextFrame("much too late")})
    for _ in range(SILENT_S):
        line.socket.check()  # asks nobody who was told goodbye
    assert await line.read_all() == b"" and b"late" not in found and b"waiting" not in found


@on_a_line
async def test_closing_tells_why_and_waits_for_the_answer(line: Line) -> None:
    dismiss(line.socket, PhoneFault(WireError.OVERLOADED, "full", 1500))
    dismiss(line.socket, PhoneFault(WireError.OVERLOADED, "again"))
    line.socket.write("state", TextFrame("too late"))
    await line.say(masked(Opcode.TEXT, b"not heard any more"))
    close = Frame(Opcode.CLOSE, Close(4503, "retry=1500").serialize()).serialize(mask=False)
    found = await line.read()
    assert b'"retry_after_ms":1500' in found and found.endswith(close)
    assert line.ear.heard == [] and line.ear.gone_times == 0
    await line.say(masked(Opcode.CLOSE, (4503).to_bytes(2, "big")))
    assert await line.read() == b"" and line.ear.gone_times == 1 and not line.open_sockets


@on_a_line
async def test_a_close_that_is_never_answered_is_not_waited_for(line: Line) -> None:
    line.socket.write("state", TextFrame("x" * 100_000))  # never read
    line.socket.close(4508)
    await asyncio.sleep(CLOSE_S + 0.1)
    assert line.ear.gone_times == 1 and not line.open_sockets


@on_a_line
async def test_a_phone_that_says_goodbye_is_answered_and_gone(line: Line) -> None:
    await line.say(masked(Opcode.CLOSE, (1000).to_bytes(2, "big") + b"bye"))
    assert await line.read_all() == b"\x88\x02" + (1000).to_bytes(2, "big")
    assert line.ear.gone_times == 1 and line.socket.closed


@on_a_line
async def test_a_phone_that_breaks_off_is_gone_and_writing_to_it_is_no_error(line: Line) -> None:
    line.phone.close()
    line.socket.write("state", TextFrame("lost"))
    await asyncio.sleep(0.05)
    line.socket.write("state", TextFrame("lost, too"))
    assert line.ear.gone_times == 1 and not line.open_sockets


@on_a_line
async def test_a_silent_phone_is_asked_and_dropped_after_twice_the_time(line: Line) -> None:
    for _ in range(SILENT_S):
        line.socket.check()
    assert await line.read() == b"\x89\x00"
    await line.say(masked(Opcode.PONG, b""))  # it is there
    for _ in range(2 * SILENT_S):
        assert line.ear.gone_times == 0
        line.socket.check()
    await asyncio.sleep(0.05)
    assert line.ear.gone_times == 1


@on_a_line
async def test_the_servers_end_is_told_to_the_listener(line: Line) -> None:
    line.socket.shutdown()
    assert line.ear.restarts == 1
