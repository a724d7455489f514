"""The control room of a show."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from redis.exceptions import RedisError

from engagement import tally
from engagement.actions import (
    MAX_LEAD_S,
    ActionRefused,
    close_segment,
    open_segment,
    void_segment,
)
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.models import Segment, Show
from prizes.actions import (
    arm_segment,
    enter_beacon,
    enter_dice,
    publish_segment,
    request_draw,
    waits_for_drand,
)
from prizes.models import Beacon, DiceEntry, Draw
from prizes.parties import missing_parties, reveal_deadline
from prizes.progress import read_progress
from prizes.views.answers import answer, forbid
from prizes.waits import describe_wait

CONSOLE = "engagement.view_segment"
LEAD_S = 10  # suggested in the form: enough for a host to count down
LATE_MS = 5_000  # the conductor looks every second
SEAL_LATE_MS = 20_000  # after the grace: the barrier alone may take ten seconds
LAG_MS = 1_000  # a gateway that has waited longer than this to write totals is worth a warning

STEPPING = (Phase.ARMED, Phase.OPEN, Phase.CLOSING, Phase.SEALED)  # in which something is waited for

RUN = "engagement.run_segment"
# Every button, and who may press it.
ACTIONS = {
    "arm": RUN,
    "open": RUN,
    "close": RUN,
    "draw": RUN,
    "dice": "prizes.enter_dice",
    "beacon": RUN,
    "publish": RUN,
    "void": "engagement.void_segment",
}

MOST_THROWS = DiceEntry._meta.get_field("digits").max_length or 0
MOST_PASTED = 2_000  # characters; a relay's answer has about 300


class BadInput(ValueError):
    """A form field is not what it should be; the text is for the operator."""


# --- pages of the crew --------------------------------------------------------------------------------------


@require_safe
@login_required
@permission_required(CONSOLE, raise_exception=True)
def console(request: HttpRequest) -> HttpResponseBase:
    """All shows."""
    return render(request, "prizes/console.html", {"shows": Show.objects.all()})


@require_safe
@never_cache
@login_required
@permission_required(CONSOLE, raise_exception=True)
def control_room(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The rundown of one show with a button for everything that can be done now."""
    show = get_object_or_404(Show, slug=slug)
    now = now_ms()
    rows = [{"segment": segment, **_describe(segment, request.user, now)} for segment in rundown(show)]
    alarms = [alarm for row in rows for alarm in row["alarms"]]
    context = {"show": show, "rows": rows, "alarms": alarms, "lead_s": LEAD_S, "max_lead_s": MAX_LEAD_S}
    return render(request, "prizes/control_room.html", context)


@require_safe
@never_cache
def live(request: HttpRequest, slug: str) -> JsonResponse:
    """What changes every second in the control room. JSON for every answer: a script reads it, not a person."""
    if not request.user.has_perm(CONSOLE):
        return JsonResponse({"ok": False, "message": "please log in again"}, status=403)
    return JsonResponse(describe_live(get_object_or_404(Show, slug=slug), request.user, now_ms()))


# --- buttons ------------------------------------------------------------------------------------------------


@require_POST
def act(request: HttpRequest, slug: str, segment_id: int, action: str) -> HttpResponseBase:
    """One press of a button: does it, and tells what came of it."""
    segment = get_object_or_404(Segment, pk=segment_id, show__slug=slug)
    if action not in ACTIONS:
        raise Http404(f"there is no action {action!r}")
    if not request.user.has_perm(ACTIONS[action]):
        return forbid(request, "control_room", slug)
    status, message = _perform(request, segment, action)
    return _answer(request, slug, segment_id, status, message)


def _perform(request: HttpRequest, segment: Segment, action: str) -> tuple[int, str]:
    try:
        return 200, _do(action, segment, request.POST, request.user.get_username())
    except ActionRefused as refusal:
        return 409, str(refusal)
    except BadInput as error:
        return 400, str(error)
    except OperationalError:
        # Another action holds the show for longer than we wait: nothing was written, and that is worth saying.
        return 503, "The database is busy; nothing was changed. Please try again."


def _do(action: str, segment: Segment, fields: Any, actor: str) -> str:
    """Runs the action; returns what to tell the operator."""
    reason = "".join(letter for letter in fields.get("reason", "").strip()[:500] if letter.isprintable())
    if action == "arm":
        return f"{arm_segment(segment.pk, actor=actor)} is armed: its rules and prizes are committed to."
    if action == "open":
        lead_s = _number(fields, "lead", LEAD_S, 0, MAX_LEAD_S)
        opened = open_segment(segment.pk, actor=actor, lead_s=lead_s)
        return f"{opened} opens in {lead_s} s, for {opened.window_s} s."
    if action == "close":
        return f"{close_segment(segment.pk, actor=actor, reason=reason)} is closed; delayed feeds follow."
    if action == "void":
        return f"{void_segment(segment.pk, actor=actor, reason=reason)} is void."
    if action == "draw":
        return f"{request_draw(segment.pk, actor=actor)} is being drawn."
    if action == "publish":
        return f"{publish_segment(segment.pk, actor=actor)} is published."
    if action == "beacon":
        return _enter_beacon(segment, fields.get("signature", ""), actor)
    return _enter_dice(segment, fields.get("digits", ""), actor)


def _enter_beacon(segment: Segment, typed: str, actor: str) -> str:
    if len(typed) > MOST_PASTED:
        raise BadInput(f"beacon: expected at most {MOST_PASTED} characters, got {len(typed)}")
    taken = enter_beacon(segment.pk, typed, actor=actor)
    return f"The signature is right: the beacon of {', '.join(map(str, taken))} is taken."


