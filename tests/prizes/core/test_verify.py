"""The verifier accepts honest draws of every shape, and no change of any byte goes unnoticed."""

import copy
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.core import merkle
from engagement.core.digests import canonical_json
from prizes.core import verify
from prizes.core.record import record_digest
from prizes.core.verify import verify_draw
from tests.prizes.draws import CLOSES, DRAW, OPENS, T_FREEZE, failed, make_viewers, run_draw
from tests.prizes.draws import verify as check


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A draw with a skipped winner, an excluded viewer and a claim."""
    viewers, folder = make_viewers(24), tmp_path_factory.mktemp("draw")
    excluded = frozenset([max(viewers, key=lambda name: (viewers[name], name))])
    first = run_draw(folder, viewers, excluded=excluded).record["ranked"][0]["pseudonym"]
    prior = {bytes.fromhex(first): "gala-2026/seg-0/draw-1"}
    winner = run_draw(folder, viewers, excluded=excluded, prior_wins=prior).record["winners"][0]
    claim = {"pseudonym": winner["pseudonym"], "prize": "prize-0", "status": "claimed", "reason": ""}
    return run_draw(
        folder,
        viewers,
        excluded=excluded,
        prior_wins=prior,
        dispositions=[{**claim, "time": 1692806400000, "ledger": 12}],
    )


def reseal(record):
    """Return the bytes of a changed record whose own digest was made to fit, as a careful forger would."""
    return canonical_json({**record, "digest": record_digest(record).hex()})


def test_an_honest_draw_holds_in_every_check(drawn):
    checks = check(drawn)
    assert failed(checks) == set()
    names = ["record", *(name for name, _ in verify.CHECKS + verify.TOTALS_CHECKS)]
    assert [one.name for one in checks] == names
    assert len(drawn.record["ranked"]) == 5  # one of them skipped
    assert [row["won"] != "" for row in drawn.record["ranked"]] == [True, False, False, False, False]


def test_without_the_totals_the_public_checks_remain(drawn):
    checks = verify_draw(drawn.encoded, drawn.roll)
    assert [one.name for one in checks] == ["record", *(name for name, _ in verify.CHECKS)]
    assert failed(checks) == set()


@pytest.mark.parametrize("beacon", ["drand", "dice", "local"])
def test_every_beacon_holds_and_says_how_strong_it_is(tmp_path, beacon):
    checks = check(run_draw(tmp_path, make_viewers(9), beacon=beacon))
    assert failed(checks) == set()
    detail = next(one.detail for one in checks if one.name == "beacon")
    assert ("REHEARSAL" in detail) == (beacon == "local")


def test_a_window_may_be_closed_early(drawn):
    record = {**drawn.record, "as_run": {"opens_at": OPENS, "closes_at": OPENS + 1}}
    assert failed(verify_draw(reseal(record), drawn.roll)) == set()


def test_an_empty_roll_is_legal_and_nobody_wins(tmp_path):
    drawn = run_draw(tmp_path, {})
    assert failed(check(drawn)) == set()
    assert (len(drawn.roll), drawn.record["winners"], drawn.record["reserves"]) == (64, [], [])


def test_more_prizes_than_entries_is_legal(tmp_path):
    drawn = run_draw(tmp_path, {b"A" * 14: 10, b"B" * 14: 500}, prizes=6)
    assert failed(check(drawn)) == set()
    assert len(drawn.record["winners"]) == 2


def test_when_everybody_has_won_before_nobody_wins(tmp_path):
    viewers = {bytes([n]) * 14: 50 for n in range(5)}
    drawn = run_draw(tmp_path, viewers, prior_wins=dict.fromkeys(viewers, "draw-0"))
    assert failed(check(drawn)) == set()
    assert (len(drawn.record["ranked"]), drawn.record["winners"]) == (5, [])


@pytest.fixture(scope="module")
def tall(tmp_path_factory):
    """A draw from a roll of 1,300 entries: six leaves, so proofs of different lengths."""
    viewers = {name: 10 + total for name, total in make_viewers(1300).items()}
    return run_draw(tmp_path_factory.mktemp("tall"), viewers, prizes=20, reserves=20)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513, 600])
def test_a_draw_at_the_edges_of_the_leaves_holds(tmp_path, size):
    drawn = run_draw(tmp_path, {name: 10 + total for name, total in make_viewers(size).items()})
    assert failed(check(drawn)) == set()
    assert drawn.record["roll"]["entries"] == size


def test_a_draw_with_proofs_of_every_length_holds(tall):
    assert failed(check(tall)) == set()
    assert {len(row["proof"]["siblings"]) for row in tall.record["ranked"]} == {2, 3}


def test_a_proof_that_was_changed_cut_or_lengthened_fails(tall):
    for rank, row in enumerate(tall.record["ranked"]):
        siblings = row["proof"]["siblings"]
        for other in ([], siblings[1:], siblings[:-1], siblings[::-1], [*siblings, "00" * 32]):
            record = copy.deepcopy(tall.record)
            record["ranked"][rank]["proof"]["siblings"] = other
            case = verify._Case(record, tall.roll, None, ())
            with pytest.raises((verify.Wrong, IndexError)):
                verify._check_proofs(case)


def test_the_verifiers_tree_is_the_makers_at_every_size():
    leaves = [merkle.leaf_hash(bytes([size % 251])) for size in range(300)]
    assert all(verify._tree(leaves[:size]) == merkle.root(leaves[:size]) for size in range(301))


def test_every_changed_byte_of_the_record_fails_a_check(drawn):
    chance = random.Random(1)
    for at in range(len(drawn.encoded)):
        changed = bytearray(drawn.encoded)
        changed[at] ^= chance.randrange(1, 256)
        assert failed(verify_draw(bytes(changed), drawn.roll)), f"byte {at}"


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_changed_byte_of_the_roll_fails_a_check(drawn, mask):
    for at in range(len(drawn.roll)):
        changed = bytearray(drawn.roll)
        changed[at] ^= mask
        assert failed(verify_draw(drawn.encoded, bytes(changed))), f"byte {at}"


def test_every_changed_byte_of_the_totals_fails_a_check(drawn):
    for at in range(len(drawn.totals)):
        changed = bytearray(drawn.totals)
        changed[at] ^= 1
        assert failed(verify_draw(drawn.encoded, drawn.roll, bytes(changed), drawn.excluded)), f"byte {at}"


@pytest.mark.parametrize("cut", [0, 63, 64, -1, -16])
def test_a_cut_or_longer_roll_fails_a_check(drawn, cut):
    assert failed(verify_draw(drawn.encoded, drawn.roll[:cut]))
    assert failed(verify_draw(drawn.encoded, drawn.roll + bytes(16)))


def test_the_wrong_exclusions_fail(drawn):
    wrong = failed(verify_draw(drawn.encoded, drawn.roll, drawn.totals))
    assert wrong == {"exclusions", "tickets from shakes"}


def set_at(path, value):
    def change(record):
        *parents, last = path
        for step in parents:
            record = record[step]
        record[last] = value

    return change


def swap_winners(record):
    first, second = record["winners"]
    first["prize"], second["prize"] = second["prize"], first["prize"]


def drop_best(record):
    del record["ranked"][1]


FORGERIES = [
    (set_at(["$format"], "shake-draw/v2"), "record"),
    (set_at(["extra"], 1), "record"),
    (set_at(["seal", "time"], 1.5), "record"),
    (set_at(["seal", "time"], True), "record"),
    (set_at(["seal", "time"], 1 << 64), "record"),
    (set_at(["key"], "AB" * 32), "record"),
    (set_at(["rules", "eligibility"], "Friends."), "rules digest"),
    (set_at(["rules", "reserves"], 8), "rules"),
    (set_at(["rules", "tmax"], 4), "rules"),
    (set_at(["rules", "tickets"], [[10, 2], [50, 2]]), "rules"),
    (set_at(["rules", "tickets"], []), "rules"),
    (set_at(["rules", "algorithm"], "mine"), "rules"),
    (set_at(["rules", "skip_rule"], "none"), "rules"),
    (set_at(["rules", "seal_margin_s"], 14), "rules"),
    (set_at(["rules", "windows", 0, "window_ms"], 0), "rules"),
    (set_at(["rules", "windows", 0, "window_ms"], 59999), "times"),
    (set_at(["as_run", "closes_at"], OPENS - 1), "times"),
    (set_at(["as_run", "opens_at"], OPENS - 1), "times"),
    (set_at(["as_run"], {"opens_at": OPENS + 4000, "closes_at": CLOSES + 4000}), "times"),
    (set_at(["rules_digest"], "00" * 32), "rules digest"),
    (set_at(["precommitment", "commitments", "operator"], "00" * 32), "commitments"),
    (set_at(["reveals", "operator", "secret"], "00" * 32), "commitments"),
    (set_at(["reveals", "stranger"], {"secret": "", "time": 0, "ledger": 0}), "commitments"),
    (set_at(["precommitment", "time"], OPENS + 1), "times"),
    (set_at(["seal", "t_freeze"], 1692806160), "times"),
    (set_at(["seal", "time"], T_FREEZE * 1000 - 1), "times"),
    (set_at(["seal", "time"], (T_FREEZE + 62) * 1000), "times"),
    (set_at(["ledger", "seal"], 7), "ledger"),
    (set_at(["dispositions", 0, "ledger"], 11), "ledger"),
    (set_at(["software", "software"], "00" * 32), "software"),
    (set_at(["roll", "header"], "00" * 64), "roll header"),
    (set_at(["roll", "entries"], 1), "roll entries"),
    (set_at(["roll", "tickets"], 1), "roll entries"),
    (set_at(["roll", "root"], "00" * 32), "roll root"),
    (set_at(["roll", "digest"], "00" * 32), "roll digest"),
    (set_at(["roll", "totals_digest"], "00" * 32), "totals digest"),
    (set_at(["seal", "digest"], "00" * 32), "seal"),
    (set_at(["reveals", "operator", "secret"], ""), "seal"),
    (set_at(["seal", "round"], 955), "beacon"),
    (set_at(["beacon", "kind"], "dice"), "beacon"),
    (set_at(["beacon", "id"], "00" * 32), "beacon"),
    (set_at(["beacon", "value"], "00" * 32), "beacon"),
    (set_at(["beacon", "strength"], "rehearsal"), "beacon"),
    (set_at(["beacon", "proof"], {}), "beacon"),
    (set_at(["beacon", "proof", "signature"], "00" * 48), "beacon"),
    (set_at(["key"], "00" * 32), "key"),
    (set_at(["ranked", 0, "rank"], 2), "ranking"),
    (set_at(["ranked", 0, "tickets"], 9), "ranking"),
    (set_at(["ranked", 0, "ticket"], 9), "ranking"),
    (set_at(["ranked", 0, "score"], "00" * 16), "ranking"),
    (set_at(["ranked", 0, "index"], 23), "ranking"),
    (set_at(["ranked"], []), "ranking"),
    (drop_best, "ranking"),
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
    (set_at(["ranked", 0, "proof", "leaf"], 1), "inclusion proofs"),
    (set_at(["ranked", 0, "proof", "siblings"], ["00" * 32]), "inclusion proofs"),
    (set_at(["dispositions", 0, "reason"], "did not like them"), "dispositions"),
    (set_at(["dispositions", 0, "status"], "lost"), "dispositions"),
    (set_at(["dispositions", 0, "prize"], "yacht"), "dispositions"),
    (set_at(["dispositions", 0, "pseudonym"], "00" * 14), "dispositions"),
]


@pytest.mark.parametrize(("change", "name"), FORGERIES)
def test_a_forged_claim_fails_its_own_check_although_the_digest_fits(drawn, change, name):
    record = copy.deepcopy(drawn.record)
    change(record)
    try:
        encoded = reseal(record)
    except ValueError:  # a float: only a foreign encoder would write it
        encoded = drawn.encoded.replace(b'"time":1692806304500', b'"time":1.5')
    checks = verify_draw(encoded, drawn.roll, drawn.totals, drawn.excluded)
    assert name in failed(checks)
    assert "record digest" not in failed(checks)


def test_every_check_has_a_forgery_that_only_it_must_catch():
    names = {name for name, _ in verify.CHECKS + verify.TOTALS_CHECKS} | {"record"}
    assert names - {name for _, name in FORGERIES} == {"record digest", "exclusions", "tickets from shakes"}


@given(
    record=st.binary(max_size=200), roll=st.binary(max_size=200), totals=st.none() | st.binary(max_size=40)
)
def test_garbage_fails_and_nothing_raises(record, roll, totals):
    assert failed(verify_draw(record, roll, totals)) == {"record"}


@given(junk=st.recursive(st.none() | st.integers() | st.text(), st.lists), data=st.data())
def test_junk_in_any_field_fails_and_nothing_raises(drawn, junk, data):
    record = copy.deepcopy(drawn.record)
    target = record
    while isinstance(target, dict | list) and target:
        keys = sorted(target) if isinstance(target, dict) else range(len(target))
        parent, key = target, data.draw(st.sampled_from(list(keys)))
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
    assert failed(verify_draw(encoded, drawn.roll))


@pytest.mark.parametrize("data", [b"[" * 100_000, b"1" * 10_000, b"\xff", b'{"$format":NaN}', b""])
def test_hostile_json_fails_and_nothing_raises(drawn, data):
    assert failed(verify_draw(data, drawn.roll)) == {"record"}


def test_an_entry_dropped_from_a_rebuilt_roll_is_noticed_with_the_totals(drawn, tmp_path):
    """The forger rebuilds everything but the ledger's digest of the totals."""
    viewers = {drawn.totals[at : at + 14]: 100 for at in range(0, len(drawn.totals), 18)}
    fewer = dict(sorted(viewers.items())[1:])
    forged = run_draw(tmp_path, fewer)
    everybody = run_draw(tmp_path, viewers)
    assert failed(check(forged)) == set()
    assert failed(verify_draw(forged.encoded, forged.roll, everybody.totals)) == {
        "totals digest",
        "tickets from shakes",
    }


