"""The check of a ledger on this server: chain, tree, signatures, and checkpoints that others have kept.

Elsewhere, and without this project, `engagement/ledger/verify_ledger.py` checks exported files with code of its own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import connection

from engagement.languages import say
from engagement.ledger.append import GENESIS, explain_entry
from engagement.ledger.checkpoints import keys_of, origin_of
from engagement.ledger.core.checkpoints import Checkpoint, VerifierKey, open_note, parse_checkpoint
from engagement.ledger.core.merkle import GrowingTree, check_consistency, full_nodes
from engagement.ledger.guards import missing_guards
from engagement.ledger.reading import Moment, moment_of, read_checkpoints, read_entries
from engagement.ledger.tree import leaf_of, pack_nodes, read_nodes
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


class Step(NamedTuple):
    """One entry, or one checkpoint when the tree has its size, and what is wrong with it."""

    entry: LedgerEntry | None = None
    chain: str = ""  # what breaks it
    keeps_nodes: bool = True
    row: LedgerCheckpoint | None = None
    signature: str = ""  # what is wrong with it
    holds: bool = True  # the root is that of the entries of today
    continues: bool = True  # the checkpoint before
    before: LedgerCheckpoint | None = None


class Walk:
    """One pass over a ledger or a part of it: entry by entry, and each checkpoint when the tree has its size."""

    def __init__(self, show: Show, start: int = 0) -> None:
        self.show, self.start, self.number = show, start, start  # number: of the next entry
        self.keys, self.origin = keys_of(show), origin_of(show)
        self.tree = GrowingTree(start, read_nodes(show, full_nodes(start)))
        self.digest = _digest_before(show, start)
        self.before: LedgerCheckpoint | None = None

    def go(self, moment: Moment) -> Iterator[Step]:
        """Every step up to so many entries, and so many that were signed."""
        entries = read_entries(self.show, self.start, moment.entries)
        for row in read_checkpoints(self.show, self.start, moment.signed + 1):
            while self.number < row.size and (entry := next(entries, None)) is not None:
                yield self._take_entry(entry)
            yield self._take_row(row)
        for entry in entries:
            yield self._take_entry(entry)

    def root(self, size: int) -> str:
        """The root of the entries of today, in hex; nothing for a size that they have not now."""
        try:
            return self.tree.root(size).hex() if size == self.number else ""
        except (KeyError, ValueError):  # what is before this part has lost its nodes
            return ""

    def _take_entry(self, entry: LedgerEntry) -> Step:
        chain = explain_entry(entry, self.number, self.digest)
        try:
            complete = pack_nodes(self.tree.append(leaf_of(entry.digest)))
        except KeyError:
            complete = ""
        self.number, self.digest = self.number + 1, entry.digest
        return Step(entry, chain=chain, keeps_nodes=complete != "" and entry.nodes == complete)

    def _take_row(self, row: LedgerCheckpoint) -> Step:
        step = Step(
            row=row,
            signature=_explain_note(row, self.keys, self.origin),
            holds=self.root(row.size) == row.root,
            continues=self.before is None or self._continues(self.before, row),
            before=self.before,
        )
        if step.holds:
            self.tree.forget()
        self.before = row
        return step

    def _continues(self, before: LedgerCheckpoint, row: LedgerCheckpoint) -> bool:
        """Whether the second checkpoint only adds to the first, by a consistency proof of RFC 9162."""
        try:
            proof = self.tree.consistency_proof(before.size, row.size)
        except (KeyError, ValueError):
            return False
        return check_consistency(before.size, row.size, proof, _root(before), _root(row))


def _digest_before(show: Show, position: int) -> str:
    """The digest that the entry at this position follows from; nothing where that entry is missing."""
    before = LedgerEntry.objects.filter(show=show, position=position - 1)
    return before.values_list("digest", flat=True).first() or "" if position else GENESIS


def _explain_note(row: LedgerCheckpoint, keys: Iterable[VerifierKey], origin: str) -> str:
    """What is wrong with a stored note: it is signed by one of our keys, and says what its row says."""
    try:
        signed = parse_checkpoint(open_note(row.note, keys))
    except ValueError as error:
        return say("checkpoint {size}: {error}", size=row.size, error=error)
    if (signed.origin, signed.size, signed.root.hex()) != (origin, row.size, row.root):
        return say(
            "checkpoint {size}: its note is that of {origin} at {signed} entries",
            size=row.size,
            origin=signed.origin,
            signed=signed.size,
        )
    return ""


def _root(row: LedgerCheckpoint) -> bytes:
    try:
        return bytes.fromhex(row.root)
    except ValueError:  # somebody wrote what is no hex
        return b""


# --- what a pass has found ---


@dataclass
class Findings:
    """What is wrong first, of each kind."""

    entries: int = 0
    rows: int = 0
    signed: int = 0  # the size of the last checkpoint
    good: int = 0  # that of the last one of these entries
    bad: int = 0  # that of the first one that is not
    said: dict[str, str] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        if step.entry is not None:
            self.entries += 1
            self._say("chain", step.chain)
            self._say(
                "tree",
                ""
                if step.keeps_nodes
                else say("entry {position} keeps other nodes", position=step.entry.position),
            )
        if step.row is not None:
            self._take_row(step, step.row)

    def _take_row(self, step: Step, row: LedgerCheckpoint) -> None:
        self.rows, self.signed = self.rows + 1, row.size
        self._say("signatures", step.signature)
        before = 0 if step.before is None else step.before.size
        self._say(
            "consistency",
            ""
            if step.continues
            else say("checkpoint {size} does not continue checkpoint {before}", size=row.size, before=before),
        )
        if step.holds and not self.bad:
            self.good = row.size
        elif not self.bad:
            self.bad = row.size

    def _say(self, name: str, fault: str) -> None:
        if fault:
            self.said.setdefault(name, fault)

    def checks(self) -> list[Check]:
        entries, rows, signed = self.entries, self.rows, self.signed
        if self.bad:
            self._say("roots", explain_rewrite(entries, self.good, self.bad))
        if signed != entries:
            self._say(
                "latest",
                say(
                    "the latest checkpoint covers {signed} of {entries} entries",
                    signed=signed,
                    entries=entries,
                ),
            )
        return [
            check_guards(),
            self._check("chain", say("{entries} entries follow from one another", entries=entries)),
            self._check("tree", say("{entries} entries keep the nodes of their tree", entries=entries)),
            self._check("signatures", say("{rows} checkpoints, signed with our key", rows=rows)),
            self._check("roots", say("{rows} checkpoints are of these entries", rows=rows)),
            self._check("consistency", say("each of {rows} checkpoints continues the one before", rows=rows)),
            self._check(
                "latest",
                say(
                    "the latest checkpoint covers {signed} of {entries} entries",
                    signed=signed,
                    entries=entries,
                ),
            ),
        ]

    def _check(self, name: str, fine: str) -> Check:
        return Check(name, name not in self.said, self.said.get(name, fine))


def audit_ledger(show: Show, kept: Iterable[KeptNote] = (), *, start: int = 0) -> list[Check]:
    """Every check of one ledger, in one pass over all of it, or over the part from an entry on."""
    opened = sorted((_open(show, note) for note in kept), key=lambda row: row[1].size)
    roots = {checkpoint.size: "" for _, checkpoint, _ in opened}
    walk, findings = Walk(show, start), Findings(start)
    for step in walk.go(moment_of(show)):
        findings.take(step)
        if walk.number in roots:
            roots[walk.number] = walk.root(walk.number)
    return [*findings.checks(), *_check_kept(opened, roots, findings.entries)]


def check_guards() -> Check:
    missing = sorted({f"{guard.event.lower()} of {guard.table}" for guard in missing_guards(connection)})
    found = say(
        "not refused by the database: {missing}; migrate puts the triggers back", missing=", ".join(missing)
    )
    return Check("guards", not missing, found if missing else say("the database refuses changes"))


def explain_rewrite(entries: int, good: int, bad: int) -> str:
    """What differs, where the ledger is as it was signed at `good` entries and not as it was at `bad`."""
    if bad > entries:
        return say(
            "signed were {bad} entries, there are {entries}: the last ones were removed",
            bad=bad,
            entries=entries,
        )
    first, last = good, bad - 1
    if first == last:
        return say(
            "entry {first} is not the one that was signed: it was rewritten, or one was removed or added there",
            first=first,
        )
    return say(
        "one of the entries {first} to {last} is not the one that was signed: it was rewritten, or one was removed or "
        "added there",
        first=first,
        last=last,
    )


# --- checkpoints from outside ---


def _check_kept(
    opened: list[tuple[str, Checkpoint, str]], roots: dict[int, str], entries: int
) -> list[Check]:
    """They are signed by us, and the ledger of today continues each of them."""
    checks, good = [], 0
    for name, checkpoint, fault in opened:
        holds = not fault and roots[checkpoint.size] == checkpoint.root.hex()
        if not fault and not holds:
            fault = explain_rewrite(entries, good, checkpoint.size)
        good = checkpoint.size if holds else good
        fine = f"the {checkpoint.size} entries that it signed are still there"
        checks.append(Check(name, holds, fault or fine))
    return checks


def _open(show: Show, kept: KeptNote) -> tuple[str, Checkpoint, str]:
    """The name of the check, the checkpoint, and what is wrong with it by itself."""
    name = f"file {kept.name}"
    try:
        checkpoint = parse_checkpoint(open_note(kept.note, keys_of(show)))
    except ValueError as error:
        return name, NOTHING, str(error)
    expected = origin_of(show)
    wrong = (
        f"expected the ledger {expected}, got {checkpoint.origin}" if checkpoint.origin != expected else ""
    )
    return name, checkpoint, wrong
