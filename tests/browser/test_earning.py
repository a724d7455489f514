"""A phone in a network that has had its free passes: it works for one, or its viewer types the code on air."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import PHONE, Night

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]
VENDORED = Path(__file__).parents[2] / "engagement/static/engagement/vendor"


def asked_with(page: Page) -> list[dict[str, Any]]:
    """The bodies with which this page asks for passes, from now on."""
    bodies: list[dict[str, Any]] = []

    def hear(request: Request) -> None:
        if request.url.endswith("/passes"):
            bodies.append(json.loads(request.post_data or ""))

    page.on("request", hear)
    return bodies


@pytest.mark.parametrize("host", ["127.0.0.1", "studio.test"])
def test_a_phone_works_for_its_pass_also_where_there_is_no_https(
    night: Night, open_page: OpenPage, shots: Path, host: str
) -> None:
    slug = f"work-{host.replace('.', '-')}"
    night.set_up("crowded", slug, ["work"])
    page = open_page("/play/night/", host=f"{host}:{night.address.rpartition(':')[2]}", **PHONE)
    assert page.evaluate("isSecureContext") == (host == "127.0.0.1")
    bodies = asked_with(page)
    page.goto(page.url.replace("/play/night/", f"/play/{slug}/"))
    expect(page.locator("#status")).to_contain_text("yours proves that it is one")
    page.screenshot(path=shots / "play-works.png")
    expect(page.locator("#status")).to_have_text("Connected", timeout=60_000)
    *before, last = [list(body) for body in bodies]  # a question that was answered late is asked again
    assert before and not any(before) and last == ["work"]


def test_a_viewer_types_the_code_on_air(night: Night, open_page: OpenPage, shots: Path) -> None:
    code = night.set_up("crowded", "coded", ["code"])
    page = open_page("/play/coded/", **PHONE)
    expect(page.locator("#code-form")).to_be_visible()
    expect(page.locator("#status")).to_be_empty()
    page.locator("#code").fill(f"{(int(code) + 1) % 10**6:06}")
    page.locator("#code-form button").click()
    expect(page.locator("#code-wrong")).to_contain_text("changes every minute")
    page.screenshot(path=shots / "play-code.png")
    expect(page.locator("#code")).to_be_focused()
    page.keyboard.type(code.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}))
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("Connected")
    expect(page.locator("#code-form")).to_be_hidden()


def test_no_tab_waits_for_a_viewer_who_does_not_type_the_code_in_another_one(
    night: Night, open_page: OpenPage
) -> None:
    night.set_up("crowded", "two-tabs", ["code"])
    page = open_page("/play/two-tabs/", **PHONE)
    expect(page.locator("#code-form")).to_be_visible()
    tab = page.context.new_page()
    tab.goto(page.url)
    expect(tab.locator("#code-form")).to_be_visible()


@pytest.mark.parametrize(
    ("ways", "advice"), [(["attested"], "Try mobile data, or another browser."), ([], "hour. Try")]
)
def test_who_cannot_earn_a_pass_is_told_why_and_not_to_shake(
    night: Night, open_page: OpenPage, shots: Path, ways: list[str], advice: str
) -> None:
    slug = "-".join(["ways", *ways])
    night.set_up("crowded", slug, ways)
    page = open_page(f"/play/{slug}/", **PHONE)
    expect(page.locator("#status")).to_contain_text(advice)
    expect(page.locator("#shaking")).to_be_visible(visible=not ways)  # later they may
    page.screenshot(path=shots / f"play-{slug}.png")


def test_what_others_have_made_is_as_they_published_it() -> None:
    for manifest in VENDORED.glob("*/SHA256SUMS"):
        said = [line.split() for line in manifest.read_text().splitlines()]
        files = {path.name: path for path in manifest.parent.iterdir() if path != manifest}
        found = [[hashlib.sha256(path.read_bytes()).hexdigest(), name] for name, path in files.items()]
        assert sorted(found) == sorted(said)
    assert list(VENDORED.glob("*/SHA256SUMS"))
