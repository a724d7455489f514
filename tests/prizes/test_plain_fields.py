"""What nobody can see is refused wherever people type a name, a title or a reason, with the name of the field."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from engagement.roles import DIRECTOR, OPERATOR
from tests.cast import make_segment, make_show
from tests.prizes.test_admin import FEEDS, SHOW, errors_of, rows_of
from tests.prizes.test_admin import crew as crew_of_admin
from tests.prizes.test_console import crew, press

pytestmark = pytest.mark.django_db

UNSEEN = ["\u202e", "\u200b", "\x07", "\u2066", "\u3164"]


@pytest.mark.parametrize("letter", UNSEEN)
def test_a_title_in_the_administration(letter: str) -> None:
    page = {**SHOW, "title": f"Gala{letter}night", **rows_of("feeds", *FEEDS)}
    said = errors_of(crew_of_admin(OPERATOR).post("/admin/engagement/show/add/", page))
    assert f"title: expected characters that can be seen, got U+{ord(letter):04X}" in said


def test_a_title_of_a_row_in_a_page_of_the_administration() -> None:
    first, others = FEEDS[0], FEEDS[1:]
    page = {**SHOW, **rows_of("feeds", {**first, "title": "App\u202eppA"}, *others)}
    answer = crew_of_admin(OPERATOR).post("/admin/engagement/show/add/", page)
    assert "title: expected characters that can be seen, got U+202E" in answer.text


@pytest.mark.parametrize("letter", UNSEEN)
def test_a_reason_at_a_button(letter: str) -> None:
    segment = make_segment(make_show(slug="gala"))
    status, body = press(crew(DIRECTOR), segment, "void", reason=f"by{letter}mistake")
    assert status == 409
    assert body["message"].startswith(
        f"reason: expected characters that can be seen, got U+{ord(letter):04X}"
    )


@pytest.mark.parametrize("option", ["--reason", "--as"])
@pytest.mark.parametrize("letter", UNSEEN)
def test_an_option_of_a_command(option: str, letter: str) -> None:
    with pytest.raises(CommandError, match=rf"argument {option}: expected .* got U\+{ord(letter):04X}"):
        call_command("segment", "void", "1", option, f"Ol{letter}ga", stdout=StringIO())
