"""What a forger may do to a time stamp: its DER is taken apart, changed somewhere and put together again."""

import base64
import copy
import json
from random import Random
from typing import Any

from engagement.core.digests import canonical_json
from prizes import verify_draw as verifier
from tests.prizes.stamp_maker import value

Node = list[Any]  # tag, and bytes or a list of nodes


def take_apart(data: bytes) -> list[Node]:
    """All values in these bytes, and what is in them; also in OCTET STRINGs that hold a value."""
    nodes, at = [], 0
    while at < len(data):
        row = verifier.read_der(data, at)
        at += len(row.whole)
        nodes.append([row.tag, _inside(row)])
    return nodes


def _inside(row: verifier.Der) -> Any:
    if row.tag & 0x20 or (row.tag == verifier.OCTETS and row.body[:1] == b"\x30"):
        try:
            return take_apart(row.body)
        except verifier.Wrong:
            return row.body
    return row.body


def put_together(nodes: list[Node]) -> bytes:
    parts = (body if isinstance(body, bytes) else put_together(body) for _, body in nodes)
    return b"".join(value(tag, body) for (tag, _), body in zip(nodes, parts, strict=True))


def places(nodes: list[Node]) -> list[tuple[list[Node], int]]:
    """Where every node stands."""
    found = []
    for at, (_, body) in enumerate(nodes):
        found.append((nodes, at))
        if isinstance(body, list):
            found += places(body)
    return found


def change_tree(token: bytes, foreign: bytes, random: Random) -> tuple[bytes, str]:
    nodes, others = take_apart(token), take_apart(foreign)
    done = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        siblings, at = random.choice(places(nodes))
        how = random.choice(("flip", "flip", "flip", "drop", "double", "borrow", "tag", "shuffle"))
        done.append(f"{how} {siblings[at][0]:#x}")
        CHANGES[how](siblings, at, others, random)
        if not nodes:
            break
    return put_together(nodes), ", ".join(done)


def flip(siblings: list[Node], at: int, others: list[Node], random: Random) -> None:
    body = siblings[at][1]
    data = bytearray(body if isinstance(body, bytes) else put_together(body))
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    siblings[at][1] = bytes(data)


def drop(siblings: list[Node], at: int, others: list[Node], random: Random) -> None:
    del siblings[at]


def double(siblings: list[Node], at: int, others: list[Node], random: Random) -> None:
    siblings.insert(at, copy.deepcopy(siblings[at]))


def borrow(siblings: list[Node], at: int, others: list[Node], random: Random) -> None:
    """One of the same kind from the other token."""
    found = [rows[place] for rows, place in places(others) if rows[place][0] == siblings[at][0]]
    siblings[at] = copy.deepcopy(random.choice(found or [siblings[at]]))


def change_tag(siblings: list[Node], at: int, others: list[Node], random: Random) -> None:
    siblings[at][0] = random.choice((2, 4, 5, 0x30, 0x31, 0xA0, 0x80, siblings[at][0] ^ 0x20))


def shuffle(siblings: list[Node], at: int, others: list[Node], random: Random) -> None:
    random.shuffle(siblings)


CHANGES = {
    "flip": flip, "drop": drop, "double": double, "borrow": borrow, "tag": change_tag, "shuffle": shuffle,
}  # fmt: skip


def change_stamp(own: bytes, other: bytes, forged: list[bytes], random: Random) -> tuple[bytes, str]:
    """A record with one of its stamps changed; `forged` are tokens that a stranger has made in the same names."""
    record, foreign = json.loads(own), json.loads(other)
    row, there = random.choice(record["log"]["stamps"]), random.choice(foreign["log"]["stamps"])
    token, twin = (base64.b64decode(stamp["token"]) for stamp in (row, there))
    how = random.choice(("tree", "tree", "tree", "bytes", "swap", "forge", "certificate", "remove"))
    what = how
    if how == "tree":
        token, what = change_tree(token, twin, random)
    elif how == "bytes":
        at = random.randrange(len(token))
        token = token[:at] + random.choice((b"", b"\0", b"\xff\xff", token[:40])) + token[at + 1 :]
    elif how == "swap":
        token = twin
    elif how == "forge":
        token = random.choice(forged)
    elif how == "certificate":
        row["certificate"] = random.choice((there["certificate"], row["token"], ""))
    else:
        record["log"]["stamps"].remove(row)
    row["token"] = base64.b64encode(token).decode()
    return canonical_json(record), what
