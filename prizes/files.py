"""Where frozen totals, rolls and records are kept: in the storage `draws` (files below DRAWS_DIR, or S3).

Each file is written once and whole; made again, it has the same bytes. `segment` and `draw` are their keys
(`Segment.key`, `Draw.key`), which name one play: a segment that is armed again, in a database that was restored, finds
no file of the first time. The engine works on local files: with a storage that has none of its own, `fetch` keeps a
copy of what it has downloaded.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages

from engagement.whole import replacing


def shard_name(segment: str, shard: int) -> str:
    """The frozen totals of one shard of a segment, sorted."""
    return f"segment-{segment}/totals-{shard:03}.bin"


def totals_name(segment: str) -> str:
    """The frozen totals of a whole segment, for the auditor only (docs/draw.md, section 3)."""
    return f"segment-{segment}/totals.bin"


def origins_shard_name(segment: str, shard: int) -> str:
    """Where the guests of one shard come from, sorted."""
    return f"segment-{segment}/origins-{shard:03}.bin"


def origins_name(segment: str) -> str:
    """Where the guests of a whole segment come from, for the auditor only (docs/draw.md, section 3)."""
    return f"segment-{segment}/origins.bin"


def shared_name(draw: str) -> str:
    """The pseudonyms whose entries a block had too many, sorted (docs/draw.md, section 3)."""
    return f"draw-{draw}/shared.bin"


def part_name(draw: str, shard: int) -> str:
    """One shard's part of the roll of a draw."""
    return f"draw-{draw}/part-{shard:03}.bin"


def roll_name(draw: str) -> str:
    """The roll of a draw (docs/draw.md, section 3)."""
    return f"draw-{draw}/roll.bin"


def tree_name(draw: str) -> str:
    """All nodes of the tree over a roll, from which proofs are read."""
    return f"draw-{draw}/tree.bin"


def ranking_name(draw: str, part: int) -> str:
    """The best entries of one part of the roll."""
    return f"draw-{draw}/ranking-{part:03}.json"


def record_name(draw: str) -> str:
    """The record of a draw as it was drawn (docs/draw.md, section 7)."""
    return f"draw-{draw}/record.json"


def exists(name: str) -> bool:
    """Whether the file was written."""
    return bool(_storage().exists(name))


def beside(segment: str, draw: str) -> dict[str, Path]:
    """What says where entries come from, by the verifier's options; draws from before that have none of it."""
    names = {"origins": origins_name(segment), "shared": shared_name(draw)}
    return {option: fetch(name) for option, name in names.items() if exists(name)}


def fetch(name: str) -> Path:
    """The file as a local path, to be read only; FileNotFoundError without it."""
    path, own = _local(name)
    if own and not path.is_file():
        with _storage().open(name, "rb") as source, replacing(path) as copy, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    if not path.is_file():
        raise FileNotFoundError(f"{name} is not there")
    return path


@contextmanager
def writing(name: str) -> Iterator[Path]:
    """A path to write to; the file takes its name when the body has ended well, else nothing is left of it."""
    path, own = _local(name)
    with replacing(path) as new:
        yield new
        if own:
            _upload(name, new)


def write(name: str, content: bytes) -> None:
    """Writes a file so that it is there whole or not at all."""
    with writing(name) as path:
        path.write_bytes(content)


def remove(name: str) -> None:
    """Forgets a file that can be made again; it need not be there."""
    path, own = _local(name)
    if own and _storage().exists(name):
        _storage().delete(name)
    path.unlink(missing_ok=True)


def _storage() -> Storage:
    return storages["draws"]


def _local(name: str) -> tuple[Path, bool]:
    """The local path of a file, and whether it is a copy of our own: a remote storage has no paths."""
    try:
        path, own = Path(_storage().path(name)), False
    except NotImplementedError:
        path, own = Path(settings.DRAWS_DIR) / name, True
    path.parent.mkdir(parents=True, exist_ok=True)
    return path, own


def _upload(name: str, path: Path) -> None:
    with path.open("rb") as file:
        storage = _storage()
        if storage.get_available_name(name) != name:
            storage.delete(name)  # written again by a step that ran twice: not beside it, under another name
        storage.save(name, File(file))
