"""The tally: accepted totals, viewer -> total, in Redis, one sorted set per segment and shard.

It keeps the maximum (`ZADD GT`), so a repeated, reordered or replayed write is harmless. Shards are ranges of the
pseudonym's first byte: frozen one by one they concatenate to a sorted whole.

`segment` is the segment's key here, `Segment.key`: its id and the random name of its play. A segment that is armed
again, in a database that was restored or made anew, must not find the tally of the first time.

Beside the totals stands where guests come from: an origin of 10 bytes (`engagement/fair_play/core/origins.py`) for each
viewer who has one, written with the first total, and moved by the fence with it.

Keys (docs/redis.md), each behind the installation's name: `tally:{segment}:{shard}`, `frozen:{segment}:{shard}`,
`origins:{segment}:{shard}`, `frozenorigins:{segment}:{shard}`,
`closed:{segment}`, `live:{segment}`, `gateways`, `issued:{slug}`, `flushed:{segment}`, `lost:{segment}`, `tally:life`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import hiredis
import msgspec
from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis
from redis.asyncio import BlockingConnectionPool as AsyncPool
from redis.asyncio import Redis as AsyncRedis

from engagement.keys import own

KEEP_S = 7 * 24 * 3600  # the tally outlives the night, for the auditor; then Redis forgets it
CHUNK = 50_000
GATEWAY_TIMEOUT_S = 2.0
ALIVE_MS = 5_000  # a gateway that was silent for longer is taken for dead
FORGET_MS = 600_000
# Never a viewer (those have 14 bytes): makes sure that a shard exists when it is renamed.
NOBODY = b""
LIFE = "tally:life"
GATEWAYS = "gateways"


def connect() -> Redis:
    """The process' pooled client with short timeouts, for tasks, commands and views."""
    client: Redis = get_redis_connection("default")
    return client


def connect_async() -> AsyncRedis:
    """A client for a gateway's event loop; waits for a free connection instead of raising when all are taken.

    It is more patient than other clients: a loop that was busy for half a second with its sockets would take an answer
    that has long been there for a timeout, and write everything twice. What a phone waits for has its own limit.
    """
    options = {**settings.REDIS_OPTIONS, "socket_timeout": GATEWAY_TIMEOUT_S}
    pool = AsyncPool.from_url(settings.REDIS_URL, max_connections=8, timeout=GATEWAY_TIMEOUT_S, **options)
    pool.connection_class = type("PackingConnection", (_Packing, pool.connection_class), {})
    redis = AsyncRedis(connection_pool=pool)
    redis.set_response_callback("INFO", _parse_info)
    return redis


def _parse_info(response: bytes, **_: Any) -> dict[str, str]:
    """Names and texts. redis-py's parser leaves a cycle behind for the garbage collector, twice a second here."""
    lines = response.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


class _Packing:
    """Commands are packed by hiredis: redis-py's own code took a tenth of a gateway's time for its flushes."""

    def pack_command(self, *arguments: Any) -> list[bytes]:
        return [hiredis.pack_command(arguments)]


def shard_of(viewer: bytes, shards: int) -> int:
    """The shard of a pseudonym: ranges of its first byte, so that shard order is roll order."""
    return viewer[0] * shards >> 8


def _tally(segment: str, shard: int) -> str:
    return own(f"tally:{segment}:{shard}")


def _frozen(segment: str, shard: int) -> str:
    return own(f"frozen:{segment}:{shard}")


def _origins(segment: str, shard: int) -> str:
    return own(f"origins:{segment}:{shard}")


def _frozen_origins(segment: str, shard: int) -> str:
    return own(f"frozenorigins:{segment}:{shard}")


def _closed(segment: str) -> str:
    return own(f"closed:{segment}")


def _issued(slug: str) -> str:
    return own(f"issued:{slug}")


# --- gateways write ---


