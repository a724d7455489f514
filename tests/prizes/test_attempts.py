"""Steps that fail: three tries, the reason in words, and by hand afterwards; nothing else stops for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from redis.exceptions import ConnectionError as RedisAway

from engagement.core.phases import Phase
from engagement.ledger.append import SYSTEM
from engagement.models import LedgerEntry, Segment, Show
from prizes import tasks
from prizes.audit import check_signed
from prizes.files import fetch, record_name
from prizes.models import Draw
from prizes.steps.claims import find_due
from prizes.steps.draw import request_draw
from prizes.steps.freeze import freeze_shard
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR, arm, armed_segment, make_segment, make_show
from tests.clock import Clock
from tests.disks import fill, small_disk
from tests.guards import without_guards
from tests.prizes import nights
from tests.prizes.pipeline import ended, run_all, sealed
from tests.prizes.winners import CLAIM_S, Person, published_draw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def disk(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """DRAWS_DIR on a disk of its own."""
    with small_disk(tmp_path / "draws") as folder:
        settings.DRAWS_DIR = folder
        storage = settings.STORAGES["draws"] | {"OPTIONS": {"location": folder}}
        settings.STORAGES = settings.STORAGES | {"draws": storage}
        yield folder


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[int, ...]]]:
    """What the conductor has queued, in place of a worker."""
    found: list[tuple[str, tuple[int, ...]]] = []
    monkeypatch.setattr(tasks, "dispatch", lambda task, *args: found.append((task.__name__, args)))
    for name in ("seal_task", "draw_task"):
        monkeypatch.setattr(
            getattr(tasks, name), "delay", lambda *args, name=name: found.append((name, args))
        )
    return found


def work(queued: list[tuple[str, tuple[int, ...]]], seconds: int = 1) -> None:
    """The conductor and one worker, second by second."""
    for _ in range(seconds):
        tasks.conduct_draws()
        while queued:
            name, args = queued.pop(0)
            getattr(tasks, name)(*args)


def live(client: Client, show: Show) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/console/{show.slug}/live").json()
    return found


def test_a_full_disk_is_tried_three_times_and_once_there_is_room_by_hand(
    disk: Path, show: Show, queued: Any, caplog: pytest.LogCaptureFixture, admin_client: Client
) -> None:
    segment = ended(armed_segment(show))
    ballast = fill(disk)
    work(queued, seconds=26)
    draw = segment.draws.get()
    assert draw.attempts == 3 and not draw.seal
    assert draw.trouble.startswith(f"Disk full: make room in {disk} (DRAWS_DIR). Nothing is lost")
    assert draw.trouble.endswith("Given up after 3 tries: mend it, then press Draw.")
    assert caplog.text.count("Traceback") == 3
    told = live(admin_client, show)
    assert "Disk full" in told["alarms"][0] and "Celery" not in str(told["warnings"])
    ballast.unlink()
    request_draw(segment.pk, actor=OPERATOR)
    work(queued, seconds=2)
    draw.refresh_from_db()
    assert draw.step == Draw.Step.DRAWN and (draw.attempts, draw.trouble) == (0, "")


def test_shards_that_fail_in_one_go_are_one_failure(disk: Path, show: Show, queued: Any) -> None:
    segment = nights.ended(show)
    fill(disk)
    work(queued)
    assert segment.draws.get().attempts == 1


def test_a_poisoned_seal_gives_up_and_the_others_go_on(
    show: Show, queued: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = ended(armed_segment(show)), ended(armed_segment(make_show()))

    def poison(segment_id: int, number: int) -> Any:
        return 1 / 0 if segment_id == bad.pk else freeze_shard(segment_id, number)

    monkeypatch.setattr(tasks, "freeze_shard", poison)
    work(queued, seconds=5)
    assert bad.draws.get().trouble.startswith("ZeroDivisionError: division by zero. Given up")
    assert caplog.text.count("Traceback") == 3
    assert good.draws.get().step == Draw.Step.DRAWN
    tasks.conduct_draws()
    assert queued == []  # what has given up is not even queued


def test_a_server_that_is_away_is_nobodys_strike(
    show: Show, queued: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = nights.ended(show)

    def away(*_: object) -> None:
        raise RedisAway("Connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "close_tally", away)
        work(queued, seconds=5)
    draw = segment.draws.get()
    assert (draw.attempts, draw.trouble) == (0, "will be tried again: Connection refused")
    work(queued, seconds=2)
    assert segment.draws.get().step == Draw.Step.DRAWN


def test_a_result_that_cannot_be_published_by_itself_waits_for_the_button(show: Show, queued: Any) -> None:
    segment = armed_segment(show, publish_at_once=True)
    draw = run_all(ended(segment))
    path = fetch(record_name(draw.key))
    record = path.read_bytes()
    path.unlink()
    work(queued, seconds=5)
    draw.refresh_from_db()
    assert draw.attempts == 3 and "is not what was drawn: record file" in draw.trouble
    assert draw.trouble.endswith("press Publish.")
    path.write_bytes(record)
    publish_segment(segment.pk, actor=OPERATOR)
    draw.refresh_from_db()
    assert draw.step == Draw.Step.PUBLISHED and (draw.attempts, draw.trouble) == (0, "")


def test_a_result_that_nobody_publishes_is_published_in_the_promised_time(
    show: Show, queued: Any, clock: Clock
) -> None:
    segment = make_segment(show)
    segment.prize_lists.update(publish_by_s=200)
    draw = run_all(ended(arm(segment)))
    assert draw.sealed_at_ms is not None and draw.publish_by_ms == draw.sealed_at_ms + 200_000
    work(queued, seconds=3)
    assert Draw.objects.get(pk=draw.pk).step == Draw.Step.DRAWN
    clock.set(draw.publish_by_ms - tasks.PUBLISH_LEAD_MS)
    work(queued, seconds=3)
    published = Draw.objects.select_related("show", "segment__freeze").get(pk=draw.pk)
    told = LedgerEntry.objects.get(show=show, action="publish")
    assert published.step == Draw.Step.PUBLISHED and told.actor == SYSTEM
    assert told.at_ms <= draw.publish_by_ms and check_signed(published) == (
        "published record", True, "signed, and its log holds"
    )  # fmt: skip


def test_one_draw_that_cannot_be_settled_does_not_stop_the_others(
    show: Show, people: dict[str, Person], queued: Any, clock: Clock, admin_client: Client
) -> None:
    bad = nights.published(show, people)
    good = published_draw(other := make_show(draws_per_minute=60), {"ab" * 14: next(iter(people.values()))})
    path = fetch(record_name(bad.key))
    record = path.read_bytes()
    path.unlink()
    clock.move(CLAIM_S * 1000 + 1_000)
    work(queued, seconds=5)
    assert set(good.wins.values_list("status", flat=True)) == {"forfeited"}
    bad.refresh_from_db()
    assert bad.attempts == 3 and "record.json is not there" in bad.trouble
    assert find_due(clock.now_ms()) == []
    assert live(admin_client, other)["alarms"] == [] and len(live(admin_client, show)["alarms"]) == 1
    path.write_bytes(record)
    page = f"/console/{show.slug}/claims/"
    assert "Settle" in admin_client.get(page).content.decode()
    answer = admin_client.post(f"{page}settle/", {"draw": bad.pk}, headers={"Accept": "application/json"})
    assert answer.status_code == 200 and bad.dispositions.exists()
    bad.refresh_from_db()
    assert (bad.attempts, bad.trouble) == (0, "")


def test_settling_by_hand_says_what_still_hinders_it(
    show: Show, people: dict[str, Person], clock: Clock, admin_client: Client
) -> None:
    draw = nights.published(show, people)
    fetch(record_name(draw.key)).unlink()
    clock.move(CLAIM_S * 1000 + 1_000)
    answer = admin_client.post(
        f"/console/{show.slug}/claims/settle/", {"draw": draw.pk}, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 409 and "record.json is not there" in answer.json()["message"]


def test_a_draw_whose_row_cannot_be_read_does_not_stop_the_conductor(show: Show, queued: Any) -> None:
    bad, good = nights.sealed(show), sealed(make_show())
    with without_guards():
        bad.draws.update(rules="{}")
    work(queued, seconds=4)
    assert bad.draws.get().attempts == 3 and "KeyError" in bad.draws.get().trouble
    assert good.draws.get().step == Draw.Step.DRAWN


def test_somebody_who_was_faster_is_no_failure(show: Show, queued: Any) -> None:
    segment = armed_segment(show, publish_at_once=True)
    draw = run_all(ended(segment))
    publish_segment(segment.pk, actor=SYSTEM)
    tasks.publish_task(segment.pk)
    draw.refresh_from_db()
    assert (draw.attempts, draw.trouble) == (0, "")
    assert Segment.objects.get(pk=segment.pk).phase == Phase.PUBLISHED


def test_the_draw_for_which_all_others_wait_is_started_however_many_they_are(
    show: Show, queued: list[tuple[str, tuple[int, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "CONDUCTED_AT_ONCE", 2)
    first, *_ = nights.sealed(show), sealed(show), sealed(show)
    tasks.conduct_draws()
    assert queued == [("draw_task", (first.draws.get().pk,))]


def test_what_was_queued_before_a_restore_is_no_failure_of_the_restored_database(show: Show) -> None:
    draw = armed_segment(show).draws.get()
    tasks.freeze_task(draw.segment_id, 0, 0)
    tasks.rank_task(draw.pk, 0, 0)
    draw.refresh_from_db()
    assert (draw.attempts, draw.trouble) == (0, "")
