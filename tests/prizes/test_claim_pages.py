"""The winner's page, and the crew's page with the claims of a show."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from engagement.clock import now_ms
from engagement.core.names import stage_name
from engagement.models import Show
from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from prizes.files import fetch, record_name
from prizes.logins import LOGGED_IN_AT
from prizes.models import Disqualification, Draw, Win
from prizes.steps.claims import ask_disqualification, claim_prize, decide_disqualification, decline_prize
from tests.cast import make_show
from tests.pages import page_of
from tests.prizes import nights
from tests.prizes.winners import (
    CLAIM_S,
    drawn_draw,
    make_people,
    published_draw,
    reserves_of,
    settle_due,
    winners_of,
)

pytestmark = pytest.mark.django_db(transaction=True)

JSON = {"Accept": "application/json"}


@pytest.fixture
def show() -> Show:
    return nights.show(slug="gala", title="Gala", title_zh="晚会", draws_per_minute=60)


@pytest.fixture
def draw(show: Show) -> Draw:
    return nights.published(show, make_people(show, 6), reserves=2)


def crew(role: str | None, name: str) -> Client:
    user = User.objects.create(username=name, is_staff=role is not None)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def press(client: Client, action: str, slug: str = "gala", **fields: Any) -> tuple[int, str]:
    answer = client.post(f"/console/{slug}/claims/{action}/", fields, headers=JSON)
    return answer.status_code, answer.json()["message"]


# --- the winner's page ---


def test_the_claim_page_is_there_once_the_draw_is_published(show: Show, draw: Draw) -> None:
    hidden = drawn_draw(show, make_people(show, 3))
    assert Client().get(f"/draws/{hidden.pk}/claim/").status_code == 404
    page = Client().get(f"/draws/{draw.pk}/claim/", headers={"Accept-Language": "zh-CN"})
    assert "晚会" in page.text and 'lang="zh-Hans"' in page.text and page["Vary"] == "Accept-Language, Cookie"
    assert f'data-slug="gala" data-draw="{draw.pk}"' in page.text
    assert '<p class="rehearsal">彩排</p>' in page.text  # a local beacon is a rehearsal everywhere
    assert not set(winners_of(draw)) & set(page.text.split('"'))


# --- the crew's page ---


def test_strangers_log_in_intruders_are_refused_and_auditors_only_read(show: Show, draw: Draw) -> None:
    address = "/console/gala/claims/"
    assert Client().get(address)["Location"] == f"/login/?next={address}"
    assert crew(None, "mallory").get(address).status_code == 403
    auditor = crew(AUDITOR, "audrey")
    page = auditor.get(address).text
    assert winners_of(draw)[0] in page and "<select" not in page
    win = draw.wins.earliest("rank").pk
    assert press(auditor, "ask", win=win, reason="under age") == (403, "You may not do this.")
    assert "please log in again" in press(Client(), "ask", win=win, reason="under age")[1]
    assert auditor.post(f"{address}ask/").status_code == 403
    assert Client().post(f"{address}ask/").status_code == 302


def test_the_page_shows_what_became_of_every_prize(show: Show, draw: Draw) -> None:
    first, second = winners_of(draw)
    taken, left = reserves_of(draw)
    claim_prize(draw.pk, first)
    decline_prize(draw.pk, second)
    page = page_of(crew(OPERATOR, "olga").get("/console/gala/claims/"))
    for text in ("claimed", "declined, ", "moved up, ", stage_name(bytes.fromhex(left)), taken):
        assert text in page
    assert page.count("<select") == 2  # those who hold a prize


def free_on_pages(draw: Draw) -> tuple[int, int]:
    """How many prizes nobody holds, and how many are in line: as the crew's page and the public page say."""
    operator = crew(OPERATOR, f"operator-{User.objects.count()}")
    crews = page_of(operator.get(f"/console/gala/claims/?draw={draw.pk}"))
    free, line = re.findall(
        r'<td class="number">(\d+)\b.*?</td> ?<td>(.*?)</td>', crews.partition('id="reserves"')[2]
    )[0]
    public = Client().get(f"/draws/{draw.pk}/").text
    titles = re.search(r"Without a holder: (.*)\.</p>", public)
    left = re.search(r"(\d+) left in reserve", public)
    told = (len(titles[1].split("; ")) if titles else 0, int(left[1]) if left else 0)
    assert (int(free), 0 if line == "–" else len(line.split(", "))) == told
    return told


