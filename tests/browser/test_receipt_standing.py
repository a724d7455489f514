"""The receipt check on the page of a draw, for those who were drawn: what has become of it since."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from prizes.core.record import record_digest, with_dispositions
from tests.browser.test_receipt import Seeded, check, serve
from tests.browser.test_receipt import phone as phone
from tests.browser.test_receipt import published as published

pytestmark = pytest.mark.browser

WEEK = 604_800
LATE, STAFF = ("forfeited", "deadline passed"), ("disqualified", "staff or family")


def dispose(published: Seeded, record: dict[str, Any], *rows: tuple[int, str, str, str, int]) -> str:
    """The record with (rank, piece, status, reason, seconds after the seal) as its dispositions."""
    first, sealed_at = record["ledger"]["start"] + 1, record["seal"]["time"]
    told = [
        {
            "pseudonym": record["ranked"][rank - 1]["pseudonym"],
            "prize": piece and record["winners"][int(piece) - 1]["prize"],
            "status": status,
            "reason": reason,
            "time": sealed_at + 1000 * seconds,
            "ledger": first + place,
        }
        for place, (rank, piece, status, reason, seconds) in enumerate(rows)
    ]
    return published.sign(with_dispositions(record, told))


CLAIMED = (1, "1", "claimed", "", 5)
DECLINED = (1, "1", "forfeited", "declined", 5)
MOVED_UP = (4, "1", "won", "moved up", 6)
LOST = "You do not have a prize any more"
COAT = "Coat worn by Star 1"


@pytest.mark.parametrize(
    ("rank", "rows", "verdict", "words"),
    [
        (1, [], "won", ["You won: rank 1", COAT, "It is not claimed yet"]),
        (1, [CLAIMED], "claimed", ["You won: rank 1", COAT, "It is claimed."]),
        (1, [DECLINED], "declined", [LOST, COAT, "was declined"]),
        (
            1,
            [(1, "1", "forfeited", "won in another draw", 1)],
            "won_in_another_draw",
            [COAT, "went to the next"],
        ),
        (1, [(1, "1", *LATE, WEEK)], "deadline_passed", [LOST, COAT, "before the deadline"]),
        (1, [CLAIMED, (1, "1", *STAFF, 6)], "disqualified", [LOST, COAT, "Reason: staff or family."]),
        (4, [DECLINED], "reserve", ["in reserve: rank 4, number 1 of 1 in line"]),
        (4, [DECLINED, MOVED_UP], "moved_up", ["moved up from the reserves and won: rank 4", COAT]),
        (
            4,
            [DECLINED, MOVED_UP, (4, "1", "claimed", "", 7)],
            "claimed",
            ["You won: rank 4", COAT, "It is claimed.", "You had moved up"],
        ),
        (
            4,
            [DECLINED, MOVED_UP, (4, "1", *LATE, WEEK)],
            "deadline_passed",
            [LOST, COAT, "You had moved up from the reserves."],
        ),
        (4, [DECLINED, (4, "", "skipped", "won in another draw", 6)], "passed_over", ["had won in another"]),
    ],
)
def test_listed_viewers_are_told_what_became_of_it(
    phone: Callable[..., Page], published: Seeded, rank: int, rows: list[Any], verdict: str, words: list[str]
) -> None:
    page, record = phone(published.at_rank(rank)), dispose(published, published.fetch("record"), *rows)
    serve(page, "record", lambda _: record)
    found, text = check(page)
    assert found == verdict and [part for part in words if part not in text] == []
    assert (LOST in text) == (verdict in ("declined", "deadline_passed", "disqualified"))
    complains = verdict in (
        "declined",
        "deadline_passed",
        "disqualified",
        "passed_over",
        "won_in_another_draw",
    )
    assert page.locator("#keep-record").is_visible() == complains


def test_a_winner_who_was_disqualified_is_told_why_in_chinese(
    phone: Callable[..., Page], published: Seeded
) -> None:
    page = phone(published.at_rank(1), locale="zh-CN")
    serve(page, "record", lambda text: dispose(published, json.loads(text), (1, "1", *STAFF, 6)))
    assert "中奖资格被取消。原因：工作人员或其亲属" in check(page)[1]


@pytest.mark.parametrize(
    "rows",
    [
        [(1, "1", *LATE, 10)],  # before the deadline
        [CLAIMED, DECLINED],
        [CLAIMED, CLAIMED],
        [(1, "2", "claimed", "", 5)],
        [MOVED_UP],  # nothing is free
        [DECLINED, (2, "1", "won", "moved up", 6)],  # not the next
        [DECLINED, (4, "2", "won", "moved up", 6)],
        [DECLINED, (4, "1", "skipped", "won in another draw", 6)],
        [DECLINED, MOVED_UP, (4, "1", *LATE, 60)],
    ],
)
def test_dispositions_that_do_not_follow_fail_for_everybody(
    phone: Callable[..., Page], published: Seeded, rows: list[Any]
) -> None:
    record = dispose(published, published.fetch("record"), *rows)
    for viewer in (published.at_rank(1), published.loser()):
        page = phone(viewer)
        serve(page, "record", lambda _: record)
        assert check(page)[0] == "broken"
        expect(page.locator("#steps .failed")).to_contain_text(
            "What became of the prizes since follows the rules"
        )


@pytest.mark.parametrize(
    ("name", "value"), [("reason", "did not like them"), ("status", "lost"), ("ledger", 1)]
)
def test_a_disposition_that_is_none_fails(
    phone: Callable[..., Page], published: Seeded, name: str, value: str | int
) -> None:
    record = json.loads(dispose(published, published.fetch("record"), DECLINED))
    record["dispositions"][0][name] = value
    forged = published.sign({**record, "digest": record_digest(record).hex()})
    page = phone(published.at_rank(1))
    serve(page, "record", lambda _: forged)
    assert check(page)[0] == "broken"


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        ("equal", "holds", "holds 41 shakes of yours, signed by the server. It has compared"),
        ("too_few", "holds", "It has compared"),
        ("uncertified", "lacks", "a key that is not in the show's ledger"),
        ("less", "failed", "the sealed roll has less than they are worth"),
        (None, "open", "Each phone that took part has its total signed"),
        ("constructor", "open", "Each phone that took part has its total signed"),
    ],
)
def test_what_this_phone_was_told_is_among_the_grounds_of_the_sentence(
    phone: Callable[..., Page], published: Seeded, found: str | None, state: str, words: str
) -> None:
    verdicts = {} if found is None else {str(published.draw): {"verdict": found}}
    row = {"stub": {"total": 41}, "verdicts": verdicts}
    page = phone(published.loser(), stubs={f"{published.epoch}-{published.segment}": row})
    ground = page.locator('[data-ground="stub"]')
    expect(ground).to_have_attribute("data-state", state)
    expect(ground.locator(".said")).to_contain_text(words)
