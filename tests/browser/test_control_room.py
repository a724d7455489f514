"""An open control room follows who is logged in and what the rundown is, in whatever tab that changes."""

import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Night, log_in
from tests.browser.test_night import press, row

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]


def enter(open_page: OpenPage, night: Night, slug: str, role: str) -> Page:
    room = open_page(f"/console/{slug}/", viewport={"width": 1500, "height": 950})
    log_in(room, night, role)
    expect(room.locator("h1")).to_have_text(f"Room ({slug})")
    return room


def log_out(tab: Page, night: Night) -> None:
    tab.goto(f"http://{night.address}/console/")
    tab.get_by_role("button", name="Log out").click()
    expect(tab.locator("h1")).to_have_text("Log in")


def test_a_log_out_in_another_tab_is_seen_and_after_a_new_login_buttons_work(
    night: Night, open_page: OpenPage
) -> None:
    first, second = night.set_up("room", "tabs")
    room = enter(open_page, night, "tabs", "operator")
    tab = room.context.new_page()
    log_out(tab, night)
    expect(room.locator("#lost")).to_contain_text("You were logged out")
    expect(room.locator("body")).to_have_class("old")
    expect(row(room, first).get_by_role("button", name="Arm")).to_be_disabled()
    log_in(tab, night, "operator")  # with a new token for forms, which the first tab does not have
    expect(tab.locator("h1")).to_have_text("Shows")
    expect(room.locator("#lost")).to_be_hidden()
    press(room, first, "Arm")
    expect(room.locator("#said")).to_contain_text("1. Overture is armed")

    room.route("**/live?*", lambda route: route.abort())  # faster than the page can notice
    log_out(tab, night)
    press(room, second, "Arm")
    expect(room.locator("#said")).to_contain_text("You were logged out, so nothing is done")
    log_in(tab, night, "operator")
    expect(tab.locator("h1")).to_have_text("Shows")
    press(room, second, "Arm")
    expect(room.locator("#said")).to_contain_text("2. Finale is armed")


def test_nobody_acts_as_somebody_who_has_logged_in_in_another_tab(night: Night, open_page: OpenPage) -> None:
    first, _ = night.set_up("room", "people")
    room = enter(open_page, night, "people", "operator")
    # Let go of by a flag: to take the route away while a request is on its way has that one handled twice.
    held = threading.Event()
    held.set()
    room.route("**/live?*", lambda route: route.abort() if held.is_set() else route.fallback())
    tab = room.context.new_page()
    log_out(tab, night)
    log_in(tab, night, "director")
    expect(tab.locator("h1")).to_have_text("Shows")
    press(room, first, "Arm")
    expect(room.locator("#said")).to_contain_text("loaded by operator, and you are logged in as director now")
    held.clear()
    expect(room.locator(".user")).to_have_text("director")
    press(room, first, "Arm")
    expect(room.locator("#said")).to_contain_text("is armed")


def test_a_draft_that_was_renamed_or_deleted_is_followed_and_nothing_that_is_typed_is_lost(
    night: Night, open_page: OpenPage
) -> None:
    first, second = night.set_up("room", "drafts")
    room = enter(open_page, night, "drafts", "director")
    night.set_up("rename", first, "Prelude")
    expect(row(room, first)).to_contain_text("Prelude")

    reason = row(room, first).locator("[data-action=void] [name=reason]")
    reason.fill("the host fell ill")
    night.set_up("delete", second)
    expect(room.locator("#warnings")).to_contain_text("The rundown was changed")
    expect(row(room, second)).to_be_hidden()
    expect(reason).to_have_value("the host fell ill")
    reason.fill("")
    expect(row(room, second)).to_have_count(0)
    expect(room.locator("#warnings")).not_to_contain_text("The rundown was changed")


def test_a_button_of_a_segment_that_is_gone_and_a_server_that_is_busy_say_so(
    night: Night, open_page: OpenPage
) -> None:
    first, _ = night.set_up("room", "gone")
    room = enter(open_page, night, "gone", "operator")
    expect(room.locator("#gateways tr")).to_have_count(1)
    busy = {"ok": False, "code": "busy", "message": "Nothing was done: the database is busy or away."}
    room.route("**/live?*", lambda route: route.fulfill(status=503, json=busy))
    expect(room.locator("#warnings")).to_contain_text("the database is busy or away")
    expect(room.locator("body")).to_have_class("old")
    night.set_up("delete", first)
    press(room, first, "Arm")
    expect(room.locator("#said")).to_contain_text("Nothing was done: this segment was deleted.")


def press_by_keyboard(page: Page, button: str) -> None:
    """From the top of the page on, or from where the focus is."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == button:
            break
    page.keyboard.press("Enter")


def test_two_people_agree_by_keyboard_and_whoever_asked_is_told_what_came_of_it(
    night: Night, open_page: OpenPage
) -> None:
    first, second = night.set_up("room", "keys")
    olga, dora = (enter(open_page, night, "keys", role) for role in ("operator", "director"))
    said, requests = olga.locator("#said"), olga.locator("#requests > *")
    for segment in (first, second):
        row(olga, segment).locator("[data-action=void] [name=reason]").focus()
        olga.keyboard.type("the host fell ill" * 9)
        olga.keyboard.press("Enter")
        expect(said).to_contain_text("a second person has to agree")
    expect(requests).to_have_count(2)
    expect(requests.first.get_by_role("button")).to_have_text(["Withdraw"])
    olga.set_viewport_size({"width": 360, "height": 740})
    assert olga.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it has to fit a phone"

    expect(dora.locator("#requests > *")).to_have_count(2)
    night.set_up("age_logins")
    press_by_keyboard(dora, "Agree")
    expect(dora.locator("#said")).to_contain_text("your login is older than 15 minutes")
    dora.get_by_role("link", name="/account/confirm/").press("Enter")
    expect(dora.get_by_label("Password")).to_be_focused()
    dora.keyboard.type(night.passwords["director"])
    dora.keyboard.press("Enter")
    expect(dora.locator("#requests > *")).to_have_count(2)
    press_by_keyboard(dora, "Agree")
    expect(dora.locator("#said")).to_contain_text("Two people agree")
    expect(dora.locator("#said")).to_be_focused()  # its button is gone
    expect(said).to_contain_text("Decided in the meantime, see the ledger: operator asks to void")

    def too_late(route: Route) -> None:
        live = route.fetch().json()
        route.fulfill(json={**live, "requests": [], "now": live["now"] + 15 * 60_000})

    olga.route("**/live?*", too_late)
    expect(said).to_contain_text("Nobody has agreed in time: operator asks to void")
    olga.unroute_all(behavior="wait")
