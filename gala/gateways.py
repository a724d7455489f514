"""Several gateway processes on one port: starts them, replaces those that end or hang, and says so in the log.

`entrypoints.gateway` makes the command. uvicorn's own supervisor is not used: it kills whoever does not answer within
5 s, starts anew for ever what cannot start, and logs neither. See docs/decisions/0026-gateways-that-beat.md.
"""

import argparse
import logging
import logging.config
import os
import signal
import socket
import sys
import time

from gala import entrypoints
from gala.beats import DESCRIPTOR, Beats
from gala.listener import CannotListen, listen
from gala.processes import spawn, stop_all
from gala.settings import LOGGING

log = logging.getLogger("gala.gateways")

TICK_S = 0.25
# Of a longer tick no more is counted: this process was stopped, and most likely the whole machine.
COUNTED_S = 2.0
LATE_S = 5.0  # of silence: the log says so
HUNG_S = 60.0  # of silence: it is killed and replaced
START_S = 180.0  # until the first beat
STEADY_S = 60.0  # what ends after so long is replaced at once; else it takes longer each time
WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class CannotServe(Exception):
    """A gateway process ended before it served, and no other serves."""


class Child:
    """One gateway process."""

    def __init__(self, command: list[str], listener: socket.socket) -> None:
        self.beats = Beats()
        self.process = spawn(
            command,
            env={**os.environ, DESCRIPTOR: str(self.beats.writing)},
            pass_fds=[listener.fileno(), self.beats.writing],
        )
        self.beats.give_away()
        self.name = f"gateway process {self.process.pid}"
        self.served_s = 0.0

    @property
    def serves(self) -> bool:
        return self.beats.begun

    def watch(self, seconds: float) -> str | None:
        """Counts so many seconds more; how it ended, or why it has to."""
        served, silent_s = self.serves, self.beats.silent_s
        back_after_s = self.beats.listen(seconds)
        if served:
            self.served_s += seconds
            self._tell_of_silence(silent_s, back_after_s)
        elif self.serves:
            log.info("%s serves", self.name)
        return self._why_gone()

    def _tell_of_silence(self, before_s: float, back_after_s: float) -> None:
        if back_after_s > LATE_S:
            log.warning("%s is back after %.0f s", self.name, back_after_s)
        elif before_s <= LATE_S < self.beats.silent_s:
            log.warning("%s is silent for %.0f s: it hangs, or the machine does", self.name, LATE_S)

    def _why_gone(self) -> str | None:
        status = self.process.poll()
        if status is not None:
            return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        allowed_s = HUNG_S if self.serves else START_S
        return f"was killed after {allowed_s:.0f} s of silence" if self.beats.silent_s > allowed_s else None

    def bury(self) -> None:
        stop_all([self.process], 0)
        self.beats.close()


class Gateways:
    """So many children at one listener."""

    def __init__(self, count: int, command: list[str], listener: socket.socket) -> None:
        self._command, self._listener = command, listener
        self._failures = 0  # in a row
        self._missing, self._wait_s = 0, 0.0
        self.children: list[Child] = []
        for _ in range(count):
            self._start()

    def _start(self) -> Child:
        self.children.append(Child(self._command, self._listener))
        return self.children[-1]

    def watch(self, seconds: float) -> None:
        """Counts so many seconds more and replaces whoever is gone; CannotServe where that is in vain."""
        for child in list(self.children):
            if (why := child.watch(seconds)) is not None:
                self._lose(child, why)
        self._wait_s -= seconds
        if self._missing and self._wait_s <= 0:
            self._missing -= 1
            log.warning("%s is started instead", self._start().name)

    def _lose(self, child: Child, why: str) -> None:
        self.children.remove(child)
        child.bury()
        if not child.serves and not any(other.serves for other in self.children):
            raise CannotServe(f"{child.name} {why} before it served, and no other does: see the lines above")
        self._missing += 1
        self._failures = 0 if child.served_s > STEADY_S else self._failures + 1
        self._wait_s = WAITS_S[min(self._failures, len(WAITS_S)) - 1] if self._failures else 0.0
        log.error("%s %s%s", child.name, why, "" if child.serves else " before it served")

    def stop(self, seconds: float) -> None:
        stop_all([child.process for child in self.children], seconds)


def serve(gateways: Gateways, graceful_seconds: int) -> None:
    """Until SIGTERM or Ctrl-C."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    try:
        before_s = time.monotonic()
        while not stopping:
            time.sleep(TICK_S)
            at_s = time.monotonic()
            gateways.watch(min(at_s - before_s, COUNTED_S))
            before_s = at_s
    finally:
        gateways.stop(graceful_seconds + 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m gala.gateways", description="Several gateways on one port."
    )
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="a listening socket to inherit, instead of host and port")
    parser.add_argument("--graceful-seconds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="phones through plain ASGI")
    options = parser.parse_args()
    logging.config.dictConfig(LOGGING)
    try:
        listener = (
            listen(options.host, options.port) if options.fd is None else socket.socket(fileno=options.fd)
        )
        command = entrypoints.gateway(
            fd=listener.fileno(), fast=not options.plain, graceful_seconds=options.graceful_seconds
        )
        serve(Gateways(options.processes, command, listener), options.graceful_seconds)
    except (CannotListen, CannotServe) as reason:
        sys.exit(f"gateways: {reason}")


if __name__ == "__main__":
    main()
