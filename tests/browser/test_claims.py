"""A winner does not claim: at the deadline the reserve moves up, and claims on the page."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, ROOT, Night, log_in

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("tasks")]
OpenPage = Callable[..., Page]
SOON_MS = 30_000
# What an older page or another script may have left in front of the identity that has won.
KEEP_MORE = """() => {
  const kept = JSON.parse(localStorage["shake.claims.identities"]);
  const broken = [null, 7, { pass: 5 }, { pass: "x", salt: "00" }, { ...kept[0], pass: "x" }];
  localStorage["shake.claims.identities"] = JSON.stringify([...broken, ...kept]);
}"""


def play(night: Night, phones: list[Page]) -> None:
    """One segment, in which both phones are shaken."""
    segment = str(night.set_up("claims"))
    for phone in phones:
        phone.goto(f"http://{night.address}/play/claims/")
        expect(phone.locator("#status")).to_have_text("Connected")
    night.set_up("command", "segment", "arm", segment, "--show", "claims", "--as", "olga")
    night.set_up("command", "segment", "open", segment, "--show", "claims", "--lead", "1", "--as", "olga")
    for phone in phones:
        expect(phone.locator("#tap")).to_be_enabled()
        for _ in range(3):
            phone.locator("#tap").tap()


def test_the_reserve_moves_up_at_the_deadline_and_claims(
    night: Night, open_page: OpenPage, shots: Path, tmp_path: Path
) -> None:
    phones = [open_page("/draws/", **PHONE), open_page("/draws/", **PHONE)]
    play(night, phones)
    stage = open_page("/stage/claims/", viewport={"width": 1600, "height": 900})
    expect(stage.locator("#winners li")).to_have_count(1, timeout=SOON_MS)
    for phone in phones:
        expect(phone.locator("#won:visible, #not-won:visible")).to_have_count(1)
    winner, reserve = sorted(phones, key=lambda phone: not phone.locator("#won").is_visible())
    expect(winner.locator("#won h2")).to_have_text("You have won!")
    expect(reserve.locator("#not-won")).to_be_visible()
    link = winner.locator(".win a").get_attribute("href")
    assert link
    draw = link.split("/")[-3]

    expect(stage.locator("#winners .moved-up")).to_have_text("moved up", timeout=SOON_MS)
    name = reserve.locator("#you").inner_text().removeprefix("You are ")
    expect(stage.locator("#winners strong")).to_have_text([name])
    expect(winner.locator("#won")).to_be_hidden()
    stage.screenshot(path=shots / "stage-moved-up.png")

    reserve.get_by_text("Claim it", exact=True).click()
    expect(reserve.locator("#told")).to_contain_text("It waits for you until")
    reserve.screenshot(path=shots / "claim.png")
    reserve.get_by_role("button", name="Claim this prize").click()
    expect(reserve.locator("#told")).to_contain_text("The prize is yours!")
    expect(reserve.locator("#decline")).to_be_hidden()
    reserve.evaluate(KEEP_MORE)
    reserve.reload()
    expect(reserve.locator("#told")).to_contain_text("The prize is yours!")
    reserve.goto(f"http://{night.address}/play/claims/")
    expect(reserve.locator(".win .claimed")).to_have_text("You have claimed it. It is yours.")
    winner.goto(f"http://{night.address}/draws/{draw}/claim/")
    expect(winner.locator("#told")).to_contain_text("The time to claim this prize is over")
    check_the_record(night, draw, tmp_path)
    check_that_a_phone_keeps_who_it_was(night, draw, open_page)
    disqualify_the_reserve(night, open_page, shots)
    reserve.goto(f"http://{night.address}/draws/{draw}/claim/?lang=zh")
    expect(reserve.locator("#told")).to_contain_text("未达到年龄要求")


def check_the_record(night: Night, draw: str, folder: Path) -> None:
    """What is public tells the same, and a stranger's computer finds it in order."""
    for name, path in (("record", "record.json"), ("roll", "roll.bin")):
        urllib.request.urlretrieve(f"http://{night.address}/api/draws/{draw}/{name}", folder / path)
    record = json.loads((folder / "record.json").read_text())
    assert [row["status"] for row in record["dispositions"]] == ["forfeited", "won", "claimed"]
    command = [sys.executable, "-I", str(ROOT / "prizes/verify_draw.py"), "record.json", "roll.bin"]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def check_that_a_phone_keeps_who_it_was(night: Night, draw: str, open_page: OpenPage) -> None:
    """A guest who has lost the pass gets another one, as the same viewer; a stranger finds no win there."""
    stranger = open_page("/play/claims/", **PHONE)
    expect(stranger.locator("#status")).to_have_text("Connected")
    first = stranger.evaluate("localStorage['shake.claims.identities']")
    stranger.evaluate("localStorage.removeItem('shake.claims.pass')")
    stranger.reload()
    expect(stranger.locator("#status")).to_have_text("Connected")
    kept = json.loads(stranger.evaluate("localStorage['shake.claims.identities']"))
    same = [[(row["viewer"], row["salt"]) for row in rows] for rows in (kept, json.loads(first))]
    assert len(kept) == 1 and same[0] == same[1] and stranger.evaluate("localStorage['shake.claims.pass']")
    stranger.goto(f"http://{night.address}/draws/{draw}/claim/?lang=zh")
    expect(stranger.locator("#told")).to_contain_text("没有中奖")


def disqualify_the_reserve(night: Night, open_page: OpenPage, shots: Path) -> None:
    """Two people of the crew, each on their own page."""
    operator, director = (
        open_page("/console/claims/claims/", viewport={"width": 1500, "height": 700}) for _ in range(2)
    )
    log_in(operator, night, "operator")
    log_in(director, night, "director")
    row = operator.locator("tr[data-win]").last
    row.locator("select").select_option("under age")
    row.get_by_role("button", name="Ask").click()
    expect(operator.locator("#said")).to_contain_text("Somebody else has to approve it now.")
    approve = director.get_by_role("button", name="Approve")
    expect(approve).to_be_visible()  # without a reload
    director.screenshot(path=shots / "claims.png")
    approve.click()
    expect(director.locator("#said")).to_contain_text("Disqualified:")
    expect(director.locator('.status[data-status="disqualified"]')).to_have_count(1)
    expect(operator.locator('.status[data-status="disqualified"]')).to_have_count(1)
