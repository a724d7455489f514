"""`manage.py canaries commit|open <segment> <name>`: a notary's own viewers, for those without the party page."""

import json
import secrets
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.actions import ActionRefused
from engagement.ledger.core.canaries import Canary, canaries_commitment
from engagement.management.arguments import plain_text, whole_number
from engagement.models import LedgerEntry, Segment
from prizes.canaries import commit_canaries, open_canaries
from prizes.management.commands.commit import keep
from prizes.management.commands.segment import actor_of

MAX_FILE = 1 << 20  # bytes


class Command(BaseCommand):
    help = (
        "Canaries are viewers of a notary's own, who have to be in the roll. `commit` promises them before the "
        "freeze of a segment, and keeps what opens the promise in a new file; `open` shows them after the "
        "publication, with the shakes that their phones were told."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["commit", "open"])
        parser.add_argument(
            "segment", type=whole_number, help="the segment's id (see the control room, or the admin)"
        )
        parser.add_argument("name", help="who commits, as it stands in the ledger")
        parser.add_argument(
            "--pseudonyms",
            metavar="FILE",
            help="commit: 28 hex digits on a line for each viewer; - is the input. Not on a machine of the organiser's",
        )
        parser.add_argument(
            "--file",
            type=Path,
            metavar="FILE",
            help="commit: where to keep what opens it, a file that must not exist yet; open: that file",
        )
        parser.add_argument(
            "--commitment", metavar="HEX", help="commit: 64 hex digits that were computed elsewhere"
        )
        parser.add_argument(
            "--count", type=whole_number, metavar="N", help="commit: to so many, with --commitment"
        )
        parser.add_argument(
            "--stub",
            action="append",
            default=[],
            type=Path,
            metavar="FILE",
            help="open: what a phone was told and has kept; may be given again",
        )
        parser.add_argument(
            "--as",
            type=plain_text,
            dest="as_name",
            help="your name in the ledger, before that of your account",
        )
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        act = {"commit": commit, "open": open_them}[options["action"]]
        try:
            segment = find(options["segment"])
            entry = act(segment, options["name"], actor_of(options["as_name"]), options)
        except ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        told = json.loads(entry.details)
        if options["json"]:
            self.stdout.write(json.dumps({"ledger": entry.position, **told}))
        else:
            done = "committed to" if options["action"] == "commit" else "opened"
            self.stdout.write(f"Canaries of {told['name']} {done}: entry {entry.position} of the ledger.")


def commit(segment: Segment, name: str, actor: str, options: dict[str, Any]) -> LedgerEntry:
    if options["commitment"]:
        return commit_canaries(segment.pk, name, options["commitment"], options["count"] or 0, actor=actor)
    if not options["pseudonyms"] or options["file"] is None:
        raise ActionRefused("expected --pseudonyms and --file, or --commitment and --count")
    viewers, path = read_text(options["pseudonyms"]).lower().split(), options["file"]
    commitment = keep_secret(segment, name, viewers, path)
    try:
        return commit_canaries(segment.pk, name, commitment, len(viewers), actor=actor)
    except ActionRefused:
        path.unlink()  # nobody has promised it
        raise


def keep_secret(segment: Segment, name: str, viewers: list[str], path: Path) -> str:
    """Makes a salt, keeps it with the viewers in a new file that only its owner reads; the commitment in hex."""
    salt = secrets.token_bytes(32)
    try:
        commitment = canaries_commitment(segment.show.slug, name.strip(), salt, viewers).hex()
    except ValueError as error:
        raise ActionRefused(str(error)) from None
    kept = {"show": segment.show.slug, "segment": segment.pk, "play": segment.key, "name": name.strip()}
    kept |= {"salt": salt.hex(), "pseudonyms": sorted(viewers), "commitment": commitment}
    keep(path, kept)
    return commitment


def open_them(segment: Segment, name: str, actor: str, options: dict[str, Any]) -> LedgerEntry:
    if options["file"] is None:
        raise ActionRefused("expected --file, with what was kept when it was committed")
    kept = read_object(options["file"])
    try:
        salt, viewers = str(kept["salt"]), [str(viewer) for viewer in kept["pseudonyms"]]
    except (KeyError, TypeError):
        raise ActionRefused(f"{options['file']}: expected the file of a commitment to canaries") from None
    told = read_stubs(segment.key, options["stub"])
    canaries = [Canary(viewer, told.get(viewer, 0)) for viewer in viewers]
    return open_canaries(segment.pk, name, salt, canaries, actor=actor)


def read_stubs(play: str, paths: Iterable[Path]) -> dict[str, int]:
    """The largest total of each viewer that these files tell of this play."""
    told: dict[str, int] = {}
    for path in paths:
        kept = read_object(path)
        stub = kept.get("stub", kept)
        fields = stub if isinstance(stub, dict) else {}
        viewer, total = fields.get("pseudonym"), fields.get("total")
        if fields.get("segment") != play or not isinstance(viewer, str) or type(total) is not int:
            raise ActionRefused(f"{path}: expected what a phone was told in {play}")
        told[viewer] = max(total, told.get(viewer, 0))
    return told


def read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_text(str(path)))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ActionRefused(f"{path}: expected a JSON object")
    return value


def read_text(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.read(MAX_FILE)
        with open(path, encoding="utf-8") as file:
            return file.read(MAX_FILE)
    except (OSError, ValueError) as error:
        raise ActionRefused(f"cannot read {path}: {error}") from None


def find(segment_id: int) -> Segment:
    segment = Segment.objects.select_related("show").filter(pk=segment_id).first()
    if segment is None:
        raise ActionRefused(f"there is no segment {segment_id}")
    return segment
