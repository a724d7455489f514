"""Places in an order that no two rows share: how rows change them, in one transaction and without a clash.

A database looks at every row by itself, so that two that swap places would clash in between. Here the rows that move
step aside first, to values that nobody has; then each takes its new one. It works alike on SQLite and PostgreSQL.
"""

from collections.abc import Collection
from typing import Any

from django.db import models
from django.forms import BaseInlineFormSet

HIGHEST = 32_767  # of a PositiveSmallIntegerField


def make_room(taken: Collection[int], old: int | None, new: int) -> dict[int, int]:
    """Which places move where, so that a row from `old` (None: a new row) can have `new`: as few as possible.

    Two neighbours swap; a new row moves those below it down, as far as the next gap.
    """
    others = set(taken) - {old}
    step = -1 if old is not None and old < new else 1
    moves = {}
    while new in others:
        moves[new] = new + step
        new += step
    return moves


def rows_in_the_way(row: Any, rows: models.QuerySet[Any], field: str) -> dict[Any, int]:
    """The rows of an order that have to move before `row` takes its place, and where to."""
    old = rows.filter(pk=row.pk).values_list(field, flat=True).first()
    moves = make_room(rows.values_list(field, flat=True), old, getattr(row, field))
    return {other: moves[getattr(other, field)] for other in rows.filter(**{f"{field}__in": moves})}


def give_place(row: Any, rows: models.QuerySet[Any], field: str) -> None:
    """Moves the others, so that `row` can be saved with its new place; in the same transaction."""
    moving = rows_in_the_way(row, rows, field)
    if not moving:
        return
    step_aside(rows, field, [row.pk, *(other.pk for other in moving)])
    for other, place in moving.items():
        rows.filter(pk=other.pk).update(**{field: place})


def step_aside(rows: models.QuerySet[Any], field: str, pks: Collection[Any]) -> None:
    """Takes rows out of the way, before each of them is written anew in the same transaction."""
    aside: Any = (f"~{pk}" for pk in pks)  # no slug begins like this
    if isinstance(rows.model._meta.get_field(field), models.IntegerField):
        taken = set(rows.values_list(field, flat=True))
        aside = (place for place in range(HIGHEST, -1, -1) if place not in taken)
    for pk, place in zip(pks, aside, strict=False):
        rows.filter(pk=pk).update(**{field: place})


class OrderedFormSet(BaseInlineFormSet[Any, Any, Any]):
    """An inline table whose rows may swap what is unique among them, the field `unique`."""

    unique = "position"

    def save(self, commit: bool = True) -> Any:
        leaving = [form for form in self.initial_forms if self.unique in form.changed_data]
        pks = [form.instance.pk for form in (*leaving, *self.deleted_forms) if form.instance.pk]
        step_aside(self.get_queryset(), self.unique, pks)
        return super().save(commit)
