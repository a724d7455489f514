"""`manage.py reset_second_factor NAME`: for somebody who has lost the second factor and the recovery codes."""

import logging
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from engagement.management.arguments import plain_text
from prizes.crew import factors, sessions

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Removes the second factor of an account and ends its sessions. Make sure who asks: whoever has the password "
        "can set up the next one."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the account")
        parser.add_argument(
            "--as", type=plain_text, dest="actor", required=True, help="who you are, for the log"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"there is no account {options['name']!r}")
        factors.forget_all(user)
        ended = sessions.end_all(user)
        log.warning("the second factor of %s was removed by %s", user, options["actor"])
        self.stdout.write(f"{user} has no second factor now. Sessions ended: {ended}.")
