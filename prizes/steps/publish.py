"""Publishing: everybody is told who won."""

import msgspec
from django.db import transaction

from engagement.actions import (
    ActionRefused,
    Conflict,
    change_phase,
    change_wins,
    last_change,
    lock_segment,
    record_change,
)
from engagement.clock import from_ms, now_ms
from engagement.core.phases import Phase
from engagement.languages import say
from engagement.models import Segment
from engagement.phrases import phase_text
from prizes.audit import check_drawn
from prizes.models import Draw, Win
from prizes.results import claim_s_of, describe_result, describe_wins
from prizes.stamps import tell_stamps


@transaction.atomic
def publish_segment(segment_id: int, *, actor: str, now: int | None = None) -> Segment:
    """Tells everybody who won, and each winner what."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if segment.phase == Phase.PUBLISHED:
        raise Conflict(
            say("{segment} is published already: {change}", segment=segment, change=last_change(segment))
        )
    if segment.phase != Phase.DRAWN:
        raise ActionRefused(
            say(
                "{segment} is {phase}: only a drawn segment can be published",
                segment=segment,
                phase=phase_text(segment.phase),
            )
        )
    draws = drawn_of(segment)
    for draw in draws:
        _publish_draw(draw, now)
    results = msgspec.to_builtins([describe_result(draw) for draw in draws])
    change_phase(segment, Phase.PUBLISHED, now, announced_results=results, published_at=from_ms(now))
    winners = [row for draw in draws for row in draw.wins.values_list("pseudonym", flat=True)]
    change_wins(segment.show_id, lambda: describe_wins(segment.show_id, winners))
    details = {
        "records": {draw.draw_id: draw.record_digest for draw in draws},
        "stamps": {draw.draw_id: tell_stamps(draw) for draw in draws},
    }
    entry = record_change(segment, "publish", actor=actor, now=now, details=details)
    segment.draws.filter(step=Draw.Step.PUBLISHED).update(published_ledger=entry.position)
    return segment


def drawn_of(segment: Segment) -> list[Draw]:
    """The draws that are to be told of; ActionRefused where one is not what was drawn."""
    draws = list(segment.draws.filter(step=Draw.Step.DRAWN))
    for draw in draws:
        if failed := [check for check in check_drawn(draw) if not check.ok]:
            raise ActionRefused(
                say(
                    "{draw} is not what was drawn: {checks}",
                    draw=draw,
                    checks="; ".join(check.name for check in failed),
                )
            )
    return draws


def _publish_draw(draw: Draw, now: int) -> None:
    """From now on its winners have time to claim, as long as the rules of the draw say."""
    claim_by = from_ms(now + claim_s_of(draw) * 1000)
    draw.step, draw.published_at = Draw.Step.PUBLISHED, from_ms(now)
    free = draw.wins.filter(status=Win.Status.FORFEITED).exists()  # by a viewer who had won elsewhere
    Draw.objects.filter(pk=draw.pk, step=Draw.Step.DRAWN).update(
        step=draw.step,
        published_at=draw.published_at,
        settle_at_ms=now if free else None,
        attempts=0,
        trouble="",
    )
    draw.wins.update(claim_by=claim_by)
