"""Guarded rows in tests: who plays somebody that can do everything to the database lifts the guards first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.operations import BaseDatabaseOperations

from engagement.guards import install_guards, lift


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


@contextmanager
def flush_without_guards() -> Iterator[None]:
    flush = BaseDatabaseOperations.execute_sql_flush

    def lift_and_flush(operations: Any, statements: list[str]) -> None:
        lift(operations.connection)
        flush(operations, statements)
        install_guards(operations.connection.alias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", lift_and_flush)
        yield
