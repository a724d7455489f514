"""Stubs: after its window a phone gets its total once more, signed (docs/protocol.md, "Stubs").

They go with the acks of final reports, in the same write; to all who need no ack any more once for each feed, a moment
after its window; and to those who come later, with their welcome, after the seal, too. So every phone gets one for each
connection, and another only if its total was raised. See docs/decisions/0037-stubs-are-signed-in-batches.md.
"""

import asyncio
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engagement.clock import now_ms
from engagement.core.phases import CALLED_OFF, REPORTING
from engagement.core.show_state import SegmentState
from engagement.gateway.audience import Audience, SignedStub
from engagement.gateway.transport.socket import Frame
from engagement.gateway.write_behind import SegmentTotals, WriteBehind
from engagement.ledger.core.stubs import BLIND_BYTES, Batch, sign_batch

SETTLED_MS = 1_750  # after its window; a phone says its final total within a second, and then it is written
TOGETHER = 256  # stubs under one signature: more would make every proof longer, and save next to nothing


class Guest(Protocol):
    """What is asked of a session that has just been welcomed."""

    viewer: bytes | None
    audience: Audience


class Stubs:
    """The key of this process, which is as old as the process, and what it signs."""

    def __init__(self, gateway: str, totals: WriteBehind, audiences: Mapping[str, Audience]) -> None:
        key = Ed25519PrivateKey.generate()
        self.key = key.public_key().public_bytes_raw()
        self.since = now_ms()
        self._sign = key.sign
        self._gateway = gateway
        self._totals = totals
        self._audiences = audiences
        self._swept: set[tuple[str, str | None]] = set()  # plays and feeds
        # Plays whose end this process was there for: its key is in their ledger.
        self._ended: set[str] = set()

    def acknowledge(self, totals: SegmentTotals, written: dict[bytes, int]) -> None:
        """Tells phones what was written; those whose window is over get it signed."""
        for audience in self._audiences.values():
            segment = audience.state.segment(totals.segment)
            if segment is not None and segment.key == totals.key:  # else it was armed anew meanwhile
                stubs = self._make(audience, segment, written) if may_sign(audience, segment) else {}
                audience.acknowledge(segment.id, written, stubs)

    async def sweep(self) -> None:
        """Once for each feed, when the last reports of its phones are in."""
        known = {segment.key for audience in self._audiences.values() for segment in audience.state.segments}
        self._swept = {row for row in self._swept if row[0] in known}
        self._ended &= known
        for audience in list(self._audiences.values()):
            for segment in audience.state.segments:
                if may_sign(audience, segment):
                    self._ended.add(segment.key)
                for feed in self._settled_feeds(audience, segment):
                    if (segment.key, feed) not in self._swept:
                        self._swept.add((segment.key, feed))
                        here = [one.viewer for one in audience if one.feed == feed and one.viewer is not None]
                        await self._hand_out(audience, segment, here)

    def _settled_feeds(self, audience: Audience, segment: SegmentState) -> list[str | None]:
        """Feeds whose last reports are in: a moment after their windows, and all of them once the play is sealed, where
        this process was too busy until then.
        """
        if self._may_still_sign(audience, segment):
            return list(audience.state.feeds) or [None]
        return _feeds_after(audience, segment, SETTLED_MS) if audience.is_announced else []

    def owes(self, play: str) -> bool:
        """Whether phones are still to get what is in memory of a play."""
        return play in self._ended and any(
            (play, feed) not in self._swept
            for audience in self._audiences.values()
            if any(one.key == play and one.phase not in CALLED_OFF for one in audience.state.segments)
            for feed in audience.state.feeds or (None,)
        )

    async def greet(self, guests: Iterable[Guest], told: Mapping[tuple[str, bytes], int]) -> None:
        """Those who come after their window get what is known of them; after the seal, what they were just told."""
        viewers: dict[Audience, list[bytes]] = {}
        for guest in guests:
            if guest.viewer is not None:
                viewers.setdefault(guest.audience, []).append(guest.viewer)
        for audience, here in viewers.items():
            for segment in audience.state.segments:
                if may_sign(audience, segment):
                    await self._hand_out(audience, segment, here)
                elif self._may_still_sign(audience, segment):
                    await self._sign_for(
                        audience, segment, {viewer: told.get((segment.key, viewer), 0) for viewer in here}
                    )

    def _may_still_sign(self, audience: Audience, segment: SegmentState) -> bool:
        """Whether a play takes no reports any more, whose ledger has the key of this process."""
        over = segment.phase not in REPORTING and segment.phase not in CALLED_OFF
        return over and segment.key in self._ended and segment.takes_key(audience.fingerprint)

    async def _hand_out(self, audience: Audience, segment: SegmentState, viewers: Iterable[bytes]) -> None:
        """What is written of these viewers, signed."""
        written = self._totals.totals_of(segment).written
        await self._sign_for(audience, segment, {viewer: written.get(viewer, 0) for viewer in viewers})

    async def _sign_for(self, audience: Audience, segment: SegmentState, totals: Mapping[bytes, int]) -> None:
        """Others get their turn in between."""
        for part in _parts(totals.items()):
            _tell(audience, self._make(audience, segment, part))
            await asyncio.sleep(0)

    def _make(
        self, audience: Audience, segment: SegmentState, written: Mapping[bytes, int]
    ) -> dict[bytes, SignedStub]:
        """Stubs for those of these viewers who are here, whose window is over, and who have none of this total yet."""
        made: dict[bytes, SignedStub] = {}
        for part in _parts(_without_stub(audience, segment, written)):
            made |= self._sign_part(audience.state.slug, segment, part)
        return made

    def _sign_part(
        self, show: str, segment: SegmentState, totals: dict[bytes, int]
    ) -> dict[bytes, SignedStub]:
        batch = Batch(show, segment.key, self._gateway, now_ms())
        texts = sign_batch(batch, totals, os.urandom(BLIND_BYTES * len(totals)), self.key, self._sign)
        head = f'{{"type":"stub","segment":{segment.id},"key":"{self.key.hex()}","stub":'
        kind = f"stub:{segment.id}"
        # Thousands share some hundred totals.
        marks = {total: (segment.key, total) for total in totals.values()}
        return {
            viewer: SignedStub(marks[total], kind, Frame(f"{head}{text}}}"))
            for (viewer, total), text in zip(totals.items(), texts, strict=True)
        }


