"""`manage.py create_account NAME --role operator`: an account for a person, who chooses the password by a link."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from prizes.accounts import CHOICES, BadAccount, ensure_account, invitation

HOURS = settings.PASSWORD_RESET_TIMEOUT // 3600
HERE = "http://127.0.0.1:8000"


class Command(BaseCommand):
    help = (
        "Makes an account and prints a link where the person chooses a password. An account that exists gets the role "
        "and keeps its password; with --invite there is a link for it, too."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what the person logs in with, and is called in ledgers")
        parser.add_argument(
            "--role", required=True, choices=CHOICES, help="party: no right but at /parties/, when it is one"
        )
        parser.add_argument(
            "--invite",
            action="store_true",
            help=f"a link for an account that exists; all are for one use within {HOURS} hours",
        )
        parser.add_argument(
            "--address",
            default=next((origin for origin in settings.CSRF_TRUSTED_ORIGINS if "*" not in origin), HERE),
            help="where the person reaches the console, for the link (default %(default)s)",
        )
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        name, role = options["name"], options["role"]
        try:
            user, is_new = ensure_account(name, role)
        except BadAccount as reason:
            raise CommandError(str(reason)) from None
        invites = is_new or options["invite"]
        link = options["address"].rstrip("/") + invitation(user) if invites else None
        answer = {"name": name, "role": role, "is_new": is_new, "invitation": link}
        self.stdout.write(json.dumps(answer) if options["json"] else sentence(**answer))


def sentence(name: str, role: str, is_new: bool, invitation: str | None) -> str:
    """What was done, and what to hand to the person."""
    done = f"{name} is {'now' if is_new else 'there already, as'} {role}"
    if invitation is not None:
        return f"{done}. To choose a password, once, within {HOURS} hours: {invitation}"
    return f"{done}, with the password as it was; --invite makes a link for a new one."
