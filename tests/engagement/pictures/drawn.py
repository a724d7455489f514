"""Pictures for tests: colours that are known, in every kind and mode that cameras and programs make."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

RED, GREEN, BLUE = (200, 30, 40), (20, 160, 60), (30, 60, 200)
SIZE = (400, 600)


def quarters(size: tuple[int, int] = SIZE) -> Image.Image:
    """Red at the top left, green at the top right, blue below."""
    width, height = size
    made = Image.new("RGB", size, BLUE)
    made.paste(RED, (0, 0, width // 2, height // 2))
    made.paste(GREEN, (width // 2, 0, width, height // 2))
    return made


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def empty_png(size: tuple[int, int]) -> bytes:
    """A PNG of this size in a few kilobytes, however large it is: black, one bit for each pixel."""
    width, height = size
    packer = zlib.compressobj(9)
    row = b"\0" + bytes((width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", rows),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
