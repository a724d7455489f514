"""The answers of the HTTP API as OpenAPI describes them; the content is specified in docs/draw.md."""

from typing import Any

from ninja import Schema
from pydantic import ConfigDict, Field

HEX32, HEX14 = "^[0-9a-f]{64}$", "^[0-9a-f]{28}$"
NOT_IN_V1 = "not in documents of shake-draw/v1"
A_DIGEST = "9e1a0f" + "5c" * 29


class Closed(Schema):
    """No other fields than these."""

    model_config = ConfigDict(extra="forbid")


def digest(description: str) -> Any:
    return Field(pattern=HEX32, description=description, examples=[A_DIGEST])


class Failure(Closed):
    """Why there is no answer."""

    code: str = Field(description="For programs; the table in docs/api.md.", examples=["not_published"])
    message: str = Field(description="For people.", examples=["draw 3 is not published yet"])


class DrawLinks(Closed):
    """Where the rest is; null where there is nothing yet."""

    page: str = Field(description="For people.", examples=["/draws/3/"])
    precommitment: str = Field(examples=["/api/draws/3/precommitment"])
    receipt: str | None = Field(
        description="Put your pseudonym where {pseudonym} stands; from the seal on.",
        examples=["/api/draws/3/receipt/{pseudonym}"],
    )
    record: str | None = Field(description="Once it is published.", examples=["/api/draws/3/record"])
    roll: str | None = Field(
        description="Once it is published, where everybody may read it.", examples=["/api/draws/3/roll"]
    )


class WinnersPage(Closed):
    """Some of those who hold a prize; a winner names its prize by the number that it has in `prizes`."""

    draw: int = Field(examples=[3])
    total: int = Field(description="All who hold a prize of this draw now.", examples=[1000])
    winners: list[dict[str, Any]] = Field(description="As in the results of docs/protocol.md.")
    prizes: list[dict[str, Any]] = Field(description="As in docs/protocol.md.")
    next: str | None = Field(
        description="Where the next page is; null after the last one.",
        examples=["/api/draws/3/winners?after=100"],
    )


class DrawSegment(Closed):
    """The slot of the rundown that the draw belongs to."""

    id: int = Field(examples=[2])
    position: int = Field(examples=[1])
    title: str = Field(examples=["Red carpet"])
    title_zh: str = Field(examples=["红毯时刻"])
    phase: str = Field(examples=["armed"])


class DrawItem(Closed):
    """One draw that was committed to."""

    id: int = Field(description="The number in addresses.", examples=[3])
    draw_id: str = Field(description="The id in rules and records.", examples=["gala-2026/seg-1/draw-1"])
    step: str = Field(
        description="committed, sealed, drawing, drawn, published or spoiled.", examples=["committed"]
    )
    segment: DrawSegment
    links: DrawLinks


class ShowDraws(Closed):
    """Draws of a show that were committed to, in the order in which they were armed."""

    show: str = Field(examples=["gala-2026"])
    draws: list[DrawItem]
    next: str | None = Field(
        description="Where the next page is; null after the last one.",
        examples=["/api/shows/gala-2026/draws?after=100"],
    )


class Precommitment(Closed):
    """What was promised before the window opened (docs/draw.md, section 1)."""

    format: str = Field(alias="$format", pattern="^shake-draw/v[12]/precommitment$")
    draw_id: str = Field(examples=["gala-2026/seg-1/draw-1"])
    rules: dict[str, Any] = Field(
        description="Prizes, ticket table, windows, parties and all else that is fixed."
    )
    rules_digest: str = digest("Of the rules; stands in the roll, the seal and the record.")
    commitments: dict[str, str] = Field(
        description="Party to commitment.", examples=[{"house": A_DIGEST, "notary": A_DIGEST}]
    )
    time: int = Field(description="When the segment was armed, UTC milliseconds.", examples=[1798678800000])
    ledger: int = Field(description="The position of that in the show's ledger.", examples=[4])


class ReceiptRoll(Closed):
    """The roll that was sealed."""

    header: str = Field(pattern="^[0-9a-f]{128}$", description="The 64 bytes at its beginning.")
    root: str = digest("The root of its tree.")
    digest: str = digest("Of header and root; what the seal names.")


class ReceiptEntry(Closed):
    """Where the viewer stands in the roll."""

    index: int = Field(ge=0, description="From 0.", examples=[4711])
    tickets: int = Field(ge=1, le=65535, examples=[3])


class ReceiptRun(Closed):
    """A run of 256 entries, and its proof of inclusion."""

    leaf: int = Field(ge=0, examples=[18])
    data: str = Field(pattern="^([0-9a-f]{32}){1,256}$", description="The entries: pseudonym and tickets.")
    siblings: list[str] = Field(description="From the leaf up to the root.", examples=[[A_DIGEST]])


