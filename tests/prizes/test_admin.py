"""The administration: what can be edited, what cannot, and what is never shown."""

import json
from functools import partial
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import F
from django.test import Client

from engagement import tally
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.keys import own
from engagement.ledger.append import entry_body, people_in
from engagement.models import Feed, LedgerEntry, Segment, Show
from engagement.restores import ENTRY, note
from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from prizes import tasks
from prizes.approvals import decide
from prizes.models import Approval, DiceEntry, Draw, Exclusion, Freeze, Party, Prize, PrizeList, Win
from prizes.parties import commit_party
from prizes.steps import draw as drawing
from prizes.steps import freeze
from prizes.steps.arm import excluded_viewers
from prizes.steps.beacon import enter_dice
from tests.cast import arm, armed_segment, make_segment, make_show, put_on_air, state_in_redis
from tests.prizes import nights

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

READ_ONLY = (LedgerEntry, Draw, Win, Freeze, DiceEntry)


def crew(role: str) -> Client:
    user, _ = User.objects.get_or_create(username=role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def chief() -> Client:
    """The account that may do everything: the rules below hold for it too."""
    client = Client()
    client.force_login(User.objects.create_superuser("chief"))
    return client


@pytest.fixture
def show() -> Show:
    return nights.show(slug="gala", title="Gala")


def address_of(row: Any, page: str = "change") -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/{page}/"


def rows_of(prefix: str, *rows: dict[str, Any], initial: int = 0) -> dict[str, Any]:
    """The fields of an inline table."""
    fields = {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        fields |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return fields


def errors_of(answer: Any) -> str:
    """What the form says is wrong; fails where nothing is."""
    assert answer.status_code == 200, answer.status_code
    forms = answer.context["errors"]
    return " ".join(str(error) for error in forms)


SHOW = {
    "slug": "new",
    "title": "New",
    "max_hz": 8,
    "burst": 10,
    "grace_ms": 3000,
    "draws_per_minute": 6,
    "max_prize_value": 5_000_000,
    "roll_visibility": "public",
    **rows_of("fair_play"),
}
FEEDS = ({"name": "app", "title": "App", "delay_ms": 0, "position": 0},)
PRIZE = {
    "position": 1,
    "celebrity": "Lin Mei",
    "brand": "Nord",
    "garment": "Coat",
    "size": "M",
    "quantity": 1,
    "value_minor": 100,
    "currency": "CNY",
}
LIST = {
    "number": 1,
    "tickets": "[[1, 1], [20, 2]]",
    "reserves": 2,
    "beacon": "local",
    "seal_margin_s": 60,
    "reveal_deadline_s": 15,
    "claim_s": 3600,
    "throws": 50,
    "publish_by_s": 86_400,
    "eligibility": "Everybody",
}


# --- shows and feeds ---


def test_an_operator_creates_a_show_with_feeds_and_it_is_announced() -> None:
    answer = crew(OPERATOR).post("/admin/engagement/show/add/", {**SHOW, **rows_of("feeds", *FEEDS)})
    assert answer.status_code == 302
    show = Show.objects.get(slug="new")
    state = state_in_redis(show)
    assert (state.title, state.feeds, state.seq) == ("New", {"app": 0}, 1)


def test_an_edit_is_announced_under_a_new_number_and_the_slug_stays(show: Show) -> None:
    fields = {**SHOW, "slug": "other", "title": "Renamed"}
    feeds = [{"id": feed.pk, "show": show.pk, "name": feed.name, "title": feed.title, "delay_ms": 900, "position": 1}
             for feed in show.feeds.all()]  # fmt: skip
    answer = crew(OPERATOR).post(address_of(show), {**fields, **rows_of("feeds", *feeds, initial=2)})
    assert answer.status_code == 302
    show.refresh_from_db()
    assert (show.slug, show.title, show.seq) == ("gala", "Renamed", 1)
    state = state_in_redis(show)
    assert (state.title, state.seq, set(state.feeds.values())) == ("Renamed", 1, {900})


def test_saving_a_form_never_turns_back_the_number_of_the_state(show: Show, rf) -> None:
    stale = Show.objects.get(pk=show.pk)
    Show.objects.filter(pk=show.pk).update(seq=F("seq") + 50)  # the conductor, while the form was open
    page = admin.site._registry[Show]
    form = page.get_form(rf.get("/"), stale, change=True)({**SHOW, "title": "Late"}, instance=stale)
    assert form.is_valid()
    page.save_model(rf.post("/"), form.save(commit=False), form, change=True)
    show.refresh_from_db()
    assert (show.title, show.seq) == ("Late", 50)


def test_the_show_key_is_nowhere_on_a_page(show: Show) -> None:
    client = chief()
    pages = [client.get(path).text for path in (address_of(show), "/admin/engagement/show/")]
    assert all(show.k_show not in page and "k_show" not in page for page in pages)
    assert all('href="/console/gala/"' in page for page in pages)


def test_feeds_and_limits_rest_while_a_segment_may_take_reports(show: Show) -> None:
    armed_segment(show)
    fields = {**SHOW, "title": "Renamed", "max_hz": 50, "grace_ms": 9000}
    feeds = [{"id": feed.pk, "show": show.pk, "name": feed.name, "title": feed.title, "delay_ms": 900, "position": 1}
             for feed in show.feeds.all()]  # fmt: skip
    chief().post(address_of(show), {**fields, **rows_of("feeds", *feeds, initial=2)})
    show.refresh_from_db()
    assert (show.title, show.max_hz, show.grace_ms) == ("Renamed", 8, 600)
    assert not Feed.objects.filter(delay_ms=900).exists()


def test_a_show_with_a_ledger_is_not_deleted(show: Show) -> None:
    armed_segment(show)
    chief().post(address_of(show, "delete"), {"post": "yes"})
    assert Show.objects.filter(pk=show.pk).exists()


def test_a_show_that_was_never_used_is_deleted(show: Show) -> None:
    make_segment(show)
    assert chief().post(address_of(show, "delete"), {"post": "yes"}).status_code == 302
    assert not Show.objects.filter(pk=show.pk).exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("slug", "two words", "valid “slug”"),
        ("max_hz", "0", "greater than or equal to 1"),
        ("max_hz", "51", "less than or equal to 50"),
        ("grace_ms", "100", "greater than or equal to 500"),
        ("draws_per_minute", "0", "greater than or equal to 1"),
        ("title", "", "required"),
    ],
)
def test_a_show_out_of_range_is_an_error_on_the_form(field: str, value: str, said: str) -> None:
    fields = {**SHOW, field: value, **rows_of("feeds", *FEEDS)}
    assert said in errors_of(chief().post("/admin/engagement/show/add/", fields))
    assert not Show.objects.exists()


