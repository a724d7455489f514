"""A phone: everything an app does to take part, and nothing else. The reference client (docs/connect-a-phone.md).

Port this file to Kotlin or Swift as it is. It opens no socket, reads no clock and throws no dice: whoever drives it

* connects, sends `hello(...)`, and hands every decoded frame to `receive(...)`;
* calls `shake(...)` for each shake that the motion sensor sees;
* calls `next_frame(...)` at `wake_at` and after each `receive`, and sends what comes back, until None comes back;
* calls `lost(...)` when the socket is gone, and does what that says.

`now` is the phone's own clock in milliseconds; it needs to go forward, and not to be right.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

Message = Mapping[str, Any]

NEVER = float("inf")
FINAL_MS = 1_000  # the final report waits at most this long, and is repeated this often
SURPRISES = 3  # so often the phone may be told `not_open` while it takes the window for open
SHORT_ACKS = 2  # so many acks below the final total mean: the server accepts no more than this
FINISHED_PHASES = frozenset({"sealed", "drawn", "published", "void", "spoiled"})

DO_NOT_RECONNECT = frozenset({1009, 4400, 4404, 4409, 4413})
BAD_PASS, HELLO_TIMEOUT, SERVICE_RESTART = 4401, 4408, 1012
RESTART_MS = 5_000
BACKOFF_MS, LONGEST_BACKOFF_MS = 500, 20_000

RESYNC = '{"type":"resync"}'
NOTHING: Sequence[Message] = ()


class Pace(NamedTuple):
    """How often to report, and how far apart to come back, as the server says; this until it has said something."""

    report_every_ms: int = 1_000
    jitter_ms: int = 500
    spread_ms: int = 5_000


class Loss(NamedTuple):
    """What to do after a connection was lost: come back after `wait_ms`, or stay away; `new_pass`: renew it first."""

    reconnect: bool
    new_pass: bool
    wait_ms: float


class Clock:
    """Server time, from the exchange with the shortest round trip: the error is at most half of that."""

    __slots__ = ("_round_trip", "offset")

    def __init__(self) -> None:
        self.offset = 0.0
        self._round_trip = NEVER

    def sample(self, t0: float, t1: float, t2: float, t3: float) -> None:
        """`t0` sent and `t3` received by the phone's clock, `t1` received and `t2` sent by the server's (as in NTP)."""
        round_trip = (t3 - t0) - (t2 - t1)
        if round_trip <= self._round_trip:
            self._round_trip = round_trip
            self.offset = ((t1 - t0) + (t2 - t3)) / 2


class Count:
    """What this phone has counted in one segment, and what the server has acknowledged of it."""

    __slots__ = (
        "acknowledged", "called_off", "closes_at", "finished", "left_out", "opens_at", "reported", "reported_at",
        "reported_before", "short_acks", "surprises", "total", "was_final",
    )  # fmt: skip

    def __init__(self) -> None:
        self.opens_at: int | None = None  # in server time, for this phone's feed
        self.closes_at: int | None = None
        self.total = 0
        self.acknowledged = 0
        self.reported = 0
        self.reported_before = 0
        self.reported_at: float | None = None  # when the report was sent that is not answered yet
        self.left_out = False  # a turn, since then
        self.was_final = False  # that report was sent after the end of the window
        self.short_acks = 0
        self.surprises = 0
        self.finished = False  # the server takes no report of it any more
        self.called_off = False

    def is_late_answer(self, total: int) -> bool:
        """Whether this ack is for the report before the last one: then it says nothing about the last one."""
        return total == self.reported_before < self.reported

    def leaves_out(self) -> bool:
        """Whether this turn is left out: a report waits for its ack, and no turn was left out for it yet."""
        self.left_out, before = self.reported_at is not None, self.left_out
        return self.left_out and not before

    @property
    def told(self) -> bool:
        """The server has said what counts: all of it, or as much as anybody can shake in this window."""
        enough = 1 if self.finished else SHORT_ACKS
        return self.acknowledged >= self.total or self.short_acks >= enough or self.called_off

    @property
    def settled(self) -> bool:
        """There is nothing to report any more, once the window is over."""
        return self.finished or self.told


class Phone:
    """One phone in one show."""

    def __init__(self, feed: str | None = None) -> None:
        self.feed = feed
        self.online = False
        self.clock = Clock()
        self.pace = Pace()
        self.viewer = ""  # pseudonym, hex
        self.salt = ""  # proves later that the pseudonym is this viewer's: keep it
        self.epoch: int | None = None
        self.seq = -1
        self.segment: Message | None = None  # what is on air or comes next, as in the newest state
        self.pulse: Message | None = None
        self.counts: dict[int, Count] = {}
        self.stubs: dict[
            int, Message
        ] = {}  # by segment: what it can prove that it was told; to be kept for good
        self.results: dict[int, Message] = {}  # by draw; each is shown once
        self.wins: dict[int, Message] = {}  # by draw, as told last: its status changes once it is claimed
        self.lost_wins: set[int] = set()  # draws whose prize somebody else holds by now, or nobody
        self._pass = ""
        self._hello_at = 0.0
        self._losses = 0
        self._stopped_at = NEVER
        self._looked_at = -NEVER  # when there was last something to report, or could have been
        self._reported: Count | None = None
        self._resynced_at = -NEVER
        self._report_at = self._sync_at = self._resync_at = NEVER

    # --- what the phone counts ---

    def window(self) -> tuple[float, float]:
        """When shakes of the current segment count, by the phone's own clock; (NEVER, NEVER) if nothing is planned."""
        count = self.counts.get(self.segment["id"]) if self.segment else None
        return (NEVER, NEVER) if count is None or count.finished else self.window_of(count)

    def shake(self, now: float, times: int = 1) -> bool:
        """Counts shakes, online or not; False when they came outside the window and do not count."""
        opens, closes = self.window()
        if self.segment is None or not opens <= now < closes:
            return False
        self.counts[self.segment["id"]].total += times
        return True

    def stop(self, now: float, rng: Random) -> None:
        """The viewer puts the phone down: no more shakes, only what was counted is reported to the end."""
        self._stopped_at = min(self._stopped_at, now)
        self._plan_report(now, rng)

    @property
    def settled(self) -> bool:
        """Everything counted was acknowledged, or cannot be any more."""
        return all(count.settled for count in self.counts.values())

    def window_of(self, count: Count) -> tuple[float, float]:
        """The window of one segment, by the phone's own clock; (NEVER, NEVER) while nothing is planned."""
        if count.opens_at is None or count.closes_at is None:
            return NEVER, NEVER
        return count.opens_at - self.clock.offset, min(count.closes_at - self.clock.offset, self._stopped_at)

    # --- what the phone sends ---

    def hello(self, pass_: str, now: float) -> str:
        """The first frame on a new socket."""
        self._hello_at, self._pass = now, pass_
        feed = {} if self.feed is None else {"feed": self.feed}
        return json.dumps({"type": "hello", "pass": pass_, **feed})

    def proof(self) -> dict[str, str]:
        """The body with which a win is claimed over HTTP, and a pass renewed. Keep both: expired passes do it, too."""
        return {"pass": self._pass, "salt": self.salt}

    @property
    def wake_at(self) -> float:
        """When `next_frame` will have something to do, by the phone's own clock."""
        return min(self._report_at, self._sync_at, self._resync_at)

    def next_frame(self, now: float, rng: Random) -> str | None:
        """The frame to send now, or None when there is none (then `wake_at` says when to ask again)."""
        if now >= self._resync_at:
            self._resync_at, self._resynced_at = NEVER, now
            return RESYNC
        if now >= self._sync_at:
            self._sync_at = NEVER
            return f'{{"type":"sync","t0":{int(now)}}}'
        if now >= self._report_at:
            return self._report(now, rng)
        return None

    def _report(self, now: float, rng: Random) -> str | None:
        """The total that is not acknowledged yet; a segment that is over goes before the one that is open."""
        due = next((segment for segment in self.counts if self._has_news(segment, now)), None)
        self._looked_at, self._report_at = now, NEVER
        self._plan_report(now, rng)
        if due is None:
            return None
        count = self.counts[due]
        if now < self.window_of(count)[1] and count.leaves_out():
            return None
        self._reported, count.left_out = count, False
        count.reported_before, count.reported, count.reported_at = count.reported, count.total, now
        count.was_final = now >= self.window_of(count)[1]
        return f'{{"type":"shakes","segment":{due},"total":{count.total}}}'

    def _has_news(self, segment: int, now: float) -> bool:
        count = self.counts[segment]
        opens, closes = self.window_of(count)
        return (
            opens <= now
            and count.total > count.acknowledged
            and not (count.settled if now >= closes else count.finished)
        )

    def _plan_report(self, now: float, rng: Random) -> None:
        times = [self._report_time(count, now, rng) for count in self.counts.values()]
        self._report_at = min([self._report_at, *times]) if self.online else NEVER

    def _report_time(self, count: Count, now: float, rng: Random) -> float:
        """When to report a segment next: at the pace while it is open, then soon after it has closed, until settled."""
        opens, closes = self.window_of(count)
        if count.finished or opens == NEVER:
            return NEVER
        wait = rng.uniform(0, min(self.pace.jitter_ms, FINAL_MS))
        if now >= closes:
            return NEVER if count.settled else max(now + wait, self._looked_at + FINAL_MS)
        # The first report may come at any time of the first interval: everybody starts at the same moment.
        every = self.pace.report_every_ms
        start = max(now, opens) + rng.uniform(0, every)
        if self._looked_at >= opens:
            start = max(now, self._looked_at + every)
        return min(
            start + rng.uniform(0, self.pace.jitter_ms), max(closes + wait, self._looked_at + FINAL_MS)
        )

    # --- what the phone hears ---

    def receive(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        """Takes one frame; returns what is new for the viewer: results and `won`, each of them once in its life."""
        handler = _HANDLERS.get(message["type"])
        return NOTHING if handler is None else handler(self, message, now, rng)

    def _welcome(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        self.online, self._losses = True, 0
        if message["viewer"] != self.viewer:
            self._forget_counts()
        self.viewer, self.salt = message["viewer"], message["salt"]
        self.clock = Clock()
        self.clock.sample(self._hello_at, message["now"], message["now"], now)
        self._sync_at = now + rng.uniform(0, self.pace.jitter_ms)
        self._set_pace(message)
        news = self._state(message["state"], now, rng)
        self.seq = max(self.seq, message["seq"])
        if message["state"]["segment"]:
            count = self.counts[message["state"]["segment"]["id"]]
            # The total of a welcome is written: as good as an acknowledgement. If it is less than what was acknowledged
            # before, the server has lost something, and what this phone has counted is reported again.
            count.acknowledged = message["total"]
            count.total = max(count.total, message["total"])
            if count.finished:
                count.short_acks = SHORT_ACKS
        self._plan_report(now, rng)
        return news

    def _state(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        if message["epoch"] == self.epoch and message["seq"] <= self.seq:
            segment = message["segment"]
            if segment and segment["id"] not in self.counts:
                self.counts[segment["id"]] = (
                    Count()
                )  # a welcome from a gateway that is behind: only for its total
            return NOTHING
        if message["epoch"] != self.epoch:
            self._forget_all()
        self.epoch, self.seq = message["epoch"], message["seq"]
        self._resync_at = NEVER
        self._take_segment(message["segment"])
        self._plan_report(now, rng)
        return [result for result in reversed(message["results"]) if _is_new(result, self.results)]

    def _forget_counts(self) -> None:
        """This phone is another viewer now: what was counted and signed belongs to the one before."""
        self.counts.clear()
        self.stubs.clear()

    def _forget_all(self) -> None:
        """The server's database was restored or made anew: segments and draws of these numbers are others."""
        for known in (self.counts, self.stubs, self.results, self.wins, self.lost_wins):
            known.clear()

    def _take_segment(self, segment: Message | None) -> None:
        self.segment = segment
        if segment is None:
            return
        count = self.counts.setdefault(segment["id"], Count())
        window = (segment["opens_at"], segment["closes_at"])
        # A refusal holds until the window is another one.
        refused = count.finished and window == (count.opens_at, count.closes_at)
        count.opens_at, count.closes_at = window
        count.finished = refused or segment["phase"] in FINISHED_PHASES
        count.called_off = segment["phase"] in ("void", "spoiled")

    def _step(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        """A name or a cue, in place of the state with this number; after a gap the pulse asks for all of it."""
        if message["epoch"] == self.epoch and message["seq"] == self.seq + 1:
            self.seq = message["seq"]
        return NOTHING

    def _pulse(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        self.pulse = message
        if message["seq"] > self.seq or message["epoch"] != self.epoch:
            self._plan_resync(now, rng)
        return NOTHING

    def _plan_resync(self, now: float, rng: Random) -> None:
        if self._resync_at == NEVER and self.online:
            wait = rng.uniform(0, self.pace.jitter_ms)
            self._resync_at = max(now + wait, self._resynced_at + self.pace.report_every_ms)

    def _won(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        draw = message["draw"]
        if message["status"] == "lost":  # declined, not claimed in time, or disqualified
            self.lost_wins.add(draw)
            return NOTHING
        news = [message] if draw not in self.wins else NOTHING
        self.wins[draw] = message
        return news

    def _ack(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        count = self.counts.get(message["segment"])
        if count is None:
            return NOTHING
        count.acknowledged = max(count.acknowledged, message["total"])
        count.surprises = 0
        if count.is_late_answer(message["total"]):
            return NOTHING
        if count.reported_at is not None and count.was_final and message["total"] < count.reported:
            count.short_acks += 1
        count.reported_at = None
        return NOTHING

    def _stub(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        """The one that says most: another comes only where the total was raised, or after a reconnect."""
        known = self.stubs.get(message["segment"])
        if known is None or message["stub"]["total"] > known["stub"]["total"]:
            self.stubs[message["segment"]] = message
        return NOTHING

    def _take_pace(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        """Also for the wait that has begun: whoever is overloaded is not told once more at the old pace."""
        self._set_pace(message)
        self._report_at = NEVER
        self._plan_report(now, rng)
        return NOTHING

    def _set_pace(self, message: Message) -> None:
        self.pace = Pace(message["report_every_ms"], message["jitter_ms"], message["spread_ms"])

    def _synced(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        self.clock.sample(message["t0"], message["t1"], message["t2"], now)
        self._plan_report(now, rng)
        return NOTHING

    def _error(self, message: Message, now: float, rng: Random) -> Sequence[Message]:
        count = self._reported
        if message["code"] == "not_open" and count is not None:
            count.surprises += 1
            count.reported_at = None
            # Before the end of the window the clock may be wrong, or the state late: ask, and try again a few times.
            self._sync_at = now
            count.finished = now >= self.window_of(count)[1] or count.surprises >= SURPRISES
        return NOTHING

    # --- when the socket is gone ---

    def lost(self, code: int, reason: str, rng: Random) -> Loss:
        """What to do after a close code (1006: none came) or a connection that could not be opened."""
        losses, self._losses = self._losses, self._losses + 1
        self.online = False
        self._report_at = self._sync_at = self._resync_at = NEVER
        for count in self.counts.values():
            count.reported_at = None
        if code in DO_NOT_RECONNECT:
            return Loss(False, False, NEVER)
        return Loss(True, code == BAD_PASS, self._wait_ms(code, reason, losses, rng))

    def _wait_ms(self, code: int, reason: str, losses: int, rng: Random) -> float:
        retry_ms = reason.removeprefix("retry=")
        if retry_ms != reason and retry_ms.isdecimal():
            return rng.uniform(1, 2) * int(retry_ms)
        if code == SERVICE_RESTART:
            return rng.uniform(0, RESTART_MS)
        if losses == 0 and code not in (BAD_PASS, HELLO_TIMEOUT):
            return rng.uniform(0, self.pace.spread_ms)
        return rng.uniform(0, min(LONGEST_BACKOFF_MS, BACKOFF_MS << min(losses, 10)))


def _is_new(message: Message, seen: dict[int, Message]) -> bool:
    """Whether this draw was not seen before; from now on it was."""
    if message["draw"] in seen:
        return False
    seen[message["draw"]] = message
    return True


Handler = Callable[[Phone, Message, float, Random], Sequence[Message]]

_HANDLERS: dict[str, Handler] = {
    "ack": Phone._ack,
    "stub": Phone._stub,
    "pulse": Phone._pulse,
    "named": Phone._step,
    "cue": Phone._step,
    "state": Phone._state,
    "won": Phone._won,
    "welcome": Phone._welcome,
    "pace": Phone._take_pace,
    "synced": Phone._synced,
    "error": Phone._error,
}
