"""Where frozen totals, rolls and records are kept: in the storage `draws` (files below DRAWS_DIR, or S3).

Each file is written once and whole; made again, it has the same bytes. `segment` and `draw` are their keys
(`Segment.key`, `Draw.key`), which name one play: a segment that is armed again, in a database that was restored, finds
no file of the first time. The engine works on local files (engagement/stored.py).
"""

from pathlib import Path

from engagement.stored import Stored

_draws = Stored("draws", "DRAWS_DIR")
exists, fetch, writing, write, remove = (
    _draws.exists,
    _draws.fetch,
    _draws.writing,
    _draws.write,
    _draws.remove,
)


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


def beside(segment: str, draw: str) -> dict[str, Path]:
    """What says where entries come from, by the verifier's options; draws from before that have none of it."""
    names = {"origins": origins_name(segment), "shared": shared_name(draw)}
    return {option: fetch(name) for option, name in names.items() if exists(name)}
