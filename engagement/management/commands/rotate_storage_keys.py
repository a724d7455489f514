"""`manage.py rotate_storage_keys`: show keys and the crew's second factors are encrypted with the first key."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.management.commands.verify_ledger import find_shows
from engagement.show_keys import reencrypt_show_key
from engagement.vault import VaultError, reencrypts

TOLD_EVERY = 100


class Command(BaseCommand):
    help = (
        "Encrypts the key of every show, and the crew's second factors, with the first of STORAGE_KEYS, once a new one "
        "stands there in all processes. Secrets of draws stay as they are: no row of a draw is changed. Keep the old "
        "key in the list until the last draw of its time has been frozen; what it opens after that the ledger has told "
        "everybody."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("show", nargs="?", help="the show's name in addresses (default: all shows)")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        shows = find_shows(options["show"])
        for number, show in enumerate(shows):
            try:
                reencrypt_show_key(show.pk)
            except VaultError as error:
                raise CommandError(f"{show}, after {number} others: {error}") from None
            if number % TOLD_EVERY == TOLD_EVERY - 1 and sys.stderr.isatty():
                self.stderr.write(f"\r{number + 1} of {len(shows)}", ending="")
        if options["show"] is None:
            reencrypt_others()
        keys = "the key of 1 show" if len(shows) == 1 else f"the keys of {len(shows)} shows"
        done = f"Encrypted with the first of STORAGE_KEYS: {keys}."
        self.stdout.write(json.dumps({"shows": len(shows)}) if options["json"] else done)


def reencrypt_others() -> None:
    """What the other apps keep encrypted."""
    for reencrypt in reencrypts:
        try:
            reencrypt()
        except VaultError as error:
            raise CommandError(f"after all shows: {error}") from None
