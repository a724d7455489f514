"""HTTP API for winners: look at a win, claim it, decline it. Who they are is said by pass and salt (docs/claims.md)."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Router, Schema, Status
from ninja.errors import HttpError, ValidationError
from pydantic import ConfigDict, Field

from engagement.actions import DatabaseRestored
from engagement.languages import say
from engagement.refusals import refuse
from prizes.models import Disposition, Draw, Win
from prizes.results import describe_prize_of, moment_of
from prizes.steps.claims import ClaimRefused, claim_prize, decline_prize, identify, win_of

router = Router(tags=["claims"])

LONGEST_PASS = 900  # as in a hello
STATUSES = {
    "bad_pass": 401,
    "wrong_salt": 403,
    "not_published": 404,
    "not_a_winner": 404,
    "claimed": 409,
    "too_late": 410,
    "declined": 410,
    "disqualified": 410,
    "bad_input": 422,
    "busy": 503,
}
"""The codes of a refusal, and the HTTP status of each."""

TEXTS = {
    Win.Status.WON: "This prize is waiting for you: claim it in time.",
    Win.Status.CLAIMED: "The prize is claimed.",
    Win.Status.FORFEITED: "The prize is no longer yours.",
    Win.Status.DISQUALIFIED: "The win was disqualified.",
}


class Proof(Schema):
    """The pass that was shown in `hello`, expired or not, and the salt that the `welcome` told."""

    model_config = ConfigDict(extra="forbid")

    pass_: str = Field(alias="pass", min_length=1, max_length=LONGEST_PASS)
    salt: str = Field(pattern="^[0-9a-f]{64}$")


class PictureOut(Schema):
    """A picture in several sizes; the address of one is `base`, its width, and `.webp` or `.jpg`."""

    base: str
    sizes: list[tuple[int, int]] = Field(description="[[width, height], ...], the smallest first.")
    alt: str = Field("", description="What it shows, in words.")
    alt_zh: str = ""
    alt_hant: str = ""
    alt_hk: str = ""


class PrizeOut(Schema):
    id: int
    celebrity: str
    celebrity_zh: str
    brand: str
    garment: str
    garment_zh: str
    size: str
    quantity: int
    value_minor: int
    currency: str
    celebrity_hant: str = Field("", description="As written in Taiwan; only where that differs.")
    celebrity_hk: str = Field("", description="As written in Hong Kong; only where that differs from Taiwan.")
    garment_hant: str = ""
    garment_hk: str = ""
    picture: PictureOut | None = Field(None, description="Only where there is one.")


class ClaimOut(Schema):
    """A win as it stands now."""

    draw: int
    pseudonym: str
    prize: PrizeOut
    piece: str = Field(description="The id of the piece in the rules of the draw.")
    status: str = Field(description="won, claimed, forfeited or disqualified")
    reason: str = Field(
        description="Why it is lost: declined, deadline passed, or the reason of the disqualification; else empty."
    )
    claim_by: int = Field(description="Until when it can be claimed, in UTC milliseconds.")
    message: str


class Refusal(Schema):
    code: str
    message: str


Answer = Status[dict[str, Any]]
ANSWERS: dict[Any, Any] = {200: ClaimOut, frozenset({400, *STATUSES.values()}): Refusal}


@router.post("/draws/{int:draw_id}/claims", response=ANSWERS, exclude_unset=True, summary="Claim a prize")
def claim(request: HttpRequest, draw_id: int, proof: Proof) -> Answer:
    """Once is enough; again, the answer says that the prize was claimed already."""

    def act(draw: Draw, pseudonym: str) -> dict[str, Any]:
        win, now = claim_prize(draw.pk, pseudonym)
        return _describe(draw, win, "" if now else "The prize was claimed already.")

    return _answer(draw_id, proof, act)


@router.post(
    "/draws/{int:draw_id}/claims/decline", response=ANSWERS, exclude_unset=True, summary="Decline a prize"
)
def decline(request: HttpRequest, draw_id: int, proof: Proof) -> Answer:
    """The next reserve gets it at once; this cannot be taken back."""
    return _answer(draw_id, proof, lambda draw, pseudonym: _describe(draw, decline_prize(draw.pk, pseudonym)))


@router.post(
    "/draws/{int:draw_id}/claims/look", response=ANSWERS, exclude_unset=True, summary="Look at a win"
)
def look(request: HttpRequest, draw_id: int, proof: Proof) -> Answer:
    """Changes nothing. A POST, because a pass never stands in an address."""
    return _answer(draw_id, proof, lambda draw, pseudonym: _describe(draw, win_of(draw, pseudonym)))


def _answer(draw_id: int, proof: Proof, act: Callable[[Draw, str], dict[str, Any]]) -> Answer:
    try:
        draw = _published(draw_id)
        return Status(200, act(draw, identify(draw, proof.pass_, proof.salt)))
    except ClaimRefused as refusal:
        return Status(STATUSES[refusal.code], {"code": refusal.code, "message": str(refusal)})
    except DatabaseRestored:
        message = "Claims have to wait: the organiser is looking at something. Please try again later."
        return Status(STATUSES["busy"], {"code": "busy", "message": message})


def _published(draw_id: int) -> Draw:
    published = Draw.objects.select_related("show", "segment").filter(step=Draw.Step.PUBLISHED)
    draw = published.filter(pk=draw_id).first()
    if draw is None:
        raise ClaimRefused("not_published", say("draw {draw_id} is not published", draw_id=draw_id))
    return draw


def _describe(draw: Draw, win: Win, message: str = "") -> dict[str, Any]:
    return {
        "draw": draw.pk,
        "pseudonym": win.pseudonym,
        "prize": describe_prize_of(draw, win),
        "piece": win.piece_id,
        "status": win.status,
        "reason": reason_of(win),
        "claim_by": moment_of(win.claim_by),
        "message": message or TEXTS[Win.Status(win.status)],
    }


def reason_of(win: Win) -> str:
    """Why a prize was lost, as the record has it; empty while it is held."""
    if win.status in Win.HELD:
        return ""
    rows = Disposition.objects.filter(draw=win.draw_id, pseudonym=win.pseudonym, status=win.status)
    return rows.values_list("reason", flat=True).first() or ""


def add_error_handlers(api: NinjaAPI) -> None:
    """Answers a request that is not what was asked for, in the whole API, as the rest is answered."""
    api.add_exception_handler(ValidationError, _refuse_input)
    api.add_exception_handler(HttpError, _refuse_what_is_no_json)
    api.add_exception_handler(RequestDataTooBig, _refuse_what_is_too_large)


def _refuse_input(_: HttpRequest, error: Any) -> HttpResponse:
    # Which field, and why; never what stood there: a pass that was mistyped is a pass.
    texts = [f"{_name_field(*row['loc'])}: {row['msg']}" for row in error.errors]
    return refuse(STATUSES["bad_input"], "bad_input", "; ".join(texts) or "expected a JSON object")


def _name_field(place: str, *names: Any) -> str:
    """A parameter by its name; a field of the body without the name of the body itself, which no caller knows."""
    return ".".join(map(str, names[1:] if place == "body" else names)) or "the body"


def _refuse_what_is_no_json(_: HttpRequest, error: Any) -> HttpResponse:
    return refuse(error.status_code, "bad_input", "expected a JSON object")


def _refuse_what_is_too_large(_: HttpRequest, error: Any) -> HttpResponse:
    return refuse(413, "too_large", "expected a body of some hundred bytes")