def test_both_pages_say_the_same_of_prizes_without_a_holder_in_every_state(show: Show, draw: Draw) -> None:
    first, second = winners_of(draw)
    assert free_on_pages(draw) == (0, 2)
    claim_prize(draw.pk, first)
    assert free_on_pages(draw) == (0, 2)
    decline_prize(draw.pk, second)  # a reserve moves up
    assert free_on_pages(draw) == (0, 1)
    asked = ask_disqualification(draw.wins.get(pseudonym=first).pk, "under age", actor="olga")
    decide_disqualification(asked.pk, True, actor="dirk")  # and the other one
    assert free_on_pages(draw) == (0, 0)
    settle_due(now_ms() + 2 * CLAIM_S * 1000)  # both deadlines are over, and nobody is in line any more
    assert free_on_pages(draw) == (2, 0)


def test_both_pages_count_the_prizes_that_nobody_was_there_for(show: Show) -> None:
    draw = nights.published(show, make_people(show, 2), prizes=5)
    assert free_on_pages(draw) == (3, 0)
    decline_prize(draw.pk, winners_of(draw)[0])
    assert free_on_pages(draw) == (4, 0)


def test_both_pages_count_a_prize_that_waits_for_another_draw(show: Show, draw: Draw) -> None:
    Draw.objects.filter(pk=nights.drawn(show, make_people(show, 6)).pk).update(step=Draw.Step.DRAWING)
    decline_prize(draw.pk, winners_of(draw)[0])
    assert free_on_pages(draw) == (1, 2)


def test_the_page_can_be_narrowed_to_one_draw(show: Show, draw: Draw) -> None:
    other = published_draw(show, make_people(show, 40), prizes=1)
    operator = crew(OPERATOR, "olga")
    everything = operator.get("/console/gala/claims/").text
    narrow = operator.get(f"/console/gala/claims/?draw={other.pk}").text
    assert everything.count("data-win") == 3 and narrow.count("data-win") == 1
    assert operator.get("/console/gala/claims/?draw=x").text.count("data-win") == 0


def test_the_page_asks_the_database_as_often_for_many_winners_as_for_few(
    show: Show, django_assert_max_num_queries
) -> None:
    nights.published(show, make_people(show, 12), prizes=10)
    operator = crew(OPERATOR, "olga")
    operator.get("/console/gala/claims/")
    with django_assert_max_num_queries(12):
        operator.get("/console/gala/claims/")


def test_a_record_that_is_away_is_said(show: Show, draw: Draw) -> None:
    path = fetch(record_name(draw.key))
    whole = path.read_bytes()
    path.write_bytes(b"{}")
    from prizes import publication
    from prizes.steps import claims

    claims._read_drawn.cache_clear()
    publication._record.cache_clear()
    assert "its reserves cannot be read" in crew(OPERATOR, "olga").get("/console/gala/claims/").text
    path.write_bytes(whole)


# --- two people ---


def test_one_asks_and_another_one_approves(show: Show, draw: Draw) -> None:
    operator, director = crew(OPERATOR, "olga"), crew(DIRECTOR, "dirk")
    first = winners_of(draw)[0]
    win = draw.wins.get(pseudonym=first).pk
    status, message = press(operator, "ask", win=win, reason="under age")
    assert (status, "Somebody else" in message) == (200, True)
    asked = Disqualification.objects.get()
    assert "olga asks for it: under age" in director.get("/console/gala/claims/").text
    assert press(operator, "approve", disqualification=asked.pk)[0] == 403
    assert press(director, "approve", disqualification=asked.pk)[0] == 200
    assert draw.wins.get(pseudonym=first).status == "disqualified"
    status, message = press(director, "refuse", disqualification=asked.pk)
    assert (status, message) == (409, "dirk has decided already")


def test_a_director_who_asked_cannot_approve_and_is_not_offered_to(show: Show, draw: Draw) -> None:
    dirk, dora = crew(DIRECTOR, "dirk"), crew(DIRECTOR, "dora")
    assert press(dirk, "ask", win=draw.wins.earliest("rank").pk, reason="second account")[0] == 200
    asked = Disqualification.objects.get()
    assert ">Approve<" not in dirk.get("/console/gala/claims/").text
    assert ">Approve<" in dora.get("/console/gala/claims/").text
    status, message = press(dirk, "approve", disqualification=asked.pk)
    assert (status, "a second person has to decide" in message) == (409, True)
    assert press(dora, "refuse", disqualification=asked.pk)[0] == 200
    assert draw.wins.earliest("rank").status == "won"


def logged_in(client: Client, ago: timedelta | None) -> None:
    """As if this session had logged in so long ago; None: as before sessions said when."""
    session = client.session
    session.pop(LOGGED_IN_AT, None)
    if ago is not None:
        session[LOGGED_IN_AT] = now_ms() - int(ago.total_seconds() * 1000)
    session.save()


