"""The names of winners: each once in a show."""

import pytest
from django.db import IntegrityError, transaction

from engagement.core.names import stage_name
from prizes.models import Win
from prizes.names import give_names
from tests.prizes.published import make_draw

pytestmark = pytest.mark.django_db


def like(win: Win, last: int) -> Win:
    """Somebody whose pseudonym makes the same name."""
    viewer = bytes.fromhex(win.pseudonym)[:6] + bytes(7) + bytes([last])
    return Win(
        show=win.show, draw=win.draw, prize=win.prize, piece=70 + last, rank=win.rank, pseudonym=viewer.hex()
    )


def test_a_second_winner_of_a_name_is_told_apart_and_everybody_keeps_theirs() -> None:
    first = make_draw().draw.wins.earliest("rank")
    assert first.name == stage_name(bytes.fromhex(first.pseudonym))
    second, third, again = like(first, 1), like(first, 2), like(first, 1)
    give_names(first.show_id, [second, third])
    Win.objects.bulk_create([second, third])
    give_names(first.show_id, [again])
    assert [second.name, third.name, again.name] == [
        f"{first.name} (2)",
        f"{first.name} (3)",
        f"{first.name} (2)",
    ]


def test_the_database_lets_no_two_holders_have_one_name() -> None:
    first = make_draw().draw.wins.earliest("rank")
    other = like(first, 1)
    other.name = first.name
    with pytest.raises(IntegrityError), transaction.atomic():
        other.save()
