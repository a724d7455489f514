"""The fixed cast of the tests: a show with two feeds, segments with prizes, and people."""

import itertools
import json
from datetime import datetime
from typing import Any, cast

import msgspec
from django.conf import settings

from engagement import tally
from engagement.clock import from_ms, now_ms, to_ms
from engagement.core.messages import Prize, Result, Winner, Won
from engagement.core.phases import Phase
from engagement.core.show_state import ShowState, demo_state, parse_state
from engagement.fair_play.models import FairPlay
from engagement.keys import own
from engagement.ledger.append import GENESIS, explain_entry
from engagement.models import Feed, Segment, Show
from engagement.vault import lock_secret
from prizes import models as draw_side
from prizes.steps.arm import arm_segment

OPERATOR, DIRECTOR, AUDITOR, INTRUDER = "olga", "dirk", "audrey", "mallory"
APP_DELAY, TV_DELAY = 0, 400

# A show that no database knows.
DEMO_STATE = msgspec.structs.replace(
    demo_state(), installation=settings.INSTALLATION, k_show=lock_secret(bytes(32))
)

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


def take_many_guests(show: Show) -> Show:
    """Where more guests come from this machine than from any one address of a hall."""
    FairPlay.objects.filter(show=show).update(carriers="127.0.0.0/8 10000")
    return show


def make_segment(
    show: Show, *, prizes: int = 2, quantity: int = 1, beacon: str = "local", reserves: int = 1, **fields: Any
) -> Segment:
    """A draft with one prize list of so many prizes, and so many pieces of each."""
    position = show.segments.count() + 1
    fields = {"position": position, "title": f"Segment {position}", "window_s": 20} | fields
    segment = Segment.objects.create(show=show, **fields)
    prize_list = draw_side.PrizeList.objects.create(segment=segment, beacon=beacon, reserves=reserves)
    for place in range(1, prizes + 1):
        add_prize(prize_list, place, quantity=quantity)
    return segment


def add_prize(prize_list: draw_side.PrizeList, position: int = 1, **fields: Any) -> draw_side.Prize:
    fields = {
        "celebrity": f"Star {position}",
        "celebrity_zh": f"明星 {position}",
        "brand": "Paper Crane",
        "garment": "Coat",
        "size": "M",
        "value_minor": 100_000,
    } | fields
    return draw_side.Prize.objects.create(prize_list=prize_list, position=position, **fields)


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
    Show.objects.filter(pk=segment.show_id).update(seq=segment.show.seq + 1_000 + next(_numbers), stale=True)
    announce(segment.show_id)
    gateways_were_here()
    return Segment.objects.select_related("show").get(pk=segment.pk)


def gateways_were_here() -> None:
    """As if gateways had known this Redis for ever: without them, the barrier waits for them.

    Always with the same life: a gateway that finds another one than before writes, and acknowledges, everything again.
    """
    redis = tally.connect()
    redis.set(own(tally.LIFE), f"{redis.info('server')['run_id']} 0")


def a_gateway_lives() -> None:
    """As if one sent heartbeats for a minute, and were in no show: no lamp is red, and nobody waits for it."""
    beat = {"at": now_ms() + 60_000, "shows": {}, "pending": 0, "lag_ms": 0, "connections": 0}
    tally.connect().hset(own(tally.GATEWAYS), "gate-1", json.dumps(beat))


def state_in_redis(show: Show) -> ShowState:
    """What gateways that come now are told of a show."""
    return parse_state(cast(bytes, tally.connect().get(own(f"show:{show.slug}"))))


def break_of(show: Show) -> int | None:
    """The position of the first entry of a ledger that breaks its chain; None where it is whole."""
    previous = GENESIS
    for position, entry in enumerate(show.ledger.order_by("position")):
        if explain_entry(entry, position, previous):
            return position
        previous = entry.digest
    return None


def in_ms(moment: datetime | None) -> int:
    """A time that the test knows to be set."""
    assert moment is not None
    return to_ms(moment)


def totals_in_tally(segment: Segment) -> dict[str, int]:
    """What Redis holds of a segment now: pseudonym in hex -> total."""
    redis: Any = tally.connect()
    return {
        viewer.hex(): int(total)
        for shard in range(segment.shards)
        for viewer, total in redis.zrange(own(f"tally:{segment.key}:{shard}"), 0, -1, withscores=True)
    }


# --- what is told of a published draw ---

PRIZE = Prize(
    id=1,
    celebrity="Lin Yao",
    celebrity_zh="林遥",
    brand="Northlight",
    garment="Silver coat",
    garment_zh="银色大衣",
    size="M",
    quantity=1,
    value_minor=100,
    currency="CNY",
)


def make_winner(viewer: str, **fields: Any) -> Winner:
    return Winner(pseudonym=viewer, name="Amber Comet", prize=PRIZE.id, **fields)


def make_result(segment: int, *winners: Winner, draw: int = 5, **fields: Any) -> Result:
    told: dict[str, Any] = {
        "seal": "",
        "strength": "rehearsal",
        "record_url": "/r",
        "claim_url": "/c",
        "claim_by": 1_000,
        "published_at": draw,
        "shown_at": draw,
        "winners_total": len(winners),
        "winners_url": "/w",
        "prizes": [PRIZE] if winners else [],
    }
    return Result(draw=draw, segment=segment, winners=list(winners), **told | fields)


def make_won(draw: int = 5, status: Any = "won", claim_by: int = 1_000) -> Won:
    return Won(draw=draw, prize=PRIZE, claim_url="/c", claim_by=claim_by, status=status, shown_at=5)
