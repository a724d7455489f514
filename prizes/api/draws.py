"""HTTP API of the draw side: what anybody may fetch of a draw, and when (docs/api.md)."""

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from ninja import NinjaAPI, Path, Query, Router

from engagement.core.digests import canonical_json
from engagement.models import RollVisibility, Show
from engagement.refusals import Refused, refuse
from prizes import files
from prizes.api.schemas import (
    DRAW_ID,
    Precommitment,
    Receipt,
    Record,
    ShowDraws,
    WinnersPage,
    described,
    described_file,
)
from prizes.core.digests import roll_digest
from prizes.downloads import (
    ASK_AGAIN,
    FOR_EVER,
    NOBODY_ELSE,
    OutOfRange,
    answer_document,
    answer_file,
    tag_of,
)
from prizes.models import Draw
from prizes.publication import BrokenRecord, precommitment_of, record_of
from prizes.receipts import BrokenRoll, make_receipt
from prizes.results import describe_page

router = Router(tags=["draws"])
logger = logging.getLogger(__name__)

AUDITS = "prizes.audit_draw"
WINNERS_AT_ONCE = DRAWS_AT_ONCE = 100
PSEUDONYM = re.compile("[0-9a-f]{28}")

DrawNumber = Annotated[int, Path(description=DRAW_ID, examples=[3])]
View = Callable[..., Any]


def add_error_handlers(api: NinjaAPI) -> None:
    """Answers every refusal of this module as JSON."""
    api.add_exception_handler(OutOfRange, _answer_out_of_range)
    api.add_exception_handler(FileNotFoundError, _answer_missing)
    api.add_exception_handler(BrokenRoll, _answer_broken)
    api.add_exception_handler(BrokenRecord, _answer_broken)


def _answer_out_of_range(_: HttpRequest, error: Any) -> HttpResponse:
    answer = refuse(416, "range_not_satisfiable", str(error))
    answer.headers["Content-Range"] = f"bytes */{error.size}"  # RFC 9110 15.5.17
    return answer


def _answer_missing(_: HttpRequest, error: Any) -> HttpResponse:
    return refuse(404, "not_stored", "this file of the draw is not on this server")


def _answer_broken(_: HttpRequest, error: Any) -> HttpResponse:
    logger.error("%s", error)
    return refuse(500, "broken", str(error))


def get(path: str, **options: Any) -> Callable[[View], View]:
    """An endpoint for GET and, beside the OpenAPI document, for HEAD."""

    def register(view: View) -> View:
        router.api_operation(["HEAD"], path, include_in_schema=False)(view)
        return router.get(path, **options)(view)

    return register


# --- documents ---


@get(
    "/shows/{slug:slug}/draws",
    **described(
        "The draws of a show",
        "Every draw that was committed to, from the moment its segment is armed: with this the precommitments are "
        f"found before the windows open. {DRAWS_AT_ONCE} at a time, in the order in which they were armed.",
        ShowDraws,
        "Draws from the one after `after` on.",
    ),
)
async def list_draws(
    request: HttpRequest,
    slug: Annotated[str, Path(description="The show in addresses.", examples=["gala-2026"])],
    after: Annotated[int, Query(ge=0, le=2**31, description="The number of the last draw you have.")] = 0,
) -> HttpResponse:
    show = await Show.objects.filter(slug=slug).afirst()
    if show is None:
        raise Refused(404, "no_such_show", f"there is no show {slug!r}")
    draws = Draw.objects.filter(show=show, pk__gt=after).select_related("segment", "show").order_by("pk")
    found = [draw async for draw in draws.defer("rules", "excluded", "classes", "prior")[: DRAWS_AT_ONCE + 1]]
    shown = found[:DRAWS_AT_ONCE]
    more = len(found) > len(shown)
    page = {
        "show": show.slug,
        "draws": [_describe(draw) for draw in shown],
        "next": f"/api/shows/{show.slug}/draws?after={shown[-1].pk}" if more else None,
    }
    return answer_document(request, canonical_json(page), cache=ASK_AGAIN)


ENDED = (Draw.Step.PUBLISHED, Draw.Step.SPOILED)


def has_receipts(draw: Draw) -> bool:
    """Whether the roll is fixed for everybody: by the seal, or since it missed its seal."""
    return draw.seal != "" or draw.step == Draw.Step.SPOILED


def is_roll_public(draw: Draw) -> bool:
    return draw.step in ENDED and draw.show.roll_visibility == RollVisibility.PUBLIC


