"""One phone's conversation: hello, reports, sync. A Channels consumer that reads its own ASGI `receive`.

The tutorial's way (a channel per socket, `await_many_dispatch`) costs ten times as much per report; here the hub of
the process does for all sockets together what a consumer would do for itself.
"""

import asyncio
import logging
from typing import Any

from channels.consumer import AsyncConsumer

from engagement.clock import now_ms
from engagement.core.digests import derive_pseudonym, derive_salt
from engagement.core.errors import PhoneFault, WireError
from engagement.core.messages import SUBPROTOCOL, Hello, Resync, Shakes, Sync, decode, encode, error_frame
from engagement.core.shakes import FrameLimit, clamp
from engagement.core.show_state import state_fields
from engagement.gateway.audience import Audience, Guest
from engagement.gateway.hub import Hub, get_hub
from engagement.gateway.transport import Socket, text_event
from engagement.passes import BadPass, check_pass

log = logging.getLogger(__name__)

HELLO_S = 5.0
STRIKES = 3  # bad messages after which the phone is sent away


class Gone(Exception):
    """The peer has disconnected."""


class ShakeConsumer(AsyncConsumer):
    """`/ws/shows/<slug>/`"""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.receive = receive
        await receive()  # websocket.connect
        offered = scope.get("subprotocols", [])
        await send(
            {"type": "websocket.accept", "subprotocol": SUBPROTOCOL if SUBPROTOCOL in offered else None}
        )
        self.socket = Socket(send)
        self.limit = FrameLimit(_monotonic_ms())
        self.strikes = 0
        try:
            hub = await get_hub()
            hub.admit()
        except PhoneFault as fault:
            await self.socket.close(fault)
            return
        try:
            await self._converse(hub, scope["url_route"]["kwargs"].get("slug", ""))
        except PhoneFault as fault:
            await self.socket.close(fault)
        except Gone:
            pass
        except asyncio.CancelledError:
            if self.socket.given_up is None:
                raise
        finally:
            self.socket.closed = True
            hub.release()

    async def _converse(self, hub: Hub, slug: str) -> None:
        audience = await hub.audience(slug)
        guest = await self._hello(hub, audience)
        try:
            while True:
                self._answer(hub, audience, guest, await self._frame())
                if self.socket.closed:
                    return  # the hub has given this socket up
        finally:
            audience.leave(guest)

    # --- frames ---

    async def _frame(self) -> str | None:
        """The next text frame, None for a binary one; raises Gone, or PhoneFault when they come too fast."""
        event = await self.receive()
        if event["type"] == "websocket.disconnect":
            raise Gone
        wait_ms = self.limit.take(_monotonic_ms())
        if wait_ms:
            raise PhoneFault(WireError.TOO_FAST, "at most 4 frames per second, please", max(1_000, wait_ms))
        text: str | None = event.get("text")
        return text

    def _answer(self, hub: Hub, audience: Audience, guest: Guest, frame: str | None) -> None:
        try:
            self._dispatch(hub, audience, guest, frame)
        except PhoneFault as fault:
            audience.refused += 1
            if fault.error.close is not None:
                raise
            if fault.error is WireError.BAD_MESSAGE:
                self.strikes += 1
                if self.strikes == STRIKES:
                    raise PhoneFault(WireError.NOT_HELLO, fault.message) from None
            self.socket.write("error", text_event(error_frame(fault)))

    def _dispatch(self, hub: Hub, audience: Audience, guest: Guest, frame: str | None) -> None:
        message = _decode(frame)
        if isinstance(message, Shakes):
            self._count(hub, audience, guest, message)
        elif isinstance(message, Sync):
            received = now_ms()
            self.socket.write("synced", text_event(encode("synced", t0=message.t0, t1=received, t2=now_ms())))
        elif isinstance(message, Resync):
            self.socket.write("state", audience.state_event(guest.feed))
        else:
            raise PhoneFault(WireError.BAD_MESSAGE, "hello was said already")

    def _count(self, hub: Hub, audience: Audience, guest: Guest, report: Shakes) -> None:
        if guest.viewer is None:
            raise PhoneFault(WireError.BAD_MESSAGE, "a screen only watches")
        now = now_ms()
        window = audience.window(report.segment, guest.feed)
        segment = audience.state.segment(report.segment)
        if window is None or segment is None or not window.accepts(now):
            raise PhoneFault(WireError.NOT_OPEN, f"segment {report.segment} takes no reports now")
        totals = hub.totals.totals_of(segment)
        if totals.closed:
            raise PhoneFault(WireError.NOT_OPEN, f"segment {report.segment} is closed")
        state = audience.state
        accepted = clamp(
            report.total, burst=state.burst, max_hz=state.max_hz, elapsed_ms=window.elapsed_ms(now)
        )
        hub.totals.accept(totals, guest.viewer, accepted, clamped=accepted < report.total)

    # --- hello ---

    async def _hello(self, hub: Hub, audience: Audience) -> Guest:
        """Waits for the first message and welcomes the viewer or the screen."""
        try:
            frame = await asyncio.wait_for(self._frame(), HELLO_S)
        except TimeoutError:
            raise PhoneFault(WireError.HELLO_TIMEOUT, f"no hello within {HELLO_S:.0f} s") from None
        hello = _first_message(frame)
        feed = _choose_feed(hello, audience)
        if hello.role == "screen":
            guest = Guest(self.socket, None, feed if hello.feed else None, {})
            await self._welcome(hub, audience, guest, b"")
        else:
            viewer, salt = _identify(hello, audience)
            guest = Guest(self.socket, viewer, feed, {})
            await self._welcome(hub, audience, guest, salt)
        return guest

    async def _welcome(self, hub: Hub, audience: Audience, guest: Guest, salt: bytes) -> None:
        total = await hub.current_total(audience.state, guest.viewer) if guest.viewer else 0
        # From here to `join` nothing waits: no state can slip in between the welcome and the first broadcast.
        state = audience.state
        frame = encode(
            "welcome",
            now=now_ms(),
            viewer=guest.viewer.hex() if guest.viewer else "",
            salt=salt.hex(),
            show={"slug": state.slug, "title": state.title, "title_zh": state.title_zh, "feed": guest.feed},
            epoch=state.epoch,
            seq=state.seq,
            state=state_fields(state, guest.feed),
            total=total,
            **hub.pace._asdict(),
            max_hz=state.max_hz,
        )
        self.socket.write("welcome", text_event(frame))
        audience.join(guest)


