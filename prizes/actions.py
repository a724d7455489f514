"""What operators do on the draw side: arm, draw, enter the beacon, publish. See engagement/actions.py for what they
share, and prizes/parties.py for what the parties do.
"""

import secrets
from typing import Any, NoReturn

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from engagement.actions import ActionRefused, Conflict, change_phase, last_change, lock_segment, record_change
from engagement.broadcast import send_result
from engagement.clock import from_ms, now_ms
from engagement.core.digests import canonical_json, commit, parse_canonical
from engagement.core.phases import Phase
from engagement.ledger import SYSTEM, append_entry
from engagement.models import Segment, Show
from engagement.vault import lock_secret, open_secret
from prizes.audit import check_drawn
from prizes.beacon import BadSignature, fetch_round, read_dice, read_pasted, round_of
from prizes.core.digests import (
    HOUSE,
    dice_value,
    drand_time,
    drand_value,
    exclusion_commitment,
    rules_digest,
)
from prizes.core.rules import build_rules
from prizes.models import Beacon, DiceEntry, Draw, Prize, PrizeList
from prizes.parties import draw_id_of, promised_by_parties
from prizes.results import claim_s_of, describe_result
from prizes.software import software_digests

UNFINISHED = (Draw.Step.COMMITTED, Draw.Step.SEALED, Draw.Step.DRAWING)


# --- arming: the precommitment (docs/draw.md, section 1) ---


@transaction.atomic
def arm_segment(segment_id: int, *, actor: str, now: int | None = None) -> Segment:
    """Commits to rules, prizes and the secrets of every draw of a draft; from here on nothing of it changes."""
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
    lists = list(segment.prize_lists.select_related("segment__show").prefetch_related("prizes"))
    if not any(prize_list.prizes.all() for prize_list in lists):
        raise ActionRefused(f"{segment} cannot be armed: it has no prizes")
    for prize_list in lists:
        if not prize_list.prizes.all():
            raise ActionRefused(f"{segment} cannot be armed: prize list {prize_list.number} has no prizes")
        _refuse_too_dear(segment, list(prize_list.prizes.all()))
    return lists


def _refuse_too_dear(segment: Segment, prizes: list[Prize]) -> None:
    most = segment.show.max_prize_value
    for prize in prizes:
        if prize.value_minor > most:
            raise ActionRefused(
                f"{segment} cannot be armed: {prize} is worth {prize.value_minor} {prize.currency} in minor units, "
                f"and no prize of this show may be worth more than {most}"
            )


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
    draw_id = draw_id_of(prize_list)
    secret = secrets.token_bytes(32)
    excluded = excluded_viewers(segment.show)
    house = {"name": HOUSE, "commitment": commit(draw_id, HOUSE, secret).hex()}
    parties = [house, *promised_by_parties(prize_list)]
    try:
        rules = _rules(segment, prize_list, draw_id, parties, excluded)
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
        parties=parties,
        seal_margin_s=prize_list.seal_margin_s,
        reveal_deadline_s=prize_list.reveal_deadline_s,
        claim_s=prize_list.claim_s,
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
    stuck = Q(attempts__gt=0) | ~Q(disagreement="")
    gave_up = segment.draws.filter(stuck, step__in=UNFINISHED)
    if segment.phase != Phase.SEALED and not (segment.phase == Phase.CLOSING and gave_up.exists()):
        raise ActionRefused(f"{segment} is {segment.phase}: only a sealed segment can be drawn")
    asked = segment.draws.filter(step=Draw.Step.SEALED, requested_at=None).update(requested_at=from_ms(now))
    # Asked again, what gave up after errors is tried again, be it the seal or the draw.
    asked += gave_up.update(attempts=0, trouble="", disagreement="")
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
    if len({account_of(operator) for operator in typed_by}) < 2:
        others = draw.dice_entries.exclude(operator=actor).count()
        details = {"draw": draw.draw_id, "differs": others > 0, "value": dice_value(digits).hex()}
        record_change(segment, "dice typed", actor=actor, now=now, details=details)
        return draw
    set_beacon(draw, dice_value(digits), {"digits": digits}, actor=" and ".join(typed_by), now=now)
    return draw


def account_of(actor: str) -> str:
    """Who it was by account; a name that was given on a terminal (`--as`) makes nobody a second person."""
    _, opening, account = actor.rpartition(" (cli:")
    return f"cli:{account.removesuffix(')')}" if opening else actor


def set_beacon(draw: Draw, value: bytes, proof: dict[str, Any], *, actor: str, now: int) -> None:
    """Writes the beacon of a sealed draw, once; must run inside a transaction. Whoever comes second changes nothing.

    Never before the seal, and never before drand's round is due, whatever the clock of this server makes of that.
    """
    if draw.seal and draw.beacon_kind == Beacon.DRAND and now < beacon_due_at(draw):
        raise ActionRefused(
            f"{draw}: drand's round {round_of(draw)} is not due before {from_ms(beacon_due_at(draw)):%H:%M:%S} "
            "UTC: is the clock of this server right?"
        )
    written = (
        Draw.objects.filter(pk=draw.pk, beacon_value="")
        .exclude(seal="")
        .update(beacon_value=value.hex(), beacon_proof=proof, attempts=0, trouble="")
    )
    if written:
        entry = record_change(
            draw.segment, "beacon", actor=actor, now=now, details={"draw": draw.draw_id, "value": value.hex()}
        )
        Draw.objects.filter(pk=draw.pk).update(beacon_ledger=entry.position)
    draw.refresh_from_db()


