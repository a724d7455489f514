"""Check a draw of `shake-draw/v1` with nothing but this file and Python (written from docs/draw.md alone).

It imports nothing from the project, so that a mistake in the engine is not repeated here, and stays one
file, however long, so that a stranger can download and read all of it.
`python verify.py record.json roll.bin [totals.bin [excluded.txt]]` prints each check and exits 0 or 1.
"""

import hashlib
import heapq
import json
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
GENESIS, PERIOD = 1692803367, 3  # of quicknet, in seconds
STATUSES = {
    "claimed": {""},
    "won": {"moved up"},
    "skipped": {"won in another draw"},
    "forfeited": {"declined", "deadline passed"},
    "disqualified": {
        "staff or family", "under age", "outside the territory", "false identity", "second account",
    },
}  # fmt: skip
HEX14, HEX16, HEX32, HEX64 = (re.compile(f"[0-9a-f]{{{2 * size}}}") for size in (14, 16, 32, 64))


class _Map(dict):  # type: ignore[type-arg]
    """A shape that a set can hold."""

    __hash__ = object.__hash__  # type: ignore[assignment]


SECRET = re.compile("([0-9a-f]{64})?")

# Shapes: a dict names every field, a list holds any number of its one member, a set is a map from any name
# to its one member.
RULES = {
    "algorithm": str, "beacon": {"kind": str, "chain": str, "rule": str}, "claim_s": int, "draw_id": str,
    "eligibility": str, "exclusions_commitment": HEX32, "k_show_commitment": HEX32,
    "parties": [{"name": str, "commitment": HEX32}],
    "prizes": [{"id": str, "celebrity": str, "brand": str, "garment": str, "size": str, "title": str,
                "value_minor": int, "currency": re.compile("[A-Z]{3}")}],
    "reserves": int, "reveal_deadline_s": int, "seal_margin_s": int, "show_id": str, "skip_rule": str,
    "software_digest": HEX32, "tickets": [[int]], "tmax": int, "verifier_digest": HEX32, "void_rule": str,
    "windows": [{"feed": str, "delay_ms": int, "window_ms": int}], "winners": int,
}  # fmt: skip
RECORD = {
    "$format": str, "rules": RULES, "rules_digest": HEX32,
    "precommitment": {"commitments": {HEX32}, "time": int, "ledger": int},
    "as_run": {"opens_at": int, "closes_at": int},
    "roll": {"header": HEX64, "entries": int, "tickets": int, "root": HEX32, "digest": HEX32,
             "totals_digest": HEX32},
    "reveals": {_Map({"secret": SECRET, "time": int, "ledger": int})},
    "seal": {"digest": HEX32, "time": int, "t_freeze": int, "round": int},
    "beacon": {"kind": str, "id": HEX32, "value": HEX32, "strength": str, "proof": {str}}, "key": HEX32,
    "ranked": [{"rank": int, "pseudonym": HEX14, "tickets": int, "ticket": int, "score": HEX16, "index": int,
                "proof": {"leaf": int, "siblings": [HEX32]}, "won": str}],
    "cutoff": HEX16, "winners": [{"rank": int, "pseudonym": HEX14, "prize": str}],
    "reserves": [{"rank": int, "pseudonym": HEX14}], "prior_wins": [{"pseudonym": HEX14, "draw_id": str}],
    "dispositions": [{"pseudonym": HEX14, "prize": str, "status": str, "reason": str, "time": int,
                      "ledger": int}],
    "ledger": {"freeze": int, "seal": int, "beacon": int, "start": int},
    "software": {"software": HEX32, "verifier": HEX32},
    "digest": HEX32,
}  # fmt: skip


class Check(NamedTuple):
    """One claim of the record: its name, whether it holds, and what was found.

    >>> Check("seal", True, "as computed").ok
    True
    """

    name: str
    ok: bool
    detail: str


class Wrong(Exception):
    """A claim does not hold; the text says what was expected and what came.

    >>> str(Wrong("key: expected a, got b"))
    'key: expected a, got b'
    """