def test_two_feeds_swap_their_names(show: Show) -> None:
    feeds = [{"id": feed.pk, "show": show.pk, "name": name, "title": feed.title, "delay_ms": 0, "position": 1}
             for feed, name in zip(show.feeds.all(), ("tv", "app"), strict=True)]  # fmt: skip
    fields = {**SHOW, **rows_of("feeds", *feeds, initial=2)}
    assert chief().post(address_of(show), fields).status_code == 302
    assert [(feed.name, feed.title) for feed in show.feeds.all()] == [("tv", "App"), ("app", "Television")]


def test_two_feeds_of_one_name_are_an_error_on_the_form() -> None:
    answer = chief().post("/admin/engagement/show/add/", {**SHOW, **rows_of("feeds", *FEEDS, *FEEDS)})
    assert "duplicate" in errors_of(answer)


# --- segments ---


def test_a_draft_is_edited_and_announced(show: Show) -> None:
    segment = make_segment(show)
    fields = {"show": show.pk, "position": 4, "title": "Finale", "window_s": 30}
    assert crew(OPERATOR).post(address_of(segment), fields).status_code == 302
    segment.refresh_from_db()
    assert (segment.position, segment.title, segment.window_s) == (4, "Finale", 30)
    assert state_in_redis(show).seq == 1


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.DRAFT])
def test_a_segment_that_left_draft_is_only_read_with_its_prizes(show: Show, phase: Phase) -> None:
    segment = put_on_air(armed_segment(show), phase=phase)
    prize_list = segment.prize_lists.get()
    client = chief()
    fields = {"show": show.pk, "position": 1, "title": "Changed", "window_s": 99}
    assert client.post(address_of(segment), fields).status_code == 403
    prize = prize_list.prizes.earliest("position")
    prizes = rows_of(
        "prizes", {**PRIZE, "id": prize.pk, "prize_list": prize_list.pk, "size": "XXL"}, initial=1
    )
    assert client.post(address_of(prize_list), {**LIST, "segment": segment.pk, **prizes}).status_code == 403
    for row in (segment, prize_list):
        assert client.post(address_of(row, "delete"), {"post": "yes"}).status_code == 403
        assert client.get(address_of(row)).status_code == 200
    segment.refresh_from_db()
    assert (segment.title, segment.window_s) == ("Segment 1", 20)
    assert Prize.objects.filter(size="XXL").count() == 0


