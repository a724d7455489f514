"""A restored database in the control room and on the terminal."""

import json

import pytest
from django.core.management import call_command

from engagement.clock import now_ms
from engagement.ledger.append import append_entry
from engagement.models import Restore, Segment, Show
from engagement.restores import ENTRY, note, trouble
from engagement.roles import AUDITOR, DIRECTOR, OPERATOR
from prizes.recovery import confirm_restore
from prizes.tasks import conduct_draws
from tests.cast import arm, armed_segment, make_segment, make_show
from tests.prizes.pipeline import ended, rolled_back
from tests.prizes.test_console import crew, press

pytestmark = pytest.mark.django_db(transaction=True)

TOLD = "The database is older than what was announced from it: gala was at ledger entry 9 and is at ledger entry 0."
BUTTON = "Go on with this database"


@pytest.fixture
def segment() -> Segment:
    """A draft of a show that has lost something."""
    show = make_show(slug="gala")
    append_entry(show, "step")
    note([{"show": "gala", "of": ENTRY, "told": 9, "held": 0}], now_ms())
    return make_segment(show)


@pytest.mark.parametrize(("role", "may"), [(DIRECTOR, True), (OPERATOR, False), (AUDITOR, False)])
def test_everybody_of_the_crew_is_told_and_a_director_may_go_on(
    segment: Segment, role: str, may: bool
) -> None:
    client = crew(role)
    page = client.get("/console/gala/").text
    assert TOLD in page and (BUTTON in page) == may
    assert client.get("/console/gala/live").json()["restored"].startswith(TOLD)
    assert TOLD in client.get("/console/").text
    answer = client.post("/console/gala/restore/", headers={"Accept": "application/json"})
    assert (answer.status_code, trouble() == "") == ((200, True) if may else (403, False))


def test_buttons_are_refused_with_the_reason_until_a_director_goes_on(segment: Segment) -> None:
    director = crew(DIRECTOR)
    status, said = press(director, segment, "arm")
    assert status == 409 and said["message"].startswith(TOLD) and said["phase"] == "draft"
    page = director.post("/console/gala/restore/", follow=True).text
    assert "The restore is confirmed. Begun anew: gala." in page and TOLD not in page
    assert press(director, segment, "arm")[0] == 200
    assert director.post("/console/gala/restore/", headers={"Accept": "application/json"}).status_code == 409
    assert Restore.objects.get().confirmed_by == DIRECTOR


def test_draws_that_are_made_after_a_restore_have_numbers_that_were_never_given(segment: Segment) -> None:
    director = crew(DIRECTOR)
    director.post("/console/gala/restore/")
    press(director, segment, "arm")
    later = armed_segment(segment.show)
    first, second = (row.draws.get().pk for row in (segment, later))
    assert first > 1000 and first % 1000 == 1 and second == first + 1


def test_draws_after_two_restores_of_one_backup_have_different_numbers(segment: Segment) -> None:
    numbers = set()
    for _ in range(3):
        with rolled_back():
            confirm_restore(actor=DIRECTOR)
            numbers.add(arm(segment).draws.get().pk)
    assert len(numbers) > 1


def test_no_step_of_a_draw_is_started_or_counted_as_a_fault(segment: Segment) -> None:
    Restore.objects.update(confirmed_at_ms=1, confirmed_by=DIRECTOR)
    press(crew(DIRECTOR), segment, "arm")
    segment.refresh_from_db()
    ended(segment)
    Restore.objects.update(confirmed_at_ms=None)
    conduct_draws()
    draw = segment.draws.get()
    assert (draw.attempts, draw.trouble, Show.objects.get().draws.filter(seal="").count()) == (0, "", 1)


def test_the_terminal_tells_it(segment: Segment, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("segment", "status", str(segment.pk))
    assert TOLD in capsys.readouterr().out
    call_command("segment", "status", str(segment.pk), "--json")
    assert json.loads(capsys.readouterr().out)["restored"].startswith(TOLD)
