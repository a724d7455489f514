"""What becomes of the prizes after a draw: who holds which piece, and which reserve is next (docs/draw.md, section 7).

Pure: the dispositions of a record are replayed one by one, and each has to follow from those before it. Pseudonyms are
28 hex digits, pieces the ids of `prizes` in the rules.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from prizes.core.record import STATUSES

CLAIMED, FORFEITED, DISQUALIFIED, WON, SKIPPED = "claimed", "forfeited", "disqualified", "won", "skipped"
DECLINED, DEADLINE_PASSED, MOVED_UP, WON_ELSEWHERE = (
    "declined",
    "deadline passed",
    "moved up",
    "won in another draw",
)


class Change(NamedTuple):
    """One disposition without its time and its position in the ledger: what happened to whom, and why.

    >>> Change("aa", "1-1", "claimed")
    Change(pseudonym='aa', prize='1-1', status='claimed', reason='')
    """

    pseudonym: str
    prize: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Who holds what at one moment.

    `holders` maps a piece to its holder; `claimed` are the pieces whose holders have claimed them; `free` are
    the pieces that somebody has lost and nobody has taken, in the order in which they were lost; `reserves`
    are those still in line, the next one first.

    >>> Standing({"1-1": "aa"}, reserves=("bb",)).free
    ()
    """

    holders: Mapping[str, str]
    claimed: frozenset[str] = field(default=frozenset())
    free: tuple[str, ...] = ()
    reserves: tuple[str, ...] = ()


def replay(winners: Mapping[str, str], reserves: Sequence[str], changes: Iterable[Change]) -> Standing:
    """Return how things stand after these changes; ValueError at the first that does not follow.

    `winners` maps pieces to the pseudonyms that the draw gave them to, `reserves` are in the order of the
    draw, `changes` in that of the ledger. Source: docs/draw.md, section 7.

    >>> lost = Change("aa", "1-1", "forfeited", "deadline passed")
    >>> replay({"1-1": "aa"}, ["bb"], [lost, Change("bb", "1-1", "won", "moved up")]).holders
    {'1-1': 'bb'}
    """
    standing = Standing(dict(winners), reserves=tuple(reserves))
    for change in changes:
        standing = follow(standing, change)
    return standing


def follow(standing: Standing, change: Change) -> Standing:
    """Return how things stand after one more change; ValueError where it does not follow.

    >>> follow(Standing({"1-1": "aa"}), Change("bb", "1-1", "claimed"))
    Traceback (most recent call last):
    ...
    ValueError: expected the holder of 1-1 to be 'bb', got 'aa'
    """
    if change.reason not in STATUSES.get(change.status, ()):
        came = f"{change.status!r}, {change.reason!r}"
        raise ValueError(f"expected a status and a reason of the closed list, got {came}")
    if change.status in (WON, SKIPPED):
        return _consume_reserve(standing, change)
    holder = standing.holders.get(change.prize)
    if holder != change.pseudonym:
        raise ValueError(f"expected the holder of {change.prize} to be {change.pseudonym!r}, got {holder!r}")
    if change.prize in standing.claimed and change.status != DISQUALIFIED:
        raise ValueError(f"expected {change.prize} not to be claimed, got it claimed already")
    if change.status == CLAIMED:
        return replace(standing, claimed=standing.claimed | {change.prize})
    return _free(standing, change.prize)


def _free(standing: Standing, piece: str) -> Standing:
    holders = {other: holder for other, holder in standing.holders.items() if other != piece}
    claimed = standing.claimed - {piece}
    return replace(standing, holders=holders, claimed=claimed, free=(*standing.free, piece))


def _consume_reserve(standing: Standing, change: Change) -> Standing:
    """Reserves are taken or passed over strictly in order, and only while a piece is free."""
    following = standing.reserves[:1]
    if following != (change.pseudonym,):
        raise ValueError(f"expected the next reserve, {following}, got {change.pseudonym!r}")
    if not standing.free:
        raise ValueError(f"expected a free piece for {change.pseudonym!r}, got none")
    rest = replace(standing, reserves=standing.reserves[1:])
    if change.status == SKIPPED:
        if change.prize:
            raise ValueError(f"expected no prize for who is passed over, got {change.prize!r}")
        return rest
    if change.prize not in standing.free:
        raise ValueError(f"expected a free piece of {standing.free}, got {change.prize!r}")
    free = tuple(piece for piece in standing.free if piece != change.prize)
    return replace(rest, holders={**standing.holders, change.prize: change.pseudonym}, free=free)


def next_change(standing: Standing, won_elsewhere: Collection[str]) -> Change | None:
    """Return what has to happen next by itself, or None: the next reserve takes the piece that was lost first.

    A reserve of `won_elsewhere` (pseudonyms with a win of this show in another draw) is passed over.

    >>> standing = replay({"1-1": "aa"}, ["bb", "cc"], [Change("aa", "1-1", "forfeited", "declined")])
    >>> next_change(standing, {"bb"})
    Change(pseudonym='bb', prize='', status='skipped', reason='won in another draw')
    >>> next_change(standing, ())
    Change(pseudonym='bb', prize='1-1', status='won', reason='moved up')
    """
    if not standing.free or not standing.reserves:
        return None
    following = standing.reserves[0]
    if following in won_elsewhere:
        return Change(following, "", SKIPPED, WON_ELSEWHERE)
    return Change(following, standing.free[0], WON, MOVED_UP)
