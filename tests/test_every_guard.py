"""Every form of statement that could change, replace or remove a row, on every guarded table of both databases.

The tables, their columns and their keys are those of the registered guards and of the models: one that is guarded from
now on is tried by itself.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction

from engagement.ledger.guards import Guard, registered

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'")
on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'")

# What is guarded at certain times only has tests of its own (tests/engagement/fair_play/test_locks.py).
TABLES = sorted({guard.table for guard in registered if not guard.while_armed})
MODELS = {model._meta.db_table: model for model in apps.get_models()}
WORDS = ("append-only", "no row is ever deleted", "cannot change any more")
OTHER_CLAUSES = ("", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT", "OR ROLLBACK")
FIRST, SECOND, NEW = 1, 2, 3

Row = dict[str, Any]


class Target(NamedTuple):
    """A table by the name that a statement calls it, its columns, keys and what may never change."""

    name: str
    model: type[models.Model]
    protected: list[str]

    def row(self, number: int) -> Row:
        """A row that has no key of another number's."""
        fields: list[Any] = list(self.model._meta.concrete_fields)
        held = self.conditions
        return {field.column: held.get(field.name, _value(field, number, self.protected)) for field in fields}

    @property
    def changed(self) -> list[str]:
        """The protected columns in which the rows differ: to write what is there already is no change."""
        new, there = self.row(NEW), self.row(FIRST)
        return [column for column in self.protected if new[column] != there[column]]

    @property
    def conditions(self) -> Row:
        """What the fields of a row are that has every key: some are those of certain rows only."""
        rows = [row for row in self.model._meta.constraints if isinstance(row, models.UniqueConstraint)]
        children: Any = [child for row in rows if row.condition for child in row.condition.children]
        return {
            name.removesuffix("__in"): value[0] if name.endswith("__in") else value
            for name, value in children
        }

    @property
    def keys(self) -> list[list[str]]:
        """The columns of each: the primary one, and what the model says is unique."""
        meta = self.model._meta
        column = {field.name: str(field.column) for field in meta.concrete_fields}
        together = [row.fields for row in meta.constraints if isinstance(row, models.UniqueConstraint)]
        single = [[field.name] for field in meta.concrete_fields if field.unique]
        return [[column[name] for name in names] for names in (*single, *together)]

    def with_key_of(self, number: int, key: list[str]) -> Row:
        """A new row that would take the place of one that is there."""
        taken = self.row(number)
        return self.row(NEW) | {column: taken[column] for column in key}


def target(table: str, name: str = "") -> Target:
    guards = [guard for guard in registered if guard.table == table]
    model = MODELS[table]
    columns = [str(field.column) for field in model._meta.concrete_fields]
    protected = [column for column in columns if _is_frozen(column, guards)]
    return Target(name or table, model, protected)


def _is_frozen(column: str, guards: Iterable[Guard]) -> bool:
    updates = [guard.columns for guard in guards if guard.event == "UPDATE" and not guard.taking]
    return any(column in columns or not columns for columns in updates)


def _value(field: Any, number: int, protected: list[str]) -> Any:
    """Something that the type takes; where a value may be set once, it is."""
    if field.column not in protected and field.has_default() and not field.primary_key:
        return _plain(field.get_default())
    if field.column not in protected and field.null:
        return None
    kind = field.get_internal_type()
    if kind in ("CharField", "TextField"):
        return f"{number}{field.column}"[: field.max_length or 99]
    if kind == "JSONField":
        return f"[{number}]"
    return f"2026-01-0{number} 00:00:00+00:00" if kind == "DateTimeField" else number


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def literal(value: Any) -> str:
    if value is None or isinstance(value, int):
        return "NULL" if value is None else str(int(value))
    return "'" + str(value).replace("'", "''") + "'"


def values_of(row: Row) -> str:
    return ", ".join(map(literal, row.values()))


def names_of(row: Iterable[str]) -> str:
    return ", ".join(f'"{column}"' for column in row)


def insert(target: Target, row: Row, verb: str = "INSERT") -> str:
    return f"{verb} INTO {target.name} ({names_of(row)}) VALUES ({values_of(row)})"


def assignments(row: Row, columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}" = {literal(row[column])}' for column in columns)


# --- the forms of statements ---


def deletes(target: Target) -> Iterator[str]:
    yield f"DELETE FROM {target.name}"
    yield f"DELETE FROM {target.name} WHERE id = {FIRST}"
    yield f"DELETE FROM {target.name} WHERE id IN (SELECT id FROM {target.name}) RETURNING id"


def updates(target: Target, clauses: Iterable[str]) -> Iterator[str]:
    """Of each column that may not change, alone; and of all together."""
    other, changed = target.row(NEW), target.changed
    for columns in [*([column] for column in changed), changed]:
        changes = assignments(other, columns)
        for clause in clauses:
            yield f"UPDATE {clause} {target.name} SET {changes} WHERE id = {FIRST}"
    yield f"UPDATE {target.name} SET {changes} FROM (SELECT {FIRST} AS one) AS x WHERE id = x.one"


