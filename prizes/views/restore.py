"""The button with which a director confirms that the database was restored."""

from django.http import HttpRequest, HttpResponseBase

from engagement.actions import ActionRefused
from engagement.languages import say
from prizes.recovery import confirm_restore
from prizes.views.answers import answer, button, forbid

CONFIRM = "engagement.confirm_restore"


@button
def confirm(request: HttpRequest, slug: str) -> HttpResponseBase:
    """From here on the database is right, whatever was announced before."""
    if not request.user.has_perm(CONFIRM):
        return forbid(request, "control_room", slug=slug)
    try:
        shows = confirm_restore(actor=request.user.get_username())
    except ActionRefused as refusal:
        return answer(request, "control_room", slug, 409, str(refusal))
    names = ", ".join(show.slug for show in shows)
    return answer(
        request,
        "control_room",
        slug,
        200,
        say("The restore is confirmed. Begun anew: {shows}.", shows=names or say("no show")),
    )