class _Case:
    def __init__(self, record: Any, roll: bytes, totals: bytes | None, excluded: Iterable[bytes]) -> None:
        self.record, self.rules = record, record["rules"]
        self.roll, self.body = bytes(roll[:64]), memoryview(roll)[64:]
        self.totals, self.excluded = totals, sorted(set(excluded))
        self.leaves = [_sha(b"\0", self.body[i : i + 4096]) for i in range(0, len(self.body), 4096)]
        self.roll_is_sound = True


def verify_draw(
    record: bytes, roll: bytes, totals: bytes | None = None, excluded: Iterable[bytes] = ()
) -> list[Check]:
    """Check every claim of a record against the roll, and the roll against the frozen totals if given.

    `record` is canonical JSON, `roll` and `totals` are the files' bytes, `excluded` the excluded pseudonyms
    (used with totals only). Never raises: what can't be read is a check that fails.

    >>> verify_draw(b"[]", b"")
    [Check(name='record', ok=False, detail='expected record as dict, got []')]
    """
    try:
        case = _Case(_read(record), roll, totals, excluded)
    except Exception as error:
        return [Check("record", False, str(error) or repr(error))]
    checks = [Check("record", True, "canonical JSON, known fields only")]
    for name, check in CHECKS + (TOTALS_CHECKS if totals is not None else ()):
        checks.append(_run(name, check, case))
        if name.startswith("roll"):
            case.roll_is_sound &= checks[-1].ok
    return checks


def _run(name: str, check: Callable[[_Case], str], case: _Case) -> Check:
    try:
        return Check(name, True, check(case))
    except Wrong as error:
        return Check(name, False, str(error))
    except Exception as error:  # a claim that can't even be computed does not hold
        return Check(name, False, f"could not be computed: {error!r}")


# Notation


def _sha(*parts: bytes | memoryview) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _tagged(tag: str, *fields: bytes) -> bytes:
    name = tag.encode()
    parts = [struct.pack(">I", len(field)) + field for field in fields]
    return _sha(struct.pack(">H", len(name)), name, *parts)


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _expect(what: str, expected: object, came: object) -> None:
    if type(expected) is not type(came) or expected != came:
        raise Wrong(f"{what}: expected {expected}, got {came}")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(f"expected {what}")


# The record


def _read(data: bytes) -> Any:
    record = json.loads(bytes(data).decode())
    _require(_canonical(record) == bytes(data), "canonical JSON")  # refuses duplicate keys and spaces too
    _fit("record", record, RECORD)
    _expect("format", "shake-draw/v1", record["$format"])
    return record


def _fit(path: str, value: Any, shape: Any) -> None:
    if isinstance(shape, dict):
        _expect_type(path, dict, value)
        if set(value) != set(shape):
            raise Wrong(f"{path}: expected the fields {sorted(shape)}, got {sorted(value)}")
        for name, member in shape.items():
            _fit(f"{path}.{name}", value[name], member)
    elif isinstance(shape, list | set):
        _expect_type(path, list if isinstance(shape, list) else dict, value)
        for member in value if isinstance(shape, list) else value.values():
            _fit(f"{path}[]", member, next(iter(shape)))
    elif isinstance(shape, re.Pattern):
        _expect_type(path, str, value)
        _require(shape.fullmatch(value) is not None, f"{path} like {shape.pattern}, got {value!r}")
    else:
        _expect_type(path, shape, value)
        _require(shape is str or 0 <= value < 1 << 64, f"{path} of 0 .. 2**64 - 1, got {value!r}")


def _expect_type(path: str, shape: type, value: Any) -> None:
    _require(type(value) is shape, f"{path} as {shape.__name__}, got {value!r}")


def _check_record_digest(case: _Case) -> str:
    rest = {name: value for name, value in case.record.items() if name != "digest"}
    _expect("record digest", _tagged("shake-draw/v1/record", _canonical(rest)).hex(), case.record["digest"])
    return case.record["digest"]  # type: ignore[no-any-return]


