"""The server and its witnesses: it has checkpoints cosigned in time, whoever of them is away, behind or lying."""

import base64
import contextlib
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from engagement.actions import ActionRefused
from engagement.clock import now_ms
from engagement.ledger.append import append_entry
from engagement.ledger.checkpoints import keys_of, newest_checkpoint, origin_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.core.cosignatures import (
    WitnessKey,
    cosigned_message,
    find_cosignature,
    format_witness_key,
    parse_witness_key,
    text_of,
)
from engagement.models import Segment, Show
from prizes import tasks, witnesses
from prizes.cosignatures import cosigned, describe_witnesses, quorum_reached, witness_rules
from prizes.models import Cosignature, Quorum, Witness
from prizes.witnesses import Asking
from tests.cast import armed_segment, make_show
from tests.guards import tamper
from tests.prizes.pipeline import ended, run_all, sealed
from tests.prizes.witnesses import Log, Running, cosigned_at, make_witness, running_witness
from tests.relays import Answer, Handler, answers, dead_address, drips, relay

pytestmark = pytest.mark.django_db(transaction=True)

SEED = b"\x09" * 32


@pytest.fixture
def show() -> Show:
    show = make_show(slug="gala")
    for number in range(5):
        append_entry(show, "test", details={"number": number}, now=now_ms() - 120_000)
    return show


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.setattr(witnesses, "asking", Asking())
    return witnesses.asking


def ask(asking: Asking) -> None:
    """One look of the conductor, and more until everybody who was asked has answered: this machine may be slow."""
    witnesses.ask_witnesses()
    while asking.errands:
        time.sleep(0.02)
        witnesses.ask_witnesses()


def name_witness(show: Show, running: Running, **fields: object) -> Witness:
    row = Witness(show=show, key=running.vkey, url=running.url, **fields)
    row.full_clean(exclude=["name"])
    row.save()
    return row


@contextlib.contextmanager
def own_witness(folder: Path, show: Show, name: str, **options: str) -> Iterator[Running]:
    if not (folder / name.replace("/", "-")).exists():
        make_witness(folder / name.replace("/", "-"), name)
    with running_witness(
        folder / name.replace("/", "-"), format_vkey(keys_of(show)[0]), **options
    ) as running:
        yield running


def fake(show: Show, address: str, name: str = "w.example/fake") -> Witness:
    """A witness whose key the test has."""
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    return Witness.objects.create(show=show, key=format_witness_key(WitnessKey(name, public)), url=address)


def signs(*, time_s: int = 0, seed: bytes = SEED, text: str = "") -> Answer:
    """Cosigns whatever comes, with this time, key or text."""

    def answer(handler: Handler) -> None:
        at = time_s or int(time.time())
        signed = text or text_of(handler.body.partition("\n\n")[2])
        signature = Ed25519PrivateKey.from_private_bytes(seed).sign(cosigned_message(signed, at))
        public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
        key_id = WitnessKey("w.example/fake", public).key_id
        raw = base64.b64encode(key_id + at.to_bytes(8, "big") + signature).decode()
        handler.say(200, f"— w.example/fake {raw}\n".encode())

    return answer


def seal_size(segment: Segment) -> int:
    """Of the checkpoint with which its draw was sealed."""
    position = segment.draws.get().sealed_ledger
    assert position is not None
    return position + 1


def sizes(row: Witness) -> list[int]:
    rows = Cosignature.objects.filter(show=row.show_id, witness=row.name).order_by("size")
    return list(rows.values_list("size", flat=True))


def trouble(row: Witness) -> str:
    row.refresh_from_db()
    return row.trouble


# --- a night ---


