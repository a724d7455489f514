"""What the crew puts on the screens: one press each."""

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404

from engagement.actions import ActionRefused
from engagement.cues import set_cue
from engagement.models import Segment, Show
from prizes.views.answers import answer, button, forbid
from prizes.views.buttons import RUN

PAGE = "control_room"
MOST_DIGITS = 18
SAID = {
    "auto": "The screens follow the show.",
    "announce": "The screens announce the next prizes.",
    "prize": "The screens show the prize.",
    "clear": "The screens are cleared.",
    "standby": "The screens show the standby picture.",
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
    return answer(request, PAGE, slug, 200, SAID[kind])


def _read_prize(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise ActionRefused(f"expected the number of a prize, got {text[:20]!r}")
    return int(text)


def list_prizes(segments: list[Segment]) -> list[dict[str, object]]:
    """The prizes of these segments that the screens can show: id, garment and celebrity."""
    return [
        {"id": row["id"], "text": f"{row['garment']}, {row['celebrity']}"}
        for segment in segments
        for row in segment.announced_prizes
    ]
