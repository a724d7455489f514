"""What was seen on air, against what is drawn from: counts of gateways, and canaries of notaries (docs/ledger.md).

Both stand in the ledger. A roll with more than was counted was stuffed; one without a canary has lost somebody.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engagement.core.counts import excess
from engagement.core.digests import canonical_json
from engagement.counts import UNCOUNTED, ceiling_of, details_of, last_counts
from engagement.ledger.audit import Check
from engagement.ledger.core.canaries import Canary, explain_opening, parse_canaries
from engagement.models import LedgerEntry, Show
from prizes.core.digests import version_of
from prizes.core.record import FORMAT
from prizes.core.roll import ENTRY_BYTES, HEADER_BYTES
from prizes.core.sharing import SHARED_BYTES, cap_tickets, read_sharing
from prizes.core.tickets import TicketTable
from prizes.engine import add_totals
from prizes.engine.sharing import ROW_BYTES
from prizes.files import exists, fetch, shared_name
from prizes.models import Draw

FIGURES = ("viewers", "shakes", "app")
COMMITTED, OPENED = "canaries", "canaries opened"
MOST_COMMITMENTS = 20  # for one play of a segment


# --- counts ---


def uncounted_of(draw: Draw) -> dict[str, Any] | None:
    """What the freeze has told, in the entry behind its own, of a roll with more than was counted; one query."""
    freeze = getattr(draw.segment, "freeze", None)
    if freeze is None or freeze.ledger is None:
        return None
    told = LedgerEntry.objects.filter(show=draw.show_id, position=freeze.ledger + 1, action=UNCOUNTED).first()
    details = details_of(told)
    counted = details.get("counted")
    rows = [details, counted if isinstance(counted, dict) else {}]
    return details if all(isinstance(row.get(name), int) for row in rows for name in FIGURES) else None


def check_counts(draw: Draw, roll: Path, totals: Path, origins: Path | None) -> Check:
    """What is frozen, by the files, is at most what the gateways had counted at the fence.

    Without `origins`, of a draw that was armed before there were any, users of the host app are not compared.
    """
    ceiling = ceiling_of(draw.show, draw.segment.key)
    if ceiling is None:
        return _not_counted(draw)
    entries = (roll.stat().st_size - HEADER_BYTES) // ENTRY_BYTES
    try:
        frozen = add_totals(totals)
    except ValueError as error:
        return Check("counts", False, str(error))
    viewers, counted = max(frozen.viewers, entries), ceiling.figures
    app = 0 if origins is None else frozen.viewers - origins.stat().st_size // ROW_BYTES
    over = any(excess(counted, viewers=viewers, shakes=frozen.shakes, app=app))
    said = f"{counted.viewers} viewers ({counted.app} of the app) and {counted.shakes} shakes counted"
    return Check(
        "counts",
        not over,
        f"{said} (entry {ceiling.position}), {viewers} ({app}) and {frozen.shakes} frozen",
    )


def _not_counted(draw: Draw) -> Check:
    if version_of(draw.promised) != FORMAT:
        return Check("counts", True, "of the first version: nothing was counted")
    if last_counts(draw.show, draw.segment.key) is None:
        return Check("counts", False, "the ledger does not say what was counted")
    return Check("counts", True, "NOT COMPARED: not everything could be read when it was counted")


# --- canaries ---


class Commitment(NamedTuple):
    """Canaries of one name for one play: the details of the commitment, and of the opening where there is one."""

    committed: dict[str, Any]
    opened: dict[str, Any] | None


def commitments_for(show: int, play: str) -> list[Commitment]:
    """All of them, in the order of the ledger."""
    told = [(entry.action, json.loads(entry.details)) for entry in _entries(show, play, COMMITTED, OPENED)]
    opened = {details["name"]: details for action, details in told if action == OPENED}
    rows = [details for action, details in told if action == COMMITTED]
    return [Commitment(details, opened.get(details["name"])) for details in rows]


def _entries(show: int, play: str, *actions: str) -> Any:
    named = canonical_json({"play": play}).decode()[1:-1]
    told = LedgerEntry.objects.filter(show=show, action__in=actions, details__contains=named)
    return told.order_by("position")[: 2 * MOST_COMMITMENTS]


def check_canaries(draw: Draw, roll: Path) -> Check:
    """Every canary that was opened is in the roll with at least the tickets of what its phone was told."""
    try:
        rows = commitments_for(draw.show_id, draw.segment.key)
        missing = [
            why for row in rows if row.opened for why in _missing(draw, row.committed, row.opened, roll)
        ]
    except (ValueError, KeyError, TypeError) as error:
        return Check("canaries", False, f"cannot be compared: {error!r}"[:200])
    names = ", ".join(row.committed["name"] for row in rows if row.opened) or "none"
    waiting = sum(row.opened is None for row in rows)
    return Check("canaries", not missing, "; ".join(missing) or f"opened: {names}; not opened yet: {waiting}")


def _missing(draw: Draw, committed: dict[str, Any], opened: dict[str, Any], roll: Path) -> Iterator[str]:
    """What is wrong with some canaries that were opened."""
    canaries, name = parse_canaries(opened["canaries"]), committed["name"]
    fault = explain_opening(draw.show.slug, committed, bytes.fromhex(opened["salt"]), canaries)
    if fault:
        yield f"{name}: {fault}"
    here = [canary for canary in canaries if canary.pseudonym not in draw.excluded]
    for canary, tickets in zip(here, find_tickets(roll, here), strict=True):
        expected = fewest_tickets(draw, canary.total)
        if tickets < expected and (tickets or not is_left_out(draw, bytes.fromhex(canary.pseudonym))):
            told = f"by the word of {name}, {canary.pseudonym} was told {canary.total} shakes"
            yield f"{told}, which are {expected} tickets; the roll has {tickets}: the stub of that phone decides"


def fewest_tickets(draw: Draw, total: int) -> int:
    """What so many shakes are worth at least: nobody who tells of them knows of which kind the pass was."""
    table, caps = TicketTable(draw.promised["tickets"]), read_sharing(draw.promised).caps
    worth = table.tickets_for(total)
    return min([worth, *(cap_tickets(table.rows, worth, most) for most in caps.values())])


def is_left_out(draw: Draw, pseudonym: bytes) -> bool:
    """Whether this entry does not count, as its block has too many."""
    name = shared_name(draw.key)
    if not exists(name):
        return False
    path = fetch(name)
    with path.open("rb", buffering=0) as file:

        def read(at: int) -> bytes:
            file.seek(at * SHARED_BYTES)
            return file.read(SHARED_BYTES)

        rows = range(path.stat().st_size // SHARED_BYTES)
        return read(bisect_left(rows, pseudonym, key=read)) == pseudonym


def find_tickets(roll: Path, canaries: Iterable[Canary]) -> list[int]:
    """The tickets of these viewers, searched for in the sorted file; 0 for who is not in the roll."""
    found = []
    with roll.open("rb", buffering=0) as file:
        entries = range((roll.stat().st_size - HEADER_BYTES) // ENTRY_BYTES)

        def read(at: int) -> bytes:
            file.seek(HEADER_BYTES + at * ENTRY_BYTES)
            return file.read(ENTRY_BYTES)

        for canary in canaries:
            pseudonym = bytes.fromhex(canary.pseudonym)
            row = read(bisect_left(entries, pseudonym, key=lambda at: read(at)[:14]))
            found.append(int.from_bytes(row[14:], "big") if row[:14] == pseudonym else 0)
    return found


def told_of(show: Show, play: str, name: str) -> Commitment | None:
    """The commitment of this name."""
    return next((row for row in commitments_for(show.pk, play) if row.committed["name"] == name), None)
