"""Stubs: the known answers, batches of every small size, and that nothing in a stub can be another."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from engagement.core.digests import canonical_json, tagged_hash
from engagement.ledger.core import merkle
from engagement.ledger.core.stubs import (
    BLIND_BYTES,
    LONGEST_STUB,
    Batch,
    batch_message,
    check_stub,
    leaf_of,
    parse_stub,
    root_of,
    sign_batch,
)
from tests.prizes.draws import load_vectors

KAT = load_vectors("stub")
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(KAT["seed"]))
KEY = PRIVATE.public_key().public_bytes_raw()
BATCH = Batch("gala", "7-0011223344556677", "gate-1", 1_794_000_021_500)


def make_stubs(size: int, batch: Batch = BATCH) -> list[str]:
    totals = {bytes([number]) * 14: 3 * number + 1 for number in range(size)}
    return sign_batch(batch, totals, bytes(range(size)) * BLIND_BYTES, KEY, PRIVATE.sign)


def parsed(text: str) -> dict[str, Any]:
    return parse_stub(text.encode())


@pytest.mark.parametrize("number", range(len(KAT["batches"])))
def test_the_known_answers(number: int) -> None:
    known = KAT["batches"][number]
    batch = Batch(*(known[name] for name in Batch._fields))
    totals = {bytes.fromhex(viewer): total for viewer, total in known["totals"].items()}
    assert KEY.hex() == KAT["key"]
    assert sign_batch(batch, totals, bytes.fromhex(known["blinds"]), KEY, PRIVATE.sign) == known["stubs"]
    stubs = [parsed(text) for text in known["stubs"]]
    assert [leaf_of(stub).hex() for stub in stubs] == known["leaves"]
    assert {root_of(stub).hex() for stub in stubs} == {known["root"]}
    assert batch_message(KEY, bytes.fromhex(known["root"]), len(stubs)).hex() == known["message"]


def test_the_root_and_the_leaves_are_those_of_the_standard() -> None:
    stubs = [parsed(text) for text in make_stubs(5)]
    facts = ("at", "blind", "gateway", "pseudonym", "segment", "show", "total")
    said = [canonical_json({name: stub[name] for name in facts}) for stub in stubs]
    leaves = [merkle.leaf_hash(tagged_hash("shake-stub/v1/leaf", text)) for text in said]
    assert root_of(stubs[3]) == merkle.root(leaves)
    for index, stub in enumerate(stubs):
        assert stub["proof"] == [node.hex() for node in merkle.inclusion_proof(leaves, index)]


@pytest.mark.parametrize("size", [*range(1, 34), 256, 257])
def test_every_stub_of_a_batch_is_signed_and_says_its_total(size: int) -> None:
    signed = []

    def sign(message: bytes) -> bytes:
        signed.append(message)
        return PRIVATE.sign(message)

    totals = {number.to_bytes(14, "big"): number for number in range(size)}
    stubs = [parsed(text) for text in sign_batch(BATCH, totals, bytes(BLIND_BYTES * size), KEY, sign)]
    for index, (stub, (viewer, total)) in enumerate(zip(stubs, totals.items(), strict=True)):
        check_stub(stub, KEY)
        assert (stub["index"], stub["size"]) == (index, size)
        assert (stub["pseudonym"], stub["total"]) == (viewer.hex(), total)
        assert (stub["show"], stub["segment"], stub["gateway"], stub["at"]) == BATCH
    assert len(signed) == 1, "a signature for each batch, whatever its size"


@given(st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()))
def test_any_name_of_a_gateway_is_written_as_canonical_json_writes_it(name: str) -> None:
    (text,) = make_stubs(1, BATCH._replace(gateway=name))
    assert parsed(text)["gateway"] == name
    check_stub(parsed(text), KEY)


def test_blinds_for_another_number_of_viewers_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        sign_batch(BATCH, {bytes(14): 1}, bytes(2 * BLIND_BYTES), KEY, PRIVATE.sign)


# --- what was changed ---

CHANGES: dict[str, Callable[[Any], Any]] = {
    "at": lambda at: at + 1,
    "blind": lambda blind: "f" * 32,
    "gateway": lambda name: name + "x",
    "index": lambda index: index ^ 1,
    "proof": lambda proof: [proof[0], "f" * 64, *proof[2:]],
    "pseudonym": lambda name: name[:-1] + "f",
    "segment": lambda key: "8" + key[1:],
    "show": lambda slug: slug + "-2",
    "signature": lambda signature: signature[::-1],
    "size": lambda size: size + 1,
    "total": lambda total: total + 1,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_stub_in_which_anything_was_changed_is_refused(name: str) -> None:
    stub = parsed(make_stubs(6)[2])
    changed = {**stub, name: CHANGES[name](stub[name])}
    with pytest.raises(ValueError, match=r"^(signature|proof): "):
        check_stub(changed, KEY)


@pytest.mark.parametrize(
    "proof",
    [lambda rows: rows[:-1], lambda rows: [*rows, "0" * 64], lambda rows: []],
    ids=["cut", "longer", "none"],
)
def test_a_proof_of_another_length_leads_nowhere(proof: Callable[[list[str]], list[str]]) -> None:
    stub = parsed(make_stubs(6)[2])
    with pytest.raises(ValueError, match="are not the proof of one of 6 stubs"):
        check_stub({**stub, "proof": proof(stub["proof"])}, KEY)


@pytest.mark.parametrize(
    "key", [bytes([9]) * 32, b"\xff" * 32, KEY[:31]], ids=["another", "no point", "short"]
)
def test_another_key_and_what_is_no_key_are_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="signature: it is not that of this key"):
        check_stub(parsed(make_stubs(1)[0]), key)


@pytest.mark.parametrize("sign_bit", [0, 0x80])
def test_a_key_of_small_order_is_refused_under_which_a_forger_needs_no_secret(sign_bit: int) -> None:
    key = bytes([1]) + bytes(30) + bytes([sign_bit])
    base = bytes([0x58]) + bytes([0x66]) * 31  # R = 1 B, s = 1: holds for every message
    (text,) = sign_batch(
        BATCH, {bytes(14): 1}, bytes(BLIND_BYTES), key, lambda _: base + bytes([1]) + bytes(31)
    )
    with pytest.raises(ValueError, match="with this key anybody can sign"):
        check_stub(parsed(text), key)


# --- what is no stub ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("$format", "shake-stub/v2"),
        ("at", -1), ("at", "1"), ("at", 2**53 + 1), ("at", True),
        ("blind", "0" * 31), ("blind", "A" * 32),
        ("gateway", ""), ("gateway", "x" * 201), ("gateway", 5),
        ("index", 3), ("index", -1), ("index", None),
        ("proof", "00"), ("proof", ["0" * 63]), ("proof", [7]), ("proof", {}),
        ("pseudonym", "0" * 27), ("pseudonym", None),
        ("segment", 7), ("show", []),
        ("signature", "0" * 126),
        ("size", 0), ("size", 2**20 + 1), ("size", "3"),
        ("total", 2**32), ("total", -1), ("total", False),
    ],
)  # fmt: skip
def test_a_field_out_of_its_range_is_named(name: str, value: Any) -> None:
    stub = {**parsed(make_stubs(3)[0]), name: value}
    with pytest.raises(ValueError, match=rf"^{name.replace('$', '.')}: "):
        parse_stub(canonical_json(stub))


def test_a_field_too_many_or_too_few_another_form_and_another_value_are_refused() -> None:
    stub = parsed(make_stubs(1)[0])
    less = {name: value for name, value in stub.items() if name != "blind"}
    for wrong in ({**stub, "more": 1}, less, [stub], 5, None):
        with pytest.raises(ValueError, match="expected the fields of a stub"):
            parse_stub(canonical_json(wrong))
    with pytest.raises(ValueError, match="expected canonical JSON"):
        parse_stub(json.dumps(stub).encode())
    with pytest.raises(ValueError, match=f"at most {LONGEST_STUB} bytes"):
        parse_stub(b"[" + b"0," * LONGEST_STUB + b"0]")
