"""Known answers: the eight-viewer draw by the maker's code and by the verifier's, and the vectors of the standards."""

import re
from pathlib import Path

import cryptography_vectors
import pytest

from engagement.core.digests import tagged_hash
from engagement.ledger.core.merkle import leaf_hash, root
from prizes import engine, verify_draw
from prizes.core import digests
from prizes.core.roll import build_roll, iterate_entries, iterate_runs, parse_header
from prizes.drand import BadSignature, check_signature
from tests.prizes.draws import SIGNATURE, load_vectors

KAT = load_vectors("own_draw_kat")
RULES, SECRET, KEY = (bytes.fromhex(KAT[name]) for name in ("rules_digest", "secret", "key"))
ENTRIES = [(bytes.fromhex(entry["pseudonym"]), entry["tickets"]) for entry in KAT["entries"]]
ROLL = build_roll(ENTRIES, RULES, 10)
SEAL = load_vectors("seal_v2")
DRAND = load_vectors("drand_quicknet_rounds")
RFC_9380 = load_vectors("rfc9380")
AESAVS = Path(cryptography_vectors.__file__).parent / "ciphers" / "AES" / "ECB"


def openssl(key):
    library = verify_draw.load_libcrypto()
    assert library is not None, "this Python has no OpenSSL"
    return verify_draw.OpensslCipher(library, key)


both_ways = pytest.mark.parametrize("make", [openssl, verify_draw.PlainCipher], ids=["openssl", "plain"])


# --- the eight viewers ---


def test_the_roll_is_the_known_one():
    assert ROLL[:64].hex() == KAT["roll_header"]
    assert list(iterate_entries(ROLL[64:])) == ENTRIES
    assert parse_header(ROLL[:64]).pack() == ROLL[:64]


def test_root_and_roll_digest_are_the_known_ones():
    top = root(leaf_hash(run) for run in iterate_runs(ROLL[64:]))
    assert top.hex() == KAT["root"]
    assert digests.roll_digest(ROLL[:64], top).hex() == KAT["roll_digest"]


def test_seal_key_and_audit_key_are_the_known_ones():
    roll = bytes.fromhex(KAT["roll_digest"])
    fields = [KAT["draw_id"].encode(), RULES, roll, (1000).to_bytes(8, "big"), SECRET, b""]
    seal = tagged_hash(
        "shake-draw/v1/seal", *fields
    )  # that of the second version: test_the_seal_is_the_known_one
    assert seal.hex() == KAT["seal"]
    value = digests.drand_value(bytes.fromhex(SIGNATURE))  # of quicknet round 1000
    key = digests.draw_key(seal, digests.beacon_id("drand"), value)
    assert key.hex() == KAT["key"]
    assert digests.audit_key(key).hex() == KAT["audit_key"]


def test_the_seal_is_the_known_one():
    wins = {bytes.fromhex(SEAL["wins"][0]["pseudonym"]): SEAL["wins"][0]["draw_id"]}
    prior = digests.prior_digest(wins, SEAL["pending"])
    assert prior.hex() == SEAL["prior"]
    fixed = [bytes.fromhex(SEAL[name]) for name in ("rules_digest", "roll_digest", "totals_digest")]
    sealed = digests.Sealed(*[*fixed, prior, bytes.fromhex(SEAL["previous"])])
    found = digests.seal_digest(SEAL["draw_id"], sealed, SEAL["round"], [SECRET, b""])
    assert found.hex() == SEAL["seal"]


@both_ways
@pytest.mark.parametrize("entry", KAT["entries"], ids=lambda entry: entry["uid"])
def test_the_verifier_computes_the_known_scores(entry, make):
    pseudonym = bytes.fromhex(entry["pseudonym"])
    blocks = b"".join(pseudonym + ticket.to_bytes(2, "big") for ticket in range(entry["tickets"]))
    assert make(KEY).encrypt(bytearray(blocks)).hex() == "".join(entry["scores"])


def names_of(ranking):
    names = {entry["pseudonym"]: entry["uid"] for entry in KAT["entries"]}
    return [(names[pseudonym], ticket, score) for pseudonym, ticket, score in ranking]


KNOWN_RANKING = [(row["uid"], row["ticket"], row["score"]) for row in KAT["ranking"]]


def test_the_engine_finds_the_known_ranking(tmp_path):
    path = tmp_path / "roll.bin"
    path.write_bytes(ROLL)
    ranked = engine.rank_roll(path, KEY, 8)
    assert names_of((row.pseudonym.hex(), row.ticket, row.score.hex()) for row in ranked) == KNOWN_RANKING


@both_ways
@pytest.mark.parametrize("count", range(1, 9))
def test_the_verifier_finds_the_known_ranking(make, count):
    best = verify_draw.Best(make(KEY), count)
    verify_draw.rank_chunk(best, ROLL[64:], 0)
    ranked = [(ENTRIES[index][0].hex(), ticket, score.hex()) for index, (score, ticket) in best.sorted()]
    assert names_of(ranked) == KNOWN_RANKING[:count]


# --- AES: FIPS 197, and the vectors of NIST's AES validation suite ---


@both_ways
def test_aes_agrees_with_fips_197_appendix_c3(make):
    plain = bytearray.fromhex("00112233445566778899aabbccddeeff")
    assert make(bytes(range(32))).encrypt(plain * 2).hex() == "8ea2b7ca516745bfeafc49904b496089" * 2


