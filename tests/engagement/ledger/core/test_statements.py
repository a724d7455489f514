"""Public statements: what is signed is told, and nothing else is."""

import copy
from typing import Any

import pytest

from engagement.ledger.core.checkpoints import Checkpoint, format_checkpoint, sign_note, verifier_key
from engagement.ledger.core.merkle import grow_tree, leaf_hash
from engagement.ledger.core.statements import (
    ENTRY_FIELDS,
    FORMAT,
    body_digest,
    build_statement,
    check_statement,
    person_digest,
)

NAME, SEED = "example.com/gala", bytes(32)
KEYS = [verifier_key(NAME, SEED)]


def make_body(position: int, **changes: Any) -> dict[str, Any]:
    body = {
        "show": "gala",
        "position": position,
        "at": 1_000 + position,
        "by": person_digest(bytes(16), "olga"),
        "action": "seal",
        "reason": "",
        "details": {"draw": "gala/seg-1/draw-1", "number": position},
    }
    return body | changes


def make_statement(position: int, size: int, name: str = NAME, **changes: Any) -> dict[str, Any]:
    """The statement of one entry of a ledger of `size` entries."""
    digest, befores, leaves = bytes(32), [], []
    for number in range(size):
        befores.append(digest)
        digest = body_digest(digest, make_body(number, **changes))
        leaves.append(leaf_hash(digest))
    tree = grow_tree(leaves)
    note = sign_note(format_checkpoint(Checkpoint(name, size, tree.root(size))), NAME, SEED)
    proof = tree.inclusion_proof(position, size)
    return build_statement(make_body(position, **changes), befores[position], proof, note)


@pytest.mark.parametrize(("position", "size"), [(0, 1), (0, 7), (3, 7), (6, 7), (4, 8)])
def test_what_was_signed_is_told_with_its_checkpoint(position: int, size: int) -> None:
    told = check_statement(make_statement(position, size), KEYS)
    assert told.entry == make_body(position)
    assert (told.checkpoint.origin, told.checkpoint.size) == (NAME, size)


def test_people_are_digests_that_only_the_salt_opens() -> None:
    digests = {person_digest(salt, name) for salt in (bytes(16), b"\1" * 16) for name in ("olga", "vera")}
    assert len(digests) == 4
    assert all(len(digest) == 64 for digest in digests)


OTHER: dict[type, Any] = {str: "another", int: 8, dict: {"draw": "another"}}


@pytest.mark.parametrize("field", ENTRY_FIELDS)
def test_a_change_of_any_field_is_no_statement_any_more(field: str) -> None:
    statement = make_statement(3, 7)
    changed = "00" * 32 if field == "by" else OTHER[ENTRY_FIELDS[field]]
    statement["entry"] |= {field: changed}
    with pytest.raises(
        ValueError, match=r"expected an entry under the signed root|expected a checkpoint of another"
    ):
        check_statement(statement, KEYS)


def damage(statement: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(statement)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("$format",), "shake-ledger/v1/statement", f"expected a statement {FORMAT}"),
        (("more",), 1, "its fields and no others"),
        (("entry",), [], "expected an entry of show, position"),
        (("entry", "actor"), "olga", "expected an entry of show, position"),
        (("entry", "position"), True, "expected position to be int, got bool"),
        (("entry", "position"), -1, "a proof that does not lead there"),
        (("entry", "details"), "", "expected details to be dict, got str"),
        (("entry", "details"), {"a": 0.5}, "expected integers only"),
        (("entry", "by"), "olga", "expected 64 lower-case hex digits, got 'olga'"),
        (("previous",), "00" * 31, "expected 64 lower-case hex digits"),
        (("previous",), "AB" * 32, "expected 64 lower-case hex digits"),
        (("previous",), None, "expected 64 lower-case hex digits"),
        (("proof",), "00", "expected a proof of at most 64 hashes"),
        (("proof",), ["00" * 32] * 65, "expected a proof of at most 64 hashes"),
        (("proof",), ["00" * 32] * 3, "does not lead there"),
        (("proof", 0), "00" * 33, "expected 64 lower-case hex digits"),
        (("checkpoint",), None, "and a signed note"),
        (("checkpoint",), "hello", "expected text, an empty line and signatures"),
    ],
)  # fmt: skip
def test_what_is_no_statement_is_told_why(path: tuple[Any, ...], value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        check_statement(damage(make_statement(3, 7), path, value), KEYS)


def test_a_statement_without_a_field_or_of_another_kind_is_refused() -> None:
    statement = make_statement(3, 7)
    for field in list(statement):
        with pytest.raises(ValueError, match="expected a statement"):
            check_statement({name: value for name, value in statement.items() if name != field}, KEYS)
    others: list[object] = [None, [], "x", 1]
    for value in others:
        with pytest.raises(ValueError, match="expected a statement"):
            check_statement(value, KEYS)


def test_another_key_and_another_ledger_sign_nothing_here() -> None:
    with pytest.raises(ValueError, match="expected a signature of"):
        check_statement(make_statement(3, 7), [verifier_key(NAME, b"\1" * 32)])
    with pytest.raises(ValueError, match=r"expected a checkpoint of gala, got one of example\.com/other"):
        check_statement(make_statement(3, 7, name="example.com/other"), KEYS)


def test_the_entry_before_is_a_part_of_what_is_signed() -> None:
    with pytest.raises(ValueError, match="does not lead there"):
        check_statement(make_statement(3, 7) | {"previous": "00" * 32}, KEYS)
