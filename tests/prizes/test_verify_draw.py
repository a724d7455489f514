"""The verifier accepts honest draws of every shape, and no change of record or roll goes unnoticed."""

import ast
import copy
import doctest
import functools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.core.digests import canonical_json
from engagement.ledger.core import merkle
from prizes import verify_draw as verifier
from prizes.core.record import record_digest
from tests.prizes.draws import (
    CLOSES,
    DRAW,
    OPENS,
    T_FREEZE,
    failed,
    load_vectors,
    make_viewers,
    run_draw,
    verify_draw,
)
from tests.prizes.draws import verify as check

SOURCE = Path(verifier.__file__)
DUE = T_FREEZE + 60  # of the round that the draws wait for
RECORD_NAMES = ["record", *(name for name, _ in verifier.CHECKS)]
PUBLIC_NAMES = [*RECORD_NAMES, *(name for name, _ in verifier.ROLL_CHECKS)]
ALL_NAMES = [*PUBLIC_NAMES, *(name for name, _ in verifier.TOTALS_CHECKS)]


def make_drawn(folder, beacon):
    """A draw with a skipped winner, an excluded viewer, and one row of dispositions of each kind."""
    viewers = make_viewers(24)
    excluded = frozenset([max(viewers, key=lambda name: (viewers[name], name))])
    shape = {"excluded": excluded, "beacon": beacon}
    first = run_draw(folder, viewers, **shape).record["ranked"][0]["pseudonym"]
    prior = {bytes.fromhex(first): "gala-2026/seg-0/draw-1"}
    record = run_draw(folder, viewers, prior_wins=prior, **shape).record
    return run_draw(folder, viewers, prior_wins=prior, dispositions=make_dispositions(record), **shape)


def make_dispositions(record):
    """The first winner claims; the second is disqualified, one reserve has won elsewhere, the other moves up."""
    one, two = (row["pseudonym"] for row in record["winners"])
    three, four = (row["pseudonym"] for row in record["reserves"])
    rows = [
        (one, "prize-0", "claimed", ""),
        (two, "prize-1", "disqualified", "under age"),
        (three, "", "skipped", "won in another draw"),
        (four, "prize-1", "won", "moved up"),
    ]
    fields = "pseudonym", "prize", "status", "reason"
    late = [{"time": 1692806400000 + at, "ledger": 20 + at} for at in range(len(rows))]
    return [{**dict(zip(fields, row, strict=True)), **when} for row, when in zip(rows, late, strict=True)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return make_drawn(tmp_path_factory.mktemp("draw"), "drand")


@pytest.fixture(scope="module")
def thrown(tmp_path_factory):
    """The same with dice, for tests that check it thousands of times: a signature takes a third of a second."""
    return make_drawn(tmp_path_factory.mktemp("draw"), "dice")


def reseal(record):
    """Return the bytes of a changed record whose own digest was made to fit, as a careful forger would."""
    return canonical_json({**record, "digest": record_digest(record).hex()})


def names_of(checks):
    return [one.name for one in checks]


# What needs a key, witnesses, or earlier records: tests/prizes/test_verify_log.py.
WITH_MORE = ["signature", "statements", "witnesses", "time stamps", "earlier records", "show key"]
WITH_MORE += ["origins", "shared entries"]


# --- honest draws ---


def test_an_honest_draw_holds_in_every_check(drawn):
    checks = check(drawn)
    assert failed(checks) == set()
    assert names_of(checks) == ALL_NAMES
    assert ["files", *ALL_NAMES, *WITH_MORE] == sorted(verifier.NAMES, key=lambda name: name in WITH_MORE)
    assert [row["won"] != "" for row in drawn.record["ranked"]] == [True, False, False, False, False]


@pytest.mark.parametrize(("files", "names"), [(0, RECORD_NAMES), (1, PUBLIC_NAMES)])
def test_with_fewer_files_the_checks_that_need_no_more_remain(drawn, files, names):
    checks = verify_draw(drawn.encoded, *[drawn.roll][:files])
    assert names_of(checks) == names
    assert failed(checks) == set()


@pytest.mark.parametrize("beacon", ["drand", "dice", "local"])
def test_every_beacon_holds_and_says_how_strong_it_is(tmp_path, beacon):
    checks = check(run_draw(tmp_path, make_viewers(9), beacon=beacon))
    assert failed(checks) == set()
    detail = next(one.detail for one in checks if one.name == "beacon")
    assert ("REHEARSAL" in detail) == (beacon == "local")
    assert ("signed round 1000" in detail) == (beacon == "drand")


def test_a_window_may_be_closed_early(thrown):
    record = {**thrown.record, "as_run": {"opens_at": OPENS, "closes_at": OPENS + 1}}
    assert failed(verify_draw(reseal(record), thrown.roll)) == set()


def test_an_empty_roll_is_legal_and_nobody_wins(tmp_path):
    drawn = run_draw(tmp_path, {}, beacon="dice")
    assert failed(check(drawn)) == set()
    assert (len(drawn.roll), drawn.record["winners"], drawn.record["reserves"]) == (64, [], [])


def test_more_prizes_than_entries_is_legal(tmp_path):
    drawn = run_draw(tmp_path, {b"A" * 14: 10, b"B" * 14: 500}, prizes=6, beacon="dice")
    assert failed(check(drawn)) == set()
    assert len(drawn.record["winners"]) == 2


def test_when_everybody_has_won_before_nobody_wins(tmp_path):
    viewers = {bytes([n]) * 14: 50 for n in range(5)}
    drawn = run_draw(tmp_path, viewers, prior_wins=dict.fromkeys(viewers, "draw-0"), beacon="dice")
    assert failed(check(drawn)) == set()
    assert (len(drawn.record["ranked"]), drawn.record["winners"]) == (5, [])


@pytest.fixture(scope="module")
def tall(tmp_path_factory):
    """A draw from a roll of 1,300 entries: six leaves, so proofs of different lengths."""
    viewers = {name: 10 + total for name, total in make_viewers(1300).items()}
    return run_draw(tmp_path_factory.mktemp("tall"), viewers, prizes=20, reserves=20, beacon="dice")


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513, 600])
def test_a_draw_at_the_edges_of_the_leaves_holds(tmp_path, size):
    viewers = {name: 10 + total for name, total in make_viewers(size).items()}
    drawn = run_draw(tmp_path, viewers, beacon="local")
    assert failed(check(drawn)) == set()
    assert drawn.record["roll"]["entries"] == size


