"""What we build on: known weaknesses of the locked packages, and the list of them for a release (`make supply`).

The advisories are asked for at the package index. Where it does not give them, that is said: a package that nobody
could look at is never called good.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", "requirements-s3.txt", "requirements-dev.txt")
RELEASED = "requirements-s3.txt"  # what the image has: docker/Dockerfile
PATIENCE_S = 120
FOUND, NOT_AUDITED = 1, 0  # exit statuses: CI goes on without advisories, and says so


class Looked(NamedTuple):
    """What the advisories say: weaknesses as lines, and how many packages they could be asked about."""

    weaknesses: list[str]
    audited: int
    missing: int


def read_report(report: Any) -> Looked:
    """Of pip-audit's JSON.

    >>> read_report({"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "?"}]})
    Looked(weaknesses=[], audited=1, missing=1)
    """
    rows = report["dependencies"]
    audited = [row for row in rows if "skip_reason" not in row]
    weak = [
        f"{row['name']} {row['version']}: {vuln['id']}, mended in {', '.join(vuln['fix_versions']) or 'no version'}"
        for row in audited
        for vuln in row["vulns"]
    ]
    return Looked(sorted(weak), len(audited), len(rows) - len(audited))


def audit(lock: Path) -> Looked | None:
    """None where pip-audit cannot say anything."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--require-hashes",
        "--disable-pip",
        "--requirement",
        str(lock),
    ]
    more = ["--progress-spinner", "off", "--timeout", "10", "--format", "json"]
    try:
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=PATIENCE_S)
        return read_report(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return None


def sentences(name: str, looked: Looked | None) -> Iterator[str]:
    """What was found for a lock file, for people."""
    if looked is None or not looked.audited:
        yield f"{name}: NOT AUDITED, the advisories are out of reach."
        return
    yield from (f"{name}: {line}" for line in looked.weaknesses)
    found = f"{len(looked.weaknesses)} known weaknesses" if looked.weaknesses else "no known weakness"
    missed = f", NOT AUDITED: {looked.missing}" if looked.missing else ""
    yield f"{name}: {found} in {looked.audited} packages{missed}."


def write_sbom(path: Path) -> int:
    """The packages of the image as CycloneDX, the same file for the same lock file; how many there are."""
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "requirements",
        str(ROOT / RELEASED),
        "--output-reproducible",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [*command, "--output-format", "JSON", "--output-file", str(path)], check=True, timeout=PATIENCE_S
    )
    return len(json.loads(path.read_text())["components"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.supply", description=__doc__)
    parser.add_argument(
        "--sbom", type=Path, default=ROOT / "var" / "sbom.cdx.json", help="where it is written"
    )
    options = parser.parse_args(arguments)
    reports = {name: audit(ROOT / name) for name in LOCKS}
    for name, looked in reports.items():
        print(*sentences(name, looked), sep="\n")
    print(f"{options.sbom}: {write_sbom(options.sbom)} packages of the image, CycloneDX.")
    return FOUND if any(looked and looked.weaknesses for looked in reports.values()) else NOT_AUDITED


if __name__ == "__main__":
    sys.exit(main())
