"""What a neighbourhood has used of its budgets, in Redis; and how a guest earns a pass past them.

A show within its budgets costs one round trip per pass. Whatever is refused gives back what it has taken. Without Redis
nobody is kept out: the show goes on.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engagement.clock import now_ms
from engagement.fair_play.attestation import challenges
from engagement.fair_play.attestation.asking import ask
from engagement.fair_play.attestation.challenges import BadChallenge
from engagement.fair_play.attestation.reading import read_services
from engagement.fair_play.attestation.shape import NotVouched, Service, Unavailable
from engagement.fair_play.core.air_code import is_on_air
from engagement.fair_play.core.budgets import (
    ASKS,
    ATTESTED_BUDGETS,
    CODE_BUDGETS,
    HOUR_MS,
    SLACK,
    Limits,
    Neighbourhood,
    find_neighbourhood,
    level_of,
)
from engagement.fair_play.core.origins import Origin, read_address
from engagement.gateway.audience import Audience
from engagement.gateway.work import LIFETIME_S, BadWork, Solution, check_solution, make_challenge
from engagement.keys import own

log = logging.getLogger(__name__)

UNKNOWN = IPv4Address(0)
TOKEN_S = 3_660  # a token counts once in this time; services forget theirs within minutes
KEPT_S = 3_660  # the hour of a count, and a minute for clocks that differ
FREE, EARNED, CODES, ATTESTED = "free", "earned", "codes", "attested"
TRIES, ASKED, UNANSWERED = "tries", "asked", "unanswered"
AWAY = (RedisError, OSError, TimeoutError)


class NotEarned(Exception):
    """There is no pass for this; the code, the text and what it may need for another try are for the app."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code, self.more = code, more


class Counts:
    """The counts of one neighbourhood in one hour of one show."""

    def __init__(self, redis: Redis, show: str, place: Neighbourhood, now: int) -> None:
        self._redis, self._place = redis, place
        self._keys = [own(f"passes:{show}:{name}:{now // HOUR_MS}") for name, _ in place.budgets]

    async def take_free(self) -> bool:
        """Takes one of the free passes of every block around; False, and nothing taken, where one has none left."""
        counts = await self._add(FREE, 1)
        over = [count > free for count, (_, free) in zip(counts, self._place.budgets, strict=True)]
        if any(over):
            await self._add(FREE, -1)
        return not any(over)

    async def take_earned(self, level: int) -> bool:
        """Counts a pass that was earned by work of this level; False where that is too little by now."""
        counts = await self._add(EARNED, 1)
        enough = level + SLACK >= self._level([count - 1 for count in counts])
        if not enough:
            await self._add(EARNED, -1)
        return enough

    async def take_code(self) -> bool:
        """Counts a pass for the code; False where this place has had its share of them."""
        return await self._take_share(CODES, CODE_BUDGETS)

    async def take_attested(self) -> bool:
        """Counts a pass for an attestation; False where this place has had its share of them."""
        return await self._take_share(ATTESTED, ATTESTED_BUDGETS)

    async def may_try(self) -> bool:
        """Counts a try of a code; False where there were too many wrong ones."""
        (count, *_), (_, free) = await self._add(TRIES, 1), self._place.budgets[0]
        return count <= 2 * max(1, free)

    async def forgive_try(self) -> None:
        """The code was right."""
        await self._add(TRIES, -1)

    async def forgive_unanswered(self) -> None:
        """Nobody could say whether it was right; so often, and no more: a bad token may be what nobody answers."""
        (count, *_), (_, free) = await self._add(UNANSWERED, 1), self._place.budgets[0]
        if count <= ASKS * max(1, free):
            await self.forgive_try()

    async def level(self) -> int | None:
        """The level of work that a pass costs now; None where too many challenges were asked for."""
        asked, earned = await self._add(ASKED, 1), await self._read(EARNED)
        most = [
            ASKS * max(1, free) + 2 * done
            for (_, free), done in zip(self._place.budgets, earned, strict=True)
        ]
        if any(count > limit for count, limit in zip(asked, most, strict=True)):
            return None
        return self._level(earned)

    async def _take_share(self, field: str, budgets: int) -> bool:
        (count, *_), (_, free) = await self._add(field, 1), self._place.budgets[0]
        return count <= budgets * max(1, free)

    def _level(self, earned: Sequence[int]) -> int:
        return max(level_of(done, free) for done, (_, free) in zip(earned, self._place.budgets, strict=True))

    async def _add(self, field: str, number: int) -> list[int]:
        async with asyncio.timeout(settings.REDIS_TIMEOUT_S), self._redis.pipeline(transaction=False) as pipe:
            for key in self._keys:
                pipe.hincrby(key, field, number)
                pipe.expire(key, KEPT_S)
            return (await pipe.execute())[::2]

    async def _read(self, field: str) -> list[int]:
        async with asyncio.timeout(settings.REDIS_TIMEOUT_S), self._redis.pipeline(transaction=False) as pipe:
            for key in self._keys:
                pipe.hget(key, field)
            return [int(found or 0) for found in await pipe.execute()]


