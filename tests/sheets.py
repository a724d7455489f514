"""Sheets of pictures: phone, wall, overlay and host's screen side by side, a row for each moment."""

from pathlib import Path

from PIL import Image, ImageFilter

from tests.browser.conftest import ROOT

ROWS = {
    "before": ("idle", "armed", "soon", "cue", "open", "closing"),
    "after": ("sealed", "beacon", "drawn", "naming", "published", "won", "claimed", "lost"),
    "troubles": ("void", "offline", "rehearsal-open", "overloaded"),
}
# Each of the three writings of Chinese, once around.
CHINESE = (
    ("armed", "zh-hans"), ("open", "zh-hant"), ("sealed", "zh-hk"), ("naming", "zh-hans"), ("published", "zh-hant"),
    ("won", "zh-hk"), ("lost", "zh-hant"),
)  # fmt: skip
COLUMNS = (("phone", 390), ("wall", 1920), ("overlay", 1920), ("host", 1600))
HIGH, GAP = 300, 12
GROUND = "#101218"
CAMERA = ROOT / "gala/drawings/jacket.webp"
QUALITY = 74


def write_sheets(folder: Path, languages: list[str]) -> list[Path]:
    """A sheet for each language and part of the night, of what pictures there are; moments without any are left out."""
    sheets = {
        f"night-{part}-{language}": [(moment, language) for moment in moments]
        for language in languages
        for part, moments in ROWS.items()
    }
    written = []
    for name, cells in (sheets | {"night-chinese": list(CHINESE)}).items():
        if rows := [row for moment, language in cells if (row := draw_row(folder, moment, language))]:
            written.append(folder / f"{name}.webp")
            stack(rows).save(written[-1], quality=QUALITY, method=6)
    return written


def draw_row(folder: Path, moment: str, language: str) -> Image.Image | None:
    """What there is of a moment, next to each other; of what only phones have, won and lost, the phone."""
    parts = []
    for screen, wide in COLUMNS:
        path = folder / f"{moment}-{screen}-{language}-{wide}.png"
        if path.exists():
            picture = over_camera(path) if screen == "overlay" else Image.open(path).convert("RGB")
            parts.append(
                picture.resize((round(picture.width * HIGH / picture.height), HIGH), Image.Resampling.LANCZOS)
            )
    return side_by_side(parts) if parts else None


def over_camera(path: Path) -> Image.Image:
    """An overlay as the mixer shows it: over the picture of a camera, which is out of focus here."""
    overlay = Image.open(path).convert("RGBA")
    with Image.open(CAMERA) as found:
        camera = found.convert("RGB")
    top, wide = camera.height // 5, camera.width
    camera = camera.crop((0, top, wide, top + wide * 9 // 16)).filter(ImageFilter.GaussianBlur(wide // 60))
    return Image.alpha_composite(camera.resize(overlay.size).convert("RGBA"), overlay).convert("RGB")


def side_by_side(parts: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (sum(part.width + GAP for part in parts) + GAP, HIGH + GAP), GROUND)
    left = GAP
    for part in parts:
        row.paste(part, (left, GAP))
        left += part.width + GAP
    return row


def stack(rows: list[Image.Image]) -> Image.Image:
    """Rows below each other; short ones share a line."""
    widest, lines = max(row.width for row in rows), [[rows[0]]]
    for row in rows[1:]:
        fits = sum(one.width for one in lines[-1]) + row.width <= widest
        lines[-1].append(row) if fits else lines.append([row])
    sheet = Image.new("RGB", (widest, len(lines) * (HIGH + GAP) + GAP), GROUND)
    for number, line in enumerate(lines):
        left = 0
        for row in line:
            sheet.paste(row, (left, number * (HIGH + GAP)))
            left += row.width
    return sheet
