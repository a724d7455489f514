"""The other Pythons of this machine: on the PATH, from pyenv or from uv. What strangers run has to run on each."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

VERSIONS = [f"3.{minor}" for minor in range(8, 15)]


@cache
def find_python(version: str) -> str | None:
    """The path of a Python of this version that runs, or None."""
    return next((python for python in _candidates(version) if _runs(python, version)), None)


def _candidates(version: str) -> Iterator[str]:
    if found := shutil.which(f"python{version}"):
        yield found
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(home.glob(f"versions/{version}.*/bin/python3")))
    tools = Path.home() / ".local/share/uv/python"
    yield from map(str, sorted(tools.glob(f"cpython-{version}.*/bin/python3")))


def _runs(python: str, version: str) -> bool:
    say = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-I", "-c", say], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return (done.returncode, done.stdout.strip()) == (0, version)
