"""The pictures of the demo show: small, drawn by ourselves, and hung once for all nights."""

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engagement.models import Show
from engagement.pictures.models import Picture
from gala import demo
from prizes.models import Prize
from tests.drawings import LANDSCAPE, LARGEST, PORTRAIT, STAGE, WHOLE

NAMES = (*demo.DRAWINGS.values(), *WHOLE)


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_is_small_and_has_its_source_beside_it(name: str) -> None:
    file = demo.FOLDER / f"{name}.webp"
    assert file.stat().st_size < LARGEST
    with Image.open(file) as picture:
        assert picture.size == (LANDSCAPE if name in WHOLE else PORTRAIT)
    assert file.with_suffix(".svg").is_file()


def test_there_is_nothing_else_in_the_folder() -> None:
    assert {path.name for path in demo.FOLDER.iterdir()} == {
        f"{STAGE}.svg",
        *(f"{name}.{kind}" for name in NAMES for kind in ("svg", "webp")),
    }


def test_sources_take_nothing_from_elsewhere() -> None:
    for path in demo.FOLDER.glob("*.svg"):
        text = path.read_text()
        assert "<script" not in text and "<image" not in text and "data:" not in text
        assert all(address.startswith("#") for address in re.findall(r'href="([^"]*)"', text))
        assert set(re.findall(r"https?://[^\"]+", text)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }


def test_every_prize_of_the_demo_has_a_drawing() -> None:
    garments = {prize["garment"] for *_, prizes in demo.SEGMENTS for prize in prizes}
    assert garments == set(demo.DRAWINGS)


@pytest.mark.django_db(transaction=True)
def test_they_are_made_once_and_hang_in_every_night(settings: Any, tmp_path: Path) -> None:
    settings.PICTURES_DIR = tmp_path
    options = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "pictures": options}
    for slug in (demo.SLUG, f"{demo.SLUG}-2"):
        demo.add_pictures(demo.create_night(slug))
    assert Picture.objects.count() == len(NAMES)
    assert not Prize.objects.filter(picture=None).exists()
    assert not Show.objects.filter(standby_picture=None).exists()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.*")) < 4_000_000
    made = {path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    demo.add_pictures(Show.objects.get(slug=demo.SLUG))
    assert made == {path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
