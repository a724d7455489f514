"""How large a picture may come, and in which sizes it is kept."""

import pytest

from engagement.pictures.core.kinds import BadPicture
from engagement.pictures.core.sizes import BOXES, check_size, fit, sizes_of


@pytest.mark.parametrize("size", [(320, 320), (8000, 5000), (1280, 320), (320, 1280)])
def test_what_a_wall_can_show_is_taken(size: tuple[int, int]) -> None:
    check_size(size)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((8000, 6250), "Expected at most 40 megapixels, got 50.0 (8000 x 6250)."),
        ((60_000, 60_000), "Expected at most 40 megapixels, got 3600.0 (60000 x 60000)."),
        ((1920, 300), "Expected at least 320 pixels on each side, got 1920 x 300."),
        ((0, 0), "Expected at least 320 pixels on each side, got 0 x 0."),
        (
            (320, 1281),
            "Expected a picture at most four times as wide as high, or as high as wide, got 320 x 1281.",
        ),
    ],
)
def test_what_is_too_large_or_would_look_like_a_mistake_is_refused(size: tuple[int, int], words: str) -> None:
    with pytest.raises(BadPicture) as refused:
        check_size(size)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    "size", [(6000, 4000), (4000, 6000), (5000, 5000), (321, 400), (1920, 1080), (1280, 320)]
)
def test_sizes_fit_their_boxes_keep_the_shape_and_are_never_larger(size: tuple[int, int]) -> None:
    found = sizes_of(size)
    assert 1 <= len(found) <= len(BOXES) and found == sorted(set(found))
    for width, height in found:
        assert width <= size[0] and height <= size[1]
        assert abs(width / height - size[0] / size[1]) * height <= 1
    assert found[-1] == fit(size, BOXES[-1])


def test_a_picture_that_is_small_has_one_size() -> None:
    assert sizes_of((600, 400)) == [(600, 400)]


def test_nothing_shrinks_to_nothing() -> None:
    assert fit((10_000, 1), (720, 1280)) == (720, 1)
