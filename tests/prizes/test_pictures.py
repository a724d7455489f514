"""The page of pictures: who may bring one, what becomes of it, and what is refused in which words."""

import io
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from engagement.models import Segment, Show
from engagement.pictures import decoding
from engagement.pictures.models import Picture
from prizes.models import Prize
from tests.cast import arm, make_segment, make_show, state_in_redis
from tests.engagement.pictures.drawn import empty_png, quarters, saved

pytestmark = pytest.mark.django_db(transaction=True)

JPEG = saved(quarters(), "JPEG")
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.PICTURES_DIR = tmp_path
    options = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "pictures": options}
    return tmp_path


@pytest.fixture
def segment() -> Segment:
    return make_segment(make_show(slug="gala"), prizes=2)


def client_of(role: str | None) -> Client:
    user = User.objects.create(username=role or "mallory", is_staff=role is not None)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return client_of("operator")


def bring(client: Client, content: bytes | None, name: str = "coat.jpg", **fields: Any) -> tuple[int, str]:
    """Status and message of one press of Keep."""
    if content is not None:
        fields["file"] = SimpleUploadedFile(name, content, "image/jpeg")
    answer = client.post("/console/gala/pictures/keep/", fields, headers=JSON)
    return answer.status_code, answer.json()["message"]


def prize_of(segment: Segment) -> Prize:
    return Prize.objects.filter(prize_list__segment=segment).earliest("pk")


# --- what is taken ---


def test_a_prize_gets_its_picture_and_the_words_beside_it(
    operator: Client, segment: Segment, folder: Path
) -> None:
    prize = prize_of(segment)
    words = {"alt": "A silver coat", "alt_zh": "银色大衣"}
    assert bring(operator, JPEG, of="prize", prize=prize.pk, **words) == (200, "The picture is kept.")
    prize.refresh_from_db()
    assert prize.picture and (folder / prize.picture.digest / "400.webp").is_file()
    assert (prize.picture_alt, prize.picture_alt_zh) == ("A silver coat", "银色大衣")
    page = operator.get("/console/gala/pictures/").content.decode()
    assert prize.picture.preview in page and "A silver coat" in page


def test_its_words_are_changed_without_it(operator: Client, segment: Segment) -> None:
    prize = prize_of(segment)
    bring(operator, JPEG, of="prize", prize=prize.pk)
    assert bring(operator, None, of="prize", prize=prize.pk, alt="A coat") == (200, "The words are kept.")
    prize.refresh_from_db()
    assert prize.picture and prize.picture_alt == "A coat"


def test_the_pictures_of_a_show_are_announced_at_once(operator: Client, segment: Segment) -> None:
    assert bring(operator, JPEG, of="show", alt="The stage")[0] == 200
    assert bring(operator, saved(quarters((640, 360))), of="standby")[0] == 200
    state = state_in_redis(segment.show)
    assert state.picture and state.picture.alt == "The stage"
    assert state.standby_picture and state.standby_picture.sizes == [(640, 360)]


def test_a_picture_is_removed(operator: Client, segment: Segment) -> None:
    bring(operator, JPEG, of="show", alt="The stage")
    assert bring(operator, None, of="show", remove="1") == (200, "The picture is removed.")
    show = Show.objects.get()
    assert show.picture is None and show.picture_alt == ""
    assert state_in_redis(show).picture is None


def test_the_history_of_the_administration_says_who(operator: Client, segment: Segment) -> None:
    bring(operator, JPEG, of="show")
    told = LogEntry.objects.get()
    assert (told.user.username, told.change_message) == ("operator", "The picture is kept.")


def test_the_name_of_the_file_does_not_matter(operator: Client, segment: Segment, folder: Path) -> None:
    for name in ("🧥" * 120 + ".jpg", "../../../etc/passwd", "coat.svg", "a\nb.html"):
        assert bring(operator, JPEG, name, of="show")[0] == 200, name
    assert Picture.objects.count() == 1 and [path.name for path in folder.iterdir()] == [
        Picture.objects.get().digest
    ]


# --- what is refused ---


def a_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("coat.jpg", JPEG)
    return file.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
NONE = "Expected a JPEG, PNG, WebP or AVIF picture, got "


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", f"{NONE}an empty file."),
        (b"not a picture at all", f"{NONE}something else."),
        (SVG, f"{NONE}an SVG drawing."),
        (saved(quarters(), "GIF"), f"{NONE}a GIF picture."),
        (a_zip(), f"{NONE}a zip file."),
        (b"<html><script>alert(1)</script>", f"{NONE}a page of text."),
        (empty_png((8000, 6250)), "Expected at most 40 megapixels, got 50.0 (8000 x 6250)."),
        (empty_png((60_000, 60_000)), "Expected at most 40 megapixels."),
        (saved(quarters())[:600], "The picture cannot be read to its end: it is damaged, or not whole."),
        (JPEG[:40], "The picture cannot be read to its end: it is damaged, or not whole."),
        (b"\x89PNG\r\n\x1a\n" + SVG, "The picture cannot be read to its end: it is damaged, or not whole."),
        (saved(quarters((300, 300))), "Expected at least 320 pixels on each side, got 300 x 300."),
        (b"\xff\xd8\xff" + bytes(10_400_000), "Expected at most 10 MB, got 10.4."),
    ],
)
def test_what_is_no_picture_is_refused_in_plain_words(
    operator: Client, segment: Segment, folder: Path, content: bytes, said: str
) -> None:
    status, message = bring(operator, content, of="prize", prize=prize_of(segment).pk)
    assert status == 409 and message.startswith(said)
    assert not any(folder.iterdir()) and not Picture.objects.exists()


