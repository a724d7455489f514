"""The control room of a show."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement import outcomes
from engagement.actions import (
    MAX_LEAD_S,
    ActionRefused,
    close_segment,
    last_change,
    open_segment,
)
from engagement.clock import now_ms
from engagement.languages import mark, name_text, say
from engagement.models import Segment, Show
from engagement.paging import newest_first, read_number
from engagement.phrases import action_text, phase_text
from engagement.refusals import wants_json
from engagement.restores import trouble
from engagement.roles import CONSOLE
from engagement.screens import OVERLAYS
from prizes.approvals import VALID_MS, lamps_before, needs_two, press, tell_asked, tell_lamps
from prizes.crew import glass
from prizes.lamps import tell_lamp
from prizes.logins import session_of
from prizes.models import Approval, DiceEntry, Stamper
from prizes.steps.arm import arm_segment
from prizes.steps.beacon import enter_beacon, enter_dice
from prizes.steps.draw import request_draw
from prizes.steps.naming import name_next_winner
from prizes.steps.publish import publish_segment
from prizes.steps.repeat import repeat_segment
from prizes.views.answers import answer, button, forbid, read_reason, refuse_old_login, refuse_stranger
from prizes.views.buttons import ACTIONS, DECIDE, RUN
from prizes.views.cues import list_prizes
from prizes.views.live import describe, describe_live, describe_requests
from prizes.views.rundown import fingerprint, rundown

LEAD_S = 10  # suggested in the form: enough for a host to count down
SHOWS_AT_ONCE = 50

MOST_THROWS = DiceEntry._meta.get_field("digits").max_length or 0
GONE = "Nothing was done: this segment was deleted. Reload the page."
MOST_NAMED = 1_000_000  # winners that a page can say are named
MOST_PASTED = 2_000  # characters; a relay's answer has about 300


# Most of the time nothing waits for a second person, and is not asked for every second.
ASKED = Exists(Approval.objects.filter(show=OuterRef("pk"), approved=None))

SECONDS = mark("{field}: expected {low} to {high} seconds, got {typed}")
WINNERS = mark("{field}: expected {low} to {high} winners, got {typed}")


class BadInput(ValueError):
    """A form field is not what it should be; the text is for the operator."""


# --- pages of the crew --------------------------------------------------------------------------------------


@require_safe
@login_required
@permission_required(CONSOLE, raise_exception=True)
def console(request: HttpRequest) -> HttpResponseBase:
    """The shows, the newest first; older ones on further pages."""
    shows = newest_first(request, Show.objects.all(), SHOWS_AT_ONCE)
    context = {"shows": shows, "restored": trouble(), "glass": glass.alarm()}
    return render(request, "prizes/console.html", context)


@require_safe
@never_cache
@login_required
@permission_required(CONSOLE, raise_exception=True)
def control_room(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The rundown of one show with a button for everything that can be done now."""
    show = get_object_or_404(Show.objects.annotate(is_asked=ASKED), slug=slug)
    now, shown = now_ms(), rundown(show, read_number(request, "from"))
    rows = [{"segment": segment, **describe(segment, request.user, now)} for segment in shown.segments]
    alarms = [alarm for row in rows for alarm in row["alarms"]]
    context = {"show": show, "rows": rows, "alarms": alarms, "lead_s": LEAD_S, "max_lead_s": MAX_LEAD_S}
    context |= {"shown": shown, "restored": trouble(), "glass": glass.alarm()}
    context |= {"fingerprint": fingerprint(show, shown.segments)}
    context |= {"requests": describe_requests(show, request.user, now)}
    context |= {
        "prizes": list_prizes(shown.segments),
        "runs": request.user.has_perm(RUN),
        "overlays": OVERLAYS,
    }
    return render(request, "prizes/control_room.html", context)


@require_safe
@never_cache
def live(request: HttpRequest, slug: str) -> HttpResponse:
    """What changes every second in the control room. JSON for every answer: a script reads it, not a person."""
    if not request.user.has_perm(CONSOLE):
        return refuse_stranger(request)
    named = Exists(Stamper.objects.filter(show=OuterRef("pk")))
    show = get_object_or_404(Show.objects.annotate(is_stamped=named, is_asked=ASKED), slug=slug)
    start = read_number(request, "from")
    return JsonResponse(describe_live(show, start, request.user, now_ms()))


# --- buttons ------------------------------------------------------------------------------------------------


@button
def act(request: HttpRequest, slug: str, segment_id: int, action: str) -> HttpResponseBase:
    """One press of a button: does it, and tells what came of it."""
    segment = Segment.objects.filter(pk=segment_id, show__slug=slug).first()
    if segment is None and wants_json(request):
        return answer(request, "control_room", slug, 404, GONE)
    if segment is None or action not in ACTIONS:
        raise Http404(f"there is no segment {segment_id}, or no action {action!r}")
    if not request.user.has_perm(ACTIONS[action]):
        return forbid(request, "control_room", slug=slug)
    outcomes.current().look = lambda: _look(segment_id)
    status, message = _perform(request, segment, action)
    return _answer(request, slug, segment_id, status, message)


def _perform(request: HttpRequest, segment: Segment, action: str) -> tuple[int, str]:
    try:
        lamps = lamps_before(segment, action, now_ms())
        if needs_two(segment, action, lamps):
            return 200, _ask(request, segment, action, lamps)
        return 200, _do(action, segment, request)
    except ActionRefused as refusal:
        return 409, str(refusal)
    except BadInput as error:
        return 400, str(error)


