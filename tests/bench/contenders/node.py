"""Node.js: the library ws, and Socket.IO with ws beneath, both with bufferutil, as their documentation recommends."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.bench.contenders.base import (
    HERE,
    JSON_DIALECT,
    Contender,
    Controlled,
    Dialect,
    Running,
    running_server,
)

FOLDER = HERE / "node"


class Node(Contender):
    def __init__(self, name: str, key: str, script: str, dialect: Dialect, envelope: str) -> None:
        super().__init__(name, key)
        self._script, self._dialect, self._envelope = FOLDER / script, dialect, envelope

    def missing(self) -> str | None:
        if shutil.which("node") is None:
            return "Node.js"
        if not (FOLDER / "node_modules").is_dir():
            return "the packages of package.json"
        return None

    @contextlib.contextmanager
    def start(self, folder: Path, *, core: int, processes: int = 1) -> Iterator[Running]:
        env = {**os.environ, "NODE_ENV": "production"}
        log = folder / f"{self.key}.log"
        with running_server(self._command, path="/count", env=env, log=log, core=core) as (address, process):
            running = Controlled(
                address, process.pid, self._dialect, path="/broadcast", envelope=self._envelope
            )
            with contextlib.closing(running):
                yield running

    def _command(self, port: int) -> list[str]:
        return ["node", str(self._script), str(port)]


# Engine.IO's protocol 4: "4" is a message; Socket.IO's "0" in it asks for the namespace, "2" is an event. An event may
# be sent only after the answer to "40", so the server's first event is the welcome.
SOCKET_IO = Dialect(
    target=lambda client: "/socket.io/?EIO=4&transport=websocket",
    subprotocol=None,
    hello=lambda client: [b"40"],
    welcomed=b'42["welcome"',
    report=lambda total: b'42["report",{"segment":7,"total":%d}]' % total,
    sync=b'42["sync"]',
    synced=b'42["synced"',
    ack=None,
)

NODE: list[Contender] = [
    Node("Node.js ws", "ws", "ws.js", JSON_DIALECT, envelope=""),
    Node("Socket.IO", "socketio", "socketio.js", SOCKET_IO, envelope='42["result",""]'),
]
