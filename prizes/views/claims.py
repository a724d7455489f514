"""The claim page of a winner, and the page of the crew with all winners and reserves of a show (docs/claims.md)."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.actions import ActionRefused
from engagement.clock import from_ms, now_ms
from engagement.core.names import stage_name
from engagement.languages import name_text, say
from engagement.models import Show
from engagement.paging import newest_first
from engagement.roles import CONSOLE
from engagement.views import render_page
from prizes.attempts import settle_by_hand
from prizes.core.dispositions import DISQUALIFIED, Standing
from prizes.core.record import STATUSES
from prizes.logins import session_of
from prizes.models import Beacon, Disposition, Disqualification, Draw, Win
from prizes.phrases import reason_text
from prizes.results import free_pieces
from prizes.steps.claims import ask_disqualification, decide_disqualification, find_waits, standing_of
from prizes.views.answers import answer, button, forbid, read_reason, refuse_old_login

# Every button, and who may press it.
ACTIONS = {
    "ask": "prizes.ask_disqualification",
    "approve": "prizes.approve_disqualification",
    "refuse": "prizes.approve_disqualification",
    "settle": "engagement.run_segment",
}
PAGE = "claims"  # in prizes/urls.py
MOST_DIGITS = 18  # of a row's number
WINS_AT_ONCE = 100
DRAWS_AT_ONCE = 30
RESERVES_SHOWN = 20


# --- for the winner -----------------------------------------------------------------------------------------


@require_safe
def claim_page(request: HttpRequest, draw_id: int) -> HttpResponseBase:
    """The same page for everybody: who has won is asked by the script, with the pass that this browser has kept."""
    published = Draw.objects.select_related("show").filter(step=Draw.Step.PUBLISHED)
    draw = get_object_or_404(published, pk=draw_id)
    context = {"draw": draw, "rehearsal": draw.beacon_kind == Beacon.LOCAL}
    return render_page(request, "prizes/claim.html", draw.show.title, draw.show.title_zh, **context)


# --- for the crew -------------------------------------------------------------------------------------------


@require_safe
@never_cache
@login_required
@permission_required(CONSOLE, raise_exception=True)
def claims(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Winners and reserves of a show, what has become of them, and who has asked for what; a page at a time."""
    show = get_object_or_404(Show, slug=slug)
    published = show.draws.filter(step=Draw.Step.PUBLISHED)
    listed = newest_first(request, published, DRAWS_AT_ONCE, "draws_before")
    chosen = request.GET.get("draw", "")
    of_draw = published.filter(pk=_number(chosen)) if chosen else published
    shown = of_draw if chosen else published.filter(pk__in=[draw.pk for draw in listed.rows])
    wins, following = read_wins(show, of_draw, request.GET.get("after", ""))
    context = {
        "show": show,
        "draws": listed,
        "chosen": chosen,
        "rows": describe_wins(wins, request.user),
        "following": following,
        "lines": describe_lines(show, shown),
        "may_settle": request.user.has_perm(ACTIONS["settle"]),
        "reasons": STATUSES[DISQUALIFIED],
        "now": from_ms(now_ms()),
    }
    return render(request, "prizes/claims.html", context)


def read_wins(show: Show, draws: Any, after: str) -> tuple[list[Win], str]:
    """A page of the wins of these draws, in the order of draws and ranks, and after which win the next one begins."""
    wins = Win.objects.filter(show=show, draw__in=draws).order_by("draw_id", "rank")
    draw, _, rank = after.partition(".")
    if after:
        begun = Q(draw_id__gt=_number(draw)) | Q(draw_id=_number(draw), rank__gt=_number(rank))
        wins = wins.filter(begun, draw_id__gte=_number(draw))
    found = list(
        wins.select_related("draw", "prize").prefetch_related("disqualifications")[: WINS_AT_ONCE + 1]
    )
    page, last = found[:WINS_AT_ONCE], found[WINS_AT_ONCE - 1 : WINS_AT_ONCE]
    return page, f"{last[0].draw_id}.{last[0].rank}" if len(found) > len(page) else ""


def describe_wins(wins: list[Win], user: Any) -> list[dict[str, Any]]:
    """These wins, in a fixed number of queries."""
    which = {"draw__in": {win.draw_id for win in wins}, "pseudonym__in": {win.pseudonym for win in wins}}
    told = Disposition.objects.filter(**which).order_by("ledger")
    last = {(row.draw_id, row.pseudonym): row for row in told}
    return [_describe_win(win, last.get((win.draw_id, win.pseudonym)), user) for win in wins]


