"""`manage.py forget_viewer SHOW --uid N --reason WHY`: erases what may be erased of a viewer, and tells what stays."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.actions import ActionRefused
from engagement.management.arguments import add_name, plain_text, whole_number
from engagement.management.commands.verify_ledger import find_shows
from engagement.models import Show
from prizes.approvals import VALID_MS, forget_by_rules
from prizes.forgetting import Kept, find_kept, pseudonym_of
from prizes.management.commands.segment import actor_of


class Command(BaseCommand):
    help = (
        "Revokes the passes of a viewer and removes what Redis has of them; says what stays and why. Rolls and records "
        "stay: they have a pseudonym, which names nobody any more once the show's key is destroyed. Once a segment of "
        "the show was armed, a second person has to agree. With --look "
        "nothing is erased: it only says what is kept, for whoever asks what you have of them."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("show", help="the show's name in addresses")
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--uid", type=whole_number, metavar="N", help="the host app's id of the user")
        who.add_argument("--viewer", metavar="PSEUDONYM", help="28 hex digits, as the phone shows them")
        parser.add_argument("--reason", type=plain_text, default="", help="why, for the ledger")
        parser.add_argument("--look", action="store_true", help="erase nothing, only say what is kept")
        add_name(parser)
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        (show,) = find_shows(options["show"])
        try:
            viewer = options["viewer"] or pseudonym_of(show, options["uid"])
            kept = None if options["look"] else self._forget(show, viewer, options)
        except ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        is_asked = kept is None and not options["look"]
        kept = list(find_kept(show, viewer)) if kept is None else kept
        if options["json"]:
            rows = [row._asdict() for row in kept]
            told = {"show": show.slug, "viewer": viewer, "asked": is_asked, "kept": rows}
            self.stdout.write(json.dumps(told))
            return
        if is_asked:
            self.stdout.write(
                f"Asked for: a second person has to agree in the control room of {show} within "
                f"{VALID_MS // 60_000} minutes. Then this stays:"
            )
        self.stdout.write(f"{viewer} in {show}:")
        for row in kept:
            self.stdout.write(f"  {'erased' if row.erased else 'stays '}  {row.where}: {row.why}")
        if not kept:
            self.stdout.write("  nothing is kept")

    def _forget(self, show: Show, viewer: str, options: dict[str, Any]) -> list[Kept] | None:
        """None: a second person is asked."""
        actor = actor_of(options["name"])
        return forget_by_rules(show, viewer, actor=actor, reason=options["reason"])
