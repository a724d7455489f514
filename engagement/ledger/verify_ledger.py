#!/usr/bin/env python3
"""Check the ledger of a show with nothing but this file and Python 3.8 or newer.

    python verify_ledger.py --key KEY entries.jsonl checkpoints.jsonl noted.txt   an auditor, who may read the entries
    python verify_ledger.py --key KEY noted.txt statements.jsonl                  anybody: public statements
    python verify_ledger.py --key KEY noted.txt latest.txt proof.json             anybody: that entries were only added

KEY is the public key of the ledger, `name+id+base64`. The files may come in any order, a file of either kind any number
of times: entries and checkpoints as downloaded, single checkpoints as text, statements and proofs as the server gives
them, one in a file or one on a line. Every check is one line, `ok` or `FAIL`, and the last line is the verdict. Exit
status 0: all that was checked holds; 1: something does not; 2: the command line could not be understood.

It was written from docs/ledger.md alone and imports nothing but the standard library, so a mistake of the program that
keeps the ledger is not repeated here. In this order:

    1. Checks          signatures, chain, roots, consistency, statements, times, steps, inclusion
    2. Entries         what one says, and does to which draw
    3. Files           what is in them, and how much of it is read
    4. Notes           keys, signed notes, checkpoints (C2SP signed-note and tlog-checkpoint)
    5. Tree            RFC 9162
    6. Ed25519         RFC 8032
    7. Command line
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import json
import os
import re
import sys
from typing import Any, BinaryIO, Callable, Collection, Dict, NamedTuple, Sequence, Tuple

GENESIS = "0" * 64
STATEMENT = "shake-ledger/v2/statement"
BODY = {"show", "position", "at", "by", "action", "reason", "details"}  # what an entry says to everybody
FIELDS = (BODY - {"by"}) | {"actor", "previous", "digest"}  # of an auditors' line of version 1
SALTED_FIELDS = FIELDS | {"by", "salt", "people"}  # of version 2, where people stand as salted digests
PAGE_FIELDS = {"size", "statements", "next"}  # of some statements, as the server lists them
STATEMENT_FIELDS = {"$format", "entry", "previous", "proof", "checkpoint"}


class Check(NamedTuple):
    """One line of the report."""

    name: str
    ok: bool
    detail: str


class Checkpoint(NamedTuple):
    """A signed root: which ledger, over how many entries. `name` is where it was found."""

    name: str
    origin: str
    size: int
    root: bytes


# --- 1. Checks ---


def verify_ledger(files: Files, keys: Sequence[Key]) -> list[Check]:
    """All checks of what was given; those that nothing was given for are left out (see `not_checked`)."""
    signed, checks = check_signatures(files.notes, keys)
    checkpoints = sorted(signed.values(), key=lambda checkpoint: checkpoint.size)
    checks = [*files.faults, *checks]
    if files.entries:
        checks += [check_chain(files.entries), check_roots(files.entries, checkpoints)]
    elif len(checkpoints) > 1:
        checks += [check_consistency(checkpoints, files.proofs)]
    if files.statements:
        checks += [check_statements(files, signed)]
    told = files.entries or sorted({row.entry for row in files.statements}, key=lambda row: row.position)
    if told:
        checks += [check_times(told), check_steps(told, whole=bool(files.entries))]
    return checks + check_inclusion(checkpoints, files.proofs)


def not_checked(files: Files) -> list[str]:
    """What would need files that were not given."""
    missing = [] if files.entries else ["chain", "roots"]
    if not files.entries and len({note for _, note in files.notes}) < 2:
        missing.append("consistency")
    return missing + ([] if files.entries or files.statements else ["times", "steps"])


MAX_FAULTS = 20  # of one kind, and then no further one is looked for


def check_signatures(
    notes: Sequence[tuple[str, str]], keys: Sequence[Key]
) -> tuple[dict[str, Checkpoint], list[Check]]:
    """The checkpoints that one of the keys has signed, by their notes, and what is wrong with the others."""
    good: dict[str, Checkpoint] = {}
    checks = []
    for name, note in notes:
        try:
            good[note] = good.get(note) or open_checkpoint(name, note, keys)
        except ValueError as error:
            checks.append(Check("signature of " + name, False, clip(str(error))))
        if len(checks) == MAX_FAULTS:
            break
    if not notes:
        checks = [Check("signatures", False, "expected a checkpoint, got none: nothing shows who wrote this")]
    if good:
        checks.append(Check("signatures", True, f"{len(good)} checkpoints, up to {last_of(good)} entries"))
    return good, checks


def last_of(checkpoints: dict[str, Checkpoint]) -> int:
    return max(checkpoint.size for checkpoint in checkpoints.values())


def check_chain(entries: Sequence[Entry]) -> Check:
    """Every entry follows from the one before it, and its digest is that of what it says."""
    previous = GENESIS
    for position, entry in enumerate(entries):
        if entry.position != position:
            return Check("chain", False, f"entry {position} is missing")
        if entry.fault:
            return Check("chain", False, f"entry {position}: {entry.fault}")
        if entry.previous != previous or entry.show != entries[0].show:
            return Check("chain", False, f"entry {position} does not follow from the one before")
        previous = entry.digest
    return Check("chain", True, f"{len(entries)} entries follow from one another")


def check_roots(entries: Sequence[Entry], checkpoints: Sequence[Checkpoint]) -> Check:
    """Every signed root is that of these entries."""
    roots = roots_of([leaf_hash(from_hex(entry.digest)) for entry in entries])
    good = 0
    for found in checkpoints:
        fault = compare_root(found, entries[0].show, roots, good)
        if fault:
            return Check("roots", False, f"{found.name}: {fault}")
        good = found.size
    signed = f"{good} of {len(entries)} entries are signed, and unchanged"
    if good < len(entries):
        return Check("roots", False, signed + "; nobody has signed the others: add a later checkpoint")
    return Check("roots", True, signed)


def compare_root(found: Checkpoint, show: str, roots: Sequence[bytes], good: int) -> str:
    """What is wrong with a checkpoint, where the first `good` entries are those that were signed; "" for nothing."""
    if found.origin.rpartition("/")[2] != show:
        return f"of the ledger {found.origin}, these entries are of {show}"
    if found.size >= len(roots):
        return f"signed were {found.size} entries, here are {len(roots) - 1}: the last ones were removed"
    if roots[found.size] == found.root:
        return ""
    one = good + 1 >= found.size
    where = f"entry {found.size - 1} is" if one else f"one of the entries {good} to {found.size - 1} is"
    return f"{where} not the one that was signed: it was rewritten, or one was removed or added there"


Proofs = Sequence[Tuple[str, Dict[str, Any]]]


def check_consistency(checkpoints: Sequence[Checkpoint], proofs: Proofs) -> Check:
    """Without the entries: from each checkpoint to the next one there is a proof that entries were only added."""
    paths = {
        (proof["first"]["size"], proof["second"]["size"]): [from_hex(node) for node in proof["proof"]]
        for _, proof in proofs
        if "first" in proof
    }
    for first, second in zip(checkpoints, checkpoints[1:]):
        fault = compare(first, second, paths.get((first.size, second.size)))
        if fault:
            return Check("consistency", False, f"{first.name} and {second.name}: {fault}")
    first_size, last_size = checkpoints[0].size, checkpoints[-1].size
    return Check("consistency", True, f"from {first_size} to {last_size} entries, entries were only added")


def compare(first: Checkpoint, second: Checkpoint, path: list[bytes] | None) -> str:
    """What is wrong between two checkpoints; "" for nothing."""
    if first.origin != second.origin:
        return f"of two ledgers, {first.origin} and {second.origin}"
    if first.size == second.size:
        return "" if first.root == second.root else f"two histories of {first.size} entries are signed"
    if path is None:
        return f"expected a proof from {first.size} to {second.size} entries, got none"
    if not is_consistent(first, second, path):
        return f"the proof from {first.size} to {second.size} entries does not hold: an entry was changed"
    return ""


def check_statements(files: Files, signed: dict[str, Checkpoint]) -> Check:
    """Every public statement is an entry under a signed root and, where the entries are given, one of them."""
    for row in files.statements:
        fault = explain_statement(row, signed.get(row.note), files.entries)
        if fault:
            return Check("statements", False, f"{row.name}: {fault}")
    return Check("statements", True, f"{len(files.statements)} statements are signed as they are here")


def explain_statement(row: Statement, checkpoint: Checkpoint | None, entries: Sequence[Entry]) -> str:
    """What is wrong with a statement; "" for nothing."""
    entry = row.entry
    if checkpoint is None:
        return "its checkpoint is not signed with a key that was given"
    if checkpoint.origin.rpartition("/")[2] != entry.show:
        return f"an entry of {entry.show} with a checkpoint of {checkpoint.origin}"
    leaf = leaf_hash(from_hex(entry.digest))
    if not is_included(leaf, entry.position, checkpoint.size, row.path, checkpoint.root):
        return f"it is not entry {entry.position} of the {checkpoint.size} that were signed"
    there = entries[entry.position] if entry.position < len(entries) else entry
    return "" if there.digest == entry.digest else f"entry {entry.position} of the entries is another one"


def check_times(told: Sequence[Entry]) -> Check:
    """No entry is of a time before the one that stands before it."""
    for before, entry in zip(told, told[1:]):
        if entry.at < before.at:
            return Check(
                "times", False, f"entry {entry.position} is of a time before entry {before.position}"
            )
    return Check("times", True, f"{len(told)} entries, none before the one before it")


def check_steps(told: Sequence[Entry], whole: bool) -> Check:
    """What happens once has happened once, in its order, and nothing went on after its end.

    `whole`: these are all entries, so that what another one rests on has to be there, too.
    """
    story = Story(whole)
    for entry in told:
        fault = story.follow(entry)
        if fault:
            return Check("steps", False, f"entry {entry.position}: {fault}")
    return Check("steps", True, f"{len(told)} entries: no second seal, and nothing after its end")


def check_complete(files: Files) -> Check:
    """Of all entries, those that everybody may read are among the statements: for who was given both."""
    told = {row.entry.position for row in files.statements}
    missing = [f"{action} in entry {position}" for position, action in files.public if position not in told]
    if missing:
        return Check("complete", False, clip("everybody may read these, but not told: " + ", ".join(missing)))
    return Check("complete", True, f"all {len(files.public)} public entries are told to everybody")


def check_inclusion(checkpoints: Sequence[Checkpoint], proofs: Proofs) -> list[Check]:
    """An entry whose leaf is known is under a signed root."""
    roots = {checkpoint.size: checkpoint.root for checkpoint in checkpoints}
    checks = []
    for name, proof in proofs:
        if "leaf" in proof:
            position, size = proof["position"], proof["tree"]["size"]
            path = [from_hex(node) for node in proof["proof"]]
            holds = is_included(from_hex(proof["leaf"]), position, size, path, roots.get(size))
            signed = "" if size in roots else ", for which there is no checkpoint"
            detail = f"leaf {proof['leaf']} is entry {position} of {size}{signed}"
            checks.append(Check("inclusion in " + name, holds, detail if holds else "not shown: " + detail))
    return checks


# --- 2. Entries ---

# The steps of a draw in their order; each of these happens once. Prizes change hands as often as they do.
ORDER = {name: rank for rank, name in enumerate(("arm", "freeze", "seal", "beacon", "drawn", "publish"))}
PRIZES = ("claim", "forfeit", "disqualify", "move up", "skip reserve")
ENDS = ("void", "spoil")  # in place of the seal, never after it
RANKS = {**ORDER, **dict.fromkeys(PRIZES, len(ORDER)), **dict.fromkeys(ENDS, ORDER["freeze"])}
CANARIES = ("canaries", "canaries opened")
ONCE = {*ORDER, *ENDS, *CANARIES, "reveal"}
GOES_ON = {*RANKS, "open", "opened", "closing", "fence", "fence again", "reveal", "start"} - {
    *ENDS
}  # after no end


# What everybody may read: docs/ledger.md, "A public statement".
PUBLIC = frozenset((
    "change", "arm", "exclude", "include", "gateway key",
    "open", "opened", "close", "closing", "void", "spoil", "fence", "fence again", "freeze", "ask repeat", "repeat",
    "cue", "counts", "uncounted", "canaries", "canaries opened",
    "reveal", "reveal refused", "absent", "seal", "dice typed", "beacon", "beacon refused",
    "draw", "start", "drawn", "disagreement", "name", "publish",
    "claim", "forfeit", "disqualify", "move up", "skip reserve",
    "restore", "open key", "destroy key", "revoke", "forget",
    # two people
    "ask approval", "approve", "refuse approval",
))  # fmt: skip


def is_public(entry: dict[str, Any]) -> bool:
    """Whether everybody may read an auditors' line; a win that was lost to another one would name a winner early."""
    named_early = (entry["action"], entry["reason"]) == ("forfeit", "won in another draw")
    return entry["action"] in PUBLIC and "by" in entry and not named_early


