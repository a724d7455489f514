"""One night from the director's click to the winners' phones, with everything that looks at it, in real processes.

Two gateways, three phones on two feeds, wall, overlay, host's screen and audit page; a gateway dies in mid-segment,
one phone loses its network for 5 s, another falls asleep. Each page notes what it shows when, by the one clock of this
machine, so that nothing has to be looked at in time.
"""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import CDPSession, Page, expect

from prizes.core.roll import iterate_totals
from tests.browser.axe import serious
from tests.browser.conftest import PHONE, Night, log_in
from tests.browser.test_night import press, row, shake, tap, wait_for_phase
from tests.flow.test_stubs import kill_the_busiest

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]
OFFLINE_S = 5
LATE_MS = {"app": 400, "tv": 1_500}  # the feeds of the demo
# What a broken network says in the console, of itself.
LOSS = re.compile(r"WebSocket connection to|net::ERR_(INTERNET_DISCONNECTED|CONNECTION_|EMPTY_RESPONSE)")

# Notes whatever is told, once for each time that it is told, and when.
NOTES = """
  window.notes = [];
  const last = {};
  const seen = (box) => Boolean(box?.checkVisibility({ visibilityProperty: true }));
  function note(what, told) {
    if (told !== last[what] && told) window.notes.push([what, told, Date.now()]);
    last[what] = told;
  }
  function look() {
    const find = (selector) => document.querySelector(selector);
    if (!document.body) return;
    note("moment", document.body.dataset.moment ?? document.body.dataset.scene ?? "");
    for (const one of [find("#winner h2"), find("#winner"), find("#say"), find(".scene.naming .name")]) {
      if (seen(one)) note("name", one.textContent);
    }
    note("counted", find("#acknowledged")?.textContent);
    if (seen(find(".scene.naming .headline.gold"))) note("you", "in the naming");
    if (seen(find("#won"))) note("won", "the whole page");
  }
  const everything = { subtree: true, childList: true, attributes: true, characterData: true };
  new MutationObserver(look).observe(document, everything);
  addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective}`));
"""
REFUSE_MOTION = "DeviceMotionEvent.requestPermission = async () => 'denied';"


class Cast(NamedTuple):
    """Everything that looks at the night."""

    wall: Page
    overlay: Page
    host: Page
    room: Page
    audit: Page
    phones: dict[str, Page]


@pytest.fixture(scope="module")
def gala(tmp_path_factory: pytest.TempPathFactory, migrated: Any) -> Iterator[Night]:
    night = Night(tmp_path_factory.mktemp("gala"), migrated, scene="gala", gateways=2)
    night.start_tasks()
    yield night
    night.stop()


