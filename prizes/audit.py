"""The audit of a stored draw: the second implementation on its files, and whether database and ledger say the same."""

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from engagement.core.digests import parse_canonical
from engagement.ledger import find_break
from engagement.models import LedgerEntry
from prizes.core.digests import rules_digest
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
        check_prior_wins(draw, record),
        *check_ledger(draw),
    ]


def check_drawn(draw: Draw) -> list[Check]:
    """What must still be as it was drawn when the winners are told; quick enough for a button."""
    try:
        record = record_path(draw.pk).read_bytes()
    except OSError as error:
        return [Check("record file", False, str(error))]
    return [_check_digest(draw, record), _check_wins(draw, record), *check_ledger(draw)]


def check_files(draw: Draw, record: bytes, roll: bytes, totals: bytes) -> list[Check]:
    """What the second implementation says of these bytes."""
    excluded = _attempt(lambda: {bytes.fromhex(viewer) for viewer in draw.excluded})
    if excluded is None:
        return [Check("exclusions", False, f"expected pseudonyms in hex, got {draw.excluded!r}"[:200])]
    return verify_draw(record, roll, totals, excluded)


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
    except (ValueError, KeyError, TypeError, RecursionError):
        published = None
    return Check("winners in the database", stored == published, f"{len(stored)} stored")


ROLL = ("roll_header", "roll_root", "totals_digest", "entries", "tickets")
STEPS = ("arm", "freeze", "seal", "beacon", "drawn")


def check_ledger(draw: Draw, steps: Iterable[str] = STEPS) -> list[Check]:
    """Whether the chain is whole, and every step was told once and says what the draw's row says now."""
    broken = find_break(draw.show)
    chain = Check("ledger chain", broken is None, "whole" if broken is None else f"broken at entry {broken}")
    now, told = _row(draw), _told(draw)
    return [
        chain,
        *(Check(f"{step} in the ledger", told[step] == [now[step]], f"told {told[step]}") for step in steps),
    ]


def _row(draw: Draw) -> dict[str, Any]:
    """What the draw's row says of each step."""
    return {
        "arm": _attempt(lambda: rules_digest(parse_canonical(draw.rules.encode())).hex()),
        "freeze": {name: getattr(draw, name) for name in ROLL},
        "seal": draw.seal,
        "beacon": draw.beacon_value,
        "drawn": draw.record_digest,
    }


def _told(draw: Draw) -> dict[str, list[Any]]:
    """What the ledger says of each step of this draw: one value each, if nobody did anything twice."""
    told: dict[str, list[Any]] = {step: [] for step in STEPS}
    for entry in LedgerEntry.objects.filter(show=draw.show_id, action__in=STEPS).order_by("position"):
        value = _attempt(partial(_value_in, entry, draw))
        if value is not None:
            told[entry.action].append(value)
    return told


def _value_in(entry: LedgerEntry, draw: Draw) -> Any:
    details = json.loads(entry.details)
    if entry.action == "arm":
        return details["rules"].get(draw.draw_id)
    if entry.action == "freeze":
        rows = [row for row in details["draws"] if row["draw"] == draw.pk]
        return {name: rows[0][name] for name in ROLL} if rows else None
    names = {"seal": "seal", "beacon": "value", "drawn": "record"}
    return details[names[entry.action]] if details["draw"] == draw.draw_id else None


def check_prior_wins(draw: Draw, record: bytes) -> Check:
    """The viewers that were skipped are the winners of the records that were drawn before, no more and no fewer."""
    expected: dict[str, str] = {}
    for entry in LedgerEntry.objects.filter(show=draw.show_id, action="drawn").order_by("position"):
        details = json.loads(entry.details)
        if details["draw"] == draw.draw_id:
            break
        winners = _winners_of(draw.show_id, details)
        if winners is None:
            return Check("prior wins", False, f"the record of {details['draw']} is not the one in the ledger")
        expected |= dict.fromkeys(winners, details["draw"])
    named = _attempt(lambda: {row["pseudonym"]: row["draw_id"] for row in json.loads(record)["prior_wins"]})
    return Check("prior wins", named == expected, f"{len(expected)} in the records before")


def _winners_of(show: int, told: dict[str, Any]) -> list[str] | None:
    """The winners in the stored record of an earlier draw; None unless it is the one that the ledger tells of."""
    draw = Draw.objects.filter(show=show, draw_id=told["draw"]).first()
    path = None if draw is None else record_path(draw.pk)
    content = path.read_bytes() if path is not None and path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != told["record"]:
        return None
    return [row["pseudonym"] for row in json.loads(content)["winners"]]


def _attempt(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
