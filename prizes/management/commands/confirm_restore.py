"""`manage.py confirm_restore`: a person says that the database is right, though it is older than what was announced."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.actions import ActionRefused
from engagement.management.arguments import add_name
from prizes.management.commands.segment import actor_of
from prizes.recovery import confirm_restore


class Command(BaseCommand):
    help = (
        "Confirms that the database was restored (docs/operate.md): shows that are not over begin a new epoch, and "
        "phones count anew."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_name(parser)
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            shows = confirm_restore(actor=actor_of(options["name"]))
        except ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        begun = [show.slug for show in shows]
        self.stdout.write(
            json.dumps({"shows": begun})
            if options["json"]
            else f"Begun anew: {', '.join(begun) or 'no show'}."
        )
