"""What a file is, by its first bytes: neither its name nor what the browser says of it counts."""

BEGINNING_BYTES = 512  # enough of a file for `kind_of`
KINDS = ("JPEG", "PNG", "WebP", "AVIF")

# Brands of ISO base media files, ISO/IEC 23000-22 and AVIF 1.1.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_OTHERS = (
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF document"),
    (b"PK\3\4", "a zip file"),
    (b"\0\0\x01\0", "an icon"),
)


class BadPicture(ValueError):
    """What was expected of a picture and what came, in words for whoever has sent it."""


def kind_of(beginning: bytes) -> str:
    """Which of `KINDS` a file is, from its first `BEGINNING_BYTES` bytes; BadPicture for everything else.

    >>> kind_of(b"\\xff\\xd8\\xff\\xe0 JFIF")
    'JPEG'
    >>> kind_of(b"RIFF....WEBPVP8 ")
    'WebP'
    >>> kind_of(b"GIF89a")
    Traceback (most recent call last):
    ...
    engagement.pictures.core.kinds.BadPicture: Expected a JPEG, PNG, WebP or AVIF picture, got a GIF picture.
    """
    if beginning.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if beginning.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WebP"
    if {b"avif", b"avis"}.intersection(_brands(beginning)):
        return "AVIF"
    raise BadPicture(f"Expected a JPEG, PNG, WebP or AVIF picture, got {_describe(beginning)}.")


def _brands(beginning: bytes) -> list[bytes]:
    """The major brand of an ISO base media file and the compatible ones; none of anything else."""
    if beginning[4:8] != b"ftyp":
        return []
    length = min(int.from_bytes(beginning[:4], "big"), len(beginning))
    return [beginning[8:12], *(beginning[at : at + 4] for at in range(16, length - 3, 4))]


def _describe(beginning: bytes) -> str:
    if not beginning:
        return "an empty file"
    if set(_HEIC).intersection(_brands(beginning)):
        return "a HEIC picture, which its camera or phone can export as JPEG"
    found = next((words for magic, words in _OTHERS if beginning.startswith(magic)), None)
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if found is None and text.startswith(b"<"):
        return "an SVG drawing" if b"<svg" in text else "a page of text"
    return found or "something else"
