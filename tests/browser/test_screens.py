"""A part of what `make screenshots` draws: each screen once, and the sheet that has them side by side."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.browser.conftest import Night
from tests.browser.moments import MOMENTS
from tests.screens import LANGUAGES, SHARED, SIZES, Shot, Studio, shots
from tests.sheets import COLUMNS, ROWS, write_sheets

pytestmark = pytest.mark.browser


def test_every_cell_of_the_matrix_is_drawn_in_every_language_and_size() -> None:
    sizes = [f"{wide}x{high}" for known in SIZES.values() for wide, high in known]
    every = shots(list(SIZES), list(MOMENTS), list(LANGUAGES), sizes)
    assert len(set(every)) == len(every) == len({shot.name for shot in every})
    columns = [shot for shot in every if shot.moment == "naming" and shot.language == "zh-hk"]
    assert [(shot.screen, shot.size) for shot in columns] == [
        (screen, size) for screen, known in SIZES.items() for size in known
    ]
    assert (
        {shot.moment for shot in every} == set(MOMENTS) >= set(SHARED) | set(ROWS["before"] + ROWS["after"])
    )


def test_all_four_screens_of_a_moment_are_drawn_side_by_side(
    browser: Browser, night: Night, tmp_path: Path
) -> None:
    studio = Studio(browser, night)
    for screen, wide in COLUMNS:
        (size,) = [size for size in SIZES[screen] if size[0] == wide]
        path = studio.take(Shot(screen, "naming", "zh-hant", size), tmp_path)
        with Image.open(path) as picture:
            scale = 2 if screen == "phone" else 1
            assert picture.size == (size[0] * scale, size[1] * scale)
            seen = picture.convert("RGBA").getchannel("A").getextrema()
        assert seen == ((0, 255) if screen == "overlay" else (255, 255))
    sheets = write_sheets(tmp_path, ["zh-hant"])
    assert [path.name for path in sheets] == ["night-after-zh-hant.webp"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.width > 1_600 and len(sheet.getcolors(1 << 24) or []) > 1_000
