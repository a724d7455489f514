"""A way to PostgreSQL that breaks at a chosen moment of the next action: between a gateway and its database."""

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from threading import Thread
from typing import Any
from urllib.parse import quote

from tests.servers import free_socket

ENTRY = b'INSERT INTO "engagement_ledgerentry"'  # in every action, and nowhere else
COMMIT = b"COMMIT\0"


class Cut(Enum):
    """When the connection breaks."""

    BEFORE = "before the action is written"
    LOST = "COMMIT does not arrive"
    UNANSWERED = "COMMIT is executed, its answer does not arrive"
    AFTER = "the answer arrives, and from then on the database is away"


class Wire:
    """One connection of the gateway."""

    def __init__(self, way: "Way", client: socket.socket) -> None:
        self.way, self.client, self.server = way, client, way.connect()
        self.acts = self.committed = False

    def run(self) -> None:
        with self.client, self.server:
            answering = Thread(target=self._answer)
            answering.start()
            self._send()
            answering.join()

    def _send(self) -> None:
        for data in chunks(self.client):
            cut, self.acts = self.way.cut, self.acts or ENTRY in data
            if cut and self.acts and (cut == Cut.BEFORE or self._is_the_time(cut, data)):
                break
            with suppress(OSError):
                self.server.sendall(data)
        self._break()

    def _is_the_time(self, cut: Cut, data: bytes) -> bool:
        if COMMIT in data:
            self.committed = True
            return cut == Cut.LOST
        return self.committed

    def _answer(self) -> None:
        for data in chunks(self.server):
            if self.committed and self.way.cut == Cut.UNANSWERED:
                break
            if self.committed and self.way.cut == Cut.AFTER:
                self.way.is_open = False
            with suppress(OSError):
                self.client.sendall(data)
        self._break()

    def _break(self) -> None:
        if self.acts:
            self.way.cut = None  # of one action only
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Way:
    """From a port of this machine to the database of the tests."""

    def __init__(self, database: dict[str, Any]) -> None:
        self.cut: Cut | None = None
        self.is_open = True
        self._database = database
        self.listener = free_socket()
        user, password = database["USER"] or getpass.getuser(), database["PASSWORD"]
        port = self.listener.getsockname()[1]
        self.url = f"postgres://{quote(user)}:{quote(password)}@127.0.0.1:{port}/{database['NAME']}"
        self.threads = [Thread(target=self._accept)]
        self.threads[0].start()

    def connect(self) -> socket.socket:
        host, port = self._database["HOST"], self._database["PORT"] or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _accept(self) -> None:
        with suppress(OSError):  # of the listener that is closed at the end
            while True:
                client, _ = self.listener.accept()
                if self.is_open:
                    self.threads.append(Thread(target=Wire(self, client).run))
                    self.threads[-1].start()
                else:
                    client.close()


def chunks(end: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):
        while data := end.recv(1 << 16):
            yield data


@contextmanager
def breakable(database: dict[str, Any]) -> Iterator[Way]:
    way = Way(database)
    try:
        yield way
    finally:
        way.listener.shutdown(socket.SHUT_RDWR)
        for thread in way.threads:
            thread.join()
        way.listener.close()
