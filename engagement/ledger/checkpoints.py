"""Signs the whole ledger after each entry: a checkpoint, which anybody can keep to show later that nothing before it
was changed (docs/ledger.md).
"""

import logging

from django.conf import settings

from engagement.ledger.core.checkpoints import (
    Checkpoint,
    VerifierKey,
    format_checkpoint,
    sign_note,
    verifier_key,
)
from engagement.ledger.core.merkle import GrowingTree, Node, full_nodes
from engagement.ledger.tree import leaf_of, pack_nodes, read_nodes
from engagement.models import LedgerCheckpoint, LedgerEntry, Show

log = logging.getLogger(__name__)


def origin_of(show: Show) -> str:
    """Which ledger this is, in the whole world: the first line of its checkpoints, and the name of its key."""
    return f"{settings.LEDGER_NAME}/{show.slug}"


def keys_of(show: Show) -> list[VerifierKey]:
    """The public keys of a show's checkpoints; the first one is that which signs now."""
    return [verifier_key(origin_of(show), seed) for seed in settings.LEDGER_KEYS]


def sign_text(show: Show, text: str) -> str:
    """A signed note of the organiser: text that ends with a newline, under the key of the show's checkpoints."""
    return sign_note(text, origin_of(show), settings.LEDGER_KEYS[0])


class Growth:
    """A ledger on its way to one more entry: its tree, and the last checkpoint of it."""

    def __init__(self, show: Show, last: LedgerEntry | None) -> None:
        self.show, self.size = show, 0 if last is None else last.position + 1
        self.signed = newest_checkpoint(show)
        signed = 0 if self.signed is None else self.signed.size
        wanted = {*full_nodes(self.size), *full_nodes(signed), *([Node(0, self.size - 1)] if last else [])}
        self.tree = GrowingTree(self.size, read_nodes(show, wanted))
        self.continues = self._continues(last)

    def _continues(self, last: LedgerEntry | None) -> bool:
        """Whether it still is the ledger that was signed, and its end what the tree was made of."""
        try:
            signed = self.signed is None or self.tree.root(self.signed.size).hex() == self.signed.root
            return signed and (last is None or self.tree.leaf(self.size - 1) == leaf_of(last.digest))
        except (KeyError, ValueError):  # entries or nodes are missing
            return False

    def add(self, digest: str) -> str:
        """The nodes that the new entry keeps; none where the tree has lost what they are made from."""
        try:
            return pack_nodes(self.tree.append(leaf_of(digest)))
        except KeyError:
            self.continues = False
            return ""

    def sign(self, now: int) -> LedgerCheckpoint | None:
        """Signs the ledger with the new entry; None where it is no longer the one that was signed before.

        "A log MUST not sign any checkpoint which is inconsistent with any checkpoint it previously signed" (C2SP
        tlog-checkpoint). The show goes on; what is missing from here on, and why, stands on the auditor's page.
        """
        show, size = self.show, len(self.tree)
        try:
            root = self.tree.root(size) if self.continues else None
        except KeyError:
            root = None
        if root is None:
            signed = self.signed.size if self.signed else 0
            log.error(
                "The ledger of %s is not the one that was signed at %d entries: no checkpoint.",
                show.slug,
                signed,
            )
            return None
        text = format_checkpoint(Checkpoint(origin_of(show), size, root))
        note = sign_text(show, text)
        return LedgerCheckpoint.objects.create(show=show, size=size, root=root.hex(), note=note, at_ms=now)


def note_of_all(show: Show) -> str:
    """The checkpoint of all entries that there are; "" where the ledger was damaged and is not signed any more."""
    entries = LedgerEntry.objects.filter(show=show).order_by("-position")
    last: int | None = entries.values_list("position", flat=True).first()
    signed = newest_checkpoint(show)
    return signed.note if signed is not None and last == signed.size - 1 else ""


def newest_checkpoint(show: Show) -> LedgerCheckpoint | None:
    found: LedgerCheckpoint | None = LedgerCheckpoint.objects.filter(show=show).order_by("-size").first()
    return found
