"""The report of a pack: what the template says, for somebody who reads it on paper (docs/evidence.md)."""

import base64
import hashlib
import json
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from engagement.clock import to_ms
from engagement.core.digests import parse_canonical
from engagement.core.names import stage_name
from engagement.core.phases import CALLED_OFF, Phase
from engagement.ledger.checkpoints import origin_of
from prizes.core.digests import beacon_strength, rules_digest
from prizes.evidence.content import (
    BEACONS,
    Lane,
    checkpoint_address,
    explain_rules,
    lay_night,
    lay_track,
    list_odds,
    show_utc,
)
from prizes.evidence.staging import MANIFEST, SUMS, Staging, public_keys
from prizes.evidence.state import DrawNow, State
from prizes.evidence.verdicts import Verdict
from prizes.models import Draw
from prizes.steps.beacon import round_of
from prizes.story import money

REHEARSAL = "rehearsal"


def report_context(
    state: State, staging: Staging, verdicts: list[Verdict], notes: list[str]
) -> dict[str, Any]:
    """Everything that report and README tell."""
    css = render_to_string("prizes/report.css")
    timeline = json.loads((staging.folder / "timeline.json").read_text(encoding="utf-8"))
    return {
        "show": state.show,
        "origin": origin_of(state.show),
        "at": show_utc(state.at_ms),
        "last": state.entries[-1],
        "size": len(state.entries),
        "keys": public_keys(state),
        "checkpoint": state.checkpoints[-1] if state.checkpoints else None,
        "checkpoints": len(state.checkpoints),
        "checkpoint_address": checkpoint_address(state.show.slug),
        "ok": not staging.missing and all(verdict.ok for verdict in verdicts),
        "verdicts": verdicts,
        "missing": staging.missing,
        "notes": notes,
        "night": lay_night([lane for segment in state.segments for lane in _lanes(state, segment)]),
        "timeline": [{**row, "shown": show_utc(row["ms"])} for row in timeline],
        "statistics": json.loads((staging.folder / "statistics.json").read_text(encoding="utf-8")),
        "draws": [describe_draw(now, state, verdicts) for now in state.draws],
        "rehearsal": any(now.draw.beacon_kind == "local" for now in state.draws),
        "files": sorted(staging.packed.values()),
        "manifest_name": MANIFEST,
        "sums_name": SUMS,
        "css": mark_safe(css),  # a template of ours, without any value in it
        "css_hash": base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
    }


def _lanes(state: State, segment: Any) -> list[Lane]:
    """A lane for a segment that was on air; the moments after it are those of its last draw."""
    if segment.opens_at is None or segment.phase in CALLED_OFF:
        return []
    draws = [now.draw for now in state.draws if now.draw.segment_id == segment.pk]
    moments = [moment for draw in draws for moment in _moments(draw) if moment[0] != "frozen"]
    return [Lane(str(segment), segment.air_time.opens_at, segment.air_time.ends_at, moments)]


def _moments(draw: Draw) -> list[tuple[str, int]]:
    """What came after the window, with UTC ms, as far as it has come."""
    freeze = getattr(draw.segment, "freeze", None)
    moments = [
        ("frozen", freeze.frozen_at_ms if freeze else None),
        ("sealed", draw.sealed_at_ms),
        ("drawn", None if draw.drawn_at is None else to_ms(draw.drawn_at)),
        ("published", None if draw.published_at is None else to_ms(draw.published_at)),
    ]
    return [(kind, ms) for kind, ms in moments if ms is not None]