def test_no_draft_is_changed_while_a_restored_database_waits(show: Show) -> None:
    draft = make_segment(show)
    note([{"show": show.slug, "of": ENTRY, "told": 9, "held": 0}], now_ms())
    answer = chief().post(address_of(draft), {"show": show.pk, "position": 1, "title": "New", "window_s": 20})
    assert answer.status_code == 403
    draft.refresh_from_db()
    assert draft.title == "Segment 1"


def test_deleting_many_at_once_spares_what_is_committed_to(show: Show) -> None:
    draft, armed = make_segment(show), armed_segment(show)
    fields = {"action": "delete_selected", "_selected_action": [draft.pk, armed.pk], "post": "yes"}
    chief().post("/admin/engagement/segment/", fields)
    assert Segment.objects.filter(pk=armed.pk).exists()


def titles_in_order(rows: Any) -> list[str]:
    return list(rows.order_by("position").values_list("title", flat=True))


@pytest.mark.parametrize(
    ("title", "to", "order"), [("A", 2, "BACD"), ("B", 1, "BACD"), ("D", 1, "DABC"), ("A", 4, "BCDA")]
)
def test_a_draft_takes_any_place_in_the_rundown_and_the_others_move(
    show: Show, title: str, to: int, order: str
) -> None:
    for name in "ABCD":
        make_segment(show, title=name)
    fields = {"position": to, "title": title, "window_s": 20}
    assert chief().post(address_of(show.segments.get(title=title)), fields).status_code == 302
    assert titles_in_order(show.segments) == list(order)
    assert set(show.segments.values_list("position", flat=True)) == {1, 2, 3, 4}


def test_a_new_segment_is_put_on_top(show: Show) -> None:
    make_segment(show, title="A")
    make_segment(show, title="B", position=3)
    fields = {"show": show.pk, "position": 1, "title": "New", "window_s": 20}
    assert chief().post("/admin/engagement/segment/add/", fields).status_code == 302
    assert list(show.segments.values_list("position", "title")) == [(1, "New"), (2, "A"), (3, "B")]


def test_the_place_of_an_armed_segment_is_not_taken(show: Show) -> None:
    armed_segment(show)
    second = make_segment(show)
    fields = {"position": 1, "title": "Second", "window_s": 20}
    said = errors_of(chief().post(address_of(second), fields))
    assert "1. Segment 1 is armed and keeps its position" in said
    assert list(show.segments.values_list("position", flat=True)) == [1, 2]


@pytest.mark.parametrize("window_s", ["0", "3601", "-5", "soon"])
def test_a_window_out_of_range_is_an_error_on_the_form(show: Show, window_s: str) -> None:
    fields = {"show": show.pk, "position": 1, "title": "Opening", "window_s": window_s}
    errors_of(chief().post("/admin/engagement/segment/add/", fields))
    assert not Segment.objects.exists()


# --- prize lists ---


