"""Live counts in the ledger: once a minute and at the fence, whatever is away, and compared with what was frozen."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError as NoRedis

from engagement import counts, tally
from engagement.clock import now_ms
from engagement.core.counts import MOST_GATEWAYS, SOURCES, Figures
from engagement.core.phases import Phase
from engagement.counts import ceiling_of, count_segments, find_counts, record_counts, tell_uncounted
from engagement.keys import own
from engagement.ledger.statements import statement
from engagement.models import LedgerEntry, Segment, Show
from engagement.tasks import conduct
from tests.cast import armed_segment, break_of, make_show, put_on_air

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE_MS = 60_000
NO_PASSES = dict.fromkeys(SOURCES, 0)


@pytest.fixture(autouse=True)
def nobody_else() -> Iterator[None]:
    """No gateway but those of the test, and a conductor that remembers nothing."""
    tally.connect().delete(own(tally.GATEWAYS), own("issued:gala"))
    counts._told.clear()
    yield
    tally.connect().delete(own(tally.GATEWAYS))


@pytest.fixture
def segment() -> Segment:
    """Open for 70 s."""
    return put_on_air(armed_segment(make_show(slug="gala")), opened_ms_ago=70_000, left_ms=500_000)


def count(segment: Segment, name: str, viewers: int, shakes: int, unsure: int = 0, app: int = 0) -> None:
    """As a gateway does."""
    row = {"viewers": viewers, "shakes": shakes, "app": app, "unsure": unsure, "reports": 0, "clamped": 0}
    tally.connect().hset(own(f"live:{segment.key}"), name, json.dumps(row))


def beat(name: str, slug: str, silent_ms: int = 0) -> None:
    row = {"at": now_ms() - silent_ms, "shows": {slug: {}}}
    tally.connect().hset(own(tally.GATEWAYS), name, json.dumps(row))


def issue(slug: str, name: str, **passes: int) -> None:
    tally.connect().hset(own(f"issued:{slug}"), name, json.dumps(passes))


def told(show: Show, action: str = "counts") -> list[dict[str, Any]]:
    entries = LedgerEntry.objects.filter(show=show, action=action).order_by("position")
    return [json.loads(entry.details) for entry in entries]


def test_a_minute_is_told_once_however_often_it_is_counted(segment: Segment) -> None:
    count(segment, "one", 5, 80, unsure=3, app=2)
    beat("one", "gala")
    issue("gala", "one", guest=40, app=2)
    conduct()
    assert count_segments() == 0
    counts._told.clear()  # the conductor was restarted
    assert count_segments() == 0
    assert told(segment.show) == [
        {
            "segment": segment.pk,
            "play": segment.key,
            "minute": 1,
            "fence": False,
            "complete": True,
            "viewers": 5,
            "shakes": 83,
            "app": 2,
            "gateways": [{"gateway": "one", "viewers": 5, "shakes": 83, "app": 2}],
            "silent": [],
            "passes": NO_PASSES | {"app": 2, "guest": 40},
            "issued": NO_PASSES | {"app": 2, "guest": 40},
        }
    ]
    assert break_of(segment.show) is None


def test_the_next_minute_has_what_came_since_and_everybody_reads_it(segment: Segment) -> None:
    count(segment, "one", 5, 80)
    issue("gala", "one", guest=40)
    count_segments()
    count(segment, "two", 1, 9)
    issue("gala", "one", guest=45, app=1)
    issue("gala", "two", guest=1)
    assert count_segments(now_ms() + MINUTE_MS) == 1
    _, second = told(segment.show)
    assert (second["minute"], second["viewers"], second["shakes"]) == (2, 6, 89)
    assert second["passes"] == NO_PASSES | {"app": 1, "guest": 6}
    assert second["issued"] == NO_PASSES | {"app": 1, "guest": 46}
    position = LedgerEntry.objects.get(action="counts", details__contains='"minute":2').position
    assert statement(segment.show, position)["entry"]["details"] == second


def test_a_minute_in_which_nobody_looked_has_no_entry(segment: Segment) -> None:
    assert count_segments(now_ms() + 5 * MINUTE_MS) == 1
    assert [row["minute"] for row in told(segment.show)] == [6]
    counts._told.clear()
    assert count_segments() == 0  # a task that comes late tells nothing of before


@pytest.mark.parametrize("phase", [Phase.ARMED, Phase.CLOSING, Phase.VOID])
def test_what_is_not_open_is_not_counted(segment: Segment, phase: Phase) -> None:
    Segment.objects.filter(pk=segment.pk).update(phase=phase)
    assert count_segments() == 0
    assert counts._write_minute(segment, find_counts(segment), 1, now_ms()) == 0


def test_the_first_minute_has_to_be_full() -> None:
    put_on_air(armed_segment(make_show()), opened_ms_ago=50_000)
    assert count_segments() == 0


def test_a_gateway_that_is_silent_is_named_and_keeps_what_it_had_counted(segment: Segment) -> None:
    for name, silent_ms in (("alive", 0), ("dead", 9_000), ("idle-and-dead", 9_000)):
        beat(name, "gala", silent_ms)
    beat("elsewhere", "another-show", 9_000)
    count(segment, "alive", 2, 20)
    count(segment, "dead", 3, 30)
    count(segment, "gone", 4, 40)  # stopped in good order: it beats no more
    count_segments()
    [row] = told(segment.show)
    assert row["silent"] == ["dead", "gone", "idle-and-dead"]
    assert (row["viewers"], row["shakes"], row["complete"]) == (9, 90, True)


def test_what_redis_has_lost_stays_in_the_figures(segment: Segment) -> None:
    count(segment, "dead", 3, 30)
    issue("gala", "dead", guest=10)
    count_segments()
    tally.connect().delete(own(f"live:{segment.key}"), own("issued:gala"))
    count(segment, "new", 1, 5)
    issue("gala", "new", guest=4)
    count_segments(now_ms() + MINUTE_MS)
    issue("gala", "new", guest=6)
    count_segments(now_ms() + 2 * MINUTE_MS)
    rows = told(segment.show)
    assert [row["viewers"] for row in rows] == [3, 4, 4]
    assert [row["gateways"][0]["gateway"] for row in rows] == ["dead", "dead", "dead"]
    assert [row["passes"]["guest"] for row in rows] == [10, 0, 2]


def test_without_redis_the_entry_says_what_is_known(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(segment, "one", 3, 30)
    issue("gala", "one", app=4)
    count_segments()

    def fail(*_: Any) -> Any:
        raise NoRedis("away")

    monkeypatch.setattr(tally, "read_counted", fail)
    assert count_segments(now_ms() + MINUTE_MS) == 1
    row = told(segment.show)[-1]
    assert (row["complete"], row["viewers"], row["shakes"], row["silent"]) == (False, 3, 30, [])
    assert row["issued"] == NO_PASSES | {"app": 4} and row["passes"] == NO_PASSES


HOSTILE_ROWS = [
    b"\xff",
    b'{"viewers":"\xff"}',
    b"[" * 100,
    b"[" * 20_000,
    b"[]",
    b"{}",
    b"NaN",
    b'{"viewers":true,"shakes":1,"unsure":0}',
    b'{"viewers":-1,"shakes":1,"unsure":0}',
    b'{"viewers":1,"shakes":1e999,"unsure":0}',
    # More digits than Python writes down once two of them are added.
    b'{"viewers":1,"shakes":%(most)s,"unsure":%(most)s,"app":%(most)s,"guest":%(most)s}'
    % {b"most": b"9" * 4_300},
]


@pytest.mark.parametrize("row", HOSTILE_ROWS)
def test_a_row_that_no_gateway_has_written_makes_it_incomplete(segment: Segment, row: bytes) -> None:
    count(segment, "one", 3, 30)
    redis = tally.connect()
    redis.hset(own(f"live:{segment.key}"), b"\xfe" * 300, row)
    redis.hset(own(tally.GATEWAYS), "odd", row)
    redis.hset(own("issued:gala"), mapping={"odd": row, "odder": row, "one": b'{"app":2,"guest":1}'})
    conduct()
    [said] = told(segment.show)
    assert (said["complete"], said["viewers"], len(said["silent"])) == (False, 3, 2)
    assert said["issued"] == NO_PASSES | {"app": 2, "guest": 1}
    assert record_counts(segment, find_counts(segment), now=now_ms(), fence=True)


def test_an_entry_is_bounded_however_many_gateways_there_are(segment: Segment) -> None:
    for number in range(MOST_GATEWAYS + 100):
        count(
            segment, f"a-host-of-the-broadcaster-in-the-second-room-{number:05}-1234567-abcdef", 10**6, 10**9
        )
    count_segments()
    entry = LedgerEntry.objects.get(action="counts")
    assert len(entry.details) < 50_000
    row = json.loads(entry.details)
    assert len(row["gateways"]) == len(row["silent"]) == MOST_GATEWAYS and row["viewers"] == 300 * 10**6


def test_one_that_cannot_be_counted_does_not_stop_the_others(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = put_on_air(armed_segment(make_show(slug="other")), opened_ms_ago=70_000)
    find = counts.find_counts

    def fail(one: Segment) -> Any:
        if one.pk == segment.pk:
            raise ZeroDivisionError
        return find(one)

    monkeypatch.setattr(counts, "find_counts", fail)
    assert count_segments() == 1
    assert told(segment.show) == [] and len(told(other.show)) == 1


# --- against what was frozen ---


def fenced(segment: Segment, **figures: int) -> None:
    """The entry at the fence."""
    count(segment, "one", **figures)
    record_counts(segment, find_counts(segment), now=now_ms(), fence=True)


def test_what_was_counted_at_the_fence_is_what_a_roll_cannot_exceed(segment: Segment) -> None:
    count(segment, "one", viewers=2, shakes=20)
    count_segments()
    assert ceiling_of(segment.show, segment.key) is None  # not the fence yet
    fenced(segment, viewers=3, shakes=30, app=1)
    ceiling = ceiling_of(segment.show, segment.key)
    assert ceiling is not None and ceiling.figures == Figures(3, 30, 1)
    frozen = {"viewers": 3, "shakes": 30, "app": 1, "entries": 3}
    assert tell_uncounted(segment, **frozen, now=now_ms()) is None
    for more in ({"viewers": 4}, {"shakes": 31}, {"entries": 4}, {"app": 2}):
        assert tell_uncounted(segment, **{**frozen, **more}, now=now_ms()) is not None
    [viewers, shakes, entries, app] = told(segment.show, "uncounted")
    assert viewers["counts"] == ceiling.position and viewers["counted"] == {
        "viewers": 3, "shakes": 30, "app": 1,
    }  # fmt: skip
    assert (viewers["viewers"], shakes["shakes"], entries["entries"], app["app"]) == (4, 31, 4, 2)


def test_of_what_was_not_completely_counted_nothing_is_said(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = {"viewers": 9, "shakes": 90, "app": 9, "entries": 9}
    assert tell_uncounted(segment, **frozen, now=now_ms()) is None  # armed before there were counts
    monkeypatch.setattr(counts, "read_row", lambda row: None)
    fenced(segment, viewers=1, shakes=1)
    assert ceiling_of(segment.show, segment.key) is None
    assert tell_uncounted(segment, **frozen, now=now_ms()) is None


@pytest.mark.parametrize(
    "details", ["[]", "{", '{"complete":true,"fence":true}', '{"complete":true,"fence":true,"gateways":[]}']
)
def test_an_entry_that_somebody_has_written_by_hand_stops_nothing(
    segment: Segment, details: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fenced(segment, viewers=1, shakes=1)
    entry = LedgerEntry.objects.get(action="counts")
    entry.details = details
    monkeypatch.setattr(counts, "last_counts", lambda *_: entry)
    assert ceiling_of(segment.show, segment.key) is None
    assert (
        record_counts(segment, find_counts(segment), now=now_ms(), fence=True).position == entry.position + 1
    )


def test_another_play_of_the_segment_is_counted_anew(segment: Segment) -> None:
    fenced(segment, viewers=3, shakes=30)
    again = Segment.objects.get(pk=segment.pk)
    again.play = "another-play"
    assert ceiling_of(again.show, again.key) is None
    fenced(again, viewers=1, shakes=10)
    ceiling = ceiling_of(again.show, again.key)
    assert ceiling is not None and ceiling.figures == Figures(1, 10, 0)
