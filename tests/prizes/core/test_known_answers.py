"""Every intermediate value of the eight-viewer draw, by the maker's code and by the verifier's."""

import pytest

from engagement.core.merkle import leaf_hash, root
from prizes import engine
from prizes.core import digests, verify
from prizes.core.roll import build_roll, iterate_entries, iterate_runs, parse_header
from tests.prizes.draws import SIGNATURE, load_vectors

KAT = load_vectors("own_draw_kat")
RULES, SECRET, KEY = (bytes.fromhex(KAT[name]) for name in ("rules_digest", "secret", "key"))
ENTRIES = [(bytes.fromhex(entry["pseudonym"]), entry["tickets"]) for entry in KAT["entries"]]
ROLL = build_roll(ENTRIES, RULES, 10)


def test_the_roll_is_the_known_one():
    assert ROLL[:64].hex() == KAT["roll_header"]
    assert list(iterate_entries(ROLL[64:])) == ENTRIES
    assert parse_header(ROLL[:64]).pack() == ROLL[:64]


def test_root_and_roll_digest_are_the_known_ones():
    top = root(leaf_hash(run) for run in iterate_runs(ROLL[64:]))
    assert top.hex() == KAT["root"]
    assert digests.roll_digest(ROLL[:64], top).hex() == KAT["roll_digest"]


def test_seal_key_and_audit_key_are_the_known_ones():
    seal = digests.seal_digest(KAT["draw_id"], RULES, bytes.fromhex(KAT["roll_digest"]), 1000, [SECRET, b""])
    assert seal.hex() == KAT["seal"]
    value = digests.drand_value(bytes.fromhex(SIGNATURE))  # of quicknet round 1000
    key = digests.draw_key(seal, digests.beacon_id("drand"), value)
    assert key.hex() == KAT["key"]
    assert digests.audit_key(key).hex() == KAT["audit_key"]


@pytest.mark.parametrize("entry", KAT["entries"], ids=lambda entry: entry["uid"])
def test_the_verifier_computes_the_known_scores(entry):
    pseudonym = bytes.fromhex(entry["pseudonym"])
    blocks = b"".join(pseudonym + ticket.to_bytes(2, "big") for ticket in range(entry["tickets"]))
    assert verify.Aes256(KEY).encrypt(blocks).hex() == "".join(entry["scores"])


def test_the_engine_finds_the_known_ranking(tmp_path):
    path = tmp_path / "roll.bin"
    path.write_bytes(ROLL)
    names = {entry["pseudonym"]: entry["uid"] for entry in KAT["entries"]}
    came = [
        (names[row.pseudonym.hex()], row.ticket, row.score.hex()) for row in engine.rank_roll(path, KEY, 8)
    ]
    assert came == [(row["uid"], row["ticket"], row["score"]) for row in KAT["ranking"]]


def test_aes_agrees_with_fips_197_appendix_c3():
    cipher = verify.Aes256(bytes(range(32)))
    plain = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert cipher.encrypt(plain * 2).hex() == "8ea2b7ca516745bfeafc49904b496089" * 2


def test_aes_refuses_a_key_of_another_length():
    with pytest.raises(ValueError, match="32 bytes, got 16"):
        verify.Aes256(bytes(16))
