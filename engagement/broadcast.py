"""The only place that sends to groups: the state document of a show and its results, to every gateway.

One group per show, joined once per gateway process. A broadcast that gets lost costs nothing: the document is also
kept in Redis, and gateways read it again every few seconds.
"""

import asyncio
import functools
import logging
import os
import threading
from typing import Any

import msgspec
from channels.layers import get_channel_layer
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from engagement.core.show_state import ShowState, pack_state, parse_state
from engagement.tally import connect

log = logging.getLogger(__name__)

COMPLETE = "shows:complete"
SEND_S = 2.0


def group_of(slug: str) -> str:
    """The group that the gateways of a show have joined."""
    return f"show.{slug}"


def _document(slug: str) -> str:
    return f"show:{slug}"


def send_state(state: ShowState) -> None:
    """Keeps and broadcasts a show's new state. Redis being away is no error: the conductor repeats it."""
    try:
        if keep_state(state):
            _send(state.slug, {"type": "state", "document": pack_state(state)})
    except (RedisError, OSError) as error:
        log.warning("state %s of %s is not broadcast yet: %s", state.seq, state.slug, error)


def send_result(slug: str, epoch: int, seq: int, result: dict[str, Any]) -> None:
    """Broadcasts one published draw. Whoever misses it finds it in the next state."""
    try:
        _send(slug, {"type": "result", "slug": slug, "epoch": epoch, "seq": seq, "result": result})
    except (RedisError, OSError) as error:
        log.warning("the result %s of %s is not broadcast: %s", seq, slug, error)


def keep_state(state: ShowState) -> bool:
    """Writes the document unless Redis holds the same or a newer one; whether it was written."""
    written = False

    def compare_and_set(pipe: Any) -> None:
        nonlocal written
        kept = _parse_kept(pipe.get(_document(state.slug)))
        pipe.multi()
        written = state.is_newer_than(kept)
        if written:
            pipe.set(_document(state.slug), pack_state(state))

    connect().transaction(compare_and_set, _document(state.slug))
    return written


def forget_state(slug: str) -> None:
    """The show is gone: no gateway that has not met it lets anybody in."""
    try:
        connect().delete(_document(slug))
    except (RedisError, OSError) as error:
        log.warning("the state of %s is not forgotten: %s", slug, error)


def mark_complete() -> None:
    """The conductor has written every show's document: from now on, one that is not there does not exist."""
    try:
        connect().set(COMPLETE, 1)
    except (RedisError, OSError) as error:
        log.warning("the states are not marked as complete: %s", error)


def _parse_kept(document: Any) -> ShowState | None:
    """The document that Redis holds; one of another version of this program counts as none."""
    try:
        return None if document is None else parse_state(document)
    except msgspec.DecodeError:
        return None


async def is_complete(redis: AsyncRedis) -> bool:
    """False after Redis was emptied, until the conductor has been there."""
    return bool(await redis.exists(COMPLETE))


async def fetch_state(redis: AsyncRedis, slug: str) -> ShowState | None:
    """The newest document of a show, or None where there is no such show."""
    return _parse_kept(await redis.get(_document(slug)))


def _send(slug: str, message: dict[str, Any]) -> None:
    sending = get_channel_layer().group_send(group_of(slug), message)
    with _starting:
        loop = _loop()
    sent = asyncio.run_coroutine_threadsafe(sending, loop)
    try:
        sent.result(SEND_S)
    finally:
        sent.cancel()  # nothing is sent after the caller was told that it was not


_starting = threading.Lock()


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """Runs in a thread of its own for as long as this process lives, and keeps the channel layer's connection.

    `async_to_sync` would make a loop and a connection for every broadcast: 3 ms, a tenth of what reaching 3,000
    phones takes.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="broadcast", daemon=True).start()
    return loop


def _forget_loop() -> None:
    """In a forked process: the thread stays behind, and perhaps somebody who held the lock."""
    global _starting
    _starting = threading.Lock()
    _loop.cache_clear()


os.register_at_fork(after_in_child=_forget_loop)
