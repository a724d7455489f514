"""Freeze, draw and check at the size of a gala: `make bench-draw`, or `python -m tests.bench.draw --help`.

Each phase runs in a process of its own on one core, so seconds and peak memory are its own. This process stays small
and imports nothing but the standard library. What the figures were is in docs/performance.md.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
VERIFIER = ROOT / "prizes" / "verify_draw.py"
TARGETS = {  # seconds and MiB at 35 million entries on one core
    "freeze": (5, 128),
    "freeze and totals": (5, 128),
    "draw": (4, 128),
    "verify": (20, 64),
}
FULL = 35_000_000
FREEZE, DRAW = ("sort", "count", "roll"), ("rank", "prove")
Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    options = make_parser().parse_args(arguments)
    print(f"{options.entries:,} entries with 1 to 10 tickets, {describe_machine()['processor']}", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-draw-") as folder:
        results = run(Path(folder), options.entries, options.shards, options.repeat)
    print_table(results, options.entries)
    if options.json:
        options.json.write_text(json.dumps(report(results, options), indent=1) + "\n")
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.draw",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--entries", type=at_least(1), default=FULL, help="how many viewers (default: %(default)s)"
    )
    parser.add_argument(
        "--shards",
        type=at_least(1),
        default=16,
        help="raw shards to start from, 1 to 256 (default: %(default)s)",
    )
    parser.add_argument(
        "--repeat",
        type=at_least(1),
        default=1,
        help="freeze, draw and check so often and take the best, on a machine that does other things, too"
        " (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    return parser


def at_least(least: int) -> Any:
    def number(text: str) -> int:
        value = int(text.replace("_", "").replace(",", ""))
        if value < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {value}")
        return value

    return number


# --- phases ---


def run(folder: Path, entries: int, shards: int, repeat: int) -> dict[str, dict[str, Row]]:
    """Run everything; return measure -> contender -> figures."""
    pin()
    whole, split = folder / "whole", folder / "split"
    whole.mkdir()
    split.mkdir()
    say("making raw shards")
    phase("make", whole, entries, shards)
    say("freezing: sort, count, join, hash")
    frozen = min((freeze(whole, shards) for _ in range(repeat)), key=lambda laps: add(laps, *FREEZE)["value"])
    say("drawing: rank, prove")
    drawn = min((phase("draw", whole) for _ in range(repeat)), key=lambda laps: add(laps, *DRAW)["value"])
    results: dict[str, dict[str, Row]] = {
        "freeze": {"engine": add(frozen, *FREEZE)},
        "freeze and totals": {"engine": add(frozen, *FREEZE, "totals")},
        **{name: {"engine": frozen[name]} for name in (*FREEZE, "totals", "disk")},
        "draw": {"engine": add(drawn, *DRAW)},
        **{name: {"engine": drawn[name]} for name in DRAW},
    }
    say("checking the record by the standalone verifier")
    phase("record", whole)
    checked = min((verify(whole) for _ in range(repeat)), key=lambda row: row["value"])
    results["verify"] = {"verifier": checked}
    say("the same once more in 4 shards, on two workers")
    results["split"] = {"two workers": in_parallel(whole, split, entries, drawn["ranking"])}
    say("what one would do instead: np.sort, a SHA-256 loop, numpy's choice")
    results["sort"].update(phase("contend_sort", whole, shards))
    results["draw"].update({**phase("contend_hash", whole), **phase("contend_choice", whole)})
    return results


def freeze(folder: Path, shards: int) -> Any:
    """Into a folder with nothing but raw shards, and with nothing else to be written to the disk meanwhile."""
    for path in folder.iterdir():
        if not path.name.startswith("raw-"):
            path.unlink()
    os.sync()
    laps = phase("freeze", folder, shards)
    os.sync()
    return laps


def phase(name: str, folder: Path, *numbers: int) -> Any:
    return json.loads(start(name, folder, *numbers).communicate()[0])


def start(name: str, folder: Path, *numbers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.bench.phases", name, str(folder), *map(str, numbers)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def pin(cores: int = 1) -> None:
    """Let this process and those that it starts have so many cores, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(ALL_CORES)[-cores:])


ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def add(laps: dict[str, Any], *names: str) -> Row:
    """Phases one after the other as one: seconds added, memory the highest."""
    rows = [laps[name] for name in names]
    total = {field: sum(row[field] for row in rows) for field in ("value", "cpu_s")}
    return {**rows[0], **total, "peak_rss_mib": max(row["peak_rss_mib"] for row in rows)}


