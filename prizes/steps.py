"""From the last shake to the drawn winners, step by step. Every step writes its result once, under a unique key or by
compare-and-set: run twice, or killed and run again, it finds what is there and goes on.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from engagement import tally
from engagement.actions import change_phase, lock_segment, record_change
from engagement.clock import from_ms, now_ms, to_ms
from engagement.core.digests import commit, parse_canonical
from engagement.core.phases import Phase
from engagement.ledger import SYSTEM
from engagement.models import Segment
from engagement.vault import open_secret
from prizes.actions import HOUSE, rules_digest_of, set_beacon
from prizes.audit import check_files, check_ledger, check_prior_wins
from prizes.beacon import throw_local
from prizes.core.digests import beacon_id, draw_key, exclusion_commitment, roll_digest
from prizes.core.record import build_record, build_seal, encode_record, select_listed
from prizes.core.roll import pack_total
from prizes.core.tickets import TicketTable
from prizes.core.verify import Check
from prizes.engine import assemble_roll, prove_entries, rank_roll
from prizes.files import record_path, roll_path, shard_path, totals_path, write_whole
from prizes.models import Beacon, Draw, Freeze, FrozenShard, Prize, Win
from prizes.software import software_digests

BARRIER_MS = 10_000  # how long a live gateway is waited for after the grace
RECOVERY_MS = (
    3_000  # in which every live gateway has noticed that Redis was emptied, and has written everything again
)
# What the second implementation can encrypt in plain Python within the time limit of a task; more would be sealed and
# could then never be drawn.
MAX_TICKETS = 800_000


def known(value: int | None) -> int:
    """A column that an earlier step has filled; that it has not is our own bug."""
    if value is None:
        raise RuntimeError("a step ran before the step that it builds on")
    return value


class Waiting(Exception):
    """The step cannot be done yet; the conductor tries again in a second."""


class Disagreement(Exception):
    """The second implementation does not confirm the draw: it stops here."""


# --- freeze ---


def close_tally(segment: Segment, now: int) -> Freeze:
    """The barrier and the fence: after it no report is accepted, and what was acknowledged is in the shards.

    Both are repeated when Redis has lost the tally since: then the gateways write it again from their memory.
    """
    freeze = Freeze.objects.filter(segment=segment).first()
    if freeze is None:
        missing = _wait_for_gateways(segment, now)
        tally.close_tally(segment.key, segment.shards)
        tally.check_fence(segment.key, range(segment.shards))
        return _record_fence(segment, missing, now)
    try:
        tally.check_fence(segment.key, missing_shards(freeze))
    except tally.TallyLost:
        _fence_again(freeze, now)
    return freeze


def _wait_for_gateways(segment: Segment, now: int) -> list[str]:
    """The barrier: returns the gateways that never confirmed; Waiting while there is hope that they will."""
    _wait_for_recovery(segment, now)
    alive, dead = tally.missing_gateways(segment.key, segment.show.slug, now)
    if alive and now < segment.air_time.grace_ends_at + BARRIER_MS:
        raise Waiting(f"waiting for the last totals of {', '.join(alive)}")
    return alive + dead


def _wait_for_recovery(segment: Segment, now: int) -> None:
    """A Redis that came back a moment ago, maybe empty or without its last second, knows too little: the gateways
    notice that and write everything again. Where no gateway is left to do so, it is not waited for ever."""
    if tally.life_age_ms(now) < RECOVERY_MS and tally.lost_for_ms(segment.key, now) < BARRIER_MS:
        raise Waiting("Redis has just come back; waiting for the gateways to write the tally again")


@transaction.atomic
def _record_fence(segment: Segment, missing: list[str], now: int) -> Freeze:
    segment = lock_segment(segment.pk)
    freeze, created = Freeze.objects.get_or_create(
        segment=segment,
        defaults={"shards": segment.shards, "fenced_at_ms": now, "missing_gateways": missing},
    )
    if created:
        record_change(segment, "fence", actor=SYSTEM, now=now, details={"missing_gateways": missing})
    return freeze


def _fence_again(freeze: Freeze, now: int) -> None:
    """Redis lost the tally between fence and freeze: nothing is taken for empty, it is collected once more."""
    segment, shards = freeze.segment, missing_shards(freeze)
    if not shards:
        return
    _wait_for_recovery(segment, now)
    alive, _ = tally.missing_gateways(segment.key, segment.show.slug, now)
    if alive or tally.lost_for_ms(segment.key, now) < RECOVERY_MS:
        raise Waiting("Redis has lost the tally; waiting for the gateways to write it again")
    tally.close_tally(segment.key, segment.shards)
    tally.check_fence(segment.key, shards)
    with transaction.atomic():
        record_change(
            lock_segment(segment.pk), "fence again", actor=SYSTEM, now=now, details={"shards": len(shards)}
        )


def missing_shards(freeze: Freeze) -> list[int]:
    """The shards that are not frozen yet."""
    done = set(freeze.frozen_shards.values_list("number", flat=True))
    return [number for number in range(freeze.shards) if number not in done]


def freeze_shard(segment_id: int, number: int) -> FrozenShard:
    """Writes one shard's totals to its file, sorted, and its counts to the database."""
    freeze = Freeze.objects.select_related("segment__show").get(segment=segment_id)
    done = freeze.frozen_shards.filter(number=number).first()
    if done is not None:
        return done
    totals = sorted(tally.read_frozen(freeze.segment.key, number))
    digest = write_whole(shard_path(segment_id, number), b"".join(pack_total(*row) for row in totals))
    counts = {"viewers": len(totals), "shakes": sum(total for _, total in totals), "sha256": digest}
    shard, _ = FrozenShard.objects.get_or_create(freeze=freeze, number=number, defaults=counts)
    return shard


