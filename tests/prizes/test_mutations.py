"""Thousands of changed files of a real night: none passes for what was signed, and none is proof against anybody.

`make fuzz` tries 20,000; MUTATIONS says how many.
"""

import base64
import json
import os
import resource
import time
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from engagement.clock import from_ms, now_ms
from engagement.core.digests import canonical_json
from engagement.ledger import verify_ledger
from engagement.ledger.core.cosignatures import WitnessKey, cosigned_message, format_witness_key, text_of
from engagement.models import LedgerCheckpoint, Show
from prizes import verify_draw as verifier
from prizes.models import Cosignature, Draw, Witness, known
from tests.cast import armed_segment
from tests.prizes import kept, nights, pipeline
from tests.prizes.draws import failed, verify_draw
from tests.prizes.mutations import Changed, Files, change, change_stamps, change_value
from tests.prizes.stamp_maker import make_token, stamp_draw, stamp_info
from tests.prizes.tsa import DAY, NOW, Authority, name_stamper

pytestmark = pytest.mark.django_db(transaction=True)

MUTATIONS = int(os.environ.get("MUTATIONS", "320"))
PARTS = 4
MOST_SECONDS, MOST_MEMORY = 2.0, 200 << 20
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes([0x57]) * 32)
WITNESS_KEY = WitnessKey("w.example/1", WITNESS.public_key().public_bytes_raw())


def cosign(draw: Draw) -> None:
    """As a witness does who is asked between the seal and the beacon."""
    row = LedgerCheckpoint.objects.get(show=draw.show_id, size=known(draw.sealed_ledger) + 1)
    at = known(draw.sealed_at_ms) // 1000 - 1
    signature = WITNESS.sign(cosigned_message(text_of(row.note), at))
    raw = base64.b64encode(WITNESS_KEY.key_id + at.to_bytes(8, "big") + signature).decode()
    line = f"— {WITNESS_KEY.name} {raw}\n"
    Cosignature.objects.create(
        show=draw.show, size=row.size, witness=WITNESS_KEY.name, line=line, at_ms=at * 1000
    )


def leave_traces(draw: Draw) -> None:
    """What others do between the seal and the publication."""
    cosign(draw)
    for name, made in tsas().items():
        stamp_draw(draw, made, name)


@cache
def tsas(number: int = 0) -> dict[str, Authority]:
    """Time stampers; of another number strangers of the same names, with other keys."""
    folder = Path(mkdtemp(dir=settings.DATA_DIR))
    return {
        kind: Authority(folder / kind, kind=kind, root_name=f"{kind} root", number=number)
        for kind in ("p384", "rsa")
    }


def forge_tokens(seal: str) -> bytes:
    """Tokens of strangers over the seal, with their own certificates and with the honest ones."""
    found = []
    for kind, stranger in tsas(10).items():
        honest, content = tsas()[kind], stamp_info(seal, NOW - 3 * DAY)
        found += [
            make_token(content, stranger.signer, stranger.key, stranger.certificates),
            make_token(content, stranger.signer, stranger.key, [*stranger.certificates, honest.anchor]),
            make_token(content, honest.signer, stranger.key, honest.certificates),
        ]
    return b"".join(len(token).to_bytes(4, "big") + token for token in found)


def play(show: Show) -> list[Files]:
    """Two nights of one show, so that the same key has signed both; each viewer has shaken in both."""
    for name, made in tsas().items():
        name_stamper(show, made, "http://127.0.0.1:1", name)
    Witness.objects.create(show=show, key=format_witness_key(WITNESS_KEY), url="https://w.example")
    viewer, counted = sorted(pipeline.VIEWERS)[5], pipeline.VIEWERS
    segments = [armed_segment(show), armed_segment(show)]
    totals = [counted, {name: 160 - total for name, total in counted.items()}]
    files = []
    for segment, some in zip(segments, totals, strict=True):
        Draw.objects.update(started_at=from_ms(now_ms() - 60_000))  # no draw waits for its turn
        night = kept.play(segment, some, [viewer], before_publication=leave_traces)
        files.append(make_files(night, viewer))
    return files


def make_files(night: kept.Night, viewer: bytes) -> Files:
    return Files(
        record=night.record,
        roll=night.roll,
        totals=night.totals,
        receipt=night.receipts[viewer],
        stub=night.stub(viewer, 1),
        gateway_key=canonical_json(night.certificate),
        key=night.key,
        witness=format_witness_key(WITNESS_KEY),
        forged=forge_tokens(json.loads(night.record)["seal"]["digest"]),
    )


@pytest.fixture
def played(show: Show) -> list[Files]:
    return nights.once("mutations", lambda: play(show))


