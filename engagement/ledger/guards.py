"""Rows that nobody changes: triggers in the database, which hold for the ORM, the admin and SQL alike.

An app registers in `AppConfig.ready` what it guards; the triggers are put in place after every migrate, because Django
builds a table of SQLite anew for many migrations, and its triggers are gone then. Whoever owns the database can drop a
trigger: checkpoints that are kept elsewhere are for that (docs/ledger.md).

SQLite's REPLACE removes the rows that are in its way, and no trigger for DELETE hears of it unless the connection has
asked for that. So there a statement is refused before it writes, where a row has one of the keys that it is to write.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from engagement.core.phases import REPORTING

PREFIX = "guard_"
LONGEST_NAME = 63  # of PostgreSQL; it cuts what is longer
BODY = " BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END "
SEGMENTS = "engagement_segment"
_ARMED = "phase IN ({})".format(", ".join(f"'{phase}'" for phase in sorted(REPORTING)))
# PostgreSQL has no subqueries in the condition of a trigger, but functions; of NULL: whether any show is armed.
_ANY_ARMED = f"SELECT 1 FROM {SEGMENTS} WHERE (which IS NULL OR show_id = which) AND {_ARMED}"
ARMED_BODY = f" BEGIN RETURN EXISTS ({_ANY_ARMED}); END "
FUNCTIONS = (
    f"CREATE OR REPLACE FUNCTION guard_refuses() RETURNS trigger LANGUAGE plpgsql AS $${BODY}$$",
    "CREATE OR REPLACE FUNCTION guard_is_armed(which bigint) RETURNS boolean LANGUAGE plpgsql"
    f" AS $${ARMED_BODY}$$",
)
EXISTING = {
    "sqlite": "SELECT name, tbl_name, sql, '' FROM sqlite_master WHERE type = 'trigger'",
    # One that was disabled does not count. "A": fires in sessions with session_replication_role = replica, too.
    "postgresql": "SELECT tgname, relname, prosrc, (SELECT max(f.prosrc) FROM pg_proc f"
    " WHERE f.proname = 'guard_is_armed' AND pg_function_is_visible(f.oid))"
    " FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
    " JOIN pg_proc ON pg_proc.oid = tgfoid"
    " WHERE NOT tgisinternal AND tgenabled = 'A' AND pg_table_is_visible(pg_class.oid)",
}
COLUMNS = {
    "sqlite": "SELECT t.name, c.name, c.pk FROM sqlite_master t, pragma_table_info(t.name) c"
    " WHERE t.type = 'table'",
    "postgresql": "SELECT relname, attname, 0 FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
    " WHERE attnum > 0 AND NOT attisdropped AND pg_table_is_visible(pg_class.oid)",
}
UNIQUE_INDEXES = """SELECT t.name, l.name, COALESCE(i.sql, ''), c.name
    FROM sqlite_master t, pragma_index_list(t.name) l, pragma_index_info(l.name) c
    LEFT JOIN sqlite_master i ON i.type = 'index' AND i.name = l.name
    WHERE t.type = 'table' AND l."unique" ORDER BY t.name, l.name, c.seqno"""


@dataclass(frozen=True)
class Guard:
    """One thing that is refused, as IntegrityError with `message`: an event of a table, or a change of its columns."""

    table: str
    event: str  # INSERT, UPDATE, DELETE or TRUNCATE (which SQLite does not have)
    message: str
    columns: tuple[str, ...] = ()  # UPDATE only: refused where one of these changes; none: always
    once_set: bool = False  # only where the column held something: not null, "", {} or []
    taking: bool = (
        False  # INSERT and UPDATE: refused where another row has one of its keys (SQLite: see above)
    )
    # Only while a segment of the show is armed or takes reports; the column that holds the show's number.
    while_armed: str = ""


def append_only(table: str) -> tuple[Guard, ...]:
    """Rows are written once, and stay."""
    return (Guard(table, "UPDATE", f"{table} is append-only: a row is written once"), *keep_rows(table))


def keep_rows(table: str) -> tuple[Guard, ...]:
    """Rows may change, but stay, each under its number: what points to one row never comes to mean another."""
    message = f"{table}: no row is ever deleted"
    return (
        *(Guard(table, event, message) for event in ("DELETE", "TRUNCATE")),
        *(Guard(table, event, f"{message} or replaced", taking=True) for event in ("INSERT", "UPDATE")),
        *frozen_columns(table, ["id"]),
    )


def frozen_columns(table: str, columns: Iterable[str], *, once_set: bool = False) -> tuple[Guard, ...]:
    """These columns never change; with `once_set`, not after they have got a value. Names are the database's."""
    names = tuple(columns)
    return (Guard(table, "UPDATE", f"{table}: {', '.join(names)} cannot change any more", names, once_set),)


