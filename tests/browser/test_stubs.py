"""Stubs on the phone page: checked, kept, offered as a file, and compared with the roll in plain words."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page, Route, expect

from engagement.ledger.core.stubs import Batch, check_stub, parse_stub, sign_batch
from tests.browser import test_phone_protocol as protocol
from tests.browser.test_kept import kept, result
from tests.browser.test_phone_protocol import VIEWER, Gateway, now_ms, state
from tests.prizes.draws import load_vectors

pytestmark = pytest.mark.browser
STUBS = "await import('/static/engagement/stubs.js')"
page, gateway = protocol.page, protocol.gateway  # the fixtures

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # the same in every process of a run
KEY = PRIVATE.public_key().public_bytes_raw()
NAME = "gate-1-a/b"
TABLE = [[5, 1], [20, 2], [40, 3]]
KAT = load_vectors("stub")


def message(total: int, segment: int = 1) -> dict[str, Any]:
    """What a gateway says to this phone, with two others in the batch."""
    batch = Batch("night", f"{segment}-00112233", NAME, now_ms())
    totals = {b"a" * 14: 3, bytes.fromhex(VIEWER): total, b"c" * 14: 9}
    texts = sign_batch(batch, totals, secrets.token_bytes(48), KEY, PRIVATE.sign)
    return {"segment": segment, "key": KEY.hex(), "stub": json.loads(texts[1])}


def texts(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator("#stub-verdicts li").all_text_contents()]


def test_a_stub_is_checked_kept_over_a_reload_and_can_be_saved(
    page: Page, gateway: Gateway, tmp_path: Path
) -> None:
    expect(page.locator("#stub")).to_be_hidden()
    gateway.say("stub", **message(30))
    expect(page.locator("#stub-text")).to_contain_text(
        "30 of your shakes are counted. This phone has checked"
    )
    gateway.say("stub", **message(12))  # says less: it is no news
    gateway.say("stub", **message(31))
    expect(page.locator("#stub-text")).to_contain_text("31 of your shakes")
    page.reload()
    expect(page.locator("#stub-text")).to_contain_text("31 of your shakes")
    with page.expect_download() as saved:
        page.locator("#stub-save").click()
    assert saved.value.suggested_filename == "stub-night-1-00112233-31.json"
    saved.value.save_as(tmp_path / "stub.json")
    stub = parse_stub((tmp_path / "stub.json").read_bytes())  # canonical to the byte
    check_stub(stub, KEY)
    assert (stub["pseudonym"], stub["total"]) == (VIEWER, 31)
    assert kept(page, "stubs")["5-1"]["stub"] == stub


@pytest.mark.parametrize(
    "changed",
    [{"total": 99}, {"pseudonym": "00" * 14}, {"show": "another"}, {"segment": "2-00112233"}, {"proof": []},
     {"index": 0}, {"signature": "00" * 64}, {"more": 1}, {"size": 4}],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_one_that_does_not_hold_is_called_wrong_and_a_right_one_takes_its_place(
    page: Page, gateway: Gateway, changed: dict[str, Any]
) -> None:
    right = message(30)
    wrong = {**right, "stub": {**right["stub"], **changed}}
    gateway.say("stub", **wrong)
    expect(page.locator("#stub-text")).to_contain_text("whose signature is wrong")
    gateway.say("stub", **message(20))
    expect(page.locator("#stub-text")).to_contain_text(
        "20 of your shakes are counted. This phone has checked"
    )
    gateway.say("stub", **wrong)
    page.wait_for_timeout(200)
    assert kept(page, "stubs")["5-1"]["state"] == "checked", "what can be proven is not given away"


def test_a_browser_without_ed25519_keeps_it_and_says_that_it_is_not_checked(
    page: Page, gateway: Gateway
) -> None:
    page.evaluate("() => { SubtleCrypto.prototype.importKey = () => Promise.reject(new Error('none')); }")
    gateway.say("stub", **message(30))
    expect(page.locator("#stub-text")).to_contain_text("cannot check the signature, so it is not checked")


def test_this_browser_agrees_with_the_known_answers(page: Page, gateway: Gateway) -> None:
    check = f"async ([key, stub, who]) => ({STUBS}).check({{key, stub}}, who)"
    for batch in KAT["batches"]:
        for text in batch["stubs"]:
            stub = json.loads(text)
            who = {
                "show": stub["show"],
                "segment": int(stub["segment"].split("-")[0]),
                "viewer": stub["pseudonym"],
            }
            assert page.evaluate(check, [KAT["key"], stub, who]) == "checked"
            assert page.evaluate(check, [KAT["key"], {**stub, "at": stub["at"] + 1}, who]) == "wrong"
            assert page.evaluate(check, ["01" + "00" * 31, stub, who]) == "wrong"
            assert page.evaluate(f"async stub => ({STUBS}).fileOf(stub)", stub) == text
    table = f"async ([table, total]) => ({STUBS}).ticketsOf(table, total)"
    worth = {0: 0, 4: 0, 5: 1, 19: 1, 20: 2, 39: 2, 40: 3, 999: 3}
    assert {total: page.evaluate(table, [TABLE, total]) for total in worth} == worth


# --- on paper ---

GRAY = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, image.width, image.height);
  return [image.height, image.width, Array.from({ length: data.length / 4 }, (_, place) => data[4 * place])];
}"""


