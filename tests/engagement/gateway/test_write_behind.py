"""Totals on their way: nothing is lost while Redis is away, empties itself or comes back."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_django import Settings

from engagement import tally
from engagement.core.show_state import pack_state
from engagement.gateway.hub import Hub
from engagement.gateway.write_behind import WriteBehind
from engagement.keys import own
from gala.embedded import EmbeddedServer, start_server
from tests.cast import DEMO_STATE

ONE, TWO = b"1" * 14, b"2" * 14
SEGMENT = DEMO_STATE.segments[0]


class Watched(WriteBehind):
    """With its server, and what it has told: the segment, and the totals of each batch."""

    told: list[tuple[int, dict[bytes, int]]]
    server: EmbeddedServer


@pytest.fixture
async def behind(settings: Settings, tmp_path: Path) -> AsyncIterator[Watched]:
    """Write-behind to a server of its own, which may be stopped and emptied."""
    server = start_server(tmp_path)
    settings.REDIS_URL = server.url
    redis = tally.connect_async()
    told: list[tuple[int, dict[bytes, int]]] = []
    behind = Watched(redis, "gateway", lambda totals, batch: told.append((totals.segment, dict(batch))))
    behind.told, behind.server = told, server
    yield behind
    os.kill(server.process.pid, signal.SIGCONT)
    await redis.aclose(close_connection_pool=True)
    server.stop()


async def held(behind: Watched, *viewers: bytes) -> list[int]:
    return await tally.read_totals(
        behind._redis, [(SEGMENT.key, SEGMENT.shards, viewer) for viewer in viewers]
    )


async def test_a_total_is_acknowledged_after_it_was_written(behind: Watched) -> None:
    behind.accept(behind.totals_of(SEGMENT), ONE, 5, clamped=False)
    assert behind.pending == 1 and behind.told == []
    assert await behind.flush()
    assert behind.told == [(7, {ONE: 5})] and await held(behind, ONE) == [5] and behind.lag_ms == 0


async def test_a_flush_writes_what_was_there_at_its_start_and_leaves_the_rest_to_the_next(
    behind: Watched,
) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.accept(totals, ONE, 5, clamped=False)
    flush = asyncio.create_task(behind.flush())
    await asyncio.sleep(0)
    behind.accept(totals, TWO, 7, clamped=False)  # while the write is under way
    assert behind.pending == 2
    assert await flush and behind.told == [(7, {ONE: 5})] and totals.dirty == {TWO: 7}


async def test_a_flush_that_is_cut_off_loses_nothing(behind: Watched) -> None:
    totals = behind.totals_of(SEGMENT)
    viewers = {number.to_bytes(14, "big"): number + 1 for number in range(25_000)}  # three batches
    for viewer, total in viewers.items():
        behind.accept(totals, viewer, total, clamped=False)
    os.kill(behind.server.process.pid, signal.SIGSTOP)
    flush = asyncio.create_task(behind.flush())
    await asyncio.sleep(0.05)
    while not flush.done():  # as in Hub.stop: a cancellation can get lost
        flush.cancel()
        await asyncio.wait([flush], timeout=0.1)
    with pytest.raises(asyncio.CancelledError):
        await flush
    assert totals.dirty == viewers and behind.told == []
    os.kill(behind.server.process.pid, signal.SIGCONT)
    assert await behind.flush() and totals.written == viewers and len(behind.told) == 3


async def test_while_redis_hangs_totals_wait_and_only_the_largest_of_each(behind: Watched) -> None:
    totals = behind.totals_of(SEGMENT)
    os.kill(behind.server.process.pid, signal.SIGSTOP)
    for total in (5, 9, 7):
        behind.accept(totals, ONE, total, clamped=False)
    assert not await behind.flush()
    assert behind.pending == 1 and behind.told == [] and behind.lag_ms >= 1_000
    os.kill(behind.server.process.pid, signal.SIGCONT)
    behind.accept(totals, TWO, 3, clamped=True)
    assert await behind.flush()
    assert await held(behind, ONE, TWO) == [9, 3] and totals.live == {
        "shakes": 12,
        "reports": 4,
        "clamped": 1,
        "viewers": 2,
        "app": 2,
        "unsure": 0,
    }


async def test_an_emptied_redis_gets_everything_again_also_what_was_learned_from_another_gateway(
    behind: Watched,
) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.accept(totals, ONE, 5, clamped=False)
    await behind.flush()
    behind.learn(totals, TWO, 8)  # its gateway is gone by now
    totals.closed = totals.confirmed = True  # the grace is over
    await behind._redis.flushall()
    behind.rewrite_all()
    assert not totals.confirmed and await behind.flush()
    assert await held(behind, ONE, TWO) == [5, 8]


async def test_what_was_on_its_way_when_redis_was_emptied_is_written_again_before_it_is_acknowledged(
    behind: Watched,
) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.accept(totals, ONE, 5, clamped=False)
    flush = asyncio.create_task(behind.flush())
    await asyncio.sleep(0)
    behind.rewrite_all()  # the beat has noticed it while the write was under way
    await flush
    assert behind.told == [] and totals.dirty == {ONE: 5}
    assert await behind.flush() and behind.told == [(7, {ONE: 5})]


async def test_writing_again_never_puts_an_older_total_in_the_place_of_a_newer_one(
    behind: Watched,
) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.accept(totals, ONE, 5, clamped=False)
    await behind.flush()
    behind.accept(totals, ONE, 9, clamped=False)
    behind.rewrite_all()
    assert totals.dirty == {ONE: 9}


async def test_after_the_fence_nothing_is_acknowledged_and_no_report_is_taken(behind: Watched) -> None:
    totals = behind.totals_of(SEGMENT)
    await behind._redis.set(own(f"closed:{SEGMENT.key}"), 1)
    behind.accept(totals, ONE, 5, clamped=False)
    assert await behind.flush()
    assert totals.closed and behind.told == [] and totals.written == {}


async def test_a_segment_that_is_armed_again_begins_with_nothing_and_is_open(behind: Watched) -> None:
    first = behind.totals_of(SEGMENT)
    behind.accept(first, ONE, 5, clamped=False)
    assert await behind.flush()
    first.closed = True
    second = behind.totals_of(msgspec.structs.replace(SEGMENT, key="7-armed-again"))
    assert not second.closed and second.accepted == {} and second.segment == first.segment
    behind.accept(second, ONE, 2, clamped=False)
    assert await behind.flush() and second.written == {ONE: 2} and await held(behind, ONE) == [5]


async def test_without_redis_a_welcome_tells_only_what_is_known_to_be_written(behind: Watched) -> None:
    hub = Hub()
    totals = hub.totals.totals_of(SEGMENT)
    hub.totals.accept(totals, ONE, 5, clamped=False)
    await hub.totals.flush()
    os.kill(behind.server.process.pid, signal.SIGSTOP)
    hub.totals.accept(totals, ONE, 9, clamped=False)
    started = asyncio.get_running_loop().time()
    assert await hub.arrivals.read_totals({(SEGMENT.key, ONE): SEGMENT}) == {(SEGMENT.key, ONE): 5}
    assert asyncio.get_running_loop().time() - started < 0.8
    os.kill(behind.server.process.pid, signal.SIGCONT)
    await hub.redis.aclose(close_connection_pool=True)


async def test_a_total_of_which_nobody_can_tell_who_counted_it_is_not_counted_twice(
    behind: Watched,
) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.accept(totals, ONE, 5, clamped=False)
    assert [behind.recall(totals, viewer) for viewer in (ONE, TWO)] == [0, 0]
    behind.accept(totals, ONE, 6, clamped=False)  # all of it came here
    behind.accept(totals, TWO, 40, clamped=False)  # most of it to a gateway that was killed, perhaps
    assert totals.live["shakes"] == 6
    behind.accept(totals, TWO, 42, clamped=False)
    assert totals.live["shakes"] == 8 and totals.accepted == {ONE: 6, TWO: 42}


async def test_many_phones_of_an_unknown_show_wait_together_and_leave_nothing(behind: Watched) -> None:
    hub = Hub()
    os.kill(behind.server.process.pid, signal.SIGSTOP)
    started = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(hub.audience("demo") for _ in range(20)), return_exceptions=True)
    assert asyncio.get_running_loop().time() - started < 1.5
    assert all(getattr(answer, "error", None) is not None for answer in answers)
    os.kill(behind.server.process.pid, signal.SIGCONT)
    await asyncio.sleep(0)
    assert hub._opening == {}
    await behind._redis.set(own("show:demo"), pack_state(DEMO_STATE))
    assert (await hub.audience("demo")).state == DEMO_STATE
    await hub.redis.aclose(close_connection_pool=True)


# --- what is counted is never less than what is written ---


async def counted_of_the_app(behind: WriteBehind) -> int:
    """Of all gateways together."""
    rows = (await behind._redis.hgetall(own(f"live:{SEGMENT.key}"))).values()
    return sum(msgspec.json.decode(row)["app"] for row in rows)


async def ceiling(*gateways: WriteBehind, of: str = SEGMENT.key) -> tuple[int, int]:
    """Viewers and shakes of all these gateways together, as their rows in Redis say."""
    redis = gateways[0]._redis
    rows = [msgspec.json.decode(row) for row in (await redis.hgetall(own(f"live:{of}"))).values()]
    return sum(row["viewers"] for row in rows), sum(row["shakes"] + row["unsure"] for row in rows)


async def test_a_viewer_who_changes_gateways_is_counted_once(behind: Watched) -> None:
    other = WriteBehind(behind._redis, "other", lambda totals, batch: None)
    here, there = behind.totals_of(SEGMENT), other.totals_of(SEGMENT)
    behind.accept(here, ONE, 50, clamped=False)
    await behind.flush()
    other.learn(there, ONE, (await held(behind, ONE))[0])
    other.accept(there, ONE, 50, clamped=False)  # said again
    other.accept(there, ONE, 80, clamped=False)
    await other.flush()
    behind.learn(here, ONE, 80)  # and back
    behind.accept(here, ONE, 90, clamped=False)
    await behind.flush()
    assert await ceiling(behind, other) == (1, 90) and await held(behind, ONE) == [90]


async def test_what_was_stuffed_into_the_tally_is_counted_by_nobody_even_if_its_phone_comes(
    behind: Watched,
) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.learn(totals, ONE, 500)
    behind.accept(totals, ONE, 510, clamped=False)
    await behind.flush()
    assert await held(behind, ONE) == [510] and await ceiling(behind) == (0, 10)


async def test_after_redis_was_emptied_a_gateway_counts_what_it_gives_back_for_others(
    behind: Watched,
) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.learn(totals, ONE, 50)  # of a gateway that is gone by now
    behind.accept(totals, TWO, 7, clamped=False)
    behind.learn(totals, TWO, 9)
    behind.accept(totals, TWO, 12, clamped=False)
    await behind._redis.flushall()
    for _ in range(2):
        behind.rewrite_all()
        await behind.flush()
        assert await held(behind, ONE, TWO) == [50, 12] and await ceiling(behind) == (2, 62)


async def test_who_came_while_redis_was_away_is_counted_in_full(behind: Watched) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.recall(totals, ONE)
    behind.accept(totals, ONE, 40, clamped=False)
    behind.accept(totals, TWO, 0, clamped=False)  # has reported, too
    behind.accept(totals, TWO, 3, clamped=False)
    await behind.flush()
    assert await ceiling(behind) == (2, 43) and totals.live["shakes"] == 3


async def test_however_viewers_and_gateways_come_and_go_the_counts_are_never_below_the_tally(
    behind: Watched,
) -> None:
    """Gateways are killed, Redis is emptied or not asked, viewers go around: seeded, and compared at every step."""
    chance = random.Random(20_260_201)
    viewers = [bytes([number]) * 14 for number in range(6)]
    shaken = dict.fromkeys(viewers, 0)

    def make(number: int) -> WriteBehind:
        return WriteBehind(behind._redis, f"g{number}", lambda totals, batch: None)

    gateways, born = [make(0), make(1), make(2)], 3
    guests = set(viewers[::2])
    for _ in range(1_500):
        gateway, viewer, what = chance.choice(gateways), chance.choice(viewers), chance.random()
        totals = gateway.totals_of(SEGMENT)
        if viewer in guests:  # as at every hello, and with every report
            gateway.locate(totals, viewer, ORIGIN)
        if what < 0.30:
            gateway.learn(totals, viewer, (await held(behind, viewer))[0])
        elif what < 0.34:
            gateway.recall(totals, viewer)
        elif what < 0.75:
            shaken[viewer] += chance.randrange(4)
            gateway.accept(totals, viewer, chance.randrange(shaken[viewer] + 1), clamped=False)
        elif what < 0.97:
            await gateway.flush()
        elif what < 0.99:
            # Killed, with all that it had not written.
            gateways[gateways.index(gateway)], born = (
                make(born),
                born + 1,
            )
        else:
            await behind._redis.flushall()
            for one in gateways:
                one.rewrite_all()
        totals_now = await held(behind, *viewers)
        count, shakes = await ceiling(behind)
        assert count >= sum(total > 0 for total in totals_now) and shakes >= sum(totals_now)
        users = sum(total > 0 for who, total in zip(viewers, totals_now, strict=True) if who not in guests)
        assert await counted_of_the_app(behind) >= users
    assert born > 10 and sum(totals_now) > 0


# --- where guests come from ---

ORIGIN = b"\x01\x00" + b"A" * 8


async def origins_in_redis(behind: Watched) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for shard in range(SEGMENT.shards):
        found |= await behind._redis.hgetall(own(f"origins:{SEGMENT.key}:{shard}"))
    return found


async def test_an_origin_is_written_with_the_first_total_and_not_again(behind: Watched) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.accept(totals, ONE, 5, clamped=False, origin=ORIGIN)
    behind.accept(totals, TWO, 5, clamped=False)
    assert await behind.flush() and await origins_in_redis(behind) == {ONE: ORIGIN}
    for shard in range(SEGMENT.shards):
        await behind._redis.delete(own(f"origins:{SEGMENT.key}:{shard}"))
    behind.accept(totals, ONE, 9, clamped=False, origin=ORIGIN)
    assert await behind.flush() and await origins_in_redis(behind) == {} and not totals.untold


async def test_an_emptied_redis_gets_all_origins_again(behind: Watched) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.accept(totals, ONE, 5, clamped=False, origin=ORIGIN)
    behind.locate(totals, TWO, ORIGIN)
    behind.learn(totals, TWO, 8)  # counted by another gateway, which is gone by now
    await behind.flush()
    await behind._redis.flushall()
    behind.rewrite_all()
    assert await behind.flush() and await origins_in_redis(behind) == {ONE: ORIGIN, TWO: ORIGIN}


async def test_an_origin_that_redis_did_not_take_comes_with_the_next_write(behind: Watched) -> None:
    totals = behind.totals_of(SEGMENT)
    behind.accept(totals, ONE, 5, clamped=False, origin=ORIGIN)
    os.kill(behind.server.process.pid, signal.SIGSTOP)
    flush = asyncio.create_task(behind.flush())
    await asyncio.sleep(0.05)
    behind.rewrite_all()  # it was emptied while the write was under way
    os.kill(behind.server.process.pid, signal.SIGCONT)
    assert await flush and totals.untold == {ONE}
    assert await behind.flush() and await origins_in_redis(behind) == {ONE: ORIGIN} and not totals.untold