class Entry(NamedTuple):
    """What is kept of an entry: where it stands, and what it did to which segment and draws."""

    show: str
    position: int
    at: int
    previous: str
    digest: str
    fault: str  # what is wrong with it by itself
    action: str
    segment: str  # "" where it is about none
    draws: tuple[str, ...]
    once: tuple[str, ...]  # what this action is done to once
    counted: tuple[int, ...] = ()  # of `counts`: COUNTED; nothing where they do not add up
    promise: str = ""  # of canaries: the commitment, or what was opened gives as one


class Statement(NamedTuple):
    """A public statement: the entry, its inclusion proof, and the note that it is under. `name`: where it was found."""

    name: str
    entry: Entry
    path: tuple[bytes, ...]
    note: str


COUNTED = ("viewers", "shakes", "app")  # app: those of the viewers who are users of the host app


class Story:
    """What has happened to each segment and draw so far: what was done to it once, how far it is, how it ended."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.counted: dict[str, tuple[int, ...]] = {}
        self.promised: dict[str, str] = {}
        self.done: dict[tuple[str, str], int] = {}
        self.reached: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.homes: dict[str, str] = {}  # the segment of each draw, as it was armed

    def follow(self, entry: Entry) -> str:
        """What cannot be after all that was before; "" for nothing."""
        own = entry.draws or ((entry.segment,) if entry.segment else ())
        if entry.action == "arm":
            self.homes.update(dict.fromkeys(own, entry.segment))
        # Whether an entry names the segment of its draw or not: it was armed there.
        places = {*own, entry.segment, *(self.homes[draw] for draw in own if draw in self.homes)}
        fault = self._repeat(entry) or self._after_end(entry, places) or self._out_of_order(entry, own)
        fault = fault or self._seen_on_air(entry)
        for what in places:  # a segment is as far as the first of its draws
            if entry.action == "forfeit" and self._rank(what) == RANKS["drawn"]:
                continue  # somebody who had won elsewhere: that is told before the publication
            if self._rank(what) <= RANKS.get(entry.action, -2):
                self.reached[what] = entry.action
        if entry.action in ENDS:
            self.ended.update(dict.fromkeys(own, f"{entry.action} in entry {entry.position}"))
        return fault

    def _rank(self, what: str) -> int:
        return RANKS.get(self.reached.get(what, ""), -1)

    def _repeat(self, entry: Entry) -> str:
        for what in entry.once:
            before = self.done.setdefault((entry.action, what), entry.position)
            if before != entry.position:
                return f"a second {entry.action} of {what}, after that in entry {before}"
        return ""

    def _after_end(self, entry: Entry, places: Collection[str]) -> str:
        for what in sorted(places):
            if what in self.ended and entry.action in GOES_ON:
                return f"{entry.action} of {what}, which ended with {self.ended[what]}"
        return ""

    def _out_of_order(self, entry: Entry, own: Sequence[str]) -> str:
        for what in own:
            if RANKS.get(entry.action, len(RANKS)) < self._rank(what):
                return f"{entry.action} of {what} after {self.reached[what]}"
        return ""

    def _seen_on_air(self, entry: Entry) -> str:
        """Counts do not fall, and are told before the freeze, like canaries, which are opened as they were promised."""
        frozen = self._rank(entry.segment) >= RANKS["freeze"]
        if entry.action in ("counts", "canaries") and frozen:
            return f"{entry.action} of {entry.segment} after {self.reached[entry.segment]}"
        if entry.action == "counts":
            return self._follow_counts(entry)
        return self._follow_canaries(entry) if entry.action in CANARIES else ""

    def _follow_counts(self, entry: Entry) -> str:
        if not entry.counted:
            return "counts that do not add up"
        (play,) = entry.draws or (entry.segment,)
        before = self.counted.get(play, (0, 0, 0))
        self.counted[play] = entry.counted
        fell = any(now < then for now, then in zip(entry.counted, before))
        return f"counts of {play} fall from {before} to {entry.counted}" if fell else ""

    def _follow_canaries(self, entry: Entry) -> str:
        (what,) = entry.once
        if entry.action == "canaries":
            self.promised[what] = entry.promise
            return ""
        if self.promised.get(what, "" if self.whole else entry.promise) != entry.promise or not entry.promise:
            return f"the {what} are not those that were committed to"
        over = self._rank(entry.segment) >= RANKS["publish"] or entry.segment in self.ended
        return f"the {what} are opened before the publication" if self.whole and not over else ""


def make_entry(value: dict[str, Any], digest: str, fault: str) -> Entry:
    """What is kept of an entry that has the fields of `BODY`, and `previous`."""
    details = value["details"] if isinstance(value["details"], dict) else {}
    action, number, draw = value["action"], details.get("segment"), details.get("draw")
    segment = "" if number is None else f"segment {number}"
    named = {"arm": details.get("rules"), "publish": details.get("records")}.get(action)
    draws = tuple(named) if isinstance(named, dict) else (draw,) if isinstance(draw, str) else ()
    once = draws or ((segment,) if segment else ())
    if action == "reveal":
        once = tuple(f"the secret of {details.get('party')} in {draw}" for draw in draws)
    if action in CANARIES:
        once = (f"canaries of {details.get('name')} for {details.get('play')}",)
    if action == "counts" and is_text(details.get("play")):
        draws = (details["play"],)
    place = value["show"], value["position"], value["at"], value["previous"]
    entry = Entry(*place, digest, fault, action, segment, draws, once if action in ONCE else ())
    if action == "counts":
        return entry._replace(counted=read_counts(details))
    return entry._replace(promise=read_promise(value["show"], details)) if action in CANARIES else entry


def read_counts(details: dict[str, Any]) -> tuple[int, ...]:
    """The figures of an entry `counts`; nothing where they are not the sums of its rows."""
    rows = details.get("gateways")
    if not isinstance(rows, list):
        return ()
    rows = [*rows, details["others"]] if "others" in details else rows
    sums = []
    for name in COUNTED:
        values: list[Any] = [row.get(name) if isinstance(row, dict) else None for row in [details, *rows]]
        if not all(map(is_number, values)) or values[0] != sum(values[1:]):
            return ()
        sums.append(values[0])
    return tuple(sums)


def read_promise(show: str, details: dict[str, Any]) -> str:
    """The commitment of an entry `canaries`, or that which an entry `canaries opened` gives; "" for what is none."""
    if "commitment" in details:
        return str(details["commitment"])
    rows, name, salt = details.get("canaries"), details.get("name"), details.get("salt")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return ""
    viewers = [row.get("pseudonym") for row in rows]
    if not all(map(is_text, [name, salt, *viewers])):
        return ""
    fields = show.encode("utf-8"), str(name).encode("utf-8"), from_hex(str(salt))
    return tagged_hash(b"shake-ledger/v2/canaries", *fields, canonical_json(sorted(viewers))).hex()


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def entry_digest(entry: dict[str, Any]) -> str:
    """TH("shake-ledger/v2/entry", previous, what it says to everybody): docs/ledger.md, "An entry"."""
    fields = BODY if "by" in entry else (BODY - {"by"}) | {"actor"}
    said = {name: entry[name] for name in fields}
    tag = b"shake-ledger/v2/entry" if "by" in entry else b"shake-ledger/v1/entry"
    return tagged_hash(tag, from_hex(entry["previous"]), canonical_json(said)).hex()


def explain_line(entry: dict[str, Any]) -> str:
    """What is wrong with an auditors' line by itself: its people, or its digest; "" for nothing."""
    salt, details = from_hex(entry.get("salt", "")), entry["details"]
    if "salt" in entry and (len(salt) != 16 or not isinstance(details, dict)):
        return "expected a salt of 16 bytes and details"
    if "salt" in entry and entry["by"] != person_digest(salt, entry["actor"]):
        return "its actor is not the one whose digest it has"
    for part, name in entry.get("people", {}).items():
        if details.get(part) != person_digest(salt, name):
            return f"{clip(part)} is not the one whose digest it has"
    return "" if entry["digest"] == entry_digest(entry) else "its digest is not that of what it says"