def _check_rules(case: _Case) -> str:
    rules, table = case.rules, case.rules["tickets"]
    _expect("algorithm", "aes256ctr-min/1", rules["algorithm"])
    _expect("skip rule", "one win per viewer per show", rules["skip_rule"])
    _require(len(table) > 0 and all(len(row) == 2 for row in table), "rows [shakes, tickets]")
    pairs = list(pairwise([[0, 0], *table]))
    _require(all(a[0] < b[0] and a[1] < b[1] for a, b in pairs), "a ticket table that increases")
    _expect("tmax", table[-1][1], rules["tmax"])
    _require(rules["tmax"] <= 65535, "at most 65535 tickets")
    _expect("winners", len(rules["prizes"]), rules["winners"])
    _require(rules["winners"] >= 1 and rules["reserves"] <= rules["winners"] + 5, "K >= 1 and R <= K + 5")
    _require(rules["seal_margin_s"] >= 15, "a seal margin of at least 15 s")
    for rows, name in ((rules["prizes"], "id"), (rules["parties"], "name"), (rules["windows"], "feed")):
        _require(len({row[name] for row in rows}) == len(rows) > 0, f"each {name} once, at least one")
    times = [(row["delay_ms"], row["window_ms"]) for row in rules["windows"]]
    _require(all(delay >= 0 and length > 0 for delay, length in times), "windows with a delay and a length")
    return f"{rules['winners']} prizes, {rules['reserves']} reserves, up to {rules['tmax']} tickets"


def _check_rules_digest(case: _Case) -> str:
    digest = _tagged("shake-draw/v1/rules", _canonical(case.rules)).hex()
    _expect("rules digest", digest, case.record["rules_digest"])
    _expect("rules digest in the roll", digest, case.roll[24:56].hex())
    return digest


def _check_commitments(case: _Case) -> str:
    commitments = {party["name"]: party["commitment"] for party in case.rules["parties"]}
    _expect("commitments", commitments, case.record["precommitment"]["commitments"])
    reveals = case.record["reveals"]
    _expect("parties", sorted(commitments), sorted(reveals))
    for name, revealed in reveals.items():
        secret = revealed["secret"]
        fields = case.rules["draw_id"].encode(), name.encode(), bytes.fromhex(secret)
        commitment = _tagged("shake-draw/v1/commit", *fields).hex()
        if secret:
            _expect(f"commitment of {name}", commitment, commitments[name])
    absent = sorted(name for name, revealed in reveals.items() if not revealed["secret"])
    return f"{len(reveals) - len(absent)} secrets fit; absent: {', '.join(absent) or 'nobody'}"


def _check_times(case: _Case) -> str:
    seal, windows, run = case.record["seal"], case.rules["windows"], case.record["as_run"]
    length = run["closes_at"] - run["opens_at"]
    _require(
        0 <= length <= min(row["window_ms"] for row in windows), f"a window as promised, got {length} ms"
    )
    opens, closes = run["opens_at"], run["closes_at"] + max(row["delay_ms"] for row in windows)
    _require(case.record["precommitment"]["time"] <= opens, f"a precommitment before {opens} (opening)")
    _require(closes < (seal["t_freeze"] + 1) * 1000, f"a freeze after {closes} (closing)")
    _require(seal["t_freeze"] * 1000 <= seal["time"], "a seal after the freeze")
    if case.rules["beacon"]["kind"] == "drand":
        due = (GENESIS + (seal["round"] - 1) * PERIOD) * 1000
        _require(seal["time"] < due, f"a seal before the round at {due}, got {seal['time']}")
    return "precommitment, window, freeze and seal are in order"


def _check_ledger(case: _Case) -> str:
    ledger = case.record["ledger"]
    order = [case.record["precommitment"]["ledger"], ledger["freeze"], ledger["seal"], ledger["beacon"]]
    order += [row["ledger"] for row in case.record["dispositions"]]
    _require(all(a < b for a, b in pairwise(order)), f"ledger positions that increase, got {order}")
    return f"positions {order}"


def _check_software(case: _Case) -> str:
    promised = {name: case.rules[f"{name}_digest"] for name in ("software", "verifier")}
    _expect("software digests", promised, case.record["software"])
    return "as promised before the window opened"


# The roll


def _check_roll_header(case: _Case) -> str:
    record = case.record["roll"]
    fields = record["entries"], record["tickets"], bytes.fromhex(case.record["rules_digest"])
    header = struct.pack(">8sQQ32sHHI", b"SHKROLL1", *fields, case.rules["tmax"], 16, 256).hex()
    _expect("roll header", header, record["header"])
    _expect("roll header in the file", header, case.roll.hex())
    return header[:16]