async def write_totals(
    redis: AsyncRedis,
    segment: str,
    shards: int,
    totals: dict[bytes, int],
    gateway: str,
    live: dict[str, int],
    origins: Mapping[bytes, bytes] = MappingProxyType({}),
) -> bool:
    """Writes totals and this gateway's live counters, all in one transaction; False when the segment is closed.

    `origins` are those of viewers in `totals` that may not be there yet; none may be in the roll without its own.

    The check and the writes are one MULTI: a write that answers True happened before the freeze, so its totals may
    be acknowledged, whatever else goes wrong (a gateway that was stopped for a minute and goes on, for example).
    """
    by_shard: dict[int, dict[bytes, int]] = {}
    for viewer, total in totals.items():
        by_shard.setdefault(shard_of(viewer, shards), {})[viewer] = total
    origins_by_shard: dict[int, list[bytes]] = {}
    for viewer, origin in origins.items():
        origins_by_shard.setdefault(shard_of(viewer, shards), []).extend((viewer, origin))
    async with redis.pipeline(transaction=True) as pipe:
        pipe.exists(_closed(segment))
        for shard, part in by_shard.items():
            pipe.zadd(_tally(segment, shard), part, gt=True)
            pipe.expire(_tally(segment, shard), KEEP_S)
        for shard, rows in origins_by_shard.items():
            pipe.hset(_origins(segment, shard), items=rows)
            pipe.expire(_origins(segment, shard), KEEP_S)
        # Not added to, but overwritten: a write that is repeated because its answer got lost counts nothing twice.
        pipe.hset(own(f"live:{segment}"), gateway, msgspec.json.encode(live))
        pipe.expire(own(f"live:{segment}"), KEEP_S)
        answers = await pipe.execute()
    return not answers[0]


async def read_totals(redis: AsyncRedis, wanted: Sequence[tuple[str, int, bytes]]) -> list[int]:
    """What is written of (segment, shards, viewer), 0 where there is nothing; one round trip.

    After the fence that is the frozen total: a write that came too late stands in the tally, but does not count.
    """
    places: dict[tuple[str, int], list[int]] = {}  # (segment, shard) -> rows of `wanted`
    for row, (segment, shards, viewer) in enumerate(wanted):
        places.setdefault((segment, shard_of(viewer, shards)), []).append(row)
    async with redis.pipeline(transaction=False) as pipe:
        for (segment, shard), rows in places.items():
            viewers: list[Any] = [wanted[row][2] for row in rows]
            pipe.exists(_closed(segment))
            pipe.zmscore(_frozen(segment, shard), viewers)
            pipe.zmscore(_tally(segment, shard), viewers)
        answers = iter(await pipe.execute())
    totals = [0] * len(wanted)
    for rows, closed, frozen, written in zip(places.values(), answers, answers, answers, strict=True):
        for row, total in zip(rows, frozen if closed else written, strict=True):
            totals[row] = int(total or 0)
    return totals


async def confirm_flushed(redis: AsyncRedis, segment: str, gateway: str) -> None:
    """This gateway takes no report of the segment any more, and has written all it had."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.sadd(own(f"flushed:{segment}"), gateway)
        pipe.expire(own(f"flushed:{segment}"), KEEP_S)
        await pipe.execute()


async def exchange_heartbeats(
    redis: AsyncRedis,
    gateway: str,
    heartbeat: dict[str, Any],
    segments: list[str],
    issued: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, int]], str]:
    """Writes this gateway's heartbeat, and by show how many passes of each source it has issued (absolute figures).

    Returns the heartbeats of all gateways, the live counters of the segments, and which life of which server answered:
    when that changes, the server may have lost totals that were acknowledged.
    """
    async with redis.pipeline(transaction=False) as pipe:
        pipe.info("server")
        pipe.get(own(LIFE))
        for slug, passes in issued.items():
            pipe.expire(_issued(slug), KEEP_S)
            pipe.hset(_issued(slug), gateway, msgspec.json.encode(dict(passes)))
        pipe.hset(own(GATEWAYS), gateway, msgspec.json.encode(heartbeat))
        pipe.hgetall(own(GATEWAYS))
        for segment in segments:
            pipe.hgetall(own(f"live:{segment}"))
        server, life, *answers = await pipe.execute()
    beats, *counters = answers[2 * len(issued) + 1 :]
    if not _is_of(life, server):
        # Emptied, restarted or replaced: whoever notices first says so, with the time.
        life = f"{server['run_id']} {heartbeat['at']}".encode()
        await redis.set(own(LIFE), life)
    live = {segment: _sum_counters(found) for segment, found in zip(segments, counters, strict=True)}
    return _alive(beats, heartbeat["at"]), live, life.decode()


def _is_of(life: bytes | None, server: dict[str, Any]) -> bool:
    return life is not None and life.partition(b" ")[0] == server["run_id"].encode()


async def say_goodbye(redis: AsyncRedis, gateway: str) -> None:
    """A gateway that stops in good order is not missed at the next barrier."""
    await redis.hdel(own(GATEWAYS), gateway)


def _sum_counters(found: dict[Any, Any]) -> dict[str, int]:
    """The counters of all gateways together."""
    sums = Counter[str]()
    for row in map(read_object, found.values()):
        sums.update({name: count for name, count in row.items() if type(count) is int})
    return dict(sums)


def _alive(beats: dict[Any, Any], now: int, silent_ms: int = ALIVE_MS) -> dict[str, dict[str, Any]]:
    decoded = {name_of(name): read_beat(beat) for name, beat in beats.items()}
    return {name: beat for name, beat in decoded.items() if beat["at"] > now - silent_ms}


def name_of(gateway: bytes) -> str:
    """A gateway's name; that of a row which no gateway has written may be no text."""
    return gateway.decode(errors="replace")


