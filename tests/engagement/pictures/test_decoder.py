"""What is made of a picture: its pixels as they are meant, in sRGB and upright, and nothing else of what came."""

import io
import json
import subprocess
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from engagement.pictures.core.kinds import BadPicture
from engagement.pictures.core.sizes import MAX_BYTES
from engagement.pictures.decoder import NIGHT, ORIENTATION, TURNS, encode, make_anew, read
from engagement.pictures.decoding import COMMAND, ROOT, make_picture
from tests.engagement.pictures.drawn import BLUE, GREEN, RED, SIZE, empty_png, quarters, saved

GPS = 0x8825


def pixels(content: bytes) -> Image.Image:
    return read(io.BytesIO(content))


def near(found: Any, expected: tuple[int, int, int], by: int = 6) -> bool:
    return all(abs(one - other) <= by for one, other in zip(found, expected, strict=True))


def looks_like_quarters(picture: Image.Image, by: int = 6) -> bool:
    width, height = picture.size
    spots = {(0.25, 0.25): RED, (0.75, 0.25): GREEN, (0.25, 0.75): BLUE, (0.75, 0.75): BLUE}
    at = {(int(x * width), int(y * height)): colour for (x, y), colour in spots.items()}
    return all(near(picture.getpixel(spot), colour, by) for spot, colour in at.items())


def refusal(content: bytes) -> str:
    answer, files = make_anew(io.BytesIO(content))
    assert files == []
    return str(answer["refused"])


# --- every kind and mode ---


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True}), ("AVIF", {"quality": 95})],
)
def test_four_kinds_are_read(kind: str, options: dict[str, Any]) -> None:
    found = pixels(saved(quarters(), kind, **options))
    assert found.size == SIZE and found.mode == "RGB" and looks_like_quarters(found, by=12)


def test_a_palette_with_transparency_lies_on_the_ground_of_the_pages() -> None:
    picture = quarters().quantize(4)
    clear = picture.getpixel((1, 1))
    found = pixels(saved(picture, transparency=clear))
    assert near(found.getpixel((1, 1)), NIGHT) and near(found.getpixel((390, 1)), GREEN)


def test_half_transparent_pixels_are_laid_on_that_ground() -> None:
    picture = Image.new("RGBA", SIZE, (255, 255, 255, 128))
    assert near(pixels(saved(picture)).getpixel((9, 9)), (134, 133, 141))


def test_a_colour_that_is_declared_transparent_is() -> None:
    found = pixels(saved(quarters(), transparency=RED))
    assert near(found.getpixel((1, 1)), NIGHT) and near(found.getpixel((390, 1)), GREEN)


def test_sixteen_bits_of_grey_keep_their_shades() -> None:
    ramp = np.linspace(0, 65535, 400, dtype=np.uint16)
    found = pixels(saved(Image.fromarray(np.tile(ramp, (400, 1)))))
    assert [found.getpixel((x, 0)) for x in (0, 200, 399)] == [(0,) * 3, (128,) * 3, (255,) * 3]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_pictures_without_colours_stay_grey(mode: str) -> None:
    found = pixels(saved(Image.new("L", SIZE, 255).convert(mode)))
    assert found.mode == "RGB" and found.getpixel((5, 5)) == (255, 255, 255)


def test_printers_colours_become_those_of_a_screen() -> None:
    found = pixels(saved(quarters().convert("CMYK"), "JPEG", quality=95))
    assert looks_like_quarters(found, by=16)


def test_colours_are_read_by_their_profile() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert looks_like_quarters(pixels(saved(quarters(), icc_profile=profile)))
    swapped = profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")
    found = pixels(saved(quarters(), icc_profile=swapped))
    assert near(found.getpixel((1, 1)), RED[::-1]) and near(found.getpixel((1, 590)), BLUE[::-1])


