"""The control room, its buttons and live figures, over HTTP."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from engagement import tally
from engagement.clock import from_ms, now_ms
from engagement.core.digests import commit
from engagement.core.phases import Phase
from engagement.keys import own
from engagement.models import LedgerEntry, Segment, Show
from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from gala.embedded import start_server
from prizes import tasks
from prizes.models import Draw, Party, PrizeList
from prizes.parties import commit_party, reveal_secret
from prizes.progress import end_progress, tell_progress
from prizes.steps import draw as drawing
from prizes.steps import freeze
from tests.cast import (
    a_gateway_lives,
    add_prize,
    arm,
    armed_segment,
    make_segment,
    make_show,
    put_on_air,
)
from tests.clock import Clock
from tests.pages import page_of
from tests.prizes import nights
from tests.prizes.draws import ROUND, SIGNATURE, T_FREEZE

pytestmark = pytest.mark.django_db(transaction=True)

JSON = {"Accept": "application/json"}
VIEWERS = {bytes([number * 40, number]) + bytes(12): 10 for number in range(1, 6)}
THROWS = ("123456" * 9)[:50]


@pytest.fixture
def show() -> Show:
    return nights.show(slug="gala", title="Gala", draws_per_minute=60)


def crew(role: str | None, name: str = "") -> Client:
    """The browser of somebody who has logged in; without a role, of an intruder with an account."""
    user = User.objects.create(username=name or role or "mallory", is_staff=role is not None)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def press(client: Client, segment: Segment, action: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    answer = client.post(f"/console/gala/segments/{segment.pk}/{action}/", fields, headers=JSON)
    return answer.status_code, answer.json()


def phase_of(segment: Segment) -> str:
    return Segment.objects.values_list("phase", flat=True).get(pk=segment.pk)


def sealed(segment: Segment) -> Segment:
    """An armed segment with a few viewers in the tally, after its window, frozen and sealed."""
    segment = put_on_air(segment, opened_ms_ago=35_000, left_ms=-15_000, phase=Phase.CLOSING)
    for viewer, total in VIEWERS.items():
        tally.connect().zadd(
            own(f"tally:{segment.key}:{tally.shard_of(viewer, segment.shards)}"), {viewer: total}
        )
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    segment.refresh_from_db()
    return segment


def sealed_night(show: Show, **fields: Any) -> Segment:
    """For a test that begins with it."""
    return nights.once(f"console {fields}", lambda: sealed(armed_segment(show, **fields)))


def drawn(segment: Segment) -> Draw:
    draw = sealed(segment).draws.get()
    return drawing.run_draw(draw.pk)


# --- who may come in ---


@pytest.mark.parametrize("path", ["/console/", "/console/gala/"])
def test_the_console_asks_strangers_to_log_in_and_refuses_intruders(
    client: Client, show: Show, path: str
) -> None:
    assert client.get(path)["Location"] == f"/login/?next={path}"
    assert crew(None).get(path).status_code == 403
    for role in (OPERATOR, DIRECTOR, AUDITOR):
        assert "Gala" in crew(role).get(path).text


def test_live_figures_and_buttons_refuse_in_json(client: Client, show: Show) -> None:
    segment = make_segment(show)
    for browser, word in ((client, "log in"), (crew(None), "may not")):
        assert browser.get("/console/gala/live").status_code == 403
        status, body = press(browser, segment, "arm")
        assert (status, body["ok"]) == (403, False)
        assert word in body["message"]
    assert phase_of(segment) == Phase.DRAFT


def test_an_auditor_presses_nothing_and_only_a_director_voids(show: Show) -> None:
    segment = make_segment(show)
    auditor, operator, director = crew(AUDITOR), crew(OPERATOR), crew(DIRECTOR)
    assert [press(auditor, segment, action)[0] for action in ("arm", "open", "dice", "void")] == [403] * 4
    status, told = press(operator, segment, "void", reason="rain")
    assert status == 200 and "a second person has to agree within 15 min" in told["message"]
    other = crew(OPERATOR, "omar")
    assert press(other, segment, "void", reason="rain")[0] == 409  # no second operator is enough
    assert phase_of(segment) == Phase.DRAFT
    assert press(director, segment, "void", reason="rain")[1]["message"].startswith("Two people agree:")
    assert phase_of(segment) == Phase.VOID


def test_a_button_needs_the_token_against_forged_forms(show: Show) -> None:
    segment = make_segment(show)
    forger = Client(enforce_csrf_checks=True)
    forger.cookies = crew(OPERATOR).cookies
    assert forger.post(f"/console/gala/segments/{segment.pk}/arm/").status_code == 403
    assert phase_of(segment) == Phase.DRAFT


def test_a_page_with_an_old_token_is_told_to_reload_in_json(show: Show) -> None:
    segment, browser = make_segment(show), Client(enforce_csrf_checks=True)
    browser.cookies = crew(OPERATOR).cookies
    browser.get("/console/gala/")
    status, body = press(browser, segment, "arm", csrfmiddlewaretoken="x" * 64)
    assert (status, body["ok"], body["code"]) == (403, False, "stale_page")
    assert "Reload it" in body["message"]
    token = browser.cookies["csrftoken"].value
    assert press(browser, segment, "arm", csrfmiddlewaretoken=token)[0] == 200


def test_a_page_of_another_account_presses_nothing(show: Show) -> None:
    segment, olga = make_segment(show), crew(OPERATOR, "olga")
    assert 'data-account="olga"' in olga.get("/console/gala/").text
    status, body = press(olga, segment, "arm", account="omar")
    assert (status, body["code"], phase_of(segment)) == (409, "another_account", Phase.DRAFT)
    assert press(olga, segment, "arm", account="olga")[0] == 200


def test_a_segment_that_was_deleted_is_said_to_be_gone(show: Show) -> None:
    segment, operator = make_segment(show), crew(OPERATOR)
    Segment.objects.all().delete()
    status, body = press(operator, segment, "arm")
    assert (status, body["message"]) == (404, "Nothing was done: this segment was deleted. Reload the page.")


def test_the_page_is_the_same_as_long_as_names_and_order_are(show: Show) -> None:
    first, operator = make_segment(show), crew(OPERATOR)

    def rundown() -> str:
        live = operator.get("/console/gala/live").json()
        assert f'data-rundown="{live["rundown"]}"' in operator.get("/console/gala/").text
        return str(live["rundown"])

    seen = [rundown()]
    press(operator, first, "arm")
    assert rundown() == seen[0]
    seen += [rundown() for _ in [Segment.objects.update(title="Prelude")]]
    seen += [rundown() for _ in [make_segment(show)]]
    seen += [rundown() for _ in [Show.objects.update(title="Other")]]
    assert len(set(seen)) == 4


def test_a_button_is_pressed_with_post_on_its_own_show_only(show: Show) -> None:
    operator, segment = crew(OPERATOR), make_segment(make_show(slug="other"))
    assert operator.get(f"/console/other/segments/{segment.pk}/arm/").status_code == 405
    assert operator.post(f"/console/gala/segments/{segment.pk}/arm/").status_code == 404
    assert operator.post(f"/console/other/segments/{segment.pk}/explode/").status_code == 404


# --- what the buttons do ---


def test_a_segment_is_armed_opened_and_closed_by_name(show: Show) -> None:
    operator, segment = crew(OPERATOR, "olga"), make_segment(show, window_s=20)
    assert press(operator, segment, "arm")[0] == 200
    a_gateway_lives()
    status, body = press(operator, segment, "open", lead="0")
    assert (status, body) == (200, {"ok": True, "message": "1. Segment 1 opens in 0 s, for 20 s."})
    assert press(operator, segment, "close", reason="host is ahead")[0] == 200
    entries = LedgerEntry.objects.filter(show=show).order_by("position")
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("arm", "olga"),
        ("open", "olga"),
        ("close", "olga"),
    ]


@pytest.mark.parametrize("lead", ["-1", "3601", "1.5", "1e3", "ten", "９", "1" * 400])
def test_a_bad_number_changes_nothing(show: Show, lead: str) -> None:
    segment = armed_segment(show)
    status, body = press(crew(OPERATOR), segment, "open", lead=lead)
    assert status == 400
    assert "lead: expected 0 to 3600 seconds" in body["message"]
    segment.refresh_from_db()
    assert segment.opens_at is None


def test_a_refused_action_says_why_and_in_which_phase_the_segment_is(show: Show) -> None:
    segment = make_segment(show)
    status, body = press(crew(OPERATOR), segment, "publish")
    assert status == 409
    assert body == {
        "ok": False,
        "message": "1. Segment 1 is draft: only a drawn segment can be published",
        "phase": "draft",
    }
    assert press(crew(DIRECTOR), segment, "void", reason=" \x00 ")[0] == 409


def test_without_a_script_the_answer_is_on_the_page(show: Show) -> None:
    operator, segment = crew(OPERATOR), make_segment(show)
    address = f"/console/gala/segments/{segment.pk}/arm/"
    assert "is armed" in operator.post(address, follow=True).text
    assert "is armed already: arm by operator" in operator.post(address, follow=True).text
    assert crew(None).post(address).status_code == 403
    assert Client().post(address, follow=True).redirect_chain[-1][0].startswith("/login/")


@pytest.mark.parametrize("action", ["arm", "open", "close", "publish"])
def test_of_two_who_press_at_once_one_wins_and_the_other_is_told(show: Show, action: str) -> None:
    first, second = crew(DIRECTOR, "dirk"), crew(DIRECTOR, "dora")
    segment = {
        "arm": make_segment,
        "open": armed_segment,
        "close": lambda show: put_on_air(armed_segment(show)),
        "publish": lambda show: drawn(armed_segment(show)).segment,
    }[action](show)
    a_gateway_lives()
    together = Barrier(2)

    def press_at_once(client: Client) -> tuple[int, dict[str, Any]]:
        together.wait()
        try:
            return press(client, segment, action, lead="5", reason="rain")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(press_at_once, (first, second)), key=lambda answer: answer[0])
    assert [status for status, _ in answers] == [200, 409]
    assert f"{action} by d" in answers[1][1]["message"]
    assert answers[1][1]["phase"] == phase_of(segment)
    assert LedgerEntry.objects.filter(show=show, action=action).count() == 1


def test_two_operators_have_to_type_the_same_throws(show: Show) -> None:
    segment = sealed_night(show, beacon="dice")
    olga, omar = crew(OPERATOR, "olga"), crew(OPERATOR, "omar")
    assert press(olga, segment, "dice", digits="123")[0] == 409
    assert "at most 400 throws" in press(olga, segment, "dice", digits="1" * 401)[1]["message"]
    assert "a second operator" in press(olga, segment, "dice", digits=THROWS)[1]["message"]
    assert "differ" in press(omar, segment, "dice", digits="6" + THROWS[1:])[1]["message"]
    assert "Both agree" in press(omar, segment, "dice", digits=THROWS)[1]["message"]
    assert press(omar, segment, "dice", digits=THROWS)[0] == 409
    assert THROWS not in olga.get("/console/gala/").text


# --- what the page offers ---


def offered(client: Client, segment: Segment) -> list[str]:
    live = client.get("/console/gala/live").json()
    (actions,) = [row["actions"] for row in live["segments"] if row["id"] == segment.pk]
    return actions


@pytest.mark.parametrize(
    ("phase", "opened_ms_ago", "buttons"),
    [
        (Phase.ARMED, -60_000, ["void"]),
        (Phase.ARMED, 100, ["close", "void"]),
        (Phase.OPEN, 1_000, ["close", "void"]),
        (Phase.OPEN, 90_000, ["void"]),
        (Phase.CLOSING, 90_000, ["void"]),
        (Phase.SEALED, 90_000, []),
        (Phase.DRAWN, 90_000, ["name", "publish"]),
        (Phase.PUBLISHED, 90_000, []),
        (Phase.VOID, 90_000, []),
    ],
)
def test_the_page_offers_what_the_phase_allows(
    show: Show, phase: Phase, opened_ms_ago: int, buttons: list[str]
) -> None:
    segment = put_on_air(
        armed_segment(show), opened_ms_ago=opened_ms_ago, left_ms=80_000 - opened_ms_ago, phase=phase
    )
    assert offered(crew(DIRECTOR), segment) == buttons


def test_the_page_offers_arm_then_open_and_dice_after_the_seal(show: Show) -> None:
    draft, armed = make_segment(show), armed_segment(show)
    waiting = sealed(armed_segment(show, beacon="dice"))
    director, operator, auditor = crew(DIRECTOR), crew(OPERATOR), crew(AUDITOR)
    assert [offered(director, segment) for segment in (draft, armed)] == [["arm", "void"], ["open", "void"]]
    assert offered(operator, draft) == ["arm", "void"]
    assert offered(operator, waiting) == ["dice"]
    PrizeList.objects.update(draw_at_once=False)
    assert offered(operator, waiting) == ["draw", "dice"]
    assert [offered(auditor, segment) for segment in (draft, armed, waiting)] == [[], [], []]
    page = page_of(operator.get("/console/gala/"))
    assert page.count('data-action="arm" >') == 1
    assert page.count('data-action="arm" hidden>') == 2


def test_the_manual_calls_every_button_by_its_name(show: Show) -> None:
    press(crew(OPERATOR), make_segment(show), "void", reason="rain")  # a director is asked to agree
    page = crew(DIRECTOR).get("/console/gala/").text
    buttons = re.findall(r"<button class=[^>]*>([^<]+)</button>", page)
    manual = (settings.BASE_DIR / "docs" / "run-a-segment.md").read_text()
    assert sorted(buttons) == sorted(re.findall(r"^\| \*\*(.+?)\*\* \|", manual, re.MULTILINE))
    for warning in ("Redis does not answer.", "No gateway is alive: phones cannot connect."):
        assert warning in manual


# --- live figures and trouble ---


def test_live_figures_come_from_all_gateways(show: Show) -> None:
    segment = put_on_air(armed_segment(show))
    redis, now = tally.connect(), now_ms()
    rows: dict[Any, Any] = {
        "one": '{"shakes":100,"reports":20,"clamped":2}',
        "two": '{"shakes":20,"reports":10}',
    }
    redis.hset(own(f"live:{segment.key}"), mapping=rows)
    for name, phones, lag_ms in (("one", 3, 10), ("two", 4, 2_500)):
        people = f'{{"phones":{phones},"screens":1,"refused":5,"leaders":{{}}}}'
        beat = f'{{"at":{now},"pending":2,"lag_ms":{lag_ms},"connections":9,"shows":{{"gala":{people}}}}}'
        redis.hset(own("gateways"), name, beat)
    try:
        live = crew(AUDITOR).get("/console/gala/live").json()
    finally:
        redis.hdel(own("gateways"), "one", "two")
    assert live["counters"] == {
        "segment": segment.pk,
        "shakes": 120,
        "reports": 30,
        "clamped": 2,
        "phones": 7,
        "screens": 2,
        "pending": 4,
        "refused": 10,
    }
    assert "Gateway two has not written for 2.5 s." in live["warnings"]
    (row,) = live["segments"]
    assert (row["phase"], row["air"]["closes_at"] - row["air"]["opens_at"]) == ("open", 20_000)


def test_a_draw_in_trouble_says_so(show: Show) -> None:
    segment = sealed_night(show)
    Draw.objects.update(trouble="will be tried again: <disk full>", attempts=3)
    operator = crew(OPERATOR)
    (row,) = operator.get("/console/gala/live").json()["segments"]
    assert row["trouble"] == "will be tried again: <disk full>"
    assert (row["entries"], len(row["seal"])) == (len(VIEWERS), 64)
    assert "&lt;disk full&gt;" in operator.get("/console/gala/").text
    assert press(operator, segment, "draw")[0] == 200


def test_a_draw_that_the_second_implementation_does_not_confirm_is_a_red_banner(show: Show) -> None:
    segment = sealed_night(show)
    Draw.objects.update(disagreement="winners: <expected ab, got cd>")
    operator = crew(OPERATOR)
    text = "The second implementation does not confirm draw gala/seg-1/draw-1: it is stopped. winners: "
    assert operator.get("/console/gala/live").json()["alarms"] == [text + "<expected ab, got cd>"]
    assert f'<p class="banner alarm">{text}&lt;expected' in operator.get("/console/gala/").text
    assert offered(operator, segment) == ["draw"]


def test_the_progress_of_a_step_is_shown_while_it_runs(show: Show) -> None:
    segment, operator = sealed_night(show), crew(OPERATOR)
    tell_progress(segment.pk, "ranking", 3, 10)
    (row,) = operator.get("/console/gala/live").json()["segments"]
    assert row["progress"] == {"text": "ranking", "done": 3, "total": 10}
    end_progress(segment.pk)
    (row,) = operator.get("/console/gala/live").json()["segments"]
    assert row["progress"] is None


# --- what is waited for ---


def waits_of(client: Client, segment: Segment) -> list[dict[str, Any]]:
    rows = client.get("/console/gala/live").json()["segments"]
    return next(row["waits"] for row in rows if row["id"] == segment.pk)


def test_the_round_of_drand_is_counted_down_to_and_pasted_when_nobody_brings_it(
    show: Show, clock: Clock
) -> None:
    clock.set(T_FREEZE * 1000)
    operator, segment = crew(OPERATOR), sealed(armed_segment(show, beacon="drand"))
    (wait,) = waits_of(operator, segment)
    assert (wait["beacon"], wait["strength"], wait["round"]) == ("drand", "public", ROUND)
    assert wait["due_at"] == (T_FREEZE + 60) * 1000
    assert wait["lines"] == ["drand round 1000 is due in 60 s"]
    assert offered(operator, segment) == []
    clock.move(72_000)
    assert waits_of(operator, segment)[0]["lines"] == [
        "drand round 1000 is 12 s late; waiting, no other round is ever taken"
    ]
    assert "12 s late" in operator.get("/console/gala/").text
    assert offered(operator, segment) == ["beacon"]
    assert press(operator, segment, "beacon", signature="9" * 96)[0] == 409
    assert press(operator, segment, "beacon", signature="9" * 2001)[0] == 400
    assert press(crew(AUDITOR), segment, "beacon", signature=SIGNATURE)[0] == 403
    status, body = press(operator, segment, "beacon", signature=SIGNATURE)
    assert (status, body["message"]) == (
        200,
        "The signature is right: the beacon of gala/seg-1/draw-1 is taken.",
    )
    assert (waits_of(operator, segment)[0]["lines"], offered(operator, segment)) == ([], [])


def test_who_has_revealed_and_who_is_waited_for_until_when(show: Show, clock: Clock) -> None:
    clock.set(T_FREEZE * 1000)
    secret, draft = bytes(range(32)), make_segment(show, beacon="drand")
    for name in ("charity", "notary"):
        party = Party.objects.create(show=show, name=name, title=name)
        digest = commit("gala/seg-1/draw-1", name, secret).hex()
        commit_party(draft.prize_lists.get(), party, digest, actor=name)
    operator, segment = crew(OPERATOR), sealed(arm(draft))
    reveal_secret(segment.draws.get().pk, "charity", secret, actor="charity")
    (wait,) = waits_of(operator, segment)
    assert [row["revealed_at"] is not None for row in wait["parties"]] == [True, True, False]
    assert wait["lines"] == [
        "revealed: house, charity",
        "waiting for the secrets of notary until 15:59:09 UTC, 45 s left",
        "drand round 1000 is due in 60 s",
    ]
    clock.move(44_000)  # long after the grace, and nobody is late
    live = operator.get("/console/gala/live").json()
    assert not [text for text in live["warnings"] if "Celery" in text]
    clock.move(2_000)
    tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    assert "absent, with an empty field in the seal: notary" in waits_of(operator, segment)[0]["lines"]


def test_who_has_typed_the_dice_and_that_they_differ_is_said_without_the_throws(show: Show) -> None:
    segment = sealed_night(show, beacon="dice")
    olga, omar, auditor = crew(OPERATOR, "olga"), crew(OPERATOR, "omar"), crew(AUDITOR)
    press(olga, segment, "dice", digits=THROWS)
    alone = "waiting for the dice: typed by olga; a second operator is missing"
    assert waits_of(auditor, segment)[0]["lines"] == [alone]
    press(omar, segment, "dice", digits="6" + THROWS[1:])
    differ = "olga and omar have typed different throws: compare and type again"
    assert waits_of(auditor, segment)[0]["lines"] == [differ]
    page = auditor.get("/console/gala/").text
    assert differ in page and THROWS not in page
    press(omar, segment, "dice", digits=THROWS)
    assert waits_of(auditor, segment)[0]["lines"] == []


def test_lines_of_several_lists_say_which(show: Show, clock: Clock) -> None:
    clock.set(T_FREEZE * 1000)
    draft = make_segment(show, beacon="drand")
    add_prize(PrizeList.objects.create(segment=draft, number=2, beacon="dice", reserves=0))
    lines = [wait["lines"] for wait in waits_of(crew(OPERATOR), sealed(arm(draft)))]
    assert lines == [
        ["list 1: drand round 1000 is due in 60 s"],
        ["list 2: waiting for the dice: two operators type the 50 throws that were made on air"],
    ]


# --- trouble with the conductor, with Redis, with the size of the rundown ---


@pytest.mark.parametrize(
    ("phase", "wanted"), [(Phase.ARMED, "open"), (Phase.OPEN, "closing"), (Phase.CLOSING, "sealed")]
)
def test_a_late_conductor_is_missed(show: Show, phase: Phase, wanted: str) -> None:
    segment = put_on_air(armed_segment(show), opened_ms_ago=3_000, left_ms=1_000, phase=phase)
    operator = crew(OPERATOR)
    assert not [text for text in operator.get("/console/gala/live").json()["warnings"] if "Celery" in text]
    times = {"opens_at": from_ms(now_ms() - 60_000), "closes_at": from_ms(now_ms() - 30_000)}
    Segment.objects.filter(pk=segment.pk).update(**times)
    warnings = operator.get("/console/gala/live").json()["warnings"]
    assert f"1. Segment 1 is {phase} and should be {wanted} by now." in warnings
    assert any("Celery worker" in text for text in warnings)


def test_no_page_hangs_and_buttons_work_while_redis_hangs(show: Show, settings, tmp_path: Path) -> None:
    server = start_server(tmp_path)
    segment, operator = make_segment(show), crew(OPERATOR)
    try:
        caches = settings.CACHES["default"]
        settings.CACHES = {"default": {**caches, "LOCATION": server.url}}
        assert operator.get("/console/gala/live").json()["counters"] is not None
        os.kill(server.process.pid, signal.SIGSTOP)
        started = time.monotonic()
        live = operator.get("/console/gala/live").json()
        assert time.monotonic() - started < 1.5
        assert live["counters"] is None
        assert "Redis does not answer" in live["warnings"][0]
        for path in ("/console/gala/", "/play/gala/", "/stage/gala/"):
            assert operator.get(path).status_code == 200
        assert press(operator, segment, "arm")[0] == 200
        assert time.monotonic() - started < 4
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
        server.stop()


def test_the_control_room_asks_the_database_as_often_for_ten_segments_as_for_two(
    show: Show, django_assert_max_num_queries
) -> None:
    operator = crew(OPERATOR)
    for _ in range(10):
        armed_segment(show)
    with django_assert_max_num_queries(15):
        operator.get("/console/gala/live")
    with django_assert_max_num_queries(15):
        operator.get("/console/gala/")


def test_a_long_rundown_is_shown_in_parts_and_what_is_under_way_is_in_each(show: Show) -> None:
    operator, first = crew(OPERATOR), armed_segment(show)
    Segment.objects.bulk_create(
        Segment(show=show, position=number, title=f"Old {number}", phase=Phase.VOID)
        for number in range(2, 141)
    )
    whole = operator.get("/console/gala/").text
    assert whole.count("data-segment") == 50 and f'data-segment="{first.pk}"' in whole
    assert 'href="?from=51"' in whole and "earlier segments" not in whole
    last = operator.get("/console/gala/?from=101").text
    assert last.count("data-segment") == 41 and f'data-segment="{first.pk}"' in last
    assert 'href="?from=51"' in last and "later segments" not in last
    assert len(operator.get("/console/gala/live?from=101").json()["segments"]) == 41
    Segment.objects.filter(pk=first.pk).update(phase=Phase.VOID)
    assert "Old 140" in operator.get("/console/gala/").text  # all of it is over


def test_older_shows_are_on_further_pages(show: Show) -> None:
    Show.objects.bulk_create(Show(slug=f"night-{number}", title=f"Night {number}") for number in range(60))
    operator = crew(OPERATOR)
    page = operator.get("/console/").text
    assert "night-59" in page and "night-10<" in page and "night-9<" not in page and "newest" not in page
    (older,) = re.findall(r'href="(\?before=\d+)" rel="next"', page)
    page = operator.get(f"/console/{older}").text
    assert "night-9<" in page and ">gala<" in page and "night-10<" not in page
    assert 'href="?">newest' in page and 'rel="next"' not in page
