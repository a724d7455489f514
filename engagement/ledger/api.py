"""HTTP API of the ledger (docs/ledger.md): checkpoints, proofs and public statements, for everybody."""

from collections.abc import Callable
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from ninja import Path, Router, Schema
from pydantic import Field

from engagement.core.digests import canonical_json
from engagement.ledger import witnessed
from engagement.ledger.checkpoints import keys_of, origin_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.core.merkle import GrowingTree
from engagement.ledger.core.statements import FORMAT
from engagement.ledger.core.stubs import LONGEST_NAME
from engagement.ledger.statements import (
    AT_ONCE,
    find_gateway_key,
    list_statements,
    no_checkpoint,
    statement_under,
)
from engagement.ledger.statements import statement as make_statement
from engagement.ledger.tree import ask_tree, count_entries
from engagement.ledger.witnessed import WholeNote, WitnessState, whole_note
from engagement.models import LedgerCheckpoint, Show
from engagement.refusals import Refused

router = Router(tags=["ledger"])

FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "public, no-cache"
A_MINUTE = "public, max-age=60"
MOST_DIGITS = 10

Slug = Annotated[str, Path(description="The show in addresses.")]


class LedgerFault(Schema):
    """Why there is no answer."""

    code: str = Field(
        description="bad_request, no_such_show, no_checkpoint, no_gateway_key, not_public, not_there_yet or no_proof",
        examples=["no_checkpoint"],
    )
    message: str = Field(description="For people.")


class LedgerRoot(Schema):
    """The tree over the first `size` entries."""

    size: int
    root: str = Field(description="32 bytes in hex.")


class LedgerWitness(Schema):
    """Somebody outside who cosigns checkpoints."""

    name: str
    key: str = Field(description="Its public key, name+id+base64.")
    size: int | None = Field(description="The last checkpoint that it has cosigned; null: none yet.")
    time: int | None = Field(description="When, on its own clock, in POSIX seconds.")


class LedgerAbout(LedgerRoot):
    """A show's ledger as it is now, and the keys that sign it."""

    origin: str = Field(description="The first line of its checkpoints.", examples=["localhost/gala-2026"])
    keys: list[str] = Field(description="Verifier keys, name+id+base64; the first one signs now.")
    witnesses: list[LedgerWitness]
    quorum: int = Field(description="So many of them have to have cosigned a seal.")


class ConsistencyProof(Schema):
    """Shows that the second tree only adds to the first: RFC 9162, 2.1.4."""

    first: LedgerRoot
    second: LedgerRoot
    proof: list[str] = Field(description="Hashes of 32 bytes, in hex.")


class InclusionProof(Schema):
    """Shows that an entry is in the tree: RFC 9162, 2.1.3."""

    position: int
    leaf: str = Field(description="SHA-256(0x00 || digest of the entry), in hex.")
    tree: LedgerRoot
    proof: list[str] = Field(description="Hashes of 32 bytes, in hex.")


class PublicEntry(Schema):
    """What an entry says to everybody."""

    show: str
    position: int
    at: int = Field(description="UTC ms.")
    by: str = Field(description="Who did it, as a salted digest: 32 bytes in hex.")
    action: str = Field(examples=["seal"])
    reason: str
    details: dict[str, Any]


class Statement(Schema):
    """An entry that everybody may read, with the signature over it."""

    format: str = Field(alias="$format", examples=[FORMAT])
    entry: PublicEntry
    previous: str = Field(description="The digest of the entry before, in hex.")
    proof: list[str] = Field(description="From the entry's leaf to the root that is signed: hashes in hex.")
    checkpoint: str = Field(description="The signed note.")


class Statements(Schema):
    """Some of the statements of a show, in the order of the ledger, all under one checkpoint."""

    size: int = Field(description="Of the checkpoint.")
    statements: list[Statement]
    next: int | None = Field(description="What to ask for as `after` to go on; null after the last one.")


