"""What people type: everything that can be seen, in every language, and nothing else."""

import pytest

from engagement.core.plain_text import check_plain, leave_seen

SEEN = [
    "", " ", "Lin Yao", "林遥 «Ünïcode» 100 %", "שלום", "مرحبا", "नमस्ते", "🎉 👍🏽", "葛\U000e0100", "half \udcff",
    "a\u0301",
]  # fmt: skip
UNSEEN = [
    "\x00", "\x07", "\x1b", "\x7f", "\x85", "\n", "\r", "\t",
    "\u061c", "\u200b", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff", "\u00ad",
    "\u2028", "\u2029", "\u2060", "\U000e0041", "\u3164", "\uffa0", "\u115f", "\u1160", "\u2800", "\u034f",
]  # fmt: skip


@pytest.mark.parametrize("text", SEEN)
def test_what_can_be_seen_is_left_as_it_is(text: str) -> None:
    assert check_plain("title", text) == text


@pytest.mark.parametrize("letter", UNSEEN)
def test_what_cannot_is_refused_by_its_number_and_with_the_field(letter: str) -> None:
    with pytest.raises(ValueError, match=rf"^reason: expected .* got U\+{ord(letter):04X} \("):
        check_plain("reason", f"before{letter}after")
    assert leave_seen(f"before{letter}after") == "beforeafter"


def test_lines_are_for_texts_of_several() -> None:
    assert check_plain("carriers", "one\r\ntwo\tthree\n", lines=True)
    with pytest.raises(ValueError, match=r"^carriers: "):
        check_plain("carriers", "one\ntwo\u202e", lines=True)