def check(files: Files) -> list[verifier.Check]:
    given = {name: [getattr(files, name)] for name in ("receipt", "stub", "key", "gateway_key")}
    given["key"] = given["key"] if files.key else []
    named = {f"{name}s": value for name, value in given.items()}
    return verify_draw(files.record, files.roll, files.totals, witnesses=[files.witness], **named)


# --- what a file says: what may be changed without saying anything else is left out ---


def say_note(note: str) -> tuple[str, frozenset[bytes]]:
    """The text, and who has cosigned it when; who has signed it the verifier says."""
    text, _, lines = note.rpartition("\n\n")
    raws = [base64.b64decode(line.split(" ")[2]) for line in lines.splitlines() if WITNESS_KEY.name in line]
    return text, frozenset(raw[4:12] for raw in raws if raw[:4] == WITNESS_KEY.key_id)


def say_entry(row: Any) -> bytes:
    return canonical_json({"entry": row["entry"], "previous": row["previous"]})


def say_content(data: bytes) -> bytes:
    """A record without its log and its signature."""
    record = json.loads(data)
    return canonical_json({name: value for name, value in record.items() if name not in ("log", "signature")})


def say_record(data: bytes) -> tuple[bytes, set[bytes], set[Any]]:
    """Its content, the entries of the log that it shows, and the checkpoints."""
    log = json.loads(data)["log"]
    notes = {say_note(log["checkpoint"]), say_note(log["sealed"]["checkpoint"])}
    stamps = {say_stamp(row) for row in log["stamps"]}  # one that is missing claims nothing
    return say_content(data), set(map(say_entry, log["statements"])) | stamps, notes


def say_stamp(row: Any) -> bytes:
    """Who has stamped what, when, and by which certificate."""
    signed = verifier.read_signed_data(base64.b64decode(row["token"]))
    return canonical_json([row["name"], row["certificate"], signed.content.hex(), signed.signature.hex()])


def say_receipt(data: bytes) -> bytes:
    receipt = json.loads(data)
    receipt.pop("signature")
    return canonical_json(receipt)


def say_stub(files: Files) -> bytes:
    whole = json.loads(files.stub)
    stub = whole.get("stub", whole)
    return canonical_json({name: stub[name] for name in verifier.SAID})


def say_certificate(files: Files) -> tuple[bytes, str]:
    kept = json.loads(files.stub)
    return say_statement(canonical_json(kept["gateway_key"]) if "gateway_key" in kept else files.gateway_key)


def say_statement(data: bytes) -> tuple[bytes, str]:
    """The entry with the gateway's key, and the text of the checkpoint that it is under."""
    row = json.loads(data)
    return say_entry(row), say_note(row["checkpoint"])[0]


def is_the_same(made: Files, honest: Files) -> bool:
    """Whether all that these files say was signed in that night."""
    content, entries, notes = say_record(made.record)
    known, known_entries, known_notes = say_record(honest.record)
    alone: set[Any] = {
        (text, frozenset()) for text, _ in known_notes
    }  # without a cosignature less is claimed
    return (
        content == known
        and entries <= known_entries
        and notes <= known_notes | alone
        and (made.roll, made.totals) == (honest.roll, honest.totals)
        and say_receipt(made.receipt) == say_receipt(honest.receipt)
        and say_stub(made) == say_stub(honest)
    )


def public_of(key: str) -> bytes:
    return verifier.parse_key(key, verifier.LOG_KEY).public


def fault_of(made: Changed, honest: list[Files], checks: list[verifier.Check]) -> str:
    """What must not be; "" for nothing."""
    if any(check.detail.startswith(verifier.FRAUD) for check in checks):
        return "frames an honest organiser"
    if failed(checks):
        return ""
    files = made.files
    if not files.key:
        return "rests on a signature" if "signature" in verifier.rests_on(checks) else ""
    if not any(is_the_same(files, night) for night in honest):
        return "passes for something that nobody has signed"
    if say_certificate(files) not in map(say_certificate, honest):
        return "passes with a gateway that nobody has certified"
    if public_of(files.key) != public_of(honest[0].key):
        return "passes with a key that has signed nothing"
    return ""


def test_the_honest_files_hold(played: list[Files]) -> None:
    for files in played:
        checks = check(files)
        told = {check.name: check.detail for check in checks}
        assert failed(checks) == set(), checks
        assert told["witnesses"].startswith("1 of 1 named witnesses saw the seal")
        assert told["time stamps"].startswith("2 of 2 named time stampers stamped the seal")
        rests = ["arithmetic", "signature", "log", "witnesses", "time stamps", "stubs"]
        assert verifier.rests_on(checks) == rests


