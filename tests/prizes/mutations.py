"""What a forger may do to the files of a night: everything random is drawn from one generator, so it can be repeated.

A change knows the structure of what it changes. It flips bits, moves numbers by one, edits hex and base64, takes fields
and rows from another night, removes, doubles and reorders rows. A careful forger then makes all digests anew, and signs
with a key of his own in the organiser's name.
"""

import base64
import copy
import json
import struct
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engagement.core.digests import canonical_json
from engagement.ledger.core.merkle import inclusion_proof, leaf_hash
from engagement.ledger.core.merkle import root as root_of
from engagement.ledger.core.statements import body_digest
from engagement.ledger.core.stubs import Batch
from prizes import verify_draw as verifier
from prizes.core.receipt import receipt_statement
from prizes.core.record import record_statement
from tests.prizes.kept import STRANGER, sign_stub
from tests.prizes.token_mutations import change_stamp

JSON_FILES = ("record", "receipt", "stub", "gateway_key")
FILES = (*JSON_FILES, "roll", "totals")
HEX, BASE64 = "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**63,
    2**64 - 1,
    2**64,
    1.5,
    "",
    "\x00",
    "\ud800",
    "é",
    [],
    {},
    [[]],
    {"a": 0},
)


class Files(NamedTuple):
    """What is given to the verifier; `stub` is the file that a phone keeps, or the stub alone with `gateway_key`."""

    record: bytes
    roll: bytes
    totals: bytes
    receipt: bytes
    stub: bytes
    gateway_key: bytes
    key: str
    witness: str
    forged: bytes  # tokens of a stranger in the names of the time stampers, each with its length


def with_file(files: Files, what: str, content: Any) -> Files:
    return Files(**{**files._asdict(), what: content})


class Changed(NamedTuple):
    """The files after a change, and which change of which file it was."""

    files: Files
    what: str
    how: str


def change(own: Files, other: Files, random: Random) -> Changed:
    """Change one of a night's files; `other` are those of another night of the same show."""
    if random.random() < 0.4:
        own, other = part_stub(own), part_stub(other)
    kinds = ["json", "bytes", "swap", "table", "text", "key", "stamp"]
    kind = random.choices(kinds, weights=[44, 10, 12, 8, 10, 4, 12])[0]
    made = CHANGES[kind](own, other, random)
    if random.random() < 0.05:  # the reader has no key: nothing is proven then, whatever it is
        made = made._replace(files=made.files._replace(key=""))
    return made


def part_stub(files: Files) -> Files:
    """The stub alone, its statement in the file beside it."""
    return files._replace(stub=canonical_json(json.loads(files.stub)["stub"]))


# --- JSON ---


def change_json(own: Files, other: Files, random: Random) -> Changed:
    return change_value(random.choices(JSON_FILES, weights=[50, 20, 20, 10])[0], own, other, random)


def change_value(what: str, own: Files, other: Files, random: Random) -> Changed:
    """Change members of one file, once or a few times, and perhaps what follows from them."""
    value, foreign = (json.loads(getattr(files, what)) for files in (own, other))
    done = []
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        done.append(change_somewhere(value, foreign, random))
    if random.random() < 0.6:
        done.append(make_fit(what, value, random))
    return Changed(with_file(own, what, encode(value, random)), what, ", ".join(done))


def encode(value: Any, random: Random) -> bytes:
    """Nearly always the one form that is read at all."""
    if random.random() < 0.02:
        return json.dumps(value).encode()
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def change_somewhere(value: Any, foreign: Any, random: Random) -> str:
    """Walk down to some member, and change it; the same place in another night may give its value."""
    place, twin, path = value, foreign, []
    while True:
        key = random.choice(list(keys_of(place)))
        path.append(str(key))
        member = place[key]
        twin = member_of(twin, key)
        if not isinstance(member, (dict, list)) or not member or random.random() < 0.12:
            break
        place = member
    how = random.choice(EDITS)
    how(place, key, twin, random)
    return f"{'.'.join(path)} {how.__name__}"


def keys_of(place: Any) -> Any:
    return place if isinstance(place, dict) else range(len(place))


def member_of(place: Any, key: Any) -> Any:
    try:
        return place[key]
    except (KeyError, IndexError, TypeError):
        return None


def edit_value(place: Any, key: Any, twin: Any, random: Random) -> None:
    """A little: one bit, one digit, one letter, one row."""
    value = place[key]
    if isinstance(value, (bool, float)) or value is None:
        place[key] = random.choice(ODD_VALUES)
    elif isinstance(value, int):
        place[key] = random.choice((value + 1, value - 1, value ^ 1 << random.randrange(64), 0, value * 2))
    elif isinstance(value, str):
        place[key] = edit_text(value, random)
    else:
        edit_rows(place, key, twin, random)


