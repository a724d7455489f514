"""The ticket table: how many tickets a viewer's shakes are worth (docs/draw.md, section 1)."""

from bisect import bisect_right
from typing import Any

MAX_TICKETS = 0xFFFF  # BE16 in the roll
MAX_TOTAL = 0xFFFFFFFF  # BE32 in the frozen totals


class TicketTable:
    """A ticket table from rows `[[shakes, tickets], ...]`, both strictly increasing integers.

    `minimum` is the first threshold in shakes, `tmax` the largest number of tickets, `rows` the JSON form.
    Raises ValueError for anything that is not such a table.

    >>> table = TicketTable([[10, 1], [50, 3]])
    >>> table.minimum, table.tmax, table.rows
    (10, 3, [[10, 1], [50, 3]])
    >>> TicketTable([[10, 2], [50, 2]])
    Traceback (most recent call last):
    ...
    ValueError: expected tickets above 2 in row 2, got 2
    """

    def __init__(self, rows: Any) -> None:
        if not isinstance(rows, list | tuple) or not rows:
            raise ValueError(f"expected a list of at least one [shakes, tickets], got {rows!r}")
        self._thresholds: list[int] = []
        self._tickets: list[int] = []
        for number, row in enumerate(rows, 1):
            shakes, tickets = _pair(row, number)
            _check_above("shakes", shakes, self._thresholds, MAX_TOTAL, number)
            _check_above("tickets", tickets, self._tickets, MAX_TICKETS, number)
            self._thresholds.append(shakes)
            self._tickets.append(tickets)

    @property
    def minimum(self) -> int:
        """Return the smallest number of shakes that is worth a ticket.

        >>> TicketTable([[10, 1]]).minimum
        10
        """
        return self._thresholds[0]

    @property
    def tmax(self) -> int:
        """Return the largest number of tickets a viewer can have.

        >>> TicketTable([[10, 1], [20, 4]]).tmax
        4
        """
        return self._tickets[-1]

    @property
    def rows(self) -> list[list[int]]:
        """Return the table as `[[shakes, tickets], ...]`, a fresh copy.

        >>> TicketTable(((10, 1),)).rows
        [[10, 1]]
        """
        return [list(row) for row in zip(self._thresholds, self._tickets, strict=True)]

    def tickets_for(self, total: int) -> int:
        """Return the tickets for a total of shakes: those of the highest threshold reached, else 0.

        >>> [TicketTable([[10, 1], [50, 3]]).tickets_for(total) for total in (9, 10, 49, 50, 9999)]
        [0, 1, 1, 3, 3]
        """
        reached = bisect_right(self._thresholds, total)
        return self._tickets[reached - 1] if reached else 0


def _pair(row: Any, number: int) -> tuple[int, int]:
    if not isinstance(row, list | tuple) or len(row) != 2:
        raise ValueError(f"expected [shakes, tickets] in row {number}, got {row!r}")
    for value in row:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"expected integers in row {number}, got {value!r}")
    return row[0], row[1]


def _check_above(name: str, value: int, before: list[int], most: int, number: int) -> None:
    least = before[-1] if before else 0
    if value <= least:
        raise ValueError(f"expected {name} above {least} in row {number}, got {value}")
    if value > most:
        raise ValueError(f"expected {name} of at most {most} in row {number}, got {value}")