def upserts(target: Target) -> Iterator[str]:
    """The row is there, and is changed instead of inserted."""
    row = target.row(FIRST)
    for column in sorted(set(target.changed) - {"id"}):
        change = assignments(target.row(NEW), [column])
        yield f"{insert(target, row)} ON CONFLICT (id) DO UPDATE SET {change}"
        yield f"{insert(target, row | target.row(NEW) | {'id': FIRST})} ON CONFLICT (id) DO UPDATE SET" + (
            f' "{column}" = excluded."{column}"'
        )


def replacements(target: Target) -> Iterator[str]:
    """SQLite: rows that are in the way of another one go."""
    for key in target.keys:
        row = target.with_key_of(FIRST, key)
        for verb in ("REPLACE", "INSERT OR REPLACE"):
            yield insert(target, row, verb)
            yield f"{insert(target, row, verb)} RETURNING id"
        yield f"REPLACE INTO {target.name} ({names_of(row)}) SELECT {values_of(row)}"
        yield f"WITH x AS (SELECT {values_of(row)}) REPLACE INTO {target.name} ({names_of(row)}) SELECT * FROM x"
        yield f"{insert(target, target.row(NEW), 'REPLACE')}, ({values_of(row)})"
        yield f"UPDATE OR REPLACE {target.name} SET {assignments(row, key)} WHERE id = {SECOND}"
    yield from primary_keys_spelled_otherwise(target)


def primary_keys_spelled_otherwise(target: Target) -> Iterator[str]:
    row = target.row(NEW) | {"id": FIRST}
    for number in ("'1'", "1.0", "'1.0'"):
        yield f"REPLACE INTO {target.name} ({names_of(row)}) SELECT {values_of(row).replace('1', number, 1)}"
    others = {column: value for column, value in row.items() if column != "id"}
    for name in ("rowid", "oid", "_rowid_"):
        yield f"REPLACE INTO {target.name} ({name}, {names_of(others)}) VALUES ({FIRST}, {values_of(others)})"


# --- SQLite: somebody with a connection of his own, who has asked for nothing ---


class Way(NamedTuple):
    """How the tables are reached."""

    name: str
    schema: str = "main"
    recursive_triggers: bool = False
    shadowed: bool = False  # a temporary table has the same name


