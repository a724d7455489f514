"""A hall full of sockets that listen to a whole night, behind a wiretap; and the night, made in this process."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async

from engagement.actions import close_segment, open_segment
from engagement.core.phases import Phase
from engagement.models import Segment, Show
from engagement.passes import issue_pass
from engagement.tasks import conduct
from prizes import tasks
from prizes.steps.arm import arm_segment
from prizes.steps.draw import run_draw
from prizes.steps.freeze import freeze_shard
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR, make_segment
from tests.client import TestPhone
from tests.wiretap import Line, Wiretap

PATIENCE_S = 60.0
WHOLE_NIGHT_S = 600.0


class Listener(TestPhone):
    """A phone or a screen that hears everything from its hello on, and knows what it costs."""

    line: Line

    async def shake_and_be_told(self, segment: Segment, total: int) -> None:
        """Reports, once it sees that the segment is open, until it is acknowledged."""
        await self.until(
            lambda message: message["type"] == "state" and message["segment"]["phase"] == Phase.OPEN
        )
        await self.shake(segment.pk, total)
        await self.until(lambda message: message["type"] == "ack" and message["total"] == total)

    async def until(self, reached: Callable[[dict[str, Any]], object]) -> None:
        """Waits for a message of which this is true, heard before or not."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(map(reached, self.heard)):
                await asyncio.sleep(0.02)

    @property
    def place(self) -> int:
        """How many messages it was sent so far."""
        return len(self.line.heard.texts)

    def since(self, place: int) -> "Cost":
        """What it was sent from that moment on."""
        texts = self.line.heard.texts[place:]
        pulses = [frame_bytes(text) for text in texts if _type_of(text) == "pulse"]
        told = Counter(_type_of(text) for text in texts if _type_of(text) != "pulse")
        return Cost(sum(map(frame_bytes, texts)) - sum(pulses), told, pulses)


class Cost(NamedTuple):
    """What the server has sent to one socket, in bytes of text frames: pings, of two bytes, come by the clock, and
    so do pulses.
    """

    bytes: int
    told: Counter[str]
    pulses: list[int]  # the bytes of each, not counted above


BEGINNING = 0


def frame_bytes(text: str) -> int:
    """Of a text frame with its head (RFC 6455, 5.2)."""
    size = len(text.encode())
    return size + (2 if size < 126 else 4 if size < 1 << 16 else 10)


def _type_of(text: str) -> str:
    return str(json.loads(text)["type"])


class Hall:
    """`async with Hall(gateway, slug) as hall:` and everybody who comes is heard to the end."""

    def __init__(self, gateway: str, slug: str) -> None:
        self.slug = slug
        self.tap = Wiretap(gateway)
        self._open = AsyncExitStack()
        self._listening: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> "Hall":
        await self._open.enter_async_context(self.tap)
        return self

    async def __aexit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        await self._open.aclose()

    async def phone(self, uid: int, **fields: Any) -> Listener:
        return await self.enter(issue_pass(self.slug, uid), **fields)

    async def screen(self) -> Listener:
        return await self.enter(None, role="screen")

    async def enter(self, token: str | None, **fields: Any) -> Listener:
        listener = Listener(self.tap.address, self.slug)
        await self._open.enter_async_context(listener)
        listener.line = self.tap.line_from(listener.socket.local_address[1])
        await listener.hello(token, **fields)
        self._listening.append(asyncio.create_task(listener.listen(WHOLE_NIGHT_S)))
        return listener


# --- the night ---


def make_draft(show: Show, **fields: Any) -> Segment:
    """A segment that is announced with its show."""
    segment = make_segment(show, **fields)
    conduct()
    return segment


async def _nothing(segment: Segment) -> None:
    """Nobody is named before all are."""


async def play(
    segment: Segment,
    while_open: Callable[[Segment], Awaitable[None]],
    when_drawn: Callable[[Segment], Awaitable[None]] = _nothing,
) -> Segment:
    """From arming to publication, as operators, the conductor and the workers do it."""
    await sync_to_async(arm_segment)(segment.pk, actor=OPERATOR)
    await sync_to_async(open_segment)(segment.pk, actor=OPERATOR, lead_s=0)
    played = await _move_on(segment, Phase.OPEN)
    await while_open(played)
    await sync_to_async(close_segment)(segment.pk, actor=OPERATOR)
    await when_drawn(await _move_on(segment, Phase.DRAWN))
    return await sync_to_async(publish_segment)(segment.pk, actor=OPERATOR)


async def _move_on(segment: Segment, phase: Phase) -> Segment:
    async with asyncio.timeout(PATIENCE_S):
        while (found := await sync_to_async(_step)(segment.pk)).phase != phase:
            await asyncio.sleep(0.2)
    return found


def _step(segment_id: int) -> Segment:
    """What a second of the conductor and the workers does."""
    conduct()
    tasks.advance_seal(segment_id, lambda number: freeze_shard(segment_id, number))
    segment = Segment.objects.select_related("show").get(pk=segment_id)
    if segment.phase == Phase.SEALED:
        for draw in segment.draws.all():
            run_draw(draw.pk)
        segment.refresh_from_db()
    return segment
