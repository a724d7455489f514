"""What witnesses have said of checkpoints, for whoever shows or gives out a ledger.

Who they are, and when they are asked, the draw side knows: prizes/apps.py sets these three.
"""

from collections.abc import Callable
from typing import NamedTuple

from engagement.languages import mark, say
from engagement.ledger.core.cosignatures import add_lines
from engagement.models import LedgerCheckpoint, Show

WAITS = mark("A seal needs {quorum} of them; without, the draw waits.")
GOES_ON = mark("A seal needs {quorum} of them; without, the draw goes on, and is labelled as not witnessed.")


class WitnessState(NamedTuple):
    """A witness of a show, and the last checkpoint that it has cosigned: its size, and when, in UTC ms."""

    name: str
    key: str
    size: int | None
    at_ms: int | None
    trouble: str


class Witnessing(NamedTuple):
    """All witnesses of a show; how many have to have signed a seal, and what the draw does otherwise.

    `size`: how many entries are signed by ourselves.
    """

    witnesses: list[WitnessState]
    quorum: int
    unwitnessed: str
    size: int

    def summary(self) -> str:
        """Who has signed all that there is, in a sentence."""
        there = sum(row.size == self.size for row in self.witnesses)
        many = say(
            "{count} of {named} witnesses have cosigned all {size} entries.",
            count=there,
            named=len(self.witnesses),
            size=self.size,
        )
        needs = WAITS if self.unwitnessed == "wait" else GOES_ON
        return f"{many} {say(needs, quorum=self.quorum)}"


class StamperState(NamedTuple):
    """A time stamper of a show, the last draw whose seal it has stamped, and when, in UTC ms."""

    name: str
    draw: str | None
    at_ms: int | None
    trouble: str


class Below(NamedTuple):
    """The cosignature lines of a checkpoint, and whether there may be more of them later."""

    lines: list[str]
    may_grow: bool


describe_witnesses: Callable[[Show], Witnessing] = lambda show: Witnessing([], 0, "", 0)  # noqa: E731
describe_stampers: Callable[[Show], list[StamperState]] = lambda show: []  # noqa: E731
read_below: Callable[[Show, int], Below] = lambda show, size: Below([], False)  # noqa: E731


class WholeNote(NamedTuple):
    """The signed note of a checkpoint, with the cosignatures that there are by now below our signature."""

    text: str
    below: Below


def whole_note(row: LedgerCheckpoint) -> WholeNote:
    below = read_below(row.show, row.size)
    return WholeNote(add_lines(row.note, below.lines), below)
