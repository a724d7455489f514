"""What a farm of guest passes wins among honest guests, and what it costs: `make bench-sybil`, or `--help`.

One machine, one IPv4 address, one IPv6 /48. The farm's passes are taken from a real gateway over HTTP, with real work
and real reports, as far as the sample goes; the rest is calculated from what the sample cost, and takes its place in
the tally with the same origins. Honest guests are in the tally only. From there the real engine reviews, rolls and
draws. Exit status 1: a farm wins 1 % or more of what the naive farm won before there were budgets.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.contenders import CONTENDERS
from tests.bench.contenders.gateway import SEGMENT, Show
from tests.bench.draw import at_least, describe_machine, say
from tests.bench.farm import IPV4, Farm, one_address, one_home, whole_site
from tests.bench.gateway import pin
from tests.bench.processes import cpu_seconds
from tests.bench.sybil_contenders import (
    GOAL,
    Measured,
    Sizes,
    full_blocks,
    judge,
    make_contenders,
    run_contender,
    run_honest,
)
from tests.bench.sybil_night import MAX_HZ, MOST_SHAKES
from tests.bench.table import OURS
from tests.migrated import make_once

HOUR_S = 3_600
BEFORE = {"ways": [], "passes_ipv4": 1_000_000, "passes_ipv6_64": 1_000_000, "passes_ipv6_48": 1_000_000}
COLUMNS = (
    *("contender", "passes", "entries", "tickets", "of 3", "of 100", "drawn of 100", "of before"),
    *("CPU h", "CPU h a prize", "addresses a prize"),
)


# --- at a real gateway ---


@contextmanager
def open_show(**fair_play: Any) -> Iterator[Show]:
    """A show of its own with an open segment, the limits of a new show, and what it promises about guests."""
    import msgspec

    from engagement.broadcast import forget_state, keep_state
    from engagement.core.show_state import FairPlayState
    from engagement.keys import own
    from engagement.tally import connect

    show = Show()
    show.state = msgspec.structs.replace(show.state, max_hz=MAX_HZ, fair_play=FairPlayState(**fair_play))
    keep_state(show.state)
    try:
        yield show
    finally:
        forget_state(show.state.slug)
        shards = range(show.state.segments[0].shards)
        connect().delete(own(f"live:{show.key}"), *show.keys(), *(_origins(show, one) for one in shards))


def _origins(show: Show, shard: int) -> str:
    from engagement.keys import own

    return own(f"origins:{show.key}:{shard}")


def read_origins(show: Show) -> dict[bytes, bytes]:
    """Viewer -> origin of all who are in the tally, as docs/redis.md describes it."""
    from engagement.tally import connect

    redis: Any = connect()
    found: dict[bytes, bytes] = {}
    for shard in range(show.state.segments[0].shards):
        found |= redis.hgetall(_origins(show, shard))
    return {viewer: found[viewer] for viewer in show.read_tally()}


def measure(address: tuple[str, int], pids: list[int], sizes: Sizes) -> Measured:
    """What a farm gets from this gateway, and what that costs both."""
    say("the naive farm, as before there were budgets")
    entry_cpu_s, gateway_cpu_s = _measure_naive(address, pids, sizes)
    while True:
        say("the defaults: free passes, work, code, renewal")
        hour, found = int(time.time()) // HOUR_S, _measure_defaults(address, sizes)
        if int(time.time()) // HOUR_S == hour:  # else there were two budgets
            return found._replace(entry_cpu_s=entry_cpu_s, gateway_cpu_s=gateway_cpu_s)


def _measure_naive(address: tuple[str, int], pids: list[int], sizes: Sizes) -> tuple[float, float]:
    """Processor seconds of the farm and of the gateway for one entry."""
    with open_show(**BEFORE) as show, closing(Farm(address, show.state.slug)) as farm:
        own_s, gateway_s = time.process_time(), cpu_seconds(pids)
        taken = farm.take_free(one_address(), sizes.naive)
        told = farm.report([one.token for one in taken], SEGMENT, MOST_SHAKES)
        own_s, gateway_s = time.process_time() - own_s, cpu_seconds(pids) - gateway_s
        entries = len(show.read_tally())
    _expect("entries of the naive farm", entries, sizes.naive)
    _expect("totals of the naive farm", {one.total for one in told}, {MOST_SHAKES})
    return own_s / entries, gateway_s / entries


def _measure_defaults(address: tuple[str, int], sizes: Sizes) -> Measured:
    from engagement.fair_play.core.air_code import code_of

    with open_show(ways=["code", "work"]) as show, closing(Farm(address, show.state.slug)) as farm:
        ipv4 = farm.take_free(one_address(), 10_000)
        home = farm.take_free(one_home(), 10_000)
        site = farm.take_free(whole_site(), 10_000)
        worked = farm.work_for(one_address(), sizes.worked)
        code = code_of(show.k_show, "app", int(time.time() * 1000))
        codes = farm.type_code(IPV4, code, sizes.codes)
        passes = [*ipv4, *home, *site, *worked, *codes]
        told = farm.report([one.token for one in passes], SEGMENT, MOST_SHAKES)
        before = read_origins(show)
        renewed = [farm.renew(IPV4, one.token, said.salt) for one, said in zip(passes, told, strict=True)][
            :20
        ]
        farm.report([token for token in renewed if token], SEGMENT, MOST_SHAKES)
        origins = read_origins(show)
    _expect("passes that were renewed", None not in renewed, True)
    _expect("viewers after renewals", len(origins), len(before))
    _expect("viewers in the tally", len(before), len(passes))
    tries, cpu_s = sum(one.tries for one in worked), sum(one.cpu_s for one in worked)
    return Measured(
        free_ipv4=len(ipv4),
        free_home=len(home),
        free_site=len(home) + len(site),
        worked=len(worked),
        codes=len(codes),
        try_cpu_s=cpu_s / tries,
        origins=origins,
    )


def _expect(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise SystemExit(f"{what}: expected {expected}, got {got}")


# --- the report ---


def compare(measured: Measured, sizes: Sizes, folder: Path) -> dict[str, Any]:
    """All contenders, and how honest guests fare."""
    rows: list[dict[str, Any]] = []
    for contender in make_contenders(measured, sizes):
        say(f"a night with {contender.title}")
        rows.append(run_contender(contender, measured, sizes, folder))
    judge(rows)
    say("honest guests behind large addresses, named as carriers and not")
    return {
        "contenders": rows,
        "honest": run_honest(sizes, folder),
        "full blocks": full_blocks(),
        "measured": {key: value for key, value in measured._asdict().items() if key != "origins"},
        "really earned": len(measured.origins),
        "sizes": sizes._asdict(),
    }


def format_report(found: dict[str, Any]) -> str:
    line = "{:<44} {:>9} {:>9} {:>10} {:>7} {:>7} {:>12} {:>9} {:>7} {:>13} {:>17}"
    lines = [line.format(*COLUMNS)]
    lines += [line.format(*_cells(row)).rstrip() for row in found["contenders"]]
    measured, sizes = found["measured"], found["sizes"]
    lines += [
        "",
        f"Really earned and reported: {sizes['naive']} entries of the naive farm, {found['really earned']} of the "
        "others; all further ones are calculated from what these cost.",
        f"An entry costs the farm {1e3 * measured['entry_cpu_s']:.2f} ms and the gateway "
        f"{1e3 * measured['gateway_cpu_s']:.2f} ms, a try of the work {1e3 * measured['try_cpu_s']:.2f} ms.",
        "",
        "Honest guests whose entries count:",
        *(f"  {what:<48} {share:7.1%}" for what, share in found["honest"].items()),
        "",
        "Tickets of an attacker with one IPv4 address and one /48, both full:",
        *(f"  {what:<48} {share:7.2%}" for what, share in found["full blocks"].items()),
    ]
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> list[str]:
    judged = "" if row["judged"] is None else "" if row["judged"] else " MISSED"
    return [
        row["title"] + judged,
        f"{row['passes']:,}",
        f"{row['entries']:,}",
        f"{row['tickets']:,}",
        f"{row['expected'][3]:.3f}",
        f"{row['expected'][100]:.2f}",
        f"{row['drawn'][100]:.2f}",
        f"{row['of_before']:.2%}",
        f"{row['cpu_h']:.2f}",
        f"{row['cpu_h_a_prize']:.3f}",
        f"{row['addresses_a_prize']:,}",
    ]


# --- the command ---


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.sybil",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, default, what in (
        ("honest", 100_000, "honest guests"),
        ("naive", 2_000, "entries that the naive farm really makes"),
        ("worked", 40, "passes that are really worked for"),
        ("codes", 20, "passes that are really taken for the code on air"),
        ("cpu-hours", 16, "processor hours that a farm spends"),
        ("seeds", 200, "draws of each night"),
    ):
        parser.add_argument(
            f"--{name}", type=at_least(1), default=default, help=f"{what} (default: {default:,})"
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file, too")
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = make_parser().parse_args(arguments)
    sizes = Sizes(**{name: getattr(options, name) for name in Sizes._fields})
    contender: Any = next(one for one in CONTENDERS if one.key == OURS)
    if missing := contender.missing():
        print(missing, file=sys.stderr)
        return 2
    core = pin()
    with tempfile.TemporaryDirectory(prefix="bench-sybil-") as name:
        folder = Path(name)
        with contender.start(make_once(folder / "data"), core=core, TRUST_REAL_IP_HEADER="true") as running:
            measured = measure(running.addresses[0], running.pids, sizes)
        found = compare(measured, sizes, folder)
    print(format_report(found))
    if options.json:
        options.json.write_text(json.dumps({**found, "machine": describe_machine()}, indent=1) + "\n")
    missed = [row["title"] for row in found["contenders"] if row["judged"] is False]
    for title in missed:
        print(f"MISSED: {title} wins {GOAL:.0%} or more of what the naive farm won before", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
