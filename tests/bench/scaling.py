"""What only the gateway is asked: more sockets, a second process, and more load than it can take."""

import contextlib
import subprocess
from math import ceil
from statistics import median
from time import perf_counter
from typing import Any

from engagement.mock.figures import percentile as counted_percentile
from tests.bench.figures import quartile
from tests.bench.load import Crowd
from tests.bench.measures import (
    Place,
    Row,
    Rows,
    check_arrivals,
    check_connected,
    check_promises,
)
from tests.bench.open_loop import OpenLoop
from tests.bench.processes import busy_loops
from tests.bench.rounds import HeldRound, held_round, rest

OVERLOAD = 2.0  # how many times more is asked than the process can do
MOST_LOOPS = 20  # where the phones are few, twice what they need is not to be had
FROM_SECOND = 5  # the pace has had time to act


def scaling(contender: Any, place: Place) -> Rows:
    """The processor time of one report with its ack, and of one delivery, with ever more sockets on one process."""
    rows: Rows = {}
    with contender.start(place.folder, core=place.core) as running, Crowd(running, 0) as crowd:
        for sockets in place.sizes.scaling:
            crowd.add(sockets - len(crowd.phones))
            crowd.connect()
            rows[f"scaling {sockets}"] = _costs(crowd, place, sockets)
        wrong = check_connected(crowd) + check_promises(crowd)
    for kind, field in (("reports", "value"), ("deliveries", "cpu_us_per_delivery")):
        costs = [row[field] for label, row in rows.items() if label in _sized(place)]
        rows[f"flatness {kind}"] = _flatness(costs, wrong)
    return rows


def _sized(place: Place) -> list[str]:
    return [f"scaling {sockets}" for sockets in place.sizes.scaling]


def _costs(crowd: Crowd, place: Place, sockets: int) -> Row:
    rounds = place.sizes.scaling_rounds
    whole = [_round_from_rest(crowd) for _ in range(rounds)]
    idle = _idle_share(crowd, place.sizes.idle_s)
    reports = [(cpu_s - idle * ran_s) / crowd.ready for cpu_s, ran_s in whole]
    arrivals = [crowd.broadcast() for _ in range(rounds)]
    delivery = quartile([row.cpu_s / len(row.times) for row in arrivals if row.times]) * 1e6
    return {
        "value": quartile(reports) * 1e6,
        "unit": "µs CPU/report",
        "cpu_us_per_delivery": delivery,
        "sockets": sockets,
        "details": f"{delivery:.1f} µs CPU/delivery",
        "wrong": check_arrivals(arrivals),
    }


def _round_from_rest(crowd: Crowd) -> tuple[float, float]:
    """The processor time of a report of everybody, its flush and its acks, and for how long the server ran.

    The flush falls into a long round and comes after a short one: only together they are the same for all numbers.
    """
    rest(crowd)
    cpu_before, start = crowd.cpu_seconds(), perf_counter()
    held_s = held_round(crowd).held_s
    rest(crowd)
    return crowd.cpu_seconds() - cpu_before, perf_counter() - start - held_s


def _idle_share(crowd: Crowd, seconds: float) -> float:
    """What the server's own loops take of a core; just after a round, when no phone waits for a pulse."""
    cpu_before, start = crowd.cpu_seconds(), perf_counter()
    crowd.listen(crowd.note_ack, start + seconds, lambda: False)
    return (crowd.cpu_seconds() - cpu_before) / (perf_counter() - start)


def _flatness(costs: list[float], wrong: list[str]) -> Row:
    """What one costs among the most sockets, over what it costs among the fewest."""
    return {
        "value": costs[-1] / costs[0],
        "unit": "x",
        "details": f"with the most sockets over the fewest; {min(costs):.1f} to {max(costs):.1f} µs",
        "wrong": wrong,
    }


def processes(contender: Any, place: Place) -> Rows:
    """The same reports for one process on one core, and for two processes on two; in turns, because the machine's own
    speed changes, too."""
    rounds: dict[int, list[HeldRound]] = {1: [], 2: []}
    with contextlib.ExitStack() as stack:
        crowds = {number: _crowd_of(stack, contender, place, number) for number in rounds}
        wrong = [what for crowd in crowds.values() for what in check_connected(crowd)]
        for _ in range(place.sizes.process_rounds + 1):
            for number, crowd in crowds.items():
                rounds[number].append(held_round(crowd))
                rest(crowd)  # before it is the others' turn
        for crowd in crowds.values():
            wrong += check_promises(crowd)
    rounds = {number: found[1:] for number, found in rounds.items()}  # the first ones warm up
    # A flush or a pulse falls into some.
    times = {number: quartile([row.seconds for row in found]) for number, found in rounds.items()}
    held_s = max(row.held_s for row in [*rounds[1], *rounds[2]])
    ratio, sockets = times[1] / times[2], place.sizes.processes
    return {
        "processes": {
            "value": ratio,
            "unit": "x",
            "one_ms": times[1] * 1000,
            "two_ms": times[2] * 1000,
            "held_ms": held_s * 1000,
            "sockets": sockets,
            "details": f"{sockets:,} reports in {times[1] * 1000:.0f} ms by one,"
            f" {times[2] * 1000:.0f} by two ({sockets / times[2]:,.0f}/s)",
            "wrong": wrong,
        }
    }


