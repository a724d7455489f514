"""A viewer's receipt against the record alone: where the viewer stands, or a proof of fraud."""

import copy
import json

import pytest

from engagement.core.digests import canonical_json
from engagement.ledger.core import merkle
from prizes import verify_draw as verifier
from prizes.core.digests import roll_digest
from prizes.core.receipt import Entry, Run, build_receipt, runs_around
from tests.prizes.draws import KEY, failed, make_viewers, run_draw, sign_receipt, sign_record, verify_draw
from tests.prizes.test_verify_draw import (
    PASSED,
    WEEK,
    cast_of,
    changed_at,
    dispose,
    other_values,
    paths_of,
    reseal,
    value_at,
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Three runs, the last of which is short."""
    viewers = {name: 10 + total for name, total in make_viewers(600).items()}
    return run_draw(tmp_path_factory.mktemp("draw"), viewers, beacon="dice")


def names_in(roll):
    return [roll[at : at + 14] for at in range(64, len(roll), 16)]


def make_receipt(drawn, viewer):
    """The receipt as the server makes it, with proofs of the maker's tree."""
    names, roll = names_in(drawn.roll), drawn.roll
    position, present = sum(name < viewer for name in names), viewer in names
    pieces = [roll[at : at + 4096] for at in range(64, len(roll), 4096)]
    hashes = [merkle.leaf_hash(piece) for piece in pieces]
    runs = [
        Run(leaf, pieces[leaf], merkle.inclusion_proof(hashes, leaf))
        for leaf in runs_around(position, len(names), present)
    ]
    tickets = int.from_bytes(roll[64 + 16 * position + 14 : 80 + 16 * position], "big")
    return build_receipt(
        version="shake-draw/v2",
        draw_id=drawn.record["rules"]["draw_id"],
        pseudonym=viewer,
        roll_header=roll[:64],
        roll_root=merkle.root(hashes),
        seal=bytes.fromhex(drawn.record["seal"]["digest"]),
        entry=Entry(position, tickets) if present else None,
        runs=runs,
    )


def check_receipt(encoded, receipt):
    """The last check of the record alone with this receipt; the organiser has signed both."""
    signed, receipts = sign_record(json.loads(encoded)), [sign_receipt(receipt)]
    checks = verify_draw(signed, receipts=receipts, keys=[KEY])
    assert checks[-1].name == f"receipt {receipt['pseudonym']}"
    return checks[-1]


def all_ranked(drawn):
    """[(score, ticket, index, name, tickets)] of the whole roll, computed in the plainest way."""
    cipher, rows = verifier.PlainCipher(bytes.fromhex(drawn.record["key"])), []
    for index, name in enumerate(names_in(drawn.roll)):
        tickets = int.from_bytes(drawn.roll[78 + 16 * index : 80 + 16 * index], "big")
        rows.append((*verifier.best_score(cipher, name.hex(), tickets), index, name, tickets))
    return sorted(rows)


# --- honest draws ---


def test_a_winner_and_a_reserve_are_told_their_rank(drawn):
    first, last = drawn.record["ranked"][0], drawn.record["ranked"][-1]
    told = check_receipt(drawn.encoded, make_receipt(drawn, bytes.fromhex(first["pseudonym"])))
    assert told.ok
    assert told.detail.startswith(
        "rank 1, won 'prize-0', not claimed so far: the sealed roll has this viewer with "
    )
    told = check_receipt(drawn.encoded, make_receipt(drawn, bytes.fromhex(last["pseudonym"])))
    assert told.ok
    assert told.detail.startswith("rank 4, in reserve, number 2 of 2 in line: ")


W0_DECLINES, W1_LATE = ("w0", "prize-0", "forfeited", "declined", 1), ("w1", "prize-1", *PASSED, WEEK)
W0_CLAIMS, W0_UNDER_AGE = (
    ("w0", "prize-0", "claimed", "", 1),
    ("w0", "prize-0", "disqualified", "under age", 2),
)
R0_MOVES_UP, R0_SKIPPED = (
    ("r0", "prize-0", "won", "moved up", 3),
    ("r0", "", "skipped", "won in another draw", 3),
)
STANDINGS = [
    ([W0_CLAIMS], "w0", "rank 1, won 'prize-0', claimed: "),
    ([W0_DECLINES], "w0", "rank 1, won 'prize-0' and lost it (forfeited: declined): "),
    ([W0_DECLINES], "r0", "rank 3, in reserve, number 1 of 2 in line: "),  # nobody has moved up yet
    ([W1_LATE], "w1", "rank 2, won 'prize-1' and lost it (forfeited: deadline passed): "),
    ([W0_CLAIMS, W0_UNDER_AGE], "w0", "rank 1, won 'prize-0' and lost it (disqualified: under age): "),
    (
        [W0_DECLINES, R0_MOVES_UP],
        "r0",
        "rank 3, moved up from the reserves, won 'prize-0', not claimed so far: ",
    ),
    ([W0_DECLINES, R0_MOVES_UP], "r1", "rank 4, in reserve, number 1 of 1 in line: "),
    (
        [W0_DECLINES, R0_MOVES_UP, ("r0", "prize-0", "claimed", "", 4)],
        "r0",
        "rank 3, moved up from the reserves, won 'prize-0', claimed: ",
    ),
    (
        [W0_DECLINES, R0_MOVES_UP, ("r0", "prize-0", "forfeited", "declined", 4)],
        "r0",
        "rank 3, moved up from the reserves, won 'prize-0' and lost it (forfeited: declined): ",
    ),
    ([W0_DECLINES, R0_SKIPPED], "r0", "rank 3, in reserve until passed over (won in another draw): "),
]


@pytest.mark.parametrize(("rows", "viewer", "beginning"), STANDINGS)
def test_listed_viewers_are_told_what_became_of_it(drawn, rows, viewer, beginning):
    cast = cast_of(drawn.record)
    encoded = dispose(drawn.record, [(cast[name], *rest) for name, *rest in rows])
    assert failed(verify_draw(encoded)) == set()
    told = check_receipt(encoded, make_receipt(drawn, bytes.fromhex(cast[viewer])))
    assert told.ok
    assert told.detail.startswith(beginning)


def test_who_had_won_before_is_told_in_which_draw(tmp_path):
    viewers = make_viewers(24)
    first = run_draw(tmp_path, viewers, beacon="dice").record["ranked"][0]["pseudonym"]
    prior = {bytes.fromhex(first): "gala-2026/seg-0/draw-1"}
    drawn = run_draw(tmp_path, viewers, prior_wins=prior, beacon="dice")
    told = check_receipt(drawn.encoded, make_receipt(drawn, bytes.fromhex(first)))
    assert told.detail.startswith(
        "rank 1, passed over for a win in 'gala-2026/seg-0/draw-1' (if this viewer did not win there"
    )


def test_where_dispositions_do_not_replay_no_standing_is_told(drawn):
    cast = cast_of(drawn.record)
    encoded = dispose(drawn.record, [(cast["r0"], "prize-0", "won", "moved up", 1)])
    told = check_receipt(encoded, make_receipt(drawn, bytes.fromhex(cast["w0"])))
    assert told.detail.startswith(
        "rank 1, but what became of it can't be told: the dispositions do not replay: "
    )
    assert failed(verify_draw(encoded)) == {"dispositions"}


def test_who_is_struck_from_winners_and_reserves_alike_is_told_so(drawn):
    cast = cast_of(drawn.record)
    for viewer, field in (("w0", "winners"), ("r1", "reserves")):
        receipt = make_receipt(drawn, bytes.fromhex(cast[viewer]))
        encoded = reseal({**drawn.record, field: []})
        assert "but the record has the viewer as neither" in check_receipt(encoded, receipt).detail
        assert failed(verify_draw(encoded)) == {field}


def test_every_viewer_who_was_not_drawn_is_told_the_best_score(drawn):
    listed = {row["pseudonym"] for row in drawn.record["ranked"]}
    receipts = [make_receipt(drawn, name) for name in names_in(drawn.roll)[::29] if name.hex() not in listed]
    checks = verify_draw(drawn.encoded, receipts=map(canonical_json, receipts))
    assert failed(checks) == set()
    told = [check.detail for check in checks[-len(receipts) :]]
    assert all(detail.startswith("not drawn: ") and "is not below the cutoff" in detail for detail in told)


def absent_viewers(drawn):
    names = names_in(drawn.roll)
    between = [(int.from_bytes(names[at], "big") + 1).to_bytes(14, "big") for at in (0, 100, 255, 511, -1)]
    return [bytes(14), *between, b"\xff" * 14]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 600])
