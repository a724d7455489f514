"""The party page: where a notary, a broadcaster or a charity commits and reveals. It shows nothing else of a show."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.actions import ActionRefused
from engagement.clock import from_ms, now_ms
from engagement.core.phases import CALLED_OFF, Phase
from engagement.languages import mark, say
from engagement.paging import Page, newest_first
from engagement.vault import open_secret
from prizes.canaries import describe_for
from prizes.models import Commitment, Draw, Party, PrizeList, Reveal
from prizes.parties import (
    commit_party,
    commitments_of,
    draw_id_of,
    read_digest,
    reveal_deadline,
    reveal_secret,
)
from prizes.views.answers import button, forbid, refuse_stranger

PARTIES_AT_ONCE = 10
DRAFTS_AT_ONCE = DRAWS_AT_ONCE = 100
NO_PARTY = mark(
    "This account stands for no party of any show yet. Ask a director to name it among the parties of the show, "
    "then reload this page."
)


@require_safe
@never_cache
@login_required
def parties(request: HttpRequest) -> HttpResponseBase:
    """Drafts and draws of the shows that the account is a party of, the newest shows first; older ones on further
    pages.
    """
    own, now = own_parties(request), now_ms()
    drafts, draws = _drafts(own.rows), _draws(own.rows, now)
    canaries = describe_for(own.rows)
    rows = [
        {
            "party": party,
            "drafts": drafts[party.pk],
            "draws": draws[party.pk],
            "canaries": canaries[party.pk],
        }
        for party in own.rows
    ]
    query = request.GET.urlencode()
    return render(request, "prizes/parties.html", {"rows": rows, "page": own, "query": query})


@require_safe
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """What changes on that page while it is open."""
    now = now_ms()
    try:
        draws = [row for rows in _draws(own_parties(request).rows, now).values() for row in rows]
    except PermissionDenied:
        return refuse_stranger(request)
    fields = ("id", "party_id", "text", "may_reveal", "reveal_by")
    return JsonResponse(
        {"ok": True, "now": now, "draws": [{key: row[key] for key in fields} for row in draws]}
    )


@button
def commit(request: HttpRequest, party_id: int, list_id: int) -> HttpResponseBase:
    """Takes a commitment, never a secret."""
    if not request.user.is_authenticated:
        return forbid(request, "parties")
    party = own_party(request, party_id)
    prize_list = get_object_or_404(PrizeList, pk=list_id, segment__show=party.show_id)
    typed, actor = request.POST.get("commitment", "")[:200], request.user.get_username()

    def act() -> str:
        row = commit_party(prize_list, party, typed, actor=actor)
        return say(
            "Committed for {draw_id}. Keep the file of your secret until the windows have ended.",
            draw_id=row.draw_id,
        )

    return answer(request, act)


@button
def reveal(request: HttpRequest, party_id: int, draw_id: int) -> HttpResponseBase:
    """Takes a secret, which is public from now on."""
    if not request.user.is_authenticated:
        return forbid(request, "parties")
    party = own_party(request, party_id)
    draw = get_object_or_404(Draw, pk=draw_id, show=party.show_id)
    typed, actor = request.POST.get("secret", "")[:200], request.user.get_username()

    def act() -> str:
        # Not hex at all is a slip of the hand; 64 digits that do not fit are refused in the ledger.
        secret = bytes.fromhex(read_digest(typed))
        row = reveal_secret(draw.pk, party.name, secret, actor=actor)
        return say(
            "Revealed: your secret of {draw} is entry {ledger} of the ledger.", draw=draw, ledger=row.ledger
        )

    return answer(request, act)


def answer(request: HttpRequest, act: Any) -> HttpResponseBase:
    """The page again, with what came of it."""
    try:
        messages.success(request, act())
    except ActionRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("parties")


def own_parties(request: HttpRequest) -> Page:
    """A page of the parties that the account stands for; raises PermissionDenied where there are none."""
    own = newest_first(
        request, Party.objects.filter(user=request.user.pk).select_related("show"), PARTIES_AT_ONCE
    )
    if not own.rows or not request.user.is_authenticated:
        raise PermissionDenied(say(NO_PARTY))
    return own


def own_party(request: HttpRequest, party_id: int) -> Party:
    """One of them; raises PermissionDenied where it is none."""
    own = Party.objects.filter(pk=party_id, user=request.user.pk).select_related("show").first()
    if own is None:
        raise PermissionDenied(say("this account does not stand for that party"))
    return own


# --- what the page shows ---


def _drafts(own: list[Party]) -> dict[int, list[dict[str, Any]]]:
    """By party, what it can commit to; in a fixed number of queries."""
    shows = [party.show_id for party in own]
    lists = PrizeList.objects.filter(segment__show__in=shows, segment__phase=Phase.DRAFT)
    ordered = lists.select_related("segment__show").order_by("segment__position", "number")[:DRAFTS_AT_ONCE]
    rows = list(ordered)
    commitments = Commitment.objects.filter(party__in=own, prize_list__in=[row.pk for row in rows])
    made = {(row.party_id, row.prize_list_id): row for row in commitments}
    return {
        party.pk: [
            {"list": row, "draw_id": draw_id_of(row), "made": made.get((party.pk, row.pk))}
            for row in rows
            if row.segment.show_id == party.show_id
        ]
        for party in own
    }


def _draws(own: list[Party], now: int) -> dict[int, list[dict[str, Any]]]:
    """By party, the newest draws that wait for it or have its secret; in a fixed number of queries."""
    draws = Draw.objects.filter(show__in=[party.show_id for party in own]).exclude(
        segment__phase__in=CALLED_OFF
    )
    related = draws.select_related("segment__freeze", "prize_list").prefetch_related("revealed")
    newest = related.order_by("-pk")[:DRAWS_AT_ONCE]
    rows = sorted(newest, key=lambda draw: (-draw.segment.position, draw.prize_list.number))
    return {
        party.pk: [
            describe_draw(draw, party, now)
            for draw in rows
            if draw.show_id == party.show_id and party.name in commitments_of(draw)
        ]
        for party in own
    }


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
        return say(
            "Revealed at {at} UTC, entry {ledger} of the ledger.",
            at=from_ms(revealed.at_ms).strftime("%H:%M:%S"),
            ledger=revealed.ledger,
        )
    if may_reveal:
        deadline = reveal_deadline(draw)
        if deadline is None:
            return say("Reveal your secret now.")
        return say("Reveal your secret now. Until {at} UTC.", at=from_ms(deadline).strftime("%H:%M:%S"))
    if draw.segment.phase in (Phase.ARMED, Phase.OPEN):
        return say("Committed. Keep your secret to yourself until the windows have ended.")
    return say("Not revealed in time: the seal has an empty field in your place.")
