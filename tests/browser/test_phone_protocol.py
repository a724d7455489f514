"""What the phone page does with messages that a healthy gateway sends once in a hundred nights.

The gateway's half of the socket is played by the test: no real one loses, repeats or renumbers messages on demand.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.browser.conftest import PHONE, Night

pytestmark = pytest.mark.browser
VIEWER = "7d2b9ad16a51a6099939d32fb499"


class Gateway:
    """The other end of the phone's socket; remembers what it heard."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.heard: list[dict[str, Any]] = []
        self.sockets: list[WebSocketRoute] = []
        self.greeting: Callable[[WebSocketRoute], None] = lambda socket: None
        page.route_web_socket("**/ws/shows/night/", self._accept)

    def _accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda frame: self._hear(socket, json.loads(str(frame))))

    def _hear(self, socket: WebSocketRoute, message: dict[str, Any]) -> None:
        self.heard.append(message)
        if message["type"] == "hello":
            self.greeting(socket)

    def say(self, type_: str, **fields: Any) -> None:
        self.sockets[-1].send(json.dumps({"type": type_, **fields}))

    def welcome(
        self, state: dict[str, Any], total: int = 0, viewer: str = VIEWER
    ) -> Callable[[WebSocketRoute], None]:
        fields = {
            "type": "welcome",
            "now": now_ms(),
            "viewer": viewer,
            "salt": "00" * 32,
            "show": {"slug": "night", "title": "Night", "title_zh": "", "feed": "app"},
            "epoch": state["epoch"],
            "seq": state["seq"],
            "state": state,
            "total": total,
            "report_every_ms": 200,
            "jitter_ms": 50,
            "spread_ms": 100,
            "max_hz": 8,
        }
        return lambda socket: socket.send(json.dumps(fields))

    def wait_for(self, type_: str, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
        """The messages of a type with these fields, once there are so many."""
        deadline = time.monotonic() + 10
        while len(found := self.all(type_, **fields)) < count:
            assert time.monotonic() < deadline, f"no {count} {type_} {fields} in {self.heard}"
            self.page.wait_for_timeout(20)
        return found

    def all(self, type_: str, **fields: Any) -> list[dict[str, Any]]:
        wanted = {"type": type_, **fields}
        return [message for message in self.heard if wanted.items() <= message.items()]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def state(
    seq: int, title: str = "Opening", *, segment: int = 1, epoch: int = 5, **fields: Any
) -> dict[str, Any]:
    """The state of a show whose segment is open for a while."""
    window = {"opens_at": now_ms() - 1_000, "closes_at": now_ms() + 60_000}
    fields = {"id": segment, "title": title, "phase": "open", **window, "prizes": [], **fields}
    return {"epoch": epoch, "seq": seq, "segment": fields, "results": [], "more_to_come": True}


@pytest.fixture
def page(handsets: Callable[[str], Page]) -> Iterator[Page]:
    page = handsets("en-GB")
    page.set_default_timeout(10_000)
    yield page
    page.goto("about:blank")  # which hangs up before the next gateway is there


@pytest.fixture
def gateway(page: Page, night: Night) -> Gateway:
    gateway = Gateway(page)
    gateway.greeting = gateway.welcome(state(10), total=7)
    page.goto(f"http://{night.address}/play/night/?feed=app")
    expect(page.locator("#status")).to_have_text("Connected")
    return gateway


def tap(page: Page, times: int = 1) -> None:
    for _ in range(times):
        page.locator("#tap").tap()


def test_a_phone_goes_on_from_the_larger_total_and_reports_it_until_it_is_acknowledged(
    page: Page, gateway: Gateway
) -> None:
    (hello,) = gateway.all("hello")
    assert (hello["feed"], set(hello)) == ("app", {"type", "pass", "feed"})
    expect(page.locator("#own")).to_have_text("7")
    expect(page.locator("#you")).to_have_text("You are Scarlet Eagle 47")
    tap(page, 3)
    gateway.wait_for("shakes", 2, segment=1, total=10)  # repeated: no ack came
    gateway.say("ack", segment=1, total=10)
    expect(page.locator("#acknowledged")).to_have_text("10 of them are counted")
    reports = len(gateway.all("shakes"))
    page.wait_for_timeout(600)
    assert len(gateway.all("shakes")) == reports


def test_a_phone_reports_no_faster_than_the_pace(page: Page, gateway: Gateway) -> None:
    gateway.say("pace", report_every_ms=700, jitter_ms=10, spread_ms=100)
    tap(page)
    gateway.wait_for("shakes")
    page.wait_for_timeout(2_000)
    assert len(gateway.all("shakes")) <= 4


def test_a_phone_leaves_out_one_turn_while_its_report_waits_for_an_ack(page: Page, gateway: Gateway) -> None:
    gateway.say("pace", report_every_ms=1_500, jitter_ms=10, spread_ms=100)
    tap(page)
    gateway.wait_for("shakes")
    page.wait_for_timeout(2_200)
    assert len(gateway.all("shakes")) == 1
    gateway.wait_for("shakes", 2)


def test_a_new_pace_holds_for_the_wait_that_has_begun(page: Page, gateway: Gateway) -> None:
    gateway.say("pace", report_every_ms=1_000, jitter_ms=10, spread_ms=100)
    tap(page)
    gateway.wait_for("shakes")
    gateway.say("ack", segment=1, total=8)
    tap(page)
    gateway.say("pace", report_every_ms=60_000, jitter_ms=10, spread_ms=100)
    reports = len(gateway.all("shakes"))
    page.wait_for_timeout(1_500)
    assert len(gateway.all("shakes")) == reports


def test_an_older_state_is_dropped_and_a_new_epoch_taken(page: Page, gateway: Gateway) -> None:
    title = page.locator("#segment")
    gateway.say("state", **state(12, "Newer"))
    expect(title).to_have_text("Newer")
    gateway.say("state", **state(11, "Older"))
    page.wait_for_timeout(200)
    expect(title).to_have_text("Newer")
    gateway.say("state", **state(1, "After the restore", epoch=6))
    expect(title).to_have_text("After the restore")


def test_after_a_restore_a_phone_counts_a_segment_of_the_same_number_from_nothing(
    page: Page, gateway: Gateway
) -> None:
    tap(page, 3)
    gateway.wait_for("shakes")
    gateway.say("state", **state(1, "After the restore", epoch=6))
    expect(page.locator("#own")).to_have_text("0")
    tap(page)
    gateway.wait_for("shakes", total=1)


def test_a_gap_is_seen_in_a_pulse_and_in_a_result_and_asked_for_once(page: Page, gateway: Gateway) -> None:
    pulse = {"epoch": 5, "segment": 1, "phones": 1, "shakes": 1, "per_second": 0, "leaders": []}
    gateway.say("pulse", seq=10, **pulse)
    page.wait_for_timeout(200)
    assert gateway.all("resync") == []
    for _ in range(3):
        gateway.say("pulse", seq=11, **pulse)
    gateway.wait_for("resync")
    gateway.say("state", **state(11, "Healed"))
    expect(page.locator("#segment")).to_have_text("Healed")
    page.wait_for_timeout(200)
    assert len(gateway.all("resync")) == 1


def test_the_last_total_is_reported_after_the_window_until_the_server_takes_no_more(
    page: Page, gateway: Gateway
) -> None:
    tap(page)
    now = now_ms()
    gateway.say("state", **state(11, phase="closing", closes_at=now - 10, opens_at=now - 9_000))
    expect(page.locator("#tap")).to_be_disabled()
    gateway.heard.clear()
    gateway.wait_for("shakes", 2, segment=1, total=8)
    gateway.say("error", code="not_open", message="closed")
    page.wait_for_timeout(100)
    gateway.heard.clear()
    page.wait_for_timeout(900)
    assert gateway.all("shakes") == []


def test_the_next_segment_does_not_cut_off_the_last_total_of_the_one_before(
    page: Page, gateway: Gateway
) -> None:
    tap(page, 2)
    soon: dict[str, Any] = {"phase": "armed", "opens_at": now_ms() + 60_000, "closes_at": now_ms() + 90_000}
    gateway.say("state", **state(11, "Next", segment=2, **soon))
    expect(page.locator("#segment")).to_have_text("Next")
    gateway.wait_for("shakes", 2, segment=1, total=9)
    gateway.say("ack", segment=1, total=9)
    page.wait_for_timeout(100)
    gateway.heard.clear()
    page.wait_for_timeout(600)
    assert gateway.all("shakes") == []


def test_shakes_counted_while_offline_arrive_after_the_reconnect(page: Page, gateway: Gateway) -> None:
    gateway.greeting = lambda socket: None
    gateway.sockets[-1].close(code=1012)
    tap(page, 4)
    gateway.wait_for("hello", 2)
    page.wait_for_timeout(1_500)  # several turns
    assert gateway.all("shakes") == []  # nothing is said before the welcome
    gateway.welcome(state(10), total=7)(gateway.sockets[-1])
    gateway.wait_for("shakes", segment=1, total=11)


def test_a_socket_that_is_never_welcomed_is_given_up_and_another_opened(
    open_page: Callable[..., Page], night: Night
) -> None:
    page = open_page("/healthz", **PHONE)  # not one that others use later: its clock is no true one any more
    gateway = Gateway(page)  # which greets nobody
    page.clock.install()
    page.goto(f"http://{night.address}/play/night/?feed=app")
    gateway.wait_for("hello")
    page.clock.fast_forward(18_000)
    assert len(gateway.all("hello")) == 1
    page.clock.run_for(20_000)  # the next look, and the wait of a phone that comes back
    gateway.wait_for("hello", 2)


def test_a_bad_pass_is_replaced_and_a_missing_show_is_not_asked_for_again(
    page: Page, gateway: Gateway
) -> None:
    gateway.sockets[-1].close(code=4401)
    first, second = gateway.wait_for("hello", 2)[:2]
    assert first["pass"] != second["pass"]
    gateway.say("error", code="no_such_show", message="there is no show 'night'")
    gateway.sockets[-1].close(code=4404)
    expect(page.locator("#status")).to_have_text("This show is not on air.")
    expect(page.locator("#again")).to_be_visible()
    page.wait_for_timeout(1_000)
    assert len(gateway.all("hello")) == 2


def test_an_expired_pass_is_renewed_with_its_salt_and_a_server_of_other_keys_gives_a_new_one(
    page: Page, gateway: Gateway
) -> None:
    asked: list[dict[str, Any]] = []
    refusals = iter([{"code": "wrong_salt", "message": ""}])

    def answer(route: Route) -> None:
        asked.append(json.loads(route.request.post_data or ""))
        refusal = next(refusals, None) if "pass" in asked[-1] and len(asked) > 1 else None
        content: dict[str, Any] = {"pass": f"pass {len(asked)}", "expires_at": now_ms() + 10**6}
        route.fulfill(status=401 if refusal else 200, json=refusal or content)

    page.route("**/api/shows/night/passes", answer)
    first = gateway.wait_for("hello")[0]["pass"]
    gateway.sockets[-1].close(code=4401)
    assert gateway.wait_for("hello", 2)[1]["pass"] == "pass 1"
    gateway.sockets[-1].close(code=4401)
    assert gateway.wait_for("hello", 3)[2]["pass"] == "pass 3"
    salt = "00" * 32
    assert asked == [{"pass": first, "salt": salt}, {"pass": "pass 1", "salt": salt}, {}]


def test_a_phone_that_is_another_viewer_now_counts_from_nothing(page: Page, gateway: Gateway) -> None:
    tap(page, 3)
    expect(page.locator("#own")).to_have_text("10")
    gateway.greeting = gateway.welcome(state(11), total=2, viewer="ef" * 14)
    gateway.sockets[-1].close(code=1011)
    gateway.wait_for("hello", 2)
    expect(page.locator("#own")).to_have_text("2")


def test_winning_is_shown_big_with_the_way_to_claim(page: Page, gateway: Gateway) -> None:
    prize = {"celebrity": "Lin", "brand": "Nord", "garment": "<b>Coat</b>", "size": "M", "quantity": 1}
    prize |= {"celebrity_zh": "", "garment_zh": "", "value_minor": 1000, "currency": "EUR"}
    for draw, address in ((4, "/draws/4/"), (5, "javascript:alert(1)")):
        gateway.say("won", draw=draw, prize=prize, claim_url=address, claim_by=now_ms() + 1_000_000)
    gateway.say("won", draw=4, prize=prize, claim_url="/draws/4/", claim_by=now_ms() + 1_000_000)
    expect(page.locator("#won h2")).to_have_text("You have won!")
    expect(page.locator(".win")).to_have_count(2)
    expect(page.locator(".win .garment").first).to_have_text("<b>Coat</b> by Nord, worn by Lin, size M")
    assert sorted(page.eval_on_selector_all(".win a", "links => links.map((link) => link.pathname)")) == [
        "",
        "/draws/4/",
    ]
