"""One mock phone on a real socket: drives the pure phone with picows, a clock and a hand that shakes."""

import time
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from engagement.mock.figures import Figures
from engagement.mock.hand import Hand
from engagement.mock.phone import NEVER, Message, Phone

SHARED_FRAME_BYTES = 120  # longer frames are mostly broadcasts, the same bytes for everybody
FOR_ONE_PHONE = (b'{"type":"welcome"', b'{"type":"stub"')
REMEMBERED = 64
NO_CLOSE_FRAME = 1006

_remembered: dict[bytes, Message] = {}
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(dict[str, Any])


def now_ms() -> float:
    """A phone's own clock: any zero will do."""
    return time.monotonic() * 1000


def decode(payload: bytes) -> Message:
    """One frame. A broadcast is decoded once for all phones of the process: that is most of what 5,000 phones hear."""
    if len(payload) < SHARED_FRAME_BYTES or payload.startswith(FOR_ONE_PHONE):
        return _decoder.decode(payload)
    message = _remembered.get(payload)
    if message is None:
        if len(_remembered) >= REMEMBERED:
            _remembered.clear()
        message = _remembered[payload] = _decoder.decode(payload)
    return message


class Client(WSListener):
    """Everything of one phone but the scheduling: `wake_at` says when `wake` is to be called."""

    def __init__(self, phone: Phone, hand: Hand, rng: Random, figures: Figures, drop: float) -> None:
        self.phone = phone
        self.hand = hand
        self.rng = rng
        self.figures = figures
        self.drop = drop
        self.pass_: str | None = None
        self.transport: WSTransport | None = None
        self.connect_at = 0.0  # NEVER while connected, connecting, or told to stay away
        self.planned_at = NEVER  # when the scheduler is going to wake it
        self.gave_up = False
        self.welcomed = False
        self.welcomed_at = NEVER  # on this connection
        self.dropped_at = -NEVER  # when it last broke off on purpose
        self.acked_at = -NEVER
        self.reschedule: Callable[[Client], None] = lambda client: None
        self.claim: Callable[[Client, int], None] = lambda client, draw: None
        self._broke_off = False
        self._shaken_until = now_ms()

    @property
    def wake_at(self) -> float:
        """When there is something to do: to connect, or to send."""
        return self.phone.wake_at if self.transport else self.connect_at

    # --- out ---

    def wake(self, now: float) -> None:
        """Sends whatever is due."""
        self._shake(now)
        while self.transport is not None and (frame := self.phone.next_frame(now, self.rng)) is not None:
            self.transport.send(WSMsgType.TEXT, frame.encode())
            if frame.startswith('{"type":"shakes"'):
                self._reported(now)

    def _reported(self, now: float) -> None:
        self.figures.reports_sent += 1
        if self.drop and self.rng.random() < self.drop:
            self.figures.dropped += 1
            self.dropped_at = now
            self._broke_off = True
            assert self.transport is not None
            self.transport.disconnect(False)

    def _shake(self, now: float) -> None:
        """Catches up with the hand, which also shakes while the phone is offline."""
        opens, closes = self.phone.window()
        start, end = max(self._shaken_until, opens), min(now, closes)
        if start < end:
            times = self.hand.shake(end - start, self.rng)
            if times:
                self.phone.shake(end - 0.001, times)
        self._shaken_until = now

    def stop(self, now: float) -> None:
        """The hand rests; what was counted is still reported."""
        self._shake(now)
        self.phone.stop(now, self.rng)
        self.reschedule(self)

    def hang_up(self) -> None:
        """Says goodbye and stays away."""
        self.gave_up, self.connect_at = True, NEVER
        if self.transport is not None:
            self.transport.send_close(WSCloseCode.OK)
            self.transport.disconnect()

    # --- in ---

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.send(WSMsgType.TEXT, self.phone.hello(self.pass_ or "", now_ms()).encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._take(decode(frame.get_payload_as_bytes()), now_ms())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def _take(self, message: Message, now: float) -> None:
        type_ = message["type"]
        if type_ == "ack":
            self._count_ack(message, now)
        elif type_ in ("state", "welcome"):
            self._shake(now)  # what was shaken so far belongs to the segment that was on air so far
            self.welcomed = True
            self.welcomed_at = now if type_ == "welcome" else self.welcomed_at
        elif type_ == "error":
            self.figures.errors[message["code"]] += 1
        for news in self.phone.receive(message, now, self.rng):
            self._show(news)
        self.reschedule(self)

    def _count_ack(self, message: Message, now: float) -> None:
        self.figures.acks += 1
        self.acked_at = now
        count = self.phone.counts.get(message["segment"])
        if count is not None and count.reported_at is not None and not count.is_late_answer(message["total"]):
            self.figures.ack_ms[int(now - count.reported_at)] += 1
            self.figures.clamped += message["total"] < count.reported

    def _show(self, news: Message) -> None:
        """A real phone shows it; the crowd counts how many phones did."""
        if news.get("type") == "won":
            self.figures.won[self.phone.viewer] = news["draw"]
            self.claim(self, news["draw"])
        else:
            self.figures.results_seen[news["draw"]] += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        code, reason = _close_of(transport)
        if not self.gave_up and not self._broke_off:
            self.figures.closes[code] += 1
        self._broke_off = False
        self.lost(code, reason, now_ms())

    def lost(self, code: int, reason: str, now: float) -> None:
        """The socket is gone, or did not open: comes back when the phone says so."""
        self.transport = None
        loss = self.phone.lost(code, reason, self.rng)
        if loss.new_pass:
            self.pass_ = None
        if self.gave_up or not loss.reconnect:
            self.gave_up, self.connect_at = True, NEVER
        else:
            self.connect_at = now + loss.wait_ms
        self.reschedule(self)

    # --- how it ended ---

    @property
    def was_cut_off(self) -> bool:
        """Its last total was not acknowledged because it had broken off on purpose and came back too late."""
        return self.dropped_at > self.acked_at

    def missing(self) -> list[Any]:
        """The counts whose totals were never answered for."""
        return [count for count in self.phone.counts.values() if not count.told]


def _close_of(transport: WSTransport) -> tuple[int, str]:
    handshake = transport.close_handshake
    if handshake is None or handshake.recv is None:
        return NO_CLOSE_FRAME, ""
    code: Any = handshake.recv.code  # an enum for the standard codes, a bare number for ours
    return int(getattr(code, "value", code)), handshake.recv.reason or ""