def test_a_draw_with_proofs_of_every_length_holds(tall):
    assert failed(check(tall)) == set()
    assert {len(row["proof"]["siblings"]) for row in tall.record["ranked"]} == {2, 3}


@pytest.mark.parametrize("entries", [1, 7, 256])
def test_a_roll_read_in_pieces_gives_the_same(tall, monkeypatch, entries):
    """Where the pieces end must not matter; a run is never cut, as a piece holds whole runs or the roll is short."""
    monkeypatch.setattr(verifier, "CHUNK_ENTRIES", entries)
    if entries == 256:
        monkeypatch.setattr(verifier, "CHUNK_BYTES", 16 * entries)
    assert failed(check(tall)) == set()


def test_without_openssl_it_computes_the_same_by_itself(thrown, monkeypatch):
    monkeypatch.setattr(verifier, "load_libcrypto", lambda: None)
    checks = check(thrown)
    assert failed(checks) == set()
    assert "AES by this file, slowly" in next(one.detail for one in checks if one.name == "ranking")


def test_a_library_that_is_none_or_gives_wrong_answers_is_not_used(monkeypatch, tmp_path):
    (tmp_path / "libcrypto.so").write_bytes(b"not a library")
    verifier.load_libcrypto.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(verifier, "libcrypto_names", lambda: [str(tmp_path / "libcrypto.so"), None])
        assert verifier.load_libcrypto() is None  # None is this process itself, which has no such functions
        verifier.load_libcrypto.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(verifier, "is_trusted", lambda library: False)
        assert verifier.load_libcrypto() is None
        verifier.load_libcrypto.cache_clear()
    assert verifier.load_libcrypto() is not None


# --- the ranking, against the plainest way ---


@functools.cache
def plain_score(key, name, tickets):
    """It takes long, and the examples are of the same few viewers."""
    return verifier.best_score(verifier.PlainCipher(key), name.hex(), tickets)


def plain_ranking(key, entries):
    """[(score, ticket, index)] of every entry, sorted."""
    best = [plain_score(key, name, tickets) for name, tickets in entries]
    return sorted((bytes.fromhex(score), ticket, index) for index, (score, ticket) in enumerate(best))


@settings(deadline=None)
@given(
    tickets=st.lists(st.integers(1, 40) | st.sampled_from([300, 513]), min_size=1, max_size=40),
    count=st.integers(1, 50),
    cut=st.integers(0, 40),
)
def test_the_ranking_is_that_of_the_plainest_way(tickets, count, cut):
    entries = [(bytes([number]) * 14, many) for number, many in enumerate(tickets)]
    roll = b"".join(name + many.to_bytes(2, "big") for name, many in entries)
    best = verifier.Best(verifier.make_cipher(bytes(32)), count)
    for first, part in ((0, roll[: 16 * cut]), (cut, roll[16 * cut :])):
        if part:
            verifier.rank_chunk(best, part, first)
    came = [(score, ticket, index) for index, (score, ticket) in best.sorted()]
    assert came == plain_ranking(bytes(32), entries)[:count]


def test_a_viewer_with_65535_tickets_is_ranked_by_the_best_of_all():
    best = verifier.Best(verifier.make_cipher(bytes(32)), 1)
    verifier.rank_chunk(best, b"a" * 14 + b"\xff\xff" + b"b" * 14 + b"\0\1", 0)
    expected = verifier.best_score(verifier.make_cipher(bytes(32)), "61" * 14, 65535)
    assert best.kept == {0: (bytes.fromhex(expected[0]), expected[1])}


# --- proofs ---


def test_the_verifiers_tree_is_the_makers_at_every_size():
    leaves, tree = [bytes([size % 251]) for size in range(300)], verifier.Tree()
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    for size in range(301):
        assert tree.root() == merkle.root(hashes[:size])
        tree.add(leaves[size % 300])


