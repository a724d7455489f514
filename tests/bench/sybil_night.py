"""A night with many honest guests and a farm among them: totals and origins as the tally would hold them, and from
there on the real engine: tickets, the review of blocks, the roll, and its winners for some seeds.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engagement.core.shakes import clamp
from engagement.fair_play.core.origins import BLOCK_BYTES, Origin
from engagement.mock.hand import HumanHand
from prizes.core.roll import pack_total
from prizes.core.sharing import Sharing
from prizes.core.tickets import TicketTable
from prizes.engine import count_shard, join_roll, join_totals, list_shared, rank_roll, sort_shard

MAX_HZ, BURST, WINDOW_S = 8, 10, 30  # the defaults of a show and of a segment
HONEST_HZ = 4.0  # as mock phones shake, and people on a couch
MOST_SHAKES = clamp(1 << 30, burst=BURST, max_hz=MAX_HZ, elapsed_ms=WINDOW_S * 1000)
# Of all honest guests: at home, in mobile networks whose addresses have a few dozen guests each, and behind a few large
# addresses (a dormitory, a hall, a small provider).
HOMES, MOBILE, LARGE = "at home", "in mobile networks", "behind a large address"
PLACES = ((HOMES, 0.55, 2), (MOBILE, 0.40, 40), (LARGE, 0.05, 500))
RESERVES = 3
ROW = np.dtype([("viewer", "u1", (14,)), ("origin", "u1", (10,))])

Rows = npt.NDArray[np.void]


class Guests(NamedTuple):
    """Viewers with their origins, 24 bytes each as in the frozen origins, and their totals."""

    rows: Rows
    totals: npt.NDArray[np.uint32]


class Outcome(NamedTuple):
    """What came out for those who were looked at: entries and tickets in the roll, and of all; places won per draw."""

    entries: int
    tickets: int
    all_tickets: int
    won: dict[int, float]  # prizes -> places, on average over the seeds
    seeds: int

    @property
    def share(self) -> float:
        """Of all tickets."""
        return self.tickets / self.all_tickets


def named(what: str, number: int, size: int) -> bytes:
    """Bytes that are the same in every run."""
    return hashlib.sha256(f"{what} {number}".encode()).digest()[:size]


def make_guests(what: str, origins: Sequence[tuple[Origin, int]], shakes: Sequence[int]) -> Guests:
    """So many viewers of each origin; the shakes go round."""
    counts = [count for _, count in origins]
    rows = np.empty(sum(counts), ROW)
    seed = int.from_bytes(named(what, 0, 8), "big")
    rows["viewer"] = np.random.default_rng(seed).integers(0, 256, (len(rows), 14), np.uint8)
    packed = np.array([np.frombuffer(origin.pack(), np.uint8) for origin, _ in origins], np.uint8)
    rows["origin"] = np.repeat(packed.reshape(-1, 10), counts, axis=0)
    return Guests(rows, np.resize(np.array(shakes, np.uint32), len(rows)))


def make_known(origins: dict[bytes, bytes], total: int) -> Guests:
    """Viewers who have really reported, with the origins that the tally has of them."""
    data = b"".join(viewer + origin for viewer, origin in origins.items())
    return Guests(np.frombuffer(data, ROW), np.full(len(origins), total, np.uint32))


def together(*groups: Guests) -> Guests:
    return Guests(
        np.concatenate([one.rows for one in groups]), np.concatenate([one.totals for one in groups])
    )


def honest_shakes(window_s: int = WINDOW_S, people: int = 2_000) -> list[int]:
    """What people shake in a window."""
    rng = Random(1)
    return [HumanHand(HONEST_HZ, rng).shake(window_s * 1000, rng) for _ in range(people)]


def place_of(what: str, number: int, carrier: int = 0) -> Origin:
    """The origin of a guest in block `number` of a kind of place."""
    return Origin("guest", carrier, named(what, number, BLOCK_BYTES))


def honest_guests(guests: int, *, large_carrier: int = 0, beside: bytes | None = None) -> dict[str, Guests]:
    """So many, by place; the large addresses are those of a carrier that the rules name, or of none.

    One of them is the block `beside`, if there is one: somebody else's, too.
    """
    shakes, found = honest_shakes(), {}
    for what, share, together_ in PLACES:
        many, carrier = round(guests * share), large_carrier if what == LARGE else 0
        blocks = -(-many // together_)
        counts = [together_] * (blocks - 1) + [many - together_ * (blocks - 1)]
        origins = [(place_of(what, number, carrier), count) for number, count in enumerate(counts)]
        if what == LARGE and beside is not None:
            origins[0] = origins[0][0]._replace(block=beside), origins[0][1]
        found[what] = make_guests(what, origins, shakes)
    return found


# --- through the engine ---


class Night:
    """The files of one night in a folder; `sharing` is what its rules say, `tickets` their ticket table."""

    def __init__(
        self, folder: Path, guests: Guests, sharing: Sharing, tickets: Sequence[Sequence[int]]
    ) -> None:
        self._folder = folder
        order = np.argsort(guests.rows["viewer"][:, :8].copy().view(">u8").reshape(-1), kind="stable")
        rows, table = guests.rows[order], TicketTable([list(row) for row in tickets])
        raw, origins, totals = (folder / name for name in ("raw", "origins", "totals"))
        raw.write_bytes(_pack(rows, guests.totals[order]))
        origins.write_bytes(rows.tobytes())
        sort_shard(raw, folder / "shard")
        digest = join_totals([folder / "shard"], totals).sha256
        count_shard(totals, table, [], folder / "part", origins, sharing)
        self.shared = list_shared([folder / "part"], [origins], sharing, digest, folder / "left-out")
        roll, tree = folder / "roll", folder / "tree"
        self.roll = join_roll(
            [folder / "part"], bytes(32), table.tmax, roll, tree, left_out=folder / "left-out"
        )

    def outcome(self, of: Guests, prizes: Sequence[int], seeds: int) -> Outcome:
        """What these viewers have in the roll, and win of so many prizes in draws with so many keys."""
        roll = np.frombuffer(
            (self._folder / "roll").read_bytes()[64:], [("viewer", "V14"), ("tickets", ">u2")]
        )
        mine = np.isin(_heads(roll["viewer"]), _heads(of.rows["viewer"]))
        tickets, won = int(roll["tickets"][mine].sum()), dict.fromkeys(prizes, 0)
        for seed in range(seeds):
            ranked = rank_roll(self._folder / "roll", named("key", seed, 32), max(prizes) + RESERVES)
            places = [bool(mine[row.index]) for row in ranked]
            for many in prizes:
                won[many] += sum(places[:many])
        averages = {many: total / max(1, seeds) for many, total in won.items()}
        return Outcome(int(mine.sum()), tickets, self.roll.tickets, averages, seeds)


def _pack(rows: Rows, totals: npt.NDArray[np.uint32]) -> bytes:
    """As `pack_total` does, for all at once."""
    packed = np.empty(len(rows), [("viewer", "u1", (14,)), ("total", ">u4")])
    packed["viewer"], packed["total"] = rows["viewer"], totals
    assert not len(rows) or packed[:1].tobytes() == pack_total(rows["viewer"][0].tobytes(), int(totals[0]))
    return packed.tobytes()


def _heads(viewers: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """The first 8 bytes of each, which nobody shares by chance."""
    data = np.ascontiguousarray(viewers).view(np.uint8).reshape(-1, 14)
    heads: npt.NDArray[np.uint64] = data[:, :8].copy().view(np.uint64).reshape(-1)
    return heads
