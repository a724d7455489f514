"""The host's screen: what to say now, and the button that names the next winner."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Night, log_in
from tests.browser.screens import PRIZE, SEAL, Screen, naming, open_for, segment, state
from tests.browser.test_phone_protocol import now_ms

pytestmark = pytest.mark.browser
MONITOR = {"width": 1600, "height": 900}
NAME = "Scarlet Eagle 47"


@pytest.fixture(scope="module")
def monitor(browser: Any) -> Iterator[Page]:
    context = browser.new_context(viewport=MONITOR, locale="en-GB")
    yield context.new_page()
    context.close()


def test_everybody_reads_what_to_say_and_only_the_crew_has_a_button(monitor: Page, night: Night) -> None:
    screen = Screen(monitor, night, "/host/night/", state(10, segment("armed")))
    say, clock = monitor.locator("#say"), monitor.locator("#window")
    told = "Silver coat · worn by Lin Yao · Northlight · CN¥2,500.00 · 2 to win"
    expect(monitor.locator("#prizes")).to_contain_text(told)
    expect(monitor.locator("#next")).to_contain_text("This is the last one.")
    screen.show(None)
    expect(say).to_have_text("Nothing is armed.")
    expect(monitor.locator("#next")).to_contain_text("–")
    screen.show(open_for(50_000), next={"title": "Midnight duet", "title_zh": "", "opens_at": None})
    expect(say).to_have_text("Keep shaking!")
    expect(clock).to_contain_text("left 4")
    expect(monitor.locator("#next")).to_contain_text("Midnight duet")
    screen.show(segment("sealed", seal=SEAL, opens_at=now_ms() - 90_000, closes_at=now_ms() - 65_000))
    expect(clock).to_contain_text("over +1:0")
    expect(monitor.locator("#more")).to_have_text("7f3a 91c2")
    screen.show(segment("drawn", naming=naming((NAME, now_ms() - 2_000))))
    expect(say).to_have_text(NAME)
    expect(monitor.locator("#to-name")).to_have_text("2")
    expect(monitor.locator("button")).to_have_count(0)
    screen.show(segment("drawn", naming=naming((NAME, now_ms() + 60_000))))
    expect(monitor.locator("body")).not_to_contain_text(NAME)


def test_space_names_the_next_winner_with_what_this_page_has_seen(monitor: Page, night: Night) -> None:
    monitor.goto(f"http://{night.address}/login/")
    log_in(monitor, night, "operator")
    monitor.wait_for_url("**/console/**")
    posted: list[dict[str, str]] = []

    def answer(route: Route) -> None:
        posted.append(dict(re.findall(r'name="(\w+)"\r\n\r\n(.*?)\r\n', route.request.post_data or "")))
        told = (
            {"ok": False, "message": "1 winners of it are named, not 0"} if len(posted) == 1 else {"ok": True}
        )
        route.fulfill(json={"message": "", **told}, status=200 if told["ok"] else 409)

    monitor.route("**/console/night/segments/1/name/", answer)
    screen = Screen(monitor, night, "/host/night/", state(10, segment("armed")))
    button = monitor.get_by_role("button", name="Next winner")
    monitor.keyboard.press("Space")  # nothing to name: nothing is asked
    screen.show(segment("drawn"))
    expect(button).to_be_enabled()
    monitor.keyboard.press("Space")
    expect(monitor.locator("#said")).to_contain_text("1 winners of it are named, not 0")
    screen.show(segment("drawn", naming=naming((NAME, now_ms() - 100), prize=PRIZE)))
    expect(monitor.locator("#say")).to_have_text(NAME)
    expect(button).to_be_disabled()  # the server takes no press yet
    expect(button).to_be_enabled()
    monitor.keyboard.press("Space")
    expect(monitor.locator("#said")).to_be_empty()
    assert [(one["named"], one["account"]) for one in posted] == [("0", "operator"), ("1", "operator")]
    assert all(one["csrfmiddlewaretoken"] for one in posted)


def test_a_lost_connection_says_since_when(monitor: Page, night: Night) -> None:
    screen = Screen(monitor, night, "/host/night/", state(10, open_for()))
    screen.greeting = lambda socket: None
    screen.sockets[-1].close(code=1012)
    expect(monitor.locator("#offline")).to_contain_text("No connection since ")
