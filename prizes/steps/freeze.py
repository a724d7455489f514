"""From the last shake to the roll: barrier, fence, shards, roll. Every step writes its result once, under a unique key
or by compare-and-set: run twice, or killed and run again, it finds what is there and goes on.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.db import transaction

from engagement import tally
from engagement.actions import Conflict, lock_segment, record_change
from engagement.clock import now_ms
from engagement.core.counts import LONGEST_NAME, MOST_GATEWAYS
from engagement.counts import Found, find_counts, record_counts, tell_uncounted
from engagement.fair_play.core.origins import APP
from engagement.languages import say
from engagement.ledger.append import SYSTEM, time_behind
from engagement.models import LedgerEntry, Segment
from prizes.core.roll import pack_total
from prizes.core.sharing import read_sharing
from prizes.core.tickets import TicketTable
from prizes.cosignatures import quorum_reached
from prizes.engine import count_shard, join_roll, join_totals, sort_shard
from prizes.files import (
    fetch,
    origins_shard_name,
    part_name,
    roll_name,
    shard_name,
    shared_name,
    totals_name,
    tree_name,
    writing,
)
from prizes.models import Draw, Freeze, FrozenShard
from prizes.parties import reveal_house
from prizes.progress import end_progress, progress_of, tell_progress
from prizes.steps.arm import rules_digest_of
from prizes.steps.hints import describe_blocks
from prizes.steps.review import Broken as Broken
from prizes.steps.review import checked, dump_origins, freeze_origins, sha256_of, share_entries

BARRIER_MS = 10_000  # how long a live gateway is waited for after the grace
RECOVERY_MS = (
    3_000  # in which every live gateway has noticed that Redis was emptied, and has written everything again
)
ROWS_AT_ONCE = 10_000


class Waiting(Exception):
    """The step cannot be done yet; the conductor tries again in a second."""


# --- barrier and fence ---


def close_tally(segment: Segment, now: int) -> Freeze:
    """The barrier and the fence: after it no report is accepted, and what was acknowledged is in the shards.

    Both are repeated when Redis has lost the tally since: then the gateways write it again from their memory.
    """
    freeze = Freeze.objects.filter(segment=segment).first()
    if freeze is None:
        missing = _wait_for_gateways(segment, now)
        tally.close_tally(segment.key, segment.shards)
        tally.check_fence(segment.key, range(segment.shards))
        return _record_fence(segment, missing, find_counts(segment), now)
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
        raise Waiting(f"waiting for the last totals of {', '.join(_named(alive))}")
    return _named(alive + dead)


def _named(gateways: list[str]) -> list[str]:
    """As many of their names, and as much of each, as an entry of the ledger takes."""
    return [name[:LONGEST_NAME] for name in gateways[:MOST_GATEWAYS]]


def _wait_for_recovery(segment: Segment, now: int) -> None:
    """A Redis that came back a moment ago, maybe empty or without its last second, knows too little: the gateways
    notice that and write everything again. Where no gateway is left to do so, it is not waited for ever."""
    if tally.life_age_ms(now) < RECOVERY_MS and tally.lost_for_ms(segment.key, now) < BARRIER_MS:
        raise Waiting("Redis has just come back; waiting for the gateways to write the tally again")


@transaction.atomic
def _record_fence(segment: Segment, missing: list[str], counted: Found, now: int) -> Freeze:
    segment = lock_segment(segment.pk)
    freeze, created = Freeze.objects.get_or_create(
        segment=segment,
        defaults={"shards": segment.shards, "fenced_at_ms": now, "missing_gateways": missing},
    )
    if created:
        record_counts(segment, counted, now=now, fence=True)
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
    counted = find_counts(segment)
    with transaction.atomic():
        segment = lock_segment(segment.pk)
        record_counts(segment, counted, now=now, fence=True)
        record_change(segment, "fence again", actor=SYSTEM, now=now, details={"shards": len(shards)})


def missing_shards(freeze: Freeze) -> list[int]:
    """The shards that are not frozen yet."""
    done = set(freeze.frozen_shards.values_list("number", flat=True))
    return [number for number in range(freeze.shards) if number not in done]


# --- shards ---


def freeze_shard(segment_id: int, number: int) -> FrozenShard:
    """Writes one shard's totals, sorted, and its part of every roll, and its counts to the database."""
    freeze = Freeze.objects.select_related("segment__show").filter(segment=segment_id).first()
    if freeze is None:  # it was queued before the database was restored
        raise Conflict(say("segment {segment_id} is not fenced", segment_id=segment_id))
    done = freeze.frozen_shards.filter(number=number).first()
    if done is not None:
        return done
    with (
        writing(shard_name(freeze.segment.key, number)) as path,
        TemporaryDirectory(dir=path.parent) as folder,
    ):
        raw = Path(folder) / "raw.bin"  # beside the result: /tmp may be memory
        _dump_shard(freeze.segment.key, number, raw)
        summary = sort_shard(raw, path)
    counts = {"viewers": summary.viewers, "shakes": summary.shakes, "sha256": summary.sha256.hex()}
    counts["origins_sha256"] = dump_origins(freeze.segment.key, number)
    parts = {draw.draw_id: _make_part(draw, number) for draw in freeze.segment.draws.all()}
    shard, _ = FrozenShard.objects.get_or_create(
        freeze=freeze, number=number, defaults={**counts, "parts": parts}
    )
    tell_progress(segment_id, "freezing shards", freeze.frozen_shards.count(), freeze.shards)
    return shard


