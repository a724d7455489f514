"""Pictures are kept by their content, told with what they belong to, and forgotten once nothing shows them."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from engagement.actions import describe_show
from engagement.core.show_state import state_message
from engagement.models import Show
from engagement.pictures.core.names import digest_of
from engagement.pictures.decoding import Made
from engagement.pictures.keeping import UNUSED_FOR, keep_made, prune_pictures
from engagement.pictures.models import ALT_LENGTH, Picture, describe_picture
from prizes.models import Prize
from prizes.steps.repeat import COPIED_OF_A_PRIZE
from tests.cast import arm, make_segment, make_show

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path) -> Path:
    settings.PICTURES_DIR = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "pictures": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path},
        },
    }
    return tmp_path


def made(content: bytes = b"one") -> Made:
    return Made(
        [(720, 480), (900, 600)],
        {f"{width}.{kind}": content for width in (720, 900) for kind in ("webp", "jpg")},
    )


def grow_old(picture: Picture) -> None:
    Picture.objects.filter(pk=picture.pk).update(kept_at=picture.kept_at - UNUSED_FOR - timedelta(hours=1))


def test_a_picture_lies_under_the_digest_of_its_content(folder):
    picture = keep_made(made())
    assert picture.digest == digest_of(made().files)
    assert {path.name for path in (folder / picture.digest).iterdir()} == set(made().files)
    assert (folder / picture.digest / "720.jpg").read_bytes() == b"one"


def test_the_same_picture_twice_is_one():
    assert keep_made(made()) == keep_made(made())
    assert Picture.objects.count() == 1
    assert keep_made(made(b"two")).digest != keep_made(made()).digest


def test_a_prize_is_announced_with_its_picture_as_it_was_when_it_was_armed():
    segment = make_segment(make_show(), prizes=2)
    picture = keep_made(made())
    first, second = Prize.objects.filter(prize_list__segment=segment)
    Prize.objects.filter(pk=first.pk).update(picture=picture, picture_alt="A coat", picture_alt_zh="大衣")
    arm(segment)
    told = describe_show(segment.show).segments[0].prizes
    assert told[1].picture is UNSET and "picture" not in msgspec.to_builtins(told[1])
    assert msgspec.to_builtins(told[0].picture) == {
        "base": f"/pictures/{picture.digest}/",
        "sizes": [(720, 480), (900, 600)],
        "alt": "A coat",
        "alt_zh": "大衣",
    }
    assert second.picture is None


def test_a_show_tells_its_pictures_and_one_without_says_nothing():
    show = make_show()
    plain = msgspec.to_builtins(state_message(describe_show(show), "tv"))
    assert not {"picture", "standby"} & plain.keys()
    show.picture, show.standby_picture = keep_made(made()), keep_made(made(b"two"))
    show.save()
    told = msgspec.to_builtins(state_message(describe_show(show), "tv"))
    assert told["picture"]["base"] != told["standby"]["base"]
    assert told["standby"] == {
        "base": f"/pictures/{show.standby_picture.digest}/",
        "sizes": [(720, 480), (900, 600)],
    }


def test_the_announcement_of_a_picture_is_small():
    alt = "银" * ALT_LENGTH
    described = describe_picture(keep_made(made()), alt, alt)
    assert len(msgspec.json.encode(described)) < 850
    assert len(msgspec.json.encode(describe_picture(keep_made(made())))) < 160


def test_what_nothing_shows_is_forgotten_when_it_is_old(folder):
    unused, fresh, shown, of_prize = (keep_made(made(content)) for content in (b"1", b"2", b"3", b"4"))
    Show.objects.filter(pk=make_show().pk).update(standby_picture=shown)
    segment = make_segment(make_show())
    Prize.objects.filter(prize_list__segment=segment).update(picture=of_prize)
    for picture in (unused, shown, of_prize):
        grow_old(picture)
    assert [picture.digest for picture in prune_pictures()] == [unused.digest]
    assert set(Picture.objects.all()) == {fresh, shown, of_prize}
    assert {path.name for path in folder.iterdir()} == {fresh.digest, shown.digest, of_prize.digest}
    assert prune_pictures() == []


def test_what_is_brought_again_is_new_again():
    picture = keep_made(made())
    grow_old(picture)
    keep_made(made())
    assert prune_pictures() == []


def test_prizes_that_are_drawn_again_keep_their_picture():
    fields = {field.attname for field in Prize._meta.concrete_fields} - {"id", "prize_list_id"}
    assert set(COPIED_OF_A_PRIZE) == fields
