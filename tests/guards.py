"""Guarded rows in tests: who plays somebody that can do everything to the database lifts the guards first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.color import no_style
from django.db import connection

from engagement.guards import install_guards, lift

# Roles with their permissions; the same after every migrate.
MIGRATED = ("django_content_type", "auth_permission", "auth_group", "auth_group_permissions")


@contextmanager
def without_guards() -> Iterator[None]:
    """As somebody who owns the database."""
    lift(connection)
    try:
        yield
    finally:
        install_guards(connection.alias)


def tamper(statement: str, *values: Any) -> None:
    """One SQL statement of somebody who owns the database."""
    with without_guards(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def empty_tables(*, reset_sequences: bool = False) -> None:
    """Removes what tests have committed, in place of Django's flush, which the guards refuse.

    What `migrate` has put there stays: making it again takes longer than most tests.
    """
    tables = [table for table in connection.introspection.django_table_names() if table not in MIGRATED]
    if reset_sequences:
        statements = connection.ops.sql_flush(no_style(), tables, reset_sequences=True)
    else:  # faster than TRUNCATE where there are only a few rows
        statements = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in _not_empty(tables)]
    if statements:
        with without_guards():
            connection.ops.execute_sql_flush(statements)


def _not_empty(tables: list[str]) -> list[str]:
    queries = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(queries))
        return [table for (table,) in cursor.fetchall()]