def edit_text(text: str, random: Random) -> str:
    if not text:
        return random.choice(("a", "00" * 32, "— x AAAA\n"))
    at = random.randrange(len(text))
    alphabet = HEX if set(text) <= set(HEX) else BASE64
    return random.choice((
        text[:at] + random.choice(alphabet) + text[at + 1 :],
        text[:at] + text[at + 1 :],
        text[:at] + random.choice(alphabet) + text[at:],
        text[:at],
        text + text,
        text.upper(),
        text[:at] + chr(ord(text[at]) ^ 1 << random.randrange(7)) + text[at + 1 :],
    ))  # fmt: skip


def edit_rows(place: Any, key: Any, twin: Any, random: Random) -> None:
    """Remove, double, reorder or borrow rows."""
    rows = place[key]
    if isinstance(rows, dict):
        if rows and random.random() < 0.5:
            del rows[random.choice(list(rows))]
        else:
            rows[random.choice(("extra", "$format", "a" * 28))] = random.choice(ODD_VALUES)
        return
    borrowed = twin if isinstance(twin, list) and twin else rows
    how = random.randrange(5)
    if how == 0 and rows:
        del rows[random.randrange(len(rows))]
    elif how == 1 and rows:
        rows.insert(random.randrange(len(rows) + 1), copy.deepcopy(random.choice(rows)))
    elif how == 2:
        random.shuffle(rows)
    elif how == 3 and borrowed:
        rows.insert(random.randrange(len(rows) + 1), copy.deepcopy(random.choice(borrowed)))
    else:
        del rows[random.randrange(len(rows) + 1) :]


def take_from_other_night(place: Any, key: Any, twin: Any, random: Random) -> None:
    place[key] = copy.deepcopy(twin)


def exchange_neighbours(place: Any, key: Any, twin: Any, random: Random) -> None:
    other = random.choice(list(keys_of(place)))
    place[key], place[other] = place[other], place[key]


def put_odd_value(place: Any, key: Any, twin: Any, random: Random) -> None:
    place[key] = copy.deepcopy(random.choice(ODD_VALUES))


def remove(place: Any, key: Any, twin: Any, random: Random) -> None:
    del place[key]


EDITS = (
    edit_value,
    edit_value,
    edit_value,
    take_from_other_night,
    exchange_neighbours,
    put_odd_value,
    remove,
)


# --- the careful forger ---


def make_fit(what: str, value: Any, random: Random) -> str:
    """Make anew what follows from the rest, as far as the change has left something to make it from."""
    try:
        FITS[what](value, random)
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        struct.error,
    ):
        return "not made to fit"
    return "made to fit"


def fit_record(record: Any, random: Random) -> None:
    rules, roll, seal = record["rules"], record["roll"], record["seal"]
    record["rules_digest"] = verifier.tagged("shake-draw/v2/rules", canonical_json(rules)).hex()
    header = bytes.fromhex(roll["header"])
    fields = roll["entries"], roll["tickets"], bytes.fromhex(record["rules_digest"]), rules["tmax"], 16, 256
    if random.random() < 0.7:
        header = struct.pack(">8sQQ32sHHI", b"SHKROLL1", *fields)
    roll["header"] = header.hex()
    roll["digest"] = verifier.tagged("shake-draw/v1/roll", header, bytes.fromhex(roll["root"])).hex()
    digests = [record["rules_digest"], roll["digest"], roll["totals_digest"], verifier.prior_digest(record)]
    parts = [bytes.fromhex(digest) for digest in (*digests, seal["previous"])]
    secrets = [bytes.fromhex(record["reveals"][party["name"]]["secret"]) for party in rules["parties"]]
    number = struct.pack(">Q", seal["round"])
    made = verifier.tagged("shake-draw/v2/seal", rules["draw_id"].encode(), *parts, number, *secrets)
    if random.random() < 0.7:
        seal["digest"] = made.hex()
    beacon = record["beacon"]
    sources = seal["digest"], beacon["id"], beacon["value"]
    if random.random() < 0.7:
        record["key"] = verifier.tagged("shake-draw/v1/key", *map(bytes.fromhex, sources)).hex()
    record["digest"] = verifier.digest_of(record)
    forge_log(record["log"], random)
    if random.random() < 0.5:
        record["signature"] = forge_note(record["signature"], record_statement(record), random)


def fit_receipt(receipt: Any, random: Random) -> None:
    parts = bytes.fromhex(receipt["roll"]["header"]), bytes.fromhex(receipt["roll"]["root"])
    receipt["roll"]["digest"] = verifier.tagged("shake-draw/v1/roll", *parts).hex()
    if random.random() < 0.7:
        receipt["signature"] = forge_note(receipt["signature"], receipt_statement(receipt), random)


