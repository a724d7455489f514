#!/usr/bin/env python3
"""Check a draw of `shake-draw/v2` with nothing but this file and Python 3.8 or newer.

    python verify_draw.py record.json --key KEY             what the record alone can show
    python verify_draw.py record.json roll.bin --key KEY    all of the draw
    python verify_draw.py record.json --key KEY --receipt mine.json
                                                            whether one viewer was left out, and what a win became
    python verify_draw.py record.json --key KEY --receipt mine.json --stub told.json
                                                            and whether the phone was told more than was counted

KEY is the organiser's public key, noted before the show. Without it the arithmetic is checked, and nobody knows
whose record it is: anybody can make one that adds up. Records of `shake-draw/v1` have no more than that.

Every check is one line, `ok` or `FAIL`, and the last line is the verdict. Exit status 0: all that was checked
holds; 1: something does not; 2: the command line could not be understood.

It was written from docs/draw.md alone and imports nothing but the standard library, so a mistake of the
program that draws is not repeated here. It is one long file, so that a stranger can download and read all of
it, in this order:

    1. Shapes          what a record and a receipt consist of
    2. Notation        tagged hashes, canonical JSON
    3. Running         all checks, one after the other
    4. The record      rules, times, ledger, seal, beacon, key, winners, dispositions
    5. The roll        order, Merkle root, ranking over every ticket
    6. The totals      the roll follows from the shakes
    7. Receipts        one viewer, what the phone was told, and proofs of fraud
    8. Merkle tree     RFC 9162
    9. AES-256         FIPS 197, from OpenSSL where Python has it, else written out
    10. BLS signatures of drand, on the curve BLS12-381 (RFC 9380 for hashing to it)
    11. The log        the organiser's signature, his statements in the ledger, the witnesses
    12. Signed notes   C2SP signed-note, tlog-checkpoint and tlog-cosignature; Ed25519 of RFC 8032
    13. Time stamps    RFC 3161, with what is needed of CMS, certificates, RSA and ECDSA
    14. Command line
    15. Constants of RFC 9380, appendix E.2
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import ctypes.util
import functools
import hashlib
import heapq
import io
import itertools
import json
import operator
import os
import re
import struct
import sys
import time
from bisect import bisect_right
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, NamedTuple, Sequence, Tuple, Union

# --- 1. Shapes (docs/draw.md, sections 1 and 7) ---
# A dict names every field there is, a list holds any number of its one member.


class Map(NamedTuple):
    """The shape of a map from any name to one kind of member."""

    member: Any


class Maybe(NamedTuple):
    """The shape of a member, or null."""

    member: Any


HEX14, HEX16, HEX32, HEX48, HEX64 = (re.compile(f"[0-9a-f]{{{2 * size}}}") for size in (14, 16, 32, 48, 64))
RULES_V1 = {
    "algorithm": str, "beacon": {"kind": str, "chain": str, "rule": str}, "claim_s": int, "draw_id": str,
    "eligibility": str, "exclusions_commitment": HEX32, "k_show_commitment": HEX32,
    "parties": [{"name": str, "commitment": HEX32}],
    "prizes": [{"id": str, "celebrity": str, "brand": str, "garment": str, "size": str, "title": str,
                "value_minor": int, "currency": re.compile("[A-Z]{3}")}],
    "reserves": int, "reveal_deadline_s": int, "seal_margin_s": int, "show_id": str, "skip_rule": str,
    "software_digest": HEX32, "tickets": [[int]], "tmax": int, "verifier_digest": HEX32, "void_rule": str,
    "windows": [{"feed": str, "delay_ms": int, "window_ms": int}], "winners": int,
}  # fmt: skip
RULES_V2 = {
    **RULES_V1, "$format": str, "beacon": {"kind": str, "chain": str, "rule": str, "throws": int},
    "fair_play": {
        "guests": bool, "max_hz": int, "burst": int, "grace_ms": int, "ways": [str],
        "passes": {"ipv4": int, "ipv6_48": int, "ipv6_64": int}, "carriers": [[object]],
        "most_tickets": Map(int), "shared": {"kinds": [str], "entries": int},
    },
    "publish_by_s": int, "quorum": int, "repeats": str, "unwitnessed": str,
    "stampers": [{"name": str, "certificate": HEX32}], "witnesses": [{"name": str, "key": str}],
}  # fmt: skip
RECORD_V1 = {
    "$format": str, "rules": RULES_V1, "rules_digest": HEX32,
    "precommitment": {"commitments": Map(HEX32), "time": int, "ledger": int},
    "as_run": {"opens_at": int, "closes_at": int},
    "roll": {"header": HEX64, "entries": int, "tickets": int, "root": HEX32, "digest": HEX32,
             "totals_digest": HEX32},
    "reveals": Map({"secret": re.compile("([0-9a-f]{64})?"), "time": int, "ledger": int}),
    "seal": {"digest": HEX32, "time": int, "t_freeze": int, "round": int},
    "beacon": {"kind": str, "id": HEX32, "value": HEX32, "strength": str, "proof": Map(str)}, "key": HEX32,
    "ranked": [{"rank": int, "pseudonym": HEX14, "tickets": int, "ticket": int, "score": HEX16, "index": int,
                "proof": {"leaf": int, "siblings": [HEX32]}, "won": str}],
    "cutoff": HEX16, "winners": [{"rank": int, "pseudonym": HEX14, "prize": str}],
    "reserves": [{"rank": int, "pseudonym": HEX14}], "prior_wins": [{"pseudonym": HEX14, "draw_id": str}],
    "dispositions": [{"pseudonym": HEX14, "prize": str, "status": str, "reason": str, "time": int,
                      "ledger": int}],
    "ledger": {"freeze": int, "seal": int, "beacon": int, "start": int},
    "software": {"software": HEX32, "verifier": HEX32}, "digest": HEX32,
}  # fmt: skip
STATEMENT = {
    "entry": {"show": str, "position": int, "at": int, "by": HEX32, "action": str, "reason": str,
              "details": object},
    "previous": HEX32, "proof": [HEX32],
}  # fmt: skip
PUBLIC = {**STATEMENT, "$format": str, "checkpoint": str}
LOG = {
    "checkpoint": str, "sealed": {"checkpoint": str, "proof": [HEX32]}, "statements": [STATEMENT],
    "stamps": [{"name": str, "certificate": str, "token": str}],
}  # fmt: skip
RECORD_V2 = {
    **RECORD_V1, "rules": RULES_V2, "pending": [str], "log": Maybe(LOG), "signature": str,
    "seal": {"digest": HEX32, "time": int, "t_freeze": int, "round": int, "previous": HEX32},
}  # fmt: skip
RECEIPT_V1 = {
    "$format": str, "draw_id": str, "pseudonym": HEX14, "rules_digest": HEX32,
    "roll": {"header": HEX64, "root": HEX32, "digest": HEX32}, "seal": HEX32,
    "entry": Maybe({"index": int, "tickets": int}),
    "runs": [{"leaf": int, "data": re.compile("([0-9a-f]{32}){1,256}"), "siblings": [HEX32]}],
}  # fmt: skip
RECEIPT_V2 = {**RECEIPT_V1, "seal": re.compile("([0-9a-f]{64})?"), "signature": str}  # no seal: spoiled
STUB = {
    "$format": str, "at": int, "blind": HEX16, "gateway": str, "index": int, "proof": [HEX32], "pseudonym": HEX14,
    "segment": str, "show": str, "signature": HEX64, "size": int, "total": int,
}  # fmt: skip
SAID = ("at", "blind", "gateway", "pseudonym", "segment", "show", "total")  # the fields of a stub in its leaf
KEPT_STUB = {"$format": str, "gateway_key": PUBLIC, "stub": STUB}
V1, V2 = "shake-draw/v1", "shake-draw/v2"
RECORDS = {V1: RECORD_V1, V2: RECORD_V2}
RECEIPTS = {V1 + "/receipt": RECEIPT_V1, V2 + "/receipt": RECEIPT_V2}
STUB_V1, STATEMENT_V2 = "shake-stub/v1", "shake-ledger/v2/statement"
STUBS = {STUB_V1: STUB, STUB_V1 + "/kept": KEPT_STUB}
STATUSES = {
    "claimed": {""},
    "forfeited": {"declined", "deadline passed", "won in another draw"},
    "disqualified": {
        "staff or family", "under age", "outside the territory", "false identity", "second account",
    },
    "won": {"moved up"},
    "skipped": {"won in another draw"},
}  # fmt: skip
HEADER_BYTES, ENTRY_BYTES, RUN_ENTRIES = 64, 16, 256
ORIGIN_BYTES = 24
RUN_BYTES = RUN_ENTRIES * ENTRY_BYTES
NO_CUTOFF = "ff" * 16


def fit(path: str, value: Any, shape: Any) -> None:
    """Raise Wrong unless `value` has this shape: no field is missing, and none is there that is not known."""
    if isinstance(shape, dict):
        expect_type(path, dict, value)
        if set(value) != set(shape):
            raise Wrong(f"{path}: expected the fields {sorted(shape)}, got {sorted(value)}")
        for name, member in shape.items():
            fit(f"{path}.{name}", value[name], member)
    elif isinstance(shape, (list, Map)):
        expect_type(path, list if isinstance(shape, list) else dict, value)
        for member in value if isinstance(shape, list) else value.values():
            fit(f"{path}[]", member, shape[0])
    elif isinstance(shape, Maybe):
        if value is not None:
            fit(path, value, shape.member)
    elif shape is object:
        pass  # whatever JSON can hold; looked at where it is used
    elif isinstance(shape, re.Pattern):
        expect_type(path, str, value)
        require(shape.fullmatch(value) is not None, f"{path} like {shape.pattern}, got {value!r}")
    else:
        expect_type(path, shape, value)
        require(shape is str or 0 <= value < 1 << 64, f"{path} of 0 .. 2**64 - 1, got {value!r}")


def expect_type(path: str, shape: type, value: Any) -> None:
    require(type(value) is shape, f"{path} as {shape.__name__}, got {value!r}")


def read_json(data: bytes, name: str, shapes: dict[str, Any]) -> Any:
    """Parse canonical JSON of one of these formats and its shape; every other form of the same value is refused."""
    value = parse_json(bytes(data))
    require(canonical(value) == bytes(data), "canonical JSON")  # also: no key twice, no space
    expect_type(name, dict, value)
    form = value.get("$format")
    require(type(form) is str and form in shapes, f"a format of {', '.join(shapes)}, got {form!r}")
    fit(name, value, shapes[form])
    return value


# What is larger, deeper or longer than any record or receipt can be is refused before it is parsed.
MAX_JSON, MAX_MARKS, MAX_DEPTH, MAX_TEXT = 16 << 20, 1_000_000, 16, 100_000
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse_json(data: bytes) -> Any:
    """The value in a JSON text, whose time and memory are bounded by what is counted first."""
    require(len(data) <= MAX_JSON, f"at most {MAX_JSON} bytes of JSON, got {len(data)}")
    marks = sum(map(data.count, (b'"', b",", b"[", b"{")))
    require(marks <= MAX_MARKS, f"JSON of at most {MAX_MARKS} quotes, commas and brackets, got {marks}")
    pieces = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    outside = b"".join(pieces[::2])  # of the strings
    depths = itertools.accumulate(1 if mark in b"[{" else -1 for mark in outside.translate(None, NO_BRACKETS))
    require(max(depths, default=0) <= MAX_DEPTH, f"JSON of at most {MAX_DEPTH} levels, got a deeper one")
    longest = max(map(len, pieces))
    require(longest <= MAX_TEXT, f"JSON with at most {MAX_TEXT} bytes between two quotes, got {longest}")
    require(not re.search(rb"[0-9]{21}", outside), "JSON with numbers below 2**64, got one of more digits")
    return json.loads(data.decode())


# --- 2. Notation (docs/draw.md, Notation) ---


class Check(NamedTuple):
    """One claim: its name, whether it holds, and what was found.

    >>> Check("seal", True, "as computed").ok
    True
    """

    name: str
    ok: bool
    detail: str


class Wrong(Exception):
    """A claim does not hold; the text says what was expected and what came."""


def expect(what: str, expected: object, came: object) -> None:
    if type(expected) is not type(came) or expected != came:
        raise Wrong(f"{what}: expected {expected}, got {came}")


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(f"expected {what}")


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def tagged(tag: str, *fields: bytes) -> bytes:
    """TH: every field carries its length, so no two lists of fields give the same input.

    >>> tagged("shake-draw/v1/beacon", b"dice").hex()[:16]
    '71ce5cb1a8a51a22'
    """
    name = tag.encode()
    parts = [struct.pack(">I", len(field)) + field for field in fields]
    return sha256(struct.pack(">H", len(name)), name, *parts)


def canonical(value: Any) -> bytes:
    """The one form of a JSON value: keys sorted, no spaces, text as it is.

    >>> canonical({"b": [1], "a": ""})
    b'{"a":"","b":[1]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def pairwise(values: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(values, values[1:])


# --- 3. Running ---

Tell = Callable[[str, int, int], None]
Source = Union[bytes, BinaryIO]


class Case:
    """What is checked: the parsed record, and the files that were given beside it."""

    def __init__(self, record: Any, roll: Source | None, totals: Source | None, given: Given) -> None:
        self.record, self.rules, self.given, self.tell = record, record["rules"], given, given.tell
        self.roll, self.totals = as_file(roll), as_file(totals)
        self.origins, self.shared = as_file(given.origins), as_file(given.shared)
        self.left_out: tuple[int, str] | None = None  # by the recount: how many entries, and their digest
        self.crowded: dict[str, int] | None = (
            None  # by the recount: blocks with too many, their entries, and the kept
        )
        self.viewers = 0  # by the recount
        self.excluded = sorted(set(given.excluded))
        self.failed: set[str] = set()
        self.counted: dict[
            str, int
        ] = {}  # the tickets of viewers in the sealed roll, as their receipts prove
        self.version = record["$format"]

    @functools.cached_property
    def survey(self) -> Survey:
        """What stands in the roll; read when first asked for."""
        return survey_roll(self)

    @functools.cached_property
    def notaries(self) -> list[Key]:
        """The organiser's keys, as they were given."""
        return [parse_key(text, LOG_KEY) for text in self.given.keys]

    def take(self) -> int:
        """How many viewers are taken from the ranking: winners and reserves."""
        return int(self.rules["winners"] + self.rules["reserves"])


def no_progress(what: str, done: int, total: int) -> None:
    """Tell nobody."""


class Given(NamedTuple):
    """What is given beside record, roll and totals.

    `excluded` are the excluded pseudonyms, used with the totals; `receipts` and `earlier` (records of draws of the
    same show that were sealed before) canonical JSON, as are `stubs` and `gateway_keys`, the statements of the ledger
    with the keys that have signed them. `keys` are public keys of the organiser and `witnesses` those of
    witnesses, as text; `tsas` the certificates of time stampers, as DER. `show_key` is the show's key of 32 bytes, once
    it was opened, `uids` the ids of all who may be in the roll. `told` is the whole ledger, where it was checked
    before: it tells of seals whose draws were stopped, and of the records of the first version, which nobody has
    signed. `tell` hears how far a long check is. `origins` say where guests come from, used with the totals; `shared`
    is the list of entries that their blocks have too many. Both are bytes or open files.
    """

    excluded: Iterable[bytes] = ()
    receipts: Iterable[bytes] = ()
    earlier: Sequence[bytes] = ()
    stubs: Iterable[bytes] = ()
    gateway_keys: Iterable[bytes] = ()
    keys: Sequence[str] = ()
    witnesses: Sequence[str] = ()
    tsas: Sequence[bytes] = ()
    show_key: bytes = b""
    uids: Iterable[int] = ()
    told: Sequence[Told] = ()
    tell: Tell = no_progress
    origins: Source | None = None
    shared: Source | None = None


NOTHING = Given()


def as_file(source: Source | None) -> Any:
    return io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source


def verify_draw(
    record: bytes, roll: Source | None = None, totals: Source | None = None, given: Given = NOTHING
) -> list[Check]:
    """Check every claim of a record that can be checked with these files, and every receipt.

    `record` is canonical JSON; `roll` and `totals` are bytes or open files, the latter read in pieces.
    Never raises: what can't be read is a check that fails.

    >>> verify_draw(b"[]")
    [Check(name='record', ok=False, detail='expected record as dict, got []')]
    """
    try:
        case = Case(read_json(record, "record", RECORDS), roll, totals, given)
    except Exception as error:
        return [Check("record", False, clip(str(error) or repr(error)))]
    checks = check_case(case)
    checks += [check_receipt(case, number, data) for number, data in enumerate(given.receipts, 1)]
    return checks + [check_stub(case, number, data) for number, data in enumerate(given.stubs, 1)]


def check_case(case: Case) -> list[Check]:
    """Every check but those of receipts and stubs, which may follow; `case.failed` has the names of those that fail."""
    checks = [Check("record", True, f"canonical JSON of {case.version}, known fields only")]
    for name, check in checks_for(case):
        checks.append(run(name, check, case))
        if not checks[-1].ok:
            case.failed.add(name)
    return checks


def run(name: str, check: Callable[[Case], str], case: Case) -> Check:
    try:
        return Check(name, True, clip(check(case)))
    except Wrong as error:
        return Check(name, False, clip(str(error)))
    except Exception as error:  # a claim that can't even be computed does not hold
        return Check(name, False, clip(f"could not be computed: {error!r}"))


def clip(text: str) -> str:
    return text if len(text) <= 600 else text[:600] + " ..."


def checks_for(case: Case) -> list[tuple[str, Callable[[Case], str]]]:
    roll, given = case.roll is not None, case.given
    return [
        *CHECKS,
        *(KEY_CHECKS if given.keys else ()),
        *(WITNESS_CHECKS if given.keys and given.witnesses else ()),
        *(STAMP_CHECKS if given.keys else ()),
        *(EARLIER_CHECKS if given.earlier else ()),
        *(SHOW_KEY_CHECKS if given.show_key else ()),
        *(ROLL_CHECKS if roll else ()),
        *(TOTALS_CHECKS if roll and case.totals is not None else ()),
        *(ORIGINS_CHECKS if case.origins is not None else ()),
        *(SHARED_CHECKS if case.shared is not None else ()),
    ]


# --- 4. The record ---


def check_record_digest(case: Case) -> str:
    expect("record digest", digest_of(case.record), case.record["digest"])
    return str(case.record["digest"])


def digest_of(record: Any) -> str:
    """What the field "digest" has to be: over all that the record says, and nothing that was added to it."""
    rest = {name: value for name, value in record.items() if name not in ("digest", "log", "signature")}
    return tagged(record["$format"] + "/record", canonical(rest)).hex()


def check_rules(case: Case) -> str:
    """The bounds of docs/draw.md, section 1."""
    rules, table = case.rules, case.rules["tickets"]
    expect("algorithm", "aes256ctr-min/1", rules["algorithm"])
    expect("skip rule", SKIP_RULES[case.version], rules["skip_rule"])
    require(len(table) > 0 and all(len(row) == 2 for row in table), "rows [shakes, tickets]")
    pairs = list(pairwise([[0, 0], *table]))
    require(all(a[0] < b[0] and a[1] < b[1] for a, b in pairs), "a ticket table that increases")
    expect("tmax", table[-1][1], rules["tmax"])
    require(rules["tmax"] <= 65535, f"at most 65535 tickets, got {rules['tmax']}")
    expect("winners", len(rules["prizes"]), rules["winners"])
    require(rules["winners"] >= 1 and rules["reserves"] <= rules["winners"] + 5, "K >= 1 and R <= K + 5")
    margin, deadline = rules["seal_margin_s"], rules["reveal_deadline_s"]
    require(15 <= margin <= 86_400, f"a seal margin of 15 .. 86400 s, got {margin}")
    require(1 <= deadline <= margin, f"a reveal deadline of 1 .. {margin} s, got {deadline}")
    require(10 <= rules["claim_s"] <= 31_536_000, f"10 .. 31536000 s to claim, got {rules['claim_s']}")
    for rows, name in ((rules["prizes"], "id"), (rules["parties"], "name"), (rules["windows"], "feed")):
        require(len({row[name] for row in rows}) == len(rows) > 0, f"each {name} once, at least one")
    require(all(row["window_ms"] > 0 for row in rules["windows"]), "windows that have a length")
    if case.version == V2:
        check_later_rules(rules)
    return f"{rules['winners']} prizes, {rules['reserves']} reserves, up to {rules['tmax']} tickets"


SKIP_RULES = {V1: "one win per viewer per show", V2: "one win per viewer per show, as of the seal"}