@pytest.mark.parametrize("part", range(PARTS))
def test_no_changed_file_passes_for_what_was_signed(played: list[Files], part: int, tmp_path: Path) -> None:
    """No way through, no traceback, no more than 2 s of the processor and 200 MiB."""
    before, slowest, counts = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0, Counter[str]()
    for number in range(part, MUTATIONS, PARTS):
        random = Random(number)
        own, other = random.sample(played, 2)
        made = change(own, other, random)
        began = time.process_time()
        checks = check(made.files)
        seconds = time.process_time() - began
        slowest = max(slowest, seconds)
        counts["refused" if failed(checks) else "says the same"] += 1
        fault = fault_of(made, played, checks)
        if seconds > MOST_SECONDS:
            fault = f"took {seconds:.1f} s"
        if fault:
            for name, content in made.files._asdict().items():
                (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            pytest.fail(f"change {number} of {made.what} ({made.how}) {fault}; the files are in {tmp_path}")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(f"{dict(counts)}; the slowest took {slowest:.2f} s, memory grew by {grown >> 20} MiB")
    assert grown < MOST_MEMORY
    assert counts["refused"] > 0.8 * counts.total()


def test_no_changed_statement_passes_the_verifier_of_ledgers(played: list[Files], tmp_path: Path) -> None:
    known, path, passed = (
        {say_statement(files.gateway_key) for files in played},
        tmp_path / "statement.json",
        0,
    )
    key = verify_ledger.parse_key(played[0].key)
    for number in range(MUTATIONS):
        random = Random(number)
        own, other = random.sample(played, 2)
        made = change_value("gateway_key", own, other, random)
        path.write_bytes(made.files.gateway_key)
        checks = verify_ledger.verify_ledger(verify_ledger.read_files([str(path)]), [key])
        if all(check.ok for check in checks):
            passed += 1
            assert say_statement(made.files.gateway_key) in known, f"change {number}: {made.how}"
    assert passed < 0.2 * MUTATIONS


def test_no_changed_earlier_record_passes(played: list[Files]) -> None:
    """Of the whole record its content counts here, not its log."""
    first, second = played
    for number in range(MUTATIONS // 4):
        made = change_value("record", first, second, Random(number))
        checks = verify_draw(second.record, earlier=[made.files.record], keys=[second.key])
        if not failed(checks):
            assert say_content(made.files.record) == say_content(first.record), f"change {number}: {made.how}"


def test_no_changed_time_stamp_passes(played: list[Files]) -> None:
    """For itself: many of them, each in a moment."""
    counts = Counter[str]()
    for number in range(MUTATIONS // 4):
        random = Random(number)
        own, other = random.sample(played, 2)
        made = change_stamps(own, other, random)
        began = time.process_time()
        checks = check(made.files)
        assert time.process_time() - began < MOST_SECONDS
        counts["refused" if failed(checks) else "says the same"] += 1
        assert failed(checks) <= {"record", "time stamps"}, made.how
        assert fault_of(made, played, checks) == "", f"change {number}: {made.how}"
        assert not any("could not be computed" in row.detail for row in checks), (
            f"change {number}: {made.how}"
        )
    assert counts["refused"] > 0.6 * counts.total(), counts


# --- what was found by hand ---


def test_an_earlier_draw_whose_winners_were_all_left_out_is_told(played: list[Files]) -> None:
    """Its log says that they were there by the seal, so that it is not one that had been stopped."""
    record = json.loads(played[1].record)
    record["prior_wins"] = []
    for row in record["ranked"]:
        row["won"] = ""
    forged = canonical_json({**record, "digest": verifier.digest_of(record)})
    for keys in ([], [played[1].key]):
        checks = verify_draw(forged, earlier=[played[0].record], keys=keys)
        [told] = [check for check in checks if check.name == "earlier records"]
        assert not told.ok and "among the prior wins, but not " in told.detail


def in_the_first_version(record: dict[str, Any]) -> bytes:
    """The same in the form that nobody has signed."""
    shape: Any = verifier.RECORD_V1
    seal = {name: record["seal"][name] for name in shape["seal"]}
    rules = {name: record["rules"][name] for name in shape["rules"]}
    rules["beacon"] = {name: rules["beacon"][name] for name in shape["rules"]["beacon"]}
    made = {name: record[name] for name in shape}
    made |= {"$format": verifier.V1, "seal": seal, "rules": rules}
    return canonical_json({**made, "digest": verifier.digest_of(made)})


def test_an_earlier_record_that_nobody_has_signed_shows_no_prior_win(played: list[Files]) -> None:
    first, second = (json.loads(files.record) for files in played)
    assert {row["draw_id"] for row in second["prior_wins"]} == {first["rules"]["draw_id"]}
    forged = in_the_first_version(first)
    for earlier, expected in ((played[0].record, set()), (forged, {"earlier records"})):
        checks = verify_draw(played[1].record, earlier=[earlier], keys=[played[1].key])
        assert failed(checks) == expected
    assert failed(verify_draw(played[1].record, earlier=[forged])) == set()  # without a key: arithmetic
