"""The sockets of one show in this process: who they are, and the frames they get, each encoded once."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from engagement.clock import now_ms
from engagement.core.messages import encode
from engagement.core.names import stage_name
from engagement.core.pace import Pace
from engagement.core.phases import Phase
from engagement.core.show_state import SegmentState, ShowState, state_fields, state_frame
from engagement.core.windows import Window
from engagement.gateway.direct import fan_out
from engagement.gateway.transport import Frame
from engagement.vault import open_secret

if TYPE_CHECKING:
    from engagement.gateway.guest import Guest

RATE_MS = 2_000  # shakes per second are measured over this time
LEADERS = 5
QUIET_PULSE_MS = 9_000  # at least one every 10 s
PULSES_PER_REPORT = 2
HALF_A_BEAT_MS = 250  # of the hub, which asks whether one is due: give or take
PULSES_WITH_ACKS = 4  # so many may pass before a phone that gets no ack gets one by itself


class Reporting(NamedTuple):
    """A segment that takes reports, and when it does for one feed."""

    segment: SegmentState
    window: Window


class Audience:
    """Everything one gateway process knows of one show."""

    def __init__(self, state: ShowState, pace: Pace) -> None:
        # Phones; nearly always one of a viewer, and a set each would be 200 bytes.
        self.by_viewer: dict[bytes, tuple[Guest, ...]] = {}
        self.screens: dict[Guest, None] = {}
        self.phones = 0
        self.refused = 0
        self._pulsed_at = 0
        self._told: tuple[int, dict[bytes, int]] | None = None  # shakes and leaders that everybody knows
        self._pulses = 0
        self._pulse: Frame | None = None  # the newest
        self.pace = pace
        self._pace_frame: Frame | None = None  # made when somebody is to be told
        self._shakes: list[tuple[int, int, int]] = []  # (when, segment, live shakes)
        # Of the current segment, those whom this process has acknowledged.
        self.leaders: dict[bytes, int] = {}
        self._take(state)

    def _take(self, state: ShowState) -> None:
        self.state = state
        self.current = state.segment(state.current)  # which is shown
        self.seq = state.seq
        self.k_show = open_secret(state.k_show)
        self._reporting: dict[tuple[int, str | None], Reporting | None] = {}
        self._frames: dict[str | None, Frame] = {}
        self._fields: dict[str | None, msgspec.Raw] = {}
        self._wins = _wins_by_viewer(state.results)
        self._forget_pulse()  # it is of another segment, perhaps; whoever has come since gets the next one

    def _forget_pulse(self) -> None:
        """Nobody is told the newest one any more, and the next beat makes another."""
        self._pulse = self._told = None

    # --- who is here ---

    def welcome(self, guest: "Guest", salt: bytes, total: int) -> None:
        """Answers hello, with the newest figures and what the guest has won; from now on it gets what is broadcast."""
        # Nothing waits in between: no state can slip in between the welcome and the first broadcast.
        guest.every_ms = self.pace.report_every_ms
        frames = {"welcome": self._welcome_frame(guest, salt, total)}
        if self._pulse is None:
            guest.pulses = self._pulses - PULSES_WITH_ACKS  # the next one comes by itself
        else:
            guest.pulses, frames["pulse"] = self._pulses, self._pulse
        guest.socket.write_together(frames)
        self._join(guest)

    def _join(self, guest: "Guest") -> None:
        if guest.viewer is None:
            self.screens[guest] = None
        else:
            self.phones += 1
            self.by_viewer[guest.viewer] = (*self.by_viewer.get(guest.viewer, ()), guest)
            self._tell_wins(guest)

    def leave(self, guest: "Guest") -> None:
        """Nothing is sent to the guest any more; whoever is not here leaves nothing behind."""
        if guest.viewer is None:
            self.screens.pop(guest, None)
        elif guest in self:
            self.phones -= 1
            others = tuple(other for other in self.by_viewer[guest.viewer] if other is not guest)
            if others:
                self.by_viewer[guest.viewer] = others
            else:
                del self.by_viewer[guest.viewer]
        if self.is_empty:
            self._forget_pulse()

    @property
    def is_empty(self) -> bool:
        return not self.by_viewer and not self.screens

    def __contains__(self, guest: "Guest") -> bool:
        return guest in (self.screens if guest.viewer is None else self.by_viewer.get(guest.viewer, ()))

    def __iter__(self) -> "Iterator[Guest]":
        """Phones, then screens, in the order in which viewers came: about as their sockets lie in memory."""
        return chain(chain.from_iterable(self.by_viewer.values()), self.screens)

    @property
    def current_key(self) -> str:
        """The name in Redis of the segment that is shown; "" where there is none."""
        return self.current.key if self.current else ""

    # --- what they are told ---

    def adopt(self, state: ShowState) -> None:
        """Takes a newer state and tells everybody; an older one, or the same, is ignored."""
        if state.epoch != self.state.epoch or state.seq > self.seq:
            if state.current != self.state.current:
                self.leaders = {}
            self._take(state)
            guests = list(self)
            for feed in {guest.feed for guest in guests}:
                self._send([guest for guest in guests if guest.feed == feed], "state", self.state_frame(feed))
            for guest in guests:
                self._tell_wins(guest)

    def show_result(self, epoch: int, seq: int, result: dict[str, Any]) -> None:
        """Passes on a published draw, unless a state that contains it was faster."""
        if epoch == self.state.epoch and seq > self.seq:
            self.seq = seq
            self._send(self, "result", Frame(result_frame(seq, result)))

    def state_frame(self, feed: str | None) -> Frame:
        """The whole state for one feed, encoded at its first use."""
        if feed not in self._frames:
            self._frames[feed] = Frame(state_frame(self.state, feed))
        return self._frames[feed]

    def _welcome_frame(self, guest: "Guest", salt: bytes, total: int) -> Frame:
        """The state in it is encoded once for all phones of a feed."""
        state, feed = self.state, guest.feed
        if feed not in self._fields:
            self._fields[feed] = msgspec.Raw(msgspec.json.encode(state_fields(state, feed)))
        return Frame(
            encode(
                "welcome",
                now=now_ms(),
                viewer=guest.viewer.hex() if guest.viewer else "",
                salt=salt.hex(),
                show={"slug": state.slug, "title": state.title, "title_zh": state.title_zh, "feed": feed},
                epoch=state.epoch,
                seq=state.seq,
                state=self._fields[feed],
                total=total,
                **self.pace._asdict(),
                max_hz=state.max_hz,
            )
        )

    def _send(self, guests: Iterable["Guest"], kind: str, frame: Frame) -> None:
        fan_out([guest.socket for guest in guests], kind, frame)

    def acknowledge(self, segment: int, written: dict[bytes, int]) -> None:
        """Tells every device of a viewer what is in the tally now."""
        if segment == self.state.current:
            self.leaders = choose_leaders({**self.leaders, **written})
        frames: dict[int, Frame] = {}  # thousands of phones share some hundred totals
        for viewer, total in written.items():
            guests = self.by_viewer.get(viewer)
            if guests:
                frame = frames.get(total)
                if frame is None:
                    frame = frames[total] = Frame(f'{{"type":"ack","segment":{segment},"total":{total}}}')
                for guest in guests:
                    if guest.pulses == self._pulses and guest.every_ms == self.pace.report_every_ms:
                        guest.socket.write("ack", frame)
                    else:
                        guest.socket.write_together(self._with_news(guest, frame))

    def _with_news(self, guest: "Guest", ack: Frame) -> dict[str, Frame]:
        """What goes with an ack in one write: it is writes that cost, not what is in them."""
        frames = {"ack": ack}
        if self._pulse is not None and guest.pulses != self._pulses:
            guest.pulses, frames["pulse"] = self._pulses, self._pulse
        if guest.every_ms != self.pace.report_every_ms:
            self._pace_frame = self._pace_frame or Frame(encode("pace", **self.pace._asdict()))
            guest.every_ms, frames["pace"] = self.pace.report_every_ms, self._pace_frame
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
        segment = self.state.current or 0
        self._shakes = [row for row in self._shakes if row[1] == segment and row[0] >= now - RATE_MS]
        self._shakes.append((now, segment, shakes))

    def pulse(self, now: int, phones: int, shakes: int, leaders: dict[bytes, int]) -> None:
        """The live figures of the whole show, as all gateways see them. Phones that report get them with their acks."""
        frame = encode(
            "pulse",
            epoch=self.state.epoch,
            seq=self.seq,
            segment=self.state.current,
            phones=phones,
            shakes=shakes,
            per_second=self._per_second(),
            leaders=[{"name": stage_name(viewer), "total": total} for viewer, total in leaders.items()],
        )
        on_air = self.on_air(now)
        # On air a phone may have missed the newest one.
        self._pulsed_at, self._told = now, None if on_air else (shakes, leaders)
        self._pulse, self._pulses = Frame(frame), self._pulses + 1
        latest = self._pulses - (self._pulses_with_acks() if on_air else 1)
        due = [guest for guest in self if guest.viewer is None or guest.pulses <= latest]
        for guest in due:
            guest.pulses = self._pulses
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

    def _tell_wins(self, guest: "Guest") -> None:
        for draw, status, frame in self._wins.get(guest.viewer or b"", ()):
            guest.told = guest.told or {}
            if guest.told.get(draw) != status:
                guest.told[draw] = status
                guest.socket.write(f"won:{draw}", Frame(frame))

    # --- when they may report ---

    def reporting(self, segment: int, feed: str | None) -> Reporting | None:
        """A segment and its window for a feed; None where it takes no reports."""
        key = (segment, feed)
        if key not in self._reporting:
            found = self.state.segment(segment)
            if found is None:
                return None  # and not remembered: anybody can invent numbers
            window = self.state.window(found, feed)
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
    top = heapq.nsmallest(LEADERS, ((-total, viewer) for viewer, total in totals.items()))
    return {viewer: -total for total, viewer in top}


def result_frame(seq: int, result: dict[str, Any]) -> str:
    """The `result` message (docs/protocol.md) of one published draw."""
    fields = ("draw", "segment", "winners", "seal", "strength", "record_url")
    return encode("result", seq=seq, **{name: result[name] for name in fields})


def _wins_by_viewer(results: list[dict[str, Any]]) -> dict[bytes, list[tuple[int, str, str]]]:
    """Pseudonym -> (draw, status, the `won` frame), from the published results."""
    wins: dict[bytes, list[tuple[int, str, str]]] = {}
    for result in results:
        for winner in result["winners"]:
            status = winner.get("status", "won")
            frame = encode(
                "won",
                draw=result["draw"],
                prize=winner["prize"],
                claim_url=result["claim_url"],
                claim_by=winner.get("claim_by", result["claim_by"]),
                status=status,
            )
            viewer = bytes.fromhex(winner["pseudonym"])
            wins.setdefault(viewer, []).append((result["draw"], status, frame))
    return wins
