"""Who may not win in a show: each addition and each removal is a line of its ledger, with its time and its author.

The line names viewer and author by salted digests, another one in each line: everybody sees that somebody was excluded,
and when; auditors open who (docs/ledger.md).
"""

from collections.abc import Collection

from django.db import transaction

from engagement.actions import DatabaseRestored
from engagement.ledger.append import append_entry, people_in
from engagement.models import LedgerEntry, Show
from engagement.restores import trouble_of
from prizes.models import Exclusion

EXCLUDE, INCLUDE = "exclude", "include"
WHO = "pseudonym"  # in the details: its digest
NAMED = 3


@transaction.atomic
def exclude_viewer(row: Exclusion, *, actor: str) -> None:
    """Adds a row that is not saved yet; draws that are armed keep their list."""
    _refuse_restored(row.show)
    row.save(force_insert=True)
    append_entry(row.show, EXCLUDE, actor=actor, people={WHO: row.pseudonym})


@transaction.atomic
def include_viewer(row: Exclusion, *, actor: str) -> None:
    """Removes a row: from now on the viewer may win in draws that are armed."""
    _refuse_restored(row.show)
    append_entry(row.show, INCLUDE, actor=actor, people={WHO: row.pseudonym})
    row.delete()


def _refuse_restored(show: Show) -> None:
    if found := trouble_of(show):
        raise DatabaseRestored(found)


def told_exclusions(show_id: int, before: int | None = None) -> set[str]:
    """The pseudonyms that are excluded by what the ledger tells, up to a position where one is given.

    ValueError where a line does not say who it is about: somebody has changed it.
    """
    entries = LedgerEntry.objects.filter(show=show_id, action__in=(EXCLUDE, INCLUDE))
    if before is not None:
        entries = entries.filter(position__lt=before)
    told: set[str] = set()
    for entry in entries.order_by("position").iterator():
        named = people_in(entry)
        if WHO not in named:
            raise ValueError(f"entry {entry.position} does not say who it is about")
        (told.add if entry.action == EXCLUDE else told.discard)(named[WHO])
    return told


def explain_untold(stored: Collection[str], told: Collection[str]) -> str:
    """How a list of exclusions differs from what the ledger tells; nothing where it does not."""
    found = [f"{viewer} is excluded without a line" for viewer in sorted(set(stored) - set(told))]
    found += [
        f"{viewer} is not excluded any more, without a line" for viewer in sorted(set(told) - set(stored))
    ]
    more = f", and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more