def test_to_approve_needs_a_login_of_the_last_quarter_of_an_hour(show: Show, draw: Draw) -> None:
    operator, director = crew(OPERATOR, "olga"), crew(DIRECTOR, "dirk")
    press(operator, "ask", win=draw.wins.earliest("rank").pk, reason="under age")
    asked = Disqualification.objects.get()
    logged_in(director, timedelta(minutes=15, seconds=1))
    status, message = press(director, "approve", disqualification=asked.pk)
    assert (status, "log in again" in message) == (409, True)
    logged_in(director, timedelta(minutes=14))
    assert press(director, "approve", disqualification=asked.pk)[0] == 200


def test_a_login_elsewhere_does_not_refresh_a_console_that_was_left_open(show: Show, draw: Draw) -> None:
    operator, old = crew(OPERATOR, "olga"), crew(DIRECTOR, "dirk")
    press(operator, "ask", win=draw.wins.earliest("rank").pk, reason="under age")
    asked = Disqualification.objects.get()
    elsewhere = Client()
    elsewhere.force_login(User.objects.get(username="dirk"))
    for ago in (timedelta(hours=1), None):
        logged_in(old, ago)
        assert "log in again" in press(old, "approve", disqualification=asked.pk)[1]
    assert press(elsewhere, "approve", disqualification=asked.pk)[0] == 200


def test_bad_input_changes_nothing(show: Show, draw: Draw) -> None:
    make_show(slug="other")
    operator, director = crew(OPERATOR, "olga"), crew(DIRECTOR, "dirk")
    win = draw.wins.earliest("rank").pk
    assert press(operator, "ask", win=win, reason="ugly")[0] == 409
    assert press(operator, "ask", slug="other", win=win, reason="under age")[0] == 409
    for number in ("", "x", "²", "-1", "9" * 40, "9" * 5000):
        assert press(director, "approve", disqualification=number)[0] == 409
        assert press(operator, "ask", win=number, reason="under age")[0] == 409
    assert operator.post("/console/gala/claims/explode/").status_code == 404
    assert operator.get("/console/gala/claims/ask/").status_code == 405
    assert not Disqualification.objects.exists()


def test_a_button_needs_the_token_against_forged_forms(show: Show, draw: Draw) -> None:
    forger = Client(enforce_csrf_checks=True)
    forger.cookies = crew(OPERATOR, "olga").cookies
    fields = {"win": draw.wins.earliest("rank").pk, "reason": "under age"}
    assert forger.post("/console/gala/claims/ask/", fields).status_code == 403
    assert not Disqualification.objects.exists()


def test_without_a_script_the_answer_is_on_the_page(show: Show, draw: Draw) -> None:
    operator = crew(OPERATOR, "olga")
    fields = {"win": draw.wins.earliest("rank").pk, "reason": "under age"}
    assert "You have asked for it" in operator.post("/console/gala/claims/ask/", fields, follow=True).text
    assert (
        "olga has asked for it already"
        in operator.post("/console/gala/claims/ask/", fields, follow=True).text
    )


# --- the administration ---


def test_nobody_edits_what_became_of_a_prize(show: Show, draw: Draw) -> None:
    decline_prize(draw.pk, winners_of(draw)[0])
    asked = ask_disqualification(draw.wins.latest("rank").pk, "under age", actor="olga")
    chief = Client()
    chief.force_login(User.objects.create_superuser("chief"))
    for row in (draw.dispositions.earliest("ledger"), asked):
        page = f"/admin/prizes/{row._meta.model_name}"
        assert chief.get(f"{page}/{row.pk}/change/").status_code == 200
        assert "_save" not in chief.get(f"{page}/{row.pk}/change/").text
        assert chief.post(f"{page}/{row.pk}/change/", {}).status_code == 403
        assert chief.get(f"{page}/add/").status_code == 403
        assert chief.post(f"{page}/{row.pk}/delete/").status_code == 403


def test_many_winners_are_shown_in_pages(show: Show, draw: Draw, monkeypatch) -> None:
    other = published_draw(show, make_people(show, 40), prizes=3)
    monkeypatch.setattr("prizes.views.claims.WINS_AT_ONCE", 2)
    monkeypatch.setattr("prizes.views.claims.RESERVES_SHOWN", 1)
    operator, address, seen = crew(OPERATOR, "olga"), "/console/gala/claims/", []
    while address:
        page = page_of(operator.get(address))
        seen += re.findall(r'data-win="(\d+)"', page)
        following = re.findall(r'href="(\?[^"]*)" rel="next"', page)
        address = f"/console/gala/claims/{following[0]}" if following else ""
    expected = Win.objects.order_by("draw_id", "rank").values_list("pk", flat=True)
    assert seen == [str(number) for number in expected] and len(seen) == 5
    narrow = operator.get(f"/console/gala/claims/?draw={other.pk}").text
    assert f'href="?draw={other.pk}&amp;after={other.pk}.' in narrow
    assert "and 1 more" in page_of(operator.get(f"/console/gala/claims/?draw={draw.pk}"))
