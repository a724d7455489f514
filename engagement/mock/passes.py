"""What phones do over HTTP: they get guest passes, as an app or a browser does, and claim; and where a show is."""

import asyncio
import contextlib
import json
import random
import re
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

import altcha

CONNECTIONS = 16  # requests under way at once
TIMEOUT_S = 10.0
NOBODY_THERE_S, BUSY_S = 30.0, 180.0  # how long to go on asking; Retry-After can be a minute
WORKS = 6  # answers that want work, one after the other: neighbours make it dearer meanwhile
LEDGER_S = 5.0  # a crowd whose stubs cannot be looked up in the ledger says so, and ends
LATER = frozenset(
    {0, 429, 502, 503, 504}
)  # no answer, too many, or nobody behind the proxy: worth another try
NOBODYS = frozenset({"bad_pass", "wrong_salt"})  # a pass of other keys: only a new viewer can go on
SLUG = re.compile(r"[A-Za-z0-9_-]+")
SECURE = {"ws": False, "http": False, "wss": True, "https": True}


class CrowdError(Exception):
    """The crowd cannot take part; the text says why and what to do."""


class Address(NamedTuple):
    """Where a show is: the host for HTTP, and the path in front of `/api` and `/ws`, mostly none."""

    secure: bool
    host: str
    prefix: str
    show: str

    @property
    def socket(self) -> str:
        """The address to connect to."""
        return f"{'wss' if self.secure else 'ws'}://{self.host}{self.prefix}/ws/shows/{self.show}/"

    @property
    def passes(self) -> str:
        """The path that gives passes."""
        return f"{self.prefix}/api/shows/{self.show}/passes"

    @property
    def ledger(self) -> str:
        """The path of the show's ledger."""
        return f"{self.prefix}/api/shows/{self.show}/ledger"

    def claims(self, draw: int) -> str:
        """The path that takes claims of a draw."""
        return f"{self.prefix}/api/draws/{draw}/claims"


def parse_address(url: str, show: str) -> Address:
    """The address of a show on a server: ws, wss, http or https, with or without the path of the socket.

    >>> parse_address("https://gala.example", "demo").socket
    'wss://gala.example/ws/shows/demo/'
    >>> parse_address("ws://127.0.0.1:8000/ws/shows/demo/", "demo").passes
    '/api/shows/demo/passes'
    """
    parts = _split(url)
    if not SLUG.fullmatch(show):
        raise CrowdError(
            f"--show: expected a slug, of letters, digits, hyphens and underscores, got {show!r}"
        )
    prefix, found, rest = parts.path.rstrip("/").partition("/ws/shows/")
    if found and rest != show:
        raise CrowdError(f"--url is the address of the show {rest!r}, but --show is {show!r}")
    return Address(SECURE[parts.scheme], parts.netloc, prefix, show)


def _split(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):  # half an address of IPv6, or a port that is none
        parts = urlsplit(url)
        if parts.scheme in SECURE and parts.hostname and parts.port != 0 and parts.path.isascii():
            return parts
    raise CrowdError(f"--url: expected an address like ws://127.0.0.1:8000, got {url!r}")


def make_tls(address: Address, ca: str | None) -> ssl.SSLContext | None:
    """What checks the server's certificate: against the file `ca`, else against what this machine trusts."""
    if not address.secure:
        return None
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise CrowdError(f"--ca: expected a file of certificates in PEM, got {ca}: {error}") from None


