"""An origin says kind, carrier and block in 10 bytes; a block tells neighbours together and gives no address away."""

import hashlib
import hmac

import pytest

from engagement.fair_play.core.origins import KINDS, Origin, block_of, parse_origin, read_address

KEY = bytes(range(32))


@pytest.mark.parametrize("kind", KINDS)
def test_an_origin_comes_back(kind: str) -> None:
    origin = Origin(kind, 200, b"ABCDEFGH")
    assert (len(origin.pack()), parse_origin(origin.pack())) == (10, origin)


@pytest.mark.parametrize(
    "data", [bytes(10), b"\x05" + bytes(9), b"\x01\xc9" + bytes(8), bytes(9), b"\x01" * 11]
)
def test_what_is_no_origin_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected an origin of 10 bytes"):
        parse_origin(data)


@pytest.mark.parametrize(
    "origin", [Origin("guest", 201, bytes(8)), Origin("guest", 0, bytes(7)), Origin("work", -1, bytes(8))]
)
def test_what_does_not_fit_is_not_packed(origin: Origin) -> None:
    with pytest.raises(ValueError, match="expected a carrier"):
        origin.pack()


def test_a_block_is_the_hmac_of_the_network_under_the_key_of_the_show() -> None:
    said = b"shake-gala/v1/block" + bytes([203, 0, 113, 7, 32])
    assert block_of(KEY, read_address("203.0.113.7")) == hmac.digest(KEY, said, hashlib.sha256)[:8]
    said = b"shake-gala/v1/block" + bytes.fromhex("20010db80001") + bytes(10) + bytes([48])
    assert block_of(KEY, read_address("2001:db8:1:2:3::4")) == hmac.digest(KEY, said, hashlib.sha256)[:8]


def test_each_ipv4_address_is_a_block_however_it_is_written() -> None:
    texts = ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8")
    first, same, other = (block_of(KEY, read_address(text)) for text in texts)
    assert first == same != other
    assert block_of(bytes(32), read_address("203.0.113.7")) != first
