"""A night that is brought back is the one that was played, whatever a test has done with it."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from engagement import tally
from engagement.models import Show
from prizes.audit import audit_draw
from prizes.files import fetch, record_name
from prizes.models import Draw, Win
from prizes.steps.claims import claim_prize
from tests.guards import empty_tables, not_empty
from tests.prizes import nights
from tests.prizes.winners import Person, make_people, published_draw, winners_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]


def world() -> tuple[dict[str, list[Any]], dict[bytes, bytes], dict[str, bytes]]:
    """All that there is: rows, keys and files."""
    redis: Any = tally.connect()
    folder = Path(settings.DRAWS_DIR)
    with connection.cursor() as cursor:
        tables = {}
        for table in not_empty():
            cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
            tables[table] = list(map(repr, cursor.fetchall()))
    keys = {key: redis.dump(key) for key in redis.scan_iter()}
    return tables, keys, {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_whatever_a_test_does_with_it_the_next_one_finds_it_as_it_was_played() -> None:
    played = []

    def play() -> Draw:
        played.append(1)
        show = nights.show(title="Brought back")
        return published_draw(show, make_people(show, 4))

    first = nights.once("of this test", play)
    whole = world()
    assert len(whole[0]) > 10 and len(whole[1]) > 5 and len(whole[2]) > 5
    claim_prize(first.pk, winners_of(first)[0])
    fetch(record_name(first.key)).write_bytes(b"{}")
    tally.connect().delete(*list(whole[1])[:3])
    empty_tables()
    second = nights.once("of this test", play)
    assert world() == whole and played == [1]
    assert second == first and second is not first
    assert [check for check in audit_draw(second) if not check.ok] == []
    with pytest.raises(IntegrityError), transaction.atomic():
        Win.objects.update(pseudonym="ab" * 14)  # it is guarded as ever


def test_another_beginning_is_another_night(show: Show, people: dict[str, Person]) -> None:
    first = nights.published(show, people)
    empty_tables()
    other = nights.show(title="Another")
    assert nights.published(other, make_people(other, 8)).pk > first.pk
    empty_tables()
    assert nights.published(nights.show(draws_per_minute=60), people).pk == first.pk
    assert nights.drawn(show, people).pk > first.pk  # a second draw, on top of the first