def promised(table: str, show: str, columns: Iterable[str] = ()) -> tuple[Guard, ...]:
    """Rows rest while a segment of their show, whose number is in the column `show`, is armed or takes reports.

    With `columns` these only, and new rows are welcome.
    """
    message, names = f"{table}: promised while a segment is armed or on air", tuple(columns)
    events = ("DELETE", "TRUNCATE") if names else ("INSERT", "DELETE", "TRUNCATE")
    return (
        Guard(table, "UPDATE", message, names, while_armed=show),
        *(Guard(table, event, message, while_armed=show) for event in events),
        *(Guard(table, event, message, taking=True, while_armed=show) for event in ("INSERT", "UPDATE")),
    )


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
    shapes = _shapes(connection)
    wanted = {trigger.name: trigger for trigger in _triggers(guards, connection, shapes)}
    with transaction.atomic(using=connection.alias):
        present = _present(connection)
        unwanted = [row for row in present.values() if not _is_as_made(row, wanted.get(row.name), connection)]
        kept = present.keys() - {row.name for row in unwanted}
        _drop(connection, unwanted)
        _make(
            connection, [row for row in wanted.values() if row.name not in kept and _fits(row.guard, shapes)]
        )


def lift(connection: BaseDatabaseWrapper) -> None:
    """Removes all guards. For a migration that has to rewrite guarded rows; they come back at its end."""
    with transaction.atomic(using=connection.alias):
        _drop(connection, _present(connection).values())


def make_way(using: str, plan: Any = None, **_: Any) -> None:
    """Before a migrate that has something to do: SQLite renames no table, and drops no column, that a trigger names.

    They come back at its end.
    """
    if plan and connections[using].vendor == "sqlite":
        lift(connections[using])


def missing_guards(connection: BaseDatabaseWrapper) -> list[Guard]:
    """Registered guards that are not in place: somebody has dropped, disabled or exchanged them."""
    present = _present(connection)
    return [
        trigger.guard
        for trigger in _triggers(registered, connection, _shapes(connection))
        if trigger.name not in present or not _is_as_made(present[trigger.name], trigger, connection)
    ]


class Trigger(NamedTuple):
    """A guard as it is made in a database."""

    name: str  # a digest in it tells one that is in place from one that was worded anew
    guard: Guard
    statements: tuple[str, ...]


class Placed(NamedTuple):
    """A trigger that the database has."""

    name: str
    table: str
    text: str  # on SQLite the statement that has made it, on PostgreSQL the body of its function
    armed: str | None  # on PostgreSQL the body of the function that says whether a show is armed


def _triggers(
    guards: Iterable[Guard], connection: BaseDatabaseWrapper, shapes: dict[str, "Shape"]
) -> list[Trigger]:
    return [
        _trigger(guard, connection, shapes.get(guard.table, Shape()))
        for guard in guards
        if _exists(guard, connection)
    ]


