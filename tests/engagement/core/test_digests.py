"""Known answers for the notation and the pseudonyms; foreign JSON is refused where it comes in."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.core.digests import (
    canonical_json,
    commit,
    derive_pseudonym,
    derive_salt,
    parse_canonical,
    tagged_hash,
)

KAT = json.loads((Path(__file__).parents[2] / "vectors" / "own_draw_kat.json").read_text())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@pytest.mark.parametrize("entry", KAT["entries"], ids=lambda entry: entry["uid"])
def test_salts_and_pseudonyms_are_the_known_ones(entry):
    salt = derive_salt(bytes.fromhex(KAT["k_show"]), KAT["show"], entry["uid"])
    assert salt.hex() == entry["salt"]
    assert derive_pseudonym(KAT["show"], entry["uid"], salt).hex() == entry["pseudonym"]


def test_the_commitment_is_the_known_one():
    assert commit(KAT["draw_id"], "operator", bytes.fromhex(KAT["secret"])).hex() == KAT["commit"]


def test_fields_that_join_to_the_same_bytes_hash_differently():
    digests = {tagged_hash("t", *fields) for fields in [(b"ab",), (b"a", b"b"), (b"ab", b""), (b"", b"ab")]}
    assert len(digests | {tagged_hash("ta", b"b")}) == 5


@given(values)
def test_what_is_encoded_parses_back_to_the_same_value(value):
    try:
        encoded = canonical_json(value)
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    assert parse_canonical(encoded) == value


@given(st.binary(max_size=64))
def test_garbage_is_a_value_error_or_canonical(data):
    try:
        value = parse_canonical(data)
    except ValueError:
        return
    assert canonical_json(value) == data


@pytest.mark.parametrize(
    "value", [1.0, math.nan, [math.inf], {"a": 0.5}, {1: 2}, {None: 1}, b"x", {"a": {1}}, "\ud800"]
)
def test_values_that_have_no_canonical_form_are_refused(value):
    with pytest.raises(ValueError):
        canonical_json(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b"[1 ,2]",
        b"1.0",
        b"1e2",
        b"-0",
        b"NaN",
        b"Infinity",
        b'"\\u00e9"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        b"1\n",
        b"",
        b"{",
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_other_forms_are_refused(data):
    with pytest.raises(ValueError):
        parse_canonical(data)


def test_a_value_nested_too_deeply_is_refused():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        canonical_json(value)


@pytest.mark.parametrize("uid", [-1, 1 << 64])
def test_a_uid_that_does_not_fit_eight_bytes_is_refused(uid):
    with pytest.raises(ValueError, match="uid"):
        derive_salt(bytes(32), "show", uid)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_of_another_length_is_refused(size):
    with pytest.raises(ValueError, match=f"32 bytes, got {size}"):
        commit("draw", "operator", bytes(size))