def complete_freeze(freeze: Freeze, now: int) -> Freeze:
    """All shards are there: makes the roll of every draw and writes the moment of the freeze into the ledger."""
    if freeze.frozen_at_ms is not None:
        return freeze
    segment = freeze.segment
    shards = list(freeze.frozen_shards.all())
    paths = [_checked(shard_path(segment.pk, shard.number), shard.sha256) for shard in shards]
    rolls = {draw.pk: _make_roll(draw, paths) for draw in segment.draws.all()}
    with transaction.atomic():
        segment = lock_segment(segment.pk)
        counts = {
            "viewers": sum(shard.viewers for shard in shards),
            "shakes": sum(shard.shakes for shard in shards),
        }
        if Freeze.objects.filter(pk=freeze.pk, frozen_at_ms=None).update(frozen_at_ms=now, **counts):
            for pk, columns in rolls.items():
                Draw.objects.filter(pk=pk, roll_root="").update(**columns)
            entry = record_change(
                segment, "freeze", actor=SYSTEM, now=now, details={**counts, "draws": _digests(rolls)}
            )
            Freeze.objects.filter(pk=freeze.pk).update(ledger=entry.position)
    freeze.refresh_from_db()
    return freeze


def _checked(path: Path, sha256: str) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise Disagreement(f"{path.name} was changed after the freeze: expected {sha256}, got {found}")
    return path


def _make_roll(draw: Draw, shards: list[Path]) -> dict[str, object]:
    rules = parse_canonical(draw.rules.encode())
    summary = assemble_roll(
        shards,
        TicketTable(rules["tickets"]),
        {bytes.fromhex(viewer) for viewer in draw.excluded},
        bytes.fromhex(rules_digest_of(draw)),
        roll_path(draw.pk),
        totals_path(draw.pk),
    )
    return {
        "roll_header": summary.header.hex(),
        "roll_root": summary.root.hex(),
        "totals_digest": summary.totals_digest.hex(),
        "entries": summary.entries,
        "tickets": summary.tickets,
    }


def _digests(rolls: dict[int, dict[str, object]]) -> list[dict[str, object]]:
    return [{"draw": pk, **columns} for pk, columns in sorted(rolls.items())]


# --- seal ---


@transaction.atomic
def seal_segment(segment_id: int, now: int) -> None:
    """Seals all draws of a segment, or none: with one seal out of two it could still be called off."""
    segment = lock_segment(segment_id)
    if segment.phase != Phase.CLOSING:
        return  # the same step ran twice, or a director was faster
    seals = [
        seal_draw(draw, segment, now) for draw in segment.draws.select_related("segment__freeze", "show")
    ]
    change_phase(segment, Phase.SEALED, announced_seals=seals)


