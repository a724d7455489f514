"""`/healthz`: this process answers. `/readyz`: and so do the database and Redis, and the database is what it was.

Plain ASGI in front of Django: a prober asks a gateway by its address, which no list of hosts knows, and a flood of
pages must not have a gateway restarted with all its phones.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from engagement.restores import trouble
from engagement.tally import connect
from gala.limiter import Receive, Scope, Send, answer

HEALTHY, READY = "/healthz", "/readyz"

# One thread, and so one connection to the database, however many ask.
_thread = ThreadPoolExecutor(1, thread_name_prefix="ready")
_check: asyncio.Future[tuple[list[str], str]] | None = None


def is_probe(scope: Scope) -> bool:
    """Whether a request asks how this process is."""
    return scope["path"] in (HEALTHY, READY)


async def probes(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application; 503 with the names of what is missing."""
    if scope["path"] == HEALTHY:
        return await answer(send, 200, {"ok": True})
    missing, restored = await _state()
    told = {"restored": restored} if restored else {}
    await answer(send, 503 if missing else 200, {"ok": not missing, "missing": missing, **told})


async def _state() -> tuple[list[str], str]:
    """Whoever asks while others wait gets the same answer."""
    global _check
    if _check is None or _check.done():
        _check = asyncio.get_running_loop().run_in_executor(_thread, _look)
    return await asyncio.shield(_check)


def _look() -> tuple[list[str], str]:
    needed: tuple[tuple[str, Callable[[], bool]], ...] = (("database", _database), ("redis", _redis))
    missing = [name for name, works in needed if not works()]
    return missing, "" if "database" in missing else _restored()


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except DatabaseError:
        return False
    finally:
        connection.close()


def _restored() -> str:
    """What waits for a person to confirm it; the gateway itself can do nothing about it, and is ready."""
    try:
        return trouble()
    except DatabaseError:
        return ""  # not migrated yet
    finally:
        connection.close()


def _redis() -> bool:
    try:
        return bool(connect().ping())
    except (RedisError, OSError):
        return False
