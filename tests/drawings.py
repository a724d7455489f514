"""Draws the pictures of the demo show from their sources in gala/drawings/, with Chromium; `make drawings`.

A garment stands on stage.svg; what is as wide as a wall (show.svg, standby.svg) is a whole picture. Each becomes a WebP
beside its source, below 60 KB, from which an installation makes its own sizes.
"""

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from gala.entrypoints import ROOT
from tests.browser.conftest import CHROMIUM

FOLDER = ROOT / "gala" / "drawings"
STAGE = "stage"
WHOLE = ("show", "standby")
PORTRAIT, LANDSCAPE = (1200, 1500), (1920, 1080)
LARGEST = 60_000


def draw_all(folder: Path = FOLDER) -> dict[str, int]:
    """Writes all of them; the bytes of each."""
    sources = sorted(path for path in FOLDER.glob("*.svg") if path.stem != STAGE)
    made = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page()
        for source in sources:
            width, height = LANDSCAPE if source.stem in WHOLE else PORTRAIT
            layers = [source] if source.stem in WHOLE else [FOLDER / f"{STAGE}.svg", source]
            page.set_viewport_size({"width": width, "height": height})
            page.set_content(_page([layer.read_text() for layer in layers]))
            picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
            file = folder / f"{source.stem}.webp"
            picture.save(file, "WEBP", quality=70 if source.stem in WHOLE else 78, method=6)
            made[file.name] = file.stat().st_size
        browser.close()
    return made


def _page(layers: list[str]) -> str:
    """Names in one drawing are not those of another, so that each is a frame of its own."""
    style = "<style>*{margin:0}svg{position:absolute;inset:0;width:100vw;height:100vh}</style>"
    named = [layer.replace('id="', f'id="{n}-').replace("url(#", f"url(#{n}-").replace('href="#', f'href="#{n}-')
             for n, layer in enumerate(layers)]  # fmt: skip
    return style + "".join(named)


if __name__ == "__main__":
    for name, size in draw_all().items():
        print(f"{name}: {size:,} bytes")
        if size > LARGEST:
            sys.exit(f"{name}: expected at most {LARGEST:,} bytes")
