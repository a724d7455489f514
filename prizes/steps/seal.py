"""The seal: fixes rules, roll, secrets and beacon round of every draw of a segment, before the beacon exists."""

from django.db import transaction

from engagement.actions import change_phase, lock_segment, record_change
from engagement.clock import from_ms, now_ms
from engagement.core.digests import canonical_json, commit
from engagement.core.phases import Phase
from engagement.ledger.append import SYSTEM, time_behind
from engagement.ledger.audit import Check
from engagement.ledger.checkpoints import note_of_all
from engagement.models import LedgerEntry, Segment
from engagement.vault import open_secret
from prizes.audit import check_ledger
from prizes.core.digests import NO_SEAL, exclusion_commitment, roll_digest, round_after
from prizes.core.record import ABSENT, Prior, Revealed, build_seal
from prizes.drand import known_rounds
from prizes.models import MAX_ATTEMPTS, Draw, Win, known
from prizes.parties import missing_parties, reveal_deadline
from prizes.software import software_digests
from prizes.steps.beacon import beacon_due_at, round_of
from prizes.steps.freeze import Broken, Waiting
from prizes.steps.spoil import late_reason, spoil_segment

SLOW_S = 10  # a round that is due in so many seconds by our clock, and is out: the clock is slow


def seal_segment(segment_id: int) -> None:
    """Seals all draws of a segment, or none; where that is too late for one of them, all are spoiled.

    Before it, relays are asked whether the round is out already: our clock alone could be slow, or be held back.
    """
    segment = Segment.objects.select_related("show").get(pk=segment_id)
    if segment.phase == Phase.CLOSING:
        draws = list(segment.draws.select_related("segment__freeze", "show"))
        if late := why_late(draws, now_ms()):
            spoil_segment(segment_id, late)
            return
    _seal_all(segment_id)


