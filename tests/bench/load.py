"""The load: thousands of phones on raw sockets in one process, which must never be the limit of what is measured.

So there is no task and no library per frame: frames are encoded and masked beforehand, one `epoll` tells which sockets
have something, and what comes is looked at as bytes.
"""

import re
import select
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import Enum
from time import perf_counter
from typing import Any, NamedTuple

from tests.bench.frames import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    client_frame,
    close_code,
    is_one_text,
    split_frames,
    upgrade_request,
)
from tests.bench.processes import cpu_seconds

READ_BYTES = 16_384
BATCH = 512  # sockets per look at epoll: few enough to notice soon what else is due
# For whatever comes once too often; and longer than our gateway holds the second of two states (TOGETHER_S).
LINGER_S = 0.3
GREETING = b"\r\n\r\n"
TOTAL = re.compile(rb'"total":\s*(\d+)')
MARKER = re.compile(rb"marker-(\d+)-")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: the port is free again at once


class LoadError(Exception):
    """The server did not do what every measure needs; the text says what."""


class Stage(Enum):
    """How far a phone has come."""

    AWAY = 0
    CONNECTING = 1
    UPGRADING = 2
    GREETING = 3
    READY = 4


class Pace(NamedTuple):
    """Seconds between two reports, and what is added at random."""

    every_s: float
    jitter_s: float


