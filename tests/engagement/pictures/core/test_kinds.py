"""What a file is, by what its bytes say."""

import pytest

from engagement.pictures.core.kinds import BEGINNING_BYTES, BadPicture, kind_of


def ftyp(major: bytes, *others: bytes) -> bytes:
    rest = b"ftyp" + major + b"\0\0\0\0" + b"".join(others)
    return (len(rest) + 4).to_bytes(4, "big") + rest + b"\0\0\0\x10meta avif"


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"\xff\xd8\xff\xdb", "JPEG"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
        (b"RIFF\x10\0\0\0WEBPVP8X", "WebP"),
        (ftyp(b"avif", b"mif1", b"miaf"), "AVIF"),
        (ftyp(b"mif1", b"miaf", b"avif"), "AVIF"),
        (ftyp(b"avis", b"msf1"), "AVIF"),
    ],
)
def test_four_kinds_are_pictures(beginning: bytes, kind: str) -> None:
    assert kind_of(beginning) == kind


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (b"", "an empty file"),
        (b"GIF89a\x01", "a GIF picture"),
        (b"BM\x36", "a BMP picture"),
        (b"II*\0", "a TIFF picture"),
        (b"MM\0*", "a TIFF picture"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\3\4picture.jpg", "a zip file"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\0\0\x01\0\x01\0", "an icon"),
        (ftyp(b"heic", b"mif1"), "a HEIC picture, which its camera or phone can export as JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>", "an SVG drawing"),
        (b"\xef\xbb\xbf\n <?xml version='1.0'?><!DOCTYPE svg><SVG>", "an SVG drawing"),
        (b"<!doctype html><script>alert(1)</script>", "a page of text"),
        (ftyp(b"mp42", b"isom"), "something else"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "something else"),
        (b"\0\0\0\x20ftyp", "something else"),
        (b"JFIF, it says", "something else"),
    ],
)
def test_everything_else_is_named(beginning: bytes, words: str) -> None:
    with pytest.raises(BadPicture) as refused:
        kind_of(beginning)
    assert str(refused.value) == f"Expected a JPEG, PNG, WebP or AVIF picture, got {words}."


def test_a_list_of_brands_that_lies_about_its_length_is_read_as_far_as_it_goes() -> None:
    with pytest.raises(BadPicture):
        kind_of(b"\xff\xff\xff\xffftypmp42" + b"\0" * BEGINNING_BYTES)
