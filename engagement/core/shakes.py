"""How shakes are counted: the clamp on a total, and the limit on frames."""

from engagement.core.errors import PhoneFault, WireError


def clamp(reported: int, *, burst: int, max_hz: int, elapsed_ms: int) -> int:
    """The total that is accepted: nobody shakes faster than `max_hz` for longer than the window has been open.

    It needs no state, so a reconnect does not reset it and a phone that was offline keeps what it counted.

    >>> clamp(42, burst=10, max_hz=8, elapsed_ms=10_000)
    42
    >>> clamp(500, burst=10, max_hz=8, elapsed_ms=10_000)
    90
    """
    return min(reported, burst + max_hz * elapsed_ms // 1000)


class FrameLimit:
    """A token bucket per socket: bursts of 10 frames, `per_second` sustained. Times are nanoseconds, monotonic.

    One number is the whole bucket of a socket: the moment at which it will be full again; it starts with now.

    >>> limit, full_at = FrameLimit(per_second=4), 5
    >>> for _ in range(10):
    ...     full_at = limit.take(full_at, 5)
    >>> limit.take(full_at, 5)  # the eleventh
    Traceback (most recent call last):
    ...
    engagement.core.errors.PhoneFault: at most 4 frames per second, please
    """

    __slots__ = ("_burst_ns", "_frame_ns", "_per_second")
    BURST = 10
    RETRY_MS = 1_000

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._frame_ns = 10**9 // per_second
        self._burst_ns = self.BURST * self._frame_ns

    def take(self, full_at: int, now: int, held_up: int = 0) -> int:
        """When the bucket is full again after one more frame; raises PhoneFault where it has no room for one.

        Where this process was held up for so long, what came one by one meanwhile is read all at once: that time is
        credited. As the bucket's time only goes forward, nobody can use it twice.
        """
        full_at = max(full_at, now - held_up) + self._frame_ns
        excess = full_at - now - self._burst_ns
        if excess > 0:
            wait_ms = max(self.RETRY_MS, excess // 10**6)
            raise PhoneFault(
                WireError.TOO_FAST, f"at most {self._per_second} frames per second, please", wait_ms
            )
        return full_at
