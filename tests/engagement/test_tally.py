"""The tally on a real server: maxima, the fence, shards that concatenate, gateways that are missed."""

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement import tally
from engagement.clock import now_ms
from engagement.keys import own

VIEWERS = st.binary(min_size=14, max_size=14)
_segments = iter(range(10**6, 10**9))


@pytest.fixture
def segment() -> str:
    return str(next(_segments))


@pytest.fixture
async def redis():
    client = tally.connect_async()
    yield client
    await client.aclose(close_connection_pool=True)


def frozen(segment: str, shards: int) -> list[tuple[bytes, int]]:
    return [row for shard in range(shards) for row in sorted(tally.read_frozen(segment, shard))]


@given(st.lists(VIEWERS, min_size=2, max_size=2), st.integers(1, 256))
def test_shards_are_ranges_so_that_their_order_is_the_order_of_the_roll(
    viewers: list[bytes], shards: int
) -> None:
    low, high = sorted(viewers)
    assert 0 <= tally.shard_of(low, shards) <= tally.shard_of(high, shards) < shards


@pytest.mark.parametrize("shards", [1, 3, 16, 256])
async def test_what_was_written_is_frozen_in_order(redis, segment: str, shards: int) -> None:
    totals = {bytes([number]) * 14: number + 1 for number in range(256)}
    assert await tally.write_totals(redis, segment, shards, totals, "g", {"shakes": 5})
    tally.close_tally(segment, shards)
    assert frozen(segment, shards) == sorted(totals.items())


async def test_the_largest_total_stays(redis, segment: str) -> None:
    for total in (5, 9, 2, 9):
        await tally.write_totals(redis, segment, 4, {b"v" * 14: total}, "g", {})
    assert await tally.read_totals(redis, [(segment, 4, b"v" * 14), (segment, 4, b"w" * 14)]) == [9, 0]


async def test_a_total_of_the_largest_size_is_kept_exactly(redis, segment: str) -> None:
    await tally.write_totals(redis, segment, 1, {b"v" * 14: 2**32 - 1}, "g", {})
    assert await tally.read_totals(redis, [(segment, 1, b"v" * 14)]) == [2**32 - 1]


async def test_after_the_fence_a_write_says_no_and_reading_tells_what_is_frozen(redis, segment: str) -> None:
    await tally.write_totals(redis, segment, 2, {b"v" * 14: 5}, "g", {})
    tally.close_tally(segment, 2)
    assert not await tally.write_totals(redis, segment, 2, {b"v" * 14: 50, b"late-viewer-xx": 7}, "g", {})
    assert await tally.read_totals(redis, [(segment, 2, b"v" * 14), (segment, 2, b"late-viewer-xx")]) == [
        5,
        0,
    ]
    tally.close_tally(segment, 2)
    assert frozen(segment, 2) == [(b"v" * 14, 5)]


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(VIEWERS, st.integers(1, 2**32 - 1), max_size=60), st.integers(1, 40))
def test_nothing_is_lost_between_tally_and_freeze(totals: dict[bytes, int], shards: int) -> None:
    segment, redis = str(next(_segments)), tally.connect()
    for viewer, total in totals.items():
        redis.zadd(own(f"tally:{segment}:{tally.shard_of(viewer, shards)}"), {viewer: total}, gt=True)
    tally.close_tally(segment, shards)
    assert frozen(segment, shards) == sorted(totals.items())


def test_a_shard_is_read_in_chunks(segment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "CHUNK", 7)
    totals = {number.to_bytes(14, "big"): number + 1 for number in range(50)}
    tally.connect().zadd(own(f"tally:{segment}:0"), totals)
    tally.close_tally(segment, 1)
    assert frozen(segment, 1) == sorted(totals.items())


async def test_live_figures_add_up_over_gateways_and_a_repeated_write_counts_once(
    redis, segment: str
) -> None:
    for gateway, shakes in (("one", 5), ("one", 9), ("one", 9), ("two", 4)):
        await tally.write_totals(redis, segment, 1, {}, gateway, {"shakes": shakes, "clamped": 1})
    assert tally.read_live(segment) == {"shakes": 13, "clamped": 2}


def test_a_gateway_that_has_not_flushed_is_missed_alive_or_dead_and_one_day_forgotten(segment: str) -> None:
    now, redis = now_ms(), tally.connect()
    redis.delete(own("gateways"))
    ages = {"fresh": 100, "flushed": 100, "dead": 20_000, "old": 700_000, "elsewhere": 100}
    for name, age in ages.items():
        slug = "another" if name == "elsewhere" else "gala"
        redis.hset(own("gateways"), name, json.dumps({"at": now - age, "shows": {slug: {}}}))
    redis.sadd(own(f"flushed:{segment}"), "flushed")
    assert tally.missing_gateways(segment, "gala", now) == (["fresh"], ["dead"])
    assert set(tally.read_gateways(now)) & set(ages) == {"fresh", "flushed", "elsewhere"}
    assert not redis.hexists(own("gateways"), "old")
    redis.delete(own("gateways"))


