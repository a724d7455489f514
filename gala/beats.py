"""How a gateway process tells the one that started it that its event loop turns: a byte in a pipe, once a second."""

import asyncio
import contextlib
import os

DESCRIPTOR = "GATEWAY_BEATS"  # a variable for children only: the pipe to write to
BEAT_S = 1.0


async def beat() -> None:
    """In the child, from the moment it serves; ends at once where nobody listens."""
    if DESCRIPTOR not in os.environ:
        return
    pipe = int(os.environ[DESCRIPTOR])
    os.set_blocking(pipe, False)
    with contextlib.suppress(BrokenPipeError):  # the parent has ended, and soon so will this process
        while True:
            with contextlib.suppress(
                BlockingIOError
            ):  # full: the parent was stopped for long and has enough to read
                os.write(pipe, b".")
            await asyncio.sleep(BEAT_S)


class Beats:
    """In the parent: what it has heard of one child."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self.begun = False  # it serves
        self.silent_s = 0.0

    def listen(self, seconds: float) -> float:
        """Reads what came in the last so many seconds; how long it was silent until then, 0 while it is."""
        self.silent_s += seconds
        with contextlib.suppress(BlockingIOError):
            if os.read(self._reading, 1 << 16):
                self.begun, silent_s, self.silent_s = True, self.silent_s, 0.0
                return silent_s
        return 0.0

    def give_away(self) -> None:
        """Once the child has its own copy of the end to write to: when it ends, nobody has one."""
        os.close(self.writing)

    def close(self) -> None:
        os.close(self._reading)
