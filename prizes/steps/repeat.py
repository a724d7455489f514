"""Drawing the prizes of a spoiled segment again: two people, and the new draw names the old one in its rules."""

from collections.abc import Callable, Iterable

from django.db import transaction

from engagement.actions import ActionRefused, Conflict, last_change, lock_segment, record_change
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.languages import say
from engagement.models import Segment
from engagement.phrases import phase_text
from engagement.positions import HIGHEST
from prizes.models import Draw, Prize, PrizeList, Repeat
from prizes.two_people import VALID_MS, refuse_same

COPIED_OF_A_LIST = (
    "number", "tickets", "reserves", "beacon", "throws", "seal_margin_s", "reveal_deadline_s", "claim_s",
    "publish_by_s", "draw_at_once", "eligibility",
)  # fmt: skip
COPIED_OF_A_PRIZE = (
    "position", "celebrity", "celebrity_zh", "brand", "garment", "garment_zh", "size", "quantity", "value_minor",
    "currency", "picture_id", "picture_alt", "picture_alt_zh",
)  # fmt: skip
SAME = ("celebrity", "brand", "garment", "size")  # a garment that is the same in these is the same


@transaction.atomic
def repeat_segment(
    segment_id: int, *, actor: str, session: str = "", reason: str = "", now: int | None = None,
    may_agree: Callable[[], None] = lambda: None,
) -> Repeat:  # fmt: skip
    """The first person asks, with a reason; the second one agrees within a day, and the draft is made.

    `may_agree` raises ActionRefused where this one is no such person.
    """
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if segment.phase != Phase.SPOILED:
        raise ActionRefused(
            say(
                "{segment} is {phase}: only the prizes of a spoiled segment are drawn again",
                segment=segment,
                phase=phase_text(segment.phase),
            )
        )
    asked = Repeat.objects.filter(segment=segment).select_related("draft").order_by("-pk").first()
    if asked is None or is_over(asked, now):
        if not reason.strip():
            raise ActionRefused(say("to draw again needs a reason"))
        fields = {"asked_by": actor, "asked_session": session, "asked_at_ms": now}
        asked = Repeat.objects.create(segment=segment, reason=reason.strip(), **fields)
        record_change(segment, "ask repeat", actor=actor, now=now, reason=asked.reason)
        return asked
    if asked.draft is not None:
        raise Conflict(
            say(
                "{segment} is drawn again in {draft} already: {change}",
                segment=segment,
                draft=asked.draft,
                change=last_change(segment),
            )
        )
    may_agree()
    refuse_same(asked_by=asked.asked_by, asked_session=asked.asked_session, actor=actor, session=session)
    asked.draft, asked.agreed_by = _copy(segment), actor
    asked.save()
    details = {"draft": asked.draft.pk, "draws": list(segment.draws.values_list("draw_id", flat=True))}
    record_change(segment, "repeat", actor=actor, now=now, reason=asked.reason, details=details)
    return asked


def is_over(asked: Repeat, now: int) -> bool:
    """Whether it may be asked for anew: nobody has agreed in time, or what came of it was called off."""
    if asked.draft is None:
        return asked.asked_at_ms <= now - VALID_MS
    return asked.draft.phase == Phase.VOID


def _copy(segment: Segment) -> Segment:
    """A draft at the end of the rundown with the same prizes, each list naming the draw that was spoiled."""
    last = segment.show.segments.order_by("-position").values_list("position", flat=True).first() or 0
    if last >= HIGHEST:
        raise ActionRefused(say("the rundown has no place left"))
    draft = Segment.objects.create(
        show=segment.show,
        position=last + 1,
        title=segment.title,
        title_zh=segment.title_zh,
        window_s=segment.window_s,
        publish_at_once=segment.publish_at_once,
    )
    for draw in segment.draws.select_related("prize_list"):
        fields = {name: getattr(draw.prize_list, name) for name in COPIED_OF_A_LIST}
        made = PrizeList.objects.create(segment=draft, repeats=draw.draw_id, **fields)
        Prize.objects.bulk_create(
            Prize(prize_list=made, **{name: getattr(prize, name) for name in COPIED_OF_A_PRIZE})
            for prize in draw.prize_list.prizes.all()
        )
    return draft


def refuse_second_chances(segment: Segment, lists: Iterable[PrizeList]) -> None:
    """The garments of a spoiled draw are only drawn again where two people have agreed, and the rules say so."""
    spoiled = {
        draw.draw_id: {tuple(row[name] for name in SAME) for row in draw.promised["prizes"]}
        for draw in Draw.objects.filter(show=segment.show_id, step=Draw.Step.SPOILED)
    }
    for prize_list in lists:
        for prize in prize_list.prizes.all():
            again = [
                name
                for name, prizes in spoiled.items()
                if tuple(getattr(prize, key) for key in SAME) in prizes
            ]
            if again and prize_list.repeats not in again:
                raise ActionRefused(
                    say(
                        "{segment} cannot be armed: {prize} is a prize of {again}, which was spoiled. Two people "
                        "have it drawn again there (Draw again)",
                        segment=segment,
                        prize=prize,
                        again=again[0],
                    )
                )
