"""State documents that Redis has lost come back, whatever the past holds, with bounded work a second."""

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from engagement import tally
from engagement.actions import open_segment
from engagement.broadcast import COMPLETE, read_positions
from engagement.core.phases import Phase
from engagement.healing import CHECKED_AT_ONCE, RESTORED_AT_ONCE, URGENT_AT_ONCE, heal_states
from engagement.keys import own
from engagement.models import Show
from engagement.tasks import conduct
from tests.cast import OPERATOR, armed_segment, make_show, state_in_redis

pytestmark = pytest.mark.django_db(transaction=True)
OLD = CHECKED_AT_ONCE + 3 * RESTORED_AT_ONCE


@pytest.fixture
def redis():
    tally.connect().flushdb()
    return tally.connect()


def make_old_shows() -> None:
    """The first shows of a database; newer ones come before them in every second."""
    Show.objects.bulk_create(Show(slug=f"old-{number}", title="Old") for number in range(OLD))


def documents() -> int:
    slugs = list(Show.objects.values_list("slug", flat=True))
    return len(slugs) - read_positions(slugs).count(None)


def is_complete(redis) -> bool:
    return bool(redis.exists(own(COMPLETE)))


def test_after_redis_was_emptied_shows_under_way_are_back_at_once_and_all_of_them_soon(redis) -> None:
    waited_for = armed_segment(make_show()).show  # the oldest of all
    make_old_shows()
    redis.flushdb()
    conduct()
    assert read_positions([waited_for.slug]) != [None]
    assert documents() == 1 + URGENT_AT_ONCE + RESTORED_AT_ONCE and not is_complete(redis)
    seconds = 1
    while not is_complete(redis):
        conduct()
        seconds += 1
    assert documents() == OLD + 1
    assert seconds <= OLD / RESTORED_AT_ONCE + 2


def test_a_document_that_is_lost_alone_comes_back_within_a_round(redis) -> None:
    make_old_shows()
    while not is_complete(redis):
        conduct()
    redis.delete(own("show:old-3"))
    for _ in range(-(-OLD // CHECKED_AT_ONCE)):
        conduct()
    assert documents() == OLD


def test_a_show_that_is_over_and_told_is_not_described_again(redis) -> None:
    segment = armed_segment(make_show())
    segment.show.segments.update(
        phase=Phase.PUBLISHED, opens_at="2024-01-01T20:00Z", closes_at="2024-01-01T20:00Z"
    )
    conduct()
    with CaptureQueriesContext(connection) as queries:
        conduct()
    assert not [row for row in queries if "engagement_feed" in row["sql"]]


def test_a_document_that_is_older_than_the_show_is_replaced(redis) -> None:
    show = armed_segment(make_show()).show
    Show.objects.filter(pk=show.pk).update(
        seq=77
    )  # as if the process had ended between commit and announcement
    conduct()
    assert state_in_redis(show).seq == 77


def test_a_redis_that_hangs_is_waited_for_once_and_not_for_every_show(redis, caplog) -> None:
    make_old_shows()
    redis.execute_command("CLIENT", "PAUSE", 1_500)
    began = time.monotonic()
    heal_states()
    assert time.monotonic() - began < 1.4
    assert caplog.text.count("cannot be looked at") == 1
    time.sleep(1.5)
    conduct()
    assert documents() > RESTORED_AT_ONCE


def test_a_show_that_cannot_be_described_keeps_no_other_one_waiting(redis, caplog) -> None:
    poison, other = armed_segment(make_show()), armed_segment(make_show())
    poison.show.segments.update(announced_results=[{"winners": "?"}])
    Show.objects.update(stale=True)
    redis.flushdb()
    for _ in range(3):
        conduct()
    assert read_positions([poison.show.slug]) == [None]
    assert read_positions([other.show.slug]) != [None]
    assert is_complete(redis) and not Show.objects.get(pk=other.show_id).stale
    assert caplog.text.count(f"the state of show {poison.show_id} cannot be made") == 1


def test_an_action_is_done_although_its_show_cannot_be_described(redis, caplog) -> None:
    segment = armed_segment(make_show())
    segment.show.segments.update(announced_results=[{"winners": "?"}])
    open_segment(segment.pk, actor=OPERATOR)
    assert segment.show.segments.get().opens_at is not None
    assert f"show {segment.show_id} cannot be announced" in caplog.text
