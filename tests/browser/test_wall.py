"""The wall: what the hall sees in every moment, where it stands, and that it never says more than the server."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Night
from tests.browser.screens import (
    PICTURE,
    PRIZE,
    SEAL,
    Screen,
    naming,
    open_for,
    result,
    segment,
    state,
)
from tests.browser.test_phone_protocol import now_ms
from tests.tokens import STAGE, contrast, read_tokens

pytestmark = pytest.mark.browser
HD: Any = {"width": 1920, "height": 1080}
SIZES: dict[str, Any] = {"hd": HD, "uhd": {"width": 3840, "height": 2160}}
UPRIGHT: Any = {"width": 1080, "height": 1920}
PICTURED = {**PRIZE, "picture": PICTURE}
NAME = "Sapphire Butterfly 88 II"  # as long as names are
NAMES = (NAME, "Amber Comet 12", "Quiet Harbour 63", "Golden Fountain 19", "Merry Otter 71")
COMING = {"title": "Midnight duet", "title_zh": "", "opens_at": None}
LEADERS = [{"name": name, "total": 12_345} for name in NAMES]

# Of every text that the hall reads: how high its capitals are, in parts of the height, and where its ink is.
MEASURE = """() => {
  const pen = document.createElement("canvas").getContext("2d");
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const box = node.parentElement;
    if (!node.data.trim() || box.closest("[data-crew], script")) continue;
    if (!box.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(box);
    pen.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const [capital, ink] = [pen.measureText("H"), pen.measureText(node.data)];
    const range = document.createRange();
    range.selectNodeContents(node);
    const lines = [...range.getClientRects()].filter(({ width }) => width > 1);
    const end = box.matches(".ends") ? box.getBoundingClientRect().bottom : Infinity;
    for (const line of lines.filter(({ top, height }) => top + height / 2 < end)) {
      const base = line.top + ink.fontBoundingBoxAscent;
      found.push({
        text: node.data, capitals: capital.actualBoundingBoxAscent / innerHeight,
        left: line.left / innerWidth, right: line.right / innerWidth,
        top: (base - ink.actualBoundingBoxAscent) / innerHeight,
        bottom: (base + ink.actualBoundingBoxDescent) / innerHeight,
        of: [...document.querySelectorAll("body *")].indexOf(box),
        isCut: box.scrollWidth > box.clientWidth + 2 && style.display !== "inline" && !box.matches(".ends"),
      });
    }
  }
  return found;
}"""
# What comes in is there, what breathes goes on.
REST = """() => {
  for (const one of document.getAnimations()) if (one.effect.getTiming().iterations !== Infinity) one.finish();
}"""
# Whatever is said comes out 40 % longer, but for names and numbers.
LONGER = """
  const own = Object.getOwnPropertyDescriptor(Node.prototype, "textContent");
  const longer = (text) => (/[^\\d,.:+ ]/.test(text) ? `${text} ${text.slice(0, 0.4 * text.length)}` : text);
  const isName = (box) => box.matches?.("#winner, .name, .title, #seal, .seal") || box.localName === "strong";
  Object.defineProperty(Node.prototype, "textContent", {
    get() { return this.said ?? own.get.call(this); },
    set(text) { this.said = text; own.set.call(this, isName(this) ? text : longer(text)); },
  });
  addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll("main h1, main h2, main p, main span")) {
      if (box.children.length === 0 && !box.dataset.text) box.textContent = own.get.call(box);
    }
  });
