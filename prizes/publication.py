"""What is published of a draw beside its roll: the precommitment, and the record with what became of the prizes."""

import hashlib
from functools import lru_cache
from typing import Any, NamedTuple

from engagement.core.digests import canonical_json, parse_canonical
from prizes import files
from prizes.core.receipt import build_precommitment
from prizes.core.record import encode_record, parse_record, with_dispositions
from prizes.models import Draw


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
    """The drawn record with the present dispositions; FileNotFoundError where it is not stored."""
    return _record(draw.key, draw.record_digest, canonical_json(dispositions_of(draw)))


@lru_cache(maxsize=8)  # a record of a hundred winners has 200 KB
def _record(draw: str, sha256: str, dispositions: bytes) -> PublishedRecord:
    record = with_dispositions(read_drawn(draw, sha256), parse_canonical(dispositions))
    return PublishedRecord(record, encode_record(record), record["digest"])


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