def post_list(segment: Segment, *prizes: dict[str, Any], **fields: Any) -> Any:
    fields = {**LIST, "segment": segment.pk, **fields, **rows_of("prizes", *prizes)}
    return chief().post("/admin/prizes/prizelist/add/", fields)


@pytest.fixture
def bare(show: Show) -> Segment:
    return Segment.objects.create(show=show, position=1, title="Opening")


def test_a_prize_list_is_made_with_its_prizes(bare: Segment) -> None:
    assert post_list(bare, PRIZE, {**PRIZE, "position": 2}).status_code == 302
    prize_list = PrizeList.objects.get()
    assert (prize_list.tickets, prize_list.prizes.count()) == ([[1, 1], [20, 2]], 2)


@pytest.mark.parametrize(
    "tickets",
    [
        "[[20, 2], [1, 1]]",
        "[[1, 2], [20, 1]]",
        "[[0, 1]]",
        "[[1, 0]]",
        "[[1.5, 1]]",
        "[[1]]",
        "[[1, 1, 1]]",
        "[1, 2]",
        "[]",
        "{}",
        '"text"',
        '[["1", "1"]]',
        "[[true, true]]",
        "[[1, 1],",
        "7",
    ],
)
def test_a_ticket_table_out_of_order_is_an_error_on_the_form(bare: Segment, tickets: str) -> None:
    assert errors_of(post_list(bare, PRIZE, tickets=tickets))
    assert not PrizeList.objects.exists()


@pytest.mark.parametrize(
    ("fields", "prize", "said"),
    [
        ({"reserves": 7}, {}, "Reserves: expected at most 6 for these prizes, got 7."),
        ({"beacon": "stars"}, {}, "not one of the available choices"),
        ({}, {"currency": "cny"}, "Three capital letters"),
        ({}, {"quantity": 0}, "greater than or equal to 1"),
        ({}, {"value_minor": -1}, "greater than or equal to 0"),
        ({}, {"garment": ""}, "required"),
    ],
)
def test_a_prize_list_that_could_not_be_drawn_is_an_error_on_the_form(
    bare: Segment, fields: dict[str, Any], prize: dict[str, Any], said: str
) -> None:
    assert said in errors_of(post_list(bare, {**PRIZE, **prize}, **fields))
    assert not PrizeList.objects.exists()


def test_two_prizes_at_one_position_are_an_error(bare: Segment) -> None:
    assert "duplicate" in errors_of(post_list(bare, PRIZE, PRIZE))


def test_a_list_of_a_number_that_is_taken_takes_it_and_the_other_moves_on(bare: Segment) -> None:
    first = PrizeList.objects.create(segment=bare, beacon="local")
    assert post_list(bare, PRIZE).status_code == 302
    first.refresh_from_db()
    assert (first.number, PrizeList.objects.exclude(pk=first.pk).get().number) == (2, 1)


def edit_prizes(segment: Segment, *positions: int | None, new: int | None = None) -> Any:
    """Gives the prizes of a draft these positions, None for deletes; `new` is that of a prize on top."""
    prize_list = segment.prize_lists.get()
    rows = [
        {
            **PRIZE,
            "id": prize.pk,
            "prize_list": prize_list.pk,
            "position": place or 9,
            "garment": prize.celebrity,
        }
        | ({} if place else {"DELETE": "on"})
        for prize, place in zip(prize_list.prizes.all(), positions, strict=True)
    ]
    if new is not None:
        rows.append({**PRIZE, "position": new, "garment": "New"})
    prizes = rows_of("prizes", *rows, initial=len(positions))
    return chief().post(address_of(prize_list), {**LIST, "segment": segment.pk, **prizes})


@pytest.mark.parametrize(
    ("positions", "new", "order"),
    [
        ((2, 1), None, ["Star 2", "Star 1"]),
        ((2, 3), 1, ["New", "Star 1", "Star 2"]),
        ((2, None), None, ["Star 1"]),
        ((None, 1), 2, ["Star 2", "New"]),
    ],
)
def test_prizes_swap_places_and_one_is_put_on_top(
    show: Show, positions: tuple[int | None, ...], new: int | None, order: list[str]
) -> None:
    segment = make_segment(show)
    assert edit_prizes(segment, *positions, new=new).status_code == 302
    prizes = segment.prize_lists.get().prizes.order_by("position")
    assert [prize.garment for prize in prizes] == order


