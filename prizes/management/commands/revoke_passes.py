"""`manage.py revoke_passes SHOW --viewer PSEUDONYM --reason WHY`: gateways obey, or a second person is asked."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.actions import ActionRefused
from engagement.clock import to_ms
from engagement.management.arguments import add_name, plain_text
from engagement.management.commands.verify_ledger import find_shows
from prizes.approvals import VALID_MS, revoke_by_rules
from prizes.management.commands.segment import actor_of


class Command(BaseCommand):
    help = (
        "Takes passes of a show back: phones with them are sent away within two seconds, say hello no more, and cannot "
        "renew them. Once a segment of the show was armed, a second person has to agree. It is told by the ledger. "
        "What was counted stays; exclude who is not to be in a roll."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("show", help="the show's name in addresses")
        parser.add_argument(
            "--viewer", default="", metavar="PSEUDONYM", help="the passes of this viewer, for good"
        )
        parser.add_argument("--kind", default="", help="of this kind, as given until now or --issued-before")
        parser.add_argument(
            "--issued-before", type=_time, metavar="TIME", help="given before, as 2026-11-29T20:15:00Z"
        )
        parser.add_argument("--reason", type=plain_text, required=True, help="why, for the ledger")
        add_name(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        (show,) = find_shows(options["show"])
        whose = {"viewer": options["viewer"], "kind": options["kind"], "before": options["issued_before"]}
        try:
            asked = revoke_by_rules(show, **whose, actor=actor_of(options["name"]), reason=options["reason"])
        except ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        if asked is None:
            self.stdout.write(f"Revoked passes of {show}.")
        else:
            minutes = VALID_MS // 60_000
            self.stdout.write(
                f"Asked for: a second person has to agree in the control room of {show} within {minutes} minutes."
            )


def _time(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
