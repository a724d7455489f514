"""Files in a storage of Django's (`STORAGES`): in a folder, or in S3.

Each file is written whole or not at all. Who reads it works on a local file: of a storage that has no paths, `fetch`
keeps a copy of what it has downloaded.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages

from engagement.whole import replacing


class Stored:
    """The files of one storage; `folder` is the setting that says where local copies are."""

    def __init__(self, storage: str, folder: str) -> None:
        self._name, self._folder = storage, folder

    @property
    def storage(self) -> Storage:
        return storages[self._name]

    def exists(self, name: str) -> bool:
        """Whether the file was written."""
        return bool(self.storage.exists(name))

    def fetch(self, name: str) -> Path:
        """The file as a local path, to be read only; FileNotFoundError without it."""
        path, own = self._local(name)
        if own and not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with self.storage.open(name, "rb") as source, replacing(path) as copy, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        if not path.is_file():
            raise FileNotFoundError(f"{name} is not there")
        return path

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path to write to; the file takes its name when the body has ended well, else nothing is left of it."""
        path, own = self._local(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as new:
            yield new
            if own:
                self._upload(name, new)

    def write(self, name: str, content: bytes) -> None:
        """Writes a file so that it is there whole or not at all."""
        with self.writing(name) as path:
            path.write_bytes(content)

    def remove(self, name: str) -> None:
        """Forgets a file; it need not be there."""
        path, own = self._local(name)
        if own and self.exists(name):
            self.storage.delete(name)
        path.unlink(missing_ok=True)

    def _local(self, name: str) -> tuple[Path, bool]:
        """The local path of a file, and whether it is a copy of our own: a remote storage has no paths."""
        try:
            return Path(self.storage.path(name)), False
        except NotImplementedError:
            return Path(getattr(settings, self._folder)) / name, True

    def _upload(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            storage = self.storage
            if storage.get_available_name(name) != name:
                storage.delete(
                    name
                )  # written again by a step that ran twice: not beside it, under another name
            storage.save(name, File(file))