def nist_vectors(name):
    text = (AESAVS / f"ECB{name}256.rsp").read_text().split("[DECRYPT]")[0]
    fields = ("KEY", "PLAINTEXT", "CIPHERTEXT")
    return list(zip(*(re.findall(rf"^{field} = (\w+)", text, re.MULTILINE) for field in fields), strict=True))


@both_ways
@pytest.mark.parametrize("name", ["GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT"])
def test_aes_agrees_with_nist(name, make):
    vectors = nist_vectors(name)
    assert len(vectors) >= 5
    for key, plain, cipher in vectors:
        assert make(bytes.fromhex(key)).encrypt(bytearray.fromhex(plain)).hex() == cipher


@both_ways
def test_aes_refuses_a_key_of_another_length(make):
    with pytest.raises(ValueError, match="32 bytes, got 16"):
        make(bytes(16))


def test_openssl_refuses_half_a_block():
    with pytest.raises(ValueError, match="encrypt 17 bytes, got 16"):
        openssl(bytes(32)).encrypt(bytearray(17))


# --- the verifier's own Merkle tree: RFC 6962 and RFC 9162 ---


def test_the_verifiers_tree_is_that_of_rfc_6962():
    known, tree = load_vectors("merkle_rfc6962_basic"), verify_draw.Tree()
    assert tree.root().hex() == known["roots"][0]
    for leaf, top in zip(known["leaves"], known["roots"][1:], strict=True):
        tree.add(bytes.fromhex(leaf))
        assert tree.root().hex() == top


# --- drand: RFC 9380, and rounds of quicknet ---


@pytest.mark.parametrize("vector", RFC_9380["expand"]["vectors"], ids=lambda vector: vector["message"])
def test_messages_are_expanded_as_in_rfc_9380(vector):
    dst = RFC_9380["expand"]["dst"].encode()
    came = verify_draw.expand_message(vector["message"].encode(), dst, vector["length"])
    assert came.hex() == vector["bytes"]


@pytest.mark.parametrize("vector", RFC_9380["hash_to_g1"]["vectors"], ids=lambda vector: vector["message"])
def test_messages_are_hashed_to_the_points_of_rfc_9380(vector):
    point = verify_draw.hash_to_g1(vector["message"].encode(), RFC_9380["hash_to_g1"]["dst"].encode())
    assert point == ((int(vector["x"], 16), 0), (int(vector["y"], 16), 0))


def test_the_chain_is_quicknet():
    chain = DRAND["chain"]
    assert verify_draw.chain_hash().hex() == verify_draw.QUICKNET == chain["hash"]
    assert chain["public_key"] == verify_draw.PUBLIC_KEY
    assert (chain["genesis_time"], chain["period"]) == (verify_draw.GENESIS, verify_draw.PERIOD)


@pytest.mark.parametrize("known", DRAND["rounds"], ids=lambda known: known["round"])
def test_rounds_of_quicknet_are_accepted(known):
    assert f"round {known['round']}" in verify_draw.check_drand(
        known["randomness"], known["signature"], known["round"]
    )


def verify_signature(number, signature):
    message = verify_draw.sha256(number.to_bytes(8, "big"))
    verify_draw.check_signature(bytes.fromhex(verify_draw.PUBLIC_KEY), message, bytes.fromhex(signature))


@pytest.mark.parametrize("known", DRAND["invalid"], ids=lambda known: known["why"])
def test_what_quicknet_has_not_signed_is_refused(known):
    with pytest.raises(verify_draw.Wrong):
        verify_signature(known["round"], known["signature"])


def flip(signature, mask):
    return f"{int(signature, 16) ^ mask:096x}"


FIRST = DRAND["rounds"][0]["signature"]


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (flip(FIRST, 1 << 381), "was not made for it"),  # the other y: the negative of the point
        (flip(FIRST, 1 << 382), "not at infinity"),
        (flip(FIRST, 1 << 383), "a compressed point"),
        ("c0" + "00" * 47, "not at infinity"),
        ("80" + "00" * 47, "prime order"),  # (0, 2), which has the order 3
        (f"{verify_draw.P + (4 << 381):096x}", "below P"),
        (FIRST[2:], "48 bytes, got 47"),
        (FIRST + "00", "48 bytes, got 49"),
    ],
)
def test_a_signature_in_any_other_form_is_refused(signature, message):
    with pytest.raises(verify_draw.Wrong, match=message):
        verify_signature(1, signature)


def test_the_verifier_agrees_with_the_maker_on_flipped_bits():
    for bit in range(0, 384, 48):
        signature = flip(FIRST, 1 << bit)
        with pytest.raises(verify_draw.Wrong):
            verify_signature(1, signature)
        with pytest.raises(BadSignature):
            check_signature(1, signature)


def test_square_roots_of_fp2_are_found_where_there_are_any():
    for value in [(4, 0), (verify_draw.P - 4, 0), (3, 4), (0, 2)]:
        found = verify_draw.square_root2(verify_draw.multiply2(value, value))
        assert verify_draw.multiply2(found, found) == verify_draw.multiply2(value, value)
    assert verify_draw.square_root2((verify_draw.P - 1, 0)) in [(0, 1), (0, verify_draw.P - 1)]
    assert verify_draw.square_root2((1, 1)) is None  # 1 + u: the curve of G2 would not be a twist otherwise


@pytest.mark.parametrize("data", ["", "80" + "00" * 94 + "01"])
def test_a_public_key_that_is_not_a_point_is_refused(data):
    with pytest.raises(verify_draw.Wrong):
        verify_draw.parse_g2(bytes.fromhex(data))
