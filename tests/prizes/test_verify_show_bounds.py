"""What is no pack, or hides something in one, is refused in a moment, with a clear word and before it is read on."""

import json
import os
import shutil
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.clock import clock as clock
from tests.prizes import shows
from tests.prizes.mutations import change_somewhere, encode
from tests.prizes.shows import Look
from tests.prizes.shows import folder as folder
from tests.prizes.shows import look as look
from tests.prizes.shows import night as night
from tests.prizes.shows import program as program
from tests.prizes.test_verifier_bounds import MAX_MEMORY, MAX_SECONDS, NO_FILES, make_folder, run

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[[zipfile.ZipFile], Any]
ROLL = "draw-1/roll.bin"
CHANGES = 60


def find(folder: Path, name: str) -> Path:
    """A file of a real pack, whose draws have the numbers of the database: `draw-1` is the first of them."""
    numbers = sorted(int(row.name.removeprefix("draw-")) for row in folder.glob("draw-*"))
    place, _, rest = name.removeprefix("draw-").partition("/")
    return folder / name if "draw-" not in name else folder / f"draw-{numbers[int(place) - 1]}" / rest


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shows.lay_out(tmp_path_factory.mktemp("alone")) / "verify_show.py"


def refused(program: Path, pack: Path, *options: str) -> str:
    """What it says; nothing else was looked at."""
    ran = run(program, pack, *options)
    assert (ran.status, "Traceback" in ran.output) == (1, False), ran.output
    assert ran.seconds < MAX_SECONDS and ran.memory < MAX_MEMORY
    first, verdict = ran.output.splitlines()
    assert verdict == "NOT OK: 1 of 1 checks fail: pack"
    return first.removeprefix("FAIL pack: ")


def make_zip(path: Path, write: Write) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        write(archive)
    return path