def test_absence_is_proven_everywhere_in_rolls_of_any_size(tmp_path, size):
    viewers = {name: 10 + total for name, total in make_viewers(size).items()}
    drawn = run_draw(tmp_path, viewers, beacon="local")
    names = names_in(drawn.roll)
    around = {(int.from_bytes(names[at], "big") + 1).to_bytes(14, "big") for at in range(0, size, 51)}
    around |= {(int.from_bytes(names[at], "big") + 1).to_bytes(14, "big") for at in (255, 511) if at < size}
    receipts = [make_receipt(drawn, viewer) for viewer in [bytes(14), *around, b"\xff" * 14]]
    checks = verify_draw(drawn.encoded, receipts=map(canonical_json, receipts))
    assert failed(checks) == set()
    assert {check.detail for check in checks[-len(receipts) :]} == {
        "this viewer is not in the roll: the runs prove it"
    }


@pytest.mark.parametrize("size", [1, 256, 257, 513])
def test_presence_is_proven_in_rolls_of_any_size(tmp_path, size):
    viewers = {name: 10 + total for name, total in make_viewers(size).items()}
    drawn = run_draw(tmp_path, viewers, beacon="local")
    for name in (names_in(drawn.roll)[0], names_in(drawn.roll)[-1]):
        assert check_receipt(drawn.encoded, make_receipt(drawn, name)).ok


