"""Rows that nobody changes: triggers in the database, which hold for the ORM, the admin and SQL alike.

An app registers in `AppConfig.ready` what it guards; the triggers are put in place after every migrate, because Django
builds a table of SQLite anew for many migrations, and its triggers are gone then. Whoever owns the database can drop a
trigger: checkpoints that are kept elsewhere are for that (docs/ledger.md).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

PREFIX = "guard_"
LONGEST_NAME = 63  # of PostgreSQL; it cuts what is longer
FUNCTION = """CREATE OR REPLACE FUNCTION guard_refuses() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$"""
EXISTING = {
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    # One that was disabled does not count. "A": fires in sessions with session_replication_role = replica, too.
    "postgresql": "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE NOT tgisinternal AND tgenabled = 'A' AND pg_table_is_visible(pg_class.oid)",
}
COLUMNS = {
    "sqlite": "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'",
    "postgresql": "SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
    " WHERE attnum > 0 AND NOT attisdropped AND pg_table_is_visible(pg_class.oid)",
}


@dataclass(frozen=True)
class Guard:
    """One thing that is refused, as IntegrityError with `message`: an event of a table, or a change of its columns."""

    table: str
    event: str  # UPDATE, DELETE or TRUNCATE (which SQLite does not have)
    message: str
    columns: tuple[str, ...] = ()  # UPDATE only: refused where one of these changes; none: always
    once_set: bool = False  # only where the column held something: not null, "", {} or []


def append_only(table: str) -> tuple[Guard, ...]:
    """Rows are written once, and stay."""
    return (Guard(table, "UPDATE", f"{table} is append-only: a row is written once"), *keep_rows(table))


def keep_rows(table: str) -> tuple[Guard, ...]:
    """Rows may change, but stay."""
    return tuple(Guard(table, event, f"{table}: no row is ever deleted") for event in ("DELETE", "TRUNCATE"))


def frozen_columns(table: str, columns: Iterable[str], *, once_set: bool = False) -> tuple[Guard, ...]:
    """These columns never change; with `once_set`, not after they have got a value. Names are the database's."""
    names = tuple(columns)
    return (Guard(table, "UPDATE", f"{table}: {', '.join(names)} cannot change any more", names, once_set),)


# --- what is registered, and what is in place ---

registered: list[Guard] = []


def register(*guards: Iterable[Guard]) -> None:
    """Adds to what is guarded in every database of the project, from the next migrate on."""
    registered.extend(guard for group in guards for guard in group if guard not in registered)


def install_guards(using: str, **_: Any) -> None:
    """After every migrate: puts all registered guards in place."""
    install(connections[using], registered)


def install(connection: BaseDatabaseWrapper, guards: Iterable[Guard]) -> None:
    """Makes the guards of the database exactly these, by touching only what differs.

    Guards of tables and columns that do not exist (yet) are left out: somebody migrates to an older state.
    """
    wanted = {name_of(guard, connection): guard for guard in guards if _exists(guard, connection)}
    with transaction.atomic(using=connection.alias):
        present = _present(connection)
        _drop(connection, {name: table for name, table in present.items() if name not in wanted})
        missing = {name: guard for name, guard in wanted.items() if name not in present}
        columns = _columns(connection) if missing else {}
        _make(connection, {name: guard for name, guard in missing.items() if _fits(guard, columns)})


def lift(connection: BaseDatabaseWrapper) -> None:
    """Removes all guards. For a migration that has to rewrite guarded rows; they come back at its end."""
    with transaction.atomic(using=connection.alias):
        _drop(connection, _present(connection))


def missing_guards(connection: BaseDatabaseWrapper) -> list[Guard]:
    """Registered guards that are not in place: somebody has dropped or disabled them."""
    present = _present(connection)
    return [
        guard
        for guard in registered
        if _exists(guard, connection) and name_of(guard, connection) not in present
    ]


def _exists(guard: Guard, connection: BaseDatabaseWrapper) -> bool:
    return guard.event != "TRUNCATE" or connection.vendor == "postgresql"


def _columns(connection: BaseDatabaseWrapper) -> dict[str, set[str]]:
    """Every table and its columns; Django's introspection asks table by table, which takes a tenth of a second."""
    columns = defaultdict(set)
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS[connection.vendor])
        for table, column in cursor.fetchall():
            columns[table].add(column)
    return columns


def _fits(guard: Guard, columns: dict[str, set[str]]) -> bool:
    return guard.table in columns and columns[guard.table].issuperset(guard.columns)


def _present(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """The guards in place: name -> table."""
    with connection.cursor() as cursor:
        cursor.execute(EXISTING[connection.vendor])
        return {name: table for name, table in cursor.fetchall() if name.startswith(PREFIX)}


# --- SQL ---


def name_of(guard: Guard, connection: BaseDatabaseWrapper) -> str:
    """The trigger's name; a digest in it tells a guard that is in place from one that was worded anew."""
    digest = hashlib.sha256("".join(_create("", guard, connection)).encode()).hexdigest()[:8]
    return f"{PREFIX}{guard.table}_{guard.event.lower()}"[: LONGEST_NAME - 9] + f"_{digest}"


def _create(name: str, guard: Guard, connection: BaseDatabaseWrapper) -> list[str]:
    quote = connection.ops.quote_name
    message = "'" + guard.message.replace("'", "''") + "'"
    head = f"TRIGGER {quote(name)} BEFORE {guard.event} ON {quote(guard.table)}"
    when = f"WHEN ({_condition(guard, connection)})" if guard.columns else ""
    if connection.vendor == "sqlite":
        return [f"CREATE {head} FOR EACH ROW {when} BEGIN SELECT RAISE(ABORT, {message}); END"]
    each = "STATEMENT" if guard.event == "TRUNCATE" else "ROW"
    return [
        f"CREATE OR REPLACE {head} FOR EACH {each} {when} EXECUTE FUNCTION guard_refuses({message})",
        f"ALTER TABLE {quote(guard.table)} ENABLE ALWAYS TRIGGER {quote(name)}",
    ]


def _condition(guard: Guard, connection: BaseDatabaseWrapper) -> str:
    differs = "IS NOT" if connection.vendor == "sqlite" else "IS DISTINCT FROM"
    held = "COALESCE(CAST(OLD.{0} AS text), '') NOT IN ('', '{{}}', '[]') AND " if guard.once_set else ""
    changes = f"({held}OLD.{{0}} {differs} NEW.{{0}})"
    return " OR ".join(changes.format(connection.ops.quote_name(column)) for column in guard.columns)


def _make(connection: BaseDatabaseWrapper, guards: dict[str, Guard]) -> None:
    if guards:
        _settle(connection)
    with connection.cursor() as cursor:
        if guards and connection.vendor == "postgresql":
            cursor.execute(FUNCTION)
        for name, guard in guards.items():
            for statement in _create(name, guard, connection):
                cursor.execute(statement)


def _drop(connection: BaseDatabaseWrapper, triggers: dict[str, str]) -> None:
    if triggers:
        _settle(connection)
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for name, table in triggers.items():
            of_table = f" ON {quote(table)}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {quote(name)}{of_table}")


def _settle(connection: BaseDatabaseWrapper) -> None:
    """PostgreSQL touches no trigger of a table while checks of foreign keys wait for the end of the transaction."""
    if connection.vendor == "postgresql":
        connection.check_constraints()
