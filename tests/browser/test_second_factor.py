"""The second factor in a real browser: a passkey of Chromium's virtual authenticator, and an app, through the pages."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Night
from tests.prizes.crew import code_of

pytestmark = [pytest.mark.browser]


@contextmanager
def authenticator(page: Page) -> Iterator[Any]:
    """A device that keeps passkeys, with somebody in front of it; what it keeps is asked of `credentials`."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    device = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield lambda: devtools.send("WebAuthn.getCredentials", device)["credentials"]
    devtools.send("WebAuthn.removeVirtualAuthenticator", device)


@pytest.fixture
def open_login(open_page: Callable[..., Page], night: Night) -> Callable[..., Page]:
    """The login page under a name, since no passkey is made for an address of numbers, and with the strict policy."""

    def open_it(**options: Any) -> Page:
        page = open_page("/healthz", host=night.address.replace("127.0.0.1", "localhost"), **options)
        page.goto(page.url.replace("/healthz", "/login/"))
        return page

    return open_it


def fill_in(page: Page, name: str, password: str) -> None:
    """By keyboard alone."""
    page.locator("#id_username").focus()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def test_a_passkey_is_made_and_from_then_on_asked_for(night: Night, open_login: Callable[..., Page]) -> None:
    password = night.set_up("hire", "dora", "director")
    page = open_login()
    with authenticator(page) as credentials:
        fill_in(page, "dora", password)
        page.get_by_role("link", name="dora").click()
        page.get_by_role("link", name="Add a passkey").click()
        page.get_by_label("Name").fill("Key of the studio")
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.locator("#codes li")).to_have_count(10)
        assert len(credentials()) == 1
        page.get_by_role("link", name="Account").click()
        expect(page.get_by_text("Passkey: Key of the studio")).to_be_visible()
        page.get_by_role("button", name="Log out").click()

        fill_in(page, "dora", password)
        expect(page.get_by_role("heading", name="One more step")).to_be_visible()
        page.get_by_role("button", name="Use a passkey").press("Enter")
        expect(page.get_by_role("heading", name="Shows")).to_be_visible()
        assert credentials()[0]["signCount"] >= 2
        page.get_by_role("link", name="dora").click()
        page.get_by_role("link", name="Add a passkey").click()
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.get_by_text("This one is set up already.")).to_be_visible()


def test_a_passkey_of_somebody_else_does_not_open_the_account(
    night: Night, open_login: Callable[..., Page]
) -> None:
    passwords = {name: night.set_up("hire", name, "operator") for name in ("otto", "olga")}
    page = open_login()
    with authenticator(page):
        for name in ("otto", "olga"):
            fill_in(page, name, passwords[name])
            page.get_by_role("link", name=name).click()
            page.get_by_role("link", name="Add a passkey").click()
            page.get_by_role("button", name="Add a passkey").click()
            expect(page.locator("#codes li")).to_have_count(10)
            page.get_by_role("button", name="Log out").click()
        signed: list[str] = []
        page.on(
            "request", lambda asked: signed.append(asked.post_data or "") if asked.method == "POST" else None
        )
        fill_in(page, "otto", passwords["otto"])
        page.get_by_role("button", name="Use a passkey").click()
        expect(page.get_by_role("heading", name="Shows")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        fill_in(page, "olga", passwords["olga"])
        expect(page.get_by_role("heading", name="One more step")).to_be_visible()
        stolen = (
            next(body for body in signed if "credential=%7B" in body).split("credential=")[1].split("&")[0]
        )
        page.evaluate(
            """stolen => {
              const form = document.querySelector("form[data-passkey]");
              form.elements.credential.value = decodeURIComponent(stolen.replaceAll("+", " "));
              form.submit();
            }""",
            stolen,
        )
        expect(page.get_by_text("That was not right.")).to_be_visible()


def test_an_app_is_set_up_on_a_phone_and_its_code_typed(
    night: Night, open_login: Callable[..., Page], shots: Any
) -> None:
    password = night.set_up("hire", "paul", "operator")
    page = open_login(**PHONE)
    fill_in(page, "paul", password)
    page.get_by_role("link", name="paul").click()
    page.get_by_role("link", name="Set up an authenticator app").click()
    secret = page.locator("#secret").inner_text()
    expect(page.get_by_role("link", name="open the app")).to_have_attribute(
        "href", re.compile("^otpauth://totp/")
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it has to fit a phone"
    page.screenshot(path=shots / "app.png")
    page.get_by_label("Code").fill(code_of(secret, -1))
    page.keyboard.press("Enter")
    expect(page.locator("#codes li")).to_have_count(10)
    codes = page.locator("#codes li").all_inner_texts()
    assert all(re.fullmatch(r"\d{8}", code) for code in codes)
    page.get_by_role("button", name="Log out").click()
    fill_in(page, "paul", password)
    page.get_by_label("Code").fill("123")
    page.keyboard.press("Enter")
    expect(page.get_by_text("That was not right.")).to_be_visible()
    page.screenshot(path=shots / "second-step.png")
    page.get_by_label("Code").fill(codes[7])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Shows")).to_be_visible()
    page.get_by_role("link", name="paul").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=shots / "account.png")
