"""How far a long step is, for the control room. Lost with the cache, which costs nothing."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.core.cache import cache
from redis.exceptions import RedisError

from engagement.languages import mark, retell

KEEP_S = 10  # a step that says nothing for longer is not shown any more
EVERY_S = 0.25
TEXTS = (
    mark("freezing shards"),
    mark("making the roll of {draw}"),
    mark("ranking {draw}"),
    mark("second check of {draw}"),
)


def read_progress(segment: int) -> dict[str, Any] | None:
    """{"text", "done", "total"} of the step that runs for a segment; None while none does, or nobody knows."""
    with suppress(RedisError, OSError):
        found = cache.get(_key(segment))
        return {**found, "text": retell(found["text"], TEXTS)} if isinstance(found, dict) else None
    return None


def tell_progress(segment: int, text: str, done: int = 0, total: int = 0) -> None:
    """Says what is being done; a total of 0 where nobody knows how much there is to do."""
    with suppress(RedisError, OSError):
        cache.set(_key(segment), {"text": text, "done": done, "total": total}, timeout=KEEP_S)


def end_progress(segment: int) -> None:
    """The step has ended."""
    with suppress(RedisError, OSError):
        cache.delete(_key(segment))


def progress_of(segment: int, text: str) -> Callable[[int, int], None]:
    """A callback for a step's loop, which may call it as often as it likes."""
    told_at = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= EVERY_S:
            told_at = time.monotonic()
            tell_progress(segment, text, done, total)

    return tell


def _key(segment: int) -> str:
    return f"progress:{segment}"
