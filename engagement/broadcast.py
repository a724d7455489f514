"""The only place that sends to groups: to every gateway the state document of a show, and what single viewers have won.

One group per show, joined once per gateway process. A broadcast that gets lost costs nothing: the document is also
kept in Redis, and gateways read it again every few seconds.
"""

import asyncio
import functools
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from channels.layers import get_channel_layer
from django.conf import settings
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from engagement.core.show_state import (
    BEGINNING_BYTES,
    Position,
    ShowState,
    pack_state,
    parse_state,
    peek_position,
)
from engagement.keys import own
from engagement.tally import connect
from engagement.wins import Step, Wins, are_kept, forget_wins, keep_wins, pack_wins, restore_wins

log = logging.getLogger(__name__)

COMPLETE = "shows:complete"
CHECKED = "shows:checked"
SEND_S = 2.0
WINS_AT_ONCE = 500


def group_of(slug: str) -> str:
    """The group that the gateways of a show have joined."""
    return f"show.{slug}"


def _document(slug: str) -> str:
    return own(f"show:{slug}")


def send_state(state: ShowState, describe_wins: Callable[[], Wins]) -> None:
    """Keeps and broadcasts a show's new state. Redis being away is no error: the conductor repeats it."""
    try:
        restore_state(state, describe_wins)
    except (RedisError, OSError) as error:
        log.warning("state %s of %s is not broadcast yet: %s", state.seq, state.slug, error)


def restore_state(state: ShowState, describe_wins: Callable[[], Wins]) -> None:
    """The same for somebody who has to know whether it worked: RedisError or OSError where it did not.

    The wins are there before the state that counts them: whoever has read the state finds them.
    """
    step = Step(state.epoch, state.wins)
    if not are_kept(state.slug, step):
        restore_wins(state.slug, step, describe_wins())
    if keep_state(state):
        _send(state.slug, {"type": "state", "document": pack_state(state)})


def send_wins(slug: str, step: Step, wins: Wins) -> None:
    """Keeps and broadcasts what has changed for some viewers. What fails, the next state makes up for."""
    message = {"type": "wins", "installation": settings.INSTALLATION, "slug": slug, "step": list(step)}
    rows = [(viewer.hex(), pack_wins(won)) for viewer, won in wins.items()]
    try:
        keep_wins(slug, step, wins)
        # In parts, each of which is short; the step is complete with the last one.
        for start in range(0, len(rows), WINS_AT_ONCE):
            part = dict(rows[start : start + WINS_AT_ONCE])
            _send(slug, {**message, "wins": part, "last": start + WINS_AT_ONCE >= len(rows)})
    except (RedisError, OSError) as error:
        log.warning("step %s of the wins of %s is not broadcast yet: %s", step.wins, slug, error)


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
        forget_wins(slug)
    except (RedisError, OSError) as error:
        log.warning("the state of %s is not forgotten: %s", slug, error)


# --- which documents are there ---


def read_positions(slugs: Sequence[str]) -> list[Position | None]:
    """What Redis holds of these shows, in one round trip; of each document only the beginning is read."""
    with connect().pipeline(transaction=False) as pipe:
        for slug in slugs:
            pipe.getrange(_document(slug), 0, BEGINNING_BYTES - 1)
        return [peek_position(beginning) for beginning in pipe.execute()]


def read_checked() -> int:
    """The id of the last show that the conductor has looked at in this round; it is lost with the documents."""
    found: Any = connect().get(own(CHECKED))
    return int(found or 0)


def keep_checked(show_id: int) -> None:
    connect().set(own(CHECKED), show_id)


def mark_complete() -> None:
    """The conductor has seen every show's document: from now on, one that is not there does not exist."""
    connect().set(own(COMPLETE), 1)


def _parse_kept(document: Any) -> ShowState | None:
    """The document that Redis holds; one of another version of this program counts as none, or of somebody else."""
    try:
        state = None if document is None else parse_state(document)
    except msgspec.DecodeError:
        return None
    return state if state is not None and is_ours(state.installation) else None


def is_ours(installation: str) -> bool:
    """Whether something was sent or kept by this installation. What was not is told of once, and not taken."""
    if installation == settings.INSTALLATION:
        return True
    _tell_of(installation)
    return False


@functools.cache
def _tell_of(installation: str) -> None:
    log.error(
        "a message or state of installation %s is refused: here is %s", installation, settings.INSTALLATION
    )


async def is_complete(redis: AsyncRedis) -> bool:
    """False after Redis was emptied, until the conductor has been there."""
    return bool(await redis.exists(own(COMPLETE)))


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
