"""The zip file: written whole or not at all, in bounded memory, and always with the same bytes."""

import hashlib
import json
import zipfile
from pathlib import Path

from engagement.clock import from_ms
from engagement.whole import replacing
from prizes.evidence.content import FORMAT, PackedFile
from prizes.evidence.staging import MANIFEST, README, REPORT, SUMS, Staging, read_chunks
from prizes.evidence.state import EvidenceRefused, State

FIRST_MS, LAST_MS = 315_532_800_000, 4_354_819_198_000  # 1980 to 2107, what a zip file can say


def check_target(target: Path, slug: str, *, force: bool) -> None:
    """A pack of the same show may be replaced; any other file only where that was asked for."""
    try:
        fits = target.parent.is_dir() and not target.is_dir()
        taken = fits and target.exists() and not force and _show_of(target) != slug
    except (OSError, ValueError):  # too long, or with a NUL in it
        fits = taken = False
    if not fits:
        raise EvidenceRefused(f"{str(target)[:200]}: expected the name of a file in a folder that is there")
    if taken:
        raise EvidenceRefused(f"{target} is there and is no evidence pack of {slug}; --force replaces it")


def _show_of(path: Path) -> str | None:
    """Which show a file is a pack of."""
    try:
        with zipfile.ZipFile(path) as pack:
            found = json.loads(pack.read(MANIFEST))
        return str(found["show"]) if found["$format"] == f"{FORMAT}/manifest" else None
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError):
        return None


def write_zip(staging: Staging, state: State, target: Path) -> tuple[str, int]:
    """Writes all files to the target, whole or not at all; returns its SHA-256 and size."""
    try:
        with replacing(target) as new:
            with zipfile.ZipFile(new, "x", zipfile.ZIP_STORED) as pack:
                for row in _in_order(staging):
                    _add(pack, staging, row, state.at_ms)
            return _digest(staging, new)
    except OSError as error:
        raise EvidenceRefused(f"{target}: {error.strerror or error}") from None


def _digest(staging: Staging, path: Path) -> tuple[str, int]:
    size, digest = path.stat().st_size, hashlib.sha256()
    for chunk in read_chunks(path, lambda done: staging.tell("reading the pack", done, size)):
        digest.update(chunk)
    return digest.hexdigest(), size


def _in_order(staging: Staging) -> list[PackedFile]:
    """What people open first stands first."""
    first = [staging.packed[path] for path in (README, REPORT, SUMS, MANIFEST)]
    return first + sorted(row for row in staging.packed.values() if row not in first)


def _add(pack: zipfile.ZipFile, staging: Staging, row: PackedFile, at_ms: int) -> None:
    """Stored as it is: deflate gives other bytes with another zlib, and rolls do not shrink anyway."""
    at = from_ms(min(max(at_ms, FIRST_MS), LAST_MS))
    info = zipfile.ZipInfo(row.path, (at.year, at.month, at.day, at.hour, at.minute, at.second))
    info.create_system, info.external_attr, info.file_size = 3, 0o100644 << 16, row.size
    digest = hashlib.sha256()
    with pack.open(info, "w", force_zip64=row.size > zipfile.ZIP64_LIMIT) as target:
        source = staging.folder / row.path
        for chunk in read_chunks(source, lambda done: staging.tell(f"packing {row.path}", done, row.size)):
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != row.sha256:
        raise EvidenceRefused(f"{row.path} was changed while it was packed: try again")
