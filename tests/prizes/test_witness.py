"""The program of a witness, as a real process: it cosigns what continues, keeps it, and never two histories."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.test import Client

from engagement.ledger import verify_ledger
from engagement.ledger.core.checkpoints import sign_note
from prizes import witness as program
from tests.prizes.witnesses import Log, Running, call, cosigned_at, make_witness, running_witness
from tests.pythons import VERSIONS, find_python

ORIGIN = "gala.example.com/gala"
LOG = Log(ORIGIN)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For tests that leave it with 7 entries of LOG, or know logs of their own."""
    folder = tmp_path_factory.mktemp("witness")
    make_witness(folder)
    with running_witness(folder, LOG.vkey) as running:
        assert running.send(LOG.request(0, 7)).status == 200
        yield running


# --- what it signs ---


@pytest.mark.parametrize("version", ["here", "here, alone", *VERSIONS])
def test_it_cosigns_what_continues_on_every_python(tmp_path: Path, version: str) -> None:
    vkey, python = make_witness(tmp_path), find_python(version) if version in VERSIONS else sys.executable
    if python is None:
        pytest.skip(f"Python {version} is not here")
    command = [python, "-I", "-W", "error", *(["-S"] if "alone" in version else [])]
    with running_witness(tmp_path, LOG.vkey, python=command) as running:
        for old, size in ((0, 1), (1, 7), (7, 64), (64, 100)):
            answer = running.send(LOG.request(old, size))
            assert answer.status == 200
            assert abs(cosigned_at(vkey, LOG.text(size), answer.body) - time.time()) < 5
        kept = running.get(f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint").body
        assert kept == LOG.note(100) + answer.body
        assert "in pure Python" in running.log or version != "here, alone"
    assert "failed" not in running.log and "Warning" not in running.log and "Error" not in running.log
    assert verify_ledger.open_checkpoint("kept", kept, [verify_ledger.parse_key(LOG.vkey)]).size == 100
    assert "100 entries" in call("show", "--state", tmp_path / "state", python=command).stdout


def test_asked_again_it_gives_the_same_line(shared: Running) -> None:
    first = shared.send(LOG.request(7, 7))
    time.sleep(1.1)
    assert shared.send(LOG.request(7, 7)) == first and first.status == 200


def test_of_many_at_once_one_history_is_signed(tmp_path: Path) -> None:
    make_witness(tmp_path)
    other = Log(ORIGIN, forks_at=3)
    with running_witness(tmp_path, LOG.vkey) as running, ThreadPoolExecutor(16) as pool:
        bodies = [(LOG if number % 2 else other).request(0, 5) for number in range(40)]
        answers = list(pool.map(running.send, bodies))
        signed = {answer.body for answer in answers if answer.status == 200}
        assert len(signed) == 1
        assert {answer.status for answer in answers} <= {200, 409}


# --- what it refuses ---

STRANGER = Log("stranger.example/log")
FOREIGN = Log(ORIGIN, seed=b"\x01" * 32)
ROOTLESS = sign_note(f"{ORIGIN}\n9\n", ORIGIN, LOG.seed)
REFUSED: dict[str, tuple[str | bytes, int]] = {
    "unknown log": (STRANGER.request(0, 5), 404),
    "another key": (FOREIGN.request(7, 8), 403),
    "a signature over another text": (LOG.request(7, 8, note=LOG.note(9).replace("\n9\n", "\n8\n")), 403),
    "old above size": (LOG.request(7, 5), 400),
    "another old size": (LOG.request(5, 9), 409),
    "a proof of other sizes": ("old 7\n" + LOG.request(6, 9).partition("\n")[2], 422),
    "no proof": (f"old 7\n\n{LOG.note(9)}", 422),
    "a proof where none is needed": ("old 7\n" + LOG.request(6, 7).partition("\n")[2], 422),
    "nothing": ("", 400),
    "no note": ("old 7\n\n", 400),
    "no old size": (f"\n\n{LOG.note(9)}", 400),
    "a size with zeros": (LOG.request(7, 9).replace("old 7", "old 07"), 400),
    "too many lines": ("old 7\n" + ("A" * 43 + "=\n") * 64 + f"\n{LOG.note(9)}", 400),
    "a short hash": (f"old 7\nAAAA\n\n{LOG.note(9)}", 400),
    "no bytes of UTF-8": (b"old 7\n\n\xff\n", 400),
    "a control character": (LOG.request(7, 9).replace("— ", "—\t"), 400),
    "no root": (f"old 7\n\n{ROOTLESS}", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_its_status(shared: Running, name: str) -> None:
    body, status = REFUSED[name]
    answer = shared.send(body)
    assert answer.status == status, answer
    if status == 409:
        assert (answer.kind, answer.body) == ("text/x.tlog.size", "7\n")
    assert shared.send(LOG.request(7, 7)).status == 200


def test_other_addresses_say_what_there_is(shared: Running) -> None:
    assert shared.get("/healthz").body == "ok\n"
    assert shared.vkey in shared.get("/").body and ORIGIN in shared.get("/").body
    assert shared.get("/nothing").status == shared.get(f"/{'0' * 64}/checkpoint").status == 404
    assert shared.get("/add-checkpoint").status == shared.send(b"", path="/healthz").status == 405
    assert shared.send(b"", path="/nothing").status == 404
    assert shared.send(b"", path="/healthz", method="HEAD").body == ""


def test_an_empty_tree_has_one_root(tmp_path: Path) -> None:
    make_witness(tmp_path)
    with running_witness(tmp_path, LOG.vkey) as running:
        wrong = LOG.text(0).replace("47DEQpj8", "AAAAAAAA")
        assert wrong != LOG.text(0)
        assert running.send(LOG.request(0, 0, note=sign_note(wrong, ORIGIN, LOG.seed))).status == 422
        assert running.send(LOG.request(0, 0)).status == 200
        assert running.send(LOG.request(0, 3)).status == 200


# --- forks ---


@pytest.mark.parametrize(("old", "shown"), [(7, 7), (7, 12), (8, 8), (8, 12)])
def test_a_fork_is_refused_and_both_notes_are_kept(tmp_path: Path, old: int, shown: int) -> None:
    make_witness(tmp_path)
    forged = Log(ORIGIN, forks_at=4)
    with running_witness(tmp_path, LOG.vkey) as running:
        cosigned = LOG.note(old) + running.send(LOG.request(0, old)).body
        for _ in range(2):
            assert running.send(forged.request(old, shown)).status == 422
        assert running.send(LOG.request(old, 20)).status == 200
        log = running.log
    # Where the old size is a power of two, a proof holds no root of its own before it: it only does not fit.
    kind = "unproven" if (old, shown) == (8, 12) else "fork"
    [kept] = (tmp_path / "state").glob("*/*-*")
    assert kept.name.startswith(f"{kind}-{shown}-") and log.count(str(kept)) == 1
    assert (kept / "cosigned.txt").read_text() == cosigned
    assert (kept / "shown.txt").read_text() == forged.note(shown)
    program = [sys.executable, "-I", verify_ledger.__file__, "--key", LOG.vkey]
    done = subprocess.run([*program, *map(str, kept.iterdir())], capture_output=True, text=True)
    assert done.returncode == 1 and "FAIL consistency" in done.stdout
    shown_text = call("show", "--state", tmp_path / "state").stdout
    assert f"{ORIGIN}: 20 entries" in shown_text and f"{kind.replace('fork', 'FORK')}: {kept}" in shown_text
    told = json.loads(call("show", "--state", tmp_path / "state", "--json").stdout)
    assert told["logs"][0]["evidence"] == [str(kept)] and told["logs"][0]["size"] == 20


def test_evidence_does_not_fill_the_disk(tmp_path: Path) -> None:
    make_witness(tmp_path)
    with running_witness(tmp_path, LOG.vkey) as running:
        running.send(LOG.request(0, 7))
        for size in range(8, 60):  # a stranger sends what the log has signed, without a proof
            assert running.send(f"old 7\n\n{LOG.note(size)}").status == 422
        assert running.send(Log(ORIGIN, forks_at=4).request(7, 9)).status == 422
    assert len(list((tmp_path / "state").glob("*/unproven-*"))) == program.State.MOST["unproven"]
    assert len(list((tmp_path / "state").glob("*/fork-*"))) == 1


# --- its state ---


def test_killed_at_any_moment_it_has_what_it_said(tmp_path: Path) -> None:
    make_witness(tmp_path)
    log, known, address = Log(ORIGIN, size=5_000), 0, ""
    for _ in range(6):
        with running_witness(tmp_path, log.vkey, address=address) as running:
            address = running.address
            told = running.send(log.request(0, 1)) if known else None
            if told is not None:
                assert told.status == 409 and int(told.body) >= known
                known = int(told.body)
            threading.Timer(0.3, running.process.kill).start()
            try:
                while running.send(log.request(known, known + 1)).status == 200:
                    known += 1
            except OSError:
                pass
    assert known > 20
    assert "damaged" not in (tmp_path / "log").read_text()


def refused(tmp_path: Path, *more: object) -> str:
    done = call("run", "--key", tmp_path / "key", "--state", tmp_path / "state", "--log", LOG.vkey, *more)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    return done.stderr


def test_a_state_that_is_lost_or_of_another_is_not_gone_on_with(tmp_path: Path) -> None:
    make_witness(tmp_path)
    with running_witness(tmp_path, LOG.vkey) as running:
        running.send(LOG.request(0, 7))
        assert "another process uses" in refused(tmp_path)
    [kept] = (tmp_path / "state").glob("*/checkpoint")
    whole = kept.read_text()
    for damaged in ("", whole[:-20], whole.replace("\n7\n", "\n8\n"), LOG.note(7)):
        kept.write_text(damaged)
        assert "is damaged" in refused(tmp_path)
        assert "is damaged" in call("show", "--state", tmp_path / "state").stderr
    make_witness(tmp_path / "other")
    assert "is the state of" in refused(tmp_path, "--key", tmp_path / "other/key")
    shutil.rmtree(tmp_path / "state")
    assert "is no state of a witness" in refused(tmp_path)


def test_what_cannot_be_kept_is_not_signed(tmp_path: Path) -> None:
    make_witness(tmp_path)
    with running_witness(tmp_path, LOG.vkey) as running:
        home = tmp_path / "state" / hashlib.sha256(ORIGIN.encode()).hexdigest()
        home.write_text("in the way")
        assert running.send(LOG.request(0, 7)).status == 500
        home.unlink()
        assert running.send(LOG.request(0, 9)).status == 200
        shutil.rmtree(home)
        home.write_text("in the way")
        assert running.send(LOG.request(9, 12)).status == 500
        assert running.send(Log(ORIGIN, forks_at=4).request(9, 9)).status == 422  # it has not forgotten
        assert "could not be kept" in running.log


def test_a_clock_that_goes_back_signs_nothing(tmp_path: Path) -> None:
    make_witness(tmp_path)
    signer = program.read_signer(tmp_path / "key")
    says: list[str] = []
    at = 2_000_000_000
    clock = iter([at, at - 30, at + 5, at - 60])
    keys, state = {ORIGIN: [program.log_key(LOG.vkey)]}, program.State(tmp_path / "state", signer.key)
    witness = program.Witness(signer, keys, state, says.append, lambda: next(clock))
    for old, size, expected in ((0, 1, at), (1, 2, at), (2, 3, at + 5)):
        line = witness.add_checkpoint(LOG.request(old, size).encode())
        assert cosigned_at(program.format_vkey(signer.key), LOG.text(size), line) == expected
    with pytest.raises(program.Refusal) as refusal:
        witness.add_checkpoint(LOG.request(3, 4).encode())
    assert refusal.value.status == 500 and "behind the last cosignature by 65 s" in says[-1]


# --- keys ---


def test_signatures_in_pure_python_are_those_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [hashlib.sha256(bytes([number])).digest() for number in range(20)]
    quick = [program.sign(seed, seed * 3) for seed in seeds]
    monkeypatch.setattr(program, "HAS_LIBRARY", False)
    for seed, signature in zip(seeds, quick, strict=True):
        assert program.sign(seed, seed * 3) == signature
        assert program.is_signed(program.public_of(seed), seed * 3, signature)
        assert not program.is_signed(program.public_of(seed), seed * 2, signature)
        assert not program.is_signed(program.public_of(seed), seed * 3, signature[:-1] + b"\xff")


def test_the_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    vkey = make_witness(tmp_path)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    again = call("keygen", "w", "--key", tmp_path / "key", "--state", tmp_path / "new")
    assert again.returncode == 1 and "exists" in again.stderr
    again = call("keygen", "w", "--key", tmp_path / "new", "--state", tmp_path / "state")
    assert again.returncode == 1 and "expected an empty or new directory" in again.stderr
    assert (
        "without spaces" in call("keygen", "a b", "--key", tmp_path / "k", "--state", tmp_path / "s").stderr
    )
    for wrong in (("--log", vkey), ("--log", "x"), ("--listen", "8080"), ("--listen", "a:99999")):
        done = call("run", "--key", tmp_path / "key", "--state", tmp_path / "state", *wrong)
        assert done.returncode == 2 and "expected" in done.stderr
    none = call("run", "--key", tmp_path / "key", "--state", tmp_path / "state")
    assert none.returncode == 1 and "expected the key of a log" in none.stderr
    (tmp_path / "logs").write_text(f"# shows\n{LOG.vkey}  # the gala\n\nnonsense\n")
    assert "name+id+base64" in refused(tmp_path, "--logs", tmp_path / "logs")
    (tmp_path / "key").write_text("PRIVATE+KEY+w+00000000+BAAA\n")
    assert "expected a private key" in refused(tmp_path)


def test_a_file_names_many_logs(tmp_path: Path) -> None:
    make_witness(tmp_path)
    logs = [Log(f"example.com/show-{number}", size=3) for number in range(300)]
    (tmp_path / "logs").write_text("\n".join(log.vkey for log in logs))
    with running_witness(tmp_path, more=("--logs", str(tmp_path / "logs"))) as running:
        assert {running.send(log.request(0, 2)).status for log in logs} == {200}
        assert running.send(logs[7].request(2, 3)).status == 200
        assert running.get("/").body.count("2 entries") == 299


def test_the_site_gives_the_program(client: Client) -> None:
    answer = client.get("/witness.py")
    assert answer.content == Path(program.__file__).read_bytes()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="witness.py"'
    assert client.get("/witness.py", HTTP_IF_NONE_MATCH=answer.headers["ETag"]).status_code == 304
