"""Garbage in: one of our messages or a protocol error, never anything else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.core.errors import PhoneFault, WireError
from engagement.core.messages import (
    MAX_TOTAL,
    Error,
    Hello,
    Resync,
    Shakes,
    Sync,
    decode,
    encode,
    error_frame,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ('{"type":"hello","pass":"abc"}', Hello(pass_="abc")),
        ('{"type":"hello","role":"screen","feed":"tv"}', Hello(role="screen", feed="tv")),
        ('{"type":"shakes","segment":1,"total":4294967295}', Shakes(1, MAX_TOTAL)),
        ('{"total":0,"segment":1,"type":"shakes"}', Shakes(1, 0)),
        ('{"type":"sync","t0":-5}', Sync(-5)),
        ('{"type":"resync"}', Resync()),
    ],
)
def test_every_message_is_decoded(frame: str, message: object) -> None:
    assert decode(frame) == message


@given(st.text(max_size=300))
def test_any_text_is_a_message_or_a_fault_of_the_phone(frame: str) -> None:
    try:
        decode(frame)
    except PhoneFault as fault:
        assert fault.error in (WireError.BAD_MESSAGE, WireError.TOO_LARGE)


@given(
    st.sampled_from(["hello", "shakes", "sync", "resync", "welcome"]),
    st.dictionaries(st.text(max_size=8), JSON),
)
def test_any_object_is_a_message_or_a_fault_of_the_phone(type_: str, fields: dict) -> None:
    try:
        message = decode(json.dumps({"type": type_, **fields}))
    except PhoneFault:
        return
    assert isinstance(message, Hello | Sync | Resync | Shakes)


@pytest.mark.parametrize("depth", [10, 500, 1000])
def test_deep_nesting_is_a_bad_message(depth: int) -> None:
    with pytest.raises(PhoneFault):
        decode("[" * depth)


@pytest.mark.parametrize(
    ("frame", "fits"), [("x" * 1024, True), ("x" * 1025, False), ("é" * 512, True), ("é" * 513, False)]
)
def test_a_frame_has_at_most_1024_bytes_not_characters(frame: str, fits: bool) -> None:
    with pytest.raises(PhoneFault) as caught:
        decode(frame)
    assert (caught.value.error is WireError.TOO_LARGE) is not fits


@pytest.mark.parametrize(
    "number", ["-1", "1.5", "1e3", "true", "null", '"7"', "NaN", "Infinity", "4294967296", "9" * 400]
)
def test_a_total_is_an_integer_in_range(number: str) -> None:
    with pytest.raises(PhoneFault):
        decode(f'{{"type":"shakes","segment":1,"total":{number}}}')


def test_an_error_tells_when_to_come_back() -> None:
    fault = PhoneFault(WireError.TOO_FAST, "slower", 1500)
    expected = {"type": "error", "code": "too_fast", "message": "slower", "retry_after_ms": 1500}
    assert json.loads(error_frame(fault)) == expected


def test_text_goes_out_as_it_is() -> None:
    assert (
        encode(Error(code="x", message='晚会 "A"')) == '{"type":"error","code":"x","message":"晚会 \\"A\\""}'
    )


def test_close_codes_are_in_the_private_range_and_each_has_one_meaning() -> None:
    codes = [error.close for error in WireError if error.close is not None]
    assert len(set(codes)) == len(codes)
    assert all(4000 <= code < 5000 for code in codes)
