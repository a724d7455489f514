"""The sockets of a show: who is told what, and when pulses are due."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from engagement.core.messages import Ack
from engagement.gateway.audience import HALF_A_BEAT_MS, PULSES_WITH_ACKS, QUIET_PULSE_MS, Audience
from engagement.gateway.core.pace import make_pace
from engagement.gateway.hub import Hub
from engagement.gateway.session import Session
from engagement.gateway.transport.asgi import AsgiSocket
from engagement.wins import Step
from tests.cast import DEMO_STATE, make_result, make_winner, make_won

ONE, TWO = b"1" * 14, b"2" * 14


class Room:
    """Sessions of one audience, and what each of them was told."""

    def __init__(self, hub: Hub) -> None:
        self.audience, self._hub = Audience(DEMO_STATE, make_pace(1_000, phones=0)), hub
        self.told: dict[Session, list[dict[str, Any]]] = {}

    def session(self, viewer: bytes | None = None, feed: str | None = None) -> Session:
        said: list[dict[str, Any]] = []

        async def send(event: dict[str, Any]) -> None:
            said.append(json.loads(event["text"]))

        session = Session(self._hub, self.audience, AsgiSocket(send))
        session.viewer, session.feed, self.told[session] = viewer, feed, said
        return session

    def welcome(self, viewer: bytes | None = None, feed: str | None = None) -> Session:
        session = self.session(viewer, feed)
        self.audience.welcome(session, b"", 0)
        return session

    def heard(self, session: Session) -> list[str]:
        """The kinds of messages that a session was told, the first one first."""
        return [said["type"] for said in self.told[session]]


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    hub = Hub()
    yield Room(hub)
    await hub.redis.aclose(close_connection_pool=True)


def test_whoever_leaves_is_gone_once_and_the_others_stay_in_their_order(room: Room) -> None:
    audience = room.audience
    screen, phone, one_device, other, other_device = map(room.welcome, (None, ONE, TWO, b"3" * 14, TWO))
    stranger = room.session(TWO)
    assert list(audience) == [phone, one_device, other_device, other, screen]
    assert [session in audience for session in room.told] == [True] * 5 + [False]
    for session in (stranger, one_device, one_device, other, screen, screen):
        audience.leave(session)
    assert list(audience) == [phone, other_device]
    assert audience.phones == 2 and not audience.screens
    audience.leave(other_device)
    assert list(audience.by_viewer) == [ONE] and audience.phones == 1


@pytest.mark.parametrize(
    ("feeds", "opens_at"), [(DEMO_STATE.feeds, (11_500, 10_000, 10_000)), ({"app": 0}, (10_000,) * 3)]
)
def test_everybody_gets_a_new_state_in_the_time_of_their_feed_also_of_a_removed_one(
    room: Room, feeds: dict[str, int], opens_at: tuple[int, int, int]
) -> None:
    of_feed = dict(zip(("tv", "app", None), opens_at, strict=True))
    for number, feed in enumerate(("tv", "app", "tv", None)):
        room.welcome(bytes([number]) * 14, feed)
    room.audience.adopt(msgspec.structs.replace(DEMO_STATE, seq=DEMO_STATE.seq + 1, feeds=feeds))
    for session, (_, *states) in room.told.items():
        assert [state["segment"]["opens_at"] for state in states] == [of_feed[session.feed]]


def test_whoever_comes_gets_the_newest_figures_with_the_welcome_or_the_next_by_themselves(room: Room) -> None:
    now, first = 15_000, room.welcome(ONE)  # on air
    assert room.heard(first) == ["welcome"]
    room.audience.pulse(now, 1, 0, {})
    second = room.welcome(TWO)
    assert room.heard(first) == room.heard(second) == ["welcome", "pulse"]
    for tick in range(1, PULSES_WITH_ACKS):
        room.audience.pulse(now + tick, 2, 0, {})
    assert room.heard(first) == room.heard(second) == ["welcome", "pulse"]  # the others go with acks
    room.audience.pulse(now + PULSES_WITH_ACKS, 2, 0, {})
    assert room.heard(first) == room.heard(second) == ["welcome", "pulse", "pulse"]


def test_an_ack_tells_whoever_was_just_welcomed_nothing_that_the_welcome_did(room: Room) -> None:
    room.welcome(ONE)
    room.audience.pulse(15_000, 1, 0, {})
    session = room.welcome(TWO)
    room.audience.acknowledge(DEMO_STATE.current or 0, {TWO: 5})
    assert room.heard(session) == ["welcome", "pulse", "ack"]
    room.audience.set_pace(make_pace(4_000, phones=0))
    room.audience.acknowledge(DEMO_STATE.current or 0, {TWO: 6})
    assert room.heard(session) == ["welcome", "pulse", "ack", "ack", "pace"]


def test_figures_of_the_last_segment_are_told_to_nobody_any_more(room: Room) -> None:
    audience, over = room.audience, 60_000
    room.welcome(ONE)
    audience.pulse(over, 1, 50, {ONE: 50})
    assert audience.current_key == "1-7"
    audience.adopt(msgspec.structs.replace(DEMO_STATE, seq=DEMO_STATE.seq + 1, current=None))
    assert audience.current is None and audience.current_key == ""
    assert room.heard(room.welcome(TWO)) == ["welcome"]
    # The new ones come with the next beat: the newcomer has none.
    assert audience.pulse_is_due(over + 500, 50, {ONE: 50})


def test_nobody_hears_how_many_were_here_before_everybody_left(room: Room) -> None:
    audience, over = room.audience, 60_000
    gone, screen = room.welcome(ONE), room.welcome()
    audience.pulse(over, 1, 0, {})
    audience.leave(gone)
    assert room.heard(room.welcome(TWO)) == ["welcome", "pulse"]
    assert not audience.pulse_is_due(over + 500, 0, {})
    for session in (screen, *audience.by_viewer[TWO]):
        audience.leave(session)
    assert audience.is_empty
    assert room.heard(room.welcome(ONE)) == ["welcome"]
    assert audience.pulse_is_due(over + 500, 0, {})


def test_pulses_tell_how_many_shakes_come_per_second_however_rare_they_are(room: Room) -> None:
    audience, session = room.audience, room.welcome()
    for now in range(15_000, 31_000, 500):
        audience.measure(now, now * 3)
        if now % 5_000 == 0:
            audience.pulse(now, 1, now * 3, {})
    audience.measure(31_000, 0)  # somebody has emptied Redis
    audience.pulse(31_000, 1, 0, {})
    assert [said["per_second"] for said in room.told[session][1:]] == [0, 3_000, 3_000, 3_000, 0]


def test_invented_segments_are_not_remembered() -> None:
    audience = Audience(DEMO_STATE, make_pace(1_000, phones=0))
    assert [audience.reporting(number, "tv") for number in range(100, 1_100)] == [None] * 1_000
    assert audience.reporting(7, "tv") is not None and len(audience._reporting) == 1


def test_the_leaders_are_those_of_the_current_segment() -> None:
    audience = Audience(DEMO_STATE, make_pace(1_000, phones=0))
    current = DEMO_STATE.current or 0
    written = {bytes([number]) * 14: number % 7 for number in range(1, 30)}
    audience.acknowledge(current, written)
    audience.acknowledge(current + 1, {ONE: 99})  # a late ack of another one
    audience.acknowledge(current, {TWO: 8})
    assert list(audience.leaders.items()) == [
        (TWO, 8), *((bytes([number]) * 14, 6) for number in (6, 13, 20, 27)),
    ]  # fmt: skip
    audience.adopt(msgspec.structs.replace(DEMO_STATE, seq=DEMO_STATE.seq + 1))
    assert len(audience.leaders) == 5
    again = [msgspec.structs.replace(DEMO_STATE.segments[0], key="7-armed-again")]
    audience.adopt(msgspec.structs.replace(DEMO_STATE, epoch=2, segments=again))
    assert audience.leaders == {}


def test_on_air_a_pulse_is_due_twice_per_report() -> None:
    audience, now = Audience(DEMO_STATE, make_pace(4_000, phones=0)), 15_000
    assert audience.pulse_is_due(now, 0, {})
    audience.pulse(now, 1, 0, {})
    assert not audience.pulse_is_due(now + 1_000, 50, {ONE: 50})
    assert audience.pulse_is_due(now + 2_000 - HALF_A_BEAT_MS, 0, {})


def test_off_air_a_pulse_is_due_when_figures_change_and_every_10_s() -> None:
    audience, over = Audience(DEMO_STATE, make_pace(4_000, phones=0)), 30_000 + 1_500 + 3_000
    audience.pulse(over - 1, 1, 50, {ONE: 50})  # goes with acks, not to everybody
    assert audience.pulse_is_due(over, 50, {ONE: 50})
    audience.pulse(over, 1, 50, {ONE: 50})
    assert not audience.pulse_is_due(over + 500, 50, {ONE: 50})
    # Another gateway has written its last totals, and then tells of its leaders.
    assert audience.pulse_is_due(over + 500, 70, {ONE: 50})
    audience.pulse(over + 500, 1, 70, {ONE: 50})
    assert audience.pulse_is_due(over + 1_000, 70, {TWO: 60, ONE: 10})
    assert not audience.pulse_is_due(over + 1_000, 70, {ONE: 50})
    assert audience.pulse_is_due(over + 500 + QUIET_PULSE_MS, 70, {ONE: 50}) and QUIET_PULSE_MS < 9_500


def test_who_has_won_is_told_once_and_again_in_a_new_epoch(room: Room) -> None:
    session, audience = room.welcome(ONE), room.audience
    for epoch, step in ((1, 1), (1, 1), (1, 2)):
        audience.take_wins(Step(epoch, step), {ONE: [make_won()]}, complete=True)
    audience.adopt(msgspec.structs.replace(DEMO_STATE, seq=1, epoch=2, wins=1))
    assert audience.wins_behind
    audience.catch_up(Step(2, 1), {ONE: [make_won()]})
    assert not audience.wins_behind
    assert room.heard(session) == ["welcome", "won", "state", "won"]


def test_a_step_of_the_wins_that_was_missed_shows(room: Room) -> None:
    audience = room.audience
    audience.take_wins(Step(1, 1), {ONE: []}, complete=False)
    assert not audience.wins_behind and audience.wins == Step(1, 0)
    audience.take_wins(Step(1, 1), {TWO: []}, complete=True)
    assert not audience.wins_behind and audience.wins == Step(1, 1)
    audience.take_wins(Step(1, 3), {ONE: []}, complete=True)
    assert audience.wins_behind
    audience.catch_up(Step(1, 3), {})
    audience.adopt(msgspec.structs.replace(DEMO_STATE, wins=4))
    assert audience.wins_behind


def test_who_holds_a_prize_by_now_is_told_to_screens_alone(room: Room) -> None:
    phone, screen = room.welcome(ONE), room.welcome()
    results = [make_result(7, make_winner(ONE.hex()))]
    room.audience.adopt(msgspec.structs.replace(DEMO_STATE, wins=1, results=results))
    room.audience.adopt(
        msgspec.structs.replace(DEMO_STATE, wins=2, results=results)
    )  # of somebody not listed
    assert (room.heard(phone), room.heard(screen)) == (["welcome"], ["welcome", "state"])
    assert room.audience.state.wins == 2


def test_a_claim_is_no_reason_for_a_pulse(room: Room) -> None:
    audience, over = room.audience, 60_000
    audience.pulse(over, 1, 70, {ONE: 50})
    audience.adopt(msgspec.structs.replace(DEMO_STATE, wins=1))
    assert not audience.pulse_is_due(over + 1_000, 70, {ONE: 50})
    audience.adopt(msgspec.structs.replace(DEMO_STATE, seq=DEMO_STATE.seq + 1, wins=1))
    assert audience.pulse_is_due(over + 1_000, 70, {ONE: 50})


def test_the_ack_that_is_written_by_hand_is_the_one_of_the_class(room: Room) -> None:
    phone = room.welcome(ONE)
    room.audience.acknowledge(7, {ONE: 42})
    assert room.told[phone][-1] == msgspec.to_builtins(Ack(segment=7, total=42))
