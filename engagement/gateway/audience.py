"""The sockets of one show in this process: who they are, and the frames they get, each encoded once."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from engagement.core.messages import encode
from engagement.core.names import stage_name
from engagement.core.phases import Phase
from engagement.core.show_state import ShowState, state_frame
from engagement.core.windows import Window
from engagement.gateway.transport import Event, Socket, text_event
from engagement.vault import open_secret

RATE_MS = 2_000  # shakes per second are measured over this time


class Guest(NamedTuple):
    """One socket that said hello; `viewer` is None for a screen."""

    socket: Socket
    viewer: bytes | None
    feed: str | None
    told: dict[int, str]  # draws whose `won` this socket has got, and with which status

    def __hash__(self) -> int:
        return id(self.socket)

    def __eq__(self, other: object) -> bool:
        return self is other


class Audience:
    """Everything one gateway process knows of one show."""

    def __init__(self, state: ShowState) -> None:
        self.guests: set[Guest] = set()
        self.by_viewer: dict[bytes, set[Guest]] = {}
        self.refused = 0
        self.pulsed_at = 0
        self._shakes: list[tuple[int, int, int]] = []  # (when, segment, live shakes)
        self._take(state)

    def _take(self, state: ShowState) -> None:
        self.state = state
        self.seq = state.seq
        self.k_show = open_secret(state.k_show)
        self._windows: dict[tuple[int, str | None], Window | None] = {}
        self._frames: dict[str | None, Event] = {}
        self._wins = _wins_by_viewer(state.results)

    # --- who is here ---

    def join(self, guest: Guest) -> None:
        """From now on the guest gets what is broadcast, and at once what it has won."""
        self.guests.add(guest)
        if guest.viewer is not None:
            self.by_viewer.setdefault(guest.viewer, set()).add(guest)
            self._tell_wins(guest)

    def leave(self, guest: Guest) -> None:
        self.guests.discard(guest)
        if guest.viewer is not None and (same := self.by_viewer.get(guest.viewer)):
            same.discard(guest)
            if not same:
                del self.by_viewer[guest.viewer]

    @property
    def current_key(self) -> str:
        """The name in Redis of the segment that is shown; "" where there is none."""
        segment = self.state.segment(self.state.current)
        return segment.key if segment else ""

    @property
    def phones(self) -> int:
        """Connected phones, without the screens."""
        return sum(len(guests) for guests in self.by_viewer.values())

    # --- what they are told ---

    def adopt(self, state: ShowState) -> None:
        """Takes a newer state and tells everybody; an older one, or the same, is ignored."""
        if state.epoch != self.state.epoch or state.seq > self.seq:
            self._take(state)
            for guest in list(self.guests):
                guest.socket.write("state", self.state_event(guest.feed))
                self._tell_wins(guest)

    def show_result(self, epoch: int, seq: int, result: dict[str, Any]) -> None:
        """Passes on a published draw, unless a state that contains it was faster."""
        if epoch == self.state.epoch and seq > self.seq:
            self.seq = seq
            self.send_all("result", text_event(result_frame(seq, result)))

    def state_event(self, feed: str | None) -> Event:
        """The whole state for one feed, encoded at its first use."""
        if feed not in self._frames:
            self._frames[feed] = text_event(state_frame(self.state, feed))
        return self._frames[feed]

    def send_all(self, kind: str, event: Event) -> None:
        for guest in list(self.guests):
            guest.socket.write(kind, event)

    def acknowledge(self, segment: int, written: Iterable[tuple[bytes, int]]) -> None:
        """Tells every device of a viewer what is in the tally now."""
        for viewer, total in written:
            guests = self.by_viewer.get(viewer)
            if guests:
                event = text_event(f'{{"type":"ack","segment":{segment},"total":{total}}}')
                for guest in guests:
                    guest.socket.write("ack", event)

    def pulse(self, now: int, phones: int, live: dict[str, int], leaders: dict[bytes, int]) -> None:
        """The live figures of the whole show, as all gateways together see them."""
        segment = self.state.current
        frame = encode(
            "pulse",
            epoch=self.state.epoch,
            seq=self.seq,
            segment=segment,
            phones=phones,
            shakes=live.get("shakes", 0),
            per_second=self._per_second(now, segment or 0, live.get("shakes", 0)),
            leaders=[{"name": stage_name(viewer), "total": total} for viewer, total in leaders.items()],
        )
        self.pulsed_at = now
        self.send_all("pulse", text_event(frame))

    def _per_second(self, now: int, segment: int, shakes: int) -> int:
        self._shakes = [row for row in self._shakes if row[1] == segment and row[0] >= now - RATE_MS]
        self._shakes.append((now, segment, shakes))
        since, _, before = self._shakes[0]
        return (shakes - before) * 1000 // (now - since) if now > since else 0

    def _tell_wins(self, guest: Guest) -> None:
        for draw, status, frame in self._wins.get(guest.viewer or b"", ()):
            if guest.told.get(draw) != status:
                guest.told[draw] = status
                guest.socket.write(f"won:{draw}", text_event(frame))

    # --- when they may report ---

    def window(self, segment: int, feed: str | None) -> Window | None:
        """The window of a segment for a feed; None where it takes no reports."""
        key = (segment, feed)
        if key not in self._windows:
            found = self.state.segment(segment)
            if found is None:
                return None  # and not remembered: anybody can invent numbers
            self._windows[key] = self.state.window(found, feed)
        return self._windows[key]

    def on_air(self, now: int) -> bool:
        """Whether some feed is shaking now."""
        segment = self.state.segment(self.state.current)
        if segment is None or segment.opens_at is None or segment.closes_at is None:
            return False
        open_until = segment.closes_at + self.state.last_delay_ms + self.state.grace_ms
        return (
            segment.phase in (Phase.ARMED, Phase.OPEN, Phase.CLOSING) and segment.opens_at <= now < open_until
        )


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
