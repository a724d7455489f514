"""The farms that are compared, what an hour allows each of them, and what comes out for them and for honest guests."""

import tempfile
from collections.abc import Sequence
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from engagement.core.show_state import FairPlayState
from engagement.fair_play.core.budgets import CODE_BUDGETS, SLACK, counters_of, level_of
from engagement.fair_play.core.origins import Origin, parse_origin
from prizes.core.sharing import NOTHING_SHARED, Sharing
from prizes.core.tickets import TicketTable
from tests.bench.sybil_night import (
    BURST,
    LARGE,
    MAX_HZ,
    MOST_SHAKES,
    Guests,
    Night,
    honest_guests,
    honest_shakes,
    make_guests,
    make_known,
    together,
)

GOAL = 0.01  # of what the naive farm won before
PRIZES = (3, 100)
HOURS = 6  # a pass is good for so long, so that a farm may begin so early
FACTOR = 50  # of a carrier, where one is named
FREE_KINDS = frozenset({1, 2, 3})  # guest, work, code
DEFAULTS = FairPlayState()
SLOW = 1_000_000  # a roll with more entries is drawn with a tenth of the seeds


class Sizes(NamedTuple):
    """Of a run: honest guests; entries and passes that are really made; processor hours of a farm; draws."""

    honest: int
    naive: int
    worked: int
    codes: int
    cpu_hours: int
    seeds: int


class Measured(NamedTuple):
    """What a real gateway gave a farm in one hour, what that cost in processor seconds, and what the tally then had."""

    free_ipv4: int
    free_home: int
    free_site: int
    worked: int
    codes: int
    try_cpu_s: float
    origins: dict[bytes, bytes]
    entry_cpu_s: float = 0.0
    gateway_cpu_s: float = 0.0


class Contender(NamedTuple):
    """A farm: passes by where they come from (an IPv4 address, a /48), the processor seconds of all its work and of the
    least that fills its blocks, and what the rules say."""

    key: str
    title: str
    ipv4: int
    site: int
    cpu_s: float
    least_cpu_s: float
    sharing: Sharing
    carrier: int = 0  # of its IPv4 address
    crowds: bool = False  # its IPv4 address has honest guests, too
    is_goal: bool = True  # the defaults: it must not win 1 % of what the first one won


def default_sharing(*factors: int) -> Sharing:
    """What a new show says, with these carriers. Django is set up by now, not when this file is read."""
    from engagement.fair_play.models import FairPlay

    return Sharing(FREE_KINDS, FairPlay().shared_entries, (1, *factors), {})


def default_tickets() -> list[list[int]]:
    from prizes.models import default_tickets as of_a_new_list

    return of_a_new_list()


# --- what passes cost ---


def tries_for(passes: int, budget: int) -> float:
    """Tries on average for so many passes in one hour, by whoever saves up challenges that are one level easier."""
    return sum(counters_of(_saved(level_of(done, budget))) / 2 for done in range(passes))


def worked_within(tries: float, budget: int) -> int:
    """How many passes so many tries buy in one hour."""
    for done in count():
        tries -= counters_of(_saved(level_of(done, budget))) / 2
        if tries < 0:
            return done
    raise AssertionError("it does not end without an answer")


def _saved(level: int) -> int:
    return max(0, level - SLACK)


# --- the farms ---


def make_contenders(measured: Measured, sizes: Sizes) -> list[Contender]:
    """The naive farm as before, the naive farm with the defaults, and stronger ones."""
    entry, free4, site = measured.entry_cpu_s, measured.free_ipv4, measured.free_site
    shared, places = default_sharing(), default_sharing().entries
    cpu_s = 3600.0 * sizes.cpu_hours
    naive = int(min(cpu_s / entry, 3600 / measured.gateway_cpu_s))
    tries = cpu_s / measured.try_cpu_s
    home = DEFAULTS.passes_ipv6_64
    work = free4 + worked_within(tries / 2, free4), measured.free_home + worked_within(tries / 2, home)
    least = tries_for(max(0, places - free4), free4) + tries_for(max(0, places - measured.free_home), home)
    hourly = [worked_within(tries / 2 / HOURS, budget) for budget in (free4, site)]
    spread = HOURS * (free4 + hourly[0]), HOURS * (site + hourly[1])
    every = spread[0] + HOURS * CODE_BUDGETS * free4, spread[1] + HOURS * CODE_BUDGETS * site
    return [
        Contender(
            "before", "before: the naive farm", naive, 0, naive * entry, entry, NOTHING_SHARED, is_goal=False
        ),
        Contender("naive", "the naive farm", free4, measured.free_home, 0, 0, shared),
        Contender(
            "work", f"works for {sizes.cpu_hours} CPU hours", *work, cpu_s, least * measured.try_cpu_s, shared
        ),
        Contender("spread", f"works, {HOURS} h, a /64 a pass", *spread, cpu_s, 0, shared),
        Contender("every", "the same, and types codes, renews", *every, cpu_s, 0, shared),
        Contender("crowd", "the same, crowds out its neighbours", *every, cpu_s, 0, shared, crowds=True),
        Contender(
            "carrier",
            f"the same, behind a carrier with factor {FACTOR}",
            every[0] * FACTOR,
            every[1],
            cpu_s,
            0,
            default_sharing(FACTOR),
            carrier=1,
            crowds=True,
            is_goal=False,
        ),
    ]


