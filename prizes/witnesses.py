"""Asks the witnesses of shows to cosign checkpoints (docs/ledger.md, "Witnesses").

Once a second the conductor looks which witness has not signed the newest checkpoint, and asks those, all at once
(prizes/errands.py). It waits for the quick ones only; the others' answers are taken in a later second. No witness is
trusted: every signature is verified.

What is asked and not answered yet is in memory. Where it is lost the same is asked again, and a witness of ours gives
the same line with the first time (prizes/witness.py).
"""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db.models import Exists, OuterRef, Subquery

from engagement.clock import from_ms, now_ms
from engagement.ledger.core.cosignatures import (
    Cosigned,
    find_cosignature,
    format_request,
    parse_witness_key,
    text_of,
)
from engagement.ledger.tree import ask_tree
from engagement.models import LedgerCheckpoint, Show
from prizes.errands import Asking as Errands
from prizes.errands import Errand, Limits, Question, Reply, Settled
from prizes.models import Cosignature, Draw, Witness

log = logging.getLogger(__name__)

LIMITS = Limits(answer_s=2.0, most_bytes=16 * 1024, patience_s=0.3)  # a line has about 200 bytes
ASKED_AT_ONCE = 40  # witnesses
NEWEST_SHOWS, NEWEST_CHECKPOINTS = 20, 200  # in which somebody may not have signed yet
SEALS_AT_ONCE = 4
CLOCK_MS = 10_000  # further apart, a witness's clock is worth a word
SIZE_DIGITS = 10
LONGEST_TROUBLE = Witness._meta.get_field("trouble").max_length


# --- what is asked for --------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One checkpoint to be cosigned: from and to how many entries, its text, when it was made (UTC ms), the request."""

    old: int
    size: int
    text: str
    at_ms: int
    body: str


class NoProof(Exception):
    """The ledger cannot show that it continues what the witness has seen."""


def find_due(busy: set[int]) -> list[Witness]:
    """Witnesses that have not cosigned the newest checkpoint of their show, the newest shows first; bounded.

    Looked at are the newest shows, and those in which something has happened last: an old one may go on, too.
    """
    recent = LedgerCheckpoint.objects.order_by("-pk").values_list("show_id", flat=True)[:NEWEST_CHECKPOINTS]
    newest = Witness.objects.order_by("-show_id").values_list("show_id", flat=True).distinct()[:NEWEST_SHOWS]
    sizes = LedgerCheckpoint.objects.filter(show=OuterRef("show")).order_by("-size").values("size")
    signed = Cosignature.objects.filter(
        show=OuterRef("show"), witness=OuterRef("name"), size=OuterRef("newest")
    )
    there = Witness.objects.filter(show__in={*recent, *newest}).exclude(pk__in=busy)
    due = there.annotate(newest=Subquery(sizes[:1])).filter(~Exists(signed), newest__isnull=False)
    return list(due.select_related("show").order_by("-show_id", "name")[:ASKED_AT_ONCE])


def plan_steps(witness: Witness) -> list[Step]:
    """From what the witness has seen to the newest checkpoint, by way of the last ones with which a draw was sealed.

    So all witnesses sign the same checkpoint under a seal, however much happens in the same second. NoProof says why
    there is nothing to ask for.
    """
    show, known = witness.show, witness.known
    newest: int = witness.newest  # type: ignore[attr-defined]  # of find_due
    if known > newest:
        raise NoProof(
            f"has seen {known} entries, here are {newest}: entries were lost, or it was shown another ledger"
        )
    seals = Draw.objects.filter(show=show, sealed_ledger__gte=known - 1, sealed_ledger__lt=newest - 1)
    ends = seals.order_by("-sealed_ledger").values_list("sealed_ledger", flat=True)[:SEALS_AT_ONCE]
    wanted = {newest, *(position + 1 for position in ends if position is not None)}
    signed = Cosignature.objects.filter(show=show, witness=witness.name, size__in=wanted)
    missing = wanted - set(signed.values_list("size", flat=True))
    rows = LedgerCheckpoint.objects.filter(show=show, size__in=missing).order_by("size")
    steps, old = [], known
    for row in rows:
        body = format_request(old, _prove(show, old, row.size), row.note)
        steps.append(Step(old, row.size, text_of(row.note), row.at_ms, body))
        old = row.size
    return steps


