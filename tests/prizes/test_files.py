"""Files of draws are there whole or not at all, in folders and in storages that have none."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InMemoryStorage, Storage, storages

from gala.settings import files_storage
from prizes import files


class Elsewhere(Storage):
    """Has no paths, like S3."""

    def __init__(self):
        self._memory = InMemoryStorage()

    def _open(self, name, mode="rb"):
        return self._memory.open(name, mode)

    def _save(self, name, content):
        return self._memory.save(name, content)

    def delete(self, name):
        self._memory.delete(name)

    def exists(self, name):
        return self._memory.exists(name)

    def listdir(self, path):
        return self._memory.listdir(path)


@pytest.fixture(params=["folder", "elsewhere"])
def storage(request, settings, tmp_path):
    """Files in a folder; and a storage without paths, like S3, of which local copies are kept."""
    settings.DRAWS_DIR = tmp_path
    options = files_storage("", tmp_path, "DRAWS_STORAGE")
    elsewhere = {"BACKEND": "tests.prizes.test_files.Elsewhere"}
    settings.STORAGES = {
        **settings.STORAGES,
        "draws": options if request.param == "folder" else elsewhere,
    }
    return storages["draws"]


def stored(storage):
    with storage.open("draw-1/roll.bin") as file:
        return file.read()


def test_what_was_written_can_be_fetched_and_is_in_the_storage(storage):
    files.write("draw-1/roll.bin", b"roll")
    assert files.exists("draw-1/roll.bin")
    assert files.fetch("draw-1/roll.bin").read_bytes() == stored(storage) == b"roll"


def test_written_again_it_keeps_its_name(storage):
    for content in (b"one", b"two"):
        files.write("draw-1/roll.bin", content)
    assert stored(storage) == b"two"
    assert storage.listdir("draw-1")[1] == ["roll.bin"]


def test_a_worker_without_a_copy_fetches_one(storage, tmp_path):
    files.write("draw-1/roll.bin", b"roll")
    if isinstance(storage, Elsewhere):
        (tmp_path / "draw-1/roll.bin").unlink()  # as on another machine
    assert files.fetch("draw-1/roll.bin").read_bytes() == b"roll"


def test_what_was_not_written_to_its_end_is_not_there(storage, tmp_path):
    with pytest.raises(RuntimeError), files.writing("draw-1/roll.bin") as path:
        path.write_bytes(b"half")
        raise RuntimeError("killed")
    assert not files.exists("draw-1/roll.bin")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_nobody_wrote_is_named(storage):
    with pytest.raises(FileNotFoundError, match=r"draw-1/roll\.bin"):
        files.fetch("draw-1/roll.bin")


def test_a_storage_at_s3_is_one_setting(tmp_path):
    made = files_storage(
        "s3://gala/draws?endpoint_url=https://s3.example&region_name=eu", tmp_path, "DRAWS_STORAGE"
    )
    assert made["OPTIONS"] == {
        "bucket_name": "gala",
        "location": "draws",
        "file_overwrite": True,
        "endpoint_url": "https://s3.example",
        "region_name": "eu",
    }


@pytest.mark.parametrize("address", ["ftp://gala", "s3:///draws", "gala"])
def test_another_address_stops_the_start(address, tmp_path):
    with pytest.raises(ImproperlyConfigured, match="DRAWS_STORAGE"):
        files_storage(address, tmp_path, "DRAWS_STORAGE")
