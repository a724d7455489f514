"""Canaries of a notary: committed to before the freeze, opened after the publication (docs/ledger.md, "Canaries").

The two entries of the ledger are all there is of them: nobody can change them, and no table has to be guarded.
"""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from engagement.actions import ActionRefused, Conflict, lock_segment
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.ledger.append import append_entry
from engagement.ledger.core.canaries import (
    LONGEST_NAME,
    MOST_CANARIES,
    Canary,
    describe_canaries,
    explain_opening,
)
from engagement.models import LedgerEntry, Segment
from prizes.on_air import COMMITTED, MOST_COMMITMENTS, OPENED, commitments_for, told_of
from prizes.parties import read_digest

TAKEN = (Phase.ARMED, Phase.OPEN, Phase.CLOSING)  # until the freeze
OVER = (Phase.PUBLISHED, Phase.SPOILED)


@transaction.atomic
def commit_canaries(
    segment_id: int, name: str, commitment: str, count: int, *, actor: str, now: int | None = None
) -> LedgerEntry:
    """Takes a commitment to some viewers, once for a name and segment; raises ActionRefused."""
    now = now_ms() if now is None else now
    segment, name, digest = lock_segment(segment_id), _read_name(name), read_digest(commitment)
    if not may_commit(segment):
        raise Conflict(f"canaries of {segment} are taken from its arming until its freeze")
    if not 1 <= count <= MOST_CANARIES:
        raise ActionRefused(f"expected 1 to {MOST_CANARIES} canaries, got {count}")
    known = commitments_for(segment.show_id, segment.key)
    if any(row.committed["name"] == name for row in known):
        raise Conflict(f"{name} has committed to canaries of {segment} already")
    if len(known) >= MOST_COMMITMENTS:
        raise ActionRefused(f"{segment} has {MOST_COMMITMENTS} commitments already")
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
        raise ActionRefused(f"{segment} is {segment.phase}: canaries are opened after the publication")
    row = told_of(segment.show, segment.key, name)
    if row is None:
        raise ActionRefused(f"{name} has committed to no canaries of {segment}")
    if row.opened is not None:
        raise Conflict(f"{name} has opened the canaries of {segment} already")
    fault = explain_opening(segment.show.slug, row.committed, bytes.fromhex(digits), canaries)
    if fault:
        raise ActionRefused(fault)
    details = {"salt": digits, "canaries": describe_canaries(canaries)}
    return _write(segment, OPENED, name, details, actor=actor, now=now)


def may_commit(segment: Segment) -> bool:
    """From the arming until the freeze."""
    freeze = getattr(segment, "freeze", None)
    return segment.phase in TAKEN and (freeze is None or freeze.frozen_at_ms is None)


def _read_name(typed: str) -> str:
    name = typed.strip()
    if not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
        raise ActionRefused(f"expected a name of 1 to {LONGEST_NAME} characters, got {typed[:80]!r}")
    return name


def _write(
    segment: Segment, action: str, name: str, details: dict[str, Any], *, actor: str, now: int
) -> LedgerEntry:
    """No phone is told: what phones know does not change with it."""
    about = {"segment": segment.pk, "play": segment.key, "name": name, **details}
    return append_entry(segment.show, action, actor=actor, details=about, now=now)
