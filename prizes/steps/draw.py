"""From the seal to the winners. Every step writes its result once, under a unique key or by compare-and-set: run twice,
or killed and run again, it finds what is there and goes on.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from engagement.actions import (
    ActionRefused,
    Conflict,
    change_phase,
    last_change,
    lock_segment,
    past_phase,
    record_change,
)
from engagement.clock import from_ms, now_ms, to_ms
from engagement.core.digests import canonical_json, parse_canonical
from engagement.core.phases import Phase
from engagement.languages import say
from engagement.ledger.append import SYSTEM
from engagement.models import Segment
from engagement.phrases import phase_text
from prizes.audit import check_ledger, check_prior_wins, check_wins_elsewhere
from prizes.core.digests import beacon_id, draw_key
from prizes.core.dispositions import FORFEITED, WON, WON_ELSEWHERE, Change
from prizes.core.record import Ranked, build_record, encode_record, select_listed
from prizes.core.roll import RUN_ENTRIES
from prizes.engine import merge_rankings, rank_roll
from prizes.files import (
    beside,
    exists,
    fetch,
    ranking_name,
    record_name,
    remove,
    roll_name,
    totals_name,
    write,
)
from prizes.models import MAX_ATTEMPTS, Beacon, Disposition, Draw, Prize, Win, known
from prizes.names import give_names
from prizes.progress import end_progress, tell_progress
from prizes.receipts import BrokenRoll, read_runs
from prizes.second_check import run_second_check
from prizes.software import software_digests
from prizes.steps.beacon import set_beacon, throw_local
from prizes.steps.dispositions import write_disposition
from prizes.steps.freeze import Waiting
from prizes.steps.seal import reveals, t_freeze

UNFINISHED = (Draw.Step.COMMITTED, Draw.Step.SEALED, Draw.Step.DRAWING)
ENTRIES_PER_PART = 1 << 22  # ranked by one task, in less than a second


class Disagreement(Exception):
    """The second implementation does not confirm the draw: it stops here."""


# --- asked for ---


@transaction.atomic
def request_draw(segment_id: int, *, actor: str, now: int | None = None) -> Segment:
    """Lets the sealed draws of a segment begin, one after the other, as soon as beacon and pace allow."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if segment.phase in (Phase.DRAWN, Phase.PUBLISHED):
        raise past_phase(segment)
    stuck = Q(attempts__gt=0) | ~Q(disagreement="")
    gave_up = segment.draws.filter(stuck, step__in=UNFINISHED)
    if segment.phase != Phase.SEALED and not (segment.phase == Phase.CLOSING and gave_up.exists()):
        raise ActionRefused(
            say(
                "{segment} is {phase}: only a sealed segment can be drawn",
                segment=segment,
                phase=phase_text(segment.phase),
            )
        )
    asked = segment.draws.filter(step=Draw.Step.SEALED, requested_at=None).update(requested_at=from_ms(now))
    # Asked again, what gave up after errors is tried again, be it the seal or the draw.
    asked += gave_up.update(attempts=0, trouble="", disagreement="")
    if not asked:
        raise Conflict(
            say("{segment} is being drawn already: {change}", segment=segment, change=last_change(segment))
        )
    record_change(segment, "draw", actor=actor, now=now)
    return segment


# --- may it start? ---


def may_start(draw: Draw, now: int) -> bool:
    """Whether a sealed draw is due: wanted, with its beacon, in its turn, and not too soon after the last one."""
    wanted = not draw.disagreement and (draw.prize_list.draw_at_once or draw.requested_at is not None)
    beacon = draw.beacon_kind == Beacon.LOCAL or draw.beacon_value != ""
    return wanted and beacon and before(draw) is None and now >= next_draw_at(draw)


def before(draw: Draw) -> Draw | None:
    """The draw of the show that has to be drawn first: one that was sealed earlier, or stands earlier in the segment.

    Its seal names them: their winners are passed over in this one, whoever has seen the beacons. What had been stopped
    or had given up by then is not among them, and does not hold up the show.
    """
    pending = Draw.objects.filter(show=draw.show_id, draw_id__in=draw.sealed_prior.pending)
    unfinished = pending.filter(step__in=[Draw.Step.SEALED, Draw.Step.DRAWING])
    return unfinished.order_by("sealed_ledger").first()


def has_stopped(draw: Draw) -> bool:
    """Whether a draw waits for a person: given up, or not confirmed by the second implementation."""
    return draw.disagreement != "" or draw.attempts >= MAX_ATTEMPTS


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
            segment = lock_segment(draw.segment_id)
            if not may_start(draw, now):
                return False
            started = Draw.objects.filter(pk=draw.pk, step=Draw.Step.SEALED).update(
                step=Draw.Step.DRAWING, started_at=from_ms(now), trouble=""
            )
            if started:
                entry = record_change(segment, "start", actor=SYSTEM, now=now, details={"draw": draw.draw_id})
                Draw.objects.filter(pk=draw.pk).update(started_ledger=entry.position)
            return bool(started)
    except IntegrityError:  # one_running_draw_per_show
        return False