def person_digest(salt: bytes, name: str) -> str:
    """TH("shake-ledger/v2/person", salt, name): docs/ledger.md, "An entry"."""
    return tagged_hash(b"shake-ledger/v2/person", salt, name.encode("utf-8")).hex()


# --- 3. Files ---

MAX_FILE, MAX_VALUE, MAX_NOTE = (
    256 << 20,
    1 << 20,
    64 << 10,
)  # bytes: of a file, a JSON value, a checkpoint as text
MAX_MARKS, MAX_DEPTH = 200_000, 16  # of a JSON value: quotes, commas and brackets; levels
MAX_ROWS, MAX_PROOFS, MAX_STATEMENTS, MAX_NOTES = 200_000, 1_000, 20_000, 100 << 20
MAX_PATH = 64  # hashes of an inclusion proof: no tree has more than 2**64 leaves; one of consistency has twice as many
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# By the highest bits of a file's mode; a file has 8.
KINDS = {1: "a pipe: save it as a file first", 2: "a device", 4: "a directory", 6: "a device", 12: "a socket"}


class Files:
    """What was found in the files. Of entries only that is kept which is compared: memory stays small.

    `keep` are actions whose entries are wanted whole; `kept` are these, as they stand in the file.
    """

    def __init__(self, keep: Collection[str] = ()) -> None:
        self.keep, self.kept = keep, []  # type: Collection[str], list[dict[str, Any]]
        self.entries: list[Entry] = []
        self.public: list[tuple[int, str]] = []  # position and action of entries that everybody may read
        self.statements: list[Statement] = []
        self.notes: list[tuple[str, str]] = []  # name of the file, signed note
        self.proofs: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[Check] = []
        self._noted = 0  # bytes of notes

    def add_value(self, name: str, value: Any) -> None:
        """Takes one JSON value; ValueError for what is none of the four kinds."""
        if not isinstance(value, dict):
            raise ValueError(f"{name}: expected a JSON object")
        if set(value) == PAGE_FIELDS and isinstance(value["statements"], list):
            for number, row in enumerate(value["statements"], 1):
                self.add_value(f"{name} statement {number}", row)
        elif is_entry(value):
            at_most("entries", len(self.entries), MAX_ROWS)
            self.entries.append(make_entry(value, value["digest"], explain_line(value)))
            if is_public(value):
                self.public.append((value["position"], value["action"]))
            if value["action"] in self.keep:
                self.kept.append(value)
        elif value.get("$format") == STATEMENT:
            at_most("statements", len(self.statements), MAX_STATEMENTS)
            self.statements.append(read_statement(name, value))
            self.add_note(name, value["checkpoint"])
        elif is_text(value.get("note")):
            self.add_note(name, value["note"])
        elif is_proof(value):
            at_most("proofs", len(self.proofs), MAX_PROOFS)
            self.proofs.append((name, value))
        else:
            raise ValueError(f"{name}: expected an entry, a checkpoint, a statement or a proof")

    def add_note(self, name: str, note: str) -> None:
        """Takes a checkpoint; one that a statement before had, too, is kept once."""
        if self.statements and self.notes and self.notes[-1][1] == note:
            return
        at_most("checkpoints", len(self.notes), MAX_ROWS)
        self._noted += len(note.encode("utf-8"))
        at_most("bytes of checkpoints", self._noted, MAX_NOTES)
        self.notes.append((name, note))


