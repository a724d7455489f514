"""One phone's conversation: hello, reports, sync. The same whatever carries its frames."""

from time import monotonic_ns
from typing import Protocol

from engagement.clock import now_ms
from engagement.core.digests import derive_pseudonym, derive_salt
from engagement.core.errors import PhoneFault, WireError
from engagement.core.messages import Hello, Resync, Shakes, Sync, Synced, decode, encode, error_frame
from engagement.core.shakes import FrameLimit, clamp
from engagement.fair_play.core.budgets import place_origin
from engagement.gateway.audience import ANOTHER_KEY, REVOKED, Audience
from engagement.gateway.core.frames import BAD_TEXT
from engagement.gateway.crowding import network_of
from engagement.gateway.load_meter import LoadMeter
from engagement.gateway.transport.socket import Frame, Socket, dismiss
from engagement.gateway.write_behind import WriteBehind
from engagement.passes import BadPass, Pass, check_pass, kind_of

NO_GUESTS = "this show takes the users of its apps only"
STRIKES = 3  # bad messages after which the phone is sent away


class Process(Protocol):
    """What a session needs of the process that it is in."""

    frame_limit: FrameLimit
    meter: LoadMeter
    totals: WriteBehind

    def welcome(self, session: "Session", salt: bytes) -> None:
        """The session has said hello: it is answered soon."""

    def forget(self, session: "Session") -> None:
        """Nothing is sent to this session any more."""

    def release(self, session: "Session") -> None:
        """The session's socket is closed."""

    def restart(self) -> None:
        """The process is about to end."""


class Session:
    """A phone or a screen on a socket; `viewer` is None for a screen, and for whoever has not said hello."""

    __slots__ = (
        "_full_at", "_process", "_strikes", "audience", "block", "carrier", "every_ms", "feed", "greeted", "issued_at",
        "key", "origin", "pulses", "socket", "stubbed", "told", "viewer",
    )  # fmt: skip

    def __init__(self, process: Process, audience: Audience, socket: Socket) -> None:
        self._process = process
        self._full_at = monotonic_ns()  # of the frame limit: there is no credit for the time before
        self._strikes = 0
        self.audience = audience
        self.socket = socket
        self.greeted = False  # has said hello
        self.every_ms = self.pulses = 0  # the pace that it knows, and the newest pulse that it got
        self.viewer: bytes | None = None
        self.key = ""  # the fingerprint of the show's key that the pseudonym was made with
        self.issued_at = 0  # its pass, in UTC ms
        self.origin = b""  # of a guest: kind, carrier and block (docs/draw.md, section 3)
        self.carrier = ""  # the prefix that its pass names
        self.block = 0  # of the address space that it comes from (crowding.py)
        self.feed: str | None = None
        # Draws whose `won` this socket has got, and with which status.
        self.told: dict[int, str] | None = None
        self.stubbed: tuple[str, int] | None = None

    @property
    def is_stale(self) -> bool:
        """Whether it has a pseudonym of another key than the show's: it has to say hello again."""
        return self.viewer is not None and self.key != self.audience.fingerprint

    @property
    def is_revoked(self) -> bool:
        """Whether its pass does not count any more."""
        if self.viewer is None:
            return False
        if self.origin and not self.audience.state.guests:
            return True
        return self.audience.revoked.has(self.viewer, kind_of(self.origin), self.issued_at)

    @property
    def placed_origin(self) -> bytes:
        """What is kept of its origin, with the carrier by the list that is promised now; b"": nothing."""
        audience = self.audience
        if not self.origin or not audience.state.fair_play.keeps_origins:
            return b""
        here = network_of(self.block)
        return place_origin(self.origin, self.carrier, here, audience.k_show, audience.carriers)

    # --- what the socket says ---

    def take(self, message: str | bytes | None) -> None:
        """A text message, None for a binary one. Never raises."""
        try:
            self._limit()
            self._answer(message)
        except PhoneFault as fault:
            self._refuse(fault, message)

    def heed(self) -> bool:
        """A ping or pong; whether it is within the limit of frames."""
        try:
            self._limit()
        except PhoneFault as fault:
            self._refuse(fault, None)
            return False
        return True

    def gone(self) -> None:
        """The socket is closed."""
        self._process.release(self)

    def restart(self) -> None:
        """The server is about to end."""
        self._process.restart()

    def dismiss(self, fault: PhoneFault) -> None:
        """Tells the phone why, and closes."""
        self._process.forget(self)
        dismiss(self.socket, fault)

    def _refuse(self, fault: PhoneFault, message: str | bytes | None) -> None:
        self.audience.refused += 1
        if fault.error is WireError.BAD_MESSAGE:
            if isinstance(message, bytes) and not _is_text(message):
                self._process.forget(self)
                self.socket.close(BAD_TEXT)
                return
            self._strikes += 1
            if self._strikes == STRIKES:
                fault = PhoneFault(WireError.NOT_HELLO, fault.message)
        if fault.error.close is None:
            self.socket.write("error", Frame(error_frame(fault)))
        else:
            self.dismiss(fault)

    def _limit(self) -> None:
        process = self._process
        self._full_at = process.frame_limit.take(self._full_at, monotonic_ns(), process.meter.behind_ns)

    # --- messages ---

    def _answer(self, message: str | bytes | None) -> None:
        if not self.greeted:
            return self._say_hello(message)
        said = _decode(message)
        if type(said) is Shakes:
            self._count(said)
        elif type(said) is Sync:
            received = now_ms()
            self.socket.write("synced", Frame(encode(Synced(t0=said.t0, t1=received, t2=now_ms()))))
        elif type(said) is Resync:
            self.socket.write("state", self.audience.state_frame(self.feed))
        else:
            raise PhoneFault(WireError.BAD_MESSAGE, "hello was said already")

    def _count(self, report: Shakes) -> None:
        if self.viewer is None:
            raise PhoneFault(WireError.BAD_MESSAGE, "a screen only watches")
        now, audience, totals = now_ms(), self.audience, self._process.totals
        found = audience.reporting(report.segment, self.feed)
        if found is None or not found.window.accepts(now):
            raise PhoneFault(WireError.NOT_OPEN, f"segment {report.segment} takes no reports now")
        if self.key != audience.fingerprint:  # before the first write: one viewer, one entry
            raise PhoneFault(*ANOTHER_KEY)
        segment = totals.totals_of(found.segment)
        if segment.closed:
            raise PhoneFault(WireError.NOT_OPEN, f"segment {report.segment} is closed")
        state = audience.state
        accepted = clamp(
            report.total, burst=state.burst, max_hz=state.max_hz, elapsed_ms=found.window.elapsed_ms(now)
        )
        origin = b"" if self.viewer in segment.origins else self.placed_origin
        totals.accept(segment, self.viewer, accepted, clamped=accepted < report.total, origin=origin)

    def _say_hello(self, message: str | bytes | None) -> None:
        hello = _first_message(message)
        feed = _choose_feed(hello, self.audience)
        salt = b""
        if hello.role == "screen":
            self.feed = feed if hello.feed else None
        else:
            found, self.viewer, salt = _identify(hello, self.audience)
            self.origin, self.carrier, self.issued_at = found.origin, found.carrier, found.issued_at
            self.key = self.audience.fingerprint
            self.feed = feed
        self.greeted = True
        self._process.welcome(self, salt)