def read_object(row: bytes) -> dict[str, Any]:
    """What a gateway has written; nothing where it was somebody else: one such row must not hold up a show."""
    try:
        value = msgspec.json.decode(row)
    except (ValueError, RecursionError):  # no JSON, or no text in it, or nested too deeply
        return {}
    return value if isinstance(value, dict) else {}


def read_beat(row: bytes) -> dict[str, Any]:
    """A heartbeat; what is none is of no show, and so old that nobody waits for it."""
    beat = read_object(row)
    shows = beat.get("shows")
    whole = isinstance(shows, dict) and all(isinstance(show, dict) for show in shows.values())
    return beat if whole and type(beat.get("at")) is int else {"at": 0, "shows": {}}


# --- tasks and the console read ---


def read_live(segment: str) -> dict[str, int]:
    """The live counters of a segment: shakes, reports, clamped. For people to look at; the truth is frozen later."""
    found: Any = connect().hgetall(own(f"live:{segment}"))
    sums = _sum_counters(found)
    return {name: sums[name] for name in ("shakes", "reports", "clamped") if name in sums}


class Counted(NamedTuple):
    """What Redis knows of the counting, as it is stored: the live counters of a segment by gateway, the heartbeats of
    all gateways, and by gateway the passes of the show."""

    live: dict[bytes, bytes]
    beats: dict[bytes, bytes]
    issued: dict[bytes, bytes]


def read_counted(segment: str, slug: str) -> Counted:
    """All of it in one round trip."""
    with connect().pipeline(transaction=False) as pipe:
        pipe.hgetall(own(f"live:{segment}"))
        pipe.hgetall(own(GATEWAYS))
        pipe.hgetall(_issued(slug))
        return Counted(*pipe.execute())


def read_gateways(now: int, silent_ms: int = ALIVE_MS) -> dict[str, dict[str, Any]]:
    """The heartbeats of the gateways that are alive: that have not been silent for longer than this."""
    return _alive(connect().hgetall(own(GATEWAYS)), now, silent_ms)


def missing_gateways(segment: str, slug: str, now: int) -> tuple[list[str], list[str]]:
    """Gateways of this show that have not confirmed the segment's flush: (alive, dead). Old names are forgotten."""
    redis: Any = connect()
    flushed = {name_of(name) for name in redis.smembers(own(f"flushed:{segment}"))}
    alive: list[str] = []
    dead: list[str] = []
    for raw_name, beat in redis.hgetall(own(GATEWAYS)).items():
        name, heartbeat = name_of(raw_name), read_beat(beat)
        at = heartbeat["at"]
        if at <= now - FORGET_MS:
            redis.hdel(own(GATEWAYS), raw_name)
        elif slug in heartbeat["shows"] and name not in flushed:
            (alive if at > now - ALIVE_MS else dead).append(name)
    return sorted(alive), sorted(dead)


