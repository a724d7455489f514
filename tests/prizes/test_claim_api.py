"""Claims over HTTP, as an app or the claim page makes them."""

import logging
import re
from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from engagement.actions import lock_segment
from engagement.clock import from_ms, now_ms
from engagement.models import Restore, Show
from engagement.restores import ENTRY, note
from prizes.api.claims import STATUSES
from prizes.models import Draw, Win
from prizes.steps.claims import ask_disqualification, decide_disqualification
from prizes.steps.dispositions import LEDGER_ACTIONS
from tests.cast import in_ms
from tests.prizes import nights
from tests.prizes.winners import (
    Person,
    drawn_draw,
    make_people,
    person_of,
    settle_due,
    winners_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people(show: Show) -> dict[str, Person]:
    return make_people(show, 4)


@pytest.fixture
def draw(show: Show, people: dict[str, Person]) -> Draw:
    return nights.published(show, people, reserves=0)


def post(draw_id: int, body: Any, path: str = "") -> tuple[int, dict[str, Any]]:
    answer = Client().post(f"/api/draws/{draw_id}/claims{path}", body, content_type="application/json")
    return answer.status_code, answer.json()


def test_a_winner_looks_claims_and_claims_again(draw: Draw, people: dict[str, Person]) -> None:
    winner = people[winners_of(draw)[0]]
    status, seen = post(draw.pk, winner.proof, "/look")
    win = draw.wins.get(pseudonym=winner.pseudonym)
    assert (status, seen["status"], seen["piece"]) == (200, "won", win.piece_id)
    assert seen["claim_by"] == in_ms(win.claim_by)
    assert seen["prize"] == draw.segment.announced_prizes[0]
    assert post(draw.pk, winner.proof)[1] | {"message": ""} == seen | {"status": "claimed", "message": ""}
    status, again = post(draw.pk, winner.proof)
    assert (status, again["status"], again["message"]) == (200, "claimed", "The prize was claimed already.")


def test_the_picture_of_the_prize_comes_with_the_answer(draw: Draw, people: dict[str, Person]) -> None:
    picture = {"base": f"/pictures/{'5f' * 32}/", "sizes": [[720, 480]], "alt": "A coat", "alt_zh": "大衣"}
    segment = draw.segment
    segment.announced_prizes[0]["picture"] = picture
    segment.save()
    _, seen = post(draw.pk, people[winners_of(draw)[0]].proof, "/look")
    assert seen["prize"] == segment.announced_prizes[0]
    assert seen["prize"]["picture"] == picture


def test_a_winner_declines(draw: Draw, people: dict[str, Person]) -> None:
    winner = people[winners_of(draw)[0]]
    status, answer = post(draw.pk, winner.proof, "/decline")
    assert (status, answer["status"]) == (200, "forfeited")
    assert post(draw.pk, winner.proof)[1]["code"] == "declined"


def test_whoever_looks_again_is_told_why_the_prize_is_lost(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people, prizes=4, reserves=0)
    claimed, late, removed, declined = (people[pseudonym] for pseudonym in winners_of(draw))
    post(draw.pk, claimed.proof)
    post(draw.pk, declined.proof, "/decline")
    asked = ask_disqualification(draw.wins.get(pseudonym=removed.pseudonym).pk, "under age", actor="olga")
    decide_disqualification(asked.pk, True, actor="dirk")
    Win.objects.filter(pseudonym=late.pseudonym).update(claim_by=from_ms(now_ms() - 1))
    settle_due(now_ms())
    told = [post(draw.pk, person.proof, "/look")[1] for person in (claimed, late, removed, declined)]
    assert [row["reason"] for row in told] == ["", "deadline passed", "under age", "declined"]


def test_an_expired_pass_still_claims(draw: Draw, show: Show, people: dict[str, Person]) -> None:
    pseudonym = winners_of(draw)[0]
    uid = 1 + list(people).index(pseudonym)
    expired = person_of(show, uid, lifetime_s=-86_400)
    assert post(draw.pk, expired.proof)[0] == 200
    assert Win.objects.get(pseudonym=pseudonym).status == "claimed"


def refusals(draw: Draw, show: Show, people: dict[str, Person]) -> dict[str, tuple[int, Any]]:
    """A draw and a body for every code but `busy` and `bad_input`."""
    claimed, late, removed, declined = (people[pseudonym] for pseudonym in winners_of(draw))
    stranger, hidden = person_of(show, 77), drawn_draw(show, people)
    post(draw.pk, declined.proof, "/decline")
    post(draw.pk, claimed.proof)
    Win.objects.filter(pseudonym=late.pseudonym).update(claim_by=from_ms(now_ms() - 1))
    Win.objects.filter(pseudonym=removed.pseudonym).update(status=Win.Status.DISQUALIFIED)
    return {
        "bad_pass": (draw.pk, {**stranger.proof, "pass": "forged"}),
        "wrong_salt": (draw.pk, {**stranger.proof, "salt": claimed.salt}),
        "not_published": (hidden.pk, claimed.proof),
        "not_a_winner": (draw.pk, stranger.proof),
        "claimed": (draw.pk, claimed.proof),
        "too_late": (draw.pk, late.proof),
        "declined": (draw.pk, declined.proof),
        "disqualified": (draw.pk, removed.proof),
    }


def test_every_refusal_has_a_code_and_says_why(show: Show, people: dict[str, Person]) -> None:
    draw = nights.published(show, people, prizes=4, reserves=0)
    cases = refusals(draw, show, people)
    assert {*cases, "busy", "bad_input"} == set(STATUSES)
    for code, (draw_id, body) in cases.items():
        status, answer = post(draw_id, body, "/decline")
        assert (status, answer["code"]) == (STATUSES[code], code)
        assert answer["message"]
    settle_due(now_ms())  # what was late is forfeited by now: the answer stays the same
    assert post(*cases["too_late"])[1]["code"] == "too_late"
    assert post(10**30, cases["claimed"][1])[1]["code"] == "not_published"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        "null",
        {},
        {"pass": "x"},
        {"pass": "x", "salt": "AB" * 32},
        {"pass": "x", "salt": "ab" * 31},
        {"pass": "x" * 901, "salt": "ab" * 32},
        {"pass": 1, "salt": "ab" * 32},
        {"pass": "x", "salt": "ab" * 32, "extra": 1},
    ],
)
def test_what_is_no_pass_and_salt_is_refused_without_repeating_it(draw: Draw, body: Any) -> None:
    status, answer = post(draw.pk, body)
    assert (status in (400, 422), answer.get("code")) == (True, "bad_input")
    assert "xxx" not in answer["message"] and "abab" not in answer["message"]
    assert not answer["message"].startswith(":")