def may_sign(audience: Audience, segment: SegmentState) -> bool:
    """Whether some feed's window is over, and a heartbeat has told the conductor of this process and its key."""
    return audience.is_announced and bool(_feeds_after(audience, segment, 0))


def _feeds_after(audience: Audience, segment: SegmentState, wait_ms: int) -> list[str | None]:
    """The feeds whose windows have been over for so long; None is the one of a show that has none."""
    over = now_ms() - wait_ms
    windows = {feed: audience.reporting(segment.id, feed) for feed in audience.state.feeds or (None,)}
    return [feed for feed, found in windows.items() if found is not None and found.window.closes_at <= over]


def _without_stub(
    audience: Audience, segment: SegmentState, written: Mapping[bytes, int]
) -> Iterator[tuple[bytes, int]]:
    """Of these totals those of somebody who is here, whose window is over, and who has no stub that says as much."""
    now, least = now_ms(), (segment.key, 0)
    for viewer, total in written.items():
        for session in audience.by_viewer.get(viewer, ()):
            play, told = session.stubbed or least
            is_more = total > (told if play == segment.key else 0)
            if is_more and (
                segment.phase not in REPORTING or _closes_at(audience, segment, session.feed) <= now
            ):
                yield viewer, total
                break


def _closes_at(audience: Audience, segment: SegmentState, feed: str | None) -> float:
    found = audience.reporting(segment.id, feed)
    return math.inf if found is None else found.window.closes_at


def _tell(audience: Audience, stubs: Mapping[bytes, SignedStub]) -> None:
    """Those who get no ack with it."""
    for viewer, stub in stubs.items():
        for session in audience.by_viewer.get(viewer, ()):
            if session.stubbed != stub.mark:
                session.stubbed = stub.mark
                session.socket.write(stub.kind, stub.frame)


def _parts(totals: Iterable[tuple[bytes, int]]) -> Iterator[dict[bytes, int]]:
    """So many at a time as go under one signature."""
    rows = iter(totals)
    while part := dict(islice(rows, TOGETHER)):
        yield part
