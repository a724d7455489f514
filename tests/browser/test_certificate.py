"""What a draw's page says first, and the certificate: in both languages, on a phone, on a desk and on paper."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from prizes.stamp_models import MOST_STAMPERS
from prizes.witness_models import MOST_WITNESSES
from tests.browser.axe import serious
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


SHEETS = {"A4": 1, "Letter": 1}


def sheets(page: Page, path: Path) -> dict[str, int]:
    """How many sheets a printer needs, by the size of its paper."""
    return {
        size: len(
            re.findall(
                rb"/Type\s*/Page\b",
                page.pdf(path=f"{path}-{size}.pdf", format=size, prefer_css_page_size=True),
            )
        )
        for size in SHEETS
    }


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
    assert sheets(page, shots / f"certificate-{name}-{language}") == SHEETS
    page.emulate_media(media="print")
    expect(page.locator(".rehearsal:visible")).to_have_count(1 if name == "rehearsal" else 0)
    page.set_viewport_size({"width": 688, "height": 1025})  # A4 at 96 dpi, without its margins
    expect(page.locator(".top")).to_be_hidden()
    expect(page.locator("#print")).to_be_hidden()
    page.screenshot(path=shots / f"certificate-{name}-{language}-paper.png", full_page=True)
    page.emulate_media(media="screen")
    page.set_viewport_size(PHONE["viewport"])
    assert fits(page)
    page.screenshot(path=shots / f"certificate-{name}-{language}-phone.png", full_page=True)


@pytest.mark.parametrize(
    ("witnesses", "stampers", "winners", "titles"),
    [(MOST_WITNESSES, MOST_STAMPERS, 6, 3), (3, 2, 3, 1)],
    ids=["most", "few"],
)
def test_it_stays_one_sheet_with_long_names_and_the_most_witnesses(
    open_page: Callable[..., Page],
    scenes: dict[str, dict[str, Any]],
    shots: Path,
    witnesses: int,
    stampers: int,
    winners: int,
    titles: int,
) -> None:
    page = open_page(f"/draws/{scenes['unwitnessed']['draw']}/certificate/?lang=en", **DESK)
    page.evaluate(
        """(most) => {
            for (const [list, length] of [[".witnesses ul", most[0]], [".stamps", most[1]]]) {
                const place = document.querySelector(list), first = place.firstElementChild;
                place.replaceChildren(...Array.from({ length }, () => first.cloneNode(true)));
            }
            const long = "The night of the thousand and one coats. ".repeat(most[3]);
            document.querySelector(".sheet h1").textContent = long;
            document.querySelector(".sheet .segment").textContent = long;
            for (const prize of document.querySelectorAll(".prize strong")) prize.textContent = long.slice(0, 82);
            const names = document.querySelector("#winners ul"), first = names.firstElementChild;
            first.append(` ${long.slice(0, 41)}`);
            names.replaceChildren(...Array.from({ length: most[2] }, () => first.cloneNode(true)));
            const texts = ".sheet dt, .sheet h2, .sheet footer, .compare p:not(.command), #sentence";
            for (const text of document.querySelectorAll(texts)) {
                const said = text.textContent.trim(); // two fifths longer
                text.textContent = said + " " + said.slice(0, Math.ceil(said.length * 0.4));
            }
        }""",
        [witnesses, stampers, winners, titles],
    )
    found = sheets(page, shots / f"certificate-long-{winners}")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1025})
    page.screenshot(path=shots / f"certificate-long-{winners}.png", full_page=True)
    assert found == SHEETS


@pytest.mark.parametrize("width", [320, pytest.param(1440, marks=pytest.mark.nightly)])
def test_the_pages_hold_names_of_emoji_and_from_right_to_left(
    open_page: Callable[..., Page], scenes: dict[str, dict[str, Any]], width: int
) -> None:
    draw = scenes["rehearsal"]["draw"]
    page = open_page(f"/draws/{draw}/?lang=en", viewport={"width": width, "height": 800})
    for path in (f"/draws/{draw}/", page.locator(".kicker a").get_attribute("href"), "/draws/", "/stub/"):
        page.goto(page.url.partition("/draws/")[0].partition("/shows/")[0].partition("/stub/")[0] + str(path))
        page.evaluate(
            """() => {
                const names = ["👗".repeat(120), "معطف المساء الفضي ".repeat(7), "x".repeat(120)];
                const places = document.querySelectorAll("bdi, h1, .seals a, td > a:first-child, .said-name");
                places.forEach((place, number) => { place.textContent = names[number % 3]; });
            }"""
        )
        assert fits(page), path
        if str(path).startswith("/shows"):
            expect(page.locator(".rehearsal").first).to_be_visible()


WORDS = '<img src=x onerror="throw 1"> {{ 7 }} معطف'


def test_nothing_keeps_people_from_using_the_pages_and_words_stay_words(
    night: Night, open_page: Callable[..., Page], scenes: dict[str, dict[str, Any]]
) -> None:
    draw, show = (scenes["rehearsal"][name] for name in ("draw", "show"))
    night.set_up("called_off", show, WORDS, f"The lights went out. {WORDS}")
    page = open_page(f"/shows/{show}/draws/?lang=en", **PHONE)
    expect(page.locator(".segment.off h2 bdi")).to_have_text([WORDS, WORDS])
    expect(page.locator(".reason")).to_have_text(
        [f"Reason: The lights went out. {WORDS}", "Reason: the round was out"]
    )
    paths = ("", "draws/", f"draws/{draw}/", f"draws/{draw}/certificate/", f"draws/{draw}/claim/", "stub/")
    site = page.url.partition("shows/")[0]
    for path in paths:
        if path:
            page.goto(f"{site}{path}?lang=en")
        assert serious(page) == [], path
