"""Runs pytest, and what failed once more, alone: python -m tests.steady <arguments of pytest>

A whole night in real processes can miss its time because its neighbours took the processor. Such a test holds when it
has the machine for itself; a fault does not. Both results are printed (docs/decisions/0033).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

MOST = 3  # more than this is no noise
FAILED = 1  # pytest: tests failed, and nothing worse
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main(arguments: list[str]) -> int:
    code = pytest("--cache-clear", *arguments)
    if code != FAILED:
        return code
    failed = sorted(json.loads(LAST_FAILED.read_bytes()))
    if not 0 < len(failed) <= MOST:
        return code
    print("UNSTEADY: failed beside others; now once more, alone:", *failed, sep="\n  ", flush=True)
    return pytest("-q", *failed)


def pytest(*arguments: str) -> int:
    # What was compiled is kept: without it each process of a night compiles hundreds of files anew.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], env=own).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
