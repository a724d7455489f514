"""A segment that gets no seal in time ends here, in public: its roll is kept, its receipts are served.

Nobody chooses this where the beacon is drand: it happens when the round is out, and never before.
"""

from django.db import transaction

from engagement.actions import (
    ActionRefused,
    change_phase,
    lock_segment,
    past_phase,
    record_change,
)
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.languages import say
from engagement.ledger.append import SYSTEM
from engagement.models import Segment
from engagement.phrases import phase_text
from prizes.models import Draw
from prizes.steps.beacon import beacon_due_at, round_of


@transaction.atomic
def spoil_segment(segment_id: int, reason: str, *, actor: str = SYSTEM, now: int | None = None) -> Segment:
    """Ends a frozen segment that is not sealed; whoever comes second changes nothing."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if segment.phase != Phase.CLOSING:
        raise past_phase(segment)
    draws = list(segment.draws.select_related("segment__freeze").order_by("pk"))
    facts = {**segment.announced_facts, "reason": reason}
    change_phase(segment, Phase.SPOILED, now, announced_facts=facts)
    segment.draws.filter(seal="").update(step=Draw.Step.SPOILED, trouble="", attempts=0)
    details = {"draws": [draw.draw_id for draw in draws]}
    record_change(segment, "spoil", actor=actor, now=now, reason=reason, details=details)
    return segment


def late_reason(draw: Draw, now: int) -> str:
    """Why a frozen draw can get no seal any more; empty where it still can.

    A seal that is made when its round is out proves nothing: whoever made it could have seen who would win.
    """
    number = round_of(draw)
    if number and now >= beacon_due_at(draw):
        return f"drand's round {number} was due before there was a seal"
    return ""


@transaction.atomic
def spoil_by_hand(segment_id: int, *, actor: str, reason: str, now: int | None = None) -> Segment:
    """A director ends what cannot be sealed and waits for no round: nobody can know yet what would be drawn."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if not reason.strip():
        raise ActionRefused(say("spoil needs a reason"))
    if not may_spoil(segment):
        raise ActionRefused(
            say(
                "{segment} is {phase}: only what is frozen and cannot be sealed is spoiled by hand, and "
                "what waits for drand is spoiled by itself when its round is out",
                segment=segment,
                phase=phase_text(segment.phase),
            )
        )
    return spoil_segment(segment_id, reason.strip(), actor=actor, now=now)


def may_spoil(segment: Segment) -> bool:
    """Whether a person may end it: frozen, its seal has failed, and no round of drand is waited for."""
    frozen = getattr(segment, "freeze", None)
    if segment.phase != Phase.CLOSING or frozen is None or frozen.frozen_at_ms is None:
        return False
    draws = list(segment.draws.all())
    return any(draw.attempts > 0 for draw in draws) and not any(round_of(draw) for draw in draws)
