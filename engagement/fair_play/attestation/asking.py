"""Asks a service outside the event loop of a gateway, under a deadline, and lets no more wait than it can serve.

Each service has threads of its own: one that does not answer keeps nobody from another.
"""

import asyncio
import functools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from engagement.fair_play.attestation.shape import Service, Unavailable

DEADLINE_S = 3.0
MOST_WAITING = 64

_waiting: Counter[str] = Counter()


async def ask(service: Service, token: str, challenge: str, now: int) -> None:
    """Returns where the service vouches for who was given this token; raises NotVouched or Unavailable."""
    if _waiting[service.name] >= MOST_WAITING:
        raise Unavailable("too many are waiting")
    _waiting[service.name] += 1
    try:
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(
            _threads(service.name, service.threads), service.vouch, token, challenge, now
        )
        await asyncio.wait_for(asked, DEADLINE_S)
    except TimeoutError:
        raise Unavailable(f"no answer within {DEADLINE_S} s") from None
    finally:
        _waiting[service.name] -= 1


@functools.cache
def _threads(name: str, number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, f"attestation-{name}")