def fit_stub(kept: Any, random: Random) -> None:
    """A stub with another key; its statement says that this is the gateway's."""
    stub = kept.get("stub", kept)
    batch = Batch(*(stub[name] for name in Batch._fields))
    stub.update(sign_stub(batch, bytes.fromhex(stub["pseudonym"]), stub["total"], STRANGER))
    if "gateway_key" in kept:
        kept["gateway_key"]["entry"]["details"]["key"] = STRANGER.public_key().public_bytes_raw().hex()
        fit_statement(kept["gateway_key"], random)


def fit_statement(statement: Any, random: Random) -> None:
    """A tree of the forger's own, with this entry in it; the signature is his, or that of the honest checkpoint."""
    [note] = forge_tree([statement], statement["checkpoint"], random)
    statement["checkpoint"] = note


def forge_log(log: Any, random: Random) -> None:
    if log is not None and random.random() < 0.5:
        [log["checkpoint"]] = forge_tree(log["statements"], log["checkpoint"], random)


def forge_tree(rows: list[Any], note: str, random: Random) -> Iterator[str]:
    """Put these entries at their positions in a tree of the same size, and give each its proof in it."""
    origin, size, *_ = note.split("\n")
    leaves = [leaf_hash(bytes([number % 256])) for number in range(min(int(size), 200))]
    for row in rows:
        digest = body_digest(bytes.fromhex(row["previous"]), row["entry"])
        leaves[row["entry"]["position"]] = leaf_hash(digest)
    for row in rows:
        row["proof"] = [node.hex() for node in inclusion_proof(leaves, row["entry"]["position"])]
    text = f"{origin}\n{size}\n{base64.b64encode(root_of(leaves)).decode()}\n"
    yield forge_note(note, text, random)


def forge_note(note: str, text: str, random: Random) -> str:
    """This text with the signature of another one, or with one that the forger makes in the same name."""
    lines = note.rpartition("\n\n")[2]
    if random.random() < 0.5:
        return f"{text}\n{lines}"
    _, name, encoded = lines.split("\n")[0].split(" ")
    own_id = base64.b64decode(encoded)[:4]
    return f"{text}\n— {name} {base64.b64encode(own_id + STRANGER.sign(text.encode())).decode()}\n"


FITS: dict[str, Callable[[Any, Random], None]] = {
    "record": fit_record, "receipt": fit_receipt, "stub": fit_stub, "gateway_key": fit_statement,
}  # fmt: skip


# --- bytes, whole files, tables, notes, keys ---


def change_bytes(own: Files, other: Files, random: Random) -> Changed:
    """Blindly: bits, cuts, pieces of itself and of another night."""
    what = random.choice(FILES)
    data = bytearray(getattr(own, what))
    at = random.randrange(len(data))
    how = random.choice(("flip", "cut", "drop", "double", "borrow", "fill"))
    length = random.choice((1, 2, 14, 16, 32, 256))
    if how == "flip":
        data[at] ^= 1 << random.randrange(8)
    elif how == "cut":
        del data[at:]
    elif how == "drop":
        del data[at : at + length]
    elif how == "double":
        data[at:at] = data[at : at + length]
    elif how == "borrow":
        data[at : at + length] = getattr(other, what)[at : at + length]
    else:
        data[at:at] = random.choice((b"[", b"9", b'{"', b"\xff", b"\\")) * random.choice((1, 10_000))
    return Changed(with_file(own, what, bytes(data)), what, f"{how} at {at}")


def change_table(own: Files, other: Files, random: Random) -> Changed:
    """Rows of the roll or of the totals, in the order that a reader expects; counts and root of the record follow."""
    what, start, width = random.choice((("roll", 64, 16), ("totals", 0, 18)))
    data = getattr(own, what)
    rows = [data[at : at + width] for at in range(start, len(data), width)]
    foreign = getattr(other, what)
    borrowed = [foreign[at : at + width] for at in range(start, len(foreign), width)]
    place = random.randrange(len(rows))
    how = random.choice(("number", "remove", "double", "borrow", "exchange"))
    if how == "number":
        rows[place] = rows[place][:-1] + bytes([rows[place][-1] ^ 1 << random.randrange(8)])
    elif how == "remove":
        del rows[place]
    elif how == "double":
        rows.insert(place, rows[place])
    elif how == "borrow":
        rows = sorted([*rows, random.choice(borrowed)])
    else:
        rows[place], rows[0] = rows[0], rows[place]
    made = with_file(own, what, data[:start] + b"".join(rows))
    record = json.loads(own.record)
    if what == "roll" and random.random() < 0.7:
        tree = verifier.Tree()
        for at in range(0, len(rows), 256):
            tree.add(b"".join(rows[at : at + 256]))
        tickets = sum(int.from_bytes(row[14:], "big") for row in rows)
        record["roll"].update(root=tree.root().hex(), entries=len(rows), tickets=tickets)
        fit_record(record, random)
        header = bytes.fromhex(record["roll"]["header"])
        made = made._replace(record=canonical_json(record), roll=header + b"".join(rows))
    elif random.random() < 0.7:
        record["roll"]["totals_digest"] = verifier.sha256(made.totals).hex()
        fit_record(record, random)
        made = made._replace(record=canonical_json(record))
    return Changed(made, what, f"{how} row {place}")