def test_what_is_refused_and_kept_is_said_in_the_language_of_whoever_has_brought_it(
    operator: Client, segment: Segment, folder: Path
) -> None:
    told = {
        "收到的是GIF 图片。": {"content": b"GIF89a" + bytes(600)},
        "每边至少 320 像素，实际为 300 x 300。": {"content": saved(quarters((300, 300)))},
        "无法完整读取图片：": {"content": JPEG[: len(JPEG) // 2]},
        "画面内容：应为可见的字符，实际含有 U+202E": {"content": None, "alt": "a\u202eb"},
        "图片已保存。": {"content": JPEG},
    }
    operator.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-Hans"
    for said, sent in told.items():
        assert said in bring(operator, **sent, of="show")[1]  # type: ignore[arg-type]
    assert [row.change_message for row in LogEntry.objects.all()] == ["The picture is kept."]


def test_a_file_that_is_a_page_as_well_is_served_as_a_picture_alone(
    operator: Client, segment: Segment, folder: Path
) -> None:
    assert bring(operator, JPEG + b"<html><script>alert(1)</script>", "page.html", of="show")[0] == 200
    assert not any(b"<script" in path.read_bytes() for path in folder.rglob("*.*"))


def test_a_picture_from_a_phone_stands_upright_without_its_place(
    operator: Client, segment: Segment, folder: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    bring(operator, saved(quarters((600, 400)), "JPEG", exif=exif), of="show")
    with Image.open(folder / Picture.objects.get().digest / "400.jpg") as made:
        assert made.size == (400, 600) and not made.getexif()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "expected show, standby or prize, got ''"),
        ({"of": "segment"}, "expected show, standby or prize, got 'segment'"),
        ({"of": "prize"}, "this show has no prize ''"),
        ({"of": "prize", "prize": "9" * 40}, "this show has no prize '99999999999999999999'"),
        ({"of": "show", "alt": "x" * 61}, "What is to be seen: expected at most 60 characters, got 61."),
        ({"of": "show", "alt": "a\u202eb"}, "What is to be seen: expected characters that can be seen"),
        ({"of": "standby", "alt": "no words here"}, "Choose a picture first."),
    ],
)
def test_a_form_that_is_wrong_is_refused(
    operator: Client, segment: Segment, fields: dict[str, str], said: str
) -> None:
    status, message = bring(operator, None, **fields)
    assert status == 409 and message.startswith(said)


def test_a_prize_of_another_show_is_not_of_this_one(operator: Client, segment: Segment) -> None:
    other = prize_of(make_segment(make_show()))
    assert bring(operator, JPEG, of="prize", prize=other.pk) == (409, f"this show has no prize '{other.pk}'")


def test_an_armed_prize_keeps_its_picture(operator: Client, segment: Segment) -> None:
    prize = prize_of(segment)
    bring(operator, JPEG, of="prize", prize=prize.pk)
    arm(segment)
    for fields in ({"file": SimpleUploadedFile("b.jpg", JPEG)}, {"remove": "1"}, {"alt": "Another"}):
        status, message = bring(operator, None, of="prize", prize=prize.pk, **fields)
        assert status == 409 and message.startswith("The segment is armed: its prizes and their pictures")
    page = operator.get("/console/gala/pictures/").content.decode()
    assert f'value="{prize.pk}"' not in page and "Standby picture" in page


def test_somebody_who_arms_while_a_picture_is_made_wins(
    operator: Client, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arm_meanwhile(content: bytes) -> decoding.Made:
        arm(segment)
        return decoding.Made([(400, 600)], {"400.webp": b"w", "400.jpg": b"j"})

    monkeypatch.setattr("engagement.pictures.keeping.make_picture", arm_meanwhile)
    assert bring(operator, JPEG, of="prize", prize=prize_of(segment).pk)[0] == 409
    assert prize_of(segment).picture is None


def test_one_picture_at_a_time_and_the_next_is_told_to_wait(
    operator: Client, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PATIENCE_S", 0.05)
    with decoding._one:
        status, message = bring(operator, JPEG, of="show")
    assert (status, message) == (
        503,
        "Another picture is being made at the moment: try again in a few seconds.",
    )
    assert isinstance(decoding._one, type(threading.Lock()))
    assert bring(operator, JPEG, of="show")[0] == 200


# --- who ---


@pytest.mark.parametrize("role", [None, "auditor"])
def test_who_may_not_edit_brings_no_picture(segment: Segment, role: str | None) -> None:
    assert bring(client_of(role), JPEG, of="show")[0] == 403


def test_an_auditor_looks(segment: Segment) -> None:
    page = client_of("auditor").get("/console/gala/pictures/")
    assert page.status_code == 200 and b'type="file"' not in page.content


def test_who_is_not_logged_in_gets_to_the_page_by_the_login(segment: Segment) -> None:
    answer = Client().post("/console/gala/pictures/keep/", {"of": "show"})
    assert answer.status_code == 302


def test_pictures_are_in_no_form_of_the_administration(segment: Segment) -> None:
    admin = Client()
    admin.force_login(User.objects.create_superuser("chief"))
    for address in (f"show/{segment.show_id}", f"segment/{segment.pk}"):
        assert b"picture" not in admin.get(f"/admin/engagement/{address}/change/").content
    page = admin.get(f"/admin/prizes/prizelist/{segment.prize_lists.get().pk}/change/")
    assert page.status_code == 200 and b"picture" not in page.content
