"""What viewers have won, for gateways to tell them: in Redis, one hash per show, viewer -> the `won` messages.

The draw side knows who has won what (`describe_wins`, set by prizes/apps.py). Every change of it is one step of the
show's `wins`, written here first and sent to the gateways then. A mark in the hash says which step it is at: one that
was missed shows, and then all of it is written again, from the database.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import msgspec
from redis.asyncio import Redis as AsyncRedis

from engagement.core.messages import Won
from engagement.keys import own
from engagement.tally import connect

Wins = dict[bytes, list[Won]]
MARK = b""  # no viewer: those have 14 bytes
AT_ONCE = 5_000

_decoder: msgspec.json.Decoder[list[Won]] = msgspec.json.Decoder(list[Won])


class Step(NamedTuple):
    """How many changes of a show's wins there were, in this life of the show."""

    epoch: int
    wins: int

    @property
    def before(self) -> "Step":
        return Step(self.epoch, self.wins - 1)


describe_wins: Callable[[int], Wins] = lambda show_id: {}  # noqa: E731  # all wins of a show that was published


def _key(slug: str) -> str:
    return own(f"won:{slug}")


def pack_wins(won: list[Won]) -> bytes:
    return msgspec.json.encode(won)


def parse_wins(packed: bytes | str) -> list[Won]:
    """The inverse of `pack_wins`; raises msgspec.DecodeError for anything else."""
    return _decoder.decode(packed)


def keep_wins(slug: str, step: Step, wins: Wins) -> None:
    """Writes what has changed with this step. The mark moves on from the step before only: else some are missing."""

    def write(pipe: Any) -> None:
        mark = _parse_mark(pipe.hget(_key(slug), MARK))
        pipe.multi()
        _put(pipe, slug, wins)
        if mark == step.before:
            pipe.hset(_key(slug), MARK, _pack_mark(step))

    connect().transaction(write, _key(slug))


def are_kept(slug: str, step: Step) -> bool:
    """Whether Redis holds the wins of this step, or of a later one."""
    return _are_of(connect().hget(_key(slug), MARK), step)


def _are_of(packed: Any, step: Step) -> bool:
    mark = _parse_mark(packed)
    return mark is not None and mark.epoch == step.epoch and mark.wins >= step.wins


def restore_wins(slug: str, step: Step, wins: Wins) -> None:
    """Writes all of them anew: Redis had lost some, or the show has begun another life.

    Not over those of a later step, which somebody has written while these were read.
    """

    def write(pipe: Any) -> None:
        later = _are_of(pipe.hget(_key(slug), MARK), step)
        pipe.multi()
        if not later:
            pipe.delete(_key(slug))
            _put(pipe, slug, wins)
            pipe.hset(_key(slug), MARK, _pack_mark(step))

    connect().transaction(write, _key(slug))


def forget_wins(slug: str) -> None:
    connect().delete(_key(slug))


def _put(pipe: Any, slug: str, wins: Wins) -> None:
    rows = list(wins.items())
    for start in range(0, len(rows), AT_ONCE):
        part = {viewer: pack_wins(won) for viewer, won in rows[start : start + AT_ONCE]}
        pipe.hset(_key(slug), mapping=part)


def _pack_mark(step: Step) -> str:
    return f"{step.epoch} {step.wins}"


def _parse_mark(mark: bytes | None) -> Step | None:
    return None if mark is None else Step(*map(int, mark.split()))


# --- gateways read ---


async def fetch_wins(redis: AsyncRedis, slug: str, viewers: Iterable[bytes]) -> tuple[Step | None, Wins]:
    """The wins of these viewers, and the step that they are of; one round trip for each 5,000 of them."""
    wanted = list(viewers)
    steps, wins = [], {}
    for start in range(0, max(len(wanted), 1), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        mark, *found = await redis.hmget(_key(slug), [MARK, *part])
        steps.append(_parse_mark(cast(bytes | None, mark)))
        wins.update({viewer: parse_wins(row) for viewer, row in zip(part, found, strict=True) if row})
    return steps[0], wins  # the oldest: what came in between is told again
