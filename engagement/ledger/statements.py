"""Public statements: the entries that everybody may read, each with its inclusion proof and a signed checkpoint."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from engagement.core.digests import canonical_json
from engagement.ledger.append import entry_body
from engagement.ledger.checkpoints import newest_checkpoint
from engagement.ledger.core.merkle import GrowingTree, grow_tree
from engagement.ledger.core.statements import build_statement
from engagement.ledger.tree import ask_tree, leaf_of
from engagement.ledger.witnessed import WholeNote, whole_note
from engagement.models import LedgerCheckpoint, LedgerEntry, Show
from engagement.refusals import Refused

AT_ONCE = 50

WON_ELSEWHERE = "won in another draw"

PUBLIC_ACTIONS = frozenset({
    # what is promised, and who may take part
    "change", "arm", "gateway key", "exclude", "include",
    # the window and the roll
    "open", "opened", "close", "closing", "void", "fence", "fence again", "freeze", "spoil", "ask repeat", "repeat",
    # what was seen on air
    "cue", "counts", "uncounted", "canaries", "canaries opened",
    # secrets, seal, beacon
    "reveal", "reveal refused", "absent", "seal", "dice typed", "beacon", "beacon refused",
    # the draw and what became of the prizes
    "draw", "start", "drawn", "disagreement", "name", "publish", "claim", "forfeit", "disqualify", "move up",
    "skip reserve",
    # the installation
    "restore", "open key", "destroy key", "revoke", "forget",
    # two people
    "ask approval", "approve", "refuse approval",
})  # fmt: skip


GATEWAY_KEY = "gateway key"


def find_gateway_key(show: Show, gateway: str) -> int | None:
    """The position of the entry that has the key of a gateway, or None."""
    name = canonical_json({"gateway": gateway}).decode()[1:-1]
    found = LedgerEntry.objects.filter(show=show, action=GATEWAY_KEY, details__contains=name)
    return found.order_by("position").values_list("position", flat=True).first()


def statement(show: Show, position: int, size: int | None = None) -> dict[str, Any]:
    """The public statement of the entry at this position, under the checkpoint of so many entries or the newest one.

    Refused: `not_public` for entries that only auditors read, and for those from before people were salted in them.
    """
    row = _signed(show, size)
    return statement_under(row, whole_note(row), position)


def statement_under(row: LedgerCheckpoint, note: WholeNote, position: int) -> dict[str, Any]:
    """The statement of an entry under this checkpoint, with the cosignatures that there are."""
    if position >= row.size:
        raise Refused(
            404, "not_there_yet", f"the checkpoint is of {row.size} entries, asked for was {position}"
        )
    entry = LedgerEntry.objects.filter(show=row.show_id, position=position).first()
    if entry is not None and not is_public(entry):
        raise Refused(404, "not_public", f"entry {position} is for auditors")
    try:
        if entry is None:
            raise KeyError(position)
        proof = ask_tree(row.show, row.size, lambda tree: tree.inclusion_proof(position, row.size))
        return _build(row.show, entry, proof, note)
    except (
        KeyError,
        ValueError,
    ):  # somebody has removed or changed entries: the checks of the ledger say which
        raise Refused(404, "no_proof", "the ledger has lost what the proof is made from") from None


def prove_entries(show: Show, positions: Iterable[int], size: int) -> list[dict[str, Any]]:
    """These entries with their inclusion proofs in the tree of so many entries, in order; two queries.

    KeyError where the ledger has lost one of them, or what the proofs are made from.
    """
    wanted = sorted(set(positions))
    entries = {row.position: row for row in LedgerEntry.objects.filter(show=show, position__in=wanted)}
    proofs = ask_tree(show, size, lambda tree: [tree.inclusion_proof(at, size) for at in wanted])
    for entry in entries.values():
        entry.show = show  # as it is there already
    return [
        {
            "entry": entry_body(entries[at]),
            "previous": entries[at].previous,
            "proof": [node.hex() for node in proof],
        }
        for at, proof in zip(wanted, proofs, strict=True)
    ]


def is_public(entry: LedgerEntry) -> bool:
    """Whether everybody may read what an entry says.

    Who has won elsewhere forfeits as soon as it is drawn: that would name a winner before the stage does. The record
    has it, once it is published.
    """
    named_early = entry.action == "forfeit" and entry.reason == WON_ELSEWHERE
    return entry.action in PUBLIC_ACTIONS and entry.salt != "" and not named_early


def list_statements(row: LedgerCheckpoint, note: WholeNote, after: int) -> dict[str, Any]:
    """The next public statements behind a position, `AT_ONCE` at most, under one checkpoint; and where to go on."""
    show = row.show
    public = LedgerEntry.objects.filter(show=show, action__in=PUBLIC_ACTIONS).exclude(salt="")
    found = public.exclude(action="forfeit", reason=WON_ELSEWHERE).order_by("position")  # as is_public says
    entries = list(found.filter(position__gt=min(after, row.size), position__lt=row.size)[: AT_ONCE + 1])
    shown, more = entries[:AT_ONCE], len(entries) > AT_ONCE

    def prove(tree: GrowingTree) -> list[list[bytes]]:
        return [tree.inclusion_proof(entry.position, row.size) for entry in shown]

    try:
        proofs = ask_tree(show, row.size, prove)
        rows = [_build(show, entry, proof, note) for entry, proof in zip(shown, proofs, strict=True)]
    except (KeyError, ValueError):
        raise Refused(404, "no_proof", "the ledger has lost what the proofs are made from") from None
    return {"size": row.size, "statements": rows, "next": shown[-1].position if more else None}


def state_all(entries: Sequence[LedgerEntry], note: str, size: int) -> list[dict[str, Any]]:
    """Every public one of these entries, which are those of a whole ledger in order, under the checkpoint in `note`.

    The proofs are made from the entries as they are now: where that is not what was signed, they lead elsewhere, and an
    entry that cannot be read any more has no statement. KeyError where there are fewer entries than were signed.
    """
    if len(entries) < size:
        raise KeyError(len(entries))
    tree = grow_tree(leaf_of(entry.digest) for entry in entries[:size])
    rows = []
    for position, entry in enumerate(entries[:size]):
        if is_public(entry):
            with suppress(ValueError):
                body, previous = entry_body(entry), bytes.fromhex(entry.previous)
                rows.append(build_statement(body, previous, tree.inclusion_proof(position, size), note))
    return rows


def _build(show: Show, entry: LedgerEntry, proof: list[bytes], note: WholeNote) -> dict[str, Any]:
    entry.show = show  # as it is there already
    return build_statement(entry_body(entry), bytes.fromhex(entry.previous), proof, note.text)


def _signed(show: Show, size: int | None) -> LedgerCheckpoint:
    """The checkpoint of so many entries, or the newest one."""
    row = newest_checkpoint(show) if size is None else _checkpoint(show, size)
    if row is None:
        raise no_checkpoint(size)
    row.show = show  # as it is there already
    return row


def no_checkpoint(size: int | None) -> Refused:
    asked = "any entries" if size is None else f"{size} entries"
    return Refused(404, "no_checkpoint", f"there is no checkpoint of {asked}")


def _checkpoint(show: Show, size: int) -> LedgerCheckpoint | None:
    found: LedgerCheckpoint | None = LedgerCheckpoint.objects.filter(show=show, size=size).first()
    return found
