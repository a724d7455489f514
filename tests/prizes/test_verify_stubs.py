"""What a phone was told against the draw of a real night: a stub that promises more than was counted is proof."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from engagement.clock import now_ms
from engagement.core.digests import canonical_json, parse_canonical
from engagement.ledger.append import append_entry
from engagement.ledger.core.stubs import _WEAK_KEYS
from engagement.models import Show
from prizes import verify_draw as verifier
from prizes.core.record import record_digest
from prizes.exclusions import EXCLUDE, WHO
from prizes.models import Exclusion
from tests.cast import OPERATOR, armed_segment
from tests.prizes import kept, nights, pipeline
from tests.prizes.draws import load_vectors, verify_draw
from tests.prizes.kept import STRANGER, Night

pytestmark = pytest.mark.django_db(transaction=True)

VIEWERS = pipeline.VIEWERS
WITH, WITHOUT = sorted(VIEWERS)[10], bytes([0xDD]) * 14  # of the roll, and of no roll
TOTAL = VIEWERS[WITH]


def play(show: Show) -> Night:
    return kept.play(armed_segment(show), VIEWERS, [WITH, WITHOUT])


@pytest.fixture
def night(show: Show) -> Night:
    return nights.once("stubs", lambda: play(show))


def check(night: Night, stub: bytes, **given: Any) -> verifier.Check:
    """The last check, that of the stub, with record, receipts and key unless said otherwise."""
    given = {"keys": [night.key], "receipts": list(night.receipts.values()), **given}
    files = given.pop("roll", None), given.pop("totals", None)
    told = verify_draw(given.pop("record", night.record), *files, stubs=[stub], **given)[-1]
    assert told.name.startswith("stub ")
    return told


@pytest.mark.parametrize("less", [0, 1, TOTAL])
def test_a_stub_that_says_as_much_or_less_holds(night: Night, less: int) -> None:
    told = check(night, night.stub(WITH, TOTAL - less))
    assert told.ok and f"gate-1 told this phone at {kept.AT} that {TOTAL - less} shakes" in told.detail


@pytest.mark.parametrize("given", ["receipt", "roll"])
def test_more_tickets_than_the_sealed_roll_has_are_proof_of_fraud(night: Night, given: str) -> None:
    files = {} if given == "receipt" else {"roll": night.roll, "receipts": []}
    for viewer in (WITH, WITHOUT):
        told = check(night, night.stub(viewer, 10**6), **files)
        assert not told.ok and told.detail.startswith("PROOF OF FRAUD: gate-1 told this phone")
        assert "the gateway the stub: together they prove it to anybody" in told.detail


def test_without_the_key_it_is_a_contradiction_that_proves_nothing(night: Night) -> None:
    told = check(night, night.stub(WITH, 10**6), keys=[])
    assert not told.ok and told.detail.startswith("CONTRADICTION")


def test_the_frozen_total_is_at_least_what_was_told(night: Night) -> None:
    """Also where it makes no difference to the tickets."""
    files = {"roll": night.roll, "totals": night.totals, "receipts": []}
    assert check(night, night.stub(WITHOUT, 0), **files).ok
    assert check(night, night.stub(WITH, TOTAL), **files).ok
    tickets = check(night, night.stub(WITH, TOTAL + 1)).ok
    told = check(night, night.stub(WITH, TOTAL + 1), **files)
    assert tickets and told.detail.startswith("PROOF OF FRAUD") and f"but {TOTAL} were frozen" in told.detail


def test_with_no_receipt_of_this_viewer_and_no_roll_nothing_is_compared(night: Night) -> None:
    told = check(night, night.stub(WITH, 10**6), receipts=[night.receipts[WITHOUT]])
    assert told.ok and told.detail.startswith("NOT COMPARED")


def test_a_receipt_that_the_organiser_has_not_signed_shows_no_tickets(night: Night) -> None:
    unsigned = canonical_json({**json.loads(night.receipts[WITH]), "signature": ""})
    assert check(night, night.stub(WITH, 10**6), receipts=[unsigned]).detail.startswith("NOT COMPARED")


def test_a_roll_that_does_not_hold_shows_no_tickets(night: Night) -> None:
    told = check(night, night.stub(WITH, 10**6), roll=night.roll[:-16], receipts=[])
    assert told.detail.startswith("NOT COMPARED")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"show": "another"}, "show of the stub"),
        ({"segment": "1-another"}, "segment of the stub"),
        ({"gateway": "gate-2"}, "key of the gateway gate-2"),
        ({"signer": STRANGER}, "a signature of the gateway gate-1"),
    ],
)
def test_a_stub_of_something_else_is_refused(night: Night, changes: dict[str, Any], why: str) -> None:
    told = check(night, night.stub(WITH, 10**6, **changes))
    assert not told.ok and why in told.detail and not told.detail.startswith(verifier.FRAUD)


def test_a_stub_of_another_play_of_the_same_segment_frames_nobody(night: Night) -> None:
    """As after a database that was brought back to before the arming: honest gateways have signed both."""
    number = night.segment.split("-")[0]
    told = check(night, night.stub(WITH, 10**6, segment=f"{number}-0011223344556677"))
    assert not told.ok and "segment of the stub, as it was armed" in told.detail


def edit(stub: bytes, *path: Any, value: Any) -> bytes:
    whole = parse_canonical(stub)
    place = whole
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return canonical_json(whole)


EDITS: list[tuple[tuple[Any, ...], Any]] = [
    *((("stub", name), value) for name, value in {
        "at": 1, "blind": "11" * 16, "index": 1, "pseudonym": WITHOUT.hex(), "total": TOTAL + 1, "size": 1 << 32,
        "proof": [], "signature": "00" * 64, "$format": "shake-stub/v2", "extra": 1,
    }.items()),
    (("gateway_key", "entry", "details", "key"), STRANGER.public_key().public_bytes_raw().hex()),
    (("gateway_key", "entry", "details"), {}),
    (("gateway_key", "entry", "action"), "arm"),
    (("gateway_key", "entry", "position"), 2),
    (("gateway_key", "previous"), "00" * 32),
    (("gateway_key", "proof"), []),
    (("gateway_key", "$format"), "shake-ledger/v1/statement"),
    (("gateway_key", "checkpoint"), "no note"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), EDITS)
def test_every_part_of_a_stub_and_of_its_key_is_signed(
    night: Night, path: tuple[Any, ...], value: Any
) -> None:
    told = check(night, edit(night.stub(WITH, TOTAL), *path, value=value))
    assert not told.ok and "could not be computed" not in told.detail and verifier.FRAUD not in told.detail


def test_the_key_may_come_in_a_file_of_its_own(night: Night) -> None:
    bare = canonical_json(parse_canonical(night.stub(WITH, TOTAL))["stub"])
    told = check(night, bare)
    assert not told.ok and "(--gateway-key)" in told.detail
    assert check(night, bare, gateway_keys=[canonical_json(night.certificate)]).ok


def test_with_a_key_that_anybody_can_sign_with_nothing_is_signed(show: Show) -> None:
    """The neutral point: 64 bytes of it are a signature over everything."""
    weak = bytes([1]) + bytes(31)
    night = kept.play(armed_segment(show), VIEWERS, [WITH], gateway=weak)
    forged = edit(night.stub(WITH, 10**6), "stub", "signature", value=(weak + bytes(32)).hex())
    told = check(night, forged)
    assert not told.ok and "a signature of the gateway" in told.detail


def test_where_the_statements_do_not_hold_no_segment_is_known(night: Night) -> None:
    record = copy.deepcopy(json.loads(night.record))
    record["log"]["statements"] = record["log"]["statements"][1:]
    told = check(night, night.stub(WITH, TOTAL), record=canonical_json(record))
    assert not told.ok and "whose statements hold" in told.detail


# --- excluded viewers have no tickets, whatever they shake ---


def play_excluding(show: Show) -> Night:
    """Excluded before the arming, which is as of a minute ago."""
    Exclusion.objects.create(show=show, pseudonym=WITH.hex())
    append_entry(show, EXCLUDE, actor=OPERATOR, people={WHO: WITH.hex()}, now=now_ms() - 70_000)
    return play(show)


@pytest.fixture
def excluding(show: Show) -> Night:
    return nights.once("stubs, excluding", lambda: play_excluding(show))


def test_an_excluded_viewer_who_was_promised_tickets_frames_nobody(excluding: Night) -> None:
    stub = excluding.stub(WITH, TOTAL)
    told = check(excluding, stub)
    assert not told.ok and told.detail.startswith("CONTRADICTION") and "who was excluded" in told.detail
    told = check(excluding, stub, excluded=[WITH])
    assert told.ok and "excluded" in told.detail
    told = check(excluding, excluding.stub(WITHOUT, TOTAL), excluded=[WITH])
    assert told.detail.startswith("PROOF OF FRAUD")


# --- the record that a stub is held against ---


def test_a_changed_record_with_the_signature_of_the_honest_one_accuses_nobody(night: Night) -> None:
    """Its digest says what was signed, its rows say something else."""
    record = copy.deepcopy(json.loads(night.record))
    viewer = bytes.fromhex(record["ranked"].pop(0)["pseudonym"])
    assert record["digest"] != record_digest(record).hex()
    checks = verify_draw(canonical_json(record), keys=[night.key], stubs=[night.stub(viewer, 10**6)])
    assert not {check.name: check.ok for check in checks}["signature"]
    assert not any(verifier.FRAUD in check.detail for check in checks)


def test_on_the_command_line(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stub = parse_canonical(night.stub(WITH, TOTAL))
    for name, content in {
        "record": night.record,
        "mine": night.receipts[WITH],
        "kept": canonical_json(stub),
        "bare": canonical_json(stub["stub"]),
        "key": canonical_json(night.certificate),
        "more": night.stub(WITH, 10**6),
    }.items():
        Path(name).write_bytes(content)
    words = ["record", "--key", night.key, "--receipt", "mine", "--json"]
    for more in (["--stub", "kept"], ["--stub", "bare", "--gateway-key", "key"]):
        assert verifier.main([*words, *more]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["checks"][-1]["name"] == f"stub {WITH.hex()}"
        assert found["rests_on"] == ["arithmetic", "signature", "log", "stubs"]
    assert verifier.main([*words, "--stub", "more"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["checks"][-1]["detail"].startswith("PROOF OF FRAUD") and "stubs" not in found["rests_on"]
    assert verifier.main(["record", "--key", night.key, "--stub", "kept", "--json"]) == 0
    assert "stubs" not in json.loads(capsys.readouterr().out)["rests_on"]  # nothing was compared


# --- the second implementation, against the known answers of the first ---


def test_the_known_answers_of_stubs() -> None:
    known = load_vectors("stub")
    for text in (text for batch in known["batches"] for text in batch["stubs"]):
        stub = verifier.read_json(text.encode(), "stub", verifier.STUBS)
        verifier.check_batch(stub, bytes.fromhex(known["key"]))
        with pytest.raises(verifier.Wrong, match="a signature of the gateway"):
            verifier.check_batch({**stub, "total": stub["total"] ^ 1}, bytes.fromhex(known["key"]))


def test_the_keys_that_anybody_can_sign_with_are_the_same_for_both() -> None:
    for key in _WEAK_KEYS:
        for sign in (0, 0x80):
            point = verifier.ed_decode(key[:-1] + bytes([key[-1] | sign]))
            assert point is None or verifier.is_weak(point)
    assert not verifier.is_weak(verifier.ed_decode(kept.GATEWAY_PUBLIC))
