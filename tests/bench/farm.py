"""A farm of guest passes on one machine, as an attacker would build it: real requests to a real gateway, real work.

What comes from one source is told by `X-Real-IP`, as a proxy in front of the gateway does. Costs are processor time.
"""

import json
import re
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from http.client import HTTPConnection
from typing import Any, NamedTuple

import altcha

from engagement.core.messages import SUBPROTOCOL
from tests.bench.frames import client_frame, split_frames, upgrade_request

ANSWER_S = 20.0
SOCKETS_AT_ONCE = 200
IPV4 = "198.51.100.7"
ACKED = re.compile(rb'"type":"ack".*?"total":(\d+)')
SALT = re.compile(rb'"salt":"([0-9a-f]+)"')


class Earned(NamedTuple):
    """A pass, how it was earned, and what it cost: tries of the solver, and processor seconds for these alone."""

    token: str
    kind: str
    tries: int = 0
    cpu_s: float = 0.0


class Told(NamedTuple):
    """What a phone was told over its socket: its salt (hex), and the total that counts."""

    salt: str
    total: int


def one_address() -> Iterator[str]:
    """The IPv4 address, again and again."""
    while True:
        yield IPV4


def one_home() -> Iterator[str]:
    """Another address of the same IPv6 /64 each time."""
    for number in range(1, 1 << 16):
        yield f"2001:db8:5::{number:x}"


def whole_site() -> Iterator[str]:
    """Another /64 of the same /48 each time."""
    for number in range(1, 1 << 16):
        yield f"2001:db8:5:{number:x}::1"


class Farm:
    """Asks one show of one gateway for passes."""

    def __init__(self, address: tuple[str, int], slug: str) -> None:
        self._address, self._slug = address, slug
        self._connection = HTTPConnection(*address, timeout=ANSWER_S)

    def close(self) -> None:
        self._connection.close()

    def ask(self, source: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and content of one request from this source."""
        headers = {"Content-Type": "application/json", "X-Real-IP": source}
        path = f"/api/shows/{self._slug}/passes"
        self._connection.request("POST", path, json.dumps(body or {}), headers)
        answer = self._connection.getresponse()
        found: dict[str, Any] = json.loads(answer.read())
        return answer.status, found

    def take_free(self, sources: Iterable[str], most: int) -> list[Earned]:
        """Free passes from one source after the other, until one is refused, or there are so many."""
        taken: list[Earned] = []
        for source in sources:
            if len(taken) >= most:
                break
            status, answer = self.ask(source)
            if status != 200:
                break
            taken.append(Earned(answer["pass"], "guest"))
        return taken

    def work_for(self, sources: Iterable[str], most: int) -> list[Earned]:
        """So many passes for which this machine's processor has worked."""
        taken: list[Earned] = []
        for source in sources:
            if len(taken) >= most:
                break
            status, refusal = self.ask(source)
            if status == 200:
                continue  # another hour has begun, with another budget
            solved, tries, cpu_s = solve(refusal["work"])
            status, answer = self.ask(source, {"work": solved})
            if status == 200:
                taken.append(Earned(answer["pass"], "work", tries, cpu_s))
        return taken

    def type_code(self, source: str, code: str, most: int) -> list[Earned]:
        """So many passes for the code on air, which the farm has read from the picture."""
        answers = [self.ask(source, {"code": code}) for _ in range(most)]
        return [Earned(answer["pass"], "code") for status, answer in answers if status == 200]

    def renew(self, source: str, token: str, salt: str) -> str | None:
        """Another pass for an old one."""
        status, answer = self.ask(source, {"pass": token, "salt": salt})
        return str(answer["pass"]) if status == 200 else None

    def report(self, tokens: Sequence[str], segment: int, total: int) -> list[Told]:
        """Says hello with each pass and reports this total, on a socket for each; what each was told."""
        told: list[Told] = []
        shakes = client_frame(b'{"type":"shakes","segment":%d,"total":%d}' % (segment, total))
        for first in range(0, len(tokens), SOCKETS_AT_ONCE):
            phones = [self._open(token) for token in tokens[first : first + SOCKETS_AT_ONCE]]
            salts = [
                _hear(phone, SALT) for phone in phones
            ]  # a welcome: before it nothing is acknowledged for sure
            for phone in phones:
                phone.sendall(shakes)
            acked = [_hear(phone, ACKED) for phone in phones]
            told += [Told(salt, int(counted)) for salt, counted in zip(salts, acked, strict=True)]
            for phone in phones:
                phone.close()
        return told

    def _open(self, token: str) -> socket.socket:
        """A phone that has said hello."""
        phone = socket.create_connection(self._address, timeout=ANSWER_S)
        phone.sendall(upgrade_request(self._address, f"/ws/shows/{self._slug}/", SUBPROTOCOL))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += _read(phone)
        phone.sendall(client_frame(b'{"type":"hello","pass":"%s"}' % token.encode()))
        return phone


def solve(challenge: dict[str, Any]) -> tuple[dict[str, Any], int, float]:
    """The solution of a challenge by ALTCHA's own solver, the tries that it took, and the processor's seconds."""
    began = time.process_time()
    found = altcha.solve_challenge(altcha.Challenge.from_dict(challenge), timeout=3600)
    if found is None:
        raise RuntimeError("a challenge was not solved in an hour")
    cpu_s = time.process_time() - began
    return {"challenge": challenge, "solution": found.to_dict()}, found.counter + 1, cpu_s


def _hear(phone: socket.socket, wanted: re.Pattern[bytes]) -> str:
    """Listens until this is said; what it says."""
    said, rest = b"", b""
    while not (found := wanted.search(said)):
        frames, rest = split_frames(rest + _read(phone))
        said += b"\n".join(payload for _, payload in frames) + b"\n"
    return found[1].decode()


def _read(phone: socket.socket) -> bytes:
    if not (data := phone.recv(65_536)):
        raise RuntimeError("the gateway has closed the socket of a farmed phone")
    return data
