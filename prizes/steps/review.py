"""Where the entries of a roll come from: origins beside the totals, and what a block has too many (docs/draw.md, 3).

A part of the freeze: run twice, or killed and run again, each step writes the same files.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engagement import tally
from engagement.fair_play.core.origins import parse_origin
from engagement.models import Segment
from prizes.core.roll import TOTAL_BYTES
from prizes.core.sharing import read_sharing
from prizes.engine import join_origins, list_shared, name_kinds
from prizes.files import fetch, origins_name, origins_shard_name, shard_name, shared_name, writing
from prizes.models import Draw, FrozenShard

VIEWERS_AT_ONCE = 10_000


class Broken(Exception):
    """Something is not as it was promised or written down: the step is not done."""


def dump_origins(segment_key: str, number: int) -> str:
    """Writes where the guests of a shard come from, in the order of its sorted totals; the SHA-256 of the file."""
    viewers = _viewers(fetch(shard_name(segment_key, number)))
    with writing(origins_shard_name(segment_key, number)) as path, path.open("wb") as file:
        for viewer, origin in tally.read_origins(segment_key, number, viewers):
            if _is_origin(origin):
                file.write(viewer + origin)
    return sha256_of(fetch(origins_shard_name(segment_key, number)))


def _viewers(totals: Path) -> Iterator[list[bytes]]:
    with totals.open("rb") as file:
        while rows := file.read(VIEWERS_AT_ONCE * TOTAL_BYTES):
            yield [rows[at : at + 14] for at in range(0, len(rows), TOTAL_BYTES)]


def _is_origin(data: bytes) -> bool:
    """What no gateway has written holds up no show: that viewer has none."""
    try:
        parse_origin(data)
    except ValueError:
        return False
    return True


def freeze_origins(segment: Segment, shards: list[FrozenShard]) -> dict[str, Any]:
    """Joins the origins of all shards for the auditor: the SHA-256 of the file, and viewers by kind."""
    paths = [checked(origins_shard_name(segment.key, row.number), row.origins_sha256) for row in shards]
    with writing(origins_name(segment.key)) as path:
        joined = join_origins(paths, path)
    viewers = sum(row.viewers for row in shards)
    return {"kinds": name_kinds(viewers, joined.kinds), "origins_sha256": joined.sha256.hex()}


def share_entries(
    draw: Draw, parts: list[Path], shards: list[FrozenShard], totals_digest: str
) -> dict[str, Any]:
    """Lists the entries that their blocks have too many, by the rules of this draw: figures, and the file's SHA-256."""
    names = [origins_shard_name(draw.segment.key, row.number) for row in shards]
    sharing, digest = read_sharing(draw.promised), bytes.fromhex(totals_digest)
    with writing(shared_name(draw.key)) as path:
        shared = list_shared(parts, [fetch(name) for name in names], sharing, digest, path)
    return {**shared._asdict(), "sha256": sha256_of(fetch(shared_name(draw.key)))}


def checked(name: str, sha256: str) -> Path:
    """The file, if it is the one that was written down."""
    path = fetch(name)
    found = sha256_of(path)
    if found != sha256:
        raise Broken(f"{name} was changed after the freeze: expected {sha256}, got {found}")
    return path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
