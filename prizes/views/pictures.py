"""The crew's page of pictures: of the show, of its standby, and of every prize; one file is brought at a time."""

from typing import Any, NamedTuple

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from engagement.actions import ActionRefused, announce_later, lock_segment
from engagement.core.plain_text import check_plain
from engagement.languages import mark, say
from engagement.models import EDITABLE, Segment, Show
from engagement.paging import newest_first
from engagement.phrases import phase_text, picture_text, unseen_text
from engagement.pictures.core.kinds import BadPicture
from engagement.pictures.core.sizes import MAX_BYTES, MAX_PIXELS
from engagement.pictures.decoding import Busy
from engagement.pictures.keeping import keep_picture
from engagement.pictures.models import ALT_LENGTH, Picture
from engagement.roles import CONSOLE
from prizes.models import Prize
from prizes.views.answers import answer, button, forbid

PAGE = "pictures"
SEGMENTS_AT_ONCE = 20
MOST_DIGITS = 18
CHANGE_SHOW, CHANGE_PRIZE = "engagement.change_show", "prizes.change_prize"
LOCKED = mark(
    "The segment is {phase}: its prizes and their pictures are announced, and cannot be changed any more."
)
KEPT, REMOVED, SAID = (
    mark("The picture is kept."),
    mark("The picture is removed."),
    mark("The words are kept."),
)


class Place(NamedTuple):
    """Where a picture belongs: a row, its field, and the fields of the words beside it."""

    row: Show | Prize
    field: str
    words: tuple[str, ...]

    @property
    def permission(self) -> str:
        return CHANGE_PRIZE if isinstance(self.row, Prize) else CHANGE_SHOW


class Card(NamedTuple):
    """A picture on the page, or the place for one."""

    of: str
    title: str
    note: str
    picture: Picture | None
    may_change: bool
    has_words: bool = False
    alt: str = ""
    alt_zh: str = ""
    prize: int | None = None


@require_safe
@never_cache
@login_required
@permission_required(CONSOLE, raise_exception=True)
def pictures(request: HttpRequest, slug: str) -> HttpResponse:
    """What there is, with a form for each that this person may change now."""
    show = get_object_or_404(Show.objects.select_related("picture", "standby_picture"), slug=slug)
    rundown = show.segments.prefetch_related("prize_lists__prizes__picture")
    segments = newest_first(request, rundown, SEGMENTS_AT_ONCE)
    context = {
        "show": show,
        "of_show": _cards_of_show(show, request.user.has_perm(CHANGE_SHOW)),
        "segments": segments,
        "rundown": [
            (segment, _cards_of(segment, request.user.has_perm(CHANGE_PRIZE)))
            for segment in reversed(segments.rows)
        ],
        "most_mb": MAX_BYTES // 1_000_000,
        "most_megapixels": MAX_PIXELS // 1_000_000,
        "alt_length": ALT_LENGTH,
    }
    return render(request, "prizes/pictures.html", context)


def _cards_of_show(show: Show, may_change: bool) -> list[Card]:
    return [
        Card("show", say("The show"), say("While nothing else is on"), show.picture, may_change, True,
             show.picture_alt, show.picture_alt_zh),
        Card("standby", say("Standby picture"), say("The cue of that name: the whole wall"),
             show.standby_picture, may_change),
    ]  # fmt: skip


def _cards_of(segment: Segment, may_change: bool) -> list[Card]:
    """One for each prize; once it is announced there is no form."""
    may_change = may_change and segment.phase in EDITABLE
    prizes = [prize for prize_list in segment.prize_lists.all() for prize in prize_list.prizes.all()]
    return [
        Card("prize", prize.garment, prize.celebrity, prize.picture, may_change, True,
             prize.picture_alt, prize.picture_alt_zh, prize.pk)
        for prize in prizes
    ]  # fmt: skip


