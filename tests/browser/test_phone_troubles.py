"""What a phone does when the network, its clock, its owner or another tab is in the way."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import test_phone_protocol as protocol
from tests.browser.conftest import Night
from tests.browser.test_phone_protocol import Gateway, state, tap

pytestmark = pytest.mark.browser
page, gateway = protocol.page, protocol.gateway  # the fixtures


@pytest.fixture
def second(page: Page, gateway: Gateway, night: Night) -> Iterator[tuple[Page, Gateway]]:
    """Another tab of the same browser, and its gateway."""
    tab = page.context.new_page()
    other = Gateway(tab)
    other.greeting = other.welcome(state(10), total=7)
    tab.goto(f"http://{night.address}/play/night/?feed=app")
    expect(tab.locator("#status")).to_have_text("Connected")
    yield tab, other
    tab.close()


def test_a_clock_that_is_set_back_during_the_window_changes_nothing(page: Page, gateway: Gateway) -> None:
    page.evaluate("() => { const real = Date.now; Date.now = () => real() - 300_000; }")
    page.wait_for_timeout(300)
    expect(page.locator("#moment")).to_have_text("Shake!")
    tap(page)
    expect(page.locator("#own")).to_have_text("8")
    gateway.wait_for("shakes", total=8)
    gateway.sockets[-1].close(code=1011)
    gateway.wait_for("hello", 2)
    expect(page.locator("#moment")).to_have_text("Shake!")


@pytest.mark.parametrize("key", ["Enter", " "])
def test_enter_and_space_tap_once_each_time_they_are_pressed(page: Page, gateway: Gateway, key: str) -> None:
    page.locator("#tap").focus()
    for _ in range(3):
        page.keyboard.down(key)
        page.keyboard.down(key)  # held
        page.keyboard.up(key)
    expect(page.locator("#own")).to_have_text("10")
    assert page.evaluate("scrollY") == 0


def ask_anew(page: Page, answer: Callable[[Route], None]) -> None:
    """As a phone that has no pass yet."""
    page.evaluate("localStorage.clear()")
    page.route("**/api/shows/night/passes", answer)
    page.reload()


def test_a_request_that_nobody_answers_is_told_and_not_waited_for(page: Page, gateway: Gateway) -> None:
    asked: list[Route] = []
    ask_anew(page, lambda route: asked.append(route))
    expect(page.locator("#status")).to_have_text(
        "No answer yet, trying again. What you have shaken is kept.", timeout=8_000
    )
    page.unroute_all()
    expect(page.locator("#status")).to_have_text("Connected", timeout=20_000)
    assert len(asked) == 1


def test_a_server_that_is_full_and_one_that_is_away_are_told_apart(page: Page, gateway: Gateway) -> None:
    full = {"code": "overloaded", "message": "the process is full"}
    ask_anew(page, lambda route: route.fulfill(status=503, json=full, headers={"Retry-After": "20"}))
    told = page.locator("#status")
    expect(told).to_contain_text("Very many phones are here. Trying again in ")
    first = told.inner_text()
    expect(told).not_to_have_text(first)  # the seconds run
    expect(told).to_contain_text("Very many phones are here. Trying again in ")
    page.unroute_all()
    ask_anew(page, lambda route: route.abort())
    expect(page.locator("#status")).to_contain_text("No connection. Trying again in ")


def test_one_of_two_tabs_counts_and_both_show_it(
    page: Page, gateway: Gateway, second: tuple[Page, Gateway]
) -> None:
    tab, other = second
    tap(tab, 3)
    for each in (page, tab):
        expect(each.locator("#own")).to_have_text("10")
    other.wait_for("shakes", total=10)
    other.say("ack", segment=1, total=9)
    expect(page.locator("#acknowledged")).to_have_text("9 of them are counted")
    assert gateway.all("shakes") == []
    page.bring_to_front()
    tap(page)
    for each in (page, tab):
        expect(each.locator("#own")).to_have_text("11")
    gateway.wait_for("shakes", total=11)


def test_what_is_forgotten_in_one_tab_is_written_back_by_no_other(
    page: Page, gateway: Gateway, second: tuple[Page, Gateway]
) -> None:
    tab, other = second
    [before] = page.evaluate("JSON.parse(localStorage['shake.night.identities'])")
    page.bring_to_front()
    page.get_by_role("button", name="Forget me on this phone").click()
    page.get_by_role("button", name="Forget everything of this show").click()
    expect(tab.locator("#status")).to_have_text("You have told this device, on another page, to forget you.")
    expect(tab.locator("#again")).to_be_visible()
    gateway.wait_for("hello", 2)
    expect(page.locator("#status")).to_have_text("Connected")
    tab.evaluate("dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(500)
    [after] = page.evaluate("JSON.parse(localStorage['shake.night.identities'])")
    assert after["pass"] != before["pass"]
    assert len(other.all("hello")) == 1
