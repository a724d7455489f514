"""The record is made in one way only, and refuses what does not belong to its rules."""

import pytest

from engagement.ledger.core.merkle import root
from prizes.core.digests import NO_SEAL, rules_digest
from prizes.core.record import (
    ABSENT,
    NO_CUTOFF,
    NOTHING_BEFORE,
    Prior,
    Ranked,
    Revealed,
    build_record,
    encode_record,
    parse_record,
    record_digest,
    select_listed,
    with_dispositions,
)
from prizes.core.roll import RollHeader
from tests.prizes import draws

ROWS = [Ranked(bytes([n]) * 14, 1, 0, bytes([n]) * 16, n) for n in range(6)]
RULES = draws.make_rules()
CLAIM = {"prize": "prize-0", "status": "claimed", "reason": "", "time": 1, "ledger": 12}


def build_empty_record(**changes):
    arguments = {
        "rules": RULES,
        "precommitted_at": draws.OPENS,
        "precommitment_ledger": 1,
        "opens_at": draws.OPENS,
        "closes_at": draws.CLOSES,
        "roll_header": RollHeader(0, 0, rules_digest(RULES), 3).pack(),
        "roll_root": root([]),
        "totals_digest": bytes(32),
        "reveals": {"operator": ABSENT, "notary": ABSENT},
        "sealed_at": draws.T_FREEZE * 1000,
        "t_freeze": draws.T_FREEZE,
        "beacon_value": bytes(32),
        "beacon_proof": {},
        "ranked": [],
        "proofs": {},
        "prior": NOTHING_BEFORE,
        "pending_wins": {},
        "ledger": {"freeze": 2, "seal": 3, "beacon": 4, "start": 5},
        "software": {"software": "33" * 32, "verifier": "44" * 32},
    }
    return build_record(**{**arguments, **changes})


def test_only_winners_of_pending_draws_may_join_those_of_the_seal():
    prior = Prior({ROWS[0].pseudonym: "draw-0"}, ["draw-1"], NO_SEAL)
    record = build_empty_record(
        prior=prior, pending_wins={ROWS[0].pseudonym: "draw-1", ROWS[1].pseudonym: "draw-1"}
    )
    assert [row["draw_id"] for row in record["prior_wins"]] == ["draw-0", "draw-1"]
    with pytest.raises(ValueError, match="one of 'draw-2'"):
        build_empty_record(prior=prior, pending_wins={ROWS[1].pseudonym: "draw-2"})


def test_with_all_parties_absent_the_record_can_still_be_made():
    assert {row["secret"] for row in build_empty_record()["reveals"].values()} == {""}


def test_skipped_viewers_stay_in_the_list_and_lengthen_it():
    prior = {ROWS[1].pseudonym: "draw-0", ROWS[5].pseudonym: "draw-0"}
    assert select_listed(ROWS, prior, 3) == ROWS[:4]
    assert select_listed(ROWS, prior, 4) == ROWS[:5]
    assert select_listed(ROWS, prior, 9) == ROWS
    assert select_listed(ROWS, {}, 0) == []


def test_the_same_draw_gives_the_same_bytes(tmp_path):
    viewers = draws.make_viewers(40)
    assert draws.run_draw(tmp_path, viewers).encoded == draws.run_draw(tmp_path, viewers, cuts=[9]).encoded


def test_the_version_comes_first_and_the_bytes_parse_back(tmp_path):
    record = draws.run_draw(tmp_path, draws.make_viewers(40)).record
    encoded = encode_record(record)
    assert encoded.startswith(b'{"$format":"shake-draw/v2",')
    assert parse_record(encoded) == record


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b'{"$format":"shake-draw/v3"}', b'{"$format": "shake-draw/v2"}']
)
def test_another_document_is_refused(data):
    with pytest.raises(ValueError, match="expected"):
        parse_record(data)


def test_the_cutoff_is_the_last_listed_score_while_the_roll_goes_on(tmp_path):
    record = draws.run_draw(tmp_path, draws.make_viewers(40)).record
    assert (len(record["ranked"]), record["cutoff"]) == (4, record["ranked"][-1]["score"])


def test_with_more_prizes_than_entries_everybody_wins_and_nothing_is_cut_off(tmp_path):
    viewers = {b"A" * 14: 10, b"B" * 14: 100, b"C" * 14: 9}
    record = draws.run_draw(tmp_path, viewers, prizes=5).record
    assert [row["prize"] for row in record["winners"]] == ["prize-0", "prize-1"]
    assert (record["reserves"], record["cutoff"]) == ([], NO_CUTOFF.hex())


def test_a_disposition_changes_the_digest_and_nothing_else(tmp_path):
    record = draws.run_draw(tmp_path, draws.make_viewers(40)).record
    claim = {"pseudonym": record["winners"][0]["pseudonym"], **CLAIM}
    changed = with_dispositions(record, [claim])
    assert changed["digest"] == record_digest(changed).hex() != record["digest"]
    assert {**changed, "dispositions": [], "digest": record["digest"]} == record


@pytest.mark.parametrize(
    "row",
    [
        CLAIM,
        {"pseudonym": "", **CLAIM, "reason": "nice person"},
        {"pseudonym": "", **CLAIM, "status": "disqualified"},
        {"pseudonym": "", **CLAIM, "status": "lost"},
    ],
)
def test_a_reason_outside_the_closed_list_is_refused(row):
    with pytest.raises(ValueError, match="expected a"):
        with_dispositions({}, [row])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reveals": {"operator": Revealed(bytes(32), 1, 1), "notary": ABSENT}}, "'operator' committed to"),
        ({"reveals": {"operator": ABSENT}}, "expected secrets of"),
        ({"roll_header": RollHeader(0, 0, bytes(32), 3).pack()}, "made under these rules"),
        ({"beacon_value": bytes(31)}, "beacon value of 32 bytes"),
    ],
)
def test_parts_that_do_not_belong_to_the_rules_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build_empty_record(**changes)
