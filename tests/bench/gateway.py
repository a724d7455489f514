"""The gateway compared with alternatives: `make bench`, or `python -m tests.bench.gateway --help`.

The server has one core to itself, the load another one. Each contender is started fresh for each measure, and all are
driven by the same phones. Exit status 1 means that a promise was broken, never that something was slow. What the
figures were is in docs/performance.md.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from engagement.descriptors import TooFewDescriptors, require_descriptors
from tests.bench import finals, measures, scaling
from tests.bench.contenders import CONTENDERS
from tests.bench.draw import describe_machine, say
from tests.bench.measures import FULL, SHORT, Failed, Measure, Place, Sizes
from tests.bench.table import OURS, Results, broken_promises, compare, format_table, judge
from tests.bench.versions import find_versions

MEASURES: dict[str, Measure] = {
    "intake": measures.intake,
    "fanout": measures.fanout,
    "memory": measures.memory,
    "storm": measures.storm,
    "mixed": measures.mixed,
    "scaling": scaling.scaling,
    "processes": scaling.processes,
    "finals": finals.finals,
    "pace": scaling.pace,
}
# Who takes part, unless `--all` or `--contenders` says otherwise; in the other measures everybody. Connecting 10,000
# phones takes a slow contender half a minute, and all would take three times as long.
REGULARS = {
    "memory": {OURS, "tutorial-pubsub", "ws", "socketio"},
    "storm": {OURS, "tutorial-pubsub", "ws", "socketio"},
    "mixed": {OURS, "ws", "socketio"},  # three times what the tutorial's consumer can take
}
LARGE_FANOUT = {OURS, "tutorial-pubsub", "ws", "socketio", "nchan"}
ONLY_OURS = {"scaling", "processes", "finals", "pace"}
SPARE_DESCRIPTORS = 200
INTERRUPTED = 130


def main(arguments: list[str] | None = None, contenders: Sequence[Any] = CONTENDERS) -> int:
    options = make_parser(contenders).parse_args(arguments)
    sizes = SHORT if options.short else FULL
    named, names = options.contenders, options.only or list(MEASURES)
    everybody = bool(named) or options.all
    chosen = [one for one in contenders if not named or one.key in named]
    if not any(takes_part(one, name, everybody) for one in chosen for name in names):
        print(f"nothing to measure: nobody of those chosen takes part in {', '.join(names)}", file=sys.stderr)
        return 2
    try:
        require_descriptors(most_sockets(sizes, names), SPARE_DESCRIPTORS)
    except TooFewDescriptors as error:
        print(error, file=sys.stderr)
        return 1
    here = installed(chosen)
    print(describe(), flush=True)
    if not everybody and (left_out := describe_left_out(names, here, sizes)):
        print(left_out, flush=True)
    try:
        results = run(names, here, sizes, everybody=everybody)
    except KeyboardInterrupt:
        print("Stopped by hand.", file=sys.stderr)
        return INTERRUPTED
    compare(results)
    if sizes is FULL:
        judge(results, f"storm {sizes.storm_of_ours}")
    return tell(results, options.json)


def make_parser(contenders: Sequence[Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.gateway",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", action="extend", type=some_of(MEASURES), metavar="MEASURE", help=", ".join(MEASURES)
    )
    keys = [one.key for one in contenders]
    parser.add_argument(
        "--contenders", action="extend", type=some_of(keys), metavar="CONTENDER", help=", ".join(keys)
    )
    parser.add_argument("--all", action="store_true", help="everybody in every measure, twenty minutes")
    parser.add_argument("--short", action="store_true", help="a few sockets only, to see that it runs")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures to this file, too")
    return parser


def some_of(known: Any) -> Callable[[str], list[str]]:
    """Names separated by commas."""

    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",")]
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, got {name!r}")
        return found

    return names


def new_file(text: str) -> Path:
    """Refused now rather than after some minutes."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a folder that is there, got {text!r}")
    return path


def most_sockets(sizes: Sizes, names: Sequence[str]) -> int:
    """In the largest of these measures."""
    found = sizes._asdict() | {
        "storm": max(sizes.storm, sizes.storm_of_ours),
        "processes": 2 * sizes.processes,  # one crowd for one process, one for two
        "finals": 2 * sizes.finals,
    }
    return max(max(sockets) if isinstance(sockets := found[name], tuple) else sockets for name in names)


