"""Arming: the precommitment of every draw of a segment (docs/draw.md, section 1)."""

import secrets
from typing import Any

from django.conf import settings
from django.db import transaction

from engagement.actions import (
    ActionRefused,
    change_phase,
    end_cue,
    lock_segment,
    past_phase,
    record_change,
)
from engagement.chinese import written_elsewhere
from engagement.clock import now_ms
from engagement.core.digests import canonical_json, commit, parse_canonical
from engagement.core.phases import Phase
from engagement.fair_play.promised import promise_of
from engagement.languages import say
from engagement.models import Segment, Show, new_play
from engagement.pictures.models import describe_picture
from engagement.vault import lock_secret, open_secret
from prizes.core.digests import (
    HOUSE,
    beacon_strength,
    exclusion_commitment,
    rules_digest,
)
from prizes.core.rules import build_rules
from prizes.cosignatures import witness_rules
from prizes.exclusions import explain_untold, told_exclusions
from prizes.models import Draw, Prize, PrizeList
from prizes.parties import draw_id_of, promised_by_parties
from prizes.retention import refuse_without_key
from prizes.software import software_digests
from prizes.stamps import stamper_rules
from prizes.steps.repeat import refuse_second_chances


@transaction.atomic
def arm_segment(segment_id: int, *, actor: str, now: int | None = None) -> Segment:
    """Commits to rules, prizes and the secrets of every draw of a draft; from here on nothing of it changes."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if segment.phase != Phase.DRAFT:
        raise past_phase(segment)
    refuse_without_key(segment.show)
    lists = _complete_prize_lists(segment)
    check_exclusions(segment)
    fixed: dict[str, Any] = {
        "shards": settings.TALLY_SHARDS,
        "announced_prizes": _announce_prizes(lists),
        "announced_facts": _announce_facts(lists),
    }
    change_phase(segment, Phase.ARMED, now, play=new_play(segment.show), **fixed)
    end_cue(segment, now)
    draws = [_precommit(segment, prize_list, now) for prize_list in lists]
    commitments = {draw.draw_id: rules_digest_of(draw) for draw in draws}
    details = {"play": segment.key, "rules": commitments}
    entry = record_change(segment, "arm", actor=actor, now=now, details=details)
    for draw in draws:
        draw.committed_ledger = entry.position
        draw.save(force_insert=True)
    return segment


def _complete_prize_lists(segment: Segment) -> list[PrizeList]:
    if not segment.show.feeds.exists():
        raise ActionRefused(say("{segment} cannot be armed: the show has no feeds", segment=segment))
    lists = list(segment.prize_lists.select_related("segment__show").prefetch_related("prizes__picture"))
    if not any(prize_list.prizes.all() for prize_list in lists):
        raise ActionRefused(say("{segment} cannot be armed: it has no prizes", segment=segment))
    for prize_list in lists:
        if not prize_list.prizes.all():
            raise ActionRefused(
                say(
                    "{segment} cannot be armed: prize list {number} has no prizes",
                    segment=segment,
                    number=prize_list.number,
                )
            )
        _refuse_too_dear(segment, list(prize_list.prizes.all()))
    refuse_second_chances(segment, lists)
    return lists


def _refuse_too_dear(segment: Segment, prizes: list[Prize]) -> None:
    most = segment.show.max_prize_value
    for prize in prizes:
        if prize.value_minor > most:
            raise ActionRefused(
                say(
                    "{segment} cannot be armed: {prize} is worth {value_minor} {currency} in minor units, "
                    "and no prize of this show may be worth more than {most}",
                    segment=segment,
                    prize=prize,
                    value_minor=prize.value_minor,
                    currency=prize.currency,
                    most=most,
                )
            )


def check_exclusions(segment: Segment) -> None:
    """The list that is committed to is the one that the ledger tells of: nobody has smuggled a row in or out."""
    stored = {viewer.hex() for viewer in excluded_viewers(segment.show)}
    try:
        found = explain_untold(stored, told_exclusions(segment.show_id))
    except ValueError as error:
        found = str(error)
    if found:
        raise ActionRefused(
            say(
                "{segment} cannot be armed: its exclusions are not those of the ledger ({found}). Add "
                "them in the administration, or remove them there and add them again.",
                segment=segment,
                found=found,
            )
        )


def _announce_prizes(lists: list[PrizeList]) -> list[dict[str, Any]]:
    return [describe_prize(prize) for prize_list in lists for prize in prize_list.prizes.all()]


def _announce_facts(lists: list[PrizeList]) -> dict[str, Any]:
    """What phones are told of the draws that is promised now."""
    rehearsed = any(beacon_strength(row.beacon) == "rehearsal" for row in lists)
    several = {"draws": [len(row.prizes.all()) for row in lists]} if len(lists) > 1 else {}
    return {"tickets": lists[0].tickets, "rehearsal": rehearsed, **several}


def describe_prize(prize: Prize) -> dict[str, Any]:
    """A prize as phones and the stage show it."""
    fields = (
        "celebrity",
        "celebrity_zh",
        "brand",
        "garment",
        "garment_zh",
        "size",
        "quantity",
        "value_minor",
        "currency",
    )
    described = {"id": prize.pk, **{name: getattr(prize, name) for name in fields}}
    described |= written_elsewhere("celebrity", prize.celebrity_zh)
    described |= written_elsewhere("garment", prize.garment_zh)
    picture = describe_picture(prize.picture, prize.picture_alt, prize.picture_alt_zh)
    return described if picture is None else {**described, "picture": picture}


def _precommit(segment: Segment, prize_list: PrizeList, now: int) -> Draw:
    draw_id = draw_id_of(prize_list)
    secret = secrets.token_bytes(32)
    excluded = excluded_viewers(segment.show)
    house = {"name": HOUSE, "commitment": commit(draw_id, HOUSE, secret).hex()}
    parties = [house, *promised_by_parties(prize_list)]
    try:
        rules = _rules(segment, prize_list, draw_id, parties, excluded)
    except ValueError as error:
        raise ActionRefused(
            say(
                "{segment} cannot be armed: prize list {number}: {error}",
                segment=segment,
                number=prize_list.number,
                error=error,
            )
        ) from None
    return Draw(
        show=segment.show,
        segment=segment,
        prize_list=prize_list,
        draw_id=draw_id,
        rules=canonical_json(rules).decode(),
        excluded=sorted(viewer.hex() for viewer in excluded),
        house_secret=lock_secret(secret),
        committed_at_ms=now,
    )


def _rules(
    segment: Segment,
    prize_list: PrizeList,
    draw_id: str,
    parties: list[dict[str, str]],
    excluded: set[bytes],
) -> dict[str, Any]:
    show = segment.show
    digests = software_digests()
    return build_rules(
        show_id=show.slug,
        draw_id=draw_id,
        tickets=prize_list.tickets,
        eligibility=prize_list.eligibility,
        prizes=[row for prize in prize_list.prizes.all() for row in _pieces(prize)],
        reserves=prize_list.reserves,
        windows=[
            {"feed": feed.name, "delay_ms": feed.delay_ms, "window_ms": segment.window_s * 1000}
            for feed in show.feeds.all()
        ],
        beacon_kind=prize_list.beacon,
        throws=prize_list.throws,
        parties=parties,
        seal_margin_s=prize_list.seal_margin_s,
        reveal_deadline_s=prize_list.reveal_deadline_s,
        claim_s=prize_list.claim_s,
        publish_by_s=prize_list.publish_by_s,
        **witness_rules(show),
        stampers=stamper_rules(show),
        repeats=prize_list.repeats,
        k_show_commitment=commit(show.slug, "k_show", open_secret(show.k_show)).hex(),
        exclusions_commitment=exclusion_commitment(draw_id, excluded).hex(),
        software_digest=digests["software"],
        verifier_digest=digests["verifier"],
        fair_play=promise_of(show),
    )


def _pieces(prize: Prize) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{prize.pk}-{piece}",
            "celebrity": prize.celebrity,
            "brand": prize.brand,
            "garment": prize.garment,
            "size": prize.size,
            "title": str(prize),
            "value_minor": prize.value_minor,
            "currency": prize.currency,
        }
        for piece in range(1, prize.quantity + 1)
    ]


def excluded_viewers(show: Show) -> set[bytes]:
    """The pseudonyms of those who may not win."""
    return {bytes.fromhex(row) for row in show.exclusions.values_list("pseudonym", flat=True)}


def rules_digest_of(draw: Draw) -> str:
    """The digest of a draw's rules, in hex."""
    return rules_digest(parse_canonical(draw.rules.encode())).hex()