def _check_roll_entries(case: _Case) -> str:
    before, count, tickets = b"", 0, 0
    allowed = {row[1] for row in case.rules["tickets"]}
    for pseudonym, number in struct.iter_unpack(">14sH", case.body):
        _require(before < pseudonym, f"pseudonyms that increase, got {pseudonym.hex()} at {count}")
        _require(number in allowed, f"tickets of {sorted(allowed)}, got {number} at {count}")
        before, count, tickets = pseudonym, count + 1, tickets + number
    _expect("entries", case.record["roll"]["entries"], count)
    _expect("tickets", case.record["roll"]["tickets"], tickets)
    return f"{count} entries in order, {tickets} tickets"


def _check_roll_root(case: _Case) -> str:
    root = _tree(case.leaves).hex()
    _expect("roll root", root, case.record["roll"]["root"])
    return root


def _check_roll_digest(case: _Case) -> str:
    digest = _tagged("shake-draw/v1/roll", case.roll, _tree(case.leaves)).hex()
    _expect("roll digest", digest, case.record["roll"]["digest"])
    return digest


def _tree(leaves: list[bytes]) -> bytes:
    """RFC 9162 2.1.1: k is the largest power of two smaller than n."""
    if len(leaves) < 2:
        return leaves[0] if leaves else _sha()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return _sha(b"\1", _tree(leaves[:k]), _tree(leaves[k:]))


# Seal, beacon, key


def _check_seal(case: _Case) -> str:
    seal = case.record["seal"]
    secrets = [
        bytes.fromhex(case.record["reveals"][party["name"]]["secret"]) for party in case.rules["parties"]
    ]
    digests = bytes.fromhex(case.record["rules_digest"]), bytes.fromhex(case.record["roll"]["digest"])
    fields = case.rules["draw_id"].encode(), *digests, struct.pack(">Q", seal["round"]), *secrets
    _expect("seal", _tagged("shake-draw/v1/seal", *fields).hex(), seal["digest"])
    return seal["digest"]  # type: ignore[no-any-return]


