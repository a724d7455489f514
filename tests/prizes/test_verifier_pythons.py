"""Both verifiers say the same on every Python from 3.8 to 3.14 that is here, and warn of nothing."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engagement.core.digests import canonical_json
from engagement.ledger.append import append_entry
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.ledger.statements import statement
from tests.cast import make_show
from tests.engagement.ledger.test_verify_statements import write_entries
from tests.prizes import shows
from tests.prizes.test_verify_draw import ALLOWED, NEWER_THAN_3_8, lay_out, make_drawn
from tests.prizes.test_verify_receipts import make_receipt
from tests.pythons import VERSIONS, find_python

PROGRAMS = {path.name: path for path in shows.PROGRAMS}
FILES = ["record.json", "roll.bin", "totals.bin", "excluded.txt"]


ASKED = [
    [*FILES, "--receipt", "receipt.json", "--json"], ["record.json"], ["pipe"], ["deep.json"], ["long.json"],
    ["record.json", "totals.bin"],
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier alone, the files of a draw with dice, and what is none; in `drand` a draw with a signature."""
    folder = tmp_path_factory.mktemp("draw")
    signed = make_drawn(folder, "drand")
    drawn = make_drawn(folder, "dice")
    viewer = bytes.fromhex(drawn.record["winners"][0]["pseudonym"])
    (folder / "drand").mkdir()
    lay_out(signed, folder / "drand")
    (folder / "receipt.json").write_bytes(canonical_json(make_receipt(drawn, viewer)))
    os.mkfifo(folder / "pipe")
    (folder / "deep.json").write_bytes(b"[" * 1_000 + b"]" * 1_000)
    (folder / "long.json").write_bytes(b"9" * 50_000)
    return lay_out(drawn, folder)


@pytest.fixture(scope="module")
def here(folder: Path) -> list[tuple[int, str, str]]:
    """What this Python says."""
    return [run(sys.executable, folder, "verify_draw.py", *words) for words in ASKED]


def run(python: str, folder: Path, *arguments: str) -> tuple[int, str, str]:
    words = [python, "-I", "-W", "error", *arguments]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def other_python(version: str) -> str:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not here")
    return python


@pytest.mark.parametrize("version", VERSIONS)
def test_a_draw_is_checked_alike_by_every_python(
    folder: Path, here: list[tuple[int, str, str]], version: str
) -> None:
    python = other_python(version)
    assert [run(python, folder, "verify_draw.py", *words) for words in ASKED] == here
    assert json.loads(here[0][1])["ok"]
    assert {errors for _, _, errors in here} == {""}
    assert run(python, folder / "drand", "verify_draw.py", *FILES)[::2] == (0, "")


@pytest.mark.django_db
@pytest.mark.parametrize("version", VERSIONS)
def test_a_ledger_is_checked_alike_by_every_python(tmp_path: Path, version: str) -> None:
    python, show = other_python(version), make_show(slug="gala")
    for action in ("arm", "open", "freeze", "seal", "seal"):
        append_entry(show, action, actor="ольга", details={"draw": "d"}, people={"viewer": "雨"})
    (tmp_path / "verify_ledger.py").write_bytes(PROGRAMS["verify_ledger.py"].read_bytes())
    write_entries(show, tmp_path)
    (tmp_path / "statement.json").write_bytes(canonical_json(statement(show, 3, 5)))
    key = ["verify_ledger.py", "--key", format_vkey(keys_of(show)[0])]
    for files in (
        ["entries.jsonl", "checkpoints.jsonl", "statement.json"],
        ["statement.json", "--json"],
        ["."],
    ):
        here = run(sys.executable, tmp_path, *key, *files)
        assert run(python, tmp_path, *key, *files) == here
        assert here[2] == ""
    assert run(python, tmp_path, *key, "statement.json")[0] == 0
    assert "a second seal of d" in run(python, tmp_path, *key, "entries.jsonl", "checkpoints.jsonl")[1]


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_they_are_written_for_python_3_8_with_the_standard_library(program: Path) -> None:
    tree = ast.parse(program.read_text(), feature_version=(3, 8))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert set(names) <= ALLOWED | {"stat", "types", "zipfile"}
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used & NEWER_THAN_3_8 == set()