def test_a_night_with_three_witnesses_one_away_and_one_that_was_shown_a_fork(
    tmp_path: Path, show: Show, asking: Asking, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    forged = Log(origin_of(show), forks_at=3, seed=settings.LEDGER_KEYS[0])
    Quorum.objects.create(show=show, needed=2, unwitnessed="go on")
    with contextlib.ExitStack() as stack:
        good, away, other = (
            stack.enter_context(own_witness(tmp_path, show, f"w.example/{name}"))
            for name in ("good", "away", "other")
        )
        rows = [name_witness(show, running) for running in (good, away, other)]
        assert (
            other.send(forged.request(0, 5)).status == 200
        )  # whoever has the key has shown it another ledger
        ask(asking)
        assert [sizes(row) for row in rows] == [[5], [5], []]
        away.process.kill()
        segment = sealed(show)
        seal = seal_size(segment)
        append_entry(show, "later")
        assert not quorum_reached(show, seal)
        ask(asking)
        assert sizes(rows[0]) == [5, seal, seal + 1] and sizes(rows[1]) == [5]
        assert "cannot be asked" in trouble(rows[1])
        assert "refuses with 422" in trouble(rows[2]) and "another history was cosigned" in trouble(rows[2])
        assert not quorum_reached(show, seal) and quorum_reached(show, 5)
        [_] = (tmp_path / "w.example-other/state").glob("*/fork-*")
        assert f"Witness {rows[2]} of gala refuses with 422" in caplog.text
        with own_witness(tmp_path, show, "w.example/away", address=away.address):
            asking.rests_until.clear()
            ask(asking)
        assert sizes(rows[1]) == [5, seal, seal + 1] and quorum_reached(show, seal)
    note = client.get(f"/api/shows/gala/ledger/checkpoint/{seal}")
    assert note["Cache-Control"] == "public, no-cache"
    assert [row.name for row in cosigned(show, seal)] == ["w.example/away", "w.example/good"]
    for row, found in zip((rows[1], rows[0]), cosigned(show, seal), strict=True):
        assert found.line in note.text and cosigned_at(row.key, text_of(note.text), found.line) == found.time
        assert find_cosignature(
            note.text.partition("\n\n")[2], text_of(note.text), parse_witness_key(row.key)
        )
    statement = client.get(f"/api/shows/gala/ledger/statements/{seal - 1}?size={seal}")
    assert statement.json()["checkpoint"] == note.text and statement["Cache-Control"] == "public, no-cache"
    about = client.get("/api/shows/gala/ledger").json()
    assert about["quorum"] == 2
    assert [(row["name"], row["size"]) for row in about["witnesses"]] == [
        ("w.example/away", seal + 1), ("w.example/good", seal + 1), ("w.example/other", None),
    ]  # fmt: skip


def test_all_sign_the_same_checkpoint_under_a_seal(tmp_path: Path, show: Show, asking: Asking) -> None:
    """However much happens between two looks."""
    with own_witness(tmp_path, show, "w.example/1") as running:
        row = name_witness(show, running)
        seals = []
        for _ in range(6):
            seals.append(seal_size(sealed(show)))
            append_entry(show, "later")
        ask(asking)
        newest = newest_checkpoint(show)
        assert newest is not None and sizes(row) == [*seals[-witnesses.SEALS_AT_ONCE :], newest.size]


def test_a_witness_that_was_killed_goes_on_where_it_was(tmp_path: Path, show: Show, asking: Asking) -> None:
    with own_witness(tmp_path, show, "w.example/1") as running:
        row = name_witness(show, running)
        ask(asking)
        [first] = Cosignature.objects.all()
        running.process.kill()
    # As if we had been killed between its answer and our writing.
    tamper("DELETE FROM prizes_cosignature")
    Witness.objects.update(known=0)
    with own_witness(tmp_path, show, "w.example/1", address=running.address):
        time.sleep(1.1)
        ask(asking)
        assert Cosignature.objects.get().line == first.line  # the first time is the one that counts
        append_entry(show, "later")
        Witness.objects.update(known=0)
        ask(asking)
        assert sizes(row) == [5, 6] and trouble(row) == ""


# --- who is slow, away or lying costs the others nothing ---


def test_one_that_does_not_answer_holds_up_nobody(tmp_path: Path, show: Show, asking: Asking) -> None:
    with own_witness(tmp_path, show, "w.example/1") as running, relay(drips) as slow:
        good, late = name_witness(show, running), fake(show, slow.address)
        meanwhile: list[int] = []
        while trouble(late) == "":
            started = time.monotonic()
            meanwhile = sizes(good)
            witnesses.ask_witnesses()
            assert time.monotonic() - started < 1
            time.sleep(0.2)
        assert trouble(late) == "gives no answer within 2 s" and meanwhile == [5]
        assert sizes(good) == [5] and len(slow.asked) == 1
        deadline = time.monotonic() + 3
        while asking.hanging and time.monotonic() < deadline:
            asking._collect()
            time.sleep(0.05)
        assert not asking.hanging and not asking.errands


def test_one_that_fails_is_asked_less_and_less_often(show: Show, asking: Asking) -> None:
    row = fake(show, dead_address())
    for failures in (1, 2, 3):
        asking.rests_until.clear()
        ask(asking)
        assert asking.failures[row.pk] == failures
        rest = asking.rests_until[row.pk] - time.monotonic()
        assert 2 ** (failures - 1) - 0.5 < rest <= 2 ** (failures - 1)
    before = dict(asking.rests_until)
    ask(asking)
    assert asking.rests_until == before and "cannot be asked" in trouble(row)


LIES = {
    "another key": (signs(seed=b"\x0a" * 32), "is not over this checkpoint"),
    "another text": (signs(text="gala\n5\n"), "is not over this checkpoint"),
    "nothing": (answers(200), "expected a signature line"),
    "a page": (answers(200, b"<html>"), "expected a signature line"),
    "a redirect": (answers(302, Location="http://127.0.0.1:1/"), "refuses with 302"),
    "a lot": (answers(200, b"x" * 20_000), "answers more than 16384 bytes"),
    "no UTF-8": (answers(200, b"\xff\xff"), "expected a signature line"),
    "a word with a control character": (answers(500, b"no\x1b[31m\nway"), "refuses with 500: no [31m way"),
    "409 without a size": (answers(409, b"7\n"), "answers 409 without saying how far it is"),
    "409 with no number": (answers(409, b"-7\n", **{"Content-Type": "text/x.tlog.size"}), "answers 409 without"),
    "409 with what it was asked": (answers(409, b"0\n", **{"Content-Type": "text/x.tlog.size"}), "answers 409 without"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_what_is_no_cosignature_is_not_kept_and_the_reason_is_told(
    show: Show, asking: Asking, name: str
) -> None:
    answer, told = LIES[name]
    with relay(answer) as lying:
        row = fake(show, lying.address)
        ask(asking)
        assert told in trouble(row)
        assert sizes(row) == [] and len(lying.asked) == 1 and lying.asked == ["/add-checkpoint"]


def test_one_that_never_says_the_same_size_is_not_asked_for_ever(show: Show, asking: Asking) -> None:
    told = iter(range(1, 1_000))

    def answer(handler: Handler) -> None:
        handler.say(409, b"%d\n" % next(told), **{"Content-Type": "text/x.tlog.size"})

    with relay(answer) as lying:
        row = fake(show, lying.address)
        for _ in range(5):
            ask(asking)
        assert len(lying.asked) == 2
        assert trouble(row) == "has seen 2 entries, and said otherwise before"


@pytest.mark.parametrize(("ahead_s", "side"), [(60, "ahead of"), (-3_600, "behind")])
def test_a_clock_that_is_not_ours_is_told(show: Show, asking: Asking, ahead_s: int, side: str) -> None:
    with relay(signs(time_s=int(time.time()) + ahead_s)) as wrong:
        row = fake(show, wrong.address)
        ask(asking)
        assert sizes(row) == [5] and f"its clock is {side} ours" in trouble(row)


def test_a_ledger_that_was_cut_short_is_told(tmp_path: Path, show: Show, asking: Asking) -> None:
    with own_witness(tmp_path, show, "w.example/1") as running:
        row = name_witness(show, running)
        ask(asking)
        # As of a backup that is older; the witness has kept what was lost.
        tamper("DELETE FROM prizes_cosignature")
        tamper("DELETE FROM engagement_ledgerentry WHERE position > 2")
        tamper("DELETE FROM engagement_ledgercheckpoint WHERE size > 3")
        Witness.objects.update(known=0)
        ask(asking)
        assert trouble(row).startswith("has seen 5 entries, here are 3: entries were lost")
        for _ in range(4):
            append_entry(show, "another history")
        asking.rests_until.clear()
        ask(asking)
        assert "another history was cosigned" in trouble(row) and sizes(row) == []


def test_without_the_nodes_of_a_proof_the_reason_is_told(tmp_path: Path, show: Show, asking: Asking) -> None:
    with own_witness(tmp_path, show, "w.example/1") as running:
        row = name_witness(show, running)
        ask(asking)
        append_entry(show, "later")
        tamper("DELETE FROM engagement_ledgerentry WHERE position = 3")
        ask(asking)
        assert trouble(row) == "cannot be shown that 6 entries continue 5: the ledger has lost some"


# --- who is asked ---


def test_nobody_is_asked_for_what_they_have_signed(tmp_path: Path, show: Show, asking: Asking) -> None:
    with own_witness(tmp_path, show, "w.example/1") as running:
        name_witness(show, running)
        name_witness(make_show(), running)  # nothing has happened there
        assert len(witnesses.find_due(set())) == 1
        ask(asking)
        assert witnesses.find_due(set()) == []


def test_an_old_show_that_goes_on_is_looked_at(show: Show, asking: Asking) -> None:
    old = fake(show, dead_address())
    for _ in range(witnesses.NEWEST_SHOWS + 1):
        fake(make_show(), dead_address())
    assert witnesses.find_due(set()) == [old]
    other = make_show()
    for _ in range(witnesses.NEWEST_CHECKPOINTS):
        append_entry(other, "test")
    assert witnesses.find_due(set()) == []
    append_entry(show, "late claim")
    assert witnesses.find_due(set()) == [old] and witnesses.find_due({old.pk}) == []


def test_while_a_restore_waits_for_a_person_nobody_is_asked(
    show: Show, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    with relay(signs()) as good:
        row = fake(show, good.address)
        monkeypatch.setattr(tasks, "trouble", lambda: "restored")
        tasks.conduct_witnesses()
        assert sizes(row) == []
        monkeypatch.setattr(tasks, "trouble", lambda: "")
        tasks.conduct_witnesses()
        assert sizes(row) == [5]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://w.example/",
        "//w.example",
        "http://u:p@w.example/",
        "http://w.example/?a=b",
        "http://w.example/#a",
        "http://w.example/ HTTP/1.1",
        "http://w.example\r\n",
        "http://",
    ],
)
def test_only_plain_addresses_of_http_are_taken_and_asked(show: Show, asking: Asking, url: str) -> None:
    row = fake(show, url)
    with pytest.raises(ValidationError):
        row.full_clean(exclude=["name"])
    ask(asking)
    assert "is no address" in trouble(row)


# --- what is kept ---


def test_cosignatures_stay_as_they_were_written(show: Show, asking: Asking) -> None:
    with relay(signs()) as good:
        fake(show, good.address)
        ask(asking)
    for statement in ("UPDATE prizes_cosignature SET at_ms = 1", "DELETE FROM prizes_cosignature"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert Cosignature.objects.count() == 1


def test_the_rules_name_the_witnesses_and_the_quorum(show: Show) -> None:
    assert witness_rules(show) == {"witnesses": [], "quorum": 0, "unwitnessed": "go on"}
    assert quorum_reached(show, 5)
    row = fake(show, dead_address())
    assert witness_rules(show) == {
        "witnesses": [{"name": row.name, "key": row.key}],
        "quorum": 1,
        "unwitnessed": "go on",
    }
    assert not quorum_reached(show, 5)
    Quorum.objects.create(show=show, needed=2, unwitnessed="wait")
    with pytest.raises(ActionRefused, match="has 1 witnesses, and 2 have to cosign"):
        witness_rules(show)


def test_a_witness_that_was_removed_does_not_count(show: Show, asking: Asking) -> None:
    with relay(signs()) as good:
        row = fake(show, good.address)
        ask(asking)
        assert quorum_reached(show, 5) and not quorum_reached(show, 6)
        row.delete()
        fake(show, dead_address(), "w.example/another")
    assert not quorum_reached(show, 5)
    assert [state.size for state in describe_witnesses(show).witnesses] == [None]
    assert [found.name for found in cosigned(show, 5)] == ["w.example/fake"]


def test_the_crew_sees_who_has_signed_how_far_and_when(
    show: Show, asking: Asking, admin_client: Client
) -> None:
    with relay(signs()) as good:
        fake(show, good.address)
        ask(asking)
    append_entry(show, "later")
    fake_other = fake(show, dead_address(), "w.example/other")
    asking.rests_until.clear()
    ask(asking)
    page = admin_client.get("/console/gala/ledger/").content.decode()
    assert "0 of 2 witnesses have cosigned all 6 entries" in page
    assert "w.example/fake" in page and trouble(fake_other)[:20] in page
    live = admin_client.get("/console/gala/live").json()
    assert live["witnesses"]["line"].startswith(
        "0 of 2 witnesses have cosigned all 6 entries. A seal needs 1 of"
    )
    first, second = live["witnesses"]["rows"]
    assert (first["name"], first["size"], second["size"]) == ("w.example/fake", 5, None)
    assert abs(first["at"] - now_ms()) < 10_000
    assert f"Witness w.example/other {trouble(fake_other)}." in live["warnings"]


def test_the_evidence_has_what_was_cosigned(show: Show, asking: Asking, tmp_path: Path) -> None:
    run_all(ended(armed_segment(show)))
    with relay(signs()) as good:
        row = fake(show, good.address)
        ask(asking)
    lines = dict(Cosignature.objects.values_list("size", "line"))
    call_command("evidence", "gala", "-o", str(tmp_path / "pack.zip"), stdout=io.StringIO())
    with zipfile.ZipFile(tmp_path / "pack.zip") as pack:
        notes = [json.loads(told)["note"] for told in pack.read("ledger/checkpoints.jsonl").splitlines()]
        assert pack.read("ledger/witnesses.txt").decode() == f"{row.key}\n"
        assert b"FAIL" not in pack.read("verification/ledger.txt")
    with_lines = {size for size, note in enumerate(notes, 1) if note.count("— ") == 2}
    assert with_lines == set(lines) and all(notes[size - 1].endswith(lines[size]) for size in lines)
