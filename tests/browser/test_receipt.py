"""The receipt check on the page of a draw, in a real browser: what is true, what is forged, and what is broken."""

import json
import os
import re
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from prizes.core.record import encode_record, record_statement, select_listed, with_dispositions
from tests.browser.conftest import PHONE, Night
from tests.prizes.published import rank as rank_all

pytestmark = pytest.mark.browser


class Seeded:
    """A draw of the night's database with all that its viewers know."""

    def __init__(self, night: Night, step: str) -> None:
        self.night = night
        self.__dict__.update(night.set_up("draw", step))
        self.by_name = {viewer["viewer"]: viewer for viewer in self.viewers}

    draw: int
    segment: int
    epoch: int
    show: str
    seal: str
    viewers: list[dict[str, Any]]

    def fetch(self, name: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self.night.address}/api/draws/{self.draw}/{name}") as answer:
            document: dict[str, Any] = json.load(answer)
        return document

    def sign(self, record: dict[str, Any]) -> str:
        """The record as an organiser publishes it who stands by whatever it says."""
        signature = self.night.set_up("sign", self.show, record_statement(record))
        return encode_record({**record, "signature": signature}).decode()

    def at_rank(self, rank: int) -> dict[str, Any]:
        return self.by_name[self.fetch("record")["ranked"][rank - 1]["pseudonym"]]

    def loser(self) -> dict[str, Any]:
        listed = {row["pseudonym"] for row in self.fetch("record")["ranked"]}
        return next(
            viewer for viewer in self.viewers if viewer["viewer"] not in listed and viewer["tickets"] == 3
        )


@pytest.fixture(scope="module")
def published(night: Night) -> Seeded:
    return Seeded(night, "published")


@pytest.fixture
def phone(handsets: Callable[[str], Page], published: Seeded) -> Callable[..., Page]:
    """`phone(viewer)`: the page of the draw on the phone of that viewer, who has seen the seal.

    There is one phone for each language: who is given it has it alone.
    """

    def open_phone(viewer: dict[str, Any], draw: Seeded = published, **kept: Any) -> Page:
        page = handsets(kept.pop("locale", "en-GB"))
        kept = {"identities": [viewer], "seals": {f"{draw.epoch}-{draw.segment}": [draw.seal]}, **kept}
        for name, value in kept.items():
            page.evaluate(
                "([name, text]) => localStorage.setItem(name, text)",
                [f"shake.{draw.show}.{name}", json.dumps(value)],
            )
        page.goto(f"http://{draw.night.address}/draws/{draw.draw}/")
        return page

    return open_phone


def check(page: Page) -> tuple[str, str]:
    """Presses the button; the verdict and its words."""
    page.click("#check")
    expect(page.locator("#verdict")).not_to_have_attribute("data-verdict", "working")
    return str(page.get_attribute("#verdict", "data-verdict")), page.inner_text("#verdict-text")


def serve(page: Page, name: str, change: Callable[[str], str]) -> None:
    """As if the site gave another document than the true one."""

    def forge(route: Route) -> None:
        route.fulfill(body=change(route.fetch().text()), content_type="application/json")

    page.unroute(f"**/api/draws/*/{name}")
    page.route(f"**/api/draws/*/{name}", forge)


def answer(status: int, route: Route, body: str = "{}") -> None:
    route.fulfill(status=status, body=body)


def always(text: str) -> Callable[[str], str]:
    return lambda _: text


def saved(page: Page, link: str) -> str:
    with page.expect_download() as download:
        page.click(link)
    return str(download.value.path().read_text())


# --- what is true ---


