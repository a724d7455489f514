"""Canaries on the party page: a notary commits to viewers of his own, and shows them after the publication."""

import json

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404

from engagement.actions import ActionRefused
from engagement.languages import say
from engagement.ledger.core.canaries import parse_canaries
from engagement.models import Segment
from prizes.canaries import commit_canaries, open_canaries
from prizes.models import Party
from prizes.views.answers import button, forbid
from prizes.views.parties import answer, own_party

LONGEST_OPENING = 20_000  # characters: of 100 canaries


@button
def commit(request: HttpRequest, party_id: int, segment_id: int) -> HttpResponseBase:
    """Takes the commitment and how many there are, never who they are."""
    if not request.user.is_authenticated:
        return forbid(request, "parties")
    party, segment = _find(request, party_id, segment_id)
    typed, count = request.POST.get("commitment", "")[:200], request.POST.get("count", "")[:9]
    actor = request.user.get_username()

    def act() -> str:
        number = int(count) if count.isascii() and count.isdigit() else 0
        entry = commit_canaries(segment.pk, party.name, typed, number, actor=actor)
        return say(
            "Committed to {number} canaries of {segment}, entry {position} of the ledger. Keep the file.",
            number=number,
            segment=segment,
            position=entry.position,
        )

    return answer(request, act)


@button
def show(request: HttpRequest, party_id: int, segment_id: int) -> HttpResponseBase:
    """Takes who they are, and what their phones were told: all of it is public from now on."""
    if not request.user.is_authenticated:
        return forbid(request, "parties")
    party, segment = _find(request, party_id, segment_id)
    typed, actor = request.POST.get("opening", "")[:LONGEST_OPENING], request.user.get_username()

    def act() -> str:
        try:
            opening = json.loads(typed)
            salt, canaries = str(opening["salt"]), parse_canaries(opening["canaries"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ActionRefused(
                say("expected the salt and the canaries, as this page makes them of your files")
            ) from None
        entry = open_canaries(segment.pk, party.name, salt, canaries, actor=actor)
        return say(
            "Your canaries of {segment} are public now: entry {position} of the ledger.",
            segment=segment,
            position=entry.position,
        )

    return answer(request, act)


def _find(request: HttpRequest, party_id: int, segment_id: int) -> tuple[Party, Segment]:
    party = own_party(request, party_id)
    return party, get_object_or_404(Segment, pk=segment_id, show=party.show_id)