def _get(
    path: str,
    answer: Any,
    summary: str,
    numbers: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
) -> Callable[[Any], Any]:
    """An endpoint for GET and, beside the OpenAPI document, for HEAD; `numbers` are the query it needs."""
    query = [_number_in_query(name, name in numbers) for name in (*numbers, *optional)]
    extra: dict[str, Any] = {"parameters": query} if query else {}
    if answer is None:
        extra["responses"] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    answers = {200: answer, 400: LedgerFault, 404: LedgerFault}

    def register(view: Any) -> Any:
        router.api_operation(["HEAD"], path, include_in_schema=False)(view)
        return router.get(path, response=answers, summary=summary, openapi_extra=extra)(view)

    return register


def _number_in_query(name: str, required: bool) -> dict[str, Any]:
    return {"in": "query", "name": name, "required": required, "schema": {"type": "integer", "minimum": 0}}


@_get("/shows/{slug:slug}/ledger", LedgerAbout, "A ledger and its keys")
def about(request: HttpRequest, slug: Slug) -> HttpResponse:
    latest = _checkpoint(slug)
    show = latest.show
    witnessing = witnessed.describe_witnesses(show)
    body = {
        "origin": origin_of(show),
        "size": latest.size,
        "root": latest.root,
        "keys": [format_vkey(key) for key in keys_of(show)],
        "witnesses": [_describe_witness(row) for row in witnessing.witnesses],
        "quorum": witnessing.quorum,
    }
    return JsonResponse(body, headers={"Cache-Control": ASK_AGAIN})


@_get("/shows/{slug:slug}/ledger/checkpoint", None, "The latest checkpoint, a signed note")
def latest_checkpoint(request: HttpRequest, slug: Slug) -> HttpResponse:
    row = _checkpoint(slug)
    return _answer_note(request, row, whole_note(row), newest=True)


@_get("/shows/{slug:slug}/ledger/checkpoint/{int:size}", None, "The checkpoint of so many entries")
def checkpoint(request: HttpRequest, slug: Slug, size: int) -> HttpResponse:
    row = _checkpoint(slug, size)
    return _answer_note(request, row, whole_note(row), newest=False)


@_get("/shows/{slug:slug}/ledger/proof", ConsistencyProof, "A consistency proof", ("from", "to"))
def consistency(request: HttpRequest, slug: Slug) -> HttpResponse:
    first, second = _number(request, "from"), _number(request, "to")
    if first > second:
        raise Refused(400, "bad_request", f"expected from <= to, got from {first} to {second}")

    def prove(tree: GrowingTree) -> dict[str, Any]:
        return {
            "first": {"size": first, "root": tree.root(first).hex()},
            "second": {"size": second, "root": tree.root(second).hex()},
            "proof": [node.hex() for node in tree.consistency_proof(first, second)],
        }

    body = _ask(slug, second, prove)
    return JsonResponse(body, headers={"Cache-Control": FOR_EVER})


@_get(
    "/shows/{slug:slug}/ledger/inclusion",
    InclusionProof,
    "An inclusion proof of an entry",
    ("position", "size"),
)
def inclusion(request: HttpRequest, slug: Slug) -> HttpResponse:
    position, size = _number(request, "position"), _number(request, "size")
    if position >= size:
        raise Refused(400, "bad_request", f"expected position < size, got position {position}, size {size}")

    def prove(tree: GrowingTree) -> dict[str, Any]:
        return {
            "position": position,
            "leaf": tree.leaf(position).hex(),
            "tree": {"size": size, "root": tree.root(size).hex()},
            "proof": [node.hex() for node in tree.inclusion_proof(position, size)],
        }

    body = _ask(slug, size, prove)
    return JsonResponse(body, headers={"Cache-Control": FOR_EVER})


