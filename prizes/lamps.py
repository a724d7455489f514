"""What is red in the control room: nobody goes on air alone with it (prizes/approvals.py)."""

from typing import Any

from django.utils.translation import override
from redis.exceptions import RedisError

from engagement import tally
from engagement.core.phases import UNDER_WAY, Phase
from engagement.languages import mark, retell, say
from engagement.models import Segment, Show
from engagement.phrases import phase_text
from prizes.models import MAX_ATTEMPTS, Draw
from prizes.parties import missing_parties, reveal_deadline

LATE_MS = 5_000  # the conductor looks every second
SEAL_LATE_MS = 20_000  # after the grace: the barrier alone may take ten seconds
NOT_WRITTEN = " has not written for "
LAG_MS = 1_000  # a gateway that has waited longer than this to write totals is worth a warning
RED_LAG_MS = 5_000  # and after this it is no mere load any more
NO_REDIS = mark("Redis does not answer. What was acknowledged is kept; please wait.")
DIFFERS = mark("The second implementation does not confirm draw {draw}: it is stopped. {why}")
STOPPED = mark("Draw {draw} has stopped. {why}")
NO_GATEWAY = mark("No gateway is alive: phones cannot connect.")
SILENT = mark("Gateway {gateway} has not written for {seconds} s.")
LATE = mark("{segment} is {phase} and should be {wanted} by now.")
WORKERS = mark("Are the Celery worker and beat running? The conductor is late.")
TEXTS = (NO_REDIS, DIFFERS, STOPPED, NO_GATEWAY, SILENT, LATE, WORKERS)
MOST = 50  # segments under way that are looked at


def red_lamps(show: Show, now: int) -> list[str]:
    """Everything that is red for a show, in a fixed number of queries; in English, as it is compared and kept."""
    with override("en"):
        return _red_lamps(show, now)


def tell_lamp(lamp: str) -> str:
    """A lamp that was kept, for whoever reads it now."""
    return retell(lamp, TEXTS)


def _red_lamps(show: Show, now: int) -> list[str]:
    under_way = show.segments.filter(phase__in=UNDER_WAY).select_related("show", "freeze")
    related = ("show__feeds", "draws__revealed", "draws__prize_list")
    segments = list(under_way.prefetch_related(*related).order_by("position")[:MOST])
    for segment in segments:
        for draw in segment.draws.all():
            draw.segment = segment  # with its freeze, which is not asked for again
    stopped = [lamp for segment in segments for lamp in alarms(list(segment.draws.all()))]
    try:
        gateways = tally.read_gateways(now)
    except (RedisError, OSError):
        return [*stopped, say(NO_REDIS), *late_steps(segments, now)]
    return [*stopped, *gateway_troubles(gateways, RED_LAG_MS), *late_steps(segments, now)]


def name_of(lamp: str) -> str:
    """What stays the same of a lamp from second to second.

    >>> name_of("Gateway one has not written for 5.3 s.") == name_of("Gateway one has not written for 6.4 s.")
    True
    """
    return lamp.partition(NOT_WRITTEN)[0]


def alarms(draws: list[Draw]) -> list[str]:
    """What nobody may overlook: a draw goes no further without a person."""
    stopped = [disagreement(draw) for draw in draws if draw.disagreement]
    gave_up = [say(STOPPED, draw=draw, why=draw.trouble) for draw in draws if has_given_up(draw)]
    return stopped + gave_up


def has_given_up(draw: Draw) -> bool:
    return draw.attempts >= MAX_ATTEMPTS


def disagreement(draw: Draw) -> str:
    """What the red banner says of a draw that the second implementation does not confirm."""
    return say(DIFFERS, draw=draw, why=draw.disagreement)


def gateway_troubles(gateways: dict[str, dict[str, Any]], lag_ms: int = LAG_MS) -> list[str]:
    """Of the heartbeats of those that are alive."""
    if not gateways:
        return [say(NO_GATEWAY)]
    return [
        say(SILENT, gateway=name, seconds=format(beat["lag_ms"] / 1000, ".1f"))
        for name, beat in sorted(gateways.items())
        if beat["lag_ms"] > lag_ms
    ]


def late_steps(segments: list[Segment], now: int) -> list[str]:
    """What should have happened by itself and has not: then beat or the workers do not answer.

    A step that has given up says so itself, and why.
    """
    segments = [row for row in segments if not any(map(has_given_up, row.draws.all()))]
    late = [text for segment in segments if (text := _late_step(segment, now))]
    return [*late, say(WORKERS)] if late else []


def _late_step(segment: Segment, now: int) -> str | None:
    if segment.opens_at is None:
        return None
    air = segment.air_time
    due = {
        Phase.ARMED: (Phase.OPEN, air.opens_at + LATE_MS),
        Phase.OPEN: (Phase.CLOSING, air.ends_at + LATE_MS),
        Phase.CLOSING: (
            Phase.SEALED,
            max(air.grace_ends_at + SEAL_LATE_MS, _parties_until(segment) + LATE_MS),
        ),
    }
    wanted, latest = due.get(Phase(segment.phase), (Phase.DRAFT, now))
    if now <= latest:
        return None
    return say(LATE, segment=segment, phase=phase_text(segment.phase), wanted=phase_text(wanted))


def _parties_until(segment: Segment) -> int:
    """Until when secrets are waited for; the seal is not late before that."""
    waiting = (draw for draw in segment.draws.all() if missing_parties(draw))
    return max((reveal_deadline(draw) or 0 for draw in waiting), default=0)
