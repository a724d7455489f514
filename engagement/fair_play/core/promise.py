"""What a show promises about who counts: the field `fair_play` of the rules (docs/draw.md, section 1)."""

from collections.abc import Iterable, Mapping
from typing import Any

from engagement.fair_play.core.carriers import check_carriers
from engagement.fair_play.core.origins import ATTESTED, CODE, GUEST, KINDS, WORK

WAYS = (WORK, CODE, ATTESTED)  # in which more passes are earned
SHARED_KINDS = (CODE, GUEST, WORK)  # whose entries of one block share; sorted
ADDRESSES = ("ipv4", "ipv6_48", "ipv6_64")
MOST_PASSES = 1_000_000
MOST_ENTRIES = 1_000_000
BOUNDS = {"max_hz": (1, 50), "burst": (0, 32_767), "grace_ms": (500, 60_000)}
_FIELDS = {*BOUNDS, "guests", "ways", "passes", "carriers", "most_tickets", "shared"}


def check_promise(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the promise as a JSON value of its own; ValueError that says what was expected and what came.

    `guests` says whether anybody may take part, `max_hz`, `burst` and `grace_ms` what counts of a report (shakes per
    second, shakes, ms), `ways` how passes are earned beyond `passes`, the budgets by kind of address per hour.
    `carriers` are [prefix, factor], `most_tickets` maps kinds to tickets, and `shared` has the `kinds` whose
    `entries` a block shares (0: all of them count). Source: docs/draw.md, section 1.

    >>> check_promise(EXAMPLE)["shared"]["entries"]
    250
    >>> check_promise({**EXAMPLE, "max_hz": 51})
    Traceback (most recent call last):
    ...
    ValueError: expected max_hz of 1 .. 50, got 51
    """
    _expect_fields("fair_play", value, _FIELDS)
    if type(value["guests"]) is not bool:
        raise ValueError(f"expected guests as true or false, got {value['guests']!r}")
    limits = {name: _within(name, value[name], *bounds) for name, bounds in BOUNDS.items()}
    _expect_fields("passes", value["passes"], set(ADDRESSES))
    passes = value["passes"]
    _expect_fields("shared", value["shared"], {"kinds", "entries"})
    shared = value["shared"]
    return {
        "guests": value["guests"],
        **limits,
        "ways": check_ways(value["ways"]),
        "passes": {name: _within(f"passes of {name}", passes[name], 0, MOST_PASSES) for name in ADDRESSES},
        "carriers": [list(carrier) for carrier in check_carriers(value["carriers"])],
        "most_tickets": check_most_tickets(value["most_tickets"]),
        "shared": {
            "kinds": _check_names("kind", shared["kinds"], KINDS),
            "entries": _within("shared entries", shared["entries"], 0, MOST_ENTRIES),
        },
    }


def check_ways(ways: Iterable[Any]) -> list[str]:
    """Return the ways in which more passes are earned, sorted; ValueError for another one, or one that comes twice.

    >>> check_ways(["work", "code"])
    ['code', 'work']
    """
    return _check_names("way", ways, WAYS)


def check_most_tickets(value: Any) -> dict[str, int]:
    """Return kind -> the most tickets that an entry of it has; ValueError for another kind or number.

    >>> check_most_tickets({"guest": 3})
    {'guest': 3}
    >>> check_most_tickets({"app": 3})
    Traceback (most recent call last):
    ...
    ValueError: expected most tickets of guest, work, code, attested, got 'app'
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"expected most tickets as {{kind: tickets}}, got {value!r}")
    for kind, most in value.items():
        if kind not in KINDS:
            raise ValueError(f"expected most tickets of {', '.join(KINDS)}, got {kind!r}")
        _within(f"most tickets of {kind}", most, 0, 0xFFFF)
    return dict(value)


def _check_names(what: str, names: Any, known: tuple[str, ...]) -> list[str]:
    if not isinstance(names, list | tuple):
        raise ValueError(f"expected a list of {what}s, got {names!r}")
    for name in names:
        if name not in known:
            raise ValueError(f"expected a {what} of {', '.join(known)}, got {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"expected each {what} once, got {list(names)}")
    return sorted(names)


def _expect_fields(what: str, value: Any, fields: set[str]) -> None:
    if not isinstance(value, Mapping) or set(value) != fields:
        raise ValueError(f"expected {what} with {sorted(fields)}, got {value!r}")


def _within(name: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"expected {name} of {least} .. {most}, got {value!r}")
    return value


EXAMPLE: dict[str, Any] = {
    "guests": True,
    "max_hz": 8,
    "burst": 10,
    "grace_ms": 3000,
    "ways": ["work"],
    "passes": {"ipv4": 60, "ipv6_48": 120, "ipv6_64": 20},
    "carriers": [["203.0.113.0/24", 50]],
    "most_tickets": {},
    "shared": {"kinds": list(SHARED_KINDS), "entries": 250},
}
"""A promise, for examples and tests."""