def read_code(page: Page, png: bytes) -> str:
    """What a reader of codes finds in a picture of the screen."""
    height, width, gray = page.evaluate(GRAY, base64.b64encode(png).decode())
    [found] = zxingcpp.read_barcodes(numpy.array(gray, dtype=numpy.uint8).reshape(height, width))
    return str(found.text)


def test_its_sheet_to_print_has_all_of_it_in_a_code_that_any_reader_gives_back(
    page: Page, gateway: Gateway, shots: Path
) -> None:
    said = message(30)
    gateway.say("stub", **said)
    expect(page.locator("#stub-text")).to_contain_text("has checked")
    with page.expect_popup() as opened:
        page.locator("#stub form button").click()
    sheet = opened.value
    sheet.set_viewport_size({"width": 900, "height": 1270})
    expect(sheet.locator("#sentence")).to_have_text(
        "The server has signed that 30 shakes of this viewer are counted."
    )
    assert json.loads(read_code(page, sheet.locator("figure svg").screenshot())) == said["stub"]
    for language in ("en", "zh"):
        if language == "zh":
            sheet.goto(sheet.url.replace("lang=en", "lang=zh"))
            sheet.locator("textarea").fill(json.dumps(said["stub"], sort_keys=True, separators=(",", ":")))
            sheet.locator("form button").last.click()
            expect(sheet.locator("#sentence")).to_contain_text("30 次摇动被计入")
        sheet.screenshot(path=shots / f"stub-sheet-{language}.png", full_page=True)
    sheet.set_viewport_size({"width": 390, "height": 844})
    sheet.screenshot(path=shots / "stub-sheet-phone.png", full_page=True)
    assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        "nothing is cut off on a phone"
    )


# --- compared with the roll ---


def serve(page: Page, tickets: int | None, key: str | None = KEY.hex()) -> list[str]:
    """What the site says of draw 9, and a list of what it is asked for."""
    asked: list[str] = []

    def answer(body: dict[str, Any] | None) -> Callable[[Route], None]:
        def fulfill(route: Route) -> None:
            asked.append(route.request.url.partition("/api/")[2])
            status = 404 if body is None else 200
            route.fulfill(status=status, json=body or {"code": "not_there", "message": "it is not there"})

        return fulfill

    entry = {"action": "gateway key", "details": {"gateway": NAME, "key": key, "from": 1}}
    page.route("**/api/draws/9/precommitment", answer({"rules": {"tickets": TABLE}}))
    present = None if tickets is None else {"index": 3, "tickets": tickets}
    page.route(f"**/api/draws/9/receipt/{VIEWER}", answer({"entry": present}))
    page.route("**/ledger/gateway-keys/*", answer(None if key is None else {"entry": entry}))
    return asked


def publish(page: Page, gateway: Gateway, seq: int = 20) -> None:
    past = {"opens_at": now_ms() - 60_000, "closes_at": now_ms() - 30_000}
    gateway.say("state", **state(seq, "Over", phase="published", **past) | {"results": [result(9, 1)]})
    expect(page.locator("#segment")).to_have_text("Over")


VERDICTS = [
    (30, 2, KEY.hex(), "Draw 9: the roll gives you 2 tickets; promised: 2 tickets. It is as it must be."),
    (30, 3, KEY.hex(), "Draw 9: the roll gives you 3 tickets; promised: 2 tickets. It is as it must be."),
    (4, None, KEY.hex(), "Draw 9: your signed total is below the smallest that gets a ticket."),
    (40, 2, KEY.hex(), "Draw 9: THE SERVER PROMISED MORE THAN THE ROLL HAS. Your signed total is worth 3 tickets, the "
                       "roll gives you 2 tickets."),
    (5, None, KEY.hex(), "THE SERVER PROMISED MORE THAN THE ROLL HAS. Your signed total is worth 1 ticket, the roll "
                         "gives you 0 tickets."),
    (40, 2, None, "and the key of the signature is not in the ledger of the show. Save the file above and complain"),
    (30, 2, "00" * 32, "as promised, but the key of the signature is not in the ledger of the show."),
]  # fmt: skip


