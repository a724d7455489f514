"""The sockets of one show in this process: who they are, and the frames they get, each encoded once."""

import heapq
import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, Protocol, cast

import msgspec

from engagement.clock import now_ms
from engagement.core.digests import key_fingerprint
from engagement.core.errors import PhoneFault, WireError
from engagement.core.messages import (
    MAX_LEADERS,
    Leader,
    Outbound,
    Pulse,
    State,
    Welcome,
    Won,
    encode,
)
from engagement.core.messages import Pace as PaceMessage
from engagement.core.names import stage_name
from engagement.core.phases import Phase
from engagement.core.show_state import SegmentState, ShowState, show_message, small_step, state_message
from engagement.core.windows import Window
from engagement.fair_play.core.budgets import CarrierTable
from engagement.fair_play.core.revoked import Revoked
from engagement.gateway.core.pace import Pace
from engagement.gateway.transport.direct import fan_out
from engagement.gateway.transport.socket import Frame, Socket
from engagement.vault import open_secret
from engagement.wins import Step, Wins

log = logging.getLogger(__name__)

RATE_MS = 2_000  # shakes per second are measured over this time
QUIET_PULSE_MS = 9_000  # at least one every 10 s
PULSES_PER_REPORT = 2
HALF_A_BEAT_MS = 250  # of the hub, which asks whether one is due: give or take
PULSES_WITH_ACKS = 4  # so many may pass before a phone that gets no ack gets one by itself


REVOKED = (WireError.BAD_PASS, "the pass was revoked")
SOCKETS_OF_ONE = 3  # of a viewer, in this process: the newest ones stay
REPLACED = (WireError.REPLACED, "newer sockets of this viewer are open")
ANOTHER_KEY = (WireError.OVERLOADED, "the show has another key: please say hello again", 1_000)


class Reporting(NamedTuple):
    """A segment that takes reports, and when it does for one feed."""

    segment: SegmentState
    window: Window


class SignedStub(NamedTuple):
    """A stub on its way; of each segment a socket that is blocked keeps the newest one."""

    mark: tuple[str, int]  # the play and the total: what a session remembers of it
    kind: str
    frame: Frame


NO_STUBS: Mapping[bytes, SignedStub] = MappingProxyType({})


class Member(Protocol):
    """What an audience knows of one of its sessions."""

    viewer: bytes | None  # None: a screen
    feed: str | None
    socket: Socket
    every_ms: int  # the pace that it knows
    pulses: int  # the newest pulse that it got
    told: dict[int, str] | None  # draws whose `won` it has got, and with which status
    stubbed: tuple[str, int] | None  # the mark of the newest stub that it got

    @property
    def is_revoked(self) -> bool:
        """Whether its pass does not count any more."""

    def dismiss(self, fault: PhoneFault) -> None:
        """Tells the phone why, and closes."""