def test_the_file_runs_alone_on_the_command_line(drawn, tmp_path):
    alone = tmp_path / "verify_draw.py"
    alone.write_bytes(Path(verify.__file__).read_bytes())
    (tmp_path / "record.json").write_bytes(drawn.encoded)
    (tmp_path / "roll.bin").write_bytes(drawn.roll)
    (tmp_path / "totals.bin").write_bytes(drawn.totals)
    (tmp_path / "excluded.txt").write_text("\n".join(name.hex() for name in drawn.excluded))
    command = [sys.executable, "-I", alone.name, "record.json", "roll.bin"]
    for arguments in ([], ["totals.bin", "excluded.txt"]):
        good = subprocess.run(command + arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (good.returncode, "FAIL" in good.stdout, good.stderr) == (0, False, "")
    files = [str(tmp_path / name) for name in ("record.json", "roll.bin", "totals.bin", "excluded.txt")]
    assert [verify.main(files[:2]), verify.main(files[:3]), verify.main(files)] == [0, 1, 0]
    bad = subprocess.run([*command, "totals.bin"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (bad.returncode, "FAIL  exclusions" in bad.stdout) == (1, True)


def test_files_that_can_not_be_read_are_said_so(tmp_path, capsys):
    assert verify.main([str(tmp_path / "none"), str(tmp_path / "none")]) == 1
    assert "FAIL  files" in capsys.readouterr().out
