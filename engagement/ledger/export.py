"""The ledger as lines of JSON, for checks elsewhere."""

from engagement.core.digests import canonical_json, parse_canonical
from engagement.models import LedgerCheckpoint, LedgerEntry


def export_entry(entry: LedgerEntry) -> bytes:
    """One line of the file for checks elsewhere: everything that the digest covers, and the digest."""
    try:
        details = parse_canonical(entry.details.encode())
    except ValueError:  # the file shall show what was made of it
        details = entry.details
    line = {
        "show": entry.show.slug,
        "position": entry.position,
        "at": entry.at_ms,
        "actor": entry.actor,
        "action": entry.action,
        "reason": entry.reason,
        "details": details,
        "previous": entry.previous,
        "digest": entry.digest,
    }
    return canonical_json(line) + b"\n"


def export_checkpoint(row: LedgerCheckpoint) -> bytes:
    """One line of the file beside it; size and root stand in the note, which is signed."""
    return canonical_json({"at": row.at_ms, "note": row.note}) + b"\n"
