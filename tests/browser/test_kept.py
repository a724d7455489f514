"""What a phone keeps between pages and nights, and what becomes of it when a show of the same name comes again."""

import json
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, expect

from tests.browser import test_phone_protocol as protocol
from tests.browser.conftest import Night
from tests.browser.test_phone_protocol import VIEWER, Gateway, now_ms, state
from tests.cast import make_result, make_winner

pytestmark = pytest.mark.browser
page, gateway = protocol.page, protocol.gateway  # the fixtures
SEALS = ["ab" * 32, "cd" * 32, "ef" * 32]
PRIZE = {"celebrity": "Lin", "brand": "Nord", "garment": "Coat", "size": "M", "quantity": 1}
PRIZE |= {"celebrity_zh": "", "garment_zh": "", "value_minor": 1000, "currency": "EUR"}


def kept(page: Page, name: str) -> Any:
    return json.loads(page.evaluate("name => localStorage.getItem(`shake.night.${name}`)", name))


def keep(page: Page, name: str, text: str) -> None:
    page.evaluate("([name, text]) => localStorage.setItem(`shake.night.${name}`, text)", [name, text])


def sealed(seq: int, title: str, seal: str, **fields: Any) -> dict[str, Any]:
    past: dict[str, Any] = {"phase": "sealed", "opens_at": now_ms() - 60_000, "closes_at": now_ms() - 30_000}
    return state(seq, title, seal=seal, **past, **fields)


def result(draw: int, segment: int) -> dict[str, Any]:
    told = make_result(
        segment, draw=draw, seal=SEALS[0], strength="public", claim_url=f"/draws/{draw}/claim/"
    )
    found: dict[str, Any] = msgspec.to_builtins(told)
    return found


def tell(page: Page, gateway: Gateway, message: dict[str, Any]) -> None:
    gateway.say("state", **message)
    expect(page.locator("#segment")).to_have_text(message["segment"]["title"])


def test_a_seal_is_kept_as_first_shown_and_a_new_epoch_has_seals_of_its_own(
    page: Page, gateway: Gateway
) -> None:
    tell(page, gateway, sealed(11, "Sealed", SEALS[0]))
    tell(page, gateway, sealed(12, "Changed", SEALS[1]))
    tell(page, gateway, sealed(13, "Two draws", SEALS[1], segment=2, seals=SEALS[1:]))
    tell(page, gateway, sealed(1, "Another night", SEALS[2], epoch=6))
    assert kept(page, "seals") == {"5-1": SEALS[:1], "5-2": SEALS[1:], "6-1": SEALS[2:]}


def test_a_win_of_another_night_is_not_shown_and_one_of_this_night_is(page: Page, gateway: Gateway) -> None:
    later = now_ms() + 1_000_000
    gateway.say("won", draw=4, prize=PRIZE, claim_url="/draws/4/claim/", claim_by=later)
    expect(page.locator(".win")).to_have_count(1)
    page.reload()
    expect(page.locator(".win")).to_have_count(1)
    tell(page, gateway, state(1, "Another night", epoch=6))
    expect(page.locator("#won")).to_be_hidden()


@pytest.mark.parametrize(
    "text", ["{}", "[null]", "5", '"x"', "[[]]", "nonsense", '[{"pass": 1, "salt": "a"}]']
)
def test_what_else_may_lie_in_the_storage_breaks_nothing(page: Page, gateway: Gateway, text: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in ("identities", "seals", "wins", "count", "pass"):
        keep(page, name, text)
    gateway.greeting = gateway.welcome(sealed(10, "Sealed", SEALS[0]), total=7)
    page.reload()
    expect(page.locator("#segment")).to_have_text("Sealed")
    expect(page.locator("#own")).to_have_text("7")
    assert errors == []
    (identity,) = kept(page, "identities")
    assert (identity["viewer"], kept(page, "seals")["5-1"]) == (VIEWER, SEALS[:1])


def test_every_result_leads_to_the_check_of_its_draw_also_for_who_has_not_won(
    page: Page, gateway: Gateway, night: Night
) -> None:
    expect(page.locator("#checks")).to_be_hidden()
    told = state(11, "Drawn", phase="published") | {"results": [result(7, 1), result(3, 2)]}
    tell(page, gateway, told)
    expect(page.locator("#not-won")).to_be_visible()
    links = page.locator("#checks a")
    expect(links).to_have_text(["Check this draw (number 7)", "Check this draw (number 3)"])
    assert [link.get_attribute("href") for link in links.all()] == ["/draws/7/?lang=en", "/draws/3/?lang=en"]
    tell(page, gateway, {**told, "seq": 12, "results": [result(8, 3), *told["results"]]})
    expect(links).to_have_count(3)
    gateway.greeting = gateway.welcome({**told, "seq": 13, "results": [result(8, 3)]}, total=0)
    page.goto(f"http://{night.address}/play/night/?lang=zh")
    expect(links).to_have_text(["核对本次抽奖（第 8 号）"])


def test_winners_that_a_state_does_not_list_are_counted_and_a_win_is_known_all_the_same(
    page: Page, gateway: Gateway
) -> None:
    later = now_ms() + 1_000_000
    listed = make_result(1, make_winner("ab" * 14), draw=7, winners_total=1_000)
    told = state(11, "Drawn", phase="published") | {"results": [msgspec.to_builtins(listed)]}
    tell(page, gateway, told)
    expect(page.locator("#winners li")).to_contain_text(["Silver coat"])
    expect(page.locator("#unlisted")).to_have_text("and 999 more winners, on the pages of the draws")
    expect(page.locator("#not-won")).to_be_visible()
    won = {"draw": 7, "prize": PRIZE, "claim_url": "/draws/7/claim/", "claim_by": later}
    gateway.say("won", **won, status="won")
    expect(page.locator(".win")).to_have_count(1)
    expect(page.locator("#not-won")).to_be_hidden()
    gateway.say("won", **won, status="lost")
    expect(page.locator(".win")).to_have_count(0)


def test_a_phone_forgets_its_viewer_once_asked_twice_and_nothing_of_other_shows(
    page: Page, gateway: Gateway
) -> None:
    gateway.say("won", draw=4, prize=PRIZE, claim_url="/draws/4/claim/", claim_by=now_ms() + 1_000_000)
    tell(page, gateway, sealed(11, "Sealed", SEALS[0]))
    page.evaluate("localStorage.setItem('shake.night-2.identities', '[]')")
    first = kept(page, "identities")[0]["pass"]
    expect(page.locator("#forget-sure")).to_be_hidden()
    page.get_by_role("button", name="Forget me on this phone").click()
    expect(page.locator("#forget-what")).to_contain_text("Claim first what you have won")
    assert kept(page, "identities")[0]["pass"] == first
    page.get_by_role("button", name="Forget everything of this show").click()
    gateway.wait_for("hello", 2)
    expect(page.locator("#status")).to_have_text("Connected")
    expect(page.locator("#won")).to_be_hidden()
    (identity,) = kept(page, "identities")
    assert identity["pass"] != first
    names = page.evaluate("Object.keys(localStorage).sort()")
    assert names == [
        "shake.night-2.identities",
        *(f"shake.night.{name}" for name in ("forgotten", "identities", "pass", "wins")),
    ]
