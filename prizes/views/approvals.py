"""To agree to what somebody has asked for, or to refuse it: one press each."""

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404

from engagement.actions import ActionRefused
from engagement.languages import say
from engagement.roles import CONSOLE
from prizes.approvals import decide, tell_asked
from prizes.logins import session_of
from prizes.models import Approval
from prizes.views.answers import answer, button, forbid, refuse_old_login
from prizes.views.buttons import DECIDE

PAGE = "control_room"
ANSWERS = {"agree": True, "refuse": False}


@button
def act(request: HttpRequest, slug: str, approval_id: int, action: str) -> HttpResponseBase:
    """The second person; whoever has asked may only withdraw."""
    if action not in ANSWERS:
        raise Http404(f"there is no action {action!r}")
    if not request.user.has_perm(CONSOLE):
        return forbid(request, PAGE, slug=slug)
    asked = get_object_or_404(Approval, pk=approval_id, show__slug=slug)
    actor, approve = request.user.get_username(), ANSWERS[action]
    withdraws = not approve and asked.asked_by == actor
    if not withdraws and not request.user.has_perm(DECIDE):
        return forbid(request, PAGE, slug=slug)
    try:
        if approve:
            refuse_old_login(request)
        decided = decide(asked.pk, approve=approve, actor=actor, session=session_of(request))
    except ActionRefused as refusal:
        return answer(request, PAGE, slug, 409, str(refusal))
    asked_for = tell_asked(decided)
    if approve:
        said = say("Two people agree: {asked} is done.", asked=asked_for)
    elif withdraws:
        said = say("Withdrawn: {asked}.", asked=asked_for)
    else:
        said = say("Refused: {asked}.", asked=asked_for)
    return answer(request, PAGE, slug, 200, said)