@pytest.mark.usefixtures("tasks")
def test_a_phone_that_took_part_finds_itself_in_the_draw_with_the_seal_that_it_saw(
    open_page: Callable[..., Page], night: Night
) -> None:
    evening = night.set_up("evening")
    page = open_page(f"/play/{evening['show']}/", **PHONE)
    expect(page.locator("#you")).to_contain_text("You are ")
    night.set_up(
        "command", "segment", "open", str(evening["segment"]), "--show", evening["show"], "--lead", "1"
    )
    expect(page.locator("#tap")).to_be_enabled()
    for _ in range(5):
        page.locator("#tap").tap()
        page.wait_for_timeout(50)
    expect(page.locator("#won h2")).to_be_visible(timeout=40_000)
    page.goto(f"http://{night.address}/draws/{evening['draw']}/")
    verdict, text = check(page)
    assert verdict == "won" and "You won: rank 1" in text and "This was a REHEARSAL" in text
    expect(page.locator("#steps")).to_contain_text("The seal is the one that this phone was shown")
    expect(page.locator("#steps .holds")).to_have_count(12)
    # Also the ledger as it was signed before the draw.
    expect(page.locator("#steps")).to_contain_text("which this phone keeps, has this seal")
    kept = saved(page, "#keep-checkpoint")
    origin, size, _, *_ = kept.split("\n")
    about = f"http://{night.address}/api/shows/{evening['show']}/ledger/checkpoint/{size}"
    assert kept == urllib.request.urlopen(about).read().decode()
    # Somebody has the key and writes another history after the beacon: the one that the phone was shown stays.
    other = night.set_up("sign", evening["show"], f"{origin}\n{size}\n{'A' * 43}=\n")
    for note, found in ((other, "fraud_ledger"), (kept.replace(origin, "somebody"), "broken"), (kept, "won")):
        [name] = page.evaluate("Object.keys(localStorage).filter((name) => name.endsWith('.checkpoints'))")
        page.evaluate(
            """([name, note]) => {
              const [key] = Object.keys(JSON.parse(localStorage.getItem(name)));
              localStorage.setItem(name, JSON.stringify({ [key]: note }));
            }""",
            [name, note],
        )
        assert check(page)[0] == found
    # Only the ledger itself can say that it does not have the seal: what another server between says accuses nobody.
    for status, body, found in (
        (503, "{}", "failed"),
        (404, "{}", "failed"),
        (404, "<html>", "failed"),
        (404, '{"code":"no_such_show"}', "failed"),
        (200, "<html>", "broken"),
        (404, '{"code":"no_proof"}', "fraud_ledger"),
        (404, '{"code":"not_there_yet"}', "fraud_ledger"),
        (404, '{"code":"no_checkpoint"}', "fraud_ledger"),
        (404, '{"code":"not_public"}', "fraud_ledger"),
    ):
        page.unroute("**/ledger/statements/**")
        page.route("**/ledger/statements/**", partial(answer, status, body=body))
        assert check(page)[0] == found, (status, body)


def test_a_viewer_who_did_not_win_is_told_why(phone: Callable[..., Page], published: Seeded) -> None:
    page = phone(published.loser())
    verdict, text = check(page)
    cutoff = published.fetch("record")["cutoff"]
    assert verdict == "lost"
    assert re.search(
        rf"in the roll with 3 tickets\. Your best score is [0-9a-f]{{32}}; the cutoff is {cutoff}: you did not win",
        text,
    )
    assert page.locator("#steps .failed").count() == 0
    assert page.locator("#steps li").count() == 11
    receipt = json.loads(saved(page, "#keep"))
    assert receipt["pseudonym"] == published.loser()["viewer"]


@pytest.mark.parametrize(
    ("rank", "verdict", "words"),
    [
        (1, "won", "You won: rank 1, Coat worn by Star 1"),
        (2, "skipped", "passed over"),
        (3, "won", "You won: rank 3, Coat worn by Star 2"),
        (4, "reserve", "in reserve: rank 4, number 1 of 1 in line"),
    ],
)
def test_listed_viewers_are_told_their_rank(
    phone: Callable[..., Page], published: Seeded, rank: int, verdict: str, words: str
) -> None:
    found, text = check(phone(published.at_rank(rank)))
    assert found == verdict and words in text


def test_somebody_absent_gets_a_proof_and_one_who_shook_is_told_to_ask(
    phone: Callable[..., Page], published: Seeded
) -> None:
    page = phone(published.viewers[0])
    page.evaluate("document.getElementById('by-hand').open = true")
    page.fill("#pseudonym", "0b" * 14)
    verdict, text = check(page)
    assert (verdict, "You are not in the roll" in text, "has counted" in text) == ("absent", True, False)
    count = {"viewer": "0b" * 14, "segment": published.segment, "own": 44}
    page.evaluate(
        "([name, text]) => localStorage.setItem(name, text)",
        [f"shake.{published.show}.count", json.dumps(count)],
    )
    assert "This phone has counted 44 shakes" in check(page)[1]


def test_number_and_salt_can_be_typed_by_hand_and_have_to_fit(
    open_page: Callable[..., Page], published: Seeded
) -> None:
    page, winner = open_page(f"/draws/{published.draw}/"), published.at_rank(1)
    assert check(page)[0] == "nobody"
    page.fill("#uid", winner["uid"])
    page.fill("#salt", winner["salt"])
    assert check(page)[0] == "won"
    page.fill("#pseudonym", published.at_rank(3)["viewer"])
    assert check(page)[0] == "mismatch"


def test_before_the_record_is_published_the_receipt_shows_that_one_is_in_the_roll(
    phone: Callable[..., Page], night: Night
) -> None:
    draw = Seeded(night, "sealed")
    verdict, text = check(phone(next(row for row in draw.viewers if row["tickets"] == 1), draw))
    assert verdict == "sealed" and "in the roll with 1 ticket." in text


