"""Those between their handshake and their welcome: one clock and one look-up for all of them together."""

import asyncio
import logging
from itertools import takewhile
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engagement import tally
from engagement.core.errors import PhoneFault, WireError
from engagement.core.show_state import SegmentState
from engagement.gateway.guest import Guest
from engagement.gateway.write_behind import WriteBehind

log = logging.getLogger(__name__)

HELLO_S = 5.0
RETRY_MS = 1_000
LOOK_UP_S = 0.02  # between two look-ups: a storm shares a few, and a single phone waits for none
TOGETHER = 500  # welcomes in a row, before others get their turn


class Arrival(NamedTuple):
    """A guest who has said hello, and the salt to be told."""

    guest: Guest
    salt: bytes


class Arrivals:
    """Waits for hellos, and welcomes those who have said theirs."""

    def __init__(self, redis: Redis, totals: WriteBehind) -> None:
        self._redis = redis
        self._totals = totals
        self._silent: dict[Guest, float] = {}  # until when hello is waited for; the oldest first
        self._greeted: list[Arrival] = []  # the next ones to be looked up
        self._batch: list[Arrival] = []  # which is looked up and welcomed now
        self._welcoming: asyncio.Task[None] | None = None
        self._looked_up_at = 0.0

    @property
    def guests(self) -> list[Guest]:
        """Who is not welcomed yet, or just has been."""
        return [*self._silent, *(arrival.guest for arrival in self._batch + self._greeted)]

    def expect(self, guest: Guest) -> None:
        self._silent[guest] = monotonic() + HELLO_S

    def forget(self, guest: Guest) -> None:
        self._silent.pop(guest, None)

    async def dismiss_the_silent(self) -> None:
        """Sends away who has not said hello in time."""
        now = monotonic()
        for guest, _ in list(takewhile(lambda row: row[1] <= now, self._silent.items())):
            guest.dismiss(PhoneFault(WireError.HELLO_TIMEOUT, f"no hello within {HELLO_S:.0f} s"))

    def welcome(self, guest: Guest, salt: bytes) -> None:
        """Has the guest welcomed soon; everybody who says hello meanwhile shares one round trip to Redis."""
        self.forget(guest)
        self._greeted.append(Arrival(guest, salt))
        if self._welcoming is None:
            self._welcoming = asyncio.create_task(self._welcome_all())

    async def _welcome_all(self) -> None:
        try:
            while self._greeted:
                await asyncio.sleep(self._looked_up_at + LOOK_UP_S - monotonic())
                self._looked_up_at = monotonic()
                self._batch, self._greeted = self._greeted, []
                totals = await self._read_totals(self._batch)
                for number, arrival in enumerate(self._batch):
                    if not arrival.guest.socket.closed:
                        self._welcome(arrival, totals)
                    if number % TOGETHER == TOGETHER - 1:
                        await asyncio.sleep(0)
        except Exception:
            log.exception("welcomes failed, going on")
            for guest, _ in self._batch:
                if guest not in guest.audience:
                    guest.dismiss(PhoneFault(WireError.OVERLOADED, "please come again", RETRY_MS))
        finally:
            self._batch = []
            self._welcoming = asyncio.create_task(self._welcome_all()) if self._greeted else None

    def _welcome(self, arrival: Arrival, totals: dict[tuple[str, bytes], int]) -> None:
        guest = arrival.guest
        segment = guest.audience.current
        total = totals.get((segment.key, guest.viewer), 0) if segment and guest.viewer else 0
        guest.audience.welcome(guest, arrival.salt, total)

    async def _read_totals(self, arrivals: list[Arrival]) -> dict[tuple[str, bytes], int]:
        """What is written of these viewers in their show's current segment."""
        wanted: dict[tuple[str, bytes], SegmentState] = {}
        for guest, _ in arrivals:
            segment = guest.audience.current
            if guest.viewer is not None and segment is not None and segment.shards:
                wanted[segment.key, guest.viewer] = segment
        return await self.read_totals(wanted) if wanted else {}

    async def read_totals(
        self, wanted: dict[tuple[str, bytes], SegmentState]
    ) -> dict[tuple[str, bytes], int]:
        """Out of the tally; without Redis, what this process knows to be written."""
        rows = [(key, segment.shards, viewer) for (key, viewer), segment in wanted.items()]
        try:
            async with asyncio.timeout(settings.REDIS_TIMEOUT_S):
                written = await tally.read_totals(self._redis, rows)
        except (RedisError, OSError, TimeoutError):
            return {
                (key, viewer): self._totals.recall(self._totals.totals_of(segment), viewer)
                for (key, viewer), segment in wanted.items()
            }
        for ((_, viewer), segment), total in zip(wanted.items(), written, strict=True):
            self._totals.learn(self._totals.totals_of(segment), viewer, total)
        return dict(zip(wanted, written, strict=True))
