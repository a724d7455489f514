#!/usr/bin/env python3
"""Check the evidence pack of a show as a whole, with this file, its two neighbours and Python 3.8 or newer.

    python verify_show.py pack.zip --key KEY                         all of it
    python verify_show.py pack --key KEY --checkpoint noted.txt      an unpacked pack, with a checkpoint that was kept
    python verify_show.py pack.zip --key KEY --witness KEY --stub phones/
                                                                     with a witness, and with what phones were told

KEY is the organiser's public key, noted before the show. Without it nobody knows whose pack it is: it is only seen to
agree with itself. Every check is one line, `ok` or `FAIL`, and the last line is the verdict. Exit status 0: all that
was checked holds; 1: something does not; 2: the command line could not be understood.

`verify_draw.py` and `verify_ledger.py` stand beside this file and do what they do alone. Here they are put together:
every record with the ledger, the earlier records, the files and the other draws of the same show. Take all three from
the site, or from somebody whom you trust, and not from the pack that you check.

    1. Programs     the two neighbours
    2. The pack     a zip file or a folder, bounded before anything of it is read
    3. The story    what the ledger tells of each draw
    4. The show     every draw is there, called off, repeated, counted, and nobody wins twice
    5. Draws        each record with the roll, the earlier records and the ledger
    6. Stubs        what phones were told
    7. Running      all checks, one after the other
    8. Command line
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import stat
import sys
import types
import zipfile
from functools import cached_property, partial
from typing import Any, Callable, Dict, Iterable, Iterator, NamedTuple, Sequence

# --- 1. Programs ---

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ("verify_draw.py", "verify_ledger.py")


def load(name: str) -> Any:
    """The program of this name beside this file, from its source: what lies in a cache could be anybody's."""
    path = os.path.join(HERE, name)
    with open(path, "rb") as file:
        source = file.read()
    module = types.ModuleType(name[: -len(".py")])
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return module


try:
    D, L = map(load, PROGRAMS)
except OSError as missing:
    sys.stderr.write(
        f"verify_show.py: {missing}. verify_draw.py and verify_ledger.py have to stand beside it\n"
    )
    sys.exit(2)

Check = D.Check

# --- 2. The pack (docs/evidence.md) ---

