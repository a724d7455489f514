"""Origins: what is kept of where a guest's pass came from, and nobody gets an address out of (docs/draw.md, section 3).

An origin is 10 bytes: `kind u8 | carrier u8 | block 8 bytes`. Users of a host app have none.
"""

import hashlib
import hmac
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from engagement.fair_play.core.carriers import BLOCK_PREFIX, MOST_CARRIERS

ORIGIN_BYTES, BLOCK_BYTES = 10, 8
GUEST, WORK, CODE, ATTESTED = "guest", "work", "code", "attested"
KINDS = (GUEST, WORK, CODE, ATTESTED)  # the byte of one is 1 + its place here
APP = "app"  # of whoever has no origin
NO_BLOCK = bytes(
    BLOCK_BYTES
)  # of a pass from before there were blocks: it gets that of its phone; an entry stands for itself
BLOCK_PURPOSE = b"shake-gala/v1/block"


class Origin(NamedTuple):
    """How a pass was earned, 1 + the index of its carrier in the promised list (0: none), and its block, 8 bytes.

    >>> parse_origin(Origin("work", 0, b"12345678").pack())
    Origin(kind='work', carrier=0, block=b'12345678')
    """

    kind: str
    carrier: int
    block: bytes

    def pack(self) -> bytes:
        """Return the 10 bytes; ValueError for another kind, carrier or length.

        >>> Origin("guest", 2, bytes(8)).pack().hex()
        '01020000000000000000'
        >>> Origin("app", 0, bytes(8)).pack()
        Traceback (most recent call last):
        ...
        ValueError: expected a kind of guest, work, code, attested, got 'app'
        """
        if self.kind not in KINDS:
            raise ValueError(f"expected a kind of {', '.join(KINDS)}, got {self.kind!r}")
        if not 0 <= self.carrier <= MOST_CARRIERS or len(self.block) != BLOCK_BYTES:
            raise ValueError(f"expected a carrier of 0 .. {MOST_CARRIERS} and a block of 8 bytes, got {self}")
        return bytes([1 + KINDS.index(self.kind), self.carrier]) + self.block


def parse_origin(data: bytes) -> Origin:
    """Parse the bytes of `Origin.pack`; ValueError for anything else.

    >>> parse_origin(b"")
    Traceback (most recent call last):
    ...
    ValueError: expected an origin of 10 bytes with a known kind and carrier, got b''
    """
    if len(data) != ORIGIN_BYTES or not 1 <= data[0] <= len(KINDS) or data[1] > MOST_CARRIERS:
        raise ValueError(f"expected an origin of 10 bytes with a known kind and carrier, got {data!r}")
    return Origin(KINDS[data[0] - 1], data[1], data[2:])


def read_address(text: str) -> IPv4Address | IPv6Address:
    """Return an address; an IPv4 address that is written as IPv6 is the IPv4 address. ValueError for what is none.

    >>> read_address("::ffff:203.0.113.7")
    IPv4Address('203.0.113.7')
    """
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def block_of(k_show: bytes, address: IPv4Address | IPv6Address) -> bytes:
    """Return the 8 bytes that stand for the /32 (IPv4) or /48 (IPv6) around an address in the show with this key.

    >>> home = [block_of(bytes(32), read_address(text)) for text in ("2001:db8:1::1", "2001:db8:1:2::3")]
    >>> home[0] == home[1], home[0] == block_of(bytes(32), read_address("2001:db8:2::1"))
    (True, False)
    """
    network = ip_network((address, BLOCK_PREFIX[address.version]), strict=False)
    said = BLOCK_PURPOSE + network.network_address.packed + bytes([network.prefixlen])
    return hmac.digest(k_show, said, hashlib.sha256)[:BLOCK_BYTES]
