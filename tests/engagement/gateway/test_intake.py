"""The intake on real sockets: who is read, in which turns, and how far it is behind."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from engagement.gateway.intake import IN_A_TURN, Intake


class Heard:
    """One source: what came, and how often it ended."""

    def __init__(self) -> None:
        self.data = b""
        self.ends = 0

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.ends += 1


class Pair:
    """Our end, read by an intake, and the phone's end."""

    def __init__(self, intake: Intake, source: Heard | None = None) -> None:
        ours, self.phone = socket.socketpair()
        ours.setblocking(False)
        self.ours, self.source = ours, source or Heard()
        intake.add(ours.fileno(), self.source)

    def close(self) -> None:
        self.ours.close()
        self.phone.close()


@pytest.fixture
async def intake() -> AsyncIterator[Intake]:
    intake = Intake()
    yield intake
    intake.close()


async def test_what_is_said_is_heard_and_the_end_once(intake: Intake) -> None:
    pair = Pair(intake)
    pair.phone.send(b"one")
    await asyncio.sleep(0.02)
    pair.phone.send(b"two")
    pair.phone.close()
    await asyncio.sleep(0.02)
    assert (pair.source.data, pair.source.ends) == (b"onetwo", 1)
    pair.close()


async def test_who_is_removed_is_not_heard_any_more_also_within_a_turn(intake: Intake) -> None:
    pairs = [Pair(intake) for _ in range(3)]

    class Jealous(Heard):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            for pair in pairs:
                intake.remove(pair.ours.fileno())

    jealous = Pair(intake, Jealous())
    jealous.phone.send(b"me")
    for pair in pairs:
        pair.phone.send(b"and me")
    await asyncio.sleep(0.02)
    assert jealous.source.data == b"me" and [pair.source.data for pair in pairs] == [b""] * 3
    for pair in [*pairs, jealous]:
        pair.close()


async def test_whoever_is_removed_is_not_counted_any_more_in_a_sweep(intake: Intake) -> None:
    pairs = [Pair(intake) for _ in range(3)]
    for pair in (pairs[0], pairs[0], pairs[2]):
        intake.remove(pair.ours.fileno())
    assert intake._watched == 1
    intake.add(pairs[2].ours.fileno(), pairs[2].source)
    pairs[2].phone.send(b"back")
    await asyncio.sleep(0.02)
    assert intake._watched == 2 and pairs[2].source.data == b"back"
    for pair in pairs:
        intake.remove(pair.ours.fileno())
        pair.close()


async def test_everybody_gets_a_turn_and_so_do_timers(intake: Intake) -> None:
    turns: list[int] = []
    pairs = [Pair(intake) for _ in range(2 * IN_A_TURN + IN_A_TURN // 2)]
    loop = asyncio.get_running_loop()

    def look() -> None:
        turns.append(sum(bool(pair.source.data) for pair in pairs))
        if len(turns) < 20:
            loop.call_soon(look)

    for pair in pairs:
        pair.phone.send(b"here")
    look()
    await asyncio.sleep(0.1)
    assert turns[-1] == len(pairs)
    assert any(0 < heard < len(pairs) for heard in turns)  # others had their turn between two of the intake's
    assert intake.behind_ns == 0
    for pair in pairs:
        intake.remove(pair.ours.fileno())
        pair.close()


async def test_it_is_behind_by_a_sweep_while_there_is_more_to_read_than_a_turn_takes(intake: Intake) -> None:
    class Talker(Heard):
        """Has always something to say, until it is told to stop."""

        def data_received(self, data: bytes) -> None:
            if talking:
                phones[id(self)].send(data)

    talking, pairs = True, [Pair(intake, Talker()) for _ in range(2 * IN_A_TURN)]
    phones = {id(pair.source): pair.phone for pair in pairs}
    for pair in pairs:
        pair.phone.send(b"x")
    await asyncio.sleep(0.5)
    assert 100_000 < intake.behind_ns < 400_000_000  # not by all the time that it has been busy
    talking = False
    await asyncio.sleep(0.1)
    assert intake.behind_ns == 0
    for pair in pairs:
        intake.remove(pair.ours.fileno())
        pair.close()


async def test_a_source_that_fails_is_given_up_and_the_others_are_heard(
    intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Heard):
        def data_received(self, data: bytes) -> None:
            raise ValueError("broken")

    broken, other = Pair(intake, Broken()), Pair(intake)
    for pair in (broken, other):
        pair.phone.send(b"x")
    await asyncio.sleep(0.02)
    broken.phone.send(b"again")
    await asyncio.sleep(0.02)
    assert (broken.source.ends, other.source.data) == (1, b"x")
    assert [record.message for record in caplog.records] == ["a socket is given up"]
    for pair in (broken, other):
        pair.close()
