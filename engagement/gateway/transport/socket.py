"""One socket as the hub sees it: writing never waits, and a slow phone costs a handful of frames, no more.

`AsgiSocket` (asgi.py) is for every ASGI server; `DirectSocket` (direct.py) is the same on uvicorn's transport, without
ASGI.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from engagement.core.errors import PhoneFault
from engagement.core.messages import error_frame
from engagement.gateway.core.frames import TEXT, frame

Event = dict[str, Any]

CLOSE_S = 1.5  # a peer that does not answer a close within this time is dropped


class Frame:
    """One text frame, encoded once for all sockets that get it."""

    __slots__ = ("_event", "wire")

    def __init__(self, text: str) -> None:
        self.wire = frame(TEXT, text.encode())
        self._event: Event | str = text

    @property
    def event(self) -> Event:
        """The same as an ASGI event, made at its first use."""
        if isinstance(self._event, str):
            self._event = {"type": "websocket.send", "text": self._event}
        return self._event


class Listener(Protocol):
    """Who hears what comes in on a socket."""

    def take(self, message: str | bytes | None) -> None:
        """A text message, None for a binary one. Never raises."""

    def heed(self) -> bool:
        """A control frame, where the server leaves those to us; whether it is within the limit."""

    def gone(self) -> None:
        """The socket is closed, once."""

    def restart(self) -> None:
        """The server is about to end."""


class Socket(Protocol):
    """What audiences and sessions need of a socket."""

    closed: bool
    blocked_since: float | None  # by the event loop's clock, while the phone does not read

    def listen(self, listener: Listener) -> None:
        """From now on what comes in is heard."""

    def write(self, kind: str, frame: Frame) -> None:
        """Sends one frame, or keeps it as the newest of its kind until the socket drains."""

    def write_together(self, frames: Mapping[str, Frame]) -> None:
        """The same for several frames, by kind."""

    def close(self, code: int, reason: str = "", last_word: Frame | None = None) -> None:
        """Says why and closes; nothing is read or written any more. A second call does nothing."""

    def check(self) -> None:
        """Once a second: is the phone still there?"""


def dismiss(socket: Socket, fault: PhoneFault) -> None:
    """Tells a phone what is wrong, in words and in the close frame, and closes."""
    reason = "" if fault.retry_after_ms is None else f"retry={fault.retry_after_ms}"
    assert fault.error.close is not None
    socket.close(fault.error.close, reason, Frame(error_frame(fault)))