def test_an_armed_segment_gets_no_further_prize_list(show: Show) -> None:
    segment = armed_segment(show)
    assert "Select a valid choice" in errors_of(post_list(segment, PRIZE, number=2))
    assert PrizeList.objects.count() == 1


def test_a_prize_list_without_a_segment_is_an_error_on_the_form() -> None:
    client = chief()
    answer = client.post("/admin/prizes/prizelist/add/", {**LIST, **rows_of("prizes", PRIZE)})
    assert "This field is required" in errors_of(answer)


# --- exclusions ---


def test_only_a_director_excludes_viewers_and_armed_draws_keep_their_list(show: Show) -> None:
    segment = armed_segment(show)
    fields = {"show": show.pk, "pseudonym": "ab" * 14}
    assert crew(OPERATOR).post("/admin/prizes/exclusion/add/", fields).status_code == 403
    director = crew(DIRECTOR)
    assert "28 hex digits" in errors_of(
        director.post("/admin/prizes/exclusion/add/", {**fields, "pseudonym": "Lin Mei"})
    )
    assert director.post("/admin/prizes/exclusion/add/", fields)["Location"] == f"/console/{show.slug}/"
    assert not Exclusion.objects.exists()  # something is armed: a second person has to agree
    decide(Approval.objects.get().pk, approve=True, actor="dora")
    exclusion = Exclusion.objects.get()
    assert director.post(address_of(exclusion), {**fields, "note": "x"}).status_code == 403
    assert (excluded_viewers(show), segment.draws.get().excluded) == ({bytes.fromhex("ab" * 14)}, [])
    gone = director.post(address_of(exclusion, "delete"), {"post": "yes"})
    assert gone["Location"] == f"/console/{show.slug}/" and Exclusion.objects.exists()
    chosen = {"action": "delete_selected", "_selected_action": [exclusion.pk], "post": "yes"}
    assert "one by one: a second person" in director.post("/admin/prizes/exclusion/", chosen).text
    decide(Approval.objects.get(action="include").pk, approve=True, actor="dora")
    assert not Exclusion.objects.exists()


def told(show: Show) -> list[tuple[str, str, str]]:
    """Each line of the ledger about exclusions: what, by whom, and whom its digest stands for."""
    entries = LedgerEntry.objects.filter(show=show, action__in=("exclude", "include")).order_by("position")
    return [(entry.action, entry.actor, people_in(entry)["pseudonym"]) for entry in entries]


def test_each_exclusion_and_each_removal_is_a_line_of_the_ledger_with_its_author(show: Show) -> None:
    director, viewers = crew(DIRECTOR), [f"{number:028x}" for number in (1, 2, 3)]
    for viewer in viewers:
        fields = {"show": show.pk, "pseudonym": viewer, "note": "staff: Lin Mei"}
        assert director.post("/admin/prizes/exclusion/add/", fields).status_code == 302
    alone, *others = Exclusion.objects.order_by("pseudonym")
    director.post(address_of(alone, "delete"), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [row.pk for row in others], "post": "yes"}
    assert director.post("/admin/prizes/exclusion/", chosen).status_code == 302
    added = [("exclude", DIRECTOR, viewer) for viewer in viewers]
    removed = {("include", DIRECTOR, viewer) for viewer in viewers}
    found = told(show)
    assert (found[:4], {*found[3:]}) == ([*added, ("include", DIRECTOR, viewers[0])], removed)
    public = str([entry_body(entry) for entry in LedgerEntry.objects.filter(show=show)])
    assert not any(words in public for words in (*viewers, DIRECTOR, "Lin Mei"))


