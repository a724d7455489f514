"""The audit of a stored draw: the second implementation on its files, and whether database and ledger say the same."""

import hashlib
import json

from engagement.ledger import find_break
from engagement.models import LedgerEntry
from prizes.core.verify import Check, verify_draw
from prizes.files import record_path, roll_path, totals_path
from prizes.models import Draw


def audit_draw(draw: Draw) -> list[Check]:
    """Every check; never raises for what is wrong with the draw, a missing file is a failed check."""
    paths = record_path(draw.pk), roll_path(draw.pk), totals_path(draw.pk)
    missing = [Check(f"file {path.name}", False, "is not there") for path in paths if not path.is_file()]
    if missing:
        return missing
    record, roll, totals = (path.read_bytes() for path in paths)
    return [
        *check_files(draw, record, roll, totals),
        _check_digest(draw, record),
        _check_wins(draw, record),
        *_check_ledger(draw),
    ]


def check_files(draw: Draw, record: bytes, roll: bytes, totals: bytes) -> list[Check]:
    """What the second implementation says of these bytes."""
    return verify_draw(record, roll, totals, {bytes.fromhex(viewer) for viewer in draw.excluded})


def _check_digest(draw: Draw, record: bytes) -> Check:
    found = hashlib.sha256(record).hexdigest()
    return Check(
        "record file", found == draw.record_digest, f"SHA-256 {found}, written down as {draw.record_digest}"
    )


def _check_wins(draw: Draw, record: bytes) -> Check:
    stored = [
        {"rank": win.rank, "pseudonym": win.pseudonym, "prize": f"{win.prize_id}-{win.piece}"}
        for win in draw.wins.all()
    ]
    try:
        published = json.loads(record)["winners"]
    except (ValueError, KeyError, TypeError):
        published = None
    return Check("winners in the database", stored == published, f"{len(stored)} stored")


def _check_ledger(draw: Draw) -> list[Check]:
    broken = find_break(draw.show)
    chain = Check("ledger chain", broken is None, "whole" if broken is None else f"broken at entry {broken}")
    entry = LedgerEntry.objects.filter(show=draw.show_id, position=draw.sealed_ledger or 0).first()
    sealed = entry is not None and entry.action == "seal" and draw.seal in entry.details
    return [chain, Check("seal in the ledger", sealed, f"entry {draw.sealed_ledger}")]
