"""The largest blocks and the hints, against the plainest count of them."""

import hashlib
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from engagement.fair_play.core.origins import NO_BLOCK, Origin, parse_origin
from prizes.core.roll import pack_entry, pack_total
from prizes.engine import blocks, find_hints, largest_blocks
from prizes.engine.blocks import Alike, Block

Guests = dict[bytes, tuple[Origin | None, int]]


def block(number: int) -> bytes:
    """Some end with zeros, which numpy takes for the end of a text."""
    return hashlib.sha256(f"block {number}".encode()).digest()[:6] + (b"\0\0" if number % 2 else b"ab")


def make_guests(count: int) -> Guests:
    rng, found = Random(5), Guests()
    for number in range(count):
        viewer = hashlib.sha256(f"{number}".encode()).digest()[:14]
        kind = rng.choice(["guest", "work", "code", "attested"])
        where = NO_BLOCK if number % 17 == 0 else block(int(rng.expovariate(0.3)))
        found[viewer] = (
            None if number % 13 == 0 else Origin(kind, rng.choice([0, 0, 0, 3]), where),
            rng.choice([7, 250, rng.randrange(1, 250)]),
        )
    return dict(sorted(found.items()))


def write(folder: Path, guests: Guests, shards: int) -> tuple[list[Path], list[Path]]:
    """Parts of a roll and origins, in so many shards, and both of the whole segment."""
    parts, origins, rows = [], [], list(guests.items())
    for number in range(shards):
        mine = rows[number * len(rows) // shards : (number + 1) * len(rows) // shards]
        parts.append(folder / f"part-{number}")
        origins.append(folder / f"origins-{number}")
        parts[-1].write_bytes(b"".join(pack_entry(viewer, 1) for viewer, _ in mine))
        origins[-1].write_bytes(b"".join(viewer + one.pack() for viewer, (one, _) in mine if one))
    (folder / "totals").write_bytes(b"".join(pack_total(viewer, total) for viewer, (_, total) in rows))
    (folder / "origins").write_bytes(b"".join(path.read_bytes() for path in origins))
    return parts, origins


def counted(guests: Guests, kinds: set[str]) -> Counter[tuple[int, bytes]]:
    known = [one for one, _ in guests.values() if one and one.kind in kinds and one.block != NO_BLOCK]
    return Counter((one.carrier, one.block) for one in known)


@pytest.mark.parametrize("shards", [1, 3])
def test_the_largest_blocks_are_those_with_the_most_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    monkeypatch.setattr("prizes.engine.sharing.CHUNK_ROWS", 50)
    guests = make_guests(700)
    parts, origins = write(tmp_path, guests, shards)
    found = largest_blocks(parts, origins, {1, 2}, 5)
    plain = counted(guests, {"guest", "work"})
    ordered = sorted(plain.items(), key=lambda row: (-row[1], row[0]))[:5]
    assert found == [Block(carrier, where, entries) for (carrier, where), entries in ordered]


def test_blocks_with_one_entry_are_none_of_them(tmp_path: Path) -> None:
    guests: Guests = {bytes([number]) * 14: (Origin("guest", 0, block(number)), 9) for number in range(1, 6)}
    parts, origins = write(tmp_path, guests, 1)
    assert largest_blocks(parts, origins, {1}, 5) == largest_blocks(parts, origins, set(), 5) == []


def test_hints_say_who_is_at_the_clamp_and_whose_totals_are_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CHUNK_ROWS", 50)
    guests = make_guests(700)
    parts, origins = write(tmp_path, guests, 1)
    largest = largest_blocks(parts, origins, {1, 2, 3, 4}, 8)
    hints = find_hints(tmp_path / "totals", tmp_path / "origins", 250, {one.group for one in largest})
    kinds = ["app", "guest", "work", "code", "attested"]
    at_clamp = Counter(
        kinds.index(one.kind if one else "app") for one, total in guests.values() if total == 250
    )
    assert hints.at_clamp == at_clamp
    for one in largest:
        mine = [
            total
            for origin, total in guests.values()
            if origin and (origin.carrier, origin.block) == (one.carrier, one.block)
        ]
        (total, same), *_ = sorted(Counter(mine).items(), key=lambda row: (-row[1], -row[0]))
        assert hints.alike[one.group] == Alike(len(mine), total, same) and len(mine) == one.entries
    assert find_hints(tmp_path / "totals", tmp_path / "origins", 251, set()) == ({}, {})
    assert {parse_origin(b"\1\0" + one.block).block for one in largest}  # all 8 bytes are there