def swap_files(own: Files, other: Files, random: Random) -> Changed:
    """Whole files, or what is signed, of two nights, or of two kinds."""
    what = random.choice((*FILES, "signature", "log", "checkpoint", "sealed", "certificate"))
    if what in FILES:
        return Changed(with_file(own, what, getattr(other, what)), what, "that of another night")
    record, foreign = json.loads(own.record), json.loads(other.record)
    receipt, kept = json.loads(own.receipt), json.loads(own.stub)
    notes = [foreign["signature"], receipt["signature"], record["log"]["checkpoint"]]
    notes += [record["log"]["sealed"]["checkpoint"], foreign["log"]["checkpoint"]]
    if what == "signature":
        record["signature"] = random.choice(notes)
        receipt["signature"] = random.choice((receipt["signature"], record["signature"]))
    elif what == "log":
        record["log"] = foreign["log"]
    elif what == "checkpoint":
        record["log"]["checkpoint"] = random.choice(notes)
    elif what == "sealed":
        record["log"]["sealed"] = foreign["log"]["sealed"]
    else:
        kept.get("gateway_key", record["log"])["checkpoint"] = random.choice(notes)
    made = [canonical_json(value) for value in (record, receipt, kept)]
    return Changed(own._replace(record=made[0], receipt=made[1], stub=made[2]), what, "exchanged")


def change_text(own: Files, other: Files, random: Random) -> Changed:
    """A signed note: its text, its lines, a cosignature."""
    record, receipt, kept = (json.loads(data) for data in (own.record, own.receipt, own.stub))
    places = {
        "record.signature": (record, "signature"), "receipt.signature": (receipt, "signature"),
        "log.checkpoint": (record["log"], "checkpoint"), "sealed": (record["log"]["sealed"], "checkpoint"),
        "certificate": (kept.get("gateway_key", record["log"]), "checkpoint"),
    }  # fmt: skip
    what = random.choice([*places, "sealed", "sealed"])
    place, name = places[what]
    lines = place[name].split("\n")
    how = random.choice(("edit", "edit", "edit", "remove", "double", "exchange", "sign"))
    at, to = random.randrange(len(lines)), random.randrange(len(lines))
    if how == "edit":
        lines[at] = edit_text(lines[at], random)
    elif how == "remove":
        del lines[at]
    elif how == "double":
        lines.insert(to, lines[at])
    elif how == "exchange":
        lines[at], lines[to] = lines[to], lines[at]
    place[name] = "\n".join(lines)
    if how == "sign":
        text = place[name].rpartition("\n\n")[0] + "\n"
        place[name] = forge_note(place[name], edit_text(text, random), random)
    made = [canonical_json(value) for value in (record, receipt, kept)]
    return Changed(own._replace(record=made[0], receipt=made[1], stub=made[2]), what, f"{how} line {at}")


def change_key(own: Files, other: Files, random: Random) -> Changed:
    """The reader has another key: nothing of this is the organiser's then, or the witness's."""
    what = random.choice(("key", "witness"))
    name, key_id, encoded = getattr(own, what).split("+", 2)
    signer = Ed25519PrivateKey.from_private_bytes(random.randbytes(32))
    material = base64.b64decode(encoded)[:1] + signer.public_key().public_bytes_raw()
    if random.random() < 0.5:
        key_id = verifier.sha256(name.encode(), b"\n", material)[:4].hex()
    text = f"{name}+{key_id}+{base64.b64encode(material).decode()}"
    if random.random() < 0.3:
        text = edit_text(getattr(own, what), random)
    return Changed(with_file(own, what, text), what, "another")


def change_stamps(own: Files, other: Files, random: Random) -> Changed:
    """A time stamp."""
    record, how = change_stamp(own.record, other.record, unpack_tokens(own.forged), random)
    return Changed(with_file(own, "record", record), "stamp", how)


def unpack_tokens(data: bytes) -> list[bytes]:
    found = []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


CHANGES: dict[str, Callable[[Files, Files, Random], Changed]] = {
    "json": change_json, "bytes": change_bytes, "swap": swap_files,
    "table": change_table, "text": change_text, "key": change_key, "stamp": change_stamps,
}  # fmt: skip