def _enter_dice(segment: Segment, typed: str, actor: str) -> str:
    digits = "".join(typed.split())
    if len(digits) > MOST_THROWS:
        raise BadInput(f"dice: expected at most {MOST_THROWS} throws, got {len(digits)}")
    draw = enter_dice(segment.pk, digits, actor=actor)
    if draw.beacon_value:
        return f"Both agree: the throws of {draw} are taken."
    if draw.dice_entries.exclude(operator=actor).exists():
        return f"Your throws of {draw} differ from those of another operator: compare, and type again what was wrong."
    return f"Your throws of {draw} are kept; a second operator has to type the same."


def _number(fields: Any, name: str, default: int, low: int, high: int) -> int:
    text = fields.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise BadInput(f"{name}: expected {low} to {high} seconds, got {text[:20]!r}")
    return int(text)


def _answer(request: HttpRequest, slug: str, segment_id: int, status: int, message: str) -> HttpResponseBase:
    phase = Segment.objects.values_list("phase", flat=True)
    more = {"phase": phase.get(pk=segment_id)} if status == 409 else {}
    return answer(request, "control_room", slug, status, message, **more)


def rundown(show: Show) -> list[Segment]:
    """The segments of a show with all that the control room needs, in a fixed number of queries."""
    related = ("show__feeds", "draws__prize_list", "draws__revealed", "draws__dice_entries", "prize_lists")
    segments = list(show.segments.select_related("show", "freeze").prefetch_related(*related))
    for segment in segments:
        for draw in segment.draws.all():
            draw.segment = segment  # with its freeze, which is not asked for again
    return segments


# --- what can be done ---------------------------------------------------------------------------------------


def allowed_actions(segment: Segment, user: Any, now: int) -> list[str]:
    """The buttons that make sense now, for this user. Only a hint: the actions have the last word."""
    return [name for name in possible_actions(segment, now) if user.has_perm(ACTIONS[name])]


def possible_actions(segment: Segment, now: int) -> list[str]:
    """What the phase allows, whoever asks."""
    phase = Phase(segment.phase)
    if phase == Phase.DRAFT:
        return ["arm", "void"]
    if phase == Phase.ARMED and segment.opens_at is None:
        return ["open", "void"]
    if phase in (Phase.ARMED, Phase.OPEN):
        return ["close", "void"] if _on_air(segment, now) else ["void"]
    if phase == Phase.CLOSING:
        return (["draw"] if any(draw.attempts > 0 for draw in segment.draws.all()) else []) + ["void"]
    if phase == Phase.SEALED:
        return _possible_when_sealed(list(segment.draws.all()), now)
    return ["publish"] if phase == Phase.DRAWN else []


def _on_air(segment: Segment, now: int) -> bool:
    return segment.air_time.opens_at <= now < segment.air_time.closes_at


def _possible_when_sealed(draws: list[Draw], now: int) -> list[str]:
    possible = {
        "draw": any(waits_for_operator(draw) or draw.attempts > 0 or draw.disagreement for draw in draws),
        "dice": any(waits_for_dice(draw) for draw in draws),
        "beacon": any(waits_for_drand(draw, now) for draw in draws),
    }
    return [name for name, makes_sense in possible.items() if makes_sense]


def waits_for_operator(draw: Draw) -> bool:
    """Whether a draw is sealed and does not start by itself."""
    return draw.step == Draw.Step.SEALED and draw.requested_at is None and not draw.prize_list.draw_at_once


def waits_for_dice(draw: Draw) -> bool:
    """Whether operators have to type in what was thrown on air."""
    return draw.beacon_kind == Beacon.DICE and draw.seal != "" and draw.beacon_value == ""


# --- live ---------------------------------------------------------------------------------------------------


def describe_live(show: Show, user: Any, now: int) -> dict[str, Any]:
    """The JSON that the control room asks for every second."""
    segments = rundown(show)
    figures, warnings = _read_redis(show, segments, now)
    rows = [_describe(segment, user, now) for segment in segments]
    if figures["counters"] is not None:  # else Redis does not answer, and is not waited for again
        for row in rows:
            row["progress"] = read_progress(row["id"]) if row["phase"] in STEPPING else None
    return {
        "ok": True,
        "now": now,
        "segments": rows,
        "alarms": [alarm for row in rows for alarm in row["alarms"]],
        "warnings": warnings + late_steps(segments, now),
        **figures,
    }


def _describe(segment: Segment, user: Any, now: int) -> dict[str, Any]:
    draws = list(segment.draws.all())
    return {
        "id": segment.pk,
        "phase": segment.phase,
        "air": None if segment.opens_at is None else segment.air_time._asdict(),
        "entries": next((draw.entries for draw in draws), None),
        "seal": next((draw.seal for draw in draws), ""),
        "trouble": "; ".join(draw.trouble for draw in draws if draw.trouble),
        "alarms": [disagreement(draw) for draw in draws if draw.disagreement],
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


def current_segment(segments: list[Segment]) -> Segment | None:
    """The segment whose shakes are shown: the one that was on air last."""
    aired = [segment for segment in segments if segment.opens_at is not None and segment.phase != Phase.VOID]
    return max(aired, key=lambda segment: segment.air_time.opens_at, default=None)


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
    """What should have happened by itself and has not: then beat or the workers do not answer."""
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
