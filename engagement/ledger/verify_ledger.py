#!/usr/bin/env python3
"""Check the ledger of a show with nothing but this file and Python 3.8 or newer.

    python verify_ledger.py --key KEY entries.jsonl checkpoints.jsonl noted.txt   an auditor, who may read the entries
    python verify_ledger.py --key KEY noted.txt latest.txt proof.json             anybody, from what is public

KEY is the public key of the ledger, `name+id+base64`. The files may come in any order, a file of either kind any number
of times: entries and checkpoints as downloaded, single checkpoints as text, proofs as the server gives them. Every
check is one line, `ok` or `FAIL`, and the last line is the verdict. Exit status 0: all that was checked holds; 1:
something does not; 2: the command line could not be understood.

It was written from docs/ledger.md alone and imports nothing but the standard library, so a mistake of the program that
keeps the ledger is not repeated here. In this order:

    1. Checks          chain, signatures, roots, consistency, inclusion
    2. Files           what is in them
    3. Notes           keys, signed notes, checkpoints (C2SP signed-note and tlog-checkpoint)
    4. Tree            RFC 9162
    5. Ed25519         RFC 8032
    6. Command line
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from typing import Any, Dict, NamedTuple, Sequence, Tuple

GENESIS = "0" * 64
SAID = ("show", "position", "at", "action", "reason", "details")
FIELDS = {*SAID, "actor", "previous", "digest"}  # of an entry of version 1
SALTED_FIELDS = {*FIELDS, "by", "salt", "people"}  # of version 2, where people stand as salted digests


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


class Files(NamedTuple):
    """What was found in the files."""

    entries: list[dict[str, Any]]
    notes: list[tuple[str, str]]  # name of the file, signed note
    proofs: list[tuple[str, dict[str, Any]]]
    faults: list[Check]


# --- 1. Checks ---


def verify_ledger(files: Files, keys: Sequence[Key]) -> list[Check]:
    """All checks of what was given; those that nothing was given for are left out."""
    checkpoints, checks = check_signatures(files.notes, keys)
    checks = [*files.faults, *checks]
    if files.entries:
        checks += [check_chain(files.entries), check_roots(files.entries, checkpoints)]
    else:
        checks += [check_consistency(checkpoints, files.proofs)]
    return checks + check_inclusion(checkpoints, files.proofs)


def check_signatures(
    notes: Sequence[tuple[str, str]], keys: Sequence[Key]
) -> tuple[list[Checkpoint], list[Check]]:
    """The checkpoints that one of the keys has signed, and what is wrong with the others."""
    good, checks = [], []
    for name, note in notes:
        try:
            good.append(open_checkpoint(name, note, keys))
        except ValueError as error:
            checks.append(Check("signature of " + name, False, clip(str(error))))
    if not notes:
        return [], [
            Check("signatures", False, "expected a checkpoint, got none: nothing shows who wrote this")
        ]
    if good:
        checks.append(Check("signatures", True, f"{len(good)} checkpoints, up to {last_of(good)} entries"))
    return sorted(good, key=lambda checkpoint: checkpoint.size), checks


def last_of(checkpoints: Sequence[Checkpoint]) -> int:
    return max((checkpoint.size for checkpoint in checkpoints), default=0)


def check_chain(entries: Sequence[dict[str, Any]]) -> Check:
    """Every entry follows from the one before it, and its digest is that of what it says."""
    previous = GENESIS
    for position, entry in enumerate(entries):
        if entry["position"] != position:
            return Check("chain", False, f"entry {position} is missing")
        if explain_people(entry):
            return Check("chain", False, f"entry {position}: {explain_people(entry)}")
        if entry["digest"] != entry_digest(entry):
            return Check("chain", False, f"entry {position}: its digest is not that of what it says")
        if entry["previous"] != previous or entry["show"] != entries[0]["show"]:
            return Check("chain", False, f"entry {position} does not follow from the one before")
        previous = entry["digest"]
    return Check("chain", True, f"{len(entries)} entries follow from one another")


def entry_digest(entry: dict[str, Any]) -> str:
    """TH("shake-ledger/v2/entry", previous, what it says to everybody): docs/ledger.md, "An entry"."""
    version, who = (b"v2", "by") if "salt" in entry else (b"v1", "actor")
    said = {name: entry[name] for name in (*SAID, who)}
    tag = b"shake-ledger/" + version + b"/entry"
    return tagged_hash(tag, from_hex(entry["previous"]), canonical_json(said)).hex()


def explain_people(entry: dict[str, Any]) -> str:
    """Which name is not the one whose salted digest the entry has; "" for none."""
    if "salt" not in entry:
        return ""
    salt, details = from_hex(entry["salt"]), entry["details"]
    if len(salt) != 16 or not isinstance(details, dict):
        return "expected a salt of 16 bytes and details"
    if entry["by"] != person_digest(salt, entry["actor"]):
        return "its actor is not the one whose digest it has"
    wrong = [part for part, name in entry["people"].items() if details.get(part) != person_digest(salt, name)]
    return f"{wrong[0]} is not the one whose digest it has" if wrong else ""


def person_digest(salt: bytes, name: Any) -> str:
    """TH("shake-ledger/v2/person", salt, name): docs/ledger.md, "An entry"."""
    return tagged_hash(b"shake-ledger/v2/person", salt, str(name).encode("utf-8")).hex()


def check_roots(entries: Sequence[dict[str, Any]], checkpoints: Sequence[Checkpoint]) -> Check:
    """Every signed root is that of these entries."""
    roots = roots_of([leaf_hash(from_hex(entry["digest"])) for entry in entries])
    good = 0
    for found in checkpoints:
        fault = compare_root(found, entries[0]["show"], roots, good)
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
    if len(checkpoints) < 2:
        return Check(
            "consistency", bool(checkpoints), "one checkpoint alone: there is nothing to compare it with"
        )
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


# --- 2. Files ---


def read_files(names: Sequence[str]) -> Files:
    """Sorts what is in the files; what cannot be read is a failed check."""
    files = Files([], [], [], [])
    for name in names:
        try:
            with open(name, "rb") as file:
                read_text(files, name, file.read().decode("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            files.faults.append(Check("file " + name, False, clip(str(error))))
    return files


def read_text(files: Files, name: str, text: str) -> None:
    if not text.lstrip().startswith(
        "{"
    ):  # line ends and empty lines around a note may have suffered on the way
        files.notes.append((name, text.replace("\r\n", "\n").strip() + "\n"))
        return
    try:
        add_value(files, name, parse_json(text))
    except ValueError:
        for number, line in enumerate(text.splitlines(), 1):
            add_value(files, f"{name} line {number}", parse_json(line))


def add_value(files: Files, name: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected a JSON object")
    if is_entry(value):
        canonical_json(value)  # text that cannot be encoded is refused here
        files.entries.append(value)
    elif isinstance(value.get("note"), str):
        files.notes.append((name, value["note"]))
    elif is_proof(value):
        files.proofs.append((name, value))
    else:
        raise ValueError(f"{name}: expected an entry, a checkpoint or a proof")


def is_entry(value: dict[str, Any]) -> bool:
    """Whether it has the shape of an entry as auditors read it, of either version."""
    texts = ("show", "previous", "digest", *(("actor", "by", "salt") if "salt" in value else ()))
    return (
        set(value) in (FIELDS, SALTED_FIELDS)
        and all(isinstance(value[part], str) for part in texts)
        and isinstance(value.get("people", {}), dict)
        and all(isinstance(name, str) for name in value.get("people", {}).values())
    )


def is_proof(value: dict[str, Any]) -> bool:
    """Whether it has the shape of a proof from the server: of consistency, or of inclusion."""
    path = value.get("proof")
    if not isinstance(path, list) or not all(isinstance(node, str) for node in path):
        return False
    if "leaf" in value:
        return (
            isinstance(value["leaf"], str) and is_number(value.get("position")) and is_tree(value.get("tree"))
        )
    return is_tree(value.get("first")) and is_tree(value.get("second"))


def is_tree(value: Any) -> bool:
    return isinstance(value, dict) and is_number(value.get("size"))


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def parse_json(text: str) -> Any:
    """JSON with integers only, and each key once: docs/draw.md, "Notation"."""

    def refuse(number: str) -> Any:
        raise ValueError("expected integers only, got " + number)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("expected each key once, got a duplicate key")
        return members

    return json.loads(text, parse_float=refuse, parse_constant=refuse, object_pairs_hook=once)


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, integers only: docs/draw.md, "Notation"."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def tagged_hash(tag: bytes, *fields: bytes) -> bytes:
    """SHA-256(BE16(len tag) || tag || for each field: BE32(len) || field): docs/draw.md, "Notation"."""
    parts = [len(field).to_bytes(4, "big") + field for field in fields]
    return hashlib.sha256(len(tag).to_bytes(2, "big") + tag + b"".join(parts)).digest()


def from_hex(text: str) -> bytes:
    """32 bytes; what is none of that equals no digest."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


