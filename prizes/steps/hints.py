"""What the crew sees of a frozen segment before the seal: the largest blocks against their places, and shaking that no
hand does. Made once, with the freeze, and of a bounded size; nobody is left out by it.
"""

from typing import Any

from engagement.core.shakes import clamp
from engagement.fair_play.core.origins import APP, KINDS
from engagement.models import Segment
from prizes.core.sharing import SHARED_KINDS_BYTES, Sharing, read_sharing
from prizes.core.tickets import MAX_TOTAL
from prizes.engine import Block, Hints, find_hints, largest_blocks
from prizes.files import fetch, origins_name, origins_shard_name, part_name, totals_name
from prizes.models import Draw, FrozenShard

BLOCKS_SHOWN = 20
DRAWS_SHOWN = 30


def describe_blocks(segment: Segment, shards: list[FrozenShard]) -> dict[str, Any]:
    """Of each draw its largest blocks, and of the segment how many viewers of each kind are at the clamp."""
    draws = list(segment.draws.order_by("pk")[:DRAWS_SHOWN])
    blocks = {draw.pk: _largest(draw, shards) for draw in draws}
    groups = {block.group for found in blocks.values() for block in found}
    most = _most_shakes(segment, draws)
    hints = find_hints(fetch(totals_name(segment.key)), fetch(origins_name(segment.key)), most, groups)
    named = [APP, *KINDS]
    return {
        "most_shakes": most,
        "at_clamp": {named[kind]: viewers for kind, viewers in hints.at_clamp.items()},
        "draws": [
            {
                "draw": draw.pk,
                "blocks": [_row(one, read_sharing(draw.promised), hints) for one in blocks[draw.pk]],
            }
            for draw in draws
        ],
    }


def _largest(draw: Draw, shards: list[FrozenShard]) -> list[Block]:
    """Of the kinds that share; where none does, of those that would."""
    parts = [fetch(part_name(draw.key, shard.number)) for shard in shards]
    origins = [fetch(origins_shard_name(draw.segment.key, shard.number)) for shard in shards]
    kinds = read_sharing(draw.promised).kinds or SHARED_KINDS_BYTES
    return largest_blocks(parts, origins, kinds, BLOCKS_SHOWN)


def _most_shakes(segment: Segment, draws: list[Draw]) -> int:
    """What a report counts at the end of the window, by the rules; more than anybody has where there are none."""
    promise = draws[0].promised.get("fair_play") if draws else None
    if promise is None:
        return MAX_TOTAL
    window_ms = segment.air_time.closes_at - segment.air_time.opens_at
    return clamp(MAX_TOTAL, burst=promise["burst"], max_hz=promise["max_hz"], elapsed_ms=window_ms)


def _row(block: Block, sharing: Sharing, hints: Hints) -> dict[str, Any]:
    alike = hints.alike[block.group]
    return {
        "block": block.block.hex(),
        "carrier": block.carrier,
        "entries": block.entries,
        "places": sharing.budget(block.carrier) if sharing.kinds else None,
        **alike._asdict(),
    }
