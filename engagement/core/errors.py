"""The one table of errors: what is sent, with which close code, and what the phone does then (docs/protocol.md)."""

from enum import Enum
from typing import NamedTuple


class ErrorRow(NamedTuple):
    """One row: the code in an `error` message, the close code (None: the socket stays open), and the advice."""

    code: str
    close: int | None
    client_does: str


class WireError(Enum):
    """Every error a gateway tells a phone.

    >>> WireError.BAD_PASS.close
    4401
    >>> WireError.NOT_OPEN.close is None
    True
    """

    BAD_MESSAGE = ErrorRow("bad_message", None, "fix the client; closed with 4400 at the third")
    NOT_OPEN = ErrorRow("not_open", None, "stop reporting")
    NOT_HELLO = ErrorRow("bad_message", 4400, "do not reconnect")
    BAD_PASS = ErrorRow("bad_pass", 4401, "get a new pass")
    NO_SUCH_SHOW = ErrorRow("no_such_show", 4404, "do not reconnect")
    HELLO_TIMEOUT = ErrorRow("hello_timeout", 4408, "reconnect with backoff")
    REPLACED = ErrorRow("replaced", 4409, "do not reconnect by itself: newer sockets of this viewer are open")
    TOO_LARGE = ErrorRow("too_large", 4413, "fix the client")
    TOO_FAST = ErrorRow("too_fast", 4429, "reconnect after retry_after_ms")
    OVERLOADED = ErrorRow("overloaded", 4503, "reconnect after retry_after_ms, jittered")
    TOO_SLOW = ErrorRow("too_slow", 4508, "reconnect")

    @property
    def code(self) -> str:
        return self.value.code

    @property
    def close(self) -> int | None:
        return self.value.close


class PhoneFault(Exception):
    """The phone did something the protocol does not allow: told to it, never logged above INFO."""

    def __init__(self, error: WireError, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.retry_after_ms = retry_after_ms
