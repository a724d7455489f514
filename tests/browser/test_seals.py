"""A segment with several draws has several seals: every screen says which prize each of them is for."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import test_phone_protocol as protocol
from tests.browser.axe import serious
from tests.browser.conftest import Night
from tests.browser.screens import PRIZE, SEAL, Screen, segment, state
from tests.browser.test_phone_protocol import Gateway

pytestmark = pytest.mark.browser
page, gateway = protocol.page, protocol.gateway  # the fixtures

SECOND = "c0ffee42" + "5a" * 28
BOOTS = {**PRIZE, "id": 7, "garment": "Riding boots", "celebrity": "Mo Ran"}
TOLD: dict[str, Any] = {
    "seal": SEAL, "seals": [SEAL, SECOND], "draws": [2, 1], "prizes": [PRIZE, {**PRIZE, "id": 4}, BOOTS],
}  # fmt: skip
NAMED = [("7f3a 91c2", "Silver coat · worn by Lin Yao"), ("c0ff ee42", "Riding boots · worn by Mo Ran")]


def test_a_phone_has_each_with_its_prize(page: Page, gateway: Gateway) -> None:
    page.set_viewport_size({"width": 320, "height": 568})
    gateway.say("state", **protocol.state(20, phase="sealed", **TOLD))
    lines = page.locator(".seal-line")
    for number, (digits, prize) in enumerate(NAMED):
        expect(lines.nth(number)).to_contain_text(digits)
        expect(lines.nth(number)).to_contain_text(prize)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") and serious(page) == []
    older = {name: told for name, told in TOLD.items() if name != "draws"}
    gateway.say("state", **protocol.state(21, "Finale", phase="sealed", **older))
    expect(lines.first).to_have_text("7f3a 91c2")  # armed before it was told which is which


def test_wall_overlay_and_host_have_them_too(browser: Browser, night: Night) -> None:
    screen = browser.new_context(viewport={"width": 1920, "height": 1080}, locale="en-GB").new_page()
    Screen(screen, night, "/host/night/", state(10, segment("sealed", **TOLD)))
    expect(screen.locator("#more")).to_have_text(" · ".join(" ".join(named) for named in NAMED))
    for address, figure, what in (
        ("/stage/night/", "#seal", ".seal-of"),
        ("/stage/night/?overlay=counter&key=alpha", ".figure", "#what"),
    ):
        Screen(screen, night, address, state(10, segment("sealed", **TOLD)))
        for digits, prize in NAMED if screen.locator(figure).inner_text() == "7f3a 91c2" else NAMED[::-1]:
            expect(screen.locator(figure)).to_have_text(digits)
            told = prize if what == ".seal-of" else prize.partition(" · ")[0]
            expect(screen.locator(what)).to_have_text(told)
    screen.context.close()
