"""How guests' entries count: caps by the kind of a pass, and the share of a block (docs/draw.md, section 3)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engagement.fair_play.core.origins import KINDS
from engagement.fair_play.core.promise import SHARED_KINDS

SHARED_BYTES = 14
PURPOSE = b"shake-draw/v2/shared"


class Sharing(NamedTuple):
    """What the rules say of guests: kinds (bytes of origins) that share, how many entries a block has, the factor of
    each carrier from 0 (none) on, and the most tickets of an entry by kind (byte).

    >>> Sharing(frozenset({1}), 250, (1, 50), {}).budget(1)
    12500
    """

    kinds: frozenset[int]
    entries: int
    factors: tuple[int, ...]
    caps: Mapping[int, int]

    def budget(self, carrier: int) -> int:
        """Return how many entries a block of this carrier has; one that is not on the list has the factor 1.

        >>> Sharing(frozenset({1}), 250, (1, 50), {}).budget(7)
        250
        """
        return self.entries * (self.factors[carrier] if carrier < len(self.factors) else 1)


SHARED_KINDS_BYTES = frozenset(1 + KINDS.index(kind) for kind in SHARED_KINDS)
NOTHING_SHARED = Sharing(frozenset(), 0, (1,), {})
"""What rules of the first version say."""


def read_sharing(rules: Mapping[str, Any]) -> Sharing:
    """Return what the rules of a draw say of guests; those of the first version say nothing.

    >>> read_sharing({})
    Sharing(kinds=frozenset(), entries=0, factors=(1,), caps={})
    """
    promise = rules.get("fair_play")
    if promise is None:
        return NOTHING_SHARED
    shared = promise["shared"]
    return Sharing(
        frozenset(_byte_of(kind) for kind in shared["kinds"]) if shared["entries"] else frozenset(),
        shared["entries"],
        (1, *(factor for _, factor in promise["carriers"])),
        {_byte_of(kind): most for kind, most in promise["most_tickets"].items()},
    )


def cap_tickets(rows: Sequence[Sequence[int]], tickets: int, most: int) -> int:
    """Return the tickets of an entry that may have `most`: the largest value of the ticket table up to both.

    >>> [cap_tickets([[10, 1], [20, 5], [30, 9]], tickets, 6) for tickets in (0, 1, 5, 9)]
    [0, 1, 5, 5]
    """
    return max((worth for _, worth in rows if worth <= min(tickets, most)), default=0)


def shared_rank(totals_digest: bytes, pseudonym: bytes) -> bytes:
    """Return the 32 bytes by which the entries of a block are ordered: the smallest ones stay.

    >>> shared_rank(bytes(32), b"A" * 14).hex()[:8]
    'e8ba4b18'
    """
    return hashlib.sha256(PURPOSE + totals_digest + pseudonym).digest()


def _byte_of(kind: str) -> int:
    return 1 + KINDS.index(kind)
