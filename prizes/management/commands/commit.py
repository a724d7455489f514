"""`manage.py commit <segment> <party>`: what a party promises, for those who have no account on the party page."""

import json
import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from engagement.actions import ActionRefused
from engagement.core.digests import commit
from engagement.management.arguments import add_name, whole_number
from engagement.models import Segment
from prizes.management.commands.segment import actor_of
from prizes.models import Commitment, Party, PrizeList
from prizes.parties import commit_party, draw_id_of


class Command(BaseCommand):
    help = (
        "Commits a party to a secret for the draw of a prize list, before the segment is armed: to one whose "
        "commitment was computed elsewhere, or to a new one that is written to a file here and nowhere else."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "segment", type=whole_number, help="the segment's id (see the control room, or the admin)"
        )
        parser.add_argument("party", help="the party's name as in the administration")
        parser.add_argument(
            "--list",
            type=whole_number,
            metavar="N",
            help="the number of the prize list; needed where there are several",
        )
        promise = parser.add_mutually_exclusive_group(required=True)
        promise.add_argument("--commitment", metavar="HEX", help="64 hex digits that were computed elsewhere")
        promise.add_argument(
            "--new-secret",
            metavar="FILE",
            help="make a secret and write it to this file, which must not exist yet",
        )
        add_name(parser)
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            prize_list = find_list(options["segment"], options["list"])
            party = find_party(prize_list, options["party"])
            row = self.commit(prize_list, party, options)
        except ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        if options["json"]:
            self.stdout.write(json.dumps(describe(party, row)))
        else:
            self.stdout.write(f"{party.name} is committed to {row.commitment} for {row.draw_id}.")

    def commit(self, prize_list: PrizeList, party: Party, options: dict[str, Any]) -> Commitment:
        actor = actor_of(options["name"])
        if options["commitment"] is not None:
            return commit_party(prize_list, party, options["commitment"], actor=actor)
        path = Path(options["new_secret"])
        commitment = write_secret(prize_list, party, path)
        try:
            return commit_party(prize_list, party, commitment, actor=actor)
        except ActionRefused:
            path.unlink()  # nobody has promised it
            raise


def find_list(segment: int, number: int | None) -> PrizeList:
    """The prize list of that number, or the only one."""
    lists = list(PrizeList.objects.filter(segment=segment).select_related("segment__show"))
    chosen = [row for row in lists if number in (None, row.number)]
    if len(chosen) == 1:
        return chosen[0]
    if not Segment.objects.filter(pk=segment).exists():
        raise ActionRefused(f"there is no segment {segment}")
    numbers = ", ".join(str(row.number) for row in lists) or "none"
    raise ActionRefused(f"segment {segment} has these prize lists: {numbers}; say which with --list")


def find_party(prize_list: PrizeList, name: str) -> Party:
    """The party of that name in the show of the list."""
    parties = {party.name: party for party in prize_list.segment.show.parties.all()}
    if name not in parties:
        known = ", ".join(parties) or "none"
        raise ActionRefused(f"the show has no party {name!r}, but these: {known}")
    return parties[name]


def write_secret(prize_list: PrizeList, party: Party, path: Path) -> str:
    """Makes a secret, keeps it in a new file that only its owner can read, and returns the commitment in hex."""
    draw_id, secret = draw_id_of(prize_list), secrets.token_bytes(32)
    commitment = commit(draw_id, party.name, secret).hex()
    kept = {"draw_id": draw_id, "party": party.name, "secret": secret.hex(), "commitment": commitment}
    keep(path, kept)
    return commitment


def keep(path: Path, kept: dict[str, Any]) -> None:
    """Writes what nobody else may know into a new file that only its owner can read; raises ActionRefused."""
    try:
        with open(
            path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)
        ) as file:
            json.dump(kept, file, indent=1)
    except OSError as error:
        raise ActionRefused(f"cannot write {path}: {error.strerror}") from None


def describe(party: Party, row: Commitment) -> dict[str, Any]:
    """A commitment for machines."""
    return {"draw_id": row.draw_id, "party": party.name, "commitment": row.commitment}
