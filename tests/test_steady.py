"""tests/steady.py, with files that fail once, always, and often."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ONCE = """
import pathlib

def test_once():
    seen = pathlib.Path("seen")
    before = seen.exists()
    seen.touch()
    assert before
"""
ALWAYS = "def test_always():\n    assert False\n"
OFTEN = "import pytest\n\n@pytest.mark.parametrize('n', range(4))\ndef test_often(n):\n    assert False\n"
FINE = "def test_fine():\n    pass\n"


def run(folder: Path, **files: str) -> tuple[int, str]:
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "tests.steady", "-q", "-p", "no:django", "-p", "no:randomly"]
    own = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def test_what_fails_once_is_told_and_holds(tmp_path: Path) -> None:
    code, told = run(tmp_path, once=ONCE, fine=FINE)
    assert code == 0
    assert "1 failed, 1 passed" in told and "UNSTEADY" in told and "test_once.py::test_once" in told


def test_what_fails_twice_fails(tmp_path: Path) -> None:
    code, told = run(tmp_path, always=ALWAYS, fine=FINE)
    assert code == 1 and told.count("1 failed") == 2


def test_many_failures_get_no_second_run(tmp_path: Path) -> None:
    code, told = run(tmp_path, often=OFTEN)
    assert code == 1 and "UNSTEADY" not in told


def test_what_cannot_be_collected_gets_no_second_run(tmp_path: Path) -> None:
    code, told = run(tmp_path, broken="import nothing_of_that_name\n")
    assert code == 2 and "UNSTEADY" not in told