def describe_draw(now: DrawNow, state: State, verdicts: list[Verdict]) -> dict[str, Any]:
    """One draw: what was promised, what happened, what came of it, and what the verifiers say."""
    draw, rules = now.draw, parse_canonical(now.draw.rules.encode())
    kind = rules["beacon"]["kind"]
    return {
        "id": draw.draw_id,
        "segment": draw.segment,
        "folder": now.folder,
        "state": _state_of(draw),
        "rules": explain_rules(rules),
        "rules_digest": rules_digest(rules).hex(),
        "prizes": [
            {**prize, "value": money(prize["value_minor"], prize["currency"])} for prize in rules["prizes"]
        ],
        "commitments": _commitments(now, rules),
        "committed_at": show_utc(draw.committed_at_ms),
        "committed_ledger": draw.committed_ledger,
        "digests": [(name.replace("_", " "), rules[name]) for name in sorted(rules) if _is_promise(name)],
        "track": lay_track(_track(draw, beacon_at(draw, state))),
        "sealed": now.is_sealed,
        "draw": draw,
        "sealed_at": None if draw.sealed_at_ms is None else show_utc(draw.sealed_at_ms),
        "odds": list_odds(draw.classes, rules["winners"]) if now.is_sealed else [],
        "kind": kind,
        "beacon": BEACONS[kind],
        "round": round_of(draw) if now.is_sealed else None,
        "rehearsal": beacon_strength(kind) == REHEARSAL,
        "drawn": now.is_drawn,
        "winners": _winners(now, rules) if now.is_drawn else [],
        "dispositions": [_disposition(row, rules, _names(now)) for row in now.dispositions],
        "verdicts": [row for row in verdicts if row.name in (now.folder, f"{now.folder}-on-the-server")],
    }


def _is_promise(name: str) -> bool:
    return name.endswith(("_digest", "_commitment"))


def _state_of(draw: Draw) -> str:
    if draw.segment.phase == Phase.VOID:
        frozen = getattr(draw.segment, "freeze", None)
        late = frozen is not None and frozen.frozen_at_ms is not None  # the first version let it be
        return f"called off {'after' if late else 'before'} the freeze; nothing is drawn"
    if draw.step == Draw.Step.SPOILED:
        return "spoiled: it got no seal in time; nothing is drawn from this roll"
    if draw.disagreement:
        return "stopped: the second program does not confirm it"
    return {
        Draw.Step.COMMITTED: "armed; not sealed yet, so only what was promised is here",
        Draw.Step.SEALED: "sealed, not drawn yet",
        Draw.Step.DRAWING: "being drawn",
        Draw.Step.DRAWN: "drawn, not published yet",
        Draw.Step.PUBLISHED: "published",
    }[Draw.Step(draw.step)]


def _commitments(now: DrawNow, rules: dict[str, Any]) -> list[dict[str, Any]]:
    """What each party promised; when it revealed its secret only where the seal has it."""
    revealed = {row.party: row for row in now.draw.revealed.all()} if now.is_sealed else {}
    return [
        {
            **party,
            "revealed": show_utc(revealed[party["name"]].at_ms) if party["name"] in revealed else None,
            "ledger": revealed[party["name"]].ledger if party["name"] in revealed else None,
        }
        for party in rules["parties"]
    ]


def _track(draw: Draw, beacon: int | None) -> list[tuple[str, int | None]]:
    """The stations in the order that proves something: the beacon after the seal, the seal after the window."""
    told, segment = dict(_moments(draw)), draw.segment
    opens, closes = segment.opens_at, segment.closes_at
    return [
        ("rules fixed", draw.committed_at_ms),
        ("window opens", None if opens is None else to_ms(opens)),
        ("window closes", None if closes is None else to_ms(closes)),
        ("roll frozen", told.get("frozen")),
        ("sealed", told.get("sealed")),
        ("beacon known", beacon),
        ("drawn", told.get("drawn")),
        ("published", told.get("published")),
    ]


def beacon_at(draw: Draw, state: State) -> int | None:
    """When the ledger was told of the beacon, in UTC ms."""
    position = draw.beacon_ledger
    return None if position is None or position >= len(state.entries) else state.entries[position].at_ms


def _winners(now: DrawNow, rules: dict[str, Any]) -> list[dict[str, Any]]:
    titles = _titles(rules)
    return [{**win, "title": titles.get(win["prize"], win["prize"])} for win in now.claims["wins"]]


def _names(now: DrawNow) -> dict[str, str]:
    """Pseudonym -> the name by which a winner was told; reserves who were passed over have none."""
    return {win["pseudonym"]: win["stage_name"] for win in now.claims["wins"]}


def _disposition(row: dict[str, Any], rules: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {
        **row,
        "at": show_utc(row["time"]),
        "stage_name": names.get(row["pseudonym"]) or stage_name(bytes.fromhex(row["pseudonym"])),
        "title": _titles(rules).get(row["prize"], ""),
    }


def _titles(rules: dict[str, Any]) -> dict[str, str]:
    return {prize["id"]: f"{prize['title']}, size {prize['size']}" for prize in rules["prizes"]}
