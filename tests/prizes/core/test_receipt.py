"""Which runs of a roll prove that a viewer is in it, or is not."""

from prizes.core.receipt import runs_around


def test_two_runs_are_shown_only_where_the_neighbours_stand_in_two() -> None:
    assert [runs_around(position, 257, False) for position in (0, 1, 255, 256, 257)] == [
        [0],
        [0],
        [0],
        [0, 1],
        [1],
    ]
    assert [runs_around(position, 256, False) for position in (255, 256)] == [[0], [0]]
    assert [runs_around(position, 257, True) for position in (0, 255, 256)] == [[0], [0], [1]]
