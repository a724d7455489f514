"""`manage.py reveal <draw id> <party>`: a party's secret, for those who have no account on the party page."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.actions import ActionRefused
from engagement.clock import from_ms
from engagement.management.arguments import add_name
from prizes.management.commands.segment import actor_of
from prizes.models import Draw, Reveal
from prizes.parties import reveal_secret


class Command(BaseCommand):
    help = (
        "Reveals a party's secret of a draw, once the windows of its segment have ended and before the deadline. "
        "The secret is read from a file or from the input, never from the command line, where others could see it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "draw", help="the draw: its number, or its id as in the rules (gala/seg-1/draw-1)"
        )
        parser.add_argument("party", help="the party's name as in the rules")
        parser.add_argument(
            "--secret-file",
            default="-",
            metavar="FILE",
            help="64 hex digits, or the file that the party page or `commit` has written; - (the default) is the input",
        )
        add_name(parser)
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            draw = find_draw(options["draw"])
            secret = read_secret(options["secret_file"])
            reveal = reveal_secret(draw.pk, options["party"], secret, actor=actor_of(options["name"]))
        except ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(json.dumps(describe(draw, reveal)) if options["json"] else sentence(draw, reveal))


def find_draw(named: str) -> Draw:
    """A draw by its number or by its id."""
    wanted = {"pk": int(named)} if named.isascii() and named.isdigit() else {"draw_id": named}
    draw = Draw.objects.filter(**wanted).first()
    if draw is None:
        raise ActionRefused(f"there is no draw {named}; before arming there is none of a segment")
    return draw


def read_secret(path: str) -> bytes:
    """The 32 bytes in a file or in the input: as hex digits, or in the JSON that is given for safekeeping."""
    try:
        text = (sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")).strip()
        if text.startswith("{"):
            text = json.loads(text)["secret"]
        return bytes.fromhex(text)
    except OSError as error:
        raise ActionRefused(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ActionRefused(
            f"{path}: expected 64 hex digits, or the file of a secret with such a field"
        ) from None


def describe(draw: Draw, reveal: Reveal) -> dict[str, Any]:
    """A reveal for machines."""
    at = {"revealed_at": reveal.at_ms, "ledger": reveal.ledger}
    return {"draw": draw.pk, "draw_id": draw.draw_id, "party": reveal.party, **at}


def sentence(draw: Draw, reveal: Reveal) -> str:
    """A reveal for people."""
    when = f"{from_ms(reveal.at_ms):%H:%M:%S} UTC"
    return f"{reveal.party} has revealed its secret of {draw} at {when}, entry {reveal.ledger} of the ledger."
