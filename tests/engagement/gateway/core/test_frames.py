"""Frames against the `websockets` library: the same messages out of the same bytes, however they are cut."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from engagement.gateway.core.frames import (
    BAD_TEXT,
    BINARY,
    CLOSE,
    MAX_FRAGMENTS,
    PING,
    PING_FRAME,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    FrameFault,
    FrameReader,
    close_frame,
    frame,
    unmask,
)

MAX = 4096


def masked(opcode: Opcode, payload: bytes, fin: bool = True) -> bytes:
    """What a client sends."""
    return Frame(opcode, payload, fin).serialize(mask=True)


START = masked(Opcode.TEXT, b"x", fin=False)


def read(data: bytes, cuts: Sequence[int] = ()) -> list[tuple[int, bytes]]:
    reader = FrameReader(MAX)
    places = [0, *sorted(cut for cut in cuts if cut <= len(data)), len(data)]
    found = [message for one, two in itertools.pairwise(places) for message in reader.feed(data[one:two])]
    assert reader.idle
    return found


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 4096, 65_535, 65_536, 70_000])
def test_a_frame_is_written_as_the_library_writes_it(size: int) -> None:
    payload = bytes(size)
    assert frame(TEXT, payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


def test_close_and_ping_are_written_as_the_library_writes_them() -> None:
    close = Close(4503, "retry=1500").serialize()
    assert close_frame(4503, "retry=1500") == Frame(Opcode.CLOSE, close).serialize(mask=False)
    assert Frame(Opcode.PING, b"").serialize(mask=False) == PING_FRAME


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_a_mask_that_is_applied_twice_is_no_mask(payload: bytes, mask: bytes) -> None:
    assert unmask(unmask(payload, mask), mask) == payload


PARTS = st.lists(st.binary(max_size=200), min_size=1, max_size=5)
MESSAGES = st.lists(
    st.tuples(st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG]), PARTS), max_size=6
)


@given(MESSAGES, st.lists(st.integers(0, 3_000), max_size=20))
def test_messages_come_out_whole_however_the_bytes_are_cut(messages: list, cuts: list[int]) -> None:
    data, expected = b"", []
    for opcode, parts in messages:
        if opcode in (Opcode.PING, Opcode.PONG):
            data += masked(opcode, parts[0][:125])
            expected.append((opcode, parts[0][:125]))
            continue
        for number, part in enumerate(parts):
            data += masked(Opcode.CONT if number else opcode, part, fin=number == len(parts) - 1)
        expected.append((int(opcode), b"".join(parts)))
    assert read(data, cuts) == expected


@pytest.mark.parametrize("size", [0, 5, 125, 126, 200, MAX])
def test_a_frame_comes_out_whole_when_it_is_cut_anywhere_in_its_header(size: int) -> None:
    data = masked(Opcode.TEXT, bytes(size))
    for cut in range(14):
        assert read(data, [cut]) == [(TEXT, bytes(size))]


def test_a_ping_between_fragments_is_heard_at_once() -> None:
    data = masked(Opcode.TEXT, b"he", fin=False) + masked(Opcode.PING, b"?") + masked(Opcode.CONT, b"llo")
    assert read(data) == [(PING, b"?"), (TEXT, b"hello")]


BROKEN = {
    "not masked": (Frame(Opcode.TEXT, b"hello").serialize(mask=False), PROTOCOL_ERROR),
    "an extension's bit": (b"\xc1\x80\0\0\0\0", PROTOCOL_ERROR),
    "an opcode nobody knows": (b"\x83\x80\0\0\0\0", PROTOCOL_ERROR),
    "a ping in pieces": (b"\x09\x80\0\0\0\0", PROTOCOL_ERROR),
    "a long ping": (b"\x89\xfe\0\x7e\0\0\0\0", PROTOCOL_ERROR),
    "a fragment of nothing": (masked(Opcode.CONT, b"x"), PROTOCOL_ERROR),
    "a new message too soon": (START + masked(Opcode.TEXT, b"y"), PROTOCOL_ERROR),
    "too long, before its payload has come": (b"\x81\xfe\x10\x01", TOO_BIG),
    "longer than any memory": (b"\x81\xff" + (2**63).to_bytes(8, "big"), TOO_BIG),
    "too long in sum": (START + masked(Opcode.CONT, bytes(MAX))[:8], TOO_BIG),
    "endless": (START + masked(Opcode.CONT, b"", fin=False) * MAX_FRAGMENTS, TOO_BIG),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_breaks_the_protocol_is_refused_with_its_code(what: str) -> None:
    data, code = BROKEN[what]
    with pytest.raises(FrameFault) as caught:
        list(FrameReader(MAX).feed(data))
    assert caught.value.code == code


@given(st.binary(max_size=400))
def test_garbage_is_messages_or_a_fault_and_holds_no_more_than_the_limit(data: bytes) -> None:
    reader = FrameReader(max_bytes=64)
    try:
        for opcode, payload in reader.feed(data):
            assert opcode in (TEXT, BINARY, CLOSE, PING, Opcode.PONG) and len(payload) <= 125
    except FrameFault as fault:
        assert fault.code in (PROTOCOL_ERROR, TOO_BIG)
    else:
        assert len(reader._data) + len(reader._message) <= 64 + 14


def test_the_codes_are_those_of_the_standard() -> None:
    assert (PROTOCOL_ERROR, BAD_TEXT, TOO_BIG) == (1002, 1007, 1009)