def seal_draw(draw: Draw, segment: Segment, now: int) -> str:
    """Fixes rules, roll, secrets and beacon round under one digest, before the beacon exists."""
    check_promises(draw)
    roll = bytes.fromhex(draw.roll_header), bytes.fromhex(draw.roll_root)
    rules, t_freeze = parse_canonical(draw.rules.encode()), known(draw.segment.freeze.frozen_at_ms) // 1000
    seal = build_seal(rules, roll_digest(*roll), reveals(draw), t_freeze).hex()
    entry = record_change(
        segment, "seal", actor=SYSTEM, now=now, details={"draw": draw.draw_id, "seal": seal}
    )
    Draw.objects.filter(pk=draw.pk).update(
        seal=seal,
        sealed_at_ms=now,
        sealed_ledger=entry.position,
        step=Draw.Step.SEALED,
        attempts=0,
        trouble="",
    )
    return seal


def reveals(draw: Draw) -> dict[str, bytes]:
    """The secrets of the parties; after the freeze they are no secrets any more."""
    return {HOUSE: open_secret(draw.house_secret)}


# --- draw ---


def may_start(draw: Draw, now: int) -> bool:
    """Whether a sealed draw is due: wanted, with its beacon, in its turn, and not too soon after the last one."""
    wanted = draw.prize_list.draw_at_once or draw.requested_at is not None
    beacon = draw.beacon_kind == Beacon.LOCAL or draw.beacon_value != ""
    earlier = draw.segment.draws.filter(prize_list__number__lt=draw.prize_list.number)
    in_turn = not earlier.filter(step__in=[Draw.Step.COMMITTED, Draw.Step.SEALED, Draw.Step.DRAWING]).exists()
    return wanted and beacon and in_turn and now >= next_draw_at(draw)


def next_draw_at(draw: Draw) -> int:
    """When the show's pace allows the next draw to start, in ms."""
    others = Draw.objects.filter(show=draw.show_id).exclude(pk=draw.pk).exclude(started_at=None)
    last = others.order_by("-started_at").first()
    if last is None or last.started_at is None:
        return 0
    return to_ms(last.started_at) + 60_000 // draw.show.draws_per_minute


def start_draw(draw: Draw, now: int) -> bool:
    """Takes the show's one place for a running draw; False while another one has it."""
    try:
        with transaction.atomic():
            lock_segment(draw.segment_id)
            if not may_start(draw, now):
                return False
            return bool(
                Draw.objects.filter(pk=draw.pk, step=Draw.Step.SEALED).update(
                    step=Draw.Step.DRAWING, started_at=from_ms(now), trouble=""
                )
            )
    except IntegrityError:  # one_running_draw_per_show
        return False


def ensure_beacon(draw: Draw, now: int) -> None:
    """A rehearsal's beacon is thrown here, after the seal and once; the others were entered before the draw began."""
    if not draw.beacon_value:
        with transaction.atomic():
            lock_segment(draw.segment_id)
            set_beacon(draw, throw_local(), {}, actor=SYSTEM, now=now)


def make_record(draw: Draw) -> bytes:
    """Ranks the roll and accounts for it; the same bytes however often it runs."""
    rules = parse_canonical(draw.rules.encode())
    header, root = bytes.fromhex(draw.roll_header), bytes.fromhex(draw.roll_root)
    prior = prior_wins(draw)
    ranked = rank_roll(roll_path(draw.pk), _key(draw), rules["winners"] + rules["reserves"] + len(prior))
    listed = select_listed(ranked, prior, rules["winners"] + rules["reserves"])
    freeze = draw.segment.freeze
    record = build_record(
        rules=rules,
        precommitted_at=draw.committed_at_ms,
        precommitment_ledger=draw.committed_ledger,
        opens_at=draw.segment.air_time.opens_at,
        closes_at=draw.segment.air_time.closes_at,
        roll_header=header,
        roll_root=root,
        totals_digest=bytes.fromhex(draw.totals_digest),
        secrets=reveals(draw),
        sealed_at=known(draw.sealed_at_ms),
        t_freeze=known(freeze.frozen_at_ms) // 1000,
        beacon_value=bytes.fromhex(draw.beacon_value),
        beacon_proof=draw.beacon_proof,
        ranked=listed,
        proofs=prove_entries(roll_path(draw.pk), [row.index for row in listed]),
        prior_wins=prior,
        ledger={
            "freeze": known(freeze.ledger),
            "seal": known(draw.sealed_ledger),
            "beacon": known(draw.beacon_ledger),
        },
        software=software_digests(),
    )
    return encode_record(record)