WAYS = (
    Way("plain"),
    Way("with recursive triggers", recursive_triggers=True),
    Way("attached", schema="gala"),
    Way("attached and shadowed", schema="gala", shadowed=True),
    Way("shadowed", shadowed=True),
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The database with its triggers, and nothing in it."""
    path = tmp_path / "copy.sqlite3"
    with connection.cursor(), sqlite3.connect(path) as there:
        connection.connection.backup(there)
    there.close()
    return path


def reach(path: Path, way: Way, target: Target) -> sqlite3.Connection:
    database = sqlite3.connect(path if way.schema == "main" else ":memory:", isolation_level=None)
    if way.schema != "main":
        database.execute(f"ATTACH '{path}' AS {way.schema}")
    for pragma in ("foreign_keys = OFF", "ignore_check_constraints = ON"):
        database.execute(f"PRAGMA {pragma}")
    for number in (FIRST, SECOND):
        database.execute(insert(target, target.row(number)))
    database.execute(f"PRAGMA recursive_triggers = {way.recursive_triggers:d}")
    if way.shadowed:
        table = target.model._meta.db_table
        database.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM {target.name} WHERE 0")
    return database


def accepted_by(database: sqlite3.Connection, statements: Iterable[str]) -> list[str]:
    """Those that were not refused by a guard."""
    accepted = []
    for statement in statements:
        try:
            database.execute(statement).fetchall()
        except sqlite3.IntegrityError as error:
            if not any(words in str(error) for words in WORDS):
                accepted.append(f"{statement}: {error}")
        else:
            accepted.append(statement)
    return accepted


def from_elsewhere(target: Target) -> Iterator[str]:
    """The statements of a trigger; each is made, fired and removed."""
    table = target.model._meta.db_table
    row = target.row(NEW) | {"id": FIRST}
    yield f"REPLACE INTO {table} ({names_of(row)}) VALUES ({values_of(row)})"
    yield f"DELETE FROM {table} WHERE id = {FIRST}"
    yield f"UPDATE OR REPLACE {table} SET id = {FIRST} WHERE id = {SECOND}"


@on_sqlite
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("table", TABLES)
def test_sqlite_refuses_every_statement_that_changes_or_replaces_a_row(
    copy: Path, table: str, way: Way
) -> None:
    there = target(table, f"{way.schema}.{table}")
    database = reach(copy, way, there)
    before = database.execute(f"SELECT * FROM {there.name}").fetchall()
    statements = [*deletes(there), *updates(there, OTHER_CLAUSES), *upserts(there), *replacements(there)]
    assert accepted_by(database, statements) == []
    assert (len(before), database.execute(f"SELECT * FROM {there.name}").fetchall()) == (2, before)
    database.execute(insert(there, there.row(NEW)))  # a new one is welcome
    database.close()


@on_sqlite
@pytest.mark.parametrize("table", TABLES)
def test_sqlite_refuses_what_a_trigger_of_another_table_does(copy: Path, table: str) -> None:
    there = target(table)
    database = reach(copy, WAYS[0], there)
    database.execute("CREATE TABLE lever (x)")
    for number, statement in enumerate(from_elsewhere(there)):
        database.execute(f"CREATE TRIGGER pull{number} AFTER INSERT ON lever BEGIN {statement}; END")
        assert accepted_by(database, ["INSERT INTO lever VALUES (1)"]) == []
        database.execute(f"DROP TRIGGER pull{number}")
    assert len(database.execute(f"SELECT * FROM {table}").fetchall()) == 2
    database.close()


# --- PostgreSQL: as the superuser, who has not lifted them ---


def merges(target: Target) -> Iterator[str]:
    if connection.pg_version < 150000:  # type: ignore[attr-defined]
        return
    using = f"MERGE INTO {target.name} t USING (SELECT {FIRST} AS one) x ON t.id = x.one WHEN MATCHED THEN"
    yield f"{using} DELETE"
    for column in target.changed:
        yield f"{using} UPDATE SET {assignments(target.row(NEW), [column])}"


def truncates(target: Target) -> Iterator[str]:
    for words in (target.name, f"ONLY {target.name}", f"lever, {target.name}"):
        yield f"TRUNCATE {words} CASCADE"
    yield f"TRUNCATE {target.name} RESTART IDENTITY CASCADE"


def in_disguise(target: Target) -> Iterator[str]:
    """The statement is not what is sent: a block, a part of another one, a view, a rule."""
    update = f"UPDATE {target.name} SET id = {NEW} WHERE id = {FIRST}"
    delete = f"DELETE FROM {target.name} WHERE id = {FIRST}"
    for statement in (update, delete):
        yield f"DO $$ BEGIN {statement}; END $$"
        yield f"WITH x AS ({statement} RETURNING id) SELECT * FROM x"
        yield f"CREATE RULE pull AS ON INSERT TO lever DO ALSO {statement}; INSERT INTO lever VALUES (1)"
        yield (
            f"CREATE VIEW v AS SELECT * FROM {target.name}; {statement.replace(f' {target.name} ', ' v ')}"
        )
        yield f"SET LOCAL session_replication_role = replica; {statement}"
    yield f"SET LOCAL session_replication_role = replica; TRUNCATE {target.name} CASCADE"
    yield f"UPDATE ONLY {target.name} SET id = {NEW}"
    yield f"DELETE FROM ONLY {target.name} USING (SELECT 1) AS x"


def accepted_by_postgresql(statements: Iterable[str]) -> list[str]:
    accepted = []
    for statement in statements:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)
        except IntegrityError as error:
            if not any(words in str(error) for words in WORDS):
                accepted.append(f"{statement}: {error}")
        else:
            accepted.append(statement)
    return accepted


@on_postgresql
@pytest.mark.parametrize("table", TABLES)
def test_postgresql_refuses_every_statement_that_changes_or_removes_a_row(table: str) -> None:
    there = target(table)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE lever (x integer)")
        # Without its foreign keys: PostgreSQL asks for them by triggers that a replica does not have.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(insert(there, there.row(FIRST)))
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute(f"SELECT * FROM {table}")
        before = cursor.fetchall()
        statements = [*deletes(there), *updates(there, [""]), *upserts(there), *merges(there)]
        assert accepted_by_postgresql([*statements, *truncates(there), *in_disguise(there)]) == []
        cursor.execute(f"SELECT * FROM {table}")
        assert (len(before), cursor.fetchall()) == (1, before)
        transaction.set_rollback(True)


@on_postgresql
@pytest.mark.parametrize("table", TABLES)
def test_postgresql_copies_nothing_over_a_row(table: str) -> None:
    there = target(table)
    row = there.row(FIRST)
    line = "\t".join("\\N" if value is None else str(value) for value in row.values())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(insert(there, row))
        with (
            pytest.raises(psycopg.errors.UniqueViolation, match="duplicate key"),
            transaction.atomic(),
            cursor.copy(f"COPY {table} ({names_of(row)}) FROM STDIN") as copy,
        ):
            copy.write(f"{line}\n")
        transaction.set_rollback(True)