def at_most(what: str, count: int, most: int) -> None:
    if count >= most:
        raise ValueError(f"expected at most {most} {what}, got more")


def read_files(names: Sequence[str]) -> Files:
    """Sorts what is in the files; what cannot be read is a failed check."""
    files = Files()
    for name in names:
        add_file(files, name, lambda name=name: open_file(name))  # type: ignore[misc]
    return files


def add_file(files: Files, name: str, open_it: Callable[[], Any]) -> None:
    """Reads one file, wherever it is."""
    try:
        with open_it() as file:
            read_file(files, name, file)
    except (OSError, ValueError, RecursionError) as error:
        files.faults.append(Check("file " + name, False, clip(str(error))))


def open_file(name: str) -> Any:
    """Open a file to read; ValueError for what is none, and so might never end, and for what is too large."""
    found = os.stat(name)  # before it is opened: opening a pipe waits for somebody to write
    kind = KINDS.get(found.st_mode >> 12, "")
    if kind or found.st_size > MAX_FILE:
        wanted = "a file" if kind else f"at most {MAX_FILE} bytes"
        raise ValueError(f"expected {wanted}, got {kind or found.st_size}")
    return open(name, "rb")


def read_file(files: Files, name: str, file: BinaryIO) -> None:
    """A checkpoint as text, one JSON value, or one on each line."""
    begin = file.read(MAX_NOTE + 1)
    if not begin.lstrip().startswith(b"{"):
        if len(begin) > MAX_NOTE:
            raise ValueError(f"expected JSON objects, or a checkpoint of at most {MAX_NOTE} bytes")
        # Line ends and empty lines around a note may have suffered on the way.
        files.add_note(name, begin.decode("utf-8").replace("\r\n", "\n").strip() + "\n")
        return
    file.seek(0)
    first = file.readline(MAX_VALUE + 1)
    try:
        value = parse_json(first)
    except ValueError:  # a value on several lines, or none
        value, rest = parse_json(first + file.read(MAX_VALUE + 1)), b""
    else:
        rest = file.readline(MAX_VALUE + 1)
    files.add_value(f"{name} line 1" if rest else name, value)
    number = 1
    while rest:
        number += 1
        if rest.strip():
            files.add_value(f"{name} line {number}", parse_json(rest))
        rest = file.readline(MAX_VALUE + 1)