def why_late(draws: list[Draw], now: int) -> str:
    """Why no seal may be made any more; empty while one may. Waiting where this server's clock is wrong."""
    for draw in draws:
        if late := late_reason(draw, now):
            return late
        wait_for_parties(draw, now)
    rounds = {number for draw in draws if (number := round_of(draw))}
    if not rounds:
        return ""
    soon = round_after(now // 1000 + SLOW_S)
    out = known_rounds({*rounds, soon})
    if early := sorted(rounds & out):
        return (
            f"drand's round {early[0]} was out before there was a seal, earlier than this server's clock says"
        )
    if soon in out:
        raise Waiting(
            f"the clock of this server is wrong: drand's round {soon} is out, and is due in {SLOW_S} s by it"
        )
    return ""


@transaction.atomic
def _seal_all(segment_id: int) -> None:
    """With one seal out of two it could still be spoiled."""
    # The time is taken behind the lock and after all that was told: no reveal may be later than the seal.
    segment = lock_segment(segment_id)
    now = time_behind(segment.show, now_ms())
    if segment.phase != Phase.CLOSING:
        return  # the same step ran twice, or a director was faster
    draws = list(segment.draws.select_related("segment__freeze", "show"))
    for draw in draws:
        wait_for_parties(draw, now)
    seals = [seal_draw(draw, segment, now) for draw in draws]
    change_phase(
        segment,
        Phase.SEALED,
        now,
        announced_seals=seals,
        announced_checkpoint=note_of_all(segment.show),
        announced_facts={**segment.announced_facts, **_sealed_facts(draws)},
    )


def _sealed_facts(draws: list[Draw]) -> dict[str, int]:
    """How many take part, and when the last round of drand that is waited for is due."""
    rounds = [due for draw in draws if (due := beacon_due_at(draw) if round_of(draw) else 0)]
    return {"entries": known(draws[0].entries), **({"beacon_at": max(rounds)} if rounds else {})}


def wait_for_parties(draw: Draw, now: int) -> None:
    """Waiting while somebody may still reveal; who has not by the deadline contributes nothing, and gains nothing."""
    absent, deadline = missing_parties(draw), known(reveal_deadline(draw))
    if absent and now <= deadline:
        raise Waiting(
            f"waiting for the secrets of {', '.join(absent)} until {from_ms(deadline):%H:%M:%S} UTC"
        )


def t_freeze(draw: Draw) -> int:
    """The moment of the freeze, in whole seconds."""
    return known(draw.segment.freeze.frozen_at_ms) // 1000


def reveals(draw: Draw) -> dict[str, Revealed]:
    """What every party has revealed, in the order of the rules; `ABSENT` where it has not."""
    rows = {
        row.party: Revealed(open_secret(row.secret), row.at_ms, row.ledger) for row in draw.revealed.all()
    }
    rules = draw.promised
    return {party["name"]: rows.get(party["name"], ABSENT) for party in rules["parties"]}


def seal_draw(draw: Draw, segment: Segment, now: int) -> str:
    """The seal of one draw, written to ledger and database."""
    check_promises(draw, now)
    prior, secrets = prior_of(draw), {name: revealed.secret for name, revealed in reveals(draw).items()}
    roll = roll_digest(bytes.fromhex(draw.roll_header), bytes.fromhex(draw.roll_root))
    totals = bytes.fromhex(draw.totals_digest)
    seal = build_seal(draw.promised, roll, totals, prior, secrets, t_freeze(draw)).hex()
    entry = record_change(
        segment, "seal", actor=SYSTEM, now=now, details={"draw": draw.draw_id, "seal": seal}
    )
    Draw.objects.filter(pk=draw.pk).update(
        seal=seal,
        sealed_at_ms=now,
        sealed_ledger=entry.position,
        prior=_pack_prior(prior),
        previous_seal=prior.previous.hex(),
        publish_by_ms=now + draw.promised["publish_by_s"] * 1000,
        step=Draw.Step.SEALED,
        attempts=0,
        trouble="",
    )
    return seal


def prior_of(draw: Draw) -> Prior:
    """What this draw's seal fixes of the draws before it, as things are now.

    A draw that was stopped or gave up is not waited for; should a winner of it win here, too, the later one of the two
    wins is forfeited.
    """
    wins = Win.objects.filter(show=draw.show_id).values_list("pseudonym", "draw__draw_id").order_by("-pk")
    before = Draw.objects.filter(show=draw.show_id).exclude(seal="").order_by("sealed_ledger")
    going = before.filter(
        step__in=[Draw.Step.SEALED, Draw.Step.DRAWING], disagreement="", attempts__lt=MAX_ATTEMPTS
    )
    last = before.values_list("seal", flat=True).last()
    return Prior(
        {bytes.fromhex(pseudonym): draw_id for pseudonym, draw_id in wins},
        list(going.values_list("draw_id", flat=True)),
        bytes.fromhex(last) if last else NO_SEAL,
    )


def _pack_prior(prior: Prior) -> str:
    wins = [{"pseudonym": name.hex(), "draw_id": draw_id} for name, draw_id in sorted(prior.wins.items())]
    return canonical_json({"pending": list(prior.pending), "wins": wins}).decode()


def check_promises(draw: Draw, now: int) -> None:
    """Before the seal: is everything as it was committed to?"""
    rules = draw.promised
    excluded = exclusion_commitment(draw.draw_id, map(bytes.fromhex, draw.excluded)).hex()
    promised = {name: rules[f"{name}_digest"] for name in ("software", "verifier")}
    require(
        *check_ledger(draw, ("arm", "freeze")),
        Check("exclusions", excluded == rules["exclusions_commitment"], "not as committed to"),
        *(_check_secret(draw, party) for party in rules["parties"]),
        Check("software", promised == software_digests(), f"promised {promised}"),
        *_check_times(draw, now),
    )


def _check_secret(draw: Draw, party: dict[str, str]) -> Check:
    secret = reveals(draw)[party["name"]].secret
    fits = not secret or commit(draw.draw_id, party["name"], secret).hex() == party["commitment"]
    return Check(f"secret of {party['name']}", fits, "not the one that was committed to")


def _check_times(draw: Draw, now: int) -> list[Check]:
    """What the record's times have to satisfy, before the seal makes them final."""
    windows = draw.promised["windows"]
    frozen, air = t_freeze(draw), draw.segment.air_time
    position = known(draw.segment.freeze.ledger)
    told = LedgerEntry.objects.filter(show=draw.show_id, position=position).first()
    closes = air.closes_at + max(row["delay_ms"] for row in windows)
    deadline = known(reveal_deadline(draw))
    late = [name for name, row in reveals(draw).items() if row.time > min(deadline, now)]
    in_order = draw.committed_at_ms <= air.opens_at and closes < (frozen + 1) * 1000
    return [
        Check("freeze", told is not None and told.at_ms // 1000 == frozen, "not when the ledger says"),
        Check("window", in_order, "not between arming and freeze"),
        Check("reveals", not late, f"too late: {', '.join(late)}"),
        Check("time", not late_reason(draw, now), late_reason(draw, now)),
    ]


def require(*checks: Check) -> None:
    """Raises Broken, which names what does not hold."""
    failed = [check for check in checks if not check.ok]
    if failed:
        raise Broken("; ".join(f"{check.name}: {check.detail}" for check in failed))
