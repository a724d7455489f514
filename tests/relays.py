"""Relays of drand, and witnesses, for tests: real HTTP servers on this machine, each with its own way to fail."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from tests.servers import free_socket

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Notes what was asked, then answers in the way of its relay."""

    answer: Answer
    body = ""
    data = b""  # the body as it came
    asked: list[str]
    closing: Event

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.answer(self)

    def do_POST(self) -> None:
        self.data = self.rfile.read(int(self.headers["Content-Length"]))
        self.body = self.data.decode("utf-8", "replace")
        self.do_GET()

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Relay:
    def __init__(self, address: str, asked: list[str]) -> None:
        self.address, self.asked = address, asked


@contextmanager
def relay(answer: Callable[[Handler], None]) -> Iterator[Relay]:
    """A relay that answers like this."""
    asked: list[str] = []
    closing = Event()
    kind = type("Kind", (Handler,), {"answer": staticmethod(answer), "asked": asked, "closing": closing})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Relay("http://{}:{}".format(*server.server_address[:2]), asked)
        finally:
            closing.set()
            server.shutdown()
            thread.join()


def gives(round_number: int, signature: str) -> Answer:
    row = {"round": round_number, "signature": signature, "randomness": "00" * 32}
    return lambda handler: handler.say(200, json.dumps(row).encode())


def answers(status: int, body: bytes = b"", **headers: str) -> Answer:
    return lambda handler: handler.say(status, body, **headers)


def drips(handler: Handler) -> None:
    """A byte now and then: no timeout of a socket ever strikes."""
    handler.send_response(200)
    handler.send_header("Content-Length", "300")
    handler.end_headers()
    started = time.monotonic()
    while not handler.closing.wait(0.2) and time.monotonic() - started < 20:
        handler.wfile.write(b" ")
        handler.wfile.flush()


def dead_address() -> str:
    """Where nobody listens."""
    with free_socket() as listener:
        return "http://{}:{}".format(*listener.getsockname())
