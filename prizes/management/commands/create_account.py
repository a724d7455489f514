"""`manage.py create_account NAME --role operator`: an account for a person, with a password or an invitation."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from prizes.accounts import CHOICES, BadAccount, ensure_account, give_password, invitation

HERE = "http://127.0.0.1:8000"


class Command(BaseCommand):
    help = (
        "Makes an account and prints its password, once; or with --invite a link where the person chooses one. An "
        "account that exists gets the role and keeps its password, unless the link is used."
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
            help=f"print a link for one use within {settings.PASSWORD_RESET_TIMEOUT // 3600} hours, no password",
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
        link = options["address"].rstrip("/") + invitation(user) if options["invite"] else None
        password = give_password(user) if is_new and link is None else None
        answer = {"name": name, "role": role, "is_new": is_new, "password": password, "invitation": link}
        self.stdout.write(json.dumps(answer) if options["json"] else sentence(**answer))


def sentence(name: str, role: str, is_new: bool, password: str | None, invitation: str | None) -> str:
    """What was done, and what to hand to the person."""
    done = f"{name} is {'now' if is_new else 'there already, as'} {role}"
    if invitation is not None:
        hours = settings.PASSWORD_RESET_TIMEOUT // 3600
        return f"{done}. To choose a password, once, within {hours} hours: {invitation}"
    if password is not None:
        return f"{done}. The password, which is shown this once: {password}"
    return f"{done}, with the password as it was; --invite makes a link for a new one."
