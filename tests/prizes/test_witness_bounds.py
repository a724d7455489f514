"""A witness is open to everybody: what strangers send costs it little, and keeps nobody else waiting."""

import contextlib
import random
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prizes import witness as program
from tests.prizes.witnesses import Log, Running, make_witness, running_witness

LOG = Log("gala.example.com/gala")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("witness")
    make_witness(folder)
    with running_witness(folder, LOG.vkey) as running:
        assert running.send(LOG.request(0, 7)).status == 200
        yield running


def connect(running: Running) -> socket.socket:
    host, _, port = running.address.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def talk(running: Running, sent: bytes) -> bytes:
    """What it says until it closes the connection."""
    with connect(running) as connection:
        with contextlib.suppress(OSError):  # it may hang up before all is sent
            connection.sendall(sent)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                got += part
        return got


BODY = LOG.request(7, 7).encode()
REQUESTS = {
    "a large body": (b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 131073\r\n\r\n", 413),
    "no length": (b"POST /add-checkpoint HTTP/1.1\r\n\r\n", 411),
    "chunks": (b"POST /add-checkpoint HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "no number": (b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
    "long headers": (b"GET / HTTP/1.1\r\nA: " + b"a" * 9_000 + b"\r\n\r\n", 413),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "another version": (b"GET / HTTP/2.0\r\n\r\n", 400),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_no_request_is_answered_and_ended(running: Running, name: str) -> None:
    sent, status = REQUESTS[name]
    assert talk(running, sent).startswith(b"HTTP/1.1 %d " % status)
    assert running.send(BODY).status == 200


def test_a_connection_takes_several_requests(running: Running) -> None:
    request = b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n%s"
    last = request % (len(BODY), b"Connection: close\r\n", BODY)
    expecting = request % (len(BODY), b"Expect: 100-continue\r\n", BODY)
    got = talk(running, request % (len(BODY), b"", BODY) + expecting + last)
    assert got.count(b"HTTP/1.1 200 OK") == 3 and got.count(b"100 Continue") == 1
    assert talk(running, b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b"ok\n")


def test_a_request_that_comes_byte_by_byte_is_given_up(running: Running) -> None:
    started = time.monotonic()
    with connect(running) as slow, pytest.raises(OSError):
        for _ in range(100):
            slow.sendall(b"P")
            time.sleep(0.1)
            assert running.get("/healthz").status == 200
    assert program.READ_S - 1 < time.monotonic() - started < program.READ_S + 3


def test_idle_connections_make_room(running: Running) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(running)) for _ in range(program.MOST_CONNECTIONS + 20)]
        started = time.monotonic()
        assert running.send(BODY).status == 200
        assert time.monotonic() - started < 2
        ended = []
        for connection in idle:
            connection.settimeout(0.01)
            try:
                ended.append(not connection.recv(1))
            except TimeoutError:
                ended.append(False)
            except OSError:
                ended.append(True)
        assert all(ended[:20]) and not any(ended[30:])


def test_in_pure_python_a_burst_is_answered_within_two_seconds(tmp_path: Path) -> None:
    make_witness(tmp_path)
    body = LOG.request(0, 7).encode()
    request = b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    alone = running_witness(tmp_path, LOG.vkey, python=(sys.executable, "-I", "-S"))
    with alone as running, contextlib.ExitStack() as stack:
        many = [stack.enter_context(connect(running)) for _ in range(40)]
        started = time.monotonic()
        for connection in many:
            connection.sendall(request)
        answers = [connection.recv(65536) for connection in many]
        assert time.monotonic() - started < 2
        assert sum(answer.startswith(b"HTTP/1.1 200") for answer in answers) == 1


def test_what_was_changed_on_the_way_is_refused_with_a_word_and_never_signed(tmp_path: Path) -> None:
    """Lines, digits and bytes, at random but the same each time."""
    make_witness(tmp_path)
    signer = program.read_signer(tmp_path / "key")
    state = program.State(tmp_path / "state", signer.key)
    keys = {LOG.origin: [program.log_key(LOG.vkey)]}
    witness = program.Witness(signer, keys, state, lambda text: None)
    witness.add_checkpoint(LOG.request(0, 7).encode())
    chance = random.Random(7)
    bodies = [LOG.request(7, size).encode() for size in (7, 8, 9, 40)]
    signed = {LOG.text(7)}
    for _ in range(2_000):
        body = mutate(chance.choice(bodies), chance)
        try:
            witness.add_checkpoint(body)
        except program.Refusal as refusal:
            assert refusal.status in program.REASONS and refusal.text
        seen = witness.seen[LOG.origin]
        assert seen is not None
        signed.add(seen.text)
    assert signed <= {LOG.text(size) for size in (7, 8, 9, 40)}


def mutate(body: bytes, chance: random.Random) -> bytes:
    lines = body.split(b"\n")
    place = chance.randrange(len(lines))
    kind = chance.randrange(6)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, chance.choice(lines))
    elif kind == 2:
        lines[place] = lines[place][: chance.randrange(len(lines[place]) + 1)]
    elif kind == 3:
        other = chance.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]
    else:
        line = bytearray(lines[place] or b"0")
        line[chance.randrange(len(line))] = chance.choice(b"0179+/= \xff\x00\tAz")
        lines[place] = bytes(line)
    return b"\n".join(lines)
