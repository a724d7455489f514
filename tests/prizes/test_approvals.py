"""What nobody does alone: asked for by one person, agreed to by another one within minutes."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client

from engagement.actions import ActionRefused, Conflict
from engagement.clock import from_ms, now_ms
from engagement.core.phases import Phase
from engagement.ledger.append import people_in
from engagement.models import LedgerEntry, Segment, Show
from prizes.approvals import (
    MOST_LAMPS,
    MOST_OPEN,
    VALID_MS,
    ask,
    decide,
    lamps_before,
    needs_two,
    open_requests,
    press,
    tell_lamps,
)
from prizes.lamps import red_lamps
from prizes.logins import LOGGED_IN_AT
from prizes.models import Approval, Draw
from prizes.steps.arm import arm_segment
from prizes.tasks import conduct_draws, publish_task
from tests.cast import OPERATOR, a_gateway_lives, armed_segment, make_segment, put_on_air
from tests.prizes.pipeline import ended, run_all
from tests.prizes.test_console import crew
from tests.prizes.test_console import press as press_button
from tests.prizes.test_console import show as show  # a fixture

pytestmark = pytest.mark.django_db(transaction=True)


def void(segment: Segment, actor: str, **more: Any) -> Approval:
    return press(segment, "void", actor=actor, what={}, reason="it rains", **more)


def told(show: Show) -> list[tuple[str, str]]:
    return [(row.action, row.actor) for row in LedgerEntry.objects.filter(show=show).order_by("position")]


def test_one_asks_another_agrees_and_the_ledger_tells_of_both(show: Show) -> None:
    segment = make_segment(show)
    asked = void(segment, "olga")
    assert (asked.approved, Segment.objects.get(pk=segment.pk).phase) == (None, Phase.DRAFT)
    assert void(segment, "dora").approved
    assert Segment.objects.get(pk=segment.pk).phase == Phase.VOID
    assert told(show) == [("ask approval", "olga"), ("approve", "dora"), ("void", "dora")]
    approved = LedgerEntry.objects.get(show=show, action="approve")
    assert people_in(approved) == {"asked_by": "olga"}
    assert LedgerEntry.objects.get(show=show, action="void").reason == "it rains"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"actor": "olga"}, {"actor": "olga"}),
        ({"actor": "cli:root"}, {"actor": "Dora (cli:root)"}),
        ({"actor": "olga", "session": "a" * 32}, {"actor": "dora", "session": "a" * 32}),
        ({"actor": "Dora (cli:root)"}, {"actor": "dora", "session": "a" * 32}),
    ],
    ids=["account", "terminal", "login", "name"],
)
def test_whoever_has_asked_is_no_second_person(show: Show, first: Any, second: Any) -> None:
    segment = make_segment(show)
    asked = press(segment, "void", what={}, reason="rain", **first)
    with pytest.raises(ActionRefused, match="a second person has to decide"):
        decide(asked.pk, approve=True, **second)
    with pytest.raises(IntegrityError), transaction.atomic():  # nor does the database take it
        Approval.objects.filter(pk=asked.pk).update(approved=True, decided_by=asked.asked_by, decided_at_ms=1)
    assert Segment.objects.get(pk=segment.pk).phase == Phase.DRAFT


def test_a_request_is_withdrawn_by_whoever_asked_and_refused_by_others(show: Show) -> None:
    segment = make_segment(show)
    for decider in ("olga", "dora"):
        asked = void(segment, "olga")
        assert decide(asked.pk, approve=False, actor=decider).approved is False
        with pytest.raises(Conflict, match=f"was decided by {decider} already"):
            decide(asked.pk, approve=True, actor="dirk")
    assert [action for action, _ in told(show)] == ["ask approval", "refuse approval"] * 2


def test_a_request_that_nobody_answers_expires_and_may_be_made_again(show: Show) -> None:
    segment, now = make_segment(show), now_ms()
    asked = void(segment, "olga", now=now)
    later = now + VALID_MS
    assert (len(open_requests(show.pk, later - 1)), open_requests(show.pk, later)) == (1, [])
    with pytest.raises(ActionRefused, match="ask again"):
        decide(asked.pk, approve=True, actor="dora", now=later)
    again = void(segment, "dora", now=later)
    assert again.pk != asked.pk and again.approved is None
    asked.refresh_from_db()
    assert (asked.approved, asked.decided_by) == (False, "")


def test_what_cannot_be_done_is_not_asked_for(show: Show) -> None:
    segment = put_on_air(armed_segment(show), phase=Phase.SEALED)
    with pytest.raises(ActionRefused, match="after the freeze nothing can be called off"):
        void(segment, "olga")
    with pytest.raises(ActionRefused, match="void needs a reason"):
        press(make_segment(show), "void", actor="olga", what={})
    assert not Approval.objects.exists() and [action for action, _ in told(show)] == ["arm"]


def test_what_cannot_be_done_any_more_leaves_the_request_as_it_was(show: Show) -> None:
    segment = make_segment(show)
    asked = void(segment, "olga")
    Segment.objects.filter(pk=segment.pk).update(phase=Phase.PUBLISHED, opens_at="2026-01-01T00:00:00Z")
    with pytest.raises(ActionRefused):
        decide(asked.pk, approve=True, actor="dora")
    asked.refresh_from_db()
    assert asked.approved is None and told(show) == [("ask approval", "olga")]


def test_the_same_is_not_asked_for_twice_but_of_each_segment(show: Show) -> None:
    one, two = make_segment(show), make_segment(show)
    void(one, "olga")
    with pytest.raises(Conflict, match="olga has asked for it already, until"):
        ask(show, "void", str(one.pk), actor="omar", segment=one, reason="rain")
    assert void(two, "olga").approved is None


def test_what_was_decided_stays_decided(show: Show) -> None:
    asked = void(make_segment(show), "olga")
    decide(asked.pk, approve=False, actor="dora")
    for change in ({"approved": True}, {"approved": None}, {"decided_by": "dirk"}, {"reason": "snow"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Approval.objects.filter(pk=asked.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        Approval.objects.filter(pk=asked.pk).delete()


# --- with a red lamp ---


def now_of(segment: Segment) -> int:
    return Approval.objects.get(segment=segment).asked_at_ms


def test_going_on_air_with_a_red_lamp_takes_two_and_the_request_says_which(show: Show) -> None:
    segment, now = armed_segment(show), now_ms()
    assert lamps_before(segment, "open", now) == ["No gateway is alive: phones cannot connect."]
    olga, dora = crew("operator", "olga"), crew("director", "dora")
    status, answer = press_button(olga, segment, "open", lead="7")
    assert status == 200 and "Red: No gateway is alive" in answer["message"]
    assert Segment.objects.get(pk=segment.pk).opens_at is None
    page = dora.get("/console/gala/").text
    assert "olga asks to open" in page and ">Agree<" in page and ">Refuse<" in page
    until = f"{from_ms(now_of(segment) + VALID_MS):%H:%M}"
    assert "A director other than olga has to agree by " + until in page
    own = olga.get("/console/gala/").text
    assert ">Withdraw<" in own and ">Agree<" not in own
    asked = dora.get("/console/gala/live").json()["requests"][0]
    assert (asked["may_agree"], "No gateway is alive" in asked["text"]) == (True, True)
    assert olga.get("/console/gala/live").json()["requests"][0]["may_agree"] is False
    where = f"/console/gala/approvals/{asked['id']}/agree/"
    assert olga.post(where, headers={"Accept": "application/json"}).status_code == 403
    assert dora.post(where, headers={"Accept": "application/json"}).json()["ok"] is True
    opened = Segment.objects.get(pk=segment.pk)
    assert opened.opens_at is not None and opened.air_time.opens_at >= now + 7_000


def asked_to_open(show: Show, lamps: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Segment, Approval]:
    segment = armed_segment(show)
    monkeypatch.setattr("prizes.approvals.red_lamps", lambda *_: lamps)
    what = {"lead_s": 5, **tell_lamps(lamps)}
    return segment, press(segment, "open", actor="olga", what=what)


def test_a_lamp_that_turned_red_since_was_not_agreed_to(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    lamps = ["Gateway one has not written for 5.3 s."]
    segment, asked = asked_to_open(show, lamps, monkeypatch)
    lamps[:] = ["Gateway one has not written for 9.9 s.", "Draw 7 has stopped."]
    with pytest.raises(ActionRefused, match="red since it was asked for: Draw 7 has stopped"):
        decide(asked.pk, approve=True, actor="dora")
    assert Approval.objects.get().approved is None and Segment.objects.get(pk=segment.pk).phase == Phase.ARMED
    lamps.pop()  # the same one is red for longer: that was known
    assert decide(asked.pk, approve=True, actor="dora").approved
    assert Segment.objects.get(pk=segment.pk).opens_at is not None


def test_of_very_many_lamps_the_request_has_the_number(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    lamps = [f"Gateway {number:02} has not written for 5.0 s." for number in range(MOST_LAMPS + 2)]
    _, asked = asked_to_open(show, lamps, monkeypatch)
    assert (len(asked.what["lamps"]), asked.what["more_lamps"]) == (MOST_LAMPS, 2)
    lamps.append("Draw 7 has stopped.")
    with pytest.raises(ActionRefused, match="red since it was asked for"):
        decide(asked.pk, approve=True, actor="dora")
    lamps.pop()
    assert decide(asked.pk, approve=True, actor="dora").approved


def test_who_wanted_to_call_off_a_draft_does_not_call_off_a_promise(show: Show) -> None:
    segment = make_segment(show)
    asked = void(segment, "olga")
    arm_segment(segment.pk, actor=OPERATOR)
    with pytest.raises(ActionRefused, match="was armed since it was asked for"):
        decide(asked.pk, approve=True, actor="dora")
    assert Segment.objects.get(pk=segment.pk).phase == Phase.ARMED
    decide(asked.pk, approve=False, actor="dora")
    void(segment, "olga")
    void(segment, "dora")
    assert Segment.objects.get(pk=segment.pk).phase == Phase.VOID


def test_without_a_red_lamp_one_person_opens(show: Show) -> None:
    segment = armed_segment(show)
    a_gateway_lives()
    assert red_lamps(show, now_ms()) == []
    assert not needs_two(segment, "open", lamps_before(segment, "open", now_ms()))
    assert press_button(crew("operator"), segment, "open")[0] == 200
    assert Segment.objects.get(pk=segment.pk).opens_at is not None


def test_a_draw_that_has_stopped_is_a_red_lamp(show: Show) -> None:
    armed_segment(show)
    a_gateway_lives()
    Draw.objects.update(attempts=3, trouble="the disk is full")
    assert len(red_lamps(show, now_ms())) == 1 and "the disk is full" in red_lamps(show, now_ms())[0]


def test_lamps_cost_the_same_for_many_segments(show: Show, django_assert_max_num_queries: Any) -> None:
    a_gateway_lives()
    for _ in range(2):
        armed_segment(show)
    with django_assert_max_num_queries(6):
        red_lamps(show, now_ms())
    for _ in range(8):
        armed_segment(show)
    with django_assert_max_num_queries(6):
        red_lamps(show, now_ms())


# --- where the show asks for it ---


def test_a_show_may_ask_for_two_people_to_publish(show: Show) -> None:
    Show.objects.filter(pk=show.pk).update(publish_by_two=True)
    run_all(segment := ended(armed_segment(show), {bytes([9]) * 14: 50}))
    segment = Segment.objects.select_related("show").get(pk=segment.pk)
    olga, dora = crew("operator", "olga"), crew("director", "dora")
    assert "second person" in press_button(olga, segment, "publish")[1]["message"]
    assert Segment.objects.get(pk=segment.pk).phase == Phase.DRAWN
    assert press_button(dora, segment, "publish")[0] == 200
    assert Segment.objects.get(pk=segment.pk).phase == Phase.PUBLISHED


def test_there_the_first_name_needs_two_people_and_each_further_one_a_press(show: Show) -> None:
    Show.objects.filter(pk=show.pk).update(publish_by_two=True)
    run_all(segment := ended(armed_segment(show), {bytes([n]) * 14: 50 for n in (9, 10, 11)}))
    segment = Segment.objects.select_related("show").get(pk=segment.pk)
    olga, dora = crew("operator", "olga"), crew("director", "dora")
    assert "second person" in press_button(olga, segment, "name", named="0")[1]["message"]
    assert Segment.objects.get(pk=segment.pk).announced_naming == {}
    assert press_button(dora, segment, "name", named="0")[0] == 200
    told = Segment.objects.get(pk=segment.pk).announced_naming
    assert (told["named"], told["of"]) == (1, 2)
    told["winners"][0]["at"] -= 60_000  # a minute has passed
    Segment.objects.filter(pk=segment.pk).update(announced_naming=told)
    assert press_button(olga, segment, "name", named="1")[0] == 200
    assert Segment.objects.get(pk=segment.pk).phase == Phase.PUBLISHED


def test_who_agrees_has_logged_in_a_moment_ago(show: Show) -> None:
    segment = make_segment(show)
    press_button(crew("operator", "olga"), segment, "void", reason="rain")
    dora = crew("director", "dora")
    session = dora.session
    session[LOGGED_IN_AT] = now_ms() - 16 * 60_000
    session.save()
    where = f"/console/gala/approvals/{Approval.objects.get().pk}/agree/"
    for answer in (
        dora.post(where, headers={"Accept": "application/json"}),
        dora.post(f"/console/gala/segments/{segment.pk}/void/", headers={"Accept": "application/json"}),
    ):
        assert answer.status_code == 409 and "log in again" in answer.json()["message"]
    assert Segment.objects.get(pk=segment.pk).phase == Phase.DRAFT


def test_a_request_of_another_show_is_not_found(show: Show) -> None:
    segment = make_segment(show)
    press_button(crew("operator", "olga"), segment, "void", reason="rain")
    dora = crew("director", "dora")
    for where in (
        f"/console/other/approvals/{Approval.objects.get().pk}/agree/",
        "/console/gala/approvals/99/agree/",
    ):
        assert dora.post(where).status_code == 404
    assert dora.post(f"/console/gala/approvals/{Approval.objects.get().pk}/marry/").status_code == 404


def test_an_armed_segment_is_called_off_by_two_and_its_draw_with_it(show: Show) -> None:
    segment = arm_segment(make_segment(show).pk, actor=OPERATOR)
    void(segment, "olga")
    void(segment, "dora")
    assert Segment.objects.get(pk=segment.pk).phase == Phase.VOID


# --- ways around it ---


def test_requests_that_nobody_answered_stand_in_nobodys_way(show: Show) -> None:
    now = now_ms()
    arm_segment(make_segment(show).pk, actor=OPERATOR)
    for number in range(MOST_OPEN):
        ask_about_viewer(show, number, now=now)
    with pytest.raises(ActionRefused, match="50 requests wait"):
        ask_about_viewer(show, MOST_OPEN, now=now)
    assert void(segment := make_segment(show), "olga", now=now).approved is None  # nor those about viewers
    assert open_requests(show.pk, now)[0].segment == segment
    ask_about_viewer(show, MOST_OPEN, now=now + VALID_MS)
    assert Approval.objects.filter(approved=None).count() == 1


def ask_about_viewer(show: Show, number: int, now: int) -> None:
    ask(show, "exclude", f"{number:028x}", actor="dora", reason="crew", now=now)


def test_who_may_not_agree_does_not_because_somebody_was_faster(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators press in one moment: the second one has looked before the first one has asked."""
    segment = make_segment(show)
    olga, omar = crew("operator", "olga"), crew("operator", "omar")

    def asks_in_between(found: Segment, action: str, **more: Any) -> Approval:
        monkeypatch.setattr("prizes.views.console.press", press)
        assert press_button(olga, segment, "void", reason="rain")[0] == 200
        return press(found, action, **more)

    monkeypatch.setattr("prizes.views.console.press", asks_in_between)
    status, told = press_button(omar, segment, "void", reason="rain")
    assert (status, Segment.objects.get(pk=segment.pk).phase) == (409, Phase.DRAFT)
    assert "a director has to agree" in told["message"]


