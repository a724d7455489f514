"""How many sockets of one block of the address space this process holds, so that no single machine fills it.

Loosely: per process, and with a limit that a hall behind one address stays below. A phone costs one number.
"""

import socket
from collections import Counter
from ipaddress import IPv4Address, IPv6Address

from engagement.fair_play.core.budgets import CarrierTable

UNKNOWN = 0  # whoever has no address that can be read shares one place
IPV6 = 1 << 48  # of a /48, so that it is never the number of an IPv4 address
MAPPED = bytes(10) + b"\xff\xff"  # an IPv4 address that is written as IPv6


def block_of(address: str) -> int:
    """The number of the block around an address: IPv4 /32, IPv6 /48."""
    try:
        if ":" not in address:
            return int.from_bytes(socket.inet_pton(socket.AF_INET, address))
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return UNKNOWN
    return int.from_bytes(packed[12:]) if packed.startswith(MAPPED) else IPV6 | int.from_bytes(packed[:6])


def network_of(block: int) -> IPv4Address | IPv6Address:
    """The first address of the block with this number."""
    return IPv6Address((block ^ IPV6) << 80) if block & IPV6 else IPv4Address(block)


class Crowding:
    """The sockets of each block; `most` is for one without a carrier, 0: as many as come."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._here: Counter[int] = Counter()

    def has_room(self, address: str, carriers: CarrierTable) -> bool:
        """Whether one more may come from this address into a show with these carriers."""
        block = block_of(address)
        here = self._here.get(block, 0)
        return not self._most or here < self._most or here < self._most * carriers.find(network_of(block))[1]

    def enter(self, address: str) -> int:
        """One more is here; returns its block, to leave with."""
        block = block_of(address)
        self._here[block] += 1
        return block

    def leave(self, block: int) -> None:
        """It is gone."""
        left = self._here[block] - 1
        if left:
            self._here[block] = left
        else:
            del self._here[block]
