"""One hub per gateway process: it feeds all sockets, so that no socket needs a task, a queue or a subscription."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket as system_socket
from collections.abc import Awaitable, Callable
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from redis.exceptions import RedisError

from engagement import tally
from engagement.broadcast import fetch_state, group_of, is_complete
from engagement.clock import now_ms
from engagement.core.errors import PhoneFault, WireError
from engagement.core.messages import encode
from engagement.core.shakes import Pace, choose_pace
from engagement.core.show_state import ShowState, parse_state
from engagement.descriptors import allowed_descriptors
from engagement.gateway.audience import Audience
from engagement.gateway.transport import text_event
from engagement.gateway.write_behind import SegmentTotals, WriteBehind, largest

log = logging.getLogger(__name__)

FLUSH_S = 0.25
PULSE_S = 0.5
REFRESH_S = 3.0
QUIET_PULSE_MS = 9_000  # at least every 10 s when nothing is on air
BLOCKED_S = 9.0  # a blocked socket is closed within 10 s
RETRY_MS = 2_000
SPARE_DESCRIPTORS = 200  # for Redis, logs and pages
STOP_ATTEMPTS = 5
REPORTS_PER_SECOND = 20_000  # what one process takes without noticing
CONNECTS_PER_SECOND = 2_000


class Hub:
    """The audiences of this process, their totals, and the loops that serve them."""

    def __init__(self) -> None:
        self.name = f"{system_socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.redis = tally.connect_async()
        self.totals = WriteBehind(self.redis, self.name, self._written)
        self.audiences: dict[str, Audience] = {}
        self.connections = 0
        self.max_connections = settings.MAX_CONNECTIONS or allowed_descriptors() - SPARE_DESCRIPTORS
        self.pace: Pace = self._choose_pace()
        self._layer = get_channel_layer()
        self._channel = ""
        self._opening: dict[str, asyncio.Task[Audience]] = {}
        self._server: str | None = None  # which Redis, and which of its lives, holds our totals
        self._lookups: list[tuple[tuple[str, int, bytes], asyncio.Future[int]]] = []
        self._answering: asyncio.Task[None] | None = None
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self.redis.ping()  # connected before the first phone waits for it
        self._loops = [
            asyncio.create_task(_forever("flush", FLUSH_S, self.totals.flush)),
            asyncio.create_task(_forever("pulse", PULSE_S, self._beat)),
            asyncio.create_task(_forever("refresh", REFRESH_S, self._refresh)),
            asyncio.create_task(_forever("listen", 0.0, self._listen)),
            asyncio.create_task(_forever("watch", 1.0, self._watch_sockets)),
        ]

    async def stop(self) -> None:
        """Writes what is left; what cannot be written was never acknowledged, so the phones repeat it."""
        # A cancellation can get lost in a client library that is just connecting: it is repeated, and not for ever.
        for _ in range(STOP_ATTEMPTS):
            running = [loop for loop in self._loops if loop.cancel()]
            if running:
                await asyncio.wait(running, timeout=0.3)
        with contextlib.suppress(RedisError, OSError):
            await self.totals.flush()
            await tally.say_goodbye(self.redis, self.name)
        await self.redis.aclose(close_connection_pool=True)

    # --- shows and sockets ---

    async def audience(self, slug: str) -> Audience:
        """The audience of a show; raises PhoneFault where there is no such show, or nobody can say."""
        if slug not in self.audiences:
            # Everybody who asks for it meanwhile waits for the same answer.
            opening = self._opening.get(slug)
            if opening is None:
                opening = self._opening[slug] = asyncio.create_task(self._open_audience(slug))
                opening.add_done_callback(lambda _: self._opening.pop(slug, None))
            return await asyncio.shield(opening)
        return self.audiences[slug]

    async def _open_audience(self, slug: str) -> Audience:
        try:
            async with asyncio.timeout(settings.REDIS_TIMEOUT_S):
                state = await fetch_state(self.redis, slug)
                complete = state is not None or await is_complete(self.redis)
        except (RedisError, OSError, TimeoutError):
            raise PhoneFault(
                WireError.OVERLOADED, "the show cannot be looked up right now", RETRY_MS
            ) from None
        if state is None and not complete:
            raise PhoneFault(WireError.OVERLOADED, "the shows are being read again", RETRY_MS)
        if state is None:
            raise PhoneFault(WireError.NO_SUCH_SHOW, f"there is no show {slug!r}")
        self.audiences[slug] = Audience(state)
        await self._subscribe(slug)
        return self.audiences[slug]

    async def _subscribe(self, slug: str) -> None:
        if self._channel:
            # Failing is no harm: the state is read again every few seconds, and the subscription is tried again.
            with contextlib.suppress(RedisError, OSError):
                await self._layer.group_add(group_of(slug), self._channel)

    def admit(self) -> None:
        """Counts one more socket; raises PhoneFault when this process is full."""
        if self.connections >= self.max_connections:
            raise PhoneFault(
                WireError.OVERLOADED, "this server is full", RETRY_MS + secrets.randbelow(RETRY_MS)
            )
        self.connections += 1

    def release(self) -> None:
        self.connections -= 1

    # --- totals ---

    async def current_total(self, state: ShowState, viewer: bytes) -> int:
        """What is written of a viewer in the current segment; without Redis, what this process knows to be written."""
        segment = state.segment(state.current)
        if segment is None or not segment.shards:
            return 0
        totals = self.totals.totals_of(segment)
        try:
            async with asyncio.timeout(settings.REDIS_TIMEOUT_S):
                written = await self._look_up((segment.key, segment.shards, viewer))
        except (RedisError, OSError, TimeoutError):
            return totals.written.get(viewer, 0)
        self.totals.learn(totals, viewer, written)
        return written

    async def _look_up(self, wanted: tuple[str, int, bytes]) -> int:
        # Everybody who says hello in the same moment shares one round trip.
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._lookups.append((wanted, future))
        if len(self._lookups) == 1:
            self._answering = asyncio.create_task(self._answer_lookups())
        return await future

    async def _answer_lookups(self) -> None:
        waiting, self._lookups = self._lookups, []
        futures = [future for _, future in waiting if not future.done()]
        try:
            totals = await tally.read_totals(
                self.redis, [wanted for wanted, future in waiting if not future.done()]
            )
        except (RedisError, OSError) as error:
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, total in zip(futures, totals, strict=True):
            if not future.done():
                future.set_result(total)

    def _written(self, segment: int, batch: dict[bytes, int]) -> None:
        for audience in self.audiences.values():
            if audience.state.segment(segment) is not None:
                audience.acknowledge(segment, batch.items())

    # --- loops ---

    async def _listen(self) -> None:
        """Takes what is broadcast to the shows of this process; one channel for all of them."""
        if not self._channel:
            self._channel = await self._layer.new_channel()
            for slug in list(self.audiences):
                await self._subscribe(slug)
        message = await self._layer.receive(self._channel)
        if message["type"] == "state":
            state = parse_state(message["document"])
            if state.slug in self.audiences:
                self.audiences[state.slug].adopt(state)
        elif message["type"] == "result":
            for audience in self.audiences.values():
                if audience.state.slug == message["slug"]:
                    audience.show_result(message["epoch"], message["seq"], message["result"])

    async def _refresh(self) -> None:
        """Reads every state again, in case a broadcast was lost."""
        for slug, audience in list(self.audiences.items()):
            await self._subscribe(slug)
            state = await fetch_state(self.redis, slug)
            if state is not None:
                audience.adopt(state)

    async def _beat(self) -> None:
        """Heartbeat out, the others' in; then pulses, pace, and segments that are over."""
        now = now_ms()
        current = {slug: audience.current_key for slug, audience in self.audiences.items()}
        beats, live, server = await tally.exchange_heartbeats(
            self.redis, self.name, self._heartbeat(now), list(current.values())
        )
        if self._server is not None and server != self._server:
            log.warning(
                "Redis was restarted or emptied: writing %d segments again", len(self.totals.segments)
            )
            self.totals.rewrite_all()
        self._server = server
        for slug, segment in current.items():
            audience = self.audiences[slug]
            if audience.current_key != segment:
                continue  # changed while Redis answered: the next beat knows
            if audience.on_air(now) or now - audience.pulsed_at >= QUIET_PULSE_MS:
                shows = [beat["shows"][slug] for beat in beats.values() if slug in beat["shows"]]
                phones = sum(show["phones"] for show in shows)
                audience.pulse(now, phones, live[segment], _merge_leaders(shows))
        self._set_pace()
        await self._end_segments(now)

    def _heartbeat(self, now: int) -> dict[str, Any]:
        shows = {
            slug: {
                "phones": audience.phones,
                "screens": len(audience.guests) - audience.phones,
                "refused": audience.refused,
                "leaders": self._leaders(audience),
            }
            for slug, audience in self.audiences.items()
        }
        return {
            "at": now,
            "pending": self.totals.pending,
            "lag_ms": self.totals.lag_ms,
            "connections": self.connections,
            "max_connections": self.max_connections,
            "report_every_ms": self.pace.report_every_ms,
            "shows": shows,
        }

    def _leaders(self, audience: Audience) -> dict[str, int]:
        totals = self.totals.segments.get(audience.state.current or 0)
        return {viewer.hex(): total for viewer, total in totals.leaders.items()} if totals else {}

    def _choose_pace(self) -> Pace:
        return choose_pace(
            phones=self.connections,
            flush_ms=self.totals.lag_ms,
            reports_per_second=REPORTS_PER_SECOND,
            connects_per_second=CONNECTS_PER_SECOND,
        )

    def _set_pace(self) -> None:
        pace = self._choose_pace()
        if pace.report_every_ms != self.pace.report_every_ms:
            event = text_event(encode("pace", **pace._asdict()))
            for audience in self.audiences.values():
                audience.send_all("pace", event)
        self.pace = pace

    async def _end_segments(self, now: int) -> None:
        """After the grace: no report any more, write the rest, confirm. After the seal: forget."""
        on_air = set()
        for audience in list(self.audiences.values()):
            for segment in audience.state.segments:
                window = audience.window(segment.id, audience.state.default_feed)
                if window is None:
                    continue
                on_air.add(segment.id)
                if now >= window.grace_ends_at:
                    await self._confirm(self.totals.totals_of(segment))
        for known in self.totals.segments.keys() - on_air:
            if not self.totals.segments[known].dirty:
                del self.totals.segments[known]

    async def _confirm(self, totals: SegmentTotals) -> None:
        totals.closed = True
        if not totals.confirmed and await self.totals.flush():
            await tally.confirm_flushed(self.redis, totals.key, self.name)
            totals.confirmed = True

    async def _watch_sockets(self) -> None:
        """Closes the sockets whose phones do not read."""
        deadline = asyncio.get_running_loop().time() - BLOCKED_S
        for audience in self.audiences.values():
            for guest in list(audience.guests):
                since = guest.socket.blocked_since
                if since is not None and since < deadline:
                    audience.leave(guest)
                    guest.socket.give_up(PhoneFault(WireError.TOO_SLOW, "the socket stayed blocked"))


