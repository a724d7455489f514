"""The clock of the program, set by a test: everything in this process that asks for the time asks engagement.clock."""

import time

import pytest

from engagement import clock as clock_of_the_program


class Clock:
    """Stands still at `now_ms` until it is moved on; before it is set, it is that of the machine."""

    def __init__(self) -> None:
        self._now_ms: int | None = None

    def set(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def move(self, ms: int) -> None:
        self._now_ms = self.now_ms() + ms

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 if self._now_ms is None else self._now_ms

    def time_ns(self) -> int:
        return self.now_ms() * 1_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """`clock.set(ms)`, `clock.move(ms)`. Import it into the module of the test, or name the module as a plugin."""
    clock = Clock()
    monkeypatch.setattr(clock_of_the_program, "time_ns", clock.time_ns)
    return clock
