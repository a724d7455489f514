"""The prizes of a draw as pages show them: in the words of the reader, with their pictures.

Rules and records name a prize in one language. What was announced when the segment was armed has the others.
"""

from typing import Any, NamedTuple

from django.utils.translation import gettext, ngettext

from engagement.languages import fill, localize
from prizes.models import Draw

SHEET_WIDTH = 1240  # pixels: the size that is made for a sheet of paper


class Photo(NamedTuple):
    """A picture of a prize for a page: two kinds of file, and what it shows."""

    webp: str  # all sizes, as `srcset` has it
    jpeg: str
    width: int
    height: int
    alt: str


def announced_prizes(draw: Draw) -> list[dict[str, Any]]:
    """What is won in this draw, in drawing order, each prize once; its segment may have other draws."""
    wanted = {row["id"].rpartition("-")[0] for row in draw.promised["prizes"]}
    return [row for row in draw.segment.announced_prizes if str(row["id"]) in wanted]


def say_prizes(draw: Draw) -> str:
    """What a draw is for, in a line: "Silver evening coat, worn by Lin Yao"; "" where nothing was announced."""
    prizes = announced_prizes(draw)
    if not prizes:
        return ""
    first = fill(gettext("{garment}, worn by {celebrity}"), **words_of(prizes[0]))
    more = len(prizes) - 1
    if not more:
        return first
    return fill(ngettext("{prize}, and one more", "{prize}, and {count} more", more), prize=first, count=more)


def words_of(prize: dict[str, Any]) -> dict[str, str]:
    """Garment and celebrity of an announced prize, for the page's language."""
    return {name: localize(prize[name], prize[f"{name}_zh"]) for name in ("garment", "celebrity")}


def name_pieces(draw: Draw, rules: dict[str, Any]) -> dict[str, str]:
    """Piece -> its title in the page's language; as the rules have it, where that is all there is."""
    announced = {str(row["id"]): row for row in announced_prizes(draw) if row["garment_zh"]}
    titles = {}
    for piece in rules["prizes"]:
        row = announced.get(piece["id"].rpartition("-")[0])
        said = fill(gettext("{garment} worn by {celebrity}"), **words_of(row)) if row else piece["title"]
        titles[piece["id"]] = said
    return titles


def photo_of(prize: dict[str, Any]) -> Photo | None:
    """The picture of an announced prize, None where it has none."""
    told = prize.get("picture")
    if told is None:
        return None
    sizes = [(width, height) for width, height in told["sizes"] if width <= SHEET_WIDTH] or told["sizes"][:1]
    width, height = sizes[-1]
    base = told["base"]
    said = localize(told.get("alt", ""), told.get("alt_zh", "")) or words_of(prize)["garment"]
    webp = ", ".join(f"{base}{size}.webp {size}w" for size, _ in sizes)
    return Photo(webp, f"{base}{width}.jpg", width, height, said)


def show_prizes(draw: Draw) -> list[dict[str, Any]]:
    """The prizes of a draw with their words and pictures."""
    return [
        {**words_of(row), "photo": photo_of(row), "brand": row["brand"]} for row in announced_prizes(draw)
    ]
