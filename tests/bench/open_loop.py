"""Phones that report by the clock, whatever the server does; those that obey it do as docs/protocol.md says."""

import heapq
import json
import random
from array import array
from collections import Counter
from collections.abc import Callable
from time import perf_counter

from tests.bench.load import MARKER, Crowd, Pace, Phone, Stage

PACE = b'"report_every_ms"'
TURN_S = 0.02
Happening = tuple[float, Callable[[], None]]  # at this second of the run, do that


class OpenLoop:
    """Every phone of a crowd reports once in `every_s`, evenly spread, or obeys the pace that the server asks for, and
    leaves out a turn while it waits for an ack.

    Latencies of acks are counted in whole milliseconds by the second in which they came: a long run stays small.
    """

    def __init__(
        self, crowd: Crowd, *, every_s: float = 1.0, obeys: bool = False, reconnects_per_s: float = 0
    ) -> None:
        self.crowd, self.obeys = crowd, obeys
        self.reconnects_per_s = reconnects_per_s
        self.ack_ms: dict[int, Counter[int]] = {}
        self.seconds = 0.0
        self.reconnects = 0
        self.late_s = 0.0  # how far this load generator was behind its own clock at worst
        self.marker = 0  # the bit of the newest broadcast
        self.marked_at = 0.0
        self.arrivals: array[float] = array("d")
        self.expected = 0
        self.pulses = 0  # and whatever else nobody waits for
        self._random = random.Random(2026)
        self._paces: dict[bytes, Pace] = {}
        for phone in crowd.phones:
            phone.pace = Pace(every_s, 0.0)
            phone.unacked.clear()
            phone.sent_at, phone.left_out = 0.0, False
        self._started = perf_counter()
        self._due = [
            (self._started + every_s * number / len(crowd.phones), number)
            for number in range(len(crowd.phones))
        ]
        # Phones that were told another pace while they waited: when their next report is due instead.
        self._put_off: dict[int, float] = {}

    def run(self, seconds: float, happenings: list[Happening] | None = None) -> None:
        """Goes on for so long; `happenings` are done at their second."""
        begun, crowd = perf_counter(), self.crowd
        crowd.hear = self._hear
        agenda = sorted(happenings or [], key=lambda row: row[0])
        next_drop = begun
        while (now := perf_counter()) < begun + seconds:
            while agenda and now >= begun + agenda[0][0]:
                agenda.pop(0)[1]()
            if self.reconnects_per_s and now >= next_drop:
                next_drop += 1 / self.reconnects_per_s
                self._reconnect()
            self._report_due(now)
            crowd.turn(max(0.0, min(self._due[0][0] - perf_counter(), TURN_S)))
        self.seconds += perf_counter() - begun

    def _report_due(self, now: float) -> None:
        crowd, due = self.crowd, self._due
        self.late_s = max(self.late_s, now - due[0][0])
        while due[0][0] <= now:
            at, number = due[0]
            phone = crowd.phones[number]
            later = self._put_off.pop(phone.number, at)
            if later > at:
                heapq.heapreplace(due, (later, number))
                continue
            # From when it was due, not from when it was done: nothing is put off by a load generator that is late.
            heapq.heapreplace(due, (at + self._wait_s(phone), number))
            if phone.stage is Stage.READY and not self._leaves_out(phone):
                crowd.report((phone,), phone.total + 1)
                phone.sent_at = perf_counter()
                phone.unacked.append((phone.total, phone.sent_at))

    def _reconnect(self) -> None:
        phone = self._random.choice(self.crowd.phones)
        if phone.stage is Stage.READY:
            self.crowd.drop(phone)
            phone.unacked.clear()
            phone.expects = False
            self.crowd.start(phone)
            self.reconnects += 1

    # --- what comes ---

    def announce(self) -> None:
        """Has the server broadcast a message that every phone of this moment must get once."""
        marker, self.marker = self.crowd.new_marker()
        self.arrivals, self.marked_at = array("d"), perf_counter()
        self.expected = self.crowd.ready
        for phone in self.crowd.phones:
            phone.expects = phone.stage is Stage.READY
        self.crowd.running.broadcast(marker)

    @property
    def missing(self) -> int:
        """Phones that were there when it was announced, have stayed, and have not got it."""
        return sum(phone.expects and not phone.heard & self.marker for phone in self.crowd.online)

    def _hear(self, phone: Phone, data: bytes) -> None:
        ack = self.crowd.dialect.ack
        if ack is not None and ack in data:
            self._take_ack(phone, data)
        elif MARKER.search(data):
            self._take_marker(phone, data)
        elif self.obeys and PACE in data:
            self._obey(phone, data)
        else:
            self.pulses += 1

    def _take_ack(self, phone: Phone, data: bytes) -> None:
        now, total, unacked = perf_counter(), self.crowd.note_ack(phone, data), phone.unacked
        while unacked and unacked[0][0] <= total:
            _, sent_at = unacked.popleft()
            second = int(now - self._started)
            if second not in self.ack_ms:
                self.ack_ms[second] = Counter()
            self.ack_ms[second][round((now - sent_at) * 1000)] += 1

    def _take_marker(self, phone: Phone, data: bytes) -> None:
        bit = self.crowd.note_marker(phone, data)
        if bit and bit == self.marker and phone.expects:
            self.arrivals.append(perf_counter() - self.marked_at)

    def _leaves_out(self, phone: Phone) -> bool:
        """Whether it leaves out this turn, because its last report waits for an ack; one turn for each."""
        phone.left_out = self.obeys and bool(phone.unacked) and not phone.left_out
        return phone.left_out

    def _wait_s(self, phone: Phone) -> float:
        return phone.pace.every_s + phone.pace.jitter_s * self._random.random()

    def _obey(self, phone: Phone, data: bytes) -> None:
        """Also in the wait that has begun; the message is the same for all, so it is read once."""
        pace = self._paces.get(data)
        if pace is None:
            message = json.loads(data[data.index(b"{") :])
            pace = Pace(message["report_every_ms"] / 1000, message["jitter_ms"] / 1000)
            if message["type"] == "pace":
                self._paces[data] = pace
        phone.pace = pace
        if phone.sent_at:
            self._put_off[phone.number] = phone.sent_at + self._wait_s(phone)

    # --- the end ---

    def finish(self, patience_s: float = 10) -> bool:
        """Everybody is back and reports once more; whether all of them were told that it counts."""
        self.crowd.connect(patience_s=patience_s)
        self.crowd.report_once()
        return self.crowd.wait_for_acks(patience_s)

    @property
    def oldest_unacked_s(self) -> float:
        """How long the report that has waited longest for its ack has been waiting."""
        now = perf_counter()
        return max((now - phone.unacked[0][1] for phone in self.crowd.phones if phone.unacked), default=0.0)

    def acks_from(self, second: int) -> Counter[int]:
        """Latencies in milliseconds of all acks that came in or after this second of the run."""
        return sum((counted for at, counted in self.ack_ms.items() if at >= second), Counter())
