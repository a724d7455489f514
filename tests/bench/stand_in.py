"""A contender in this process, for the tests of the load generator: it can be told to do wrong."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

DIALECT = SimpleNamespace(
    target=lambda number: f"/{number}",
    subprotocol=None,
    hello=lambda number: [b"hello %d" % number],
    welcomed=b"welcome",
    report=lambda total: b"report %d" % total,
    sync=b"sync",
    synced=b"synced",
    ack=b"ack",
)


class StandIn:
    """The contender and what runs of it, in one; acknowledges at once, and counts."""

    key, name = "gateway", "stand-in"

    def __init__(
        self,
        *,
        deaf: int = 0,
        twice: bool = False,
        loses: int = 0,
        wrong: list[str] | None = None,
        silent: bool = False,
    ):
        self.deaf, self.twice, self.loses, self.wrong = deaf, twice, loses, wrong or []
        self.silent = silent  # never acknowledges
        self.dialect = DIALECT
        self.pids: list[int] = []  # it has no process of its own
        self.addresses: list[tuple[str, int]] = []
        self.reports = 0
        self._sockets: list[ServerConnection] = []

    def missing(self) -> str | None:
        return None

    def can(self, measure: str) -> bool:
        return True

    @contextlib.contextmanager
    def start(self, folder: Path, *, core: int, processes: int = 1) -> Iterator["StandIn"]:
        """Its event loop runs in a thread; the core is everybody's."""
        self.addresses, self.reports, self._sockets = [], 0, []  # fresh each time
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(processes),))
        self._stop, started = asyncio.Event(), threading.Event()
        self._started = started
        thread.start()
        started.wait(5)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(5)
            self._loop.close()

    async def _serve(self, processes: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(processes):
                server = await stack.enter_async_context(serve(self._talk, "127.0.0.1", 0, compression=None))
                self.addresses.append(server.sockets[0].getsockname()[:2])
            self._started.set()
            await self._stop.wait()

    async def _talk(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # phones go without a word
            async for message in connection:
                verb, _, number = str(message).partition(" ")
                await self._answer(connection, verb, number)

    async def _answer(self, connection: ServerConnection, verb: str, number: str) -> None:
        if verb == "hello":
            self._sockets.append(connection)
            await connection.send("welcome")
        elif verb == "report":
            self.reports += 1
            if not self.silent:
                await connection.send(f'ack "total":{number}')
        elif verb == "sync":
            await connection.send("synced")
        elif verb == "bye":
            await connection.close(4429)

    def broadcast(self, marker: bytes) -> None:
        asyncio.run_coroutine_threadsafe(self._broadcast(marker.decode()), self._loop)

    async def _broadcast(self, text: str) -> None:
        for connection in self._sockets[self.deaf :]:
            for _ in range(2 if self.twice else 1):
                with contextlib.suppress(ConnectionClosed):
                    await connection.send(text)

    def accepted(self) -> int | None:
        return self.reports - self.loses

    def check_tally(self, told: dict[int, int]) -> list[str]:
        return self.wrong
