"""Node.js, and the packages that tests in it and in browsers need (tests/shake_client/package-lock.json)."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "shake_client"
PACKAGES = HERE / "node_modules"


def needed(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"pages are tested with Node.js: install {program} (Debian: apt install {package})")
    return found


def install() -> None:
    """Installs the packages where they are not there; of several processes one does, and the others wait."""
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if all((PACKAGES / name / "package.json").exists() for name in wanted):
            return
        command = [needed("npm", "npm"), "ci", "--prefix", str(HERE), "--ignore-scripts"]
        options = ["--omit-lockfile-registry-resolved", "--no-audit", "--no-fund"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"NOT CHECKED, npm cannot get the packages: {done.stderr[-300:]}")
