"""Canaries in a real browser: who they are stays there until they are opened."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from engagement.ledger.core.canaries import canaries_commitment
from tests.browser.conftest import Night
from tests.browser.test_parties import log_in_as

pytestmark = pytest.mark.browser

ONE, TWO = "0a" * 14, "ff" * 14


def commit(page: Page, folder: Path) -> Path:
    send = page.get_by_role("button", name="Commit to canaries")
    make = page.get_by_role("button", name="Make a commitment")
    expect(send).to_be_disabled()
    page.fill("[data-part=pseudonyms]", f"{ONE}\nnobody")
    make.click()
    expect(page.locator("[data-part=trouble]")).to_contain_text("Expected 1 to 100 numbers of 28 digits")
    page.fill("[data-part=pseudonyms]", f" {TWO.upper()}\n{ONE}\n{ONE}\n")
    make.click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save what opens it").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    send.click()
    expect(page.locator("#said")).to_contain_text("Committed to 2 canaries")
    return path


def stub(folder: Path, play: str, viewer: str, total: int) -> Path:
    path = folder / f"stub-{viewer[:4]}-{total}.json"
    path.write_text(json.dumps({"stub": {"segment": play, "pseudonym": viewer, "total": total}}))
    return path


@pytest.mark.usefixtures("tasks")
def test_a_notary_commits_to_canaries_and_opens_them_in_the_browser(
    night: Night, open_page: Callable[..., Page], tmp_path: Path, shots: Path
) -> None:
    scene, sent = night.set_up("aviary"), list[str]()

    def note(request: Request) -> None:
        sent.append(f"{request.url} {request.post_data or ''}")

    page = open_page("/parties/")
    page.on("request", note)
    log_in_as(page, "carla")
    path = commit(page, tmp_path)
    kept = json.loads(path.read_text())
    assert path.name == f"canaries-aviary-{scene['segment']}-notary.json"
    assert kept["pseudonyms"] == [ONE, TWO] and kept["play"] == scene["play"]
    digest = canaries_commitment("aviary", "notary", bytes.fromhex(kept["salt"]), [ONE, TWO]).hex()
    [committed] = night.set_up("told", "aviary", "canaries")
    assert committed["commitment"] == kept["commitment"] == digest and committed["count"] == 2
    assert not any(secret in text for secret in (kept["salt"], ONE, TWO) for text in sent)

    night.set_up("air", scene["segment"], {ONE: 87, TWO: 3})
    form = page.locator("form.canaries-open")
    for _ in range(40):
        page.reload()
        if form.count():
            break
        page.wait_for_timeout(500)
    trouble, told = form.locator("[data-part=trouble]"), form.locator("[data-part=told]")
    form.get_by_role("button", name="Open the canaries").click()
    expect(trouble).to_have_text("Choose your file first.")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({**kept, "pseudonyms": [ONE]}))
    form.locator("[data-part=kept]").set_input_files(wrong)
    expect(trouble).to_contain_text("This is not the file of your commitment")
    form.locator("[data-part=kept]").set_input_files(path)
    expect(told).to_have_value(f"{ONE} 0\n{TWO} 0")
    stubs = [
        stub(tmp_path, scene["play"], ONE, 80),
        stub(tmp_path, scene["play"], ONE, 87),
        stub(tmp_path, "another-play", TWO, 9),
        wrong,
    ]
    form.locator("[data-part=stubs]").set_input_files(stubs)
    expect(trouble).to_contain_text("2 of 4 files are of these viewers")
    expect(told).to_have_value(f"{ONE} 87\n{TWO} 0")
    told.fill(f"{ONE} 87\n{TWO} many")
    form.get_by_role("button", name="Open the canaries").click()
    expect(trouble).to_contain_text("Expected a number of shakes")
    told.fill(f"{ONE} 87\n{TWO} 3")
    page.screenshot(path=shots / "parties-canaries.png", full_page=True)
    form.get_by_role("button", name="Open the canaries").click()
    expect(page.locator("#said")).to_contain_text("are public now")
    [opened] = night.set_up("told", "aviary", "canaries opened")
    assert opened["canaries"] == [{"pseudonym": ONE, "total": 87}, {"pseudonym": TWO, "total": 3}]
    assert night.set_up("told", "aviary", "uncounted") == []
