"""Naming: the host says who has won, one winner after the other; the last one publishes.

Nobody is told before the wall is: each name has a time, a little ahead, that screens and phones wait for in their feed.
"""

from typing import Any

from django.db import transaction

from engagement.actions import ActionRefused, Conflict, last_change, lock_segment, record_change
from engagement.clock import now_ms
from engagement.core.messages import MAX_NAMED
from engagement.core.phases import Phase
from engagement.languages import say
from engagement.models import Segment
from engagement.phrases import phase_text
from prizes.models import Win
from prizes.steps.publish import drawn_of, publish_segment

ANTICIPATION_MS = 1_000  # the wall holds its breath
PAUSE_MS = 2_000  # from press to press: a second press of an impatient hand names nobody


@transaction.atomic
def name_next_winner(segment_id: int, *, named: int, actor: str, now: int | None = None) -> Segment:
    """Names the winner after the `named` ones that its sender saw; whoever comes second names nobody."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    told = segment.announced_naming
    done, last = told.get("named", 0), (told.get("winners") or [{"at": 0}])[-1]["at"]
    if segment.phase == Phase.PUBLISHED:
        raise Conflict(
            say("{segment} is published already: {change}", segment=segment, change=last_change(segment))
        )
    if segment.phase != Phase.DRAWN:
        raise ActionRefused(
            say(
                "{segment} is {phase}: only winners of a drawn segment can be named",
                segment=segment,
                phase=phase_text(segment.phase),
            )
        )
    if named != done:
        raise Conflict(
            say(
                "{done} winners of {segment} are named, not {named}: {change}",
                done=done,
                segment=segment,
                named=named,
                change=last_change(segment),
            )
        )
    pressed = last - ANTICIPATION_MS
    if pressed <= now < pressed + PAUSE_MS:  # a server whose clock is behind is not kept waiting for it
        raise Conflict(
            say("winner {done} of {segment} is being named: wait a moment", done=done, segment=segment)
        )
    drawn_of(segment)  # before each name: what is said on air cannot be taken back
    holding = Win.objects.filter(draw__segment=segment, status__in=Win.HELD)
    left = list(holding.filter(named_at_ms=None).order_by("draw__prize_list__number", "rank")[:2])
    if not left:
        raise ActionRefused(say("nobody of {segment} is left to be named: publish it", segment=segment))
    win, is_last = left[0], len(left) == 1
    at, of = max(now + ANTICIPATION_MS, last + PAUSE_MS if done else 0), holding.count()
    Win.objects.filter(pk=win.pk).update(named_at_ms=at)
    segment.announced_naming = _add(segment, win, number=done + 1, at=at, of=of)
    Segment.objects.filter(pk=segment.pk).update(announced_naming=segment.announced_naming)
    details = {"draw": win.draw.draw_id, "number": done + 1, "of": of}
    record_change(segment, "name", actor=actor, now=now, details=details)
    return publish_segment(segment_id, actor=actor, now=now) if is_last else segment


def _add(segment: Segment, win: Win, *, number: int, at: int, of: int) -> dict[str, Any]:
    """The naming with one more winner; it lists the newest."""
    row = {"number": number, "at": at, "pseudonym": win.pseudonym, "name": win.name, "prize": win.prize_id}
    winners = [*segment.announced_naming.get("winners", []), row][-MAX_NAMED:]
    held = {row["prize"] for row in winners}
    prizes = [prize for prize in segment.announced_prizes if prize["id"] in held]
    return {"of": of, "named": number, "winners": winners, "prizes": prizes}
