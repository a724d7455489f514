"""`manage.py verify_ledger [<show>]`: recomputes ledgers, and compares checkpoints that were kept elsewhere."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.ledger.audit import Check, KeptNote, audit_ledger
from engagement.ledger.checkpoints import origin_of
from engagement.models import Show


class Command(BaseCommand):
    help = "Recomputes the ledger of a show, or of all shows; exit status 0 when all checks hold, else 1."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("show", nargs="?", help="the show's name in addresses (default: all shows)")
        parser.add_argument(
            "--checkpoint",
            action="append",
            default=[],
            type=Path,
            metavar="FILE",
            help="a checkpoint that was kept elsewhere, as text; may be repeated",
        )
        parser.add_argument("--json", action="store_true", help="the checks as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        shows = find_shows(options["show"])
        checks = list(check_all(shows, options["checkpoint"], by_name=options["show"] is None))
        ok = all(check.ok for _, check in checks)
        if options["json"]:
            rows = [{"show": slug, **check._asdict()} for slug, check in checks]
            self.stdout.write(json.dumps({"ok": ok, "checks": rows}))
        else:
            for slug, check in checks:
                self.stdout.write(f"{'ok  ' if check.ok else 'FAIL'} {slug} {check.name}: {check.detail}")
            self.stdout.write("OK" if ok else "NOT OK")
        if not ok:
            sys.exit(1)


def find_shows(slug: str | None) -> list[Show]:
    """The one that is named, or all."""
    if slug is None:
        return list(Show.objects.order_by("pk"))
    show = Show.objects.filter(slug=slug).first()
    if show is None:
        known = ", ".join(Show.objects.values_list("slug", flat=True)[:20]) or "none"
        raise CommandError(f"there is no show {slug!r}; there are: {known}")
    return [show]


def check_all(shows: list[Show], files: list[Path], *, by_name: bool) -> Iterator[tuple[str, Check]]:
    """Each check with its show; `by_name`: a checkpoint goes to the show that its first line names."""
    notes = [read_note(path) for path in files]
    for show in shows:
        mine = [note for note in notes if not by_name or note.note.partition("\n")[0] == origin_of(show)]
        for check in audit_ledger(show, mine):
            yield show.slug, check
        notes = [note for note in notes if note not in mine]
    for note in notes:
        first = note.note.partition("\n")[0][:80]
        yield (
            "-",
            Check(f"file {note.name}", False, f"expected a checkpoint of a show of ours, got {first!r}"),
        )


def read_note(path: Path) -> KeptNote:
    """A checkpoint from a file; line ends and empty lines around it may have suffered on the way."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--checkpoint: {path}: {error}") from None
    return KeptNote(path.name, text.replace("\r\n", "\n").strip() + "\n")
