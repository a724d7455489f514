"""Names that a host can say."""

import json
from pathlib import Path

from engagement.core.names import COLOURS, THINGS, name_winners, stage_name

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "names.json").read_text())


def test_names_are_those_of_the_vectors_that_the_pages_are_held_to() -> None:
    assert [stage_name(bytes.fromhex(viewer)) for viewer, _ in VECTORS] == [name for _, name in VECTORS]


def test_a_name_is_two_words_and_two_digits() -> None:
    for viewer, name in VECTORS:
        colour, thing, number = name.split()
        assert colour in COLOURS and thing in THINGS and 10 <= int(number) <= 99, viewer
    assert len({*COLOURS, *THINGS}) == 96


def test_winners_of_one_name_are_told_apart() -> None:
    viewers = [bytes([0, 0, 1, 2, 0, 0, last, *bytes(7)]) for last in range(3)]
    first = stage_name(viewers[0])
    assert name_winners(viewers, {}) == [first, f"{first} (2)", f"{first} (3)"]
    assert name_winners(viewers[:1], {first: 3, "Another": 1}) == [f"{first} (4)"]
