"""Entries of a ledger as everybody may read them, and public statements made of them (docs/ledger.md, "Formats").

An entry names people by salted digests only. With its inclusion proof and a signed checkpoint it is a statement of the
organiser that anybody can hand on, and check with the ledger's public key alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engagement.core.digests import canonical_json, tagged_hash
from engagement.ledger.core.checkpoints import Checkpoint, VerifierKey, open_note, parse_checkpoint
from engagement.ledger.core.merkle import check_inclusion, leaf_hash

FORMAT = "shake-ledger/v2/statement"
STATEMENT_FIELDS = {"$format", "entry", "previous", "proof", "checkpoint"}
ENTRY_FIELDS = {
    "show": str,
    "position": int,
    "at": int,
    "by": str,
    "action": str,
    "reason": str,
    "details": dict,
}
SALT_BYTES, HASH_BYTES = 16, 32
LONGEST_PROOF = 64  # hashes: no tree has more leaves than 2**64
HEX = frozenset("0123456789abcdef")


class Statement(NamedTuple):
    """A statement that holds: what the entry says (the fields of `ENTRY_FIELDS`), and the signed root over it."""

    entry: Mapping[str, Any]
    checkpoint: Checkpoint


def person_digest(salt: bytes, name: str) -> str:
    """Return what stands for a person in an entry, 64 hex digits; the 16 bytes of salt are the auditors' to open it.

    >>> person_digest(bytes(16), "olga")[:16]
    'efdf405542a68786'
    """
    return tagged_hash("shake-ledger/v2/person", salt, name.encode()).hex()


def body_digest(previous: bytes, body: Mapping[str, Any]) -> bytes:
    """Return the 32-byte digest of an entry with this body, after the entry with the digest `previous`.

    ValueError for a body that has no canonical JSON.

    >>> body_digest(bytes(32), {"show": "gala"}).hex()[:16]
    '81fd74f27d4acc61'
    """
    return tagged_hash("shake-ledger/v2/entry", previous, canonical_json(dict(body)))


def build_statement(
    body: Mapping[str, Any], previous: bytes, proof: Sequence[bytes], note: str
) -> dict[str, Any]:
    """Return the public statement of an entry: JSON of exactly the fields that `check_statement` reads.

    `body` has the fields of `ENTRY_FIELDS`, `previous` are the 32 bytes of the digest before it, `proof` its inclusion
    proof (RFC 9162, 2.1.3) in the tree of the checkpoint that `note` signs.

    >>> sorted(build_statement({}, bytes(32), [], "a note"))
    ['$format', 'checkpoint', 'entry', 'previous', 'proof']
    """
    return {
        "$format": FORMAT,
        "entry": dict(body),
        "previous": previous.hex(),
        "proof": [node.hex() for node in proof],
        "checkpoint": note,
    }


def check_statement(value: object, keys: Iterable[VerifierKey]) -> Statement:
    """Return what a public statement says; ValueError names what does not hold.

    It is one of the organiser if its checkpoint is signed with one of `keys`, is of the show that the entry names, and
    the entry is in the signed tree at its position. That there is no other such entry is not shown by it.

    >>> from engagement.ledger.core.checkpoints import format_checkpoint, sign_note, verifier_key
    >>> body = {"show": "gala", "position": 0, "at": 1, "by": "00" * 32, "action": "seal", "reason": "", "details": {}}
    >>> root = leaf_hash(body_digest(bytes(32), body))
    >>> name = "example.com/gala"
    >>> note = sign_note(format_checkpoint(Checkpoint(name, 1, root)), name, bytes(32))
    >>> statement = build_statement(body, bytes(32), [], note)
    >>> check_statement(statement, [verifier_key(name, bytes(32))]).checkpoint.size
    1
    >>> statement["entry"]["at"] = 2
    >>> check_statement(statement, [verifier_key(name, bytes(32))])
    Traceback (most recent call last):
    ...
    ValueError: expected an entry under the signed root, got entry 0 of 1 with a proof that does not lead there
    """
    entry, previous, proof, note = _read(value)
    checkpoint = parse_checkpoint(open_note(note, keys))
    position, show = entry["position"], entry["show"]
    if checkpoint.origin.rpartition("/")[2] != show:
        raise ValueError(f"expected a checkpoint of {show}, got one of {checkpoint.origin}")
    leaf = leaf_hash(body_digest(previous, entry))
    if not check_inclusion(leaf, position, checkpoint.size, proof, checkpoint.root):
        place = f"entry {position} of {checkpoint.size}"
        raise ValueError(
            f"expected an entry under the signed root, got {place} with a proof that does not lead there"
        )
    return Statement(entry, checkpoint)


def _read(value: object) -> tuple[dict[str, Any], bytes, list[bytes], str]:
    """Entry, digest before it, proof and note of what has the form of a statement."""
    if not isinstance(value, dict) or set(value) != STATEMENT_FIELDS or value["$format"] != FORMAT:
        raise ValueError(f"expected a statement {FORMAT} with its fields and no others")
    entry, proof, note = value["entry"], value["proof"], value["checkpoint"]
    if not isinstance(proof, list) or len(proof) > LONGEST_PROOF or not isinstance(note, str):
        raise ValueError(f"expected a proof of at most {LONGEST_PROOF} hashes and a signed note")
    return _read_entry(entry), _hash(value["previous"]), [_hash(node) for node in proof], note


def _read_entry(entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict) or set(entry) != set(ENTRY_FIELDS):
        raise ValueError(f"expected an entry of {', '.join(ENTRY_FIELDS)}")
    for name, kind in ENTRY_FIELDS.items():
        if type(entry[name]) is not kind:  # a bool is no number
            raise ValueError(f"expected {name} to be {kind.__name__}, got {type(entry[name]).__name__}")
    _hash(entry["by"])
    return entry


def _hash(text: object) -> bytes:
    """32 bytes from their one form in hex."""
    if not isinstance(text, str) or len(text) != 2 * HASH_BYTES or not HEX.issuperset(text):
        raise ValueError(f"expected {2 * HASH_BYTES} lower-case hex digits, got {str(text)[:70]!r}")
    return bytes.fromhex(text)
