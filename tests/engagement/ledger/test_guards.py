"""Guards: what they refuse through the ORM and by SQL, what they let through, and that they come back."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from engagement.ledger.append import append_entry
from engagement.ledger.audit import check_guards
from engagement.ledger.guards import (
    append_only,
    frozen_columns,
    install,
    install_guards,
    keep_rows,
    lift,
    missing_guards,
)
from engagement.models import LedgerEntry, Show
from tests.cast import make_show
from tests.guards import without_guards

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

COLUMNS = "id integer PRIMARY KEY, name varchar(20) NOT NULL DEFAULT '', size integer"
LONG = "t" * 60
GUARDS = (
    *keep_rows("kept"),
    *frozen_columns("kept", ["name"]),
    *frozen_columns("kept", ["size", "note"], once_set=True),
)


def run(statement: str) -> list[tuple]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if statement.startswith("SELECT") else []


@pytest.fixture
def table() -> Iterator[None]:
    """A table with guards of its own, and one row."""
    run(f"CREATE TABLE kept ({COLUMNS}, note text NOT NULL DEFAULT '')")
    install(connection, GUARDS)
    run("INSERT INTO kept (id, name) VALUES (1, 'a')")
    yield
    run("DROP TABLE kept")
    install_guards(connection.alias)


def triggers() -> set[str]:
    source = "name FROM sqlite_master WHERE type = 'trigger'"
    if connection.vendor == "postgresql":
        source = "tgname FROM pg_trigger WHERE NOT tgisinternal"
    return {name for (name,) in run(f"SELECT {source}")}


@pytest.mark.parametrize(
    "statement",
    ["UPDATE kept SET name = 'b'", "UPDATE kept SET name = 'b', size = 1", "DELETE FROM kept",
     "UPDATE kept SET name = NULL"],
)  # fmt: skip
def test_what_is_frozen_stays_and_the_refusal_says_why(table: None, statement: str) -> None:
    with pytest.raises(IntegrityError, match=r"kept: (name cannot change any more|no row is ever deleted)"):
        run(statement)
    assert run("SELECT name, size FROM kept") == [("a", None)]


def test_a_column_can_be_set_once_and_everything_else_changes_freely(table: None) -> None:
    run("UPDATE kept SET name = 'a', size = 3")
    run("UPDATE kept SET note = '{}'")  # an empty list or object counts as nothing
    run("UPDATE kept SET note = 'sealed', size = 3")
    for again in ("size = 4", "size = NULL", "note = ''", "note = 'other'"):
        with pytest.raises(IntegrityError, match="size, note cannot change any more"):
            run(f"UPDATE kept SET {again}")
    assert run("SELECT size, note FROM kept") == [(3, "sealed")]


def test_a_row_cannot_be_replaced_or_the_table_truncated(table: None) -> None:
    trick = (
        "TRUNCATE kept"
        if connection.vendor == "postgresql"
        else "REPLACE INTO kept (id, name) VALUES (1, 'b')"
    )
    with pytest.raises(IntegrityError, match="no row is ever deleted"):
        run(trick)


def test_installing_again_changes_nothing_and_what_is_no_longer_wanted_goes(table: None) -> None:
    before = triggers()
    install(connection, GUARDS)
    assert triggers() == before
    install(connection, keep_rows("kept"))
    assert {name.partition("_kept_")[0] for name in triggers()} == {"guard"}
    run("UPDATE kept SET name = 'b'")
    lift(connection)
    assert triggers() == set()


def test_a_guard_that_is_worded_anew_replaces_the_old_one(table: None) -> None:
    install(connection, append_only("kept"))
    with pytest.raises(IntegrityError, match="append-only"):
        run("UPDATE kept SET note = 'x'")
    run(f"CREATE TABLE {LONG} (id integer PRIMARY KEY)")
    install(connection, append_only(LONG))
    assert {len(name) for name in triggers()} == {63}
    run(f"DROP TABLE {LONG}")


def test_tables_and_columns_that_do_not_exist_yet_are_left_out(table: None) -> None:
    install(connection, [*append_only("nowhere"), *frozen_columns("kept", ["name", "later"])])
    assert triggers() == set()
    run("UPDATE kept SET name = 'b'")


@pytest.mark.skipif("connection.vendor != 'sqlite'")
def test_a_key_of_some_rows_keeps_those_rows_and_lets_others_be() -> None:
    run("CREATE TABLE part (id integer PRIMARY KEY, place integer, step varchar(9))")
    run("CREATE UNIQUE INDEX one_running ON part (place) WHERE \"step\" IN ('runs', 'waits')")
    install(connection, keep_rows("part"))
    run("INSERT INTO part VALUES (1, 5, 'runs'), (2, 5, 'over'), (3, 6, 'waits'), (4, NULL, 'runs')")
    run("REPLACE INTO part VALUES (5, 5, 'over'), (6, NULL, 'waits')")  # in nobody's way
    run("UPDATE OR REPLACE part SET step = 'over' WHERE id = 3")
    for trick in ("REPLACE INTO part VALUES (7, 5, 'waits')", "UPDATE OR REPLACE part SET step = 'runs'"):
        with pytest.raises(IntegrityError, match="part: no row is ever deleted or replaced"):
            run(trick)
    assert [row[0] for row in run("SELECT id FROM part ORDER BY id")] == [1, 2, 3, 4, 5, 6]
    run("DROP TABLE part")
    install_guards(connection.alias)


@pytest.mark.skipif("connection.vendor != 'sqlite'")
def test_a_key_of_an_expression_has_no_guard_and_the_developer_is_told() -> None:
    run("CREATE TABLE part (id integer PRIMARY KEY, name text)")
    run("CREATE UNIQUE INDEX one_name ON part (lower(name))")
    with pytest.raises(ValueError, match="part: expected keys of columns, got one of an expression"):
        install(connection, keep_rows("part"))
    run("DROP TABLE part")


# --- those of the project ---


def test_the_ledger_cannot_be_changed_by_sql() -> None:
    append_entry(make_show(), "test")
    for statement in ("UPDATE engagement_ledgerentry SET actor = 'x'", "DELETE FROM engagement_ledgerentry"):
        with pytest.raises(IntegrityError, match="engagement_ledgerentry"):
            run(statement)
    with pytest.raises(IntegrityError):
        LedgerEntry._base_manager.update(actor="x")
    with pytest.raises(IntegrityError):
        LedgerEntry._base_manager.all()._raw_delete("default")
    assert LedgerEntry.objects.get().actor == "system"


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_postgresql_truncates_no_ledger_and_a_replica_session_is_no_way_round() -> None:
    append_entry(make_show(), "test")
    with pytest.raises(IntegrityError, match="no row is ever deleted"):
        run("TRUNCATE engagement_show CASCADE")
    with pytest.raises(IntegrityError, match="append-only"):
        run("SET LOCAL session_replication_role = replica; UPDATE engagement_ledgerentry SET actor = 'x'")


def test_all_guards_are_in_place_and_come_back_after_a_migrate() -> None:
    assert missing_guards(connection) == []
    lift(connection)
    assert {guard.event for guard in missing_guards(connection)} >= {"UPDATE", "DELETE"}
    call_command("migrate", verbosity=0)
    assert missing_guards(connection) == []


def exchange(table: str, event: str) -> None:
    """As the owner: everything looks as before, and nothing is refused."""
    if connection.vendor == "postgresql":
        run("CREATE OR REPLACE FUNCTION guard_refuses() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RETURN NEW; END $$")  # fmt: skip
        return
    wanted = f"type = 'trigger' AND tbl_name = '{table}' AND sql LIKE '%BEFORE {event}%'"
    for name, text in run(f"SELECT name, sql FROM sqlite_master WHERE {wanted}"):
        run(f"DROP TRIGGER {name}")
        run(text.replace("RAISE(ABORT,", "length("))


@pytest.mark.parametrize("event", ["INSERT", "UPDATE", "DELETE"])
def test_a_trigger_that_was_exchanged_counts_as_missing_and_is_put_back(event: str) -> None:
    show = make_show()
    append_entry(show, "test")
    exchange("engagement_ledgerentry", event)
    missing = {(guard.table, guard.event) for guard in missing_guards(connection)}
    assert connection.vendor == "postgresql" or missing == {("engagement_ledgerentry", event)}
    assert event == "INSERT" or ("engagement_ledgerentry", event) in missing
    assert not check_guards().ok
    install_guards(connection.alias)
    assert (missing_guards(connection), check_guards().ok) == ([], True)


def test_a_show_that_has_a_ledger_cannot_be_deleted_by_sql() -> None:
    show = make_show()
    append_entry(show, "test")
    with pytest.raises(IntegrityError):
        Show._base_manager.filter(pk=show.pk)._raw_delete("default")
        connection.check_constraints()


@pytest.mark.django_db
def test_without_guards_the_owner_of_the_database_can_do_everything_inside_a_transaction() -> None:
    append_entry(make_show(), "test")
    with without_guards():
        run("UPDATE engagement_ledgerentry SET actor = 'x'")
    assert missing_guards(connection) == []
    with pytest.raises(IntegrityError):
        run("UPDATE engagement_ledgerentry SET actor = 'y'")