def check_later_rules(rules: Any) -> None:
    """What the rules of the second version have in addition."""
    expect("format of the rules", V2 + "/rules", rules["$format"])
    throws, least = rules["beacon"]["throws"], 50 if rules["beacon"]["kind"] == "dice" else 0
    require(least <= throws <= 8 * least, f"{least} .. {8 * least} promised throws, got {throws}")
    by = rules["publish_by_s"]
    require(60 <= by <= 31_536_000, f"60 .. 31536000 s to publish, got {by}")
    names = [row["name"] for row in rules["witnesses"]]
    keys = [parse_key(row["key"], COSIGNATURE) for row in rules["witnesses"]]
    require(len(set(names)) == len(names), f"each witness once, got {names}")
    require(len({key.public for key in keys}) == len(keys), "each key of a witness once, whatever its name")
    expect("names in the keys of the witnesses", names, [key.name for key in keys])
    require(rules["quorum"] <= len(names), f"a quorum of at most {len(names)}, got {rules['quorum']}")
    require(rules["unwitnessed"] in ("wait", "go on"), "`wait` or `go on` without witnesses")
    stampers = [[row[name] for row in rules["stampers"]] for name in ("name", "certificate")]
    once = all(len(set(values)) == len(values) for values in stampers)
    require(once, "each name and each certificate of a time stamper once")
    require(
        len(stampers[0]) <= MOST_STAMPERS, f"at most {MOST_STAMPERS} time stampers, got {len(stampers[0])}"
    )
    require(rules["repeats"] != rules["draw_id"], "a draw that repeats another one")
    check_fair_play(rules["fair_play"])


PASS_KINDS = ("guest", "work", "code", "attested")  # of a guest's pass, from 1 on


def check_fair_play(promise: Any) -> None:
    """What is promised about guests."""
    for name, least, most in (("max_hz", 1, 50), ("burst", 0, 32_767), ("grace_ms", 500, 60_000)):
        require(least <= promise[name] <= most, f"{name} of {least} .. {most}, got {promise[name]}")
    for names, known in ((promise["ways"], PASS_KINDS[1:]), (promise["shared"]["kinds"], PASS_KINDS)):
        require(set(names) <= set(known), f"names of {', '.join(known)}, got {names}")
        require(names == sorted(set(names)), f"names in order, each once, got {names}")
    numbers = [*promise["passes"].values(), promise["shared"]["entries"]]
    require(max(numbers) <= 1_000_000, f"passes and shared entries of at most 1000000, got {max(numbers)}")
    carriers, caps = promise["carriers"], promise["most_tickets"]
    require(len(carriers) <= 200, f"at most 200 carriers, got {len(carriers)}")
    require(all(list(map(type, row)) == [str, int] for row in carriers), "carriers as [prefix, factor]")
    require(len({row[0] for row in carriers}) == len(carriers), "each carrier once")
    require(all(1 <= row[1] <= 10_000 for row in carriers), "factors of 1 .. 10000")
    require(set(caps) <= set(PASS_KINDS), f"most tickets of {', '.join(PASS_KINDS)}, got {sorted(caps)}")
    require(max(caps.values(), default=0) <= 65_535, "at most 65535 tickets of any kind")


def check_rules_digest(case: Case) -> str:
    digest = tagged(case.version + "/rules", canonical(case.rules)).hex()
    expect("rules digest", digest, case.record["rules_digest"])
    return digest


def check_commitments(case: Case) -> str:
    commitments = {party["name"]: party["commitment"] for party in case.rules["parties"]}
    expect("commitments", commitments, case.record["precommitment"]["commitments"])
    reveals = case.record["reveals"]
    expect("parties", sorted(commitments), sorted(reveals))
    for name, row in reveals.items():
        fields = case.rules["draw_id"].encode(), name.encode(), bytes.fromhex(row["secret"])
        if row["secret"]:
            expect(f"commitment of {name}", tagged("shake-draw/v1/commit", *fields).hex(), commitments[name])
    absent = sorted(name for name, row in reveals.items() if not row["secret"])
    return f"{len(reveals) - len(absent)} secrets fit; absent: {', '.join(absent) or 'nobody'}"


def check_reveals(case: Case) -> str:
    """Reveal first, beacon last: whoever moves last must not be able to choose (section 4)."""
    record, deadline = case.record, reveal_deadline(case)
    earliest, latest = record["precommitment"], record["seal"]["time"]
    for name, row in record["reveals"].items():
        if not row["secret"]:
            expect(f"time and ledger of {name}, who was absent", (0, 0), (row["time"], row["ledger"]))
            continue
        require(row["time"] <= deadline, f"{name} to reveal until {deadline}, got {row['time']}: too late")
        require(row["time"] <= latest, f"{name} to reveal before the seal at {latest}, got {row['time']}")
        require(earliest["time"] <= row["time"], f"{name} to reveal after the precommitment")
        positions = [earliest["ledger"], row["ledger"], record["ledger"]["seal"]]
        require(increase(positions), f"{name}'s secret in the ledger before the seal, got {positions}")
    return f"every secret was revealed by {deadline} and before the seal"


def reveal_deadline(case: Case) -> int:
    """Until when a secret counts, in UTC ms: `reveal_deadline_s` before the round, or before its place."""
    seal, rules = case.record["seal"], case.rules
    drand = rules["beacon"]["kind"] == "drand"
    due = round_time(seal["round"]) if drand else seal["t_freeze"] + rules["seal_margin_s"]
    return int(due - rules["reveal_deadline_s"]) * 1000


def round_time(number: int) -> int:
    return GENESIS + (number - 1) * PERIOD


def check_times(case: Case) -> str:
    seal, windows, ran = case.record["seal"], case.rules["windows"], case.record["as_run"]
    length, longest = ran["closes_at"] - ran["opens_at"], min(row["window_ms"] for row in windows)
    require(0 <= length <= longest, f"a window of at most {longest} ms, got {length}")
    opens, closes = ran["opens_at"], ran["closes_at"] + max(row["delay_ms"] for row in windows)
    committed, frozen = case.record["precommitment"]["time"], seal["t_freeze"] * 1000
    require(committed <= opens, f"a precommitment before the opening at {opens}, got {committed}")
    require(closes < frozen + 1000, f"a freeze after the closing at {closes}, got {frozen}")
    require(frozen <= seal["time"], f"a seal after the freeze at {frozen}, got {seal['time']}")
    if case.rules["beacon"]["kind"] == "drand":
        due = round_time(seal["round"]) * 1000
        require(seal["time"] < due, f"a seal before the round at {due}, got {seal['time']}")
    late = [row["time"] for row in case.record["dispositions"] if row["time"] < seal["time"]]
    require(not late, f"dispositions after the seal at {seal['time']}, got {late}")
    return "precommitment, window, freeze and seal are in order"


def check_ledger(case: Case) -> str:
    ledger, committed = case.record["ledger"], case.record["precommitment"]["ledger"]
    order = [committed, ledger["freeze"], ledger["seal"], ledger["beacon"]]
    require(increase(order), f"precommitment, freeze, seal and beacon to increase, got {order}")
    start, later = ledger["start"], [row["ledger"] for row in case.record["dispositions"]]
    require(ledger["seal"] < start, f"a start after the seal at {ledger['seal']}, got {start}")
    order.append(start)
    require(increase([max(order), *later]), f"dispositions after {order}, in order, got {later}")
    return f"positions {order + later}"


def increase(values: Sequence[Any]) -> bool:
    return all(a < b for a, b in pairwise(values))


def check_software(case: Case) -> str:
    promised = {name: case.rules[f"{name}_digest"] for name in ("software", "verifier")}
    expect("software digests", promised, case.record["software"])
    return "as promised before the window opened"


def check_roll_header(case: Case) -> str:
    roll = case.record["roll"]
    fields = roll["entries"], roll["tickets"], bytes.fromhex(case.record["rules_digest"])
    layout = case.rules["tmax"], ENTRY_BYTES, RUN_ENTRIES
    expect("roll header", struct.pack(">8sQQ32sHHI", b"SHKROLL1", *fields, *layout).hex(), roll["header"])
    return f"{roll['entries']} entries, {roll['tickets']} tickets, these rules"


def check_roll_digest(case: Case) -> str:
    roll = case.record["roll"]
    digest = tagged("shake-draw/v1/roll", bytes.fromhex(roll["header"]), bytes.fromhex(roll["root"])).hex()
    expect("roll digest", digest, roll["digest"])
    return digest


def check_seal(case: Case) -> str:
    """Section 4; also the round, which the freeze decides and nobody else."""
    record, rules, seal = case.record, case.rules, case.record["seal"]
    expect("round", due_round(rules, seal["t_freeze"]), seal["round"])
    secrets = [bytes.fromhex(record["reveals"][party["name"]]["secret"]) for party in rules["parties"]]
    digests = [record["rules_digest"], record["roll"]["digest"]]
    if case.version == V2:
        digests += [record["roll"]["totals_digest"], prior_digest(record), seal["previous"]]
    fields = [rules["draw_id"].encode(), *map(bytes.fromhex, digests), struct.pack(">Q", seal["round"])]
    expect("seal", tagged(case.version + "/seal", *fields, *secrets).hex(), seal["digest"])
    return str(seal["digest"])


def prior_digest(record: Any) -> str:
    """The digest of the wins that the seal fixes: all of the list but those of draws that were under way."""
    sealed = [row for row in record["prior_wins"] if row["draw_id"] not in record["pending"]]
    return tagged(V2 + "/prior", canonical({"wins": sealed, "pending": record["pending"]})).hex()


