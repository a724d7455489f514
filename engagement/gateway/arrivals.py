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
from engagement.gateway.audience import ANOTHER_KEY, REVOKED, Audience
from engagement.gateway.session import Session
from engagement.gateway.stubs import Stubs
from engagement.gateway.write_behind import WriteBehind
from engagement.wins import Wins, fetch_wins

log = logging.getLogger(__name__)

HELLO_S = 5.0
RETRY_MS = 1_000
LOOK_UP_S = 0.02  # between two look-ups: a storm shares a few, and a single phone waits for none
TOGETHER = 500  # welcomes in a row, before others get their turn


class Arrival(NamedTuple):
    """A session that has said hello, and the salt to be told."""

    session: Session
    salt: bytes


class FoundWins(NamedTuple):
    """What some viewers have won, and how often the audience had heard of wins before it was looked up."""

    heard: int
    wins: Wins


NO_WINS = FoundWins(0, {})


class Arrivals:
    """Waits for hellos, and welcomes those who have said theirs."""

    def __init__(self, redis: Redis, totals: WriteBehind, stubs: Stubs) -> None:
        self._redis = redis
        self._totals = totals
        self._stubs = stubs
        self._silent: dict[Session, float] = {}  # until when hello is waited for; the oldest first
        self._greeted: list[Arrival] = []  # the next ones to be looked up
        self._batch: list[Arrival] = []  # which is looked up and welcomed now
        self._welcoming: asyncio.Task[None] | None = None
        self._looked_up_at = 0.0

    @property
    def sessions(self) -> list[Session]:
        """Who is not welcomed yet, or just has been."""
        return [*self._silent, *(arrival.session for arrival in self._batch + self._greeted)]

    def expect(self, session: Session) -> None:
        self._silent[session] = monotonic() + HELLO_S

    def forget(self, session: Session) -> None:
        self._silent.pop(session, None)

    async def dismiss_the_silent(self) -> None:
        """Sends away who has not said hello in time."""
        late = monotonic()
        for session, _ in list(takewhile(lambda row: row[1] <= late, self._silent.items())):
            session.dismiss(PhoneFault(WireError.HELLO_TIMEOUT, f"no hello within {HELLO_S:.0f} s"))

    def welcome(self, session: Session, salt: bytes) -> None:
        """Has the session welcomed soon; everybody who says hello meanwhile shares one round trip to Redis."""
        self.forget(session)
        self._greeted.append(Arrival(session, salt))
        if self._welcoming is None:
            self._welcoming = asyncio.create_task(self._welcome_all())

    async def _welcome_all(self) -> None:
        try:
            while self._greeted:
                await asyncio.sleep(self._looked_up_at + LOOK_UP_S - monotonic())
                self._looked_up_at = monotonic()
                self._batch, self._greeted = self._greeted, []
                totals, wins = await asyncio.gather(
                    self._read_totals(self._batch), self._read_wins(self._batch)
                )
                for number, arrival in enumerate(self._batch):
                    if not arrival.session.socket.closed:
                        self._welcome(arrival, totals, wins)
                    if number % TOGETHER == TOGETHER - 1:
                        await asyncio.sleep(0)
                await self._stubs.greet((arrival.session for arrival in self._batch), totals)
        except Exception:
            log.exception("welcomes failed, going on")
            for session, _ in self._batch:
                if session not in session.audience:
                    session.dismiss(PhoneFault(WireError.OVERLOADED, "please come again", RETRY_MS))
        finally:
            self._batch = []
            self._welcoming = asyncio.create_task(self._welcome_all()) if self._greeted else None

    def _welcome(
        self, arrival: Arrival, totals: dict[tuple[str, bytes], int], wins: dict[Audience, FoundWins]
    ) -> None:
        session, audience = arrival.session, arrival.session.audience
        if session.is_stale:
            return session.dismiss(PhoneFault(*ANOTHER_KEY))
        if session.is_revoked:
            return session.dismiss(PhoneFault(*REVOKED))
        segment, viewer = audience.current, session.viewer or b""
        total = totals.get((segment.key, viewer), 0) if segment else 0
        found = wins.get(audience, NO_WINS)
        if viewer and found.heard != audience.heard_of_wins:
            audience.wins_behind = True
        audience.welcome(session, arrival.salt, total, found.wins.get(viewer, ()))

    async def _read_wins(self, arrivals: list[Arrival]) -> dict[Audience, FoundWins]:
        """What these viewers have won. Where that cannot be read, or changes meanwhile, it is looked up again later."""
        viewers: dict[Audience, list[bytes]] = {}
        for session, _ in arrivals:
            if session.viewer is not None and session.audience.has_wins:
                viewers.setdefault(session.audience, []).append(session.viewer)
        return {audience: await self._wins_of(audience, wanted) for audience, wanted in viewers.items()}

    async def _wins_of(self, audience: Audience, viewers: list[bytes]) -> FoundWins:
        heard = audience.heard_of_wins
        try:
            async with asyncio.timeout(settings.REDIS_TIMEOUT_S):
                step, wins = await fetch_wins(self._redis, audience.state.slug, viewers)
        except (RedisError, OSError, TimeoutError):
            step, wins = None, {}
        audience.wins_behind = audience.wins_behind or step is None
        return FoundWins(heard, wins)

    async def _read_totals(self, arrivals: list[Arrival]) -> dict[tuple[str, bytes], int]:
        """What is written of these viewers in their show's current segment."""
        wanted: dict[tuple[str, bytes], SegmentState] = {}
        for session, _ in arrivals:
            segment = session.audience.current
            if session.viewer is not None and segment is not None and segment.shards:
                wanted[segment.key, session.viewer] = segment
                if origin := session.placed_origin:
                    self._totals.locate(self._totals.totals_of(segment), session.viewer, origin)
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
