"""What the crew puts on the screens."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from engagement.actions import ActionRefused, open_segment
from engagement.clock import now_ms
from engagement.core.messages import Prize as PrizeShown
from engagement.cues import KINDS, set_cue
from engagement.models import LedgerEntry, Show
from engagement.roles import AUDITOR as AUDITORS
from engagement.roles import OPERATOR as OPERATORS
from engagement.roles import create_roles
from prizes.models import Prize
from prizes.views.cues import SAID
from tests.cast import OPERATOR, arm, armed_segment, make_segment, make_show, state_in_redis

pytestmark = pytest.mark.django_db(transaction=True)
JSON = {"Accept": "application/json"}


@pytest.fixture
def show() -> Show:
    return make_show()


def crew(role: str) -> Client:
    create_roles()
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


def kind_of(show: Show) -> str:
    return str(Show.objects.get(pk=show.pk).cue["kind"])


def test_a_cue_reaches_every_gateway_and_the_ledger(show: Show) -> None:
    segment = armed_segment(show)
    prize = Prize.objects.filter(prize_list__segment=segment).earliest("pk").pk
    now = now_ms()
    set_cue(show.pk, "prize", prize=prize, actor=OPERATOR, now=now)
    cue = state_in_redis(show).cue
    assert (cue.kind, cue.prize, cue.at) == ("prize", prize, now)
    assert isinstance(cue.shown, PrizeShown) and cue.shown.id == prize
    entry = LedgerEntry.objects.latest("position")
    assert (entry.action, entry.details) == ("cue", f'{{"kind":"prize","prize":{prize}}}')


@pytest.mark.parametrize(
    ("kind", "prize", "why"),
    [("fireworks", None, "expected a cue"), ("prize", None, "takes the number"), ("clear", 1, "takes the number"),
     ("prize", 10**9, "is not one that this show has announced")],
)  # fmt: skip
def test_what_is_no_cue_is_refused_and_changes_nothing(
    show: Show, kind: str, prize: int | None, why: str
) -> None:
    draft = make_segment(show)
    before = LedgerEntry.objects.count()
    with pytest.raises(ActionRefused, match=why):
        set_cue(show.pk, kind, prize=prize, actor=OPERATOR)
    with pytest.raises(ActionRefused, match="announced"):  # a draft's prizes are nobody's business yet
        set_cue(
            show.pk,
            "prize",
            prize=Prize.objects.filter(prize_list__segment=draft).earliest("pk").pk,
            actor=OPERATOR,
        )
    assert (kind_of(show), LedgerEntry.objects.count()) == ("auto", before)


@pytest.mark.parametrize("kind", KINDS)
def test_arming_and_opening_end_every_cue_but_the_standby_picture(show: Show, kind: str) -> None:
    prize = Prize.objects.filter(prize_list__segment=armed_segment(show)).earliest("pk").pk
    second = make_segment(show)
    left = "standby" if kind == "standby" else "auto"
    for act in (lambda: arm(second), lambda: open_segment(second.pk, actor=OPERATOR)):
        set_cue(show.pk, kind, prize=prize if kind == "prize" else None, actor=OPERATOR)
        act()
        assert kind_of(show) == left


def test_operators_press_it_and_auditors_do_not(show: Show) -> None:
    operator, auditor = crew(OPERATORS), crew(AUDITORS)
    prize = Prize.objects.filter(prize_list__segment=armed_segment(show)).earliest("pk").pk
    for kind in KINDS:
        told = operator.post(f"/console/{show.slug}/cue/", {"kind": kind, "prize": prize}, headers=JSON)
        assert (told.status_code, told.json()["message"], kind_of(show)) == (200, SAID[kind], kind)
    assert operator.get(f"/console/{show.slug}/live").json()["cue"] == KINDS[-1]
    for fields in ({}, {"kind": "x"}, {"kind": "prize"}, {"kind": "prize", "prize": "1" * 30}):
        assert operator.post(f"/console/{show.slug}/cue/", fields, headers=JSON).status_code == 409
    assert auditor.post(f"/console/{show.slug}/cue/", {"kind": "auto"}, headers=JSON).status_code == 403
    assert "cue-auto" not in auditor.get(f"/console/{show.slug}/").text
    assert kind_of(show) == KINDS[-1]
