"""The process that decodes a picture and makes it anew in all sizes; `python -m engagement.pictures.decoder`.

A file comes from outside: it is read here, with bounds on memory and time and without the secrets of a gateway, and
nothing of it but its pixels goes on. The picture comes in on the standard input; out goes a line of JSON, `sizes` and
`files` (name and length each), and then the files; or `refused`, in words for whoever has sent it.
See docs/decisions/0056-pictures-are-made-anew-in-a-process.md.
"""

import json
import os
import resource
import sys
import warnings
from io import BytesIO
from typing import BinaryIO

from PIL import AvifImagePlugin, Image, ImageCms, ImageFile, PngImagePlugin

from engagement.pictures.core.kinds import BEGINNING_BYTES, BadPicture, kind_of
from engagement.pictures.core.names import file_name
from engagement.pictures.core.sizes import MAX_PIXELS, Size, check_size, sizes_of

NICE = 10  # behind every phone, as hashes of passwords are
MEMORY_BYTES = 1_200_000_000  # addresses; 40 megapixels take a half of it
CPU_S = 30
NIGHT = (0x0D, 0x0B, 0x1A)  # the ground of the pages, on which what is transparent is laid
WEBP: dict[str, object] = {"quality": 80, "method": 4}
JPEG: dict[str, object] = {"quality": 80, "optimize": True, "progressive": True}
ORIENTATION = 0x0112
# EXIF 2.32, 4.6.5: how to turn what was stored, so that it stands upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
NOT_WHOLE = (
    "The picture cannot be read to its end: it is damaged, or not whole. Export it anew and try again."
)
TOO_MUCH = "The picture needs too much memory or time to be read. Export it anew, as a JPEG."


def main() -> None:
    _bound()
    answer, files = make_anew(sys.stdin.buffer)
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    for content in files:
        sys.stdout.buffer.write(content)


def _bound() -> None:
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # These are Pillow's own defaults, but for the first and the last; whatever changes there, they hold here.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    PngImagePlugin.MAX_TEXT_MEMORY = 1 << 20
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    warnings.simplefilter("ignore")  # damaged EXIF is nobody's business here


def make_anew(source: BinaryIO) -> tuple[dict[str, object], list[bytes]]:
    """What goes out, for a picture that comes in."""
    try:
        files, sizes = encode(read(source))
    except BadPicture as bad:
        return {"refused": str(bad)}, []
    except MemoryError:
        return {"refused": TOO_MUCH}, []
    except Exception:  # decoders raise whatever they like: OSError, SyntaxError, struct.error, ValueError …
        return {"refused": NOT_WHOLE}, []
    return {"sizes": sizes, "files": [[name, len(content)] for name, content in files.items()]}, [
        *files.values()
    ]


def read(source: BinaryIO) -> Image.Image:
    """The picture upright, in sRGB, in the largest size that is kept; BadPicture where it is none that we take."""
    content = source.read()
    kind = kind_of(content[:BEGINNING_BYTES])
    try:
        picture = Image.open(BytesIO(content), formats=[kind.upper()])
    except Image.DecompressionBombError:
        raise BadPicture(f"Expected at most {MAX_PIXELS // 1_000_000} megapixels.") from None
    check_size(picture.size)
    turn = TURNS.get(picture.getexif().get(ORIENTATION, 1))
    picture.seek(0)  # of what moves, the first frame
    picture.load()
    largest = _reduce(_in_bytes(picture), turn)
    upright = _on_night(largest, picture.info.get("icc_profile"))
    return upright if turn is None else upright.transpose(turn)


def _in_bytes(picture: Image.Image) -> Image.Image:
    """With a byte for each channel, and with its transparency as a channel."""
    if picture.mode in SIXTEEN_BITS:
        return picture.point(lambda level: level * (1 / 256)).convert("L")
    if picture.mode in ("RGB", "RGBA", "L", "LA", "CMYK") and "transparency" not in picture.info:
        return picture
    transparent = picture.has_transparency_data
    return picture.convert("RGBA" if transparent else "RGB")


def _reduce(picture: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """In the largest size that is kept, still as it was stored: what follows costs less."""
    lies = turn in (TURNS[5], TURNS[6], TURNS[7], TURNS[8])
    upright = picture.size[::-1] if lies else picture.size
    largest = sizes_of(upright)[-1]
    stored = largest[::-1] if lies else largest
    if stored == picture.size:
        return picture
    return picture.resize(stored, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _on_night(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """In sRGB, what is transparent on the ground of the pages; with nothing beside its pixels."""
    alpha = picture.getchannel("A") if picture.mode in ("RGBA", "LA") else None
    plain = picture.convert(picture.mode.removesuffix("A")) if alpha else picture
    colours = _in_srgb(plain, profile)
    made = Image.new("RGB", picture.size, NIGHT)
    made.paste(colours, mask=alpha)
    return made


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """By the profile that came with it; where it has none, or one that does not fit, as it is."""
    try:
        if profile:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            made = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            return made or picture.convert("RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        pass
    return picture.convert("RGB")


def encode(picture: Image.Image) -> tuple[dict[str, bytes], list[Size]]:
    """All files of a picture, and its sizes."""
    sizes = sizes_of(picture.size)
    files = {}
    for width, height in reversed(sizes):
        # Each from the one before: the next larger one has all that is left to see.
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
        files[file_name(width, "webp")] = _save(picture, "WEBP", WEBP)
        files[file_name(width, "jpg")] = _save(picture, "JPEG", JPEG)
    return files, sizes


def _save(picture: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    picture.info = {}  # Pillow would copy a comment or a profile from there
    made = BytesIO()
    picture.save(made, kind, **options)
    return made.getvalue()


if __name__ == "__main__":
    main()