def test_a_body_that_is_missing_is_named(draw: Draw) -> None:
    assert post(draw.pk, "")[1]["message"].startswith(("the body: ", "expected a JSON object"))
    assert post(draw.pk, {"pass": "x"})[1]["message"] == "salt: Field required"


def test_a_parameter_that_cannot_be_read_is_named_as_every_refusal_is_told(show: Show) -> None:
    answer = Client().get("/api/shows/gala/draws?after=-1")
    assert (answer.status_code, answer["Cache-Control"], answer.json()["code"]) == (
        422,
        "no-store",
        "bad_input",
    )
    assert answer.json()["message"].startswith("after: ")


def test_while_somebody_holds_the_show_for_long_a_winner_is_asked_to_come_again(
    draw: Draw, people: dict[str, Person]
) -> None:
    winner, locked, done = people[winners_of(draw)[0]], Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            lock_segment(draw.segment_id)
            locked.set()
            done.wait(20)
        connection.close()

    holder = Thread(target=hold)
    holder.start()
    locked.wait(20)
    with connection.cursor() as cursor:
        cursor.execute(
            "PRAGMA busy_timeout = 100" if connection.vendor == "sqlite" else "SET lock_timeout = 100"
        )
    busy = post(draw.pk, winner.proof)
    done.set()
    holder.join()
    connection.close()  # with its impatience
    assert (busy[0], busy[1]["code"]) == (503, "busy")
    assert post(draw.pk, winner.proof)[0] == 200