"""


def moments(prize: dict[str, Any] = PICTURED) -> dict[str, tuple[dict[str, Any] | None, dict[str, Any]]]:
    """The segment and the rest of a state for every scene."""
    now, sealed = now_ms(), {"seal": SEAL, "entries": 1_204}
    return {
        "idle": (None, {"picture": PICTURE}),
        "announce": (None, {"cue": {"kind": "announce", "at": 0}, "next": COMING}),
        "armed": (segment("armed", prizes=[prize], rehearsal=True), {}),
        "prize": (None, {"cue": {"kind": "prize", "at": 0, "prize": 3, "shown": prize}}),
        "soon": (segment("armed", prizes=[prize], opens_at=now + 95_000, closes_at=now + 155_000), {}),
        "cue": (segment("armed", prizes=[prize], opens_at=now + 9_000, closes_at=now + 69_000), {}),
        "open": (segment("open", opens_at=now - 1_000, closes_at=now + 99_000, rehearsal=True), {}),
        "closing": (segment("closing", prizes=[prize], opens_at=now - 9_000, closes_at=now - 1_000), {}),
        "sealed": (segment("sealed", **sealed), {}),
        "beacon": (segment("sealed", beacon_at=now + 12_000, **sealed), {}),
        "drawn": (segment("drawn", **sealed), {}),
        "naming": (segment("drawn", naming=naming(("Sapphire Butterfly 88", now - 5_000), prize=prize)), {}),
        "published": (segment("published"), {"results": [result(*NAMES)], "more_to_come": True}),
        "void": (segment("void", reason="The host fell ill, and nobody could go on with it."), {}),
        "standby": (None, {"cue": {"kind": "standby", "at": 0}}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def pages(browser: Any) -> Iterator[Callable[[str], Page]]:
    """One page for all tests of a language."""
    known: dict[str, Page] = {}

    def page(locale: str) -> Page:
        if locale not in known:
            known[locale] = browser.new_context(locale=locale, viewport=HD).new_page()
        return known[locale]

    yield page
    for one in known.values():
        one.context.close()


@pytest.fixture
def wall(pages: Callable[[str], Page], night: Night) -> Iterator[Screen]:
    page = pages("en-GB")
    page.set_viewport_size(HD)
    yield Screen(page, night, "/stage/night/", state(10, None))
    page.goto("about:blank")


def look_at_everything(wall: Screen, prize: dict[str, Any] = PICTURED) -> dict[str, list[dict[str, Any]]]:
    """Scene -> its texts, once each has come to rest."""
    found = {}
    for scene, (shown, more) in moments(prize).items():
        wall.show(shown, **more)
        wall.pulse(12_345_678, leaders=LEADERS)
        wall.wait_for_scene(scene)
        wall.page.evaluate(REST)
        wall.page.wait_for_timeout(150)
        found[scene] = wall.page.evaluate(MEASURE)
    return found


def faults(texts: list[dict[str, Any]], *, least: float = 1 / 25) -> list[str]:
    """Whatever is too small, outside the graphics-safe area (EBU R 95), cut, or over another text."""
    found = []
    for text in texts:
        inside = text["left"] >= 0.0495 and text["right"] <= 0.9505
        inside = inside and text["top"] >= 0.0495 and text["bottom"] <= 0.9505
        where = " ".join(f"{side} {text[side]:.3f}" for side in ("left", "right", "top", "bottom"))
        found += [] if inside else [f"outside: {text['text']!r}, {where}"]
        found += (
            []
            if text["capitals"] >= least - 1e-3
            else [f"too small: {text['text']!r}, {text['capitals']:.4f}"]
        )
        found += [f"cut: {text['text']!r}"] if text["isCut"] else []
    for place, one in enumerate(texts):
        for other in texts[place + 1 :]:
            across = min(one["right"], other["right"]) - max(one["left"], other["left"])
            down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
            if one["of"] != other["of"] and across > 0.002 and down > 0.002:
                found.append(f"one over the other: {one['text']!r}, {other['text']!r}")
    return found


@pytest.mark.parametrize("size", ["hd", pytest.param("uhd", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_every_scene_is_read_from_the_last_row_and_keeps_to_the_safe_area(
    pages: Callable[[str], Page], night: Night, locale: str, size: str
) -> None:
    page = pages(locale)
    page.set_viewport_size(SIZES[size])
    seen = look_at_everything(Screen(page, night, "/stage/night/", state(10, None)))
    assert {scene: faults(texts) for scene, texts in seen.items() if faults(texts)} == {}
    assert all(seen.values())


def test_nothing_is_cut_where_texts_are_two_fifths_longer(browser: Any, night: Night) -> None:
    context = browser.new_context(viewport=HD)
    page = context.new_page()
    page.add_init_script(LONGER)
    seen = look_at_everything(Screen(page, night, "/stage/night/", state(10, None)))
    context.close()
    assert {scene: faults(texts) for scene, texts in seen.items() if faults(texts)} == {}


@pytest.mark.parametrize(
    "odd", ["🧥" * 80, "معطف المسرح الذهبي مع خيوط الفضة من تصميم الدار الكبرى في المدينة القديمة", "W" * 80]
)
def test_the_longest_garment_stays_in_its_place_and_ends_with_an_ellipsis(wall: Screen, odd: str) -> None:
    prize = {**PICTURED, "garment": odd, "celebrity": odd, "garment_zh": "", "celebrity_zh": ""}
    seen = {scene: faults(texts) for scene, texts in look_at_everything(wall, prize).items()}
    assert {scene: found for scene, found in seen.items() if found} == {}


def test_a_screen_that_stands_upright_keeps_to_its_safe_area(wall: Screen) -> None:
    wall.page.set_viewport_size(UPRIGHT)
    seen = {scene: faults(texts, least=0.0225) for scene, texts in look_at_everything(wall).items()}
    assert {scene: found for scene, found in seen.items() if found} == {}


def test_codes_pictures_and_digits_have_their_share_of_the_height(wall: Screen) -> None:
    def height(selector: str) -> float:
        box = wall.page.locator(selector).bounding_box()
        assert box is not None
        return box["height"] / HD["height"]

    shown = moments()
    assert height("#join .code img") >= 1 / 3
    wall.show(shown["armed"][0])
    expect(wall.page.locator("#picture img")).to_be_visible()
    assert height("#picture img") >= 2 / 3 and height("#join .code img") >= 1 / 3
    wall.show(segment("armed", opens_at=now_ms() + 9_000, closes_at=now_ms() + 60_000))
    wall.wait_for_scene("cue")
    wall.page.wait_for_timeout(900)
    texts = wall.page.evaluate(
        f"[...({MEASURE})(), {{ text: document.querySelector('.digit').textContent }}]"
    )
    shown, digit = texts.pop(), max(texts, key=lambda text: float(text["capitals"]))
    assert digit["capitals"] >= 0.5 and digit["text"] == shown["text"]
    assert wall.page.locator("main").evaluate("box => getComputedStyle(box.querySelector('.number'))"
                                              ".fontVariantNumeric").startswith("lining-nums tabular")  # fmt: skip


def test_what_stands_on_a_picture_keeps_its_contrast(wall: Screen) -> None:
    """On the whitest picture that there can be."""
    wall.show(None, picture=PICTURE)
    backdrop = wall.page.locator("#backdrop")
    expect(backdrop).to_be_visible()
    part = float(backdrop.evaluate("box => getComputedStyle(box).opacity"))
    tokens = read_tokens(STAGE)
    mixed = [
        round(255 * part + (1 - part) * int(tokens["ground"].value[place : place + 2], 16))
        for place in (1, 3, 5)
    ]
    ground = "#{:02x}{:02x}{:02x}".format(*mixed)
    assert min(contrast(tokens[name].value, ground) for name in ("ink", "accent")) >= 7


# Every frame, what the counter shows; and the newest number that was told by then.
WATCH = """async (ms) => {
  const [place, seen] = [document.getElementById("shakes"), []];
  const began = performance.now();
  while (performance.now() - began < ms) {
    await new Promise(requestAnimationFrame);
    seen.push([Number(place.textContent.replaceAll(",", "")), window.told]);
  }
  return seen;
}"""


def test_the_counter_runs_with_every_frame_never_backwards_and_never_ahead_of_the_server(
    wall: Screen,
) -> None:
    wall.show(open_for())
    wall.pulse(1_000)
    wall.wait_for_scene("open")
    wall.page.evaluate("window.told = 1000")
    watched = wall.page.evaluate_handle(f"({{ done: ({WATCH})(2600) }})")
    for shakes in (61_000, 122_000, 120_000, 183_000, 244_000):  # one of them is late
        wall.page.evaluate("told => (window.told = Math.max(window.told, told))", shakes)
        wall.pulse(shakes)
        wall.page.wait_for_timeout(450)
    seen = watched.evaluate("watched => watched.done")
    shown = [number for number, _ in seen]
    assert shown == sorted(shown)
    assert all(number <= told for number, told in seen)
    running = [number for number, told in seen if 1_000 < number < told]  # else it has come to what was told
    assert len(running) > 10 and len(set(running)) > 0.8 * len(running), "it stands still between pulses"
    expect(wall.page.locator("#shakes")).to_have_text("244,000")


def test_with_reduced_motion_the_counter_jumps_and_nothing_falls(browser: Any, night: Night) -> None:
    context = browser.new_context(viewport=HD, reduced_motion="reduce")
    wall = Screen(context.new_page(), night, "/stage/night/", state(10, open_for()))
    wall.pulse(1_000)
    expect(wall.page.locator("#shakes")).to_have_text("1,000")
    watched = wall.page.evaluate_handle(f"({{ done: ({WATCH})(700) }})")
    wall.pulse(90_000)
    assert {number for number, _ in watched.evaluate("watched => watched.done")} <= {1_000, 90_000}
    wall.show(segment("published"), results=[result(*NAMES)])
    wall.wait_for_scene("published")
    wall.page.wait_for_timeout(300)
    assert (
        wall.page.locator("#confetti").evaluate("canvas => canvas.width") == 300
    )  # as it came: nothing is thrown
    context.close()


# When the name can be seen, by the clock of the machine.
SEEN = """() => ({ at: new Promise((tell) => {
  const look = () => (document.getElementById("winner").checkVisibility() ? tell(Date.now()) : setTimeout(look, 5));
  look();
}) })"""


def test_a_name_comes_when_it_is_due_with_its_place_garment_and_celebrity(wall: Screen) -> None:
    due = now_ms() + 3_000
    wall.show(segment("drawn", naming=naming((NAME, due))))
    wall.wait_for_scene("naming")  # a second before
    seen = wall.page.evaluate_handle(SEEN)
    expect(wall.page.locator(".nth")).to_have_text("Winner 1 of 3")
    assert seen.evaluate("seen => seen.at") >= due - 30  # as the two clocks agree
    expect(wall.page.locator("#winner")).to_have_text(NAME)
    expect(wall.page.locator(".reveal .garment")).to_have_text("Silver coat")
    expect(wall.page.locator(".reveal .wearer")).to_have_text("worn by Lin Yao")
    winner = {"number": 2, "at": now_ms() + 900, "pseudonym": "ab" * 14, "name": NAMES[1], "prize": 3}
    wall.say("named", epoch=5, seq=wall.seq + 1, segment=1, of=3, prize=PRIZE, winner=winner)
    wall.seq += 1
    expect(wall.page.locator("#winner")).to_be_hidden()
    expect(wall.page.locator("#winner")).to_have_text(NAMES[1])


def test_every_cue_has_its_scene_and_a_window_or_a_newer_name_comes_before_it(wall: Screen) -> None:
    over = segment("published")
    for kind, scene in (
        ("announce", "announce"),
        ("clear", "idle"),
        ("standby", "standby"),
        ("auto", "published"),
    ):
        wall.show(over, cue={"kind": kind, "at": 1}, results=[result(NAME)], next=COMING)
        wall.wait_for_scene(scene)
    wall.say("cue", epoch=5, seq=wall.seq + 1, cue={"kind": "prize", "at": 2, "prize": 3, "shown": PRIZE})
    wall.seq += 1
    wall.wait_for_scene("prize")
    expect(wall.page.locator(".prize .garment")).to_have_text("Silver coat")
    wall.show(
        segment("drawn", naming=naming((NAME, now_ms() - 100))),
        cue={"kind": "prize", "at": 2, "shown": PRIZE},
    )
    wall.wait_for_scene("naming")
    wall.show(open_for(), cue={"kind": "clear", "at": 3})
    wall.wait_for_scene("open")


def test_the_winners_come_page_by_page_with_confetti_once_and_the_code_of_the_draw(wall: Screen) -> None:
    wall.page.route(
        "**/draws/7/code.svg", lambda route: route.fulfill(body="<svg/>", content_type="image/svg+xml")
    )
    wall.show(segment("published"), results=[result(*NAMES)])
    expect(wall.page.locator("#winners li")).to_have_count(4 if now_ms() // 8_000 % 2 == 0 else 1)
    assert wall.page.locator("#check img").get_attribute("src") == "/draws/7/code.svg"
    assert wall.page.locator("#confetti").evaluate("canvas => canvas.width") == HD["width"]
    expect(wall.page.locator(".page")).to_contain_text("of 5")
    expect(wall.page.locator("#winners")).to_contain_text(NAMES[4], timeout=10_000)


def test_confetti_goes_with_the_winners_that_it_fell_for(wall: Screen) -> None:
    painted = """canvas => new Uint32Array(
      canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer).some((pixel) => pixel)"""
    wall.show(segment("published"), results=[result(*NAMES)])
    wall.wait_for_scene("published")
    wall.page.wait_for_timeout(800)
    assert wall.page.locator("#confetti").evaluate(painted)
    wall.show(None, cue={"kind": "standby", "at": 0})
    wall.wait_for_scene("standby")
    wall.page.wait_for_timeout(100)
    assert not wall.page.locator("#confetti").evaluate(painted)


def test_void_tells_why_and_spoiled_what_it_means(wall: Screen) -> None:
    wall.show(segment("void", reason="The host fell ill."))
    expect(wall.page.locator("section[data-scene=void]")).to_contain_text("The host fell ill.")
    wall.show(segment("spoiled", reason="no round"))
    expect(wall.page.locator("section[data-scene=void]")).to_contain_text("There was no seal in time")


def test_a_show_that_is_renamed_is_called_so_at_once(wall: Screen) -> None:
    wall.show(None, title="Night of Hats")
    expect(wall.page.locator(".title")).to_have_text("Night of Hats")


def test_a_lost_connection_is_a_dot_after_a_while_and_the_wall_comes_back_by_itself(wall: Screen) -> None:
    wall.show(open_for())
    wall.wait_for_scene("open")
    left = wall.page.locator(".left")
    before = left.inner_text()
    wall.greeting = lambda socket: None  # nobody answers
    wall.sockets[-1].close(code=1012)
    wall.page.wait_for_timeout(3_000)
    expect(wall.page.locator("#offline")).to_be_hidden()
    expect(wall.page.locator("#offline")).to_be_visible()
    assert wall.scene() == "open" and left.inner_text() != before  # the clock runs on
    wall.greeting = wall.welcome(state(20, segment("sealed", seal=SEAL)))
    wall.sockets[-1].close(code=1012)
    wall.wait_for_scene("sealed")
    expect(wall.page.locator("#offline")).to_be_hidden()
    expect(wall.page.locator("#seal")).to_have_text("7f3a 91c2")


def test_the_test_card_names_screen_feed_version_and_speed(
    pages: Callable[[str], Page], night: Night
) -> None:
    page = pages("en-GB")
    Screen(page, night, "/stage/night/?card=1&name=Hall+left&feed=tv", state(10, None))
    card = page.locator("#card")
    for text in ("Hall left", "0.4 s late", "1920 × 1080"):
        expect(card).to_contain_text(text)
    expect(page.locator("#card-rate")).not_to_have_text("–")
    box = page.locator("#card .graphics").bounding_box()
    assert box is not None and (round(box["x"]), round(box["y"])) == (96, 54)


def test_what_the_wall_says_hello_with(wall: Screen) -> None:
    assert json.loads(json.dumps(wall.all("hello")[0])) == {"type": "hello", "role": "screen"}


def test_sounds_are_off_until_somebody_clicks(wall: Screen) -> None:
    wall.page.evaluate(
        "() => { window.AudioContext = class extends AudioContext { constructor() { super(); window.made = true; } }; }"
    )
    wall.show(segment("armed"))
    wall.wait_for_scene("armed")
    assert wall.page.evaluate("window.made") is None
    wall.page.mouse.move(400, 400)
    button = wall.page.locator("#sound")
    button.click()
    expect(button).to_have_text("Sound off")
    assert wall.page.evaluate("window.made") is True
    button.click()
    expect(button).to_have_text("Sound on")
