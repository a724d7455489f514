"""Carriers are networks in one spelling, each once, no longer than a block, and few enough for a byte."""

from ipaddress import ip_address

import pytest

from engagement.fair_play.core.carriers import MOST_CARRIERS, check_carriers, find_carrier, parse_carriers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("203.0.113.0/24", "line 1: expected a prefix and a factor, got '203.0.113.0/24'"),
        ("\n203.0.113.0/24 many", "line 2: expected a prefix and a factor"),
        ("203.0.113.0/24 10001", "factor of 1 .. 10000, got 10001"),
        ("carrier 5", "expected a network as in"),
        ("2001:db8::/64 5", "prefix of at most /48"),
        ("2001:DB8::/32 5", "expected '2001:db8::/32', got '2001:DB8::/32'"),
        ("203.0.113.9 5", "expected '203.0.113.9/32'"),
        ("::ffff:0:0/48 5", "expected a network as in"),
        ("203.0.113.0/24 2\n203.0.113.0/24 3", "each carrier once, got '203.0.113.0/24' again"),
    ],
)
def test_a_wrong_line_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_carriers(text)


def test_an_ipv4_network_in_the_clothes_of_ipv6_is_refused() -> None:
    with pytest.raises(ValueError, match="at most /48"):
        parse_carriers("::ffff:203.0.113.0/120 5")


def test_there_are_as_many_as_fit_a_byte_of_an_origin() -> None:
    rows = [(f"10.{number}.0.0/16", 2) for number in range(MOST_CARRIERS)]
    assert len(check_carriers(rows)) == MOST_CARRIERS
    with pytest.raises(ValueError, match="at most 200 carriers, got 201"):
        check_carriers([*rows, ("203.0.113.0/24", 2)])


@pytest.mark.parametrize("row", [("203.0.113.0/24", 1.5), ("203.0.113.0/24", True), (5, 5), "ab"])
def test_a_row_that_is_none_is_refused(row: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"carrier as|factor of"):
        check_carriers([row])


def test_the_longest_prefix_is_the_carrier() -> None:
    carriers = [("203.0.0.0/16", 2), ("203.0.113.0/24", 9), ("2001:db8::/32", 3)]
    found = [
        find_carrier(ip_address(text), carriers)
        for text in ("203.0.113.1", "203.0.1.1", "2001:db8::1", "9.9.9.9")
    ]
    assert found == [2, 1, 3, 0]
