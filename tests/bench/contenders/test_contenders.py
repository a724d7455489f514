"""Each contender that is installed is spoken to in its own dialect by plain clients, and does what is measured."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Collection

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.bench.contenders import CONTENDERS, Contender, Dialect, Running, base
from tests.bench.contenders.base import MESSAGE_BYTES
from tests.bench.finals import finals
from tests.bench.measures import SHORT, Place

CLIENTS, REPORTS = 3, 2
MARKERS = (b"marker-1", b"marker-2")
PATIENCE_S = 10.0
WITHOUT_ORDER = {"tutorial-core"}  # an open bug of channels_redis

each_contender = pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.key)


class Client:
    """One socket that remembers the frames it got."""

    def __init__(self, socket: ClientConnection, dialect: Dialect) -> None:
        self.socket, self.dialect = socket, dialect
        self.heard: list[bytes] = []

    async def say(self, payload: bytes) -> None:
        await self.socket.send(payload, text=True)

    async def hear(self, needle: bytes) -> bytes:
        """The next frame that contains this."""
        async with asyncio.timeout(PATIENCE_S):
            while needle not in (frame := await self._frame()):
                pass
            return frame

    async def hear_all(self, needles: Collection[bytes]) -> None:
        """Read on until each of these was heard, in whatever order."""
        async with asyncio.timeout(PATIENCE_S):
            while not all(self.frames_with(needle) for needle in needles):
                await self._frame()

    def frames_with(self, needle: bytes) -> list[bytes]:
        return [frame for frame in self.heard if needle in frame]

    async def _frame(self) -> bytes:
        self.heard.append(await self.socket.recv(decode=False))
        return self.heard[-1]

    async def sync(self) -> None:
        await self.say(self.dialect.sync)
        await self.hear(self.dialect.synced)


@contextlib.asynccontextmanager
async def connected(running: Running, clients: int = CLIENTS) -> AsyncIterator[list[Client]]:
    """Clients that have said hello, spread over the processes."""
    dialect, found = running.dialect, []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(clients):
            host, port = running.addresses[number % len(running.addresses)]
            subprotocols = [Subprotocol(dialect.subprotocol)] if dialect.subprotocol else None
            socket = connect(
                f"ws://{host}:{port}{dialect.target(number)}", subprotocols=subprotocols, compression=None
            )
            client = Client(await stack.enter_async_context(socket), dialect)
            assert client.socket.subprotocol == dialect.subprotocol
            for payload in dialect.hello(number):
                await client.say(payload)
            await client.hear(dialect.welcomed)
            found.append(client)
        yield found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.05)


def installed(contender: Contender) -> Contender:
    if missing := contender.missing():
        pytest.skip(f"not installed: {missing}")
    return contender


def a_core() -> int:
    return max(os.sched_getaffinity(0))


async def report_and_be_told(clients: list[Client]) -> dict[int, int]:
    """Each client reports growing totals, the last one 100 + its number; what the clients were told."""
    told = {}
    for number, client in enumerate(clients):
        for report in reversed(range(REPORTS)):
            await client.say(client.dialect.report(100 + number - report))
    for number, client in enumerate(clients):
        if client.dialect.ack is not None:
            frame = await client.hear(b'"total":%d' % (100 + number))
            assert client.dialect.ack in frame
            told[number] = 100 + number
    return told


@each_contender
async def test_every_client_gets_each_message_once_and_every_report_is_counted(contender, tmp_path):
    with installed(contender).start(tmp_path, core=a_core()) as running:
        async with connected(running) as clients:
            if contender.can("intake"):
                assert running.accepted() == 0
                told = await report_and_be_told(clients)
                for client in clients:
                    await client.sync()
                await until(lambda: running.accepted() == CLIENTS * REPORTS)
                assert running.check_tally(told) == []
            for marker in MARKERS:
                await asyncio.to_thread(running.broadcast, marker)
            for client in clients:
                await client.hear_all(MARKERS)
                await client.sync()
                heard = [frame for marker in MARKERS for frame in client.frames_with(marker)]
                assert [len(frame) for frame in heard] == [MESSAGE_BYTES] * len(MARKERS)
                if contender.key not in WITHOUT_ORDER:
                    assert [frame for frame in client.heard if frame in heard] == heard
        assert [os.sched_getaffinity(pid) for pid in running.pids] == [{a_core()}]
    assert not any(os.path.exists(f"/proc/{pid}") for pid in running.pids)


@pytest.mark.parametrize("contender", [CONTENDERS[0]], ids=lambda contender: contender.key)
async def test_a_tally_that_is_not_what_was_told_is_noticed(contender, tmp_path):
    with installed(contender).start(tmp_path, core=a_core(), processes=2) as running:
        assert len(running.addresses) == len(set(running.addresses)) == len(set(running.pids)) == 2
        async with connected(running) as clients:
            told = await report_and_be_told(clients)
            assert told == {0: 100, 1: 101, 2: 102}
            assert running.check_tally(told) == []
            assert running.check_tally({**told, 1: 99}) == ["client 1 was told 99, the tally has 101"]
            assert running.check_tally({**told, 3: 7}) == ["client 3 was told 7, the tally has 0"]
            del told[2]
            assert running.check_tally(told) == ["the tally has 102 of a viewer who was told nothing"]
            await asyncio.to_thread(running.broadcast, b"to-both-processes")
            for client in clients:
                await client.hear(b"to-both-processes")


def test_what_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setattr("gala.embedded._wheel_binary", lambda: None)
    monkeypatch.setattr("tests.bench.contenders.nchan.MODULE", base.ROOT / "nonexistent")
    missing = {contender.key: contender.missing() for contender in CONTENDERS}
    assert missing["ws"] == missing["socketio"] == "Node.js"
    assert re.fullmatch("nginx.*", missing["nchan"] or "")
    assert "No usable Valkey or Redis" in (missing["gateway"] or "")
    assert missing["tutorial-core"] == missing["gateway"]


async def test_a_server_that_ends_at_once_is_an_error_with_its_last_words(tmp_path):
    command = ["/bin/sh", "-c", "echo no such luck; exit 3"]
    server = base.running_server(lambda port: command, path="/", env={}, log=tmp_path / "log", core=a_core())
    with pytest.raises(RuntimeError, match="no such luck"), server:
        pass


def test_a_broadcast_that_cannot_be_sent_is_an_error():
    address = "127.0.0.1", base.free_port()
    running = base.Controlled(address, 1, base.JSON_DIALECT, path="/", envelope="")
    with pytest.raises(OSError):
        running.broadcast(b"marker")
    with pytest.raises(ValueError, match="expected a marker of at most 10 bytes, got 11"):
        base.fill("x" * 11, 10)


# --- two feeds of ours ---


def test_final_reports_of_our_gateway_come_with_a_stub_each_and_others_with_none(tmp_path):
    ours = next(contender for contender in CONTENDERS if contender.key == "gateway")
    rows = finals(ours, Place(tmp_path, 0, SHORT))["finals"]
    assert rows["wrong"] == [] and rows["sockets"] == SHORT.finals
    assert rows["with_us"] > 0 and rows["without_us"] > 0
