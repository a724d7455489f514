"""`manage.py segment <action> <id>`: what the control room's buttons do, for a terminal."""

import json
import os
import pwd
import sys
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Exists, OuterRef, Q

from engagement import actions as live
from engagement.clock import now_ms
from engagement.core.phases import Phase
from engagement.management.arguments import add_name, plain_text, whole_number
from engagement.models import Segment, Show
from engagement.restores import trouble
from prizes.approvals import VALID_MS, lamps_before, needs_two, open_requests, press, tell_lamps
from prizes.attempts import settle_by_hand
from prizes.models import Beacon, Draw
from prizes.steps.arm import arm_segment
from prizes.steps.beacon import enter_beacon, enter_dice, take_drand_beacon
from prizes.steps.draw import Disagreement, request_draw, run_draw
from prizes.steps.freeze import Waiting, freeze_shard
from prizes.steps.naming import name_next_winner
from prizes.steps.publish import publish_segment
from prizes.steps.repeat import repeat_segment
from prizes.tasks import advance_seal
from prizes.waits import countdown

SHOWN = 3  # other shows, the newest ones
TWO_PEOPLE = ("open", "void", "spoil", "name", "publish")


class Asked(Exception):
    """Nothing was done yet: a second person has to agree."""


class Command(BaseCommand):
    help = (
        "Runs a segment: arm, open, close, void, spoil, repeat, draw, beacon, name, publish; settle: forfeit and move "
        "up what is due in a published one; `status` only tells where it is."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = [
            "arm",
            "open",
            "close",
            "void",
            "spoil",
            "repeat",
            "draw",
            "beacon",
            "name",
            "publish",
            "settle",
            "status",
        ]
        parser.add_argument("action", choices=actions)
        parser.add_argument(
            "segment", type=whole_number, help="the segment's id (see the control room, or the admin)"
        )
        parser.add_argument(
            "--show",
            metavar="SLUG",
            help="the show that the segment is of; needed where another show has the same title, or a segment with "
            "this number in its rundown",
        )
        parser.add_argument(
            "--lead", type=whole_number, default=5, help="open: seconds until it opens (default %(default)s)"
        )
        parser.add_argument(
            "--reason", type=plain_text, default="", help="void, spoil, repeat: why; close: why, if you like"
        )
        parser.add_argument(
            "--dice",
            metavar="DIGITS",
            help="draw: the throws as you saw them, as many of 1 to 6 as the rules say",
        )
        parser.add_argument(
            "--signature",
            metavar="HEX",
            help="beacon: the signature of drand's round, or the whole JSON of a relay; - reads it from the input",
        )
        parser.add_argument(
            "--named",
            type=whole_number,
            default=0,
            help="name: how many winners are named already; a number that is not true names nobody (default 0)",
        )
        parser.add_argument(
            "--here", action="store_true", help="draw: seal and draw in this process, without a worker"
        )
        add_name(parser)
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refuse_another_show(find(options["segment"]), options["show"], options["action"])
            segment = self.act(options)
        except live.ActionRefused as refusal:
            raise CommandError(str(refusal)) from None
        except Asked as asked:
            self.stderr.write(str(asked))
            segment = find(options["segment"])
        self.stdout.write(json.dumps(describe(segment)) if options["json"] else sentence(segment))

    def act(self, options: dict[str, Any]) -> Segment:
        action, segment, actor = options["action"], options["segment"], actor_of(options["name"])
        if action == "arm":
            return arm_segment(segment, actor=actor)
        if action in TWO_PEOPLE and needs_two(find(segment), action, lamps := red_before(segment, action)):
            ask(find(segment), options, lamps)
        if action == "open":
            return live.open_segment(segment, actor=actor, lead_s=options["lead"])
        if action == "close":
            return live.close_segment(segment, actor=actor, reason=options["reason"])
        if action == "repeat":
            asked = repeat_segment(segment, actor=actor, reason=options["reason"])
            return find(segment) if asked.draft is None else asked.draft
        if action == "name":
            return name_next_winner(segment, named=options["named"], actor=actor)
        if action == "publish":
            return publish_segment(segment, actor=actor)
        if action == "beacon":
            return take_beacon(segment, actor, options["signature"])
        if action == "settle":
            return settle(segment)
        if action == "draw":
            return draw(segment, actor, options["dice"], here=options["here"])
        return find(segment)


def actor_of(name: str | None) -> str:
    """Who is written down: the account always, so that nobody signs as somebody else from a terminal."""
    try:
        account = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"  # not getpass, which believes the environment
    except KeyError:  # a container's user without a name
        account = f"cli:{os.getuid()}"
    return f"{name} ({account})" if name else account


def red_before(segment_id: int, action: str) -> list[str]:
    return lamps_before(find(segment_id), action, now_ms())


def ask(segment: Segment, options: dict[str, Any], lamps: list[str]) -> NoReturn:
    """The first of two people; the second one agrees in the control room."""
    action = options["action"]
    what = tell_lamps(lamps)
    if action == "open":
        what["lead_s"] = options["lead"]
    actor = actor_of(options["name"])
    press(segment, action, actor=actor, what=what, reason=options["reason"])
    red = f" Red: {' '.join(lamps)}" if lamps else ""
    minutes = VALID_MS // 60_000
    raise Asked(f"asked to {action} {segment}; a second person has to agree within {minutes} minutes.{red}")


def find(segment_id: int) -> Segment:
    """The segment as it is now."""
    segment = Segment.objects.select_related("show").filter(pk=segment_id).first()
    if segment is None:
        raise live.ActionRefused(f"there is no segment {segment_id}")
    return segment


def refuse_another_show(segment: Segment, slug: str | None, action: str) -> None:
    """A number that was meant for another night does nothing in this one."""
    show = segment.show
    if slug is not None and slug != show.slug:
        raise live.ActionRefused(f"segment {segment.pk} is “{segment}” of {show}, not of {slug}")
    if slug is None and action != "status" and (others := shows_like(segment)):
        raise live.ActionRefused(
            f"segment {segment.pk} is “{segment}” of {show}, and another show could be meant ({', '.join(others)}): "
            f"say which one with --show {show.slug}"
        )


def shows_like(segment: Segment) -> list[str]:
    """Other shows that somebody may mean who says this number or this title."""
    numbered = Segment.objects.filter(show=OuterRef("pk"), position=segment.pk)
    like = Q(title=segment.show.title) | Exists(numbered)
    others = Show.objects.filter(like).exclude(pk=segment.show_id).order_by("-pk")
    return list(others.values_list("slug", flat=True)[:SHOWN])


def take_beacon(segment_id: int, actor: str, signature: str | None) -> Segment:
    """Takes a round of drand by hand, or asks the sources for it once more."""
    segment = find(segment_id)
    if signature is not None:
        enter_beacon(segment_id, sys.stdin.read() if signature == "-" else signature, actor=actor)
        return segment
    drand = [row for row in segment.draws.all() if row.seal and row.beacon_kind == Beacon.DRAND]
    waiting = [row for row in drand if not row.beacon_value]
    if not waiting:
        raise live.ActionRefused(f"{segment} does not wait for a round of drand")
    for row in waiting:
        if not take_drand_beacon(row.pk, now_ms()):
            row.refresh_from_db()
            raise live.ActionRefused(row.trouble or countdown(row, now_ms()))
    return segment


def settle(segment_id: int) -> Segment:
    """Forfeits what was not claimed in time and lets reserves move up, in every published draw of the segment."""
    published = find(segment_id).draws.filter(step=Draw.Step.PUBLISHED)
    if not published:
        raise live.ActionRefused(f"{find(segment_id)} has no published draw: there is nothing to settle")
    for row in published:
        settle_by_hand(row.pk)
    return find(segment_id)


def draw(segment_id: int, actor: str, dice: str | None, *, here: bool) -> Segment:
    """Asks for the draw, or (`here`) does every step of it in this process."""
    if here:
        seal_here(segment_id, actor)
    if dice is not None:
        enter_dice(segment_id, dice, actor=actor)
    if not here:
        return request_draw(segment_id, actor=actor) if dice is None else find(segment_id)
    with suppress(live.Conflict):  # somebody has asked for it already
        request_draw(segment_id, actor=actor)
    for row in find(segment_id).draws.all():
        take_drand_beacon(row.pk, now_ms())
        try:
            run_draw(row.pk)
        except Disagreement as reason:
            raise live.ActionRefused(
                f"{row} is stopped: the second implementation does not confirm it: {reason}"
            ) from None
        except Waiting as reason:
            if dice is None:
                raise live.ActionRefused(str(reason)) from None
    return find(segment_id)


def seal_here(segment_id: int, actor: str) -> None:
    """Everything up to the seal in this process, as the conductor and the worker would do it."""
    live.move_due_segments()
    segment = find(segment_id)
    if segment.phase == Phase.CLOSING and segment.draws.filter(attempts__gt=0).exists():
        request_draw(segment_id, actor=actor)  # what gave up is tried again
    if segment.phase == Phase.CLOSING:
        advance_seal(segment_id, lambda number: freeze_shard(segment_id, number))
        segment = find(segment_id)
    if segment.phase == Phase.CLOSING:
        trouble = "; ".join(row.trouble for row in segment.draws.all() if row.trouble)
        raise live.ActionRefused(f"{segment} cannot be sealed yet: {trouble or 'its grace has not ended'}")
    if segment.phase not in (Phase.SEALED, Phase.DRAWN):
        raise live.ActionRefused(f"{segment} is {segment.phase}: only a segment that has closed can be drawn")


def describe(segment: Segment) -> dict[str, Any]:
    """A segment for machines."""
    return {
        "segment": segment.pk,
        "show": segment.show.slug,
        "title": segment.title,
        "phase": str(segment.phase),
        "opens_at": segment.opens_at and segment.opens_at.isoformat(),
        "closes_at": segment.closes_at and segment.closes_at.isoformat(),
        "restored": trouble(),
        "requests": [
            row.action for row in open_requests(segment.show_id, now_ms()) if row.segment_id == segment.pk
        ],
        "named": segment.announced_naming.get("named", 0),
        "draws": [
            {
                "draw": row.pk,
                "step": row.step,
                "entries": row.entries,
                "trouble": row.trouble,
                "disagreement": row.disagreement,
            }
            for row in segment.draws.all()
        ],
    }


def hindrance(draw: Draw) -> str:
    """Why a draw does not go on; empty where nothing is wrong."""
    return f"STOPPED, not confirmed: {draw.disagreement}" if draw.disagreement else str(draw.trouble)


def sentence(segment: Segment) -> str:
    """A segment for people."""
    times = (
        f", from {segment.opens_at:%H:%M:%S} to {segment.closes_at:%H:%M:%S} UTC"
        if segment.opens_at and segment.closes_at
        else ""
    )
    drawn = "".join(
        f"\n  draw {row.pk}: {row.step}{f' ({why})' if (why := hindrance(row)) else ''}"
        for row in segment.draws.all()
    )
    restored = f"\n  {why}" if (why := trouble()) else ""
    return f"{segment.show}: {segment} is {segment.phase}{times}{drawn}{restored}"