def test_get_is_not_a_way_to_claim(draw: Draw) -> None:
    assert Client().get(f"/api/draws/{draw.pk}/claims").status_code == 405


def test_neither_pass_nor_salt_is_logged(
    draw: Draw, people: dict[str, Person], caplog: pytest.LogCaptureFixture
) -> None:
    winner = people[winners_of(draw)[0]]
    with caplog.at_level(logging.DEBUG):
        post(draw.pk, winner.proof)
        post(draw.pk, {**winner.proof, "pass": winner.token + "x"})
        post(draw.pk, {**winner.proof, "more": 1})
    assert winner.token not in caplog.text and winner.salt not in caplog.text


def test_the_description_of_the_api_has_all_of_it() -> None:
    described = Client().get("/api/openapi.json").json()
    paths = {path: row for path, row in described["paths"].items() if "/claims" in path}
    assert {path.rpartition("/")[2] for path in paths} == {"claims", "look", "decline"}
    for row in paths.values():
        assert set(row["post"]["responses"]) == {"200", "400", *map(str, set(STATUSES.values()))}
    assert set(described["components"]["schemas"]["Proof"]["properties"]) == {"pass", "salt"}


def test_the_page_about_claims_has_every_code_and_every_entry_of_the_ledger(settings: Any) -> None:
    page = (settings.BASE_DIR / "docs" / "claims.md").read_text()
    listed = re.findall(r"^\| ([0-9, ]+) \| `(\w+)` \|", page, re.MULTILINE)
    assert {code: status.split(", ")[-1] for status, code in listed} == {
        code: str(status) for code, status in STATUSES.items()
    }
    for action in LEDGER_ACTIONS.values():
        assert f"`{action}`" in page


def test_claims_wait_while_a_restored_database_does(draw: Draw, people: dict[str, Person]) -> None:
    winner = people[winners_of(draw)[0]]
    restore = note([{"show": draw.show.slug, "of": ENTRY, "told": 99, "held": 1}], now_ms())
    for path in ("", "/decline"):
        status, answer = post(draw.pk, winner.proof, path)
        assert (status, answer["code"]) == (503, "busy") and "have to wait" in answer["message"]
    assert post(draw.pk, winner.proof, "/look")[0] == 200
    Restore.objects.filter(pk=restore.pk).update(confirmed_at_ms=1, confirmed_by="dirk")
    assert post(draw.pk, winner.proof)[1]["status"] == "claimed"


def test_all_winners_are_listed_page_by_page_and_states_list_the_first_ones(
    show: Show, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setattr("prizes.api.draws.WINNERS_AT_ONCE", 10)
    draw = nights.published(show, make_people(show, 30), prizes=25)
    (result,) = draw.segment.announced_results
    assert (len(result["winners"]), result["winners_total"], len(result["prizes"])) == (20, 25, 20)
    address, seen = result["winners_url"], []
    while address:
        page = client.get(address).json()
        seen += [row["pseudonym"] for row in page["winners"]]
        assert page["total"] == 25 and {row["prize"] for row in page["winners"]} == {
            row["id"] for row in page["prizes"]
        }
        address = page["next"]
    assert seen == winners_of(draw)
    assert client.get(f"/api/draws/{draw.pk}/winners?after=x").status_code == 422


def test_winners_are_not_listed_before_they_are_told(show: Show, client: Client) -> None:
    draw = nights.drawn(show, make_people(show, 3))
    answer = client.get(f"/api/draws/{draw.pk}/winners")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_published")