def _dump_shard(segment_key: str, number: int, path: Path) -> None:
    with path.open("wb", buffering=ROWS_AT_ONCE * 18) as file:
        for viewer, total in tally.read_frozen(segment_key, number):
            file.write(pack_total(viewer, total))


def _make_part(draw: Draw, number: int) -> str:
    table, excluded = _ticket_rules(draw)
    totals, origins = (name(draw.segment.key, number) for name in (shard_name, origins_shard_name))
    with writing(part_name(draw.key, number)) as path:
        count_shard(fetch(totals), table, excluded, path, fetch(origins), read_sharing(draw.promised))
    return sha256_of(fetch(part_name(draw.key, number)))


def _ticket_rules(draw: Draw) -> tuple[TicketTable, set[bytes]]:
    rules = draw.promised
    return TicketTable(rules["tickets"]), {bytes.fromhex(viewer) for viewer in draw.excluded}


# --- the roll ---


def complete_freeze(freeze: Freeze) -> Freeze:
    """All shards are there: makes the roll of every draw and writes the moment of the freeze into the ledger.

    With it the house reveals its secrets: nothing can be put into the roll or taken from it any more.
    """
    if freeze.frozen_at_ms is not None:
        return freeze
    wait_for_witnesses(freeze.segment)
    shards = list(freeze.frozen_shards.all())
    totals_digest = _join_totals(freeze.segment, shards)
    origins = freeze_origins(freeze.segment, shards)
    rolls = {draw.pk: _make_roll(draw, shards, totals_digest) for draw in freeze.segment.draws.all()}
    review = describe_blocks(freeze.segment, shards)
    _record_freeze(freeze, shards, rolls, origins, review)
    end_progress(freeze.segment_id)
    freeze.refresh_from_db()
    return freeze


def wait_for_witnesses(segment: Segment) -> None:
    """Waiting, where the rules say so, until as many witnesses as have to have seen the fence.

    From the freeze on the time of the seal is fixed: witnesses who do not answer by then would not see it, either.
    """
    promised = [draw.promised for draw in segment.draws.all()]
    waiting = [rules for rules in promised if rules.get("unwitnessed") == "wait"]
    if not waiting:
        return
    fence = LedgerEntry.objects.filter(show=segment.show_id, action="fence").order_by("-position").first()
    size = 0 if fence is None else fence.position + 1
    if not all(quorum_reached(segment.show, size, rules) for rules in waiting):
        raise Waiting(
            "waiting for witnesses: not enough of them have seen the fence (the ledger's page says who)"
        )


@transaction.atomic
def _record_freeze(
    freeze: Freeze,
    shards: list[FrozenShard],
    rolls: dict[int, dict[str, Any]],
    origins: dict[str, Any],
    review: dict[str, Any],
) -> None:
    segment = lock_segment(freeze.segment_id)
    now = time_behind(segment.show, now_ms())
    counts = {
        "viewers": sum(shard.viewers for shard in shards),
        "shakes": sum(shard.shakes for shard in shards),
    }
    columns = {"frozen_at_ms": now, **counts, **origins, "review": review}
    if not Freeze.objects.filter(pk=freeze.pk, frozen_at_ms=None).update(**columns):
        return
    for pk, columns in rolls.items():
        Draw.objects.filter(pk=pk, roll_root="").update(**columns)
    names = dict(segment.draws.values_list("pk", "draw_id"))
    details = {
        **counts,
        **origins,
        "draws": [{"draw": pk, "draw_id": names[pk], **columns} for pk, columns in sorted(rolls.items())],
    }
    entry = record_change(segment, "freeze", actor=SYSTEM, now=now, details=details)
    Freeze.objects.filter(pk=freeze.pk).update(ledger=entry.position)
    entries = max((int(columns["entries"]) for columns in rolls.values()), default=0)
    tell_uncounted(segment, **counts, app=origins["kinds"][APP], entries=entries, now=now)
    for draw in segment.draws.all():
        reveal_house(draw, now=now)


def _join_totals(segment: Segment, shards: list[FrozenShard]) -> str:
    paths = [checked(shard_name(segment.key, shard.number), shard.sha256) for shard in shards]
    with writing(totals_name(segment.key)) as path:
        return join_totals(paths, path).sha256.hex()


def _make_roll(draw: Draw, shards: list[FrozenShard], totals_digest: str) -> dict[str, Any]:
    table, _ = _ticket_rules(draw)
    parts = [checked(part_name(draw.key, shard.number), shard.parts[draw.draw_id]) for shard in shards]
    shared = share_entries(draw, parts, shards, totals_digest)
    tell = progress_of(draw.segment_id, f"making the roll of {draw}")
    digest = bytes.fromhex(rules_digest_of(draw))
    with writing(roll_name(draw.key)) as path, writing(tree_name(draw.key)) as tree:
        left_out = fetch(shared_name(draw.key))
        summary = join_roll(parts, digest, table.tmax, path, tree, tell, left_out)
    return {
        "roll_header": summary.header.hex(),
        "roll_root": summary.root.hex(),
        "roll_sha256": sha256_of(fetch(roll_name(draw.key))),
        "totals_digest": totals_digest,
        "entries": summary.entries,
        "tickets": summary.tickets,
        "classes": sorted(map(list, summary.classes.items())),
        "shared": shared,
    }
