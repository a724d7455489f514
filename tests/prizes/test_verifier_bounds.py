"""What is no file, or larger or deeper than what is published can be, is refused in a moment and with a clear word."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engagement.core.digests import canonical_json
from engagement.ledger import verify_ledger
from prizes import verify_draw

DRAW, LEDGER = Path(verify_draw.__file__), Path(verify_ledger.__file__)
MAX_SECONDS, MAX_MEMORY = 2.0, 200 << 20


# Runs a program and says last how many seconds it took of a processor, whatever else runs here, and, in KiB, how much
# memory it had at most (Linux: /proc/self/status).
MEASURED = """
import runpy, sys, time
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    memory = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(time.process_time(), memory[0], file=sys.stderr)
"""


class Ran(NamedTuple):
    """What became of a program that ran alone, as a stranger runs it."""

    status: int
    output: str
    seconds: float
    memory: int  # bytes


def run(*command: object) -> Ran:
    words = [sys.executable, "-I", "-c", MEASURED, *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    *errors, last = done.stderr.splitlines()
    seconds, memory = last.split()
    return Ran(done.returncode, "\n".join([done.stdout, *errors]), float(seconds), int(memory) * 1024)


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))
    return path


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def fill(content: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return make


def make_sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(1 << 40)
    return path


NO_FILES: list[tuple[Callable[[Path], Path], str]] = [
    (lambda path: Path("/dev/zero"), "expected a file, got a device"),
    (make_pipe, "expected a file, got a pipe"),
    (make_socket, "expected a file, got a socket"),
    (make_folder, "expected a file, got a directory"),
    (make_sparse, "bytes, got 1099511627776"),
]
HOSTILE: list[tuple[bytes, str]] = [
    (b"[" + b"0," * 30_000_000 + b"0]", "expected at most"),
    (b"[" + b"0," * 7_000_000 + b"0]", "quotes, commas and brackets"),
    (b"[" + b"{}," * 5_000_000 + b"0]", "quotes, commas and brackets"),
    (b"[" * 900_000, "levels, got a deeper one"),
    (b'{"a":' * 300_000, "levels, got a deeper one"),
    (b'{"a":"' + "🧥".encode() * 4_000_000 + b'"}', "bytes between two quotes"),
    (b'{"a":"' + b"\\" * 15_000_000 + b'"}', ""),
    (b'{"a":' + b" " * 15_000_000 + b"1}", "bytes between two quotes"),
    (b'{"a":' + b"9" * 90_000 + b"}", "got one of more digits"),
    (b"[" + b'{"a":0},' * 240_000 + b"0]", ""),
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # a socket's address is short
    (tmp_path / "record.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(("make", "said"), NO_FILES)
@pytest.mark.parametrize("place", ["record", "roll", "totals", "excluded", "receipt"])
def test_what_is_no_file_is_not_read_as_a_part_of_a_draw(
    here: Path, make: Callable[[Path], Path], said: str, place: str
) -> None:
    odd, record = make(here / "odd"), here / "record.json"
    arguments: dict[str, list[object]] = {
        "record": [odd],
        "roll": [record, odd],
        "totals": [record, record, odd],
        "excluded": [record, record, record, odd],
        "receipt": [record, "--receipt", odd],
    }
    status, output, seconds, _ = run(DRAW, *arguments[place])
    assert (status, seconds < MAX_SECONDS) == (1, True)
    assert output.startswith(f"FAIL files: {odd}: ") and said in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("content", "said"), HOSTILE)
@pytest.mark.parametrize("place", ["record", "roll", "receipt"])
def test_hostile_json_is_refused_in_bounded_time_and_memory_as_a_part_of_a_draw(
    here: Path, content: bytes, said: str, place: str
) -> None:
    odd, record = fill(content)(here / "odd"), here / "record.json"
    arguments: dict[str, list[object]] = {
        "record": [odd],
        "roll": [record, odd],
        "receipt": [record, "--receipt", odd],
    }
    status, output, seconds, memory = run(DRAW, *arguments[place])
    assert (status, "Traceback" in output) == (1, False)
    assert seconds < MAX_SECONDS and memory < MAX_MEMORY
    assert said in output or place != "record"


def test_a_thousand_receipts_are_too_many_at_once(here: Path) -> None:
    status, output, _, _ = run(DRAW, "record.json", *["--receipt", "record.json"] * 1_000)
    assert (status, "expected at most 500 receipts at once, got 1000" in output) == (1, True)


def make_large_record() -> bytes:
    """The size, and the number of values, of a record with 1,000 winners, their reserves, and a life for each."""
    listed = [
        {"rank": rank, "pseudonym": f"{rank:028x}", "tickets": 3, "ticket": 1, "score": f"{rank:032x}",
         "index": rank, "won": "", "proof": {"leaf": rank, "siblings": ["ab" * 32] * 18}}
        for rank in range(5_000)
    ]  # fmt: skip
    prizes = [
        {"id": f"{number}-1", "celebrity": "Lin Yao", "brand": "Maison", "garment": "Silver evening coat",
         "size": "M", "title": "Silver evening coat worn by Lin Yao", "value_minor": 1, "currency": "EUR"}
        for number in range(1_000)
    ]  # fmt: skip
    rows = [
        {"pseudonym": f"{number:028x}", "prize": f"{number}-1", "status": "forfeited", "ledger": number,
         "reason": "deadline passed", "time": 1_692_806_400_000 + number}
        for number in range(2_000)
    ]  # fmt: skip
    prior = [{"pseudonym": f"{number:028x}", "draw_id": "gala/seg-1/draw-1"} for number in range(5_000)]
    return canonical_json(
        {"ranked": listed, "rules": {"prizes": prizes}, "dispositions": rows, "prior_wins": prior}
    )


def test_a_record_with_a_thousand_winners_is_far_within_the_bounds() -> None:
    record = make_large_record()
    assert verify_draw.parse_json(record) == json.loads(record)
    assert len(record) < verify_draw.MAX_JSON * 0.6


@pytest.mark.parametrize(
    "value",
    [
        {}, [], 0, "", "\\", '"', '\\"', '"[[[[[[[[[[[[[[[[[[[[[[[[', '\\\\"{', 10**19, {"]": "}"},
        [[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]],
    ],
)  # fmt: skip
def test_what_stands_in_strings_is_no_bracket_and_no_number(value: Any) -> None:
    assert verify_draw.parse_json(canonical_json(value)) == value


def test_levels_are_counted() -> None:
    assert verify_draw.parse_json(b"[" * 16 + b"]" * 16)
    with pytest.raises(verify_draw.Wrong, match="at most 16 levels"):
        verify_draw.parse_json(b"[" * 17 + b"]" * 17)


def test_the_memory_is_measured_in_bytes(here: Path) -> None:
    (here / "large.py").write_text("x = bytearray(100 << 20); print(1)")
    ran = run("large.py")
    assert (ran.status, ran.output) == (0, "1\n")
    assert 100 << 20 < ran.memory < 130 << 20


# --- the ledger ---

KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@pytest.mark.parametrize(("make", "said"), NO_FILES)
def test_what_is_no_file_is_not_read_as_a_part_of_a_ledger(
    here: Path, make: Callable[[Path], Path], said: str
) -> None:
    ran = run(LEDGER, "--key", KEY, make(here / "odd"))
    assert (ran.status, ran.seconds < MAX_SECONDS) == (1, True)
    assert ran.output.startswith("FAIL file ") and said in ran.output
    assert "Traceback" not in ran.output


STATEMENTS = b'{"$format":"shake-ledger/v2/statement"}\n'
NOTE = b'{"note":"' + b"a\\n" * 300 + b'%d"}\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        *((content, "") for content, _ in HOSTILE),
        (b"[" + b"0," * 30_000_000 + b"0]", "expected JSON objects, or a checkpoint of at most 65536 bytes"),
        (b'{"a":[' + b"0," * 30_000_000 + b"0]}", "expected at most 1048576 bytes of JSON on a line"),
        (b'{"a":[' + b"0," * 300_000 + b"0]}", "quotes, commas and brackets, got more"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, "at most 16 levels"),
        (b'{"a":' + b"9" * 90_000 + b"}", "got one of more digits"),
        (STATEMENTS * 1_000_000, "expected a statement with its fields and no others"),
        (b"".join(NOTE % number for number in range(30_000)), "FAIL signature of"),
        (b"{}\n" * 10_000_000, "expected an entry, a checkpoint, a statement or a proof"),
        (b"\n" * 20_000_000, ""),
        (b"{" + b" \n" * 20_000_000, ""),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_bounded_time_and_memory_as_a_part_of_a_ledger(
    here: Path, content: bytes, said: str
) -> None:
    ran = run(LEDGER, "--key", KEY, fill(content)(here / "odd"))
    assert (ran.status, "Traceback" in ran.output) == (1, False)
    assert ran.seconds < MAX_SECONDS and ran.memory < MAX_MEMORY
    assert said in ran.output
