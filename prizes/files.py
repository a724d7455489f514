"""Where frozen totals, rolls and records are kept, below DRAWS_DIR; each is written once and whole."""

import hashlib
import os
import secrets
from pathlib import Path

from django.conf import settings


def shard_path(segment: int, shard: int) -> Path:
    """The frozen totals of one shard of a segment."""
    return _folder(f"segment-{segment}") / f"totals-{shard:03}.bin"


def roll_path(draw: int) -> Path:
    """The roll of a draw (docs/draw.md, section 3)."""
    return _folder(f"draw-{draw}") / "roll.bin"


def totals_path(draw: int) -> Path:
    """The frozen totals that the roll was made from, for the auditor only."""
    return _folder(f"draw-{draw}") / "totals.bin"


def record_path(draw: int) -> Path:
    """The record of a draw (docs/draw.md, section 7)."""
    return _folder(f"draw-{draw}") / "record.json"


def write_whole(path: Path, content: bytes) -> str:
    """Writes a file so that it is there whole or not at all; returns its SHA-256."""
    temporary = temporary_name(path)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return hashlib.sha256(content).hexdigest()


def temporary_name(path: Path) -> Path:
    """Beside the file, and nobody else's: two workers in two containers can have the same process id."""
    return path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")


def _folder(name: str) -> Path:
    folder: Path = settings.DRAWS_DIR / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
