"""The audit of a stored draw: the second implementation on its files, and whether database and ledger say the same."""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from django.db import transaction

from engagement.core.digests import parse_canonical
from engagement.ledger.audit import Check, KeptNote, audit_ledger
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.tree import count_entries
from engagement.models import LONGEST_ACTOR, LedgerEntry, Show
from engagement.vault import VaultError, open_secret
from prizes.core.digests import audit_key, beacon_id, draw_key, rules_digest
from prizes.core.dispositions import CLAIMED, DISQUALIFIED, FORFEITED, SKIPPED, WON, Change, replay
from prizes.core.record import encode_record, parse_record, record_digest
from prizes.core.roll import TOTAL_BYTES
from prizes.engine import audit_sample
from prizes.files import beside, exists, fetch, origins_name, record_name, roll_name, shared_name, totals_name
from prizes.kept_rows import check_exclusions, check_rows, check_shards
from prizes.models import Disqualification, Draw, Reveal, Win
from prizes.on_air import check_canaries, check_counts
from prizes.publication import dispositions_of, record_of
from prizes.second_check import run_second_check


def audit_draw(draw: Draw, kept: Iterable[KeptNote] = ()) -> list[Check]:
    """Every check; never raises for what is wrong with the draw, a missing file is a failed check.

    `kept` are checkpoints from outside: a ledger that was written anew and signed again does not continue them.
    """
    names = [record_name(draw.key), roll_name(draw.key), totals_name(draw.segment.key)]
    missing = [
        Check(f"file {PurePath(name).name}", False, "is not there")
        for name in [
            *names,
            *([origins_name(draw.segment.key), shared_name(draw.key)] if draw.shared else []),
        ]
        if not exists(name)
    ]
    if missing:
        return missing
    if not isinstance(draw.excluded, list) or not all(isinstance(viewer, str) for viewer in draw.excluded):
        return [Check("exclusions", False, f"expected pseudonyms in hex, got {draw.excluded!r}"[:200])]
    record, roll, totals = map(fetch, names)
    content, after = record.read_bytes(), read_aftermath(draw)
    return [
        *run_second_check(
            as_published(content, after.dispositions),
            roll,
            totals,
            draw.excluded,
            beside=beside(draw.segment.key, draw.key),
        ),
        *_compare(draw, content, after),
        check_prior_wins(draw, content),
        check_exclusions(draw),
        check_rows(draw, content),
        check_shards(draw, roll, totals),
        check_counts(draw, roll, totals, fetch(origins_name(draw.segment.key)) if draw.shared else None),
        check_canaries(draw, roll),
        check_signed(draw),
        *(row for row in audit_ledger(draw.show, kept) if row.name.startswith("file ")),
    ]


def check_signed(draw: Draw) -> Check:
    """The published record is signed, and its log tells of every step: with the organiser's own key."""
    name = "published record"
    if draw.step != Draw.Step.PUBLISHED or not draw.prior:
        return Check(name, True, "not published, or of the first version: nothing is signed")
    keys = [format_vkey(key) for key in keys_of(draw.show)]
    try:
        checks = run_second_check(record_of(draw).content, keys=keys)
    except (ValueError, OSError) as error:
        return Check(name, False, str(error))
    asked = [row for row in checks if row.name in ("signature", "statements")]
    failed = [f"{row.name}: {row.detail}" for row in asked if not row.ok]
    return Check(name, len(asked) == 2 and not failed, "; ".join(failed) or "signed, and its log holds")


def check_drawn(draw: Draw) -> list[Check]:
    """What must still be as it was drawn when the winners are told; quick enough for a button."""
    try:
        record = fetch(record_name(draw.key)).read_bytes()
    except OSError as error:
        return [Check("record file", False, str(error))]
    return _compare(draw, record, read_aftermath(draw), start=draw.committed_ledger)


def _compare(draw: Draw, record: bytes, after: "Aftermath", *, start: int = 0) -> list[Check]:
    """The record as it was drawn with the database, and the database with the ledger."""
    return [
        _check_digest(draw, record),
        _check_wins(record, after),
        check_holders(record, after),
        *check_ledger(draw, start=start),
        check_dispositions(after),
        check_disqualifications(after),
    ]


def _check_digest(draw: Draw, record: bytes) -> Check:
    found = hashlib.sha256(record).hexdigest()
    return Check(
        "record file", found == draw.record_digest, f"SHA-256 {found}, written down as {draw.record_digest}"
    )


