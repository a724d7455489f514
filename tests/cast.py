"""The fixed cast of the tests: a show with two feeds, segments with prizes, and people."""

import itertools
from typing import Any

import msgspec

from engagement import tally
from engagement.clock import from_ms, now_ms
from engagement.core.phases import Phase
from engagement.core.show_state import demo_state
from engagement.models import Feed, Segment, Show
from engagement.vault import lock_secret
from prizes.actions import arm_segment
from prizes.models import Prize, PrizeList

OPERATOR, DIRECTOR, AUDITOR, INTRUDER = "olga", "dirk", "audrey", "mallory"
APP_DELAY, TV_DELAY = 0, 400

# A show that no database knows.
DEMO_STATE = msgspec.structs.replace(demo_state(), k_show=lock_secret(bytes(32)))

_numbers = itertools.count(1)


def make_show(**fields: Any) -> Show:
    """A show with the feeds app and tv (0.4 s behind), open to guests, with a short grace."""
    number = next(_numbers)
    fields = {
        "slug": f"show-{number}",
        "title": f"Show {number}",
        "guests_allowed": True,
        "grace_ms": 600,
    } | fields
    show = Show.objects.create(**fields)
    Feed.objects.create(show=show, name="app", title="App", delay_ms=APP_DELAY, position=1)
    Feed.objects.create(show=show, name="tv", title="Television", delay_ms=TV_DELAY, position=2)
    return show


def make_segment(
    show: Show, *, prizes: int = 2, beacon: str = "local", reserves: int = 1, **fields: Any
) -> Segment:
    """A draft with one prize list of so many prizes."""
    position = show.segments.count() + 1
    fields = {"position": position, "title": f"Segment {position}", "window_s": 20} | fields
    segment = Segment.objects.create(show=show, **fields)
    prize_list = PrizeList.objects.create(segment=segment, beacon=beacon, reserves=reserves)
    for place in range(1, prizes + 1):
        add_prize(prize_list, place)
    return segment


def add_prize(prize_list: PrizeList, position: int = 1, **fields: Any) -> Prize:
    fields = {
        "celebrity": f"Star {position}",
        "celebrity_zh": f"明星 {position}",
        "brand": "Paper Crane",
        "garment": "Coat",
        "size": "M",
        "value_minor": 100_000,
    } | fields
    return Prize.objects.create(prize_list=prize_list, position=position, **fields)


def armed_segment(show: Show, **fields: Any) -> Segment:
    return arm(make_segment(show, **fields))


def arm(segment: Segment) -> Segment:
    """Arms a draft as of a minute ago, so that it can have been on air since."""
    return arm_segment(segment.pk, actor=OPERATOR, now=now_ms() - 60_000)


def put_on_air(
    segment: Segment, *, opened_ms_ago: int = 5_000, left_ms: int = 15_000, phase: Phase = Phase.OPEN
) -> Segment:
    """As if an armed segment had been opened some time ago: window rows as the conductor leaves them, announced."""
    from engagement.actions import announce

    now = now_ms()
    times = {"opens_at": from_ms(now - opened_ms_ago), "closes_at": from_ms(now + left_ms)}
    Segment.objects.filter(pk=segment.pk).update(phase=phase, **times)
    Show.objects.filter(pk=segment.show_id).update(seq=segment.show.seq + 1_000 + next(_numbers))
    announce(segment.show_id)
    gateways_were_here()
    return Segment.objects.select_related("show").get(pk=segment.pk)


def gateways_were_here() -> None:
    """As if gateways had known this Redis for ever: without them, the barrier waits for them.

    Always with the same life: a gateway that finds another one than before writes, and acknowledges, everything again.
    """
    redis = tally.connect()
    redis.set(tally.LIFE, f"{redis.info('server')['run_id']} 0")


def totals_in_tally(segment: Segment) -> dict[str, int]:
    """What Redis holds of a segment now: pseudonym in hex -> total."""
    redis = tally.connect()
    return {
        viewer.hex(): int(total)
        for shard in range(segment.shards)
        for viewer, total in redis.zrange(f"tally:{segment.key}:{shard}", 0, -1, withscores=True)
    }
