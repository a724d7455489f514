"""Makes docs/design-tokens.md from engagement/static/engagement/tokens.css: `make tokens`."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SHEET = ROOT / "engagement" / "static" / "engagement" / "tokens.css"
PAGE = ROOT / "docs" / "design-tokens.md"
TOKEN = re.compile(r"^ +--(?P<name>[a-z0-9-]+): (?P<value>[^;]+);(?: /\* (?P<what>.+?) \*/)?$", re.MULTILINE)
# Text, its ground, and the least contrast (WCAG 2.2, 1.4.3); what the hall has to read, 7.
STAGE_PAIRS = [
    *((text, ground, 7.0) for text in ("ink", "soft", "accent", "good", "bad") for ground in ("ground", "card")),
    *((text, ground, 7.0) for text in ("ink", "accent") for ground in ("glow", "ember")),
    ("on-accent", "accent", 7.0), ("on-air", "air", 7.0), ("on-rehearsal", "rehearsal", 7.0),
    ("good", "good-ground", 4.5), ("bad", "bad-ground", 4.5), ("warn", "warn-ground", 4.5),
    ("soft", "quiet-ground", 4.5), ("ink", "bad-ground", 7.0),
]  # fmt: skip
TEXTS = ("ink", "soft", "accent", "good", "bad", "warn")
PAPER_PAIRS = [
    *((text, ground, 4.5) for text in TEXTS for ground in ("ground", "card")),
    ("on-accent", "accent", 4.5), ("good", "good-ground", 4.5), ("bad", "bad-ground", 4.5),
    ("warn", "warn-ground", 4.5), ("soft", "quiet-ground", 4.5), ("accent", "glow", 4.5),
]  # fmt: skip


class Token(NamedTuple):
    """A name of the style sheet, its value, and what it is for."""

    name: str
    value: str
    what: str


def read_tokens(block: str) -> dict[str, Token]:
    """The tokens of one block, such as `:root` or that of PAPER; those of all blocks of that name."""
    found = {}
    for body in re.findall(
        r"^" + re.escape(block) + r" \{\n(.*?)^\}", SHEET.read_text(), re.MULTILINE | re.DOTALL
    ):
        for row in TOKEN.finditer(body):
            found[row["name"]] = Token(row["name"], row["value"], row["what"] or "")
    return found


STAGE, PAPER = ":root", ':root[data-ground="paper"], main[data-ground="paper"]'


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance, of `#rrggbb`."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio, 1 to 21."""
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def write_page() -> str:
    """The page, as Markdown."""
    stage, paper = read_tokens(STAGE), read_tokens(PAPER)
    colours = [row for row in {**stage, **paper}.values() if row.value.startswith("#")]
    others = [row for row in stage.values() if not row.value.startswith("#")]
    lines = [
        "# Design tokens",
        "",
        "Made by `make tokens` from `engagement/static/engagement/tokens.css`; no other style sheet names a colour.",
        "In a style sheet the name stands behind two hyphens: `var(…)`.",
        "*Stage* is what viewers and the hall see, *paper* the pages of the crew and what is printed.",
        "",
        "| colour | stage | paper | what it is for |",
        "| --- | --- | --- | --- |",
        *(
            f"| `{row.name}` | {_cell(stage, row.name)} | {_cell(paper, row.name)} | "
            f"{(stage.get(row.name) or row).what or paper[row.name].what} |"
            for row in colours
        ),
        "",
        "| type, space, motion | value | what it is for |",
        "| --- | --- | --- |",
        *(f"| `{row.name}` | `{row.value}` | {row.what} |" for row in others),
        "",
        "## Contrasts",
        "",
        "| text | ground | stage | paper | at least |",
        "| --- | --- | ---: | ---: | ---: |",
        *_contrasts(stage, paper),
    ]
    return "\n".join(lines) + "\n"


def _cell(tokens: dict[str, Token], name: str) -> str:
    return f"`{tokens[name].value}`" if name in tokens else ""


def _contrasts(stage: dict[str, Token], paper: dict[str, Token]) -> list[str]:
    on_stage = {pair[:2]: pair[2] for pair in STAGE_PAIRS}
    on_paper = {pair[:2]: pair[2] for pair in PAPER_PAIRS}
    rows = []
    for text, ground in {**on_stage, **on_paper}:
        least = [f"{pairs[text, ground]:.1f}" for pairs in (on_stage, on_paper) if (text, ground) in pairs]
        measured = [
            f"{contrast(tokens[text].value, tokens[ground].value):.1f}" if (text, ground) in pairs else ""
            for tokens, pairs in ((stage, on_stage), ({**stage, **paper}, on_paper))
        ]
        rows.append(f"| `{text}` | `{ground}` | {measured[0]} | {measured[1]} | {' / '.join(least)} |")
    return rows


if __name__ == "__main__":
    sys.stdout.write(write_page())
