"""What is published of a draw beside its roll: the precommitment, and the record with what became of the prizes."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from engagement.core.digests import canonical_json, parse_canonical
from engagement.ledger.checkpoints import sign_text
from engagement.ledger.core.cosignatures import add_lines
from engagement.ledger.statements import prove_entries
from engagement.ledger.tree import ask_tree
from engagement.models import LedgerCheckpoint
from prizes import files
from prizes.core.receipt import build_precommitment
from prizes.core.record import FORMAT, encode_record, parse_record, record_statement, with_dispositions
from prizes.cosignatures import cosigned, witnessed_size
from prizes.models import Draw, known
from prizes.stamps import beacon_known_at, stamps_of


class BrokenRecord(ValueError):
    """The stored record is not the one that was drawn."""


class PublishedRecord(NamedTuple):
    """The record as it is now: its JSON value, its bytes, and the digest that it names itself."""

    value: dict[str, Any]
    content: bytes
    digest: str


def precommitment_of(draw: Draw) -> bytes:
    """What was promised when the segment was armed, as canonical JSON; the same bytes for ever."""
    rules = draw.promised
    return canonical_json(build_precommitment(rules, draw.committed_at_ms, draw.committed_ledger))


def record_of(draw: Draw) -> PublishedRecord:
    """The drawn record with the present dispositions, its log and its signature; FileNotFoundError where it is lost."""
    return record_with(draw, dispositions_of(draw))


def record_with(draw: Draw, dispositions: Sequence[dict[str, Any]]) -> PublishedRecord:
    """The same with the dispositions of another moment; ValueError where they are none."""
    told = canonical_json(list(dispositions))
    found = _record(draw, draw.key, draw.record_digest, told, draw.published_ledger)
    if draw.published_ledger is not None and found.value.get("log", "") is None:
        _record.cache_clear()  # a ledger that was damaged may be mended
    return found


@lru_cache(maxsize=8)  # a record of a hundred winners has 200 KB
def _record(draw: Draw, key: str, sha256: str, dispositions: bytes, published: int | None) -> PublishedRecord:
    """`published` is where the ledger tells of it: before that there is no log."""
    record = with_dispositions(read_drawn(key, sha256), parse_canonical(dispositions))
    if record["$format"] == FORMAT:
        record["log"] = log_of(draw)
        record["signature"] = sign_text(draw.show, record_statement(record))
    return PublishedRecord(record, encode_record(record), record["digest"])


def log_of(draw: Draw) -> dict[str, Any] | None:
    """Where the ledger tells of each step, under the checkpoint that was signed at the publication; None before it.

    None, too, where the ledger was damaged and is not signed any more: the record goes out, and says less.
    """
    if draw.published_ledger is None:
        return None
    try:
        return _build_log(draw, draw.published_ledger + 1)
    except KeyError:
        return None


def _build_log(draw: Draw, size: int) -> dict[str, Any]:
    sealed = known(draw.sealed_ledger) + 1
    steps = [draw.committed_ledger, draw.segment.freeze.ledger, draw.sealed_ledger, draw.beacon_ledger]
    steps += [draw.started_ledger, draw.drawn_ledger, draw.published_ledger]
    positions = {known(step) for step in steps} | {row.ledger for row in draw.revealed.all()}
    names = [row["name"] for row in draw.promised["witnesses"]]
    due = beacon_known_at(draw)
    seen = witnessed_size(draw.show, names, sealed, size, due) or sealed
    notes = dict(
        LedgerCheckpoint.objects.filter(show=draw.show_id, size__in=[size, seen]).values_list("size", "note")
    )
    proof = ask_tree(draw.show, size, lambda tree: tree.consistency_proof(seen, size)) if seen < size else []
    lines = [row.line for row in cosigned(draw.show, seen)]
    return {
        "checkpoint": notes[size],
        "sealed": {
            "checkpoint": add_lines(notes[seen], lines),
            "proof": [node.hex() for node in proof],
        },
        "statements": prove_entries(draw.show, positions, size),
        "stamps": [
            {"name": row.stamper, "certificate": row.certificate, "token": row.token}
            for row in stamps_of(draw, due)
        ],
    }


def read_drawn(draw: str, sha256: str) -> dict[str, Any]:
    """The record as it was drawn, of the draw with this key; FileNotFoundError or BrokenRecord without it."""
    content = files.fetch(files.record_name(draw)).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise BrokenRecord(f"draw {draw}: expected the record with SHA-256 {sha256}, got {found}")
    return parse_record(content)


def dispositions_of(draw: Draw) -> list[dict[str, Any]]:
    """What became of the prizes so far, as it stands in the record; no query where it was fetched with the draw."""
    return [
        {
            "pseudonym": row.pseudonym,
            "prize": row.piece,
            "status": row.status,
            "reason": row.reason,
            "time": row.at_ms,
            "ledger": row.ledger,
        }
        for row in sorted(draw.dispositions.all(), key=lambda row: row.ledger)
    ]