def test_on_a_terminal_one_asks_and_agrees_to_nothing(show: Show) -> None:
    segment = make_segment(show)
    press_button(crew("operator", "olga"), segment, "void", reason="rain")
    with pytest.raises(CommandError, match="a second person has to decide, in the control room"):
        call_command("segment", "void", str(segment.pk), "--reason", "rain", "--as", "dora")
    decide(Approval.objects.get().pk, approve=False, actor="olga")
    call_command("segment", "void", str(segment.pk), "--reason", "rain")
    assert press_button(crew("director", "dora"), segment, "void")[0] == 200
    assert Segment.objects.get(pk=segment.pk).phase == Phase.VOID


def form_of(client: Any, url: str) -> Any:
    return client.get(url).context_data["adminform"].form


def change_show(client: Any, show: Show, **fields: str) -> str:
    """The form of the show in the administration, as it is but for these fields."""
    url = f"/admin/engagement/show/{show.pk}/change/"
    form = form_of(client, url)
    values = {name: form.initial.get(name) or "" for name in form.fields}
    values = {name: "on" if value is True else value for name, value in values.items()} | fields
    for prefix in ("feeds", "fair_play"):
        values |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    return str(client.post(url, {name: value for name, value in values.items() if value != ""}).status_code)


def test_nobody_takes_away_the_second_person_of_a_publication(show: Show) -> None:
    Show.objects.filter(pk=show.pk).update(publish_by_two=True)
    run_all(ended(armed_segment(show), {bytes([9]) * 14: 50}))
    olga = crew("operator", "olga")
    change_show(olga, show, publish_by_two="")
    show.refresh_from_db()
    assert show.publish_by_two
    call_off = Segment.objects.get()
    press_button(olga, call_off, "publish")
    press_button(crew("director", "dora"), call_off, "publish")
    assert change_show(olga, show, publish_by_two="") == "302"
    show.refresh_from_db()
    assert not show.publish_by_two  # nothing is under way any more, and the ledger tells of it
    assert '"publish_by_two"' in LedgerEntry.objects.get(show=show, action="change").details


