"""Services that vouch for a device, asked by the protocol that Turnstile and its kin share (`siteverify`).

A pass is asked for in the event loop of a gateway: here a few threads ask outside, under a deadline, and no more wait
for them than they can serve. What the service says is believed; nothing but the token goes there.
"""

import asyncio
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

DEADLINE_S = 3.0
MOST_WAITING = 64
MOST_BYTES = 65_536
THREADS = 8


class Unavailable(Exception):
    """The service has not answered as it should."""


class Service(NamedTuple):
    """One that is named in PASS_ATTESTATION."""

    name: str
    address: str
    secret: str


_threads = ThreadPoolExecutor(THREADS, "attestation")
_waiting = 0


async def vouches(service: Service, token: str) -> bool:
    """Whether the service vouches for who was given this token; raises Unavailable."""
    global _waiting
    if _waiting >= MOST_WAITING:
        raise Unavailable("too many are waiting")
    _waiting += 1
    try:
        asked = asyncio.get_running_loop().run_in_executor(_threads, _ask, service, token)
        return await asyncio.wait_for(asked, DEADLINE_S)
    except (OSError, HTTPException, ValueError, RecursionError, TimeoutError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from None
    finally:
        _waiting -= 1


def _ask(service: Service, token: str) -> bool:
    parts = urlsplit(service.address)
    connection = (
        HTTPSConnection(parts.netloc, timeout=DEADLINE_S, context=ssl.create_default_context())
        if parts.scheme == "https"
        else HTTPConnection(parts.netloc, timeout=DEADLINE_S)
    )
    try:
        body = urlencode({"secret": service.secret, "response": token})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        connection.request("POST", parts.path or "/", body, headers)
        answer = connection.getresponse()
        content = answer.read(MOST_BYTES)
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"expected status 200, got {answer.status}")
    said = json.loads(content)
    if not isinstance(said, dict):
        raise ValueError("expected an object")
    return said.get("success") is True
