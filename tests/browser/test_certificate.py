"""What a draw's page says first, and the certificate: in both languages, on a phone, on a desk and on paper."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from prizes.stamp_models import MOST_STAMPERS
from prizes.witness_models import MOST_WITNESSES
from tests.browser.conftest import PHONE, Night

pytestmark = pytest.mark.browser
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
SIZES: dict[str, dict[str, Any]] = {"phone": PHONE, "desk": DESK}
SCENES = {
    "published": ("published", "dice", 2),
    "unwitnessed": ("published", "dice", 1),
    "rehearsal": ("published", "local", 2),
    "sealed": ("sealed", "drand", 1),
    "armed": ("armed", "drand", 0),
}


@pytest.fixture(scope="module")
def scenes(night: Night) -> dict[str, dict[str, Any]]:
    return {name: night.set_up("certified", *scene) for name, scene in SCENES.items()}


def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize("size", ["phone", pytest.param("desk", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("language", ["zh", pytest.param("en", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", SCENES)
def test_the_page_begins_with_a_sentence_and_what_it_rests_on(
    open_page: Callable[..., Page],
    scenes: dict[str, dict[str, Any]],
    shots: Path,
    name: str,
    language: str,
    size: str,
) -> None:
    page = open_page(f"/draws/{scenes[name]['draw']}/?lang={language}", **SIZES[size])
    said = page.locator("#standing")
    expect(said).to_have_attribute("data-standing", name)
    expect(said.locator(".sentence")).to_be_in_viewport()
    expect(said.locator(".rehearsal")).to_have_count(1 if name == "rehearsal" else 0)
    expect(said.locator(".grounds > li")).to_have_count(6 if name == "armed" else 7)
    page.screenshot(path=shots / f"standing-{name}-{language}-{size}.png")
    for details in said.locator("details").all():
        details.locator("summary").click()
        expect(details.locator("p").first).to_be_visible()
    assert fits(page)
    said.screenshot(path=shots / f"grounds-{name}-{language}-{size}.png")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", [name for name in SCENES if name != "armed"])
def test_the_certificate_is_one_sheet_of_paper(
    open_page: Callable[..., Page],
    scenes: dict[str, dict[str, Any]],
    shots: Path,
    name: str,
    language: str,
) -> None:
    scene = scenes[name]
    page = open_page(f"/draws/{scene['draw']}/?lang={language}", **DESK)
    page.click(f"#standing a[href*='/draws/{scene['draw']}/certificate/']")
    expect(page.locator("#seal")).to_have_text(scene["seal"])
    page.locator("figure img").evaluate("image => image.decode()")  # raises where it is no picture
    page.evaluate("window.print = () => { document.title = 'printed'; }")
    page.click("#print")
    expect(page).to_have_title("printed")
    page.screenshot(path=shots / f"certificate-{name}-{language}-desk.png", full_page=True)
    paper = page.pdf(path=shots / f"certificate-{name}-{language}.pdf", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1025})  # A4 at 96 dpi, without its margins
    expect(page.locator(".top")).to_be_hidden()
    expect(page.locator("#print")).to_be_hidden()
    page.screenshot(path=shots / f"certificate-{name}-{language}-paper.png", full_page=True)
    page.emulate_media(media="screen")
    page.set_viewport_size(PHONE["viewport"])
    assert fits(page)
    page.screenshot(path=shots / f"certificate-{name}-{language}-phone.png", full_page=True)


def test_it_stays_one_sheet_with_long_names_and_the_most_witnesses(
    open_page: Callable[..., Page], scenes: dict[str, dict[str, Any]], shots: Path
) -> None:
    page = open_page(f"/draws/{scenes['unwitnessed']['draw']}/certificate/?lang=en", **DESK)
    page.evaluate(
        """(most) => {
            for (const [list, length] of [[".witnesses ul", most[0]], [".stamps", most[1]]]) {
                const place = document.querySelector(list), first = place.firstElementChild;
                place.replaceChildren(...Array.from({ length }, () => first.cloneNode(true)));
            }
            document.querySelector(".sheet h1").textContent = "The night of the thousand and one coats. ".repeat(3);
        }""",
        [MOST_WITNESSES, MOST_STAMPERS],
    )
    paper = page.pdf(path=shots / "certificate-long.pdf", prefer_css_page_size=True)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1025})
    page.screenshot(path=shots / "certificate-long.png", full_page=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
