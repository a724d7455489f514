"""From the last shake to the roll: nothing acknowledged is lost, and nothing comes in late."""

import hashlib
import json
from typing import Any

import pytest

from engagement import tally
from engagement.clock import from_ms, now_ms
from engagement.core.counts import LONGEST_NAME, MOST_GATEWAYS
from engagement.core.phases import Phase
from engagement.keys import own
from engagement.models import LedgerEntry, Segment, Show
from prizes import tasks
from prizes.audit import audit_draw
from prizes.core.roll import pack_total
from prizes.engine import count_shard
from prizes.exclusions import exclude_viewer
from prizes.files import fetch, part_name, record_name, roll_name, shard_name, writing
from prizes.models import Exclusion, FrozenShard, PrizeList
from prizes.steps import freeze
from prizes.steps.review import sha256_of
from tests.cast import (
    DIRECTOR,
    arm,
    armed_segment,
    gateways_were_here,
    make_segment,
    put_on_air,
)
from tests.guards import without_guards
from tests.prizes.pipeline import (
    actions_of,
    ended,
    rolled_back,
    run_all,
    stuff_tally,
    write_tally,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_excluded_viewers_and_those_below_the_minimum_are_not_in_the_roll(show: Show) -> None:
    staff, lazy = bytes([1]) * 14, bytes([2]) * 14
    exclude_viewer(Exclusion(show=show, pseudonym=staff.hex()), actor=DIRECTOR)
    segment = make_segment(show)
    PrizeList.objects.update(tickets=[[10, 1], [20, 3]])
    segment = ended(arm(segment), {staff: 50, lazy: 9, bytes([3]) * 14: 10, bytes([4]) * 14: 99})
    Exclusion.objects.all().delete()  # what was committed to counts, not what is edited later
    draw = run_all(segment)
    assert (draw.entries, draw.tickets) == (2, 4)
    assert draw.segment.freeze.viewers == 4
    assert all(check.ok for check in audit_draw(draw))


def test_late_writes_after_the_fence_change_nothing(show: Show) -> None:
    segment = ended(armed_segment(show), {bytes([7]) * 14: 4})
    fenced = freeze.close_tally(segment, now_ms())
    write_tally(segment, {bytes([7]) * 14: 90, bytes([8]) * 14: 90})
    tally.close_tally(segment.key, segment.shards)
    for number in freeze.missing_shards(fenced):
        freeze.freeze_shard(segment.pk, number)
    assert sum(shard.shakes for shard in FrozenShard.objects.all()) == 4


def test_a_live_gateway_that_has_not_flushed_is_waited_for_and_then_named(show: Show) -> None:
    segment = put_on_air(armed_segment(show), opened_ms_ago=20_000, left_ms=-2_000, phase=Phase.CLOSING)
    beat = {"at": now_ms(), "shows": {show.slug: {}}}
    tally.connect().hset(own("gateways"), "slow-gateway", json.dumps(beat))
    with pytest.raises(freeze.Waiting, match="slow-gateway"):
        freeze.close_tally(segment, now_ms())
    Segment.objects.filter(pk=segment.pk).update(closes_at=from_ms(now_ms() - 15_000))
    segment = Segment.objects.select_related("show").get(pk=segment.pk)
    assert freeze.close_tally(segment, now_ms()).missing_gateways == ["slow-gateway"]
    tally.connect().hdel(own("gateways"), "slow-gateway")


@pytest.mark.parametrize("row", [b"\xff", b'{"a":"\xff"}', b"[" * 20_000, b'{"at":[]}', b"9" * 4_300])
def test_rows_that_no_gateway_has_written_hold_up_no_freeze(show: Show, row: bytes) -> None:
    segment, redis = ended(armed_segment(show), {bytes([7]) * 14: 40}), tally.connect()
    for key in ("gateways", f"live:{segment.key}", f"issued:{show.slug}"):
        redis.hset(own(key), b"\xfe" * 300, row)
    try:
        draw = run_all(segment)
    finally:
        redis.hdel(own("gateways"), b"\xfe" * 300)
    assert draw.entries == 1 and not told_of(segment, "counts")[0]["complete"]


def test_however_many_gateways_are_missing_the_entry_of_the_fence_is_short(show: Show) -> None:
    segment, redis = ended(armed_segment(show), {bytes([7]) * 14: 40}), tally.connect()
    beat = json.dumps({"at": now_ms() - 20_000, "shows": {show.slug: {}}})
    names = [f"{number:05}-{'n' * 300}" for number in range(1_000)]
    redis.hset(own("gateways"), mapping=dict.fromkeys(names, beat))
    try:
        missing = freeze.close_tally(segment, now_ms()).missing_gateways
    finally:
        redis.hdel(own("gateways"), *names)
    [fence] = told_of(segment, "fence")
    assert fence["missing_gateways"] == missing and missing[0].startswith("00000-nnn")
    assert len(missing) == MOST_GATEWAYS and max(map(len, missing)) == LONGEST_NAME


def test_a_redis_that_was_just_emptied_is_not_taken_for_one_without_gateways(show: Show) -> None:
    segment = put_on_air(armed_segment(show), opened_ms_ago=20_000, left_ms=-2_000, phase=Phase.CLOSING)
    tally.connect().delete(own("tally:life"), own("gateways"))
    with pytest.raises(freeze.Waiting, match="just come back"):
        freeze.close_tally(segment, now_ms())
    gateways_were_here()
    assert freeze.close_tally(segment, now_ms()).missing_gateways == []


def test_a_late_seal_waits_for_the_gateways_when_redis_has_just_come_back(show: Show) -> None:
    segment = ended(armed_segment(show), {bytes([7]) * 14: 4})
    redis = tally.connect()
    redis.set(own(tally.LIFE), f"{redis.info('server')['run_id']} {now_ms()}")
    with pytest.raises(freeze.Waiting, match="just come back"):
        freeze.close_tally(segment, now_ms())
    redis.set(
        own(tally.LIFE), f"another-server {now_ms() - 60_000}"
    )  # restarted, and no gateway has noticed yet
    with pytest.raises(freeze.Waiting, match="just come back"):
        freeze.close_tally(segment, now_ms())
    assert freeze.close_tally(segment, now_ms() + freeze.BARRIER_MS)  # nobody is left to write anything again


def test_a_tally_that_redis_lost_after_the_fence_is_never_taken_for_empty(show: Show) -> None:
    totals = {bytes([7]) * 14: 4, bytes([200]) * 14: 9}
    segment = ended(armed_segment(show), totals)
    fenced = freeze.close_tally(segment, now_ms())
    freeze.freeze_shard(segment.pk, tally.shard_of(bytes([7]), segment.shards))
    for shard in range(segment.shards):
        tally.connect().delete(own(f"frozen:{segment.key}:{shard}"))
    tally.connect().delete(own(f"closed:{segment.key}"))
    with pytest.raises(tally.TallyLost):
        freeze.freeze_shard(segment.pk, tally.shard_of(bytes([200]), segment.shards))
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    draw = segment.draws.get()
    assert not draw.seal and "lost the tally" in draw.trouble
    write_tally(segment, totals)  # as the gateways do
    freeze.close_tally(segment, now_ms() + freeze.RECOVERY_MS)
    run_all(segment)
    assert segment.draws.get().entries == 2 and "fence again" in actions_of(segment)
    assert fenced.frozen_shards.count() == segment.shards


def test_a_changed_shard_file_stops_the_freeze(show: Show) -> None:
    segment = ended(armed_segment(show), {bytes([7]) * 14: 4})
    fenced = freeze.close_tally(segment, now_ms())
    for number in freeze.missing_shards(fenced):
        freeze.freeze_shard(segment.pk, number)
    fetch(shard_name(segment.key, 0)).write_bytes(bytes([7]) * 14 + bytes([0, 0, 0, 99]))
    tasks.advance_seal(segment.pk, lambda number: None)
    draw = segment.draws.get()
    assert not draw.seal
    assert "changed after the freeze" in draw.trouble
    assert draw.attempts == 1


# --- one play of a segment and another ---


def test_a_segment_that_is_armed_again_after_a_restore_is_drawn_from_its_second_play(show: Show) -> None:
    segment, now_here, gone = make_segment(show, prizes=1, reserves=0), b"2" * 14, b"1" * 14
    with rolled_back():
        first = run_all(ended(arm(segment), {gone: 90}))
        kept = {name(first.key): fetch(name(first.key)).read_bytes() for name in (roll_name, record_name)}
    draw = run_all(ended(arm(segment), {now_here: 30}))
    assert [win.pseudonym for win in draw.wins.all()] == [now_here.hex()] and draw.entries == 1
    assert all(check.ok for check in audit_draw(draw))
    assert draw.key != first.key and draw.segment_id == first.segment_id
    assert all(fetch(name).read_bytes() == content for name, content in kept.items())  # for the auditor


def test_the_mark_of_a_first_play_closes_nothing_of_the_second(show: Show) -> None:
    segment = make_segment(show)
    with rolled_back():
        first = arm(segment)
        tally.close_tally(first.key, first.shards)
    second = ended(arm(segment), {b"2" * 14: 30})
    with pytest.raises(tally.TallyLost):
        tally.check_fence(second.key, range(second.shards))
    assert list(tally.read_frozen(first.key, 0)) == []


# --- what was counted on air ---


def told_of(segment: Segment, action: str) -> list[dict[str, Any]]:
    entries = LedgerEntry.objects.filter(show=segment.show_id, action=action).order_by("position")
    return [json.loads(entry.details) for entry in entries]


def test_what_was_counted_stands_in_the_ledger_before_the_fence_and_the_roll(show: Show) -> None:
    segment = ended(armed_segment(show), {bytes([7]) * 14: 40, bytes([8]) * 14: 2})
    run_all(segment)
    assert actions_of(segment)[1:4] == ["counts", "fence", "freeze"]
    [counts] = told_of(segment, "counts")
    assert counts["fence"] and counts["complete"] and (counts["viewers"], counts["shakes"]) == (2, 42)
    assert told_of(segment, "uncounted") == []


def test_rows_that_were_added_behind_the_backs_of_the_gateways_are_told(show: Show) -> None:
    segment = ended(armed_segment(show), {bytes([7]) * 14: 40})
    stuff_tally(segment, {bytes([number]) * 14: 150 for number in range(10, 20)})
    draw = run_all(segment)
    [uncounted] = told_of(segment, "uncounted")
    assert uncounted["counted"] == {"viewers": 1, "shakes": 40, "app": 1}
    assert (uncounted["viewers"], uncounted["shakes"], uncounted["entries"]) == (11, 1_540, 11)
    assert draw.segment.phase == Phase.DRAWN  # it stops nothing
    assert [check.name for check in audit_draw(draw) if not check.ok] == ["counts"]
    assert actions_of(segment)[1:5] == ["counts", "fence", "freeze", "uncounted"]


def test_a_frozen_shard_that_was_stuffed_in_files_and_database_is_told(show: Show) -> None:
    segment = ended(armed_segment(show), {bytes([7]) * 14: 40})
    fenced = freeze.close_tally(segment, now_ms())
    for number in freeze.missing_shards(fenced):
        freeze.freeze_shard(segment.pk, number)
    shard = FrozenShard.objects.get(number=tally.shard_of(bytes([7]), segment.shards))
    rows = b"".join(pack_total(bytes([7]) * 13 + bytes([last]), 40) for last in range(5))
    fetch(shard_name(segment.key, shard.number)).write_bytes(rows)
    for draw in segment.draws.all():
        with writing(part_name(draw.key, shard.number)) as path:
            count_shard(fetch(shard_name(segment.key, shard.number)), *freeze._ticket_rules(draw), path)
        parts = {draw.draw_id: sha256_of(fetch(part_name(draw.key, shard.number)))}
    # As the owner of the database does, who leaves the counts as they were.
    with without_guards():
        FrozenShard.objects.filter(pk=shard.pk).update(sha256=hashlib.sha256(rows).hexdigest(), parts=parts)
    run_all(segment)
    [uncounted] = told_of(segment, "uncounted")
    assert (uncounted["viewers"], uncounted["entries"], uncounted["counted"]["viewers"]) == (1, 5, 1)


def test_a_tally_that_was_lost_behind_the_fence_is_counted_once_more(show: Show) -> None:
    segment = ended(armed_segment(show), {bytes([7]) * 14: 40})
    freeze.close_tally(segment, now_ms())
    redis = tally.connect()
    redis.delete(own(f"closed:{segment.key}"), own(f"live:{segment.key}"))
    for number in range(segment.shards):
        redis.delete(own(f"frozen:{segment.key}:{number}"))
    redis.set(own(f"lost:{segment.key}"), now_ms() - 60_000)
    write_tally(segment, {bytes([7]) * 14: 40, bytes([8]) * 14: 5})
    run_all(segment)
    first, second = told_of(segment, "counts")
    assert first["viewers"] == 1 and second["fence"] and second["viewers"] == 3 and second["shakes"] == 85
    assert told_of(segment, "uncounted") == []
