"""What the crew puts on the screens: one press each."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404

from engagement.actions import ActionRefused
from engagement.cues import set_cue
from engagement.languages import localize, mark, say
from engagement.models import Segment, Show
from prizes.views.answers import answer, button, forbid
from prizes.views.buttons import RUN

PAGE = "control_room"
MOST_DIGITS = 18
SAID = {
    "auto": mark("The screens follow the show."),
    "announce": mark("The screens announce the next prizes."),
    "prize": mark("The screens show the prize."),
    "clear": mark("The screens are cleared."),
    "standby": mark("The screens show the standby picture."),
}


@button
def act(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Puts something on all screens of a show."""
    if not request.user.has_perm(RUN):
        return forbid(request, PAGE, slug=slug)
    show, kind = get_object_or_404(Show, slug=slug), request.POST.get("kind", "")
    number = request.POST.get("prize", "")
    try:
        prize = _read_prize(number) if kind == "prize" else None
        set_cue(show.pk, kind, prize=prize, actor=request.user.get_username())
    except ActionRefused as refusal:
        return answer(request, PAGE, slug, 409, str(refusal))
    return answer(request, PAGE, slug, 200, say(SAID[kind]))


def _read_prize(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise ActionRefused(say("expected the number of a prize, got {typed}", typed=repr(text[:20])))
    return int(text)


def list_prizes(segments: list[Segment]) -> list[dict[str, object]]:
    """The prizes of these segments that the screens can show: id, garment and celebrity."""
    return [
        {"id": row["id"], "text": f"{_localized(row, 'garment')}, {_localized(row, 'celebrity')}"}
        for segment in segments
        for row in segment.announced_prizes
    ]


def _localized(row: dict[str, str], field: str) -> str:
    return localize(row[field], row.get(f"{field}_zh", ""))