# --- proofs of fraud ---


def leave_out(drawn, victim, cutoff=None):
    """The record that an operator would publish who drops this viewer from the ranking: all else fits."""
    record, rules = copy.deepcopy(drawn.record), drawn.record["rules"]
    take = rules["winners"] + rules["reserves"]
    kept = [row for row in all_ranked(drawn) if row[3] != victim][:take]
    pieces = [drawn.roll[at : at + 4096] for at in range(64, len(drawn.roll), 4096)]
    hashes = [merkle.leaf_hash(piece) for piece in pieces]
    record["ranked"] = [
        {
            "rank": rank, "pseudonym": name.hex(), "tickets": tickets, "ticket": ticket, "score": score, "index": index,
            "proof": {"leaf": index // 256,
                      "siblings": [node.hex() for node in merkle.inclusion_proof(hashes, index // 256)]},
            "won": "",
        }
        for rank, (score, ticket, index, name, tickets) in enumerate(kept, 1)
    ]  # fmt: skip
    takers = [{"rank": row["rank"], "pseudonym": row["pseudonym"]} for row in record["ranked"]]
    prizes = [prize["id"] for prize in rules["prizes"]]
    record["winners"] = [{**taker, "prize": prize} for taker, prize in zip(takers, prizes, strict=False)]
    record["reserves"] = takers[rules["winners"] :]
    record["cutoff"] = record["ranked"][-1]["score"] if len(takers) == take else "ff" * 16
    return reseal(record)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_a_viewer_who_was_left_out_holds_a_proof_of_fraud(drawn, rank):
    """The record is right in itself: without roll or receipt nobody could tell."""
    victim = bytes.fromhex(drawn.record["ranked"][rank]["pseudonym"])
    forged = leave_out(drawn, victim)
    assert failed(verify_draw(forged)) == set()
    assert failed(verify_draw(forged, drawn.roll)) == {"ranking"}
    told = check_receipt(forged, make_receipt(drawn, victim))
    assert not told.ok
    assert told.detail.startswith("PROOF OF FRAUD: the sealed roll has this viewer with ")
    assert "does not list the viewer" in told.detail
    assert drawn.record["ranked"][rank]["score"] in told.detail


def test_the_others_receipts_stay_good_in_that_record(drawn):
    victim, other = (bytes.fromhex(drawn.record["ranked"][rank]["pseudonym"]) for rank in (0, 1))
    assert check_receipt(leave_out(drawn, victim), make_receipt(drawn, other)).ok


def test_who_is_left_out_of_a_list_of_everybody_holds_a_proof_whatever_the_score(tmp_path):
    drawn = run_draw(tmp_path, {bytes([n]) * 14: 100 for n in range(1, 4)}, prizes=4, beacon="dice")
    victim = bytes.fromhex(drawn.record["ranked"][-1]["pseudonym"])
    told = check_receipt(leave_out(drawn, victim), make_receipt(drawn, victim))
    assert told.detail.startswith("PROOF OF FRAUD: ")
    assert "everybody in the roll should be listed" in told.detail


def test_a_lower_cutoff_does_not_hide_who_is_better_than_the_last_that_is_listed(drawn):
    victim = bytes.fromhex(drawn.record["ranked"][0]["pseudonym"])
    forged = {**json.loads(leave_out(drawn, victim)), "cutoff": "00" * 16}
    assert check_receipt(reseal(forged), make_receipt(drawn, victim)).detail.startswith("PROOF OF FRAUD")


@pytest.mark.parametrize(("field", "value"), [("score", "00" * 16), ("tickets", 65535), ("index", 0)])
def test_a_viewer_who_is_listed_with_other_values_holds_a_proof(drawn, field, value):
    row = drawn.record["ranked"][0]
    forged = reseal(changed_at(drawn.record, ("ranked", 0, field), value))
    told = check_receipt(forged, make_receipt(drawn, bytes.fromhex(row["pseudonym"])))
    assert told.detail.startswith("PROOF OF FRAUD: ")
    assert "but the record ranks the viewer with" in told.detail


def test_a_viewer_who_is_listed_but_not_in_the_roll_proves_fraud(drawn):
    stranger = bytes(14)
    forged = reseal(changed_at(drawn.record, ("ranked", 0, "pseudonym"), stranger.hex()))
    told = check_receipt(forged, make_receipt(drawn, stranger))
    assert told.detail.startswith("PROOF OF FRAUD: the record ranks a viewer who is not in the roll")


# --- another draw, another seal, another roll ---


def first_receipt(drawn):
    return make_receipt(drawn, names_in(drawn.roll)[0])


def test_a_receipt_with_another_seal_is_to_be_kept(drawn):
    told = check_receipt(drawn.encoded, {**first_receipt(drawn), "seal": "11" * 32})
    assert not told.ok
    assert told.detail.startswith("PROOF OF FRAUD: another seal than the record's")
    unsigned = canonical_json({**first_receipt(drawn), "seal": "11" * 32})
    told = verify_draw(drawn.encoded, receipts=[unsigned])[-1]
    assert told.detail.startswith("another seal than the record's")
    assert "two seals of one draw are proof of misconduct" in told.detail


def test_a_receipt_with_another_roll_is_to_be_kept(drawn, tmp_path):
    other = run_draw(tmp_path, dict.fromkeys(names_in(drawn.roll), 10), beacon="dice")
    receipt = {**first_receipt(other), "seal": drawn.record["seal"]["digest"]}
    told = check_receipt(drawn.encoded, receipt)
    assert told.detail.startswith("PROOF OF FRAUD: another roll than the record's")


@pytest.mark.parametrize(("field", "message"), [("draw_id", "draw: "), ("rules_digest", "rules digest: ")])
def test_a_receipt_of_another_draw_is_refused(drawn, field, message):
    receipt = {**first_receipt(drawn), field: "22" * 32}
    assert check_receipt(drawn.encoded, receipt).detail.startswith(message)


# --- receipts that prove nothing ---


def refuse(drawn, receipt):
    told = check_receipt(drawn.encoded, receipt)
    assert not told.ok
    assert "FRAUD" not in told.detail
    return told.detail


def test_every_changed_field_of_a_receipt_is_refused(drawn):
    """Or proves the same of another viewer, who is as absent. Its signature is another matter."""
    for viewer in (names_in(drawn.roll)[5], absent_viewers(drawn)[3]):
        receipt = make_receipt(drawn, viewer)
        for path in paths_of({name: value for name, value in receipt.items() if name != "signature"}):
            value = value_at(receipt, path)
            for other in [{"index": 0, "tickets": 1}] if value is None else other_values(value):
                if other == value:
                    continue
                forged = canonical_json(changed_at(receipt, path, other))
                told = verify_draw(drawn.encoded, receipts=[forged])[-1]
                assert "FRAUD" not in told.detail
                assert not told.ok or (path, receipt["entry"]) == (("pseudonym",), None), path


def test_a_winners_run_without_the_winner_proves_nothing(drawn):
    """Who cuts out of the run, or says to be absent, can't make a proof of fraud of it."""
    winner = bytes.fromhex(drawn.record["ranked"][0]["pseudonym"])
    receipt = make_receipt(drawn, winner)
    assert "is in the roll" in refuse(drawn, {**receipt, "entry": None})
    at = 32 * (receipt["entry"]["index"] % 256)
    data = receipt["runs"][0]["data"]
    cut = {**receipt["runs"][0], "data": data[:at] + data[at + 32 :]}
    assert "under the sealed root" in refuse(drawn, {**receipt, "entry": None, "runs": [cut]})


def test_runs_that_are_not_around_the_viewer_do_not_prove_absence(drawn):
    absent = absent_viewers(drawn)
    low, high = make_receipt(drawn, absent[0]), make_receipt(drawn, absent[-1])
    assert "between which" in refuse(drawn, {**low, "runs": high["runs"]})
    assert "between which" in refuse(drawn, {**high, "runs": low["runs"]})
    assert "one run or two neighbours" in refuse(drawn, {**low, "runs": low["runs"] + high["runs"]})
    assert "one run or two neighbours" in refuse(drawn, {**low, "runs": []})


@pytest.mark.parametrize("change", ["twice", "none", "beyond"])
def test_an_entry_needs_its_own_run_once(drawn, change):
    receipt = first_receipt(drawn)
    runs = {"twice": receipt["runs"] * 2, "none": [], "beyond": receipt["runs"]}[change]
    entry = {"index": 255 + 256 * 400, "tickets": 1} if change == "beyond" else receipt["entry"]
    refuse(drawn, {**receipt, "runs": runs, "entry": entry})


def test_a_proof_in_a_tree_of_size_0_is_refused(drawn, tmp_path):
    """The operator's record of an empty roll, and a receipt with a run in it."""
    empty = run_draw(tmp_path, {}, beacon="dice")
    receipt = make_receipt(empty, b"a" * 14)
    run = {"leaf": 0, "data": b"a".hex() * 14 + "0001", "siblings": []}
    assert "run 0 of 0" in refuse(empty, {**receipt, "runs": [run]})
    assert "run 0 of 0" in refuse(empty, {**receipt, "runs": [run], "entry": {"index": 0, "tickets": 1}})


def test_a_header_of_another_layout_is_refused(drawn):
    """Even if record and receipt agree on it: runs would be cut elsewhere."""
    header = drawn.roll[:56] + drawn.roll[56:58] + b"\0\x20" + drawn.roll[60:64]
    root = bytes.fromhex(drawn.record["roll"]["root"])
    digest = roll_digest(header, root).hex()
    record = {**drawn.record, "roll": {**drawn.record["roll"], "header": header.hex(), "digest": digest}}
    receipt = {**first_receipt(drawn), "roll": {"header": header.hex(), "root": root.hex(), "digest": digest}}
    assert "layout" in check_receipt(reseal(record), receipt).detail


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"$format":"shake-draw/v2/receipt"}', b"\xff"])
def test_what_is_no_receipt_is_named_by_its_place(drawn, data):
    good = canonical_json(first_receipt(drawn))
    checks = verify_draw(drawn.encoded, receipts=[good, data])
    assert failed(checks) == {"receipt 2"}


# --- the command line ---


def test_the_command_takes_several_receipts_and_fails_with_the_fraud(drawn, tmp_path, capsys):
    victim, other = (bytes.fromhex(drawn.record["ranked"][rank]["pseudonym"]) for rank in (0, 1))
    record, mine, theirs = (tmp_path / name for name in ("record.json", "mine.json", "theirs.json"))
    record.write_bytes(sign_record(json.loads(leave_out(drawn, victim))))
    mine.write_bytes(sign_receipt(make_receipt(drawn, victim)))
    theirs.write_bytes(sign_receipt(make_receipt(drawn, other)))
    arguments = [str(record), "--key", KEY, "--receipt", str(theirs), "--receipt", str(mine)]
    assert verifier.main(arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"FAIL receipt {victim.hex()}: PROOF OF FRAUD: " in "\n".join(lines)
    assert any(line.startswith(f"ok   receipt {other.hex()}: rank 1") for line in lines)
    assert lines[-1] == f"NOT OK: 3 of 25 checks fail: statements, time stamps, receipt {victim.hex()}"


def test_a_receipt_is_small_enough_to_be_sent_around(drawn):
    assert len(canonical_json(first_receipt(drawn))) < 9_000 + 66 * 17  # in hex; of 35 million viewers


def test_a_viewer_who_is_listed_twice_is_found_without_the_roll(drawn):
    record = copy.deepcopy(drawn.record)
    row = record["ranked"][1]
    record["ranked"].insert(1, {**row, "index": row["index"] ^ 1})
    told = {check.name: check.detail for check in verify_draw(reseal(record)) if not check.ok}
    assert told["scores"] == "expected each pseudonym once in the ranking"
    receipt = check_receipt(reseal(record), make_receipt(drawn, bytes.fromhex(row["pseudonym"])))
    assert "PROOF OF FRAUD" in receipt.detail and "ranks the viewer 2 times" in receipt.detail