def verify(folder: Path) -> Row:
    """The verifier as anybody runs it; its own process is all that is measured."""
    before = time.perf_counter()
    command = [sys.executable, "-I", str(VERIFIER), "record.json", "roll.bin", "--json"]
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        answer = json.loads(child.stdout.read())
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    failed = [check for check in answer["checks"] if not check["ok"]]
    if child.returncode or failed:
        raise SystemExit(f"the verifier does not confirm the draw: {failed}")
    return {
        "value": time.perf_counter() - before,
        "unit": "s",
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "bytes": (folder / "roll.bin").stat().st_size,
        "peak_rss_mib": usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10),
    }


def in_parallel(whole: Path, split: Path, entries: int, ranking: str) -> Row:
    """Four shards on two workers: roll, totals and ranking must be the same to the byte."""
    pin(2)
    phase("make", split, entries, 4)
    before, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    both(split, "work")
    phase("join_all", split, 4)
    both(split, "rank_part")
    merged = phase("merge", split, 4)
    seconds, after = time.perf_counter() - before, resource.getrusage(resource.RUSAGE_CHILDREN)
    pin()
    same = all(
        sha256(whole / name) == sha256(split / name) for name in ("roll.bin", "totals.bin", "tree.bin")
    )
    return {
        "value": seconds,
        "unit": "s",
        "cpu_s": after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime,
        "bytes": sum(path.stat().st_size for path in split.glob("raw-*")),
        "peak_rss_mib": None,
        "same_bytes": same and merged["ranking"] == ranking,
    }


def both(folder: Path, name: str) -> None:
    """Two workers, each with every second of four shards."""
    children = [start(name, folder, 4, worker, 2) for worker in range(2)]
    for child in children:
        child.communicate()
        if child.returncode:
            raise SystemExit(f"{name}: a worker ended with {child.returncode}")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def say(what: str) -> None:
    print(f"  {datetime.now(UTC):%H:%M:%S} {what} ...", file=sys.stderr, flush=True)


# --- results ---


def judge(measure: str, contender: str, row: Row, entries: int) -> str:
    """Whether the targets were met; they are for 35 million entries, and for our own programs only."""
    if "same_bytes" in row:
        return "same bytes: met" if row["same_bytes"] else "same bytes: MISSED"
    if measure not in TARGETS or contender not in ("engine", "verifier"):
        return f"scaled from {row['scaled_from_tickets']:,} tickets" if "scaled_from_tickets" in row else ""
    seconds, mib = TARGETS[measure]
    target = f"{seconds} s, {mib} MiB"
    if entries < FULL:
        return f"{target} for {FULL:,}"
    return f"{target}: {'met' if row['value'] <= seconds and row['peak_rss_mib'] <= mib else 'MISSED'}"


def print_table(results: dict[str, dict[str, Row]], entries: int) -> None:
    line = "{:<18} {:<13} {:>11} {:>8} {:>8} {:>8} {:>9}  {}"
    print(line.format("measure", "by", "entries", "seconds", "CPU s", "MB/s", "peak MiB", "target"))
    for measure, contenders in results.items():
        for contender, row in contenders.items():
            speed = row["bytes"] / 1e6 / row["value"]
            peak = "" if row["peak_rss_mib"] is None else f"{row['peak_rss_mib']:.0f}"
            figures = f"{entries:,}", f"{row['value']:.2f}", f"{row['cpu_s']:.2f}", f"{speed:.0f}", peak
            print(line.format(measure, contender, *figures, judge(measure, contender, row, entries)))


def report(results: dict[str, dict[str, Row]], options: argparse.Namespace) -> dict[str, Any]:
    judged = {
        measure: {
            contender: {
                **row,
                "entries": options.entries,
                "target": judge(measure, contender, row, options.entries),
            }
            for contender, row in contenders.items()
        }
        for measure, contenders in results.items()
    }
    return {
        **judged,
        "machine": describe_machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "cryptography")},
        },
    }


def describe_machine() -> dict[str, Any]:
    found = {"processor": platform.processor() or platform.machine(), "system": platform.platform()}
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if line.startswith("model name")]
        found["processor"] = names[0].partition(": ")[2] if names else found["processor"]
    return {**found, "cores": os.cpu_count(), "load": os.getloadavg()[0]}


if __name__ == "__main__":
    sys.exit(main())