def named(name: str, content: bytes = b"x", **fields: Any) -> Write:
    def write(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("")
        info.filename = name  # as it is, whatever a zip may not have
        for field, value in fields.items():
            setattr(info, field, value)
        archive.writestr(info, content)

    return write


def compressed(content: bytes) -> Write:
    return lambda archive: archive.writestr(ROLL, content, zipfile.ZIP_DEFLATED)


def many(archive: zipfile.ZipFile) -> None:
    for number in range(6_000):
        archive.writestr(f"draw-{number}/roll.bin", b"")


def twice(archive: zipfile.ZipFile) -> None:
    with warnings.catch_warnings(action="ignore"):
        for _ in range(2):
            archive.writestr(ROLL, b"x")


LINK: dict[str, Any] = {"create_system": 3, "external_attr": (stat.S_IFLNK | 0o777) << 16}
PIPE: dict[str, Any] = {"create_system": 3, "external_attr": (stat.S_IFIFO | 0o666) << 16}
ZIPS: list[tuple[Write, str]] = [
    (compressed(bytes(500 << 20)), "is compressed, which no pack is"),
    (many, "expected at most 5000 files"),
    (twice, "'draw-1/roll.bin' is there twice"),
    (named("../roll.bin"), "'../roll.bin' is no file of a pack"),
    (named("/etc/passwd"), "'/etc/passwd' is no file of a pack"),
    (named("draw-1/../../roll.bin"), "is no file of a pack"),
    (named("draw-1\\roll.bin"), "is no file of a pack"),
    (named("C:/draw-1/roll.bin"), "is no file of a pack"),
    (named("draw-1/roll.bin\n"), "is no file of a pack"),
    (named("json.py"), "'json.py' is no file of a pack: keep what is your own elsewhere"),
    (named("__pycache__/verify_draw.cpython-311.pyc"), "is no file of a pack"),
    (named("readme.txt"), "'readme.txt' is no file of a pack"),
    (named("\u202eexe.txt"), "is no file of a pack"),
    (named(ROLL, b"/etc/passwd", **LINK), "is a link"),
    (named(ROLL, **PIPE), "is no file: a pack has files only"),
    (named("verify_draw.py", bytes(2 << 20)), "verify_draw.py: expected at most"),
]


@pytest.mark.parametrize(("write", "said"), ZIPS)
def test_what_a_zip_must_not_have_is_refused(alone: Path, tmp_path: Path, write: Write, said: str) -> None:
    assert said in refused(alone, make_zip(tmp_path / "pack.zip", write))


def edit(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


OTHER = b"draw-2/roll.bin"


def two_rolls(archive: zipfile.ZipFile) -> None:
    for name in (ROLL, OTHER.decode()):
        archive.writestr(name, b"x" * 100)


def test_a_zip_whose_list_says_something_else_than_its_files_is_refused(alone: Path, tmp_path: Path) -> None:
    for change, said in (
        (lambda data: data.replace(OTHER, ROLL.encode(), 1), "has another name in the zip itself"),
        (lambda data: data[::-1].replace(OTHER[::-1], b"nib.llor/1-ward", 1)[::-1], "another name"),
        (lambda data: overlap(data), "lies over another file"),
        (lambda data: encrypted(data), "is encrypted"),
        (second_list, "one list of files"),
        (lambda data: data + b"more", "that ends with its list of files"),
        (lambda data: data[:-1], "that ends with its list of files"),
        (lambda data: data[: len(data) // 2], "that ends with its list of files"),
        (lambda data: data[:-16] + b"\xff" * 12 + data[-4:], "in a list of"),
        (lambda data: b"", "that ends with its list of files"),
    ):
        path = make_zip(tmp_path / "pack.zip", two_rolls)
        assert said in refused(alone, edit(path, change))


def overlap(data: bytes) -> bytes:
    """The second file of the list is the first one once more: of such zips are bombs made that are not compressed."""
    at = data.rindex(b"PK\x01\x02")
    changed = data[: at + 42] + bytes(4) + data[at + 46 :]
    return changed[:at] + changed[at:].replace(b"draw-2", b"draw-1")


def second_list(data: bytes) -> bytes:
    """What some Pythons would read in its place stands further ahead, and may have any length."""
    end = len(data) - 22
    more = b"PK\x06\x06" + (56 + 8 - 12).to_bytes(8, "little") + bytes(44) + b"longer.."
    return data[:end] + more + b"PK\x06\x07" + bytes(4) + end.to_bytes(8, "little") + b"\1\0\0\0" + data[end:]


def encrypted(data: bytes) -> bytes:
    at = data.rindex(b"PK\x01\x02")
    return data[: at + 8] + bytes([data[at + 8] | 1]) + data[at + 9 :]


@pytest.mark.parametrize(("make", "said"), [row for row in NO_FILES if row[0] is not make_folder])
def test_what_is_no_file_is_no_pack(
    alone: Path, tmp_path: Path, make: Callable[[Path], Path], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = refused(alone, make(tmp_path / "odd"))
    assert told.startswith("expected a zip file")
    assert "sparse" in make.__name__ or said.partition(", got ")[2] in told


@pytest.mark.parametrize(("make", "said"), [row for row in NO_FILES if "lambda" not in row[0].__name__])
def test_what_is_no_file_in_a_folder_is_refused(
    alone: Path, tmp_path: Path, make: Callable[[Path], Path], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "pack/draw-1"
    home.mkdir(parents=True)
    make(home / "roll.bin")
    told = refused(alone, tmp_path / "pack")
    assert "'draw-1/roll.bin'" in told or "draw-1/roll.bin: expected at most" in told
    assert said.partition(", got ")[2].split(":")[0] in told


def test_links_in_a_folder_are_followed_only_where_that_is_asked_for(
    alone: Path, folder: Path, night: Any, tmp_path: Path
) -> None:
    elsewhere, roll = tmp_path / "elsewhere.bin", find(folder, ROLL)
    name = f"{roll.parent.name}/roll.bin"
    shutil.move(roll, elsewhere)
    roll.symlink_to(elsewhere)
    assert f"'{name}' is a link" in refused(alone, folder)
    ran = run(alone, folder, "--links", "--key", shows.key_of(night))
    assert (ran.status, ran.output.splitlines()[-1].startswith("OK: ")) == (0, True)
    roll.unlink()
    roll.symlink_to("/dev/zero")
    assert f"'{name}' is a device" in refused(alone, folder, "--links")
    roll.unlink()
    (folder / "loop").symlink_to(folder)
    assert "is a directory" in refused(alone, folder, "--links") or os.name == "nt"


def test_a_pack_that_is_not_there_is_told(alone: Path, tmp_path: Path) -> None:
    assert "No such file" in refused(alone, tmp_path / "nothing.zip")


def test_an_empty_folder_has_nothing_of_a_pack(alone: Path, tmp_path: Path) -> None:
    ran = run(alone, tmp_path)
    assert (ran.status, "Traceback" in ran.output) == (1, False)
    assert "FAIL sums: expected SHA256SUMS in the pack" in ran.output
    assert "FAIL story: expected a ledger with entries, got none" in ran.output


@pytest.mark.parametrize(
    "name", ["ledger/entries.jsonl", f"{ROLL}", "draw-1/record.json", "draw-1/rules.json"]
)
@pytest.mark.parametrize("content", [b"", b"[" * 10_000, b'{"a":1}', b"\xff" * 1_000])
def test_a_file_with_something_else_in_it_is_told(
    folder: Path, look: Look, name: str, content: bytes
) -> None:
    find(folder, name).write_bytes(content)
    report = look(shows.list_again(folder))
    assert not report.ok
    assert not any("Traceback" in check.detail for check in report.checks)


SIGNED = (  # all that something rests on; the rest is for people
    "draw-1/rules.json", "draw-1/precommitment.json", "draw-1/record.json", "draw-1/record-as-drawn.json",
    "draw-2/rules.json", "ledger/entries.jsonl", "ledger/statements.jsonl",
)  # fmt: skip


def test_no_change_of_what_something_rests_on_passes(folder: Path, look: Look) -> None:
    """By whoever knows its structure, and makes the list of the files anew."""
    kept = {name: find(folder, name).read_bytes() for name in SIGNED}
    for number in range(CHANGES):
        random = Random(number)
        name = random.choice(SIGNED)
        lines = kept[name].splitlines()
        at = random.randrange(len(lines))
        value = json.loads(lines[at])
        how = change_somewhere(value, json.loads(random.choice(lines)), random)
        lines[at] = encode(value, random)
        find(folder, name).write_bytes(b"\n".join(lines) + (b"\n" if name.endswith("jsonl") else b""))
        same = value == json.loads(kept[name].splitlines()[at])
        report = look(shows.list_again(folder))
        assert same or not report.ok, f"change {number} of {name}: {how}"
        find(folder, name).write_bytes(kept[name])


def test_no_changed_byte_of_the_zip_s_own_parts_passes_for_another_pack(
    folder: Path, look: Look, tmp_path: Path
) -> None:
    """Names, places and sizes of files, a byte at a time; what is in them is the matter of SHA256SUMS."""
    data, path, whole = folder.with_suffix(".zip").read_bytes(), tmp_path / "changed.zip", look(folder)
    start = data.index(b"PK\x01\x02")
    for number in range(150):
        random = Random(number)
        at = random.randrange(start, len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :])
        report = look(path)
        assert not report.ok or report == whole, f"change {number}"