def _check_beacon(case: _Case) -> str:
    beacon, seal, kind = case.record["beacon"], case.record["seal"], case.rules["beacon"]["kind"]
    _expect("beacon", kind, beacon["kind"])
    _require(kind in ("drand", "dice", "local"), f"a beacon of drand, dice or local, got {kind}")
    wait = seal["t_freeze"] + case.rules["seal_margin_s"] - GENESIS
    drand = kind == "drand"
    _expect("round", -(-wait // PERIOD) + 1 if drand else 0, seal["round"])
    _expect("chain", QUICKNET if drand else "", case.rules["beacon"]["chain"])
    own_id = QUICKNET if drand else _tagged("shake-draw/v1/beacon", kind.encode()).hex()
    _expect("beacon id", own_id, beacon["id"])
    _expect("strength", "rehearsal" if kind == "local" else "public", beacon["strength"])
    return _check_proof(kind, beacon["value"], beacon["proof"], seal["round"])


def _check_proof(kind: str, value: str, proof: dict[str, str], beacon_round: int) -> str:
    _expect("proof", {"drand": ["signature"], "dice": ["digits"], "local": []}[kind], sorted(proof))
    if kind == "local":
        return "REHEARSAL: the value is the server's word alone"
    if kind == "dice":
        _require(bool(re.fullmatch("[1-6]{50,}", proof["digits"])), "at least 50 digits of 1 to 6")
        _expect("value", _sha(proof["digits"].encode()).hex(), value)
        return f"{len(proof['digits'])} throws: compare with the broadcast"
    _require(bool(re.fullmatch("[0-9a-f]{96}", proof["signature"])), "a signature of 48 bytes in hex")
    _expect("value", _sha(bytes.fromhex(proof["signature"])).hex(), value)
    return f"SHA-256 of the signature: compare it with drand quicknet round {beacon_round}"


def _check_key(case: _Case) -> str:
    record = case.record
    fields = record["seal"]["digest"], record["beacon"]["id"], record["beacon"]["value"]
    _expect("key", _tagged("shake-draw/v1/key", *map(bytes.fromhex, fields)).hex(), record["key"])
    return record["key"]  # type: ignore[no-any-return]


# The ranking


def _check_ranking(case: _Case) -> str:
    _require(case.roll_is_sound, "a sound roll to draw from; see the checks of the roll")
    expected = _expected_ranking(case)
    fields = "rank", "pseudonym", "tickets", "ticket", "score", "index"
    for rank, (row, came) in enumerate(zip(expected, case.record["ranked"], strict=False), 1):
        _expect(f"rank {rank}", row, tuple(came[name] for name in fields))
    _expect("length of the ranking", len(expected), len(case.record["ranked"]))
    return f"the smallest {len(expected)} of {case.record['roll']['tickets']} scores, all computed"


def _expected_ranking(case: _Case) -> list[tuple[int, str, int, int, str, int]]:
    prior, take = _prior_wins(case), case.rules["winners"] + case.rules["reserves"]
    key = bytes.fromhex(case.record["key"])
    expected: list[tuple[int, str, int, int, str, int]] = []
    for score, ticket, index in heapq.nsmallest(take + len(prior), _scores(key, case.body)):
        if take == 0:
            break
        pseudonym, tickets = struct.unpack_from(">14sH", case.body, 16 * index)
        expected.append((len(expected) + 1, pseudonym.hex(), tickets, ticket, score.hex(), index))
        take -= pseudonym.hex() not in prior
    return expected


def _scores(key: bytes, body: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Yield (smallest score, its ticket, index) of every entry."""
    encrypt = Aes256(key).encrypt
    for index, (pseudonym, tickets) in enumerate(struct.iter_unpack(">14sH", body)):
        blocks = b"".join([pseudonym + struct.pack(">H", ticket) for ticket in range(tickets)])
        scores = encrypt(blocks)
        best = min(range(tickets), key=lambda ticket: scores[16 * ticket : 16 * ticket + 16])
        yield scores[16 * best : 16 * best + 16], best, index


def _prior_wins(case: _Case) -> dict[str, str]:
    return {row["pseudonym"]: row["draw_id"] for row in case.record["prior_wins"]}


def _takers(case: _Case) -> list[dict[str, Any]]:
    listed, prior = case.record["ranked"], _prior_wins(case)
    fields = "rank", "pseudonym"
    return [{name: row[name] for name in fields} for row in listed if row["pseudonym"] not in prior]


def _check_skipped(case: _Case) -> str:
    prior = _prior_wins(case)
    names = [row["pseudonym"] for row in case.record["prior_wins"]]
    _require(all(a < b for a, b in pairwise(names)), "prior wins in order, each viewer once")
    _require(case.rules["draw_id"] not in prior.values(), "prior wins of other draws")
    _require(all(prior.values()), "a draw id for each prior win")
    for row in case.record["ranked"]:
        _expect(f"won at rank {row['rank']}", prior.get(row["pseudonym"], ""), row["won"])
    skipped = sum(row["won"] != "" for row in case.record["ranked"])
    return f"{skipped} skipped; compare the prior wins with the show's other records"


def _check_winners(case: _Case) -> str:
    prizes = [prize["id"] for prize in case.rules["prizes"]]
    won = [{**taker, "prize": prize} for taker, prize in zip(_takers(case), prizes, strict=False)]
    _expect("winners", won, case.record["winners"])
    return f"{len(won)} winners of {len(prizes)} prizes"


def _check_reserves(case: _Case) -> str:
    first, last = case.rules["winners"], case.rules["winners"] + case.rules["reserves"]
    _expect("reserves", _takers(case)[first:last], case.record["reserves"])
    return f"{len(case.record['reserves'])} reserves"


def _check_cutoff(case: _Case) -> str:
    complete = len(_takers(case)) == case.rules["winners"] + case.rules["reserves"]
    cutoff = case.record["ranked"][-1]["score"] if complete else "ff" * 16
    _expect("cutoff", cutoff, case.record["cutoff"])
    return "every better score is listed" if complete else "the whole roll is listed"


def _check_proofs(case: _Case) -> str:
    root = bytes.fromhex(case.record["roll"]["root"])
    for row in case.record["ranked"]:
        leaf, siblings = row["proof"]["leaf"], row["proof"]["siblings"]
        _expect(f"leaf at rank {row['rank']}", row["index"] // 256, leaf)
        path = [bytes.fromhex(sibling) for sibling in siblings]
        holds = _included(case.leaves[leaf], leaf, len(case.leaves), path, root)
        _require(holds, f"an inclusion proof that leads to the root at rank {row['rank']}")
    return f"{len(case.record['ranked'])} entries are in the roll"


def _included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162 2.1.3.2, from the root down: which half is the leaf in, and what is the other half's hash?"""

    def climb(index: int, size: int, path: list[bytes]) -> bytes:
        if size == 1:
            _require(not path, "an inclusion proof as long as the tree is high")
            return leaf
        k = 1 << (size - 1).bit_length() - 1
        if index < k:
            return _sha(b"\1", climb(index, k, path[:-1]), path[-1])
        return _sha(b"\1", path[-1], climb(index - k, size - k, path[:-1]))

    return climb(index, size, path) == root


def _check_dispositions(case: _Case) -> str:
    listed = {row["pseudonym"] for row in _takers(case)}
    prizes = {prize["id"] for prize in case.rules["prizes"]}
    for row in case.record["dispositions"]:
        _require(row["pseudonym"] in listed, f"winners and reserves only, got {row['pseudonym']}")
        _require(row["prize"] in prizes, f"a prize of {sorted(prizes)}, got {row['prize']}")
        _require(row["reason"] in STATUSES.get(row["status"], ()), f"a listed reason, got {row['reason']!r}")
    return f"{len(case.record['dispositions'])} so far"


# The frozen totals, for the auditor


def _check_totals_digest(case: _Case) -> str:
    _expect("totals digest", _sha(case.totals or b"").hex(), case.record["roll"]["totals_digest"])
    return case.record["roll"]["totals_digest"]  # type: ignore[no-any-return]


def _check_exclusions(case: _Case) -> str:
    fields = case.rules["draw_id"].encode(), b"".join(case.excluded)
    digest = _tagged("shake-draw/v1/exclusions", *fields).hex()
    _expect("commitment to the exclusions", digest, case.rules["exclusions_commitment"])
    return f"{len(case.excluded)} excluded, as committed"


def _check_tickets(case: _Case) -> str:
    before, viewers, roll = b"", 0, bytearray()
    excluded = set(case.excluded)
    for pseudonym, total in struct.iter_unpack(">14sI", case.totals or b""):
        _require(before < pseudonym, f"totals in order, got {pseudonym.hex()} at {viewers}")
        tickets = max([row[1] for row in case.rules["tickets"] if row[0] <= total], default=0)
        if tickets and pseudonym not in excluded:
            roll += pseudonym + struct.pack(">H", tickets)
        before, viewers = pseudonym, viewers + 1
    _require(roll == case.body, "the roll that follows from the shakes, the minimum and the exclusions")
    return f"{viewers} viewers' shakes give exactly this roll"


CHECKS: tuple[tuple[str, Callable[[_Case], str]], ...] = (
    ("record digest", _check_record_digest),
    ("rules", _check_rules),
    ("rules digest", _check_rules_digest),
    ("commitments", _check_commitments),
    ("times", _check_times),
    ("ledger", _check_ledger),
    ("software", _check_software),
    ("roll header", _check_roll_header),
    ("roll entries", _check_roll_entries),
    ("roll root", _check_roll_root),
    ("roll digest", _check_roll_digest),
    ("seal", _check_seal),
    ("beacon", _check_beacon),
    ("key", _check_key),
    ("ranking", _check_ranking),
    ("skip rule", _check_skipped),
    ("winners", _check_winners),
    ("reserves", _check_reserves),
    ("cutoff", _check_cutoff),
    ("inclusion proofs", _check_proofs),
    ("dispositions", _check_dispositions),
)
TOTALS_CHECKS: tuple[tuple[str, Callable[[_Case], str]], ...] = (
    ("totals digest", _check_totals_digest),
    ("exclusions", _check_exclusions),
    ("tickets from shakes", _check_tickets),
)


# AES-256, FIPS 197


def _make_tables() -> tuple[list[int], list[list[int]]]:
    """Return the S-box (FIPS 197, 5.1.1) and the tables of SubBytes, ShiftRows and MixColumns in one step."""
    powers, value = [], 1
    for _ in range(255):  # powers of the generator 3
        powers.append(value)
        value ^= (value << 1) ^ (0x11B if value & 0x80 else 0)
    logs = {power: index for index, power in enumerate(powers)}
    sbox = []
    for byte in range(256):
        inverse = powers[-logs[byte] % 255] if byte else 0
        spread = inverse ^ inverse << 1 ^ inverse << 2 ^ inverse << 3 ^ inverse << 4  # the affine transform
        sbox.append((spread ^ spread >> 8) & 0xFF ^ 0x63)
    first = []
    for value in sbox:
        double = value << 1 ^ (0x11B if value & 0x80 else 0)
        first.append(double << 24 | value << 16 | value << 8 | double ^ value)
    tables = [[word >> 8 * turn | word << 32 - 8 * turn & 0xFFFFFFFF for word in first] for turn in range(4)]
    return sbox, tables


SBOX, TABLES = _make_tables()


class Aes256:
    """AES-256 without a mode (FIPS 197); ValueError unless the key has 32 bytes.

    >>> Aes256(bytes(range(32))).encrypt(bytes.fromhex("00112233445566778899aabbccddeeff")).hex()
    '8ea2b7ca516745bfeafc49904b496089'
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"expected a key of 32 bytes, got {len(key)}")
        words, rcon = list(struct.unpack(">8I", key)), 1
        for i in range(8, 60):  # FIPS 197, 5.2
            word = words[-1]
            if i % 8 == 0:
                word = _substitute((word << 8 | word >> 24) & 0xFFFFFFFF) ^ rcon << 24
                rcon <<= 1
            elif i % 8 == 4:
                word = _substitute(word)
            words.append(words[-8] ^ word)
        self._rounds = [tuple(words[i : i + 4]) for i in range(0, 60, 4)]

    def encrypt(self, blocks: bytes) -> bytes:
        """Return every block of 16 bytes encrypted on its own.

        >>> len(Aes256(bytes(32)).encrypt(bytes(48)))
        48
        """
        (f0, f1, f2, f3), *middle, last = self._rounds
        t0, t1, t2, t3 = TABLES
        out = []
        for a, b, c, d in struct.iter_unpack(">4I", blocks):
            a, b, c, d = a ^ f0, b ^ f1, c ^ f2, d ^ f3
            for k0, k1, k2, k3 in middle:
                a, b, c, d = (
                    t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ k0,
                    t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ k1,
                    t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ k2,
                    t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ k3,
                )
            turns = (a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c)
            for k, (p, q, r, s) in zip(last, turns, strict=True):
                out.append(k ^ _substitute(p & 0xFF000000 | q & 0xFF0000 | r & 0xFF00 | s & 0xFF))
        return struct.pack(f">{len(out)}I", *out)


def _substitute(word: int) -> int:
    high = SBOX[word >> 24] << 24 | SBOX[word >> 16 & 255] << 16
    return high | SBOX[word >> 8 & 255] << 8 | SBOX[word & 255]


def main(arguments: list[str]) -> int:
    """Check the files named on the command line; return 0 if every check holds, 1 if one does not.

    >>> main([])
    usage: verify.py record.json roll.bin [totals.bin [excluded.txt: pseudonyms in hex]]
    1
    """
    if not 2 <= len(arguments) <= 4:
        _print("usage: verify.py record.json roll.bin [totals.bin [excluded.txt: pseudonyms in hex]]")
        return 1
    try:
        files = [Path(name).read_bytes() for name in arguments]
        excluded = [bytes.fromhex(line) for line in files[3].decode().split()] if len(files) > 3 else []
    except (OSError, ValueError) as error:
        _print(f"FAIL  files: {error}")
        return 1
    checks = verify_draw(files[0], files[1], files[2] if len(files) > 2 else None, excluded)
    for check in checks:
        _print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}")
    return 0 if all(check.ok for check in checks) else 1


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
