"""The ticket table: thresholds by example, and every wrong table is named."""

import pytest

from prizes.core.tickets import TicketTable


def test_a_total_earns_the_tickets_of_the_highest_threshold_reached():
    table = TicketTable([[10, 1], [50, 3], [100, 10]])
    earned = {total: table.tickets_for(total) for total in (0, 9, 10, 49, 50, 99, 100, 1 << 32)}
    assert earned == {0: 0, 9: 0, 10: 1, 49: 1, 50: 3, 99: 3, 100: 10, 1 << 32: 10}
    assert (table.minimum, table.tmax, table.rows) == (10, 10, [[10, 1], [50, 3], [100, 10]])


def test_a_table_can_not_be_changed_through_its_rows():
    table = TicketTable([[10, 1]])
    table.rows[0][1] = 99
    assert table.tickets_for(10) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one"),
        (None, "at least one"),
        ({10: 1}, "at least one"),
        ("10", "at least one"),
        ([[10]], "row 1"),
        ([[10, 1, 2]], "row 1"),
        ([10], "row 1"),
        ([[10, 1.0]], "integers in row 1"),
        ([["10", 1]], "integers in row 1"),
        ([[True, 1]], "integers in row 1"),
        ([[0, 1]], "shakes above 0 in row 1"),
        ([[10, 0]], "tickets above 0 in row 1"),
        ([[10, 65536]], "tickets of at most 65535"),
        ([[1 << 32, 1]], "shakes of at most 4294967295"),
        ([[10, 1], [10, 2]], "shakes above 10 in row 2"),
        ([[10, 1], [20, 1]], "tickets above 1 in row 2"),
        ([[20, 1], [10, 2]], "shakes above 20 in row 2"),
    ],
)
def test_a_wrong_table_is_refused_with_the_row(rows, message):
    with pytest.raises(ValueError, match=message):
        TicketTable(rows)