def test_an_exclusion_that_cannot_be_told_does_not_happen(show: Show) -> None:
    note([{"show": show.slug, "of": ENTRY, "told": 9, "held": 0}], now_ms())
    fields = {"show": show.pk, "pseudonym": "ab" * 14}
    assert crew(DIRECTOR).post("/admin/prizes/exclusion/add/", fields).status_code == 403
    assert (Exclusion.objects.count(), told(show)) == (0, [])


# --- parties ---


def test_only_a_director_invites_parties_and_a_name_stays(show: Show) -> None:
    fields = {"show": show.pk, "name": "notary", "title": "A notary"}
    assert crew(OPERATOR).post("/admin/prizes/party/add/", fields).status_code == 403
    director = crew(DIRECTOR)
    assert "valid “slug”" in errors_of(
        director.post("/admin/prizes/party/add/", {**fields, "name": "a notary"})
    )
    assert errors_of(director.post("/admin/prizes/party/add/", {**fields, "name": "house"}))
    assert director.post("/admin/prizes/party/add/", fields).status_code == 302
    party = Party.objects.get()
    assert director.post(address_of(party), {**fields, "name": "other", "title": "Notary"}).status_code == 302
    party.refresh_from_db()
    assert (party.name, party.title) == ("notary", "Notary")


def test_a_party_is_removed_before_arming_and_not_while_a_draw_waits_for_it(show: Show) -> None:
    notary = Party.objects.create(show=show, name="notary", title="A notary")
    segment = make_segment(show)
    commit_party(segment.prize_lists.get(), notary, "ab" * 32, actor="nora")
    armed = arm(segment)
    director, mallory = crew(DIRECTOR), User.objects.create_user("mallory")
    assert director.post(address_of(notary, "delete"), {"post": "yes"}).status_code == 403
    director.post(address_of(notary), {"title": "A notary", "user": mallory.pk})
    notary.refresh_from_db()
    assert notary.user is None
    Segment.objects.filter(pk=armed.pk).update(phase=Phase.VOID)
    assert director.post(address_of(notary, "delete"), {"post": "yes"}).status_code == 302
    assert not Party.objects.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"seal_margin_s": 14}, "greater than or equal to 15"),
        ({"reveal_deadline_s": 9}, "greater than or equal to 10"),
        ({"seal_margin_s": 20, "reveal_deadline_s": 21}, "it has to be shorter"),
        ({"claim_s": 9}, "greater than or equal to 10"),
    ],
)
def test_times_that_the_rules_refuse_are_errors_on_the_form(
    bare: Segment, fields: dict[str, Any], said: str
) -> None:
    assert said in errors_of(post_list(bare, PRIZE, **fields))
    assert not PrizeList.objects.exists()


# --- what is only read ---


@pytest.fixture
def drawn(show: Show) -> Draw:
    """A drawn segment, not published yet, and another that waits for dice."""
    return nights.once("drawn and by dice", lambda: play_both(show))


def play_both(show: Show) -> Draw:
    draws = []
    for beacon in ("local", "dice"):  # drawn in the order of their seals
        segment = put_on_air(
            armed_segment(show, beacon=beacon), opened_ms_ago=35_000, left_ms=-15_000, phase=Phase.CLOSING
        )
        for number in range(1, 4):
            viewer = bytes([number]) * 14
            tally.connect().zadd(
                own(f"tally:{segment.key}:{tally.shard_of(viewer, segment.shards)}"), {viewer: 9}
            )
        tasks.advance_seal(segment.pk, partial(freeze.freeze_shard, segment.pk))
        draws.append(segment.draws.get())
    enter_dice(draws[1].segment_id, ("123456" * 9)[:50], actor="olga")
    return drawing.run_draw(draws[0].pk)


