"""The roll's and the totals' bytes: what was packed is parsed, other layouts are refused."""

import struct

import pytest

from prizes.core import roll

HEADER = roll.RollHeader(2, 5, bytes(range(32)), 10)
A, B = b"A" * 14, b"B" * 14


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEADER.pack()[:-1], "64 bytes, got 63"),
        (b"SHKROLL2" + HEADER.pack()[8:], "magic"),
        (HEADER.pack()[:58] + struct.pack(">HI", 18, 256), "got 18 and 256"),
        (HEADER.pack()[:58] + struct.pack(">HI", 16, 128), "got 16 and 128"),
    ],
)
def test_another_header_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        roll.parse_header(data)


def test_totals_are_eighteen_bytes_each():
    data = roll.pack_total(A, 7) + roll.pack_total(B, 0xFFFFFFFF)
    assert len(data) == 36
    assert list(roll.iterate_totals(data)) == [(A, 7), (B, 0xFFFFFFFF)]


@pytest.mark.parametrize(("iterate", "size"), [(roll.iterate_entries, 17), (roll.iterate_totals, 17)])
def test_a_cut_row_is_refused(iterate, size):
    with pytest.raises(ValueError, match=f"got {size} bytes"):
        iterate(bytes(size))


@pytest.mark.parametrize("pack", [roll.pack_entry, roll.pack_total])
def test_a_pseudonym_of_another_length_is_refused(pack):
    with pytest.raises(ValueError, match="14 bytes, got 13"):
        pack(bytes(13), 1)


@pytest.mark.parametrize(
    ("entries", "message"), [([(A, 1), (A, 2)], "once"), ([(A, 0)], "1 .. 10, got 0"), ([(A, 11)], "got 11")]
)
def test_a_small_roll_refuses_repeated_viewers_and_wrong_tickets(entries, message):
    with pytest.raises(ValueError, match=message):
        roll.build_roll(entries, bytes(32), 10)
