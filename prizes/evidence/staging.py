"""The files of a pack in the making, laid out in a folder as they will be in the pack."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from engagement import tally
from engagement.core.digests import canonical_json
from engagement.fair_play.core.origins import APP
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.core.cosignatures import add_lines
from engagement.ledger.export import export_checkpoint, export_entry
from engagement.ledger.statements import state_all
from engagement.models import Segment
from prizes import files
from prizes.audit import as_published
from prizes.evidence.content import PackedFile, format_csv, list_odds, timeline_row
from prizes.evidence.state import DrawNow, State
from prizes.models import Freeze
from prizes.publication import precommitment_of, record_with
from prizes.software import SHOW_VERIFIER, VERIFIER

CHUNK = 1 << 20
SUMS, MANIFEST, README, REPORT = "SHA256SUMS", "manifest.json", "README.txt", "report.html"
CHECK_LIST = "check-list.html"
ENTRIES, CHECKPOINTS = "ledger/entries.jsonl", "ledger/checkpoints.jsonl"
STATEMENTS = "ledger/statements.jsonl"
LEDGER_VERIFIER = VERIFIER.parent.parent / "engagement" / "ledger" / "verify_ledger.py"

Tell = Callable[[str, int, int], None]


@dataclass
class Staging:
    """The files of a pack in the making, laid out as in the pack; large ones are only linked to."""

    folder: Path
    tell: Tell
    packed: dict[str, PackedFile] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def write(self, path: str, content: bytes | str, what: str) -> None:
        target = self._target(path)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        self._note(path, what)

    def write_json(self, path: str, content: Any, what: str) -> None:
        self.write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n", what)

    def link(self, path: str, source: Path, what: str) -> None:
        self._target(path).symlink_to(source.resolve())
        self._note(path, what)

    def take(self, path: str, stored: str, what: str) -> bool:
        """A file of the storage; where it is gone the pack says so, and False comes back."""
        try:
            self.link(path, files.fetch(stored), what)
        except (
            OSError,
            ValueError,
        ):  # storages have their own exceptions for what is gone, most are OSErrors
            self.missing.append(path)
            return False
        return True

    def _target(self, path: str) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _note(self, path: str, what: str) -> None:
        size, digest = (self.folder / path).stat().st_size, hashlib.sha256()
        for chunk in read_chunks(self.folder / path, lambda done: self.tell(f"reading {path}", done, size)):
            digest.update(chunk)
        self.packed[path] = PackedFile(path, size, digest.hexdigest(), what)


def read_chunks(path: Path, tell: Callable[[int], None]) -> Iterator[bytes]:
    """A file piece by piece, whatever its size."""
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
            done += len(chunk)
            tell(done)


# --- what goes into it ---


def stage_show(staging: Staging, state: State) -> None:
    """What belongs to the show as a whole: ledger, timeline, statistics, and the programs that check."""
    lines = [export_entry(entry) for entry in state.entries]
    cosigned = state.cosignatures
    notes = b"".join(export_checkpoint(row, cosigned.get(row.size, ())) for row in state.checkpoints)
    latest = state.checkpoints[-1].note if state.checkpoints else ""
    staging.write(ENTRIES, b"".join(lines), "the ledger, an entry on each line")
    staging.write(CHECKPOINTS, notes, "all signed checkpoints, oldest first")
    staging.write("ledger/latest-checkpoint.txt", latest, "the last one as text, to be noted or co-signed")
    _stage_statements(staging, state)
    staging.write(
        "ledger/keys.txt", "\n".join(public_keys(state)) + "\n", "the public keys of the checkpoints"
    )
    if state.witnesses:
        keys = "\n".join(state.witnesses) + "\n"
        staging.write(
            "ledger/witnesses.txt", keys, "the public keys of the witnesses, who have cosigned checkpoints"
        )
    titles = {segment.pk: str(segment) for segment in state.show.segments.all()}
    rows = [timeline_row(json.loads(line), titles) for line in lines]
    staging.write_json("timeline.json", rows, "every step of the show as it ran, with UTC time")
    staging.write("timeline.csv", format_csv(rows), "the same for a spreadsheet")
    staging.write_json(
        "statistics.json", [_statistics(state, row) for row in state.segments], "figures per segment"
    )
    for program in (VERIFIER, LEDGER_VERIFIER, SHOW_VERIFIER):
        staging.link(program.name, program, "a program that checks; standard library of Python only")


def _stage_statements(staging: Staging, state: State) -> None:
    """What everybody may read of the ledger, under the last checkpoint: it may be passed on by itself."""
    if not state.checkpoints:
        return
    last = state.checkpoints[-1]
    note = add_lines(last.note, state.cosignatures.get(last.size, ()))
    try:
        rows = state_all(state.entries, note, last.size)
    except KeyError:  # entries were removed: the verifier of the ledger says which
        staging.missing.append(STATEMENTS)
        return
    lines = b"".join(canonical_json(row) + b"\n" for row in rows)
    staging.write(STATEMENTS, lines, "the public ones of the entries, each with its proof: for everybody")


def public_keys(state: State) -> list[str]:
    """The keys of the ledger as text; the first one signs now."""
    return [format_vkey(key) for key in keys_of(state.show)]


def _statistics(state: State, segment: Segment) -> dict[str, Any]:
    freeze: Freeze | None = getattr(segment, "freeze", None)
    draws = [now.draw for now in state.draws if now.draw.segment_id == segment.pk and now.is_sealed]
    frozen = freeze is not None and freeze.frozen_at_ms is not None
    return {
        "segment": str(segment),
        "phase": str(segment.phase),
        "opens_at": None if segment.opens_at is None else segment.opens_at.isoformat(),
        "closes_at": None if segment.closes_at is None else segment.closes_at.isoformat(),
        "viewers": freeze.viewers if freeze else None,
        "shakes": freeze.shakes if freeze else None,
        "missing_gateways": freeze.missing_gateways if freeze else None,
        "live": _live_counters(segment) if frozen else None,
        "draws": [
            {
                "draw_id": draw.draw_id,
                "entries": draw.entries,
                "tickets": draw.tickets,
                "odds": list_odds(draw.classes, draw.promised["winners"]),
            }
            for draw in draws
        ],
    }


def _live_counters(segment: Segment) -> dict[str, int] | None:
    """The counters of the night, clamped reports among them, while Redis still has them; nothing is proved by them."""
    try:
        return dict(sorted(tally.read_live(segment.key).items())) or None
    except (RedisError, OSError):
        return None


def stage_draw(staging: Staging, now: DrawNow) -> None:
    """What was promised; from the seal on the roll, and from the draw on the record."""
    draw, folder = now.draw, now.folder
    staging.write(f"{folder}/rules.json", draw.rules, "the rules, in the form that their digest is made of")
    staging.write(f"{folder}/precommitment.json", precommitment_of(draw), "what was public before the window")
    if now.is_sealed:
        staging.take(f"{folder}/roll.bin", files.roll_name(draw.key), "the roll that was sealed")
        if draw.shared.get("entries", 0) > draw.shared.get("kept", 0):
            shared = files.shared_name(draw.key)
            staging.take(f"{folder}/shared.bin", shared, "the entries that their blocks have too many")
    drawn = f"{folder}/record-as-drawn.json"
    if now.is_drawn and staging.take(drawn, files.record_name(draw.key), "the record as it was drawn"):
        record = (staging.folder / drawn).read_bytes()
        published = _published(now, record)
        staging.write(f"{folder}/record.json", published, "the record with what became of the prizes")
    elif now.is_drawn:
        staging.missing.append(f"{folder}/record.json")
    if now.is_drawn:
        staging.write_json(f"{folder}/claims.json", now.claims, "who has claimed what")


def _published(now: DrawNow, record: bytes) -> bytes:
    """As the site gives it out, signed; what cannot be given out any more is packed as it is."""
    try:
        return record_with(now.draw, now.dispositions).content
    except (ValueError, OSError):
        return as_published(record, now.dispositions)


def _has_guests(segment: Segment) -> bool:
    return any(kind != APP and many for kind, many in segment.freeze.kinds.items())


def stage_totals(staging: Staging, state: State) -> None:
    """For an auditor who has to recompute the tickets: how much each viewer shook, and who was excluded."""
    sealed = [now for now in state.draws if now.is_sealed]
    for number, key in sorted({(now.draw.segment_id, now.draw.segment.key) for now in sealed}):
        staging.take(
            f"segment-{number}/totals.bin", files.totals_name(key), "the frozen totals of all viewers"
        )
    guests = {now.draw.segment_id: now.draw.segment for now in sealed if _has_guests(now.draw.segment)}
    for number, segment in sorted(guests.items()):
        origins = files.origins_name(segment.key)
        staging.take(f"segment-{number}/origins.bin", origins, "kind, carrier and block of each guest")
    for now in sealed:
        lines = "".join(f"{viewer}\n" for viewer in now.draw.excluded)
        staging.write(f"{now.folder}/excluded.txt", lines, "the excluded pseudonyms")
