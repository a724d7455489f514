"""What the parties of a draw do: commit to a secret before arming, reveal it between the window and the seal.

A secret stays with its party until it is revealed; from then on it is public, and stands in the ledger.
See docs/draw.md, sections 1 and 4.
"""

import json
from typing import Any

from django.db import transaction

from engagement.actions import ActionRefused, Conflict, lock_segment
from engagement.clock import from_ms, now_ms
from engagement.core.digests import commit
from engagement.core.phases import CALLED_OFF, Phase
from engagement.languages import say
from engagement.ledger.append import SYSTEM, append_entry
from engagement.models import LedgerEntry, Segment
from engagement.phrases import phase_text
from engagement.vault import lock_secret, open_secret
from prizes.core.digests import HOUSE, reveal_deadline_ms
from prizes.models import Commitment, Draw, Party, PrizeList, Reveal

MAX_REFUSALS = (
    10  # of one party in one draw that are written down; the ledger is no place to fill with guesses
)
HEX = frozenset("0123456789abcdef")


def draw_id_of(prize_list: PrizeList) -> str:
    """The id that the draw of a prize list has once it is armed. Renumbering a draft changes it."""
    segment = prize_list.segment
    return f"{segment.show.slug}/seg-{segment.position}/draw-{prize_list.number}"


# --- before arming ---


@transaction.atomic
def commit_party(
    prize_list: PrizeList, party: Party, commitment: str, *, actor: str, now: int | None = None
) -> Commitment:
    """Takes what a party promises for the draw of a prize list; may be replaced until the segment is armed."""
    now = now_ms() if now is None else now
    segment = lock_segment(prize_list.segment_id)
    prize_list = PrizeList.objects.select_related("segment__show").get(pk=prize_list.pk)
    if party.show_id != segment.show_id:
        raise ActionRefused(say("{party} is no party of {show}", party=party, show=segment.show))
    if segment.phase != Phase.DRAFT:
        raise Conflict(
            say(
                "{segment} is {phase}: {why}, no commitment is taken any more",
                segment=segment,
                phase=phase_text(segment.phase),
                why=_why_fixed(segment),
            )
        )
    made = {"commitment": read_digest(commitment), "draw_id": draw_id_of(prize_list)}
    row, created = Commitment.objects.get_or_create(prize_list=prize_list, party=party, defaults=made)
    changed = [name for name, value in made.items() if getattr(row, name) != value]
    if created or changed:
        vars(row).update(made)
        row.save()
        details = {"party": party.name, "commitment": row.commitment}
        _write(segment, "commit", row.draw_id, details, actor=actor, now=now)
    return row


def _why_fixed(segment: Segment) -> str:
    armed = segment.draws.exists()  # a draft that was called off never was
    return say("its parties were fixed when it was armed") if armed else say("nothing is drawn")


def read_digest(typed: str) -> str:
    """64 hex digits as somebody may type them; raises ActionRefused."""
    digits = "".join(typed.split()).lower()
    if len(digits) != 64 or not set(digits) <= HEX:
        raise ActionRefused(say("expected 64 hex digits, got {count} characters", count=len(digits)))
    return digits


def promised_by_parties(prize_list: PrizeList) -> list[dict[str, str]]:
    """The parties beside the house with their commitments, as the rules list them: in the order of their names.

    Raises ActionRefused that names those who have not committed to this very draw.
    """
    draw_id = draw_id_of(prize_list)
    made = prize_list.commitments.filter(draw_id=draw_id).values_list("party__name", "commitment")
    promised = dict(made)
    names = sorted(party.name for party in prize_list.segment.show.parties.all())
    if missing := [name for name in names if name not in promised]:
        raise ActionRefused(
            say(
                "{segment} cannot be armed: no commitment to {draw_id} from {list}. They commit on their "
                "page (/parties/) or with manage.py commit; or remove them from the show's parties.",
                segment=prize_list.segment,
                draw_id=draw_id,
                list=", ".join(missing),
            )
        )
    return [{"name": name, "commitment": promised[name]} for name in names]


# --- after the window ---


def reveal_secret(draw_id: int, party: str, secret: bytes, *, actor: str, now: int | None = None) -> Reveal:
    """Takes the secret of a party: from the end of the windows until the deadline, once.

    Raises ActionRefused; a refusal of what came late or does not fit the commitment is in the ledger.
    """
    now = now_ms() if now is None else now
    with transaction.atomic():
        draw = _lock_draw(draw_id)
        promised = commitments_of(draw)
        if party not in promised:
            raise ActionRefused(
                say(
                    "{draw} has no party {party}, only {list}",
                    draw=draw,
                    party=repr(party),
                    list=", ".join(promised),
                )
            )
        fits = len(secret) == 32 and commit(draw.draw_id, party, secret).hex() == promised[party]
        known = draw.revealed.filter(party=party).first()
        if known and fits:
            return known  # said twice is said once
        _refuse_early(draw)
        refusal = _lateness(draw, now) or (None if fits else _misfit(secret, promised[party]))
        if refusal is None:
            return _record_reveal(draw, party, secret, actor=actor, now=now)
        _record_refusal(draw, party, refusal, actor=actor, now=now)
    raise ActionRefused(refusal)  # outside of the transaction: the entry about it stays


