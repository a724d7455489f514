"""Stubs: what a phone was told is counted, signed by the gateway that told it (docs/protocol.md, "Stubs").

One signature covers a whole batch: it is over the root of the Merkle tree of RFC 9162 whose leaves are the batch's
stubs, and each phone gets its own leaf with the proof that leads to that root.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from engagement.core.digests import canonical_json, parse_canonical, tagged_hash
from engagement.ledger.core.merkle import build_levels, leaf_hash, node_hash

FORMAT = "shake-stub/v1"
LEAF_TAG, BATCH_TAG = f"{FORMAT}/leaf", f"{FORMAT}/batch"
KEY_BYTES = 32
BLIND_BYTES = 16
LONGEST_STUB = 4_096  # bytes
LONGEST_NAME = 200  # characters of a show, a segment, a gateway
MOST_IN_A_BATCH = 1 << 20
MOST_MS = 2**53  # JavaScript counts no further

_TEXTS = ("gateway", "segment", "show")
_HEX = {"blind": 2 * BLIND_BYTES, "pseudonym": 28}  # digits
_MOST = {"at": MOST_MS, "total": 2**32 - 1}
_LEAF = {*_TEXTS, *_HEX, *_MOST}
_PROVING = {"$format", "index", "proof", "signature", "size"}
_DIGITS = re.compile("[0-9a-f]*")
# The points of small order, without their sign (libsodium's list): with such a key anybody can sign anything.
_WEAK_KEYS = frozenset(
    map(
        bytes.fromhex,
        (
            "00" * 32,
            "01" + "00" * 31,
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ec" + "ff" * 30 + "7f",
            "ed" + "ff" * 30 + "7f",
            "ee" + "ff" * 30 + "7f",
        ),
    )
)


class Batch(NamedTuple):
    """What all stubs of a batch share: the show's slug, the segment's key, the gateway's name, the time in ms."""

    show: str
    segment: str
    gateway: str
    at: int


def leaf_of(stub: Mapping[str, Any]) -> bytes:
    """Return what stands in the tree for a stub: `TH("shake-stub/v1/leaf", canonical JSON of what it says)`, 32 bytes.

    `blind` is random: the neighbours in the tree cannot find a viewer's total by trying all of them.

    >>> facts = {"at": 99, "gateway": "g", "pseudonym": "00" * 14, "segment": "7-ab", "show": "gala", "total": 41}
    >>> leaf_of(facts | {"blind": "00" * 16, "index": 5}).hex()[:16]
    'dc35dffafa470c84'
    """
    return tagged_hash(LEAF_TAG, canonical_json({name: stub[name] for name in _LEAF}))


def batch_message(key: bytes, root: bytes, size: int) -> bytes:
    """Return the 32 bytes that a gateway signs: `TH("shake-stub/v1/batch", key, root, BE32(size))`.

    >>> batch_message(bytes(32), bytes(32), 3).hex()[:16]
    'b7e9ea8cf19aca4c'
    """
    return tagged_hash(BATCH_TAG, key, root, size.to_bytes(4, "big"))


def sign_batch(
    batch: Batch, totals: Mapping[bytes, int], blinds: bytes, key: bytes, sign: Callable[[bytes], bytes]
) -> list[str]:
    """Return a stub for each viewer in `totals` (pseudonym -> total), in that order, as canonical JSON.

    `blinds` are 16 random bytes for each, `key` is the public key of the gateway; `sign` is called once.

    >>> two = {b"a" * 14: 41, b"b" * 14: 7}
    >>> stubs = sign_batch(Batch("gala", "7-ab", "g", 99), two, bytes(32), bytes(32), lambda message: 2 * message)
    >>> parse_stub(stubs[1].encode())["total"]
    7
    """
    # Thousands of phones wait for these: each part of a text is made once.
    show, segment, gateway = (canonical_json(text).decode() for text in batch[:3])
    facts = [
        (
            f'"at":{batch.at},"blind":"{blinds[start : start + BLIND_BYTES].hex()}","gateway":{gateway},',
            f'"pseudonym":"{viewer.hex()}","segment":{segment},"show":{show},',
            f'"total":{total}}}',
        )
        for start, (viewer, total) in zip(range(0, len(blinds), BLIND_BYTES), totals.items(), strict=True)
    ]
    levels = build_levels([leaf_hash(tagged_hash(LEAF_TAG, "".join(("{", *row)).encode())) for row in facts])
    signature = sign(batch_message(key, levels[-1][0], len(facts))).hex()
    proofs = _quote_proofs(levels)
    return [
        f'{{"$format":"{FORMAT}",{when}"index":{index},"proof":[{proof}],{who}"signature":"{signature}",'
        f'"size":{len(facts)},{what}'
        for index, ((when, who, what), proof) in enumerate(zip(facts, proofs, strict=True))
    ]


