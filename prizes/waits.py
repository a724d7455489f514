"""What a draw waits for: secrets of its parties, then its beacon. For the control room and the page of a draw."""

from typing import Any

from engagement.clock import from_ms
from engagement.core.phases import Phase
from engagement.languages import say
from prizes.core.digests import HOUSE
from prizes.models import Beacon, Draw
from prizes.parties import commitments_of, reveal_deadline
from prizes.steps.beacon import beacon_due_at, round_of, throws_of

AIRED = (Phase.CLOSING, Phase.SEALED, Phase.DRAWN, Phase.PUBLISHED)


def describe_wait(draw: Draw, now: int) -> dict[str, Any]:
    """A draw that is armed or further: its beacon, who has revealed, and in `lines` what people read.

    Needs no query where `segment__freeze`, `revealed` and `dice_entries` were fetched with the draw.
    """
    frozen = reveal_deadline(draw) is not None
    drand = frozen and draw.beacon_kind == Beacon.DRAND
    return {
        "draw": draw.pk,
        "draw_id": draw.draw_id,
        "beacon": draw.beacon_kind,
        "strength": "rehearsal" if draw.beacon_kind == Beacon.LOCAL else "public",
        "round": round_of(draw) if drand else None,
        "due_at": beacon_due_at(draw) if drand else None,
        "reveal_by": reveal_deadline(draw),
        "parties": describe_parties(draw),
        "lines": [*_lines_of_parties(draw, now), *_lines_of_beacon(draw, now)],
    }


def describe_parties(draw: Draw) -> list[dict[str, Any]]:
    """Every party in the order of the rules, and when it revealed, in UTC ms, or None."""
    revealed = {row.party: row.at_ms for row in draw.revealed.all()}
    return [{"name": name, "revealed_at": revealed.get(name)} for name in commitments_of(draw)]


def countdown(draw: Draw, now: int) -> str:
    """What is to be said of drand's round: when it is due, or for how long it has been late."""
    number, due = round_of(draw), beacon_due_at(draw)
    if now < due:
        return say("drand round {number} is due in {time}", number=number, time=_seconds(due - now))
    return say(
        "drand round {number} is {time} late; waiting, no other round is ever taken",
        number=number,
        time=_seconds(now - due),
    )


def _lines_of_beacon(draw: Draw, now: int) -> list[str]:
    if draw.beacon_value or draw.segment.phase not in (Phase.CLOSING, Phase.SEALED):
        return []
    if draw.beacon_kind == Beacon.DRAND and reveal_deadline(draw) is not None:
        return [countdown(draw, now)]
    if draw.beacon_kind == Beacon.DICE and draw.seal:
        return [_line_of_dice(draw)]
    return []


def _line_of_dice(draw: Draw) -> str:
    """Who has typed, never what: whoever types second must not see it."""
    names = sorted(entry.operator for entry in draw.dice_entries.all())
    if not names:
        return say(
            "waiting for the dice: two operators type the {throws} throws that were made on air",
            throws=throws_of(draw),
        )
    if len(names) == 1:
        return say("waiting for the dice: typed by {names}; a second operator is missing", names=names[0])
    several = say("{some} and {last}", some=", ".join(names[:-1]), last=names[-1])
    return say("{several} have typed different throws: compare and type again", several=several)


def _lines_of_parties(draw: Draw, now: int) -> list[str]:
    parties = describe_parties(draw)
    if draw.segment.phase not in AIRED or [row["name"] for row in parties] == [HOUSE]:
        return []
    there = [row["name"] for row in parties if row["revealed_at"] is not None]
    absent = [row["name"] for row in parties if row["revealed_at"] is None and row["name"] != HOUSE]
    lines = [say("revealed: {parties}", parties=", ".join(there))] if there else []
    if absent and draw.seal:
        lines.append(say("absent, with an empty field in the seal: {parties}", parties=", ".join(absent)))
    elif absent:
        lines.append(
            say(
                "waiting for the secrets of {parties} {until}",
                parties=", ".join(absent),
                until=_until(draw, now),
            )
        )
    return lines


def _until(draw: Draw, now: int) -> str:
    deadline = reveal_deadline(draw)
    if deadline is None:
        seconds = draw.promised["reveal_deadline_s"]
        return say("until {seconds} s before the end of the seal margin", seconds=seconds)
    at = f"{from_ms(deadline):%H:%M:%S}"
    if now >= deadline:
        return say("until {at} UTC", at=at)
    return say("until {at} UTC, {time} left", at=at, time=_seconds(deadline - now))


def _seconds(ms: int) -> str:
    return f"{-(-ms // 1000)} s"
