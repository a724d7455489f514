"""What operators do on the draw side: arm, draw, enter dice, publish. See engagement/actions.py for what they share."""

import secrets
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from engagement.actions import ActionRefused, Conflict, change_phase, last_change, lock_segment, record_change
from engagement.broadcast import send_result
from engagement.clock import from_ms, now_ms
from engagement.core.digests import canonical_json, commit, parse_canonical
from engagement.core.names import stage_name
from engagement.core.phases import Phase
from engagement.models import Segment, Show
from engagement.vault import lock_secret, open_secret
from prizes.audit import check_drawn
from prizes.beacon import read_dice
from prizes.core.digests import beacon_strength, dice_value, exclusion_commitment, rules_digest
from prizes.core.rules import build_rules
from prizes.models import Beacon, DiceEntry, Draw, Prize, PrizeList
from prizes.software import software_digests

HOUSE = "house"
UNFINISHED = (Draw.Step.COMMITTED, Draw.Step.SEALED, Draw.Step.DRAWING)
CLAIM_MS = 3 * 24 * 3600 * 1000  # how long a winner has to claim


# --- arming: the precommitment (docs/draw.md, section 1) ---


@transaction.atomic
def arm_segment(segment_id: int, *, actor: str, now: int | None = None) -> Segment:
    """Commits to rules, prizes and the house's secret of every draw of a draft; from here on nothing of it changes."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if segment.phase != Phase.DRAFT:
        raise Conflict(f"{segment} is {segment.phase} already: {last_change(segment)}")
    lists = _complete_prize_lists(segment)
    change_phase(segment, Phase.ARMED, shards=settings.TALLY_SHARDS, announced_prizes=_announce_prizes(lists))
    draws = [_precommit(segment, prize_list, now) for prize_list in lists]
    commitments = {draw.draw_id: rules_digest_of(draw) for draw in draws}
    entry = record_change(segment, "arm", actor=actor, now=now, details={"rules": commitments})
    for draw in draws:
        draw.committed_ledger = entry.position
        draw.save(force_insert=True)
    return segment


def _complete_prize_lists(segment: Segment) -> list[PrizeList]:
    if not segment.show.feeds.exists():
        raise ActionRefused(f"{segment} cannot be armed: the show has no feeds")
    lists = list(segment.prize_lists.prefetch_related("prizes"))
    if not any(prize_list.prizes.all() for prize_list in lists):
        raise ActionRefused(f"{segment} cannot be armed: it has no prizes")
    for prize_list in lists:
        if not prize_list.prizes.all():
            raise ActionRefused(f"{segment} cannot be armed: prize list {prize_list.number} has no prizes")
    return lists


def _announce_prizes(lists: list[PrizeList]) -> list[dict[str, Any]]:
    return [describe_prize(prize) for prize_list in lists for prize in prize_list.prizes.all()]


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
    return {"id": prize.pk, **{name: getattr(prize, name) for name in fields}}


def _precommit(segment: Segment, prize_list: PrizeList, now: int) -> Draw:
    draw_id = f"{segment.show.slug}/seg-{segment.position}/draw-{prize_list.number}"
    secret = secrets.token_bytes(32)
    excluded = excluded_viewers(segment.show)
    try:
        rules = _rules(segment, prize_list, draw_id, commit(draw_id, HOUSE, secret), excluded)
    except ValueError as error:
        raise ActionRefused(f"{segment} cannot be armed: prize list {prize_list.number}: {error}") from None
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
    segment: Segment, prize_list: PrizeList, draw_id: str, house: bytes, excluded: set[bytes]
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
        parties=[{"name": HOUSE, "commitment": house.hex()}],
        k_show_commitment=commit(show.slug, "k_show", open_secret(show.k_show)).hex(),
        exclusions_commitment=exclusion_commitment(draw_id, excluded).hex(),
        software_digest=digests["software"],
        verifier_digest=digests["verifier"],
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


# --- draw ---


@transaction.atomic
def request_draw(segment_id: int, *, actor: str, now: int | None = None) -> Segment:
    """Lets the sealed draws of a segment begin, one after the other, as soon as beacon and pace allow."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if segment.phase in (Phase.DRAWN, Phase.PUBLISHED):
        raise Conflict(f"{segment} is {segment.phase} already: {last_change(segment)}")
    gave_up = segment.draws.filter(attempts__gt=0, step__in=UNFINISHED)
    if segment.phase != Phase.SEALED and not (segment.phase == Phase.CLOSING and gave_up.exists()):
        raise ActionRefused(f"{segment} is {segment.phase}: only a sealed segment can be drawn")
    asked = segment.draws.filter(step=Draw.Step.SEALED, requested_at=None).update(requested_at=from_ms(now))
    # Asked again, what gave up after errors is tried again, be it the seal or the draw.
    asked += gave_up.update(attempts=0, trouble="")
    if not asked:
        raise Conflict(f"{segment} is being drawn already: {last_change(segment)}")
    record_change(segment, "draw", actor=actor, now=now)
    return segment


