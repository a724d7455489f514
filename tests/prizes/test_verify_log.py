"""Who says so, and who has seen it in time: the verifier with the organiser's key on the record of a real night."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from engagement.core.digests import canonical_json
from engagement.ledger.checkpoints import keys_of, sign_text
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import Show
from prizes.core.record import record_digest, record_statement
from prizes.models import Draw
from prizes.publication import record_of
from prizes.receipts import make_receipt
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR
from tests.prizes import nights
from tests.prizes.draws import VECTORS, failed, verify_draw

pytestmark = pytest.mark.django_db(transaction=True)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def draw(show: Show) -> Draw:
    ranked = nights.ranked(show)
    publish_segment(ranked.segment_id, actor=OPERATOR)
    return Draw.objects.select_related("show", "segment__freeze").get(pk=ranked.pk)


def key_of(draw: Draw) -> str:
    return format_vkey(keys_of(draw.show)[0])


def sign(draw: Draw, record: dict[str, Any]) -> bytes:
    """As an organiser signs who stands by whatever the record says."""
    made = {**record, "digest": record_digest(record).hex()}
    return canonical_json({**made, "signature": sign_text(draw.show, record_statement(made))})


def changed(draw: Draw, change: Change) -> bytes:
    record = copy.deepcopy(record_of(draw).value)
    change(record)
    return sign(draw, record)


def test_the_record_of_a_night_is_signed_and_told_step_by_step_in_the_log(draw: Draw) -> None:
    checks = verify_draw(record_of(draw).content, keys=[key_of(draw)])
    told = {check.name: check.detail for check in checks}
    assert failed(checks) == set(), told["statements"]
    assert told["signature"] == f"signed by localhost/{draw.show.slug}"
    assert told["statements"].startswith("8 statements under the signed checkpoint of ")


def test_who_reads_the_record_before_the_publication_does_not_keep_it_without_its_log(show: Show) -> None:
    ranked = Draw.objects.select_related("show", "segment__freeze").get(pk=nights.ranked(show).pk)
    assert record_of(ranked).value["log"] is None
    publish_segment(ranked.segment_id, actor=OPERATOR)
    ranked.refresh_from_db()
    assert record_of(ranked).value["log"] is not None


def test_without_the_key_nothing_of_it_is_claimed(draw: Draw) -> None:
    assert {"signature", "statements"}.isdisjoint(
        check.name for check in verify_draw(record_of(draw).content)
    )


def test_a_record_that_was_changed_and_given_a_new_digest_is_nobodys(draw: Draw) -> None:
    record = copy.deepcopy(record_of(draw).value)
    record["reserves"] = record["reserves"][:-1]
    forged = canonical_json({**record, "digest": record_digest(record).hex()})
    assert "signature" in failed(verify_draw(forged, keys=[key_of(draw)]))


def test_nobody_is_framed_by_a_forged_record_and_an_honest_receipt(draw: Draw) -> None:
    """Whoever strikes a winner from a public record makes no proof against the organiser."""
    record = copy.deepcopy(record_of(draw).value)
    winner = record["ranked"].pop(0)["pseudonym"]
    forged = canonical_json({**record, "digest": record_digest(record).hex()})
    receipt = make_receipt(draw, bytes.fromhex(winner))
    for keys in ([], [key_of(draw)]):
        told = verify_draw(forged, receipts=[receipt], keys=keys)[-1]
        assert not told.ok and told.detail.startswith("CONTRADICTION") and "proves nothing" in told.detail
    unsigned = canonical_json({**json.loads(receipt), "signature": ""})
    told = verify_draw(sign(draw, record), receipts=[unsigned], keys=[key_of(draw)])[-1]
    assert not told.ok and "FRAUD" not in told.detail
    told = verify_draw(sign(draw, record), receipts=[receipt], keys=[key_of(draw)])[-1]
    assert not told.ok and told.detail.startswith("PROOF OF FRAUD") and "signed both files" in told.detail


def test_another_organisers_key_opens_nothing(draw: Draw, show: Show) -> None:
    other = key_of(draw).replace("localhost/", "elsewhere/")
    assert failed(verify_draw(record_of(draw).content, keys=[other])) >= {"signature", "statements"}


def drop(action: str) -> Change:
    def change(record: dict[str, Any]) -> None:
        rows = record["log"]["statements"]
        record["log"]["statements"] = [row for row in rows if row["entry"]["action"] != action]

    return change


def say(action: str, **fields: Any) -> Change:
    """An entry that says something else than the one that was signed."""

    def change(record: dict[str, Any]) -> None:
        (row,) = [row for row in record["log"]["statements"] if row["entry"]["action"] == action]
        row["entry"].update(fields)

    return change


def twice(action: str) -> Change:
    def change(record: dict[str, Any]) -> None:
        rows = record["log"]["statements"]
        record["log"]["statements"] = sorted(
            [*rows, *(row for row in rows if row["entry"]["action"] == action)],
            key=lambda row: int(row["entry"]["position"]),
        )

    return change


def set_in(*path: Any, value: Any) -> Change:
    def change(record: dict[str, Any]) -> None:
        for name in path[:-1]:
            record = record[name]
        record[path[-1]] = value

    return change


STEPS = ("arm", "freeze", "reveal", "seal", "start", "beacon", "drawn", "publish")


@pytest.mark.parametrize(
    "change",
    [
        *map(drop, STEPS),
        *map(twice, STEPS),
        *(say(step, at=1) for step in STEPS),
        say("seal", details={}),
        say("seal", show="another"),
        set_in("log", value=None),
        set_in("seal", "time", value=1_700_000_000_000),
        set_in("as_run", "opens_at", value=1),
        set_in("winners", value=[]),
        set_in("ledger", "beacon", value=99),
        set_in("precommitment", "time", value=5),
        set_in("log", "checkpoint", value="no note"),
    ],
)
def test_what_the_log_does_not_say_is_refused_whoever_has_signed_it(draw: Draw, change: Change) -> None:
    assert "statements" in failed(verify_draw(changed(draw, change), keys=[key_of(draw)]))


def test_a_publication_after_the_promised_time_is_told(draw: Draw) -> None:
    late = set_in("rules", "publish_by_s", value=0)
    told = {check.name: check for check in verify_draw(changed(draw, late), keys=[key_of(draw)])}
    assert not told["statements"].ok


def test_a_record_of_the_first_version_holds_and_proves_arithmetic_only() -> None:
    record, roll, totals, receipt = (
        (VECTORS / "v1" / name).read_bytes()
        for name in ("record.json", "roll.bin", "totals.bin", "receipt.json")
    )
    checks = verify_draw(record, roll, totals, receipts=[receipt])
    assert failed(checks) == set() and checks[0].detail.startswith("canonical JSON of shake-draw/v1")
    key = "localhost/gala+00000000+AA=="
    assert failed(verify_draw(record, keys=[key])) == {"signature", "statements"}
