"""The prizes of a spoiled segment: drawn again by two people, with that draw named in the rules."""

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from engagement.actions import ActionRefused, Conflict
from engagement.core.phases import Phase
from engagement.models import LedgerEntry, Segment, Show
from prizes.models import Draw, Repeat
from prizes.steps.arm import arm_segment
from prizes.steps.repeat import repeat_segment
from prizes.steps.spoil import spoil_segment
from prizes.steps.void import void_segment
from tests.cast import OPERATOR, armed_segment, make_segment
from tests.prizes.pipeline import ended

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spoiled(show: Show) -> Segment:
    segment = ended(armed_segment(show))
    return spoil_segment(segment.pk, "the round was out")


def test_two_people_have_the_prizes_drawn_again_and_the_rules_name_the_spoiled_draw(
    show: Show, spoiled: Segment, client: Client
) -> None:
    old = spoiled.draws.get()
    with pytest.raises(ActionRefused, match="needs a reason"):
        repeat_segment(spoiled.pk, actor="dirk", reason=" ")
    assert repeat_segment(spoiled.pk, actor="dirk", reason="the round was out").draft is None
    for same in ("dirk", "dirk"):
        with pytest.raises(ActionRefused, match="second person"):
            repeat_segment(spoiled.pk, actor=same)
    made = repeat_segment(spoiled.pk, actor="dora").draft
    assert made is not None and (made.phase, made.title) == (Phase.DRAFT, spoiled.title)
    with pytest.raises(Conflict, match="already"):
        repeat_segment(spoiled.pk, actor="dora")
    arm_segment(made.pk, actor=OPERATOR)
    draw = made.draws.get()
    assert draw.promised["repeats"] == old.draw_id
    strip = [{**row, "id": ""} for row in draw.promised["prizes"]]
    assert strip == [{**row, "id": ""} for row in old.promised["prizes"]]
    assert f"the prizes of {old.draw_id}, which was spoiled" in client.get(f"/draws/{draw.pk}/").text
    told = [
        (row.action, row.actor) for row in LedgerEntry.objects.filter(show=show, action__contains="repeat")
    ]
    assert told == [("ask repeat", "dirk"), ("repeat", "dora")]


def test_a_repeat_that_was_called_off_can_be_asked_for_again(spoiled: Segment) -> None:
    for _ in range(2):
        repeat_segment(spoiled.pk, actor="dirk", reason="the round was out")
        made = repeat_segment(spoiled.pk, actor="dora").draft
        assert made is not None
        void_segment(made.pk, actor=OPERATOR, reason="rain")
    assert Repeat.objects.filter(segment=spoiled).count() == 2


def test_the_same_garment_is_not_armed_again_behind_anybodys_back(show: Show, spoiled: Segment) -> None:
    again = make_segment(show)
    theirs, mine = spoiled.draws.get().promised["prizes"][0], again.prize_lists.get().prizes.first()
    assert mine is not None
    for name in ("celebrity", "brand", "garment", "size"):
        setattr(mine, name, theirs[name])
    mine.save()
    with pytest.raises(ActionRefused, match="which was spoiled"):
        arm_segment(again.pk, actor=OPERATOR)
    again.prize_lists.update(repeats="gala/seg-9/draw-9")
    with pytest.raises(ActionRefused, match="which was spoiled"):
        arm_segment(again.pk, actor=OPERATOR)
    mine.size = "another"
    mine.save()
    again.prize_lists.update(repeats="")
    others = [prize for prize in again.prize_lists.get().prizes.all() if prize.pk != mine.pk]
    for number, prize in enumerate(others):
        prize.size = f"other {number}"
        prize.save()
    assert arm_segment(again.pk, actor=OPERATOR).phase == Phase.ARMED


def test_only_what_was_spoiled_is_drawn_again(show: Show) -> None:
    with pytest.raises(ActionRefused, match="only the prizes of a spoiled segment"):
        repeat_segment(armed_segment(show).pk, actor="dirk", reason="why not")


def test_the_database_wants_two_people_too(spoiled: Segment) -> None:
    row = Repeat.objects.create(segment=spoiled, reason="why", asked_by="dirk")
    for change in ({"agreed_by": "dirk", "draft": spoiled}, {"agreed_by": "dora"}, {"draft": spoiled}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Repeat.objects.filter(pk=row.pk).update(**change)
    assert Draw.objects.get(segment=spoiled).step == Draw.Step.SPOILED