@_get(
    "/shows/{slug:slug}/ledger/statements/{int:position}",
    Statement,
    "An entry that everybody may read, with the signature over it",
    optional=("size",),
)
def statement(request: HttpRequest, slug: Slug, position: int) -> HttpResponse:
    size = _number(request, "size") if "size" in request.GET else None
    row = _checkpoint(slug, size)
    note = whole_note(row)
    body = canonical_json(statement_under(row, note, position))
    headers = {"Cache-Control": _cache_of(note, newest=size is None)}
    return HttpResponse(body, content_type="application/json", headers=headers)


def _cache_of(note: WholeNote, *, newest: bool) -> str:
    return ASK_AGAIN if newest or note.below.may_grow else FOR_EVER


def _describe_witness(row: WitnessState) -> dict[str, Any]:
    time = None if row.at_ms is None else row.at_ms // 1000
    return {"name": row.name, "key": row.key, "size": row.size, "time": time}


@_get(
    "/shows/{slug:slug}/ledger/gateway-keys/{gateway}",
    Statement,
    "The entry that has the key with which a gateway signs stubs",
)
def gateway_key(request: HttpRequest, slug: Slug, gateway: str) -> HttpResponse:
    show = _show(slug)
    position = find_gateway_key(show, gateway[:LONGEST_NAME])
    if position is None:
        raise Refused(404, "no_gateway_key", f"the ledger has no key of a gateway {gateway[:40]!r}")
    body = canonical_json(make_statement(show, position))
    return HttpResponse(body, content_type="application/json", headers={"Cache-Control": A_MINUTE})


@_get(
    "/shows/{slug:slug}/ledger/statements",
    Statements,
    f"What everybody may read of a ledger, {AT_ONCE} entries at a time",
    optional=("after", "size"),
)
def statements(request: HttpRequest, slug: Slug) -> HttpResponse:
    size = _number(request, "size") if "size" in request.GET else None
    after = _number(request, "after") if "after" in request.GET else -1
    row = _checkpoint(slug, size)
    note = whole_note(row)
    body = canonical_json(list_statements(row, note, after))
    headers = {"Cache-Control": _cache_of(note, newest=size is None)}
    return HttpResponse(body, content_type="application/json", headers=headers)


def _show(slug: str) -> Show:
    show = Show.objects.filter(slug=slug).first()
    if show is None:
        raise Refused(404, "no_such_show", f"there is no show {slug}")
    return show


def _checkpoint(slug: str, size: int | None = None) -> LedgerCheckpoint:
    """That of so many entries, or the latest one, with its show."""
    rows = LedgerCheckpoint.objects.filter(show__slug=slug).select_related("show").order_by("-size")
    row: LedgerCheckpoint | None = (rows if size is None else rows.filter(size=size)).first()
    if row is None:
        _show(slug)
        raise no_checkpoint(size)
    return row


def _ask(slug: str, size: int, prove: Callable[[GrowingTree], dict[str, Any]]) -> dict[str, Any]:
    show = _show(slug)
    entries = count_entries(show)
    if size > entries:
        raise Refused(
            404, "not_there_yet", f"the ledger has {entries} entries, asked for was a tree of {size}"
        )
    try:
        return ask_tree(show, size, prove)
    except KeyError:  # somebody has removed entries: the checks of the ledger say which
        raise Refused(404, "no_proof", "the ledger has lost what the proof is made from") from None


def _number(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise Refused(400, "bad_request", f"{name}: expected a number, got {text[:40]!r}")
    return int(text)


def _answer_note(
    request: HttpRequest, row: LedgerCheckpoint, note: WholeNote, *, newest: bool
) -> HttpResponse:
    tag = f'"{row.size}-{row.root}-{len(note.below.lines)}"'
    headers = {"ETag": tag, "Cache-Control": _cache_of(note, newest=newest)}
    answer = HttpResponse(note.text, content_type="text/plain; charset=utf-8", headers=headers)
    known = get_conditional_response(request, tag, None, answer)
    assert isinstance(known, HttpResponse)
    return known
