"""Django's connections to the database, which also note when a change begins to last (engagement/outcomes.py)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DataError, Error
from django.db.backends.base.base import BaseDatabaseWrapper

from engagement import outcomes

WRITES = ("INSERT", "UPDATE", "DELETE")
# SQLSTATE: the connection broke, or the server gave it up, perhaps after it had written.
NO_ANSWER = ("08", "57P")


class Noting(BaseDatabaseWrapper):
    """Mixed into the connection of a server. What makes changes last is COMMIT, or a statement outside of it all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(self._execute)

    def commit(self) -> None:
        with self._noted():
            super().commit()

    def _execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        try:
            if self.in_atomic_block or not sql.startswith(WRITES):
                return execute(sql, params, many, context)
            with self._noted():
                return execute(sql, params, many, context)
        except OverflowError as error:  # SQLite's driver; PostgreSQL says it in this way
            raise DataError(str(error)) from error

    @contextmanager
    def _noted(self) -> Iterator[None]:
        outcome = outcomes.current()
        outcome.sent()
        try:
            yield
        except Error as error:
            if self._is_answer(error):
                outcome.refused()
            raise
        outcome.written()

    def _is_answer(self, error: Error) -> bool:
        """Whether the database has said no, so that nothing of it lasts."""
        state = getattr(error.__cause__, "sqlstate", None)
        return self.vendor == "sqlite" or (state is not None and not state.startswith(NO_ANSWER))
