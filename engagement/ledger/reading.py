"""A ledger from the database in order and in batches: memory does not grow with it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from django.db import transaction

from engagement.ledger.checkpoints import newest_checkpoint
from engagement.ledger.tree import count_entries
from engagement.models import LedgerCheckpoint, LedgerEntry, Show

BATCH = 1_000

Row = TypeVar("Row", LedgerEntry, LedgerCheckpoint)


class Moment(NamedTuple):
    """How far a ledger was, and how far it was signed. What is older is the same for ever."""

    entries: int
    signed: int


@transaction.atomic
def moment_of(show: Show) -> Moment:
    """Both of the same moment: nobody writes to the show in between."""
    Show.objects.select_for_update().only("pk").get(pk=show.pk)
    newest = newest_checkpoint(show)
    return Moment(count_entries(show), 0 if newest is None else newest.size)


def read_entries(show: Show, start: int, end: int) -> Iterator[LedgerEntry]:
    """Those at the positions start .. end - 1."""

    def read(first: int) -> list[LedgerEntry]:
        entries = LedgerEntry.objects.filter(show=show, position__gte=first, position__lt=end)
        return list(entries.order_by("position")[:BATCH])

    for entry in _batches(read, start, lambda entry: entry.position):
        entry.show = show  # as it is there already
        yield entry


def read_checkpoints(show: Show, start: int, end: int) -> Iterator[LedgerCheckpoint]:
    """Those of start .. end - 1 entries."""

    def read(first: int) -> list[LedgerCheckpoint]:
        rows = LedgerCheckpoint.objects.filter(show=show, size__gte=first, size__lt=end)
        return list(rows.order_by("size")[:BATCH])

    return _batches(read, start, lambda row: row.size)


def _batches(read: Callable[[int], list[Row]], start: int, number: Callable[[Row], int]) -> Iterator[Row]:
    while batch := read(start):
        yield from batch
        if len(batch) < BATCH:
            return
        start = number(batch[-1]) + 1
