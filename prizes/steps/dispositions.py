"""Lines of the record after the draw: what became of a prize, and the entry of the ledger that tells of it."""

from engagement.actions import record_change
from prizes.core.dispositions import CLAIMED, DISQUALIFIED, FORFEITED, SKIPPED, WON, Change
from prizes.models import Disposition, Draw

LEDGER_ACTIONS = {
    CLAIMED: "claim",
    FORFEITED: "forfeit",
    DISQUALIFIED: "disqualify",
    WON: "move up",
    SKIPPED: "skip reserve",
}


def write_disposition(draw: Draw, change: Change, *, actor: str, now: int) -> Disposition:
    """The line of the record, and the entry of the ledger that it names; must run inside a transaction."""
    details = {"draw": draw.draw_id, "pseudonym": change.pseudonym, "prize": change.prize}
    action = LEDGER_ACTIONS[change.status]
    entry = record_change(
        draw.segment, action, actor=actor, now=now, reason=change.reason, details=details, at_once=False
    )
    return Disposition.objects.create(
        draw=draw,
        pseudonym=change.pseudonym,
        piece=change.prize,
        status=change.status,
        reason=change.reason,
        at_ms=entry.at_ms,
        ledger=entry.position,
    )