def is_entry(value: dict[str, Any]) -> bool:
    """Whether it has the shape of an entry as auditors read it, of either version."""
    if set(value) not in (FIELDS, SALTED_FIELDS):
        return False
    people = value.get("people", {})
    texts = (
        "show",
        "action",
        "reason",
        "previous",
        "digest",
        *(("actor", "by", "salt") if people or "salt" in value else ()),
    )
    named = isinstance(people, dict) and all(map(is_text, people.values()))
    canonical_json(value)  # text that cannot be encoded is refused here
    return (
        named
        and all(is_text(value[part]) for part in texts)
        and is_number(value["position"])
        and is_number(value["at"])
    )


def read_statement(name: str, value: dict[str, Any]) -> Statement:
    """A public statement; ValueError for what has not exactly its fields."""
    entry: Any = value.get("entry")
    path: Any = value.get("proof")
    if set(value) != STATEMENT_FIELDS or not isinstance(entry, dict) or set(entry) != BODY:
        raise ValueError(f"{name}: expected a statement with its fields and no others")
    texts = [value["checkpoint"], *(entry[part] for part in ("show", "by", "action", "reason"))]
    numbers = is_number(entry["position"]) and is_number(entry["at"]) and isinstance(entry["details"], dict)
    if not numbers or not all(map(is_text, texts)) or not is_path(path, MAX_PATH):
        raise ValueError(f"{name}: expected texts, numbers, details and a proof in a statement")
    if not is_path([value["previous"], entry["by"]], 2):
        raise ValueError(f"{name}: expected digests of 64 hex digits")
    said = {**entry, "previous": value["previous"]}
    return Statement(
        name, make_entry(said, entry_digest(said), ""), tuple(map(from_hex, path)), value["checkpoint"]
    )


