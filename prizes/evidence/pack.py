"""The making of an evidence pack.

What is in the database is read at one moment, with the show locked. Then the files are laid out in a folder as they
will be in the pack, the verifiers run there as their own processes, and all of it is written to the zip. Nothing in a
pack comes from the clock: the same state gives the same bytes.
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from django.template.loader import render_to_string

from engagement.core.digests import parse_canonical
from engagement.ledger.checkpoints import origin_of
from engagement.models import RollVisibility
from prizes.evidence.archive import check_target, write_zip
from prizes.evidence.check_list import check_list
from prizes.evidence.content import FORMAT, PackedFile, format_sums, format_utc
from prizes.evidence.report import report_context
from prizes.evidence.staging import (
    CHECK_LIST,
    MANIFEST,
    README,
    REPORT,
    SUMS,
    Staging,
    Tell,
    stage_draw,
    stage_show,
    stage_totals,
)
from prizes.evidence.state import State, read_state
from prizes.evidence.verdicts import Verdict, verify
from prizes.models import Draw
from prizes.software import software_digests


class Pack(NamedTuple):
    """What was made."""

    state: State
    files: list[PackedFile]
    verdicts: list[Verdict]
    missing: list[str]
    notes: list[str]
    sha256: str
    size: int

    @property
    def ok(self) -> bool:
        """Whether nothing is missing and every verifier said OK."""
        return not self.missing and all(verdict.ok for verdict in self.verdicts)


def make_pack(slug: str, target: Path, *, totals: bool, force: bool, tell: Tell) -> Pack:
    """Writes the pack of a show, whole or not at all; EvidenceRefused says why there is none."""
    check_target(target, slug, force=force)
    state = read_state(slug)
    with tempfile.TemporaryDirectory(prefix="evidence-") as folder:
        staging = Staging(Path(folder), tell)
        stage_show(staging, state)
        for now in state.draws:
            stage_draw(staging, now)
        staging.write(CHECK_LIST, check_list(state), "what a notary does and notes, to print before the show")
        if totals:
            stage_totals(staging, state)
        verdicts, notes = verify(staging, state), list_notes(state, totals=totals)
        _describe(staging, state, verdicts, notes)
        sha256, size = write_zip(staging, state, target)
    return Pack(state, sorted(staging.packed.values()), verdicts, staging.missing, notes, sha256, size)


def list_notes(state: State, *, totals: bool) -> list[str]:
    """What a reader has to know before passing the pack on, or before relying on it."""
    notes = [
        "It names the people who ran the show, as the ledger does. It is for auditors, notaries and courts."
    ]
    if state.show.roll_visibility != RollVisibility.PUBLIC:
        notes.append("The rolls of this show are for auditors only.")
    if totals:
        notes.append(
            "It holds the shakes of every viewer and the excluded pseudonyms, which are for auditors only."
        )
    for now in state.draws:
        if now.is_sealed and now.draw.step != Draw.Step.PUBLISHED:
            notes.append(f"{now.draw} is not published: what it says of it is secret until then.")
        promised = parse_canonical(now.draw.rules.encode())["verifier_digest"]
        if promised != software_digests()["verifier"]:
            notes.append(
                f"{now.draw} has promised another version of verify_draw.py: check it with that, too: {promised}."
            )
    if not state.draws:
        notes.append("No segment was armed: there are no draws yet, only the ledger.")
    return notes


def _describe(staging: Staging, state: State, verdicts: list[Verdict], notes: list[str]) -> None:
    """Report, README, manifest and sums, in this order: each names the files before it."""
    context = report_context(state, staging, verdicts, notes)
    staging.write(REPORT, render_to_string("prizes/report.html", context), "all of it, to read and to print")
    staging.write(README, render_to_string("prizes/evidence_readme.txt", context), "how to check, without us")
    staging.write_json(
        MANIFEST, manifest(state, staging, verdicts, notes), "what is in the pack, for programs"
    )
    staging.write(SUMS, format_sums(staging.packed.values()), "SHA-256 of all other files")


def manifest(state: State, staging: Staging, verdicts: list[Verdict], notes: list[str]) -> dict[str, Any]:
    """The list of the files, and what was found."""
    last = state.entries[-1]
    return {
        "$format": f"{FORMAT}/manifest",
        "show": state.show.slug,
        "title": state.show.title,
        "origin": origin_of(state.show),
        "made_of": {"entries": len(state.entries), "digest": last.digest, "time": format_utc(state.at_ms)},
        "ok": not staging.missing and all(verdict.ok for verdict in verdicts),
        "missing": staging.missing,
        "verdicts": [
            {"name": row.name, "command": row.command, "ok": row.ok, "output": row.path} for row in verdicts
        ],
        "notes": notes,
        "draws": {now.draw.draw_id: now.folder for now in state.draws},
        "files": [row._asdict() for row in sorted(staging.packed.values())],
    }