def _prove(show: Show, old: int, size: int) -> list[bytes]:
    if old in (0, size):
        return []
    try:
        return ask_tree(show, size, lambda tree: tree.consistency_proof(old, size))
    except KeyError:
        raise NoProof(
            f"cannot be shown that {size} entries continue {old}: the ledger has lost some"
        ) from None


# --- what it says -------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What came of an errand: the cosignatures, how far the witness is by its own word, what is wrong with it."""

    signed: list[tuple[Step, Cosigned]]
    known: int
    trouble: str
    elsewhere: bool = False  # it is further, or less far, than we knew: from there it goes on


def judge(witness: Witness, answers: Sequence[tuple[Step, Reply]]) -> Outcome:
    """Takes only what is verified."""
    signed: list[tuple[Step, Cosigned]] = []
    known, trouble = witness.known, ""
    for step, reply in answers:
        try:
            if reply.status != 200:
                return Outcome(signed, _read_size(step, reply), "", elsewhere=True)
            found = find_cosignature(reply.text, step.text, parse_witness_key(witness.key))
        except ValueError as error:
            return Outcome(signed, known, str(error))
        signed.append((step, found))
        known, trouble = step.size, _explain_clock(step, found)
    return Outcome(signed, known, trouble)


def _read_size(step: Step, reply: Reply) -> int:
    """How far a witness is that is elsewhere than we knew; ValueError for every other refusal."""
    if reply.status != 409:
        raise ValueError(reply.refusal)
    said = reply.text.removesuffix("\n")
    is_size = said.isascii() and said.isdigit() and len(said) <= SIZE_DIGITS
    if reply.kind != "text/x.tlog.size" or not is_size or int(said) == step.old:
        raise ValueError("answers 409 without saying how far it is")
    return int(said)


def _explain_clock(step: Step, found: Cosigned) -> str:
    """What is wrong with the time that it has signed, by our clock."""
    at = found.time * 1000
    if step.at_ms - CLOCK_MS <= at <= now_ms() + CLOCK_MS:
        return ""
    side = "ahead of" if at > step.at_ms else "behind"
    return f"signs with {from_ms(at):%Y-%m-%d %H:%M:%S} UTC: its clock is {side} ours"


def keep(witness: Witness, outcome: Outcome) -> None:
    """Writes what was signed, once, and what has changed about the witness."""
    for step, found in outcome.signed:
        Cosignature.objects.get_or_create(
            show_id=witness.show_id,
            size=step.size,
            witness=witness.name,
            defaults={"line": found.line, "at_ms": found.time * 1000},
        )
    note(witness, outcome.known, outcome.trouble)


def note(witness: Witness, known: int, trouble: str) -> None:
    """How far a witness is, and what is wrong with it; in the log, too, when that is new."""
    new = {"known": known, "trouble": trouble[:LONGEST_TROUBLE]}
    if new["trouble"] and new["trouble"] != witness.trouble:
        log.warning("Witness %s of %s %s", witness, witness.show.slug, trouble)
    if any(getattr(witness, name) != value for name, value in new.items()):
        Witness.objects.filter(pk=witness.pk).update(**new)


# --- once a second ------------------------------------------------------------------------------------------


class Sent(NamedTuple):
    """Who was asked, and for what."""

    witness: Witness
    steps: list[Step]


class Asking(Errands[Sent]):
    """The witnesses that are being asked in this process."""

    limits = LIMITS

    def begin(self, busy: set[int]) -> Iterator[tuple[int, Errand[Sent]]]:
        for witness in find_due(busy):
            try:
                steps = plan_steps(witness)
            except NoProof as reason:
                note(witness, witness.known, str(reason))
                self.rest(witness.pk, self.failures.get(witness.pk, 0) + 1)
                continue
            questions = [Question("/add-checkpoint", step.body.encode(), "") for step in steps]
            yield witness.pk, Errand(Sent(witness, steps), witness.url, questions, self.limits)

    def settle(self, errand: Errand[Sent], failures: int) -> Settled:
        """Who was elsewhere than we knew is asked again in the same tick, once."""
        witness, steps = errand.asked
        outcome = judge(witness, list(zip(steps, errand.take(), strict=False)))
        again = outcome.elsewhere and not failures
        if outcome.elsewhere and failures:
            outcome = outcome._replace(trouble=f"has seen {outcome.known} entries, and said otherwise before")
        keep(witness, outcome)
        return Settled(bool(outcome.trouble) or outcome.elsewhere, again)


asking = Asking()


def ask_witnesses() -> None:
    """One look of the conductor at all witnesses."""
    asking.tick()
