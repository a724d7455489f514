"""The buttons of the control room: who may press them, and when that makes sense."""

from typing import Any

from engagement.core.phases import Phase
from engagement.models import Segment
from prizes.models import Beacon, Draw
from prizes.steps.beacon import waits_for_drand
from prizes.steps.spoil import may_spoil

RUN = "engagement.run_segment"
DECIDE = "prizes.decide_approval"  # who may be the second person
# Every button, and who may press it.
ACTIONS = {
    "arm": RUN,
    "open": RUN,
    "close": RUN,
    "draw": RUN,
    "dice": "prizes.enter_dice",
    "beacon": RUN,
    "name": RUN,
    "publish": RUN,
    "void": RUN,  # asked for by one, agreed to by a director
    "spoil": RUN,
    "repeat": "engagement.void_segment",
}


def allowed_actions(segment: Segment, user: Any, now: int) -> list[str]:
    """The buttons that make sense now, for this user. Only a hint: the actions have the last word."""
    return [name for name in possible_actions(segment, now) if user.has_perm(ACTIONS[name])]


def possible_actions(segment: Segment, now: int) -> list[str]:
    """What the phase allows, whoever asks."""
    phase = Phase(segment.phase)
    if phase == Phase.DRAFT:
        return ["arm", "void"]
    if phase == Phase.ARMED and segment.opens_at is None:
        return ["open", "void"]
    if phase in (Phase.ARMED, Phase.OPEN):
        return ["close", "void"] if _on_air(segment, now) else ["void"]
    if phase == Phase.CLOSING:
        again = ["draw"] if any(draw.attempts > 0 for draw in segment.draws.all()) else []
        return again + (["spoil"] if may_spoil(segment) else [] if _is_frozen(segment) else ["void"])
    if phase == Phase.SEALED:
        return _possible_when_sealed(list(segment.draws.all()), now)
    return {Phase.DRAWN: ["name", "publish"], Phase.SPOILED: ["repeat"]}.get(phase, [])


def _is_frozen(segment: Segment) -> bool:
    """After the freeze nothing is called off by hand."""
    freeze = getattr(segment, "freeze", None)
    return freeze is not None and freeze.frozen_at_ms is not None


def _on_air(segment: Segment, now: int) -> bool:
    return segment.air_time.opens_at <= now < segment.air_time.closes_at


def _possible_when_sealed(draws: list[Draw], now: int) -> list[str]:
    possible = {
        "draw": any(waits_for_operator(draw) or draw.attempts > 0 or draw.disagreement for draw in draws),
        "dice": any(waits_for_dice(draw) for draw in draws),
        "beacon": any(waits_for_drand(draw, now) for draw in draws),
    }
    return [name for name, makes_sense in possible.items() if makes_sense]


def waits_for_operator(draw: Draw) -> bool:
    """Whether a draw is sealed and does not start by itself."""
    return draw.step == Draw.Step.SEALED and draw.requested_at is None and not draw.prize_list.draw_at_once


def waits_for_dice(draw: Draw) -> bool:
    """Whether operators have to type in what was thrown on air."""
    return draw.beacon_kind == Beacon.DICE and draw.seal != "" and draw.beacon_value == ""
