"""Canaries of a notary: committed to before the freeze, opened after the publication (docs/ledger.md, "Canaries").

The two entries of the ledger are all there is of them: nobody can change them, and no table has to be guarded.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from engagement.actions import ActionRefused, Conflict, lock_segment
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.core.plain_text import check_plain
from engagement.counts import details_of
from engagement.languages import say
from engagement.ledger.append import append_entry
from engagement.ledger.core.canaries import (
    LONGEST_NAME,
    MOST_CANARIES,
    Canary,
    describe_canaries,
    explain_opening,
    parse_canaries,
)
from engagement.models import LedgerEntry, Segment
from engagement.phrases import phase_text, unseen_text
from prizes.models import Party
from prizes.on_air import COMMITTED, MOST_COMMITMENTS, OPENED, commitments_for, told_of
from prizes.parties import read_digest

TAKEN = (Phase.ARMED, Phase.OPEN, Phase.CLOSING)  # until the freeze
OVER = (Phase.PUBLISHED, Phase.SPOILED)
SEGMENTS_AT_ONCE = 100
ENTRIES_AT_ONCE = 500


@transaction.atomic
def commit_canaries(
    segment_id: int, name: str, commitment: str, count: int, *, actor: str, now: int | None = None
) -> LedgerEntry:
    """Takes a commitment to some viewers, once for a name and segment; raises ActionRefused."""
    now = now_ms() if now is None else now
    segment, name, digest = lock_segment(segment_id), _read_name(name), read_digest(commitment)
    if not may_commit(segment):
        raise Conflict(
            say("canaries of {segment} are taken from its arming until its freeze", segment=segment)
        )
    if not 1 <= count <= MOST_CANARIES:
        raise ActionRefused(
            say(
                "expected 1 to {most_canaries} canaries, got {count}",
                most_canaries=MOST_CANARIES,
                count=count,
            )
        )
    known = commitments_for(segment.show_id, segment.key)
    if any(row.committed["name"] == name for row in known):
        raise Conflict(
            say("{name} has committed to canaries of {segment} already", name=name, segment=segment)
        )
    if len(known) >= MOST_COMMITMENTS:
        raise ActionRefused(
            say(
                "{segment} has {most_commitments} commitments already",
                segment=segment,
                most_commitments=MOST_COMMITMENTS,
            )
        )
    details = {"count": count, "commitment": digest}
    return _write(segment, COMMITTED, name, details, actor=actor, now=now)


@transaction.atomic
def open_canaries(
    segment_id: int, name: str, salt: str, canaries: Sequence[Canary], *, actor: str, now: int | None = None
) -> LedgerEntry:
    """Shows the viewers of a commitment, once; raises ActionRefused where they are not those."""
    now = now_ms() if now is None else now
    segment, name, digits = lock_segment(segment_id), _read_name(name), read_digest(salt)
    if segment.phase not in OVER:
        raise ActionRefused(
            say(
                "{segment} is {phase}: canaries are opened after the publication",
                segment=segment,
                phase=phase_text(segment.phase),
            )
        )
    row = told_of(segment.show, segment.key, name)
    if row is None:
        raise ActionRefused(
            say("{name} has committed to no canaries of {segment}", name=name, segment=segment)
        )
    if row.opened is not None:
        raise Conflict(say("{name} has opened the canaries of {segment} already", name=name, segment=segment))
    rows = _read_rows(canaries)
    fault = explain_opening(segment.show.slug, row.committed, bytes.fromhex(digits), canaries)
    if fault:
        raise ActionRefused(fault)
    details = {"salt": digits, "canaries": rows}
    return _write(segment, OPENED, name, details, actor=actor, now=now)


def may_commit(segment: Segment) -> bool:
    """From the arming until the freeze."""
    freeze = getattr(segment, "freeze", None)
    return segment.phase in TAKEN and (freeze is None or freeze.frozen_at_ms is None)


def _read_name(typed: str) -> str:
    name = typed.strip()
    try:
        check_plain(say("name"), name)
    except ValueError as error:
        raise ActionRefused(
            say(
                "expected a name of 1 to {longest_name} characters; {error}",
                longest_name=LONGEST_NAME,
                error=unseen_text(error),
            )
        ) from None
    if not 1 <= len(name) <= LONGEST_NAME:
        raise ActionRefused(
            say(
                "expected a name of 1 to {longest_name} characters, got {typed}",
                longest_name=LONGEST_NAME,
                typed=repr(typed[:80]),
            )
        )
    return name


def _read_rows(canaries: Sequence[Canary]) -> list[dict[str, Any]]:
    """As the entry has them: what no verifier reads must not stand there for ever."""
    rows = describe_canaries(canaries)
    try:
        parse_canaries(rows)
    except ValueError as error:
        raise ActionRefused(str(error)) from None
    return rows


def _write(
    segment: Segment, action: str, name: str, details: dict[str, Any], *, actor: str, now: int
) -> LedgerEntry:
    """No phone is told: what phones know does not change with it."""
    about = {"segment": segment.pk, "play": segment.key, "name": name, **details}
    return append_entry(segment.show, action, actor=actor, details=about, now=now)


# --- for the party page ---


def describe_for(own: list[Party]) -> dict[int, list[dict[str, Any]]]:
    """By party, the segments that it may commit to canaries of, or has; in two queries."""
    shows = [party.show_id for party in own]
    related = Segment.objects.filter(show__in=shows, phase__in=[*TAKEN, *OVER]).exclude(play="")
    segments = list(related.select_related("show", "freeze").order_by("-pk")[:SEGMENTS_AT_ONCE])
    told = _told(shows) if segments else {}
    rows: dict[int, list[dict[str, Any]]] = {}
    for party in own:
        mine = [_describe(row, party, told) for row in segments if row.show_id == party.show_id]
        rows[party.pk] = [row for row in mine if row["state"]]
    return rows


def _told(shows: list[int]) -> dict[tuple[str, str, str], LedgerEntry]:
    """The newest entries about canaries: by action, play and name."""
    told = LedgerEntry.objects.filter(show__in=shows, action__in=[COMMITTED, OPENED]).order_by("-pk")
    rows = [(entry, details_of(entry)) for entry in told[:ENTRIES_AT_ONCE]]
    return {(entry.action, str(row.get("play")), str(row.get("name"))): entry for entry, row in rows}


def _describe(
    segment: Segment, party: Party, told: dict[tuple[str, str, str], LedgerEntry]
) -> dict[str, Any]:
    committed, opened = (told.get((action, segment.key, party.name)) for action in (COMMITTED, OPENED))
    entry = opened or committed
    details = details_of(committed)
    return {
        "segment": segment,
        "state": _state(segment, committed, opened),
        "entry": None if entry is None else entry.position,
        "count": details.get("count"),
        "commitment": details.get("commitment"),
    }


def _state(segment: Segment, committed: LedgerEntry | None, opened: LedgerEntry | None) -> str:
    """What the party can do, or has done; "" where there is nothing of it."""
    if opened is not None:
        return "opened"
    if committed is not None:
        return "open" if segment.phase in OVER else "committed"
    return "commit" if may_commit(segment) else ""