@transaction.atomic
def enter_dice(segment_id: int, typed: str, *, actor: str, now: int | None = None) -> Draw:
    """Takes the throws as one operator saw them; the beacon is there once two operators typed the same."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    sealed = segment.draws.filter(beacon_value="").exclude(seal="")
    draw = next((draw for draw in sealed if draw.beacon_kind == Beacon.DICE), None)
    if draw is None:
        raise ActionRefused(
            f"{segment} does not wait for dice: they are thrown after the seal, where the rules say dice"
        )
    try:
        digits = read_dice(typed)
    except ValueError as error:
        raise ActionRefused(f"dice: {error}") from None
    DiceEntry.objects.update_or_create(draw=draw, operator=actor, defaults={"digits": digits})
    typed_by = sorted(draw.dice_entries.filter(digits=digits).values_list("operator", flat=True))
    if len(typed_by) < 2:
        others = draw.dice_entries.exclude(operator=actor).count()
        record_change(
            segment, "dice typed", actor=actor, now=now, details={"draw": draw.draw_id, "differs": others > 0}
        )
        return draw
    set_beacon(draw, dice_value(digits), {"digits": digits}, actor=" and ".join(typed_by), now=now)
    return draw


def set_beacon(draw: Draw, value: bytes, proof: dict[str, Any], *, actor: str, now: int) -> None:
    """Writes the beacon of a sealed draw, once; must run inside a transaction. Whoever comes second changes nothing."""
    written = (
        Draw.objects.filter(pk=draw.pk, beacon_value="")
        .exclude(seal="")
        .update(beacon_value=value.hex(), beacon_proof=proof)
    )
    if written:
        entry = record_change(
            draw.segment, "beacon", actor=actor, now=now, details={"draw": draw.draw_id, "value": value.hex()}
        )
        Draw.objects.filter(pk=draw.pk).update(beacon_ledger=entry.position)
    draw.refresh_from_db()


# --- publish ---


@transaction.atomic
def publish_segment(segment_id: int, *, actor: str, now: int | None = None) -> Segment:
    """Tells everybody who won: one `result` per draw, then the state that contains them."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if segment.phase == Phase.PUBLISHED:
        raise Conflict(f"{segment} is published already: {last_change(segment)}")
    if segment.phase != Phase.DRAWN:
        raise ActionRefused(f"{segment} is {segment.phase}: only a drawn segment can be published")
    draws = list(segment.draws.filter(step=Draw.Step.DRAWN))
    for draw in draws:
        if failed := [check for check in check_drawn(draw) if not check.ok]:
            raise ActionRefused(f"{draw} is not what was drawn: " + "; ".join(check.name for check in failed))
    results = [describe_result(draw, now) for draw in draws]
    change_phase(segment, Phase.PUBLISHED, announced_results=results, published_at=from_ms(now))
    segment.draws.filter(step=Draw.Step.DRAWN).update(step=Draw.Step.PUBLISHED, published_at=from_ms(now))
    _send_results(segment, results)
    record_change(
        segment,
        "publish",
        actor=actor,
        now=now,
        details={"records": {draw.draw_id: draw.record_digest for draw in draws}},
    )
    return segment


def _send_results(segment: Segment, results: list[dict[str, Any]]) -> None:
    """Numbers the results before the state that follows them, and sends them first."""
    Show.objects.filter(pk=segment.show_id).update(seq=F("seq") + len(results))
    show = Show.objects.get(pk=segment.show_id)
    first = show.seq - len(results) + 1

    def send() -> None:
        for seq, result in enumerate(results, first):
            send_result(show.slug, show.epoch, seq, result)

    transaction.on_commit(send)


def describe_result(draw: Draw, now: int) -> dict[str, Any]:
    """A published draw as phones and the stage show it."""
    wins = draw.wins.order_by("rank")
    # As announced when the segment was armed; the prizes' rows may have been changed since.
    promised = {prize["id"]: prize for prize in draw.segment.announced_prizes}
    return {
        "draw": draw.pk,
        "segment": draw.segment_id,
        "winners": [
            {
                "pseudonym": win.pseudonym,
                "prize": promised[win.prize_id],
                "name": stage_name(bytes.fromhex(win.pseudonym)),
            }
            for win in wins
        ],
        "seal": draw.seal,
        "strength": beacon_strength(draw.beacon_kind),
        "record_url": f"/api/draws/{draw.pk}/record",
        "claim_url": f"/draws/{draw.pk}/",
        "claim_by": now + CLAIM_MS,
        "published_at": now,
    }