def _describe(draw: Draw) -> dict[str, Any]:
    published, segment = draw.step == Draw.Step.PUBLISHED, draw.segment
    links = {name: f"/api/draws/{draw.pk}/{name}" for name in ("precommitment", "record", "roll")}
    links["receipt"] = f"/api/draws/{draw.pk}/receipt/{{pseudonym}}"
    there = {
        "precommitment": True,
        "record": published,
        "roll": is_roll_public(draw),
        "receipt": has_receipts(draw),
    }
    return {
        "id": draw.pk,
        "draw_id": draw.draw_id,
        "step": str(draw.step),
        "segment": {
            "id": segment.pk,
            "position": segment.position,
            "title": segment.title,
            "title_zh": segment.title_zh,
            "phase": str(segment.phase),
        },
        "links": {
            "page": reverse("draw_page", args=[draw.pk]),
            **{name: address if there[name] else None for name, address in links.items()},
        },
    }


@get(
    "/draws/{int:draw_id}/precommitment",
    **described(
        "The precommitment of a draw",
        "Rules, prizes, parties with their commitments, and the digests of the programs, as fixed when the segment was "
        "armed and before its window opened. Canonical JSON; never changes.",
        Precommitment,
        "The precommitment.",
    ),
)
async def get_precommitment(request: HttpRequest, draw_id: DrawNumber) -> HttpResponse:
    draw = await _find(draw_id)
    return answer_document(request, precommitment_of(draw), cache=FOR_EVER)


@get(
    "/draws/{int:draw_id}/winners",
    **described(
        "Who holds the prizes",
        f"All who hold a prize of a published draw now, {WINNERS_AT_ONCE} at a time in the order of the ranking: the "
        "states of the live side list the first ones only. Changes with every prize that is claimed or lost.",
        WinnersPage,
        "Winners from the rank after `after` on.",
    ),
)
async def list_winners(
    request: HttpRequest,
    draw_id: DrawNumber,
    after: Annotated[int, Query(ge=0, le=2**31, description="The rank of the last winner you have.")] = 0,
) -> HttpResponse:
    draw = await _find(draw_id)
    if draw.step != Draw.Step.PUBLISHED:
        raise _not_published(draw)
    page = await sync_to_async(describe_page)(draw, after, WINNERS_AT_ONCE)
    return answer_document(request, canonical_json(page), cache=ASK_AGAIN)


@get(
    "/draws/{int:draw_id}/record",
    **described(
        "The record of a draw",
        "The whole account of a published draw, with what became of the prizes until now. Canonical JSON; the entity "
        "tag is the SHA-256 of the bytes.",
        Record,
        "The record.",
    ),
)
async def get_record(request: HttpRequest, draw_id: DrawNumber) -> HttpResponse:
    draw = await _find(draw_id)
    if draw.step != Draw.Step.PUBLISHED:
        raise _not_published(draw)
    record = await sync_to_async(record_of)(draw)
    return answer_document(request, record.content, cache=ASK_AGAIN)


@get(
    "/draws/{int:draw_id}/receipt/{pseudonym}",
    **described(
        "The receipt of a viewer",
        "What the sealed roll says of one viewer, present or absent, with the run of entries and the inclusion proof "
        "that show it: 5 to 20 KB. From the seal on. Canonical JSON; never changes.",
        Receipt,
        "The receipt.",
        failures=(400, 404),
    ),
)
async def get_receipt(
    request: HttpRequest,
    draw_id: DrawNumber,
    pseudonym: Annotated[
        str, Path(description="28 lower-case hex digits.", examples=["7d2b9ad16a51a6099939d32fb499"])
    ],
) -> HttpResponse:
    if not PSEUDONYM.fullmatch(pseudonym):
        message = f"expected a pseudonym of 28 lower-case hex digits, got {pseudonym[:40]!r}"
        raise Refused(400, "bad_pseudonym", message)
    receipt = await _make_receipt(draw_id, bytes.fromhex(pseudonym))
    return answer_document(request, receipt, cache=FOR_EVER)


# After a show, everybody asks for a receipt, each for another one, and the query is more work than the receipt: the row
# is read once in a while. What stands of a sealed draw in a receipt changes only where the database is restored.
_sealed: dict[int, tuple[Draw, float]] = {}  # and until when it is taken for the row
SEALED_S = 3.0
MOST_SEALED = 256


async def _make_receipt(draw_id: int, pseudonym: bytes) -> bytes:
    known, until = _sealed.get(draw_id, (None, 0.0))
    if known is not None and monotonic() < until:
        with suppress(BrokenRoll, FileNotFoundError):
            return await asyncio.to_thread(make_receipt, known, pseudonym)
        _sealed.clear()  # roll and row do not fit: another database, or the roll was changed
    draw = await _find(draw_id)
    if not has_receipts(draw):
        raise _not_sealed(draw)
    receipt = await asyncio.to_thread(make_receipt, draw, pseudonym)
    if draw_id in _sealed or len(_sealed) < MOST_SEALED:
        _sealed[draw_id] = draw, monotonic() + SEALED_S
    return receipt


# --- files ---


