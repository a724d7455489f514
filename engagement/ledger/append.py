"""The ledger of a show: append-only, hash-chained, written in the same transaction as what it tells of.

If the entry cannot be written, the action does not happen. After each entry the whole ledger is signed: a checkpoint,
which anybody can keep to show later that nothing before it was changed (docs/ledger.md).
"""

import secrets
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from engagement import outcomes
from engagement.clock import now_ms
from engagement.core.digests import canonical_json, parse_canonical, tagged_hash
from engagement.ledger.checkpoints import Growth
from engagement.ledger.core.statements import SALT_BYTES, body_digest, person_digest
from engagement.marks import remember
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
    people: Mapping[str, str] | None = None,
    now: int | None = None,
) -> LedgerEntry:
    """Adds one entry and its checkpoint; inside the transaction of the action that it records.

    `people` are details that everybody may know the salted digest of, and auditors the name.
    """
    # Locks the show's row until the transaction ends: two writers line up here instead of both taking one position.
    Show.objects.select_for_update().only("pk").get(pk=show.pk)
    last = LedgerEntry.objects.filter(show=show).order_by("-position").first()
    now = now_ms() if now is None else now
    salt, named = secrets.token_bytes(SALT_BYTES), _fit_all(people or {})
    digests = {field: person_digest(salt, name) for field, name in named.items()}
    entry = LedgerEntry(
        show=show,
        position=last.position + 1 if last else 0,
        at_ms=max(now, last.at_ms) if last else now,
        actor=fit_text(LONGEST_ACTOR, actor),
        action=action,
        reason=fit_text(LONGEST_REASON, reason),
        details=canonical_json({**(details or {}), **digests}).decode(),
        previous=last.digest if last else GENESIS,
        salt=salt.hex(),
        people=canonical_json(named).decode() if named else "",
    )
    entry.digest = entry_digest(entry)
    growth = Growth(show, last)
    entry.nodes = growth.add(entry.digest)
    entry.save(force_insert=True)
    growth.sign(entry.at_ms)
    transaction.on_commit(lambda: outcomes.current().recorded.append(entry.action))
    transaction.on_commit(lambda: remember(entry))
    return entry


def fit_text(longest: int, text: str) -> str:
    """Text that the column takes: PostgreSQL refuses NUL and what is too long, and then the action would fail.

    So it would with bytes of a terminal in another encoding, which are no text; each becomes a question mark.
    """
    return text.replace("\0", "").encode(errors="replace").decode()[:longest]


def _fit_all(people: Mapping[str, str]) -> dict[str, str]:
    return {field: fit_text(LONGEST_ACTOR, name) for field, name in people.items()}


def time_behind(show: Show, now: int) -> int:
    """`now`, or the time of the last entry where another server's clock is ahead: what is told never runs backwards."""
    last = LedgerEntry.objects.filter(show=show).order_by("-position").values_list("at_ms", flat=True).first()
    return max(now, last or 0)


# --- the chain ---


def entry_body(entry: LedgerEntry) -> dict[str, Any]:
    """What an entry says: to everybody, its people as salted digests; the first version (no salt) names its actor."""
    salt = bytes.fromhex(entry.salt)
    return {
        "show": entry.show.slug,
        "position": entry.position,
        "at": entry.at_ms,
        **({"by": person_digest(salt, entry.actor)} if salt else {"actor": entry.actor}),
        "action": entry.action,
        "reason": entry.reason,
        "details": parse_canonical(entry.details.encode()),
    }


def entry_digest(entry: LedgerEntry) -> str:
    """The digest over everything that an entry says, and over the digest before it."""
    body, previous = entry_body(entry), bytes.fromhex(entry.previous)
    if entry.salt:
        return body_digest(previous, body).hex()
    return tagged_hash("shake-ledger/v1/entry", previous, canonical_json(body)).hex()


def people_in(entry: LedgerEntry) -> dict[str, str]:
    """The names behind the salted digests in the details; ValueError where somebody has changed them."""
    named = parse_canonical(entry.people.encode()) if entry.people else {}
    details, salt = parse_canonical(entry.details.encode()), bytes.fromhex(entry.salt)
    objects = isinstance(named, dict) and isinstance(details, dict)
    if not objects or not all(isinstance(name, str) for name in named.values()):
        raise ValueError("expected names of people")
    if any(details.get(field) != person_digest(salt, name) for field, name in named.items()):
        raise ValueError("expected the people whose digests are in the details")
    return named


def _is_whole(entry: LedgerEntry) -> bool:
    try:
        people_in(entry)
        return entry.digest == entry_digest(entry)
    except ValueError:  # somebody wrote what is neither hex nor canonical JSON
        return False


def explain_entry(entry: LedgerEntry, position: int, previous: str) -> str:
    """How the entry that should be at this position, after one with this digest, breaks the chain; else nothing."""
    if entry.position != position:
        return f"entry {position} is missing"
    if not _is_whole(entry):
        return f"entry {position} was changed: its digest is not that of what it says"
    if entry.previous != previous:
        return f"entry {position} does not follow from the one before, which was exchanged or added"
    return ""
