"""Budgets: blocks, factors of carriers, and what the work of a pass grows to."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.fair_play.core.budgets import (
    MOST_LEVEL,
    CarrierTable,
    Limits,
    counters_of,
    find_neighbourhood,
    level_of,
)
from engagement.fair_play.core.carriers import find_carrier
from engagement.fair_play.core.origins import block_of, read_address

KEY = bytes(range(32))
LIMITS = Limits(60, 20, 120)
CARRIERS = [
    ("203.0.0.0/16", 2),
    ("203.0.113.0/24", 50),
    ("0.0.0.0/0", 3),
    ("2001:db8::/32", 8),
    ("2001:db8:7::/48", 4),
]
addresses = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0, 2**16 - 1).map(lambda low: IPv4Address(int(IPv4Address("203.0.0.0")) + low)),
    st.integers(0, 2**96 - 1).map(lambda low: IPv6Address(int(IPv6Address("2001:db8::")) + low)),
)


@given(addresses)
def test_the_table_finds_what_the_list_finds(address: IPv4Address | IPv6Address) -> None:
    number, factor = CarrierTable(CARRIERS).find(address)
    assert number == find_carrier(address, CARRIERS)
    assert factor == ([1] + [factor for _, factor in CARRIERS])[number]


@given(addresses)
def test_the_widest_block_is_that_of_an_origin(address: IPv4Address | IPv6Address) -> None:
    place = find_neighbourhood(KEY, address, LIMITS, CarrierTable())
    assert place.block == block_of(KEY, address) == bytes.fromhex(place.budgets[0][0])
    assert [free for _, free in place.budgets] == ([60] if address.version == 4 else [120, 20])


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("192.0.2.1", "192.0.2.1", 1),
        ("192.0.2.1", "192.0.2.2", 0),
        ("192.0.2.1", "::ffff:192.0.2.1", 1),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", 2),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", 1),
        ("2001:db8:1:2::1", "2001:db8:2:2::1", 0),
        ("192.0.2.1", "c000:201::", 0),
    ],
)
def test_neighbours_share_a_32_or_a_48_and_perhaps_a_64(one: str, other: str, common: int) -> None:
    places = [find_neighbourhood(KEY, read_address(text), LIMITS, CarrierTable()) for text in (one, other)]
    assert len(set(places[0].budgets) & set(places[1].budgets)) == common


def test_another_show_has_other_blocks_and_a_carrier_larger_budgets() -> None:
    address = ip_address("203.0.113.7")
    here, there = (
        find_neighbourhood(key, address, LIMITS, CarrierTable(CARRIERS)) for key in (KEY, bytes(32))
    )
    assert here.block != there.block
    assert here.carrier == there.carrier == 2 and here.budgets[0][1] == 60 * 50


@given(st.integers(0, 10**6), st.integers(0, 10**4))
def test_work_doubles_with_each_budget_and_not_for_ever(earned: int, budget: int) -> None:
    level = level_of(earned, budget)
    assert 0 <= level <= MOST_LEVEL and level <= level_of(earned + max(1, budget), budget)
    assert counters_of(level) == 2_048 * 2**level
