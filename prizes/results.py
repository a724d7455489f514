"""What everybody is told of a published draw (docs/protocol.md): who holds its prizes now, and until when to claim."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec
from django.db.models import QuerySet
from msgspec import UNSET

from engagement.clock import to_ms
from engagement.core.messages import MAX_WINNERS, Prize, Result, Winner, Won
from engagement.models import Segment
from engagement.wins import Wins
from prizes.core.digests import beacon_strength
from prizes.core.dispositions import WON
from prizes.models import Draw, Win

SAID_OF: dict[Win.Status, Literal["won", "claimed", "lost"]] = {
    Win.Status.WON: "won",
    Win.Status.CLAIMED: "claimed",
    Win.Status.FORFEITED: "lost",
    Win.Status.DISQUALIFIED: "lost",
}


def claim_s_of(draw: Draw) -> int:
    """How many seconds a winner has to claim, as promised in the rules; the prize list's row may have been changed."""
    return int(draw.promised["claim_s"])


def describe_result(draw: Draw) -> Result:
    """A published draw as phones and screens show it, with the first of those who hold its prizes at this moment."""
    published_at = moment_of(draw.published_at)
    holders = list_holders(draw)
    first = list(holders[:MAX_WINNERS])
    return Result(
        draw=draw.pk,
        segment=draw.segment_id,
        seal=draw.seal,
        strength=beacon_strength(draw.beacon_kind),
        record_url=f"/api/draws/{draw.pk}/record",
        claim_url=f"/draws/{draw.pk}/claim/",
        claim_by=published_at + claim_s_of(draw) * 1000,
        published_at=published_at,
        shown_at=shown_at(draw.segment, published_at),
        winners=describe_winners(draw, first),
        winners_total=holders.count(),
        winners_url=f"/api/draws/{draw.pk}/winners",
        prizes=describe_prizes_of(draw, first),
    )


def shown_at(segment: Segment, published_at: int) -> int:
    """When the screens show a result, in studio time: where winners were named one by one, with the last of them."""
    named: list[dict[str, int]] = segment.announced_naming.get("winners", [])
    return max([published_at, *(row["at"] for row in named)])


def list_holders(draw: Draw) -> QuerySet[Win]:
    """Who holds a prize of a draw now, in the order of the ranking."""
    return draw.wins.filter(status__in=Win.HELD).order_by("rank")


def free_pieces(draws: Collection[Draw]) -> dict[int, list[str]]:
    """Draw -> the pieces that nobody holds now, in the order of drawing: lost and not taken up yet, or never given.

    Every page that tells or counts them asks here.
    """
    holding = Win.objects.filter(draw__in=draws, status__in=Win.HELD).only("draw", "prize", "piece")
    held = {(win.draw_id, win.piece_id) for win in holding}
    return {
        draw.pk: [row["id"] for row in draw.promised["prizes"] if (draw.pk, row["id"]) not in held]
        for draw in draws
    }


def describe_winners(draw: Draw, wins: list[Win]) -> list[Winner]:
    """These holders, for everybody."""
    shown = [win.pseudonym for win in wins]
    moved_up = draw.dispositions.filter(status=WON, pseudonym__in=shown).values_list("pseudonym", flat=True)
    return [_describe_winner(win, set(moved_up)) for win in wins]


def describe_page(draw: Draw, after: int, most: int) -> dict[str, Any]:
    """A page of all holders: those with a larger rank than `after`, and where the next page is."""
    holders = list_holders(draw)
    page = list(holders.filter(rank__gt=after)[: most + 1])
    shown, more = page[:most], len(page) > most
    following = f"/api/draws/{draw.pk}/winners?after={shown[-1].rank}" if more else None
    found: dict[str, Any] = msgspec.to_builtins(
        {
            "draw": draw.pk,
            "total": holders.count(),
            "winners": describe_winners(draw, shown),
            "prizes": describe_prizes_of(draw, shown),
            "next": following,
        }
    )
    return found


def _describe_winner(win: Win, moved_up: set[str]) -> Winner:
    late = win.pseudonym in moved_up
    return Winner(
        pseudonym=win.pseudonym,
        name=win.name,
        prize=win.prize_id,
        status="claimed" if win.status == Win.Status.CLAIMED else "won",
        moved_up=late,
        claim_by=moment_of(win.claim_by) if late else UNSET,
    )


def describe_prizes_of(draw: Draw, wins: list[Win]) -> list[Prize]:
    """The prizes that these winners hold, each of them once."""
    held = {win.prize_id for win in wins}
    return [_prize(row) for row in draw.segment.announced_prizes if row["id"] in held]


# Columns of a draw that grow with its show, and that nobody is told of with a win.
LONG = [f"draw__{name}" for name in ("rules", "excluded", "classes", "prior")]


def describe_wins(show_id: int, only: Iterable[str] | None = None) -> Wins:
    """What the gateways tell each winner of a show's published draws: of all, or `only` of these pseudonyms."""
    wins = Win.objects.filter(show=show_id, draw__step=Draw.Step.PUBLISHED)
    if only is not None:
        wins = wins.filter(pseudonym__in=set(only))
    found: Wins = {}
    for win in (
        wins.select_related("draw__segment")
        .defer("draw__rules", "draw__excluded", "draw__classes", "draw__prior")
        .order_by("pk")
        .iterator(1_000)
    ):
        found.setdefault(bytes.fromhex(win.pseudonym), []).append(_describe_win(win))
    return found


def _describe_win(win: Win) -> Won:
    return Won(
        draw=win.draw_id,
        prize=_prize(describe_prize_of(win.draw, win)),
        claim_url=f"/draws/{win.draw_id}/claim/",
        claim_by=moment_of(win.claim_by),
        status=SAID_OF[Win.Status(win.status)],
        shown_at=win.named_at_ms or moment_of(win.draw.published_at),
    )


def _prize(announced: dict[str, Any]) -> Prize:
    return msgspec.convert(announced, Prize)


def describe_prize_of(draw: Draw, win: Win) -> dict[str, Any]:
    """As announced when the segment was armed; the prize's row may have been changed since."""
    found: dict[str, Any] = next(row for row in draw.segment.announced_prizes if row["id"] == win.prize_id)
    return found


def moment_of(moment: datetime | None) -> int:
    """A time that was set when the winners were told, in ms; that it was not is our own bug."""
    if moment is None:
        raise RuntimeError("the draw is not published yet")
    return to_ms(moment)
