"""What the tests of the draw side share."""

import pytest

from engagement.models import Show
from tests.clock import clock as clock
from tests.prizes import nights
from tests.prizes.winners import Person, make_people


@pytest.fixture
def show() -> Show:
    """A show that draws once a second, as fast as it goes."""
    return nights.show(draws_per_minute=60)


@pytest.fixture
def people(show: Show) -> dict[str, Person]:
    return make_people(show, 8)
