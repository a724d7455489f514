"""A gateway for a while, with phones that come and go: nothing may grow. `make soak`, or `--help`.

Phones report at the pace they are told, pulses and one result a minute go out, and some phones reconnect. Exit status 1
says that memory, sockets, tasks or acknowledged totals are not what they should be.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from engagement.clock import now_ms
from engagement.descriptors import TooFewDescriptors, require_descriptors
from engagement.mock.figures import percentile
from tests.bench.contenders import CONTENDERS
from tests.bench.gateway import SPARE_DESCRIPTORS, pin
from tests.bench.load import Crowd
from tests.bench.measures import check_connected, check_doubles, check_result
from tests.bench.open_loop import OpenLoop
from tests.bench.processes import cpu_seconds, descriptors, resident_kib, threads
from tests.bench.table import OURS

GROWTH = 1.02  # of resident memory since the end of the first minute
POOL = 8  # connections to Redis that a gateway opens when it first needs them, and keeps
WARM_UP = 100  # phones
QUIET_S = 10.0  # for what has been closed to be gone everywhere
LINE = "{:>6} {:>9} {:>7} {:>12} {:>8} {:>6} {:>11} {:>11} {:>9} {:>9} {:>7} {:>6}"
HEADINGS = (
    *("minute", "RSS MiB", "phones", "descriptors", "threads", "tasks", "connections", "reconnects"),
    *("reports/s", "ack p50", "p99 ms", "CPU"),
)


class Vitals(NamedTuple):
    """What a gateway process holds at one moment; the last three as it says itself."""

    rss_kib: int
    descriptors: int
    threads: int
    tasks: int
    connections: int
    sessions: int  # phones and screens of its shows


def main(arguments: list[str] | None = None) -> int:
    options = make_parser().parse_args(arguments)
    contender = next(one for one in CONTENDERS if one.key == OURS)
    try:
        require_descriptors(max(options.phones, WARM_UP), SPARE_DESCRIPTORS)
    except TooFewDescriptors as error:
        print(error, file=sys.stderr)
        return 2
    if missing := contender.missing():
        print(missing, file=sys.stderr)
        return 2
    core = pin()
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as folder:
        try:
            with contender.start(Path(folder), core=core) as running:
                wrong = soak(running, options)
        except KeyboardInterrupt:
            print("Stopped by hand.", file=sys.stderr)
            return 130
    for what in wrong:
        print(f"BROKEN: {what}", file=sys.stderr)
    print("Soak: " + ("not good." if wrong else "nothing has grown, nothing was lost."))
    return 1 if wrong else 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--minutes", type=a_number(int, 2), default=10, help="how long (default: %(default)s)"
    )
    parser.add_argument(
        "--minute",
        type=a_number(float, 1, 3600),
        default=60.0,
        metavar="S",
        help="seconds in a minute (default: %(default)s)",
    )
    parser.add_argument("--phones", type=a_number(int, 1), default=10_000, help="default: %(default)s")
    parser.add_argument(
        "--reconnect",
        type=a_number(float, 0, 1),
        default=0.05,
        help="share that does so each minute (default: %(default)s)",
    )
    return parser


def a_number(kind: type[int] | type[float], least: float, most: float = math.inf) -> Callable[[str], Any]:
    def number(text: str) -> float:
        limits = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            words = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"expected {words} {limits}, got {text!r}")
        return value

    return number


def soak(running: Any, options: argparse.Namespace) -> list[str]:
    """Prints a row per minute; returns what is wrong."""
    [pid] = running.pids
    before = vitals_without_phones(running, pid)
    with Crowd(running, options.phones, first=1) as crowd:
        crowd.connect()
        wrong = check_connected(crowd)
        load = OpenLoop(crowd, obeys=True)
        print(LINE.format(*HEADINGS))
        rows = [play_minute(load, pid, minute, options) for minute in range(1, options.minutes + 1)]
        wrong += [what for _, problems in rows for what in problems]
        wrong += judge_growth([vitals for vitals, _ in rows], before, options.phones) + check_end(load)
    return wrong + check_all_gone(pid, before)


def vitals_without_phones(running: Any, pid: int) -> Vitals:
    """Of a process that has served some phones, and has none."""
    with Crowd(running, WARM_UP) as early:
        early.connect()
    wait_until(lambda: read_vitals(pid).connections == 0)
    return read_vitals(pid)


def read_vitals(pid: int) -> Vitals:
    from engagement.tally import read_gateways

    # A heartbeat names its process; a gateway that has just started has not sent one yet.
    beats = [beat for name, beat in read_gateways(now_ms()).items() if f"-{pid}-" in name]
    told = [(beat["tasks"], beat["connections"], _sessions(beat)) for beat in beats] or [(-1, -1, -1)]
    return Vitals(resident_kib([pid]), descriptors(pid), threads(pid), *told[0])


def _sessions(beat: dict[str, Any]) -> int:
    return sum(show["phones"] + show["screens"] for show in beat["shows"].values())


def wait_until(done: Callable[[], bool], step: Callable[[], None] = lambda: time.sleep(0.2)) -> bool:
    deadline = time.monotonic() + QUIET_S
    while not done():
        if time.monotonic() > deadline:
            return False
        step()
    return True


# --- minutes ---


def play_minute(
    load: OpenLoop, pid: int, minute: int, options: argparse.Namespace
) -> tuple[Vitals, list[str]]:
    """Reports, reconnects and a result in the middle; then the figures, in a moment without reconnects."""
    crowd, sent, back, cpu = load.crowd, load.crowd.sent, load.reconnects, cpu_seconds([pid])
    load.ack_ms.clear()
    load.reconnects_per_s = options.phones * options.reconnect / options.minute
    load.run(options.minute, [(options.minute / 2, load.announce)])
    seconds_of_cpu, reports = cpu_seconds([pid]) - cpu, crowd.sent - sent
    load.reconnects_per_s = 0
    problems = [f"minute {minute}: {what}" for what in check_result(load)]
    wait_until(lambda: read_vitals(pid).connections == options.phones, lambda: load.run(0.2))
    vitals = read_vitals(pid)
    acks = load.acks_from(0)
    figures = (
        *(minute, f"{vitals.rss_kib / 1024:.1f}", crowd.ready, vitals.descriptors, vitals.threads),
        *(vitals.tasks, vitals.connections, load.reconnects - back, f"{reports / options.minute:,.0f}"),
        *(percentile(acks, 0.5) or 0, percentile(acks, 0.99) or 0, f"{seconds_of_cpu / options.minute:.0%}"),
    )
    print(LINE.format(*figures), flush=True)
    return vitals, problems


# --- judging ---


def judge_growth(rows: list[Vitals], before: Vitals, phones: int) -> list[str]:
    """Whether anything grew after the first minute, or is there more often than there are phones."""
    first, last = rows[0], rows[-1]
    problems = []
    if last.rss_kib > first.rss_kib * GROWTH:
        problems.append(f"resident memory grew from {first.rss_kib:,} to {last.rss_kib:,} KiB")
    if not 0 <= last.descriptors - phones - before.descriptors <= POOL:
        problems.append(f"{last.descriptors} descriptors, expected {before.descriptors} and {phones} phones")
    if last.threads > first.threads:
        problems.append(f"threads grew from {first.threads} to {last.threads}")
    if last.connections != phones:
        problems.append(f"the gateway counts {last.connections} connections, there are {phones}")
    return problems


def check_end(load: OpenLoop) -> list[str]:
    """Everybody reports once more; then what the phones were told is what the tally holds.

    A phone that reconnects may take its last report with it, so reports are not counted here; a later report makes up
    for it, which is what totals are for.
    """
    told = load.finish()
    crowd = load.crowd
    problems = [] if told else ["some phones were not told their last total"]
    if crowd.lost:
        problems.append(f"sockets lost: {dict(crowd.lost)}")
    return problems + check_doubles(crowd) + list(crowd.running.check_tally(crowd.told))


def check_all_gone(pid: int, before: Vitals) -> list[str]:
    """Once all phones have left, nothing of them is left."""

    def gone() -> bool:
        now = read_vitals(pid)
        files = now.descriptors - before.descriptors
        return now.connections == now.sessions == 0 and files <= POOL and now.tasks <= before.tasks

    if wait_until(gone):
        return []
    now = read_vitals(pid)
    return [f"after all phones have left: {now}, expected as before: {before}"]


if __name__ == "__main__":
    sys.exit(main())
