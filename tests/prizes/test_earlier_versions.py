"""Shows with draws of both versions: a record that nobody has signed proves a win only where the ledger tells of it."""

import hashlib
from typing import Any

import pytest

from engagement.core.digests import canonical_json, parse_canonical
from prizes import verify_draw as verifier
from prizes.verify_draw import Told
from tests.prizes.draws import KEY, PREVIOUS, VECTORS, Drawn, make_viewers, run_draw, verify_draw

FIRST = (VECTORS / "v1/record.json").read_bytes()
OLD = parse_canonical(FIRST)
OLD_ID = OLD["rules"]["draw_id"]
DRAWN = Told(5, 0, "drawn", {"draw": OLD_ID, "record": hashlib.sha256(FIRST).hexdigest()})
STOPPED = Told(8, 0, "seal", {"draw": "gala-2026/seg-0/draw-9", "seal": PREVIOUS.hex()})


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """A draw of the second version in the show of the old one, with its winners passed over."""
    viewers = {bytes.fromhex(row["pseudonym"]): 60 for row in OLD["winners"]} | make_viewers(20)
    won = {bytes.fromhex(row["pseudonym"]): OLD_ID for row in OLD["winners"]}
    return run_draw(tmp_path_factory.mktemp("later"), viewers, prior_wins=won, beacon="dice", pending=())


def look(later: Drawn, *, keys: tuple[str, ...] = (KEY,), **given: Any) -> verifier.Check:
    checks = verify_draw(later.encoded, earlier=[earlier_record()], keys=keys, **given)
    [told] = [check for check in checks if check.name == "earlier records"]
    return told


def earlier_record() -> bytes:
    """It was sealed before the draw that passes its winners over."""
    record = {**OLD, "ledger": {"freeze": 4, "seal": 5, "beacon": 6, "start": 7}}
    return canonical_json({**record, "digest": verifier.digest_of(record)})


def told_record() -> Told:
    return DRAWN._replace(details={"draw": OLD_ID, "record": hashlib.sha256(earlier_record()).hexdigest()})


def test_an_unsigned_record_that_the_ledger_tells_of_proves_its_wins_as_arithmetic_only(later: Drawn) -> None:
    told = look(later, told=[told_record(), STOPPED])
    assert told.ok, told.detail
    assert "1 of shake-draw/v1, which prove arithmetic only: the ledger tells of them" in told.detail


def test_without_the_ledger_it_proves_nothing(later: Drawn) -> None:
    for rows in ([], [DRAWN, STOPPED]):  # no ledger, or one that tells of another record
        told = look(later, told=rows)
        assert not told.ok and "verify_show.py" in told.detail


def test_without_a_key_all_of_it_is_arithmetic(later: Drawn) -> None:
    told = look(later, keys=(), told=[STOPPED])
    assert told.ok and "v1" not in told.detail


def test_the_seal_of_a_draw_that_was_stopped_is_found_in_the_ledger_only(later: Drawn) -> None:
    told = look(later, keys=())
    assert not told.ok and f"the record with the seal {PREVIOUS.hex()}" in told.detail
    later_than_this = STOPPED._replace(position=10)
    assert not look(later, keys=(), told=[later_than_this]).ok


def test_a_record_of_the_first_version_as_it_was_drawn_has_no_fields_of_the_second() -> None:
    assert canonical_json(verifier.as_drawn(OLD)) == FIRST