@button
def act(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Brings, replaces or removes one picture, or changes the words beside it."""
    if not any(request.user.has_perm(permission) for permission in (CHANGE_SHOW, CHANGE_PRIZE)):
        return forbid(request, PAGE, slug=slug)
    show = get_object_or_404(Show, slug=slug)
    try:
        place = _find_place(show, request.POST)
        if not request.user.has_perm(place.permission):
            return forbid(request, PAGE, slug=slug)
        fields, said = _read(request, place)
        _write(show, place, fields)
    except (ActionRefused, BadPicture) as refusal:
        return answer(request, PAGE, slug, 409, picture_text(refusal))
    except Busy as busy:
        return answer(request, PAGE, slug, 503, picture_text(busy))
    _note(request.user, place.row, said)
    return answer(request, PAGE, slug, 200, say(said))


def _find_place(show: Show, sent: Any) -> Place:
    """What the form is about; ActionRefused where there is no such thing, or it cannot be changed any more."""
    what, number = sent.get("of", ""), sent.get("prize", "")
    if what == "show":
        return Place(show, "picture", ("picture_alt", "picture_alt_zh"))
    if what == "standby":
        return Place(show, "standby_picture", ())
    if what != "prize":
        raise ActionRefused(say("expected show, standby or prize, got {what}", what=repr(what[:20])))
    digits = number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS
    found = Prize.objects.select_related("prize_list__segment").filter(prize_list__segment__show=show)
    prize = found.filter(pk=int(number)).first() if digits else None
    if prize is None:
        raise ActionRefused(say("this show has no prize {number}", number=repr(number[:20])))
    _refuse_locked(prize.prize_list.segment.phase)  # before the work
    return Place(prize, "picture", ("picture_alt", "picture_alt_zh"))


def _refuse_locked(phase: str) -> None:
    if phase not in EDITABLE:
        raise ActionRefused(say(LOCKED, phase=phase_text(phase)))


def _read(request: HttpRequest, place: Place) -> tuple[dict[str, Any], str]:
    """What is written then, and what is said; making a picture anew takes seconds."""
    fields: dict[str, Any] = {name: _read_words(request.POST, name) for name in place.words}
    if request.POST.get("remove"):
        return {**fields, place.field: None} | dict.fromkeys(place.words, ""), REMOVED
    file: Any = request.FILES.get("file")
    if file is None:
        if not fields or getattr(place.row, f"{place.field}_id") is None:
            raise ActionRefused(say("Choose a picture first."))
        return fields, SAID
    if file.size > MAX_BYTES:
        raise BadPicture(
            say(
                "Expected at most {most} MB, got {size}.",
                most=MAX_BYTES // 1_000_000,
                size=format(file.size / 1e6, ".1f"),
            )
        )
    return {**fields, place.field: keep_picture(file.read())}, KEPT


def _read_words(sent: Any, name: str) -> str:
    text: str = sent.get(name.removeprefix("picture_"), "").strip()
    if len(text) > ALT_LENGTH:
        raise ActionRefused(
            say(
                "What is to be seen: expected at most {most} characters, got {count}.",
                most=ALT_LENGTH,
                count=len(text),
            )
        )
    try:
        return check_plain(say("What is to be seen"), text)
    except ValueError as error:
        raise ActionRefused(unseen_text(error)) from None


@transaction.atomic
def _write(show: Show, place: Place, fields: dict[str, Any]) -> None:
    """Only what was sent, so that nothing is undone that somebody did meanwhile.

    Those of the show change at any time, also while the draws wait for a person: a standby picture is for trouble.
    """
    if isinstance(place.row, Prize):
        _refuse_locked(lock_segment(place.row.prize_list.segment_id).phase)
    type(place.row)._base_manager.filter(pk=place.row.pk).update(**fields)
    announce_later(show.pk)


def _note(user: Any, row: models.Model, said: str) -> None:
    """In the history of the administration, which is English."""
    kind = ContentType.objects.get_for_model(row)
    LogEntry.objects.create(
        user=user,
        content_type=kind,
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=CHANGE,
        change_message=said,
    )
