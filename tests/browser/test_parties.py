"""The party page in a real browser: the secret is made there, kept in a file, and stays there until it is revealed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from engagement.core.digests import commit
from tests.browser.conftest import Night, log_in
from tests.browser.stagehand import PASSWORD
from tests.browser.test_night import press, wait_for_phase

pytestmark = pytest.mark.browser


def log_in_as(page: Page, name: str) -> None:
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_have_text("Your secrets")


def make_and_commit(page: Page, folder: Path) -> tuple[Path, dict[str, str]]:
    page.get_by_role("button", name="Make a secret").click()
    expect(page.get_by_role("button", name="Commit")).to_be_disabled()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save it as a file").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    page.get_by_role("button", name="Commit").click()
    expect(page.locator("#said")).to_contain_text("Committed for vigil/seg-1/draw-1")
    return path, json.loads(path.read_text())


@pytest.mark.usefixtures("tasks")
def test_a_notary_commits_and_reveals_in_the_browser(
    night: Night, open_page: Callable[..., Page], tmp_path: Path, shots: Path
) -> None:
    segment = night.set_up("vigil")
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.append(f"{request.url} {request.post_data or ''}")

    page = open_page("/parties/")
    page.on("request", note)
    log_in_as(page, "nora")
    path, kept = make_and_commit(page, tmp_path)
    page.screenshot(path=shots / "parties-committed.png", full_page=True)
    assert path.name == "secret-vigil-seg-1-draw-1-notary.json"
    assert kept["commitment"] == commit(kept["draw_id"], "notary", bytes.fromhex(kept["secret"])).hex()
    expect(page.locator("article")).to_contain_text(kept["commitment"])

    room = open_page("/console/vigil/", viewport={"width": 1500, "height": 950})
    log_in(room, night, "operator")
    press(room, segment, "Arm")
    expect(page.locator("#trouble")).to_contain_text("reload this page")
    page.reload()
    expect(page.locator("article .text")).to_contain_text("Keep your secret to yourself")
    press(room, segment, "Open", lead="0")
    wait_for_phase(room, segment, "closing")
    expect(page.get_by_role("button", name="Reveal")).to_be_visible()
    expect(page.locator(".left")).to_contain_text("s left", timeout=20_000)
    expect(room.locator(".waits")).to_contain_text("waiting for the secrets of notary until", timeout=20_000)

    page.fill("[name=secret]", "00" * 32)
    page.get_by_role("button", name="Reveal").click()
    expect(page.locator("#trouble")).to_contain_text("Nothing was sent")
    assert not any(kept["secret"] in text for text in sent)
    page.set_input_files(".file", path)
    expect(page.locator("[name=secret]")).to_have_value(kept["secret"])
    page.screenshot(path=shots / "parties-reveal.png", full_page=True)
    page.get_by_role("button", name="Reveal").click()
    expect(page.locator("#said")).to_contain_text("Revealed: your secret of vigil/seg-1/draw-1")
    expect(page.locator("article .text")).to_contain_text("Revealed at")
    wait_for_phase(room, segment, "drawn")


def test_the_page_says_when_it_does_not_reach_the_server_and_when_to_log_in_again(
    night: Night, open_page: Callable[..., Page]
) -> None:
    night.set_up("watch")
    page = open_page("/parties/")
    log_in_as(page, "wanda")
    expect(page.locator("#trouble")).to_be_hidden()
    page.route("**/parties/live", lambda route: route.abort())
    expect(page.locator("#trouble")).to_contain_text("This page does not reach the server.")
    page.unroute("**/parties/live")
    expect(page.locator("#trouble")).to_be_hidden()
    page.route("**/parties/live", lambda route: route.fulfill(status=502, body="<html>"))
    expect(page.locator("#trouble")).to_contain_text("This page does not reach the server.")
    page.unroute("**/parties/live")
    page.context.clear_cookies()
    expect(page.locator("#trouble")).to_contain_text("Please log in again.")
    expect(page.locator("#trouble")).not_to_contain_text("reach")


def test_a_page_that_came_over_http_says_why_it_makes_no_secrets(
    night: Night, open_page: Callable[..., Page]
) -> None:
    host = f"studio.test:{night.address.rpartition(':')[2]}"
    page = open_page("/parties/", host=host)
    log_in_as(page, "nora")
    expect(page.locator("#trouble")).to_contain_text("only on pages that come over https, or from localhost")