def _is_text(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decode(message: str | bytes | None) -> Hello | Shakes | Sync | Resync:
    if message is None:
        raise PhoneFault(WireError.BAD_MESSAGE, "expected a text frame, got a binary one")
    return decode(message)


def _first_message(frame: str | bytes | None) -> Hello:
    try:
        message = _decode(frame)
    except PhoneFault as fault:
        error = WireError.NOT_HELLO if fault.error is WireError.BAD_MESSAGE else fault.error
        raise PhoneFault(error, f"expected hello: {fault.message}") from None
    if not isinstance(message, Hello):
        raise PhoneFault(WireError.NOT_HELLO, "expected hello as the first message")
    return message


def _choose_feed(hello: Hello, audience: Audience) -> str | None:
    feeds = audience.state.feeds
    if hello.feed is None:
        return audience.state.default_feed
    if hello.feed not in feeds:
        raise PhoneFault(WireError.NOT_HELLO, f"feed: expected one of {', '.join(feeds)}, got {hello.feed!r}")
    return hello.feed


def _identify(hello: Hello, audience: Audience) -> tuple[Pass, bytes, bytes]:
    """The pass, the pseudonym and the salt of whoever shows a valid pass."""
    if hello.pass_ is None:
        raise PhoneFault(WireError.BAD_PASS, "hello needs a pass")
    if not audience.k_show:
        raise PhoneFault(WireError.NO_SUCH_SHOW, "this show is over: its key was destroyed")
    slug = audience.state.slug
    try:
        found = check_pass(hello.pass_, slug, now_ms())
    except BadPass as error:
        raise PhoneFault(WireError.BAD_PASS, str(error)) from None
    if found.origin and not audience.state.guests:
        raise PhoneFault(WireError.BAD_PASS, NO_GUESTS)
    salt = derive_salt(audience.k_show, slug, found.uid)
    viewer = derive_pseudonym(slug, found.uid, salt)
    if audience.revoked.has(viewer, found.kind, found.issued_at):
        raise PhoneFault(*REVOKED)
    return found, viewer, salt
