"""`manage.py audit_draw <draw id>`: recomputes a draw from what is stored, with the second implementation."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from prizes.audit import audit_draw
from prizes.models import Draw


class Command(BaseCommand):
    help = "Recomputes a draw from its stored record, roll and totals; exit status 0 when all checks hold, else 1."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "draw", type=int, help="the draw's id (in the control room, and in the record's address)"
        )
        parser.add_argument("--json", action="store_true", help="the checks as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        draw = Draw.objects.select_related("show", "segment__freeze").filter(pk=options["draw"]).first()
        if draw is None:
            raise CommandError(f"there is no draw {options['draw']}")
        checks = audit_draw(draw)
        ok = all(check.ok for check in checks)
        if options["json"]:
            report = {
                "draw": draw.pk,
                "draw_id": draw.draw_id,
                "ok": ok,
                "checks": [check._asdict() for check in checks],
            }
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            for check in checks:
                self.stdout.write(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
            self.stdout.write(f"{draw.draw_id}: {'OK' if ok else 'NOT OK'}")
        if not ok:
            sys.exit(1)
