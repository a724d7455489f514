"""The phases of the benchmark, each run in a process of its own, so that its peak memory is its own.

`python -m tests.bench.phases NAME FOLDER [NUMBER ...]` prints a JSON object; what is said on the way goes to stderr.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from engagement.core.digests import canonical_json, tagged_hash
from prizes import engine
from prizes.core.digests import draw_key, roll_digest
from prizes.core.record import NOTHING_BEFORE, Ranked, build_record, build_seal, encode_record
from prizes.core.roll import ENTRY_BYTES, HEADER_BYTES, TOTAL_BYTES, parse_header
from prizes.core.tickets import TicketTable
from tests.prizes import draws

TABLE = [[10 * tickets, tickets] for tickets in range(1, 11)]
PRIZES, RESERVES = 10, 10
HASHED_TICKETS = 200_000
KEPT = PRIZES + RESERVES


class Clock:
    """Seconds and seconds of the processor since the last look, and lines about what takes long."""

    def __init__(self) -> None:
        self._wall, self._cpu, self._said = time.perf_counter(), time.process_time(), time.monotonic()

    def lap(self, size: int = 0) -> dict[str, Any]:
        wall, cpu = time.perf_counter(), time.process_time()
        found = {"value": wall - self._wall, "unit": "s", "cpu_s": cpu - self._cpu, "bytes": size}
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return {**found, "peak_rss_mib": peak_rss_mib()}

    def say(self, what: str, done: int, everything: int) -> None:
        if time.monotonic() > self._said + 1.5:
            print(f"    {what}: {done:,} of {everything:,}", file=sys.stderr, flush=True)
            self._said = time.monotonic()


def peak_rss_mib() -> float:
    """The most memory this process has held, in MiB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def paths(folder: Path, kind: str, shards: int) -> list[Path]:
    return [folder / f"{kind}-{number:03}.bin" for number in range(shards)]


def size_of(files: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files)


# --- files to start from ---


