"""What a run of the benchmark was made with: versions of the project's packages and of the others' programs."""

import contextlib
import json
import re
import shutil
import subprocess
from importlib.metadata import version

from gala.embedded import EmbeddedServerError, find_server
from tests.bench.contenders.nchan import PATHS
from tests.bench.contenders.node import FOLDER

PACKAGES = ("uvicorn", "uvloop", "channels", "channels-redis", "daphne")
NODE_PACKAGES = ("ws", "socket.io")
NUMBER = re.compile(r"\d+(?:\.\d+)+")


def find_versions() -> dict[str, str]:
    """Of all that is installed."""
    found = {name: version(name) for name in PACKAGES}
    commands = {"Node.js": ["node", "--version"], "nginx": ["nginx", "-v"]}
    with contextlib.suppress(EmbeddedServerError):
        commands["Valkey"] = [*find_server(), "--version"]
    for name, command in commands.items():
        if number := _ask(command):
            found[name] = number
    for name in NODE_PACKAGES:
        with contextlib.suppress(OSError):
            about = json.loads((FOLDER / "node_modules" / name / "package.json").read_text())
            found[name] = about["version"]
    return found


def _ask(command: list[str]) -> str | None:
    """The first number of the kind 1.2.3 that a program says of itself; None where there is no such program."""
    program = shutil.which(command[0], path=PATHS)
    if program is None:
        return None
    said = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=10)
    number = NUMBER.search(said.stdout + said.stderr)
    return number[0] if number else None