@pytest.mark.parametrize("model", READ_ONLY)
def test_nobody_adds_changes_or_deletes_what_the_system_writes(drawn: Draw, model: Any) -> None:
    client, row, before = chief(), model.objects.first(), list(model.objects.values())
    assert client.get(address_of(row)).status_code == 200
    folder = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    assert client.get(folder).status_code == 200
    assert client.get(f"{folder}add/").status_code == 403
    assert client.post(address_of(row), {"reason": "x", "step": "sealed"}).status_code == 403
    assert client.post(address_of(row, "delete"), {"post": "yes"}).status_code == 403
    client.post(folder, {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
    assert list(model.objects.values()) == before


def test_no_page_shows_the_house_secret_or_the_digits_of_another_operator(drawn: Draw) -> None:
    client = chief()
    pages = [client.get(address_of(draw)).text for draw in Draw.objects.all()]
    assert not any("gAAAAA" in page for page in pages)  # how everything encrypted at rest begins
    entry = DiceEntry.objects.get()
    for path in (address_of(entry), "/admin/prizes/diceentry/"):
        page = client.get(path).text
        assert "olga" in page
        assert "123456" not in page


def test_winners_are_told_on_stage_before_an_operator_reads_them(drawn: Draw) -> None:
    winner = drawn.wins.earliest("rank").pseudonym
    paths = (address_of(drawn), "/admin/prizes/win/")
    assert [winner in crew(OPERATOR).get(path).text for path in paths] == [False, False]
    assert [winner in crew(AUDITOR).get(path).text for path in paths] == [True, True]
    assert json.loads(drawn.rules)["draw_id"] in crew(OPERATOR).get(address_of(drawn)).text


def test_nothing_from_which_winners_follow_is_shown_before_the_publication(drawn: Draw) -> None:
    hidden = (drawn.beacon_value, drawn.record_digest)
    assert all(hidden)
    pages = {role: crew(role).get(address_of(drawn)).text for role in (OPERATOR, DIRECTOR, AUDITOR)}
    for text in hidden:
        assert [text in pages[role] for role in (OPERATOR, DIRECTOR, AUDITOR)] == [False, False, True]
    for name in ("beacon_value", "record_digest", "house_secret"):
        asked = crew(OPERATOR).get(f"/admin/prizes/draw/?{name}__startswith=a")
        assert asked.status_code in (302, 400)
    Draw.objects.filter(pk=drawn.pk).update(step=Draw.Step.PUBLISHED)
    assert all(text in crew(OPERATOR).get(address_of(drawn)).text for text in hidden)


def test_every_list_of_the_administration_opens_for_those_who_may_read_it(drawn: Draw) -> None:
    for role in (OPERATOR, DIRECTOR, AUDITOR):
        client = crew(role)
        assert "Shake to win" in client.get("/admin/").text
        for model in admin.site._registry:
            if model._meta.app_label in ("engagement", "prizes"):
                path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
                assert client.get(path).status_code == 200, path


# --- which night? ---


def offered(browser: Client, model: str, field: str) -> dict[int, str]:
    """What a box of the administration has to choose from."""
    app = "engagement" if model == "segment" else "prizes"
    asked = {"app_label": app, "model_name": model, "field_name": field}
    results = browser.get("/admin/autocomplete/", asked).json()["results"]
    return {int(row["id"]): row["text"] for row in results}


def test_two_shows_with_one_title_differ_wherever_one_is_chosen(show: Show) -> None:
    other = make_show(slug="gala-2", title="Gala")
    first, second = make_segment(show), make_segment(other)
    director = crew(DIRECTOR)
    for model, field in (("segment", "show"), ("exclusion", "show"), ("party", "show")):
        assert offered(director, model, field) == {show.pk: "Gala (gala)", other.pk: "Gala (gala-2)"}
    drafts = {first.pk: "Gala (gala): 1. Segment 1", second.pk: "Gala (gala-2): 1. Segment 1"}
    assert offered(director, "prizelist", "segment") == drafts
    prize_list = second.prize_lists.get()
    assert (
        f'<option value="{second.pk}" selected>{drafts[second.pk]}</option>'
        in director.get(address_of(prize_list)).text
    )
    for name in ("engagement/segment", "prizes/prizelist"):
        listed = director.get(f"/admin/{name}/").text
        assert "Gala (gala)</" in listed and "Gala (gala-2)</" in listed, name
    console = director.get("/console/").text
    assert 'class="mono">gala</td>' in console and 'class="mono">gala-2</td>' in console