@pytest.fixture
def look_at(browser: Any, gala: Night) -> Iterator[OpenPage]:
    """Opens a page in a browser of its own; whatever it says in its console fails the test."""
    contexts, said = [], list[str]()

    def hear(path: str, text: str) -> None:
        if not LOSS.search(text):
            said.append(f"{path}: {text}")

    def open_page(path: str, script: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: hear(path, message.text))
        page.on("pageerror", lambda error: hear(path, str(error)))
        page.add_init_script(NOTES + script)
        page.goto(f"http://{gala.address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def assemble(look_at: OpenPage, gala: Night) -> Cast:
    phones = {
        "shaker": look_at("/play/gala/?feed=app", **PHONE),
        "tapper": look_at("/play/gala/?feed=app", REFUSE_MOTION, **{**PHONE, "locale": "zh-TW"}),
        "sleeper": look_at("/play/gala/?feed=tv", **PHONE),
    }
    wall, overlay = (look_at(f"/stage/gala/{query}", viewport={"width": 1280, "height": 720})
                     for query in ("", "?overlay=winner&key=alpha"))  # fmt: skip
    room = look_at("/console/gala/", viewport={"width": 1500, "height": 950})
    log_in(room, gala, "director")
    host = look_at("/login/?next=/host/gala/", viewport={"width": 1280, "height": 720})
    log_in(host, gala, "operator")
    audit = look_at("/draws/")
    return Cast(wall, overlay, host, room, audit, phones)


def refuse_the_sensor(phone: Page) -> None:
    """A viewer says no to the question of the browser; the page says why it wants taps, and taps count."""
    phone.locator("#sensor").tap()
    expect(phone.locator("#how")).to_contain_text("點")


def cut_off(phone: Page) -> Callable[[], None]:
    """Without a network; the function gives it back after `OFFLINE_S`."""
    began = time.monotonic()
    phone.context.set_offline(True)

    def give_back() -> None:
        phone.wait_for_timeout(max(0, 1000 * (began + OFFLINE_S - time.monotonic())))
        expect(phone.locator("#acknowledged")).to_contain_text("3")
        expect(phone.locator("#own")).to_have_text("7")
        phone.context.set_offline(False)

    return give_back


def put_to_sleep(phone: Page) -> CDPSession:
    session = phone.context.new_cdp_session(phone)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    return session


def shake_through_troubles(cast: Cast, gala: Night, shots: Path) -> dict[str, int]:
    """Shakes of each phone; none is lost, whatever happens around it."""
    shaker, tapper, sleeper = cast.phones.values()
    tap(sleeper, 4)
    tap(tapper, 3)
    expect(sleeper.locator("#acknowledged")).to_have_text("4 of them are counted")
    expect(tapper.locator("#acknowledged")).to_contain_text("3")
    asleep = put_to_sleep(sleeper)
    give_back = cut_off(tapper)
    shake(shaker, 3)
    kill_the_busiest(gala.data, least=2)
    shake(shaker, 3)
    tap(tapper, 4)  # counted by the phone alone
    give_back()
    asleep.send("Page.setWebLifecycleState", {"state": "active"})
    sleeper.evaluate("new Promise(requestAnimationFrame)")  # a page that draws takes taps again
    tap(sleeper, 2)
    expect(sleeper.locator("#own")).to_have_text("6")
    totals = {"shaker": 6, "tapper": 7, "sleeper": 6}
    for name, total in totals.items():
        expect(cast.phones[name].locator("#acknowledged")).to_contain_text(str(total), timeout=20_000)
        expect(cast.phones[name].locator("#own")).to_have_text(str(total))
    expect(cast.wall.locator("#shakes")).to_have_text(str(sum(totals.values())))
    cast.room.screenshot(path=shots / "control-room.png")
    return totals


def counted_by(phone: Page) -> tuple[str, int]:
    """Who this phone is, and what it said last is counted."""
    text, _ = notes(phone, "counted")[-1]
    return phone.locator("#number").text_content() or "", int(re.sub(r"\D", "", text))


def frozen(gala: Night, segment: int) -> dict[str, int]:
    (path,) = gala.data.glob(f"draws/segment-{segment}-*/totals.bin")
    return {viewer.hex(): total for viewer, total in iterate_totals(path.read_bytes())}


def name_by_space(cast: Cast) -> list[str]:
    """The host presses the space bar once for each winner; the names, as the screen beside the stage told them."""
    names: list[str] = []
    button = cast.host.get_by_role("button", name="Next winner")
    for left in (2, 1):
        expect(cast.host.locator("#to-name")).to_have_text(str(left))
        expect(button).to_be_enabled()
        cast.host.keyboard.press("Space")
        expect(cast.wall.locator("#winner")).to_be_visible()
        expect(cast.wall.locator("#winner")).not_to_have_text(names[-1] if names else "")
        names.append(cast.wall.locator("#winner").inner_text())
        expect(cast.overlay.locator("#winner h2")).to_have_text(names[-1])
        expect(cast.host.locator("#say")).to_have_text(names[-1])
    return names


def notes(page: Page, what: str) -> list[tuple[str, int]]:
    return [(told, at) for kind, told, at in page.evaluate("window.notes") if kind == what]


def check_who_was_told_when(cast: Cast, names: list[str]) -> None:
    """No phone tells its owner of a win before the wall has named it."""
    named = dict(notes(cast.wall, "name"))
    winners = 0
    for phone in cast.phones.values():
        told = [at for what in ("you", "won") for _, at in notes(phone, what)]
        own = phone.evaluate(
            "async viewer => (await import('/static/engagement/shake-client.js')).stageName(viewer)",
            phone.locator("#number").text_content(),
        )
        assert bool(told) == (own in names), (own, names, told)
        if told:
            winners += 1
            early = [named[own] - at for at in told]
            print(f"{own}: the phone told it {-max(early)} ms after the wall")
            assert max(early) <= 0, early
    assert winners == len(names) == 2


def test_a_night_from_the_directors_click_to_the_winners_phones(
    look_at: OpenPage, gala: Night, shots: Path
) -> None:
    segment = gala.passwords["segment"]
    cast = assemble(look_at, gala)
    refuse_the_sensor(cast.phones["tapper"])
    press(cast.room, segment, "Arm")
    for page in (cast.wall, cast.host):
        expect(page.locator("body")).to_have_attribute("data-scene", "armed")
    press(cast.room, segment, "Open", lead="3")
    for phone in cast.phones.values():
        expect(phone.locator("#moment")).to_have_text(re.compile("Shake!|搖"))
    totals = shake_through_troubles(cast, gala, shots)
    press(cast.room, segment, "Close now")
    wait_for_phase(cast.room, segment, "drawn")
    counted = dict(counted_by(phone) for phone in cast.phones.values())
    assert counted == frozen(gala, segment)
    assert sorted(counted.values()) == sorted(totals.values())
    seal = row(cast.room, segment).locator(".seal").get_attribute("title") or ""
    names = name_by_space(cast)
    wait_for_phase(cast.room, segment, "published")
    for phone in cast.phones.values():
        expect(phone.locator("#won:visible, #not-won:visible")).to_have_count(1)
    check_who_was_told_when(cast, names)
    cast.audit.reload()
    cast.audit.locator("#published a").first.click()
    expect(cast.audit.locator("body")).to_contain_text(seal)
    for page in (cast.wall, cast.host, cast.audit, *cast.phones.values()):
        assert serious(page) == [], page.url
