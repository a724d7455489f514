"""`manage.py segment` acts on the show that was meant, and says which one that is."""

import json

import pytest
from django.core.management import CommandError, call_command

from engagement.core.phases import Phase
from engagement.models import Segment
from tests.cast import make_segment, make_show

pytestmark = pytest.mark.django_db(transaction=True)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    call_command("segment", *arguments)
    return capsys.readouterr().out


def phases() -> set[str]:
    return set(Segment.objects.values_list("phase", flat=True))


def test_it_prints_the_show_that_it_acts_on(capsys: pytest.CaptureFixture[str]) -> None:
    segment = make_segment(make_show(slug="gala", title="Gala"))
    assert (
        run(capsys, "arm", segment.pk)
        == f"Gala (gala): 1. Segment 1 is armed\n  draw {segment.draws.get().pk}: committed\n"
    )
    assert json.loads(run(capsys, "status", segment.pk, "--json"))["show"] == "gala"


def test_of_two_nights_with_one_title_it_wants_to_be_told_which(capsys: pytest.CaptureFixture[str]) -> None:
    tonight, rehearsal = (make_segment(make_show(slug=slug, title="Gala")) for slug in ("gala", "gala-2"))
    with pytest.raises(CommandError, match=r"of Gala \(gala\).*\(gala-2\).* with --show gala$"):
        call_command("segment", "arm", tonight.pk)
    with pytest.raises(CommandError, match=r"of Gala \(gala-2\), not of gala$"):
        call_command("segment", "arm", rehearsal.pk, "--show", "gala")
    assert phases() == {Phase.DRAFT}
    assert "Gala (gala-2): 1. Segment 1 is draft" in run(capsys, "status", rehearsal.pk)
    assert "Gala (gala): 1. Segment 1 is armed" in run(capsys, "arm", tonight.pk, "--show", "gala")


def test_a_number_that_is_a_place_in_another_rundown_wants_it_too() -> None:
    segment, other = make_segment(make_show(slug="gala")), make_show(slug="other")
    Segment.objects.create(show=other, position=segment.pk, title="The one that was meant, perhaps")
    with pytest.raises(CommandError, match=r"another show could be meant \(other\)"):
        call_command("segment", "arm", segment.pk)
    assert phases() == {Phase.DRAFT}


def test_a_segment_that_does_not_exist_is_said() -> None:
    with pytest.raises(CommandError, match="there is no segment 987"):
        call_command("segment", "arm", 987, "--show", "gala")