def _exists(guard: Guard, connection: BaseDatabaseWrapper) -> bool:
    """PostgreSQL has no REPLACE; what it has in its place updates rows, and triggers hear of it."""
    return not guard.taking if connection.vendor == "postgresql" else guard.event != "TRUNCATE"


def _is_as_made(row: Placed, trigger: Trigger | None, connection: BaseDatabaseWrapper) -> bool:
    """Whether somebody has put nothing else under its name."""
    if trigger is None:
        return False
    if connection.vendor == "sqlite":
        return row.text == trigger.statements[0]
    return row.text == BODY and (not trigger.guard.while_armed or row.armed == ARMED_BODY)


def _present(connection: BaseDatabaseWrapper) -> dict[str, Placed]:
    """The guards in place, by name."""
    with connection.cursor() as cursor:
        cursor.execute(EXISTING[connection.vendor])
        found = [Placed(*row) for row in cursor.fetchall()]
    return {row.name: row for row in found if row.name.startswith(PREFIX)}


# --- tables and their keys ---


class Key(NamedTuple):
    """What no two rows of a table have in common, of those for which the condition holds (none: all)."""

    columns: tuple[str, ...]
    condition: str


@dataclass
class Shape:
    """What is known of a table: its columns, and on SQLite its keys, the primary one first."""

    columns: set[str] = field(default_factory=set)
    keys: list[Key] = field(default_factory=list)


def _shapes(connection: BaseDatabaseWrapper) -> dict[str, Shape]:
    """Every table; Django's introspection asks table by table, which takes a tenth of a second."""
    shapes: dict[str, Shape] = defaultdict(Shape)
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS[connection.vendor])
        for table, column, is_primary in cursor.fetchall():
            shapes[table].columns.add(column)
            if is_primary:
                shapes[table].keys.append(Key((column,), ""))
        if connection.vendor == "sqlite":
            cursor.execute(UNIQUE_INDEXES)
            for table, key in _read_keys(cursor.fetchall()):
                shapes[table].keys.append(key)
    return dict(shapes)


def _read_keys(rows: Iterable[tuple[str, str, str, str | None]]) -> list[tuple[str, Key]]:
    columns: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for table, index, text, column in rows:
        columns[table, index, text].append(column or "")  # nothing: an expression
    return [
        (table, Key(tuple(names), text.partition(" WHERE ")[2]))
        for (table, _, text), names in columns.items()
    ]


def _fits(guard: Guard, shapes: dict[str, Shape]) -> bool:
    columns = {*guard.columns, *([guard.while_armed] if guard.while_armed else [])}
    return guard.table in shapes and shapes[guard.table].columns.issuperset(columns)


# --- SQL ---


def _trigger(guard: Guard, connection: BaseDatabaseWrapper, shape: Shape) -> Trigger:
    digest = hashlib.sha256("".join(_create("", guard, connection, shape)).encode()).hexdigest()[:8]
    name = f"{PREFIX}{guard.table}_{guard.event.lower()}"[: LONGEST_NAME - 9] + f"_{digest}"
    return Trigger(name, guard, _create(name, guard, connection, shape))


def _create(name: str, guard: Guard, connection: BaseDatabaseWrapper, shape: Shape) -> tuple[str, ...]:
    quote = connection.ops.quote_name
    message = "'" + guard.message.replace("'", "''") + "'"
    head = f"TRIGGER {quote(name)} BEFORE {guard.event} ON {quote(guard.table)}"
    condition = _takes(guard, shape) if guard.taking else _changes(guard, connection)
    if guard.while_armed and not guard.taking:
        armed = _while_armed(guard, connection)
        condition = f"({condition}) AND ({armed})" if condition else armed
    when = f"WHEN ({condition})" if condition else ""
    if connection.vendor == "sqlite":
        return (f"CREATE {head} FOR EACH ROW {when} BEGIN SELECT RAISE(ABORT, {message}); END",)
    each = "STATEMENT" if guard.event == "TRUNCATE" else "ROW"
    return (
        f"CREATE OR REPLACE {head} FOR EACH {each} {when} EXECUTE FUNCTION guard_refuses({message})",
        f"ALTER TABLE {quote(guard.table)} ENABLE ALWAYS TRIGGER {quote(name)}",
    )


