"""What a night costs in bytes: a phone from arming to the last claim, and one claim whatever the number of winners."""

import asyncio
import faulthandler
import os
import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from engagement.core.messages import MAX_WINNERS
from engagement.gateway.audience import QUIET_PULSE_MS
from engagement.gateway.hub import TOGETHER_S
from engagement.models import Segment
from engagement.tasks import conduct
from prizes.models import Draw, Win
from prizes.steps.claims import claim_prize
from tests.cast import make_show
from tests.engagement.gateway.hall import BEGINNING, Hall, make_draft, play
from tests.prizes.pipeline import write_tally
from tests.prizes.winners import make_people, published_draw, winners_of

pytestmark = pytest.mark.django_db(transaction=True)

KIB = 1024
# All of them in `make test-bench`; the budget does not depend on how many there are.
WINNERS = int(os.environ.get("WINNERS", "200"))
PATIENCE_S = 600  # 1,000 claims take half a minute of the processor, and longer where others want it, too
# What a phone may get in a night with one segment of ten kinds of prizes: a welcome, states, and what it has won.
NIGHT = 24 * KIB
STATES = 8  # armed, scheduled, open, closed by hand, closing, sealed, drawn, published
PULSE = 400  # each of them, with five leaders
STATE = 5 * KIB  # after the publication, with twenty winners
WON = 512
WELCOME = 16 * KIB


def claim_over_http(draw_id: int, proof: dict[str, str]) -> None:
    answer = Client().post(f"/api/draws/{draw_id}/claims", proof, content_type="application/json")
    assert answer.status_code == 200, answer.content


def is_claimed(message: dict[str, Any]) -> bool:
    return message["type"] == "won" and message["status"] == "claimed"


class Claims:
    """All winners claim as fast as they are let; once a second, the conductor does its work."""

    def __init__(self, draw_id: int, winners: list[str]) -> None:
        self.draw_id, self.left = draw_id, winners
        self.conducted = 0
        self._conduct_at = time.monotonic() + 1

    async def run(self) -> None:
        while self.left:
            await sync_to_async(self._some)()
        await sync_to_async(self._conduct)()

    def _some(self) -> None:
        part, self.left = self.left[:20], self.left[20:]
        for viewer in part:
            claim_prize(self.draw_id, viewer)
        if time.monotonic() >= self._conduct_at:
            self._conduct()

    def _conduct(self) -> None:
        conduct()
        self.conducted += 1
        self._conduct_at = time.monotonic() + 1


async def test_a_night_whose_winners_all_claim_costs_a_phone_some_kilobytes(
    gateway: str,
) -> None:
    faulthandler.dump_traceback_later(PATIENCE_S, exit=True)  # instead of pytest's, which cancels it
    show = await sync_to_async(make_show)()
    people = list((await sync_to_async(make_people)(show, WINNERS)).values())
    draft = await sync_to_async(make_draft)(show, prizes=10, quantity=WINNERS // 10, reserves=0)
    async with Hall(gateway, show.slug) as hall:
        winners = [await hall.phone(uid) for uid in range(1, 9)]
        others = [await hall.phone(uid, feed="tv") for uid in range(2_000, 2_024)]
        walls = [await hall.screen() for _ in range(2)]

        async def shake(segment: Segment) -> None:
            for phone in winners:
                await phone.shake_and_be_told(segment, 10)
            elsewhere = {bytes.fromhex(person.pseudonym): 10 for person in people[len(winners) :]}
            await sync_to_async(write_tally)(segment, elsewhere)

        began = time.monotonic()
        draw = await sync_to_async(Draw.objects.get)(segment=await play(draft, shake))
        for listener in (*winners, *others, *walls):
            await listener.until(lambda message: message.get("results"))
        await asyncio.sleep(2 * TOGETHER_S)
        published = {listener: listener.place for listener in (*winners, *others, *walls)}

        claiming = time.monotonic()
        for person in people[: len(winners)]:
            await sync_to_async(claim_over_http)(draw.pk, person.proof)
        claims = Claims(draw.pk, [person.pseudonym for person in people[len(winners) :]])
        await claims.run()
        for phone in winners:
            await phone.until(is_claimed)
        await asyncio.sleep(2 * TOGETHER_S)
        night_s, claims_s = time.monotonic() - began, time.monotonic() - claiming
        late = await hall.phone(5_000)
        assert late.since(BEGINNING).bytes < WELCOME

    assert await Win.objects.filter(draw=draw, status=Win.Status.CLAIMED).acount() == WINNERS
    for phone in others:
        after = phone.since(published[phone])
        assert (after.bytes, after.told) == (0, {}), "a claim is not for the hall"
        assert len(after.pulses) <= 2 + claims_s * 1_000 / QUIET_PULSE_MS
        whole = phone.since(BEGINNING)
        assert whole.told.keys() == {"welcome", "state"} and whole.told["state"] <= STATES
        assert whole.bytes < NIGHT
        assert len(whole.pulses) < 5 + night_s and max(whole.pulses) < PULSE
    for phone in winners:
        after = phone.since(published[phone])
        assert after.told == {"won": 1} and after.bytes < WON
        assert phone.since(BEGINNING).bytes < NIGHT
    for wall in walls:
        after = wall.since(published[wall])
        assert after.told.keys() == {"state"}
        assert after.told["state"] <= min(MAX_WINNERS, claims.conducted + 1)
        assert after.bytes < STATE * after.told["state"]


async def cost_of_one_claim(gateway: str, winners: int) -> dict[str, int]:
    """Bytes to the winner, to another phone and to a wall; and of the welcome of somebody who comes afterwards."""
    show = await sync_to_async(make_show)(draws_per_minute=60)
    people = await sync_to_async(make_people)(show, winners)
    draw = await sync_to_async(published_draw)(
        show, people, prizes=1, quantity=winners, reserves=0, claim_s=3_600
    )
    await sync_to_async(conduct)()
    who = people[(await sync_to_async(winners_of)(draw))[0]]
    async with Hall(gateway, show.slug) as hall:
        here = {
            "winner": await hall.enter(who.token),
            "other": await hall.phone(winners + 1),
            "wall": await hall.screen(),
        }
        await asyncio.sleep(2 * TOGETHER_S)
        before = {name: listener.place for name, listener in here.items()}
        await sync_to_async(claim_over_http)(draw.pk, who.proof)
        await sync_to_async(conduct)()
        await here["winner"].until(is_claimed)
        await here["wall"].until(lambda message: _first_has_claimed(message))
        await asyncio.sleep(2 * TOGETHER_S)
        costs = {name: listener.since(before[name]).bytes for name, listener in here.items()}
        late = await hall.phone(winners + 2)
        return {**costs, "welcome": late.since(BEGINNING).bytes}


def _first_has_claimed(message: dict[str, Any]) -> bool:
    return bool(message["type"] == "state" and message["results"][0]["winners"][0].get("status") == "claimed")


async def test_one_claim_costs_the_same_whatever_the_number_of_winners(gateway: str) -> None:
    few, many, most = [await cost_of_one_claim(gateway, winners) for winners in (3, 100, 4_000)]
    for costs in (few, many, most):
        assert costs["other"] == 0
        assert 0 < costs["winner"] < WON
        assert 0 < costs["wall"] < STATE
        assert costs["welcome"] < WELCOME
    digits, names = 10, 400  # of the numbers of prizes and winners; of the twenty who are listed
    assert abs(most["winner"] - few["winner"]) < digits
    assert abs(most["wall"] - many["wall"]) < names
    assert abs(most["welcome"] - many["welcome"]) < names