# --- drand: the round that the seal names, and no other ---


def beacon_due_at(draw: Draw) -> int:
    """When the round of a frozen draw is due, in UTC ms."""
    return drand_time(round_of(draw)) * 1000


def waits_for_drand(draw: Draw, now: int) -> bool:
    """Whether a sealed draw has no beacon yet although its round is due."""
    sealed = draw.seal != "" and draw.beacon_value == ""
    return sealed and draw.beacon_kind == Beacon.DRAND and now >= beacon_due_at(draw)


def take_drand_beacon(draw_id: int, now: int) -> bool:
    """Asks every source once; True when the beacon is there. A round that is late is waited for, never replaced."""
    draw = Draw.objects.select_related("segment__freeze", "segment__show").get(pk=draw_id)
    if not waits_for_drand(draw, now):
        return draw.beacon_value != ""
    found = fetch_round(round_of(draw))  # takes seconds: nothing is locked meanwhile
    if found.signature is None:
        _tell_trouble(draw, found.troubles)
        return False
    _take_signature(draw, found.signature, actor=SYSTEM, now=now)
    return True


def enter_beacon(segment_id: int, typed: str, *, actor: str, now: int | None = None) -> list[Draw]:
    """Takes a round of drand that somebody has pasted, for every draw of the segment that waits for it."""
    now = now_ms() if now is None else now
    rows = Draw.objects.filter(segment=segment_id).select_related("segment__freeze", "segment__show")
    waiting = [draw for draw in rows if waits_for_drand(draw, now)]
    if not waiting:
        raise ActionRefused("No draw of this segment waits for a round of drand that is due.")
    refusals, taken = [], []
    for draw in waiting:
        try:
            signature = read_pasted(round_of(draw), typed)
        except BadSignature as error:
            refusals.append((draw, str(error)))
            continue
        _take_signature(draw, signature, actor=actor, now=now)
        taken.append(draw)
    if not taken:
        _refuse_beacon(refusals, actor=actor, now=now)
    return taken


@transaction.atomic
def _take_signature(draw: Draw, signature: bytes, *, actor: str, now: int) -> None:
    lock_segment(draw.segment_id)
    set_beacon(draw, drand_value(signature), {"signature": signature.hex()}, actor=actor, now=now)


def _refuse_beacon(refusals: list[tuple[Draw, str]], *, actor: str, now: int) -> NoReturn:
    with transaction.atomic():
        for draw, reason in refusals:
            details = {"segment": draw.segment_id, "draw": draw.draw_id, "round": round_of(draw)}
            append_entry(
                draw.segment.show, "beacon refused", actor=actor, now=now, reason=reason, details=details
            )
    raise ActionRefused("beacon: " + "; ".join(reason for _, reason in refusals))


def _tell_trouble(draw: Draw, troubles: list[str]) -> None:
    """For the control room; that a round is merely late is no trouble, its countdown says so."""
    if not settings.DRAND_RELAYS and not settings.DRAND_ROUNDS_FILE:
        troubles = ["no source is set (DRAND_RELAYS, DRAND_ROUNDS_FILE)"]
    text = "; ".join(troubles)
    if text:
        text = f"drand round {round_of(draw)}: {text}. It can be pasted: Enter beacon."
    Draw.objects.filter(pk=draw.pk, beacon_value="").exclude(trouble=text).update(trouble=text)


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
    for draw in draws:
        _publish_draw(draw, now)
    results = [describe_result(draw) for draw in draws]
    change_phase(segment, Phase.PUBLISHED, announced_results=results, published_at=from_ms(now))
    _send_results(segment, results)
    record_change(
        segment,
        "publish",
        actor=actor,
        now=now,
        details={"records": {draw.draw_id: draw.record_digest for draw in draws}},
    )
    return segment


def _publish_draw(draw: Draw, now: int) -> None:
    """From now on its winners have time to claim, as long as the rules of the draw say."""
    claim_by = from_ms(now + claim_s_of(draw) * 1000)
    draw.step, draw.published_at = Draw.Step.PUBLISHED, from_ms(now)
    Draw.objects.filter(pk=draw.pk, step=Draw.Step.DRAWN).update(
        step=draw.step, published_at=draw.published_at
    )
    draw.wins.update(claim_by=claim_by)


def _send_results(segment: Segment, results: list[dict[str, Any]]) -> None:
    """Numbers the results before the state that follows them, and sends them first."""
    Show.objects.filter(pk=segment.show_id).update(seq=F("seq") + len(results))
    show = Show.objects.get(pk=segment.show_id)
    first = show.seq - len(results) + 1

    def send() -> None:
        for seq, result in enumerate(results, first):
            send_result(show.slug, show.epoch, seq, result)

    transaction.on_commit(send)