class Audience:
    """Everything one gateway process knows of one show."""

    def __init__(self, state: ShowState, pace: Pace) -> None:
        # Phones; nearly always one of a viewer, and a set each would be 200 bytes.
        self.by_viewer: dict[bytes, tuple[Member, ...]] = {}
        self.screens: dict[Member, None] = {}
        self.phones = 0
        self.visitors = 0  # sockets, those included that have not said hello yet
        self.is_announced = False  # a heartbeat has said that this process is in the show
        self.unvisited = 0  # so often in a row the hub has found that it is not needed
        self.refused = 0
        self._pulsed_at = 0
        self._told: tuple[int, dict[bytes, int]] | None = None  # shakes and leaders that everybody knows
        self._pulses = 0
        self._pulse: Frame | None = None  # the newest
        self.pace = pace
        self._pace_frame: Frame | None = None  # made when somebody is to be told
        self._shakes: list[tuple[int, str, int]] = []  # (when, segment's key, live shakes)
        # Of the current segment, those whom this process has acknowledged.
        self.leaders: dict[bytes, int] = {}
        # The step of the wins that everybody here was told of, who has won; whoever comes is told at once.
        self.wins = Step(state.epoch, state.wins)
        self.wins_behind = False  # then they are to be looked up again
        self.heard_of_wins = 0  # so often: whoever is looked up meanwhile may have missed it
        self._take(state)

    def _take(self, state: ShowState) -> None:
        self.state = state
        self.current = state.segment(state.current)  # which is shown
        # Nobody plays any more in a show whose key was destroyed; screens still show what came of it.
        self.k_show = open_secret(state.k_show) if state.k_show else b""
        self.fingerprint = key_fingerprint(state.slug, self.k_show) if self.k_show else ""
        self.revoked = Revoked(state.revoked)
        self.carriers = CarrierTable(state.fair_play.carriers)
        self._reporting: dict[tuple[int, str | None], Reporting | None] = {}
        self._frames: dict[str | None, Frame] = {}
        self._packed: dict[str | None, msgspec.Raw] = {}

    def _forget_pulse(self) -> None:
        """Nobody is told the newest one any more, and the next beat makes another."""
        self._pulse = self._told = None

    # --- who is here ---

    def welcome(self, session: Member, salt: bytes, total: int, won: Iterable[Won] = ()) -> None:
        """Answers hello, with the newest figures and what the viewer has won; from now on broadcasts reach it."""
        # Nothing waits in between: no state can slip in between the welcome and the first broadcast.
        session.every_ms = self.pace.report_every_ms
        frames = {"welcome": self._welcome_frame(session, salt, total)}
        if self._pulse is None:
            session.pulses = self._pulses - PULSES_WITH_ACKS  # the next one comes by itself
        else:
            session.pulses, frames["pulse"] = self._pulses, self._pulse
        session.socket.write_together(frames)
        self._join(session)
        _tell_won(session, won, self.state.delay_of(session.feed))

    def _join(self, session: Member) -> None:
        if session.viewer is None:
            self.screens[session] = None
        else:
            self.phones += 1
            sessions = self.by_viewer[session.viewer] = (*self.by_viewer.get(session.viewer, ()), session)
            if len(sessions) > SOCKETS_OF_ONE:
                sessions[0].dismiss(PhoneFault(*REPLACED))

    def leave(self, session: Member) -> None:
        """Nothing is sent to the session any more; whoever is not here leaves nothing behind."""
        if session.viewer is None:
            self.screens.pop(session, None)
        elif session in self:
            self.phones -= 1
            others = tuple(other for other in self.by_viewer[session.viewer] if other is not session)
            if others:
                self.by_viewer[session.viewer] = others
            else:
                del self.by_viewer[session.viewer]
        if self.is_empty:
            self._forget_pulse()

    @property
    def has_wins(self) -> bool:
        """Whether anybody has ever won in this show."""
        return max(self.state.wins, self.wins.wins) > 0

    @property
    def is_empty(self) -> bool:
        return not self.by_viewer and not self.screens

    @property
    def is_needed(self) -> bool:
        """Whether somebody is here, or totals may be that are not frozen yet."""
        feed = self.state.default_feed
        return self.visitors > 0 or any(self.reporting(segment.id, feed) for segment in self.state.segments)

    def __contains__(self, session: Member) -> bool:
        return session in (self.screens if session.viewer is None else self.by_viewer.get(session.viewer, ()))

    def __iter__(self) -> Iterator[Member]:
        """Phones, then screens, in the order in which viewers came: about as their sockets lie in memory."""
        return chain(chain.from_iterable(self.by_viewer.values()), self.screens)

    @property
    def current_key(self) -> str:
        """The name in Redis of the segment that is shown; "" where there is none."""
        return self.current.key if self.current else ""

    # --- what they are told ---

    def adopt(self, state: ShowState) -> None:
        """Takes a newer state and tells everybody whom it concerns; an older one, or the same, is ignored."""
        known = self.state
        if not state.is_newer_than(known):
            return
        before, fingerprint = self.current_key, self.fingerprint
        self._take(state)
        if self.fingerprint != fingerprint:
            self._dismiss_phones()
        if state.revoked != known.revoked or state.guests != known.guests:
            self._dismiss_revoked()
        if self.current_key != before:
            self.leaders = {}
        if state.epoch != known.epoch:
            self.wins, self.wins_behind = Step(state.epoch, 0), True
            for session in self:
                session.told = None  # phones have forgotten what they have won, too
        if state.epoch != known.epoch or state.seq != known.seq:
            self._forget_pulse()  # it is of another segment, perhaps; whoever has come since gets the next one
            self._tell_news(known)
        elif state.results != known.results:
            # Who holds which prize by now is for the screens; phones see it with the next state that is news to them.
            self._tell_state(list(self.screens))
        self.wins_behind = self.wins_behind or self.wins.wins < state.wins

    def _dismiss_phones(self) -> None:
        """Their pseudonyms are of another key: whoever comes again gets the one that this tally is for."""
        log.error("%s has another key than before: %d phones are sent away", self.state.slug, self.phones)
        for session in [session for session in self if session.viewer is not None]:
            session.dismiss(PhoneFault(*ANOTHER_KEY))

    def _dismiss_revoked(self) -> None:
        for session in [session for session in self if session.is_revoked]:
            session.dismiss(PhoneFault(*REVOKED))

    def _tell_news(self, known: ShowState) -> None:
        """A cue or a name alone is a few hundred bytes; everything else is the whole state."""
        small = {feed: small_step(known, self.state, feed) for feed in {session.feed for session in self}}
        self._tell_state([session for session in self if small[session.feed] is None])
        for feed, step in small.items():
            if step is not None:
                sessions = [session for session in self if session.feed == feed]
                self._send(sessions, "step", _frame(step))

    def _tell_state(self, sessions: list[Member]) -> None:
        for feed in {session.feed for session in sessions}:
            self._send(
                [session for session in sessions if session.feed == feed], "state", self.state_frame(feed)
            )

    def take_wins(self, step: Step, wins: Wins, *, complete: bool) -> None:
        """What has changed for some viewers; `complete` ends the step. After a gap everybody is looked up again."""
        self.heard_of_wins += 1
        if step.epoch != self.state.epoch or step.wins <= self.wins.wins:
            return  # told already, or of a life of the show that is not known here yet
        self.tell_wins(wins)
        if step.before != self.wins:
            self.wins_behind = True
        elif complete:
            self.wins = step

    def tell_wins(self, wins: Wins) -> None:
        for viewer, won in wins.items():
            for session in self.by_viewer.get(viewer, ()):
                _tell_won(session, won, self.state.delay_of(session.feed))

    def catch_up(self, step: Step | None, wins: Wins) -> None:
        """Takes what was looked up for everybody who is here."""
        self.tell_wins(wins)
        if step is not None and step.epoch == self.state.epoch:
            self.wins = step
            self.wins_behind = step.wins < self.state.wins

    def state_frame(self, feed: str | None) -> Frame:
        """The whole state for one feed, encoded at its first use."""
        if feed not in self._frames:
            self._frames[feed] = _frame(state_message(self.state, feed))
        return self._frames[feed]

    def _welcome_frame(self, session: Member, salt: bytes, total: int) -> Frame:
        """The state in it is encoded once for all phones of a feed."""
        state, feed = self.state, session.feed
        if feed not in self._packed:
            self._packed[feed] = msgspec.Raw(encode(state_message(state, feed)).encode())
        return _frame(
            Welcome(
                now=now_ms(),
                viewer=session.viewer.hex() if session.viewer else "",
                salt=salt.hex(),
                show=show_message(state, feed),
                epoch=state.epoch,
                seq=state.seq,
                state=cast(State, self._packed[feed]),
                total=total,
                report_every_ms=self.pace.report_every_ms,
                jitter_ms=self.pace.jitter_ms,
                spread_ms=self.pace.spread_ms,
                max_hz=state.max_hz,
            )
        )

    def _send(self, sessions: Iterable[Member], kind: str, frame: Frame) -> None:
        fan_out([session.socket for session in sessions], kind, frame)

    def acknowledge(
        self, segment: int, written: dict[bytes, int], stubs: Mapping[bytes, SignedStub] = NO_STUBS
    ) -> None:
        """Tells every device of a viewer what is in the tally now, and some of them with a signature."""
        if segment == self.state.current:
            self.leaders = choose_leaders({**self.leaders, **written})
        frames: dict[int, Frame] = {}  # thousands of phones share some hundred totals
        for viewer, total in written.items():
            sessions = self.by_viewer.get(viewer)
            if sessions:
                frame = frames.get(total)
                if frame is None:
                    frame = frames[total] = Frame(f'{{"type":"ack","segment":{segment},"total":{total}}}')
                stub = stubs.get(viewer)
                for session in sessions:
                    if stub is not None and session.stubbed != stub.mark:
                        session.stubbed = stub.mark
                        news = {"ack": frame, stub.kind: stub.frame}
                        session.socket.write_together(self._with_news(session, news))
                    elif session.pulses == self._pulses and session.every_ms == self.pace.report_every_ms:
                        session.socket.write("ack", frame)
                    else:
                        session.socket.write_together(self._with_news(session, {"ack": frame}))

    def _with_news(self, session: Member, frames: dict[str, Frame]) -> dict[str, Frame]:
        """What goes with an ack in one write: it is writes that cost, not what is in them."""
        if self._pulse is not None and session.pulses != self._pulses:
            session.pulses, frames["pulse"] = self._pulses, self._pulse
        if session.every_ms != self.pace.report_every_ms:
            self._pace_frame = self._pace_frame or _frame(PaceMessage(**self.pace._asdict()))
            session.every_ms, frames["pace"] = self.pace.report_every_ms, self._pace_frame
        return frames

    def set_pace(self, pace: Pace) -> None:
        """Phones are told with their next ack: who does not report needs no pace."""
        self.pace = pace
        self._pace_frame = None

    def pulse_is_due(self, now: int, shakes: int, leaders: dict[bytes, int]) -> bool:
        """Whether it is time for one, or everybody is to know other figures off air: the last ones of all gateways."""
        since = now - self._pulsed_at + HALF_A_BEAT_MS
        if self.on_air(now):
            return since >= self.pace.report_every_ms // PULSES_PER_REPORT
        return self._told != (shakes, leaders) or since >= QUIET_PULSE_MS

    def measure(self, now: int, shakes: int) -> None:
        """Takes the live shakes of the whole show at a beat; pulses tell their rate."""
        segment = self.current_key
        self._shakes = [row for row in self._shakes if row[1] == segment and row[0] >= now - RATE_MS]
        self._shakes.append((now, segment, shakes))

    def pulse(self, now: int, phones: int, shakes: int, leaders: dict[bytes, int]) -> None:
        """The live figures of the whole show, as all gateways see them. Phones that report get them with their acks."""
        frame = _frame(
            Pulse(
                epoch=self.state.epoch,
                seq=self.state.seq,
                segment=self.state.current,
                phones=phones,
                shakes=shakes,
                per_second=self._per_second(),
                leaders=[Leader(stage_name(viewer), total) for viewer, total in leaders.items()],
            )
        )
        on_air = self.on_air(now)
        # On air a phone may have missed the newest one.
        self._pulsed_at, self._told = now, None if on_air else (shakes, leaders)
        self._pulse, self._pulses = frame, self._pulses + 1
        latest = self._pulses - (self._pulses_with_acks() if on_air else 1)
        due = [session for session in self if session.viewer is None or session.pulses <= latest]
        for session in due:
            session.pulses = self._pulses
        self._send(due, "pulse", self._pulse)

    def _pulses_with_acks(self) -> int:
        """How many a phone without an ack may miss; nobody is left without one for 10 s."""
        return min(PULSES_WITH_ACKS, PULSES_PER_REPORT * QUIET_PULSE_MS // self.pace.report_every_ms)

    def _per_second(self) -> int:
        if not self._shakes:
            return 0
        (since, _, before), (now, _, shakes) = self._shakes[0], self._shakes[-1]
        # Fewer than before: Redis was emptied.
        return max(0, shakes - before) * 1000 // (now - since) if now > since else 0

    # --- when they may report ---

    def reporting(self, segment: int, feed: str | None) -> Reporting | None:
        """A segment and its window for a feed; None where it takes no reports."""
        key = (segment, feed)
        if key not in self._reporting:
            found = self.state.segment(segment)
            if found is None:
                return None  # and not remembered: anybody can invent numbers
            # A tally of another key is not ours to write, whatever we are told of it.
            window = self.state.window(found, feed) if found.takes_key(self.fingerprint) else None
            self._reporting[key] = Reporting(found, window) if window else None
        return self._reporting[key]

    def on_air(self, now: int) -> bool:
        """Whether some feed is shaking now."""
        segment = self.current
        if segment is None or segment.opens_at is None or segment.closes_at is None:
            return False
        open_until = segment.closes_at + self.state.last_delay_ms + self.state.grace_ms
        return (
            segment.phase in (Phase.ARMED, Phase.OPEN, Phase.CLOSING) and segment.opens_at <= now < open_until
        )


def choose_leaders(totals: dict[bytes, int]) -> dict[bytes, int]:
    """The few with the largest totals, the first of them first."""
    top = heapq.nsmallest(MAX_LEADERS, ((-total, viewer) for viewer, total in totals.items()))
    return {viewer: -total for total, viewer in top}


def _frame(message: Outbound) -> Frame:
    return Frame(encode(message))


def _tell_won(session: Member, won: Iterable[Won], delay_ms: int) -> None:
    """Each win once, and again with a new status; a feed that is so late shows it then."""
    for win in won:
        session.told = session.told or {}
        if session.told.get(win.draw) != win.status:
            session.told[win.draw] = win.status
            later = msgspec.structs.replace(win, shown_at=win.shown_at + delay_ms)
            session.socket.write(f"won:{win.draw}", _frame(later))
