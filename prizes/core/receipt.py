"""What is published of a draw beside its record: the precommitment, and receipts (docs/draw.md, sections 1 and 7)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from engagement.core.digests import canonical_json, tagged_hash
from prizes.core.digests import roll_digest, rules_digest, version_of
from prizes.core.roll import ENTRY_BYTES, HEADER_BYTES, RUN_ENTRIES, parse_header


class Run(NamedTuple):
    """One leaf of the roll's tree: its number, its bytes, and the sibling hashes from it up to the root.

    >>> Run(0, b"", []).leaf
    0
    """

    leaf: int
    data: bytes
    siblings: list[bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a viewer stands in the roll, from 0, and with how many tickets.

    >>> Entry(256, 3).index // RUN_ENTRIES
    1
    """

    index: int
    tickets: int


def build_precommitment(rules: dict[str, Any], time: int, ledger: int) -> dict[str, Any]:
    """Return the precommitment of a draw as a JSON value (docs/draw.md, section 1).

    `time` is when the segment was armed, in UTC ms, `ledger` the position of the entry that says so. The digest of
    the rules and the commitments by party are in it for those who read no further.

    >>> rules = {"draw_id": "d", "parties": [{"name": "house", "commitment": "00" * 32}]}
    >>> build_precommitment(rules, 1, 2)["commitments"] == {"house": "00" * 32}
    True
    """
    return {
        "$format": f"{version_of(rules)}/precommitment",
        "draw_id": rules["draw_id"],
        "rules": rules,
        "rules_digest": rules_digest(rules).hex(),
        "commitments": {party["name"]: party["commitment"] for party in rules["parties"]},
        "time": time,
        "ledger": ledger,
    }


def build_receipt(
    *,
    version: str,
    draw_id: str,
    pseudonym: bytes,
    roll_header: bytes,
    roll_root: bytes,
    seal: bytes,
    entry: Entry | None,
    runs: Sequence[Run],
) -> dict[str, Any]:
    """Return the receipt of one viewer as a JSON value (docs/draw.md, section 7).

    `version` is that of the draw's rules. `entry` is None for a viewer who is not in the roll; `runs` are then those of
    `runs_around`. `seal` is empty where the draw was spoiled. ValueError for a header that is none. The digests of the
    rules and of the roll are taken from the header.

    >>> from prizes.core.roll import RollHeader
    >>> header = RollHeader(0, 0, bytes(32), 1).pack()
    >>> receipt = build_receipt(version="shake-draw/v2", draw_id="d", pseudonym=bytes(14), roll_header=header,
    ...     roll_root=bytes(32), seal=bytes(32), entry=None, runs=[])
    >>> receipt["$format"], receipt["entry"], receipt["runs"]
    ('shake-draw/v2/receipt', None, [])
    """
    unsigned = {} if version == "shake-draw/v1" else {"signature": ""}
    return {
        **unsigned,
        "$format": f"{version}/receipt",
        "draw_id": draw_id,
        "pseudonym": pseudonym.hex(),
        "rules_digest": parse_header(roll_header).rules_digest.hex(),
        "roll": {
            "header": roll_header.hex(),
            "root": roll_root.hex(),
            "digest": roll_digest(roll_header, roll_root).hex(),
        },
        "seal": seal.hex(),
        "entry": None if entry is None else asdict(entry),
        "runs": [
            {"leaf": run.leaf, "data": run.data.hex(), "siblings": [node.hex() for node in run.siblings]}
            for run in runs
        ],
    }


def receipt_statement(receipt: Mapping[str, Any]) -> str:
    """Return the text that the organiser signs for a receipt (docs/draw.md, section 7).

    >>> receipt_statement({"$format": "shake-draw/v2/receipt", "draw_id": "d", "runs": []}).splitlines()[:2]
    ['shake-draw/v2/receipt', 'd']
    """
    rest = {name: value for name, value in receipt.items() if name != "signature"}
    digest = tagged_hash(receipt["$format"], canonical_json(rest))
    return f"{receipt['$format']}\n{receipt['draw_id']}\n{digest.hex()}\n"


def runs_around(position: int, entries: int, present: bool) -> list[int]:
    """Return the leaves that prove what stands at `position` of a roll with so many entries, at most two.

    For a viewer who is present it is the one with the entry. For one who is absent, `position` is where the entry
    would be inserted: the entries before and after it are shown, and that they are neighbours; at the end of the roll
    the header's number of entries says that none follows.

    >>> runs_around(256, 600, True), runs_around(256, 600, False), runs_around(600, 600, False)
    ([1], [0, 1], [2])
    >>> runs_around(0, 600, False), runs_around(0, 0, False)
    ([0], [])
    """
    neighbours = [position] if present else [position - 1, position]
    return sorted({index // RUN_ENTRIES for index in neighbours if 0 <= index < entries})


def roll_bytes(entries: int) -> int:
    """Return how large a roll of so many entries is (docs/draw.md, section 3).

    >>> roll_bytes(35_000_000)
    560000064
    """
    return HEADER_BYTES + entries * ENTRY_BYTES
