"""The site's own security headers in a real browser: on every page, and nothing is said in its console."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from playwright.sync_api import Browser, Page

from tests.browser.conftest import PHONE, Night, log_in

pytestmark = pytest.mark.browser

PUBLIC = (
    "/", "/play/{show}/", "/stage/{show}/", "/stage/{show}/?card=1", "/stage/{show}/?overlay=counter",
    "/stage/{show}/?overlay=none", "/host/{show}/", "/draws/", "/draws/{draw}/", "/draws/{draw}/certificate/",
    "/shows/{show}/draws/",
    "/draws/{draw}/claim/", "/login/", "/login/second/", "/invitations/MQ/x-1/", "/stub/", "/nothing/", "/healthz",
    "/api/draws/{draw}/record",
)  # fmt: skip
CREW = (
    "/console/", "/console/{show}/", "/console/{show}/claims/", "/console/{show}/fair-play/", "/console/{show}/codes/",
    "/console/{show}/pictures/",
    "/console/{show}/ledger/", "/account/", "/account/app/", "/account/passkey/", "/account/password/",
    "/account/confirm/", "/account/codes/", "/crew/", "/parties/", "/console/nothing/", "/logout/",
    "/admin/", "/admin/engagement/show/", "/admin/engagement/show/add/", "/admin/engagement/segment/",
    "/admin/prizes/prizelist/add/", "/admin/prizes/party/add/", "/admin/engagement/ledgerentry/", "/admin/auth/user/",
)  # fmt: skip
NO_PAGES = {
    # buttons
    "remove_factor", "end_own_session", "end_session", "confirm_restore", "act", "cue", "pictures_act",
    "approvals_act", "claims_act",
    "party_commit", "party_reveal", "canaries_commit", "canaries_open",
    # pictures, files, and what scripts ask for
    "join_qr", "seal_qr", "checkpoint_qr", "draw_qr", "ledger_entries", "ledger_checkpoints", "ledger_verifier",
    "verifier", "show_verifier", "witness", "live", "parties_live",
}  # fmt: skip
LEFT_OUT = "the server responded with a status of 40"  # what an address answers is for other tests


@pytest.fixture(scope="module")
def scene(night: Night) -> dict[str, Any]:
    found: dict[str, Any] = night.set_up("certified", "published", "dice", 2)
    return found


def listen(page: Page) -> list[str]:
    said: list[str] = []

    def hear(text: str) -> None:
        if LEFT_OUT not in text:
            said.append(f"{page.url}: {text}")

    page.on("console", lambda message: hear(message.text))
    page.on("pageerror", lambda error: hear(str(error)))
    return said


def visit(page: Page, night: Night, paths: tuple[str, ...], scene: dict[str, Any]) -> None:
    for path in paths:
        answer = page.goto(f"http://{night.address}{path.format(**scene)}", wait_until="load")
        assert answer is not None and "content-security-policy" in answer.headers, path
        if page.locator("script[defer], script[type=module]").count():
            page.wait_for_timeout(50)  # what its scripts begin with


def test_every_page_is_visited() -> None:
    apps = [
        part
        for part in get_resolver().url_patterns
        if isinstance(part, URLResolver) and str(part.pattern) == ""
    ]
    named = {route.name for app in apps for route in app.url_patterns if isinstance(route, URLPattern)}
    ours = [
        path for path in PUBLIC + CREW if not path.startswith(("/admin/", "/api/", "/healthz", "/nothing/"))
    ]
    assert {
        resolve(path.format(show="gala", draw=1).partition("?")[0]).url_name for path in ours
    } == named - NO_PAGES


@pytest.mark.parametrize("options", [{}, {**PHONE, "locale": "zh-CN"}], ids=["desk", "phone"])
def test_the_pages_for_everybody(
    open_page: Callable[..., Page], night: Night, scene: dict[str, Any], options: dict[str, Any]
) -> None:
    page = open_page("/healthz", **options)
    said = listen(page)
    visit(page, night, PUBLIC, scene)
    assert said == []


def test_the_pages_of_the_crew(open_page: Callable[..., Page], night: Night, scene: dict[str, Any]) -> None:
    page = open_page("/login/")
    said = listen(page)
    log_in(page, night, "director")
    page.wait_for_url("**/console/**")
    visit(page, night, CREW, scene)
    assert said == []


def test_what_is_inline_does_not_run_and_only_the_phone_has_sensors(browser: Browser, night: Night) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://{night.address}/draws/")
    blocked = page.evaluate(
        """() => new Promise((tell) => {
          document.addEventListener("securitypolicyviolation", (event) => tell(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
        })"""
    )
    assert blocked == "script-src-elem" and page.evaluate("window.ran") is None
    assert page.evaluate("document.featurePolicy?.allowsFeature('accelerometer') ?? false") is False
    page.goto(f"http://{night.address}/play/night/")
    assert page.evaluate("document.featurePolicy?.allowsFeature('accelerometer') ?? true") is True
    context.close()