def farm_of(contender: Contender, measured: Measured) -> Guests:
    """Its viewers: those who have really reported as far as they are this one's, and as many more as it has passes."""
    ipv4 = next(parse_origin(one) for one in measured.origins.values() if _is_work(one))
    site = next(
        parse_origin(one) for one in measured.origins.values() if parse_origin(one).block != ipv4.block
    )
    known, more = dict[bytes, bytes](), list[tuple[Origin, int]]()
    for place, wanted in ((ipv4, contender.ipv4), (site, contender.site)):
        carrier = contender.carrier if place is ipv4 else 0
        mine = (
            {}
            if carrier
            else {viewer: origin for viewer, origin in measured.origins.items() if origin[2:] == place.block}
        )
        mine = dict(list(mine.items())[:wanted])
        known |= mine
        more.append((place._replace(kind="guest", carrier=carrier), wanted - len(mine)))
    synthetic = make_guests(contender.key, more, [MOST_SHAKES])
    return together(make_known(known, MOST_SHAKES), synthetic) if known else synthetic


def _is_work(origin: bytes) -> bool:
    return parse_origin(origin).kind == "work"


# --- a night with one of them ---


def run_contender(contender: Contender, measured: Measured, sizes: Sizes, folder: Path) -> dict[str, Any]:
    farm = farm_of(contender, measured)
    beside = farm.rows["origin"][0].tobytes()[2:] if contender.crowds else None
    honest = honest_guests(sizes.honest, large_carrier=contender.carrier, beside=beside)
    seeds = sizes.seeds if len(farm.rows) < SLOW else max(1, sizes.seeds // 10)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        night = Night(Path(name), together(*honest.values(), farm), contender.sharing, default_tickets())
        outcome = night.outcome(farm, PRIZES, seeds)
    cpu_s = contender.cpu_s + (len(farm.rows) * measured.entry_cpu_s if contender.key != "before" else 0)
    return {
        "key": contender.key,
        "title": contender.title,
        "passes": len(farm.rows),
        "entries": outcome.entries,
        "tickets": outcome.tickets,
        "share": outcome.share,
        "expected": {prizes: prizes * outcome.share for prizes in PRIZES},
        "drawn": outcome.won,
        "seeds": outcome.seeds,
        "cpu_h": cpu_s / 3600,
        **_price(contender, measured, outcome.entries, outcome.tickets, outcome.all_tickets),
        "is_goal": contender.is_goal,
    }


def _price(
    contender: Contender, measured: Measured, entries: int, mine: int, all_tickets: int
) -> dict[str, Any]:
    """What one prize of three costs on average: as many entries as have half of the tickets of all others."""
    needed = (all_tickets - mine) / 2 / (mine / entries)
    farms = needed / entries  # so many of this one, each with its addresses
    cpu_s = needed * measured.entry_cpu_s + (
        0 if contender.key == "before" else farms * contender.least_cpu_s
    )
    addresses = 1 if contender.key == "before" else 2 * max(1, ceil(farms))
    return {"entries_a_prize": round(needed), "cpu_h_a_prize": cpu_s / 3600, "addresses_a_prize": addresses}


def judge(rows: Sequence[dict[str, Any]]) -> None:
    """Adds what each one wins of what the first one won, and whether that is little enough."""
    before = rows[0]["share"]
    for row in rows:
        row["of_before"] = row["share"] / before
        row["judged"] = row["of_before"] < GOAL if row["is_goal"] else None


# --- honest guests ---


def run_honest(sizes: Sizes, folder: Path) -> dict[str, float]:
    """The share of honest guests whose entries count, by where they are."""
    found: dict[str, float] = {}
    for carrier, said in ((0, "no carrier named"), (1, f"carrier with factor {FACTOR}")):
        places = honest_guests(sizes.honest, large_carrier=carrier)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            sharing = default_sharing(FACTOR)
            night = Night(Path(name), together(*places.values()), sharing, default_tickets())
            for what, guests in places.items():
                if what == LARGE or not carrier:
                    kept = night.outcome(guests, PRIZES, 0).entries
                    found[f"{what}, {said}" if what == LARGE else what] = kept / len(guests.rows)
    return found


def full_blocks() -> dict[str, float]:
    """The share of two full blocks at the clamp, by honest guests who count, by the window, and by places."""
    table, places = TicketTable(default_tickets()), default_sharing().entries
    found: dict[str, float] = {}
    for guests, window_s, entries in (
        *((guests, 30, places) for guests in (1_000, 10_000, 100_000, 1_000_000)),
        *((100_000, window_s, places) for window_s in (20, 60)),
        *((100_000, 30, entries) for entries in (50, 100, 250)),
    ):
        shakes = honest_shakes(window_s)
        honest = guests * sum(map(table.tickets_for, shakes)) / len(shakes)
        mine = 2 * entries * table.tickets_for(BURST + MAX_HZ * window_s)
        found[f"{guests:,} honest guests, {window_s} s, {entries} entries a block"] = mine / (mine + honest)
    return found
