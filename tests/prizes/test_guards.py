"""What was promised and written down cannot be changed in the database, not even by SQL."""

import pytest
from django.db import IntegrityError, connection, transaction

from prizes.apps import FROZEN, PROMISED, WHO_WON, WRITTEN_ONCE
from prizes.models import Draw, Freeze
from tests.prizes import nights

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
KEPT = ("draw", "freeze", "frozenshard", "reveal", "win")


def refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except IntegrityError as error:
        # The guard's own words: a constraint that happens to be in the way does not count.
        return any(
            words in str(error) for words in ("cannot change any more", "no row is ever", "append-only")
        )
    return False


@pytest.fixture
def draw() -> Draw:
    return nights.ranked(nights.show(draws_per_minute=60))


def changed(table: str, column: str) -> str:
    """Another value that the column's type takes."""
    kind = connection.introspection
    with connection.cursor() as cursor:
        rows = {row.name: row for row in kind.get_table_description(cursor, f"prizes_{table}")}
    field = kind.get_field_type(rows[column].type_code, rows[column])
    return f"{column} + 7" if "Integer" in str(field) else _text(column)


def _text(column: str) -> str:
    if column.endswith("_at"):
        return "'2001-01-01 00:00:00+00:00'"
    return "'[1]'" if column in ("excluded", "classes", "beacon_proof", "shared", "kinds") else "'ab'"


def test_no_column_of_what_was_promised_or_written_changes(draw: Draw) -> None:
    # As of a draw by dice: the proof of a local beacon is empty, and what is empty may be set.
    Draw.objects.filter(pk=draw.pk).update(
        published_at=draw.drawn_at, published_ledger=9, beacon_proof={"digits": "6"}
    )
    # As of a show that shares: what is empty may be set.
    Draw.objects.filter(pk=draw.pk, shared={}).update(shared={"entries": 1})
    Freeze.objects.filter(segment=draw.segment_id, kinds={}).update(kinds={"app": 1})
    columns = [("draw", column) for column in (*PROMISED, *WRITTEN_ONCE)]
    columns += [("freeze", column) for column in FROZEN] + [("win", column) for column in WHO_WON]
    accepted = [
        f"{table}.{column}"
        for table, column in columns
        if not refused(f"UPDATE prizes_{table} SET {column} = {changed(table, column)}")
    ]
    assert accepted == []


@pytest.mark.parametrize("table", KEPT)
def test_no_row_is_deleted(draw: Draw, table: str) -> None:
    assert refused(f"DELETE FROM prizes_{table}")


@pytest.mark.parametrize("table", ["frozenshard", "reveal"])
def test_rows_that_are_written_once_do_not_change(draw: Draw, table: str) -> None:
    assert refused(f"UPDATE prizes_{table} SET id = id")
