"""What is promised rests while a segment is armed or takes reports: for SQL of whoever has not lifted the guards."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from engagement.core.phases import Phase
from engagement.fair_play.models import FairPlay
from engagement.ledger.guards import install_guards, missing_guards
from engagement.models import Segment, Show
from tests.cast import armed_segment, make_segment, make_show

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
PROMISED = "promised while a segment is armed or on air"
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'")
on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'")


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def statements_on(show: Show) -> list[str]:
    feed = show.feeds.first()
    assert feed is not None
    row = "name, title, delay_ms, position, language"
    return [
        f"UPDATE engagement_show SET guests_allowed = NOT guests_allowed WHERE id = {show.pk}",
        f"UPDATE engagement_show SET max_hz = 50 WHERE id = {show.pk}",
        f"UPDATE engagement_show SET burst = 99 WHERE id = {show.pk}",
        f"UPDATE engagement_show SET grace_ms = 9000, title = 'x' WHERE id = {show.pk}",
        f"UPDATE engagement_feed SET delay_ms = 9000 WHERE id = {feed.pk}",
        f"UPDATE engagement_feed SET position = 9 WHERE id = {feed.pk}",
        f"DELETE FROM engagement_feed WHERE id = {feed.pk}",
        f"INSERT INTO engagement_feed (show_id, {row}) VALUES ({show.pk}, 'radio', 'Radio', 9000, 3, '')",
        f"UPDATE engagement_fairplay SET shared_entries = 0 WHERE show_id = {show.pk}",
        f"UPDATE engagement_fairplay SET carriers = '10.0.0.0/8 9' WHERE show_id = {show.pk}",
        f"DELETE FROM engagement_fairplay WHERE show_id = {show.pk}",
    ]


def refused(statements: list[str]) -> list[str]:
    found = []
    for statement in statements:
        try:
            run(statement)
        except IntegrityError as error:
            assert PROMISED in str(error), error
            found.append(statement)
    return found


@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.OPEN, Phase.CLOSING])
def test_nothing_of_it_changes_while_a_segment_is_under_way(phase: Phase) -> None:
    segment = armed_segment(make_show())
    Segment.objects.filter(pk=segment.pk).update(
        phase=phase, opens_at="2026-01-01T00:00:00Z", closes_at="2026-01-01T00:00:00Z"
    )
    statements = statements_on(segment.show)
    assert refused(statements) == statements


@pytest.mark.parametrize("phase", [Phase.SEALED, Phase.VOID, Phase.SPOILED])
def test_before_and_afterwards_it_may(phase: Phase) -> None:
    show = make_show()
    make_segment(show)
    Segment.objects.filter(pk=armed_segment(show).pk).update(
        phase=phase, opens_at="2026-01-01T00:00:00Z", closes_at="2026-01-01T00:00:00Z"
    )
    assert refused(statements_on(show)) == []


def test_other_shows_and_other_columns_do_not_wait_for_it() -> None:
    show, other = armed_segment(make_show()).show, make_show()
    assert refused(statements_on(other)) == []
    run(f"UPDATE engagement_show SET title = 'Another', seq = seq + 1, max_hz = max_hz WHERE id = {show.pk}")
    show.refresh_from_db()
    assert show.title == "Another"


def test_a_row_is_not_moved_out_of_an_armed_show_nor_into_it() -> None:
    armed, other = armed_segment(make_show()).show, make_show()
    FairPlay.objects.filter(show=other).delete()
    statements = [
        f"UPDATE engagement_fairplay SET show_id = {other.pk} WHERE show_id = {armed.pk}",
        f"UPDATE engagement_feed SET show_id = {armed.pk}, name = 'radio' WHERE show_id = {other.pk} AND name = 'tv'",
    ]
    assert refused(statements) == statements


@on_sqlite
def test_sqlite_puts_nothing_in_the_place_of_a_row() -> None:
    armed, other = armed_segment(make_show()).show, make_show()
    feed, play = armed.feeds.first(), FairPlay.objects.get(show=armed)
    assert feed is not None
    values: dict[str, Any] = {
        "id": feed.pk,
        "show_id": other.pk,
        "name": "'x'",
        "title": "'x'",
        "delay_ms": 1,
        "position": 1,
    }
    feed_row = f"({', '.join(values)}) VALUES ({', '.join(map(str, values.values()))})"
    columns = [str(field.column) for field in Show._meta.concrete_fields]
    copied = ", ".join("50" if column == "max_hz" else column for column in columns)
    statements = [
        f"REPLACE INTO engagement_feed {feed_row}",
        f"UPDATE OR REPLACE engagement_feed SET id = {feed.pk} WHERE show_id = {other.pk} AND name = 'tv'",
        f"UPDATE OR REPLACE engagement_fairplay SET id = {play.pk} WHERE show_id = {other.pk}",
        f"REPLACE INTO engagement_show ({', '.join(columns)}) SELECT {copied} FROM engagement_show"
        f" WHERE id = {armed.pk}",
    ]
    assert refused(statements) == statements


@on_postgresql
def test_postgresql_empties_no_table_and_notices_another_condition() -> None:
    armed_segment(make_show())
    statements = ["TRUNCATE engagement_fairplay", "TRUNCATE engagement_feed CASCADE"]
    assert refused(statements) == statements
    run("CREATE OR REPLACE FUNCTION guard_is_armed(which bigint) RETURNS boolean LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN false; END $$")  # fmt: skip
    assert {guard.table for guard in missing_guards(connection)} == {
        "engagement_show", "engagement_feed", "engagement_fairplay",
    }  # fmt: skip
    install_guards(connection.alias)
    assert missing_guards(connection) == []