def installed(contenders: Sequence[Any]) -> list[Any]:
    """Those that can run; the others are named."""
    missing = {one.name: one.missing() for one in contenders}
    absent = [f"{name} ({what})" for name, what in missing.items() if what]
    if absent:
        print(f"not installed: {', '.join(absent)}; make bench-deps", file=sys.stderr)
    return [one for one in contenders if not missing[one.name]]


# --- running ---


def pin() -> int:
    """Puts this process on the last core, and returns the one for the servers: the first."""
    if not hasattr(os, "sched_setaffinity"):
        return 0
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        print("one core only: the load takes from the servers, and the figures say little", file=sys.stderr)
    os.sched_setaffinity(0, {cores[-1]})
    return cores[0]


def run(names: Sequence[str], contenders: Sequence[Any], sizes: Sizes, *, everybody: bool) -> Results:
    """Every measure of those who take part in it: label -> contender -> row."""
    core = pin()
    results: Results = {}
    for name in MEASURES:
        if name in names:
            takers = [one for one in contenders if takes_part(one, name, everybody)]
            results |= take_turns(name, takers, core, sizes, everybody=everybody)
    return results


def take_turns(name: str, takers: list[Any], core: int, sizes: Sizes, *, everybody: bool) -> Results:
    """One measure of all these; their rows in the order in which they are given."""
    turns: dict[str, list[measures.Rows | Failed]] = {one.key: [] for one in takers}
    for contender in running_order(name, takers, sizes.turns.get(name, 1)):
        say(f"{name}: {contender.name}")
        asked = sizes if everybody else fit(sizes, contender)
        turns[contender.key].append(measure_one(name, contender, core, asked))
    results: Results = {}
    for one in takers:
        for label, row in measures.join_turns(name, turns[one.key]).items():
            results.setdefault(label, {})[one.key] = {"name": one.name, **row}
    return results


def running_order(name: str, takers: list[Any], turns: int) -> list[Any]:
    """In alternating order: a machine that others use, too, gets faster and slower within seconds and minutes, and
    should be as fast for one as for another. Those measured once run between the two passes."""
    again = [one for one in takers if name != "fanout" or one.key in measures.CLOSE]
    once = [one for one in takers if one not in again]
    legs = [again if number % 2 == 0 else again[::-1] for number in range(turns)]
    return [*legs[0], *once, *chain.from_iterable(legs[1:])]


def takes_part(contender: Any, name: str, everybody: bool) -> bool:
    if name in ONLY_OURS:
        return bool(contender.key == OURS)
    return bool(contender.can(name)) and (everybody or contender.key in REGULARS.get(name, {contender.key}))


def fit(sizes: Sizes, contender: Any) -> Sizes:
    """The smaller audience only, for those whom a large one takes minutes."""
    return sizes if contender.key in LARGE_FANOUT else sizes._replace(fanout=sizes.fanout[:1])


def measure_one(name: str, contender: Any, core: int, sizes: Sizes) -> measures.Rows | Failed:
    """One turn of one measure."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            return MEASURES[name](contender, Place(Path(folder), core, sizes))
        except Exception as error:
            traceback.print_exc()
            last_line = (str(error).strip().splitlines() or [""])[-1]
            return Failed(f"failed: {type(error).__name__}: {last_line}")


# --- telling ---


def tell(results: Results, file: Path | None) -> int:
    print(format_table(results))
    if file:
        file.write_text(json.dumps(results, indent=1) + "\n")
    wrong = broken_promises(results)
    for what in wrong:
        print(f"BROKEN: {what}", file=sys.stderr)
    return 1 if wrong else 0


def describe() -> str:
    """The machine, the date and the versions, in one line."""
    machine, date = describe_machine(), datetime.now(UTC).isoformat(timespec="seconds")
    versions = {"Python": platform.python_version(), **find_versions()}
    numbers = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"{machine['processor']}, {machine['cores']} cores; {date}; {numbers}"


def describe_left_out(names: Sequence[str], contenders: Sequence[Any], sizes: Sizes) -> str:
    """Who could take part in a measure, and does only with `--all` or `--contenders`; "" where there is nobody."""
    left = {
        name: [
            one.key for one in contenders if takes_part(one, name, True) and not takes_part(one, name, False)
        ]
        for name in names
    }
    if "fanout" in names:
        left[f"fanout {sizes.fanout[-1]}"] = [one.key for one in contenders if one.key not in LARGE_FANOUT]
    told = [f"{name}: {', '.join(keys)}" for name, keys in left.items() if keys]
    return f"left out unless --all: {'; '.join(told)}" if told else ""


if __name__ == "__main__":
    sys.exit(main())
