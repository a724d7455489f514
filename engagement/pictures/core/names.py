"""The names of what is kept: the name of a picture is the SHA-256 of its content, so that its address never changes
meaning.

A picture is a folder of files, one for each size and format, as `1920.webp`. Its name is the digest of the list of
these files with the digest of each.
"""

import hashlib
import re
from collections.abc import Mapping

ADDRESS = "/pictures/"
# What a browser takes: WebP, and JPEG for those of before 2020.
TYPES = {"webp": "image/webp", "jpg": "image/jpeg"}

_PATH = re.compile(
    re.escape(ADDRESS) + r"(?P<name>[0-9a-f]{64}/[1-9][0-9]{0,4}\.(?P<kind>webp|jpg))", re.ASCII
)


def digest_of(files: Mapping[str, bytes]) -> str:
    """The name of a picture: the SHA-256 (hex) of a line `digest name` for each file, sorted by name.

    >>> digest_of({"720.webp": b"small", "1920.webp": b"large"})[:8]
    '23b3d8ba'
    >>> digest_of({"1920.webp": b"large", "720.webp": b"small"})[:8]
    '23b3d8ba'
    """
    lines = [f"{hashlib.sha256(files[name]).hexdigest()} {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_name(width: int, kind: str) -> str:
    """The file of one size within its picture.

    >>> file_name(1920, "webp")
    '1920.webp'
    """
    return f"{width}.{kind}"


def base_of(digest: str) -> str:
    """The address of a picture, to which the names of its files are added.

    >>> base_of("5f" * 32) + file_name(720, "jpg")
    '/pictures/5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f/720.jpg'
    """
    return f"{ADDRESS}{digest}/"


def read_path(path: str) -> tuple[str, str] | None:
    """The file that an address names, in the storage, and its media type; None where it names none.

    >>> read_path("/pictures/" + "5f" * 32 + "/720.jpg")[1]
    'image/jpeg'
    >>> read_path("/pictures/../secret_key") is None
    True
    """
    found = _PATH.fullmatch(path)
    return (found["name"], TYPES[found["kind"]]) if found else None