def _monotonic_ms() -> int:
    """For the frame limit: a step of the server's clock must not close anybody's socket."""
    return int(asyncio.get_running_loop().time() * 1000)


def _decode(frame: str | None) -> Hello | Shakes | Sync | Resync:
    if frame is None:
        raise PhoneFault(WireError.BAD_MESSAGE, "expected a text frame, got a binary one")
    return decode(frame)


def _first_message(frame: str | None) -> Hello:
    try:
        message = _decode(frame)
    except PhoneFault as fault:
        error = WireError.NOT_HELLO if fault.error is WireError.BAD_MESSAGE else fault.error
        raise PhoneFault(error, f"expected hello: {fault.message}") from None
    if not isinstance(message, Hello):
        raise PhoneFault(WireError.NOT_HELLO, "expected hello as the first message")
    if message.role not in (None, "screen"):
        raise PhoneFault(WireError.NOT_HELLO, f"role: expected screen or nothing, got {message.role!r}")
    return message


def _choose_feed(hello: Hello, audience: Audience) -> str | None:
    feeds = audience.state.feeds
    if hello.feed is None:
        return audience.state.default_feed
    if hello.feed not in feeds:
        raise PhoneFault(WireError.NOT_HELLO, f"feed: expected one of {', '.join(feeds)}, got {hello.feed!r}")
    return hello.feed


def _identify(hello: Hello, audience: Audience) -> tuple[bytes, bytes]:
    """The pseudonym and the salt of whoever shows a valid pass."""
    if hello.pass_ is None:
        raise PhoneFault(WireError.BAD_PASS, "hello needs a pass")
    slug = audience.state.slug
    try:
        uid = check_pass(hello.pass_, slug, now_ms()).uid
    except BadPass as error:
        raise PhoneFault(WireError.BAD_PASS, str(error)) from None
    salt = derive_salt(audience.k_show, slug, uid)
    return derive_pseudonym(slug, uid, salt), salt
