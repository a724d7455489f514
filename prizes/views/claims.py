"""The claim page of a winner, and the page of the crew with all winners and reserves of a show (docs/claims.md)."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from engagement.actions import ActionRefused
from engagement.clock import from_ms, now_ms
from engagement.core.names import stage_name
from engagement.models import Show
from engagement.views import page_texts
from prizes.claims import ask_disqualification, decide_disqualification, standing_of, waits_for
from prizes.core.dispositions import DISQUALIFIED
from prizes.core.record import STATUSES
from prizes.logins import RECENT, is_recent
from prizes.models import Beacon, Disposition, Disqualification, Draw, Win
from prizes.views.answers import answer, forbid

CONSOLE = "engagement.view_segment"
# Every button, and who may press it.
ACTIONS = {
    "ask": "prizes.ask_disqualification",
    "approve": "prizes.approve_disqualification",
    "refuse": "prizes.approve_disqualification",
}
PAGE = "claims"  # in prizes/urls.py
MOST_DIGITS = 18  # of a row's number


# --- for the winner -----------------------------------------------------------------------------------------


@require_safe
def claim_page(request: HttpRequest, draw_id: int) -> HttpResponseBase:
    """The same page for everybody: who has won is asked by the script, with the pass that this browser has kept."""
    published = Draw.objects.select_related("show").filter(step=Draw.Step.PUBLISHED)
    draw = get_object_or_404(published, pk=draw_id)
    texts = page_texts(request, draw.show.title, draw.show.title_zh)
    context = {"draw": draw, "rehearsal": draw.beacon_kind == Beacon.LOCAL, **texts}
    return render(request, "prizes/claim.html", context)


# --- for the crew -------------------------------------------------------------------------------------------


@require_safe
@never_cache
@login_required
@permission_required(CONSOLE, raise_exception=True)
def claims(request: HttpRequest, slug: str) -> HttpResponseBase:
    """All winners and reserves of a show, what has become of them, and who has asked for what."""
    show = get_object_or_404(Show, slug=slug)
    published = show.draws.filter(step=Draw.Step.PUBLISHED).order_by(
        "segment__position", "prize_list__number"
    )
    chosen = request.GET.get("draw", "")
    shown = [draw for draw in published if chosen in ("", str(draw.pk))]
    context = {
        "show": show,
        "draws": published,
        "chosen": chosen,
        "rows": describe_wins(shown, request.user),
        "lines": [describe_line(draw) for draw in shown],
        "reasons": STATUSES[DISQUALIFIED],
        "now": from_ms(now_ms()),
    }
    return render(request, "prizes/claims.html", context)


def describe_wins(draws: list[Draw], user: Any) -> list[dict[str, Any]]:
    """Every win of these draws, in a fixed number of queries."""
    wins = Win.objects.filter(draw__in=draws).select_related("draw", "prize")
    related = wins.prefetch_related("disqualifications").order_by(
        "draw__segment__position", "draw__prize_list__number", "rank"
    )
    last = {(row.draw_id, row.pseudonym): row for row in Disposition.objects.filter(draw__in=draws)}
    return [_describe_win(win, last.get((win.draw_id, win.pseudonym)), user) for win in related]


def _describe_win(win: Win, last: Disposition | None, user: Any) -> dict[str, Any]:
    pending = next((row for row in win.disqualifications.all() if row.approved is None), None)
    held = win.status in Win.HELD
    somebody_elses = pending is not None and pending.asked_by != user.get_username()
    decides = somebody_elses and user.has_perm(ACTIONS["approve"])
    return {
        "win": win,
        "name": stage_name(bytes.fromhex(win.pseudonym)),
        "reason": last.reason if last else "",
        "at": from_ms(last.at_ms) if last else None,
        "pending": pending,
        "may_ask": held and pending is None and user.has_perm(ACTIONS["ask"]),
        "may_approve": held and decides,
        "may_refuse": decides,
    }


def describe_line(draw: Draw) -> dict[str, Any]:
    """Who is still in line in a draw, and what they wait for."""
    try:
        standing = standing_of(draw)
    except (OSError, ValueError) as error:
        return {"draw": draw, "trouble": f"its reserves cannot be read: {error}"}
    names = [stage_name(bytes.fromhex(viewer)) for viewer in standing.reserves]
    waits = waits_for(draw, standing) if standing.free and standing.reserves else None
    return {"draw": draw, "reserves": names, "free": len(standing.free), "waits": waits}


@require_POST
def act(request: HttpRequest, slug: str, action: str) -> HttpResponseBase:
    """One press of a button: does it, and tells what came of it."""
    show = get_object_or_404(Show, slug=slug)
    if action not in ACTIONS:
        raise Http404(f"there is no action {action!r}")
    if not request.user.has_perm(ACTIONS[action]):
        return forbid(request, PAGE, slug)
    try:
        status, message = 200, _do(action, show, request)
    except ActionRefused as refusal:
        status, message = 409, str(refusal)
    except OperationalError:
        status, message = 503, "The database is busy; nothing was changed. Please try again."
    return answer(request, PAGE, slug, status, message)


def _do(action: str, show: Show, request: HttpRequest) -> str:
    actor = request.user.get_username()
    if action == "ask":
        win = _find(Win.objects.filter(show=show), request.POST, "win")
        asked = ask_disqualification(win.pk, request.POST.get("reason", ""), actor=actor)
        return f"You have asked for it ({asked.reason}). Somebody else has to approve it now."
    asked = _find(Disqualification.objects.filter(win__show=show), request.POST, "disqualification")
    if action == "approve":
        _refuse_old_login(request)
    decided = decide_disqualification(asked.pk, action == "approve", actor=actor)
    who = f"{stage_name(bytes.fromhex(decided.win.pseudonym))} ({decided.reason})"
    return f"Disqualified: {who}." if decided.approved else f"Refused; all stays as it is: {who}."


def _find(rows: Any, fields: QueryDict, name: str) -> Any:
    number = fields.get(name, "")
    is_number = number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
    found = rows.filter(pk=int(number)).first() if is_number else None
    if found is None:
        raise ActionRefused(f"this show has no {name} {number[:20]!r}")
    return found


def _refuse_old_login(request: HttpRequest) -> None:
    """A console that somebody has left open takes nobody's prize away."""
    if not is_recent(request):
        minutes = RECENT.seconds // 60
        raise ActionRefused(f"to approve this, log in again: your login is older than {minutes} minutes")
