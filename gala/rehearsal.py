"""One segment from arming to the published result, by itself, with mock phones; and the account of how it went."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.models import Min
from redis.exceptions import RedisError

from engagement import tally
from engagement.actions import is_about, open_segment
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.models import LedgerEntry, Segment
from prizes.audit import audit_draw
from prizes.core.roll import iterate_totals
from prizes.files import fetch, totals_name
from prizes.models import Draw, Win
from prizes.steps.arm import arm_segment

ACTOR = "show"
CONNECT_PER_S = 400  # how fast mock phones are let in, so that the audience is there when the segment opens
PATIENCE_S = 60  # from the end of the window to the published result


class RehearsalFailed(Exception):
    """The segment did not get to its result; the text says where it stopped."""


def prepare_segment(segment: Segment, *, phones: int, seconds: int) -> Segment:
    """Arms the segment and schedules it, with enough time for the phones to connect."""
    Segment.objects.filter(pk=segment.pk).update(window_s=seconds)
    arm_segment(segment.pk, actor=ACTOR)
    return open_segment(segment.pk, actor=ACTOR, lead_s=6 + phones // CONNECT_PER_S)


def phone_arguments(address: str, segment: Segment, phones: int, summary: Path) -> list[str]:
    """The arguments of `mock_phones` for this segment."""
    return [
        "--url", f"ws://{address}",
        "--show", segment.show.slug,
        "--phones", str(phones),
        "--until-result",
        "--claim",
        "--check-stubs",
        "--timeout", str(_last_moment_s(segment)),
        "--json", str(summary),
        "--quiet",
    ]  # fmt: skip


def _last_moment_s(segment: Segment) -> int:
    return (segment.air_time.grace_ends_at - now_ms()) // 1000 + PATIENCE_S


def watch(segment: Segment, check: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """The segment's figures, twice a second, until it is published; RehearsalFailed when that takes too long."""
    deadline = now_ms() + _last_moment_s(segment) * 1000
    while segment.phase != Phase.PUBLISHED:
        check()
        if now_ms() > deadline:
            raise RehearsalFailed(f"{segment} is still {segment.phase}: {_trouble(segment)}")
        with suppress(RedisError, OSError):  # a Redis that hesitates is no reason to stop looking
            yield figures(segment)
        time.sleep(0.5)
        segment.refresh_from_db()
    yield figures(segment)


def _trouble(segment: Segment) -> str:
    return "; ".join(draw.trouble for draw in segment.draws.all() if draw.trouble) or "no step says why"


def figures(segment: Segment) -> dict[str, Any]:
    """What the control room shows of a segment on air."""
    live = tally.read_live(segment.key)
    gateways = tally.read_gateways(now_ms())
    shows = [beat["shows"].get(segment.show.slug, {}) for beat in gateways.values()]
    return {
        "phase": segment.phase,
        "phones": sum(show.get("phones", 0) for show in shows),
        "shakes": live.get("shakes", 0),
        "reports": live.get("reports", 0),
        "clamped": live.get("clamped", 0),
        "pending": sum(beat["pending"] for beat in gateways.values()),
    }


def summarise(segment: Segment, phone_summary: Path) -> dict[str, Any]:
    """The account of a published segment: what phones were told against what was frozen, and what was drawn."""
    draw = segment.draws.get()
    phones = json.loads(phone_summary.read_text(encoding="utf-8"))
    found = phones["segments"].get(str(segment.pk), {"acknowledged": {}, "stubs": {}})
    told, signed = found["acknowledged"], found["stubs"]
    frozen = read_frozen(draw)
    return {
        "show": segment.show.slug,
        "segment": segment.pk,
        "phases": phase_times(segment),
        "phones_connected": phones["phones_connected"],
        "phones_that_shook": phones["phones_that_shook"],
        "reports_received": tally.read_live(segment.key).get("reports", 0),
        "shakes_acknowledged": sum(told.values()),
        "shakes_frozen": sum(frozen.values()),
        "viewers_that_differ": differing_viewers(told, frozen),
        "stubs": phones["stubs"],
        "stubs_that_differ": differing_viewers(signed, frozen),
        "entries": draw.entries,
        "tickets": draw.tickets,
        "winners": [describe_win(win) for win in draw.wins.select_related("prize").order_by("rank")],
        "claims": phones["claims"],
        "seal": draw.seal,
        "draw": draw.pk,
        "verified": all(check.ok for check in audit_draw(draw)),
    }


def read_frozen(draw: Draw) -> dict[str, int]:
    """The frozen totals of a draw's segment: pseudonym in hex -> total."""
    content = fetch(totals_name(draw.segment.key)).read_bytes()
    return {viewer.hex(): total for viewer, total in iterate_totals(content)}


def differing_viewers(told: dict[str, int], frozen: dict[str, int]) -> list[str]:
    """The viewers whose frozen total is not what their phones were told last: the heartbeat of every test is []."""
    shook = {viewer: total for viewer, total in told.items() if total}
    return sorted(
        viewer for viewer in shook.keys() | frozen.keys() if shook.get(viewer) != frozen.get(viewer)
    )


def phase_times(segment: Segment) -> dict[str, int]:
    """When each step of the segment was recorded, in UTC ms, from the ledger."""
    armed = segment.draws.aggregate(at=Min("committed_ledger"))["at"] or 0
    entries = LedgerEntry.objects.filter(show=segment.show, position__gte=armed).order_by("position")
    return {entry.action: entry.at_ms for entry in entries if is_about(entry, segment)}


def describe_win(win: Win) -> dict[str, Any]:
    return {"pseudonym": win.pseudonym, "prize": str(win.prize), "piece": win.piece, "rank": win.rank}