def make(folder: Path, entries: int, shards: int) -> dict[str, Any]:
    """Raw shards as they are dumped: random viewers of 1 to 10 tickets, the same whatever the number of shards."""
    clock, first = Clock(), 0
    for number, path in enumerate(paths(folder, "raw", shards)):
        with path.open("wb") as file:
            stop = -(-(number + 1) * 256 // shards)
            for byte in range(first, stop):
                file.write(viewers(byte, entries * (byte + 1) // 256 - entries * byte // 256))
            first = stop
        clock.say("raw shards", number + 1, shards)
    return {"make": clock.lap(size_of(paths(folder, "raw", shards)))}


def viewers(first_byte: int, count: int) -> bytes:
    random = np.random.default_rng([2026, first_byte])
    rows = np.frombuffer(bytearray(random.bytes(count * TOTAL_BYTES)), np.uint8).reshape(-1, TOTAL_BYTES)
    rows[:, 0] = first_byte
    rows[:, 14:] = random.integers(10, 110, count).astype(">u4").view(np.uint8).reshape(-1, 4)
    return rows.tobytes()


# --- the engine ---


def rules() -> dict[str, Any]:
    return draws.make_rules(PRIZES, RESERVES, "dice", {"tickets": TABLE})


def rules_digest() -> bytes:
    return tagged_hash("shake-draw/v2/rules", canonical_json(rules()))


def freeze_shards(folder: Path, shards: int, mine: range) -> None:
    raw, totals, parts = (paths(folder, kind, shards) for kind in ("raw", "totals", "part"))
    for number in mine:
        engine.sort_shard(raw[number], totals[number])
        engine.count_shard(totals[number], TicketTable(TABLE), [], parts[number])


def join(folder: Path, shards: int) -> engine.RollSummary:
    return engine.join_roll(
        paths(folder, "part", shards),
        rules_digest(),
        TABLE[-1][1],
        folder / "roll.bin",
        folder / "tree.bin",
    )


def freeze(folder: Path, shards: int) -> dict[str, Any]:
    """From raw shards to the roll with its root; then the totals for the auditor, and waiting for the disk."""
    raw, totals, parts = (paths(folder, kind, shards) for kind in ("raw", "totals", "part"))
    size, clock, table, found = size_of(raw), Clock(), TicketTable(TABLE), {}
    for number in range(shards):
        engine.sort_shard(raw[number], totals[number])
        clock.say("sorted shards", number + 1, shards)
    found["sort"] = clock.lap(size)
    for number in range(shards):
        engine.count_shard(totals[number], table, [], parts[number])
    found["count"] = clock.lap(size)
    summary = join(folder, shards)
    found["roll"] = clock.lap(size)
    for path in parts:
        path.unlink()  # the roll has them; what is not there any more need not be written to the disk
    clock.lap()
    engine.join_totals(totals, folder / "totals.bin")
    found["totals"] = clock.lap(size)
    for path in (*totals, folder / "roll.bin", folder / "totals.bin"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    found["disk"] = clock.lap(2 * size + size_of([folder / "roll.bin"]))
    return {**found, "root": summary.root.hex(), "entries": summary.entries, "tickets": summary.tickets}


def draw(folder: Path) -> dict[str, Any]:
    """The ranking of the whole roll, and proofs for the listed."""
    roll, clock = folder / "roll.bin", Clock()
    size = size_of([roll])
    ranked = engine.rank_roll(roll, key_of(folder), KEPT, progress=lambda *done: clock.say("ranked", *done))
    found = {"rank": clock.lap(size)}
    draws.prove(folder / "tree.bin", (size - HEADER_BYTES) // 16, [row.index for row in ranked])
    return {**found, "prove": clock.lap(), "ranking": digest_of(ranked)}


def key_of(folder: Path) -> bytes:
    value, _, beacon = draws.make_beacon("dice")
    secrets = {name: row.secret for name, row in draws.REVEALS.items()}
    sealed = roll_digest(*roll_of(folder)), bytes(32), NOTHING_BEFORE
    return draw_key(build_seal(rules(), *sealed, secrets, draws.T_FREEZE), beacon, value)


def roll_of(folder: Path) -> tuple[bytes, bytes]:
    """Header and root of the roll as it was frozen."""
    with (folder / "roll.bin").open("rb") as roll, (folder / "tree.bin").open("rb") as tree:
        tree.seek(-32, os.SEEK_END)
        return roll.read(HEADER_BYTES), tree.read()


def digest_of(ranked: list[Ranked]) -> str:
    return hashlib.sha256(repr(ranked).encode()).hexdigest()


def record(folder: Path) -> dict[str, Any]:
    """A whole record of this draw for the verifier."""
    (header, root), (value, proof, _) = roll_of(folder), draws.make_beacon("dice")
    ranked = engine.rank_roll(folder / "roll.bin", key_of(folder), KEPT)
    indexes = [row.index for row in ranked]
    made = build_record(
        rules=rules(),
        precommitted_at=draws.OPENS - 60_000,
        precommitment_ledger=3,
        opens_at=draws.OPENS,
        closes_at=draws.CLOSES,
        roll_header=header,
        roll_root=root,
        totals_digest=bytes(32),
        reveals=draws.REVEALS,
        sealed_at=draws.T_FREEZE * 1000 + 500,
        t_freeze=draws.T_FREEZE,
        beacon_value=value,
        beacon_proof=proof,
        ranked=ranked,
        proofs=draws.prove(folder / "tree.bin", parse_header(header).entries, indexes),
        prior=NOTHING_BEFORE,
        pending_wins={},
        ledger={"freeze": 7, "seal": 9, "beacon": 11, "start": 12},
        software={"software": "33" * 32, "verifier": "44" * 32},
    )
    (folder / "record.json").write_bytes(encode_record(made))
    return {}


# --- on two workers ---


def work(folder: Path, shards: int, worker: int, workers: int) -> dict[str, Any]:
    freeze_shards(folder, shards, range(worker, shards, workers))
    return {}


def rank_part(folder: Path, shards: int, worker: int, workers: int) -> dict[str, Any]:
    """Rank every n-th of as many ranges as there are shards."""
    entries = (size_of([folder / "roll.bin"]) - HEADER_BYTES) // ENTRY_BYTES
    for number in range(worker, shards, workers):
        start, stop = entries * number // shards, entries * (number + 1) // shards
        rows = engine.rank_roll(folder / "roll.bin", key_of(folder), KEPT, start, stop)
        packed = [[row.pseudonym.hex(), row.tickets, row.ticket, row.score.hex(), row.index] for row in rows]
        (folder / f"ranking-{number}.json").write_text(json.dumps(packed))
    return {}


def join_all(folder: Path, shards: int) -> dict[str, Any]:
    join(folder, shards)
    engine.join_totals(paths(folder, "totals", shards), folder / "totals.bin")
    return {}


def merge(folder: Path, shards: int) -> dict[str, Any]:
    parts = []
    for number in range(shards):
        rows = json.loads((folder / f"ranking-{number}.json").read_text())
        parts.append([Ranked(bytes.fromhex(p), n, j, bytes.fromhex(s), index) for p, n, j, s, index in rows])
    return {"ranking": digest_of(engine.merge_rankings(parts, KEPT))}


# --- what one would do instead ---


def contend_sort(folder: Path, shards: int) -> dict[str, Any]:
    """Sort each shard by `np.sort` of words that end in the row's index, and hash and write it."""
    clock, mask = Clock(), np.uint64((1 << 26) - 1)
    raw = paths(folder, "raw", shards)
    for number, path in enumerate(raw):
        rows = np.frombuffer(path.read_bytes(), np.uint16).reshape(-1, TOTAL_BYTES // 2)
        words = np.ndarray(len(rows), ">u8", rows.data, 0, TOTAL_BYTES).astype(np.uint64)
        words = np.sort(words & ~mask | np.arange(len(rows), dtype=np.uint64))
        data = rows[(words & mask).astype(np.int64)].data
        (folder / "contender.bin").write_bytes(data)
        hashlib.sha256(data).digest()
        clock.say("sorted shards", number + 1, shards)
    return {"np.sort": clock.lap(size_of(raw))}


def contend_hash(folder: Path) -> dict[str, Any]:
    """A SHA-256 of every ticket in a loop, of the first ones, scaled up to the whole roll."""
    roll, clock, hashed, best = folder / "roll.bin", Clock(), 0, b"\xff" * 32
    with roll.open("rb") as file:
        body = file.read(HEADER_BYTES + ENTRY_BYTES * HASHED_TICKETS)[HEADER_BYTES:]
    for start in range(0, len(body), ENTRY_BYTES):
        name, tickets = body[start : start + 14], int.from_bytes(body[start + 14 : start + 16], "big")
        for ticket in range(tickets):
            best = min(best, hashlib.sha256(b"key" + name + ticket.to_bytes(2, "big")).digest())
        hashed += tickets
        if hashed >= HASHED_TICKETS:
            break
    lap, scale = clock.lap(size_of([roll])), parse_header(roll_of(folder)[0]).tickets / hashed
    lap.update(value=lap["value"] * scale, cpu_s=lap["cpu_s"] * scale, scaled_from_tickets=hashed)
    return {"SHA-256 loop": lap}


def contend_choice(folder: Path) -> dict[str, Any]:
    """`Generator.choice` without replacement, by weights: quick, but nobody can check a viewer's score."""
    clock, roll = Clock(), folder / "roll.bin"
    tickets = np.fromfile(roll, ">u2", offset=HEADER_BYTES)[7::8].astype(np.float64)
    np.random.default_rng(2026).choice(len(tickets), KEPT, replace=False, p=tickets / tickets.sum())
    return {"numpy choice": clock.lap(size_of([roll]))}


PHASES: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (
        *(make, freeze, draw, record, work, rank_part, join_all, merge),
        *(contend_sort, contend_hash, contend_choice),
    )
}

if __name__ == "__main__":
    name, folder_name, *numbers = sys.argv[1:]
    print(json.dumps(PHASES[name](Path(folder_name), *map(int, numbers))))
