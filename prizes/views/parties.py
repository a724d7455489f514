"""The party page: where a notary, a broadcaster or a charity commits and reveals. It shows nothing else of a show."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from engagement.actions import ActionRefused
from engagement.clock import from_ms, now_ms
from engagement.core.phases import Phase
from engagement.vault import open_secret
from prizes.models import Draw, Party, PrizeList, Reveal
from prizes.parties import (
    commit_party,
    commitments_of,
    draw_id_of,
    read_digest,
    reveal_deadline,
    reveal_secret,
)

LOGIN = "party_login"


@require_safe
@never_cache
@login_required(login_url=LOGIN)
def parties(request: HttpRequest) -> HttpResponseBase:
    """Every draft and draw of the shows that the account is a party of."""
    now = now_ms()
    rows = [
        {"party": party, "drafts": _drafts(party), "draws": _draws(party, now)}
        for party in own_parties(request)
    ]
    return render(request, "prizes/parties.html", {"rows": rows})


@require_safe
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """What changes on that page while it is open."""
    now = now_ms()
    try:
        draws = [row for party in own_parties(request) for row in _draws(party, now)]
    except PermissionDenied:
        return JsonResponse({"ok": False, "message": "please log in again"}, status=403)
    fields = ("id", "party_id", "text", "may_reveal", "reveal_by")
    return JsonResponse(
        {"ok": True, "now": now, "draws": [{key: row[key] for key in fields} for row in draws]}
    )


@require_POST
@login_required(login_url=LOGIN)
def commit(request: HttpRequest, party_id: int, list_id: int) -> HttpResponseBase:
    """Takes a commitment, never a secret."""
    party = _own_party(request, party_id)
    prize_list = get_object_or_404(PrizeList, pk=list_id, segment__show=party.show_id)
    typed, actor = request.POST.get("commitment", "")[:200], request.user.get_username()

    def act() -> str:
        row = commit_party(prize_list, party, typed, actor=actor)
        return f"Committed for {row.draw_id}. Keep the file of your secret until the windows have ended."

    return _answer(request, act)


@require_POST
@login_required(login_url=LOGIN)
def reveal(request: HttpRequest, party_id: int, draw_id: int) -> HttpResponseBase:
    """Takes a secret, which is public from now on."""
    party = _own_party(request, party_id)
    draw = get_object_or_404(Draw, pk=draw_id, show=party.show_id)
    typed, actor = request.POST.get("secret", "")[:200], request.user.get_username()

    def act() -> str:
        # Not hex at all is a slip of the hand; 64 digits that do not fit are refused in the ledger.
        secret = bytes.fromhex(read_digest(typed))
        row = reveal_secret(draw.pk, party.name, secret, actor=actor)
        return f"Revealed: your secret of {draw} is entry {row.ledger} of the ledger."

    return _answer(request, act)


def _answer(request: HttpRequest, act: Any) -> HttpResponseBase:
    try:
        messages.success(request, act())
    except ActionRefused as refusal:
        messages.error(request, str(refusal))
    except OperationalError:
        messages.error(request, "The database is busy; nothing was changed. Please try again.")
    return redirect("parties")


def own_parties(request: HttpRequest) -> list[Party]:
    """The parties that the account stands for; raises PermissionDenied where there are none."""
    own = (
        list(Party.objects.filter(user=request.user.pk).select_related("show"))
        if request.user.is_authenticated
        else []
    )
    if not own:
        raise PermissionDenied("this account is no party of any show")
    return own


def _own_party(request: HttpRequest, party_id: int) -> Party:
    for party in own_parties(request):
        if party.pk == party_id:
            return party
    raise PermissionDenied("this account does not stand for that party")


# --- what the page shows ---


def _drafts(party: Party) -> list[dict[str, Any]]:
    lists = PrizeList.objects.filter(segment__show=party.show_id, segment__phase=Phase.DRAFT)
    made = {row.prize_list_id: row for row in party.commitments.all()}
    return [
        {"list": row, "draw_id": draw_id_of(row), "made": made.get(row.pk)}
        for row in lists.select_related("segment__show").order_by("segment__position", "number")
    ]


def _draws(party: Party, now: int) -> list[dict[str, Any]]:
    draws = Draw.objects.filter(show=party.show_id).exclude(segment__phase=Phase.VOID)
    related = draws.select_related("segment__freeze", "prize_list").prefetch_related("revealed")
    return [
        describe_draw(draw, party, now)
        for draw in related.order_by("-segment__position", "prize_list__number")
        if party.name in commitments_of(draw)
    ]


def describe_draw(draw: Draw, party: Party, now: int) -> dict[str, Any]:
    """An armed draw as one of its parties sees it."""
    revealed = next((row for row in draw.revealed.all() if row.party == party.name), None)
    deadline = reveal_deadline(draw)
    in_time = deadline is None or now <= deadline
    may_reveal = draw.segment.phase == Phase.CLOSING and revealed is None and not draw.seal and in_time
    return {
        "id": draw.pk,
        "party_id": party.pk,
        "draw": draw,
        "commitment": commitments_of(draw)[party.name],
        "secret": open_secret(revealed.secret).hex() if revealed else "",
        "may_reveal": may_reveal,
        "reveal_by": deadline if may_reveal else None,
        "text": _state(draw, revealed, may_reveal),
    }


def _state(draw: Draw, revealed: Reveal | None, may_reveal: bool) -> str:
    if revealed:
        return f"Revealed at {from_ms(revealed.at_ms):%H:%M:%S} UTC, entry {revealed.ledger} of the ledger."
    if may_reveal:
        deadline = reveal_deadline(draw)
        until = "" if deadline is None else f" Until {from_ms(deadline):%H:%M:%S} UTC."
        return f"Reveal your secret now.{until}"
    if draw.segment.phase in (Phase.ARMED, Phase.OPEN):
        return "Committed. Keep your secret to yourself until the windows have ended."
    return "Not revealed in time: the seal has an empty field in your place."
