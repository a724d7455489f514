"""Carriers: parts of the address space whose blocks hold many people, with the factor of their budgets."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

MOST_CARRIERS = 200  # so that the index of one fits a byte of an origin
MOST_FACTOR = 10_000
BLOCK_PREFIX = {4: 32, 6: 48}  # a block is so long, and no carrier is longer

Carrier = tuple[str, int]


def parse_carriers(text: str) -> list[Carrier]:
    """Read carriers from a text, one `prefix factor` per line; empty lines do not count.

    ValueError that names the line for what is no network, or out of bounds.

    >>> parse_carriers("203.0.113.0/24 50\\n\\n2001:db8::/32 8")
    [('203.0.113.0/24', 50), ('2001:db8::/32', 8)]
    >>> parse_carriers("203.0.113.7/24 50")
    Traceback (most recent call last):
    ...
    ValueError: line 1: expected a network as in 203.0.113.0/24, got '203.0.113.7/24'
    """
    carriers = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            carriers.append(_read_words(words))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return check_carriers(carriers)


def check_carriers(carriers: Iterable[Sequence[object]]) -> list[Carrier]:
    """Return carriers as (prefix, factor); ValueError for a wrong one, one named twice, or more than 200.

    >>> check_carriers([["203.0.113.0/24", 50]])
    [('203.0.113.0/24', 50)]
    >>> check_carriers([["203.0.113.0/24", 0]])
    Traceback (most recent call last):
    ...
    ValueError: expected a factor of 1 .. 10000, got 0
    """
    found = [_check_carrier(row) for row in carriers]
    if len(found) > MOST_CARRIERS:
        raise ValueError(f"expected at most {MOST_CARRIERS} carriers, got {len(found)}")
    prefixes = [prefix for prefix, _ in found]
    for prefix in prefixes:
        if prefixes.count(prefix) > 1:
            raise ValueError(f"expected each carrier once, got {prefix!r} again")
    return found


def find_carrier(address: IPv4Address | IPv6Address, carriers: Sequence[Carrier]) -> int:
    """Return 1 + the index of the carrier with the longest prefix that has this address; 0 without one.

    >>> from ipaddress import ip_address
    >>> find_carrier(ip_address("203.0.113.7"), [("203.0.0.0/16", 2), ("203.0.113.0/24", 50)])
    2
    >>> find_carrier(ip_address("2001:db8::1"), [("203.0.0.0/16", 2)])
    0
    """
    networks = [(number, ip_network(prefix)) for number, (prefix, _) in enumerate(carriers, 1)]
    around = [(net.prefixlen, number) for number, net in networks if address in net]
    return max(around, default=(0, 0))[1]


def _read_words(words: list[str]) -> Carrier:
    if len(words) != 2 or not words[1].isdecimal():
        raise ValueError(f"expected a prefix and a factor, got {' '.join(words)!r}")
    return _check_carrier((words[0], int(words[1][:9])))


def _check_carrier(row: Sequence[object]) -> Carrier:
    if not isinstance(row, list | tuple) or len(row) != 2 or not isinstance(row[0], str):
        raise ValueError(f"expected a carrier as [prefix, factor], got {row!r}")
    prefix, factor = str(row[0]), row[1]
    network = _read_network(prefix)
    longest = BLOCK_PREFIX[network.version]
    if network.prefixlen > longest:
        raise ValueError(f"expected a prefix of at most /{longest}, got {prefix!r}")
    if str(network) != prefix:
        raise ValueError(f"expected {str(network)!r}, got {prefix!r}")
    if type(factor) is not int or not 1 <= factor <= MOST_FACTOR:
        raise ValueError(f"expected a factor of 1 .. {MOST_FACTOR}, got {factor!r}")
    return prefix, factor


def _read_network(prefix: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(prefix)
    except ValueError:
        raise ValueError(f"expected a network as in 203.0.113.0/24, got {prefix!r}") from None
