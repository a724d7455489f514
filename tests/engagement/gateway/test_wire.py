"""A whole night on a wiretap: every frame that a gateway sends or takes is one of docs/wire.schema.json."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from websockets.exceptions import ConnectionClosed

from engagement.cues import set_cue
from engagement.gateway.hub import TOGETHER_S
from engagement.mock.crowd import Crowd, CrowdOptions
from engagement.models import Segment
from engagement.passes import issue_pass
from engagement.tasks import conduct
from prizes.models import Draw
from prizes.steps.claims import ask_disqualification, claim_prize, decide_disqualification, decline_prize
from prizes.steps.naming import name_next_winner
from tests.cast import DIRECTOR, OPERATOR, gateways_were_here, make_show
from tests.client import TestPhone
from tests.engagement.gateway.hall import Hall, Listener, make_draft, play
from tests.prizes.winners import winners_of
from tests.servers import running_gateway
from tests.wire import FROM_PHONES, FROM_SERVER, fault_of, kinds

pytestmark = pytest.mark.django_db(transaction=True)

STALL_S = 1.2
REPORT_S = 0.5
NO_MESSAGES = ["not json", '{"type":"shakes","segment":7}', '{"type":"dance"}']


async def report_until_slowed(phones: list[Listener], segment: Segment, gateway: int) -> None:
    """Everybody shakes; the gateway stands still for a moment, and tells them a slower pace."""
    for total in range(1, 12):
        for phone in phones:
            await phone.shake(segment.pk, total)
        if total == 2:
            os.kill(gateway, signal.SIGSTOP)
            await asyncio.sleep(STALL_S)
            os.kill(gateway, signal.SIGCONT)
        await asyncio.sleep(REPORT_S)
        if any(message["type"] == "pace" for phone in phones for message in phone.heard):
            break


def name_first(segment: Segment) -> None:
    name_next_winner(segment.pk, named=0, actor=OPERATOR)


def dispose(draw: Draw) -> None:
    """One claims, one declines, one is disqualified; two reserves move up."""
    claims, declines, loses = winners_of(draw)
    claim_prize(draw.pk, claims)
    decline_prize(draw.pk, declines)
    asked = ask_disqualification(draw.wins.get(pseudonym=loses).pk, "under age", actor=OPERATOR)
    decide_disqualification(asked.pk, True, actor=DIRECTOR)
    conduct()


def both_moved_up(message: dict[str, Any]) -> bool:
    results = message.get("results") or [{"winners": []}]
    return sum(winner.get("moved_up", False) for winner in results[0]["winners"]) == 2


async def say_what_is_refused(hall: Hall, segment: Segment) -> None:
    """One error of each sort that ends with a socket, and one that does not."""
    async with TestPhone(hall.tap.address, hall.slug) as phone:
        await phone.say({"type": "hello", "pass": "forged"})
        assert (await phone.closed())[0] == 4401
    async with TestPhone(hall.tap.address, hall.slug) as phone:
        await phone.hello(issue_pass(hall.slug, 1))
        await phone.shake(segment.pk, 99)
        await phone.hear("error", code="not_open")
        for text in NO_MESSAGES:
            await phone.say(text)
        assert (await phone.closed())[0] == 4400
    async with TestPhone(hall.tap.address, hall.slug) as phone:
        await phone.hello(issue_pass(hall.slug, 1))
        with contextlib.suppress(ConnectionClosed):
            for _ in range(20):
                await phone.say({"type": "resync"})
        assert (await phone.closed())[0] == 4429


def check(direction: str, texts: Iterable[str]) -> None:
    """Each of them is of this direction, without a field that the schema does not know; and all kinds are there."""
    seen = set()
    for text in texts:
        message = json.loads(text)
        assert fault_of(direction, message, closed=True) == "", text
        seen.add(message["type"])
    assert seen == kinds(direction)


async def test_every_frame_of_a_night_is_in_the_schema(tmp_path: Path) -> None:
    gateways_were_here()
    show = await sync_to_async(make_show)(slug="gala", title="Gala", title_zh="晚会")
    draft = await sync_to_async(make_draft)(show, prizes=3, reserves=2)
    with running_gateway(tmp_path / "gateway.log") as (gateway, process):
        async with Hall(gateway, show.slug) as hall:
            phones = [await hall.phone(uid, feed=("app", "tv")[uid % 2]) for uid in range(6)]
            wall = await hall.screen()
            options = CrowdOptions(
                url=f"ws://{hall.tap.address}", show=show.slug, phones=5, until_result=True
            )
            crowd = asyncio.create_task(Crowd(options).run())

            async def shake(segment: Segment) -> None:
                await report_until_slowed(phones, segment, process.pid)

            async def announce(segment: Segment) -> None:
                """A cue and a name, each told alone."""
                for act in (lambda: set_cue(show.pk, "clear", actor=OPERATOR), lambda: name_first(segment)):
                    await asyncio.sleep(
                        2 * TOGETHER_S
                    )  # of states that come closer phones get the last, whole
                    await sync_to_async(act)()
                await wall.until(lambda message: message["type"] == "named")

            draw = await sync_to_async(Draw.objects.get)(segment=await play(draft, shake, announce))
            await crowd
            await sync_to_async(dispose)(draw)
            await wall.until(both_moved_up)
            await phones[0].say({"type": "sync", "t0": 17})
            await phones[0].say({"type": "resync"})
            await phones[0].until(lambda message: message["type"] == "synced")
            await say_what_is_refused(hall, draft)
        said = [text for line in hall.tap.lines for text in line.said.texts]
        heard = [text for line in hall.tap.lines for text in line.heard.texts]
    check(FROM_SERVER, heard)
    assert [text for text in said if text in NO_MESSAGES] == NO_MESSAGES
    check(FROM_PHONES, (text for text in said if text not in NO_MESSAGES))
    statuses = {json.loads(text)["status"] for text in heard if text.startswith('{"type":"won"')}
    assert statuses <= {"won", "claimed", "lost"}
