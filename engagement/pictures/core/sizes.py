"""How large a picture may come, and in which sizes it is kept. Sizes are (width, height) in pixels."""

from engagement.pictures.core.kinds import BadPicture

Size = tuple[int, int]

MAX_BYTES = 10_000_000
MAX_PIXELS = 40_000_000
SHORTEST_SIDE = 320  # below it a wall would show a stamp
MOST_OBLONG = 4  # times as long as wide, at most

# What it is shown in, the smallest first: a phone, a sheet of A4 at 150 dpi, a wall of 1080 lines, one of 2160.
BOXES: tuple[Size, ...] = ((720, 1280), (1240, 1754), (1920, 1440), (3840, 2880))


def check_size(size: Size) -> None:
    """Raises BadPicture for a picture that has too many pixels, or would look like a mistake on a wall.

    >>> check_size((6000, 4000))
    >>> check_size((10_000, 5_000))
    Traceback (most recent call last):
    ...
    engagement.pictures.core.kinds.BadPicture: Expected at most 40 megapixels, got 50.0 (10000 x 5000).
    """
    width, height = size
    short, long = min(size), max(size)
    if width * height > MAX_PIXELS:
        came = f"{width * height / 1e6:.1f} ({width} x {height})"
        raise BadPicture(f"Expected at most {MAX_PIXELS // 1_000_000} megapixels, got {came}.")
    if short < SHORTEST_SIDE:
        raise BadPicture(f"Expected at least {SHORTEST_SIDE} pixels on each side, got {width} x {height}.")
    if long > MOST_OBLONG * short:
        times = "at most four times as wide as high, or as high as wide"
        raise BadPicture(f"Expected a picture {times}, got {width} x {height}.")


def sizes_of(size: Size) -> list[Size]:
    """In which sizes a picture of this size is kept, the smallest first, each width once; never larger than it came.

    >>> sizes_of((6000, 4000))
    [(720, 480), (1240, 827), (1920, 1280), (3840, 2560)]
    >>> sizes_of((800, 1000))
    [(720, 900), (800, 1000)]
    """
    found = {fitted[0]: fitted for box in BOXES if (fitted := fit(size, box))}
    return [found[width] for width in sorted(found)]


def fit(size: Size, box: Size) -> Size:
    """The largest size of the same shape within a box; as it came, where it fits.

    >>> fit((4000, 6000), (1920, 1440))
    (960, 1440)
    """
    (width, height), (most_wide, most_high) = size, box
    scale = min(1.0, most_wide / width, most_high / height)
    return max(1, round(width * scale)), max(1, round(height * scale))