class Receipt(Closed):
    """What the sealed roll says of one viewer (docs/draw.md, section 7)."""

    format: str = Field(alias="$format", pattern="^shake-draw/v[12]/receipt$")
    draw_id: str = Field(examples=["gala-2026/seg-1/draw-1"])
    pseudonym: str = Field(pattern=HEX14, examples=["7d2b9ad16a51a6099939d32fb499"])
    rules_digest: str = digest("As in the header of the roll.")
    roll: ReceiptRoll
    seal: str = Field(
        pattern="^([0-9a-f]{64})?$", description="The seal of the draw; empty of one that was spoiled."
    )
    entry: ReceiptEntry | None = Field(description="null: not in the roll, which the runs prove.")
    runs: list[ReceiptRun] = Field(
        max_length=2,
        description="The run with the viewer, or the one or two around the place where an absent one would stand.",
    )
    signature: str = Field(description=f"The organiser's, a signed note; {NOT_IN_V1}.")


class Record(Closed):
    """The whole account of a draw (docs/draw.md, section 7)."""

    format: str = Field(alias="$format", pattern="^shake-draw/v[12]$")
    rules: dict[str, Any]
    rules_digest: str = digest("Of the rules.")
    precommitment: dict[str, Any]
    as_run: dict[str, int] = Field(description="The window in studio time, UTC milliseconds.")
    roll: dict[str, Any]
    reveals: dict[str, dict[str, Any]] = Field(description="Party to secret, time and ledger position.")
    seal: dict[str, Any]
    beacon: dict[str, Any]
    key: str = digest("The AES key of the draw.")
    ranked: list[dict[str, Any]] = Field(
        description="The ranking as far as it matters, with inclusion proofs."
    )
    cutoff: str = Field(pattern="^[0-9a-f]{32}$", description="Whoever has a smaller score must be listed.")
    winners: list[dict[str, Any]]
    reserves: list[dict[str, Any]]
    prior_wins: list[dict[str, Any]]
    pending: list[str] = Field(description=f"Draws that were sealed before and not drawn yet; {NOT_IN_V1}.")
    dispositions: list[dict[str, Any]] = Field(description="What became of the prizes until now.")
    ledger: dict[str, int]
    software: dict[str, str]
    digest: str = digest("Of all other fields but log and signature; changes with the dispositions.")
    log: dict[str, Any] | None = Field(
        description=f"Where the ledger tells of each step, with proofs; {NOT_IN_V1}."
    )
    signature: str = Field(description=f"The organiser's, a signed note over the digest; {NOT_IN_V1}.")


# --- what OpenAPI says beside the schemas ---

DRAW_ID = "The number of the draw: `id` in the list of the show's draws."
BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
NOT_MODIFIED = {"description": "What you have is the newest (If-None-Match)."}
WHY = {
    404: "There is nothing at this address, or not yet; the code says which.",
    403: "For auditors only.",
    400: "The request is not well formed.",
}


def described(
    summary: str, description: str, schema: type[Schema], answer: str, failures: tuple[int, ...] = (404,)
) -> dict[str, Any]:
    """The arguments of an endpoint with a JSON document."""
    extra = {200: {"description": answer, "headers": _headers("ETag")}, 304: NOT_MODIFIED}
    return {
        "summary": summary,
        "description": description,
        "response": {200: schema, 304: None, **dict.fromkeys(failures, Failure)},
        "by_alias": True,
        "openapi_extra": {"responses": {**extra, **{code: {"description": WHY[code]} for code in failures}}},
    }


def described_file(
    summary: str, description: str, answer: str, failures: tuple[int, ...] = (403, 404)
) -> dict[str, Any]:
    """The arguments of an endpoint with a large binary file."""
    whole = {"description": answer, "content": BYTES, "headers": _headers("ETag", "Accept-Ranges")}
    part = {"description": "The range asked for.", "content": BYTES, "headers": _headers("Content-Range")}
    beyond = {"description": "The file has no byte of this range.", "headers": _headers("Content-Range")}
    return {
        "summary": summary,
        "description": description,
        "response": {200: None, 206: None, 304: None, **dict.fromkeys((*failures, 416), Failure)},
        "openapi_extra": {
            "parameters": [
                _header_parameter("Range", "bytes=0-1048575"),
                _header_parameter("If-Range", f'"{A_DIGEST}"'),
            ],
            "responses": {
                200: whole,
                206: part,
                304: NOT_MODIFIED,
                416: beyond,
                **{code: {"description": WHY[code]} for code in failures},
            },
        },
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in names}


def _header_parameter(name: str, example: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": False, "schema": {"type": "string"}, "example": example}