def test_every_inclusion_proof_of_the_maker_is_accepted_and_no_other():
    hashes = [merkle.leaf_hash(bytes([size])) for size in range(20)]
    for size in range(1, 21):
        root = merkle.root(hashes[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(hashes[:size], index)
            assert verifier.is_included(hashes[index], index, size, proof, root)
            for other in (proof[1:], proof[:-1], proof[::-1], [*proof, root]):
                accepted = verifier.is_included(hashes[index], index, size, other, root)
                assert accepted == (other == proof)


def test_a_tree_of_size_0_includes_nothing():
    leaf = verifier.leaf_hash(b"")
    assert not verifier.is_included(leaf, 0, 0, [], leaf)
    assert not verifier.is_included(leaf, 0, 0, [], verifier.Tree().root())


def test_a_proof_that_was_changed_cut_or_lengthened_fails(tall):
    for rank, row in enumerate(tall.record["ranked"]):
        siblings = row["proof"]["siblings"]
        for other in ([], siblings[1:], siblings[:-1], siblings[::-1], [*siblings, "00" * 32]):
            record = copy.deepcopy(tall.record)
            record["ranked"][rank]["proof"]["siblings"] = other
            case = verifier.Case(record, tall.roll, None, verifier.NOTHING)
            with pytest.raises(verifier.Wrong):
                verifier.check_proofs(case)


# --- every byte, every field ---


def test_every_changed_byte_of_the_record_fails_a_check(thrown):
    chance = random.Random(1)
    for at in range(len(thrown.encoded)):
        changed = bytearray(thrown.encoded)
        changed[at] ^= chance.randrange(1, 256)
        assert failed(verify_draw(bytes(changed), thrown.roll)), f"byte {at}"


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_changed_byte_of_the_roll_fails_a_check(thrown, mask):
    for at in range(len(thrown.roll)):
        changed = bytearray(thrown.roll)
        changed[at] ^= mask
        wrong = failed(verify_draw(thrown.encoded, bytes(changed)))
        assert ("roll file" if at < 64 else "roll root") in wrong, f"byte {at}"


def test_every_changed_byte_of_the_totals_fails_a_check(thrown):
    for at in range(len(thrown.totals)):
        changed = bytearray(thrown.totals)
        changed[at] ^= 1
        assert failed(verify_draw(thrown.encoded, thrown.roll, bytes(changed), thrown.excluded)), f"byte {at}"


@pytest.mark.parametrize("cut", [0, 63, 64, 65, -1, -16])
def test_a_truncated_or_longer_roll_fails_a_check(thrown, cut):
    assert "roll file" in failed(verify_draw(thrown.encoded, thrown.roll[:cut]))
    assert "roll file" in failed(verify_draw(thrown.encoded, thrown.roll + bytes(16)))


def paths_of(value, path=()):
    """The path of every text and number of a JSON value."""
    if isinstance(value, dict | list):
        for step, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_of(member, (*path, step))
    else:
        yield path


def value_at(record, path):
    for step in path:
        record = record[step]
    return record


def changed_at(record, path, value):
    record = copy.deepcopy(record)
    value_at(record, path[:-1])[path[-1]] = value
    return record


def other_values(value):
    """A little different first, then far away."""
    if isinstance(value, int):
        return [value + 1, 0, 1 << 62]
    return [("1" if value[:1] != "1" else "2") + value[1:], value + "1", "00" * (len(value) // 2)]


# Which check speaks up for a field of the record; any other may, too.
BLAMED = {
    "$format": {"record"}, "rules": {"rules digest", "record"}, "rules_digest": {"rules digest"},
    "precommitment": {"commitments", "times", "ledger"}, "as_run": {"times"},
    "roll": {"roll header", "roll digest", "totals digest"}, "reveals": {"commitments", "reveals"},
    "seal": {"seal", "times"}, "beacon": {"beacon"}, "key": {"key"},
    "ranked": {"ranking", "skip rule", "inclusion proofs"}, "cutoff": {"cutoff"}, "winners": {"winners"},
    "reserves": {"reserves"}, "prior_wins": {"skip rule", "seal"}, "pending": {"seal"},
    "dispositions": {"dispositions", "times", "ledger"},
    "ledger": {"ledger"}, "software": {"software"}, "digest": {"record digest"},
}  # fmt: skip
# A small change of these is bound by the record's digest alone: they are compared with the ledger.
CLAIMS = {("precommitment", "time"), ("seal", "time"), ("reveals", "time"), ("dispositions", "time")}
POSITIONS = {("precommitment", "ledger"), ("ledger", ""), ("dispositions", "ledger")}
ADDED = ("log", "signature")  # what needs a key: tests/prizes/test_verify_log.py
WINDOW = {("as_run", "opens_at")}  # a shorter window is legal: the show may be closed early


def test_every_changed_field_of_the_record_fails_a_check_that_names_it(thrown):
    """Once as it is, when the digest of the record fails, and once with a digest that was made to fit."""
    unnoticed, said = set(), {name: value for name, value in thrown.record.items() if name not in ADDED}
    for path in paths_of(said):
        little, *far = (
            changed_at(thrown.record, path, value) for value in other_values(value_at(thrown.record, path))
        )
        assert failed(verify_draw(canonical_json(little), thrown.roll)) & {"record digest", "record"}, path
        wrong = failed(verify_draw(reseal(little), thrown.roll, thrown.totals, thrown.excluded))
        if not wrong and path != ("digest",):
            unnoticed.add((path[0], path[-1] if path[0] != "ledger" else ""))
            wrong = set().union(*(failed(verify_draw(reseal(forged), thrown.roll)) for forged in far))
        assert wrong & (BLAMED[path[0]] | {"record"}) or path == ("digest",), (path, wrong)
    assert unnoticed == CLAIMS | POSITIONS | WINDOW


# --- forgeries ---


def set_at(path, value):
    def change(record):
        value_at(record, path[:-1])[path[-1]] = value

    return change


def swap_winners(record):
    first, second = record["winners"]
    first["prize"], second["prize"] = second["prize"], first["prize"]


def drop_best(record):
    del record["ranked"][1]


def drop_row(number):
    def change(record):
        del record["dispositions"][number]

    return change


NOBODY = {"secret": "", "time": 0, "ledger": 0}
FORGERIES = [
    (set_at(["$format"], "shake-draw/v3"), "record"),
    (set_at(["extra"], 1), "record"),
    (set_at(["seal", "extra"], 1), "record"),
    (set_at(["seal", "time"], True), "record"),
    (set_at(["seal", "time"], 1 << 64), "record"),
    (set_at(["seal", "time"], -1), "record"),
    (set_at(["key"], "AB" * 32), "record"),
    (set_at(["winners"], {}), "record"),
    (set_at(["rules", "eligibility"], "Friends."), "rules digest"),
    (set_at(["rules", "reserves"], 8), "rules"),
    (set_at(["rules", "tmax"], 4), "rules"),
    (set_at(["rules", "tickets"], [[10, 2], [50, 2]]), "rules"),
    (set_at(["rules", "tickets"], [[10, 2, 3]]), "rules"),
    (set_at(["rules", "tickets"], []), "rules"),
    (set_at(["rules", "algorithm"], "mine"), "rules"),
    (set_at(["rules", "skip_rule"], "none"), "rules"),
    (set_at(["rules", "seal_margin_s"], 14), "rules"),
    (set_at(["rules", "seal_margin_s"], 86_401), "rules"),
    (set_at(["rules", "reveal_deadline_s"], 0), "rules"),
    (set_at(["rules", "reveal_deadline_s"], 61), "rules"),
    (set_at(["rules", "claim_s"], 9), "rules"),
    (set_at(["rules", "claim_s"], 31_536_001), "rules"),
    (set_at(["rules", "winners"], 3), "rules"),
    (set_at(["rules", "prizes", 0, "id"], "prize-1"), "rules"),
    (set_at(["rules", "windows", 0, "window_ms"], 0), "rules"),
    (set_at(["rules", "windows", 0, "window_ms"], 59999), "times"),
    (set_at(["as_run", "closes_at"], OPENS - 1), "times"),
    (set_at(["as_run", "opens_at"], OPENS - 1), "times"),
    (set_at(["as_run"], {"opens_at": OPENS + 4000, "closes_at": CLOSES + 4000}), "times"),
    (set_at(["rules_digest"], "00" * 32), "rules digest"),
    (set_at(["precommitment", "commitments", "operator"], "00" * 32), "commitments"),
    (set_at(["reveals", "operator", "secret"], "00" * 32), "commitments"),
    (set_at(["reveals", "stranger"], NOBODY), "commitments"),
    (set_at(["reveals", "operator", "time"], (DUE - 15) * 1000 + 1), "reveals"),
    (set_at(["reveals", "operator", "time"], DUE * 1000 + 1), "reveals"),  # after the beacon
    (set_at(["reveals", "operator", "time"], T_FREEZE * 1000 + 501), "reveals"),  # after the seal
    (set_at(["reveals", "operator", "time"], OPENS - 60_001), "reveals"),  # before the precommitment
    (set_at(["reveals", "operator", "ledger"], 9), "reveals"),
    (set_at(["reveals", "operator", "ledger"], 3), "reveals"),
    (set_at(["reveals", "notary", "time"], 1), "reveals"),
    (set_at(["reveals", "notary", "ledger"], 1), "reveals"),
    (set_at(["precommitment", "time"], OPENS + 1), "times"),
    (set_at(["seal", "t_freeze"], 1692806300), "times"),
    (set_at(["seal", "time"], T_FREEZE * 1000 - 1), "times"),
    (set_at(["dispositions", 0, "time"], T_FREEZE * 1000), "times"),
    (set_at(["ledger", "freeze"], 3), "ledger"),
    (set_at(["ledger", "seal"], 7), "ledger"),
    (set_at(["ledger", "beacon"], 9), "ledger"),
    (set_at(["ledger", "start"], 9), "ledger"),
    (set_at(["dispositions", 0, "ledger"], 12), "ledger"),
    (set_at(["dispositions", 1, "ledger"], 20), "ledger"),
    (set_at(["software", "software"], "00" * 32), "software"),
    (set_at(["roll", "header"], "00" * 64), "roll header"),
    (set_at(["roll", "header"], "00" * 64), "roll file"),
    (set_at(["roll", "entries"], 1), "roll entries"),
    (set_at(["roll", "tickets"], 1), "roll entries"),
    (set_at(["roll", "root"], "00" * 32), "roll root"),
    (set_at(["roll", "digest"], "00" * 32), "roll digest"),
    (set_at(["roll", "totals_digest"], "00" * 32), "totals digest"),
    (set_at(["seal", "digest"], "00" * 32), "seal"),  # a second seal
    (set_at(["reveals", "operator"], NOBODY), "seal"),
    (set_at(["rules", "beacon", "kind"], "oracle"), "beacon"),
    (set_at(["beacon", "id"], "00" * 32), "beacon"),
    (set_at(["beacon", "value"], "00" * 32), "beacon"),
    (set_at(["beacon", "strength"], "rehearsal"), "beacon"),
    (set_at(["key"], "00" * 32), "key"),
    (set_at(["ranked", 0, "rank"], 2), "ranking"),
    (set_at(["ranked", 0, "tickets"], 9), "ranking"),
    (set_at(["ranked", 0, "ticket"], 9), "ranking"),
    (set_at(["ranked", 0, "score"], "00" * 16), "ranking"),
    (set_at(["ranked", 0, "index"], 23), "ranking"),
    (set_at(["ranked"], []), "ranking"),
    (drop_best, "ranking"),
    (set_at(["ranked", 0, "rank"], 2), "scores"),
    (set_at(["ranked", 0, "tickets"], 0), "scores"),
    (set_at(["ranked", 0, "tickets"], 1 << 60), "scores"),  # not even tried
    (set_at(["ranked", 0, "score"], "00" * 16), "scores"),
    (lambda record: record["ranked"].append({**record["ranked"][0], "rank": 6}), "scores"),
    (set_at(["ranked", 0, "won"], ""), "skip rule"),
    (set_at(["prior_wins"], []), "skip rule"),
    (set_at(["prior_wins", 0, "draw_id"], DRAW), "skip rule"),
    (set_at(["prior_wins", 0, "draw_id"], ""), "skip rule"),
    (swap_winners, "winners"),
    (set_at(["winners", 0, "pseudonym"], "00" * 14), "winners"),
    (set_at(["winners"], []), "winners"),
    (set_at(["reserves", 0, "rank"], 1), "reserves"),
    (set_at(["reserves"], []), "reserves"),
    (set_at(["cutoff"], "00" * 16), "cutoff"),
    (set_at(["cutoff"], "ff" * 16), "cutoff"),
    (set_at(["ranked"], []), "cutoff"),
    (set_at(["ranked", 0, "proof", "leaf"], 1), "inclusion proofs"),
    (set_at(["ranked", 0, "proof", "siblings"], ["00" * 32]), "inclusion proofs"),
    (set_at(["dispositions", 1, "reason"], "did not like them"), "dispositions"),
    (set_at(["dispositions", 0, "status"], "lost"), "dispositions"),
    (set_at(["dispositions", 0, "prize"], "yacht"), "dispositions"),
    (set_at(["dispositions", 0, "pseudonym"], "00" * 14), "dispositions"),
    (set_at(["dispositions", 3, "pseudonym"], "00" * 14), "dispositions"),
    (set_at(["dispositions", 3, "prize"], "prize-0"), "dispositions"),
    (set_at(["dispositions", 2, "prize"], "prize-1"), "dispositions"),
    (drop_row(1), "dispositions"),  # then no prize is free
    (drop_row(2), "dispositions"),  # then a reserve moves up out of turn
]


OF_DRAND = [
    (set_at(["seal", "time"], DUE * 1000), "times"),
    (set_at(["seal", "round"], 1001), "seal"),
    (set_at(["seal", "round"], 1001), "beacon"),
    (set_at(["beacon", "kind"], "dice"), "beacon"),
    (set_at(["rules", "beacon", "chain"], ""), "beacon"),
    (set_at(["beacon", "proof"], {}), "beacon"),
    (set_at(["beacon", "proof", "signature"], "00" * 48), "beacon"),
    (set_at(["beacon", "proof", "signature"], "short"), "beacon"),
    (set_at(["beacon", "value"], "00" * 32), "beacon"),
]


def forge(drawn, change):
    record = copy.deepcopy(drawn.record)
    change(record)
    return verify_draw(reseal(record), drawn.roll, drawn.totals, drawn.excluded)


@pytest.mark.parametrize(("change", "name"), FORGERIES)
def test_a_forged_claim_fails_its_own_check_although_the_digest_fits(thrown, change, name):
    checks = forge(thrown, change)
    assert name in failed(checks)
    assert "record digest" not in failed(checks)
    assert all(one.detail for one in checks)


@pytest.mark.parametrize(("change", "name"), OF_DRAND)
def test_a_forged_claim_about_drand_fails_its_own_check(drawn, change, name):
    assert name in failed(forge(drawn, change))


def test_the_signature_of_another_round_fails_although_the_value_fits(drawn):
    """The operator takes a round that suits, not the one that was promised."""
    other = load_vectors("drand_quicknet_rounds")["rounds"][0]

    def choose(record):
        record["beacon"]["value"] = other["randomness"]
        record["beacon"]["proof"]["signature"] = other["signature"]

    detail = {one.name: one.detail for one in forge(drawn, choose) if not one.ok}["beacon"]
    assert "for this round" in detail


def test_a_number_that_is_not_whole_is_refused(drawn):
    encoded = drawn.encoded.replace(b'"time":1692806304500', b'"time":1.5')
    assert "seal.time as int, got 1.5" in verify_draw(encoded, drawn.roll)[0].detail


def test_every_check_has_a_forgery_that_it_catches():
    assert set(ALL_NAMES) - {name for _, name in FORGERIES} == {
        "record digest",
        "exclusions",
        "tickets from shakes",
    }


def test_the_throws_of_a_die_must_be_throws_and_give_the_value(thrown):
    for digits in ("1" * 49, "1" * 49 + "7", "1" * 50):
        record = changed_at(thrown.record, ["beacon", "proof", "digits"], digits)
        assert "beacon" in failed(verify_draw(reseal(record)))


# --- forged rolls: the forger makes everything fit, as far as that is possible ---


def entries_of(roll):
    return [roll[at : at + 16] for at in range(64, len(roll), 16)]


def with_entries(roll, entries):
    header = bytearray(roll[:64])
    header[8:16] = len(entries).to_bytes(8, "big")
    header[16:24] = sum(int.from_bytes(entry[14:], "big") for entry in entries).to_bytes(8, "big")
    return bytes(header) + b"".join(entries)


def drop(entries):
    return entries[1:]


def add(entries):
    return [*entries, b"\xff" * 14 + b"\0\1"]


def swap(entries):
    return [entries[1], entries[0], *entries[2:]]


def reweigh(entries):
    return [entries[0][:14] + (entries[0][15] % 3 + 1).to_bytes(2, "big"), *entries[1:]]


def repeat(entries):
    return [entries[0], *entries]


@pytest.mark.parametrize("tamper", [drop, add, swap, reweigh, repeat])
def test_a_changed_roll_is_another_roll(thrown, tamper):
    wrong = failed(verify_draw(thrown.encoded, with_entries(thrown.roll, tamper(entries_of(thrown.roll)))))
    assert "roll root" in wrong


@pytest.mark.parametrize("tamper", [swap, repeat, lambda entries: [entries[0][:14] + b"\0\0", *entries[1:]]])
def test_a_roll_out_of_order_is_named_entry_by_entry(thrown, tamper):
    checks = verify_draw(thrown.encoded, with_entries(thrown.roll, tamper(entries_of(thrown.roll))))
    detail = next(one.detail for one in checks if one.name == "roll entries")
    assert " at 0" in detail or " at 1" in detail
    assert "a sound roll to rank" in next(one.detail for one in checks if one.name == "ranking")


def test_an_entry_dropped_from_a_rebuilt_roll_is_noticed_with_the_totals(drawn, tmp_path):
    """The forger rebuilds everything but the ledger's digest of the totals."""
    viewers = {drawn.totals[at : at + 14]: 100 for at in range(0, len(drawn.totals), 18)}
    fewer = dict(sorted(viewers.items())[1:])
    forged = run_draw(tmp_path, fewer, beacon="dice")
    everybody = run_draw(tmp_path, viewers, beacon="dice")
    assert failed(check(forged)) == set()
    wrong = failed(verify_draw(forged.encoded, forged.roll, everybody.totals))
    assert wrong == {"totals digest", "tickets from shakes"}


def test_the_wrong_exclusions_fail(thrown):
    wrong = failed(verify_draw(thrown.encoded, thrown.roll, thrown.totals))
    assert wrong == {"exclusions", "tickets from shakes"}


def test_totals_without_the_last_viewers_do_not_give_the_roll(thrown):
    totals = thrown.totals[: -18 * 5]
    assert "tickets from shakes" in failed(verify_draw(thrown.encoded, thrown.roll, totals, thrown.excluded))


def test_the_table_of_tickets_stays_small_whatever_the_totals_are(monkeypatch):
    tickets = verifier.TicketsOf([[10, 1], [50, 300]])
    assert [tickets[total] for total in (0, 9, 10, 49, 50, 1 << 31)] == [
        b"",
        b"",
        *[b"\0\1"] * 2,
        *[b"\1\x2c"] * 2,
    ]
    for total in range(70_000):
        tickets[total]
    assert len(tickets) <= (1 << 16) + 1


# --- dispositions ---


def dispose(record, rows):
    """The record with these (viewer, prize, status, reason, seconds after the seal) as its dispositions."""
    fields = "pseudonym", "prize", "status", "reason"
    told = [
        {
            **dict(zip(fields, row, strict=False)),
            "time": record["seal"]["time"] + 1000 * row[4],
            "ledger": 20 + at,
        }
        for at, row in enumerate(rows)
    ]
    return reseal({**record, "dispositions": told})


def cast_of(record):
    """Who is who: w0, w1 the winners, r0, r1 the reserves."""
    lists = {"w": record["winners"], "r": record["reserves"]}
    return {f"{kind}{at}": row["pseudonym"] for kind, rows in lists.items() for at, row in enumerate(rows)}


DECLINED, PASSED = ("forfeited", "declined"), ("forfeited", "deadline passed")
WEEK = 604_800
STORIES = [
    ([("w0", "prize-0", "claimed", "", 1), ("w1", "prize-1", "claimed", "", 1)], ""),
    ([("w0", "prize-0", *DECLINED, 1), ("r0", "prize-0", "won", "moved up", 1)], ""),
    ([("w0", "prize-0", *PASSED, WEEK)], ""),
    ([("w0", "prize-0", *PASSED, 258_000)], "a deadline not before"),
    (
        [
            ("w0", "prize-0", *DECLINED, 1000),
            ("r0", "prize-0", "won", "moved up", 1000),
            ("r0", "prize-0", *PASSED, 259_300),
        ],
        "a deadline not before",
    ),
    ([("w0", "prize-0", "claimed", "", 1), ("w0", "prize-0", "disqualified", "under age", 2)], ""),
    ([("w0", "prize-0", "claimed", "", 1), ("w0", "prize-0", "claimed", "", 2)], "not to be claimed already"),
    ([("w0", "prize-0", "claimed", "", 1), ("w0", "prize-0", *DECLINED, 2)], "not to be claimed already"),
    ([("w0", "prize-1", "claimed", "", 1)], "holder of 'prize-1'"),
    ([("w0", "prize-0", *DECLINED, 1), ("w0", "prize-0", "claimed", "", 2)], "that somebody holds"),
    ([("r0", "prize-0", "won", "moved up", 1)], "a prize that was freed"),
    ([("r0", "", "skipped", "won in another draw", 1)], "a prize that was freed"),
    ([("w0", "prize-0", *DECLINED, 1), ("r1", "prize-0", "won", "moved up", 1)], "next reserve"),
    ([("w0", "prize-0", *DECLINED, 1), ("r0", "prize-1", "won", "moved up", 1)], "that was freed, got"),
    (
        [("w0", "prize-0", *DECLINED, 1), ("r0", "prize-0", "skipped", "won in another draw", 1)],
        "prize: expected",
    ),
    (
        [("w0", "prize-0", *DECLINED, 1)]
        + [(viewer, "", "skipped", "won in another draw", 1) for viewer in ("r0", "r1", "r0")],
        "a reserve that is left",
    ),
    ([("w0", "prize-0", "forfeited", "under age", 1)], "a listed reason"),
    ([("w0", "prize-0", "won", "", 1)], "a listed reason"),
]


@pytest.mark.parametrize(("rows", "message"), STORIES)
def test_dispositions_are_replayed_in_order(thrown, rows, message):
    record, cast = thrown.record, cast_of(thrown.record)
    checks = verify_draw(dispose(record, [(cast[viewer], *rest) for viewer, *rest in rows]))
    assert failed(checks) == ({"dispositions"} if message else set())
    assert message in next(one.detail for one in checks if one.name == "dispositions")


# --- what is no record at all ---


@given(
    record=st.binary(max_size=200), roll=st.binary(max_size=200), totals=st.none() | st.binary(max_size=40)
)
def test_garbage_fails_and_nothing_raises(record, roll, totals):
    assert failed(verify_draw(record, roll, totals)) == {"record"}


@given(junk=st.recursive(st.none() | st.integers() | st.text(), st.lists), data=st.data())
def test_junk_in_any_field_fails_and_nothing_raises(thrown, junk, data):
    record = copy.deepcopy(thrown.record)
    target = record
    while isinstance(target, dict | list) and target:
        keys = sorted(target) if isinstance(target, dict) else range(len(target))
        parent, key = target, data.draw(st.sampled_from([key for key in keys if key not in ADDED]))
        target = target[key]
        if data.draw(st.booleans()):
            break
    if target == junk:
        return
    parent[key] = junk
    try:
        encoded = canonical_json(record)
    except UnicodeEncodeError:
        return
    assert failed(verify_draw(encoded, thrown.roll))


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b"1" * 10_000, b"\xff", b'{"$format":NaN}', b'{"a":"\\ud800"}', b""]
)
def test_hostile_json_fails_and_nothing_raises(drawn, data):
    assert failed(verify_draw(data, drawn.roll)) == {"record"}


def test_a_detail_is_never_longer_than_a_screen(thrown):
    record = {**thrown.record, "key": "x" * 100_000}
    assert len(verify_draw(canonical_json(record))[0].detail) < 700


# --- the command line ---


@pytest.fixture
def folder(thrown, tmp_path):
    """A directory with the files of a draw and the verifier alone."""
    return lay_out(thrown, tmp_path)


def lay_out(drawn, tmp_path):
    (tmp_path / "verify_draw.py").write_bytes(SOURCE.read_bytes())
    (tmp_path / "record.json").write_bytes(drawn.encoded)
    (tmp_path / "roll.bin").write_bytes(drawn.roll)
    (tmp_path / "totals.bin").write_bytes(drawn.totals)
    (tmp_path / "excluded.txt").write_text("\n".join(name.hex() for name in drawn.excluded))
    return tmp_path


def run_in(folder, *arguments):
    command = [sys.executable, "-I", "verify_draw.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_file_runs_alone_and_the_last_line_is_the_verdict(drawn, tmp_path):
    folder = lay_out(drawn, tmp_path)
    for files in (["roll.bin"], ["roll.bin", "totals.bin", "excluded.txt"]):
        good = run_in(folder, "record.json", *files)
        assert (good.returncode, "FAIL" in good.stdout, good.stderr) == (0, False, "")
        assert good.stdout.splitlines()[-1].startswith("OK, ARITHMETIC ONLY: all")
    bad = run_in(folder, "record.json", "roll.bin", "totals.bin")
    assert bad.returncode == 1
    assert "FAIL exclusions: " in bad.stdout
    assert bad.stdout.splitlines()[-1] == "NOT OK: 2 of 28 checks fail: exclusions, tickets from shakes"


def test_with_the_record_alone_it_says_what_was_not_checked(folder, capsys):
    assert verifier.main([str(folder / "record.json")]) == 0
    *_, note, verdict = capsys.readouterr().out.splitlines()
    assert note.startswith("note NOT CHECKED, as the files were not given: signature, statements, witnesses,")
    assert "roll file, roll entries" in note
    assert verdict.startswith("OK as far as it goes: 20 checks hold, but without the roll")


def test_json_has_the_verdict_and_every_check(folder, capsys):
    files = [str(folder / name) for name in ("record.json", "roll.bin", "totals.bin", "excluded.txt")]
    assert verifier.main([*files, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["not_checked"]) == (True, WITH_MORE)
    assert report["rests_on"] == ["arithmetic"]
    assert [row["name"] for row in report["checks"]] == ALL_NAMES
    assert all(set(row) == {"name", "ok", "detail"} for row in report["checks"])
    assert verifier.main([*files[:3], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


@pytest.mark.parametrize("name", ["record.json", "roll.bin", "totals.bin", "excluded.txt"])
def test_a_file_that_can_not_be_read_is_said_so(folder, capsys, name):
    (folder / name).unlink()
    files = [str(folder / name) for name in ("record.json", "roll.bin", "totals.bin", "excluded.txt")]
    assert verifier.main(files) == 1
    first, verdict = capsys.readouterr().out.splitlines()
    assert first.startswith("FAIL files: ")
    assert name in first
    assert verdict == "NOT OK: 1 of 1 checks fail: files"


@pytest.mark.parametrize("text", ["zz", "00"])
def test_exclusions_that_are_no_pseudonyms_are_said_so(folder, capsys, text):
    (folder / "excluded.txt").write_text(text)
    files = [str(folder / name) for name in ("record.json", "roll.bin", "totals.bin", "excluded.txt")]
    assert verifier.main(files) == 1
    assert "FAIL files: " in capsys.readouterr().out


def test_help_explains_and_bad_usage_is_status_2(capsys):
    for arguments, status in ((["--help"], 0), ([], 2), (["a", "--nonsense"], 2)):
        with pytest.raises(SystemExit) as stopped:
            verifier.main(arguments)
        assert stopped.value.code == status
    assert "--receipt" in capsys.readouterr().out


def test_nothing_that_is_printed_moves_the_cursor(folder, capsys):
    (folder / "record.json").write_bytes(canonical_json({"\x1b[2J\u202e": 1}))
    assert verifier.main([str(folder / "record.json")]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_progress_is_shown_on_a_terminal_after_two_seconds(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = verifier.Progress()
    progress.tell("ranking", 1, 4)
    assert capsys.readouterr().err == ""
    progress.shown -= 3
    progress.tell("ranking", 1, 4)
    progress.tell("ranking", 2, 4)
    assert capsys.readouterr().err.strip() == "ranking: 25 %"


# --- the file itself ---

ALLOWED = {
    "__future__", "argparse", "base64", "bisect", "ctypes", "ctypes.util", "functools", "hashlib", "heapq", "io",
    "itertools",
    "json", "operator", "os", "re", "struct", "sys", "time", "typing",
}  # fmt: skip
NEWER_THAN_3_8 = {
    "pairwise", "file_digest", "removeprefix", "removesuffix", "bit_count", "batched", "lcm", "cache",
    "is_relative_to", "to_thread", "randbytes", "unparse",
}  # fmt: skip


def test_it_is_written_for_python_3_8_and_imports_only_the_standard_library():
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [
        str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level
    ]
    assert set(names) <= ALLOWED
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used & NEWER_THAN_3_8 == set()
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    assert keywords & {"strict", "usedforsecurity", "exit_on_error", "slots", "kw_only"} == set()


def test_its_examples_run():
    result = doctest.testmod(verifier)
    assert result.attempted >= 8
    assert result.failed == 0