class Earning:
    """One guest at this address who wants a pass of one show."""

    def __init__(self, redis: Redis, audience: Audience, address: str) -> None:
        self._redis, self._audience = redis, audience
        self._show, self._now = audience.state.slug, now_ms()
        self._ways = audience.state.fair_play.ways
        self._place = _place_of(audience, address)
        self._counts = Counts(redis, self._show, self._place, self._now)

    def origin(self, kind: str) -> bytes:
        """What a pass of this kind says of where it came from."""
        return Origin(kind, self._place.carrier, self._place.block).pack()

    @property
    def carrier(self) -> str:
        """The prefix of the carrier that the address belongs to; "" without one."""
        carriers = self._audience.state.fair_play.carriers
        return carriers[self._place.carrier - 1][0] if self._place.carrier else ""

    def until_next_hour_s(self) -> int:
        """When budgets are new."""
        return (HOUR_MS - self._now % HOUR_MS) // 1000 + 1

    async def is_free(self) -> bool:
        """Whether there is a free pass."""
        try:
            return await self._counts.take_free()
        except AWAY:
            return True

    async def by_work(self, solution: Solution) -> None:
        """Takes a solved challenge; raises NotEarned."""
        self._refuse_other_ways("work")
        try:
            task = check_solution(
                settings.PASS_KEYS, solution, self._show, self._place.block.hex(), self._now
            )
        except BadWork as error:
            raise NotEarned("bad_work", str(error)) from None
        try:
            if not await self._take_once(
                f"work:{self._show}:{solution.challenge.signature}", LIFETIME_S + 60
            ):
                raise NotEarned("bad_work", "this work was given for a pass before")
            if not await self._counts.take_earned(task.level):
                raise NotEarned("bad_work", "passes cost more work by now")
        except AWAY:
            return

    async def by_code(self, code: str) -> None:
        """Takes the code that is shown on air; raises NotEarned."""
        self._refuse_other_ways("code")
        try:
            if not await self._counts.may_try():
                raise NotEarned("bad_code", "too many wrong codes came from this network in this hour")
            feeds = self._audience.state.feeds
            if not is_on_air(self._audience.k_show, feeds, code, self._now):
                raise NotEarned("bad_code", "this code is not on air now")
            await self._counts.forgive_try()
            if not await self._counts.take_code():
                raise NotEarned("bad_code", "this network has had its passes for the code in this hour")
        except AWAY:
            raise NotEarned("bad_code", "codes cannot be checked right now, try again") from None

    async def by_attestation(self, name: str, token: str, challenge: str) -> None:
        """Takes what a service has given to the device; raises NotEarned."""
        self._refuse_other_ways("attested")
        known = services()
        if name not in known:
            raise NotEarned(
                "no_such_way", f"expected a service of {', '.join(known) or 'none'}, got {name!r}"
            )
        try:
            await self._check_attestation(known[name], token, challenge)
        except (NotVouched, BadChallenge) as error:
            more = {"challenge": self._challenge()} if known[name].needs_challenge else {}
            raise NotEarned("bad_attestation", str(error), **more) from None
        except AWAY:
            raise NotEarned("bad_attestation", "tokens cannot be checked right now, try again") from None

    async def _check_attestation(self, service: Service, token: str, challenge: str) -> None:
        """Each token counts once, or each challenge that one is over: a token can be written down in many ways."""
        if service.needs_challenge:
            challenges.check_challenge(challenge, self._show, self._place.block.hex(), self._now)
        if not await self._counts.may_try():
            raise NotVouched("too many bad tokens came from this network in this hour")
        # In any show, and before anybody is asked: of two at once, one is.
        once = challenge if service.needs_challenge else token
        mark = f"token:{hashlib.sha256(once.encode()).hexdigest()}"
        if not await self._take_once(mark, TOKEN_S):
            raise NotVouched("this token, or its challenge, was given before")
        try:
            await ask(service, token, challenge, self._now)
        except Unavailable as error:
            log.warning("the service %s does not answer: %s", service.name, error)
            await self._give_back(mark)
            await self._counts.forgive_unanswered()
            raise NotVouched("the service does not answer, try again") from None
        await self._counts.forgive_try()
        if not await self._counts.take_attested():
            raise NotVouched("this network has had its passes for attestations in this hour")

    def _challenge(self) -> str:
        return challenges.make_challenge(self._show, self._place.block.hex(), self._now + LIFETIME_S * 1000)

    async def describe(self) -> dict[str, Any] | None:
        """What an app needs to earn a pass: `ways`, and what each of them begins with. None: come later."""
        if not self._ways:
            return None
        found: dict[str, Any] = {"ways": self._ways}
        if "attested" in self._ways:
            found["services"] = list(services())
            if any(service.needs_challenge for service in services().values()):
                found["challenge"] = self._challenge()
        if "work" in self._ways:
            try:
                level = await self._counts.level()
            except AWAY:
                level = 0
            if level is None:
                return None
            block = self._place.block.hex()
            found["work"] = make_challenge(settings.PASS_KEYS[0], self._show, block, level, self._now)
        return found

    def _refuse_other_ways(self, way: str) -> None:
        if way not in self._ways:
            raise NotEarned("no_such_way", f"this show gives no passes for {way}")

    async def _take_once(self, mark: str, kept_s: int) -> bool:
        """True for the first one who has this, at whatever gateway; remembered for as long as it could be used."""
        async with asyncio.timeout(settings.REDIS_TIMEOUT_S):
            return bool(await self._redis.set(own(mark), b"1", nx=True, ex=kept_s))

    async def _give_back(self, mark: str) -> None:
        """It was not used after all."""
        async with asyncio.timeout(settings.REDIS_TIMEOUT_S):
            await self._redis.delete(own(mark))


def services() -> dict[str, Service]:
    """The services that vouch for devices, by their names."""
    return read_services(tuple(settings.PASS_ATTESTATION))


def _place_of(audience: Audience, address: str) -> Neighbourhood:
    """Where an address is; whoever has none that can be read shares one place."""
    fair_play = audience.state.fair_play
    try:
        where = read_address(address)
    except ValueError:
        where = UNKNOWN
    limits = Limits(fair_play.passes_ipv4, fair_play.passes_ipv6_64, fair_play.passes_ipv6_48)
    return find_neighbourhood(audience.k_show, where, limits, audience.carriers)
