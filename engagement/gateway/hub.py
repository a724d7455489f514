"""One hub per gateway process: it feeds all sockets, so that no socket needs a task, a queue or a subscription."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket as system_socket
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from time import monotonic_ns
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.utils.translation import override
from redis.exceptions import RedisError

from engagement import tally
from engagement.broadcast import fetch_state, group_of, is_complete, is_ours
from engagement.clock import now_ms
from engagement.core.errors import PhoneFault, WireError
from engagement.core.shakes import FrameLimit
from engagement.core.show_state import ShowState, parse_state
from engagement.descriptors import allowed_descriptors
from engagement.gateway.arrivals import Arrivals
from engagement.gateway.audience import Audience, choose_leaders
from engagement.gateway.core.pace import SHORTEST_MS, Pace, PaceControl, make_pace
from engagement.gateway.crowding import Crowding
from engagement.gateway.intake import Intake
from engagement.gateway.load_meter import LoadMeter
from engagement.gateway.session import Session
from engagement.gateway.stubs import Stubs
from engagement.gateway.transport.socket import Socket
from engagement.gateway.write_behind import SegmentTotals, WriteBehind
from engagement.wins import Step, fetch_wins, parse_wins

log = logging.getLogger(__name__)

FLUSH_S = 0.25
PULSE_S = 0.5
PACE_S = 0.25
ARRIVALS_S = 0.25
REFRESH_S = 3.0
UNVISITED = 20  # refreshes after which a show that nobody is in is forgotten
TOGETHER_S = 0.25  # of the states that come within this time phones get the first and the last
BLOCKED_S = 9.0  # a blocked socket is closed within 10 s
RETRY_MS = 2_000
SPARE_DESCRIPTORS = 400  # for Redis, logs, pages, and phones that are told why they may not stay
EXPLAINED_PER_S = 100  # so many; each takes a descriptor for up to CLOSE_S
RESTART = 1012  # RFC 6455, 7.4.1 and the IANA registry: the service is restarting
RESTART_FLUSH_S = 1.0
STOP_FLUSH_S = 1.0
STOP_ATTEMPTS = 5


class Hub:
    """The audiences of this process, their totals, and the loops that serve them."""

    def __init__(self) -> None:
        self.name = f"{system_socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.redis = tally.connect_async()
        self.audiences: dict[str, Audience] = {}
        self.totals = WriteBehind(
            self.redis, self.name, lambda totals, batch: self.stubs.acknowledge(totals, batch)
        )
        self.stubs = Stubs(self.name, self.totals, self.audiences)
        self.arrivals = Arrivals(self.redis, self.totals, self.stubs)
        self.frame_limit = FrameLimit(settings.FRAMES_PER_SECOND)
        self.connections = 0
        self._crowding = Crowding(settings.SOCKETS_PER_BLOCK)
        self.max_connections = settings.MAX_CONNECTIONS or allowed_descriptors() - SPARE_DESCRIPTORS
        self.meter = LoadMeter(unread_ns=lambda: self.intake.behind_ns)
        self.intake = Intake(before_turn=self.meter.look)
        self.pace: Pace = make_pace(SHORTEST_MS, phones=0)
        self._pace_control = PaceControl()
        self._layer = get_channel_layer()
        self._channel = ""
        self._opening: dict[str, asyncio.Task[Audience]] = {}
        self._held: dict[str, ShowState] = {}  # the newest of a show that was told a state a moment ago
        self._server: str | None = None  # which Redis, and which of its lives, holds our totals
        self._explained = 0
        self.issued: dict[str, Counter[str]] = defaultdict(Counter)  # passes, by show and source
        self._ending: asyncio.Task[None] | None = None
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.meter.start()
        # Before the first phone waits for it, or misses what is broadcast; without Redis, the loops go on trying.
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self.redis.ping()
            self._channel = await self._layer.new_channel()
        self._loops = [
            asyncio.create_task(_forever("flush", FLUSH_S, self.totals.flush)),
            asyncio.create_task(_forever("stubs", FLUSH_S, self.stubs.sweep)),
            asyncio.create_task(_forever("pulse", PULSE_S, self._beat)),
            asyncio.create_task(_forever("pace", PACE_S, self._set_pace)),
            asyncio.create_task(_forever("refresh", REFRESH_S, self._refresh)),
            asyncio.create_task(_forever("listen", 0.0, self._listen)),
            asyncio.create_task(_forever("watch", 1.0, self._watch_sockets)),
            asyncio.create_task(_forever("arrivals", ARRIVALS_S, self.arrivals.dismiss_the_silent)),
        ]

    async def stop(self) -> None:
        """Writes what is left; what cannot be written was never acknowledged, so the phones repeat it."""
        # A cancellation that comes in the moment in which a command has been sent gets lost in redis-py (`wait_for` of
        # Python 3.11): it is repeated, and not for ever.
        for _ in range(STOP_ATTEMPTS):
            running = [loop for loop in self._loops if loop.cancel()]
            if running:
                await asyncio.wait(running, timeout=0.3)
        self.meter.stop()
        self.intake.close()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(STOP_FLUSH_S):
                await self.totals.flush()
                await tally.say_goodbye(self.redis, self.name)
        await self.redis.aclose(close_connection_pool=True)

    # --- shows and sockets ---

    async def audience(self, slug: str) -> Audience:
        """The audience of a show; raises PhoneFault where there is no such show, or nobody can say."""
        if slug in self.audiences:
            return self.audiences[slug]
        return await self._opened(slug)

    def _opened(self, slug: str) -> asyncio.Future[Audience]:
        """Everybody who asks for it meanwhile waits for the same answer."""
        if slug not in self._opening:
            self._opening[slug] = asyncio.create_task(self._open_audience(slug))
            self._opening[slug].add_done_callback(lambda _: self._opening.pop(slug, None))
        return asyncio.shield(self._opening[slug])

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
        self.audiences[slug] = Audience(state, self.pace)
        await self._subscribe(slug)
        return self.audiences[slug]

    async def _subscribe(self, slug: str) -> None:
        if self._channel:
            # Failing is no harm: the state is read again every few seconds, and the subscription is tried again.
            with contextlib.suppress(RedisError, OSError):
                await self._layer.group_add(group_of(slug), self._channel)

    # --- sessions ---

    def check_room(self, audience: Audience, address: str) -> None:
        """Raises PhoneFault when this process is full, for this address at least, or about to end."""
        if self.connections >= self.max_connections or self._ending is not None:
            why = "this server is full"
        elif not self._crowding.has_room(address, audience.carriers):
            why = "too many sockets of this network are open here"
        else:
            return
        raise PhoneFault(WireError.OVERLOADED, why, RETRY_MS + secrets.randbelow(RETRY_MS))

    def may_explain(self) -> bool:
        """Whether one more phone that may not stay is told why; the others are just refused."""
        self._explained += 1
        return self._explained <= EXPLAINED_PER_S

    def admit(self, audience: Audience, socket: Socket, address: str = "") -> Session:
        """One more socket, which is expected to say hello."""
        self.connections += 1
        audience = self.audiences.setdefault(audience.state.slug, audience)  # forgotten meanwhile, perhaps
        audience.visitors += 1
        session = Session(self, audience, socket)
        session.block = self._crowding.enter(address)
        self.arrivals.expect(session)
        return session

    def welcome(self, session: Session, salt: bytes) -> None:
        """Who has said hello is answered soon, together with others."""
        self.arrivals.welcome(session, salt)

    def forget(self, session: Session) -> None:
        """Nothing is sent to this session any more."""
        self.arrivals.forget(session)
        session.audience.leave(session)

    def release(self, session: Session) -> None:
        """The session's socket is closed."""
        self.forget(session)
        session.audience.visitors -= 1
        self.connections -= 1
        self._crowding.leave(session.block)

    def restart(self) -> None:
        """The process is about to end: once for all its sockets."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._send_all_away())

    async def _send_all_away(self) -> None:
        """What was accepted is written and acknowledged first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESTART_FLUSH_S):
                await self.totals.flush()
        sessions = [session for audience in self.audiences.values() for session in audience]
        for session in [*sessions, *self.arrivals.sessions]:
            session.socket.close(RESTART)

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
            if is_ours(state.installation):
                self._take(state)
        elif message["type"] == "wins" and is_ours(message["installation"]):
            found = self.audiences.get(message["slug"])
            if found is not None:
                wins = {bytes.fromhex(viewer): parse_wins(won) for viewer, won in message["wins"].items()}
                found.take_wins(Step(*message["step"]), wins, complete=message["last"])

    def _take(self, state: ShowState) -> None:
        """Has a new state told, at once or together with those that follow it."""
        if state.slug in self._held:
            if state.is_newer_than(self._held[state.slug]):
                self._held[state.slug] = state
        elif state.slug in self.audiences and state.is_newer_than(self.audiences[state.slug].state):
            self.audiences[state.slug].adopt(state)
            self._held[state.slug] = state
            asyncio.get_running_loop().call_later(TOGETHER_S, self._release, state.slug)

    def _release(self, slug: str) -> None:
        self._take(self._held.pop(slug))

    async def _refresh(self) -> None:
        """Reads every state again, in case a broadcast was lost."""
        await self._forget_unvisited()
        for slug, audience in list(self.audiences.items()):
            await self._subscribe(slug)
            state = await fetch_state(self.redis, slug)
            if state is not None:
                self._take(state)
            if audience.wins_behind:
                audience.catch_up(*await fetch_wins(self.redis, slug, audience.by_viewer))

    async def _forget_unvisited(self) -> None:
        """A show that is over is looked up again when somebody comes: old nights are many, and nobody is in them."""
        for slug, audience in list(self.audiences.items()):
            audience.unvisited = 0 if audience.is_needed else audience.unvisited + 1
            if audience.unvisited > UNVISITED:
                del self.audiences[slug]
                if self._channel:
                    with contextlib.suppress(RedisError, OSError):
                        await self._layer.group_discard(group_of(slug), self._channel)

    async def _beat(self) -> None:
        """Heartbeat out, the others' in; then pulses, and segments that are over."""
        now = now_ms()
        current = {slug: audience.current_key for slug, audience in self.audiences.items()}
        empty = {slug for slug, audience in self.audiences.items() if audience.is_empty}
        issued = {slug: self.issued[slug] for slug in current if slug in self.issued}
        beats, live, server = await tally.exchange_heartbeats(
            self.redis, self.name, self._heartbeat(now), list(current.values()), issued
        )
        if self._server is not None and server != self._server:
            log.warning(
                "Redis was restarted or emptied: writing %d segments again", len(self.totals.segments)
            )
            self.totals.rewrite_all()
        self._server = server
        for slug, segment in current.items():
            audience = self.audiences.get(slug)
            if audience is None or audience.current_key != segment:
                continue  # changed while Redis answered: the next beat knows
            audience.is_announced = True
            shows = [beat["shows"][slug] for beat in beats.values() if slug in beat["shows"]]
            shakes, leaders = live[segment].get("shakes", 0), _merge_leaders(shows)
            audience.measure(now, shakes)
            # Whoever comes while Redis answers is not counted in this beat, and hears the next one.
            if slug not in empty and audience.pulse_is_due(now, shakes, leaders):
                audience.pulse(now, sum(show["phones"] for show in shows), shakes, leaders)
        await self._end_segments(now)

    def _heartbeat(self, now: int) -> dict[str, Any]:
        shows = {
            slug: {
                "phones": audience.phones,
                "screens": len(audience.screens),
                "refused": audience.refused,
                "epoch": audience.state.epoch,
                "seq": audience.state.seq,
                "leaders": {viewer.hex(): total for viewer, total in audience.leaders.items()},
            }
            for slug, audience in self.audiences.items()
        }
        return {
            "at": now,
            "key": self.stubs.key.hex(),  # of what it signs, and from when on it has that
            "since": self.stubs.since,
            "pending": self.totals.pending,
            "lag_ms": self.totals.lag_ms,
            "connections": self.connections,
            "max_connections": self.max_connections,
            "report_every_ms": self.pace.report_every_ms,
            "tasks": len(asyncio.all_tasks()),
            "shows": shows,
        }

    async def _set_pace(self) -> None:
        load = self.meter.sample(self.totals.lag_ms)
        self.pace = self._pace_control.follow(load, phones=self.connections, now_ms=monotonic_ns() // 10**6)
        for audience in self.audiences.values():
            audience.set_pace(self.pace)

    async def _end_segments(self, now: int) -> None:
        """After the grace: no report any more, write the rest, confirm. After the seal and the last stub: forget."""
        on_air: set[str] = set()
        for audience in list(self.audiences.values()):
            for segment in audience.state.segments:
                found = audience.reporting(segment.id, audience.state.default_feed)
                if found is None:
                    continue
                on_air.add(segment.key)
                if now >= found.window.grace_ends_at:
                    await self._confirm(self.totals.totals_of(segment))
        for known in self.totals.segments.keys() - on_air:
            totals = self.totals.segments[known]
            if not (totals.dirty or totals.writing or self.stubs.owes(known)):
                del self.totals.segments[known]

    async def _confirm(self, totals: SegmentTotals) -> None:
        totals.closed = True
        if not totals.confirmed and await self.totals.flush():
            await tally.confirm_flushed(self.redis, totals.key, self.name)
            totals.confirmed = True

    async def _watch_sockets(self) -> None:
        """Closes the sockets whose phones do not read, and those whose phones are gone."""
        self._explained = 0
        deadline = asyncio.get_running_loop().time() - BLOCKED_S
        for audience in self.audiences.values():
            for session in list(audience):
                session.socket.check()
                since = session.socket.blocked_since
                if since is not None and since < deadline:
                    session.dismiss(PhoneFault(WireError.TOO_SLOW, "the socket stayed blocked"))


def _merge_leaders(shows: list[dict[str, Any]]) -> dict[bytes, int]:
    merged: dict[bytes, int] = {}
    for show in shows:
        for viewer, total in show["leaders"].items():
            merged[bytes.fromhex(viewer)] = max(total, merged.get(bytes.fromhex(viewer), 0))
    return choose_leaders(merged)


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


_hubs: dict[asyncio.AbstractEventLoop, asyncio.Task[Hub]] = {}


async def get_hub() -> Hub:
    """The hub of the running event loop, started at its first use; whoever asks meanwhile waits for the same one."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = asyncio.create_task(_start_hub())  # whoever asks may be no task (stepping.py)
    started = _hubs[loop]
    return started.result() if started.done() else await asyncio.shield(started)


async def _start_hub() -> Hub:
    """Its loops outlive the request that came first, and do not keep the language of it."""
    with override(settings.LANGUAGE_CODE):
        hub = Hub()
        await hub.start()
    return hub


async def stop_hub() -> None:
    """Ends the hub of the running event loop, where there is one."""
    started = _hubs.pop(asyncio.get_running_loop(), None)
    if started is not None:
        await (await started).stop()
