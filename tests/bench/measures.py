"""What is measured of each contender: intake, fan-out, memory, storm and a mixed evening.

A measure gets a contender that it starts itself, fresh, and returns rows: label -> {value, unit, details, wrong, ...}.
`wrong` says in words which promise was broken: totals that are not equal, a broadcast that came never or twice.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, NamedTuple

from engagement.mock.figures import percentile as counted_percentile
from tests.bench.figures import percentile
from tests.bench.load import Arrivals, Crowd
from tests.bench.open_loop import OpenLoop
from tests.bench.processes import resident_kib
from tests.bench.rounds import Rounds, add_rounds, held_rounds, sustained_rounds

Row = dict[str, Any]
Rows = dict[str, Row]


class Failed(str):
    """Why a contender did not get through a measure, in place of its rows."""


class Sizes(NamedTuple):
    """How many sockets, and for how long."""

    intake: int = 1_000
    intake_s: float = 1.0  # for which the server runs, in each turn
    warm_up_s: float = 0.5
    fanout: tuple[int, ...] = (3_000, 15_000)
    rounds: int = 40  # in each turn, at most
    fanout_s: float = 9.0  # per number of sockets, but at least four rounds
    close_fanout_s: float = 3.5  # in each turn of those who are close to each other
    memory: int = 10_000
    storm: int = 5_000
    storm_of_ours: int = 15_000
    mixed: int = 10_000
    mixed_s: float = 6.0
    patience_s: float = 5.0  # for what should have come already
    fanout_patience_s: float = 20.0
    scaling: tuple[int, ...] = (1_000, 2_000, 4_000, 8_000, 16_000)
    scaling_rounds: int = 7
    idle_s: float = 1.0  # in which a process does what it does without reports
    processes: int = 8_000  # held and read within 250 ms, so that mostly no flush falls into it
    process_rounds: int = 41
    finals: int = 4_000  # phones on each of the two feeds
    final_rounds: int = 30
    pace: int = 12_000
    pace_s: float = 30.0
    # How often each contender takes a measure, in alternating order; other measures once.
    turns: Mapping[str, int] = {"intake": 2, "fanout": 2, "storm": 3}


FULL = Sizes()
SHORT = Sizes(
    intake=20,
    intake_s=0.2,
    warm_up_s=0.05,
    fanout=(20, 40),
    rounds=3,
    fanout_s=0.3,
    close_fanout_s=0.3,
    memory=40,
    storm=40,
    storm_of_ours=80,
    mixed=40,
    mixed_s=1.0,
    patience_s=1.0,
    fanout_patience_s=2.0,
    scaling=(20, 40),
    scaling_rounds=3,
    idle_s=0.1,
    processes=40,
    process_rounds=3,
    finals=20,
    final_rounds=3,
    pace=40,
    pace_s=1.5,
    turns={"fanout": 2},
)


class Place(NamedTuple):
    """Where a contender runs: its files, its core; and how much is asked of it."""

    folder: Path
    core: int
    sizes: Sizes


# Whose fan-out is near ours, so that more rounds decide who is faster; the others take it once.
CLOSE = {"gateway", "ws", "socketio", "nchan"}

Measure = Callable[[Any, Place], Rows]


# --- what must hold ---


def check_promises(crowd: Crowd, patience_s: float = 5.0) -> list[str]:
    """After every measure: each phone reports once more, totals are equal, one last broadcast comes exactly once.

    Others are asked for no broadcast here: some take half a minute for one.
    """
    if crowd.running.accepted() is not None:
        crowd.report_once()
    is_ours = crowd.dialect.ack is not None
    wrong = check_totals(crowd, patience_s)
    if is_ours:
        wrong += check_arrivals([crowd.broadcast(patience_s)])
    return wrong + check_doubles(crowd)


def check_totals(crowd: Crowd, patience_s: float = 5.0) -> list[str]:
    """What a server counted, what it told the phones and what the tally holds, against what they sent."""
    running, wrong = crowd.running, []
    if not crowd.wait_for_acks(patience_s):
        late = sum(phone.acked < phone.total for phone in crowd.online)
        wrong.append(f"{late:,} phones were not told their last total")
    accepted = _settled(running.accepted, crowd.sent, patience_s)
    if accepted is not None and accepted != crowd.sent:
        wrong.append(f"{crowd.sent:,} reports were sent, {accepted:,} counted")
    over = sum(phone.acked > phone.total for phone in crowd.phones)
    if over:
        wrong.append(f"{over:,} phones were told more than they had sent")
    if crowd.lost:
        wrong.append(f"sockets lost: {dict(crowd.lost)}")
    return wrong + list(running.check_tally(crowd.told))


def _settled(ask: Callable[[], int | None], expected: int, patience_s: float) -> int | None:
    """The answer once it is what was expected, or the last one."""
    deadline = perf_counter() + patience_s
    while (answer := ask()) not in (None, expected) and perf_counter() < deadline:
        sleep(0.1)
    return answer


def check_arrivals(arrivals: list[Arrivals]) -> list[str]:
    missing = sum(row.missing for row in arrivals)
    expected = sum(len(row.times) + row.missing for row in arrivals)
    return [f"{missing:,} of {expected:,} deliveries never came"] if missing else []


def check_doubles(crowd: Crowd) -> list[str]:
    """Of all broadcasts so far, also of those that are long over."""
    return [f"{crowd.doubles:,} messages came more than once"] if crowd.doubles else []


def check_connected(crowd: Crowd) -> list[str]:
    away = len(crowd.phones) - crowd.ready
    return [f"{away:,} of {len(crowd.phones):,} did not connect: {dict(crowd.lost)}"] if away else []


# --- the measures ---


def intake(contender: Any, place: Place) -> Rows:
    """Reports per second, one frame per read, first in held rounds and then as fast as one core can send them.

    A small TCP write costs more than reading it, so the load would be the limit of a fast server. In held rounds it is
    done with its work when the server may look, and only the time in which the server runs is counted. All else that
    a server does, like writing totals and acknowledging them, falls into that time, too.
    """
    sizes = place.sizes
    with contender.start(place.folder, core=place.core) as running, Crowd(running, sizes.intake) as crowd:
        crowd.connect()
        wrong = check_connected(crowd)
        held_rounds(crowd, sizes.warm_up_s)
        rounds = held_rounds(crowd, sizes.intake_s)
        sustained = sustained_rounds(crowd, sizes.intake_s / 2, sizes.warm_up_s)
        wrong += check_promises(crowd, sizes.patience_s)
    return {"intake": {**describe_intake(rounds, sustained), "sockets": sizes.intake, "wrong": wrong}}


def describe_intake(held: Rounds, sustained: Rounds) -> Row:
    each, share = held.cpu_s / held.reports * 1e6, sustained.cpu_s / sustained.seconds
    rate = sustained.reports / sustained.seconds
    return {
        "value": held.reports / held.seconds,
        "unit": "reports/s",
        "cpu_us_per_report": each,
        "server_share": held.cpu_s / held.seconds,
        "sustained_per_s": rate,
        "sustained_server_share": share,
        "held": held._asdict(),
        "sustained": sustained._asdict(),
        "details": f"{each:.1f} µs CPU each; as fast as the load can send {rate:,.0f}/s, server {share:.0%} busy",
    }


def join_intakes(turns: list[Row]) -> Row:
    """All reports over all the time."""
    held, sustained = (add_rounds([Rounds(**row[kind]) for row in turns]) for kind in ("held", "sustained"))
    return describe_intake(held, sustained)


def fanout(contender: Any, place: Place) -> Rows:
    """One message of 250 bytes to everybody, first to few, then to many."""
    rows: Rows = {}
    seconds = place.sizes.close_fanout_s if contender.key in CLOSE else place.sizes.fanout_s
    with contender.start(place.folder, core=place.core) as running, Crowd(running, 0) as crowd:
        for sockets in place.sizes.fanout:
            crowd.add(sockets - len(crowd.phones))
            crowd.connect()
            arrivals = broadcast_rounds(crowd, place.sizes, seconds)
            rows[f"fanout {sockets}"] = {
                **describe_rounds([describe_arrivals(row) for row in arrivals[1:] if row.times]),
                "sockets": crowd.ready,
                "wrong": check_connected(crowd) + check_arrivals(arrivals),
            }
        rows[f"fanout {sockets}"]["wrong"] += check_promises(crowd, place.sizes.patience_s)
    return rows


def join_fanouts(turns: list[Row]) -> Row:
    """The rounds of all of them."""
    return describe_rounds([figures for row in turns for figures in row["each"]])


def broadcast_rounds(crowd: Crowd, sizes: Sizes, seconds: float) -> list[Arrivals]:
    """As many rounds as fit, but at least four: the first one warms up."""
    arrivals: list[Arrivals] = []
    until = perf_counter() + seconds
    while len(arrivals) < 4 or (perf_counter() < until and len(arrivals) <= sizes.rounds):
        arrivals.append(crowd.broadcast(sizes.fanout_patience_s))
    return arrivals


def describe_arrivals(arrivals: Arrivals) -> dict[str, float]:
    """The figures of one broadcast."""
    times = arrivals.times
    first, middle, p99, last = ((percentile(times, share) or 0.0) * 1000 for share in (0.0, 0.5, 0.99, 1.0))
    return {
        "value": len(times) / times[-1],
        "first_ms": first,
        "median_ms": middle,
        "p99_ms": p99,
        "last_ms": last,
        "cpu_us_per_delivery": arrivals.cpu_s / len(times) * 1e6,
    }


def describe_rounds(each: list[dict[str, float]]) -> Row:
    """The figures of some broadcasts: of each the median."""
    unit = {"unit": "deliveries/s", "each": each}
    if not each:
        return {"value": None, "details": "", **unit}
    middle = {name: median([figures[name] for figures in each]) for name in each[0]}
    times = "first {first_ms:,.0f} ms, median {median_ms:,.0f}, p99 {p99_ms:,.0f}, last {last_ms:,.0f}"
    return {**middle, **unit, "details": f"{times.format(**middle)}; {len(each)} rounds"}


def memory(contender: Any, place: Place) -> Rows:
    """Resident memory per idle phone that said hello, without what the process has for the first one."""
    sockets = place.sizes.memory
    with contender.start(place.folder, core=place.core) as running, Crowd(running, 1) as crowd:
        crowd.connect()
        sleep(0.5)
        before = resident_kib(running.pids)
        crowd.add(sockets)
        crowd.connect()
        sleep(1.0)
        after, wrong = resident_kib(running.pids), check_connected(crowd)
        wrong += check_promises(crowd, place.sizes.patience_s)
    return {
        "memory": {
            "value": (after - before) / sockets,
            "unit": "KiB/socket",
            "process_mib": after / 1024,
            "sockets": sockets,
            "details": f"process {after / 1024:,.0f} MiB with {sockets:,} phones, {before / 1024:,.0f} with one",
            "wrong": wrong,
        }
    }


def storm(contender: Any, place: Place) -> Rows:
    """Everybody connects in the same moment; of ours, as many as a process may hold, too."""
    sizes = place.sizes
    crowds = [sizes.storm, sizes.storm_of_ours] if contender.key == "gateway" else [sizes.storm]
    return {f"storm {sockets}": _storm(contender, place, sockets) for sockets in crowds}


def join_storms(storms: list[Row]) -> Row:
    """The one in the middle, with the failures of all of them."""
    each = sorted(storms, key=lambda row: row["value"] or 0.0)
    middle, failed = each[len(each) // 2], sum(row["failures"] for row in each)
    rates = [row["value"] or 0.0 for row in each]
    return {
        **middle,
        "failures": failed,
        "each": rates,
        "details": f"{failed} failed; {middle['details']}; of {', '.join(f'{rate:,.0f}' for rate in rates)}",
    }


def _storm(contender: Any, place: Place, sockets: int) -> Row:
    with contender.start(place.folder, core=place.core) as running, Crowd(running, 1) as early:
        early.connect()  # the process has served somebody before
        with Crowd(running, sockets, first=1) as crowd:
            cpu_before = crowd.cpu_seconds()
            times = crowd.connect(at_once=sockets)
            cpu_s = crowd.cpu_seconds() - cpu_before
            failed = sockets - len(times)
            lasted_s = crowd.arrived_s if times else 0.0
            wrong = check_connected(crowd) + check_promises(crowd, place.sizes.patience_s)
    p99 = percentile(times, 0.99) or 0.0
    # The load has to start them all: where the server is not busy, that is what takes the time.
    each, share = cpu_s / max(1, len(times)) * 1e6, cpu_s / lasted_s if times else 0.0
    cost = f"{each:.0f} µs CPU each, server {share:.0%} busy"
    return {
        "value": len(times) / lasted_s if times else None,
        "unit": "welcomes/s",
        "cpu_us_per_welcome": each,
        "server_share": share,
        "sockets": sockets,
        "failures": failed,
        "p99_ms": p99 * 1000,
        "last_ms": lasted_s * 1000,
        "details": f"p99 {p99 * 1000:,.0f} ms, last {lasted_s * 1000:,.0f}; {cost}",
        "wrong": wrong,
    }


def mixed(contender: Any, place: Place) -> Rows:
    """Phones report once a second while pulses go out, and then a result."""
    sizes = place.sizes
    with contender.start(place.folder, core=place.core) as running, Crowd(running, sizes.mixed) as crowd:
        crowd.connect()
        wrong, load = check_connected(crowd), OpenLoop(crowd)
        load.run(sizes.mixed_s / 4)
        sent, pulses, cpu_before, start = crowd.sent, load.pulses, crowd.cpu_seconds(), perf_counter()
        measured_s = sizes.mixed_s * 3 / 4
        load.run(measured_s, [*_pulses(running, measured_s), (sizes.mixed_s / 2, load.announce)])
        cpu_s, seconds = crowd.cpu_seconds() - cpu_before, perf_counter() - start
        reports, pulses = crowd.sent - sent, load.pulses - pulses
        wrong += check_result(load, sizes.patience_s)
        wrong += check_promises(crowd, sizes.patience_s)
    row = describe_mixed(load, reports, cpu_s, seconds)
    each = pulses / sizes.mixed / seconds
    row["details"] += f"; {each:.1f} pulses a second and phone"
    return {"mixed": {**row, "pulses_per_second": each, "sockets": sizes.mixed, "wrong": wrong}}


def _pulses(running: Any, seconds: float) -> list[tuple[float, Callable[[], None]]]:
    """Once a second where the server sends none of itself, as ours does: as many of them with its acks."""
    if running.dialect.ack is not None:
        return []
    return [(float(tick), lambda: running.broadcast(b"pulse")) for tick in range(round(seconds))]


def check_result(load: OpenLoop, patience_s: float = 5.0) -> list[str]:
    """Everybody who was there and stayed has got the result."""
    deadline = perf_counter() + patience_s
    while load.missing and perf_counter() < deadline:
        load.run(0.2)
    return [f"{load.missing:,} of {load.expected:,} phones did not get the result"] if load.missing else []


def describe_mixed(load: OpenLoop, reports: int, cpu_s: float, seconds: float) -> Row:
    acks = load.acks_from(0)
    ack_ms = [counted_percentile(acks, share) for share in (0.5, 0.99)]
    arrived_ms = [(percentile(load.arrivals, share) or 0.0) * 1000 for share in (0.5, 0.99)]
    acked = "no acks" if ack_ms[0] is None else f"ack p50 {ack_ms[0]} ms, p99 {ack_ms[1]}"
    return {
        "value": cpu_s / reports * 1e6,
        "unit": "CPU s/M reports",
        "server_share": cpu_s / seconds,
        "ack_p50_ms": ack_ms[0],
        "ack_p99_ms": ack_ms[1],
        "result_p50_ms": arrived_ms[0],
        "result_p99_ms": arrived_ms[1],
        "load_late_ms": load.late_s * 1000,
        "details": f"{acked}; result p50 {arrived_ms[0]:,.0f} ms, p99 {arrived_ms[1]:,.0f};"
        f" server {cpu_s / seconds:.0%} busy",
    }


# --- turns ---

JOINS = {"intake": join_intakes, "fanout": join_fanouts, "storm": join_storms}


def join_turns(name: str, turns: list[Rows | Failed]) -> Rows:
    """A contender's turns as if they were one. Who failed in one of them has no figure."""
    done = [turn for turn in turns if not isinstance(turn, Failed)]
    if len(done) < len(turns):
        wrong = [what for turn in done for row in turn.values() for what in row["wrong"]]
        failures = [str(turn) for turn in turns if isinstance(turn, Failed)]
        return {name: {"value": None, "unit": "", "details": "", "wrong": [*failures, *wrong]}}
    return (
        done[0]
        if len(done) == 1
        else {label: _join(name, [turn[label] for turn in done]) for label in done[0]}
    )


def _join(name: str, rows: list[Row]) -> Row:
    return {**rows[-1], **JOINS[name](rows), "wrong": [what for row in rows for what in row["wrong"]]}