def _check_wins(record: bytes, after: "Aftermath") -> Check:
    """The winners as drawn; reserves that moved up later stand in the dispositions."""
    moved_up = {row["pseudonym"] for row in after.dispositions if row["status"] == WON}
    stored = [
        {"rank": win.rank, "pseudonym": win.pseudonym, "prize": win.piece_id}
        for win in after.wins
        if win.pseudonym not in moved_up
    ]
    published = _attempt(lambda: json.loads(record)["winners"])
    return Check("winners in the database", stored == published, f"{len(stored)} stored")


# --- after the draw ---

# Said once more, and not taken from claims.py: the checker does not ask the maker.
ACTIONS = {
    "claim": CLAIMED,
    "forfeit": FORFEITED,
    "disqualify": DISQUALIFIED,
    "move up": WON,
    "skip reserve": SKIPPED,
}
ASKED = "ask disqualification"


class Aftermath(NamedTuple):
    """What became of the prizes of a draw, at one moment: by its rows, and by the ledger's entries of it."""

    dispositions: list[dict[str, Any]]  # as in the record
    entries: list[LedgerEntry]
    wins: list[Win]
    disqualifications: list[Disqualification]


@transaction.atomic
def read_aftermath(draw: Draw) -> Aftermath:
    """All of the same moment: nobody writes to the show in between."""
    Show.objects.select_for_update().only("pk").get(pk=draw.show_id)
    told = LedgerEntry.objects.filter(show=draw.show_id, action__in=[*ACTIONS, ASKED])
    entries = told.filter(position__gt=draw.committed_ledger)
    disqualifications = Disqualification.objects.filter(win__draw=draw.pk).select_related("win")
    return Aftermath(
        dispositions_of(draw),
        [entry for entry in entries.order_by("position") if _details(entry).get("draw") == draw.draw_id],
        list(draw.wins.order_by("rank")),
        list(disqualifications),
    )


def _details(entry: LedgerEntry) -> dict[str, Any]:
    """Nothing where somebody has written what is no object: the chain says so."""
    details = _attempt(partial(json.loads, entry.details))
    return details if isinstance(details, dict) else {}


def as_published(record: bytes, dispositions: Sequence[dict[str, Any]]) -> bytes:
    """The drawn record with what became of the prizes, lawful or not; what is no record any more stays as it is."""
    if not dispositions:
        return record
    try:
        published = {**parse_record(record), "dispositions": dispositions}
    except ValueError:  # the verifier says so
        return record
    return encode_record({**published, "digest": record_digest(published).hex()})


def check_dispositions(after: Aftermath) -> Check:
    """Every line is what the ledger tells at its position, and the ledger tells of no other one."""
    stored = {row["ledger"]: row for row in after.dispositions}
    told = {entry.position: _line_of(entry) for entry in after.entries if entry.action in ACTIONS}
    wrong = [at for at in sorted({*stored, *told}) if stored.get(at) != told.get(at)]
    detail = f"{len(told)} told"
    if wrong:
        said = stored.get(wrong[0], "nothing"), told.get(wrong[0], "nothing")
        detail = f"at position {wrong[0]} the database says {said[0]}, the ledger {said[1]}"
    return Check("dispositions in the ledger", not wrong, detail)


def _line_of(entry: LedgerEntry) -> dict[str, Any]:
    details = _details(entry)
    return {
        "pseudonym": details.get("pseudonym"),
        "prize": details.get("prize"),
        "status": ACTIONS[entry.action],
        "reason": entry.reason,
        "time": entry.at_ms,
        "ledger": entry.position,
    }


class Holding(NamedTuple):
    """One win: whose, of which piece, at which rank, and what it is now."""

    pseudonym: str
    piece: str
    rank: int
    status: str


def check_holders(record: bytes, after: Aftermath) -> Check:
    """The wins are those of the drawn record after all that has happened: nobody else holds or has lost a piece."""
    stored = {Holding(win.pseudonym, win.piece_id, win.rank, win.status) for win in after.wins}
    names = ("pseudonym", "prize", "status", "reason")
    changes = [Change(*(row[name] for name in names)) for row in after.dispositions]
    try:
        expected = _follow(json.loads(record), changes)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Check("holders", False, f"the dispositions do not follow from the record: {error}")
    odd = [f"stored {row}" for row in sorted(stored - expected)]
    odd += [f"expected {row}" for row in sorted(expected - stored)]
    return Check("holders", not odd, "; ".join(odd) or f"{len(stored)} wins")