def ensure_beacon(draw: Draw, now: int) -> None:
    """A rehearsal's beacon is thrown here, after the seal and once; the others were there before the draw began."""
    if not draw.beacon_value:
        with transaction.atomic():
            lock_segment(draw.segment_id)
            set_beacon(draw, throw_local(), {}, actor=SYSTEM, now=now)


# --- ranking, part by part ---


def missing_parts(draw: Draw) -> list[int]:
    """The parts of the roll that are not ranked yet; an empty roll is one part, too."""
    return [number for number, ranking in enumerate(_read_rankings(draw)) if ranking is None]


def count_parts(draw: Draw) -> int:
    """Into how many parts the roll is divided for the ranking."""
    return max(1, -(-known(draw.entries) // ENTRIES_PER_PART))


def rank_part(draw_id: int, number: int) -> None:
    """Writes the best entries of one part of the roll; done again, they are the same."""
    draw = Draw.objects.get(pk=draw_id)
    if not draw.seal:  # it was queued before the database was restored
        raise Conflict(say("{draw} is not sealed", draw=draw))
    first = number * ENTRIES_PER_PART
    rows = rank_roll(fetch(roll_name(draw.key)), _key(draw), _wanted(draw), first, first + ENTRIES_PER_PART)
    packed = [[row.pseudonym.hex(), row.tickets, row.ticket, row.score.hex(), row.index] for row in rows]
    write(ranking_name(draw.key, number), canonical_json({**_asked(draw), "rows": packed}))
    tell_progress(draw.segment_id, f"ranking {draw}", number + 1, count_parts(draw))


def _read_rankings(draw: Draw) -> list[list[Ranked] | None]:
    asked = _asked(draw)
    return [_read_ranking(ranking_name(draw.key, number), asked) for number in range(count_parts(draw))]


def _read_ranking(name: str, asked: dict[str, Any]) -> list[Ranked] | None:
    """The ranking of a part; None if it was not made yet, or under other circumstances."""
    try:
        found = json.loads(fetch(name).read_bytes()) if exists(name) else {}
        rows = found.pop("rows", [])
        if found != asked:
            return None
        return [Ranked(bytes.fromhex(p14), n, j, bytes.fromhex(score), at) for p14, n, j, score, at in rows]
    except (ValueError, TypeError, AttributeError):  # damaged: it can be made again
        return None


def _asked(draw: Draw) -> dict[str, Any]:
    return {"key": _key(draw).hex(), "count": _wanted(draw), "root": draw.roll_root}


def _wanted(draw: Draw) -> int:
    """How many entries the ranking needs, even if all who have won before are among the first."""
    rules = draw.promised
    passed_over = len(draw.sealed_prior.wins) + len(pending_wins(draw))
    return int(rules["winners"] + rules["reserves"] + passed_over)


def _key(draw: Draw) -> bytes:
    return draw_key(bytes.fromhex(draw.seal), beacon_id(draw.beacon_kind), bytes.fromhex(draw.beacon_value))


def pending_wins(draw: Draw) -> dict[bytes, str]:
    """The winners of the draws that were under way when this one was sealed, as those were drawn."""
    pending = Draw.objects.filter(show=draw.show_id, draw_id__in=draw.sealed_prior.pending)
    later = Disposition.objects.filter(draw=OuterRef("draw"), pseudonym=OuterRef("pseudonym"), status=WON)
    drawn = Win.objects.filter(~Exists(later), draw__in=pending).values_list("pseudonym", "draw__draw_id")
    return {bytes.fromhex(pseudonym): draw_id for pseudonym, draw_id in drawn}


# --- record and second check ---


def make_record(draw: Draw) -> bytes:
    """Ranks the whole roll and accounts for it; the same bytes however often it runs."""
    rules = draw.promised
    freeze, air_time = draw.segment.freeze, draw.segment.air_time
    prior, pending = draw.sealed_prior, pending_wins(draw)
    listed = select_listed(_merged(draw), {**pending, **prior.wins}, rules["winners"] + rules["reserves"])
    runs = read_runs(draw, sorted({row.index // RUN_ENTRIES for row in listed}))
    record = build_record(
        rules=rules,
        precommitted_at=draw.committed_at_ms,
        precommitment_ledger=draw.committed_ledger,
        opens_at=air_time.opens_at,
        closes_at=air_time.closes_at,
        roll_header=bytes.fromhex(draw.roll_header),
        roll_root=bytes.fromhex(draw.roll_root),
        totals_digest=bytes.fromhex(draw.totals_digest),
        reveals=reveals(draw),
        sealed_at=known(draw.sealed_at_ms),
        t_freeze=t_freeze(draw),
        beacon_value=bytes.fromhex(draw.beacon_value),
        beacon_proof=draw.beacon_proof,
        ranked=listed,
        proofs={run.leaf: run.siblings for run in runs},
        prior=prior,
        pending_wins=pending,
        ledger={
            "freeze": known(freeze.ledger),
            "seal": known(draw.sealed_ledger),
            "beacon": known(draw.beacon_ledger),
            "start": known(draw.started_ledger),
        },
        software=software_digests(),
    )
    return encode_record(record)


def _merged(draw: Draw) -> list[Ranked]:
    return merge_rankings([ranking or [] for ranking in _read_rankings(draw)], _wanted(draw))


def check_record(draw: Draw, record: bytes) -> None:
    """The second implementation has the last word before anything is announced."""
    tell_progress(draw.segment_id, f"second check of {draw}")
    files = fetch(roll_name(draw.key)), fetch(totals_name(draw.segment.key))
    checks = [
        *run_second_check(record, *files, draw.excluded, beside=beside(draw.segment.key, draw.key)),
        *check_ledger(draw, ("arm", "freeze", "seal", "beacon", "start")),
        check_prior_wins(draw, record),
        check_wins_elsewhere(draw, record),
    ]
    if failed := [check for check in checks if not check.ok]:
        raise Disagreement("; ".join(f"{check.name}: {check.detail}" for check in failed))


# --- the winners ---


@transaction.atomic
def finish_draw(draw: Draw, record: bytes, now: int) -> Draw:
    """Writes the winners down: all of them, or none. A record of an earlier start comes too late, and is left."""
    segment = lock_segment(draw.segment_id)
    digest = hashlib.sha256(record).hexdigest()
    changed = _running(draw).update(
        step=Draw.Step.DRAWN, record_digest=digest, drawn_at=from_ms(now), attempts=0, trouble=""
    )
    if changed:
        # By the one who was first; if that one is killed before the commit, the next one writes it again.
        write(record_name(draw.key), record)
        wins = _wins(draw, parse_canonical(record)["winners"])
        give_names(draw.show_id, wins)
        Win.objects.bulk_create(wins)
        if not segment.draws.exclude(step=Draw.Step.DRAWN).exists():
            change_phase(segment, Phase.DRAWN, now)
        entry = record_change(
            segment, "drawn", actor=SYSTEM, now=now, details={"draw": draw.draw_id, "record": digest}
        )
        Draw.objects.filter(pk=draw.pk).update(drawn_ledger=entry.position)
        _forfeit(draw, [win for win in wins if win.status == Win.Status.FORFEITED], now)
    draw.refresh_from_db()
    return draw


def _running(draw: Draw) -> QuerySet[Draw]:
    """The draw's row, while it is still in the run that `draw` was read in: not given up and started again since."""
    return Draw.objects.filter(pk=draw.pk, step=Draw.Step.DRAWING, started_ledger=draw.started_ledger)


def _wins(draw: Draw, winners: list[dict[str, Any]]) -> list[Win]:
    """A viewer who has won elsewhere since the seal (as a reserve, or in a draw that had been stopped) wins nothing."""
    names = [row["pseudonym"] for row in winners]
    elsewhere = Win.objects.filter(show=draw.show_id, pseudonym__in=names)
    taken = set(elsewhere.values_list("pseudonym", flat=True))
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
                status=Win.Status.FORFEITED if winner["pseudonym"] in taken else Win.Status.WON,
            )
        )
    return rows


def _forfeit(draw: Draw, wins: list[Win], now: int) -> None:
    for win in wins:
        lost = Change(win.pseudonym, win.piece_id, FORFEITED, WON_ELSEWHERE)
        write_disposition(draw, lost, actor=SYSTEM, now=now)


@transaction.atomic
def stop_draw(draw: Draw, reason: str, now: int) -> None:
    """The two implementations disagree: written down once, and shown in red until somebody asks to try again."""
    segment = lock_segment(draw.segment_id)
    if _running(draw).update(step=Draw.Step.SEALED, disagreement=reason, trouble=""):
        for number in range(count_parts(draw)):
            remove(ranking_name(draw.key, number))  # made of a file that may be restored: to be made again
        record_change(
            segment, "disagreement", actor=SYSTEM, now=now, reason=reason, details={"draw": draw.draw_id}
        )


# --- all of it ---


def run_draw(draw_id: int, start_part: Callable[[int], object] | None = None) -> Draw:
    """Takes a sealed draw to its winners, from wherever the last attempt stopped; Waiting while it may not start,
    Disagreement where the second implementation has stopped it.

    `start_part` has a part of a large roll ranked elsewhere, and then this is called again; else all is done here.
    """
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
    elsewhere = start_part if count_parts(draw) > 1 else None
    missing = missing_parts(draw)
    for number in missing:
        elsewhere(number) if elsewhere else rank_part(draw.pk, number)
    if missing and elsewhere:
        return draw
    try:
        record = make_record(draw)
        check_record(draw, record)
    except (Disagreement, BrokenRoll) as reason:
        stop_draw(draw, str(reason), now_ms())
        raise Disagreement(str(reason)) from None
    finally:
        end_progress(draw.segment_id)
    return finish_draw(draw, record, now_ms())