MAX_FILES, MAX_BYTES, MAX_DIRECTORY, MAX_RECORDS = 5_000, 64 << 30, 4 << 20, 256 << 20
MAX_SUMS, MAX_PROGRAM, MAX_SMALL = 4 << 20, 1 << 20, 64 << 10
SUMS, RULES, PRECOMMITMENT, RECORD, AS_DRAWN, EXCLUDED = (
    "SHA256SUMS", "rules.json", "precommitment.json", "record.json", "record-as-drawn.json", "excluded.txt",
)  # fmt: skip
ENTRIES, CHECKPOINTS, STATEMENTS, LATEST, KEYS = (
    f"ledger/{name}"
    for name in (
        "entries.jsonl",
        "checkpoints.jsonl",
        "statements.jsonl",
        "latest-checkpoint.txt",
        "keys.txt",
    )
)
# Every name that a pack may have, and how large such a file can be.
FILES: tuple[tuple[str, int], ...] = (
    (SUMS, MAX_SUMS),
    (r"README\.txt|report\.html|check-list\.html|manifest\.json|statistics\.json|timeline\.(json|csv)", L.MAX_FILE),
    (r"verify_(draw|ledger|show)\.py", MAX_PROGRAM),
    (r"ledger/(entries|checkpoints|statements)\.jsonl", L.MAX_FILE),
    (r"ledger/(latest-checkpoint|keys|witnesses)\.txt", MAX_SMALL),
    (r"draw-[0-9]+/(rules|precommitment|record|record-as-drawn|claims)\.json", D.MAX_JSON),
    (r"draw-[0-9]+/roll\.bin", D.MAX_ROLL),
    (r"draw-[0-9]+/excluded\.txt", D.MAX_EXCLUDED),
    (r"draw-[0-9]+/shared\.bin", D.MAX_ROLL),
    (r"segment-[0-9]+/totals\.bin", D.MAX_ROLL * 9 // 8),
    (r"segment-[0-9]+/origins\.bin", D.MAX_ROLL * 3 // 2),
    (r"verification/[a-z0-9-]+\.txt", D.MAX_JSON),
)  # fmt: skip
STORED, ENCRYPTED = 0, 1  # in a zip: not compressed; a bit of the flags
END, END64, LOCATOR = 22, 56, 20  # bytes of the records at the end of a zip


class Refused(Exception):
    """This is no pack, and is not read on; the text says why."""


class Member(NamedTuple):
    """A file of the pack: its name in it, its size, and how to open it."""

    name: str
    size: int
    open: Callable[[], Any]


Pack = Dict[str, Member]


def read_pack(path: str, links: bool = False) -> Pack:
    """The files of a pack, by name, none of which was read yet; Refused for what is none."""
    kind = D.KINDS.get(os.stat(path).st_mode >> 12, "")
    if kind and kind != "a directory":
        raise Refused(f"expected a zip file or a folder, got {kind}")
    pack: Pack = {}
    for member in read_folder(path, "", links) if kind else read_zip(path):
        if len(pack) == MAX_FILES:
            raise Refused(f"expected at most {MAX_FILES} files, got more")
        if member.name in pack:
            raise Refused(f"{quote(member.name)} is there twice")
        check_name(member)
        pack[member.name] = member
    size = sum(member.size for member in pack.values())
    records = sum(member.size for member in pack.values() if member.name.endswith(".json"))
    if size > MAX_BYTES or records > MAX_RECORDS:
        raise Refused(
            f"expected at most {MAX_BYTES} bytes, {MAX_RECORDS} of them of JSON, got {size} and {records}"
        )
    return pack


def check_name(member: Member) -> None:
    """A pack has files of these names and no others: so none leads out of it, and none is run by mistake."""
    for pattern, most in FILES:
        if re.fullmatch(pattern, member.name):
            if member.size > most:
                raise Refused(f"{member.name}: expected at most {most} bytes, got {member.size}")
            return
    raise Refused(f"{quote(member.name)} is no file of a pack: keep what is your own elsewhere")


def quote(name: str) -> str:
    return ascii(name[:100])


def read_folder(path: str, above: str, links: bool) -> Iterator[Member]:
    """The files in a folder, and in the folders in it; what is no file is refused before it is opened."""
    with os.scandir(path) as rows:
        for number, row in enumerate(rows):
            if number > MAX_FILES:
                raise Refused(f"expected at most {MAX_FILES} files, got more")
            name, status = above + row.name, row.stat(follow_symlinks=links)
            if stat.S_ISLNK(status.st_mode):
                raise Refused(f"{quote(name)} is a link: a pack has files only")
            if stat.S_ISDIR(status.st_mode) and not above:
                yield from read_folder(row.path, f"{row.name}/", links)
            elif stat.S_ISREG(status.st_mode):
                yield Member(name, status.st_size, partial(open, row.path, "rb"))
            else:
                kind = D.KINDS.get(status.st_mode >> 12, "something else")
                raise Refused(f"{quote(name)} is {kind.partition(':')[0]}: a pack has files only")


def read_zip(path: str) -> Iterator[Member]:
    """The files in a zip that is not compressed: then no file in it is larger than what is there."""
    check_end(path)
    try:
        with zipfile.ZipFile(path) as archive:
            rows, start = archive.infolist(), archive.start_dir
    except Exception as error:  # whatever it says of itself
        raise Refused(f"expected a zip file, got one that cannot be read: {error}") from None
    end = 0
    for row in sorted(rows, key=lambda row: row.header_offset):
        check_row(row)
        at = find_data(path, row) if end <= row.header_offset < start else start
        if at + row.file_size > start or at == start:
            raise Refused(f"{quote(row.filename)} lies over another file of the zip")
        end = at + row.file_size
        if not row.filename.endswith("/") or row.file_size:
            yield Member(row.orig_filename, row.file_size, opener(path, at, row.file_size))


def check_end(path: str) -> None:
    """How many files a zip has, and how long their list is, before the list is read."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - END - LOCATOR - END64))
        tail = file.read()
    end, before, locator = tail[-END:], tail[:-END], tail[-END - LOCATOR : -END]
    if len(end) < END or end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise Refused("expected a zip file that ends with its list of files, got something else")
    count, length = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if locator[:4] == b"PK\x06\x07":
        place = int.from_bytes(locator[8:16], "little")  # Pythons look for it there, or right before this
        if before[:4] != b"PK\x06\x06" or place != size - END - LOCATOR - END64:
            raise Refused("expected one list of files in the zip, got something else")
        count, length = int.from_bytes(before[32:40], "little"), int.from_bytes(before[40:48], "little")
    if count > MAX_FILES or length > MAX_DIRECTORY:
        raise Refused(
            f"expected at most {MAX_FILES} files in a list of {MAX_DIRECTORY} bytes, got {count}, {length}"
        )


def check_row(row: zipfile.ZipInfo) -> None:
    """A plain file, as packs have them."""
    name, mode = quote(row.orig_filename), row.external_attr >> 16
    if row.compress_type != STORED or row.file_size != row.compress_size:
        raise Refused(f"{name} is compressed, which no pack is: unpack it, and name the folder")
    if row.flag_bits & ENCRYPTED:
        raise Refused(f"{name} is encrypted")
    if row.create_system == 3 and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "a link" if stat.S_ISLNK(mode) else "no file"
        raise Refused(f"{name} is {kind}: a pack has files only")


def find_data(path: str, row: zipfile.ZipInfo) -> int:
    """Where the bytes of a file begin: behind its own header, which names it once more."""
    with open(path, "rb") as file:
        file.seek(row.header_offset)
        header = file.read(30)
        named, more = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        name = file.read(named)
    if header[:4] != b"PK\x03\x04" or name != row.orig_filename.encode("utf-8", "surrogateescape"):
        raise Refused(f"{quote(row.orig_filename)} has another name in the zip itself")
    return row.header_offset + 30 + named + more


def opener(path: str, start: int, size: int) -> Callable[[], Any]:
    return lambda: io.BufferedReader(Part(path, start, size), 1 << 16)


class Part(io.RawIOBase):
    """Some bytes of a file, as a file of its own."""

    def __init__(self, path: str, start: int, size: int) -> None:
        super().__init__()
        self.file, self.start, self.size, self.at = open(path, "rb"), start, size, 0  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = max(0, offset + (0, self.at, self.size)[whence])
        return self.at

    def readinto(self, buffer: Any) -> int:
        self.file.seek(self.start + self.at)
        data = self.file.read(min(len(buffer), max(0, self.size - self.at)))
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


def read_whole(pack: Pack, name: str) -> bytes:
    """A small file of the pack; Wrong where there is none."""
    D.require(name in pack, f"{name} in the pack")
    with pack[name].open() as file:
        data: bytes = file.read(pack[name].size + 1)
    return data


def check_sums(case: Show) -> str:
    """Every file is listed, and is the one that is listed."""
    pack = case.pack
    listed = read_sums(read_whole(pack, SUMS))
    missing, strange = sorted(set(listed) - set(pack)), sorted(set(pack) - set(listed) - {SUMS})
    D.require(not missing, f"all files of the list, but not there: {', '.join(missing[:10])}")
    D.require(not strange, f"files of the list only, but there: {', '.join(strange[:10])}")
    size, done = sum(pack[name].size for name in listed), 0
    for name in sorted(listed):
        digest = hashlib.sha256()
        with pack[name].open() as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
                done += len(chunk)
                case.asked.tell("reading the pack", done, size)
        D.expect(f"SHA-256 of {name}", listed[name], digest.hexdigest())
        case.digests[name] = digest.hexdigest()
    return "every file is there, and is the one that SHA256SUMS lists"


def read_sums(data: bytes) -> dict[str, str]:
    lines = [re.fullmatch("([0-9a-f]{64})  ([A-Za-z0-9._/-]+)", line) for line in data.decode().splitlines()]
    listed = {line[2]: line[1] for line in lines if line}
    D.require(len(listed) == len(lines), "lines of SHA-256, two spaces and a name, each name once")
    return listed


# --- 3. The story (docs/ledger.md) ---

STEPS = ("arm", "freeze", "reveal", "seal", "start", "beacon", "drawn", "publish")
OF_V1 = ("arm", "seal", "beacon", "drawn")
ENDS = ("void", "spoil")
AFTER = {"claim": "claimed", "forfeit": "forfeited", "disqualify": "disqualified", "move up": "won",
         "skip reserve": "skipped"}  # fmt: skip
KEPT = (*STEPS, *ENDS, *AFTER, "ask disqualification", "exclude", "include", "ask repeat", "repeat",
        "counts", "uncounted", "canaries", "canaries opened")  # fmt: skip


class Row(NamedTuple):
    """What an entry of the ledger says, to whoever has all of it."""

    position: int
    at: int
    action: str
    reason: str
    details: Any
    actor: str
    people: Any


STATES = {"void": "void", "spoil": "spoiled", "publish": "published", "drawn": "drawn", "seal": "sealed",
          "freeze": "frozen"}  # fmt: skip


class Told:
    """What the ledger tells of one draw. `rules_digest` are those that were armed, `play` the name of the segment."""

    def __init__(self, name: str, rules_digest: str, armed: Row) -> None:
        self.name, self.rules_digest, self.armed = name, rules_digest, armed
        self.segment, self.play = armed.details.get("segment"), armed.details.get("play")
        self.steps: dict[str, Row] = {"arm": armed}
        self.frozen: dict[str, Any] = {}  # what the freeze says of its roll

    @property
    def ended(self) -> Row | None:
        """The entry that has called it off, or spoiled it."""
        return self.steps.get("void") or self.steps.get("spoil")

    @property
    def state(self) -> str:
        """How far it has come, in a word."""
        return next((word for step, word in STATES.items() if step in self.steps), "armed")


def read_rows(kept: Iterable[dict[str, Any]]) -> list[Row]:
    return [
        Row(
            value["position"], value["at"], value["action"], value["reason"], value["details"], value["actor"],
            value.get("people", {}),
        )
        for value in kept
        if isinstance(value["details"], dict)
    ]  # fmt: skip


def read_story(rows: Iterable[Row]) -> dict[str, Told]:
    """All draws that were ever armed, in that order, with the first entry of each step."""
    draws: dict[str, Told] = {}
    for row in rows:
        if row.action == "arm":
            for name, digest in row.details["rules"].items():
                draws.setdefault(name, Told(name, digest, row))
        for draw in concerned(draws, row):
            draw.steps.setdefault(row.action, row)
            if row.action == "freeze":
                draw.frozen = draw.frozen or find_frozen(draw, row)
    return draws


def concerned(draws: dict[str, Told], row: Row) -> list[Told]:
    """The draws that a step is about: by name, or all of its segment."""
    details = row.details
    if row.action in (*ENDS, "freeze"):
        return [draw for draw in draws.values() if draw.segment == details.get("segment")]
    if row.action == "publish":
        return [draws[name] for name in details["records"] if name in draws]
    if row.action in STEPS and details.get("draw") in draws:
        return [draws[details["draw"]]]
    return []


def find_frozen(draw: Told, row: Row) -> dict[str, Any]:
    """Which of the rolls of a freeze is this draw's: that whose header names the rules."""
    found = [one for one in row.details["draws"] if one["roll_header"][48:112] == draw.rules_digest]
    return dict(found[0]) if found else {}


# --- 4. The show ---


class Show:
    """A pack that was read, and what is known of it so far."""

    def __init__(self, pack: Pack, asked: Asked) -> None:
        self.pack, self.asked = pack, asked
        self.files = L.Files(keep=KEPT)
        self.told: dict[str, Told] = {}
        self.rows: list[Row] = []
        self.digests: dict[str, str] = {}  # of files that were read
        self.rules: dict[str, Any] = {}  # by draw
        self.folders: dict[str, str] = {}  # by draw
        self.records: dict[str, bytes] = {}  # by draw, those of the pack
        self.holders: dict[str, list[str]] = {}  # viewer -> what they hold, by the records
        self.draws: list[DrawFound] = []
        self.uncounted: list[str] = []  # draws whose roll is compared with no counts

    @property
    def name(self) -> str:
        return str(self.files.entries[0].show)

    def version(self, draw: str) -> str:
        return str(D.V2 if "$format" in self.rules[draw] else D.V1)

    @cached_property
    def roots(self) -> list[bytes]:
        """The root of the ledger at each size."""
        found: list[bytes] = L.roots_of([L.leaf_hash(L.from_hex(row.digest)) for row in self.files.entries])
        return found

    @cached_property
    def steps(self) -> list[Any]:
        """The entries in the form in which records are compared with them."""
        return [D.Told(row.position, row.at, row.action, row.details) for row in self.rows]

    def rows_of(self, *actions: str) -> list[Row]:
        return [row for row in self.rows if row.action in actions]


class Asked(NamedTuple):
    """What was given beside the pack: keys as text, certificates as DER, names of files; `tell` hears how far it is."""

    keys: Sequence[str] = ()
    witnesses: Sequence[str] = ()
    tsas: Sequence[bytes] = ()
    checkpoints: Sequence[str] = ()
    stubs: Sequence[str] = ()
    tell: Any = D.no_progress


class DrawFound(NamedTuple):
    """What was found of one draw."""

    name: str
    folder: str
    state: str
    checks: list[Any]
    rests_on: list[str]


def check_story(case: Show) -> str:
    """What the ledger tells; the other checks compare with it."""
    D.require(bool(case.files.entries), "a ledger with entries, got none")
    case.rows = read_rows(case.files.kept)
    case.told = read_story(case.rows)
    states = [draw.state for draw in case.told.values()]
    many = [f"{states.count(state)} {state}" for state in sorted(set(states))]
    return f"{len(states)} draws of {case.name}: {', '.join(many) or 'none'}"


def check_draws(case: Show) -> str:
    """Every draw that was ever armed is in the pack with the rules that were armed, and no other one."""
    for name in sorted(case.pack):
        folder, _, file = name.partition("/")
        if file == RULES:
            rules = read_rules(read_whole(case.pack, name))
            D.require(rules["draw_id"] not in case.rules, f"one folder of {rules['draw_id']}, got two")
            case.rules[rules["draw_id"]], case.folders[rules["draw_id"]] = rules, folder
    missing = [draw.name for draw in case.told.values() if draw.name not in case.rules]
    strange = [name for name in case.rules if name not in case.told]
    D.require(not missing, f"all draws of the ledger in the pack, but not there: {', '.join(missing)}")
    D.require(not strange, f"draws of the ledger only, but it knows nothing of {', '.join(strange)}")
    homes = set(case.folders.values())
    lost = [name for name in case.pack if name.startswith("draw-") and name.partition("/")[0] not in homes]
    D.require(not lost, f"rules in every folder of a draw, but not beside {', '.join(lost[:5])}")
    for name, draw in case.told.items():
        check_rules(case, draw, case.rules[name])
    check_versions(case)
    return f"{len(case.rules)} draws, with the rules and promises that the ledger tells of"


def check_versions(case: Show) -> None:
    """No way back: the first version asks for less, so that a draw by it could be called off after its freeze."""
    versions = [(case.version(name), name) for name in case.told]
    for (before, _), (version, name) in zip(versions, versions[1:]):
        D.require(version >= before, f"{name} to be armed by {before}, as the draw before it, got {version}")


def read_rules(data: bytes) -> Any:
    rules = D.parse_json(data)
    D.require(D.canonical(rules) == data and isinstance(rules, dict), "rules as canonical JSON")
    D.fit("rules", rules, D.RULES_V2 if "$format" in rules else D.RULES_V1)
    return rules


def check_rules(case: Show, draw: Told, rules: Any) -> None:
    """As they were armed, and as they were promised to everybody."""
    version = case.version(draw.name)
    D.expect(f"show of {draw.name}", case.name, rules["show_id"])
    digest = D.tagged(version + "/rules", D.canonical(rules)).hex()
    D.expect(f"rules of {draw.name}, as they were armed", draw.rules_digest, digest)
    check_promise(case, draw, rules)


def check_promise(case: Show, draw: Told, rules: Any) -> None:
    """What was public before the window says these rules, and where and when they were armed."""
    data = read_whole(case.pack, f"{case.folders[draw.name]}/{PRECOMMITMENT}")
    promised = D.parse_json(data)
    commitments = {party["name"]: party["commitment"] for party in rules["parties"]}
    expected = {
        "$format": case.version(draw.name) + "/precommitment", "draw_id": draw.name, "rules": rules,
        "rules_digest": draw.rules_digest, "commitments": commitments, "ledger": draw.armed.position,
    }  # fmt: skip
    at = promised.pop("time", None)
    D.expect(f"promise of {draw.name}", D.canonical(expected), D.canonical(promised))
    D.require(D.canonical({**promised, "time": at}) == data, f"the promise of {draw.name} as canonical JSON")
    before = case.files.entries[draw.armed.position - 1].at if draw.armed.position else -1
    # An entry is of no time before that of the entry above it, whatever the clock said then.
    fits = type(at) is int and (at == draw.armed.at or 0 < at < draw.armed.at == before)
    D.require(fits, f"a promise of {draw.name} of the time at which it was armed, {draw.armed.at}, got {at}")


def check_called_off(case: Show) -> str:
    """What was void or spoiled has its reason, and nothing was drawn from it."""
    ended = [draw for draw in case.told.values() if draw.ended]
    for draw in ended:
        row = draw.steps.get("void") or draw.steps["spoil"]
        D.require(row.reason.strip() != "", f"a reason why {draw.name} ended")
        drawn = [name for name in (RECORD, AS_DRAWN, "claims.json") if in_folder(case, draw.name, name)]
        D.require(not drawn, f"nothing drawn from {draw.name}, which ended, got {', '.join(drawn)}")
        late = row.action == "void" and "freeze" in draw.steps and case.version(draw.name) == D.V2
        D.require(not late, f"{draw.name} to be called off until its freeze only, and not after it")
    told = [f"{draw.name} {draw.state}: {draw.ended.reason}" for draw in ended if draw.ended]
    return f"{len(ended)} ended without a seal, and nothing was drawn from them{': ' if told else ''}{'; '.join(told)}"


def in_folder(case: Show, draw: str, name: str) -> bool:
    return f"{case.folders.get(draw)}/{name}" in case.pack


SAME = ("celebrity", "brand", "garment", "size")  # a garment that is the same in these is the same


def check_repeats(case: Show) -> str:
    """What was spoiled is drawn again only where two people wanted it, and the rules say so."""
    spoiled = {name: draw for name, draw in case.told.items() if draw.state == "spoiled"}
    again = {name: str(rules.get("repeats", "")) for name, rules in case.rules.items()}
    for name, old in again.items():
        if old:
            D.require(old in spoiled, f"{name} to repeat a draw that was spoiled, got {old!r}")
            check_agreed(case, spoiled[old], case.told[name])
        for other, draw in spoiled.items():
            same = garments(case.rules[name]) & garments(case.rules[other])
            later = case.told[name].armed.position > draw.steps["spoil"].position
            D.require(
                not (same and later) or (bool(old) and bool(same & garments(case.rules[old]))),
                f"{name} to name {other} in its rules, whose prizes it draws again",
            )
    return f"{sum(map(bool, again.values()))} draws repeat one that was spoiled, each by two people"


def garments(rules: Any) -> set[tuple[str, ...]]:
    return {tuple(prize[name] for name in SAME) for prize in rules["prizes"]}


def check_agreed(case: Show, old: Told, new: Told) -> None:
    """One person has asked for it, and another one agreed, between the end of the old draw and the arming."""
    between = old.steps["spoil"].position, new.armed.position
    rows = [row for row in case.rows_of("ask repeat", "repeat") if between[0] < row.position < between[1]]
    rows = [row for row in rows if row.details.get("segment") == old.segment]
    agreed = [row for row in rows if row.action == "repeat" and old.name in row.details.get("draws", [])]
    asked = [
        row for row in rows if row.action == "ask repeat" and agreed and row.position < agreed[-1].position
    ]
    D.require(
        bool(agreed and asked), f"entries of two people who have {old.name} drawn again before {new.name}"
    )
    people = account_of(asked[-1].actor), account_of(agreed[-1].actor)
    D.require(people[0] != people[1], f"two people for {new.name}, got {people[0]!r} twice")


def account_of(actor: str) -> str:
    """Who somebody is by account; a name that was given on a terminal makes nobody a second person."""
    return actor.rpartition(" (cli:")[2]


def check_rolls(case: Show) -> str:
    """Each roll is the one that was frozen, also of draws that were spoiled."""
    count = 0
    for name, draw in case.told.items():
        path = f"{case.folders[name]}/roll.bin"
        wanted = "seal" in draw.steps or (draw.state == "spoiled" and "freeze" in draw.steps)
        D.require(
            not wanted or path in case.pack, f"the roll of {name}, which was frozen, but it is not there"
        )
        if path in case.pack:
            D.require(bool(draw.frozen), f"a freeze of {name} in the ledger, whose roll is there")
            D.expect(
                f"roll of {name}, as it was frozen", draw.frozen.get("roll_sha256"), digest_of(case, path)
            )
            count += 1
    return f"{count} rolls, as they were frozen"


def digest_of(case: Show, name: str) -> str:
    if name in case.digests:
        return case.digests[name]
    digest = hashlib.sha256()
    with case.pack[name].open() as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def check_records(case: Show) -> str:
    """Every record that the ledger tells of is there, as it was drawn, and no other one."""
    for name, draw in case.told.items():
        folder, there = case.folders[name], in_folder(case, name, RECORD)
        if "drawn" in draw.steps and not draw.ended:
            D.require(there, f"the record of {name}, which was drawn, but it is not there")
            data = read_whole(case.pack, f"{folder}/{AS_DRAWN}")
            digest = draw.steps["drawn"].details.get("record")
            D.expect(
                f"SHA-256 of the record of {name} as it was drawn", digest, hashlib.sha256(data).hexdigest()
            )
            case.records[name] = read_whole(case.pack, f"{folder}/{RECORD}")
            record = D.read_json(case.records[name], "record", D.RECORDS)
            D.require(
                D.canonical(D.as_drawn(record)) == data, f"the record of {name} with what came later only"
            )
        else:
            D.require(not there, f"no record of {name}, of which the ledger does not tell that it was drawn")
    return f"{len(case.records)} records, as they were drawn"


def check_exclusions(case: Show) -> str:
    """Whoever was excluded from a draw stands in the ledger before its arming, and nobody else."""
    compared = 0
    for name, draw in case.told.items():
        if case.version(name) == D.V2:
            excluded = excluded_by(case, draw.armed.position)
            fields = name.encode(), b"".join(excluded)
            digest = D.tagged("shake-draw/v1/exclusions", *fields).hex()
            D.expect(
                f"commitment of {name} to who is excluded", case.rules[name]["exclusions_commitment"], digest
            )
            check_list_of(case, name, excluded)
            compared += 1
    return f"{compared} draws exclude those whom the ledger tells of, and nobody else"


def check_list_of(case: Show, name: str, excluded: Sequence[bytes]) -> None:
    """With the auditor's files, the list that is packed is the same."""
    if in_folder(case, name, EXCLUDED):
        listed = sorted(D.parse_excluded(read_whole(case.pack, f"{case.folders[name]}/{EXCLUDED}")))
        D.require(
            listed == list(excluded), f"the list of who is excluded from {name} that the ledger tells of"
        )


def excluded_by(case: Show, position: int) -> list[bytes]:
    """Who was excluded by what the ledger tells up to a position, sorted."""
    found: set[str] = set()
    for row in case.rows_of("exclude", "include"):
        if row.position < position:
            (found.add if row.action == "exclude" else found.discard)(row.people["pseudonym"])
    return sorted(map(bytes.fromhex, found))


def check_outside(case: Show) -> str:
    """Witnesses and time stampers who were given are those whom the rules of a draw name."""
    rules = case.rules.values()
    known = {row["key"] for one in rules for row in one.get("witnesses", [])}
    known |= {row["certificate"] for one in rules for row in one.get("stampers", [])}
    given = [*case.asked.witnesses, *(hashlib.sha256(row).hexdigest() for row in case.asked.tsas)]
    strangers = [name for name in given if name not in known]
    D.require(
        not strangers,
        f"witnesses and time stampers whom the rules of a draw name, got {', '.join(strangers)}",
    )
    return f"{len(given)} witnesses and time stampers, whom the rules name"


def check_published(case: Show) -> str:
    """What was frozen is public in the promised time, or has ended, as far as the ledger goes."""
    last, count = case.files.entries[-1].at, 0
    for name, draw in case.told.items():
        if "freeze" not in draw.steps or draw.ended or case.version(name) == D.V1:
            continue
        # A seal that never comes is a second chance as well: its outcome can be computed, and other prizes drawn.
        sealed = draw.steps["seal"].at if "seal" in draw.steps else latest_seal(case, draw)
        by = sealed + case.rules[name]["publish_by_s"] * 1000
        at = draw.steps["publish"].at if "publish" in draw.steps else last
        until, then = map(D.moment_text, (by, at))
        D.require(at <= by, f"{name} to be public until {until}, but it was {draw.state} at {then}")
        count += "publish" in draw.steps
    return f"{count} published in the promised time, and nothing that was frozen or sealed is held back"


def latest_seal(case: Show, draw: Told) -> int:
    """Until when a frozen draw was to be sealed, in UTC ms."""
    return int(draw.steps["freeze"].at + case.rules[draw.name]["seal_margin_s"] * 1000)


def check_wins(case: Show) -> str:
    """One win per viewer per show: by the records, after all that became of the prizes."""
    twice = {viewer: held for viewer, held in case.holders.items() if len(held) > 1}
    text = "; ".join(f"{viewer} holds {' and '.join(held)}" for viewer, held in sorted(twice.items())[:5])
    D.require(not twice, f"one win for each viewer, but {text}")
    return f"{len(case.holders)} viewers hold a prize, nobody two"


# What was seen on air (docs/ledger.md, "Counts" and "Canaries")


COUNTED = ("viewers", "shakes", "app")  # app: those of the viewers who are users of the host app


def check_counts(case: Show) -> str:
    """No roll has more than the gateways had counted when the tally was closed."""
    compared = 0
    for name, draw in case.told.items():
        if "freeze" not in draw.steps:
            continue
        counts = [row for row in case.rows_of("counts") if row.details["play"] == draw.play]
        check_grows(counts)
        told = bool(counts) or case.version(name) == D.V1
        D.require(told, f"the ledger to say what was counted for {name}, which was frozen")
        whole = [row for row in counts if row.details["fence"] and row.details["complete"]]
        if whole:
            check_counted(draw, draw.steps["freeze"].details, whole[-1].details)
            compared += 1
        else:
            case.uncounted.append(name)
    said = (
        f"; NOT COMPARED, as nothing whole was counted: {', '.join(case.uncounted)}" if case.uncounted else ""
    )
    return f"{compared} rolls have no more than was counted on air{said}"


def check_grows(counts: Sequence[Row]) -> None:
    """Of one play no gateway disappears, and no figure of one falls; `ledger steps` has looked at sums and order."""
    before: dict[str, tuple[int, ...]] = {}
    for row in counts:
        found = {one["gateway"]: tuple(one[name] for name in COUNTED) for one in row.details["gateways"]}
        for gateway, figures in before.items():
            now = found.get(gateway, (-1,))
            fell = any(one < then for one, then in zip(now, figures))
            D.require(not fell, f"counts that do not fall, but those of {gateway} do in entry {row.position}")
        before = found


def check_counted(draw: Told, frozen: Any, counted: Any) -> None:
    for what, came, most in (
        ("entries in the roll", draw.frozen["entries"], counted["viewers"]),
        ("frozen viewers", frozen["viewers"], counted["viewers"]),
        ("frozen shakes", frozen["shakes"], counted["shakes"]),
        ("frozen users of the host app", frozen["kinds"]["app"], counted["app"]),
    ):
        D.require(came <= most, f"at most {most} {what} of {draw.name}, as counted on air, got {came}")


def check_canaries(case: Show) -> str:
    """Viewers of a notary, to whom he committed before the freeze, are in the roll with what they were told.

    That they are those whom he committed to, and when, is the matter of `ledger steps`.
    """
    shown = {(row.details["play"], row.details["name"]): row for row in case.rows_of("canaries opened")}
    closed, opened = [], 0
    for row in case.rows_of("canaries"):
        one = shown.get((row.details["play"], row.details["name"]))
        if one is None:
            closed.append(f"{row.details['name']} in entry {row.position}")
            continue
        canaries = one.details["canaries"]
        D.expect(f"number of canaries in entry {one.position}", row.details["count"], len(canaries))
        for draw in case.told.values():
            if draw.play == row.details["play"]:
                check_in_roll(case, draw, canaries)
        opened += len(canaries)
    said = f"; not opened: {', '.join(closed)}" if closed else ""
    return f"{opened} canaries are in their rolls with what they were told{said}"


def check_in_roll(case: Show, draw: Told, canaries: Sequence[Any]) -> None:
    path, excluded = f"{case.folders[draw.name]}/roll.bin", excluded_by(case, draw.armed.position)
    if path not in case.pack:
        return  # neither sealed nor spoiled
    table = D.TicketsOf(case.rules[draw.name]["tickets"])
    with case.pack[path].open() as roll:
        for row in canaries:
            wanted = D.least_promised(case.rules[draw.name], int.from_bytes(table[row["total"]], "big"))
            came = int.from_bytes(D.look_up(roll, D.HEADER_BYTES, D.ENTRY_BYTES, row["pseudonym"]), "big")
            fair = came >= wanted or bytes.fromhex(row["pseudonym"]) in excluded
            fair = fair or (came == 0 and is_shared(case, draw, row["pseudonym"]))
            D.require(
                fair, f"at least {wanted} tickets of the canary {row['pseudonym']} in {draw.name}, got {came}"
            )


def is_shared(case: Show, draw: Told, viewer: str) -> bool:
    """Whether an entry does not count, as its block has too many."""
    path = f"{case.folders[draw.name]}/shared.bin"
    if path not in case.pack:
        return False
    with case.pack[path].open() as names:
        return bool(D.find_name(names, viewer))


# --- 5. Draws ---


def check_draw(case: Show, draw: Told, stubs: Sequence[Stub]) -> DrawFound:
    """One draw, with all that the pack has of it; and the stubs of its segment."""
    folder = case.folders[draw.name]
    if draw.name not in case.records:
        return DrawFound(draw.name, folder, draw.state, [], [])
    opened: list[Any] = []
    try:
        paths = [f"{folder}/{name}.bin" for name in ("roll", "shared")]
        paths += [f"segment-{draw.segment}/{name}.bin" for name in ("totals", "origins")]
        files = [case.pack[name].open() if name in case.pack else None for name in paths]
        opened += [file for file in files if file is not None]
        roll, shared, totals, origins = files
        given = given_for(case, draw)._replace(shared=shared, origins=origins)
        one = D.Case(D.read_json(case.records[draw.name], "record", D.RECORDS), roll, totals, given)
        checks = D.check_case(one)
        for name, check in OF_A_DRAW:
            checks.append(run(name, check, case, draw, one))
        note_holders(case, draw, one)
        if "publish" in draw.steps and one.version == D.V2:
            for stub in stubs:
                stub.found.append(compare_stub(case, one, stub))
        return DrawFound(draw.name, folder, draw.state, checks, rests_on_of(one, checks))
    finally:
        for file in opened:
            file.close()


def given_for(case: Show, draw: Told) -> Any:
    """What the pack has beside a record. One that is not published, or of the first version, nobody has signed."""
    signed = "publish" in draw.steps and case.version(draw.name) == D.V2
    rules = case.rules[draw.name]
    named = {row["key"] for row in rules.get("witnesses", [])}
    stampers = {row["certificate"] for row in rules.get("stampers", [])}
    return D.Given(
        excluded=excluded_by(case, draw.armed.position),
        keys=case.asked.keys if signed else (),
        witnesses=[key for key in case.asked.witnesses if key in named] if signed else (),
        tsas=[row for row in case.asked.tsas if hashlib.sha256(row).hexdigest() in stampers]
        if signed
        else (),
        told=case.steps,
        tell=case.asked.tell,
    )


def check_order(case: Show, draw: Told, one: Any) -> str:
    """The earlier records are those of the draws that were sealed before, as the ledger tells."""
    if one.version == D.V1:
        return f"a record of {D.V1}: nobody has signed it, and its prior wins are under no seal"
    position = draw.steps["seal"].position
    before = [
        case.records[other.name]
        for other in case.told.values()
        if other.name in case.records and other.steps["seal"].position < position
    ]
    one.given = one.given._replace(earlier=before)
    found: str = D.check_earlier(one)
    return found


def check_ledger(case: Show, draw: Told, one: Any) -> str:
    """Every step of the record is an entry of this ledger, and the log in the record is of this ledger, too."""
    asked = OF_V1 if one.version == D.V1 else STEPS if "publish" in draw.steps else STEPS[:-1]
    steps = [step for step in D.expected_statements(one) if step[0] in asked]
    D.compare_steps(one, case.steps, steps)
    log = one.record.get("log")
    for note in [] if log is None else [log["checkpoint"], log["sealed"]["checkpoint"]]:
        fault = compare_note(case, "the log of the record", note)
        D.require(not fault, f"a log of this ledger, but {fault}")
    if log is not None:
        D.compare_stamps(one, draw.steps["publish"].details)
    promised = D.parse_json(read_whole(case.pack, f"{case.folders[draw.name]}/{PRECOMMITMENT}"))
    D.expect("time of the promise", promised["time"], one.record["precommitment"]["time"])
    return f"{len(steps)} steps are entries of this ledger"


def compare_note(case: Show, name: str, note: str) -> str:
    """Why a checkpoint is not of this ledger; "" where it is."""
    try:
        found = open_checkpoint(case, name, note)
    except ValueError as error:
        return str(error)
    return str(L.compare_root(found, case.name, case.roots, 0))


def open_checkpoint(case: Show, name: str, note: str) -> Any:
    """A checkpoint that the organiser has signed; ValueError for any other."""
    return L.open_checkpoint(name, note, [L.parse_key(key) for key in case.asked.keys or keys_of(case.pack)])


def check_dispositions(case: Show, draw: Told, one: Any) -> str:
    """What became of the prizes is in the ledger row by row, and the ledger tells of no other row."""
    told = {
        row.position: {
            "pseudonym": row.details.get("pseudonym"), "prize": row.details.get("prize"),
            "status": AFTER[row.action], "reason": row.reason, "time": row.at, "ledger": row.position,
        }
        for row in case.rows_of(*AFTER)
        if row.details.get("draw") == draw.name
    }  # fmt: skip
    stood = {row["ledger"]: row for row in one.record["dispositions"]}
    for position in sorted({*told, *stood}):
        expected, came = told.get(position, "nothing"), stood.get(position, "nothing")
        same = D.canonical(expected).decode(), D.canonical(came).decode()
        D.expect(f"what became of a prize, by entry {position} of the ledger and by the record", *same)
    for row in case.rows_of("disqualify"):
        if row.details.get("draw") == draw.name:
            check_two_people(case, row)
    return f"{len(stood)} rows, each of them an entry"


def check_two_people(case: Show, row: Row) -> None:
    """One person has asked for a disqualification, for the same reason, and another one has approved it."""
    names = "draw", "pseudonym"
    asked = [
        one.actor
        for one in case.rows_of("ask disqualification")
        if one.position < row.position and one.reason == row.reason
        and all(one.details.get(name) == row.details.get(name) for name in names)
    ]  # fmt: skip
    others = [(one, row.actor[len(one) + 5 :]) for one in asked if row.actor.startswith(f"{one} and ")]
    fair = any(account_of(one) != account_of(other) for one, other in others)
    D.require(fair, f"two people for the disqualification in entry {row.position}, got {row.actor!r}")


OF_A_DRAW: tuple[tuple[str, Callable[[Show, Told, Any], str]], ...] = (
    ("earlier records", check_order),
    ("in the ledger", check_ledger),
    ("dispositions in the ledger", check_dispositions),
)


def note_holders(case: Show, draw: Told, one: Any) -> None:
    """Who holds what, by this record."""
    try:
        holders = D.replay(one).holders
    except D.Wrong:
        return  # its own check says so
    for prize, (viewer, _) in holders.items():
        case.holders.setdefault(viewer, []).append(f"{prize} of {draw.name}")


def rests_on_of(one: Any, checks: Sequence[Any]) -> list[str]:
    if not all(check.ok for check in checks):
        return []
    return list(D.rests_on(checks))


# --- 6. Stubs (docs/protocol.md) ---

MAX_STUBS = 10_000


class Stub:
    """What a phone was told, and what was found out about it."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data = name, data
        self.kept = D.read_json(data, "stub", D.STUBS)
        self.said = self.kept.get("stub", self.kept)
        self.found: list[Any] = []


def read_stubs(paths: Sequence[str]) -> tuple[list[Stub], list[Any]]:
    """The stubs in these files and folders, and what could not be read."""
    stubs, faults = [], []
    for path in list_files(paths):
        try:
            stubs.append(Stub(os.path.basename(path), D.read_file(path, D.MAX_STUB)))
        except Exception as error:
            faults.append(Check(f"stub {os.path.basename(path)}", False, D.clip(str(error) or repr(error))))
    return stubs, faults


def list_files(paths: Sequence[str]) -> list[str]:
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            with os.scandir(path) as rows:
                names = sorted(row.path for _, row in zip(range(MAX_STUBS + 1), rows))
            found += names
        else:
            found.append(path)
        if len(found) > MAX_STUBS:
            raise Refused(f"expected at most {MAX_STUBS} stubs, got more")
    return found


def compare_stub(case: Show, one: Any, stub: Stub) -> Any:
    """A stub with one draw of its segment: with its roll, and with the key that the ledger has of the gateway."""
    rows = find_statement(case, stub.said["gateway"]) if "stub" not in stub.kept else []
    one.given = one.given._replace(gateway_keys=rows)
    return D.check_stub(one, 0, stub.data)


def find_statement(case: Show, gateway: str) -> list[bytes]:
    """The ledger's statement of a gateway's key."""
    named = D.canonical({"gateway": gateway})[1:-1]
    with case.pack[STATEMENTS].open() as file:
        lines = [line.rstrip(b"\n") for line in file if b'"action":"gateway key"' in line and named in line]
    return list(lines[:1])


def conclude_stub(case: Show, stub: Stub) -> Any:
    """One line for a stub, whatever draws its segment has."""
    name, play = f"stub {stub.said['pseudonym']}", stub.said["segment"]
    draws = [draw for draw in case.told.values() if draw.play == play]
    certificate = stub.kept.get("gateway_key")
    if certificate is not None:
        fault = compare_kept(case, certificate["checkpoint"])
        if fault:
            return Check(name, False, D.clip(fault))
    if stub.found:
        return next((check for check in stub.found if not check.ok), stub.found[0])
    if not draws or stub.said["show"] != case.name:
        return Check(name, False, D.clip(f"expected a stub of a segment of this show, got {play!r}"))
    return Check(
        name, True, f"NOT COMPARED: there is no signed record of its segment, which is {draws[0].state}"
    )


def compare_kept(case: Show, note: str) -> str:
    """Why a checkpoint that a phone has kept is not of this ledger; a later one than the pack's says nothing here.

    Only what the organiser has signed for this show is held against him: the rest of a file anybody can have written.
    """
    try:
        found = open_checkpoint(case, "kept", note)
    except ValueError as error:
        return f"the checkpoint in this file proves nothing: {error}"
    if found.origin.rpartition("/")[2] != case.name:
        return f"the checkpoint in this file proves nothing: it is one of {found.origin}"
    fault = L.compare_root(found, case.name, case.roots, 0) if found.size < len(case.roots) else ""
    return f"the phone was shown another ledger: {fault}" if fault else ""


# --- 7. Running ---

ON_THE_WHOLE: tuple[tuple[str, Callable[[Show], str]], ...] = (
    ("story", check_story),
    ("draws", check_draws),
    ("called off", check_called_off),
    ("repeats", check_repeats),
    ("rolls", check_rolls),
    ("records", check_records),
    ("outside", check_outside),
    ("exclusions", check_exclusions),
    ("published in time", check_published),
    ("counts", check_counts),
    ("canaries", check_canaries),
)
OF_THE_LEDGER = ("signatures", "chain", "roots", "statements", "times", "steps", "complete")
NEEDED = ("story", "draws", "records")  # without these nothing can be said of the draws
NAMES = (
    "pack", "sums", *(f"ledger {name}" for name in OF_THE_LEDGER), "cosignatures", "checkpoint",
    *(name for name, _ in ON_THE_WHOLE), "one win each", "stub",
)  # fmt: skip
"""All checks but those of the draws, which are named after them; "checkpoint" and "stub" stand before a name."""
NOT_CHECKED = (
    "key",
    "checkpoints",
    "witnesses",
    "time stampers",
    "stubs",
    "totals",
    "throws",
    "random numbers",
    "counts",
    "pages",
)
"""What may not have been checked; beside these it is the promised verifier of a draw."""


class Report(NamedTuple):
    """What was checked, and what not; and what was found of each draw."""

    checks: list[Any]
    not_checked: list[str]
    draws: list[DrawFound]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def verify_show(path: str, asked: Asked, links: bool = False) -> Report:
    """Check a pack as a whole. Never raises: what cannot be read is a check that fails."""
    try:
        pack = read_pack(path, links)
        stubs, faults = read_stubs(asked.stubs)
    except (Refused, OSError) as error:
        return Report([Check("pack", False, D.clip(str(error)))], [], [])
    case = Show(pack, asked)
    checks = [Check("pack", True, "files of a pack only, none too large")]
    checks.append(run("sums", check_sums, case))
    checks += check_whole_ledger(case)
    checks += [run(name, check, case) for name, check in ON_THE_WHOLE]
    if all(check.ok for check in checks if check.name in NEEDED):
        checks += check_all_draws(case, stubs)
        checks.append(run("one win each", check_wins, case))
        checks += [run(f"stub {stub.said['pseudonym']}", conclude_stub, case, stub) for stub in stubs]
    return Report(checks + faults, not_checked(case), case.draws)


def run(name: str, check: Callable[..., Any], *arguments: Any) -> Any:
    """A check, or what it was found to be; what cannot even be computed does not hold."""
    try:
        found = check(*arguments)
    except D.Wrong as error:
        return Check(name, False, D.clip(str(error)))
    except Exception as error:
        return Check(name, False, D.clip(f"could not be computed: {error!r}"))
    return Check(name, True, D.clip(found)) if isinstance(found, str) else found


def keys_of(pack: Pack) -> list[str]:
    """The keys that come with the pack: with them it is only seen to agree with itself."""
    return read_whole(pack, KEYS).decode().split()


def check_whole_ledger(case: Show) -> list[Any]:
    """The ledger by itself, as verify_ledger.py checks it; checkpoints that were kept; who has cosigned."""
    case.asked.tell("checking the ledger", 0, 0)
    for name in (ENTRIES, CHECKPOINTS, STATEMENTS, LATEST):
        if name not in case.pack:
            case.files.faults.append(Check("file " + name, False, "expected it in the pack"))
        elif case.pack[name].size or name != STATEMENTS:  # perhaps nothing was public so far
            L.add_file(case.files, name, case.pack[name].open)
    try:
        keys = [L.parse_key(key) for key in case.asked.keys or keys_of(case.pack)]
    except (ValueError, D.Wrong) as error:
        return [Check("ledger", False, D.clip(str(error)))]
    found = [*L.verify_ledger(case.files, keys), L.check_complete(case.files)]
    checks = [Check(f"ledger {check.name}", check.ok, check.detail) for check in found]
    if case.asked.witnesses:
        checks.append(run("cosignatures", check_cosignatures, case))
    kept = case.asked.checkpoints
    return checks + [run(f"checkpoint {os.path.basename(name)}", check_kept, case, name) for name in kept]


def check_kept(case: Show, name: str) -> str:
    """A checkpoint that somebody has kept elsewhere is of this ledger."""
    kept = L.read_files([name])
    D.require(not kept.faults, "a checkpoint, " + "; ".join(check.detail for check in kept.faults))
    D.require(bool(kept.notes), "a checkpoint, got none")
    for _, note in kept.notes:
        fault = compare_note(case, "it", note)
        D.require(not fault, f"a checkpoint of this ledger, but {fault}")
    return "this ledger continues it"


def check_cosignatures(case: Show) -> str:
    """Every line of a witness who was given is a signature over the checkpoint above it."""
    known = [D.parse_key(key, D.LOG_KEY) for key in case.asked.keys or keys_of(case.pack)]
    seen: dict[str, int] = dict.fromkeys(
        (D.parse_key(key, D.COSIGNATURE).name for key in case.asked.witnesses), 0
    )
    keys = [*known, *(D.parse_key(key, D.COSIGNATURE) for key in case.asked.witnesses)]
    for note in {note for _, note in case.files.notes}:  # each once, however often the pack has it
        if note.rpartition("\n\n")[2].count("\n") > 1:
            for name in D.open_note(note, keys).seen:
                seen[name] += 1
    return ", ".join(f"{name} has signed {count} checkpoints" for name, count in seen.items())


def check_all_draws(case: Show, stubs: Sequence[Stub]) -> list[Any]:
    """Every draw, one line for each, and one for each of its checks that fails."""
    checks = []
    for draw in case.told.values():
        case.asked.tell(f"checking {draw.name}", 0, 0)
        own = [stub for stub in stubs if stub.said["segment"] == draw.play]
        found = check_draw(case, draw, own)
        case.draws.append(found)
        failed = [check for check in found.checks if not check.ok]
        many = (
            f"{len(found.checks)} checks hold, on {', '.join(found.rests_on)}"
            if found.checks
            else "no record"
        )
        text = ", ".join(row.name for row in failed) if failed else many
        detail = f"{found.state}: {text}{D.rehearsal(found.checks)}"
        checks.append(Check(draw.name, not failed, detail))
        checks += [Check(f"{draw.name} {row.name}", False, row.detail) for row in failed]
    return checks


def not_checked(case: Show) -> list[str]:
    """What nothing was given for, and what no pack can show."""
    asked, kinds = case.asked, {rules["beacon"]["kind"] for rules in case.rules.values()}
    totals = any(name.endswith("/totals.bin") for name in case.pack)
    own = hashlib.sha256(read_source(D)).hexdigest()
    others = [name for name, rules in case.rules.items() if rules["verifier_digest"] != own]
    rows = (
        (bool(asked.keys), "key"), (bool(asked.checkpoints), "checkpoints"), (bool(asked.witnesses), "witnesses"),
        (bool(asked.tsas), "time stampers"), (bool(asked.stubs), "stubs"), (totals, "totals"),
        ("dice" not in kinds, "throws"), ("local" not in kinds, "random numbers"), (False, "pages"),
    )  # fmt: skip
    missing = [name for given, name in rows if not given] + (["counts"] if case.uncounted else [])
    return missing + [f"promised verifier of {name}" for name in others]


def read_source(module: Any) -> bytes:
    with open(module.__file__, "rb") as file:
        data: bytes = file.read()
    return data


def rests_on(report: Report) -> list[str]:
    """What all of it rests on: only what every drawn draw does."""
    if not report.ok:
        return []
    drawn = [draw.rests_on for draw in report.draws if draw.checks]
    first = drawn[0] if drawn else [] if "key" in report.not_checked else ["log"]
    common = [name for name in first if all(name in row for row in drawn)]
    names = [check.name.partition(" ")[0] for check in report.checks]
    told = [check for check in report.checks if check.name.startswith("stub ")]
    compared = told and all("NOT COMPARED" not in check.detail for check in told)
    return [*common, *(["checkpoints"] if "checkpoint" in names else []), *(["stubs"] if compared else [])]


# --- 8. Command line ---


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the pack named on the command line; return 0 if all that was checked holds, else 1."""
    options = make_parser().parse_args(arguments)
    tell = D.no_progress if options.json else D.Progress().tell
    asked = Asked(options.key, options.witness, options.tsa, options.checkpoint, options.stub, tell)
    report = verify_show(options.pack, asked, options.links)
    if options.json:
        D.say(json.dumps(describe(report), indent=1))
    else:
        for check in report.checks:
            D.say(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
        say_verdict(report)
    return 0 if report.ok else 1


def describe(report: Report) -> dict[str, Any]:
    """The report for programs; these fields stay as they are."""
    return {
        "ok": report.ok,
        "rests_on": rests_on(report),
        "checks": [check._asdict() for check in report.checks],
        "not_checked": report.not_checked,
        "draws": [
            {
                "draw_id": draw.name, "folder": draw.folder, "state": draw.state, "rests_on": draw.rests_on,
                "checks": [check._asdict() for check in draw.checks],
            }
            for draw in report.draws
        ],
    }  # fmt: skip


def say_verdict(report: Report) -> None:
    if report.not_checked:
        D.say(f"note NOT CHECKED: {', '.join(report.not_checked)}")
    failed = [check.name for check in report.checks if not check.ok]
    drawn, grounds = sum(bool(draw.checks) for draw in report.draws), ", ".join(rests_on(report))
    what = f"all {len(report.checks)} checks of the show hold, with {len(report.draws)} draws, {drawn} of them drawn"
    if failed:
        text = f"NOT OK: {len(failed)} of {len(report.checks)} checks fail: {', '.join(failed)}"
    elif "key" in report.not_checked:
        text = f"OK, ARITHMETIC ONLY: {what}; but nobody has checked whose pack it is (--key)"
    else:
        text = f"OK: {what}. They rest on {grounds}{by_rules(report)}"
    D.say(text + D.rehearsal([check for draw in report.draws for check in draw.checks]))


def by_rules(report: Report) -> str:
    """Whose word it is that the certificates of time stampers are theirs."""
    said = [D.by_rules(draw.checks) for draw in report.draws] if "time stamps" in rests_on(report) else []
    return next((text for text in said if text), "")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify_show.py",
        description="Check the evidence pack of a show as a whole. Each check is one line, `ok` or `FAIL`; the last "
        "line is the verdict. Exit status 0: all that was checked holds, 1: something does not.",
        epilog="docs/evidence.md says what each check means and what to do when it fails.",
    )
    parser.add_argument("pack", help="the pack: the zip file, or the folder that it was unpacked into")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        type=key_of(L.parse_key),
        help="the organiser's public key, noted before the show; may be given again after a change of keys. Without it "
        "nobody checks whose pack it is",
    )
    parser.add_argument(
        "--witness",
        action="append",
        default=[],
        metavar="KEY",
        type=key_of(lambda text: D.parse_key(text, D.COSIGNATURE)),
        help="the public key of a witness whom you trust; may be given again",
    )
    parser.add_argument(
        "--tsa",
        action="append",
        default=[],
        metavar="FILE",
        type=read_certificate,
        help="the certificate (PEM) of a time stamper whom you trust; may be given again. Without it, stamps are "
        "checked against the certificates that the rules name",
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="FILE",
        help="a checkpoint that was kept elsewhere; may be given again",
    )
    parser.add_argument(
        "--stub",
        action="append",
        default=[],
        metavar="PATH",
        help="what a phone was told, a file or a folder of them; may be given again",
    )
    parser.add_argument("--links", action="store_true", help="follow links in a folder, which is your own")
    parser.add_argument("--json", action="store_true", help="print one JSON value for programs")
    return parser


def read_certificate(name: str) -> bytes:
    try:
        certificate: bytes = D.read_pem(D.read_file(name, D.MAX_PEM))
    except (OSError, ValueError, D.Wrong) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return certificate


def key_of(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """A slip of the hand in a key is said before anything is checked."""

    def read(text: str) -> str:
        try:
            parse(text)
        except (ValueError, D.Wrong) as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return read


if __name__ == "__main__":
    sys.exit(main())