class Passes:
    """Asks for passes on a few kept connections in threads of their own, and comes back when the server says later."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.refused: dict[str, int] = {}
        self.worked = 0  # challenges that were solved
        self._pool = ThreadPoolExecutor(CONNECTIONS, "passes")
        self._kept = threading.local()  # each thread keeps a connection
        self._opened: list[HTTPConnection] = []
        self._tls = tls  # needed where the address is secure

    async def get(self) -> dict[str, Any]:
        """The answer of the passes endpoint: `pass`, `feeds` and more. CrowdError when there is none to be had.

        Past the budget of this network the pass is worked for, as a phone does.
        """
        status, answer = await self._insist(self.address.passes, b"")
        for _ in range(WORKS):
            if status != 403 or answer.get("code") not in ("earn_it", "bad_work"):
                break
            body = b""
            if "work" in answer:
                loop = asyncio.get_running_loop()
                body = await loop.run_in_executor(self._pool, _solve, answer["work"])
                self.worked += 1
            status, answer = await self._insist(self.address.passes, body)
        if status != 200 or not {"pass", "feeds"} <= answer.keys():
            raise CrowdError(
                f"{self.address.host} gives no passes for {self.address.show!r}: {status} {_text(answer)}"
            )
        return answer

    async def renew(self, proof: dict[str, str]) -> dict[str, Any] | None:
        """A new pass for the same viewer, by the old one and its salt; None where the server knows neither."""
        status, answer = await self._insist(self.address.passes, json.dumps(proof).encode())
        if status != 200 and answer.get("code") not in NOBODYS:
            raise CrowdError(f"{self.address.host} renews no passes: {status} {_text(answer)}")
        return answer if status == 200 else None

    async def claim(self, draw: int, proof: dict[str, str]) -> dict[str, Any]:
        """The answer to a claim: `status` where the viewer has won, else a `code`. CrowdError without an answer."""
        _, answer = await self._insist(self.address.claims(draw), json.dumps(proof).encode())
        return answer

    async def ledger(self, path: str) -> dict[str, Any]:
        """What the show's ledger answers below this path. CrowdError without an answer."""
        _, answer = await self._insist(f"{self.address.ledger}{quote(path)}", None, patience_s=LEDGER_S)
        return answer

    async def _insist(
        self, path: str, body: bytes | None, patience_s: float = BUSY_S
    ) -> tuple[int, dict[str, Any]]:
        """Asks until there is an answer that is not "later"; its status and content."""
        began = time.monotonic()
        for attempt in range(1_000_000):
            loop = asyncio.get_running_loop()
            status, wait_s, answer = await loop.run_in_executor(self._pool, self._ask, path, body)
            if status not in LATER:
                return status, answer
            name = f"http_{status}" if status else "no_answer"
            self.refused[name] = self.refused.get(name, 0) + 1
            wait_s = (
                random.uniform(1, 2) * wait_s
                if wait_s
                else random.uniform(0, min(10.0, 0.5 * 2 ** min(attempt, 5)))
            )
            asked_s = time.monotonic() - began
            if asked_s + wait_s > min(patience_s, BUSY_S if status else NOBODY_THERE_S):
                raise CrowdError(f"{self.address.host} gave no answer for {asked_s:.0f} s: {_text(answer)}")
            await asyncio.sleep(wait_s)
        raise AssertionError("a deadline comes first")

    def end(self) -> None:
        """Asks for nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for connection in self._opened:
            connection.close()

    def _ask(self, path: str, body: bytes | None) -> tuple[int, float, dict[str, Any]]:
        """Status (0: no answer), seconds of Retry-After (0: not said) and content of one request."""
        was_kept = getattr(self._kept, "connection", None) is not None
        try:
            connection = self._connection()
            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            connection.request("GET" if body is None else "POST", path, body=body, headers=headers)
            response = connection.getresponse()
            content = response.read()
            return response.status, _seconds(response.getheader("Retry-After")), _parse(content)
        except ssl.SSLCertVerificationError as error:  # which no waiting mends
            self._forget()
            raise CrowdError(
                f"{self.address.host} has a certificate that is not trusted: {error.verify_message}; for one of "
                "your own, name its file with --ca, and in --url the host that it is for"
            ) from None
        except (OSError, HTTPException) as error:
            self._forget()
            if was_kept and not isinstance(error, TimeoutError):
                return self._ask(path, body)  # servers close what they have kept for some seconds
            return 0, 0.0, {"message": f"{type(error).__name__}: {error}"}

    def _forget(self) -> None:
        connection: HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is not None:
            connection.close()
            self._opened.remove(connection)
            self._kept.connection = None

    def _connection(self) -> HTTPConnection:
        kept: HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is None:
            host = self.address.host
            kept = (
                HTTPSConnection(host, timeout=TIMEOUT_S, context=self._tls)
                if self._tls
                else HTTPConnection(host, timeout=TIMEOUT_S)
            )
            self._kept.connection = kept
            self._opened.append(kept)
        return kept


def _solve(challenge: dict[str, Any]) -> bytes:
    """The body that earns a pass: ALTCHA's scheme (docs/connect-a-phone.md)."""
    found = altcha.solve_challenge(altcha.Challenge.from_dict(challenge), timeout=BUSY_S)
    if found is None:
        raise CrowdError("the work for a pass took too long")
    return json.dumps({"work": {"challenge": challenge, "solution": found.to_dict()}}).encode()


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else 0.0


def _parse(content: bytes) -> dict[str, Any]:
    """The object in an answer; anything else is a message."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": content[:200].decode(errors="replace")}


def _text(answer: dict[str, Any]) -> str:
    return str(answer.get("message", answer))