def _merge_leaders(shows: list[dict[str, Any]]) -> dict[bytes, int]:
    merged: dict[bytes, int] = {}
    for show in shows:
        for viewer, total in show["leaders"].items():
            merged[bytes.fromhex(viewer)] = max(total, merged.get(bytes.fromhex(viewer), 0))
    return largest(merged)


async def _forever(name: str, pause_s: float, step: Callable[[], Awaitable[Any]]) -> None:
    """Repeats a step for as long as the process lives; one that fails is tried again."""
    failing = False
    while True:
        try:
            await asyncio.sleep(pause_s)
            await step()
            failing = False
        except (TimeoutError, RedisError, OSError) as error:
            if not failing:
                log.warning("%s: Redis does not answer: %s", name, error)
            failing = True
            await asyncio.sleep(max(pause_s, 0.25))
        except Exception:
            log.exception("%s failed, going on", name)
            await asyncio.sleep(max(pause_s, 1.0))


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


async def get_hub() -> Hub:
    """The hub of the running event loop, started at its first use."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
        await _hubs[loop].start()
    return _hubs[loop]


async def stop_hub() -> None:
    """Ends the hub of the running event loop, where there is one."""
    hub = _hubs.pop(asyncio.get_running_loop(), None)
    if hub is not None:
        await hub.stop()