def due_round(rules: Any, t_freeze: int) -> int:
    if rules["beacon"]["kind"] != "drand":
        return 0
    return -(-(t_freeze + int(rules["seal_margin_s"]) - GENESIS) // PERIOD) + 1  # -(-a // b) rounds up


REHEARSAL = "REHEARSAL: the random number is the server's word alone"


def check_beacon(case: Case) -> str:
    """Section 5."""
    beacon, rule, kind = case.record["beacon"], case.rules["beacon"], case.rules["beacon"]["kind"]
    require(kind in ("drand", "dice", "local"), f"a beacon of drand, dice or local, got {kind}")
    expect("beacon", kind, beacon["kind"])
    expect("chain", QUICKNET if kind == "drand" else "", rule["chain"])
    own_id = QUICKNET if kind == "drand" else tagged("shake-draw/v1/beacon", kind.encode()).hex()
    expect("beacon id", own_id, beacon["id"])
    expect("strength", "rehearsal" if kind == "local" else "public", beacon["strength"])
    expect("proof", {"drand": ["signature"], "dice": ["digits"], "local": []}[kind], sorted(beacon["proof"]))
    if kind == "local":
        return REHEARSAL
    if kind == "dice":
        return check_dice(beacon["value"], beacon["proof"]["digits"], rule.get("throws"))
    return check_drand(beacon["value"], beacon["proof"]["signature"], case.record["seal"]["round"])


def check_dice(value: str, digits: str, throws: int | None) -> str:
    require(re.fullmatch("[1-6]{50,}", digits) is not None, f"at least 50 digits of 1 to 6, got {digits}")
    expect("value", sha256(digits.encode()).hex(), value)
    if throws is None:
        return f"{len(digits)} throws, of which no number was promised: compare them with the broadcast"
    expect("throws, as promised", throws, len(digits))
    return f"{len(digits)} throws, as promised: compare them with the broadcast"


def check_drand(value: str, signature: str, number: int) -> str:
    require(HEX48.fullmatch(signature) is not None, f"a signature of 48 bytes in hex, got {signature}")
    expect("value", sha256(bytes.fromhex(signature)).hex(), value)
    expect("chain hash", QUICKNET, chain_hash().hex())
    check_signature(bytes.fromhex(PUBLIC_KEY), sha256(struct.pack(">Q", number)), bytes.fromhex(signature))
    return (
        f"drand quicknet signed round {number}, due at {round_time(number)}; the signature was verified here"
    )


def check_key(case: Case) -> str:
    record = case.record
    fields = record["seal"]["digest"], record["beacon"]["id"], record["beacon"]["value"]
    expect("key", tagged("shake-draw/v1/key", *map(bytes.fromhex, fields)).hex(), record["key"])
    return str(record["key"])


def check_scores(case: Case) -> str:
    """Section 6: the listed scores are those of the key, best ticket first, in ascending order, each viewer once."""
    cipher, before = make_cipher(bytes.fromhex(case.record["key"])), ""
    worth = {row[1] for row in case.rules["tickets"] if 1 <= row[1] <= 65535}
    for name in ("pseudonym", "index"):
        names = [row[name] for row in case.record["ranked"]]
        require(len(set(names)) == len(names), f"each {name} once in the ranking")
    for rank, row in enumerate(case.record["ranked"], 1):
        expect("rank", rank, row["rank"])
        require(row["tickets"] in worth, f"tickets of the table at rank {rank}, got {row['tickets']}")
        require(row["index"] < case.record["roll"]["entries"], f"an index in the roll at rank {rank}")
        came = row["score"], row["ticket"]
        expect(f"score and ticket at rank {rank}", best_score(cipher, row["pseudonym"], row["tickets"]), came)
        require(before < row["score"], f"scores that increase, got {row['score']} at rank {rank}")
        before = row["score"]
    return f"{len(case.record['ranked'])} listed scores computed anew; AES by {cipher.name}"


def best_score(cipher: Cipher, pseudonym: str, tickets: int) -> tuple[str, int]:
    """The smallest score (hex) of a viewer, and the ticket that has it."""
    blocks = b"".join(bytes.fromhex(pseudonym) + struct.pack(">H", ticket) for ticket in range(tickets))
    scores = cipher.encrypt(bytearray(blocks))
    return min((scores[16 * ticket : 16 * ticket + 16].hex(), ticket) for ticket in range(tickets))


def prior_wins(case: Case) -> dict[str, str]:
    return {row["pseudonym"]: row["draw_id"] for row in case.record["prior_wins"]}


def takers(case: Case) -> list[dict[str, Any]]:
    """Rank and pseudonym of those in the ranking who had not won before."""
    prior = prior_wins(case)
    rows = [row for row in case.record["ranked"] if row["pseudonym"] not in prior]
    return [{"rank": row["rank"], "pseudonym": row["pseudonym"]} for row in rows]


def check_skipped(case: Case) -> str:
    prior = prior_wins(case)
    names = [row["pseudonym"] for row in case.record["prior_wins"]]
    require(increase(names), "prior wins in order, each viewer once")
    require(case.rules["draw_id"] not in prior.values(), "prior wins of other draws")
    require(all(prior.values()), "a draw id for each prior win")
    pending = case.record.get("pending", [])
    require(len(set(pending)) == len(pending), f"each pending draw once, got {pending}")
    require(case.rules["draw_id"] not in pending, "pending draws that are others")
    for row in case.record["ranked"]:
        expect(f"won at rank {row['rank']}", prior.get(row["pseudonym"], ""), row["won"])
    skipped = sum(row["won"] != "" for row in case.record["ranked"])
    if case.version == V1:
        return f"{skipped} skipped; compare the prior wins with the show's other records"
    under_way = sum(won in pending for won in prior.values())
    return f"{skipped} skipped; {len(prior) - under_way} wins are under the seal, {under_way} are of pending draws"


def check_winners(case: Case) -> str:
    prizes = [prize["id"] for prize in case.rules["prizes"]]
    won = [{**taker, "prize": prize} for taker, prize in zip(takers(case), prizes)]
    expect("winners", won, case.record["winners"])
    return f"{len(won)} winners of {len(prizes)} prizes"


def check_reserves(case: Case) -> str:
    expect("reserves", takers(case)[case.rules["winners"] : case.take()], case.record["reserves"])
    return f"{len(case.record['reserves'])} reserves"


def check_cutoff(case: Case) -> str:
    """The list ends with the last reserve, or with the roll."""
    listed, taken = case.record["ranked"], takers(case)
    if len(taken) < case.take():
        expect("entries listed, as nobody is left", case.record["roll"]["entries"], len(listed))
        expect("cutoff", NO_CUTOFF, case.record["cutoff"])
        return "the whole roll is listed"
    expect("last rank", taken[case.take() - 1]["rank"], listed[-1]["rank"])
    expect("cutoff", listed[-1]["score"], case.record["cutoff"])
    return "the last listed score: who has a smaller one must be listed"


def check_dispositions(case: Case) -> str:
    """What became of the prizes, replayed in order (section 7)."""
    prizes = replay(case)
    claimed, free = len(prizes.claimed), ", ".join(sorted(prizes.free))
    return f"{len(case.record['dispositions'])} so far; {claimed} claimed; free: {free or 'none'}"


def replay(case: Case) -> Prizes:
    """Return how things stand after all dispositions; raise Wrong at the first that does not follow."""
    prizes = Prizes(case.record, case.rules)
    for number, row in enumerate(case.record["dispositions"], 1):
        listed = STATUSES.get(row["status"], set())
        require(row["reason"] in listed, f"a listed reason in row {number}, got {row['reason']!r}")
        try:
            prizes.apply(row)
        except Wrong as error:
            raise Wrong(f"row {number}, {row['status']}: {error}") from None
    return prizes


class Prizes:
    """Who holds each prize, as the dispositions change it."""

    def __init__(self, record: Any, rules: Any) -> None:
        self.claim_ms, now = rules["claim_s"] * 1000, record["seal"]["time"]
        self.holders = {row["prize"]: (row["pseudonym"], now) for row in record["winners"]}
        self.reserves = [row["pseudonym"] for row in record["reserves"]]
        self.claimed: set[str] = set()
        self.free: set[str] = set()

    def apply(self, row: Any) -> None:
        if row["status"] in ("won", "skipped"):
            self.use_reserve(row)
            return
        prize = row["prize"]
        require(prize in self.holders, f"a prize that somebody holds, got {prize!r}")
        holder, since = self.holders[prize]
        expect(f"holder of {prize!r}", holder, row["pseudonym"])
        if row["status"] != "disqualified":
            require(prize not in self.claimed, f"{prize!r} not to be claimed already")
        if row["status"] == "claimed":
            self.claimed.add(prize)
            return
        # Times are rounded to a second: deadline and disposition are written by different clocks' ticks.
        if row["reason"] == "deadline passed":
            earliest = since + self.claim_ms - 1000
            require(row["time"] >= earliest, f"a deadline not before {earliest}, got {row['time']}")
        del self.holders[prize]
        self.claimed.discard(prize)
        self.free.add(prize)

    def use_reserve(self, row: Any) -> None:
        require(bool(self.free), "a prize that was freed")
        require(bool(self.reserves), "a reserve that is left")
        expect("next reserve", self.reserves.pop(0), row["pseudonym"])
        if row["status"] == "skipped":
            expect("prize", "", row["prize"])
            return
        require(row["prize"] in self.free, f"a prize that was freed, got {row['prize']!r}")
        self.free.remove(row["prize"])
        self.holders[row["prize"]] = row["pseudonym"], row["time"]


# --- 5. The roll (docs/draw.md, section 3) ---

CHUNK_ENTRIES = 16_384  # 256 KiB: few enough to stay in the processor's cache
CHUNK_BYTES = CHUNK_ENTRIES * ENTRY_BYTES


class Survey(NamedTuple):
    """What one pass over the entries of the roll finds."""

    entries: int
    tickets: int
    root: bytes
    problem: str  # the first entry that is out of order or has a wrong number of tickets


def survey_roll(case: Case) -> Survey:
    tree, before, problem = Tree(), b"", ""
    allowed, entries, tickets = {row[1] for row in case.rules["tickets"]}, 0, 0
    for chunk in read_body(case.roll):
        for start in range(0, len(chunk), RUN_BYTES):
            tree.add(chunk[start : start + RUN_BYTES])
        if entries > case.record["roll"]["entries"]:
            break  # too long already: the rest is not read
        whole, rest = divmod(len(chunk), ENTRY_BYTES)
        names, numbers = split(chunk[: len(chunk) - rest])
        problem = problem or find_problem(names, numbers, before, allowed, entries)
        if rest:
            problem = problem or f"expected entries of 16 bytes, got {rest} bytes at the end"
        before, entries, tickets = names[-1] if names else before, entries + whole, tickets + sum(numbers)
        case.tell("reading the roll", entries, case.record["roll"]["entries"])
    return Survey(entries, tickets, tree.root(), problem)


def split(chunk: bytes) -> tuple[Sequence[bytes], Sequence[int]]:
    """The pseudonyms and the tickets of a chunk of entries."""
    fields = columns("14sH", len(chunk) // ENTRY_BYTES).unpack(chunk)
    return fields[::2], fields[1::2]


def read_body(file: Any) -> Iterator[bytes]:
    """The entries of a roll in chunks; the last may be short, and even cut within an entry."""
    file.seek(HEADER_BYTES)
    return iter(lambda: file.read(CHUNK_BYTES), b"")


@functools.lru_cache(maxsize=8)
def columns(fields: str, count: int) -> struct.Struct:
    return struct.Struct(">" + fields * count)


def find_problem(
    names: Sequence[bytes], numbers: Sequence[Any], before: bytes, allowed: set[Any], first: int
) -> str:
    """The first entry of a chunk that is out of order or has a wrong number of tickets; "" if none is."""
    ordered = before < names[0] if names else True
    if ordered and all(map(operator.lt, names, names[1:])) and allowed.issuperset(numbers):
        return ""
    for index, (name, number) in enumerate(zip(names, numbers), first):
        if not before < name:
            return f"expected pseudonyms that increase, got {name.hex()} at {index}"
        if number not in allowed:
            return f"expected tickets of {sorted(allowed)}, got {number} at {index}"
        before = name
    raise AssertionError("a chunk is in order for one way of looking and not for the other")


def check_roll_file(case: Case) -> str:
    case.roll.seek(0)
    expect("roll header in the file", case.record["roll"]["header"], case.roll.read(HEADER_BYTES).hex())
    size, expected = case.roll.seek(0, 2), HEADER_BYTES + ENTRY_BYTES * case.record["roll"]["entries"]
    expect("size of the roll in bytes", expected, size)
    return f"{size} bytes, the header of the record"


def check_roll_entries(case: Case) -> str:
    found = case.survey
    if found.problem:
        raise Wrong(found.problem)
    expect("entries", case.record["roll"]["entries"], found.entries)
    expect("tickets", case.record["roll"]["tickets"], found.tickets)
    return f"{found.entries} entries in order, {found.tickets} tickets"


def check_roll_root(case: Case) -> str:
    root = case.survey.root.hex()
    expect("roll root", root, case.record["roll"]["root"])
    return root


def check_ranking(case: Case) -> str:
    """Section 6, over every ticket of the roll."""
    unsound = case.failed & {"rules", "roll header", "roll file", "roll entries"}
    require(not unsound, f"a sound roll to rank, but these fail: {', '.join(sorted(unsound))}")
    cipher = make_cipher(bytes.fromhex(case.record["key"]))
    fields = "rank", "pseudonym", "tickets", "ticket", "score", "index"
    expected = expected_ranking(case, cipher)
    for rank, (row, came) in enumerate(zip(expected, case.record["ranked"]), 1):
        expect(f"rank {rank}", row, tuple(came[name] for name in fields))
    expect("length of the ranking", len(expected), len(case.record["ranked"]))
    computed = f"{case.record['roll']['tickets']} scores, all computed; AES by {cipher.name}"
    return f"the smallest {len(expected)} of {computed}"


def expected_ranking(case: Case, cipher: Cipher) -> list[tuple[int, str, int, int, str, int]]:
    prior, take = prior_wins(case), case.take()
    best = Best(cipher, take + len(prior))  # however many of the best are skipped, enough are left
    entries = 0
    for chunk in read_body(case.roll):
        rank_chunk(best, chunk, entries)
        entries += len(chunk) // ENTRY_BYTES
        case.tell("ranking", entries, case.record["roll"]["entries"])
    expected: list[tuple[int, str, int, int, str, int]] = []
    for index, (score, ticket) in best.sorted():
        if take == 0:
            break
        case.roll.seek(HEADER_BYTES + ENTRY_BYTES * index)
        pseudonym, tickets = struct.unpack(">14sH", case.roll.read(ENTRY_BYTES))
        expected.append((len(expected) + 1, pseudonym.hex(), tickets, ticket, score.hex(), index))
        take -= pseudonym.hex() not in prior
    return expected


class Best:
    """The `count` entries with the smallest scores among all that were offered.

    `limit` is the worst score that is still kept. It falls quickly, so that after the first blocks hardly
    any is looked at: a search for its first byte, at the speed of memchr, finds the few that may count.
    """

    def __init__(self, cipher: Cipher, count: int) -> None:
        self.cipher, self.count = cipher, count
        self.kept: dict[int, tuple[bytes, int]] = {}  # index of the entry -> (its smallest score, ticket)
        self.set_limit(b"\xff" * 16)

    def set_limit(self, limit: bytes) -> None:
        self.limit = limit
        low = b"\\x00" if limit[0] == 0 else b"[\\x00-\\x%02x]" % limit[0]
        self.search = re.compile(low, re.DOTALL).finditer

    def offer(self, blocks: bytearray, place: Callable[[int], tuple[int, int, bool]]) -> None:
        """Look at the scores of these blocks; `place` tells entry, ticket and whether the entry has it."""
        scores = self.cipher.encrypt(blocks)
        for found in self.search(scores[::16]):
            at = found.start()
            score = bytes(scores[16 * at : 16 * at + 16])
            if score <= self.limit:
                index, ticket, has_it = place(at)
                if has_it and (index not in self.kept or score < self.kept[index][0]):
                    self.kept[index] = score, ticket
        if len(self.kept) > self.count:
            # An entry that is dropped here comes back if a better ticket of it is offered later.
            self.kept = dict(self.sorted())
            self.set_limit(max(self.kept.values())[0])

    def sorted(self) -> list[tuple[int, tuple[bytes, int]]]:
        return sorted(self.kept.items(), key=operator.itemgetter(1))[: self.count]


def rank_chunk(best: Best, chunk: bytes, first: int) -> None:
    """Offer every ticket of a chunk of entries, the first of which has the index `first`.

    Tickets 0 to 15 of all entries, then 16 to 31 of those that have more than 16, then 32 to 63, and so on:
    that encrypts less than two blocks for each ticket, and 15 more for each entry.
    """
    names, tickets = split(chunk)
    indices: Sequence[int] = range(first, first + len(tickets))
    start, most = 0, max(tickets)
    while start < most:
        stop = min(most, 2 * start or 16)
        offer = offer_by_ticket if len(tickets) >= stop - start else offer_by_entry
        offer(best, names, tickets, indices, range(start, stop))
        if stop < most:
            names = list(itertools.compress(names, [number > stop for number in tickets]))
            indices = list(itertools.compress(indices, [number > stop for number in tickets]))
            tickets = [number for number in tickets if number > stop]
        start = stop


def offer_by_ticket(
    best: Best, names: Sequence[bytes], tickets: Sequence[int], indices: Sequence[int], js: range
) -> None:
    """All entries at once, one ticket number after the other: only two bytes of each block change."""
    count = len(names)
    blocks = bytearray(b"\0\0".join(names) + b"\0\0")
    for j in js:
        blocks[14::16], blocks[15::16] = bytes([j >> 8]) * count, bytes([j & 255]) * count
        best.offer(blocks, lambda at, j=j: (indices[at], j, j < tickets[at]))  # type: ignore[misc]


def offer_by_entry(
    best: Best, names: Sequence[bytes], tickets: Sequence[int], indices: Sequence[int], js: range
) -> None:
    """All ticket numbers at once, one entry after the other: for the few that have very many."""
    counters = struct.pack(f">{len(js)}H", *js)
    for name, number, index in zip(names, tickets, indices):
        blocks = bytearray((name + b"\0\0") * len(js))
        blocks[14::16], blocks[15::16] = counters[::2], counters[1::2]
        best.offer(blocks, lambda at, i=index, n=number: (i, js[at], js[at] < n))  # type: ignore[misc]


def check_proofs(case: Case) -> str:
    """RFC 9162 2.1.3: every listed entry stands in the roll where the record says."""
    root, size = bytes.fromhex(case.record["roll"]["root"]), run_count(case.record["roll"]["entries"])
    for row in case.record["ranked"]:
        leaf = row["proof"]["leaf"]
        expect(f"leaf at rank {row['rank']}", row["index"] // RUN_ENTRIES, leaf)
        case.roll.seek(HEADER_BYTES + RUN_BYTES * leaf)
        run_hash = leaf_hash(case.roll.read(RUN_BYTES))
        holds = is_included(run_hash, leaf, size, list(map(bytes.fromhex, row["proof"]["siblings"])), root)
        require(holds, f"an inclusion proof that leads to the root at rank {row['rank']}")
    return f"{len(case.record['ranked'])} entries are in the roll"


def run_count(entries: int) -> int:
    return -(-entries // RUN_ENTRIES)


# --- 6. The frozen totals, for the auditor (docs/draw.md, section 3) ---

TOTAL_BYTES = 18


def read_totals(file: Any) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(CHUNK_ENTRIES * TOTAL_BYTES), b"")


def check_totals_digest(case: Case) -> str:
    digest = hashlib.sha256()
    for chunk in read_totals(case.totals):
        digest.update(chunk)
    expect("totals digest", digest.hexdigest(), case.record["roll"]["totals_digest"])
    return digest.hexdigest()


def check_exclusions(case: Case) -> str:
    fields = case.rules["draw_id"].encode(), b"".join(case.excluded)
    digest = tagged("shake-draw/v1/exclusions", *fields).hex()
    expect("commitment to the exclusions", digest, case.rules["exclusions_commitment"])
    return f"{len(case.excluded)} excluded, as committed"


def check_show_key(case: Case) -> str:
    """The key that was opened is the one that was committed to; with ids and roll: every entry is of one of them."""
    show, key = case.rules["show_id"], case.given.show_key
    digest = tagged("shake-draw/v1/commit", show.encode(), b"k_show", key).hex()
    expect("commitment to the show's key", digest, case.rules["k_show_commitment"])
    known = {pseudonym_of(show, key, uid) for uid in case.given.uids}
    if not known or case.roll is None:
        return "as committed; with ids and roll it shows who stands behind each entry"
    strangers = [name for chunk in read_body(case.roll) for name in split(chunk)[0] if name not in known]
    require(not strangers, f"entries of the {len(known)} ids that were given, got {len(strangers)} others")
    return f"as committed; every entry of the roll is of one of the {len(known)} ids"


def pseudonym_of(show: str, key: bytes, uid: int) -> bytes:
    """Section 2."""
    number = struct.pack(">Q", uid)
    salt = tagged("shake-draw/v1/salt", key, show.encode(), number)
    return tagged("shake-draw/v1/pseudonym", show.encode(), number, salt)[:14]


def check_tickets(case: Case) -> str:
    """The roll is made anew from the shakes, chunk by chunk, and compared."""
    guests, entries, viewers = Guests(case), 0, 0
    limits, digest, left_out = guests.limits(), hashlib.sha256(), 0
    case.roll.seek(HEADER_BYTES)
    for names, numbers, rows in guests.count():
        for index, group, rank in rows:
            if numbers[index] and rank > limits.get(group, rank):
                numbers[index], left_out = b"", left_out + 1
                digest.update(names[index])
        made = b"".join(itertools.compress(map(operator.add, names, numbers), numbers))
        if case.roll.read(len(made)) != made:
            lack = "" if case.origins else guests.lack
            raise Wrong(
                f"expected the roll that follows from the shakes, got another after entry {entries}{lack}"
            )
        viewers, entries = viewers + len(names), entries + len(made) // ENTRY_BYTES
        case.tell("making the roll anew", entries, case.record["roll"]["entries"])
    require(not case.roll.read(1), f"{entries} entries that follow from the shakes, got more")
    case.left_out, case.viewers = (left_out, digest.hexdigest()), viewers
    case.crowded = guests.crowded if case.origins is not None else None
    said = f"; {left_out} entries of blocks that have too many are left out" if left_out else ""
    return f"{viewers} viewers' shakes give exactly this roll{said}"


# Guests: what is promised about them (section 1), and where they come from (section 3).

Ranked = Tuple[int, Tuple[int, int], bytes]  # index in a chunk, carrier and block, rank


class Guests:
    """Tickets of all viewers, in chunks, with the caps of kinds; and which entries share with their block."""

    lack = ", but the rules hold where guests come from against them, and that was not given (--origins)"

    def __init__(self, case: Case) -> None:
        self.case, promise = case, case.rules.get("fair_play")
        self.entries, self.factors, self.counters = 0, [1], [0]
        self.caps: dict[int, dict[bytes, bytes]] = {}
        self.crowded = {"blocks": 0, "entries": 0, "kept": 0}
        if promise is None or case.origins is None:
            self.lack = "" if promise is None else self.lack
            return
        self.entries = promise["shared"]["entries"]
        self.kinds = {1 + PASS_KINDS.index(name) for name in promise["shared"]["kinds"]}
        self.factors += [row[1] for row in promise["carriers"]]
        table = TicketsOf(case.rules["tickets"])
        for name, most in promise["most_tickets"].items():
            low = {number: cap(table.allowed, number, most) for number in table.allowed}
            self.caps[1 + PASS_KINDS.index(name)] = low
        if self.entries:
            self.counters = self.count_blocks()

    def count_blocks(self) -> list[int]:
        """How many guests there are at most in each block, by its first 20 bits."""
        counters = [0] * (1 << 20)
        for rows in read_origins(self.case.origins):
            for block in rows[3::4]:
                counters[block >> 44] += 1
        return counters

    def limits(self) -> dict[tuple[int, int], bytes]:
        """Of each block that has too many entries the rank of the last one that stays."""
        found: dict[tuple[int, int], Places] = {}
        if not self.entries or max(self.counters) <= self.entries:
            return {}
        for _, numbers, rows in self.count():
            for index, group, rank in rows:
                if numbers[index]:
                    if group not in found:
                        factor = self.factors[group[0]] if group[0] < len(self.factors) else 1
                        found[group] = Places(self.entries * factor)
                    found[group].add(rank)
        full = {group: best for group, best in found.items() if best.full}
        kept = sum(best.places for best in full.values())
        self.crowded = {
            "blocks": len(full),
            "entries": sum(best.seen for best in full.values()),
            "kept": kept,
        }
        return {group: best.last() for group, best in full.items()}

    def count(self) -> Iterator[tuple[list[bytes], list[bytes], list[Ranked]]]:
        """Names, tickets and what may be one too many, chunk by chunk of the totals."""
        case, before, viewers = self.case, b"", 0
        tickets, excluded = TicketsOf(case.rules["tickets"]), set(case.excluded)
        whence = Along(case.origins)
        for chunk in read_totals(case.totals):
            require(len(chunk) % TOTAL_BYTES == 0, "totals of 18 bytes for each viewer")
            fields = columns("14sI", len(chunk) // TOTAL_BYTES).unpack(chunk)
            names, numbers = list(fields[::2]), list(map(tickets.__getitem__, fields[1::2]))
            problem = find_problem(names, numbers, before, tickets.allowed, viewers)
            require(not problem, f"totals in order, but: {problem}")
            if not excluded.isdisjoint(names):
                numbers = [b"" if name in excluded else number for name, number in zip(names, numbers)]
            yield names, numbers, self.look_at(names, numbers, whence.up_to(names[-1]))
            before, viewers = names[-1], viewers + len(names)
        require(not whence.up_to(b"\xff" * 15), "origins of viewers in the totals, got more")

    def look_at(self, names: list[bytes], numbers: list[bytes], rows: Sequence[Any]) -> list[Ranked]:
        """Lowers tickets to what their kinds may have; returns the entries whose blocks may have too many."""
        some, caps = self.counters, self.caps
        wanted = [
            row for row in rows if some[row[3] >> 44 if self.entries else 0] > self.entries or row[1] in caps
        ]
        places = {name: index for index, name in enumerate(names)} if rows else {}
        require(all(row[0] in places for row in rows), "origins of viewers in the totals, got others")
        found = []
        for name, kind, carrier, block in wanted:
            index = places[name]
            if kind in caps:
                numbers[index] = caps[kind][numbers[index]]
            if self.entries and kind in self.kinds and block and some[block >> 44] > self.entries:
                found.append((index, (carrier, block), self.rank(name)))
        return found

    def rank(self, name: bytes) -> bytes:
        return sha256(b"shake-draw/v2/shared", bytes.fromhex(self.case.record["roll"]["totals_digest"]), name)


def cap(allowed: Iterable[bytes], number: bytes, most: int) -> bytes:
    """The largest value of the ticket table up to both."""
    most = min(most, int.from_bytes(number, "big"))
    return max((worth for worth in allowed if int.from_bytes(worth, "big") <= most), default=b"")


class Places:
    """The smallest ranks of a block, as many as it has places."""

    def __init__(self, places: int) -> None:
        self.places, self.full, self.seen = places, False, 0
        self.kept: list[int] = []

    def add(self, rank: bytes) -> None:
        self.seen += 1
        number = -int.from_bytes(rank, "big")
        if len(self.kept) < self.places:
            heapq.heappush(self.kept, number)
        else:
            self.full = True  # and one more
            heapq.heappushpop(self.kept, number)

    def last(self) -> bytes:
        return (-self.kept[0]).to_bytes(32, "big")


def read_origins(file: Any) -> Iterator[Any]:
    """Name, kind, carrier and block of each guest, as flat chunks."""
    file.seek(0)
    for chunk in iter(lambda: file.read(CHUNK_ENTRIES * ORIGIN_BYTES), b""):
        require(len(chunk) % ORIGIN_BYTES == 0, "origins of 24 bytes for each guest")
        yield columns("14sBBQ", len(chunk) // ORIGIN_BYTES).unpack(chunk)


class Along:
    """Origins along names that come in chunks; both are sorted."""

    def __init__(self, file: Any) -> None:
        self.chunks: Iterator[Any] = iter(()) if file is None else read_origins(file)
        self.rows: list[Any] = []
        self.names: list[bytes] = []

    def up_to(self, last: bytes) -> list[Any]:
        """All rows up to this name that were not given before."""
        given: list[Any] = []
        while True:
            end = bisect_right(self.names, last)
            given += self.rows[:end]
            if end < len(self.names):
                self.rows, self.names = self.rows[end:], self.names[end:]
                return given
            flat = next(self.chunks, None)
            if flat is None:
                self.rows, self.names = [], []
                return given
            before = self.names[-1:] or [row[0] for row in given[-1:]]
            self.rows, self.names = list(zip(*(flat[at::4] for at in range(4)))), list(flat[::4])
            ordered = all(map(operator.lt, [*before, *self.names], self.names[0 if before else 1 :]))
            require(ordered, "origins in the order of pseudonyms")
            require(all(1 <= kind <= len(PASS_KINDS) for kind in flat[1::4]), "origins of a known kind")


def check_origins(case: Case) -> str:
    """The file is the one of the ledger, where that is given, as are the figures that follow from it; no user of a host
    app is in it, and nobody at all where the rules take no guests.
    """
    digest, kinds, names = hashlib.sha256(), [0] * (1 + len(PASS_KINDS)), set(pseudonyms_of_users(case))
    case.origins.seek(0)
    for chunk in iter(lambda: case.origins.read(CHUNK_ENTRIES * ORIGIN_BYTES), b""):
        digest.update(chunk)
    for rows in read_origins(case.origins):
        for kind in rows[1::4]:
            require(1 <= kind < len(kinds), f"origins of a known kind, got {kind}")
            kinds[kind] += 1
        users = names.intersection(rows[::4])
        require(not users, f"origins of guests, got {len(users)} of users of the host app")
    promise = case.rules.get("fair_play")
    require(promise is None or promise["guests"] or not sum(kinds), "no guests, by the rules, got some")
    found: dict[str, Any] = {"origins_sha256": digest.hexdigest()}
    if case.left_out is not None:
        named = {name: many for name, many in zip(PASS_KINDS, kinds[1:]) if many}
        found["kinds"] = {"app": case.viewers - sum(kinds), **named}
    row = frozen_row(case)
    if row is not None and case.crowded is not None:
        told = {name: row["shared"][name] for name in case.crowded}
        expect("blocks with too many entries in the ledger", told, case.crowded)
    return compare_frozen(case, found, digest.hexdigest())


def pseudonyms_of_users(case: Case) -> Iterator[bytes]:
    """Of the users of a host app among the ids that are given: the lower half of the 64 bits."""
    if case.given.show_key and "show key" not in case.failed:
        for uid in case.given.uids:
            if uid < 1 << 63:
                yield pseudonym_of(case.rules["show_id"], case.given.show_key, uid)


def check_shared(case: Case) -> str:
    """The entries that do not count: sorted, as the ledger and the recount have them, and none of them is drawn."""
    digest, before, count = hashlib.sha256(), b"", 0
    for name in read_names(case.shared):
        require(before < name, "pseudonyms that increase")
        digest.update(name)
        before, count = name, count + 1
    if case.roll is not None:
        clash = any(not drawn.isdisjoint(part) for drawn, part in beside(case.roll, read_names(case.shared)))
        require(not clash, "a roll without those who are left out")
    found = count, digest.hexdigest()
    if case.left_out is not None:
        expect("entries that are left out by the recount, and their digest", case.left_out, found)
    row = frozen_row(case)
    if row is not None:
        told = row["shared"]["entries"] - row["shared"]["kept"], row["shared"]["sha256"]
        expect("entries that are left out by the ledger, and their digest", told, found)
    said = "as told in the ledger" if row is not None else "NOT COMPARED with the ledger (--key)"
    return f"{count} entries do not count, as their blocks have too many; {said}"


def read_names(file: Any) -> Iterator[bytes]:
    file.seek(0)
    for chunk in iter(lambda: file.read(14 * CHUNK_ENTRIES), b""):
        require(len(chunk) % 14 == 0, "pseudonyms of 14 bytes")
        yield from (chunk[at : at + 14] for at in range(0, len(chunk), 14))


def beside(roll: Any, names: Iterator[bytes]) -> Iterator[tuple[set[bytes], list[bytes]]]:
    """The names of the roll in chunks, and those of a sorted list in the same range."""
    name = next(names, None)
    for chunk in read_body(roll):
        drawn, part = split(chunk)[0], []
        while name is not None and name <= drawn[-1]:
            part.append(name)
            name = next(names, None)
        yield set(drawn), part


def frozen_details(case: Case) -> Any:
    """What the entry of the freeze says; None where no signed ledger was given."""
    if not case.given.keys or "statements" in case.failed or case.record.get("log") is None:
        return None
    rows = [row["entry"] for row in case.record["log"]["statements"]]
    return next((row["details"] for row in rows if row["position"] == case.record["ledger"]["freeze"]), None)


def frozen_row(case: Case) -> Any:
    """What it says of this draw."""
    details = frozen_details(case)
    if details is None:
        return None
    return next((row for row in details["draws"] if row["draw_id"] == case.rules["draw_id"]), None)


def compare_frozen(case: Case, found: dict[str, Any], said: str) -> str:
    details = frozen_details(case)
    if details is None:
        return f"{said}; NOT COMPARED with the ledger (--key)"
    for name, value in found.items():
        expect(f"{name} in the ledger", details[name], value)
    return f"{said}, as told in the ledger"


class TicketsOf(Dict[int, bytes]):
    """Total of shakes -> BE16 of the tickets, b"" below the minimum; each is looked up once."""

    def __init__(self, table: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.thresholds = [row[0] for row in table]
        self.tickets = [b"", *(struct.pack(">H", row[1]) for row in table)]
        self.allowed = set(self.tickets)

    def __missing__(self, total: int) -> bytes:
        if len(self) > 1 << 16:  # whatever stands in the file, this stays small
            self.clear()
        found = self[total] = self.tickets[bisect_right(self.thresholds, total)]
        return found


# --- 7. Receipts (docs/draw.md, section 7) ---


def check_receipt(case: Case, number: int, data: bytes) -> Check:
    """One viewer's receipt against the record; no roll is needed for that."""
    try:
        receipt = read_json(data, "receipt", {case.version + "/receipt": RECEIPTS[case.version + "/receipt"]})
    except Exception as error:
        return Check(f"receipt {number}", False, clip(str(error) or repr(error)))
    return run(f"receipt {receipt['pseudonym']}", lambda case: check_viewer(case, receipt), case)


def check_viewer(case: Case, receipt: Any) -> str:
    if case.given.keys:
        check_receipt_signature(case, receipt)
    check_same_draw(case, receipt)
    entries, runs = check_runs(receipt)
    listed = [row for row in case.record["ranked"] if row["pseudonym"] == receipt["pseudonym"]]
    if receipt["entry"] is None:
        check_absence(receipt, entries, runs)
        case.counted[receipt["pseudonym"]] = 0
        if listed:
            raise accusation(case, "the record ranks a viewer who is not in the roll that was sealed")
        return "this viewer is not in the roll: the runs prove it"
    tickets = case.counted[receipt["pseudonym"]] = check_entry(receipt, runs)
    return check_chance(case, receipt, tickets, listed)


FRAUD, SUSPICION = "PROOF OF FRAUD", "CONTRADICTION"


def accusation(case: Case, what: str, signed: str = "The organiser has signed both files") -> Wrong:
    """What a contradiction between record and receipt proves depends on who has signed the two."""
    if case.given.keys and "signature" not in case.failed:
        return Wrong(f"{FRAUD}: {what}. {signed}: together they prove it to anybody")
    why = (
        "the record is not signed with this key"
        if case.given.keys
        else "nobody has checked who made the two files"
    )
    return Wrong(f"{SUSPICION}: {what}. It proves nothing yet: {why} (--key)")


def accusation_of_two(case: Case, what: str, told: str) -> Wrong:
    """Two seals, or two rolls, of one draw."""
    if case.given.keys and "signature" not in case.failed:
        return accusation(case, f"another {what} than the record's: {told}")
    return Wrong(
        f"another {what} than the record's: {told}. Keep this file: if the organiser has signed both (--key), "
        f"two {what}s of one draw are proof of misconduct; compare with the ledger and the stage"
    )


def check_same_draw(case: Case, receipt: Any) -> None:
    record = case.record
    expect("draw", record["rules"]["draw_id"], receipt["draw_id"])
    expect("rules digest", record["rules_digest"], receipt["rules_digest"])
    header, root = (bytes.fromhex(receipt["roll"][name]) for name in ("header", "root"))
    expect("roll digest", tagged("shake-draw/v1/roll", header, root).hex(), receipt["roll"]["digest"])
    for what, own, other in (
        ("seal", record["seal"]["digest"], receipt["seal"]),
        ("roll", record["roll"]["digest"], receipt["roll"]["digest"]),
    ):
        if own != other:
            told = f"the receipt has {other}, the record {own}"
            raise accusation_of_two(case, what, told)


def check_runs(receipt: Any) -> tuple[int, dict[int, list[bytes]]]:
    """Return N and the entries of each run, after checking that every run is under the sealed root."""
    header, root = (bytes.fromhex(receipt["roll"][name]) for name in ("header", "root"))
    magic, entries, _, _, _, width, run_entries = struct.unpack(">8sQQ32sHHI", header)
    expect("layout", (b"SHKROLL1", ENTRY_BYTES, RUN_ENTRIES), (magic, width, run_entries))
    size, runs = run_count(entries), {}
    for run_ in receipt["runs"]:
        leaf, data = run_["leaf"], bytes.fromhex(run_["data"])
        siblings = [bytes.fromhex(sibling) for sibling in run_["siblings"]]
        holds = is_included(leaf_hash(data), leaf, size, siblings, root)
        require(holds, f"run {leaf} of {size} under the sealed root, but its proof does not lead there")
        expect(f"entries of run {leaf}", min(RUN_ENTRIES, entries - RUN_ENTRIES * leaf), len(data) // 16)
        runs[leaf] = [data[at : at + ENTRY_BYTES] for at in range(0, len(data), ENTRY_BYTES)]
        require(increase([entry[:14] for entry in runs[leaf]]), f"run {leaf} in order")
    expect("runs, each once", len(receipt["runs"]), len(runs))
    return entries, runs


def check_entry(receipt: Any, runs: dict[int, list[bytes]]) -> int:
    """Return the viewer's tickets as the sealed roll has them."""
    leaf, at = divmod(receipt["entry"]["index"], RUN_ENTRIES)
    expect("the run with the viewer", [leaf], sorted(runs))
    require(at < len(runs[leaf]), f"an entry of the run, got index {receipt['entry']['index']}")
    entry, tickets = runs[leaf][at], int(receipt["entry"]["tickets"])
    expect("entry of the roll", receipt["pseudonym"] + f"{tickets:04x}", entry.hex())
    return tickets


def check_absence(receipt: Any, entries: int, runs: dict[int, list[bytes]]) -> None:
    """The roll is sorted: who does not stand between two neighbours does not stand in it."""
    viewer, leaves = bytes.fromhex(receipt["pseudonym"]), sorted(runs)
    if entries == 0:
        expect("root of an empty roll", sha256().hex(), receipt["roll"]["root"])
        return
    require(len(leaves) in (1, 2) and leaves[-1] - leaves[0] == len(leaves) - 1, "one run or two neighbours")
    names = [entry[:14] for leaf in leaves for entry in runs[leaf]]
    require(viewer not in names, f"a viewer without an entry, but {viewer.hex()} is in the roll")
    before, after = names[0] < viewer, viewer < names[-1]
    first, last = leaves[0] == 0, leaves[-1] == run_count(entries) - 1
    require((before or first) and (after or last), f"runs between which {viewer.hex()} would stand")


def check_chance(case: Case, receipt: Any, tickets: int, listed: list[Any]) -> str:
    cipher = make_cipher(bytes.fromhex(case.record["key"]))
    score, ticket = best_score(cipher, receipt["pseudonym"], tickets)
    proven = (
        f"the sealed roll has this viewer with {tickets} tickets, and ticket {ticket} has the score {score}"
    )
    if len(listed) > 1:
        raise accusation(case, f"{proven}, but the record ranks the viewer {len(listed)} times")
    if listed:
        came = listed[0]["score"], listed[0]["tickets"], listed[0]["index"]
        if came != (score, tickets, receipt["entry"]["index"]):
            raise accusation(
                case, f"{proven}, but the record ranks the viewer with score, tickets, index {came}"
            )
        return f"rank {listed[0]['rank']}, {standing(case, listed[0])}: {proven}"
    bound = max([case.record["cutoff"], *(row["score"] for row in case.record["ranked"])])
    if score < bound or bound == NO_CUTOFF:
        why = "everybody in the roll should be listed" if bound == NO_CUTOFF else f"that is below {bound}"
        raise accusation(
            case,
            f"{proven}; {why}, but the record does not list the viewer. "
            "Somebody who was to be ranked was left out",
        )
    return f"not drawn: {proven}; the best score is not below the cutoff {bound}"


def standing(case: Case, ranked: Any) -> str:
    """What a viewer of the ranking has of it now, by the dispositions so far."""
    if ranked["won"]:
        return (
            f"passed over for a win in {ranked['won']!r} (if this viewer did not win there, keep both files)"
        )
    try:
        prizes = replay(case)
    except Wrong:
        return "but what became of it can't be told: the dispositions do not replay"
    viewer = ranked["pseudonym"]
    own = [row for row in case.record["dispositions"] if row["pseudonym"] == viewer]
    moved = "moved up from the reserves, " if any(row["status"] == "won" for row in own) else ""
    for prize, (holder, _) in prizes.holders.items():
        if holder == viewer:
            return f"{moved}won {prize!r}, {'claimed' if prize in prizes.claimed else 'not claimed so far'}"
    if viewer in prizes.reserves:
        place = prizes.reserves.index(viewer) + 1
        return f"in reserve, number {place} of {len(prizes.reserves)} in line"
    if not own:
        return "but the record has the viewer as neither winner nor reserve"
    last = own[-1]
    if last["status"] == "skipped":
        return f"in reserve until passed over ({last['reason']})"
    return f"{moved}won {last['prize']!r} and lost it ({last['status']}: {last['reason']})"


# Stubs: what a phone was told (docs/protocol.md, "Stubs")


def check_stub(case: Case, number: int, data: bytes) -> Check:
    """One stub against the draw: nothing that a gateway has signed is missing in the sealed roll."""
    try:
        kept = read_json(data, "stub", STUBS)
        stub, certificate = kept.get("stub", kept), kept.get("gateway_key")
    except Exception as error:
        return Check(f"stub {number}", False, clip(str(error) or repr(error)))
    return run(f"stub {stub['pseudonym']}", lambda case: check_told(case, stub, certificate), case)


def check_told(case: Case, stub: Any, certificate: Any) -> str:
    check_batch(stub, find_gateway_key(case, stub, certificate))
    expect("show of the stub", case.rules["show_id"], stub["show"])
    expect("segment of the stub, as it was armed for this draw", armed_play(case), stub["segment"])
    promised = int.from_bytes(TicketsOf(case.rules["tickets"])[stub["total"]], "big")
    told = f"{stub['gateway']} told this phone at {stub['at']} that {stub['total']} shakes are counted"
    check_frozen(case, stub, told)
    tickets = counted_tickets(case, stub["pseudonym"])
    if tickets is None:
        return f"NOT COMPARED, as neither a sound receipt of this viewer nor the roll was given: {told}"
    if promised > tickets:
        promised = least_promised(case.rules, promised)
    if promised > tickets:
        what = f"{told}, which gives {promised} tickets, but the sealed roll has {tickets}"
        return excuse(case, stub["pseudonym"], tickets, what)
    return f"{told}: that gives {promised} tickets, and the sealed roll has {tickets}"


def check_batch(stub: Any, key: bytes) -> None:
    """The gateway has signed the root of the batch in which the stub stands."""
    expect("format of the stub", STUB_V1, stub["$format"])
    require(max(stub["size"], stub["total"]) < 1 << 32, "a batch and a total below 2**32")
    said = tagged(STUB_V1 + "/leaf", canonical({name: stub[name] for name in SAID}))
    path = list(map(bytes.fromhex, stub["proof"]))
    root = root_above(leaf_hash(said), stub["index"], stub["size"], path)
    require(root is not None, f"the proof of stub {stub['index']} of {stub['size']}, but it leads nowhere")
    message = tagged(STUB_V1 + "/batch", key, root or b"", struct.pack(">I", stub["size"]))
    signed = is_signed(key, message, bytes.fromhex(stub["signature"]))
    require(signed, f"a signature of the gateway {stub['gateway']} over this stub")


def find_gateway_key(case: Case, stub: Any, certificate: Any) -> bytes:
    """The key that the ledger has for this gateway, in the file of the stub or in one beside it."""
    rows = [read_json(data, "gateway key", {STATEMENT_V2: PUBLIC}) for data in case.given.gateway_keys]
    for row in rows if certificate is None else [certificate, *rows]:
        expect("format of a gateway's key", STATEMENT_V2, row["$format"])
        told = row["entry"]["details"]
        if case.given.keys:
            top = open_checkpoint(row["checkpoint"], case.notaries)
            require(
                top.origin.endswith("/" + case.rules["show_id"]), f"the log of this show, got {top.origin}"
            )
            told = read_statement(case, top, row).details
        if row["entry"]["action"] == "gateway key" and told["gateway"] == stub["gateway"]:
            fit("gateway key", told["key"], HEX32)
            return bytes.fromhex(told["key"])
    raise Wrong(
        f"expected the ledger's statement with the key of the gateway {stub['gateway']} (--gateway-key)"
    )


def armed_play(case: Case) -> str:
    """What the segment of this draw is called, by the entry of its arming."""
    draw, digest = case.rules["draw_id"], case.record["rules_digest"]
    require("statements" not in case.failed, "a record whose statements hold")
    rows = [row["entry"] for row in need_log(case)["statements"] if row["entry"]["action"] == "arm"]
    plays = [row["details"]["play"] for row in rows if row["details"]["rules"].get(draw) == digest]
    require(len(plays) == 1, f"one statement of the arming of this draw, got {len(plays)}")
    return str(plays[0])


def check_frozen(case: Case, stub: Any, told: str) -> None:
    """With the auditor's files: the frozen total of this viewer is at least that of the stub."""
    if case.totals is not None and case.roll is not None and not case.failed & TOTALS_NAMES:
        frozen = int.from_bytes(look_up(case.totals, 0, TOTAL_BYTES, stub["pseudonym"]), "big")
        if stub["total"] > frozen:
            raise accusation(case, f"{told}, but {frozen} were frozen", TOLD)


def counted_tickets(case: Case, viewer: str) -> int | None:
    """The tickets of a viewer in the sealed roll; None where nothing that was given shows them."""
    if viewer not in case.counted and case.roll is not None and not case.failed & ROLL_NAMES:
        return int.from_bytes(look_up(case.roll, HEADER_BYTES, ENTRY_BYTES, viewer), "big")
    return case.counted.get(viewer)


def look_up(file: Any, start: int, width: int, viewer: str) -> bytes:
    """What stands behind a pseudonym in a sorted file, b"" if it is not there."""
    low, high, name = 0, (file.seek(0, 2) - start) // width, bytes.fromhex(viewer)
    while low < high:
        middle = (low + high) // 2
        file.seek(start + width * middle)
        row = file.read(width)
        if row[:14] == name:
            return bytes(row[14:])
        low, high = (middle + 1, high) if row[:14] < name else (low, middle)
    return b""


TOLD = "The organiser has signed record, receipt and the gateway's key, and the gateway the stub"


def least_promised(rules: Any, promised: int) -> int:
    """The rules may give kinds of passes fewer tickets, and a stub does not tell the kind."""
    caps = rules.get("fair_play", {}).get("most_tickets", {}).values()
    allowed, number = TicketsOf(rules["tickets"]).allowed, struct.pack(">H", promised)
    return min([promised, *(int.from_bytes(cap(allowed, number, most), "big") for most in caps)])


def is_shared(case: Case, viewer: str) -> bool:
    """Whether this entry does not count, as its block has too many; Wrong where it may, and the list is not given."""
    if case.rules.get("fair_play", {}).get("shared", {}).get("entries", 0) == 0:
        return False
    row = frozen_row(case)
    if row is not None and row["shared"]["entries"] == row["shared"]["kept"]:
        return False  # signed: nobody is left out
    if case.shared is None or "shared entries" in case.failed:
        raise Wrong(
            f"{SUSPICION}: the roll does not have this viewer, whom a phone was told otherwise. It proves nothing yet: "
            "entries of one block share, and a sound list of those that do not count was not given (--shared)"
        )
    return find_name(case.shared, viewer)


def find_name(file: Any, viewer: str) -> bool:
    """Whether a pseudonym stands in a sorted file of nothing else."""
    low, high, name = 0, file.seek(0, 2) // 14, bytes.fromhex(viewer)
    while low < high:
        middle = (low + high) // 2
        file.seek(14 * middle)
        found = file.read(14)
        if found == name:
            return True
        low, high = (middle + 1, high) if found < name else (low, middle)
    return False


def excuse(case: Case, viewer: str, tickets: int, what: str) -> str:
    """Fewer tickets than the phone was told are fraud, unless the viewer may have been excluded, and so has none."""
    if tickets == 0 and bytes.fromhex(viewer) not in case.excluded and is_shared(case, viewer):
        return (
            f"{what}, as its block has too many entries: this one is on the list of those that do not count"
        )
    fields = case.rules["draw_id"].encode(), b"".join(case.excluded)
    known = tagged("shake-draw/v1/exclusions", *fields).hex() == case.rules["exclusions_commitment"]
    if tickets == 0 and not known:
        raise Wrong(f"{SUSPICION}: {what}. It proves nothing yet: the organiser has to show who was excluded")
    if tickets == 0 and bytes.fromhex(viewer) in case.excluded:
        return f"{what}, as this viewer is excluded: that was committed to before the show"
    raise accusation(case, what, TOLD)


# --- 8. Merkle tree (RFC 9162, section 2.1) ---


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\0", data)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1", left, right)


class Tree:
    """The root over leaves that come one by one; only the full subtrees on the left are remembered.

    >>> tree = Tree()
    >>> tree.root() == sha256()
    True
    """

    def __init__(self) -> None:
        self.size, self.full = 0, []  # type: int, list[bytes]

    def add(self, data: bytes) -> None:
        top, size = leaf_hash(data), self.size
        while size & 1:  # every full pair becomes one
            top, size = node_hash(self.full.pop(), top), size >> 1
        self.full.append(top)
        self.size += 1

    def root(self) -> bytes:
        if not self.full:
            return sha256()
        top = self.full[-1]
        for left in reversed(self.full[:-1]):
            top = node_hash(left, top)
        return top


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path of a leaf leads to this root."""
    return len(root) == 32 and root_above(leaf, index, size, path) == root


def root_above(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """RFC 9162 2.1.3.2, step by step; None for what is no path. A tree of size 0 includes nothing."""
    if not 0 <= index < size or any(len(value) != 32 for value in (leaf, *path)):
        return None
    fn, sn, top = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            top = node_hash(sibling, top)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            top = node_hash(top, sibling)
        fn, sn = fn >> 1, sn >> 1
    return top if sn == 0 else None


def is_consistent(first: Checkpoint, second: Checkpoint, path: Sequence[bytes]) -> bool:
    """RFC 9162 2.1.4.2: the second log continues the first one, which has entries."""
    if first.size == second.size:
        return first.root == second.root and not path
    if not 0 < first.size < second.size:
        return False
    if first.size & (first.size - 1) == 0:  # a full tree is a node of the larger one
        path = [first.root, *path]
    if not path:
        return False
    fn, sn = first.size - 1, second.size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for node in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old, new = node_hash(node, old), node_hash(node, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and (old, new) == (first.root, second.root)


# --- 9. AES-256 (FIPS 197), every block on its own ---


def make_cipher(key: bytes) -> Cipher:
    """AES by OpenSSL if it gives the known answers, else by this file.

    >>> make_cipher(bytes(range(32))).encrypt(bytearray.fromhex("00112233445566778899aabbccddeeff")).hex()
    '8ea2b7ca516745bfeafc49904b496089'
    """
    library = load_libcrypto()
    return OpensslCipher(library, key) if library is not None else PlainCipher(key)


@functools.lru_cache(maxsize=1)
def load_libcrypto() -> Any:
    """The libcrypto that this Python uses itself; None if there is none, or it can't be trusted."""
    for name in libcrypto_names():
        try:
            library = declare(ctypes.CDLL(name))
            if is_trusted(library):
                return library
        except Exception:  # not there, another kind of library, or functions missing: try the next
            continue
    return None


def libcrypto_names() -> Iterator[str]:
    """The modules that are linked with it give its functions, too; then the files beside them; then the system's."""
    folder = os.path.join(os.path.dirname(sys.executable), "DLLs")
    for module in ("_hashlib", "_ssl"):
        path = getattr(sys.modules.get(module) or try_import(module), "__file__", None)
        if path:
            folder = os.path.dirname(path)
            yield path
    if sys.platform == "win32":
        for version in ("3", "3-x64", "3-arm64", "1_1", "1_1-x64"):
            yield os.path.join(folder, f"libcrypto-{version}.dll")
    found = ctypes.util.find_library("crypto")
    if found and sys.platform != "darwin":  # Apple's own aborts every program that loads it
        yield found


def try_import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        return None


def declare(library: Any) -> Any:
    """Declare the functions that are used: without this, pointers would be cut to 32 bits."""
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.EVP_CIPHER_CTX_new.restype, library.EVP_CIPHER_CTX_new.argtypes = pointer, []
    library.EVP_CIPHER_CTX_free.restype, library.EVP_CIPHER_CTX_free.argtypes = None, [pointer]
    library.EVP_CIPHER_CTX_set_padding.argtypes = [pointer, number]
    library.EVP_aes_256_ecb.restype, library.EVP_aes_256_ecb.argtypes = pointer, []
    library.EVP_EncryptInit_ex.argtypes = [pointer, pointer, pointer, ctypes.c_char_p, pointer]
    counter = ctypes.POINTER(number)
    library.EVP_EncryptUpdate.argtypes = [pointer, pointer, counter, pointer, number]
    return library


def is_trusted(library: Any) -> bool:
    """FIPS 197, C.3, and many blocks at once as the plain way has them."""
    key, blocks = bytes(range(32)), bytearray(bytes.fromhex("00112233445566778899aabbccddeeff")) * 2
    blocks += bytes(range(256)) * 3
    scores = OpensslCipher(library, key).encrypt(blocks)
    return scores[:16].hex() == "8ea2b7ca516745bfeafc49904b496089" and scores == PlainCipher(key).encrypt(
        blocks
    )


class OpensslCipher:
    """AES-256-ECB of OpenSSL, into a buffer that is made once: that is many times faster than a new one."""

    name = "OpenSSL"

    def __init__(self, library: Any, key: bytes) -> None:
        self.library, self.buffer, self.written = library, bytearray(), ctypes.c_int()
        self.context = library.EVP_CIPHER_CTX_new()
        if not library.EVP_EncryptInit_ex(
            self.context, library.EVP_aes_256_ecb(), None, checked_key(key), None
        ):
            raise ValueError("expected OpenSSL to take a key for AES-256, but it did not")
        library.EVP_CIPHER_CTX_set_padding(self.context, 0)

    def __del__(self) -> None:
        self.library.EVP_CIPHER_CTX_free(self.context)

    def encrypt(self, blocks: bytearray) -> bytearray:
        size = len(blocks)
        if len(self.buffer) != size:
            self.buffer = bytearray(size)
        array = ctypes.c_char * size
        source, target = array.from_buffer(blocks), array.from_buffer(self.buffer)
        done = self.library.EVP_EncryptUpdate(self.context, target, ctypes.byref(self.written), source, size)
        if not done or self.written.value != size:
            raise ValueError(f"expected OpenSSL to encrypt {size} bytes, got {self.written.value}")
        return self.buffer


def checked_key(key: bytes) -> bytes:
    if len(key) != 32:
        raise ValueError(f"expected a key of 32 bytes, got {len(key)}")
    return key


class PlainCipher:
    """AES-256 written out, for a Python without OpenSSL: right, and a thousand times slower.

    >>> PlainCipher(bytes(range(32))).encrypt(bytearray.fromhex("00112233445566778899aabbccddeeff")).hex()
    '8ea2b7ca516745bfeafc49904b496089'
    """

    name = "this file, slowly"

    def __init__(self, key: bytes) -> None:
        words, rcon = list(struct.unpack(">8I", checked_key(key))), 1
        for i in range(8, 60):  # FIPS 197, 5.2
            word = words[-1]
            if i % 8 == 0:
                word = substitute((word << 8 | word >> 24) & 0xFFFFFFFF) ^ rcon << 24
                rcon <<= 1
            elif i % 8 == 4:
                word = substitute(word)
            words.append(words[-8] ^ word)
        self.rounds = [tuple(words[i : i + 4]) for i in range(0, 60, 4)]

    def encrypt(self, blocks: bytearray) -> bytearray:
        (f0, f1, f2, f3), *middle, last = self.rounds
        t0, t1, t2, t3 = aes_tables()[1]
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
            for k, (p, q, r, s) in zip(last, turns):
                out.append(k ^ substitute(p & 0xFF000000 | q & 0xFF0000 | r & 0xFF00 | s & 0xFF))
        return bytearray(struct.pack(f">{len(out)}I", *out))


Cipher = Union[OpensslCipher, PlainCipher]
"""Either way: `name`, and `encrypt` of whole blocks of 16 bytes, whose result the next call may overwrite."""


@functools.lru_cache(maxsize=1)
def aes_tables() -> tuple[list[int], list[list[int]]]:
    """The S-box (FIPS 197, 5.1.1), and the tables of SubBytes, ShiftRows and MixColumns in one step."""
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


def substitute(word: int) -> int:
    sbox = aes_tables()[0]
    high = sbox[word >> 24] << 24 | sbox[word >> 16 & 255] << 16
    return high | sbox[word >> 8 & 255] << 8 | sbox[word & 255]


# --- 10. drand's signatures: BLS on the curve BLS12-381 ---
# Scheme bls-unchained-g1-rfc9380: the signature is a point S of G1, the public key a point Y of G2, and S is
# right if e(S, g2) = e(H(message), Y). Nothing secret is computed here, so no step needs constant time.
#
# Fp: integers modulo P. Fp2 = Fp[u] / (u^2 + 1): pairs. Fp12 = Fp[w] / (w^12 - 2 w^6 + 2), in which
# u = w^6 - 1: lists of twelve coefficients. Points of both groups are pairs of elements of Fp2, None the
# point at infinity: G1 on y^2 = x^3 + 4 (second coordinates 0), G2 on y^2 = x^3 + 4 (1 + u).

GENESIS, PERIOD = 1692803367, 3  # of quicknet, in seconds
QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"  # hash of what the chain is:
PUBLIC_KEY = (
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
)
GROUP_HASH = "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e"
DST = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"

X = 0xD201000000010000  # the curve's parameter is -X; RFC 9380, 8.8 and draft-irtf-cfrg-pairing-friendly-curves
ORDER = X**4 - X**2 + 1  # of G1 and G2
P = (X + 1) ** 2 // 3 * ORDER - X
G2_GENERATOR = (
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)
Fp2 = Any  # (a, b) for a + b u
Point = Any  # (x, y) with both in Fp2, or None


def chain_hash() -> bytes:
    """What quicknet's hash is the hash of: so the public key above can't be another's."""
    fixed = struct.pack(">IQ", PERIOD, GENESIS)
    return sha256(fixed, bytes.fromhex(PUBLIC_KEY), bytes.fromhex(GROUP_HASH), b"quicknet")


def check_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Raise Wrong unless the owner of the public key has signed this message."""
    point = parse_g1(signature)
    left = pair(negate(point), parse_g2(bytes.fromhex(G2_GENERATOR)))
    right = pair(hash_to_g1(message), parse_g2(public_key))
    one = [1] + [0] * 11
    holds = power12(multiply12(left, right), (P**12 - 1) // ORDER) == one  # the final exponentiation
    require(holds, "a signature of drand quicknet for this round, but it was not made for it")


# Fields


def multiply2(a: Fp2, b: Fp2) -> Fp2:
    return (a[0] * b[0] - a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P


def subtract2(a: Fp2, b: Fp2) -> Fp2:
    return (a[0] - b[0]) % P, (a[1] - b[1]) % P


def invert2(a: Fp2) -> Fp2:
    norm = pow(a[0] * a[0] + a[1] * a[1], -1, P)
    return a[0] * norm % P, -a[1] * norm % P


def square_root(a: int) -> int | None:
    """A square root in Fp, None if there is none; P is 3 modulo 4."""
    found = pow(a, (P + 1) // 4, P)
    return found if found * found % P == a % P else None


def square_root2(a: Fp2) -> Fp2:
    """A square root in Fp2: of a + b u it is x + y u with x^2 - y^2 = a and 2 x y = b."""
    if a[1] == 0:
        real = square_root(a[0])
        return (0, square_root(-a[0])) if real is None else (real, 0)  # of a and -a one is a square
    norm = square_root(a[0] * a[0] + a[1] * a[1])
    for sign in (1, -1):
        x = None if norm is None else square_root((a[0] + sign * norm) * pow(2, -1, P))
        if x:
            found = x, a[1] * pow(2 * x, -1, P) % P
            if multiply2(found, found) == a:
                return found
    return None


def multiply12(a: Sequence[int], b: Sequence[int]) -> list[int]:
    product = [0] * 23
    for i, x in enumerate(a):
        if x:
            for j, y in enumerate(b):
                product[i + j] += x * y
    for i in range(22, 11, -1):  # w^12 = 2 w^6 - 2
        product[i - 6] += 2 * product[i]
        product[i - 12] -= 2 * product[i]
    return [value % P for value in product[:12]]


def power12(base: Sequence[int], exponent: int) -> list[int]:
    result = [1] + [0] * 11
    for bit in bin(exponent)[2:]:
        result = multiply12(result, result)
        if bit == "1":
            result = multiply12(result, base)
    return result


# Points


def negate(point: Point) -> Point:
    return None if point is None else (point[0], subtract2((0, 0), point[1]))


def slope(p: Point, q: Point) -> Fp2:
    """Of the line through two points, or of the tangent; None if it is vertical."""
    if p != q:
        return None if p[0] == q[0] else multiply2(subtract2(q[1], p[1]), invert2(subtract2(q[0], p[0])))
    square = multiply2(p[0], p[0])
    return (
        None
        if p[1] == (0, 0)
        else multiply2((3 * square[0], 3 * square[1]), invert2((2 * p[1][0], 2 * p[1][1])))
    )


def add(p: Point, q: Point) -> Point:
    if p is None or q is None:
        return q if p is None else p
    steep = slope(p, q)
    if steep is None:
        return None
    x = subtract2(subtract2(multiply2(steep, steep), p[0]), q[0])
    return x, subtract2(multiply2(steep, subtract2(p[0], x)), p[1])


def times(count: int, point: Point) -> Point:
    result = None
    for bit in bin(count)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


# Pairing: the ate pairing of P in G1 and Q in G2 without its final exponentiation, which is done once for all.
# A point (x, y) of G2 stands for (x / w^2, y / w^3) on the curve of G1.


def pair(p: Point, q: Point) -> list[int]:
    """Miller's loop over the bits of X. (Its sign only inverts the result, which is compared with 1.)"""
    result, t = [1] + [0] * 11, q
    for bit in bin(X)[3:]:
        result = multiply12(line(t, t, p), multiply12(result, result))
        t = add(t, t)
        if bit == "1":
            result = multiply12(line(t, q, p), result)
            t = add(t, q)
    return result


def line(t: Point, q: Point, p: Point) -> list[int]:
    """The line through t and q of G2 at p, times w^3 (a factor that the final exponentiation makes 1).

    Of the slope s: w^3 y_p - s x_p w^2 + s x_t - y_t.
    """
    steep, x, y = slope(t, q), p[0][0], p[1][0]
    constant = subtract2(multiply2(steep, t[0]), t[1])
    middle = -steep[0] * x, -steep[1] * x
    result = [0] * 12
    for at, (a, b) in ((0, constant), (2, middle)):  # a + b u = (a - b) + b w^6
        result[at], result[at + 6] = (a - b) % P, b % P
    result[3] = y
    return result


# Points as bytes: three flags, then the big-endian x (of G2: its u part first)


def parse_g1(data: bytes) -> Point:
    """The point of a compressed form of 48 bytes; Wrong unless it is on the curve and in the group of order ORDER."""
    (x,), large = parse_x(data, 1)
    y = square_root(x**3 + 4)
    if y is None:
        raise Wrong("expected a signature that is a point of the curve, got another x")
    point = (x, 0), (y if (y > P // 2) == large else P - y, 0)
    require(times(ORDER, point) is None, "a signature in the group of prime order")
    return point


def parse_g2(data: bytes) -> Point:
    (x1, x0), large = parse_x(data, 2)
    cube = multiply2((x0, x1), multiply2((x0, x1), (x0, x1)))
    y = square_root2(((cube[0] + 4) % P, (cube[1] + 4) % P))
    if y is None:
        raise Wrong("expected a public key that is a point of the curve, got another x")
    is_large = (y[1] or y[0]) > P // 2
    point = (x0, x1), y if is_large == large else subtract2((0, 0), y)
    require(times(ORDER, point) is None, "a public key in the group of prime order")
    return point


def parse_x(data: bytes, parts: int) -> tuple[list[int], bool]:
    """The coordinates in a compressed form, and whether y is the larger of the two roots."""
    require(len(data) == 48 * parts, f"a point of {48 * parts} bytes, got {len(data)}")
    require(data[0] & 0x80 != 0, "a compressed point")
    require(data[0] & 0x40 == 0, "a point that is not at infinity")
    plain = bytes([data[0] & 0x1F]) + data[1:]
    values = [int.from_bytes(plain[at : at + 48], "big") for at in range(0, len(plain), 48)]
    require(all(value < P for value in values), "coordinates below P")
    return values, data[0] & 0x20 != 0


# Hashing to G1: BLS12381G1_XMD:SHA-256_SSWU_RO_ of RFC 9380


def hash_to_g1(message: bytes, dst: bytes = DST) -> Point:
    """RFC 9380, 3 and 8.8.1: two elements of the field, two points, their sum, the cofactor cleared."""
    uniform = expand_message(message, dst, 128)
    points = [map_to_curve(int.from_bytes(uniform[at : at + 64], "big") % P) for at in (0, 64)]
    return times(X + 1, add(*points))


def expand_message(message: bytes, dst: bytes, length: int) -> bytes:
    """RFC 9380, 5.3.1, expand_message_xmd with SHA-256."""
    suffix = dst + bytes([len(dst)])
    first = sha256(bytes(64), message, struct.pack(">HB", length, 0), suffix)
    blocks = [sha256(first, b"\1", suffix)]
    for number in range(2, -(-length // 32) + 1):
        mixed = bytes(a ^ b for a, b in zip(first, blocks[-1]))
        blocks.append(sha256(mixed, bytes([number]), suffix))
    return b"".join(blocks)[:length]


def map_to_curve(u: int) -> Point:
    """RFC 9380, 6.6.2 and 6.6.3: the simplified SWU map to a curve nearby, then the isogeny to G1's curve."""
    zu2 = SSWU_Z * u * u % P
    denominator = (zu2 * zu2 + zu2) % P
    if denominator:
        x = -SSWU_B * pow(SSWU_A, -1, P) * (1 + pow(denominator, -1, P)) % P
    else:
        x = SSWU_B * pow(SSWU_Z * SSWU_A, -1, P) % P
    y = square_root(x**3 + SSWU_A * x + SSWU_B)
    if y is None:  # then zu2 * x gives a square
        x = zu2 * x % P
        y = square_root(x**3 + SSWU_A * x + SSWU_B)
    assert y is not None
    y = y if y % 2 == u % 2 else P - y
    x_top, x_bottom, y_top, y_bottom = (evaluate(table, x) for table in isogeny())
    return (x_top * pow(x_bottom, -1, P) % P, 0), (y * y_top * pow(y_bottom, -1, P) % P, 0)


def evaluate(coefficients: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % P
    return value


@functools.lru_cache(maxsize=1)
def isogeny() -> list[list[int]]:
    return [[int(number, 16) for number in table.split()] for table in ISOGENY]


# --- 11. The log: who says so, and who has seen it in time (docs/draw.md, section 7; docs/ledger.md) ---


def check_record_signature(case: Case) -> str:
    """The organiser stands by this record, word for word."""
    return "signed by " + check_signed_record(case, case.record)


def check_signed_record(case: Case, record: Any) -> str:
    require(record["$format"] == V2, "a record that is signed; those of shake-draw/v1 are not")
    text = f"{V2}/record\n{record['rules']['draw_id']}\n{digest_of(record)}\n"
    return check_signed(case, text, record["signature"])


def check_receipt_signature(case: Case, receipt: Any) -> None:
    require(case.version == V2, "a receipt that is signed; those of shake-draw/v1 are not")
    rest = {name: value for name, value in receipt.items() if name != "signature"}
    digest = tagged(receipt["$format"], canonical(rest)).hex()
    check_signed(case, f"{receipt['$format']}\n{receipt['draw_id']}\n{digest}\n", receipt["signature"])


def check_signed(case: Case, text: str, note: str) -> str:
    """Return whose signature is on this text."""
    signed = open_note(note, case.notaries)
    expect("signed text", text, signed.text)
    return ", ".join(signed.names)


class Told(NamedTuple):
    """One statement of the log: what it says, and its SHA-256-able place in the tree."""

    position: int
    at: int
    action: str
    details: Any


def check_statements(case: Case) -> str:
    """Every step of the draw is an entry of the ledger that the organiser has signed, and says the same."""
    log = need_log(case)
    top = open_checkpoint(log["checkpoint"], case.notaries)
    require(top.origin.endswith("/" + case.rules["show_id"]), f"the log of this show, got {top.origin}")
    told = [read_statement(case, top, row) for row in log["statements"]]
    require(increase([row.position for row in told]), "statements in the order of the log")
    require(all(a.at <= b.at for a, b in pairwise(told)), "statements whose times do not run backwards")
    compare_steps(case, told, expected_statements(case))
    return f"{len(told)} statements under the signed checkpoint of {top.size} entries of {top.origin}"


def compare_steps(case: Case, told: Sequence[Told], expected: Iterable[Step]) -> None:
    """Among these entries of the ledger each step stands once, where, when and as the record says."""
    for action, position, at, says in expected:
        found = [row for row in told if row.action == action and says(row.details)]
        require(len(found) == 1, f"one statement {action!r} of this draw, got {len(found)}")
        there = found[0]
        expect(f"position of {action!r}", there.position if position is None else position, there.position)
        require(at is None or at(there.at), f"{action!r} at the time of the record, got {there.at}")
        if action == "publish" and case.version == V2:
            by = publish_by(case)
            require(there.at <= by, f"a publication until {by}, as promised, got {there.at}")


def need_log(case: Case) -> Any:
    require(case.version == V2, "a record with its log; those of shake-draw/v1 have none")
    require(case.record["log"] is not None, "a record with its log: this one was not published")
    return case.record["log"]


def read_statement(case: Case, top: Checkpoint, row: Any) -> Told:
    entry = row["entry"]
    expect("show of a statement", case.rules["show_id"], entry["show"])
    digest = tagged("shake-ledger/v2/entry", bytes.fromhex(row["previous"]), canonical(entry))
    path = list(map(bytes.fromhex, row["proof"]))
    holds = is_included(leaf_hash(digest), entry["position"], top.size, path, top.root)
    require(
        holds, f"statement {entry['position']} under the signed checkpoint, but its proof does not lead there"
    )
    require(type(entry["details"]) is dict, f"details of statement {entry['position']}")
    return Told(entry["position"], entry["at"], entry["action"], entry["details"])


Says = Callable[[Any], bool]
Times = Union[Callable[[int], bool], None]
Step = Tuple[str, Union[int, None], Times, Says]


def expected_statements(case: Case) -> list[Step]:
    """Action, position (where the record names it), time, and what the details have to say."""
    record, draw, ledger = case.record, case.rules["draw_id"], case.record["ledger"]
    seal, roll, committed = record["seal"], record["roll"], record["precommitment"]
    drawn = hashlib.sha256(canonical(as_drawn(record))).hexdigest()

    def froze(details: Any) -> bool:
        return any(
            row.get("draw_id", draw) == draw  # the first version did not name it
            and (row.get("roll_header"), row.get("roll_root"), row.get("totals_digest"))
            == (roll["header"], roll["root"], roll["totals_digest"])
            for row in details.get("draws", [])
        )

    def says(**fields: Any) -> Says:
        return lambda details: all(details.get(name) == value for name, value in fields.items())

    return [
        ("arm", committed["ledger"], lambda at: committed["time"] <= at <= record["as_run"]["opens_at"],
         lambda details: details.get("rules", {}).get(draw) == record["rules_digest"]),
        ("freeze", ledger["freeze"], lambda at: at // 1000 == seal["t_freeze"], froze),
        *(("reveal", row["ledger"], lambda at, row=row: 0 <= at - row["time"] < 1000,
           says(draw=draw, party=name, secret=row["secret"]))
          for name, row in record["reveals"].items() if row["secret"]),
        ("seal", ledger["seal"], lambda at: at == seal["time"], says(draw=draw, seal=seal["digest"])),
        ("beacon", ledger["beacon"], lambda at: at >= beacon_due(case),
         says(draw=draw, value=record["beacon"]["value"])),
        ("start", ledger["start"], None, says(draw=draw)),
        ("drawn", None, None, says(draw=draw, record=drawn)),
        ("publish", None, None, lambda details: details.get("records", {}).get(draw) == drawn),
    ]  # fmt: skip


def beacon_due(case: Case) -> int:
    """Before this nobody could know the beacon, in UTC ms."""
    seal = case.record["seal"]
    return int(round_time(seal["round"]) * 1000 if seal["round"] else seal["time"])


def publish_by(case: Case) -> int:
    """Until when the result was to be public, in UTC ms."""
    return int(case.record["seal"]["time"] + case.rules["publish_by_s"] * 1000)


def as_drawn(record: Any) -> Any:
    """The record as it was written when it was drawn: without what came later."""
    later = {} if record["$format"] == V1 else {"log": None, "signature": ""}
    drawn = {**record, "dispositions": [], **later}
    return {**drawn, "digest": digest_of(drawn)}


def check_witnesses(case: Case) -> str:
    """Somebody else has seen the seal before the beacon could be known."""
    log, rules = need_log(case), case.rules
    keys = [parse_key(text, COSIGNATURE) for text in case.given.witnesses]
    named = {row["key"] for row in rules["witnesses"]}
    strangers = [key.name for key in keys if key.text not in named]
    require(not strangers, f"witnesses that the rules name, got {', '.join(strangers)}")
    seen, top = (open_checkpoint(row["checkpoint"], case.notaries) for row in (log["sealed"], log))
    require(seen.size > case.record["ledger"]["seal"], "a witnessed checkpoint that covers the seal")
    path = list(map(bytes.fromhex, log["sealed"]["proof"]))
    require(is_consistent(seen, top, path), "a later log that continues the one that was witnessed")
    told = open_note(log["sealed"]["checkpoint"], [*case.notaries, *keys]).seen
    due = beacon_due_or_thrown(case)
    in_time = sorted((at, name) for name, at in told.items() if at * 1000 < due)
    if len(in_time) < max(1, rules["quorum"]):
        lack = f"{len(in_time)} of {len(keys)} given witnesses signed the seal in time, {rules['quorum']} were promised"
        promised = rules["quorum"] > 0 and rules["unwitnessed"] == "wait"
        require(not promised, f"witnesses before {moment_text(due)}: {lack}")
        return f"NOT WITNESSED: {lack}; the rules let the draw go on"
    names = ", ".join(f"{name} at {moment_text(at * 1000)}" for at, name in in_time)
    return f"{len(in_time)} of {len(named)} named witnesses saw the seal before the beacon: {names}"


def beacon_due_or_thrown(case: Case) -> int:
    """When the beacon could be known at the earliest, in UTC ms; of dice, when the ledger says that they were typed."""
    if case.record["seal"]["round"]:
        return beacon_due(case)
    rows = [row["entry"] for row in case.record["log"]["statements"] if row["entry"]["action"] == "beacon"]
    return int(rows[0]["at"]) if rows else 0


def check_earlier(case: Case) -> str:
    """The prior wins are those of the show's other records: no more, no fewer."""
    found = [read_earlier(data, tuple(case.given.keys)) for data in case.given.earlier]
    for record in found:
        expect("show of an earlier record", case.rules["show_id"], record["rules"]["show_id"])
    old = [record for record in found if record["$format"] == V1] if case.given.keys else []
    for record in old:
        check_told_record(case, record)
    records = {record["rules"]["draw_id"]: record for record in found}
    prior, pending = prior_wins(case), case.record.get("pending", [])
    missing = sorted({*prior.values(), *pending} - set(records))
    require(not missing, f"the records of all draws with prior wins, but not given: {', '.join(missing)}")
    for viewer, draw_id in prior.items():
        names = winners_by(records[draw_id], None if draw_id in pending else case.record["ledger"])
        require(
            viewer in names, f"{viewer} among the winners of {draw_id}, but that record does not have them"
        )
    for draw_id, record in records.items():
        if draw_id in pending or record["ledger"]["seal"] < case.record["ledger"]["seal"]:
            check_named(case, record, pending)
    check_seal_before(case, list(records.values()))
    unsigned = f"; {len(old)} of {V1}, which prove arithmetic only: the ledger tells of them" if old else ""
    return f"{len(prior)} prior wins, as in {len(records)} earlier records{unsigned}"


@functools.lru_cache(maxsize=512)  # with a whole show each record is an earlier one of many
def read_earlier(data: bytes, keys: tuple[str, ...]) -> Any:
    """The record of an earlier draw, which its organiser has to have signed where there are keys."""
    record = read_json(data, "earlier record", RECORDS)
    expect("digest of an earlier record", digest_of(record), record["digest"])
    if keys and record["$format"] == V2:
        case = Case(record, None, None, Given(keys=keys))
        check_signed_record(case, record)
        check_statements(case)  # with its log nobody hides when it was drawn
    return record


def check_told_record(case: Case, record: Any) -> None:
    """A record that nobody has signed proves a win only if a signed ledger has its digest: anybody can make one."""
    told = {row.details.get("record") for row in case.given.told if row.action == "drawn"}
    digest = hashlib.sha256(canonical(as_drawn(record))).hexdigest()
    what = "an earlier record that is signed; those of shake-draw/v1 are not, and need the ledger: verify_show.py"
    require(digest in told, what)


def check_seal_before(case: Case, records: Sequence[Any]) -> None:
    """The seals of a show are a chain: a draw whose record is not among those that were given is missed."""
    seals = {row.position: row.details.get("seal") for row in case.given.told if row.action == "seal"}
    seals.update({row["ledger"]["seal"]: row["seal"]["digest"] for row in records})
    before = [position for position in seals if position < case.record["ledger"]["seal"]]
    last = seals[max(before)] if before else "00" * 32
    named = case.record["seal"].get("previous", last)
    require(last == named, f"the record with the seal {named}, which was made before this one")


def check_named(case: Case, record: Any, pending: Sequence[str]) -> None:
    """Every winner of an earlier record is a prior win, if they had won by the seal or the draw was pending."""
    draw_id, prior = record["rules"]["draw_id"], prior_wins(case)
    if draw_id in pending or draw_id in prior.values() or drawn_by_the_seal(case, record):
        names = winners_by(record, None if draw_id in pending else case.record["ledger"])
        left_out = sorted(names - set(prior))
        require(not left_out, f"all winners of {draw_id} among the prior wins, but not {', '.join(left_out)}")


def drawn_by_the_seal(case: Case, record: Any) -> bool:
    """Whether the log of an earlier record says that its winners were there already."""
    log, seal = record.get("log"), case.record["ledger"]["seal"]
    rows = [] if log is None else [row for row in log["statements"] if row["entry"]["action"] == "drawn"]
    if case.given.keys and rows:
        top = open_checkpoint(log["checkpoint"], case.notaries)
        return any(read_statement(case, top, row).position < seal for row in rows)
    return any(row["entry"]["position"] < seal for row in rows)


def winners_by(record: Any, ledger: Any) -> set[str]:
    """The winners of a record: as drawn, and with `ledger` the reserves too who had moved up by its seal."""
    names = {row["pseudonym"] for row in record["winners"]}
    if ledger is not None:
        moved = [
            row for row in record["dispositions"] if row["status"] == "won" and row["ledger"] < ledger["seal"]
        ]
        names |= {row["pseudonym"] for row in moved}
    return names


# --- 12. Signed notes: C2SP signed-note, tlog-checkpoint, tlog-cosignature; Ed25519 (RFC 8032, section 5.1) ---

LOG_KEY, COSIGNATURE = 1, 4  # kinds of keys


class Key(NamedTuple):
    """A public key as text, and in parts: name, kind, 4 bytes of id, 32 bytes of Ed25519."""

    text: str
    name: str
    kind: int
    key_id: bytes
    public: bytes


class Signed(NamedTuple):
    """A note that was opened: its text, which keys have signed it, and when witnesses did, in Unix seconds."""

    text: str
    names: list[str]
    seen: dict[str, int]


class Checkpoint(NamedTuple):
    """The first `size` entries of a log have this root."""

    origin: str
    size: int
    root: bytes


def parse_key(text: str, kind: int) -> Key:
    """name+hexid+base64(kind || public key); the id is SHA-256(name || 0x0A || kind || public key)[:4]."""
    name, _, rest = text.partition("+")
    hex_id, _, encoded = rest.partition("+")
    material = decode64(encoded)
    require(len(material) == 33 and material[0] == kind, f"name+id+key of kind {kind}, got {clip(text)}")
    key_id = sha256(name.encode(), b"\n", material)[:4]
    require(name != "" and hex_id == key_id.hex(), f"a key whose id is its own, got {clip(text)}")
    return Key(text, name, kind, key_id, material[1:])


def decode64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except ValueError:
        raise Wrong(f"expected base64, got {clip(text)}") from None


def open_note(note: str, keys: Sequence[Key]) -> Signed:
    """The text before the last empty line, if a log key of these has signed it; other lines are left alone."""
    text, gap, lines = note.rpartition("\n\n")
    plain = all(letter >= " " or letter == "\n" for letter in note)
    require(bool(gap) and lines.endswith("\n") and plain, f"a signed note, got {clip(note) or 'nothing'}")
    text += "\n"
    names, seen = [], {}  # type: list[str], dict[str, int]
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = decode64(encoded)
        require(dash == "\u2014" and name != "" and len(raw) > 4, f"a signature line, got {clip(line)}")
        for key in keys:
            if (key.name, key.key_id) == (name, raw[:4]):
                check_line(key, text, raw[4:], names, seen)
    require(
        bool(names),
        "a note that this key has signed: " + " or ".join(k.text for k in keys if k.kind == LOG_KEY),
    )
    return Signed(text, names, seen)


def check_line(key: Key, text: str, raw: bytes, names: list[str], seen: dict[str, int]) -> None:
    """A signature of a log, or a witness's: 8 bytes of time and a signature over time and text."""
    if key.kind == LOG_KEY:
        require(is_signed(key.public, text.encode(), raw), f"a signature of {key.name} over this text")
        names.append(key.name)
        return
    require(len(raw) == 72, f"a cosignature of 72 bytes, got {len(raw)}")
    at = int.from_bytes(raw[:8], "big")
    message = f"cosignature/v1\ntime {at}\n{text}".encode()
    require(is_signed(key.public, message, raw[8:]), f"a signature of the witness {key.name} over this text")
    seen[key.name] = at


def open_checkpoint(note: str, keys: Sequence[Key]) -> Checkpoint:
    """The checkpoint in a note that the log itself has signed."""
    signed = open_note(note, keys)
    lines = signed.text.split("\n")
    require(
        len(lines) >= 4 and re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]) is not None, "origin, size, root"
    )
    root = decode64(lines[2])
    require(
        len(root) == 32 and lines[0] in signed.names, f"a checkpoint of the key's own log, got {lines[0]}"
    )
    return Checkpoint(lines[0], int(lines[1]), root)


ED_P = 2**255 - 19
ED_L = 2**252 + 27742317777372353535851937790883648493
ED_D = -121665 * pow(121666, ED_P - 2, ED_P) % ED_P
ED_I = pow(2, (ED_P - 1) // 4, ED_P)  # a root of -1
# Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z.


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032 5.1.7, with the equation [S]B = R + [k]A."""
    s, a = int.from_bytes(signature[32:], "little"), ed_decode(public)
    if len(signature) != 64 or s >= ED_L or a is None or is_weak(a):
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % ED_L
    base = ed_decode((4 * pow(5, ED_P - 2, ED_P) % ED_P).to_bytes(32, "little"))
    minus_a = ED_P - a[0], a[1], a[2], ED_P - a[3]
    total = 0, 1, 1, 0
    both = ed_add(base, minus_a)
    for bit in range(252, -1, -1):  # [s]B + [k](-A), bit by bit of both at once
        total = ed_add(total, total)
        addend = (None, base, minus_a, both)[(s >> bit & 1) + 2 * (k >> bit & 1)]
        total = total if addend is None else ed_add(total, addend)
    return ed_encode(total) == signature[:32]


def is_weak(p: Any) -> bool:
    """Whether a key is one of the eight points with which anybody can sign: eight times it is the neutral one."""
    for _ in range(3):
        p = ed_add(p, p)
    return bool(p[0] % ED_P == 0 and (p[1] - p[2]) % ED_P == 0)


def ed_add(p: Any, q: Any) -> Any:
    """RFC 8032 5.1.4; the formulas are complete, and double as well."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % ED_P, (p[1] + p[0]) * (q[1] + q[0]) % ED_P
    c, d = 2 * p[3] * q[3] * ED_D % ED_P, 2 * p[2] * q[2] % ED_P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % ED_P, g * h % ED_P, f * g % ED_P, e * h % ED_P


def ed_encode(p: Any) -> bytes:
    """RFC 8032 5.1.2: y, and the lowest bit of x as the highest of the last byte."""
    inverse = pow(p[2], ED_P - 2, ED_P)
    x, y = p[0] * inverse % ED_P, p[1] * inverse % ED_P
    return int(y | (x & 1) << 255).to_bytes(32, "little")


def ed_decode(data: bytes) -> Any:
    """RFC 8032 5.1.3; None for what is no point."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if len(data) != 32 or y >= ED_P:
        return None
    u, v = (y * y - 1) % ED_P, (ED_D * y * y + 1) % ED_P
    x = u * pow(v, 3, ED_P) * pow(u * pow(v, 7, ED_P), (ED_P - 5) // 8, ED_P) % ED_P
    if (v * x * x + u) % ED_P == 0:
        x = x * ED_I % ED_P
    if (v * x * x - u) % ED_P or (x == 0 and sign):
        return None
    x = ED_P - x if x & 1 != sign else x
    return x, y, 1, x * y % ED_P


# --- 13. Time stamps: RFC 3161, in CMS (RFC 5652); certificates (RFC 5280); RSA (RFC 8017), ECDSA (FIPS 186-5) ---
# DER is read strictly: one form for each value, nothing behind it, and never more than the file has.

MOST_STAMPERS, MAX_TOKEN, MAX_CERTIFICATE, MAX_PEM = 4, 48 << 10, 12 << 10, 64 << 10
MOST_MEMBERS, MOST_CERTIFICATES, MOST_TRIES = 256, 16, 8  # of one value; in one token; to find a chain in it
INTEGER, BITS, OCTETS, NULL, OBJECT, UTC_TIME, TIME, SEQUENCE, SET = 2, 3, 4, 5, 6, 0x17, 0x18, 0x30, 0x31
BOOLEAN, OPTION_0, OPTION_1, OPTION_3 = 1, 0xA0, 0xA1, 0xA3
SIGNED_DATA, STAMP_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = {"1.2.840.113549.1.9.16.2.12": "sha1", "1.2.840.113549.1.9.16.2.47": "sha256"}
KEY_USAGE, BASIC_CONSTRAINTS, EXTENDED_USAGE = "2.5.29.15", "2.5.29.19", "2.5.29.37"
KNOWN_EXTENSIONS = {
    KEY_USAGE,
    BASIC_CONSTRAINTS,
    EXTENDED_USAGE,
    "2.5.29.32",
}  # and policies, which are not needed
TIME_STAMPING = "1.3.6.1.5.5.7.3.8"
DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384", "2.16.840.1.101.3.4.2.3": "sha512",
}  # fmt: skip
RSA_KEY, EC_KEY = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
SIGNATURES = {
    "1.2.840.113549.1.1.11": (RSA_KEY, "sha256"), "1.2.840.10045.4.3.2": (EC_KEY, "sha256"),
    "1.2.840.113549.1.1.12": (RSA_KEY, "sha384"), "1.2.840.10045.4.3.3": (EC_KEY, "sha384"),
    "1.2.840.113549.1.1.13": (RSA_KEY, "sha512"), "1.2.840.10045.4.3.4": (EC_KEY, "sha512"),
}  # fmt: skip
RSA_PREFIXES = {  # RFC 8017, 9.2: what stands before the digest
    "sha256": "3031300d060960864801650304020105000420", "sha384": "3041300d060960864801650304020205000430",
    "sha512": "3051300d060960864801650304020305000440",
}  # fmt: skip
BY_RULES = "by the certificates that the rules name"


def check_stamps(case: Case) -> str:
    """Somebody else has stamped the seal with the time, before the beacon could be known."""
    if case.version == V1:
        return "NOT STAMPED: the rules of shake-draw/v1 name no time stampers"
    log, seal = need_log(case), bytes.fromhex(case.record["seal"]["digest"])
    named = [(row["name"], row["certificate"]) for row in case.rules["stampers"]]
    given = {sha256(certificate).hex() for certificate in case.given.tsas}
    strangers = sorted(given - {digest for _, digest in named})
    require(not strangers, f"certificates of time stampers that the rules name, got {', '.join(strangers)}")
    told, due = [], beacon_due_or_thrown(case)
    for row, certificate in stamps_in_order(log["stamps"], named):
        at = check_stamp(row["name"], decode64(row["token"]), certificate, seal)
        require(at < due, f"a time stamp of {row['name']} before {moment_text(due)}, got {moment_text(at)}")
        if not given or sha256(certificate).hex() in given:
            told.append(f"{row['name']} at {moment_text(at)}")
    published = [row["entry"] for row in log["statements"] if row["entry"]["action"] == "publish"]
    compare_stamps(case, published[0]["details"] if published else {})
    if not told:
        asked = f"{len(given)} given" if given else f"{len(named)} named"
        return f"NOT STAMPED: there is no stamp of the {asked} time stampers"
    how = "by the certificates that were given" if given else BY_RULES
    return (
        f"{len(told)} of {len(named)} named time stampers stamped the seal before the beacon, {how}: "
        + ", ".join(told)
    )


def stamps_in_order(stamps: Sequence[Any], named: Sequence[tuple[str, str]]) -> list[tuple[Any, bytes]]:
    """Each stamp with its certificate; of nobody but those who are named, so that their number is bounded."""
    rows = [(row, decode64(row["certificate"])) for row in stamps]
    known = [(row["name"], sha256(certificate).hex()) for row, certificate in rows]
    strangers = [name for name, digest in known if (name, digest) not in named]
    require(not strangers, f"a time stamper that the rules name, got {clip(''.join(strangers[:1]))}")
    places = list(map(named.index, known))
    require(increase(places), "time stamps in the order of the rules, each time stamper once")
    return rows


def compare_stamps(case: Case, published: Any) -> None:
    """No time stamp was taken out of a record, whose signature is not over them: the publication tells of each."""
    told = published.get("stamps", {}).get(case.rules["draw_id"], {})
    there = {row["name"]: sha256(decode64(row["token"])).hex() for row in case.record["log"]["stamps"]}
    expect("time stamps that the publication tells of", sorted(told.items()), sorted(there.items()))


def check_stamp(name: str, token: bytes, certificate: bytes, seal: bytes) -> int:
    """When somebody has stamped the seal at the latest, in UTC ms."""
    try:
        return check_token(token, certificate, seal)
    except Wrong as error:
        raise Wrong(f"time stamp of {name}: {error}") from None


def check_token(token: bytes, anchor: bytes, seal: bytes) -> int:
    """Check a time stamp of a seal against a certificate; return the latest moment that it can mean, in UTC ms.

    `token` and `anchor` are DER: a TimeStampToken, and the certificate to which the signer's has to lead.
    """
    require(len(token) <= MAX_TOKEN, f"a token of at most {MAX_TOKEN} bytes, got {len(token)}")
    signed = read_signed_data(token)
    info = read_stamp_info(signed.content)
    expect("stamped digest", seal.hex(), info.digest.hex())
    pool = list(map(read_certificate, dict.fromkeys([*signed.certificates, anchor])))
    signer = find_signer(signed, pool)
    check_attributes(signed, signer)
    holds = signed_by(
        signer, signed.algorithm, signed.digest, b"\x31" + signed.attributes.whole[1:], signed.signature
    )
    require(holds, "a signature of the time stamper over this token")
    check_stamping(signer, info.at)
    check_chain(signer, pool, anchor, info.at)
    return info.at + info.accuracy


def check_anchor(data: bytes, at: int) -> None:
    """Raise Wrong unless stamps can be checked against this certificate (DER) at this moment, in UTC ms."""
    anchor = read_certificate(data)
    require_valid(anchor, at)
    expect("issuer of a root certificate, which signs itself", anchor.subject.hex(), anchor.issuer.hex())
    require(signed_by(anchor, *anchor.signed), "a certificate that has signed itself")
    if not is_authority(anchor, 0):
        check_stamping(anchor, at)


def moment_text(at: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at // 1000))
    except (OSError, OverflowError, ValueError):  # calendars end: that of Windows after the year 3000
        return f"{at} ms after 1970"


# DER


class Der(NamedTuple):
    """One value: its tag, what is in it, and all of its bytes."""

    tag: int
    body: bytes
    whole: bytes


def read_der(data: bytes, at: int = 0) -> Der:
    """The value that begins here.

    >>> read_der(bytes.fromhex("0201ff00"))
    Der(tag=2, body=b'\\xff', whole=b'\\x02\\x01\\xff')
    """
    require(len(data) >= at + 2 and data[at] & 31 != 31, "a value of DER")
    length, start = data[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        require(0x80 < length <= 0x84 and len(data) >= start, "a length of DER")
        length = int.from_bytes(data[at + 2 : start], "big")
        require(length >= 128 and data[at + 2] != 0, "the shortest form of a length")
    require(len(data) >= start + length, "a value of DER that is whole")
    return Der(data[at], data[start : start + length], data[at : start + length])


def only(data: bytes, tag: int) -> Der:
    """The only value in these bytes."""
    found = read_der(data)
    require(found.tag == tag and found.whole == data, f"one value of DER with the tag {tag:#x}")
    return found


class Members:
    """What is in a value, taken one after the other."""

    def __init__(self, value: Der, tag: int = SEQUENCE) -> None:
        require(value.tag == tag, f"a value of DER with the tag {tag:#x}, got {value.tag:#x}")
        self.rows, at = [], 0  # type: list[Der], int
        while at < len(value.body):
            self.rows.append(read_der(value.body, at))
            at += len(self.rows[-1].whole)
            require(len(self.rows) <= MOST_MEMBERS, f"at most {MOST_MEMBERS} values in one")
        self.rows.reverse()

    def take(self, tag: int) -> Der:
        found = self.maybe(tag)
        if found is None:
            raise Wrong(f"expected a value of DER with the tag {tag:#x}, got another or none")
        return found

    def maybe(self, tag: int) -> Der | None:
        return self.rows.pop() if self.rows and self.rows[-1].tag == tag else None

    def all(self, tag: int) -> list[Der]:
        """All that are left, each with this tag."""
        return [self.take(tag) for _ in range(len(self.rows))]

    def end(self) -> None:
        require(not self.rows, "no more values of DER")


def number(value: Der) -> int:
    """An INTEGER in its shortest form."""
    body = value.body
    require(value.tag in (INTEGER, 0x80, 0x81) and 0 < len(body) <= 1025, "a number")
    require(
        len(body) == 1 or not (body[0] in (0, 255) and (body[0] ^ body[1]) < 128),
        "the shortest form of a number",
    )
    return int.from_bytes(body, "big", signed=True)


def name_of(value: Der) -> str:
    """An OBJECT IDENTIFIER, as in "2.5.29.15"."""
    body = value.body
    require(value.tag == OBJECT and 0 < len(body) <= 32 and body[-1] < 128, "an object identifier")
    arcs, arc = [], 0  # type: list[int], int
    for before, byte in zip(b"\0" + body, body):
        require(byte != 0x80 or before >= 128, "the shortest form of an object identifier")
        arc = arc << 7 | byte & 127
        if byte < 128:
            arcs, arc = [*arcs, arc], 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def read_algorithm(value: Der) -> tuple[str, Der | None]:
    """The name of an algorithm and its parameters; NULL is none."""
    row = Members(value)
    name, given = name_of(row.take(OBJECT)), row.rows.pop() if row.rows else None
    row.end()
    if given is not None and given.tag == NULL:
        require(given.body == b"", "a NULL of no bytes")
        given = None
    return name, given


def digest_name(value: Der) -> str:
    name, given = read_algorithm(value)
    require(name in DIGESTS and given is None, f"SHA-256, SHA-384 or SHA-512, got {name}")
    return DIGESTS[name]


def bits(value: Der) -> bytes:
    """A BIT STRING of whole bytes."""
    require(value.tag == BITS and value.body[:1] == b"\0", "a bit string of whole bytes")
    return value.body[1:]


def moment(value: Der) -> int:
    """UTCTime or GeneralizedTime in UTC ms, rounded up."""
    text, fraction = value.body.decode("ascii", "replace"), "0"
    if value.tag == UTC_TIME:
        require(re.fullmatch("[0-9]{12}Z", text) is not None, f"a time, got {clip(text)}")
        text = ("20" if text < "50" else "19") + text
    else:
        form = re.fullmatch(r"([0-9]{14})(?:\.([0-9]{0,5}[1-9]))?Z", text)
        if value.tag != TIME or form is None:
            raise Wrong(f"expected a time, got {clip(text)}")
        text, fraction = text[:14], form[2] or "0"
    try:
        at = time.strptime(text[:14], "%Y%m%d%H%M%S")
    except ValueError:
        raise Wrong(f"expected a time of the calendar, got {clip(text)}") from None
    before = at.tm_year - 1
    require(before >= 1969, f"a time since 1970, got {text}")
    days = 365 * (before - 1969) + before // 4 - before // 100 + before // 400 - 477 + at.tm_yday - 1
    seconds = ((24 * days + at.tm_hour) * 60 + at.tm_min) * 60 + at.tm_sec
    return seconds * 1000 + -(-int(fraction.ljust(6, "0")) // 1000)


# The token


class SignedToken(NamedTuple):
    """What a token consists of: what was signed, the certificates that came with it, and the only signature."""

    content: bytes
    certificates: list[bytes]
    signer: Der  # who: by issuer and number, or by the name of the key
    digest: str
    attributes: Der
    algorithm: Der
    signature: bytes


class StampInfo(NamedTuple):
    """What the time stamper says: the digest that it was shown, and when, in UTC ms, give or take so many."""

    digest: bytes
    at: int
    accuracy: int


def read_signed_data(token: bytes) -> SignedToken:
    """RFC 5652, 5: ContentInfo and SignedData, with one signer."""
    row = Members(only(token, SEQUENCE))
    expect("kind of a token", SIGNED_DATA, name_of(row.take(OBJECT)))
    body = Members(only(row.take(OPTION_0).body, SEQUENCE))
    row.end()
    expect("version of SignedData", 3, number(body.take(INTEGER)))
    digests = [read_algorithm(row) for row in Members(body.take(SET), SET).all(SEQUENCE)]
    inner = Members(body.take(SEQUENCE))
    expect("kind of what was signed", STAMP_INFO, name_of(inner.take(OBJECT)))
    content = only(inner.take(OPTION_0).body, OCTETS).body
    inner.end()
    brought = body.maybe(OPTION_0)
    certificates = [] if brought is None else Members(brought, OPTION_0).all(SEQUENCE)
    require(len(certificates) <= MOST_CERTIFICATES, f"at most {MOST_CERTIFICATES} certificates in a token")
    body.maybe(OPTION_1)
    signers = Members(body.take(SET), SET).all(SEQUENCE)
    body.end()
    require(len(signers) == 1, f"a token with one signer, got {len(signers)}")
    signed = read_signer(content, [row.whole for row in certificates], Members(signers[0]))
    require(
        signed.digest in [DIGESTS.get(name) for name, _ in digests],
        "a token that names the digest of its signer",
    )
    return signed


def read_signer(content: bytes, certificates: list[bytes], row: Members) -> SignedToken:
    """RFC 5652, 5.3."""
    require(number(row.take(INTEGER)) in (1, 3), "a version of SignerInfo")
    who = row.maybe(0x80) or row.take(SEQUENCE)
    digest = digest_name(row.take(SEQUENCE))
    attributes, algorithm = row.take(OPTION_0), row.take(SEQUENCE)
    signature = row.take(OCTETS).body
    row.maybe(OPTION_1)
    row.end()
    return SignedToken(content, certificates, who, digest, attributes, algorithm, signature)


def read_stamp_info(content: bytes) -> StampInfo:
    """RFC 3161, 2.4.2: TSTInfo."""
    row = Members(only(content, SEQUENCE))
    expect("version of a time stamp", 1, number(row.take(INTEGER)))
    name_of(row.take(OBJECT))  # its policy
    imprint = Members(row.take(SEQUENCE))
    expect("kind of the stamped digest", "sha256", digest_name(imprint.take(SEQUENCE)))
    digest = imprint.take(OCTETS).body
    imprint.end()
    number(row.take(INTEGER))
    at, told = moment(row.take(TIME)), row.maybe(SEQUENCE)
    for tag in (BOOLEAN, INTEGER, OPTION_0):  # ordering, nonce, name
        row.maybe(tag)
    more = row.maybe(OPTION_1)
    row.end()
    unknown = (
        [] if more is None else [name for name, (critical, _) in read_extensions(more).items() if critical]
    )
    require(not unknown, f"no critical extension in a time stamp, got {', '.join(unknown)}")
    return StampInfo(digest, at, 0 if told is None else read_accuracy(told))


def read_accuracy(value: Der) -> int:
    """In ms, rounded up."""
    row = Members(value)
    parts = [row.maybe(tag) for tag in (INTEGER, 0x80, 0x81)]
    row.end()
    seconds, millis, micros = [0 if part is None else number(part) for part in parts]
    bounded = 0 <= seconds < 1 << 31 and 0 <= millis < 1000 and 0 <= micros < 1000
    require(bounded, "an accuracy of seconds, milliseconds and microseconds")
    return seconds * 1000 + millis + (micros > 0)


def check_attributes(signed: SignedToken, signer: Certificate) -> None:
    """RFC 5652, 11 and RFC 3161, 2.4.1: the signature is over this content, and by this certificate."""
    found = {}
    for value in Members(signed.attributes, OPTION_0).all(SEQUENCE):
        row = Members(value)
        name = name_of(row.take(OBJECT))
        require(name not in found, f"each signed attribute once, got {name} again")
        found[name] = Members(row.take(SET), SET)
        row.end()
    for name in (CONTENT_TYPE, MESSAGE_DIGEST):
        require(name in found and len(found[name].rows) == 1, f"one signed attribute {name}")
    expect("signed content type", STAMP_INFO, name_of(found[CONTENT_TYPE].take(OBJECT)))
    digest = hashlib.new(signed.digest, signed.content).hexdigest()
    expect("signed digest of the time stamp", digest, found[MESSAGE_DIGEST].take(OCTETS).body.hex())
    named = [name for name in SIGNING_CERTIFICATE if name in found]
    require(bool(named), "a signed attribute that names the signer's certificate")
    for name in named:
        require(len(found[name].rows) == 1, f"one signed attribute {name}")
        first = Members(Members(Members(found[name].take(SEQUENCE)).take(SEQUENCE)).take(SEQUENCE))
        method = SIGNING_CERTIFICATE[name]
        told = first.maybe(SEQUENCE) if method == "sha256" else None
        own = hashlib.new(method if told is None else digest_name(told), signer.whole).hexdigest()
        expect("signed digest of the signer's certificate", own, first.take(OCTETS).body.hex())


# Certificates


class Certificate(NamedTuple):
    """The parts of a certificate that are looked at; times in UTC ms, `key` and names as they stand there."""

    whole: bytes
    serial: bytes
    issuer: bytes
    subject: bytes
    since: int
    until: int
    key: Der
    extensions: dict[str, tuple[bool, bytes]]
    signed: tuple[
        Der, str, bytes, bytes
    ]  # the algorithm, its digest if another has to say it, what was signed, how


def read_certificate(data: bytes) -> Certificate:
    """RFC 5280, 4.1."""
    require(
        len(data) <= MAX_CERTIFICATE, f"a certificate of at most {MAX_CERTIFICATE} bytes, got {len(data)}"
    )
    outer = Members(only(data, SEQUENCE))
    body, algorithm, signature = outer.take(SEQUENCE), outer.take(SEQUENCE), bits(outer.take(BITS))
    outer.end()
    row = Members(body)
    row.maybe(OPTION_0)  # its version
    serial, same = row.take(INTEGER).body, row.take(SEQUENCE)
    require(same.whole == algorithm.whole, "a certificate that names its algorithm twice")
    issuer, times, subject = row.take(SEQUENCE).whole, Members(row.take(SEQUENCE)), row.take(SEQUENCE).whole
    since, until = [moment(times.maybe(UTC_TIME) or times.take(TIME)) for _ in range(2)]
    times.end()
    key = row.take(SEQUENCE)
    row.maybe(0x81)
    row.maybe(0x82)
    more = row.maybe(OPTION_3)
    row.end()
    extensions = {} if more is None else read_extensions(only(more.body, SEQUENCE))
    signed = algorithm, "", body.whole, signature
    return Certificate(data, serial, issuer, subject, since, until, key, extensions, signed)


def read_extensions(value: Der) -> dict[str, tuple[bool, bytes]]:
    """Each extension by its name: whether it is critical, and its value."""
    found = {}
    for member in Members(value, value.tag).all(SEQUENCE):
        row = Members(member)
        name, critical = name_of(row.take(OBJECT)), row.maybe(BOOLEAN)
        require(critical is None or critical.body == b"\xff", "TRUE, as the default is not written")
        require(name not in found, f"each extension once, got {name} again")
        found[name] = critical is not None, row.take(OCTETS).body
        row.end()
    return found


def find_signer(signed: SignedToken, pool: Sequence[Certificate]) -> Certificate:
    """The certificate that the token names, among those that there are."""
    who = signed.signer
    if who.tag == 0x80:
        told = only_octets(who.body)
        found = [row for row in pool if row.extensions.get("2.5.29.14", (False, b""))[1] == told]
    else:
        row = Members(who)
        issuer, serial = row.take(SEQUENCE).whole, row.take(INTEGER).body
        row.end()
        found = [row for row in pool if (row.issuer, row.serial) == (issuer, serial)]
    require(len(found) == 1, f"one certificate of the signer, got {len(found)}")
    return found[0]


def only_octets(body: bytes) -> bytes:
    """These bytes as a value of an extension has them."""
    require(len(body) < 128, "a short name of a key")
    return bytes([OCTETS, len(body)]) + body


def usage_of(certificate: Certificate) -> int | None:
    """The bits of the key usage, the first of them (digital signature) as the highest of 16; None without."""
    if KEY_USAGE not in certificate.extensions:
        return None
    body = only(certificate.extensions[KEY_USAGE][1], BITS).body
    require(2 <= len(body) <= 3 and body[0] < 8, "a key usage of at most 16 bits")
    return int.from_bytes(body[1:].ljust(2, b"\0"), "big")


def check_stamping(signer: Certificate, at: int) -> None:
    """RFC 3161, 2.3: a certificate for time stamping and for nothing else, valid at the time that it has stamped."""
    require_valid(signer, at)
    critical, value = signer.extensions.get(EXTENDED_USAGE, (False, b"\x30\0"))
    uses = [name_of(row) for row in Members(only(value, SEQUENCE)).all(OBJECT)]
    alone = critical and uses == [TIME_STAMPING]
    require(alone, "a certificate for time stamping alone (a critical extended key usage)")
    usage = usage_of(signer)
    signs_alone = usage is None or (
        usage != 0 and usage & ~0xC000 == 0
    )  # digital signature, content commitment
    require(signs_alone, "a certificate whose key signs, and no certificates")


def require_valid(certificate: Certificate, at: int) -> None:
    unknown = [
        name for name, row in certificate.extensions.items() if row[0] and name not in KNOWN_EXTENSIONS
    ]
    require(not unknown, f"a certificate whose critical extensions are known, got {', '.join(unknown)}")
    valid = f"{moment_text(certificate.since)} to {moment_text(certificate.until)}"
    holds = certificate.since <= at <= certificate.until
    require(holds, f"a certificate that is valid at {moment_text(at)}, got one from {valid}")


def is_authority(certificate: Certificate, below: int) -> bool:
    """Whether it may sign certificates that have so many other ones of that kind below them."""
    usage = usage_of(certificate)
    if BASIC_CONSTRAINTS not in certificate.extensions or not (usage is None or usage & 0x0400):
        return False
    row = Members(only(certificate.extensions[BASIC_CONSTRAINTS][1], SEQUENCE))
    authority, longest = row.maybe(BOOLEAN), row.maybe(INTEGER)
    row.end()
    return (
        authority is not None and authority.body == b"\xff" and (longest is None or number(longest) >= below)
    )


def check_chain(signer: Certificate, pool: Sequence[Certificate], anchor: bytes, at: int) -> None:
    """Raise Wrong unless certificates of the pool lead from the signer's to this one, all valid at this time."""
    paths, tries, why = [[signer]], 0, "expected a chain of certificates to the one that the rules name"
    while paths:
        path = paths.pop()
        if path[-1].whole == anchor:
            return
        for issuer in pool:
            if issuer.subject != path[-1].issuer or issuer in path or not is_authority(issuer, len(path) - 1):
                continue
            tries += 1
            require(tries <= MOST_TRIES, "a chain of certificates that is found sooner")
            if signed_by(issuer, *path[-1].signed):
                try:
                    require_valid(issuer, at)
                    paths.append([*path, issuer])
                except Wrong as error:  # another one of the same name may be valid
                    why = str(error)
    raise Wrong(why)


# Signatures


def signed_by(
    certificate: Certificate, algorithm: Der, digest: str, message: bytes, signature: bytes
) -> bool:
    """Whether the key of a certificate has signed this; `digest` is the one that the algorithm has to have."""
    name, given = read_algorithm(algorithm)
    kind, own = (name, digest) if digest and name == RSA_KEY else SIGNATURES.get(name, ("", ""))
    known = kind != "" and given is None and digest in ("", own)
    require(known, f"a signature of RSA or ECDSA with SHA-256, SHA-384 or SHA-512, got {name}")
    row = Members(certificate.key)
    key, curve = read_algorithm(row.take(SEQUENCE))
    public = bits(row.take(BITS))
    row.end()
    expect("kind of a certificate's key", kind, key)
    hashed = hashlib.new(own, message).digest()
    if kind == RSA_KEY:
        return is_rsa_signed(public, own, hashed, signature)
    require(curve is not None, "a curve")
    return is_ec_signed(public, name_of(curve or certificate.key), hashed, signature)


def is_rsa_signed(public: bytes, method: str, hashed: bytes, signature: bytes) -> bool:
    """RFC 8017, 8.2.2: RSASSA-PKCS1-v1_5; compared is what has to come out, byte by byte."""
    row = Members(only(public, SEQUENCE))
    n, e = number(row.take(INTEGER)), number(row.take(INTEGER))
    row.end()
    length = n.bit_length()
    require(2048 <= length <= 8192 and n % 2 == 1, f"a key of RSA with 2048 to 8192 bits, got {length}")
    require(3 <= e < 1 << 32 and e % 2 == 1, "a usual exponent of RSA")
    size, value = (length + 7) // 8, int.from_bytes(signature, "big")
    told = bytes.fromhex(RSA_PREFIXES[method]) + hashed
    padded = b"\0\1" + b"\xff" * (size - len(told) - 3) + b"\0" + told
    return len(signature) == size and value < n and pow(value, e, n).to_bytes(size, "big") == padded


class Curve(NamedTuple):
    """y^2 = x^3 - 3 x + b modulo p; the group of prime order n that the point (x, y) makes (FIPS 186-5, SP 800-186)."""

    p: int
    b: int
    n: int
    x: int
    y: int


CURVES = {
    "1.2.840.10045.3.1.7": Curve(  # P-256
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
    "1.3.132.0.34": Curve(  # P-384
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
        0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
    ),
}


def is_ec_signed(public: bytes, name: str, hashed: bytes, signature: bytes) -> bool:
    """FIPS 186-5, 6.4.2, with a point that is not compressed and is on the curve."""
    require(name in CURVES, f"the curve P-256 or P-384, got {name}")
    curve = CURVES[name]
    size = (curve.p.bit_length() + 7) // 8
    row = Members(only(signature, SEQUENCE))
    r, s = number(row.take(INTEGER)), number(row.take(INTEGER))
    row.end()
    require(len(public) == 1 + 2 * size and public[0] == 4, "a point of the curve, not compressed")
    x, y = int.from_bytes(public[1 : 1 + size], "big"), int.from_bytes(public[1 + size :], "big")
    on_curve = max(x, y) < curve.p and (y * y - x**3 + 3 * x - curve.b) % curve.p == 0
    require(on_curve, "a point of the curve")
    if not (0 < r < curve.n and 0 < s < curve.n):
        return False
    digest = int.from_bytes(hashed, "big") >> max(0, 8 * len(hashed) - curve.n.bit_length())
    inverse = pow(s, -1, curve.n)
    u, v = digest * inverse % curve.n, r * inverse % curve.n
    base, key = (curve.x, curve.y, 1), (x, y, 1)
    both, total = ec_add(base, key, curve.p), (0, 1, 0)
    for bit in range(curve.n.bit_length() - 1, -1, -1):  # u times the base and v times the key at once
        total = ec_double(total, curve.p)
        addend = (None, base, key, both)[(u >> bit & 1) + 2 * (v >> bit & 1)]
        total = total if addend is None else ec_add(total, addend, curve.p)
    if total[2] % curve.p == 0:
        return False
    return bool(total[0] * pow(total[2] * total[2], -1, curve.p) % curve.p % curve.n == r)


def ec_double(point: Any, p: int) -> Any:
    """In Jacobian coordinates (x / z^2, y / z^3); z = 0 is the point at infinity."""
    x, y, z = point
    if z % p == 0 or y % p == 0:
        return 0, 1, 0
    square, steep = 4 * x * y * y % p, 3 * (x - z * z) * (x + z * z) % p
    x3 = (steep * steep - 2 * square) % p
    return x3, (steep * (square - x3) - 8 * y**4) % p, 2 * y * z % p


def ec_add(a: Any, b: Any, p: int) -> Any:
    if a[2] % p == 0 or b[2] % p == 0:
        return b if a[2] % p == 0 else a
    za, zb = a[2] * a[2] % p, b[2] * b[2] % p
    u1, u2 = a[0] * zb % p, b[0] * za % p
    s1, s2 = a[1] * b[2] * zb % p, b[1] * a[2] * za % p
    h, steep = (u2 - u1) % p, (s2 - s1) % p
    if h == 0:
        return ec_double(a, p) if steep == 0 else (0, 1, 0)
    square, cube = h * h % p, h * h * h % p
    x = (steep * steep - cube - 2 * u1 * square) % p
    return x, (steep * (u1 * square - x) - s1 * cube) % p, h * a[2] * b[2] % p


def read_pem(data: bytes) -> bytes:
    """The only certificate in a file, as DER."""
    found = re.findall(b"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\\s]*)-----END CERTIFICATE-----", data)
    require(len(found) == 1, f"a file with one certificate (PEM), got {len(found)}")
    return decode64(b"".join(found[0].split()).decode())


# --- 14. Command line ---

CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (
    ("record digest", check_record_digest),
    ("rules", check_rules),
    ("rules digest", check_rules_digest),
    ("commitments", check_commitments),
    ("reveals", check_reveals),
    ("times", check_times),
    ("ledger", check_ledger),
    ("software", check_software),
    ("roll header", check_roll_header),
    ("roll digest", check_roll_digest),
    ("seal", check_seal),
    ("beacon", check_beacon),
    ("key", check_key),
    ("scores", check_scores),
    ("skip rule", check_skipped),
    ("winners", check_winners),
    ("reserves", check_reserves),
    ("cutoff", check_cutoff),
    ("dispositions", check_dispositions),
)
ROLL_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (
    ("roll file", check_roll_file),
    ("roll entries", check_roll_entries),
    ("roll root", check_roll_root),
    ("ranking", check_ranking),
    ("inclusion proofs", check_proofs),
)
TOTALS_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (
    ("totals digest", check_totals_digest),
    ("exclusions", check_exclusions),
    ("tickets from shakes", check_tickets),
)
ORIGINS_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (("origins", check_origins),)
SHARED_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (("shared entries", check_shared),)
KEY_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (
    ("signature", check_record_signature),
    ("statements", check_statements),
)
WITNESS_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (("witnesses", check_witnesses),)
STAMP_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (("time stamps", check_stamps),)
EARLIER_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (("earlier records", check_earlier),)
SHOW_KEY_CHECKS: tuple[tuple[str, Callable[[Case], str]], ...] = (("show key", check_show_key),)
NAMES = (
    "files",
    "record",
    *(
        name
        for checks in (
            CHECKS,
            KEY_CHECKS,
            WITNESS_CHECKS,
            STAMP_CHECKS,
            EARLIER_CHECKS,
            SHOW_KEY_CHECKS,
            ROLL_CHECKS,
            TOTALS_CHECKS,
            ORIGINS_CHECKS,
            SHARED_CHECKS,
        )
        for name, _ in checks
    ),
)
"""All checks but those of receipts and stubs, which are named after their viewers."""
ROLL_NAMES = {name for name, _ in ROLL_CHECKS[:3]}
TOTALS_NAMES = {name for name, _ in TOTALS_CHECKS}


MAX_RECEIPT, MAX_RECEIPTS, MAX_EXCLUDED, MAX_STUB = 128 << 10, 500, 4 << 20, 64 << 10
MAX_ROLL = 4 << 30  # 268 million viewers; the totals of as many are larger by an eighth
# By the highest bits of a file's mode; a file has 8.
KINDS = {1: "a pipe: save it as a file first", 2: "a device", 4: "a directory", 6: "a device", 12: "a socket"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the files named on the command line; return 0 if all that was checked holds, else 1."""
    options = make_parser().parse_args(arguments)
    checks = check_files(options)
    missing = [] if checks[0].name == "files" else not_checked(options)
    ok = all(check.ok for check in checks)
    if options.json:
        rows = [check._asdict() for check in checks]
        found = {"ok": ok, "rests_on": rests_on(checks), "checks": rows, "not_checked": missing}
        say(json.dumps(found, indent=1))
    else:
        for check in checks:
            say(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
        say_verdict(checks, missing)
    return 0 if ok else 1


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify_draw.py",
        description="Check a draw of shake-draw/v2, or of v1. Each check is one line, `ok` or `FAIL`; the last line is "
        "the verdict. Exit status 0: all that was checked holds, 1: something does not.",
        epilog="docs/audit-a-draw.md says what each check means and what to do when it fails.",
    )
    parser.add_argument("record", help="the record of the draw, record.json")
    parser.add_argument("roll", nargs="?", help="the roll, roll.bin; without it the ranking is not checked")
    parser.add_argument("totals", nargs="?", help="for the auditor: the frozen totals, totals.bin")
    parser.add_argument(
        "excluded", nargs="?", help="for the auditor: excluded pseudonyms, a line in hex each"
    )
    parser.add_argument(
        "--origins", metavar="FILE", help="for the auditor: where guests come from, origins.bin"
    )
    parser.add_argument(
        "--shared",
        metavar="FILE",
        help="the entries that do not count, as their blocks have too many, shared.bin",
    )
    parser.add_argument(
        "--receipt",
        action="append",
        default=[],
        metavar="FILE",
        help="a viewer's receipt; may be given again",
    )
    parser.add_argument(
        "--stub",
        action="append",
        default=[],
        metavar="FILE",
        help="what a phone was told, to compare with the viewer's receipt or the roll; may be given again",
    )
    parser.add_argument(
        "--gateway-key",
        action="append",
        default=[],
        metavar="FILE",
        help="the ledger's statement of the key that signed a stub, if the stub's file has none; may be given again",
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        help="the organiser's public key, noted before the show; may be given again after a change of keys. "
        "Without it nobody checks whose record it is",
    )
    parser.add_argument(
        "--witness",
        action="append",
        default=[],
        metavar="KEY",
        help="the public key of a witness whom you trust; may be given again",
    )
    parser.add_argument(
        "--tsa",
        action="append",
        default=[],
        metavar="FILE",
        help="the certificate (PEM) of a time stamper whom you trust; may be given again. Without it, stamps are "
        "checked against the certificates that the rules name",
    )
    parser.add_argument(
        "--show-key",
        metavar="FILE",
        help="for the auditor: the show's key in hex, once the organiser has opened it",
    )
    parser.add_argument(
        "--uids", metavar="FILE", help="for the auditor: the ids of all who may be in the roll, a line each"
    )
    parser.add_argument(
        "--earlier",
        action="append",
        default=[],
        metavar="FILE",
        help="the record of an earlier draw of the show, to compare the prior wins; may be given again",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON value for programs")
    return parser


def check_files(options: argparse.Namespace) -> list[Check]:
    opened: list[Any] = []
    try:
        for name in (options.roll, options.totals, options.origins, options.shared):
            opened.append(None if name is None else open_file(name, MAX_ROLL * 9 // 8))
        for what, names in (
            ("receipts", options.receipt),
            ("earlier records", options.earlier),
            ("stubs", options.stub),
            ("keys of gateways", options.gateway_key),
            ("certificates", options.tsa),
        ):
            if len(names) > MAX_RECEIPTS:
                raise ValueError(f"expected at most {MAX_RECEIPTS} {what} at once, got {len(names)}")
        excluded = (
            [] if options.excluded is None else parse_excluded(read_file(options.excluded, MAX_EXCLUDED))
        )
        given = Given(
            excluded=excluded,
            receipts=[read_file(name, MAX_RECEIPT) for name in options.receipt],
            earlier=[read_file(name) for name in options.earlier],
            show_key=b"" if options.show_key is None else parse_show_key(read_file(options.show_key, 100)),
            uids=[] if options.uids is None else parse_uids(read_file(options.uids, MAX_EXCLUDED)),
            stubs=[read_file(name, MAX_STUB) for name in options.stub],
            gateway_keys=[read_file(name, MAX_STUB) for name in options.gateway_key],
            keys=options.key,
            witnesses=options.witness,
            tsas=[read_pem(read_file(name, MAX_PEM)) for name in options.tsa],
            tell=Progress().tell,
            origins=opened[2],
            shared=opened[3],
        )
        for kind, keys in ((LOG_KEY, options.key), (COSIGNATURE, options.witness)):
            for text in keys:
                parse_key(text, kind)  # a slip of the hand is said before anything is checked
        return verify_draw(read_file(options.record), opened[0], opened[1], given)
    except (OSError, ValueError, Wrong) as error:
        return [Check("files", False, clip(str(error)))]
    finally:
        for file in opened:
            if file is not None:
                file.close()


def read_file(name: str, most: int = MAX_JSON) -> bytes:
    with open_file(name, most) as file:
        data: bytes = file.read(most + 1)
    if len(data) > most:  # it has grown meanwhile
        raise ValueError(f"{name}: expected at most {most} bytes, got more")
    return data


def open_file(name: str, most: int) -> Any:
    """Open a file to read; ValueError for what is none, and so might never end, and for what is too large."""
    found = os.stat(name)  # before it is opened: opening a pipe waits for somebody to write
    kind = KINDS.get(found.st_mode >> 12, "")
    if kind or found.st_size > most:
        wanted = "a file" if kind else f"at most {most} bytes"
        raise ValueError(f"{name}: expected {wanted}, got {kind or found.st_size}")
    return open(name, "rb")


def parse_excluded(data: bytes) -> list[bytes]:
    names = [bytes.fromhex(line) for line in data.decode().split()]
    if any(len(name) != 14 for name in names):
        raise ValueError("expected excluded pseudonyms of 14 bytes in hex, one on a line")
    return names


def parse_show_key(data: bytes) -> bytes:
    key = bytes.fromhex(data.decode().strip())
    if len(key) != 32:
        raise ValueError(f"expected a show key of 32 bytes in hex, got {len(key)} bytes")
    return key


def parse_uids(data: bytes) -> list[int]:
    words = data.decode().split()
    if any(not word.isdigit() or len(word) > 20 or int(word) >= 1 << 64 for word in words):
        raise ValueError("expected ids below 2**64 in decimal, one on a line")
    return list(map(int, words))


def not_checked(options: argparse.Namespace) -> list[str]:
    rows = (
        (options.key, KEY_CHECKS),
        (options.key and options.witness, WITNESS_CHECKS),
        (options.key, STAMP_CHECKS),
        (options.earlier, EARLIER_CHECKS),
        (options.show_key, SHOW_KEY_CHECKS),
        (options.roll, ROLL_CHECKS),
        (options.roll and options.totals, TOTALS_CHECKS),
        (options.origins, ORIGINS_CHECKS),
        (options.shared, SHARED_CHECKS),
    )
    return [name for given, checks in rows if not given for name, _ in checks]


def rests_on(checks: Sequence[Check]) -> list[str]:
    """What the verdict rests on, where the checks hold."""
    held = {check.name: check.detail for check in checks if check.ok}
    signed = ["signature", "log"] if "signature" in held and "statements" in held else []
    outside = ("witnesses", "time stamps")
    seen = [name for name in outside if not held.get(name, "NOT").startswith("NOT")]
    told = [check for check in checks if check.name.startswith("stub ")]
    kept = ["stubs"] if told and all(row.ok and "NOT COMPARED" not in row.detail for row in told) else []
    return ["arithmetic", *signed, *seen, *kept]


def say_verdict(checks: Sequence[Check], missing: Sequence[str]) -> None:
    if missing:
        say(f"note NOT CHECKED, as the files were not given: {', '.join(missing)}")
    failed, count = [check.name for check in checks if not check.ok], len(checks)
    if failed:
        text = f"NOT OK: {len(failed)} of {count} checks fail: {', '.join(failed)}"
    elif "ranking" in missing:
        text = f"OK as far as it goes: {count} checks hold, but without the roll nobody knows who is missing"
    elif "signature" in missing:
        text = (
            f"OK, ARITHMETIC ONLY: all {count} checks hold, but nobody has checked whose record it is (--key)"
        )
    else:
        text = f"OK: all {count} checks hold. They rest on {', '.join(rests_on(checks))}{by_rules(checks)}"
    say(text + rehearsal(checks))


def rehearsal(checks: Sequence[Check]) -> str:
    """What a verdict must not leave out: nobody outside can know that the random number was not chosen."""
    return f". {REHEARSAL}" if any(check[1:] == (True, REHEARSAL) for check in checks) else ""


def by_rules(checks: Sequence[Check]) -> str:
    """Whose word it is that these are the certificates of the time stampers."""
    told = [check.detail for check in checks if check.name == "time stamps" and check.ok]
    return f" ({BY_RULES}; --tsa names those that you trust)" if told and BY_RULES in told[0] else ""


def say(line: str) -> None:
    """Print, but nothing that could move a terminal's cursor: the text comes from other people's files."""
    shown = "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in line)
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")


class Progress:
    """How far a long check is, on a terminal only and not in the first two seconds."""

    def __init__(self) -> None:
        self.shown = time.monotonic() + 2 if sys.stderr.isatty() else float("inf")

    def tell(self, what: str, done: int, total: int) -> None:
        if time.monotonic() >= self.shown:
            sys.stderr.write(f"\r{what}: {100 * done // max(total, 1)} %   \r")
            sys.stderr.flush()
            self.shown = time.monotonic() + 0.5


# --- 15. Constants of RFC 9380: 8.8.1 (SSWU) and appendix E.2 (the isogeny) ---

SSWU_A = 0x00144698A3B8E9433D693A02C96D4982B0EA985383EE66A8D8E8981AEFD881AC98936F8DA0E0F97F5CF428082D584C1D
SSWU_B = 0x12E2908D11688030018B12E8753EEE3B2016C1F0F24F4070A0B9C14FCEF35EF55A23215A316CEAA5D1CC48E98E172BE0
SSWU_Z = 11
# x' = (k_1,0 + k_1,1 x + ...) / (k_2,0 + ...), y' = y (k_3,0 + ...) / (k_4,0 + ...); one k on a line.
ISOGENY = (
    """
    11a05f2b1e833340b809101dd99815856b303e88a2d7005ff2627b56cdb4e2c85610c2d5f2e62d6eaeac1662734649b7
    17294ed3e943ab2f0588bab22147a81c7c17e75b2f6a8417f565e33c70d1e86b4838f2a6f318c356e834eef1b3cb83bb
    0d54005db97678ec1d1048c5d10a9a1bce032473295983e56878e501ec68e25c958c3e3d2a09729fe0179f9dac9edcb0
    1778e7166fcc6db74e0609d307e55412d7f5e4656a8dbf25f1b33289f1b330835336e25ce3107193c5b388641d9b6861
    0e99726a3199f4436642b4b3e4118e5499db995a1257fb3f086eeb65982fac18985a286f301e77c451154ce9ac8895d9
    1630c3250d7313ff01d1201bf7a74ab5db3cb17dd952799b9ed3ab9097e68f90a0870d2dcae73d19cd13c1c66f652983
    0d6ed6553fe44d296a3726c38ae652bfb11586264f0f8ce19008e218f9c86b2a8da25128c1052ecaddd7f225a139ed84
    17b81e7701abdbe2e8743884d1117e53356de5ab275b4db1a682c62ef0f2753339b7c8f8c8f475af9ccb5618e3f0c88e
    080d3cf1f9a78fc47b90b33563be990dc43b756ce79f5574a2c596c928c5d1de4fa295f296b74e956d71986a8497e317
    169b1f8e1bcfa7c42e0c37515d138f22dd2ecb803a0c5c99676314baf4bb1b7fa3190b2edc0327797f241067be390c9e
    10321da079ce07e272d8ec09d2565b0dfa7dccdde6787f96d50af36003b14866f69b771f8c285decca67df3f1605fb7b
    06e08c248e260e70bd1e962381edee3d31d79d7e22c837bc23c0bf1bc24c6b68c24b1b80b64d391fa9c8ba2e8ba2d229
    """,
    """
    08ca8d548cff19ae18b2e62f4bd3fa6f01d5ef4ba35b48ba9c9588617fc8ac62b558d681be343df8993cf9fa40d21b1c
    12561a5deb559c4348b4711298e536367041e8ca0cf0800c0126c2588c48bf5713daa8846cb026e9e5c8276ec82b3bff
    0b2962fe57a3225e8137e629bff2991f6f89416f5a718cd1fca64e00b11aceacd6a3d0967c94fedcfcc239ba5cb83e19
    03425581a58ae2fec83aafef7c40eb545b08243f16b1655154cca8abc28d6fd04976d5243eecf5c4130de8938dc62cd8
    13a8e162022914a80a6f1d5f43e7a07dffdfc759a12062bb8d6b44e833b306da9bd29ba81f35781d539d395b3532a21e
    0e7355f8e4e667b955390f7f0506c6e9395735e9ce9cad4d0a43bcef24b8982f7400d24bc4228f11c02df9a29f6304a5
    0772caacf16936190f3e0c63e0596721570f5799af53a1894e2e073062aede9cea73b3538f0de06cec2574496ee84a3a
    14a7ac2a9d64a8b230b3f5b074cf01996e7f63c21bca68a81996e1cdf9822c580fa5b9489d11e2d311f7d99bbdcc5a5e
    0a10ecf6ada54f825e920b3dafc7a3cce07f8d1d7161366b74100da67f39883503826692abba43704776ec3a79a1d641
    095fc13ab9e92ad4476d6e3eb3a56680f682b4ee96f7d03776df533978f31c1593174e4b4b7865002d6384d168ecdd0a
    1
    """,
    """
    090d97c81ba24ee0259d1f094980dcfa11ad138e48a869522b52af6c956543d3cd0c7aee9b3ba3c2be9845719707bb33
    134996a104ee5811d51036d776fb46831223e96c254f383d0f906343eb67ad34d6c56711962fa8bfe097e75a2e41c696
    00cc786baa966e66f4a384c86a3b49942552e2d658a31ce2c344be4b91400da7d26d521628b00523b8dfe240c72de1f6
    01f86376e8981c217898751ad8746757d42aa7b90eeb791c09e4a3ec03251cf9de405aba9ec61deca6355c77b0e5f4cb
    08cc03fdefe0ff135caf4fe2a21529c4195536fbe3ce50b879833fd221351adc2ee7f8dc099040a841b6daecf2e8fedb
    16603fca40634b6a2211e11db8f0a6a074a7d0d4afadb7bd76505c3d3ad5544e203f6326c95a807299b23ab13633a5f0
    04ab0b9bcfac1bbcb2c977d027796b3ce75bb8ca2be184cb5231413c4d634f3747a87ac2460f415ec961f8855fe9d6f2
    0987c8d5333ab86fde9926bd2ca6c674170a05bfe3bdd81ffd038da6c26c842642f64550fedfe935a15e4ca31870fb29
    09fc4018bd96684be88c9e221e4da1bb8f3abd16679dc26c1e8b6e6a1f20cabe69d65201c78607a360370e577bdba587
    0e1bba7a1186bdb5223abde7ada14a23c42a0ca7915af6fe06985e7ed1e4d43b9b3f7055dd4eba6f2bafaaebca731c30
    19713e47937cd1be0dfd0b8f1d43fb93cd2fcbcb6caf493fd1183e416389e61031bf3a5cce3fbafce813711ad011c132
    18b46a908f36f6deb918c143fed2edcc523559b8aaf0c2462e6bfe7f911f643249d9cdf41b44d606ce07c8a4d0074d8e
    0b182cac101b9399d155096004f53f447aa7b12a3426b08ec02710e807b4633f06c851c1919211f20d4c04f00b971ef8
    0245a394ad1eca9b72fc00ae7be315dc757b3b080d4c158013e6632d3c40659cc6cf90ad1c232a6442d9d3f5db980133
    05c129645e44cf1102a159f748c4a3fc5e673d81d7e86568d9ab0f5d396a7ce46ba1049b6579afb7866b1e715475224b
    15e6be4e990f03ce4ea50b3b42df2eb5cb181d8f84965a3957add4fa95af01b2b665027efec01c7704b456be69c8b604
    """,
    """
    16112c4c3a9c98b252181140fad0eae9601a6de578980be6eec3232b5be72e7a07f3688ef60c206d01479253b03663c1
    1962d75c2381201e1a0cbd6c43c348b885c84ff731c4d59ca4a10356f453e01f78a4260763529e3532f6102c2e49a03d
    058df3306640da276faaae7d6e8eb15778c4855551ae7f310c35a5dd279cd2eca6757cd636f96f891e2538b53dbf67f2
    16b7d288798e5395f20d23bf89edb4d1d115c5dbddbcd30e123da489e726af41727364f2c28297ada8d26d98445f5416
    0be0e079545f43e4b00cc912f8228ddcc6d19c9f0f69bbb0542eda0fc9dec916a20b15dc0fd2ededda39142311a5001d
    08d9e5297186db2d9fb266eaac783182b70152c65550d881c5ecd87b6f0f5a6449f38db9dfa9cce202c6477faaf9b7ac
    166007c08a99db2fc3ba8734ace9824b5eecfdfa8d0cf8ef5dd365bc400a0051d5fa9c01a58b1fb93d1a1399126a775c
    16a3ef08be3ea7ea03bcddfabba6ff6ee5a4375efa1f4fd7feb34fd206357132b920f5b00801dee460ee415a15812ed9
    1866c8ed336c61231a1be54fd1d74cc4f9fb0ce4c6af5920abc5750c4bf39b4852cfe2f7bb9248836b233d9d55535d4a
    167a55cda70a6e1cea820597d94a84903216f763e13d87bb5308592e7ea7d4fbc7385ea3d529b35e346ef48bb8913f55
    04d2f259eea405bd48f010a01ad2911d9c6dd039bb61a6290e591b36e636a5c871a5c29f4f83060400f8b49cba8f6aa8
    0accbb67481d033ff5852c1e48c50c477f94ff8aefce42d28c0f9a88cea7913516f968986f7ebbea9684b529e2561092
    0ad6b9514c767fe3c3613144b45f1496543346d98adf02267d5ceef9a00d9b8693000763e3b90ac11e99b138573345cc
    02660400eb2e4f3b628bdd0d53cd76f2bf565b94e72927c1cb748df27942480e420517bd8714cc80d1fadc1326ed06f7
    0e0fa1d816ddc03e6b24255e0d7819c171c40f65e273b853324efcd6356caa205ca2f570f13497804415473a1d634b8f
    1
    """,
)

if __name__ == "__main__":
    sys.exit(main())
