"""`manage.py audit_draw <draw id>`: recomputes a draw from what is stored, with the second implementation."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.management.arguments import whole_number
from engagement.management.commands.verify_ledger import read_note
from prizes.audit import Sampled, audit_draw, sample_draw
from prizes.models import Draw

LARGEST_SAMPLE = 10_000


class Command(BaseCommand):
    help = "Recomputes a draw from its stored record, roll and totals; exit status 0 when all checks hold, else 1."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "draw", type=whole_number, help="the draw's id (in the control room, and in the record's address)"
        )
        parser.add_argument(
            "--checkpoint",
            action="append",
            default=[],
            type=Path,
            metavar="FILE",
            help="a checkpoint of the ledger that was kept elsewhere, as text; may be repeated",
        )
        parser.add_argument("--json", action="store_true", help="the checks as JSON")
        parser.add_argument(
            "--sample",
            type=_sample_size,
            metavar="M",
            help="also the M entries of the audit sample with their shakes, for the auditor to open",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        draw = Draw.objects.select_related("show", "segment__freeze").filter(pk=options["draw"]).first()
        if draw is None:
            raise CommandError(f"there is no draw {options['draw']}")
        wanted = options["sample"]
        if wanted and draw.step not in (Draw.Step.DRAWN, Draw.Step.PUBLISHED):
            raise CommandError(f"{draw} is {draw.step}: there is a sample once it is drawn")
        checks = audit_draw(draw, [read_note(path) for path in options["checkpoint"]])
        ok = all(check.ok for check in checks)
        # Of a draw that does not hold, roll or key may be others than those that were sealed.
        sample = sample_draw(draw, wanted) if wanted and ok else None
        if options["json"]:
            report: dict[str, Any] = {"draw": draw.pk, "draw_id": draw.draw_id, "ok": ok}
            report["checks"] = [check._asdict() for check in checks]
            if wanted:
                report["sample"] = sample and [asdict(row) for row in sample]
            self.stdout.write(json.dumps(report))
        else:
            for check in checks:
                self.stdout.write(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
            for line in _list_sample(draw, sample) if wanted else []:
                self.stdout.write(line)
            self.stdout.write(f"{draw.draw_id}: {'OK' if ok else 'NOT OK'}")
        if not ok:
            sys.exit(1)


def _sample_size(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_SAMPLE:
        raise ArgumentTypeError(f"expected 1 to {LARGEST_SAMPLE} entries, got {text!r}")
    return int(text)


def _list_sample(draw: Draw, sample: list[Sampled] | None) -> list[str]:
    if sample is None:
        return ["no sample: a check has failed, and roll or key may not be those that were sealed"]
    heading = (
        f"sample of {len(sample)} of {draw.entries} entries: pseudonym, index in the roll, tickets, shakes"
    )
    return [
        heading,
        *(f"     {row.pseudonym} {row.index:>9} {row.tickets:>5} {row.total:>9}" for row in sample),
    ]