class Phone:
    """One client: its socket, and what it has reported and heard."""

    __slots__ = (
        *("acked", "expects", "fd", "heard", "left_out", "number", "pace", "recv", "rest"),
        *("send", "sent_at", "socket"),
        *("stage", "started_at", "total", "unacked", "welcomed_at"),
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.stage = Stage.AWAY
        self.socket: socket.socket | None = None
        self.recv: Callable[[int], bytes]  # those of the socket, once there is one
        self.send: Callable[[bytes], int]
        self.fd = -1
        self.rest = b""  # a part of a frame
        self.total = self.acked = 0
        self.heard = 0  # which markers, a bit for each
        self.expects = False  # the newest marker
        self.pace = Pace(1.0, 0.0)
        self.unacked: deque[tuple[int, float]] = deque()  # totals, and when they were sent
        self.sent_at = 0.0  # its newest report
        self.left_out = False  # its last turn
        self.started_at = self.welcomed_at = 0.0


class Arrivals(NamedTuple):
    """When each phone got one broadcast, in seconds since it was sent; and how many never did."""

    times: list[float]
    missing: int
    cpu_s: float


Hear = Callable[[Phone, bytes], object]


class Crowd:
    """Phones number `first` and up of one contender, spread evenly over its addresses."""

    def __init__(self, running: Any, phones: int, first: int = 0) -> None:
        self.running, self.dialect = running, running.dialect
        self.phones: list[Phone] = []
        self.lost: Counter[str] = Counter()
        self.ready = self.sent = self.markers = 0
        self.doubles = 0  # markers that a phone got once more, however late
        self.hear: Hear = _ignore
        # A load that sleeps has to be woken up for every message, which costs the server more than sending it. It stays
        # awake while it waits, as long as no server is on its own core.
        self.awake = len(running.pids) == 1
        self._epoll = select.epoll()
        self._by_fd: dict[int, Phone] = {}
        self._reports: dict[int, bytes] = {}
        self._connecting = 0
        self._sync = client_frame(self.dialect.sync)
        self._opening: dict[int, tuple[bytes, bytes]] = {}
        self.add(phones, first)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        for phone in self.phones:
            self._close(phone)
        self._epoll.close()

    def add(self, phones: int, first: int | None = None) -> None:
        """More phones; what they will say is encoded now."""
        first = len(self.phones) if first is None else first
        for number in range(first, first + phones):
            target = self.dialect.target(number)
            request = upgrade_request(self.address_of(number), target, self.dialect.subprotocol)
            self._opening[number] = request, b"".join(map(client_frame, self.dialect.hello(number)))
            self.phones.append(Phone(number))

    def address_of(self, number: int) -> tuple[str, int]:
        addresses = self.running.addresses
        found: tuple[str, int] = addresses[number % len(addresses)]
        return found

    @property
    def online(self) -> list[Phone]:
        return [phone for phone in self.phones if phone.stage is Stage.READY]

    # --- connections ---

    def connect(self, at_once: int = 256, patience_s: float = 120) -> list[float]:
        """Connects all who are away, so many at a time; returns how long each took until its welcome.

        Who did not get there is counted in `lost`.
        """
        self._start_all(at_once, perf_counter() + patience_s)
        for phone in self.phones:
            if phone.stage is not Stage.READY and phone.stage is not Stage.AWAY:
                self.lose(phone, "no welcome in time")
        return [phone.welcomed_at - phone.started_at for phone in self.online]

    def _start_all(self, at_once: int, deadline: float) -> None:
        waiting = deque(phone for phone in self.phones if phone.stage is Stage.AWAY)
        for phone in waiting:
            self._open(phone)  # beforehand: the time until the welcome is the server's
        while (waiting or self._connecting) and perf_counter() < deadline:
            while waiting and self._connecting < at_once:
                self.start(waiting.popleft())
            self.turn(0 if self.awake else 0.05)

    def _open(self, phone: Phone) -> None:
        opened = socket.socket()
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        phone.socket, phone.fd = opened, opened.fileno()
        phone.recv, phone.send = opened.recv, opened.send
        self._by_fd[phone.fd] = phone

    def start(self, phone: Phone) -> None:
        """Begins to connect one phone; `turn` goes on with it."""
        if phone.socket is None:
            self._open(phone)
        assert phone.socket is not None
        phone.stage, phone.rest, phone.started_at = Stage.CONNECTING, b"", perf_counter()
        self._connecting += 1
        phone.socket.connect_ex(self.address_of(phone.number))
        self._epoll.register(phone.fd, select.EPOLLOUT)

    def drop(self, phone: Phone) -> None:
        """Goes without a word, as phones do, but what was said before still arrives."""
        assert phone.socket is not None
        phone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        self._close(phone)

    def lose(self, phone: Phone, why: str) -> None:
        """The server, or the network, has ended this connection."""
        self.lost[why] += 1
        self._close(phone)

    def _close(self, phone: Phone) -> None:
        if phone.socket is None:
            return
        if phone.stage is Stage.READY:
            self.ready -= 1
        elif phone.stage is not Stage.AWAY:
            self._connecting -= 1
        phone.stage = Stage.AWAY
        del self._by_fd[phone.fd]
        phone.socket.close()  # which takes it out of epoll, too
        phone.socket = None

    @property
    def arrived_s(self) -> float:
        """From the first connect that was started to the last welcome."""
        first = min(phone.started_at for phone in self.phones)
        return max(phone.welcomed_at for phone in self.phones) - first

    # --- reading ---

    def listen(self, hear: Hear, until: float, done: Callable[[], bool]) -> bool:
        """Reads until `done`, or until that time; whether it was done."""
        self.hear = hear
        while not done():
            left = until - perf_counter()
            if left <= 0:
                return False
            self.turn(0 if self.awake else min(left, 0.5))
        return True

    def expect(self, hear: Hear, done: Callable[[], bool], what: str, patience_s: float = 20) -> None:
        """Reads until `done`, which must be soon."""
        if not self.listen(hear, perf_counter() + patience_s, done):
            raise LoadError(f"{what} did not come within {patience_s:.0f} s ({dict(self.lost)})")

    def turn(self, timeout_s: float) -> None:
        """Waits until some sockets have something, and takes it."""
        by_fd, ready = self._by_fd, Stage.READY
        for fd, _ in self._epoll.poll(timeout_s, BATCH):
            phone = by_fd.get(fd)
            if phone is None:
                continue  # lost earlier in this turn
            if phone.stage is Stage.CONNECTING:
                self._connected(phone)
                continue
            try:
                data = phone.recv(READ_BYTES)
            except OSError as error:
                self.lose(phone, type(error).__name__)
                continue
            if not data:
                self.lose(phone, "closed without a word")
            elif phone.stage is ready and not phone.rest and is_one_text(data):
                self.hear(phone, data)
            else:
                self._take(phone, phone.rest + data)

    def _connected(self, phone: Phone) -> None:
        assert phone.socket is not None
        error = phone.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.lose(phone, f"not connected, error {error}")
            return
        phone.stage = Stage.UPGRADING
        self._epoll.modify(phone.fd, select.EPOLLIN)
        self.say(phone, self._opening[phone.number][0])

    def _take(self, phone: Phone, data: bytes) -> None:
        """Whatever is not exactly one text frame for a phone that is ready."""
        if phone.stage is Stage.UPGRADING:
            head, end, data = data.partition(GREETING)
            if not end:
                phone.rest = head
                return
            self._upgraded(phone, head)
        frames, phone.rest = split_frames(data)
        for first, payload in frames:
            if phone.stage is Stage.AWAY:
                return
            self._take_frame(phone, first, payload)

    def _upgraded(self, phone: Phone, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 101"):
            self.lose(phone, f"no upgrade: {head[:40].decode('latin-1')}")
            return
        phone.stage = Stage.GREETING
        hello = self._opening[phone.number][1]
        if hello:
            self.say(phone, hello)
        if not self.dialect.welcomed:
            self._welcome(phone)

    def _welcome(self, phone: Phone) -> None:
        phone.stage, phone.welcomed_at = Stage.READY, perf_counter()
        self._connecting -= 1
        self.ready += 1

    def _take_frame(self, phone: Phone, first: int, payload: bytes) -> None:
        if first == TEXT:
            if phone.stage is Stage.GREETING and self.dialect.welcomed in payload:
                self._welcome(phone)
            self.hear(phone, payload)
        elif first == PING:
            self.say(phone, client_frame(payload, PONG))
        elif first == CLOSE:
            self.lose(phone, f"closed with {close_code(payload)}")
        elif first != PONG:
            raise LoadError(f"expected whole text frames, got one that starts with {first:#04x}")

    # --- saying ---

    def say(self, phone: Phone, frame: bytes) -> None:
        """Sends a frame; a server that lets a phone's buffer fill up has lost it."""
        try:
            sent = phone.send(frame)
        except OSError as error:
            self.lose(phone, f"on sending: {type(error).__name__}")
            return
        if sent < len(frame):
            self.lose(phone, "on sending: buffer full")

    def report(self, phones: Iterable[Phone], total: int) -> None:
        """One report of the same total from each."""
        frame = self._report(total)
        for phone in phones:
            try:
                phone.send(frame)
            except OSError as error:
                self.lose(phone, f"on sending: {type(error).__name__}")
                continue
            phone.total = total
            self.sent += 1

    def report_once(self) -> None:
        """One report more from everybody."""
        for phone in self.online:
            self.report((phone,), phone.total + 1)

    def _report(self, total: int) -> bytes:
        if total not in self._reports:
            self._reports[total] = client_frame(self.dialect.report(total))
        return self._reports[total]

    def sync(self, phone: Phone) -> None:
        self.say(phone, self._sync)

    def note_ack(self, phone: Phone, data: bytes) -> int:
        """Remembers the largest total that a phone was told to be counted; 0 where this is no ack."""
        if self.dialect.ack is None or self.dialect.ack not in data:
            self.note_marker(phone, data)
            return 0
        found = TOTAL.search(data)
        total = int(found[1]) if found else 0
        if total > phone.acked:
            phone.acked = total
        return total

    def new_marker(self) -> tuple[bytes, int]:
        """What the next broadcast is known by, and its bit in what a phone has heard."""
        number = self.markers
        self.markers += 1
        return b"marker-%d-" % number, 1 << number

    def note_marker(self, phone: Phone, data: bytes) -> int:
        """The bit of a marker that this phone hears for the first time, else 0; a second time is counted."""
        found = MARKER.search(data)
        bit = 1 << int(found[1]) if found else 0
        if phone.heard & bit:
            # A welcome repeats the newest state, whatever the phone has heard before.
            self.doubles += not (self.dialect.welcomed and self.dialect.welcomed in data)
            return 0
        phone.heard |= bit
        return bit

    @property
    def told(self) -> dict[int, int]:
        """What each phone was told to be counted."""
        return {phone.number: phone.acked for phone in self.phones if phone.acked}

    def wait_for_acks(self, patience_s: float) -> bool:
        """Waits until every phone online was told its last total; at once where there are no acks."""
        if self.dialect.ack is None:
            return True
        waiting = {phone for phone in self.online if phone.acked < phone.total}

        def hear(phone: Phone, data: bytes) -> None:
            if self.note_ack(phone, data) >= phone.total:
                waiting.discard(phone)

        return self.listen(hear, perf_counter() + patience_s, lambda: not waiting)

    def wait_for_answers(self, leaders: list[Phone]) -> None:
        """Waits until the questions that these phones have asked are answered."""
        waiting, synced = set(leaders), self.dialect.synced

        def hear(phone: Phone, data: bytes) -> None:
            if synced in data:
                waiting.discard(phone)
            else:
                self.note_ack(phone, data)

        self.expect(hear, lambda: not waiting, "the answer to a sync")

    def cpu_seconds(self) -> float:
        """The processor time of the servers so far."""
        return cpu_seconds(self.running.pids)

    def broadcast(self, patience_s: float = 20) -> Arrivals:
        """Has the server send one message to everybody, and waits for it on every socket."""
        times: list[float] = []
        marker, bit = self.new_marker()

        def hear(phone: Phone, data: bytes) -> None:
            if marker in data and not phone.heard & bit:
                phone.heard |= bit
                times.append(perf_counter() - start)
            else:
                self.note_ack(phone, data)

        expected, cpu_before, start = self.ready, self.cpu_seconds(), perf_counter()
        self.running.broadcast(marker)
        self.listen(hear, start + patience_s, lambda: len(times) >= expected)
        cpu_s = self.cpu_seconds() - cpu_before
        self.listen(hear, perf_counter() + LINGER_S, lambda: False)
        return Arrivals(sorted(times), expected - len(times), cpu_s)


def _ignore(phone: Phone, data: bytes) -> None:
    """Before anybody wants to know."""