def _ask(request: HttpRequest, segment: Segment, action: str, lamps: list[str]) -> str:
    """The first press asks, a second person's press agrees; returns what to tell the operator."""
    what = tell_lamps(lamps)
    if action == "open":
        what["lead_s"] = _number(request.POST, "lead", LEAD_S, 0, MAX_LEAD_S)
    actor, session, reason = request.user.get_username(), session_of(request), read_reason(request.POST)
    asked = press(
        segment, action, actor=actor, session=session, what=what, reason=reason,
        may_agree=lambda: _refuse_second(request),
    )  # fmt: skip
    if asked.approved:
        return say("Two people agree: {asked} is done.", asked=tell_asked(asked))
    red = " " + say("Red: {lamps}", lamps=" ".join(map(tell_lamp, what["lamps"]))) if lamps else ""
    return (
        say(
            "You have asked to {action} {segment}; a second person has to agree within {minutes} min.",
            action=action_text(action),
            segment=segment,
            minutes=VALID_MS // 60_000,
        )
        + red
    )


def _refuse_second(request: HttpRequest) -> None:
    """Whoever agrees may do so, and has logged in a moment ago."""
    if not request.user.has_perm(DECIDE):
        raise ActionRefused(say("it was asked for already: a director has to agree"))
    refuse_old_login(request)


def _do(action: str, segment: Segment, request: HttpRequest) -> str:
    """Runs the action; returns what to tell the operator."""
    fields, actor = request.POST, request.user.get_username()
    reason = read_reason(fields)
    if action == "arm":
        return say(
            "{segment} is armed: its rules and prizes are committed to.",
            segment=arm_segment(segment.pk, actor=actor),
        )
    if action == "open":
        lead_s = _number(fields, "lead", LEAD_S, 0, MAX_LEAD_S)
        opened = open_segment(segment.pk, actor=actor, lead_s=lead_s)
        return say(
            "{segment} opens in {lead_s} s, for {window_s} s.",
            segment=opened,
            lead_s=lead_s,
            window_s=opened.window_s,
        )
    if action == "close":
        return say(
            "{segment} is closed; delayed feeds follow.",
            segment=close_segment(segment.pk, actor=actor, reason=reason),
        )
    if action == "repeat":
        return _repeat(segment, reason, request)
    if action == "draw":
        return say("{segment} is being drawn.", segment=request_draw(segment.pk, actor=actor))
    if action == "name":
        return _name(segment, fields, actor)
    if action == "publish":
        return say("{segment} is published.", segment=publish_segment(segment.pk, actor=actor))
    if action == "beacon":
        return _enter_beacon(segment, fields.get("signature", ""), actor)
    return _enter_dice(segment, fields.get("digits", ""), actor)


def _name(segment: Segment, fields: Any, actor: str) -> str:
    """The press carries what its page showed: a stale one names nobody."""
    named = _number(fields, "named", 0, 0, MOST_NAMED, WINNERS)
    told = name_next_winner(segment.pk, named=named, actor=actor)
    naming = told.announced_naming
    return say(
        "Winner {named} of {of}: {name}.",
        named=naming["named"],
        of=naming["of"],
        name=name_text(naming["winners"][-1]["name"]),
    )


def _repeat(segment: Segment, reason: str, request: HttpRequest) -> str:
    actor, session = request.user.get_username(), session_of(request)
    asked = repeat_segment(
        segment.pk, actor=actor, session=session, reason=reason, may_agree=lambda: refuse_old_login(request)
    )
    if asked.draft is None:
        return say("You have asked to draw {segment} again; a second person has to agree.", segment=segment)
    return say(
        "{draft} is the draft in which the prizes of {segment} are drawn again.",
        draft=asked.draft,
        segment=segment,
    )


def _enter_beacon(segment: Segment, typed: str, actor: str) -> str:
    if len(typed) > MOST_PASTED:
        raise BadInput(
            say(
                "beacon: expected at most {most} characters, got {count}",
                most=MOST_PASTED,
                count=len(typed),
            )
        )
    taken = enter_beacon(segment.pk, typed, actor=actor)
    return say("The signature is right: the beacon of {draws} is taken.", draws=", ".join(map(str, taken)))


def _enter_dice(segment: Segment, typed: str, actor: str) -> str:
    digits = "".join(typed.split())
    if len(digits) > MOST_THROWS:
        raise BadInput(
            say(
                "dice: expected at most {most} throws, got {count}",
                most=MOST_THROWS,
                count=len(digits),
            )
        )
    draw = enter_dice(segment.pk, digits, actor=actor)
    if draw.beacon_value:
        return say("Both agree: the throws of {draw} are taken.", draw=draw)
    if draw.dice_entries.exclude(operator=actor).exists():
        return say(
            "Your throws of {draw} differ from those of another operator: compare, and type again "
            "what was wrong.",
            draw=draw,
        )
    return say("Your throws of {draw} are kept; a second operator has to type the same.", draw=draw)


def _number(fields: Any, name: str, default: int, low: int, high: int, expected: str = SECONDS) -> int:
    text = fields.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise BadInput(say(expected, field=name, low=low, high=high, typed=repr(text[:20])))
    return int(text)


def _look(segment_id: int) -> dict[str, Any]:
    """What is there now, for whoever cannot be told what came of a press."""
    segment = Segment.objects.get(pk=segment_id)
    return {
        "phase": segment.phase,
        "message": say(
            "{segment} is {phase} now: {change}.",
            segment=segment,
            phase=phase_text(segment.phase),
            change=last_change(segment),
        ),
    }


def _answer(request: HttpRequest, slug: str, segment_id: int, status: int, message: str) -> HttpResponseBase:
    phase = Segment.objects.values_list("phase", flat=True)
    more = {"phase": phase.get(pk=segment_id)} if status == 409 else {}
    return answer(request, "control_room", slug, status, message, **more)
