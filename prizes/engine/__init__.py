"""The fast draw: totals sorted, rolls made and ranked from files, in memory that does not grow with them
(docs/draw.md, sections 3, 6 and 8; measured in docs/performance.md).

One step per shard, and one that puts the shards together:

    raw dump --sort_shard--> sorted totals --count_shard--> part of a roll        one task per shard
    sorted totals --join_totals--> totals file                                    once per segment
    parts --join_roll--> roll and tree, root and digest                       once per draw
    roll --rank_roll over ranges--> rankings --merge_rankings--> ranking          any number of ranges

The independent second implementation shares no code with this one; both must agree before anything is announced.
"""

from prizes.engine.blocks import Block, Hints, find_hints, largest_blocks
from prizes.engine.ranking import audit_sample, merge_rankings, rank_roll
from prizes.engine.rolls import (
    PartSummary,
    RollSummary,
    count_shard,
    join_roll,
    make_tree,
)
from prizes.engine.sharing import OriginsSummary, Shared, join_origins, list_shared, name_kinds
from prizes.engine.streams import Progress
from prizes.engine.totals import ShardSummary, add_totals, join_totals, sort_shard
from prizes.engine.tree import Tree

__all__ = [
    "Block",
    "Hints",
    "OriginsSummary",
    "PartSummary",
    "Progress",
    "RollSummary",
    "ShardSummary",
    "Shared",
    "Tree",
    "add_totals",
    "audit_sample",
    "count_shard",
    "find_hints",
    "join_origins",
    "join_roll",
    "join_totals",
    "largest_blocks",
    "list_shared",
    "make_tree",
    "merge_rankings",
    "name_kinds",
    "rank_roll",
    "sort_shard",
]