@pytest.mark.parametrize(
    "row",
    [
        b"\xff",
        b'"\xff"',
        b"[" * 20_000,
        b"[]",
        b"{}",
        b'{"at":"now","shows":{}}',
        b'{"at":true,"shows":[]}',
        b'{"shakes":{}}',
        b'{"shakes":"many"}',
    ],
)
async def test_what_no_gateway_has_written_is_passed_over(redis, segment: str, row: bytes) -> None:
    now, own_beat = now_ms(), {"at": now_ms(), "shows": {"gala": {}}}
    await redis.hset(own(f"live:{segment}"), mapping={"one": b'{"shakes":7}', b"\xff": row})
    await redis.hset(own("gateways"), b"\xff", row)
    beats, live, _ = await tally.exchange_heartbeats(redis, "g", own_beat, [segment])
    assert beats["g"] == own_beat and live == {segment: {"shakes": 7}}

    def read() -> tuple[Any, ...]:
        tally.connect().hset(own("gateways"), "dead", json.dumps({"at": now - 20_000, "shows": {"gala": {}}}))
        return (
            tally.missing_gateways(segment, "gala", now),
            tally.read_gateways(now),
            tally.read_live(segment),
        )

    missing, alive, sums = await sync_to_async(read)()
    assert "g" in missing[0] and "dead" in missing[1] and alive["g"] == own_beat and sums == {"shakes": 7}
    await redis.delete(own("gateways"))


async def test_a_server_that_was_emptied_tells_so_by_its_life(redis) -> None:
    beat: dict[str, Any] = {"at": now_ms(), "shows": {}}
    _, _, before = await tally.exchange_heartbeats(redis, "g", beat, [])
    _, _, same = await tally.exchange_heartbeats(redis, "g", beat, [])
    await redis.flushall()
    _, _, after = await tally.exchange_heartbeats(redis, "g", {**beat, "at": beat["at"] + 1}, [])
    assert before == same != after
    await tally.say_goodbye(redis, "g")


# --- where guests come from ---


def chunks(*viewers: bytes) -> list[list[bytes]]:
    return [[viewer] for viewer in viewers]


async def test_origins_go_behind_the_fence_with_the_totals(redis, segment: str) -> None:
    totals = {bytes([number]) * 14: number + 1 for number in range(256)}
    origins = {viewer: b"\x01\x00" + viewer[:8] for viewer in list(totals)[::2]}
    assert await tally.write_totals(redis, segment, 4, totals, "g", {}, origins)
    await sync_to_async(tally.close_tally)(segment, 4)
    late = {b"\xff" * 14: b"\x01\x00" + bytes(8)}
    assert not await tally.write_totals(redis, segment, 4, {b"\xff" * 14: 999}, "g", {}, late)
    viewers = [[viewer for viewer in totals if tally.shard_of(viewer, 4) == shard] for shard in range(4)]
    found = await sync_to_async(
        lambda: [row for shard in range(4) for row in tally.read_origins(segment, shard, [viewers[shard]])]
    )()
    assert found == list(origins.items())


async def test_a_segment_without_guests_has_no_origins_and_nobody_is_asked_for_them(
    redis, segment: str
) -> None:
    assert await tally.write_totals(redis, segment, 2, {b"a" * 14: 5}, "g", {})
    await sync_to_async(tally.close_tally)(segment, 2)
    assert await sync_to_async(lambda: list(tally.read_origins(segment, 0, chunks(b"a" * 14))))() == []


async def test_origins_that_are_gone_are_not_taken_for_none(redis, segment: str) -> None:
    await tally.write_totals(redis, segment, 1, {b"a" * 14: 5}, "g", {}, {b"a" * 14: bytes(10)})
    await sync_to_async(tally.close_tally)(segment, 1)
    await redis.hdel(own(f"frozenorigins:{segment}:0"), b"")
    with pytest.raises(tally.TallyLost, match="origins of shard 0"):
        await sync_to_async(lambda: list(tally.read_origins(segment, 0, chunks(b"a" * 14, b"b" * 14))))()
    with pytest.raises(tally.TallyLost, match="not behind its fence"):
        await sync_to_async(tally.check_fence)(segment, [0])
    await redis.delete(own(f"frozenorigins:{segment}:0"))
    with pytest.raises(tally.TallyLost, match="origins of shard 0"):
        await sync_to_async(lambda: list(tally.read_origins(segment, 0, chunks(b"a" * 14))))()
