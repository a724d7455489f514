"""`manage.py destroy_show_key SHOW --reason WHY`: after the retention date, for good."""

import json
from argparse import ArgumentParser
from datetime import UTC
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.actions import ActionRefused
from engagement.management.arguments import add_name, plain_text
from engagement.management.commands.verify_ledger import find_shows
from engagement.models import Show
from engagement.show_keys import DESTROYED
from prizes.management.commands.segment import actor_of
from prizes.retention import IMPOSSIBLE, destroy_show_key, kept_until


class Command(BaseCommand):
    help = (
        "Destroys the key of a show's pseudonyms, once RETENTION_DAYS have passed since the last thing that happened "
        "in it: from then on nobody can tell who stands behind them. It is told by the ledger, and cannot be undone. "
        "Backups of the database have the key, too: delete them, or the STORAGE_KEYS that they need."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("show", help="the show's name in addresses")
        parser.add_argument("--reason", type=plain_text, default="", help="why, for the ledger")
        add_name(parser)
        parser.add_argument("--yes", action="store_true", help="do not ask for the show's name once more")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        (show,) = find_shows(options["show"])
        if show.k_show == DESTROYED:
            return self._say(show, options, is_new=False)
        if not options["yes"]:
            self._ask(show)
        try:
            destroy_show_key(show.pk, actor=actor_of(options["name"]), reason=options["reason"])
        except ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        self._say(show, options, is_new=True)

    def _ask(self, show: Show) -> None:
        self.stderr.write(f"The key of {show} was kept until {kept_until(show).astimezone(UTC):%Y-%m-%d}.")
        self.stderr.write("Without it nobody can ever do this again:")
        for line in IMPOSSIBLE:
            self.stderr.write(f"  - {line}")
        self.stderr.write(f"To go on, type the show's name ({show.slug}): ", ending="")
        self.stderr.flush()
        try:
            typed = input()
        except EOFError:
            typed = ""
        if typed.strip() != show.slug:
            raise CommandError("nothing was destroyed")

    def _say(self, show: Show, options: dict[str, Any], *, is_new: bool) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"show": show.slug, "destroyed": True, "is_new": is_new}))
        else:
            self.stdout.write(f"The key of {show} {'is' if is_new else 'was already'} destroyed.")
