"""The audit of a stored draw: the second implementation on its files, and whether database and ledger say the same."""

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import PurePath
from typing import Any

from engagement.audit import audit_ledger, read_ledger
from engagement.core.digests import parse_canonical
from engagement.models import LedgerEntry
from engagement.vault import VaultError, open_secret
from prizes.core.digests import rules_digest
from prizes.files import exists, fetch, record_name, roll_name, totals_name
from prizes.models import Draw, Reveal
from prizes.second_check import Check, run_second_check


def audit_draw(draw: Draw) -> list[Check]:
    """Every check; never raises for what is wrong with the draw, a missing file is a failed check."""
    names = record_name(draw.pk), roll_name(draw.pk), totals_name(draw.segment_id)
    missing = [
        Check(f"file {PurePath(name).name}", False, "is not there") for name in names if not exists(name)
    ]
    if missing:
        return missing
    if not isinstance(draw.excluded, list) or not all(isinstance(viewer, str) for viewer in draw.excluded):
        return [Check("exclusions", False, f"expected pseudonyms in hex, got {draw.excluded!r}"[:200])]
    record, roll, totals = map(fetch, names)
    content = record.read_bytes()
    return [
        *run_second_check(content, roll, totals, draw.excluded),
        _check_digest(draw, content),
        _check_wins(draw, content),
        check_prior_wins(draw, content),
        *check_ledger(draw),
    ]


def check_drawn(draw: Draw) -> list[Check]:
    """What must still be as it was drawn when the winners are told; quick enough for a button."""
    try:
        record = fetch(record_name(draw.pk)).read_bytes()
    except OSError as error:
        return [Check("record file", False, str(error))]
    return [_check_digest(draw, record), _check_wins(draw, record), *check_ledger(draw)]


def _check_digest(draw: Draw, record: bytes) -> Check:
    found = hashlib.sha256(record).hexdigest()
    return Check(
        "record file", found == draw.record_digest, f"SHA-256 {found}, written down as {draw.record_digest}"
    )


def _check_wins(draw: Draw, record: bytes) -> Check:
    """The winners as drawn; reserves that moved up later stand in the dispositions."""
    moved_up = draw.dispositions.filter(status="won").values_list("pseudonym", flat=True)
    stored = [
        {"rank": win.rank, "pseudonym": win.pseudonym, "prize": win.piece_id}
        for win in draw.wins.exclude(pseudonym__in=moved_up)
    ]
    try:
        published = json.loads(record)["winners"]
    except (ValueError, KeyError, TypeError, RecursionError):
        published = None
    return Check("winners in the database", stored == published, f"{len(stored)} stored")


ROLL = ("roll_header", "roll_root", "roll_sha256", "totals_digest", "entries", "tickets")
STEPS = ("arm", "freeze", "reveal", "seal", "start", "beacon", "drawn")


def check_ledger(draw: Draw, steps: Iterable[str] = STEPS) -> list[Check]:
    """Whether the ledger is the one that was signed, and every step was told once and as the draw's row says it now."""
    now, told = _row(draw), _told(draw)
    return [
        _check_chain(draw),
        *(Check(f"{step} in the ledger", told[step] == [now[step]], f"told {told[step]}") for step in steps),
    ]


def _check_chain(draw: Draw) -> Check:
    ledger = read_ledger(draw.show)
    failed = [f"{check.name}: {check.detail}" for check in audit_ledger(ledger) if not check.ok]
    return Check("ledger chain", not failed, "; ".join(failed) or f"{len(ledger.entries)} entries, as signed")


def _row(draw: Draw) -> dict[str, Any]:
    """What the draw's row says of each step."""
    return {
        "arm": _attempt(lambda: rules_digest(parse_canonical(draw.rules.encode())).hex()),
        "freeze": {name: getattr(draw, name) for name in ROLL},
        "reveal": {row.party: _attempt(partial(_secret_of, row)) for row in draw.revealed.all()},
        "seal": draw.seal,
        "start": draw.started_ledger,
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
    told["start"] = told["start"][-1:]  # a draw that gave up, and was asked for again, starts again
    told["reveal"] = [dict(told["reveal"])]
    return told


def _value_in(entry: LedgerEntry, draw: Draw) -> Any:
    details = json.loads(entry.details)
    if entry.action == "arm":
        return details["rules"].get(draw.draw_id)
    if entry.action == "freeze":
        rows = [row for row in details["draws"] if row["draw"] == draw.pk]
        return {name: rows[0][name] for name in ROLL} if rows else None
    if details["draw"] != draw.draw_id:
        return None
    if entry.action == "start":
        return entry.position
    if entry.action == "reveal":
        return details["party"], details["secret"]
    return details[{"seal": "seal", "beacon": "value", "drawn": "record"}[entry.action]]


def _secret_of(row: Reveal) -> str:
    return open_secret(row.secret).hex()


def check_prior_wins(draw: Draw, record: bytes) -> Check:
    """Skipped are those who had won when the draw started, in records before or as reserves; no more and no fewer."""
    expected: dict[str, str] = {}
    before = LedgerEntry.objects.filter(
        show=draw.show_id, action__in=("drawn", "move up"), position__lt=draw.started_ledger or 0
    )
    for entry in before.order_by("position"):
        details = json.loads(entry.details)
        winners = [details["pseudonym"]] if entry.action == "move up" else _winners_of(draw.show_id, details)
        if winners is None:
            return Check("prior wins", False, f"the record of {details['draw']} is not the one in the ledger")
        expected |= dict.fromkeys(winners, details["draw"])
    named = _attempt(lambda: {row["pseudonym"]: row["draw_id"] for row in json.loads(record)["prior_wins"]})
    return Check("prior wins", named == expected, f"{len(expected)} had won before")


def _winners_of(show: int, told: dict[str, Any]) -> list[str] | None:
    """The winners in the stored record of an earlier draw; None unless it is the one that the ledger tells of."""
    draw = Draw.objects.filter(show=show, draw_id=told["draw"]).first()
    name = "" if draw is None else record_name(draw.pk)
    content = fetch(name).read_bytes() if name and exists(name) else b""
    if hashlib.sha256(content).hexdigest() != told["record"]:
        return None
    return [row["pseudonym"] for row in json.loads(content)["winners"]]


def _attempt(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except (ValueError, KeyError, TypeError, RecursionError, VaultError):
        return None
