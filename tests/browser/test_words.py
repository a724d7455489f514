"""What phone and stage say in both languages, on a phone and on a desk, while the test plays the gateway."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import PHONE, Night
from tests.browser.test_phone_protocol import VIEWER, Gateway, now_ms, state
from tests.cast import PRIZE, make_result, make_winner

pytestmark = pytest.mark.browser
SIZES: dict[str, dict[str, Any]] = {"phone": PHONE, "desk": {"viewport": {"width": 1440, "height": 900}}}
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
NOT_WON = {
    "en": "Not this timeThank you for shaking along. Every ticket had the same chance.",
    "zh": "这次没有中奖感谢您一起摇。每张票的机会都一样。",
}
NEXT = {
    ("en", True): "There is more to win in the next segment.",
    ("en", False): "Thank you for being here tonight.",
    ("zh", True): "下一轮还有奖品。",
    ("zh", False): "感谢您今晚的参与。",
}
Open = Callable[[str, str, str], tuple[Page, Gateway]]


@pytest.fixture
def open_at(browser: Browser, night: Night) -> Iterator[Open]:
    """A page ("play" or "stage") in a language, at a size, and its gateway."""
    contexts: list[BrowserContext] = []

    def open_at(path: str, language: str, size: str) -> tuple[Page, Gateway]:
        context = browser.new_context(locale=LOCALES[language], timezone_id="Asia/Shanghai", **SIZES[size])
        contexts.append(context)
        page = context.new_page()
        gateway = Gateway(page)
        gateway.greeting = gateway.welcome(state(10), total=7)
        page.goto(f"http://{night.address}/{path}/night/")
        if path == "play":
            expect(page.locator("#segment")).to_have_text("Opening")
        else:
            expect(page.locator("body")).to_have_attribute("data-scene", "open")
        return page, gateway

    yield open_at
    for context in contexts:
        context.close()


def published(seq: int, viewer: str, *, more_to_come: bool) -> dict[str, Any]:
    """The state that tells one winner; `viewer` is whose phone it is, or somebody else."""
    result = make_result(
        1, make_winner(viewer), draw=7, claim_url="/draws/7/claim/", claim_by=now_ms() + 3_600_000
    )
    told = state(seq, "Red carpet", title_zh="红毯时刻", phase="published")
    return told | {"results": [msgspec.to_builtins(result)], "more_to_come": more_to_come}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LOCALES)
def test_who_has_not_won_hears_of_the_next_segment_only_where_there_is_one(
    open_at: Open, shots: Path, language: str, size: str
) -> None:
    page, gateway = open_at("play", language, size)
    for seq, more in ((11, True), (12, False), (13, True)):
        gateway.say("state", **published(seq, "ab" * 14, more_to_come=more))
        expect(page.locator("#not-won")).to_have_text(NOT_WON[language])
        expect(page.locator("#next")).to_have_text(NEXT[language, more])
        expect(page.locator("#not-won")).to_be_visible()
        page.screenshot(
            path=shots / f"not-won-{'more' if more else 'last'}-{language}-{size}.png", full_page=True
        )
    gateway.say("state", **published(14, VIEWER, more_to_come=False))
    expect(page.locator("#not-won")).to_be_hidden()
    expect(page.locator("#won")).to_be_visible()
    garment = {"en": "Silver coat by ", "zh": f"{PRIZE.celebrity_zh}台上所穿"}[language]
    expect(page.locator(".win .garment")).to_contain_text(garment)
    expect(page.locator(".win")).to_contain_text("GMT+8")
    page.screenshot(path=shots / f"won-{language}-{size}.png", full_page=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", LOCALES)
def test_the_stage_tells_of_the_next_segment_only_where_there_is_one(
    open_at: Open, shots: Path, language: str, size: str
) -> None:
    page, gateway = open_at("stage", language, size)
    expect(page.locator("#more-to-come")).to_be_hidden()
    for seq, more in ((11, True), (12, False)):
        gateway.say("state", **published(seq, "ab" * 14, more_to_come=more))
        expect(page.locator("#more-to-come")).to_be_visible(visible=more)
        expect(page.locator("#winners li")).to_have_count(1)
        page.screenshot(path=shots / f"stage-{'more' if more else 'last'}-{language}-{size}.png")
