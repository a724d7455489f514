"""What changes every second in the control room."""

from typing import Any

from django.urls import reverse
from redis.exceptions import RedisError

from engagement import tally
from engagement.core.phases import Phase
from engagement.models import Segment, Show
from engagement.restores import trouble
from prizes.cosignatures import describe_witnesses
from prizes.models import MAX_ATTEMPTS, Draw
from prizes.parties import missing_parties, reveal_deadline
from prizes.progress import read_progress
from prizes.stamps import describe_stampers
from prizes.views.buttons import allowed_actions
from prizes.views.rundown import STEPPING, current_segment, fingerprint, rundown
from prizes.waits import describe_wait

LATE_MS = 5_000  # the conductor looks every second
SEAL_LATE_MS = 20_000  # after the grace: the barrier alone may take ten seconds
LAG_MS = 1_000  # a gateway that has waited longer than this to write totals is worth a warning


def describe_live(show: Show, start: int | None, user: Any, now: int) -> dict[str, Any]:
    """The JSON that the control room asks for every second; `is_stamped` of a show spares a query where it is false."""
    segments = rundown(show, start).segments
    figures, warnings = _read_redis(show, segments, now)
    rows = [describe(segment, user, now) for segment in segments]
    if figures["counters"] is not None:  # else Redis does not answer, and is not waited for again
        for row in rows:
            row["progress"] = read_progress(row["id"]) if row["phase"] in STEPPING else None
    witnesses = describe_cosigning(show)
    stampers = describe_stampers(show) if getattr(show, "is_stamped", True) else []
    return {
        "ok": True,
        "now": now,
        "account": user.get_username(),
        "rundown": fingerprint(show, segments),
        "segments": rows,
        "restored": trouble(),
        "alarms": [alarm for row in rows for alarm in row["alarms"]],
        "warnings": [
            *warnings,
            *late_steps(segments, now),
            *witnesses.pop("warnings"),
            *(f"Time stamper {row.name} {row.trouble}." for row in stampers if row.trouble),
        ],
        "witnesses": witnesses,
        "stampers": [
            {"name": row.name, "draw": row.draw, "at": row.at_ms, "trouble": row.trouble} for row in stampers
        ],
        **figures,
    }


def describe_cosigning(show: Show) -> dict[str, Any]:
    """Who has cosigned the ledger, how far, and when on its own clock."""
    witnessing = describe_witnesses(show)
    return {
        "line": witnessing.summary() if witnessing.witnesses else "",
        "rows": [
            {
                "name": row.name,
                "size": row.size,
                "at": row.at_ms,
                "trouble": row.trouble,
                "whole": row.size == witnessing.size,
            }
            for row in witnessing.witnesses
        ],
        "warnings": [f"Witness {row.name} {row.trouble}." for row in witnessing.witnesses if row.trouble],
    }


def describe(segment: Segment, user: Any, now: int) -> dict[str, Any]:
    """One segment as the control room shows it, with the buttons of this user."""
    draws = list(segment.draws.all())
    return {
        "id": segment.pk,
        "phase": segment.phase,
        "air": None if segment.opens_at is None else segment.air_time._asdict(),
        "entries": next((draw.entries for draw in draws), None),
        "seal": next((draw.seal for draw in draws), ""),
        "trouble": "; ".join(draw.trouble for draw in draws if draw.trouble),
        "alarms": alarms(draws),
        "waits": _describe_waits(draws, now) if segment.phase in STEPPING else [],
        "progress": None,
        "actions": allowed_actions(segment, user, now),
        "draws": [{"number": draw.pk, "address": reverse("draw_page", args=[draw.pk])} for draw in draws],
    }


def _describe_waits(draws: list[Draw], now: int) -> list[dict[str, Any]]:
    waits = [describe_wait(draw, now) for draw in draws]
    if len(waits) > 1:
        for draw, wait in zip(draws, waits, strict=True):
            wait["lines"] = [f"list {draw.prize_list.number}: {line}" for line in wait["lines"]]
    return waits


def alarms(draws: list[Draw]) -> list[str]:
    """What nobody may overlook: a draw goes no further without a person."""
    stopped = [disagreement(draw) for draw in draws if draw.disagreement]
    gave_up = [f"Draw {draw} has stopped. {draw.trouble}" for draw in draws if has_given_up(draw)]
    return stopped + gave_up


def has_given_up(draw: Draw) -> bool:
    return draw.attempts >= MAX_ATTEMPTS


def disagreement(draw: Draw) -> str:
    """What the red banner says of a draw that the second implementation does not confirm."""
    return f"The second implementation does not confirm draw {draw}: it is stopped. {draw.disagreement}"


def _read_redis(show: Show, segments: list[Segment], now: int) -> tuple[dict[str, Any], list[str]]:
    """Figures of people and shakes; without Redis there are none, which is said instead of waited for."""
    segment = current_segment(segments)
    try:
        counters = tally.read_live(segment.key) if segment else {}
        gateways = tally.read_gateways(now)
    except (RedisError, OSError):
        return {"counters": None, "gateways": []}, [
            "Redis does not answer. What was acknowledged is kept; please wait."
        ]
    described = [_describe_gateway(name, beat, show.slug) for name, beat in sorted(gateways.items())]
    totals = {
        key: sum(gateway[key] for gateway in described) for key in ("phones", "screens", "pending", "refused")
    }
    figures = {name: counters.get(name, 0) for name in ("shakes", "reports", "clamped")}
    live = {"segment": segment.pk if segment else None, **figures, **totals}
    return {"counters": live, "gateways": described}, _gateway_troubles(described)


def _describe_gateway(name: str, beat: dict[str, Any], slug: str) -> dict[str, Any]:
    show = beat["shows"].get(slug, {})
    people = {key: show.get(key, 0) for key in ("phones", "screens", "refused")}
    return {"name": name, **people, **{key: beat[key] for key in ("pending", "lag_ms", "connections")}}


def _gateway_troubles(gateways: list[dict[str, Any]]) -> list[str]:
    if not gateways:
        return ["No gateway is alive: phones cannot connect."]
    return [
        f"Gateway {gateway['name']} has not written for {gateway['lag_ms'] / 1000:.1f} s."
        for gateway in gateways
        if gateway["lag_ms"] > LAG_MS
    ]


def late_steps(segments: list[Segment], now: int) -> list[str]:
    """What should have happened by itself and has not: then beat or the workers do not answer.

    A step that has given up says so itself, and why.
    """
    segments = [row for row in segments if not any(map(has_given_up, row.draws.all()))]
    late = [text for segment in segments if (text := _late_step(segment, now))]
    return [*late, "Are the Celery worker and beat running? The conductor is late."] if late else []


def _late_step(segment: Segment, now: int) -> str | None:
    if segment.opens_at is None:
        return None
    air = segment.air_time
    due = {
        Phase.ARMED: ("open", air.opens_at + LATE_MS),
        Phase.OPEN: ("closing", air.ends_at + LATE_MS),
        Phase.CLOSING: ("sealed", max(air.grace_ends_at + SEAL_LATE_MS, _parties_until(segment) + LATE_MS)),
    }
    wanted, latest = due.get(Phase(segment.phase), ("", now))
    return f"{segment} is {segment.phase} and should be {wanted} by now." if now > latest else None


def _parties_until(segment: Segment) -> int:
    """Until when secrets are waited for; the seal is not late before that."""
    waiting = (draw for draw in segment.draws.all() if missing_parties(draw))
    return max((reveal_deadline(draw) or 0 for draw in waiting), default=0)