@pytest.mark.parametrize(("total", "tickets", "key", "words"), VERDICTS)
def test_after_the_publication_it_compares_by_itself_and_says_what_it_found(
    page: Page, gateway: Gateway, total: int, tickets: int | None, key: str | None, words: str
) -> None:
    asked = serve(page, tickets, key)
    gateway.say("stub", **message(total))
    expect(page.locator("#stub-text")).to_contain_text("has checked")
    expect(page.locator("#stub-compare")).to_be_hidden()
    publish(page, gateway)
    expect(page.locator("#stub-verdicts li")).to_have_count(1)
    expect(page.get_by_role("status").filter(has=page.locator("#stub-verdicts"))).to_have_count(1)  # is heard
    assert words in texts(page)[0]
    assert "shows/night/ledger/gateway-keys/gate-1-a%2Fb" in asked
    with page.expect_download() as saved:
        page.locator("#stub-save").click()
    file = json.loads(saved.value.path().read_bytes())
    certified = {"action": "gateway key", "details": {"gateway": NAME, "key": KEY.hex(), "from": 1}}
    if key == KEY.hex():  # one file that is enough
        assert (file["$format"], file["gateway_key"]["entry"]) == ("shake-stub/v1/kept", certified)
    assert file.get("stub", file)["total"] == total and ("gateway_key" in file) == (key == KEY.hex())
    page.reload()
    expect(page.locator("#stub-verdicts li")).to_have_count(1)
    expect(page.locator("#status")).to_have_text("Connected")
    publish(page, gateway, 21)
    expect(page.locator("#stub-verdicts li")).to_have_count(1)
    assert len(asked) == 3, "it knows already, and asks no second time by itself"
    page.locator("#stub-compare").click()
    deadline = time.monotonic() + 5
    while len(asked) < 6 and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert len(asked) == 6 and words in texts(page)[0]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            [bytes(14), bytes.fromhex(VIEWER), b"\xff" * 14],
            "You are on the public list of those who do not count.",
        ),
        ([bytes(14), b"\xff" * 14], "THE SERVER PROMISED MORE THAN THE ROLL HAS."),
        ([], "THE SERVER PROMISED MORE THAN THE ROLL HAS."),
    ],
)
def test_who_is_on_the_list_of_a_block_with_too_many_is_no_proof_of_fraud(
    page: Page, gateway: Gateway, names: list[bytes], words: str
) -> None:
    serve(page, None)
    promise = {"most_tickets": {}, "shared": {"kinds": ["guest"], "entries": 250}}
    rules = {"tickets": TABLE, "fair_play": promise}
    page.route("**/api/draws/9/precommitment", lambda route: route.fulfill(json={"rules": rules}))

    def give(route: Route) -> None:
        start, stop = map(int, route.request.headers["range"].removeprefix("bytes=").split("-"))
        body, whole = b"".join(names)[start : stop + 1], 14 * len(names)
        headers = {"Content-Range": f"bytes {start}-{stop}/{whole}"}
        route.fulfill(status=206 if body else 416, body=body, headers=headers)

    page.route("**/api/draws/9/shared", give)
    gateway.say("stub", **message(30))
    expect(page.locator("#stub-text")).to_contain_text("has checked")
    publish(page, gateway)
    expect(page.locator("#stub-verdicts li")).to_have_count(1)
    assert words in texts(page)[0]


def test_fewer_tickets_than_a_kind_of_pass_may_have_are_no_proof_either(page: Page, gateway: Gateway) -> None:
    serve(page, 1)
    rules = {"tickets": TABLE, "fair_play": {"most_tickets": {"guest": 1}, "shared": {"entries": 0}}}
    page.route("**/api/draws/9/precommitment", lambda route: route.fulfill(json={"rules": rules}))
    gateway.say("stub", **message(40))
    expect(page.locator("#stub-text")).to_contain_text("has checked")
    publish(page, gateway)
    expect(page.locator("#stub-verdicts li")).to_contain_text("It is as it must be.")


def test_what_cannot_be_compared_now_is_said_and_tried_again_by_hand(page: Page, gateway: Gateway) -> None:
    page.route("**/api/draws/9/**", lambda route: route.fulfill(status=503, json={"message": "too busy"}))
    gateway.say("stub", **message(30))
    expect(page.locator("#stub-text")).to_contain_text("has checked")
    publish(page, gateway)
    expect(page.locator("#stub-comparing")).to_have_text(
        "It could not be compared: too busy. This page tries again by itself."
    )
    serve(page, 2)
    page.locator("#stub-compare").click()
    expect(page.locator("#stub-verdicts li")).to_contain_text("It is as it must be.")
    expect(page.locator("#stub-comparing")).to_have_text("")


@pytest.mark.parametrize("text", ["{}", "[]", "5", '{"5-1": 7}', '{"5-1": {"stub": {}}}', "nonsense"])
def test_whatever_lies_in_the_storage_breaks_nothing(page: Page, gateway: Gateway, text: str) -> None:
    page.evaluate("text => localStorage.setItem('shake.night.stubs', text)", text)
    page.reload()
    expect(page.locator("#status")).to_have_text("Connected")
    gateway.say("stub", **message(30))
    expect(page.locator("#stub-text")).to_contain_text("30 of your shakes")