def _key(draw: Draw) -> bytes:
    return draw_key(bytes.fromhex(draw.seal), beacon_id(draw.beacon_kind), bytes.fromhex(draw.beacon_value))


def prior_wins(draw: Draw) -> dict[bytes, str]:
    """Who holds a win of this show already, and from which draw."""
    wins = Win.objects.filter(show=draw.show_id).exclude(draw=draw.pk).select_related("draw")
    return {bytes.fromhex(win.pseudonym): win.draw.draw_id for win in wins}


def check_record(draw: Draw, record: bytes) -> None:
    """The second implementation has the last word before anything is announced."""
    roll, totals = roll_path(draw.pk).read_bytes(), totals_path(draw.pk).read_bytes()
    require(
        *check_files(draw, record, roll, totals),
        *check_ledger(draw, ("arm", "freeze", "seal", "beacon")),
        check_prior_wins(draw, record),
    )


def require(*checks: Check) -> None:
    failed = [check for check in checks if not check.ok]
    if failed:
        raise Disagreement("; ".join(f"{check.name}: {check.detail}" for check in failed))


def check_promises(draw: Draw) -> None:
    """Before the seal, while the segment can still be called off: is everything as it was committed to?"""
    rules = parse_canonical(draw.rules.encode())
    excluded = exclusion_commitment(draw.draw_id, map(bytes.fromhex, draw.excluded)).hex()
    promised = {name: rules[f"{name}_digest"] for name in ("software", "verifier")}
    parties = {row["name"]: row["commitment"] for row in rules["parties"]}
    revealed = {name: commit(draw.draw_id, name, secret).hex() for name, secret in reveals(draw).items()}
    require(
        *check_ledger(draw, ("arm", "freeze")),
        Check("exclusions", excluded == rules["exclusions_commitment"], "as committed to"),
        Check("secrets", revealed == parties, "as committed to"),
        Check("software", promised == software_digests(), f"promised {promised}"),
        Check(
            "size",
            known(draw.tickets) <= MAX_TICKETS,
            f"expected at most {MAX_TICKETS} tickets, got {draw.tickets}",
        ),
    )


@transaction.atomic
def finish_draw(draw_id: int, record: bytes, now: int) -> Draw:
    """Writes the winners down: all of them, or none."""
    draw = Draw.objects.select_related("segment", "show").get(pk=draw_id)
    segment = lock_segment(draw.segment_id)
    digest = hashlib.sha256(record).hexdigest()
    changed = Draw.objects.filter(pk=draw.pk, step=Draw.Step.DRAWING).update(
        step=Draw.Step.DRAWN, record_digest=digest, drawn_at=from_ms(now), attempts=0, trouble=""
    )
    if changed:
        # By the one who was first; if that one is killed before the commit, the next one writes it again.
        store_record(draw, record)
        Win.objects.bulk_create(_wins(draw, parse_canonical(record)["winners"]))
        if not segment.draws.exclude(step=Draw.Step.DRAWN).exists():
            change_phase(segment, Phase.DRAWN)
        record_change(
            segment, "drawn", actor=SYSTEM, now=now, details={"draw": draw.draw_id, "record": digest}
        )
    draw.refresh_from_db()
    return draw


def _wins(draw: Draw, winners: Iterable[dict[str, Any]]) -> list[Win]:
    rows = []
    for winner in winners:
        prize, _, piece = str(winner["prize"]).partition("-")
        rows.append(
            Win(
                show=draw.show,
                draw=draw,
                prize=Prize(pk=int(prize)),
                piece=int(piece),
                rank=winner["rank"],
                pseudonym=winner["pseudonym"],
            )
        )
    return rows


def store_record(draw: Draw, record: bytes) -> None:
    write_whole(record_path(draw.pk), record)


# --- from the seal to the winners ---


def run_draw(draw_id: int) -> Draw:
    """Takes a sealed draw to its winners, from wherever the last attempt stopped; Waiting while it may not start."""
    now = now_ms()
    draw = Draw.objects.select_related("segment__freeze", "segment__show", "show", "prize_list").get(
        pk=draw_id
    )
    if draw.step == Draw.Step.SEALED and not start_draw(draw, now):
        raise Waiting(f"{draw} waits for its turn")
    draw.refresh_from_db()
    if draw.step != Draw.Step.DRAWING:
        return draw
    ensure_beacon(draw, now)
    record = make_record(draw)
    check_record(draw, record)
    return finish_draw(draw.pk, record, now)