def _follow(record: dict[str, Any], changes: Sequence[Change]) -> set[Holding]:
    """The wins after these changes; ValueError where one does not follow."""
    winners, reserves = record["winners"], record["reserves"]
    replay(
        {row["prize"]: row["pseudonym"] for row in winners}, [row["pseudonym"] for row in reserves], changes
    )
    ranks = {row["pseudonym"]: row["rank"] for row in [*winners, *reserves]}
    wins = {row["pseudonym"]: (row["prize"], WON) for row in winners}
    wins |= {
        change.pseudonym: (change.prize, change.status) for change in changes if change.status != SKIPPED
    }
    return {Holding(viewer, piece, ranks[viewer], status) for viewer, (piece, status) in wins.items()}


def check_disqualifications(after: Aftermath) -> Check:
    """Two people for each: one has asked, another one has approved, and the ledger names both of them."""
    rows = [row for row in after.dispositions if row["status"] == DISQUALIFIED]
    alone = [row["pseudonym"] for row in rows if not _is_agreed(row, after)]
    approved = [row for row in after.disqualifications if row.approved]
    detail = f"{len(rows)}, each by two people"
    if len(rows) != len(approved):
        detail = f"{len(approved)} approved, {len(rows)} carried out"
    if alone:
        detail = f"not asked for and approved by two people, in database and ledger: {', '.join(alone)}"
    return Check("disqualifications", not alone and len(rows) == len(approved), detail)


def _is_agreed(row: dict[str, Any], after: Aftermath) -> bool:
    asked_by = {
        entry.actor
        for entry in after.entries
        if (entry.action, entry.reason) == (ASKED, row["reason"])
        and _details(entry).get("pseudonym") == row["pseudonym"]
        and entry.position < row["ledger"]
    }
    decided_by = {entry.actor for entry in after.entries if entry.position == row["ledger"]}
    return any(
        (asked.win.pseudonym, asked.reason) == (row["pseudonym"], row["reason"])
        and asked.approved
        and asked.asked_by != asked.decided_by
        and asked.asked_by in asked_by
        and f"{asked.asked_by} and {asked.decided_by}"[:LONGEST_ACTOR] in decided_by
        for asked in after.disqualifications
    )


# --- each step in the ledger ---

ROLL = ("roll_header", "roll_root", "roll_sha256", "totals_digest", "entries", "tickets")
STEPS = ("arm", "freeze", "reveal", "seal", "start", "beacon", "drawn")


def check_ledger(draw: Draw, steps: Iterable[str] = STEPS, *, start: int = 0) -> list[Check]:
    """Whether the ledger is the one that was signed, and every step was told once and as the draw's row says it now.

    From the entry at `start` on: nothing is told of a draw before it is armed.
    """
    now, told = _row(draw), _told(draw)
    return [
        _check_chain(draw, start),
        *(Check(f"{step} in the ledger", told[step] == [now[step]], f"told {told[step]}") for step in steps),
    ]


def _check_chain(draw: Draw, start: int) -> Check:
    checks = audit_ledger(draw.show, start=start)
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.ok]
    return Check("ledger chain", not failed, "; ".join(failed) or "whole")


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
    entries = LedgerEntry.objects.filter(show=draw.show_id, action__in=STEPS)
    for entry in entries.filter(position__gte=draw.committed_ledger).order_by("position"):
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
    """Skipped are those who had won by the seal, and the winners of what was pending then; no more and no fewer."""
    try:
        pending = set(draw.sealed_prior.pending) if draw.prior else set()
    except (ValueError, KeyError, TypeError) as error:
        return Check("prior wins", False, f"what the row says of the seal cannot be read: {error!r}"[:200])
    # A draw of the first version took all who had won when it started.
    fixed = (draw.sealed_ledger if draw.prior else draw.started_ledger) or 0
    try:
        told = list(told_wins(draw.show_id, before=draw.started_ledger or 0))
    except ValueError as error:
        return Check("prior wins", False, str(error))
    sealed = {row.pseudonym: row.draw_id for row in reversed(told) if row.position < fixed}
    under_way = {row.pseudonym: row.draw_id for row in told if row.draw_id in pending and not row.moved_up}
    expected = {**under_way, **sealed}
    named = _attempt(lambda: {row["pseudonym"]: row["draw_id"] for row in json.loads(record)["prior_wins"]})
    return Check("prior wins", named == expected, f"{len(expected)} had won before")


