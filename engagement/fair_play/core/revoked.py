"""Revoked passes: those of a viewer, or all of a kind that were given before a time. Pure."""

from collections.abc import Iterable

from engagement.core.show_state import Revocation

MOST_REVOCATIONS = 1_000  # of a show: they are in the document of its state


class Revoked:
    """The revocations of a show, for many look-ups.

    >>> revoked = Revoked([Revocation(viewer="ab" * 14), Revocation(kind="guest", before=5_000)])
    >>> revoked.has(b"\\xab" * 14, "app", 9_000), revoked.has(bytes(14), "guest", 4_999)
    (True, True)
    >>> revoked.has(bytes(14), "guest", 5_000), revoked.has(bytes(14), "work", 1)
    (False, False)
    """

    def __init__(self, revocations: Iterable[Revocation] = ()) -> None:
        rows = list(revocations)
        self._viewers = frozenset(bytes.fromhex(row.viewer) for row in rows if row.viewer)
        self._before: dict[str, int] = {}  # by kind; "" is every kind
        for row in rows:
            if not row.viewer:
                self._before[row.kind] = max(row.before, self._before.get(row.kind, 0))

    def has(self, viewer: bytes, kind: str, issued_at: int) -> bool:
        """Return whether a pass of this viewer (14 bytes) and kind, first given at `issued_at` (UTC ms), is revoked."""
        before = max(self._before.get(kind, 0), self._before.get("", 0))
        return issued_at < before or viewer in self._viewers
