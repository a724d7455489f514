"""What has come of the changes that a request makes: done, not done, or not known.

An exception says what went wrong, not what was written before it. A connection that is lost while COMMIT is under way
leaves it open whether all of it was written or nothing. So the connections to the database (gala/backends) note here
when a COMMIT is sent and when it is answered, and the ledger notes what was recorded: every action is one transaction,
with its entry in it. See docs/decisions/0030-what-came-of-it.md.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Any


class Came(Enum):
    """What came of it, as far as anybody can say."""

    NOT_DONE = "not done"
    LOOK_AGAIN = "look again"
    DONE = "done"


class Outcome:
    """How far one request has come with what it writes."""

    def __init__(self) -> None:
        self.recorded: list[str] = []  # the actions of ledger entries that are committed
        # Tells what is there now: `message` for people, and more for scripts.
        self.look: Callable[[], dict[str, Any]] | None = None
        self.unanswered = self._wrote = False

    def sent(self) -> None:
        """The database is asked to make something last. Without an answer nobody knows whether it did."""
        self.unanswered = True

    def written(self) -> None:
        self.unanswered, self._wrote = False, True

    def refused(self) -> None:
        self.unanswered = False

    @property
    def came(self) -> Came:
        if self.unanswered:
            return Came.LOOK_AGAIN
        if self.recorded:
            return Came.DONE
        # Something lasts, and the ledger does not say what: this may be half of it.
        return Came.LOOK_AGAIN if self._wrote else Came.NOT_DONE


_current: ContextVar[Outcome | None] = ContextVar("outcome", default=None)


@contextmanager
def watched() -> Iterator[Outcome]:
    """Notes what is written inside, in this thread and in those that work for it."""
    outcome = Outcome()
    token = _current.set(outcome)
    try:
        yield outcome
    finally:
        _current.reset(token)


def current() -> Outcome:
    """The one of this request; outside of requests, one that nobody asks."""
    return _current.get() or Outcome()
