"""Health checks of containers: `python -m gala.alive gateway|worker|conductor` ends with 0, or says what is wrong.

They look at the work. A worker marks every few seconds that it listens for tasks at the broker, the conductor that a
task of each kind has succeeded; a mark is a file in HEALTH_DIR that holds the monotonic time. A gateway is asked.
"""

import contextlib
import sys
import time
import urllib.request
from pathlib import Path

from engagement.whole import replacing
from gala.environment import BadVariable, Environment

OLDEST_S = 15.0
GATEWAY_S = 3.0
MARK_S = 3.0  # how often a worker marks
# What each process must have marked; the conductor's are its tasks, which are due once a second.
MARKS = {
    "worker": ("worker",),
    "conductor": ("conduct", "conduct_draws", "conduct_witnesses", "conduct_stampers"),
}


def mark(name: str) -> None:
    """Leaves a mark, where somebody looks for marks."""
    folder = Environment().text("HEALTH_DIR", "")
    if folder:
        # No room on the disk is no reason to stop working.
        with contextlib.suppress(OSError), replacing(_path(folder, name), durable=False) as new:
            new.write_text(str(time.monotonic()), encoding="utf-8")


def _path(folder: str, name: str) -> Path:
    return Path(folder) / f"alive-{name}"


def what_is_wrong(process: str, environment: Environment) -> str | None:
    """In one line; None: nothing."""
    if process == "gateway":
        return _ask(environment.number("GATEWAY_PORT", 8000, 1, 65535))
    folder = environment.text("HEALTH_DIR", "")
    if not folder:
        raise BadVariable("HEALTH_DIR", "the folder where the process leaves its marks", "none")
    late = [name for name in MARKS[process] if not 0 <= _age_s(_path(folder, name)) < OLDEST_S]
    names = " and ".join([", ".join(late[:-1]), late[-1]] if late[1:] else late)
    return f"no sign of {names} in the last {OLDEST_S:.0f} s" if late else None


def _age_s(path: Path) -> float:
    try:
        return time.monotonic() - float(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return OLDEST_S


def _ask(port: int) -> str | None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(f"http://localhost:{port}/healthz", timeout=GATEWAY_S).close()
    except OSError as error:
        return f"/healthz at port {port}: {error}"
    return None


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or arguments[0] not in ("gateway", *MARKS):
        sys.exit("python -m gala.alive: expected gateway, worker or conductor")
    try:
        wrong = what_is_wrong(arguments[0], Environment())
    except BadVariable as error:
        wrong = str(error)
    sys.exit(None if wrong is None else f"{arguments[0]}: {wrong}")


if __name__ == "__main__":
    main(sys.argv[1:])