@pytest.mark.parametrize(
    "profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
)
def test_a_profile_that_does_not_fit_is_passed_over(profile: bytes) -> None:
    assert looks_like_quarters(pixels(saved(quarters(), icc_profile=profile)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_what_moves_the_first_picture_is_taken(kind: str) -> None:
    film = saved(
        quarters(), kind, save_all=True, append_images=[Image.new("RGB", SIZE)], duration=100, lossless=True
    )
    assert looks_like_quarters(pixels(film))


# --- orientation, and what a camera tells ---


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_stands_upright_however_the_camera_was_held(orientation: int, kind: str) -> None:
    turn = TURNS.get(orientation)
    back = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    stored = quarters() if turn is None else quarters().transpose(back.get(turn, turn))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    found = pixels(saved(stored, kind, exif=exif))
    assert found.size == SIZE and looks_like_quarters(found, by=12)


def test_a_large_picture_that_lies_is_turned_before_it_is_fitted() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    found = pixels(saved(quarters((4500, 3000)), "JPEG", exif=exif))
    assert found.size == (1920, 2880)


def test_nothing_goes_on_but_pixels() -> None:
    exif = Image.Exif()
    exif.get_ifd(GPS)[1] = "N"
    exif[0x010E] = "taken at the star's home"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    secret = b"taken at the star's home"
    content = saved(quarters(), "JPEG", exif=exif, comment=secret, icc_profile=profile)
    assert secret in content
    files, _ = encode(pixels(content))
    for name, made in files.items():
        assert secret not in made, name
        again = Image.open(io.BytesIO(made))
        assert not again.getexif() and not {"exif", "xmp", "icc_profile", "comment"} & again.info.keys(), name


def test_a_file_that_is_a_page_as_well_leaves_its_page_behind() -> None:
    page = b"<html><script>alert(document.cookie)</script>"
    content = saved(quarters(), "JPEG", comment=page) + page
    files, _ = encode(pixels(content))
    assert not any(b"<script" in made for made in files.values())


# --- sizes ---


def test_every_size_is_there_in_two_kinds() -> None:
    files, sizes = encode(quarters((2000, 3000)))
    assert sizes == [(720, 1080), (960, 1440), (1169, 1754), (1920, 2880)]
    assert set(files) == {f"{width}.{kind}" for width, _ in sizes for kind in ("webp", "jpg")}
    for (width, height), kind in [(size, kind) for size in sizes for kind in ("webp", "jpg")]:
        made = Image.open(io.BytesIO(files[f"{width}.{kind}"]))
        assert made.size == (width, height) and made.format == {"webp": "WEBP", "jpg": "JPEG"}[kind]


# --- what is none ---


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.9])
def test_a_file_that_ends_early_is_refused(kind: str, part: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (400, 400, 3), dtype=np.uint8))
    content = saved(noise, kind)
    assert "damaged, or not whole" in refusal(content[: int(len(content) * part)])


def test_fifty_megapixels_are_refused_by_their_number() -> None:
    assert refusal(empty_png((8000, 6250))) == "Expected at most 40 megapixels, got 50.0 (8000 x 6250)."


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    bomb = empty_png((60_000, 60_000))
    assert len(bomb) < 1_000_000
    assert refusal(bomb) == "Expected at most 40 megapixels."


def test_a_stamp_is_refused() -> None:
    assert "at least 320 pixels" in refusal(saved(quarters((64, 64))))


def test_a_kind_that_pillow_could_read_but_nobody_asked_for_is_refused() -> None:
    assert "got a GIF picture" in refusal(saved(quarters(), "GIF"))


def test_text_in_a_picture_does_not_unfold_into_the_memory() -> None:
    told = PngInfo()
    told.add_text("Comment", "0" * 80_000_000, zip=True)
    content = saved(quarters(), pnginfo=told)
    assert len(content) < 200_000
    with pytest.raises(BadPicture, match=r"damaged|needs too much"):
        make_picture(content)


# --- the process ---


def test_a_process_makes_it() -> None:
    made = make_picture(saved(quarters(), "JPEG", quality=95))
    assert made.sizes == [SIZE] and set(made.files) == {"400.webp", "400.jpg"}
    assert looks_like_quarters(Image.open(io.BytesIO(made.files["400.webp"])), by=12)


def test_too_many_bytes_are_refused_without_a_process() -> None:
    with pytest.raises(BadPicture, match=r"at most 10 MB, got 10\.0"):
        make_picture(b"\xff\xd8\xff" + bytes(MAX_BYTES))


def test_the_process_knows_no_secret_and_ends_at_its_bounds() -> None:
    code = (
        "import os, resource, json; from engagement.pictures import decoder; decoder._bound(); "
        "print(json.dumps([sorted(os.environ), resource.getrlimit(resource.RLIMIT_AS)[0], os.nice(0)]))"
    )
    command = [*COMMAND[: COMMAND.index("-m")], "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, env={})
    names, memory, nice = json.loads(done.stdout)
    assert not [name for name in names if not name.startswith("LC_")]
    assert memory == 1_200_000_000 and nice >= 10