def test_the_check_speaks_chinese_where_the_phone_does(
    phone: Callable[..., Page], published: Seeded, shots: Path
) -> None:
    page = phone(published.at_rank(1), locale="zh-CN")
    assert page.inner_text("#check") == "核对我的凭证"
    assert "您中奖了：第 1 名" in check(page)[1]
    page.screenshot(path=shots / "draw-zh-phone.png", full_page=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.screenshot(path=shots / "draw-zh-desk.png", full_page=True)
    page.click("#languages summary")
    page.click("#languages a[hreflang=en]")
    expect(page.locator("#check")).to_have_text("Check my receipt")
    page.screenshot(path=shots / "draw-en-desk.png", full_page=True)


# --- what is forged ---


@pytest.mark.parametrize("rank", [1, 3])
def test_a_winner_who_is_left_out_of_a_forged_record_holds_a_proof_of_fraud(
    phone: Callable[..., Page], published: Seeded, rank: int
) -> None:
    winner = published.at_rank(rank)
    page = phone(winner)
    forged = without(published, winner["viewer"])
    serve(page, "record", lambda _: forged)
    verdict, text = check(page)
    assert verdict == "fraud" and text.startswith("PROOF OF FRAUD: keep this file")
    assert json.loads(saved(page, "#keep"))["pseudonym"] == winner["viewer"]
    assert saved(page, "#keep-record") == forged
    # Nobody else could tell: to all others the forged record is in order.
    other = phone(published.loser())
    serve(other, "record", lambda _: forged)
    assert check(other)[0] == "lost"


def without(published: Seeded, pseudonym: str) -> str:
    """The record of a site that has struck one viewer from the ranking: everything else in it is as it should be."""
    record = published.fetch("record")
    with urllib.request.urlopen(
        f"http://{published.night.address}/api/draws/{published.draw}/roll"
    ) as answer:
        ranking = [
            row
            for row in rank_all(answer.read(), bytes.fromhex(record["key"]))
            if row.pseudonym.hex() != pseudonym
        ]
    prior = {bytes.fromhex(row["pseudonym"]): row["draw_id"] for row in record["prior_wins"]}
    listed = select_listed(ranking, prior, 3)
    record["ranked"] = [
        {
            "rank": place,
            "pseudonym": row.pseudonym.hex(),
            "tickets": row.tickets,
            "ticket": row.ticket,
            "score": row.score.hex(),
            "index": row.index,
            "proof": {"leaf": row.index // 256, "siblings": []},
            "won": prior.get(row.pseudonym, ""),
        }
        for place, row in enumerate(listed, 1)
    ]
    record["cutoff"] = listed[-1].score.hex()
    return settle(published, record)


def settle(published: Seeded, record: dict[str, Any]) -> str:
    """Winners and reserves as the ranking of the record gives them, and the digest that fits."""
    takers = [
        {name: row[name] for name in ("rank", "pseudonym")} for row in record["ranked"] if not row["won"]
    ]
    prizes = record["rules"]["prizes"]
    record["winners"] = [{**row, "prize": prize["id"]} for row, prize in zip(takers, prizes, strict=False)]
    record["reserves"] = takers[len(prizes) :]
    return published.sign(with_dispositions(record, []))


def test_a_viewer_who_is_listed_with_a_worse_score_holds_a_proof_of_fraud(
    phone: Callable[..., Page], published: Seeded
) -> None:
    record = published.fetch("record")
    first, *others = record["ranked"]
    first["score"] = record["cutoff"] = "f" * 32
    record["ranked"] = [{**row, "rank": place} for place, row in enumerate([*others, first], 1)]
    page = phone(published.at_rank(1))
    serve(page, "record", always(settle(published, record)))
    assert check(page)[0] == "fraud"


def test_another_reserve_than_the_next_of_the_ranking_is_noticed(
    phone: Callable[..., Page], published: Seeded
) -> None:
    record = published.fetch("record")
    record["reserves"][0]["pseudonym"] = published.loser()["viewer"]
    page = phone(published.at_rank(4))
    serve(page, "record", always(published.sign(with_dispositions(record, []))))
    verdict, text = check(page)
    assert verdict == "broken" and "the reserves are not the next of the ranking" in text


def test_somebody_who_is_ranked_without_being_in_the_roll_is_a_proof_of_fraud(
    phone: Callable[..., Page], published: Seeded
) -> None:
    record, friend = published.fetch("record"), "ab" * 14
    record["ranked"][0]["pseudonym"] = friend
    page = phone(published.loser(), identities=[])
    serve(page, "record", always(settle(published, record)))
    page.fill("#pseudonym", friend)
    assert check(page)[0] == "fraud_listed"
    page.fill("#pseudonym", published.loser()["viewer"])
    assert check(page)[0] == "broken"  # others see that the score was invented


def test_a_seal_that_is_not_the_one_of_the_night_is_a_proof_of_fraud(
    phone: Callable[..., Page], published: Seeded
) -> None:
    page = phone(published.loser(), seals={f"{published.epoch}-{published.segment}": ["ab" * 32]})
    verdict, text = check(page)
    assert verdict == "fraud_seal" and "not the one that this phone was shown" in text


def test_a_seal_of_another_night_with_the_same_name_and_numbers_accuses_nobody(
    phone: Callable[..., Page], published: Seeded
) -> None:
    names = (f"{published.epoch + 1}-{published.segment}", str(published.segment))
    page = phone(published.loser(), seals={name: ["ab" * 32] for name in names})
    assert check(page)[0] == "lost"
    expect(page.locator("#steps")).not_to_contain_text("this phone was shown")


# --- what is broken ---


def flip(text: str, pattern: str) -> str:
    """Changes the third digit after the pattern, or the first where there are not so many."""
    found = re.search(pattern, text)
    assert found, pattern
    at = found.end() + (2 if text[found.end() + 2].isalnum() else 0)
    return text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :]


def test_a_receipt_with_a_flipped_byte_fails(phone: Callable[..., Page], published: Seeded) -> None:
    page = phone(published.loser(), seals={})
    fields = (
        "pseudonym",
        "header",
        "root",
        "digest",
        "rules_digest",
        "data",
        "siblings",
        "index",
        "tickets",
        "seal",
    )
    for field in fields:
        serve(page, "receipt/*", partial(flip, pattern=rf'"{field}":[\["]*'))
        verdict, text = check(page)
        assert (field, verdict) == (field, "broken") and text.startswith("The check FAILED")
        assert page.locator("#steps .failed").count() == 1


def test_garbage_for_a_receipt_fails_and_breaks_nothing(
    phone: Callable[..., Page], published: Seeded
) -> None:
    page = phone(published.loser())
    for text in ("", "[]", "null", '{"$format":"shake-draw/v1/receipt"}', "{}", "<html>"):
        serve(page, "receipt/*", always(text))
        assert check(page)[0] == "broken"


def test_a_record_with_a_changed_field_fails_even_with_a_new_digest(
    phone: Callable[..., Page], published: Seeded
) -> None:
    page = phone(published.loser())
    for field in (
        "key",
        "cutoff",
        "value",
        "secret",
        "digits",
        "rules_digest",
        "score",
        "round",
        "root",
        "commitment",
    ):
        forged = with_dispositions(
            json.loads(flip(json.dumps(published.fetch("record")), rf'"{field}": "?')), []
        )
        serve(page, "record", always(published.sign(forged)))
        assert (field, check(page)[0]) == (field, "broken")


def test_a_record_that_the_organiser_has_not_signed_is_nobodys(
    phone: Callable[..., Page], published: Seeded
) -> None:
    page = phone(published.at_rank(1))
    record = published.fetch("record")
    for signature in ("", published.fetch(f"receipt/{published.at_rank(1)['viewer']}")["signature"]):
        serve(page, "record", always(encode_record({**record, "signature": signature}).decode()))
        verdict, text = check(page)
        assert verdict == "broken" and "not signed with the organiser's key" in text


def test_what_cannot_be_fetched_is_said(phone: Callable[..., Page], published: Seeded) -> None:
    page = phone(published.loser())
    page.route("**/receipt/*?seal=*", lambda route: route.fulfill(status=500, body="no"))
    verdict, text = check(page)
    assert verdict == "failed" and "could not be fetched" in text


# --- the same documents for programs, from a real server ---


def ask(night: Night, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://{night.address}{path}", method=method, headers=named)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, dict(answer.headers), answer.read()


def test_a_real_server_sends_ranges_and_heads_and_a_large_roll_in_pieces(
    night: Night, published: Seeded
) -> None:
    path = f"/api/draws/{published.draw}/roll"
    status, headers, whole = ask(night, path)
    assert (status, len(whole)) == (200, int(headers["content-length"]))
    assert ask(night, path, Range="bytes=64-79")[0::2] == (206, whole[64:80])
    assert ask(night, path, method="HEAD")[0::2] == (200, b"")
    (roll,) = night.data.glob(f"draws/draw-{published.draw}-*/roll.bin")
    large = 300 << 20
    os.truncate(roll, large)  # holes that the file system does not keep
    try:
        before = resident_kb(night)
        with urllib.request.urlopen(f"http://{night.address}{path}", timeout=60) as answer:
            got = sum(len(part) for part in iter(lambda: answer.read(1 << 20), b""))
        assert got == large
        assert resident_kb(night) - before < 40_000
    finally:
        os.truncate(roll, len(whole))


def resident_kb(night: Night) -> int:
    """The most memory that the gateway has ever had."""
    status = Path(f"/proc/{night.gateway.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    assert found, status
    return int(found[1])
