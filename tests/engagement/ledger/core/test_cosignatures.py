"""Cosignatures of witnesses: what holds is taken, with its time; everything else is refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engagement.ledger.core.checkpoints import open_note, sign_note, verifier_key
from engagement.ledger.core.cosignatures import (
    Cosigned,
    WitnessKey,
    add_lines,
    cosigned_message,
    find_cosignature,
    format_request,
    format_witness_key,
    parse_witness_key,
    read_cosignature,
    text_of,
)

SEED, NAME, TIME = b"\x07" * 32, "w.example/1", 1_679_315_147
KEY = WitnessKey(NAME, Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw())
NOTE = sign_note("example.com/log\n3\n" + "A" * 43 + "=\n", "example.com/log", bytes(32))
TEXT = text_of(NOTE)


def line(
    text: str = TEXT, *, time: int = TIME, name: str = NAME, seed: bytes = SEED, more: bytes = b""
) -> str:
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(cosigned_message(text, time))
    raw = WitnessKey(name, KEY.public).key_id + time.to_bytes(8, "big") + signature + more
    return f"— {name} {base64.b64encode(raw).decode()}\n"


def test_a_cosignature_says_who_and_when() -> None:
    assert read_cosignature(line(), TEXT, KEY) == Cosigned(NAME, TIME, line())
    assert read_cosignature(line().removesuffix("\n"), TEXT, KEY).line == line()


@pytest.mark.parametrize(
    "wrong",
    [
        line("another\n"),
        line(seed=b"\x08" * 32),
        line(name="w.example/2"),
        line(time=0),
        line(time=2**63),
        line(more=b"\x00"),
        line().replace("— ", "- "),
        line()[:-10] + "\n",
        "",
    ],
)
def test_what_does_not_hold_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        read_cosignature(wrong, TEXT, KEY)
    with pytest.raises(ValueError):
        find_cosignature(wrong, TEXT, KEY)


def test_lines_of_others_are_left_alone() -> None:
    other = line(name="w.example/2")
    assert find_cosignature(other + line(), TEXT, KEY).time == TIME
    with pytest.raises(ValueError, match="got none"):
        find_cosignature(other, TEXT, KEY)
    with pytest.raises(ValueError, match="is not over this checkpoint"):
        find_cosignature(line() + line("another\n"), TEXT, KEY)


def test_a_note_with_cosignatures_is_still_signed_by_the_log() -> None:
    whole = add_lines(NOTE, [line(), line(name="w.example/2")])
    assert open_note(whole, [verifier_key("example.com/log", bytes(32))]) == text_of(whole) == TEXT


def test_keys_are_one_word() -> None:
    word = format_witness_key(KEY)
    assert parse_witness_key(word) == KEY
    for wrong in (word + "A", word.replace("+", "-"), "w+00000000+BA==", "", "x" * 10_000):
        with pytest.raises(ValueError):
            parse_witness_key(wrong)


def test_a_request_is_what_tlog_witness_asks_for() -> None:
    assert format_request(0, [], NOTE) == f"old 0\n\n{NOTE}"
    assert format_request(2, [bytes(32), bytes(32)], NOTE).split("\n")[:4] == [
        "old 2",
        *(["A" * 43 + "="] * 2),
        "",
    ]
