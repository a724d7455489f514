"""A night as people see it: in the control room, on the big screen, on their phones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from engagement.core.names import stage_name
from tests.browser.conftest import PHONE, Night, log_in
from tests.prizes.draws import failed, verify_draw

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]

LIBRARY = "await import('/static/engagement/shake-client.js')"
# Strokes to one side and the other, as a sensor of 60 Hz tells them, and a hand that comes to rest.
SHAKE = """async (times) => {
  // As a sensor does: what a busy machine takes late comes at once, each sample with the time at which it was taken.
  const began = performance.now();
  for (let ms = 0; ms < times * 160 + 200; await new Promise((resolve) => setTimeout(resolve, 16))) {
    for (const now = performance.now() - began; ms <= now; ms += 16) {
      const x = ms < times * 160 ? 18 * Math.sin((Math.PI * ms) / 160) : 0;
      const event = new DeviceMotionEvent("devicemotion", { acceleration: { x, y: x / 8, z: 0.1 }, interval: 16 });
      Object.defineProperty(event, "timeStamp", { value: began + ms });
      window.dispatchEvent(event);
    }
  }
}"""


def press(room: Page, segment: int, button: str, **fields: str) -> None:
    """Presses a button of the control room by its name, with its fields filled in; waits for the answer."""
    form = row(room, segment).locator("form").filter(has=room.get_by_role("button", name=button, exact=True))
    for name, value in fields.items():
        form.locator(f"[name={name}]").fill(value)
    form.get_by_role("button", name=button, exact=True).click()


def row(room: Page, segment: int) -> Locator:
    return room.locator(f'tr[data-segment="{segment}"]')


def wait_for_phase(room: Page, segment: int, phase: str) -> None:
    expect(row(room, segment).locator(".phase")).to_have_text(phase, timeout=20_000)


def tap(phone: Page, times: int) -> None:
    for _ in range(times):
        phone.locator("#tap").tap()
        phone.wait_for_timeout(60)


def shake(phone: Page, times: int) -> None:
    phone.evaluate(SHAKE, times)


def open_control_room(open_page: OpenPage, night: Night, role: str) -> Page:
    room = open_page("/console/night/", viewport={"width": 1500, "height": 950})
    log_in(room, night, role)
    expect(room.locator("h1")).to_have_text("Night of Coats (night)")
    return room


def check_saved_stub(page: Page, shakes: int) -> None:
    """The file that the phone offers is enough for the verifier, beside what anybody can download."""
    with page.expect_download() as saved:
        page.locator("#stub-save").click()
    stub = saved.value.path().read_bytes()
    site = page.url.partition("/play/")[0]

    def get(path: str) -> bytes:
        return page.request.get(site + path).body()

    [draw] = json.loads(get("/api/shows/night/draws"))["draws"]
    receipt = get(f"/api/draws/{draw['id']}/receipt/{json.loads(stub)['stub']['pseudonym']}")
    keys = json.loads(get("/api/shows/night/ledger"))["keys"]
    record = get(f"/api/draws/{draw['id']}/record")
    checks = verify_draw(record, receipts=[receipt], stubs=[stub], keys=keys)
    assert failed(checks) == set(), checks
    assert f"that {shakes} shakes are counted: that gives " in checks[-1].detail


@pytest.mark.usefixtures("tasks")
def test_a_segment_runs_from_arm_to_the_winners_phones(
    night: Night, open_page: OpenPage, shots: Path
) -> None:
    stage = open_page("/stage/night/", viewport={"width": 1600, "height": 900})
    tapper = open_page("/play/night/?feed=tv", **PHONE)
    shaker = open_page("/play/night/", locale="zh-CN", **PHONE)
    expect(tapper.locator("#you")).to_contain_text("You are ")
    expect(shaker.locator("#status")).to_have_text("已连接")
    room = open_control_room(open_page, night, "operator")
    expect(row(room, 1).get_by_role("button", name="Void")).to_be_visible()  # asks: a director has to agree
    press(room, 1, "Arm")
    wait_for_phase(room, 1, "armed")
    expect(stage.locator("body")).to_have_attribute("data-scene", "armed")
    expect(stage.locator(".prize .garment")).to_be_visible()
    stage.screenshot(path=shots / "stage-armed.png")
    tapper.screenshot(path=shots / "play-armed.png")

    press(room, 1, "Open", lead="3")
    expect(stage.locator("body")).to_have_attribute("data-scene", "cue")  # the last 10 s
    expect(tapper.locator("#tap")).to_be_enabled()
    tap(tapper, 6)
    shake(shaker, 5)
    stage.screenshot(path=shots / "stage-open.png")
    tapper.screenshot(path=shots / "play-open.png")
    shaker.screenshot(path=shots / "play-open-zh.png")
    room.screenshot(path=shots / "control-room-open.png")
    expect(stage.locator("#shakes")).to_have_text("11")
    expect(stage.locator("#leader-list li")).to_have_count(2)
    expect(tapper.locator("#acknowledged")).to_have_text("6 of them are counted")
    expect(tapper.locator("#own")).to_have_text("6")

    expect(stage.locator("body")).to_have_attribute("data-scene", "drawn", timeout=20_000)
    wait_for_phase(room, 1, "drawn")
    expect(row(room, 1).locator(".entries")).to_have_text("2")
    stage.screenshot(path=shots / "stage-sealed.png")
    expect(tapper.locator("#stub-text")).to_contain_text(
        "6 of your shakes are counted. This phone has checked"
    )
    expect(shaker.locator("#stub-text")).to_contain_text("您有 5 次摇动被计入。本手机已核对签名")

    press(room, 1, "Publish all")
    wait_for_phase(room, 1, "published")
    expect(tapper.locator("#won h2")).to_have_text("You have won!")
    expect(shaker.locator("#won h2")).to_have_text("恭喜您中奖！")
    expect(stage.locator("#winners li")).to_have_count(2)
    expect(stage.locator("#rehearsal")).to_have_text("REHEARSAL")
    expect(tapper.locator("#stub-verdicts")).to_contain_text(
        "It is as it must be."
    )  # by itself, with the ledger's key
    expect(shaker.locator("#stub-verdicts")).to_contain_text("一切无误")
    tapper.get_by_role("button", name="Back to the show").click()
    check_saved_stub(tapper, shakes=6)
    tapper.locator("#win-strip").click()
    own_name = tapper.locator("#you").inner_text().removeprefix("You are ")
    expect(stage.locator("#winners")).to_contain_text(own_name)
    stage.screenshot(path=shots / "stage-published.png")
    tapper.screenshot(path=shots / "play-won.png")
    shaker.screenshot(path=shots / "play-won-zh.png")
    room.screenshot(path=shots / "control-room-published.png", full_page=True)

    tapper.get_by_text("Claim it", exact=True).click()
    expect(tapper.locator("#told")).to_contain_text("It waits for you until")
    tapper.get_by_text("The record of this draw").click()
    expect(tapper.locator("h1")).to_contain_text("Coat, worn by")
    expect(tapper.locator("main")).to_contain_text("night/seg-1/draw-1")
    tapper.screenshot(path=shots / "draw.png", full_page=True)
    room.get_by_role("link", name="Ledger").click()
    expect(room.locator("#chain")).to_contain_text("The chain is whole")
    room.screenshot(path=shots / "ledger.png")


@pytest.mark.usefixtures("tasks")
def test_a_killed_gateway_costs_no_shake(night: Night, open_page: OpenPage, shots: Path) -> None:
    stage = open_page("/stage/night/", viewport={"width": 1600, "height": 900})
    phone = open_page("/play/night/", **PHONE)
    room = open_control_room(open_page, night, "operator")
    press(room, 2, "Arm")
    wait_for_phase(room, 2, "armed")
    press(room, 2, "Open", lead="0")
    expect(phone.locator("#tap")).to_be_enabled()
    tap(phone, 5)
    night.restart_gateway()
    tap(phone, 5)  # counted by the phone alone
    phone.screenshot(path=shots / "play-offline.png")
    expect(phone.locator("#status")).to_have_text("Connected")
    expect(phone.locator("#acknowledged")).to_have_text("10 of them are counted")
    expect(stage.locator("#offline")).to_be_hidden()
    expect(stage.locator("#shakes")).to_have_text("10")
    phone.reload()  # neither does a reload
    expect(phone.locator("#own")).to_have_text("10")
    press(room, 2, "Void", reason="the host fell ill")
    expect(room.locator("#said")).to_contain_text("a second person has to agree within 15 min")
    expect(room.locator("#requests")).to_contain_text("operator asks to void 2.")
    expect(room.get_by_role("button", name="Agree")).to_have_count(0)
    other = open_control_room(open_page, night, "director")
    other.screenshot(path=shots / "control-room-asked.png")
    other.get_by_role("button", name="Agree").click()
    expect(other.locator("#said")).to_contain_text("Two people agree: void 2.")
    wait_for_phase(room, 2, "void")
    expect(room.locator("#requests > *")).to_have_count(0)
    expect(row(room, 2).locator("form:visible")).to_have_count(0)


def test_a_page_over_http_says_why_it_wants_taps(night: Night, open_page: OpenPage, shots: Path) -> None:
    host = f"studio.test:{night.address.rpartition(':')[2]}"
    phone = open_page("/play/night/", host=host, **PHONE)
    expect(phone.locator("#how")).to_contain_text("only over https")
    expect(phone.locator("#status")).to_have_text("Connected")
    phone.screenshot(path=shots / "play-http.png")


def test_a_wrong_feed_is_said_and_not_tried_again(open_page: OpenPage) -> None:
    phone = open_page("/play/night/?feed=radio", **PHONE)
    expect(phone.locator("#status")).to_contain_text("expected one of app, tv, got 'radio'")
    expect(phone.locator("#again")).to_be_visible()


def test_the_operator_is_told_why_a_button_did_nothing(night: Night, open_page: OpenPage) -> None:
    first, second = (open_control_room(open_page, night, role) for role in ("operator", "director"))
    expect(second.locator("#gateways tr")).to_have_count(1)
    second.route("**/live?*", lambda route: route.abort())  # it still shows what was true a moment ago
    press(first, 3, "Arm")
    wait_for_phase(first, 3, "armed")
    press(second, 3, "Arm")
    expect(second.locator("#said")).to_contain_text("is armed already: arm by operator at ")


def test_an_open_control_room_tells_of_a_restored_database_and_a_director_goes_on(
    night: Night, open_page: OpenPage
) -> None:
    room = open_control_room(open_page, night, "director")
    button = room.get_by_role("button", name="Go on with this database", exact=True)
    expect(room.locator("#restored")).to_be_hidden()

    def restored(route: Route) -> None:
        live = route.fetch().json()
        route.fulfill(json={**live, "restored": "The database is older than what was announced from it."})

    room.route("**/live?*", restored)
    expect(room.locator("#restored")).to_contain_text("The database is older than what was announced")
    button.click()
    expect(room.locator("#said")).to_contain_text("Nothing has to be confirmed")
    room.unroute_all(behavior="wait")  # one may be on its way
    expect(room.locator("#restored")).to_be_hidden()


def test_the_scripts_agree_with_the_server_and_with_the_protocol(open_page: OpenPage) -> None:
    page = open_page("/play/night/", **PHONE)
    for viewer in (
        "7d2b9ad16a51a6099939d32fb499",
        "00000000000000000000000000ff",
        "ffff0fa0ffffffffffffffffffff",
    ):
        assert page.evaluate(f"async viewer => ({LIBRARY}).stageName(viewer)", viewer) == stage_name(
            bytes.fromhex(viewer)
        )


WAITS = [  # close code, reason, attempts so far; and the wait with every dice in the middle and spread_ms 30 s
    (4400, "", 0, None),
    (4404, "", 0, None),
    (4413, "", 0, None),
    (1009, "", 0, None),
    (4429, "retry=3000", 0, 4_500),
    (4503, "retry=2000", 4, 3_000),
    (1012, "", 5, 2_500),
    (1006, "", 0, 15_000),
    (4508, "", 0, 15_000),
    (1006, "", 3, 2_000),
    (1006, "", 60, 10_000),
    (4401, "", 0, 250),
    (4408, "", 0, 250),
]


def test_a_phone_waits_as_the_table_of_close_codes_says(open_page: OpenPage) -> None:
    page = open_page("/play/night/", **PHONE)
    script = f"async lost => ({LIBRARY}).waitAfter({{ ...lost, spreadMs: 30000, random: () => 0.5 }})"
    for code, reason, attempt, wait in WAITS:
        lost = {"code": code, "reason": reason, "attempt": attempt}
        assert page.evaluate(script, lost) == wait, lost
