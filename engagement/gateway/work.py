"""Work for a pass: a challenge by ALTCHA's published scheme (version 2), and the check of what solves it.

The server picks the counter that the client has to find, so that checking takes two HMACs and no derivation; a forged
solution fails at the first. scrypt, because for SHA-256 a phone is nothing against a graphics card.
"""

import hashlib
import secrets
from typing import Annotated, Any

import altcha
import msgspec
from msgspec import Meta, Struct

from engagement.fair_play.core.budgets import counters_of

LIFETIME_S = 600
ALGORITHM = "SCRYPT"
COST, BLOCK_SIZE = 256, 8  # N and r: 256 KiB, half a millisecond here, one to two on a phone
SHORT = Meta(max_length=128)


class BadWork(ValueError):
    """The solution is forged, expired or of another place."""


class Task(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a challenge is bound to, and among how many counters its answer lies."""

    show: Annotated[str, SHORT]
    block: Annotated[str, SHORT]
    level: int
    counters: int


class Parameters(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Of a challenge, as ALTCHA names them."""

    algorithm: Annotated[str, SHORT]
    nonce: Annotated[str, SHORT]
    salt: Annotated[str, SHORT]
    cost: int
    key_length: int
    key_prefix: Annotated[str, SHORT]
    key_signature: Annotated[str, SHORT]
    memory_cost: int
    parallelism: int
    expires_at: int
    data: Task


class Challenge(Struct, forbid_unknown_fields=True):
    """What was handed out, as it was."""

    parameters: Parameters
    signature: Annotated[str, SHORT]


class Found(Struct, forbid_unknown_fields=True, rename="camel"):
    """The counter, and the key that is derived with it."""

    counter: int
    derived_key: Annotated[str, SHORT]
    time: float | None = None


class Solution(Struct, forbid_unknown_fields=True):
    """A challenge, and what solves it."""

    challenge: Challenge
    solution: Found


def make_challenge(key: str, show: str, block: str, level: int, now: int) -> dict[str, Any]:
    """A challenge for somebody in this block who wants to take part in this show; `now` in UTC ms."""
    counters = counters_of(level)
    made = altcha.create_challenge(
        ALGORITHM,
        COST,
        counter=secrets.randbelow(counters),
        memory_cost=BLOCK_SIZE,
        parallelism=1,
        expires_at=now // 1000 + LIFETIME_S,
        data={"show": show, "block": block, "level": level, "counters": counters},
        hmac_secret=_secret(key, "challenge"),
        hmac_key_secret=_secret(key, "key"),
    )
    found: dict[str, Any] = made.to_dict()
    return found


def check_solution(keys: list[str], solution: Solution, show: str, block: str, now: int) -> Task:
    """What the solved challenge is bound to, with one of these keys; raises BadWork."""
    challenge, task = solution.challenge, solution.challenge.parameters.data
    if (task.show, task.block) != (show, block):
        raise BadWork("the work was done for another show, or in another network")
    if challenge.parameters.expires_at * 1000 <= now:
        raise BadWork("the work was begun too long ago")
    payload = altcha.Payload.from_dict(msgspec.to_builtins(solution))
    for key in keys:
        secret = _secret(key, "challenge")
        if altcha.verify_solution(payload, secret, hmac_key_secret=_secret(key, "key")).verified:
            return task
    raise BadWork("the work does not solve a challenge of ours")


def _secret(key: str, use: str) -> bytes:
    return hashlib.sha256(f"shake-gala/v1/earn/{use}/{key}".encode()).digest()
