"""A promise is refused before it is made where nobody could keep it."""

from copy import deepcopy
from typing import Any

import pytest

from engagement.fair_play.core.promise import EXAMPLE, check_promise, check_ways


def test_a_promise_is_a_value_of_its_own() -> None:
    given = deepcopy(EXAMPLE)
    made = check_promise(given)
    assert made == EXAMPLE
    given["shared"]["kinds"].append("attested")
    assert made == EXAMPLE


def test_names_come_sorted_whatever_the_order() -> None:
    shared = {"kinds": ["work", "guest"], "entries": 0}
    made = check_promise({**EXAMPLE, "ways": ["work", "attested"], "shared": shared})
    assert (made["ways"], made["shared"]["kinds"]) == (["attested", "work"], ["guest", "work"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"guests": 1}, "guests as true or false, got 1"),
        ({"max_hz": 0}, "max_hz of 1 .. 50, got 0"),
        ({"burst": True}, "burst of 0 .. 32767, got True"),
        ({"grace_ms": 499}, "grace_ms of 500 .. 60000, got 499"),
        ({"ways": ["guest"]}, "a way of work, code, attested, got 'guest'"),
        ({"ways": ["work", "work"]}, "each way once"),
        ({"ways": "work"}, "a list of ways, got 'work'"),
        ({"passes": {"ipv4": 1}}, "expected passes with"),
        ({"passes": {"ipv4": -1, "ipv6_48": 1, "ipv6_64": 1}}, "passes of ipv4 of 0"),
        ({"carriers": [["203.0.113.0/24"]]}, r"carrier as \[prefix, factor\]"),
        ({"most_tickets": []}, "most tickets as"),
        ({"most_tickets": {"guest": 65_536}}, "most tickets of guest of 0 .. 65535"),
        ({"shared": {"kinds": ["app"], "entries": 1}}, "a kind of guest, work, code, attested, got 'app'"),
        ({"shared": {"kinds": [], "entries": 1_000_001}}, "shared entries of 0"),
        ({"shared": 250}, "expected shared with"),
        ({"more": 1}, "expected fair_play with"),
    ],
)
def test_what_cannot_be_promised_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_promise({**EXAMPLE, **changes})


def test_no_way_at_all_is_a_promise_too() -> None:
    assert check_ways(()) == []
