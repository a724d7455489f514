"""Canaries: passes of a notary whose entries have to be in the roll (docs/ledger.md, "Canaries").

They are taken as any viewer takes one, so that the organiser cannot tell them from others. Before the freeze the notary
commits to their pseudonyms; after the publication he opens the commitment, with what the phones were told.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engagement.core.digests import PSEUDONYM_BYTES, SECRET_BYTES, canonical_json, tagged_hash

MOST_CANARIES = 100
LONGEST_NAME = 60
LARGEST_TOTAL = 2**32 - 1
HEX = frozenset("0123456789abcdef")


class Canary(NamedTuple):
    """A viewer of a notary's, in hex, and the total that its phone was told last; 0 where it was told none."""

    pseudonym: str
    total: int


def canaries_commitment(show: str, name: str, salt: bytes, pseudonyms: Iterable[str]) -> bytes:
    """Return the 32-byte commitment of `name` to some viewers of a show (28 hex digits each); the salt has 32 bytes.

    ValueError for another salt, for what are no pseudonyms, for one that is named twice, and for none or over 100.

    >>> one, two = "00" * 14, "11" * 14
    >>> canaries_commitment("gala", "notary", bytes(32), [two, one]).hex()[:16]
    'dd822a51a1fdcf3b'
    """
    if len(salt) != SECRET_BYTES:
        raise ValueError(f"expected a salt of {SECRET_BYTES} bytes, got {len(salt)}")
    named = sorted(pseudonyms)
    if not 1 <= len(named) <= MOST_CANARIES or len(set(named)) != len(named):
        raise ValueError(f"expected 1 to {MOST_CANARIES} different pseudonyms, got {len(named)}")
    if wrong := next((name for name in named if not _is_hex(name, PSEUDONYM_BYTES)), ""):
        raise ValueError(f"expected pseudonyms of {2 * PSEUDONYM_BYTES} hex digits, got {wrong!r}"[:200])
    return tagged_hash("shake-ledger/v2/canaries", show.encode(), name.encode(), salt, canonical_json(named))


def describe_canaries(canaries: Iterable[Canary]) -> list[dict[str, Any]]:
    """Canaries as an entry has them, sorted.

    >>> describe_canaries([Canary("00" * 14, 87)])
    [{'pseudonym': '0000000000000000000000000000', 'total': 87}]
    """
    return [canary._asdict() for canary in sorted(canaries)]


def parse_canaries(rows: Any) -> list[Canary]:
    """The inverse of `describe_canaries`, in any order; ValueError for anything else.

    >>> parse_canaries([{"pseudonym": "00" * 14, "total": 87}])
    [Canary(pseudonym='0000000000000000000000000000', total=87)]
    """
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise ValueError("expected a list of canaries, each with pseudonym and total")
    return [Canary(row["pseudonym"], row["total"]) for row in rows]


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or set(row) != {"pseudonym", "total"}:
        return False
    whole = type(row["total"]) is int and 0 <= row["total"] <= LARGEST_TOTAL
    return whole and _is_hex(row["pseudonym"], PSEUDONYM_BYTES)


def _is_hex(text: Any, length: int) -> bool:
    return isinstance(text, str) and len(text) == 2 * length and set(text) <= HEX


def explain_opening(show: str, committed: Mapping[str, Any], salt: bytes, canaries: Sequence[Canary]) -> str:
    """Why these canaries do not open a commitment (the details of an entry `canaries`); "" where they do.

    >>> made = canaries_commitment("gala", "notary", bytes(32), ["00" * 14]).hex()
    >>> committed = {"name": "notary", "count": 1, "commitment": made}
    >>> explain_opening("gala", committed, bytes(32), [Canary("00" * 14, 87)])
    ''
    >>> explain_opening("gala", committed, bytes(32), [Canary("11" * 14, 87)])
    'the salt and these pseudonyms do not fit the commitment'
    """
    try:
        found = canaries_commitment(show, committed["name"], salt, (row.pseudonym for row in canaries))
    except ValueError as error:
        return str(error)
    if found.hex() != committed["commitment"]:
        return "the salt and these pseudonyms do not fit the commitment"
    return "" if committed["count"] == len(canaries) else "the commitment is to another number of canaries"
