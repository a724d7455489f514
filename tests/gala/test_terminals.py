"""Commands and verifiers on terminals that know few letters: they do their work, and say so, all the same."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engagement.ledger.core.checkpoints import format_vkey, verifier_key
from gala.embedded import start_server
from prizes.software import VERIFIER
from tests.flow.installation import ROOT, Installation

TITLE = "Gala 🎉 晚会 é"
ENCODINGS = ("gbk", "ascii", "latin-1")
LEDGER_VERIFIER = ROOT / "engagement" / "ledger" / "verify_ledger.py"
KEY = format_vkey(verifier_key("localhost/gala", bytes(32)))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Installation]:
    data = tmp_path_factory.mktemp("terminals")
    server = start_server(data / "valkey")
    installation = Installation(data / "house", server, 0, "tests-only-7vX2mZr8sLw4bTy6hNc1dPg5jRe")
    shutil.copy(migrated / "gala.sqlite3", installation.data)
    yield installation
    server.stop()


def test_a_command_that_has_done_its_work_says_so_on_every_terminal(house: Installation) -> None:
    segment = str(house.expect("stage", "build", TITLE)["segment"])
    house.expect("stage", "beat")
    told = {}
    for encoding, action in zip(ENCODINGS, ("arm", "open", "void"), strict=True):
        reason = ["--reason", "雨 ☔"] if action == "void" else []
        told[encoding] = on_terminal(house, encoding, "segment", action, segment, "--show", "gala", *reason)
    assert "Gala \\U0001f389 晚会" in told["gbk"] and " is armed" in told["gbk"]
    assert "Gala \\U0001f389 \\u665a\\u4f1a \\xe9" in told["ascii"] and ", from " in told["ascii"]
    assert "Gala \\U0001f389 \\u665a\\u4f1a é" in told["latin-1"] and " is armed" in told["latin-1"]
    house.expect("stage", "agree", "gala")  # a second person, to the void
    assert " is void" in on_terminal(house, "latin-1", "segment", "status", segment)


def test_what_a_command_prints_for_programs_is_json_on_every_terminal(house: Installation) -> None:
    segment = str(house.expect("stage", "build", TITLE, "json")["segment"])
    status = json.loads(on_terminal(house, "gbk", "segment", "status", segment, "--json"))
    assert TITLE in status["title"]
    assert json.loads(on_terminal(house, "ascii", "verify_ledger", "json", "--json"))["ok"] is True
    armed = json.loads(on_terminal(house, "latin-1", "segment", "arm", segment, "--show", "json", "--json"))
    assert (armed["title"], armed["phase"]) == (status["title"], "armed")
    pack = str(house.data / "晚会🎉.zip")
    assert json.loads(on_terminal(house, "gbk", "evidence", "json", "-o", pack, "--json"))["pack"] == pack


def test_a_refusal_and_the_help_are_readable_on_every_terminal(house: Installation) -> None:
    status, _, complained = run(house.environment, "ascii", "manage.py", "verify_ledger", "晚会🎉")
    assert status == 1 and "there is no show" in complained and "Traceback" not in complained
    assert "usage:" in on_terminal(house, "ascii", "show", "--help")


def test_a_reason_typed_in_another_encoding_is_written_down_and_does_not_stop_the_action(
    house: Installation,
) -> None:
    segment = str(house.expect("stage", "build", TITLE, "bytes")["segment"])
    typed = os.fsdecode("下雨 rain".encode("gbk"))
    arguments = ("segment", "void", segment, "--show", "bytes", "--reason", typed, "--as", typed)
    assert "is draft" in on_terminal(house, "ascii", *arguments)
    assert json.loads(on_terminal(house, "ascii", "segment", "status", segment, "--json"))["requests"] == [
        "void"
    ]
    house.expect("stage", "agree", "bytes")
    assert "is void" in on_terminal(house, "ascii", "segment", "status", segment)
    assert json.loads(on_terminal(house, "ascii", "verify_ledger", "bytes", "--json"))["ok"] is True


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["words", "json"])
def test_the_verifiers_of_strangers_give_a_verdict_on_every_terminal(
    tmp_path: Path, encoding: str, options: list[str]
) -> None:
    record, entries = tmp_path / "无🎉.json", tmp_path / "雨☔.jsonl"
    entries.write_text('{"🎉": "晚会"}\n', encoding="utf-8")
    commands = {
        "draw": [str(VERIFIER), str(record)],
        "ledger": [str(LEDGER_VERIFIER), str(entries), str(tmp_path / "无🎉.txt"), "--key", KEY],
    }
    for command in commands.values():
        status, said, complained = run(dict(os.environ), encoding, *command, *options)
        assert (status, complained) == (1, "")
        if options:
            assert json.loads(said)["ok"] is False
        else:
            assert "FAIL" in said and "NOT OK" in said and "\\u" in said.lower()


def on_terminal(house: Installation, encoding: str, *arguments: str) -> str:
    """What manage.py prints where it has to succeed."""
    status, said, complained = run(house.environment, encoding, "manage.py", *arguments)
    assert status == 0, f"{arguments}: status {status}\n{said}\n{complained}"
    return said


def run(environment: dict[str, str], encoding: str, *arguments: str) -> tuple[int, str, str]:
    """Status, output and errors of a Python program on such a terminal."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env={**environment, "PYTHONIOENCODING": encoding}, capture_output=True, timeout=90,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)
