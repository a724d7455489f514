"""A disk that turns out to be full while a show starts."""

from pathlib import Path

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from gala.disk import DiskFull, require_room, telling_of_a_full_disk


def test_a_file_that_finds_no_room_is_told_in_one_sentence(tmp_path: Path) -> None:
    told = f"the disk of {tmp_path} is full .*No space left on device.*, a night needs 32 MB: make room there"
    with pytest.raises(DiskFull, match=told), telling_of_a_full_disk(tmp_path):
        Path("/dev/full").write_text("a night")


@pytest.mark.django_db  # which allows a connection to any
def test_so_is_a_database_that_cannot_grow(tmp_path: Path) -> None:
    options = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "full.sqlite3")}
    connection = ConnectionHandler({"default": options})["default"]
    with connection.cursor() as cursor, pytest.raises(DiskFull), telling_of_a_full_disk(tmp_path):
        cursor.execute("PRAGMA max_page_count = 2")
        for number in range(9):
            cursor.execute(f"CREATE TABLE room_{number} (x)")
    connection.close()


def test_other_troubles_stay_what_they_are(tmp_path: Path) -> None:
    for trouble in (FileNotFoundError(2, "No such file"), OperationalError("database is locked")):
        with pytest.raises(type(trouble)), telling_of_a_full_disk(tmp_path):
            raise trouble


def test_the_more_phones_the_more_room_is_needed(tmp_path: Path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(DiskFull, match=r"a night with 1000000000000 phones needs 2000000032 MB"):
        require_room(tmp_path, 10**12)
