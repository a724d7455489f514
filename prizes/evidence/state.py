"""A show at one moment, as far as its evidence needs it from the database."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from engagement.core.digests import parse_canonical
from engagement.core.phases import Phase
from engagement.models import LedgerCheckpoint, LedgerEntry, Segment, Show
from prizes.cosignatures import lines_by_size
from prizes.models import Draw
from prizes.publication import dispositions_of


class EvidenceRefused(Exception):
    """No pack can be made; the message says why."""


@dataclass(frozen=True)
class DrawNow:
    """A draw, and what became of its prizes."""

    draw: Draw
    dispositions: list[dict[str, Any]]
    claims: dict[str, Any]

    @property
    def folder(self) -> str:
        """In the pack; the number is that of the addresses on the site."""
        return f"draw-{self.draw.pk}"

    @property
    def is_sealed(self) -> bool:
        return self.draw.step != Draw.Step.COMMITTED

    @property
    def is_drawn(self) -> bool:
        return self.draw.step in (Draw.Step.DRAWN, Draw.Step.PUBLISHED)


@dataclass(frozen=True)
class State:
    """A show at one moment."""

    show: Show
    segments: list[Segment]
    draws: list[DrawNow]
    entries: list[LedgerEntry]
    checkpoints: list[LedgerCheckpoint]
    cosignatures: dict[int, list[str]]  # the lines of witnesses, by the size of the checkpoint
    witnesses: list[str]  # their keys

    @property
    def at_ms(self) -> int:
        """The moment of the pack: that of the last entry, so that it does not depend on when it was made."""
        return self.entries[-1].at_ms


@transaction.atomic
def read_state(slug: str) -> State:
    """Everything of one moment: nobody writes to the show meanwhile. EvidenceRefused without show or ledger."""
    show = Show.objects.select_for_update().filter(slug=slug).first()
    if show is None:
        known = ", ".join(Show.objects.values_list("slug", flat=True)[:20]) or "none"
        raise EvidenceRefused(f"there is no show {slug!r}; there are: {known}")
    entries = list(LedgerEntry.objects.filter(show=show).select_related("show").order_by("position"))
    if not entries:
        raise EvidenceRefused(
            f"nothing has happened in {slug} yet: its ledger is empty, there is nothing to prove"
        )
    segments = show.segments.exclude(phase=Phase.DRAFT).select_related("show", "freeze").order_by("position")
    related = ("dispositions", "wins__prize", "wins__disqualifications")
    draws = show.draws.select_related("show", "segment__show", "segment__freeze", "prize_list")
    draws = draws.prefetch_related(*related)
    return State(
        show,
        list(segments),
        [_read_draw(draw) for draw in draws.order_by("segment__position", "prize_list__number")],
        entries,
        list(LedgerCheckpoint.objects.filter(show=show).order_by("size")),
        lines_by_size(show),
        list(show.witnesses.order_by("name").values_list("key", flat=True)),
    )


def _read_draw(draw: Draw) -> DrawNow:
    try:
        parse_canonical(draw.rules.encode())
    except ValueError as error:
        raise EvidenceRefused(
            f"{draw}: its rules in the database are not what was written: {error}"
        ) from None
    return DrawNow(draw, dispositions_of(draw), {"draw_id": draw.draw_id, **_claims(draw)})


def _claims(draw: Draw) -> dict[str, Any]:
    """The status of each win, and whose disqualification was asked for: pseudonyms, the operators are in the ledger."""
    wins = sorted(draw.wins.all(), key=lambda win: win.rank)
    asked = [(win, row) for win in wins for row in win.disqualifications.all()]
    return {
        "wins": [
            {
                "rank": win.rank,
                "pseudonym": win.pseudonym,
                "stage_name": win.name,
                "prize": win.piece_id,
                "status": win.status,
                "claim_by": None if win.claim_by is None else win.claim_by.isoformat(),
            }
            for win in wins
        ],
        "dispositions": dispositions_of(draw),
        "disqualifications": [
            {"pseudonym": win.pseudonym, "reason": row.reason, "approved": row.approved} for win, row in asked
        ],
    }
