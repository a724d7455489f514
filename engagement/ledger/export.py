"""The ledger as lines of JSON, for checks elsewhere.

Lines are auditors' files: beside what everybody may read of an entry they have what opens the digests of people in it.
"""

from collections.abc import Iterable
from typing import Any

from engagement.core.digests import canonical_json, parse_canonical
from engagement.ledger.core.cosignatures import add_lines
from engagement.ledger.core.statements import person_digest
from engagement.models import LedgerCheckpoint, LedgerEntry


def export_entry(entry: LedgerEntry) -> bytes:
    """One line of the file for checks elsewhere: everything that the digest covers, what opens it, and the digest."""
    line = {
        "show": entry.show.slug,
        "position": entry.position,
        "at": entry.at_ms,
        "actor": entry.actor,
        "action": entry.action,
        "reason": entry.reason,
        "details": _parse(entry.details),
        "previous": entry.previous,
        "digest": entry.digest,
    }
    return canonical_json({**line, **_salted(entry)} if entry.salt else line) + b"\n"


def _salted(entry: LedgerEntry) -> dict[str, Any]:
    """What entries have since people stand as digests in them; a salt that is no hex opens nothing."""
    try:
        by = person_digest(bytes.fromhex(entry.salt), entry.actor)
    except ValueError:
        by = ""
    return {"by": by, "salt": entry.salt, "people": _parse(entry.people or "{}")}


def _parse(text: str) -> Any:
    try:
        return parse_canonical(text.encode())
    except ValueError:  # the file shall show what was made of it
        return text


def export_checkpoint(row: LedgerCheckpoint, cosignatures: Iterable[str] = ()) -> bytes:
    """One line of the file beside it; size and root stand in the note, which is signed, perhaps by witnesses, too."""
    return canonical_json({"at": row.at_ms, "note": add_lines(row.note, cosignatures)}) + b"\n"