def is_proof(value: dict[str, Any]) -> bool:
    """Whether it has the shape of a proof from the server: of consistency, or of inclusion."""
    if set(value) == {"position", "leaf", "tree", "proof"}:
        tree = is_number(value["position"]) and is_tree(value["tree"])
        return tree and is_path([value["leaf"]], 1) and is_path(value["proof"], MAX_PATH)
    if set(value) == {"first", "second", "proof"}:
        return is_tree(value["first"]) and is_tree(value["second"]) and is_path(value["proof"], 2 * MAX_PATH)
    return False


def is_path(value: Any, most: int) -> bool:
    """Whether it is a list of hashes, each of 64 lower-case hex digits."""
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(is_text(node) and re.fullmatch("[0-9a-f]{64}", node) for node in value)
    )


def is_tree(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"size", "root"}
        and is_number(value["size"])
        and is_text(value["root"])
    )


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def parse_json(data: bytes) -> Any:
    """JSON with integers only, and each key once: docs/draw.md, "Notation". What it costs is counted first."""

    def refuse(number: str) -> Any:
        raise ValueError("expected integers only, got " + number)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("expected each key once, got a duplicate key")
        return members

    expect_small(data)
    return json.loads(data.decode("utf-8"), parse_float=refuse, parse_constant=refuse, object_pairs_hook=once)


