"""Somebody has lifted the guards and replaced rows: the audit of the draw names every column that is guarded."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, models, transaction

from engagement.ledger.guards import registered
from prizes.audit import audit_draw
from prizes.models import Draw
from tests.guards import without_guards
from tests.prizes import nights
from tests.prizes.stamp_maker import stamp_draw
from tests.prizes.test_audit import play_night
from tests.prizes.tsa import Authority, name_stamper
from tests.prizes.winners import Person

pytestmark = pytest.mark.django_db(transaction=True)

MODELS = {model._meta.db_table: model for model in apps.get_models()}
# Not of a draw: lines of witnesses are signatures, which say by themselves of what, and the ledger tells of repeats
# and of what two people have agreed to.
ELSEWHERE = {"prizes_approval", "prizes_cosignature", "prizes_repeat"}
TABLES = sorted(
    {guard.table for guard in registered if guard.table.startswith("prizes_")} - ELSEWHERE
    | {"engagement_ledgerentry"}
)


@pytest.fixture
def night(show: Any, people: dict[str, Person]) -> Draw:
    return nights.once("audit with a stamp", lambda: play_stamped(show, people))


def play_stamped(show: Any, people: dict[str, Person]) -> Draw:
    made = Authority(Path(mkdtemp(dir=settings.DATA_DIR)), kind="p256")
    name_stamper(show, made, "http://127.0.0.1:1")
    return play_night(show, people, lambda draw: stamp_draw(draw, made))


def guarded_columns(model: type[models.Model]) -> list[Any]:
    """The fields that never change; of a table whose rows are written once, all."""
    updates = [row for row in registered if (row.table, row.event) == (model._meta.db_table, "UPDATE")]
    frozen = [row.columns for row in updates if not row.taking]
    return [
        field
        for field in model._meta.concrete_fields
        if not field.primary_key and any(field.column in columns or not columns for columns in frozen)
    ]


def another(field: Any, value: Any) -> Any:
    """What the column takes as well; of a row that is pointed to, the next one."""
    kind = field.get_internal_type()
    if kind == "DateTimeField":
        return "2001-01-01 00:00:00+00:00"
    if kind == "JSONField":
        return '["ab"]'
    return value + 1 if isinstance(value, int) else f"{'1' if str(value)[:1] == '0' else '0'}{str(value)[1:]}"


def first_row(table: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY id LIMIT 1")
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone() or (), strict=False))


def replace(table: str, row: dict[str, Any]) -> None:
    """As the owner of the database, who has switched off whatever is in his way."""
    with without_guards(), connection.cursor() as cursor:
        cursor.execute("PRAGMA recursive_triggers = OFF")
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        cursor.execute(f"REPLACE INTO {table} ({names}) VALUES ({places})", [*row.values()])
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
        cursor.execute("PRAGMA recursive_triggers = ON")


def failed(draw: Draw) -> set[str]:
    """The checks that do not hold, for somebody who reads the database afresh."""
    row = Draw.objects.select_related("show", "segment__freeze").filter(pk=draw.pk).first()
    return {"no draw"} if row is None else {check.name for check in audit_draw(row) if not check.ok}


@pytest.mark.skipif("connection.vendor != 'sqlite'")
@pytest.mark.parametrize("table", TABLES)
def test_the_audit_names_every_guarded_column_that_was_replaced(night: Draw, table: str) -> None:
    before, unseen = first_row(table), []
    assert failed(night) == set()
    for field in guarded_columns(MODELS[table]):
        with transaction.atomic():
            replace(table, before | {field.column: another(field, before[field.column])})
            unseen += [] if failed(night) else [field.column]
            transaction.set_rollback(True)
    assert (unseen, failed(night)) == ([], set())
