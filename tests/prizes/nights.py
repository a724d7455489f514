"""Nights that are played once per process, and brought back for every other test that begins with the same one.

A night takes half a second of the processor from the arming to the announcement, and most tests of what comes later
begin with the same few. `once(name, play)` plays it at the first time and keeps all that it leaves behind: the rows of
the database, the keys of Redis and the files of the draws. Later calls put exactly this back, committed, with the same
numbers and times. So a test may do with it whatever it may do with a night of its own: commit, race with threads,
start processes, change bytes on the disk. Nothing of it reaches the next test.

A night is known by its name and by every row that was there before it began: a test that begins with another show, or
has done anything in the database before, gets another night. What rows do not tell (the clock, settings, what is
patched) has to be as always until the night is over; a test that changes any of it before plays a night of its own,
with `pipeline` and `winners`.

Numbers are never given twice, since sequences are not turned back: what a test adds gets new ones.
"""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.db import connection, transaction

from engagement import healing, tally
from engagement.models import Segment, Show
from prizes import publication
from prizes.models import Draw
from prizes.steps import claims
from tests import cast, guards
from tests.prizes import pipeline, winners
from tests.prizes.winners import Person

T = TypeVar("T")
Row = tuple[Any, ...]
Tables = dict[str, dict[Any, Row]]  # table -> primary key -> row

# What the program remembers of rows and files that never change: of those that a test has changed, too.
REMEMBERED = (publication._record, claims._read_drawn, healing._tell_once)


class Night(NamedTuple):
    """All that is left behind when it has been played; `found` is what the player has returned."""

    found: Any
    tables: Tables
    keys: list[tuple[bytes, int, bytes]]
    files: Path


_kept: dict[tuple[str, str], Night] = {}


def once(name: str, play: Callable[[], T]) -> T:
    """What `play` returns, and the world as it leaves it; `name` says all that it depends on but the database."""
    before = _read_tables()
    known = name, repr(before)
    if known not in _kept:
        if not before:  # nor is anything left of earlier tests elsewhere
            _write_keys([])
            _copy(None, Path(settings.DRAWS_DIR))
        found = play()
        _kept[known] = _keep(found, Path(settings.DATA_DIR) / "nights" / str(len(_kept)))
        return found
    night = _kept[known]
    _bring_back(night, before)
    return copy.deepcopy(night.found)


def _keep(found: Any, folder: Path) -> Night:
    _copy(Path(settings.DRAWS_DIR), folder)
    return Night(copy.deepcopy(found), _read_tables(), _read_keys(), folder)


def _bring_back(night: Night, present: Tables) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for table in {**present, **night.tables}:
            rows, there = night.tables.get(table, {}), present.get(table, {})
            for key in there.keys() - rows.keys():
                _delete(cursor, table, key)
            _insert(cursor, table, [row for key, row in rows.items() if key not in there])
            for key in [key for key, row in rows.items() if there.get(key, row) != row]:
                _update(cursor, table, key, rows[key])
    _write_keys(night.keys)
    _copy(night.files, Path(settings.DRAWS_DIR))
    for remembered in REMEMBERED:
        remembered.cache_clear()


# --- the database ---


def _read_tables() -> Tables:
    """Every row but those of `migrate`."""
    with connection.cursor() as cursor:
        return {table: _read_table(cursor, table) for table in sorted(guards.not_empty())}


def _read_table(cursor: Any, table: str) -> dict[Any, Row]:
    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
    return {row[0]: tuple(map(_plain, row)) for row in cursor.fetchall()}


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _columns(cursor: Any, table: str) -> list[str]:
    """In the order of `SELECT *`."""
    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} LIMIT 0")
    return [connection.ops.quote_name(column[0]) for column in cursor.description]


def _delete(cursor: Any, table: str, key: Any) -> None:
    cursor.execute(
        f"DELETE FROM {connection.ops.quote_name(table)} WHERE {_columns(cursor, table)[0]} = %s", [key]
    )


def _insert(cursor: Any, table: str, rows: list[Row]) -> None:
    if rows:
        line = f"({', '.join(['%s'] * len(rows[0]))})"
        for start in range(0, len(rows), 30):  # SQLite takes 999 values in one statement
            some = rows[start : start + 30]
            cursor.execute(
                f"INSERT INTO {connection.ops.quote_name(table)} VALUES {', '.join([line] * len(some))}",
                [value for row in some for value in row],
            )


def _update(cursor: Any, table: str, key: Any, row: Row) -> None:
    columns = _columns(cursor, table)
    fields = ", ".join(f"{column} = %s" for column in columns[1:])
    cursor.execute(
        f"UPDATE {connection.ops.quote_name(table)} SET {fields} WHERE {columns[0]} = %s", [*row[1:], key]
    )


# --- Redis and the files ---


def _read_keys() -> list[tuple[bytes, int, bytes]]:
    """Every key, with the milliseconds that it has to live (0: for ever) and its value as Redis packs it."""
    redis: Any = tally.connect()
    keys = redis.keys()
    with redis.pipeline() as pipe:
        for key in keys:
            pipe.pttl(key)
            pipe.dump(key)
        told = pipe.execute()
    rows = zip(keys, told[::2], told[1::2], strict=True)
    return [(key, max(0, left), value) for key, left, value in rows if value is not None]


def _write_keys(rows: list[tuple[bytes, int, bytes]]) -> None:
    redis: Any = tally.connect()
    with redis.pipeline() as pipe:
        pipe.flushdb()
        for key, left, value in rows:
            pipe.restore(key, left, value)
        pipe.execute()


def _copy(source: Path | None, target: Path) -> None:
    """The target holds nothing else afterwards; it stays where it is, for it may be a disk."""
    shutil.rmtree(target, ignore_errors=True)
    if source is not None and source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)


# --- what most tests begin with ---


def show(**fields: Any) -> Show:
    return once(f"show {fields}", lambda: cast.make_show(**fields))


def sealed(show: Show, **fields: Any) -> Segment:
    return once(f"sealed {fields}", lambda: pipeline.sealed(show, **fields))


def ended(show: Show, **fields: Any) -> Segment:
    """Its window and grace are over, and nothing else has happened."""
    return once(f"ended {fields}", lambda: pipeline.ended(cast.armed_segment(show, **fields)))


def ranked(show: Show) -> Draw:
    """The draw among those of `pipeline.VIEWERS`, whom nobody was told of yet."""
    return once("ranked", lambda: pipeline.run_all(pipeline.ended(cast.armed_segment(show))))


def drawn(show: Show, people: dict[str, Person], **fields: Any) -> Draw:
    """The draw of a show in which everybody of these people has shaken ten times; nobody is told yet."""
    return once(f"drawn {list(people)} {fields}", lambda: winners.drawn_draw(show, people, **fields))


def published(show: Show, people: dict[str, Person], **fields: Any) -> Draw:
    return once(f"published {list(people)} {fields}", lambda: winners.published_draw(show, people, **fields))
