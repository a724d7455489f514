"""Budgets: how many free guest passes a neighbourhood has per hour, and what a pass costs past that. Pure."""

import hashlib
import hmac
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from engagement.fair_play.core.carriers import Carrier
from engagement.fair_play.core.origins import BLOCK_BYTES, BLOCK_PURPOSE, NO_BLOCK, block_of, parse_origin

HOUR_MS = 3_600_000
EASIEST = (
    2_048  # counters among which the answer of the easiest challenge lies: half of them are tried on average
)
MOST_LEVEL = 6  # 64-fold
SLACK = 1  # so many levels a solution may be behind: neighbours work at the same time
CODE_BUDGETS = 20  # so many budgets of a block are given for the code shown on air, per hour
ATTESTED_BUDGETS = 20  # and so many for attestations: one device can have many keys
ASKS = 20  # so many challenges per free pass a block may ask for in an hour


class Limits(NamedTuple):
    """Free passes per hour: of an IPv4 address, of an IPv6 /64, and of the /48 around it."""

    ipv4: int
    ipv6_64: int
    ipv6_48: int


class Neighbourhood(NamedTuple):
    """Where somebody comes from: the block and the carrier of an origin, and the budgets that hold there.

    `budgets` are (name of a block in hex, free passes per hour), the widest block first.
    """

    block: bytes
    carrier: int
    budgets: tuple[tuple[str, int], ...]


class CarrierTable:
    """The promised carriers, for many look-ups: a dictionary for each length of a prefix."""

    def __init__(self, carriers: Sequence[Carrier] = ()) -> None:
        self._factors = [1, *(factor for _, factor in carriers)]
        self._numbers: dict[tuple[int, int], dict[int, int]] = {}
        for number, (prefix, _) in enumerate(carriers, 1):
            text, _, length = prefix.partition("/")
            version, bits = (6, 128) if ":" in text else (4, 32)
            network = int(IPv6Address(text) if version == 6 else IPv4Address(text))
            self._numbers.setdefault((version, bits - int(length)), {})[network >> bits - int(length)] = (
                number
            )
        self._order = sorted(self._numbers, key=lambda key: key[1])  # the longest prefix first
        self._by_prefix = {prefix: number for number, (prefix, _) in enumerate(carriers, 1)}

    def number_of(self, prefix: str) -> int:
        """Return 1 + the index of the carrier with exactly this prefix; 0 without one.

        >>> table = CarrierTable([("203.0.113.0/24", 50)])
        >>> table.number_of("203.0.113.0/24"), table.number_of("203.0.113.0/25"), table.number_of("")
        (1, 0, 0)
        """
        return self._by_prefix.get(prefix, 0)

    def find(self, address: IPv4Address | IPv6Address) -> tuple[int, int]:
        """Return 1 + the index of the carrier with the longest prefix around this address, and its factor.

        Without one it is 0, and the factor 1.

        >>> from ipaddress import ip_address
        >>> table = CarrierTable([("203.0.0.0/16", 2), ("203.0.113.0/24", 50), ("2001:db8::/32", 8)])
        >>> [table.find(ip_address(text)) for text in ("203.0.113.7", "203.0.1.1", "2001:db8::1", "192.0.2.1")]
        [(2, 50), (1, 2), (3, 8), (0, 1)]
        """
        for version, shift in self._order:
            if version == address.version:
                number = self._numbers[version, shift].get(int(address) >> shift)
                if number is not None:
                    return number, self._factors[number]
        return 0, 1


def find_neighbourhood(
    k_show: bytes, address: IPv4Address | IPv6Address, limits: Limits, carriers: CarrierTable
) -> Neighbourhood:
    """Return the neighbourhood of an address in the show with this key (32 bytes).

    Source: docs/fair-play.md, "Budgets".

    >>> from ipaddress import ip_address
    >>> home = find_neighbourhood(bytes(32), ip_address("2001:db8::1"), Limits(60, 20, 120), CarrierTable())
    >>> home.carrier, [free for _, free in home.budgets], home.block.hex() == home.budgets[0][0]
    (0, [120, 20], True)
    """
    number, factor = carriers.find(address)
    if isinstance(address, IPv4Address):
        blocks = [(_name(k_show, address, 32), limits.ipv4)]
    else:
        blocks = [(_name(k_show, address, 48), limits.ipv6_48), (_name(k_show, address, 64), limits.ipv6_64)]
    budgets = tuple((name.hex(), free * factor) for name, free in blocks)
    return Neighbourhood(blocks[0][0], number, budgets)


def place_origin(
    origin: bytes,
    prefix: str,
    here: IPv4Address | IPv6Address,
    k_show: bytes,
    carriers: CarrierTable,
) -> bytes:
    """Return the 10 bytes of an origin with the carrier that its block has in this list.

    A pass from before there were blocks gets the block that its phone is in now: else whoever had saved up such passes
    would have entries that share with nobody.

    Passes outlive changes of the list, and an index into another list is worth nothing. Whoever is `here` in the block
    of the pass has the carrier of this address; elsewhere it is the one with the `prefix` that the pass names, as long
    as the list has it.

    >>> from ipaddress import ip_address
    >>> from engagement.fair_play.core.origins import Origin
    >>> home, away = ip_address("203.0.113.7"), ip_address("192.0.2.1")
    >>> old = Origin("guest", 1, block_of(bytes(32), home)).pack()
    >>> table = CarrierTable([("192.0.2.0/24", 9), ("203.0.113.0/24", 50)])
    >>> [place_origin(old, prefix, here, bytes(32), table)[1]
    ...  for prefix, here in (("", home), ("203.0.113.0/24", away), ("", away), ("198.51.100.0/24", away))]
    [2, 2, 0, 0]
    >>> before = Origin("guest", 0, bytes(8)).pack()
    >>> place_origin(before, "", home, bytes(32), table) == place_origin(old, "", home, bytes(32), table)
    True
    """
    found = parse_origin(origin)
    if found.block == NO_BLOCK:
        found = found._replace(block=block_of(k_show, here))
    is_home = block_of(k_show, here) == found.block
    number = carriers.find(here)[0] if is_home else carriers.number_of(prefix)
    return found._replace(carrier=number).pack()


def level_of(earned: int, budget: int) -> int:
    """Return how often the work of a pass has doubled once so many were earned: with each budget used up, up to 6.

    >>> [level_of(earned, 60) for earned in (0, 59, 60, 120, 10_000)], level_of(3, 0)
    ([0, 0, 1, 2, 6], 3)
    """
    return min(MOST_LEVEL, earned // max(1, budget))


def counters_of(level: int) -> int:
    """Return among how many counters the answer of a challenge lies.

    >>> counters_of(0), counters_of(6)
    (2048, 131072)
    """
    return EASIEST << level


def _name(k_show: bytes, address: IPv4Address | IPv6Address, length: int) -> bytes:
    """As `block_of`, and for a /64, too."""
    shift = address.max_prefixlen - length
    network = (int(address) >> shift << shift).to_bytes(address.max_prefixlen // 8, "big")
    return hmac.digest(k_show, BLOCK_PURPOSE + network + bytes([length]), hashlib.sha256)[:BLOCK_BYTES]