def test_what_two_people_publish_is_not_published_at_once(
    show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued: list[Any] = []
    monkeypatch.setattr("prizes.tasks.dispatch", lambda task, *arguments: queued.append(task))
    segment = armed_segment(show)
    Segment.objects.filter(pk=segment.pk).update(publish_at_once=True)
    run_all(ended(segment, {bytes([9]) * 14: 50}))
    Show.objects.filter(pk=show.pk).update(publish_by_two=True)
    conduct_draws()
    assert publish_task not in queued
    Show.objects.filter(pk=show.pk).update(publish_by_two=False)
    conduct_draws()
    assert publish_task in queued


@pytest.mark.parametrize("viewer", [True, False], ids=["viewer", "kind"])
def test_passes_are_taken_back_by_two_once_something_was_armed(show: Show, viewer: bool) -> None:
    whose = ["--viewer", "ab" * 14] if viewer else ["--kind", "work"]
    arm_segment(make_segment(show).pk, actor=OPERATOR)
    call_command("revoke_passes", show.slug, *whose, "--reason", "a farm", "--as", "olga")
    show.refresh_from_db()
    assert show.revoked == []
    with pytest.raises(CommandError, match=r"olga .* has asked for it already"):
        call_command("revoke_passes", show.slug, *whose, "--reason", "a farm", "--as", "dora")
    dora = crew("director", "dora")
    [asked] = dora.get("/console/gala/live").json()["requests"]
    assert asked["may_agree"] and "(a farm)" in asked["text"]
    said = dora.post(f"/console/gala/approvals/{asked['id']}/agree/", headers={"Accept": "application/json"})
    assert said.json()["ok"] is True
    show.refresh_from_db()
    assert [set(row) for row in show.revoked] == [{"viewer"} if viewer else {"kind", "before"}]
    assert viewer or show.revoked[0]["before"] >= Approval.objects.get().asked_at_ms
    entries = LedgerEntry.objects.filter(show=show).order_by("position")
    assert [row.action for row in entries] == ["arm", "ask approval", "approve", "revoke"]
    assert not any("ab" * 14 in row.details for row in entries)


def test_nobody_is_renamed(show: Show) -> None:
    """Whoever has asked as olga would agree as another."""
    root = User.objects.create_superuser("root", password="never typed anywhere")
    client = Client()
    client.force_login(root)
    olga = User.objects.create_user("olga")
    url = f"/admin/auth/user/{olga.pk}/change/"
    form = form_of(client, url)
    assert "username" not in form.fields
    client.post(url, {"username": "otto", "is_active": "on"})
    olga.refresh_from_db()
    assert olga.username == "olga"


def test_who_agrees_to_a_repeat_has_logged_in_a_moment_ago(show: Show) -> None:
    segment = put_on_air(armed_segment(show), phase=Phase.SPOILED)
    press_button(crew("director", "dirk"), segment, "repeat", reason="the round was out")
    dora = crew("director", "dora")
    session = dora.session
    session[LOGGED_IN_AT] = now_ms() - 16 * 60_000
    session.save()
    status, told = press_button(dora, segment, "repeat")
    assert (status, "log in again" in told["message"]) == (409, True)
