"""What changes every second in the control room."""

from typing import Any

from django.urls import reverse
from redis.exceptions import RedisError

from engagement import tally
from engagement.clock import from_ms
from engagement.languages import say
from engagement.models import Segment, Show
from engagement.phrases import action_text
from engagement.restores import trouble
from prizes.approvals import VALID_MS, open_requests
from prizes.cosignatures import describe_witnesses
from prizes.lamps import NO_REDIS, alarms, gateway_troubles, late_steps, tell_lamp
from prizes.models import Approval, Draw
from prizes.progress import read_progress
from prizes.stamps import describe_stampers
from prizes.views.buttons import DECIDE, allowed_actions
from prizes.views.rundown import STEPPING, current_segment, fingerprint, rundown
from prizes.waits import describe_wait


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
        "cue": show.cue["kind"],
        "restored": trouble(),
        "requests": describe_requests(show, user, now),
        "alarms": [alarm for row in rows for alarm in row["alarms"]],
        "warnings": [
            *warnings,
            *late_steps(segments, now),
            *witnesses.pop("warnings"),
            *(
                say("Time stamper {name} {trouble}.", name=row.name, trouble=row.trouble)
                for row in stampers
                if row.trouble
            ),
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
        "warnings": [
            say("Witness {name} {trouble}.", name=row.name, trouble=row.trouble)
            for row in witnessing.witnesses
            if row.trouble
        ],
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
        "named": segment.announced_naming.get("named", 0),
        "draws": [{"number": draw.pk, "address": reverse("draw_page", args=[draw.pk])} for draw in draws],
    }


def _describe_waits(draws: list[Draw], now: int) -> list[dict[str, Any]]:
    waits = [describe_wait(draw, now) for draw in draws]
    if len(waits) > 1:
        for draw, wait in zip(draws, waits, strict=True):
            wait["lines"] = [
                say("list {number}: {line}", number=draw.prize_list.number, line=line)
                for line in wait["lines"]
            ]
    return waits


def _read_redis(show: Show, segments: list[Segment], now: int) -> tuple[dict[str, Any], list[str]]:
    """Figures of people and shakes; without Redis there are none, which is said instead of waited for."""
    segment = current_segment(segments)
    try:
        counters = tally.read_live(segment.key) if segment else {}
        gateways = tally.read_gateways(now)
    except (RedisError, OSError):
        return {"counters": None, "gateways": []}, [say(NO_REDIS)]
    described = [_describe_gateway(name, beat, show.slug) for name, beat in sorted(gateways.items())]
    totals = {
        key: sum(gateway[key] for gateway in described) for key in ("phones", "screens", "pending", "refused")
    }
    figures = {name: counters.get(name, 0) for name in ("shakes", "reports", "clamped")}
    live = {"segment": segment.pk if segment else None, **figures, **totals}
    return {"counters": live, "gateways": described}, gateway_troubles(gateways)


def _describe_gateway(name: str, beat: dict[str, Any], slug: str) -> dict[str, Any]:
    show = beat["shows"].get(slug, {})
    people = {key: show.get(key, 0) for key in ("phones", "screens", "refused")}
    return {"name": name, **people, **{key: beat[key] for key in ("pending", "lag_ms", "connections")}}


def describe_requests(show: Show, user: Any, now: int) -> list[dict[str, Any]]:
    """What one person has asked for, and what this user can say to it; `is_asked` of a show spares a query."""
    if not getattr(show, "is_asked", True):
        return []
    decides = user.has_perm(DECIDE)
    return [
        {
            "id": asked.pk,
            "text": tell_request(asked),
            "until": asked.asked_at_ms + VALID_MS,
            "may_agree": decides and asked.asked_by != user.get_username(),
            "may_refuse": decides or asked.asked_by == user.get_username(),
            "refuse": say("Withdraw") if asked.asked_by == user.get_username() else say("Refuse"),
        }
        for asked in open_requests(show.pk, now)
    ]


def tell_request(asked: Approval) -> str:
    """A request as people read it: with whom it waits for, and until when."""
    lamps = "".join(" " + say("Red: {lamps}", lamps=tell_lamp(lamp)) for lamp in asked.what.get("lamps", []))
    reason = f" ({asked.reason})" if asked.reason else ""
    until = say("{at} UTC", at=from_ms(asked.asked_at_ms + VALID_MS).strftime("%H:%M:%S"))
    wanted = say(
        "A director other than {asked_by} has to agree by {until}.", asked_by=asked.asked_by, until=until
    )
    return say(
        "{asked_by} asks to {action} {segment}{reason}.{lamps} {wanted}",
        asked_by=asked.asked_by,
        action=action_text(asked.action),
        segment=asked.segment or asked.subject,
        reason=reason,
        lamps=lamps,
        wanted=wanted,
    )
