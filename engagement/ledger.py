"""The ledger of a show: append-only, hash-chained, written in the same transaction as what it tells of.

If the entry cannot be written, the action does not happen. After each entry the whole ledger is signed: a checkpoint,
which anybody can keep to show later that nothing before it was changed (docs/ledger.md).
"""

import logging
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import transaction

from engagement.clock import now_ms
from engagement.core.checkpoints import Checkpoint, VerifierKey, format_checkpoint, sign_note, verifier_key
from engagement.core.digests import canonical_json, parse_canonical, tagged_hash
from engagement.core.merkle import GrowingTree, leaf_hash
from engagement.models import LONGEST_ACTOR, LONGEST_REASON, LedgerCheckpoint, LedgerEntry, Show

log = logging.getLogger(__name__)

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
    """Adds one entry and its checkpoint; inside the transaction of the action that it records."""
    # Locks the show's row until the transaction ends: two writers line up here instead of both taking one position.
    Show.objects.select_for_update().only("pk").get(pk=show.pk)
    last = LedgerEntry.objects.filter(show=show).order_by("-position").first()
    now = now_ms() if now is None else now
    entry = LedgerEntry(
        show=show,
        position=last.position + 1 if last else 0,
        at_ms=max(now, last.at_ms) if last else now,
        actor=_fit(LONGEST_ACTOR, actor),
        action=action,
        reason=_fit(LONGEST_REASON, reason),
        details=canonical_json(details or {}).decode(),
        previous=last.digest if last else GENESIS,
    )
    entry.digest = entry_digest(entry)
    entry.save(force_insert=True)
    sign_checkpoint(show, entry.at_ms)
    return entry


def _fit(longest: int, text: str) -> str:
    """Text that the column takes: PostgreSQL refuses NUL and what is too long, and then the action would fail."""
    return text.replace("\0", "")[:longest]


def time_behind(show: Show, now: int) -> int:
    """`now`, or the time of the last entry where another server's clock is ahead: what is told never runs backwards."""
    last = LedgerEntry.objects.filter(show=show).order_by("-position").values_list("at_ms", flat=True).first()
    return max(now, last or 0)


# --- the chain ---


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


def explain_break(entries: Iterable[LedgerEntry]) -> tuple[int, str] | None:
    """The position of the first entry of all that breaks the chain, and how; None where the chain is whole."""
    previous = GENESIS
    for position, entry in enumerate(entries):
        if entry.position != position:
            return position, f"entry {position} is missing"
        if not _is_whole(entry):
            return position, f"entry {position} was changed: its digest is not that of what it says"
        if entry.previous != previous:
            return (
                position,
                f"entry {position} does not follow from the one before, which was exchanged or added",
            )
        previous = entry.digest
    return None


# --- checkpoints ---


def origin_of(show: Show) -> str:
    """Which ledger this is, in the whole world: the first line of its checkpoints, and the name of its key."""
    return f"{settings.LEDGER_NAME}/{show.slug}"


def keys_of(show: Show) -> list[VerifierKey]:
    """The public keys of a show's checkpoints; the first one is that which signs now."""
    return [verifier_key(origin_of(show), seed) for seed in settings.LEDGER_KEYS]


def grow_tree(digests: Iterable[str]) -> GrowingTree:
    """The tree over the digests of entries, in their order."""
    return GrowingTree(leaf_hash(_raw(digest)) for digest in digests)


def _raw(digest: str) -> bytes:
    try:
        return bytes.fromhex(digest)
    except ValueError:  # somebody wrote what is no hex; no entry has this digest
        return b""


def read_tree(show: Show) -> GrowingTree:
    """The tree over a show's ledger as it is now."""
    entries = LedgerEntry.objects.filter(show=show).order_by("position")
    return grow_tree(entries.values_list("digest", flat=True))


def sign_checkpoint(show: Show, now: int) -> LedgerCheckpoint | None:
    """Signs the ledger as it is now; None where it is no longer the one that was signed before.

    "A log MUST not sign any checkpoint which is inconsistent with any checkpoint it previously signed" (C2SP
    tlog-checkpoint). The show goes on; what is missing from here on, and why, stands on the auditor's page.
    """
    tree = read_tree(show)
    last = LedgerCheckpoint.objects.filter(show=show).order_by("-size").first()
    if last is not None and (last.size >= len(tree) or tree.root(last.size).hex() != last.root):
        log.error(
            "The ledger of %s is not the one that was signed at %d entries: no checkpoint.",
            show.slug,
            last.size,
        )
        return None
    size = len(tree)
    root = tree.root(size)
    text = format_checkpoint(Checkpoint(origin_of(show), size, root))
    note = sign_note(text, origin_of(show), settings.LEDGER_KEYS[0])
    return LedgerCheckpoint.objects.create(show=show, size=size, root=root.hex(), note=note, at_ms=now)


# --- export ---


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
