"""The ledger of a show: append-only, hash-chained, written in the same transaction as what it tells of.

If the entry cannot be written, the action does not happen.
"""

from typing import Any

from django.db import transaction

from engagement.clock import now_ms
from engagement.core.digests import canonical_json, parse_canonical, tagged_hash
from engagement.models import LONGEST_ACTOR, LONGEST_REASON, LedgerEntry, Show

SYSTEM = "system"
GENESIS = "0" * 64


@transaction.atomic
def append_entry(
    show: Show,
    action: str,
    *,
    actor: str = SYSTEM,
    reason: str = "",
    details: dict[str, Any] | None = None,
    now: int | None = None,
) -> LedgerEntry:
    """Adds one entry; inside the transaction of the action that it records."""
    # Locks the show's row until the transaction ends: two writers line up here instead of both taking one position.
    Show.objects.select_for_update().only("pk").get(pk=show.pk)
    last = LedgerEntry.objects.filter(show=show).order_by("-position").first()
    entry = LedgerEntry(
        show=show,
        position=last.position + 1 if last else 0,
        at_ms=now_ms() if now is None else now,
        actor=_fit(LONGEST_ACTOR, actor),
        action=action,
        reason=_fit(LONGEST_REASON, reason),
        details=canonical_json(details or {}).decode(),
        previous=last.digest if last else GENESIS,
    )
    entry.digest = entry_digest(entry)
    entry.save(force_insert=True)
    return entry


def _fit(longest: int, text: str) -> str:
    """Text that the column takes: PostgreSQL refuses NUL and what is too long, and then the action would fail."""
    return text.replace("\0", "")[:longest]


def entry_digest(entry: LedgerEntry) -> str:
    """The digest over everything that an entry says, and over the digest before it."""
    body = {
        "show": entry.show.slug,
        "position": entry.position,
        "at": entry.at_ms,
        "actor": entry.actor,
        "action": entry.action,
        "reason": entry.reason,
        "details": parse_canonical(entry.details.encode()),
    }
    return tagged_hash("shake-ledger/v1/entry", bytes.fromhex(entry.previous), canonical_json(body)).hex()


def _is_whole(entry: LedgerEntry) -> bool:
    try:
        return entry.digest == entry_digest(entry)
    except ValueError:  # somebody wrote what is neither hex nor canonical JSON
        return False


def find_break(show: Show) -> int | None:
    """The position of the first entry that does not follow from the one before it; None where the chain is whole."""
    previous = GENESIS
    entries = LedgerEntry.objects.filter(show=show).select_related("show").order_by("position")
    for position, entry in enumerate(entries.iterator()):
        if entry.position != position or entry.previous != previous or not _is_whole(entry):
            return position
        previous = entry.digest
    return None
