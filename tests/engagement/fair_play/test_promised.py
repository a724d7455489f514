"""What a show promises is in the rules, in the state of the gateways and, with every change, in the ledger."""

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from engagement.actions import describe_show
from engagement.fair_play.models import FairPlay
from engagement.fair_play.promised import promise_of
from engagement.models import LedgerEntry, Show
from engagement.roles import OPERATOR
from prizes.models import Draw
from tests.cast import armed_segment, make_segment, make_show
from tests.prizes.test_admin import crew, rows_of

pytestmark = pytest.mark.django_db


def promise(show: Show, **fields: Any) -> None:
    FairPlay.objects.filter(show=show).update(**fields)


def test_a_new_show_promises_the_defaults_in_its_rules_and_in_its_state() -> None:
    show = armed_segment(make_show()).show
    promised = json.loads(Draw.objects.get(show=show).rules)["fair_play"]
    assert promised == promise_of(show) == {
        "guests": True, "max_hz": 8, "burst": 10, "grace_ms": 600, "ways": ["work"],
        "passes": {"ipv4": 60, "ipv6_48": 120, "ipv6_64": 20}, "carriers": [], "most_tickets": {},
        "shared": {"kinds": ["code", "guest", "work"], "entries": 150},
    }  # fmt: skip
    state = describe_show(show)
    assert (state.max_hz, state.burst, state.grace_ms, state.guests) == (8, 10, 600, True)
    assert (state.fair_play.ways, state.fair_play.passes_ipv4, state.fair_play.keeps_origins) == (
        ["work"],
        60,
        True,
    )


def test_a_show_from_before_there_were_promises_has_the_same() -> None:
    show = make_show()
    before = promise_of(show)
    FairPlay.objects.filter(show=show).delete()
    assert promise_of(Show.objects.get(pk=show.pk)) == before


def test_carriers_and_caps_are_promised_in_their_one_form() -> None:
    show = make_show()
    promise(
        show,
        carriers=" 203.0.113.0/24  50 \n",
        most_tickets={"guest": 1},
        shared_entries=0,
        ways=["code", "attested"],
    )
    armed = armed_segment(show)
    found = json.loads(Draw.objects.get(segment=armed).rules)["fair_play"]
    assert (found["carriers"], found["most_tickets"]) == ([["203.0.113.0/24", 50]], {"guest": 1})
    assert (found["shared"]["entries"], found["ways"]) == (0, ["attested", "code"])
    assert describe_show(show).fair_play.carriers == [("203.0.113.0/24", 50)]


def test_origins_are_kept_only_where_something_may_depend_on_them() -> None:
    show = make_show(guests_allowed=False)
    promise(show, shared_entries=0)
    assert not describe_show(show).fair_play.keeps_origins
    promise(show, most_tickets={"guest": 0})
    assert describe_show(show).fair_play.keeps_origins


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"carriers": "203.0.113.7/24 5"}, "line 1: expected a network"),
        ({"ways": ["guest"]}, "a way of work, code, attested"),
        ({"most_tickets": {"app": 1}}, "most tickets of guest"),
        ({"passes_ipv4": 1_000_001}, "less than or equal to 1000000"),
    ],
)
def test_what_nobody_can_promise_is_an_error_that_says_so(fields: dict[str, Any], said: str) -> None:
    row = make_show().fair_play
    for name, value in fields.items():
        setattr(row, name, value)
    with pytest.raises(ValidationError, match=said):
        row.full_clean()


# --- the administration ---


def form_of(show: Show, **fields: Any) -> dict[str, Any]:
    """The form of the show as it stands, but for these fields; those of fair play have its prefix."""
    row = show.fair_play
    names = (
        "slug",
        "title",
        "max_hz",
        "burst",
        "grace_ms",
        "draws_per_minute",
        "max_prize_value",
        "roll_visibility",
    )
    values = {name: getattr(show, name) for name in names} | {"guests_allowed": "on"}
    feeds = [
        {
            "id": feed.pk,
            "show": show.pk,
            "name": feed.name,
            "title": feed.title,
            "delay_ms": feed.delay_ms,
            "position": feed.position,
        }
        for feed in show.feeds.all()
    ]
    own = {"id": row.pk, "show": show.pk, "ways": row.ways, "passes_ipv4": row.passes_ipv4, "carriers": row.carriers,
           "passes_ipv6_64": row.passes_ipv6_64, "passes_ipv6_48": row.passes_ipv6_48,
           "shared_entries": row.shared_entries, "most_tickets": json.dumps(row.most_tickets)}  # fmt: skip
    form = {**values, **rows_of("feeds", *feeds, initial=2), **rows_of("fair_play", own, initial=1)} | fields
    return {name: value for name, value in form.items() if value is not None}


def save(client: Client, show: Show, **fields: Any) -> int:
    return client.post(f"/admin/engagement/show/{show.pk}/change/", form_of(show, **fields)).status_code


def told(show: Show) -> list[tuple[str, str, Any, Any]]:
    entries = LedgerEntry.objects.filter(show=show, action="change").order_by("position")
    details = [(entry.actor, json.loads(entry.details)) for entry in entries]
    return [(actor, said["field"], said["old"], said["new"]) for actor, said in details]


def test_every_change_is_a_line_of_the_ledger_with_field_old_and_new_value() -> None:
    show, client = make_show(), crew(OPERATOR)
    assert save(client, show) == 302
    assert told(show) == []
    changes = {"guests_allowed": None, "max_hz": 9, "feeds-1-delay_ms": 900, "title": "Renamed",
               "fair_play-0-ways": ["code", "work"], "fair_play-0-shared_entries": 7,
               "fair_play-0-most_tickets": '{"guest": 2}'}  # fmt: skip
    assert save(client, show, **changes) == 302
    assert told(show) == [
        (OPERATOR, "guests_allowed", True, False),
        (OPERATOR, "max_hz", 8, 9),
        (OPERATOR, "fair_play.ways", ["work"], ["code", "work"]),
        (OPERATOR, "fair_play.shared_entries", 150, 7),
        (OPERATOR, "fair_play.most_tickets", {}, {"guest": 2}),
        (OPERATOR, "feeds", [["app", 0], ["tv", 400]], [["app", 0], ["tv", 900]]),
    ]


def test_a_wrong_carrier_is_an_error_on_the_form() -> None:
    show, client = make_show(), crew(OPERATOR)
    page = client.post(
        f"/admin/engagement/show/{show.pk}/change/", form_of(show, **{"fair_play-0-carriers": "10.0.0.1/8 2"})
    )
    assert (page.status_code, "line 1: expected a network as in 203.0.113.0/24" in page.text) == (200, True)
    assert told(show) == []


def test_while_a_segment_is_armed_nothing_of_it_changes_and_nothing_is_told() -> None:
    show, client = armed_segment(make_show()).show, crew(OPERATOR)
    save(
        client,
        show,
        guests_allowed=None,
        max_hz=50,
        **{"fair_play-0-shared_entries": 0, "feeds-1-delay_ms": 0},
    )
    show = Show.objects.get(pk=show.pk)
    assert (show.guests_allowed, show.max_hz, show.fair_play.shared_entries) == (True, 8, 150)
    assert told(show) == []
    make_segment(show)
