"""How people shake: in bursts, with pauses, some better than others. Pure: time and randomness come as arguments."""

from random import Random
from typing import Protocol

BURST_MS, PAUSE_MS = 4_000.0, 1_000.0
LEAST_BURST_MS = 1_000.0  # everybody shakes at least once
TALENT = 0.25  # the spread of the log-normal talent
LEAST_TALENT, MOST_TALENT = 0.5, 1.6


class Hand(Protocol):
    """Whatever shakes a phone."""

    def shake(self, elapsed_ms: float, rng: Random) -> int:
        """How often it shook in the next `elapsed_ms` milliseconds."""


class HumanHand:
    """Bursts of about 4 s, pauses of about 1 s, on average `hz` times this person's talent; it starts with a burst.

    >>> rng = Random(1)
    >>> hands = [HumanHand(4, rng) for _ in range(500)]
    >>> 3.5 < sum(hand.shake(60_000, rng) for hand in hands) / 500 / 60 < 4.5
    True
    """

    __slots__ = ("_left_ms", "_mean_hz", "_rest", "_speed_hz")

    def __init__(self, hz: float, rng: Random) -> None:
        talent = min(MOST_TALENT, max(LEAST_TALENT, rng.lognormvariate(-TALENT * TALENT / 2, TALENT)))
        self._mean_hz = hz * talent * (BURST_MS + PAUSE_MS) / BURST_MS
        self._rest = 0.0
        self._speed_hz = 0.0
        self._left_ms = 0.0

    def shake(self, elapsed_ms: float, rng: Random) -> int:
        shakes = self._rest
        while elapsed_ms > 0:
            if self._left_ms <= 0:
                self._change(rng)
            step = min(elapsed_ms, self._left_ms)
            shakes += self._speed_hz * step / 1000
            self._left_ms -= step
            elapsed_ms -= step
        whole = int(shakes)
        self._rest = shakes - whole
        return whole

    def _change(self, rng: Random) -> None:
        """From a pause to a burst, or the other way round."""
        pausing = self._speed_hz == 0
        self._speed_hz = self._mean_hz * rng.uniform(0.8, 1.2) if pausing else 0.0
        least, mean = (LEAST_BURST_MS, BURST_MS) if pausing else (1.0, PAUSE_MS)
        self._left_ms = least + rng.expovariate(1 / (mean - least))


class SteadyHand:
    """A machine: always the same speed.

    >>> SteadyHand(50).shake(1_500, Random())
    75
    """

    __slots__ = ("_hz", "_rest")

    def __init__(self, hz: float) -> None:
        self._hz = hz
        self._rest = 0.0

    def shake(self, elapsed_ms: float, rng: Random) -> int:
        shakes = self._rest + self._hz * elapsed_ms / 1000
        whole = int(shakes)
        self._rest = shakes - whole
        return whole
