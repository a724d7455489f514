"""Long lists, a page at a time: what a page costs does not grow with what is older than it.

A page begins after the row where the one before it has ended, and not after so many rows: those are not counted.
"""

from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.http import HttpRequest

MOST_DIGITS = 18  # of a row's number
LARGEST_SMALL = 32_767  # that a small number of the database can be


class Page(NamedTuple):
    """Some rows of a list, newest first, and where the others are: queries of addresses, empty where there are none."""

    rows: list[Any]
    older: str
    newest: str

    @property
    def is_part(self) -> bool:
        return bool(self.older or self.newest)


def newest_first(request: HttpRequest, rows: QuerySet[Any], most: int, name: str = "before") -> Page:
    """The newest rows by their number; with `?before=7` those that are older than row 7."""
    before = read_number(request, name)
    older = rows if before is None else rows.filter(pk__lt=before)
    found = list(older.order_by("-pk")[: most + 1])
    shown = found[:most]
    return Page(
        shown,
        "" if len(found) == len(shown) else _query(request, name, shown[-1].pk),
        "" if before is None else _query(request, name),
    )


def in_order(request: HttpRequest, rows: QuerySet[Any], most: int, field: str, name: str = "after") -> Page:
    """The first rows by a field of small numbers that no two of them share; with `?after=7` those behind 7.

    `older` of the page leads to the next rows, `newest` to the first ones.
    """
    after = read_number(request, name)
    behind = rows if after is None else rows.filter(**{f"{field}__gt": min(after, LARGEST_SMALL)})
    found = list(behind.order_by(field)[: most + 1])
    shown = found[:most]
    return Page(
        shown,
        "" if len(found) == len(shown) else _query(request, name, getattr(shown[-1], field)),
        "" if after is None else _query(request, name),
    )


def read_number(request: HttpRequest, name: str) -> int | None:
    """A number of the address; None where there is none, or something else."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def _query(request: HttpRequest, name: str, value: int | None = None) -> str:
    """The query of this request with another value; the other lists of the page stay where they are."""
    query = request.GET.copy()
    query.pop(name, None)
    if value is not None:
        query[name] = str(value)
    return f"?{query.urlencode()}"
