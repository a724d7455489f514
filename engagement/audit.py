"""The check of a ledger on this server: chain, tree, signatures, and checkpoints that others have kept.

Elsewhere, and without this project, `engagement/verify_ledger.py` checks exported files with code of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from django.db import connection, transaction

from engagement.core.checkpoints import Checkpoint, open_note, parse_checkpoint
from engagement.core.merkle import GrowingTree, check_consistency
from engagement.guards import missing_guards
from engagement.ledger import explain_break, grow_tree, keys_of, origin_of
from engagement.models import LedgerCheckpoint, LedgerEntry, Show

NOTHING = Checkpoint("", 0, b"")


class Check(NamedTuple):
    """One line of a report."""

    name: str
    ok: bool
    detail: str


class KeptNote(NamedTuple):
    """A checkpoint as somebody has kept it: the name of the file, and the signed note."""

    name: str
    note: str


@dataclass
class Ledger:
    """A show's ledger at one moment."""

    show: Show
    entries: Sequence[LedgerEntry]
    checkpoints: Sequence[LedgerCheckpoint]
    tree: GrowingTree = field(init=False)

    def __post_init__(self) -> None:
        self.tree = grow_tree(entry.digest for entry in self.entries)
        self._by_size = {row.size: row for row in self.checkpoints}

    def checkpoint_of(self, size: int) -> LedgerCheckpoint | None:
        return self._by_size.get(size)


@transaction.atomic
def read_ledger(show: Show) -> Ledger:
    """Entries and checkpoints of the same moment: nobody writes to the show in between."""
    Show.objects.select_for_update().only("pk").get(pk=show.pk)
    entries = LedgerEntry.objects.filter(show=show).select_related("show").order_by("position")
    return Ledger(show, list(entries), list(LedgerCheckpoint.objects.filter(show=show).order_by("size")))


def audit_ledger(ledger: Ledger, kept: Iterable[KeptNote] = ()) -> list[Check]:
    """Every check of one ledger."""
    return [
        check_guards(),
        check_chain(ledger),
        check_signatures(ledger),
        check_roots(ledger),
        check_steps(ledger),
        check_latest(ledger),
        *check_kept(ledger, kept),
    ]


def check_guards() -> Check:
    missing = sorted({f"{guard.event.lower()} of {guard.table}" for guard in missing_guards(connection)})
    found = f"not refused by the database: {', '.join(missing)}; migrate puts the triggers back"
    return Check("guards", not missing, found if missing else "the database refuses changes")


def check_chain(ledger: Ledger) -> Check:
    broken = explain_break(ledger.entries)
    whole = f"{len(ledger.entries)} entries follow from one another"
    return Check("chain", broken is None, broken[1] if broken else whole)


def check_signatures(ledger: Ledger) -> Check:
    """Every stored note is signed by one of our keys, and says what its row says."""
    keys = keys_of(ledger.show)
    for row in ledger.checkpoints:
        expected = (origin_of(ledger.show), row.size, row.root)
        try:
            origin, size, root = parse_checkpoint(open_note(row.note, keys))
        except ValueError as error:
            return Check("signatures", False, f"checkpoint {row.size}: {error}")
        if (origin, size, root.hex()) != expected:
            return Check(
                "signatures", False, f"checkpoint {row.size}: its note is that of {origin} at {size} entries"
            )
    return Check("signatures", True, f"{len(ledger.checkpoints)} checkpoints, signed with our key")


def check_roots(ledger: Ledger) -> Check:
    """Every stored root is that of the entries of today."""
    good = 0
    for row in ledger.checkpoints:
        if not has_root(ledger, row):
            return Check("roots", False, _explain(ledger, good, row.size))
        good = row.size
    return Check("roots", True, f"{len(ledger.checkpoints)} checkpoints are of these entries")


def has_root(ledger: Ledger, row: LedgerCheckpoint) -> bool:
    return row.size <= len(ledger.tree) and ledger.tree.root(row.size).hex() == row.root


def _explain(ledger: Ledger, good: int, bad: int) -> str:
    """What differs, where the ledger is as it was signed at `good` entries and not as it was at `bad`."""
    if bad > len(ledger.tree):
        return f"signed were {bad} entries, there are {len(ledger.tree)}: the last ones were removed"
    first, last = good, bad - 1
    where = f"entry {first} is" if first == last else f"one of the entries {first} to {last} is"
    return f"{where} not the one that was signed: it was rewritten, or one was removed or added there"


def check_steps(ledger: Ledger) -> Check:
    """Between every two checkpoints entries were only added."""
    rows = ledger.checkpoints
    for row, following in pairwise(rows):
        if not is_step(ledger, row, following):
            return Check(
                "consistency", False, f"checkpoint {following.size} does not continue checkpoint {row.size}"
            )
    return Check("consistency", True, f"each of {len(rows)} checkpoints continues the one before")


def is_step(ledger: Ledger, row: LedgerCheckpoint, following: LedgerCheckpoint) -> bool:
    """Whether the second checkpoint only adds to the first, by a consistency proof of RFC 9162."""
    if following.size > len(ledger.tree):
        return False
    proof = ledger.tree.consistency_proof(row.size, following.size)
    return check_consistency(row.size, following.size, proof, _root(row), _root(following))


def _root(row: LedgerCheckpoint) -> bytes:
    try:
        return bytes.fromhex(row.root)
    except ValueError:  # somebody wrote what is no hex
        return b""


def check_latest(ledger: Ledger) -> Check:
    """Nothing was added past the ledger: the last checkpoint covers every entry."""
    size = ledger.checkpoints[-1].size if ledger.checkpoints else 0
    detail = f"the latest checkpoint covers {size} of {len(ledger.entries)} entries"
    return Check("latest", size == len(ledger.entries), detail)


def check_kept(ledger: Ledger, kept: Iterable[KeptNote]) -> list[Check]:
    """Checkpoints from outside are signed by us, and the ledger of today continues each of them."""
    checks, good = [], 0
    for name, checkpoint, fault in sorted(
        (_open(ledger, note) for note in kept), key=lambda row: row[1].size
    ):
        holds = (
            not fault
            and checkpoint.size <= len(ledger.tree)
            and ledger.tree.root(checkpoint.size) == checkpoint.root
        )
        if not fault and not holds:
            fault = _explain(ledger, good, checkpoint.size)
        good = checkpoint.size if holds else good
        checks.append(
            Check(name, holds, fault or f"the {checkpoint.size} entries that it signed are still there")
        )
    return checks


def _open(ledger: Ledger, kept: KeptNote) -> tuple[str, Checkpoint, str]:
    """The name of the check, the checkpoint, and what is wrong with it by itself."""
    name = f"file {kept.name}"
    try:
        checkpoint = parse_checkpoint(open_note(kept.note, keys_of(ledger.show)))
    except ValueError as error:
        return name, NOTHING, str(error)
    expected = origin_of(ledger.show)
    wrong = (
        f"expected the ledger {expected}, got {checkpoint.origin}" if checkpoint.origin != expected else ""
    )
    return name, checkpoint, wrong
