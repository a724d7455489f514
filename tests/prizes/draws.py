"""Whole small draws for the tests: viewers, files, engine and record, as on the night, without a database."""

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from engagement.core.digests import canonical_json, commit, tagged_hash
from engagement.fair_play.core.promise import EXAMPLE as FAIR_PLAY
from engagement.ledger.core.checkpoints import format_vkey, sign_note, verifier_key
from prizes import engine
from prizes.core.digests import QUICKNET_CHAIN, drand_round, draw_key, exclusion_commitment
from prizes.core.receipt import receipt_statement
from prizes.core.record import (
    ABSENT,
    Prior,
    Revealed,
    build_record,
    build_seal,
    record_statement,
    select_listed,
)
from prizes.core.roll import pack_total
from prizes.core.rules import build_rules
from prizes.core.tickets import TicketTable
from prizes.verify_draw import Check, Given, Source
from prizes.verify_draw import verify_draw as check_draw

VECTORS = Path(__file__).parent.parent / "vectors"
SHOW, DRAW = "gala-2026", "gala-2026/seg-1/draw-1"
OPENS, CLOSES, T_FREEZE = 1692806240000, 1692806300000, 1692806304
OPERATOR_SECRET = bytes([0xA5]) * 32
REVEALS = {"operator": Revealed(OPERATOR_SECRET, T_FREEZE * 1000, 8), "notary": ABSENT}
TABLE = [[10, 1], [50, 2], [100, 3]]
ROUND = 1000
PENDING = (
    "draw-0",
    "gala-2026/seg-0/draw-1",
)  # their winners change no seal, so that a test can choose them afterwards
PREVIOUS = bytes([0x77]) * 32  # the seal of the show before this one
THROWN = "3141526535456323" * 4
SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"


class Drawn(NamedTuple):
    """The published files of a draw, and what only the auditor has."""

    record: dict[str, Any]
    roll: bytes
    totals: bytes
    excluded: frozenset[bytes]

    @property
    def encoded(self) -> bytes:
        return canonical_json(self.record)


def load_vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def make_viewers(count: int, seed: str = "viewers") -> dict[bytes, int]:
    """Return pseudonym -> shakes, 0 .. 127, the same for the same seed."""
    digests = [hashlib.sha256(f"{seed} {number}".encode()).digest() for number in range(count)]
    return {digest[:14]: digest[14] % 128 for digest in digests}


def make_prize(number: int) -> dict[str, Any]:
    texts = {"celebrity": "Lin Mei", "brand": "Atelier Nord", "garment": "coat", "size": "M"}
    return {
        "id": f"prize-{number}",
        "title": "Der Mantel, 大衣",
        "value_minor": 1,
        "currency": "EUR",
        **texts,
    }


def make_rules(
    prizes: int = 2, reserves: int = 2, beacon: str = "drand", changes: Any = None
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "show_id": SHOW,
        "draw_id": DRAW,
        "tickets": TABLE,
        "eligibility": "Adults in the country of the broadcast.",
        "prizes": [make_prize(number) for number in range(prizes)],
        "reserves": reserves,
        "windows": [
            {"feed": "tv", "delay_ms": 1500, "window_ms": CLOSES - OPENS},
            {"feed": "app", "delay_ms": 0, "window_ms": CLOSES - OPENS},
        ],
        "beacon_kind": beacon,
        "parties": [
            {"name": "operator", "commitment": commit(DRAW, "operator", OPERATOR_SECRET).hex()},
            {"name": "notary", "commitment": commit(DRAW, "notary", bytes(32)).hex()},
        ],
        "k_show_commitment": commit(SHOW, "k_show", bytes(range(32))).hex(),
        "exclusions_commitment": exclusion_commitment(DRAW, []).hex(),
        "software_digest": "33" * 32,
        "verifier_digest": "44" * 32,
        "throws": len(THROWN),
        "fair_play": FAIR_PLAY,
    }
    return build_rules(**{**arguments, **(changes or {})})


def write_shards(folder: Path, viewers: dict[bytes, int], cuts: list[int]) -> list[Path]:
    """Write the sorted totals in contiguous ranges that end at these positions and at the end."""
    rows = [pack_total(pseudonym, total) for pseudonym, total in sorted(viewers.items())]
    paths, start = [], 0
    for number, stop in enumerate([*sorted(cuts), len(rows)]):
        paths.append(folder / f"shard-{number}")
        paths[-1].write_bytes(b"".join(rows[start:stop]))
        start = max(start, stop)
    return paths


