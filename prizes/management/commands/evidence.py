"""`manage.py evidence <show> -o pack.zip`: everything about a show that somebody needs who has to believe nobody."""

import json
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError

from prizes.evidence.pack import Pack, make_pack
from prizes.evidence.state import EvidenceRefused

QUIET_S = 2.0
EVERY_S = 0.5


class Command(BaseCommand):
    help = (
        "Writes the evidence pack of a show: rules, rolls, records, ledger, claims, the verifiers and what they say, "
        "and a report to print. Exit status 0 when nothing is missing and every verifier says OK, else 1; the pack is "
        "written all the same."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("show", help="the show's name in addresses")
        parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: evidence-<show>.zip")
        parser.add_argument(
            "--totals",
            action="store_true",
            help="also how much each viewer shook, and who was excluded; for auditors who recompute the tickets",
        )
        parser.add_argument(
            "--force", action="store_true", help="replace a file that is no pack of this show"
        )
        parser.add_argument("--json", action="store_true", help="a summary as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        show = options["show"]
        target: Path = options["output"] or Path(f"evidence-{show}.zip")
        progress = Progress(sys.stderr)
        try:
            pack = make_pack(
                show, target, totals=options["totals"], force=options["force"], tell=progress.tell
            )
        except EvidenceRefused as refusal:
            raise CommandError(str(refusal)) from None
        finally:
            progress.end()
        if options["json"]:
            self.stdout.write(json.dumps(describe(pack, target)))
        else:
            self.stdout.write("\n".join(report_lines(pack, target)))
        if not pack.ok:
            sys.exit(1)


def describe(pack: Pack, target: Path) -> dict[str, Any]:
    """A pack for machines."""
    return {
        "show": pack.state.show.slug,
        "pack": str(target),
        "ok": pack.ok,
        "sha256": pack.sha256,
        "bytes": pack.size,
        "files": len(pack.files),
        "entries": len(pack.state.entries),
        "draws": [now.draw.draw_id for now in pack.state.draws],
        "missing": pack.missing,
        "verdicts": [{"name": row.name, "ok": row.ok, "detail": row.last_line} for row in pack.verdicts],
        "notes": pack.notes,
    }


def report_lines(pack: Pack, target: Path) -> list[str]:
    """A pack for people."""
    return [
        *(f"{'ok  ' if row.ok else 'FAIL'} {row.name}: {row.last_line}" for row in pack.verdicts),
        *(f"FAIL {path} is missing" for path in pack.missing),
        *(f"note {note}" for note in pack.notes),
        f"{target}: {len(pack.files)} files, {pack.size:,} bytes",
        f"SHA-256 {pack.sha256}",
        "OK" if pack.ok else "NOT OK: the pack is written, and says so",
    ]


class Progress:
    """How far it is, for whoever waits longer than two seconds: one line of a terminal, or a few of a log."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.next, self.shown = stream, time.monotonic() + QUIET_S, ""
        self.terminal = stream.isatty()

    def tell(self, text: str, done: int, total: int) -> None:
        """Called as often as there is something to say; writes at most twice a second, to a log once per step."""
        if time.monotonic() < self.next or (not self.terminal and text == self.shown):
            return
        percent = f" {100 * done // total} %" if total and self.terminal else ""
        self.stream.write(f"\r\033[K{text}{percent}" if self.terminal else f"{text}\n")
        self.stream.flush()
        self.next, self.shown = time.monotonic() + EVERY_S, text

    def end(self) -> None:
        """Leaves the terminal as it was."""
        if self.terminal and self.shown:
            self.stream.write("\r\033[K")