def reveal_house(draw: Draw, *, now: int) -> Reveal:
    """The house reveals at the freeze, by itself; must run inside the transaction of the freeze.

    With the freeze's whole second as its time: however short the margin is, the house is not late.
    """
    known = draw.revealed.filter(party=HOUSE).first()
    at = now - now % 1000
    return known or _record_reveal(draw, HOUSE, open_secret(draw.house_secret), actor=SYSTEM, now=at)


def commitments_of(draw: Draw) -> dict[str, str]:
    """The parties of an armed draw in the order of its rules, with what they have promised in hex."""
    return {row["name"]: row["commitment"] for row in draw.promised["parties"]}


def missing_parties(draw: Draw) -> list[str]:
    """Who has not revealed yet, in the order of the rules."""
    revealed = {row.party for row in draw.revealed.all()}
    return [name for name in commitments_of(draw) if name not in revealed]


def reveal_deadline(draw: Draw) -> int | None:
    """Until when secrets are taken, in UTC ms; None while the moment of the freeze is not known."""
    freeze = getattr(draw.segment, "freeze", None)
    if freeze is None or freeze.frozen_at_ms is None:
        return None
    rules = draw.promised
    margins = rules["seal_margin_s"], rules["reveal_deadline_s"]
    return reveal_deadline_ms(rules["beacon"]["kind"], freeze.frozen_at_ms // 1000, *margins)


def _lock_draw(draw_id: int) -> Draw:
    segment_id = Draw.objects.filter(pk=draw_id).values_list("segment", flat=True).first()
    if segment_id is None:
        raise ActionRefused(say("there is no draw {draw_id}", draw_id=draw_id))
    lock_segment(segment_id)
    return Draw.objects.select_related("segment__show", "segment__freeze").get(pk=draw_id)


def _refuse_early(draw: Draw) -> None:
    if draw.segment.phase in CALLED_OFF:
        raise ActionRefused(
            say(
                "{segment} is {phase}: nothing is drawn",
                segment=draw.segment,
                phase=phase_text(draw.segment.phase),
            )
        )
    if draw.segment.phase in (Phase.ARMED, Phase.OPEN):
        raise ActionRefused(
            say(
                "too early: {segment} is {phase}, secrets are taken once its windows have ended. Keep "
                "yours to yourself until then",
                segment=draw.segment,
                phase=phase_text(draw.segment.phase),
            )
        )


def _lateness(draw: Draw, now: int) -> str | None:
    if draw.seal:
        return f"too late: {draw} is sealed"
    deadline = reveal_deadline(draw)
    if deadline is not None and now > deadline:
        return f"too late: secrets of {draw} were taken until {from_ms(deadline):%H:%M:%S} UTC"
    return None


def _misfit(secret: bytes, commitment: str) -> str:
    if len(secret) != 32:
        return f"wrong: expected a secret of 32 bytes, got {len(secret)}"
    return f"wrong: the secret does not fit the commitment {commitment}"


def _record_reveal(draw: Draw, party: str, secret: bytes, *, actor: str, now: int) -> Reveal:
    details = {"party": party, "secret": secret.hex()}
    entry = _write(draw.segment, "reveal", draw.draw_id, details, actor=actor, now=now)
    at = now if party == HOUSE else entry.at_ms
    return Reveal.objects.create(
        draw=draw, party=party, secret=lock_secret(secret), at_ms=at, ledger=entry.position
    )


def _record_refusal(draw: Draw, party: str, refusal: str, *, actor: str, now: int) -> None:
    told = LedgerEntry.objects.filter(
        show=draw.show_id,
        action="reveal refused",
        position__gt=draw.committed_ledger,
        details__contains=json.dumps(draw.draw_id, ensure_ascii=False),
    )
    mine = [entry for entry in told if json.loads(entry.details)["party"] == party]
    if len(mine) < MAX_REFUSALS:
        _write(
            draw.segment,
            "reveal refused",
            draw.draw_id,
            {"party": party},
            actor=actor,
            now=now,
            reason=refusal,
        )


def _write(
    segment: Segment,
    action: str,
    draw_id: str,
    details: dict[str, Any],
    *,
    actor: str,
    now: int,
    reason: str = "",
) -> LedgerEntry:
    """An entry about a draw of a segment. No phone is told: what phones know does not change with it."""
    about = {"segment": segment.pk, "draw": draw_id, **details}
    return append_entry(segment.show, action, actor=actor, reason=reason, details=about, now=now)