def _quote_proofs(levels: list[list[bytes]]) -> list[str]:
    """Of each leaf the hashes of its inclusion proof, as JSON; neighbours share all but the first of them."""
    above = [""]
    for level in reversed(levels[:-1]):
        quoted = [f'"{node.hex()}"' for node in level]
        # Two nodes have each other as siblings, an odd last one has none and stands for itself in the level above.
        above = [
            _join(quoted[index ^ 1], above[index >> 1]) if index ^ 1 < len(level) else above[index >> 1]
            for index in range(len(level))
        ]
    return above


def _join(first: str, rest: str) -> str:
    return f"{first},{rest}" if rest else first


def parse_stub(data: bytes) -> dict[str, Any]:
    """Parse a stub: canonical JSON with exactly its fields, each in its range; ValueError says what else came.

    >>> parse_stub(b'{"$format":"shake-stub/v1"}')
    Traceback (most recent call last):
    ...
    ValueError: expected the fields of a stub, got ['$format']
    """
    if len(data) > LONGEST_STUB:
        raise ValueError(f"expected a stub of at most {LONGEST_STUB} bytes, got {len(data)}")
    stub = parse_canonical(data)
    if not isinstance(stub, dict) or stub.keys() != _LEAF | _PROVING:
        raise ValueError(
            f"expected the fields of a stub, got {sorted(stub) if isinstance(stub, dict) else stub!r}"
        )
    if stub["$format"] != FORMAT:
        raise ValueError(f"$format: expected {FORMAT}, got {stub['$format']!r}")
    for name in _TEXTS:
        _require(name, isinstance(stub[name], str) and 0 < len(stub[name]) <= LONGEST_NAME, stub)
    for name, digits in {**_HEX, "signature": 128}.items():
        _require(name, _is_hex(stub[name], digits), stub)
    for name, most in _MOST.items():
        _require(name, _is_number(stub[name], most), stub)
    _require("size", _is_number(stub["size"], MOST_IN_A_BATCH) and stub["size"] > 0, stub)
    _require("index", _is_number(stub["index"], stub["size"] - 1), stub)
    _require(
        "proof", isinstance(stub["proof"], list) and all(_is_hex(row, 64) for row in stub["proof"]), stub
    )
    return stub


def _require(name: str, holds: bool, stub: Mapping[str, Any]) -> None:
    if not holds:
        raise ValueError(f"{name}: this is not one of a stub: {str(stub[name])[:80]!r}")


def _is_hex(value: Any, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and _DIGITS.fullmatch(value) is not None


def _is_number(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def root_of(stub: Mapping[str, Any]) -> bytes:
    """Return the root to which the proof of a parsed stub leads: RFC 9162 2.1.3.2; ValueError where it leads nowhere.

    >>> facts = {"at": 99, "gateway": "g", "pseudonym": "00" * 14, "segment": "7-ab", "show": "gala", "total": 41}
    >>> root_of(facts | {"blind": "00" * 16, "index": 0, "size": 2, "proof": ["11" * 32]}).hex()[:16]
    'e79a56f88fb75198'
    """
    fn, sn, root = stub["index"], stub["size"] - 1, leaf_hash(leaf_of(stub))
    for sibling in map(bytes.fromhex, stub["proof"]):
        if sn == 0:
            break
        if fn & 1 or fn == sn:
            root = node_hash(sibling, root)
            while not fn & 1 and fn:  # "right-shift both ... until either LSB(fn) is set or fn is 0"
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, sibling)
        fn, sn = fn >> 1, sn >> 1
    else:
        if sn == 0:
            return root
    raise ValueError(f"proof: {len(stub['proof'])} hashes are not the proof of one of {stub['size']} stubs")


def check_stub(stub: Mapping[str, Any], key: bytes) -> None:
    """Check a parsed stub against the public key of its gateway, 32 bytes; ValueError says what is wrong.

    Whether that key is this gateway's, for this show, is what the ledger says: its entry `gateway key`.

    >>> [text] = sign_batch(Batch("gala", "7-ab", "g", 99), {bytes(14): 41}, bytes(16), bytes(32), lambda _: bytes(64))
    >>> check_stub(parse_stub(text.encode()), bytes([9]) * 32)
    Traceback (most recent call last):
    ...
    ValueError: signature: it is not that of this key
    """
    message = batch_message(key, root_of(stub), stub["size"])
    if key[:-1] + bytes([key[-1] & 0x7F]) in _WEAK_KEYS:
        raise ValueError("signature: with this key anybody can sign")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(stub["signature"]), message)
    except (InvalidSignature, ValueError):  # or these 32 bytes are no key
        raise ValueError("signature: it is not that of this key") from None