def _changes(guard: Guard, connection: BaseDatabaseWrapper) -> str:
    differs = "IS NOT" if connection.vendor == "sqlite" else "IS DISTINCT FROM"
    held = "COALESCE(CAST(OLD.{0} AS text), '') NOT IN ('', '{{}}', '[]') AND " if guard.once_set else ""
    changes = f"({held}OLD.{{0}} {differs} NEW.{{0}})"
    return " OR ".join(changes.format(connection.ops.quote_name(column)) for column in guard.columns)


def _while_armed(guard: Guard, connection: BaseDatabaseWrapper) -> str:
    """Whether the show of the row is armed: of the one that is there, or of the one that is to be written."""
    rows = {"INSERT": ["NEW"], "UPDATE": ["OLD", "NEW"], "DELETE": ["OLD"], "TRUNCATE": []}[guard.event]
    if connection.vendor == "sqlite":
        return " OR ".join(_is_armed(f'{row}."{guard.while_armed}"') for row in rows)
    return (
        " OR ".join(f'guard_is_armed({row}."{guard.while_armed}")' for row in rows) or "guard_is_armed(NULL)"
    )


def _is_armed(show: str) -> str:
    return f'EXISTS (SELECT 1 FROM "{SEGMENTS}" AS own WHERE own."show_id" = {show} AND own.{_ARMED})'


def _takes(guard: Guard, shape: Shape) -> str:
    """On SQLite: another row has one of the keys of the row that is to be written."""
    return " OR ".join(_takes_key(guard, key, shape) for key in shape.keys) or "0"


def _takes_key(guard: Guard, key: Key, shape: Shape) -> str:
    if "" in key.columns:
        raise ValueError(
            f"{guard.table}: expected keys of columns, got one of an expression, which has no guard"
        )
    same = [f'"{guard.table}"."{column}" = NEW."{column}"' for column in key.columns]
    if guard.event == "UPDATE":
        same.append(f'"{guard.table}".rowid <> OLD.rowid')
    if guard.while_armed:
        same.append(_is_armed(f'"{guard.table}"."{guard.while_armed}"'))
    if not key.condition:
        return f'EXISTS (SELECT 1 FROM "{guard.table}" WHERE {" AND ".join(same)})'
    # The condition as it stands in the index, once of the rows that are there and once of the new one.
    named = sorted(column for column in shape.columns if f'"{column}"' in key.condition)
    new = ", ".join(f'NEW."{column}" AS "{column}"' for column in named)
    return (
        f"(EXISTS (SELECT 1 FROM (SELECT {new}) WHERE {key.condition}) AND"
        f' EXISTS (SELECT 1 FROM "{guard.table}" WHERE ({key.condition}) AND {" AND ".join(same)}))'
    )


def _make(connection: BaseDatabaseWrapper, triggers: list[Trigger]) -> None:
    if triggers:
        _settle(connection)
    with connection.cursor() as cursor:
        if triggers and connection.vendor == "postgresql":
            for function in FUNCTIONS:
                cursor.execute(function)
        for statement in (statement for trigger in triggers for statement in trigger.statements):
            cursor.execute(statement)


def _drop(connection: BaseDatabaseWrapper, triggers: Iterable[Placed]) -> None:
    triggers = list(triggers)
    if triggers:
        _settle(connection)
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for trigger in triggers:
            of_table = f" ON {quote(trigger.table)}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {quote(trigger.name)}{of_table}")


def _settle(connection: BaseDatabaseWrapper) -> None:
    """PostgreSQL touches no trigger of a table while checks of foreign keys wait for the end of the transaction."""
    if connection.vendor == "postgresql":
        connection.check_constraints()
