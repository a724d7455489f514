"""Guarded rows in tests: who plays somebody that can do everything to the database lifts the guards first."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.db import connection

from engagement.ledger.guards import install_guards, lift, registered

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


def empty_tables() -> None:
    """Removes what tests have committed, in place of Django's flush, which the guards refuse.

    What `migrate` has put there stays: making it again takes longer than most tests. So do the guards where they have
    nothing to say; and DELETE is faster than TRUNCATE where there are only a few rows.
    """
    # Segments first: what is promised rests while they are armed.
    tables = sorted(not_empty(), key=lambda table: table != "engagement_segment")
    statements = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables]
    guarded = {guard.table for guard in registered if not guard.while_armed}
    with without_guards() if guarded.intersection(tables) else nullcontext():
        if statements:
            connection.ops.execute_sql_flush(statements)


def not_empty() -> list[str]:
    """The tables that hold anything but what `migrate` has put there."""
    queries = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in _tables()]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(queries))
        return [table for (table,) in cursor.fetchall()]


def _tables() -> list[str]:
    return [table for table in connection.introspection.django_table_names() if table not in MIGRATED]