# --- 3. Notes ---


class Key(NamedTuple):
    """A verifier key: the name in signature lines, 4 bytes of id, 32 bytes of an Ed25519 public key."""

    name: str
    key_id: bytes
    public: bytes


def parse_key(text: str) -> Key:
    """name+hexid+base64(0x01 || public key); the id is SHA-256(name || 0x0A || 0x01 || public key)[:4]."""
    name, _, rest = text.partition("+")
    hex_id, _, encoded = rest.partition("+")
    material = base64.b64decode(encoded.encode(), validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    if not name or len(material) != 33 or material[0] != 1 or hex_id != expected.hex():
        raise ValueError("expected name+id+base64 of an Ed25519 key, got " + clip(text))
    return Key(name, expected, material[1:])


def open_checkpoint(name: str, note: str, keys: Sequence[Key]) -> Checkpoint:
    """The checkpoint in a note that one of the keys has signed; ValueError says what is wrong."""
    text = open_note(note, keys)
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[1].isdigit() or str(int(lines[1])) != lines[1]:
        raise ValueError("expected the lines origin, size and root, got " + clip(text))
    root = base64.b64decode(lines[2].encode(), validate=True)
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
        raw = base64.b64decode(encoded.encode(), validate=True)
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


# --- 4. Tree ---


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
    """RFC 9162 2.1.4.2, "Verifying Consistency between Two Tree Heads"."""
    if first.size == 0:  # any tree adds to the empty one
        return first.root == hashlib.sha256(b"").digest() and not path
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


def is_included(leaf: bytes, position: int, size: int, path: Sequence[bytes], root: bytes | None) -> bool:
    """RFC 9162 2.1.3.2, "Verifying an Inclusion Proof"."""
    if position >= size:
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


# --- 5. Ed25519 ---
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
    if len(signature) != 64 or s >= L or a is None:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], a[2], P - a[3])
    return encode_point(add_multiples(s, BASE, k, minus_a)) == signature[:32]


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


# --- 6. Command line ---


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the files named on the command line; return 0 if all that was checked holds, else 1."""
    options = make_parser().parse_args(arguments)
    checks = verify_ledger(read_files(options.files), options.key)
    ok = all(check.ok for check in checks)
    if options.json:
        say(json.dumps({"ok": ok, "checks": [check._asdict() for check in checks]}, indent=1))
    else:
        for check in checks:
            say("{} {}: {}".format("ok  " if check.ok else "FAIL", check.name, check.detail))
        say("OK" if ok else "NOT OK")
    return 0 if ok else 1


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verify_ledger.py",
        description="Check the ledger of a show. Each check is one line, `ok` or `FAIL`; the last line is the verdict. "
        "Exit status 0: all that was checked holds, 1: something does not.",
        epilog="docs/ledger.md says what each check means and what to do when it fails.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="entries, checkpoints and proofs, in any order"
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
