"""The second implementation, run on the stored files as a process of its own.

It shares nothing with this program, not even the memory: what it reads is what is published.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from engagement.ledger.audit import Check
from prizes.software import VERIFIER

NOTHING: Mapping[str, Path] = MappingProxyType({})
TIMEOUT_S = 100.0  # below the time limit of a task, and several times what docs/performance.md says


class SecondCheckFailed(Exception):
    """The second implementation did not come to a verdict: it was killed, or this machine cannot run it."""


def run_second_check(
    record: bytes,
    roll: Path | None = None,
    totals: Path | None = None,
    excluded: Iterable[str] = (),
    keys: Iterable[str] = (),
    beside: Mapping[str, Path] = NOTHING,
) -> list[Check]:
    """Every check of the verifier on a record and the files that belong to it; `beside` are named by their options."""
    with tempfile.TemporaryDirectory(prefix="second-check-") as folder:
        paths = [Path(folder) / "record.json", *([] if roll is None else [roll])]
        paths[0].write_bytes(record)
        if totals is not None:
            paths += [totals, Path(folder) / "excluded.txt"]
            paths[-1].write_text("\n".join(excluded), encoding="utf-8")
        known = [word for key in keys for word in ("--key", key)]
        known += [word for name, path in beside.items() for word in (f"--{name}", str(path))]
        return _read_report(_run([str(VERIFIER), *map(str, paths), *known, "--json"]))


def _run(arguments: list[str]) -> str:
    # -I: neither the environment nor the working directory adds code of somebody else.
    command = [sys.executable, "-I", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise SecondCheckFailed(f"the second check did not end within {TIMEOUT_S:.0f} s") from None
    if done.returncode not in (0, 1):
        raise SecondCheckFailed(f"the second check ended with status {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def _read_report(text: str) -> list[Check]:
    try:
        report = json.loads(text)
        checks = [Check(row["name"], row["ok"], row["detail"]) for row in report["checks"]]
    except (ValueError, KeyError, TypeError):
        raise SecondCheckFailed(f"expected a report of the second check, got {text[:200]!r}") from None
    if not checks or all(check.ok for check in checks) != report["ok"]:
        raise SecondCheckFailed("the second check contradicts itself")
    return checks
