"""A crowd: thousands of mock phones over real sockets from one process.

One scheduler wakes the phones instead of a task per phone, shakes are computed when they are reported, and broadcasts
are decoded once: 5,000 phones stay well below one core (docs/connect-a-phone.md has the figures).
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from picows import WSError, ws_connect

from engagement.mock.client import NO_CLOSE_FRAME, Client, now_ms
from engagement.mock.figures import Figures, describe_figures, describe_segments
from engagement.mock.hand import HumanHand, SteadyHand
from engagement.mock.passes import CrowdError, Passes, make_tls, parse_address
from engagement.mock.phone import NEVER, Phone
from engagement.mock.stubs import StubFigures, check_stubs

SUBPROTOCOL = "shake.v1"
TICK_S = 0.02
SPREAD_S = 1.5  # the first connects are spread over about this long
SLOWEST_RATE, FASTEST_RATE = 100, 3_000  # connects per second
HANDSHAKES = 128  # under way at once
HANDSHAKE_S = 10.0
CLAIM_S = 60.0  # how long to wait for the answers to the last claims
CONNECT_S = 60.0  # how long to wait for the last phone to be welcomed
CHEATERS = 0.02

# picows tells every connection at INFO; what matters is in the figures.
_picows_log = logging.getLogger("engagement.mock.picows")
_picows_log.setLevel(logging.ERROR)


@dataclass(frozen=True, kw_only=True)
class CrowdOptions:
    """What `mock_phones` is told."""

    url: str
    show: str
    phones: int = 300
    hz: float = 4.0
    feed: str | None = None  # None: spread over all feeds of the show
    seconds: float = 30.0
    until_result: bool = False
    timeout: float = 600.0
    cheat_hz: float | None = None
    cheaters: float = CHEATERS
    drop: float = 0.0
    claim: bool = False  # winners claim at once
    check_stubs: bool = False  # the keys of stubs are looked up in the ledger
    seed: int | None = None
    ca: str | None = None  # a file of certificates in PEM; None: those that this machine trusts


class Crowd:
    """N phones in one show; `run` does it all, `figures` and the counters below may be read while it runs."""

    def __init__(self, options: CrowdOptions) -> None:
        self.options = options
        self.address = parse_address(options.url, options.show)
        self.figures = Figures()
        self._tls = make_tls(self.address, options.ca)
        self.passes = Passes(self.address, self._tls)
        self.step = "connecting"
        self.connect_seconds = 0.0
        self.target: int | None = None  # the segment whose result ends `until_result`
        self.result_seen = False
        self.stubs = StubFigures()
        self._order = count()
        self._wakes: list[tuple[float, int, Client]] = []
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self.clients = [self._client(number) for number in range(options.phones)]

    def _client(self, number: int) -> Client:
        options = self.options
        rng = Random() if options.seed is None else Random(f"{options.seed}:{number}")
        cheats = options.cheat_hz is not None and rng.random() < options.cheaters
        hand = SteadyHand(options.cheat_hz or 0) if cheats else HumanHand(options.hz, rng)
        client = Client(Phone(options.feed), hand, rng, self.figures, options.drop)
        client.reschedule = self._schedule
        if options.claim:
            client.claim = self._start_claim
        return client

    # --- the whole run ---

    async def run(self) -> dict[str, Any]:
        """Connects, shakes, reports to the end, hangs up; returns the summary. CrowdError when there is no point."""
        began = time.monotonic()
        self._start(self._tick())
        try:
            await self._connect_all()
            await self._shake()
            self.step = "checking stubs"
            ledger = self.passes if self.options.check_stubs else None
            to_the_end = self.options.until_result and self.result_seen
            self.stubs = await check_stubs(self.clients, ledger, to_the_end=to_the_end, now=now_ms())
        finally:
            for task in self._tasks:
                task.cancel()
            self.passes.end()
            for client in self.clients:
                client.hang_up()
        await asyncio.sleep(0.2)  # the goodbyes go out
        return self.describe(time.monotonic() - began)

    async def _shake(self) -> None:
        options = self.options
        self.step = "shaking"
        if options.until_result:
            self.step = "waiting for a result"
            self.result_seen = await self._wait(self._all_saw_the_result, options.timeout)
            if options.claim:
                self.step = "claiming"
                await self._wait(lambda: not self._unclaimed(), CLAIM_S)
            return
        await self._wait(lambda: False, options.seconds)
        self.step = "waiting for acks"
        for client in self.clients:
            client.stop(now_ms())
        await self._wait(
            lambda: all(client.phone.settled or client.gave_up for client in self.clients), options.timeout
        )

    async def _wait(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Whether it was reached within so many seconds; what went wrong in the background is raised here."""
        deadline = time.monotonic() + seconds
        while not reached():
            if self._failed is not None:
                raise self._failed
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(min(0.1, max(0.0, deadline - time.monotonic())))
        return True

    # --- connecting ---

    async def _connect_all(self) -> None:
        """The first connects, at a bounded rate; a phone that fails comes back by itself, as any phone does."""
        await self._spread_over_feeds()
        rate = min(FASTEST_RATE, max(SLOWEST_RATE, len(self.clients) / SPREAD_S))
        began = now_ms()
        for number, client in enumerate(self.clients):
            client.connect_at = began + number * 1000 / rate
            self._schedule(client)
        await self._wait(lambda: all(client.welcomed or client.gave_up for client in self.clients), CONNECT_S)
        self.connect_seconds = (now_ms() - began) / 1000

    async def _spread_over_feeds(self) -> None:
        """The first pass also says which feeds there are."""
        answer = await self._get_pass()
        self.clients[0].pass_ = answer["pass"]
        feeds = answer["feeds"]
        if self.options.feed is None:
            for number, client in enumerate(self.clients):
                client.phone.feed = feeds[number % len(feeds)] if feeds else None
        elif self.options.feed not in feeds:
            raise CrowdError(f"--feed: expected one of {', '.join(feeds)}, got {self.options.feed!r}")

    async def _get_pass(self, known: Phone | None = None) -> dict[str, Any]:
        """For a phone that has been welcomed before: of the same viewer, if that is possible."""
        if known is not None and known.salt:
            renewed = await self.passes.renew(known.proof())
            if renewed is not None:
                self.figures.renewals += 1
                return renewed
        answer = await self.passes.get()
        self.figures.passes += 1
        return answer

    async def _connect(self, client: Client) -> None:
        try:
            if client.pass_ is None:
                client.pass_ = (await self._get_pass(client.phone))["pass"]
            self.figures.reconnects += client.welcomed
            connected = await self._open_socket(client)
        except (OSError, WSError, TimeoutError):
            connected = False
        if not connected:
            self.figures.errors["connect_failed"] += 1
            client.lost(NO_CLOSE_FRAME, "", now_ms())

    async def _open_socket(self, client: Client) -> bool:
        """Whether the client got its socket: one that is closed in the middle of the handshake raises nothing."""
        async with self._handshakes:
            _, listener = await ws_connect(
                lambda: client,
                self.address.socket,
                ssl_context=self._tls,
                extra_headers={"Sec-WebSocket-Protocol": SUBPROTOCOL},
                websocket_handshake_timeout=HANDSHAKE_S,
                read_buffer_init_size=2_048,
                logger_name=_picows_log,
            )
        return listener is not None

    # --- the one clock of all phones ---

    def _schedule(self, client: Client) -> None:
        """Wakes the client when it wants; an earlier wish that is outdated by then is dropped by `_tick`."""
        wake_at = client.wake_at
        if wake_at < client.planned_at:
            client.planned_at = wake_at
            heapq.heappush(self._wakes, (wake_at, next(self._order), client))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = now_ms()
            while self._wakes and self._wakes[0][0] <= now:
                planned_at, _, client = heapq.heappop(self._wakes)
                if planned_at == client.planned_at:
                    client.planned_at = NEVER
                    self._wake(client, now)

    def _wake(self, client: Client, now: float) -> None:
        if client.transport is not None:
            client.wake(now)
        elif client.connect_at <= now:
            client.connect_at = NEVER
            self._start(self._connect(client))
        self._schedule(client)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What nobody expected ends the whole run: a phone would be forgotten without a word."""
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            self._failed = self._failed or error

    # --- claiming ---

    def _start_claim(self, client: Client, draw: int) -> None:
        self._start(self._claim(client, draw))

    async def _claim(self, client: Client, draw: int) -> None:
        try:
            answer = await self.passes.claim(draw, client.phone.proof())
            outcome = str(answer.get("status") or answer.get("code") or "no_answer")
        except CrowdError as error:
            outcome = str(error)
        self.figures.claims[client.phone.viewer] = outcome

    def _unclaimed(self) -> list[str]:
        """The viewers of this crowd who have won and have not claimed."""
        winners = {client.phone.viewer for client in self.clients if client.phone.wins}
        return sorted(viewer for viewer in winners if self.figures.claims.get(viewer) != "claimed")

    # --- how it goes ---

    @property
    def connected(self) -> int:
        return sum(client.phone.online for client in self.clients)

    @property
    def shaking(self) -> int:
        """Phones that have counted at least one shake."""
        return sum(any(count.total for count in client.phone.counts.values()) for client in self.clients)

    def _all_saw_the_result(self) -> bool:
        here = [client for client in self.clients if not client.gave_up]
        phones = [client.phone for client in here]
        self._choose_target(phones)
        # Who is on the way back is waited for: it shall see the result, and learn what was counted of it.
        if self.target is None or not phones or not all(phone.online for phone in phones):
            return False
        published: set[int] = set()
        for phone in phones:
            segment = phone.segment
            if (
                segment is not None
                and segment["id"] == self.target
                and segment["phase"] in ("void", "spoiled")
            ):
                raise CrowdError(f"segment {self.target} was called off: there will be no result")
            published.update(
                draw for draw, result in phone.results.items() if result["segment"] == self.target
            )
        complete = all(self._is_over_for(phone) and published <= phone.results.keys() for phone in phones)
        return bool(published) and complete

    def _choose_target(self, phones: list[Phone]) -> None:
        """The segment that is on air, or the next one that will be."""
        coming = [
            phone.segment
            for phone in phones
            if phone.segment and phone.segment["phase"] in ("armed", "open", "closing")
        ]
        if self.target is None and coming:
            self.target = coming[0]["id"]

    def _is_over_for(self, phone: Phone) -> bool:
        segment = phone.segment
        return segment is None or segment["id"] != self.target or segment["phase"] == "published"

    # --- what came out ---

    def problems(self) -> list[str]:
        """Why this run was not a success; empty when it was."""
        missing = [client for client in self.clients if client.missing()]
        cut_off = sum(client.was_cut_off for client in missing)
        absent = sum(not client.welcomed for client in self.clients)
        found = []
        if absent:
            found.append(f"{absent} of {len(self.clients)} phones were never welcomed")
        if len(missing) > cut_off:
            found.append(f"{len(missing) - cut_off} phones have counted shakes that were not acknowledged")
        if self.options.until_result and not self.result_seen:
            found.append(f"no result was seen by all phones within {self.options.timeout:.0f} s")
        if self.options.claim and (unclaimed := self._unclaimed()):
            heard = sorted({self.figures.claims.get(viewer, "no answer yet") for viewer in unclaimed})
            found.append(f"{len(unclaimed)} phones have won and could not claim: {', '.join(heard)}")
        return found + self.stubs.problems()

    def describe(self, seconds: float) -> dict[str, Any]:
        """The summary, as `--json` writes it."""
        segments = describe_segments(client.phone for client in self.clients)
        missing = [client for client in self.clients if client.missing()]
        figures = describe_figures(self.figures)
        figures["errors"] |= self.passes.refused
        return {
            "url": self.address.socket,
            "show": self.options.show,
            "phones": len(self.clients),
            "phones_connected": sum(client.welcomed for client in self.clients),
            "phones_that_shook": self.shaking,
            **figures,
            # Of these the tally may hold more than they were told: they broke off before the answer came.
            "cut_off": sorted(client.phone.viewer for client in missing if client.was_cut_off),
            "shakes_counted": sum(sum(segment["counted"].values()) for segment in segments.values()),
            "shakes_acknowledged": sum(
                sum(segment["acknowledged"].values()) for segment in segments.values()
            ),
            "stubs": self.stubs.describe(),
            "segments": segments,
            "problems": self.problems(),
            "connect_seconds": round(self.connect_seconds, 1),
            "seconds": round(seconds, 1),
        }
