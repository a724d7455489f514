"""`manage.py pictures [--prune]`: what pictures take, and away with those that nothing shows any more."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from engagement.pictures.keeping import UNUSED_FOR, prune_pictures, unused_pictures
from engagement.pictures.models import Picture


class Command(BaseCommand):
    help = (
        "Counts the pictures, and those that no show and no prize has any more, and that were not brought in the last "
        f"{UNUSED_FOR.days} days. Nothing is changed without --prune."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--prune", action="store_true", help="remove these, 500 at once")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        figures = {"pictures": Picture.objects.count(), "unused": unused_pictures().count()}
        if options["prune"]:
            figures["removed"] = len(prune_pictures())
        if options["json"]:
            self.stdout.write(json.dumps(figures))
            return
        self.stdout.write(f"{figures['pictures']} pictures, {figures['unused']} that nothing shows any more.")
        if options["prune"]:
            self.stdout.write(f"{figures['removed']} removed.")
