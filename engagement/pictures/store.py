"""Where pictures lie: in the storage `pictures` (files below PICTURES_DIR, or S3), a folder for each."""

from pathlib import Path

from django.conf import settings

from engagement.pictures.core.names import TYPES, file_name
from engagement.pictures.core.sizes import Size
from engagement.stored import Stored

pictures = Stored("pictures", "PICTURES_DIR")


def write_picture(digest: str, files: dict[str, bytes]) -> None:
    """All files of a picture, whole; those that are there are written again, with the same content."""
    for name, content in files.items():
        pictures.write(f"{digest}/{name}", content)


def remove_picture(digest: str, sizes: list[Size]) -> None:
    """All files of a picture; they need not be there."""
    for width, _ in sizes:
        for kind in TYPES:
            pictures.remove(f"{digest}/{file_name(width, kind)}")
    folder = Path(settings.PICTURES_DIR) / digest
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