def close_tally(segment: str, shards: int) -> None:
    """The fence: sets the closed mark and moves all shards aside, in one transaction. A second call does nothing.

    A write that comes later sees the mark and is not acknowledged; it lands in a key that nobody reads.
    """

    def close(pipe: Any) -> None:
        closed = pipe.exists(_closed(segment))
        pipe.multi()
        if closed:
            return
        pipe.set(_closed(segment), 1, ex=KEEP_S)
        pipe.delete(own(f"lost:{segment}"))
        for shard in range(shards):
            pipe.zadd(_tally(segment, shard), {NOBODY: 0})
            pipe.rename(_tally(segment, shard), _frozen(segment, shard))
            pipe.expire(_frozen(segment, shard), KEEP_S)
            pipe.hset(_origins(segment, shard), NOBODY, b"")
            pipe.rename(_origins(segment, shard), _frozen_origins(segment, shard))
            pipe.expire(_frozen_origins(segment, shard), KEEP_S)

    connect().transaction(close, _closed(segment))


def life_age_ms(now: int) -> int:
    """For how long the gateways have known this Redis as it is now; 0 while none has noticed that it came back."""
    with connect().pipeline(transaction=False) as pipe:
        pipe.info("server")
        pipe.get(own(LIFE))
        server, life = pipe.execute()
    return now - int(life.partition(b" ")[2]) if _is_of(life, server) else 0


def lost_for_ms(segment: str, now: int) -> int:
    """How long ago it was first noticed that the tally of a segment may be lost; a fence ends that."""
    redis: Any = connect()
    redis.set(own(f"lost:{segment}"), now, nx=True, ex=KEEP_S)
    return now - int(redis.get(own(f"lost:{segment}")))


class TallyLost(Exception):
    """A shard that was fenced is not there any more: Redis has lost it, and the gateways write it again."""


def check_fence(segment: str, shards: Iterable[int]) -> None:
    """Raises TallyLost unless all these shards stand behind the fence; each of them holds at least NOBODY."""
    with connect().pipeline(transaction=False) as pipe:
        pipe.exists(_closed(segment))
        for shard in shards:
            pipe.zscore(_frozen(segment, shard), NOBODY)
            pipe.hget(_frozen_origins(segment, shard), NOBODY)
        closed, *sentinels = pipe.execute()
    if not closed or None in sentinels:
        raise TallyLost(f"the tally of segment {segment} is not behind its fence")


def forget_viewer(segment: str, shards: int, viewer: bytes) -> bool:
    """Removes what Redis has of a viewer in a segment that is over; whether there was something."""
    shard = shard_of(viewer, shards)
    with connect().pipeline(transaction=True) as pipe:
        for totals in (_tally(segment, shard), _frozen(segment, shard)):
            pipe.zrem(totals, viewer)
        for origins in (_origins(segment, shard), _frozen_origins(segment, shard)):
            pipe.hdel(origins, viewer)
        return any(pipe.execute())


def read_frozen(segment: str, shard: int) -> Iterator[tuple[bytes, int]]:
    """All totals of a closed shard, in no particular order, read in bounded chunks; TallyLost where it is gone."""
    redis: Any = connect()
    start, whole = 0, False
    while chunk := redis.zrange(_frozen(segment, shard), start, start + CHUNK - 1, withscores=True):
        for viewer, total in chunk:
            if viewer == NOBODY:
                whole = True
            else:
                yield viewer, int(total)
        start += CHUNK
    if not whole:
        raise TallyLost(f"shard {shard} of segment {segment} is not there any more")


def read_origins(
    segment: str, shard: int, viewers: Iterable[Sequence[bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    """The origins of these viewers, who come in bounded chunks, in their order; who has none is left out.

    TallyLost where the shard is gone: nobody is taken for a viewer without an origin.
    """
    redis: Any = connect()
    key = _frozen_origins(segment, shard)
    for chunk in viewers if _count_origins(segment, shard) else ():
        *found, whole = redis.hmget(key, [*chunk, NOBODY])
        if whole is None:
            raise TallyLost(f"origins of shard {shard} of segment {segment} are not there any more")
        yield from ((viewer, origin) for viewer, origin in zip(chunk, found, strict=True) if origin)


def _count_origins(segment: str, shard: int) -> int:
    """Beside NOBODY's."""
    with connect().pipeline(transaction=True) as pipe:
        pipe.hexists(_frozen_origins(segment, shard), NOBODY)
        pipe.hlen(_frozen_origins(segment, shard))
        whole, found = pipe.execute()
    if not whole:
        raise TallyLost(f"origins of shard {shard} of segment {segment} are not there any more")
    return int(found) - 1
