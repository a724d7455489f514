"""Tagged hashes, canonical JSON and pseudonyms (docs/draw.md, "Notation" and sections 1 and 2).

They live on the live side because gateways name viewers by pseudonym; the draw side builds on them.
"""

import hashlib
import json
from typing import Any

PSEUDONYM_BYTES = 14
SECRET_BYTES = 32


def tagged_hash(tag: str, *fields: bytes) -> bytes:
    """Return `SHA-256(BE16(len tag) || tag || BE32(len f) || f ...)`, 32 bytes (docs/draw.md, "Notation").

    Every field carries its length, so two different lists of fields never give the same input.

    >>> key = bytes.fromhex("484aff271ec4523125e12f2b9dfdf5d9c00c8d69914ff9d07135a88716d52834")
    >>> tagged_hash("shake-draw/v1/audit", key).hex()[:16]
    'edb94eb1d14c9aac'
    """
    name = tag.encode()
    digest = hashlib.sha256(len(name).to_bytes(2, "big") + name)
    for field in fields:
        digest.update(len(field).to_bytes(4, "big"))
        digest.update(field)
    return digest.digest()


def canonical_json(value: Any) -> bytes:
    """Encode as the one canonical form (docs/draw.md, "Notation"): UTF-8, sorted keys, no spaces, no floats.

    Strings are written as they are; only `"`, `\\` and the control characters below U+0020 are escaped.
    Raises ValueError for floats, keys that are not strings, text that is not Unicode and any other type.

    >>> canonical_json({"b": [1, True, None], "a": "é"}).decode()
    '{"a":"é","b":[1,true,null]}'
    >>> canonical_json(0.5)
    Traceback (most recent call last):
    ...
    ValueError: expected integers only, got the float 0.5
    """
    try:
        _refuse_foreign(value)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except RecursionError:
        raise ValueError("expected a value of moderate depth, got one nested too deeply") from None


def _refuse_foreign(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError(f"expected integers only, got the float {value!r}")
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise ValueError(f"expected string keys, got the key {key!r}")
            _refuse_foreign(member)
    elif isinstance(value, list | tuple):
        for member in value:
            _refuse_foreign(member)
    elif value is not None and not isinstance(value, str | int):
        raise ValueError(f"expected a value that JSON can hold, got {type(value).__name__}")


def parse_canonical(data: bytes) -> Any:
    """Parse canonical JSON, the inverse of `canonical_json`; every other form of the same value is refused.

    Raises ValueError for duplicate keys, floats, NaN, bad UTF-8 and any byte that re-encoding would change.

    >>> parse_canonical(b'{"a":1}')
    {'a': 1}
    >>> parse_canonical(b'{"a": 1}')
    Traceback (most recent call last):
    ...
    ValueError: expected canonical JSON, got another form of the same value
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except RecursionError:
        raise ValueError("expected a value of moderate depth, got one nested too deeply") from None
    if canonical_json(value) != data:
        raise ValueError("expected canonical JSON, got another form of the same value")
    return value


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("expected each key once, got a duplicate key")
    return members


def _refuse_number(text: str) -> Any:
    raise ValueError(f"expected integers only, got {text}")


def derive_salt(k_show: bytes, show_id: str, uid: int) -> bytes:
    """Return the viewer's 32-byte salt, told to that viewer only (docs/draw.md, section 2).

    `k_show` is the 32-byte show key; `uid` the host app's internal id, 0 .. 2**64 - 1 (ValueError otherwise).

    >>> derive_salt(bytes(range(32)), "gala-2026", 1001).hex()[:16]
    'fda93054b7a2888f'
    """
    return tagged_hash("shake-draw/v1/salt", _key(k_show), show_id.encode(), _uid(uid))


def derive_pseudonym(show_id: str, uid: int, salt: bytes) -> bytes:
    """Return the viewer's pseudonym in this show, 14 bytes (docs/draw.md, section 2).

    >>> derive_pseudonym("gala-2026", 1001, derive_salt(bytes(range(32)), "gala-2026", 1001)).hex()
    '7d2b9ad16a51a6099939d32fb499'
    """
    return tagged_hash("shake-draw/v1/pseudonym", show_id.encode(), _uid(uid), salt)[:PSEUDONYM_BYTES]


def commit(scope: str, name: str, secret: bytes) -> bytes:
    """Return the 32-byte commitment to a secret of 32 bytes (docs/draw.md, section 1).

    `scope` and `name` are the draw id and the party's name, or the show id and "k_show".

    >>> commit("gala-2026/seg-1/draw-1", "operator", bytes([0xA5]) * 32).hex()[:16]
    '8053c60be7bf4fe8'
    """
    return tagged_hash("shake-draw/v1/commit", scope.encode(), name.encode(), _key(secret))


def key_fingerprint(show_id: str, k_show: bytes) -> str:
    """Return what tells the 32-byte key of a show from every other one: 16 hex digits, the beginning of its commitment.

    >>> key_fingerprint("gala-2026", bytes(range(32)))
    '4adb7d8991fb5a57'
    """
    return commit(show_id, "k_show", k_show).hex()[:16]


def _key(secret: bytes) -> bytes:
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"expected a secret of {SECRET_BYTES} bytes, got {len(secret)}")
    return secret


def _uid(uid: int) -> bytes:
    if not 0 <= uid < 1 << 64:
        raise ValueError(f"expected a uid of 0 .. 2**64 - 1, got {uid}")
    return uid.to_bytes(8, "big")