def expect_small(data: bytes) -> None:
    """ValueError for JSON that is larger or deeper than anything that a ledger gives out."""
    if len(data) > MAX_VALUE:
        raise ValueError(f"expected at most {MAX_VALUE} bytes of JSON on a line, got more")
    if sum(map(data.count, (b'"', b",", b"[", b"{"))) > MAX_MARKS:
        raise ValueError(f"expected JSON of at most {MAX_MARKS} quotes, commas and brackets, got more")
    outside = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])  # of the strings
    depths = itertools.accumulate(1 if mark in b"[{" else -1 for mark in outside.translate(None, NO_BRACKETS))
    if max(depths, default=0) > MAX_DEPTH:
        raise ValueError(f"expected JSON of at most {MAX_DEPTH} levels, got a deeper one")
    if re.search(rb"[0-9]{21}", outside):
        raise ValueError("expected numbers below 2**64, got one of more digits")


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, integers only: docs/draw.md, "Notation"."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def tagged_hash(tag: bytes, *fields: bytes) -> bytes:
    """SHA-256(BE16(len tag) || tag || for each field: BE32(len) || field): docs/draw.md, "Notation"."""
    parts = [len(field).to_bytes(4, "big") + field for field in fields]
    return hashlib.sha256(len(tag).to_bytes(2, "big") + tag + b"".join(parts)).digest()


def from_hex(text: str) -> bytes:
    """Bytes; of what is no hex none, which equal no digest."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


# --- 4. Notes ---


class Key(NamedTuple):
    """A verifier key: the name in signature lines, 4 bytes of id, 32 bytes of an Ed25519 public key."""

    name: str
    key_id: bytes
    public: bytes


def parse_key(text: str) -> Key:
    """name+hexid+base64(0x01 || public key); the id is SHA-256(name || 0x0A || 0x01 || public key)[:4]."""
    name, _, rest = text.partition("+")
    hex_id, _, encoded = rest.partition("+")
    material = decode(encoded)
    expected = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    if not name or len(material) != 33 or material[0] != 1 or hex_id != expected.hex():
        raise ValueError("expected name+id+base64 of an Ed25519 key, got " + clip(text))
    return Key(name, expected, material[1:])


def open_checkpoint(name: str, note: str, keys: Sequence[Key]) -> Checkpoint:
    """The checkpoint in a note that one of the keys has signed; ValueError says what is wrong."""
    text = open_note(note, keys)
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]):
        raise ValueError("expected the lines origin, size and root, got " + clip(text))
    root = decode(lines[2])
    if len(root) != 32 or lines[0] not in [key.name for key in keys]:
        raise ValueError("expected a root of 32 bytes and the key's own ledger, got " + clip(text))
    return Checkpoint(name, lines[0], int(lines[1]), root)


def open_note(note: str, keys: Sequence[Key]) -> str:
    """The text before the last empty line, where a known key has signed it; lines of other keys are left alone."""
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n") or any(letter < " " for letter in note.replace("\n", "")):
        raise ValueError("expected text, an empty line and signatures, got " + clip(note))
    text += "\n"
    trusted = 0
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = decode(encoded)
        if dash != "\u2014" or not name or len(raw) < 5:
            raise ValueError("expected a signature line, got " + clip(line))
        for key in keys:
            if (key.name, key.key_id) == (name, raw[:4]):
                if not is_signed(key.public, text.encode(), raw[4:]):
                    raise ValueError(f"the signature of {name} is over another text")
                trusted += 1
    if not trusted:
        raise ValueError("not signed by " + " or ".join(key.name + "+" + key.key_id.hex() for key in keys))
    return text


def decode(text: str) -> bytes:
    """Standard base64 in its one form; ValueError for every other."""
    raw = base64.b64decode(text.encode(), validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("expected base64 in its one form")
    return raw


# --- 5. Tree ---


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 9162 2.1.1: "MTH({d[0]}) = HASH(0x00 || d[0])"."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162 2.1.1: "HASH(0x01 || MTH(D[0:k]) || MTH(D[k:n]))"."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def roots_of(leaves: Sequence[bytes]) -> list[bytes]:
    """The root at every size, 0 .. len(leaves): full subtrees are kept, largest first, and folded from the right."""
    roots, full = [hashlib.sha256(b"").digest()], []  # full: [(leaves below, hash)]
    for leaf in leaves:
        full.append((1, leaf))
        while len(full) > 1 and full[-2][0] == full[-1][0]:
            (count, left), (_, right) = full[-2:]
            full[-2:] = [(2 * count, node_hash(left, right))]
        root = full[-1][1]
        for _, left in reversed(full[:-1]):
            root = node_hash(left, root)
        roots.append(root)
    return roots


def is_consistent(first: Checkpoint, second: Checkpoint, path: Sequence[bytes]) -> bool:
    """RFC 9162 2.1.4.2, "Verifying Consistency between Two Tree Heads"; from an empty tree nothing is shown."""
    if not 0 < first.size <= second.size or not are_hashes([first.root, second.root, *path]):
        return False
    if first.size == second.size:
        return first.root == second.root and not path
    if first.size & (first.size - 1) == 0:  # "If first is an exact power of 2, then prepend first_hash"
        path = [first.root, *path] if path else []
    if not path:  # "If consistency_path is an empty array, stop and fail"
        return False
    fn, sn = first.size - 1, second.size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for node in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(node, fr), node_hash(node, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first.root and sr == second.root


def are_hashes(values: Sequence[bytes]) -> bool:
    return all(len(value) == 32 for value in values)


def is_included(leaf: bytes, position: int, size: int, path: Sequence[bytes], root: bytes | None) -> bool:
    """RFC 9162 2.1.3.2, "Verifying an Inclusion Proof"."""
    if root is None or not 0 <= position < size or not are_hashes([leaf, root, *path]):
        return False
    fn, sn, r = position, size - 1, leaf
    for node in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(node, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, node)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


# --- 6. Ed25519 ---
# RFC 8032, section 5.1. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x*y = T/Z.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = Tuple[int, int, int, int]


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032 5.1.7, with the equation [S]B = R + [k]A."""
    s = int.from_bytes(signature[32:], "little")
    a = decode_point(public)
    if len(signature) != 64 or s >= L or a is None or is_weak(a):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], a[2], P - a[3])
    return encode_point(add_multiples(s, BASE, k, minus_a)) == signature[:32]


