"""The parts of the wall for a vision mixer: alone, and with nothing around them."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Night
from tests.browser.screens import PRIZE, SEAL, Screen, naming, open_for, result, segment, state
from tests.browser.test_phone_protocol import now_ms
from tests.browser.test_wall import MEASURE, NAME

pytestmark = pytest.mark.browser
HD = {"width": 1920, "height": 1080}
GROUND = (200, 40, 120)  # of the mixer's picture
GREEN = (0, 177, 64)


@pytest.fixture(scope="module")
def mixer(browser: Any) -> Iterator[Page]:
    context = browser.new_context(viewport=HD, locale="en-GB")
    yield context.new_page()
    context.close()


def overlay(mixer: Page, night: Night, part: str, begin: dict[str, Any], key: str = "alpha") -> Screen:
    screen = Screen(mixer, night, f"/stage/night/?overlay={part}&key={key}", begin)
    mixer.wait_for_function("document.body.dataset.scene !== undefined")
    return screen


def picture(mixer: Page) -> Image.Image:
    """What comes to the mixer, over its own picture."""
    layer = Image.open(BytesIO(mixer.screenshot(omit_background=True))).convert("RGBA")
    ground = Image.new("RGBA", layer.size, (*GROUND, 255))
    return Image.alpha_composite(ground, layer).convert("RGB")


def bounds(part: Page, name: str) -> tuple[int, int, int, int]:
    box = part.locator(f"#{name}").bounding_box()
    assert box is not None
    left, top = int(box["x"]), int(box["y"])
    return left, top, int(left + box["width"]), int(top + box["height"])


def test_the_counter_leaves_everything_around_it_as_it_is(mixer: Page, night: Night) -> None:
    screen = overlay(mixer, night, "counter", state(10, open_for()))
    screen.pulse(184_213)
    expect(mixer.locator(".figure")).to_have_text("184,213")
    expect(mixer.locator("#on-air")).to_be_visible()
    mixer.wait_for_timeout(400)
    left, top, right, bottom = bounds(mixer, "counter")
    assert left >= 96 and bottom <= 1026  # graphics safe
    seen = picture(mixer)
    changed = [
        (x, y)
        for x in range(0, 1920, 8)
        for y in range(0, 1080, 8)
        if seen.getpixel((x, y)) != GROUND and not (left <= x <= right and top <= y <= bottom)
    ]
    assert changed == []
    assert seen.getpixel((left + 40, (top + bottom) // 2 + 50)) != GROUND  # and it is there itself


def test_a_key_of_green_is_green_all_over_but_for_the_part(mixer: Page, night: Night) -> None:
    screen = overlay(mixer, night, "join", state(10, None), key="green")
    expect(mixer.locator("#join")).to_be_visible()
    left, _, _, _ = bounds(mixer, "join")
    seen = picture(mixer)
    assert {seen.getpixel((x, y)) for x in range(0, left - 2, 16) for y in range(0, 1080, 16)} == {GREEN}
    screen.show(segment("sealed", seal=SEAL))
    expect(mixer.locator("#join")).to_be_hidden()


def test_each_part_shows_its_own_moments_and_nothing_in_others(mixer: Page, night: Night) -> None:
    part = mixer.locator("main section")
    named = segment("drawn", naming=naming((NAME, now_ms() - 2_000)))
    shown = {
        "counter": (open_for(), "shakes"),
        "join": (segment("armed"), "/play/night/"),
        "prize": (segment("armed"), "Silver coat"),
        "winner": (named, NAME),
    }
    for name, (there, text) in shown.items():
        screen = overlay(mixer, night, name, state(10, segment("void")))
        expect(part).to_be_hidden()
        screen.show(there)
        expect(part).to_be_visible()
        expect(part).to_contain_text(text)
        mixer.wait_for_timeout(300)
        assert all(row["left"] >= 0.05 and row["right"] <= 0.95 for row in mixer.evaluate(MEASURE))
        screen.show(there, cue={"kind": "standby", "at": 0})
        expect(part).to_be_hidden()
    screen.show(segment("published"), results=[result("Amber Comet 12", NAME)])
    expect(part).to_contain_text(NAME)  # the last one stays
    screen.show(segment("drawn", naming=naming((NAME, now_ms() + 60_000))))
    expect(part).to_be_hidden()


def test_the_counter_tells_countdown_seal_and_the_beacons_round(mixer: Page, night: Night) -> None:
    now = now_ms()
    screen = overlay(
        mixer, night, "counter", state(10, segment("armed", opens_at=now + 95_000, closes_at=now + 99_000))
    )
    expect(mixer.locator(".figure")).to_contain_text("1:3")
    screen.show(segment("sealed", seal=SEAL))
    expect(mixer.locator(".figure")).to_have_text("7f3a 91c2")
    screen.show(segment("sealed", seal=SEAL, beacon_at=now_ms() + 9_000))
    expect(mixer.locator("#what")).to_have_text("Nobody knows it yet")
    screen.show(segment("drawn", seal=SEAL))
    expect(mixer.locator("#counter")).to_be_hidden()


def test_the_last_truth_stays_ten_seconds_without_a_connection(mixer: Page, night: Night) -> None:
    screen = overlay(mixer, night, "counter", state(10, open_for()))
    expect(mixer.locator("#counter")).to_be_visible()
    screen.greeting = lambda socket: None
    screen.sockets[-1].close(code=1012)
    mixer.wait_for_timeout(8_000)
    expect(mixer.locator("#counter")).to_be_visible()
    expect(mixer.locator("#counter")).to_be_hidden(timeout=6_000)


def test_a_rehearsal_says_so_beside_its_part(mixer: Page, night: Night) -> None:
    screen = overlay(mixer, night, "prize", state(10, segment("armed", rehearsal=True)))
    expect(mixer.locator("#rehearsal")).to_be_visible()
    screen.show(segment("armed", prizes=[PRIZE]))
    expect(mixer.locator("#rehearsal")).to_be_hidden()


def test_another_name_leads_to_the_four_that_there_are(mixer: Page, night: Night) -> None:
    mixer.goto(f"http://{night.address}/stage/night/?overlay=%3Cb%3E")
    expect(mixer.locator("main a")).to_have_text(
        ["?overlay=counter", "?overlay=join", "?overlay=prize", "?overlay=winner"]
    )
    expect(mixer.locator("main")).to_contain_text("There is no such overlay")