def _describe_win(win: Win, last: Disposition | None, user: Any) -> dict[str, Any]:
    pending = next((row for row in win.disqualifications.all() if row.approved is None), None)
    held = win.status in Win.HELD
    somebody_elses = pending is not None and pending.asked_by != user.get_username()
    decides = somebody_elses and user.has_perm(ACTIONS["approve"])
    return {
        "win": win,
        "name": win.name,
        "reason": last.reason if last else "",
        "at": from_ms(last.at_ms) if last else None,
        "pending": pending,
        "may_ask": held and pending is None and user.has_perm(ACTIONS["ask"]),
        "may_approve": held and decides,
        "may_refuse": decides,
    }


def describe_lines(show: Show, draws: Any) -> list[dict[str, Any]]:
    """For each of these draws: how many of its prizes nobody holds, who is still in line, and what they wait for.

    In a fixed number of queries.
    """
    read = draws.select_related("segment").prefetch_related("dispositions").order_by("pk")
    lines = [_read_line(draw) for draw in read]
    standings = {line["draw"].pk: line["standing"] for line in lines if _is_wanted(line["standing"])}
    waits = find_waits(show.pk, standings) if standings else {}
    free = free_pieces([line["draw"] for line in lines])
    return [
        {**line, "free": len(free[line["draw"].pk]), "waits": waits.get(line["draw"].pk)} for line in lines
    ]


def _read_line(draw: Draw) -> dict[str, Any]:
    try:
        standing = standing_of(draw)
    except (OSError, ValueError) as error:
        trouble = draw.trouble or say("its reserves cannot be read: {error}", error=error)
        return {"draw": draw, "trouble": trouble, "standing": Standing({})}
    names = [name_text(stage_name(bytes.fromhex(viewer))) for viewer in standing.reserves[:RESERVES_SHOWN]]
    more = len(standing.reserves) - len(names)
    line = {"draw": draw, "standing": standing, "reserves": names, "more": more}
    return {**line, "trouble": draw.trouble}


def _is_wanted(standing: Standing) -> bool:
    """Whether a prize is free and somebody is in line for it."""
    return bool(standing.free and standing.reserves)


def _number(text: str) -> int:
    """A row's number as it was typed into an address; 0, which no row has, for everything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0


@button
def act(request: HttpRequest, slug: str, action: str) -> HttpResponseBase:
    """One press of a button: does it, and tells what came of it."""
    show = get_object_or_404(Show, slug=slug)
    if action not in ACTIONS:
        raise Http404(f"there is no action {action!r}")
    if not request.user.has_perm(ACTIONS[action]):
        return forbid(request, PAGE, slug=slug)
    try:
        status, message = 200, _do(action, show, request)
    except ActionRefused as refusal:
        status, message = 409, str(refusal)
    return answer(request, PAGE, slug, status, message)


def _do(action: str, show: Show, request: HttpRequest) -> str:
    actor = request.user.get_username()
    if action == "ask":
        win = _find(Win.objects.filter(show=show), request.POST, "win")
        reason = read_reason(request.POST)
        asked = ask_disqualification(win.pk, reason, actor=actor, session=session_of(request))
        return say(
            "You have asked for it ({reason}). Somebody else has to approve it now.",
            reason=reason_text(asked.reason),
        )
    if action == "settle":
        draw = _find(show.draws.filter(step=Draw.Step.PUBLISHED), request.POST, "draw")
        return say("{draw} is settled: {count} changes.", draw=draw, count=len(settle_by_hand(draw.pk)))
    asked = _find(Disqualification.objects.filter(win__show=show), request.POST, "disqualification")
    if action == "approve":
        refuse_old_login(request)
    session = session_of(request)
    decided = decide_disqualification(asked.pk, action == "approve", actor=actor, session=session)
    who = f"{name_text(decided.win.name)} ({reason_text(decided.reason)})"
    return (
        say("Disqualified: {who}.", who=who)
        if decided.approved
        else say("Refused; all stays as it is: {who}.", who=who)
    )


def _find(rows: Any, fields: QueryDict, name: str) -> Any:
    number = fields.get(name, "")
    found = rows.filter(pk=_number(number)).first()
    if found is None:
        raise ActionRefused(say("this show has no {name} {number}", name=name, number=repr(number[:20])))
    return found
