"""A time stamping authority over HTTP, around `openssl ts -reply`; a process of its own, with one way to fail or none.

    python tsa_server.py FOLDER WAY

FOLDER is that of an authority (tests/prizes/tsa.py). The port is the first line on standard output, each request one
more.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK = bytes(1 << 20)


def reply(query: bytes) -> bytes:
    command = ["openssl", "ts", "-reply", "-config", "openssl.cnf", "-queryfile", "/dev/stdin"]
    return subprocess.run(command, cwd=Handler.folder, input=query, capture_output=True, check=True).stdout


def lie(query: bytes) -> bytes:
    """The stamp of another digest, with the same nonce."""
    at = query.index(b"\x04\x20") + 2
    return reply(query[:at] + bytes([query[at] ^ 1]) + query[at + 1 :])


def forget_nonce(query: bytes) -> bytes:
    at = query.index(b"\x04\x20") + 34
    query = query[:at] + b"\x01\x01\xff"
    return reply(bytes([0x30, len(query) - 2]) + query[2:])


def answer_slowly(query: bytes) -> bytes:
    time.sleep(30)
    return reply(query)


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "honest": reply,
    "lies": lie,
    "forgets": forget_nonce,
    "slow": answer_slowly,
    "junk": lambda query: b"\x30\x82\xff\xff" + query,
    "page": lambda query: b"<html>Pay first.</html>",
    "nothing": lambda query: b"",
    "refuses": lambda query: bytes.fromhex("3009300702010203020780"),
}


class Handler(BaseHTTPRequestHandler):
    folder: Path
    way: str

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"]))
        print(self.headers["Content-Type"], self.path, flush=True)
        if self.way == "redirects":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.end_headers()
        for part in self.parts(query):
            self.wfile.write(part)

    def parts(self, query: bytes) -> Iterator[bytes]:
        if self.way == "endless":
            yield from (CHUNK for _ in range(100))
        elif self.way == "drips":
            for _ in range(100):
                yield b"\x30"
                time.sleep(0.2)
        else:
            yield WAYS[self.way](query)

    def log_message(self, *_: object) -> None:
        pass


def main(folder: str, way: str) -> None:
    Handler.folder, Handler.way = Path(folder), way
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
