"""Peers that draw things out, at a gateway that nothing stands in front of: each is sent away, on both of its ways."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from engagement.gateway.transport.bounded import BODY_S, HEAD_S, LARGEST_HEAD, MOST_HEADERS, SEND_S
from tests.servers import running_gateway

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 300
DRIP_S = 1.0
LATE_S = 4.0  # this machine does other work, too
PAGE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /stub/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
FILE = b"GET /verify_draw.py HTTP/1.1\r\nHost: localhost\r\n\r\n"


class End(NamedTuple):
    """When a connection was closed, and what was said on it."""

    after_s: float
    said: bytes


async def draw_out(address: str, begin: bytes, drip: bytes = b"") -> End:
    """Sends the beginning, then a little each second, until the gateway has had enough."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    loop = asyncio.get_running_loop()
    began = loop.time()
    writer.write(begin)
    hearing = asyncio.create_task(reader.read())
    while not hearing.done():
        if drip:
            writer.write(drip)
        await asyncio.wait({hearing}, timeout=DRIP_S)
        assert loop.time() - began < 60, (begin, drip)
    said = b""
    with contextlib.suppress(ConnectionError):
        said = hearing.result()
    writer.transport.abort()
    return End(loop.time() - began, said)


async def reads_nothing(address: str) -> End:
    """Asks for a file many times, and takes no answer; a write fails once the gateway has hung up."""
    host, port = address.split(":")
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(peer, (host, int(port)))
        began = loop.time()
        await loop.sock_sendall(peer, FILE * 200)
        while True:
            await asyncio.sleep(DRIP_S)
            assert loop.time() - began < 60
            try:
                peer.send(b"\r\n")
            except BlockingIOError:
                continue
            except ConnectionError:
                return End(loop.time() - began, b"")


KINDS: dict[str, tuple[Callable[[str], Awaitable[End]], float, bytes]] = {
    "says nothing": (lambda to: draw_out(to, b""), HEAD_S, b""),
    "half a head": (lambda to: draw_out(to, PAGE[:30]), HEAD_S, b"408"),
    "a head, letter by letter": (lambda to: draw_out(to, PAGE[:30], b"x"), HEAD_S, b"408"),
    "empty lines": (lambda to: draw_out(to, b"\r\n", b"\r\n"), HEAD_S, b""),
    "a request, then empty lines": (lambda to: draw_out(to, PAGE, b"\r\n"), HEAD_S, b"200"),
    "a request, then half of one": (lambda to: draw_out(to, PAGE + PAGE[:30], b"x"), HEAD_S, b"408"),
    "a request, then nothing": (lambda to: draw_out(to, PAGE), 5.0, b"200"),
    "half a handshake": (
        lambda to: draw_out(to, b"GET /ws/shows/gala/ HTTP/1.1\r\nUpgrade: websocket\r\n", b"x"), HEAD_S, b"408",
    ),
    "a body that drips": (lambda to: draw_out(to, POST + b"Content-Length: 1000\r\n\r\n", b"x"), BODY_S, b"408"),
    "chunks that drip": (
        lambda to: draw_out(to, POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), BODY_S, b"408",
    ),
    "a body that drips where none is read": (
        lambda to: draw_out(to, b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"x"),
        BODY_S, b"200",
    ),
    "reads nothing": (reads_nothing, SEND_S, b""),
}  # fmt: skip


def sockets_of(pid: int) -> int:
    """How many descriptors of a process are sockets."""
    folder = Path(f"/proc/{pid}/fd")
    count = 0
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(folder / name).startswith("socket:")
    return count


async def _suffer(address: str, pid: int) -> tuple[dict[str, End], int, int, int]:
    """What becomes of each kind of peer; how many sockets there are before, with a crowd of slow heads, and after."""
    before = sockets_of(pid)
    crowd = [asyncio.create_task(draw_out(address, PAGE[:30], b"x")) for _ in range(CROWD)]
    kinds = {name: asyncio.ensure_future(kind(address)) for name, (kind, _, _) in KINDS.items()}
    await asyncio.sleep(5)
    during = sockets_of(pid)
    ends = await asyncio.gather(*crowd)
    assert all(HEAD_S - 1 < end.after_s < HEAD_S + LATE_S for end in ends), max(ends)
    found = {name: await kind for name, kind in kinds.items()}
    await asyncio.sleep(0.5)
    return found, before, during, sockets_of(pid)


async def test_nobody_holds_a_connection_by_being_slow(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path / "fast") as (fast, one),
        running_gateway(tmp_path / "plain", server="plain uvicorn") as (plain, other),
    ):
        both = await asyncio.gather(_suffer(fast, one.pid), _suffer(plain, other.pid))
    for found, before, during, after in both:
        assert during - before > CROWD and after <= before + 2, (before, during, after)
        for name, end in found.items():
            _, limit_s, said = KINDS[name]
            assert limit_s - 2 * DRIP_S < end.after_s < limit_s + LATE_S + 2 * DRIP_S, (name, end)
            assert said in end.said, (name, end)
    for log in ("fast", "plain"):
        assert "Traceback" not in (text := (tmp_path / log).read_text()), text[-3000:]


HUGE = b"x" * LARGEST_HEAD


@pytest.mark.parametrize("server", ["uvicorn", "plain uvicorn"])
async def test_heads_have_a_size(tmp_path: Path, server: str) -> None:
    fits = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + HUGE[:-1000] + b"\r\n\r\n"
    heads = {
        "fits": (fits, b"200"),
        "one long header": (fits.replace(b"X-Long: ", b"X-Long: " + HUGE), b"431"),
        "a long address": (b"GET /" + HUGE + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"431"),
        "many": (PAGE[:-2] + b"X-Short: 1\r\n" * MOST_HEADERS + b"\r\n", b"431"),
        "without an end": (PAGE[:-2] + b"X-Endless: " + HUGE + b"x" * 1000, b"431"),
        "a handshake": (
            b"GET /ws/shows/gala/ HTTP/1.1\r\nUpgrade: websocket\r\nX: " + HUGE + b"\r\n\r\n",
            b"431",
        ),
        "no HTTP at all": (bytes(range(256)) * 4, b"400"),
    }
    with running_gateway(tmp_path / "log", server=server) as (address, _):
        for name, (head, status) in heads.items():
            said = (await draw_out(address, head)).said
            assert said.split(b" ")[1:2] == [status], (name, said[:100])
            assert b"\r\ncontent-security-policy: " in said, name
    assert "Invalid" not in (tmp_path / "log").read_text(), "anybody could fill the log"


async def test_a_gateway_that_was_held_up_does_not_blame_its_peers(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "log") as (address, process):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(PAGE[:30])
        await asyncio.sleep(1)
        process.send_signal(signal.SIGSTOP)
        writer.write(PAGE[30:])
        await asyncio.sleep(HEAD_S + 1)
        process.send_signal(signal.SIGCONT)
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