def is_weak(p: Point) -> bool:
    """Whether a key is one of the eight points with which anybody can sign: eight times it is the neutral one."""
    for _ in range(3):
        p = add_points(p, p)
    return p[0] % P == 0 and (p[1] - p[2]) % P == 0


def add_multiples(m: int, p: Point, n: int, q: Point) -> Point:
    """[m]p + [n]q, bit by bit of both at once."""
    table = (None, p, q, add_points(p, q))
    total: Point = (0, 1, 1, 0)
    for bit in range(252, -1, -1):
        total = add_points(total, total)
        addend = table[(m >> bit & 1) + 2 * (n >> bit & 1)]
        if addend is not None:
            total = add_points(total, addend)
    return total


def add_points(p: Point, q: Point) -> Point:
    """RFC 8032 5.1.4; the formulas are complete, and double as well."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def encode_point(p: Point) -> bytes:
    """RFC 8032 5.1.2: y, and the lowest bit of x as the highest of the last byte."""
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode_point(data: bytes) -> Point | None:
    """RFC 8032 5.1.3; None for what is no point."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if len(data) != 32 or y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x + u) % P == 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (v * x * x - u) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


_base = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
assert _base is not None
BASE = _base


# --- 7. Command line ---


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the files named on the command line; return 0 if all that was checked holds, else 1."""
    options = make_parser().parse_args(arguments)
    files = read_files(options.files)
    checks, missing = verify_ledger(files, options.key), not_checked(files)
    ok = all(check.ok for check in checks)
    if options.json:
        rows = [check._asdict() for check in checks]
        say(json.dumps({"ok": ok, "checks": rows, "not_checked": missing}, indent=1))
    else:
        for check in checks:
            say("{} {}: {}".format("ok  " if check.ok else "FAIL", check.name, check.detail))
        say_verdict(checks, missing)
    return 0 if ok else 1


def say_verdict(checks: Sequence[Check], missing: Sequence[str]) -> None:
    failed = [check.name for check in checks if not check.ok]
    if missing:
        say("note NOT CHECKED, as the files were not given: " + ", ".join(missing))
    if failed:
        say(f"NOT OK: {len(failed)} of {len(checks)} checks fail: {', '.join(failed)}")
    elif "chain" in missing:
        say(
            f"OK as far as it goes: {len(checks)} checks hold, but without the entries nobody knows what else was done"
        )
    else:
        say(f"OK: all {len(checks)} checks hold")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify_ledger.py",
        description="Check the ledger of a show. Each check is one line, `ok` or `FAIL`; the last line is the verdict. "
        "Exit status 0: all that was checked holds, 1: something does not.",
        epilog="docs/ledger.md says what each check means and what to do when it fails.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="entries, checkpoints, statements and proofs, in any order"
    )
    parser.add_argument(
        "--key", action="append", required=True, type=parse_key, help="public key; may be given again"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON value for programs")
    return parser


def clip(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= 200 else shown[:199] + "\u2026"


def say(text: str) -> None:
    """Print; a letter that the terminal does not know is escaped."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


if __name__ == "__main__":
    sys.exit(main())
