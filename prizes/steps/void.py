"""Calling a segment off, while nobody can know what would be drawn: until its freeze."""

from django.db import transaction

from engagement.actions import (
    ActionRefused,
    change_phase,
    lock_segment,
    past_phase,
    record_change,
)
from engagement.clock import now_ms
from engagement.core.phases import CALLED_OFF, IllegalTransition, Phase
from engagement.languages import say
from engagement.models import Segment
from engagement.phrases import phase_text
from prizes.models import Freeze


@transaction.atomic
def void_segment(segment_id: int, *, actor: str, reason: str, now: int | None = None) -> Segment:
    """Calls the segment off, for a reason that everybody can read. Not possible after the freeze.

    With the freeze the round of the beacon is fixed: whoever could call off later could wait for it, and call off what
    does not suit.
    """
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if not reason.strip():
        raise ActionRefused(say("void needs a reason"))
    if segment.phase in CALLED_OFF:
        raise past_phase(segment)
    frozen = segment.phase == Phase.CLOSING and Freeze.objects.filter(segment=segment).exclude(
        frozen_at_ms=None
    )
    if frozen and frozen.exists():
        raise ActionRefused(
            say("{segment} is frozen: after the freeze nothing can be called off", segment=segment)
        )
    try:
        facts = {**segment.announced_facts, "reason": reason.strip()}
        change_phase(segment, Phase.VOID, now, announced_facts=facts)
    except IllegalTransition:
        raise ActionRefused(
            say(
                "{segment} is {phase}: after the freeze nothing can be called off",
                segment=segment,
                phase=phase_text(segment.phase),
            )
        ) from None
    record_change(segment, "void", actor=actor, now=now, reason=reason.strip())
    return segment