def run_draw(
    folder: Path,
    viewers: dict[bytes, int],
    *,
    prizes: int = 2,
    reserves: int = 2,
    beacon: str = "drand",
    prior_wins: dict[bytes, str] | None = None,
    excluded: frozenset[bytes] = frozenset(),
    cuts: list[int] | None = None,
    dispositions: list[dict[str, Any]] | None = None,
    pending: tuple[str, ...] = PENDING,
) -> Drawn:
    """Run assembly, seal, beacon, ranking and record over these viewers."""
    prior_wins = prior_wins or {}
    sealed = {viewer: draw_id for viewer, draw_id in prior_wins.items() if draw_id not in pending}
    prior = Prior(sealed, pending, PREVIOUS)
    committed = {"exclusions_commitment": exclusion_commitment(DRAW, excluded).hex()}
    rules = make_rules(prizes, reserves, beacon, committed)
    digest = tagged_hash("shake-draw/v2/rules", canonical_json(rules))
    roll, totals = folder / "roll.bin", folder / "totals.bin"
    shards = write_shards(folder, viewers, cuts or [])
    parts = [shard.with_name(f"{shard.name}.part") for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        engine.count_shard(shard, TicketTable(rules["tickets"]), excluded, part)
    frozen = engine.join_totals(shards, totals)
    summary = engine.join_roll(parts, digest, rules["tmax"], roll, folder / "tree.bin")
    secrets = {name: row.secret for name, row in REVEALS.items()}
    value, proof, beacon_id = make_beacon(beacon)
    seal = build_seal(rules, summary.digest, frozen.sha256, prior, secrets, T_FREEZE)
    key = draw_key(seal, beacon_id, value)
    ranked = engine.rank_roll(roll, key, prizes + reserves + len(prior_wins))
    listed = select_listed(ranked, prior_wins, prizes + reserves)
    record = build_record(
        rules=rules,
        precommitted_at=OPENS - 60000,
        precommitment_ledger=3,
        opens_at=OPENS,
        closes_at=CLOSES,
        roll_header=summary.header,
        roll_root=summary.root,
        totals_digest=frozen.sha256,
        reveals=REVEALS,
        sealed_at=T_FREEZE * 1000 + 500,
        t_freeze=T_FREEZE,
        beacon_value=value,
        beacon_proof=proof,
        ranked=ranked,
        proofs=prove(folder / "tree.bin", summary.entries, [row.index for row in listed]),
        prior=prior,
        pending_wins={viewer: draw_id for viewer, draw_id in prior_wins.items() if draw_id in pending},
        ledger={"freeze": 7, "seal": 9, "beacon": 11, "start": 12},
        software={"software": "33" * 32, "verifier": "44" * 32},
        dispositions=dispositions or [],
    )
    return Drawn(record, roll.read_bytes(), totals.read_bytes(), excluded)


def prove(tree: Path, entries: int, indexes: Iterable[int]) -> dict[int, list[bytes]]:
    """The inclusion proof of every leaf that holds one of these entries, read from the tree beside the roll."""
    with tree.open("rb") as file:
        nodes = engine.Tree(file, -(-entries // 256))
        return {leaf: nodes.prove(leaf) for leaf in sorted({index // 256 for index in indexes})}


def make_beacon(kind: str) -> tuple[bytes, dict[str, str], bytes]:
    """Return value, proof and id of a beacon, computed here and not by the code under test."""
    if kind == "drand":
        assert drand_round(T_FREEZE, 60) == ROUND
        return hashlib.sha256(bytes.fromhex(SIGNATURE)).digest(), {"signature": SIGNATURE}, QUICKNET_CHAIN
    own_id = hashlib.sha256(
        struct.pack(">H", 20) + b"shake-draw/v1/beacon" + struct.pack(">I", len(kind)) + kind.encode()
    ).digest()
    if kind == "dice":
        digits = THROWN
        return hashlib.sha256(digits.encode()).digest(), {"digits": digits}, own_id
    return bytes(range(32)), {}, own_id


def verify_draw(
    record: bytes,
    roll: Source | None = None,
    totals: Source | None = None,
    excluded: Iterable[bytes] = (),
    **given: Any,
) -> list[Check]:
    """The verifier on these files, and on what else is given to it."""
    return check_draw(record, roll, totals, Given(excluded=excluded, **given))


# --- signed by an organiser ---

SEED = bytes([0x42]) * 32
ORIGIN = f"gala.example.com/{SHOW}"
KEY = format_vkey(verifier_key(ORIGIN, SEED))


def sign_record(record: dict[str, Any], seed: bytes = SEED) -> bytes:
    """The record as it is published; its log is another matter."""
    return canonical_json({**record, "signature": sign_note(record_statement(record), ORIGIN, seed)})


def sign_receipt(receipt: dict[str, Any], seed: bytes = SEED) -> bytes:
    return canonical_json({**receipt, "signature": sign_note(receipt_statement(receipt), ORIGIN, seed)})


def verify(drawn: Drawn) -> list[Check]:
    return verify_draw(drawn.encoded, drawn.roll, drawn.totals, drawn.excluded)


def failed(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if not check.ok}
