"""What everybody is told of a published draw (docs/protocol.md): who holds its prizes now, and until when to claim."""

from datetime import datetime
from typing import Any

from engagement.clock import to_ms
from engagement.core.names import stage_name
from prizes.core.digests import beacon_strength
from prizes.core.dispositions import WON
from prizes.models import Draw, Win


def claim_s_of(draw: Draw) -> int:
    """How many seconds a winner has to claim, as promised in the rules; the prize list's row may have been changed."""
    return int(draw.promised["claim_s"])


def describe_result(draw: Draw) -> dict[str, Any]:
    """A published draw as phones and the stage show it, with those who hold its prizes at this moment."""
    moved_up = set(draw.dispositions.filter(status=WON).values_list("pseudonym", flat=True))
    published_at = moment_of(draw.published_at)
    return {
        "draw": draw.pk,
        "segment": draw.segment_id,
        "winners": [
            _describe_winner(draw, win, win.pseudonym in moved_up)
            for win in draw.wins.filter(status__in=Win.HELD).order_by("rank")
        ],
        "seal": draw.seal,
        "strength": beacon_strength(draw.beacon_kind),
        "record_url": f"/api/draws/{draw.pk}/record",
        "claim_url": f"/draws/{draw.pk}/claim/",
        "claim_by": published_at + claim_s_of(draw) * 1000,
        "published_at": published_at,
    }


def _describe_winner(draw: Draw, win: Win, moved_up: bool) -> dict[str, Any]:
    """What is so for most is left out: the frame goes to every phone."""
    described: dict[str, Any] = {
        "pseudonym": win.pseudonym,
        "prize": describe_prize_of(draw, win),
        "name": stage_name(bytes.fromhex(win.pseudonym)),
    }
    if win.status == Win.Status.CLAIMED:
        described["status"] = "claimed"
    if moved_up:
        described |= {"moved_up": True, "claim_by": moment_of(win.claim_by)}
    return described


def describe_prize_of(draw: Draw, win: Win) -> dict[str, Any]:
    """As announced when the segment was armed; the prize's row may have been changed since."""
    found: dict[str, Any] = next(row for row in draw.segment.announced_prizes if row["id"] == win.prize_id)
    return found


def moment_of(moment: datetime | None) -> int:
    """A time that was set when the winners were told, in ms; that it was not is our own bug."""
    if moment is None:
        raise RuntimeError("the draw is not published yet")
    return to_ms(moment)
