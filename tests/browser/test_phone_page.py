"""What the phone page promises beside its texts: nothing jumps, is early or too large, and all can use it."""

import gzip
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import test_phone_protocol as protocol
from tests.browser.axe import serious
from tests.browser.conftest import Night
from tests.browser.moments import MOMENTS, SEAL, TOTALS, naming, prize, published, segment, window
from tests.browser.test_phone_protocol import VIEWER, Gateway, now_ms, state, tap

pytestmark = pytest.mark.browser
page, gateway = protocol.page, protocol.gateway  # the fixtures
MOST_BYTES = 60_000
MOST_SHIFT = 0.02
WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const { value, sources } of list.getEntries()) {
    const where = ({ node }) => node?.id || node?.className || node?.parentNode?.className || node?.nodeName;
    window.shifts.push([value, document.body.dataset.moment, sources.map(where).join()]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
WATCH_SPEECH = """
window.spoken = [];
for (const id of ["say", "shout"]) {
  const heard = () => window.spoken.push(document.getElementById(id).textContent);
  new MutationObserver(heard).observe(document.getElementById(id), { childList: true });
}
"""
WATCH_VIBRATION = (
    "window.buzzed = []; navigator.vibrate = (pattern) => (window.buzzed.push(pattern), true); 0"
)


def whole_segment(page: Page, gateway: Gateway) -> None:
    """Everything that may happen from an armed segment to the next one, each moment as long as it takes to draw."""
    say, wait = gateway.say, page.wait_for_timeout
    say("state", **segment("armed", 21))
    wait(400)
    opens = now_ms() + 11_500
    scheduled = {"opens_at": opens, "closes_at": opens + 3_000}
    say("state", **segment("armed", 22, rehearsal=True, **scheduled))
    expect(page.locator("body")).to_have_attribute("data-moment", "open", timeout=20_000)
    for total in range(1, 31):
        page.locator("#tap").dispatch_event("pointerdown")
        if total % 10 == 0:
            say("ack", segment=1, total=total)
            say("pulse", epoch=5, seq=22, segment=1, phones=8_000_000, shakes=1, per_second=1, leaders=[])
        wait(40)
    expect(page.locator("body")).to_have_attribute("data-moment", "closing", timeout=20_000)
    say("ack", segment=1, total=30)
    wait(400)
    say("state", **segment("sealed", 23, seal=SEAL, entries=81_234, beacon_at=now_ms() + 16_000))
    wait(1_600)
    say("state", **segment("drawn", 24, seal=SEAL, entries=81_234))
    wait(400)
    for number in (1, 2):
        say("state", **segment("drawn", 24 + number, seal=SEAL, naming=naming(number)))
        wait(400)
    gateway.sockets[-1].close(code=1011)
    gateway.greeting = gateway.welcome(published("ab" * 14) | {"seq": 30}, total=30)
    gateway.wait_for("hello", 2)
    wait(600)
    say("state", **(segment("armed", 31) | {"segment": None}))
    wait(400)


@pytest.mark.parametrize("width", [320, pytest.param(390, marks=pytest.mark.nightly)])
def test_nothing_jumps_over_a_whole_segment(page: Page, gateway: Gateway, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 568 if width == 320 else 844})
    gateway.greeting = gateway.welcome(state(20) | {"segment": None}, total=0)
    page.add_init_script(WATCH_SHIFTS)
    page.reload()
    expect(page.locator("#status")).to_have_text("Connected")
    whole_segment(page, gateway)
    shifts = page.evaluate("window.shifts")
    assert sum(value for value, *_ in shifts) <= MOST_SHIFT, shifts
    print(f"layout shift at {width} px: {sum(value for value, *_ in shifts):.4f}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_all_that_the_page_loads_is_small_and_of_this_host(page: Page, night: Night) -> None:
    gateway, sizes = Gateway(page), dict[str, int]()
    gateway.greeting = gateway.welcome(segment("open", **window(-5_000)))

    def weigh(answer: Any) -> None:
        if not answer.url.endswith("/passes"):
            sizes[answer.url] = len(gzip.compress(answer.body(), 6))

    page.on("response", weigh)
    page.goto(f"http://{night.address}/play/night/?feed=app")
    expect(page.locator("#status")).to_have_text("Connected")
    page.wait_for_load_state("networkidle")
    assert all(night.address in url for url in sizes), sizes
    assert len(sizes) >= 12 and not any("altcha" in url for url in sizes), sizes
    print(f"{sum(sizes.values()):,} bytes compressed in {len(sizes)} files")
    assert sum(sizes.values()) <= MOST_BYTES, sizes
    page.remove_listener("response", weigh)


def test_the_meter_rises_in_the_very_frame_of_a_stroke_and_falls_by_itself(
    page: Page, gateway: Gateway
) -> None:
    frames = page.evaluate("""async () => {
      const meter = document.getElementById("meter");
      const height = () => new DOMMatrix(getComputedStyle(meter).transform).m42;
      const tap = document.getElementById("tap");
      await new Promise(requestAnimationFrame);
      const before = height();
      tap.dispatchEvent(new PointerEvent("pointerdown"));
      const atOnce = height(); // no frame has been drawn between
      for (let stroke = 0; stroke < 5; stroke += 1) tap.dispatchEvent(new PointerEvent("pointerdown"));
      const seen = [];
      for (let frame = 0; frame < 60; frame += 1) {
        await new Promise(requestAnimationFrame);
        seen.push(height());
      }
      return { before, atOnce, seen, own: document.getElementById("own").textContent };
    }""")
    assert frames["atOnce"] < frames["before"]
    assert frames["own"] == "13"
    assert frames["seen"] == sorted(frames["seen"]) and frames["seen"][-1] > frames["seen"][0]


def test_with_reduced_motion_nothing_rises_and_nothing_moves(page: Page, gateway: Gateway) -> None:
    page.emulate_media(reduced_motion="reduce")
    tap(page, 3)
    expect(page.locator("#own")).to_have_text("10")
    assert page.evaluate("document.getElementById('meter').style.transform") in ("", "translateY(100%)")
    gateway.say("state", **segment("sealed", seal=SEAL))
    expect(page.locator("#seal")).to_be_visible()
    assert page.evaluate("document.getAnimations().filter((one) => one.playState === 'running').length") == 0
    page.emulate_media(reduced_motion="no-preference")


LARGER = [pytest.param(size, marks=pytest.mark.nightly) for size in ((390, 844), (768, 1024))]


@pytest.mark.parametrize("size", [(320, 568), *LARGER])
def test_the_last_seconds_fill_the_page_and_tick_in_the_hand(
    page: Page, gateway: Gateway, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.evaluate(WATCH_VIBRATION)
    gateway.say("state", **segment("armed", **window(4_400)))
    for digit in ("4", "3", "2", "1"):
        expect(page.locator(".beat")).to_have_text(digit)
        width = page.evaluate("""() => {
          const range = document.createRange();
          range.selectNodeContents(document.querySelector(".beat"));
          return range.getBoundingClientRect().width / innerWidth;
        }""")
        assert 0.4 <= width <= 1
    expect(page.locator("#moment")).to_have_text("Shake!")
    assert page.evaluate("window.buzzed") == [40, 40, 40]


def test_what_is_counted_is_what_was_acknowledged_and_ticks_every_ten(page: Page, gateway: Gateway) -> None:
    gateway.say("state", **segment("open", 11, **window(-6_000)))
    page.evaluate(WATCH_VIBRATION)
    expect(page.locator("#tickets")).to_have_text("0 tickets · 3 shakes to the next")
    tap(page, 5)
    expect(page.locator("#own")).to_have_text("12")
    expect(page.locator("#acknowledged")).to_have_text("7 of them are counted")
    assert page.evaluate("window.buzzed") == []
    gateway.say("ack", segment=1, total=12)
    expect(page.locator("#acknowledged")).to_have_text("12 of them are counted")
    expect(page.locator("#tickets")).to_have_text("1 ticket · 8 shakes to the next")
    gateway.say("ack", segment=1, total=19)
    gateway.say("ack", segment=1, total=47)
    expect(page.locator("#tickets")).to_have_text("5 tickets · the most there are")
    assert page.evaluate("window.buzzed") == [20, 20]


def test_a_phone_tells_nobody_before_the_time_of_its_feed(page: Page, gateway: Gateway) -> None:
    page.evaluate(WATCH_VIBRATION)
    page.evaluate(WATCH_SPEECH)
    at = now_ms() + 3_000
    named = naming(2, VIEWER, "Scarlet Eagle 47")
    named["winners"][0]["at"] = at
    gateway.say("state", **segment("drawn", 11, naming=named))
    told = published(VIEWER) | {"seq": 12}
    told["segment"]["naming"] = named
    told["results"][0]["shown_at"] = at
    gateway.say("state", **told)
    won = {"draw": 7, "prize": prize(), "claim_url": "/draws/7/claim/", "claim_by": now_ms() + 10**6}
    gateway.say("won", **won, shown_at=at)
    expect(page.locator("#moment")).to_have_text("It is drawn")
    while now_ms() < at - 1_150:
        assert page.locator("body").get_attribute("data-moment") == "drawn"
        assert page.locator("#won").is_hidden()
        time.sleep(0.05)
    while now_ms() < at - 150:
        text = page.locator("main").inner_text()
        assert (
            "won" not in text and page.locator("#won").is_hidden() and "Eagle" not in text.split("You are")[0]
        )
        time.sleep(0.05)
    assert page.evaluate("[window.buzzed, window.spoken.join()]") == [[], "It is drawn"]
    expect(page.locator("#won")).to_be_visible()
    assert now_ms() >= at
    assert page.evaluate("window.buzzed") == [[400, 200, 400, 200, 400]]
    assert any(text.startswith("You have won Silver coat") for text in page.evaluate("window.spoken"))


def test_who_follows_the_naming_reads_each_name_in_its_time(page: Page, gateway: Gateway) -> None:
    first = naming(1)
    gateway.say("state", **segment("drawn", 11, naming=first))
    expect(page.locator("#moment")).to_have_text("Amber Comet 47")
    expect(page.locator(".label")).to_have_text("Winner 1 of 5")
    winner = {
        "number": 2,
        "at": now_ms() + 1_500,
        "pseudonym": VIEWER,
        "name": "Scarlet Eagle 47",
        "prize": 3,
    }
    gateway.say("named", epoch=5, seq=12, segment=1, of=5, winner=winner, prize=prize())
    expect(page.locator(".label")).to_have_text("Winner 2 of 5")
    expect(page.locator("#moment")).to_have_text("…")
    expect(page.locator("#moment")).to_have_text("Scarlet Eagle 47")
    expect(page.locator(".headline.gold")).to_have_text("That is you!")


def test_a_win_steps_aside_and_its_strip_leads_back(page: Page, gateway: Gateway) -> None:
    gateway.say("state", **(published(VIEWER) | {"seq": 11}))
    expect(page.locator("#won")).to_be_visible()
    expect(page.locator("#won .to-claim")).to_have_text("23 hours 19 minutes")
    page.get_by_role("button", name="Back to the show").click()
    expect(page.locator("#won")).to_be_hidden()
    page.locator("#win-strip").click()
    expect(page.locator("#won")).to_be_visible()
    gateway.say("state", **segment("armed", 12, id=2, **window(60_000)))
    expect(page.locator("#moment")).to_have_text("Get ready")
    expect(page.locator("#won")).to_be_hidden()
    expect(page.locator("#win-strip")).to_contain_text("You have won: Silver coat")


def test_cleared_screens_are_idle_and_a_round_called_off_says_why(page: Page, gateway: Gateway) -> None:
    gateway.say("state", **segment("void", 11, reason="the host fell ill"))
    expect(page.locator("#moment")).to_have_text("This round does not count")
    expect(page.locator(".reason")).to_have_text("The reason: the host fell ill")
    gateway.say("cue", epoch=5, seq=12, cue={"kind": "clear", "at": now_ms() - 1})
    expect(page.locator("#moment")).to_have_text("You are in")
    expect(page.locator("#rehearsal")).to_be_hidden()


@pytest.mark.parametrize(
    ("more", "next_up"), [(True, "Next: Midnight duet"), (False, "Thank you for being here tonight.")]
)
def test_who_has_not_won_sees_the_own_tickets_how_many_took_part_and_what_is_next(
    page: Page, gateway: Gateway, more: bool, next_up: str
) -> None:
    gateway.greeting = gateway.welcome(published("ab" * 14, more=more), total=34)
    page.reload()
    expect(page.locator("#moment")).to_have_text("Not this time")
    expect(page.locator(".fact")).to_have_text(["3tickets of yours", "8,123,456people took part"])
    expect(page.locator("#next")).to_have_text(next_up)
    link = page.get_by_role("link", name="Check this draw yourself")
    assert link.get_attribute("href") == "/draws/7/?lang=en"


def test_moments_are_heard_once_and_countdowns_at_a_few_seconds_only(page: Page, gateway: Gateway) -> None:
    gateway.say("state", **segment("armed", 11))
    expect(page.locator("#moment")).to_have_text("Silver coat")
    page.evaluate(WATCH_SPEECH)
    for seq in (12, 13):
        gateway.say("state", **segment("armed", seq, rehearsal=True, **window(11_500, 3_000)))
    expect(page.locator("#moment")).to_have_text("Shake!", timeout=20_000)
    tap(page, 2)
    gateway.say("ack", segment=1, total=9)
    expect(page.locator("#moment")).to_have_text("Time!", timeout=20_000)
    gateway.say("state", **segment("sealed", 14, seal=SEAL))
    expect(page.locator("#moment")).to_have_text("Locked in")
    page.wait_for_timeout(300)
    spoken = page.evaluate("window.spoken")
    assert spoken == ["10 seconds to go", "REHEARSAL. Go", "Time. 9 counted.",
                      "Locked in. The seal begins with c 0 f f   e e 4 2."], spoken  # fmt: skip
    regions = page.locator("[aria-live], [role=status], [role=alert]").evaluate_all(
        "all => all.map((one) => one.id || one.parentElement.id)"
    )
    # Of a total that is compared, of a code that is typed; and what is said of the show.
    assert regions == ["stub", "code-wrong", "say", "shout"]


def test_space_taps_wherever_the_focus_is(page: Page, gateway: Gateway) -> None:
    page.keyboard.press(" ")
    page.keyboard.press("Enter")
    expect(page.locator("#own")).to_have_text("9")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"  # the languages
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "tap"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_phone_that_has_slept_says_that_all_is_up_to_date(page: Page, gateway: Gateway) -> None:
    hide = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.evaluate("() => { const real = Date.now; Date.now = () => real() + 31_000; }")
    page.evaluate(hide, False)
    expect(page.locator("#aside")).to_have_text("Your phone was asleep. All of it is up to date again.")
    expect(page.locator("#aside")).to_be_empty()


END_MOTION = """for (const one of document.getAnimations()) {
  if (one.effect.getTiming().iterations === Infinity) one.cancel();
  else one.finish();
}"""
LONG = """
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode;
  if (/[a-z]{3}/i.test(text.data) && !text.parentElement.closest("script, #own, .seal")) {
    const words = text.data.split(" ");
    const more = Math.ceil((text.data.length * 0.4) / 5);
    text.data = text.data + " " + Array.from({ length: more }, () => "word").join(" ");
  }
}
"""
CUT = """() => [...document.querySelectorAll(".scene *, #won *, #dock *, #band *")].filter((element) => {
  if (!element.checkVisibility({ visibilityProperty: true })) return false;
  if (element.closest(".unseen, .cue") || element.matches("img, #tap")) return false;
  const box = element.getBoundingClientRect();
  return element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline"
    || box.right > innerWidth + 1 || box.left < -1;
}).map((element) => `${element.className || element.id}: ${element.textContent}`)"""
SMALL = """() => [...document.querySelectorAll("button, a, summary, input")].filter((element) => {
  if (!element.checkVisibility({ visibilityProperty: true })) return false;
  const box = element.getBoundingClientRect();
  return box.height < 47.5 || box.width < 40;
}).map((element) => `${element.id || element.className} ${element.getBoundingClientRect().height}`)"""


@pytest.mark.parametrize(
    "name", [name for name in MOMENTS if not name.startswith(("cue-", "offline", "elsewhere", "overloaded"))]
)
def test_every_moment_can_be_used_by_all_and_cuts_no_longer_text(page: Page, night: Night, name: str) -> None:
    page.set_viewport_size({"width": 320, "height": 568})
    gateway = Gateway(page)
    told, act = MOMENTS[name]
    gateway.greeting = gateway.welcome(told(), total=TOTALS.get(name, 34))
    page.goto(f"http://{night.address}/play/night/?feed=app")
    expect(page.locator("#status")).to_have_text("Connected")
    act(page, gateway)
    page.wait_for_timeout(300)
    page.evaluate(END_MOTION)
    assert serious(page) == []
    assert page.evaluate(SMALL) == []
    page.evaluate(LONG)
    assert page.evaluate(CUT) == []
