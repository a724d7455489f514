"""The digests that fix a draw: rules, roll, seal, beacon, key (docs/draw.md, sections 1 to 6)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from engagement.core.digests import canonical_json, tagged_hash

QUICKNET_CHAIN = bytes.fromhex("52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971")
QUICKNET_GENESIS = 1692803367  # Unix seconds of round 1
QUICKNET_PERIOD = 3  # seconds
BEACON_KINDS = ("drand", "dice", "local")
MIN_DICE_THROWS, MAX_DICE_THROWS = 50, 400  # 6**50 > 2**128
NO_SEAL = bytes(32)  # stands for the seal before the first one of a show
MIN_SEAL_MARGIN_S = 15
HOUSE = "house"  # the party that always takes part


def rules_digest(rules: dict[str, Any]) -> bytes:
    """Return the 32-byte digest of a draw's rules (docs/draw.md, section 1).

    Rules of `shake-draw/v1` name no format, and keep their digest. ValueError where canonical JSON can't hold them.

    >>> rules_digest({"winners": 1}).hex()[:16]
    'cf9135956a831ad5'
    >>> rules_digest({"$format": "shake-draw/v2/rules", "winners": 1}).hex()[:16]
    '5fdab27ab9b07e0d'
    """
    return tagged_hash(f"{version_of(rules)}/rules", canonical_json(rules))


def version_of(rules: Mapping[str, Any]) -> str:
    """Return the version of a draw's rules, and so of all that is published of it (docs/draw.md, section 1).

    >>> version_of({}), version_of({"$format": "shake-draw/v2/rules"})
    ('shake-draw/v1', 'shake-draw/v2')
    """
    return str(rules.get("$format", "shake-draw/v1/rules")).removesuffix("/rules")


def exclusion_commitment(draw_id: str, excluded: Iterable[bytes]) -> bytes:
    """Return the 32-byte commitment to the set of excluded pseudonyms (docs/draw.md, section 1).

    It needs no secret of its own: a pseudonym can't be guessed without the show key.

    >>> one, two = b"a" * 14, b"b" * 14
    >>> exclusion_commitment("d", [two, one]) == exclusion_commitment("d", [one, two])
    True
    """
    return tagged_hash("shake-draw/v1/exclusions", draw_id.encode(), b"".join(sorted(set(excluded))))


def roll_digest(header: bytes, root: bytes) -> bytes:
    """Return the 32-byte digest of a roll from its 64-byte header and Merkle root (docs/draw.md, section 3).

    >>> len(roll_digest(bytes(64), bytes(32)))
    32
    """
    return tagged_hash("shake-draw/v1/roll", header, root)


def drand_round(t_freeze: int, seal_margin_s: int) -> int:
    """Return the drand round that a draw frozen at `t_freeze` waits for (docs/draw.md, section 4).

    It is the first of quicknet at or after `t_freeze + seal_margin_s`, in Unix seconds. ValueError for a
    margin below 15 s, or a freeze before the chain began.

    >>> drand_round(1692806304, 60), drand_round(1692806305, 60)
    (1000, 1001)
    """
    if seal_margin_s < MIN_SEAL_MARGIN_S:
        raise ValueError(f"expected a seal margin of at least {MIN_SEAL_MARGIN_S} s, got {seal_margin_s}")
    wait = t_freeze + seal_margin_s - QUICKNET_GENESIS
    if wait < 0:
        raise ValueError(f"expected a freeze after drand's genesis at {QUICKNET_GENESIS}, got {t_freeze}")
    return round_after(t_freeze + seal_margin_s)


def round_after(moment: int) -> int:
    """Return the first quicknet round that is due at or after this moment, in Unix seconds.

    >>> round_after(1692806364), round_after(1692806365)
    (1000, 1001)
    """
    return -(-(moment - QUICKNET_GENESIS) // QUICKNET_PERIOD) + 1


def drand_time(beacon_round: int) -> int:
    """Return when a quicknet round is due, in Unix seconds (docs/draw.md, section 4).

    >>> drand_time(1000)
    1692806364
    """
    return QUICKNET_GENESIS + (beacon_round - 1) * QUICKNET_PERIOD


def reveal_deadline_ms(kind: str, t_freeze: int, seal_margin_s: int, reveal_deadline_s: int) -> int:
    """Return until when a party may reveal its secret, in UTC ms (docs/draw.md, section 4).

    It is `reveal_deadline_s` before drand's round, or before the end of the margin where no round is waited for.

    >>> reveal_deadline_ms("drand", 1692806304, 60, 15), reveal_deadline_ms("dice", 1692806303, 60, 15)
    (1692806349000, 1692806348000)
    """
    round_number = beacon_round(kind, t_freeze, seal_margin_s)
    due = drand_time(round_number) if round_number else t_freeze + seal_margin_s
    return (due - reveal_deadline_s) * 1000


def beacon_round(kind: str, t_freeze: int, seal_margin_s: int) -> int:
    """Return the round that the seal names, 0 for dice and local (docs/draw.md, section 5).

    >>> beacon_round("dice", 1692806304, 60), beacon_round("drand", 1692806304, 60)
    (0, 1000)
    """
    return drand_round(t_freeze, seal_margin_s) if _known(kind) == "drand" else 0


def prior_digest(wins: Mapping[bytes, str], pending: Sequence[str]) -> bytes:
    """Return the 32-byte digest of the wins that a seal fixes (docs/draw.md, section 4).

    `wins` maps the pseudonyms of all who have won in the show until the seal to the draw id of their win; `pending` are
    the ids of the draws that were sealed before and are not drawn yet, in the order of their seals.

    >>> prior_digest({bytes(14): "d"}, []) == prior_digest({bytes(14): "e"}, [])
    False
    """
    rows = [{"pseudonym": name.hex(), "draw_id": draw_id} for name, draw_id in sorted(wins.items())]
    return tagged_hash("shake-draw/v2/prior", canonical_json({"wins": rows, "pending": list(pending)}))


class Sealed(NamedTuple):
    """What a seal fixes beside draw id, round and secrets: five digests of 32 bytes (docs/draw.md, section 4).

    `previous` is the seal that the show made before this one, or `NO_SEAL`.

    >>> Sealed(bytes(32), bytes(32), bytes(32), bytes(32), NO_SEAL).previous == NO_SEAL
    True
    """

    rules: bytes
    roll: bytes
    totals: bytes
    prior: bytes
    previous: bytes


def seal_digest(draw_id: str, fixed: Sealed, round_number: int, secrets: Sequence[bytes]) -> bytes:
    """Return the 32-byte seal (docs/draw.md, section 4).

    `secrets` has one field per party in the order of the rules: 32 bytes, or empty for a party that did not reveal.
    ValueError for any other length.

    >>> fixed = Sealed(bytes(32), bytes(32), bytes(32), bytes(32), NO_SEAL)
    >>> seal_digest("d", fixed, 0, [b"", b"short"])
    Traceback (most recent call last):
    ...
    ValueError: expected a secret of 32 bytes or none, got 5 bytes
    """
    for secret in secrets:
        if len(secret) not in (0, 32):
            raise ValueError(f"expected a secret of 32 bytes or none, got {len(secret)} bytes")
    return tagged_hash(
        "shake-draw/v2/seal", draw_id.encode(), *fixed, round_number.to_bytes(8, "big"), *secrets
    )


def beacon_id(kind: str) -> bytes:
    """Return the 32-byte identity of a beacon (docs/draw.md, section 5).

    It is the chain hash of drand quicknet, else a tagged hash of the kind. ValueError for an unknown kind.

    >>> beacon_id("drand").hex()[:8], beacon_id("dice") == tagged_hash("shake-draw/v1/beacon", b"dice")
    ('52db9ba7', True)
    """
    if _known(kind) == "drand":
        return QUICKNET_CHAIN
    return tagged_hash("shake-draw/v1/beacon", kind.encode())


def beacon_strength(kind: str) -> Literal["public", "rehearsal"]:
    """Return "public", or "rehearsal" where only the server vouches (docs/draw.md, section 5).

    >>> beacon_strength("dice"), beacon_strength("local")
    ('public', 'rehearsal')
    """
    return "rehearsal" if _known(kind) == "local" else "public"


def drand_value(signature: bytes) -> bytes:
    """Return the 32-byte randomness of a round's 48-byte signature (docs/draw.md, section 5).

    The signature itself must be verified elsewhere.

    >>> drand_value(bytes(48)).hex()[:8]
    '17b0761f'
    """
    if len(signature) != 48:
        raise ValueError(f"expected a signature of 48 bytes, got {len(signature)}")
    return hashlib.sha256(signature).digest()


def dice_value(digits: str) -> bytes:
    """Return the 32-byte value of at least 50 throws of a die, digits 1 to 6 (docs/draw.md, section 5).

    >>> dice_value("123")
    Traceback (most recent call last):
    ...
    ValueError: expected at least 50 throws, got 3
    """
    if len(digits) < MIN_DICE_THROWS:
        raise ValueError(f"expected at least {MIN_DICE_THROWS} throws, got {len(digits)}")
    if not set(digits) <= set("123456"):
        raise ValueError(f"expected digits 1 to 6 only, got {''.join(sorted(set(digits) - set('123456')))!r}")
    return hashlib.sha256(digits.encode("ascii")).digest()


def draw_key(seal: bytes, beacon: bytes, value: bytes) -> bytes:
    """Return the AES-256 key of the draw from seal, beacon id and value (docs/draw.md, section 6).

    All are 32 bytes; ValueError otherwise.

    >>> len(draw_key(bytes(32), beacon_id("local"), bytes(32)))
    32
    """
    for name, field in (("seal", seal), ("beacon id", beacon), ("beacon value", value)):
        if len(field) != 32:
            raise ValueError(f"expected a {name} of 32 bytes, got {len(field)}")
    return tagged_hash("shake-draw/v1/key", seal, beacon, value)


def audit_key(key: bytes) -> bytes:
    """Return the AES-256 key that picks the audit sample (docs/draw.md, section 6).

    >>> key = bytes.fromhex("484aff271ec4523125e12f2b9dfdf5d9c00c8d69914ff9d07135a88716d52834")
    >>> audit_key(key).hex()[:16]
    'edb94eb1d14c9aac'
    """
    return tagged_hash("shake-draw/v1/audit", key)


def _known(kind: str) -> str:
    if kind not in BEACON_KINDS:
        raise ValueError(f"expected a beacon of {', '.join(BEACON_KINDS)}, got {kind!r}")
    return kind
