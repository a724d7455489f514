"""`manage.py show_key <show>`: opens the key of a show's pseudonyms, for an auditor."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.actions import ActionRefused
from engagement.management.arguments import add_name, plain_text
from engagement.management.commands.verify_ledger import find_shows
from engagement.show_keys import open_show_key
from prizes.management.commands.segment import actor_of


class Command(BaseCommand):
    help = (
        "Prints the key of a show, to which the rules of its draws commit, and writes into the ledger that it was "
        "opened. With the ids of the host app an auditor sees who stands behind each entry (docs/audit-a-draw.md); so "
        "does whoever else has both. Refused while anything of the show is under way."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("show", help="the show's name in addresses")
        parser.add_argument("--reason", type=plain_text, default="", help="why, for the ledger")
        add_name(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        (show,) = find_shows(options["show"])
        try:
            key = open_show_key(show.pk, actor=actor_of(options["name"]), reason=options["reason"])
        except ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(key.hex())