class ToldWin(NamedTuple):
    """Somebody has won, as an entry of the ledger says."""

    position: int
    pseudonym: str
    draw_id: str
    moved_up: bool


def told_wins(show_id: int, before: int) -> Iterator[ToldWin]:
    """All wins that the ledger of a show tells of, in order; ValueError for a record that is not the one it names."""
    draws = {row.draw_id: row for row in Draw.objects.filter(show=show_id).select_related("segment")}
    told = LedgerEntry.objects.filter(show=show_id, action__in=("drawn", "move up"), position__lt=before)
    for entry in told.order_by("position"):
        details = json.loads(entry.details)
        moved_up, name = entry.action == "move up", details["draw"]
        winners = [details["pseudonym"]] if moved_up else _winners_of(draws.get(name), details)
        if winners is None:
            raise ValueError(f"the record of {name} is not the one in the ledger")
        for winner in winners:
            yield ToldWin(entry.position, winner, name, moved_up)


def check_wins_elsewhere(draw: Draw, record: bytes) -> Check:
    """Whoever wins here and has a row of a win elsewhere has really won there: the ledger tells of it."""
    winners = [row["pseudonym"] for row in json.loads(record)["winners"]]
    rows = Win.objects.filter(show=draw.show_id, pseudonym__in=winners).exclude(draw=draw.pk)
    elsewhere = set(rows.values_list("pseudonym", flat=True))
    if not elsewhere:
        return Check("wins elsewhere", True, "none of the winners has a win in another draw")
    try:
        told = {row.pseudonym for row in told_wins(draw.show_id, before=count_entries(draw.show))}
    except ValueError as error:
        return Check("wins elsewhere", False, str(error))
    untold = ", ".join(sorted(elsewhere - told))
    return Check("wins elsewhere", not untold, untold and f"rows that the ledger does not tell of: {untold}")


def _winners_of(draw: Draw | None, told: dict[str, Any]) -> list[str] | None:
    """The winners in the stored record of an earlier draw; None unless it is the one that the ledger tells of."""
    name = "" if draw is None else record_name(draw.key)
    content = fetch(name).read_bytes() if name and exists(name) else b""
    if hashlib.sha256(content).hexdigest() != told["record"]:
        return None
    return [row["pseudonym"] for row in json.loads(content)["winners"]]


# --- the sample ---


@dataclass(frozen=True, slots=True)
class Sampled:
    """An entry of the roll that an auditor opens, and the shakes that its tickets come from."""

    pseudonym: str
    index: int
    tickets: int
    total: int


def sample_draw(draw: Draw, count: int) -> list[Sampled]:
    """The audit sample of a drawn draw (docs/draw.md, section 6): fixed by the beacon, so nobody could prepare it."""
    key = draw_key(bytes.fromhex(draw.seal), beacon_id(draw.beacon_kind), bytes.fromhex(draw.beacon_value))
    rows = audit_sample(fetch(roll_name(draw.key)), audit_key(key), count)
    totals = fetch(totals_name(draw.segment.key))
    found = _find_totals(totals, [row.pseudonym for row in rows])
    return [
        Sampled(row.pseudonym.hex(), row.index, row.tickets, total)
        for row, total in zip(rows, found, strict=True)
    ]


def _find_totals(path: Path, pseudonyms: Iterable[bytes]) -> list[int]:
    """Searched for in the sorted file: for a few viewers nobody reads the rows of millions."""
    with path.open("rb", buffering=0) as file:

        def read(at: int) -> bytes:
            file.seek(at * TOTAL_BYTES)
            return file.read(TOTAL_BYTES)

        rows, found = range(path.stat().st_size // TOTAL_BYTES), []
        for pseudonym in pseudonyms:
            row = read(bisect_left(rows, pseudonym, key=lambda at: read(at)[:14]))
            if row[:14] != pseudonym:
                raise ValueError(f"{pseudonym.hex()} has no row in the totals")
            found.append(int.from_bytes(row[14:], "big"))
        return found


# --- what may be broken ---


def _attempt(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except (ValueError, KeyError, TypeError, RecursionError, VaultError):
        return None
