"""The beacon of a sealed draw: this server's bytes in a rehearsal, dice typed by two operators, or a round of drand."""

import secrets
from typing import Any, NoReturn

from django.conf import settings
from django.db import transaction

from engagement.actions import ActionRefused, lock_segment, record_change
from engagement.clock import from_ms, now_ms
from engagement.languages import say
from engagement.ledger.append import SYSTEM, append_entry
from prizes.core.digests import (
    MIN_DICE_THROWS,
    beacon_round,
    dice_value,
    drand_time,
    drand_value,
)
from prizes.drand import BadSignature, fetch_round, read_pasted
from prizes.models import Beacon, DiceEntry, Draw
from prizes.two_people import account_of

# --- local and dice ---


def throw_local() -> bytes:
    """32 random bytes of this server: a rehearsal, and labelled as one wherever it is shown."""
    return secrets.token_bytes(32)


def read_dice(typed: str, throws: int) -> str:
    """The digits of the throws as typed, without spaces; ValueError unless they are so many, each of 1 to 6.

    Their number was promised: whoever may stop the throws when he likes the result has chosen it.
    """
    digits = "".join(typed.split())
    if len(digits) != throws:
        raise ValueError(f"expected {throws} throws, as promised in the rules, got {len(digits)}")
    dice_value(digits)
    return digits


@transaction.atomic
def enter_dice(segment_id: int, typed: str, *, actor: str, now: int | None = None) -> Draw:
    """Takes the throws as one operator saw them; the beacon is there once two operators typed the same."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    sealed = segment.draws.filter(beacon_value="").exclude(seal="")
    draw = next((draw for draw in sealed if draw.beacon_kind == Beacon.DICE), None)
    if draw is None:
        raise ActionRefused(
            say(
                "{segment} does not wait for dice: they are thrown after the seal, where the rules say dice",
                segment=segment,
            )
        )
    try:
        digits = read_dice(typed, throws_of(draw))
    except ValueError as error:
        raise ActionRefused(say("dice: {error}", error=error)) from None
    DiceEntry.objects.update_or_create(draw=draw, operator=actor, defaults={"digits": digits})
    typed_by = sorted(draw.dice_entries.filter(digits=digits).values_list("operator", flat=True))
    if len({account_of(operator) for operator in typed_by}) < 2:
        others = draw.dice_entries.exclude(operator=actor).count()
        details = {"draw": draw.draw_id, "differs": others > 0, "value": dice_value(digits).hex()}
        record_change(segment, "dice typed", actor=actor, now=now, details=details)
        return draw
    set_beacon(draw, dice_value(digits), {"digits": digits}, actor=" and ".join(typed_by), now=now)
    return draw


def throws_of(draw: Draw) -> int:
    """How often the dice are thrown for this draw, as promised in its rules."""
    return int(draw.promised["beacon"].get("throws", MIN_DICE_THROWS))


def set_beacon(draw: Draw, value: bytes, proof: dict[str, Any], *, actor: str, now: int) -> None:
    """Writes the beacon of a sealed draw, once; must run inside a transaction. Whoever comes second changes nothing.

    Never before the seal, and never before drand's round is due, whatever the clock of this server makes of that.
    """
    if draw.seal and draw.beacon_kind == Beacon.DRAND and now < beacon_due_at(draw):
        raise ActionRefused(
            say(
                "{draw}: drand's round {round} is not due before {at} UTC: is the clock of this server "
                "right?",
                draw=draw,
                round=round_of(draw),
                at=from_ms(beacon_due_at(draw)).strftime("%H:%M:%S"),
            )
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


def round_of(draw: Draw) -> int:
    """The round of drand that a frozen draw waits for; 0 for other beacons."""
    frozen_at = draw.segment.freeze.frozen_at_ms
    if frozen_at is None:
        raise RuntimeError(f"{draw} is not frozen, so no round is named")
    return beacon_round(draw.beacon_kind, frozen_at // 1000, draw.promised["seal_margin_s"])


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
        raise ActionRefused(say("No draw of this segment waits for a round of drand that is due."))
    taken, refusals = _take_pasted(waiting, typed, actor=actor, now=now)
    if not taken:
        _refuse_beacon(refusals, actor=actor, now=now)
    return taken


@transaction.atomic
def _take_pasted(
    waiting: list[Draw], typed: str, *, actor: str, now: int
) -> tuple[list[Draw], list[tuple[Draw, str]]]:
    """For all of these draws or, where a server fails in between, for none."""
    taken, refusals = [], []
    for draw in waiting:
        try:
            signature = read_pasted(round_of(draw), typed)
        except BadSignature as error:
            refusals.append((draw, str(error)))
            continue
        _take_signature(draw, signature, actor=actor, now=now)
        taken.append(draw)
    return taken, refusals


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
    raise ActionRefused(say("beacon: {why}", why="; ".join(reason for _, reason in refusals)))


def _tell_trouble(draw: Draw, troubles: list[str]) -> None:
    """For the control room; that a round is merely late is no trouble, its countdown says so."""
    if not settings.DRAND_RELAYS and not settings.DRAND_ROUNDS_FILE:
        troubles = ["no source is set (DRAND_RELAYS, DRAND_ROUNDS_FILE)"]
    text = "; ".join(troubles)
    if text:
        text = f"drand round {round_of(draw)}: {text}. It can be pasted: Enter beacon."
    Draw.objects.filter(pk=draw.pk, beacon_value="").exclude(trouble=text).update(trouble=text)