def _crowd_of(stack: contextlib.ExitStack, contender: Any, place: Place, processes: int) -> Crowd:
    folder = place.folder / str(processes)
    folder.mkdir()
    running = stack.enter_context(contender.start(folder, core=place.core, processes=processes))
    crowd = stack.enter_context(Crowd(running, place.sizes.processes))
    crowd.connect()
    return crowd


# --- more than it can take ---


def pace(contender: Any, place: Place) -> Rows:
    """The core is shared with so many busy loops that the process gets half of what its phones need."""
    sizes = place.sizes
    with contender.start(place.folder, core=place.core) as running, Crowd(running, sizes.pace) as crowd:
        crowd.connect()
        wrong = check_connected(crowd)
        demand = _demand(crowd, sizes.pace_s / 6)
        loops = max(1, min(MOST_LOOPS, ceil(OVERLOAD / demand) - 1))
        load, cpu_before = OpenLoop(crowd, obeys=True), crowd.cpu_seconds()
        with busy_loops(loops, place.core) as started:
            load.run(sizes.pace_s)
            oldest_ms = load.oldest_unacked_s * 1000
            wrong += check_busy(started)
        share = (crowd.cpu_seconds() - cpu_before) / sizes.pace_s
        reached = median([sum(phone.pace) - phone.pace.jitter_s / 2 for phone in crowd.phones])
        lengthened = median([phone.pace.every_s for phone in crowd.phones]) > 1.0
        disconnects = sum(crowd.lost.values())
        wrong += check_promises(crowd)
    figures = {
        "demand": demand,
        "share": share,
        "overload": demand * (loops + 1),
        "busy_loops": loops,
        "pace_s": reached,
        "lengthened": lengthened,
        "disconnects": disconnects,
        "oldest_unacked_ms": oldest_ms,
    }
    return {"pace": {**figures, **_describe_pace(load, figures), "sockets": sizes.pace, "wrong": wrong}}


def check_busy(loops: list[subprocess.Popen[bytes]]) -> list[str]:
    """A busy loop that is no more leaves the process more of the core than the figures say."""
    ended = sum(loop.poll() is not None for loop in loops)
    return [f"{ended} of {len(loops)} busy loops ended early"] if ended else []


def _demand(crowd: Crowd, seconds: float) -> float:
    """Which share of a core these phones need at one report a second each."""
    load = OpenLoop(crowd)
    load.run(1.0)
    before, start = crowd.cpu_seconds(), perf_counter()
    load.run(seconds)
    crowd.wait_for_acks(5)
    return (crowd.cpu_seconds() - before) / (perf_counter() - start)


def _describe_pace(load: OpenLoop, figures: Row) -> Row:
    """The slowest ack, or how long the oldest report has been waiting for one."""
    later, always = load.acks_from(FROM_SECOND), load.acks_from(0)
    p50, p99, largest = (counted_percentile(later, share) for share in (0.5, 0.99, 1.0))
    slowest = max(counted_percentile(always, 1.0) or 0, figures["oldest_unacked_ms"])
    reached = f"pace {figures['pace_s']:.1f} s" if figures["lengthened"] else "the pace was NOT lengthened"
    return {
        "value": slowest,
        "unit": "ms, slowest ack",
        "ack_p50_ms": p50,
        "ack_p99_ms": p99,
        "ack_max_ms": largest,
        "ack_p99_ms_overall": counted_percentile(always, 0.99),
        "load_late_ms": load.late_s * 1000,
        "details": f"{figures['overload']:.1f} x what it can do at 1 s ({figures['demand']:.0%} of a core wanted,"
        f" 1/{figures['busy_loops'] + 1} there), {reached};"
        f" from second {FROM_SECOND} on p50 {p50}, p99 {p99}, max {largest};"
        f" {figures['disconnects']} disconnects",
    }