@get(
    "/draws/{int:draw_id}/roll",
    **described_file(
        "The roll of a draw",
        "The list of pseudonyms and tickets that was drawn from: up to half a gigabyte, in ranges if you like. For "
        "everybody once it is published, unless the show keeps its rolls to its auditors; for those from the seal on. "
        "The entity tag is the digest of the roll.",
        "The roll (docs/draw.md, section 3).",
    ),
)
async def get_roll(request: HttpRequest, draw_id: DrawNumber) -> HttpResponseBase:
    draw = await _find(draw_id)
    everybodys = is_roll_public(draw)
    if not everybodys and not await _audits(request):
        raise _auditors_only("the roll") if draw.step in ENDED else _not_published(draw)
    if not has_receipts(draw):
        raise _not_sealed(draw)
    digest = roll_digest(bytes.fromhex(draw.roll_header), bytes.fromhex(draw.roll_root)).hex()
    return await _answer_stored(
        request, files.roll_name(draw.key), digest, FOR_EVER if everybodys else NOBODY_ELSE
    )


@get(
    "/draws/{int:draw_id}/totals",
    **described_file(
        "The frozen totals of a draw",
        "The shakes of every viewer of the segment, from which the roll follows. For auditors, from the seal on. The "
        "entity tag is its SHA-256.",
        "The frozen totals (docs/draw.md, section 3).",
    ),
)
async def get_totals(request: HttpRequest, draw_id: DrawNumber) -> HttpResponseBase:
    draw = await _find(draw_id)
    if not await _audits(request):
        raise _auditors_only("what every single viewer has shaken")
    if not draw.seal:
        raise _not_sealed(draw)
    return await _answer_stored(request, files.totals_name(draw.segment.key), draw.totals_digest, NOBODY_ELSE)


@get(
    "/draws/{int:draw_id}/origins",
    **described_file(
        "Where the guests of a draw come from",
        "Kind, carrier and block of each guest of the segment, from which follows what blocks share. For auditors, "
        "from the seal on. The entity tag is its SHA-256.",
        "The frozen origins (docs/draw.md, section 3).",
    ),
)
async def get_origins(request: HttpRequest, draw_id: DrawNumber) -> HttpResponseBase:
    draw = await _find(draw_id, "segment__freeze")
    if not await _audits(request):
        raise _auditors_only("where every single guest comes from")
    if not draw.seal:
        raise _not_sealed(draw)
    _require_origins(draw)
    digest = draw.segment.freeze.origins_sha256
    return await _answer_stored(request, files.origins_name(draw.segment.key), digest, NOBODY_ELSE)


@get(
    "/draws/{int:draw_id}/shared",
    **described_file(
        "The entries that do not count",
        "Pseudonyms of 14 bytes, sorted: the entries that their blocks have too many by the rules, so that they are "
        "not in the roll. For everybody, from the seal on, in ranges if you like. The entity tag is its SHA-256, which "
        "stands in the ledger's entry of the freeze.",
        "The list (docs/draw.md, section 3).",
    ),
)
async def get_shared(request: HttpRequest, draw_id: DrawNumber) -> HttpResponseBase:
    draw = await _find(draw_id)
    if not has_receipts(draw):
        raise _not_sealed(draw)
    _require_origins(draw)
    return await _answer_stored(request, files.shared_name(draw.key), draw.shared["sha256"], FOR_EVER)


async def _answer_stored(request: HttpRequest, name: str, digest: str, cache: str) -> HttpResponseBase:
    path = await asyncio.to_thread(files.fetch, name)
    await sync_to_async(_leave_database)()
    return await answer_file(request, path, cache=cache, tag=tag_of(digest))


def _leave_database() -> None:
    """A download takes minutes: the connection that found it is not kept for so long."""
    if not connection.in_atomic_block:
        connection.close()


# --- what they share ---


async def _find(draw_id: int, *related: str) -> Draw:
    draw = await Draw.objects.select_related("show", "segment", *related).filter(pk=draw_id).afirst()
    if draw is None:
        raise Refused(404, "no_such_draw", f"there is no draw {draw_id}")
    return draw


async def _audits(request: HttpRequest) -> bool:
    """Asked only where it matters: an answer for everybody does not look at the session."""
    user = await request.auser()
    return bool(await user.ahas_perm(AUDITS))


def _not_published(draw: Draw) -> Refused:
    return Refused(404, "not_published", f"draw {draw.pk} is not published yet")


def _require_origins(draw: Draw) -> None:
    if not draw.shared:
        raise Refused(404, "no_origins", f"draw {draw.pk} is from before origins were kept")


def _not_sealed(draw: Draw) -> Refused:
    return Refused(404, "not_sealed", f"draw {draw.pk} is not sealed yet")


def _auditors_only(what: str) -> Refused:
    return Refused(403, "auditors_only", f"in this show {what} is for its auditors")
