"""The roll file and the frozen totals beside it, to the byte (docs/draw.md, section 3)."""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAGIC = b"SHKROLL1"
HEADER_BYTES = 64
ENTRY_BYTES = 16
RUN_ENTRIES = 256
RUN_BYTES = RUN_ENTRIES * ENTRY_BYTES
TOTAL_BYTES = 18

_HEADER = struct.Struct(">8sQQ32sHHI")
_ENTRY = struct.Struct(">14sH")
_TOTAL = struct.Struct(">14sI")


class RollHeader(NamedTuple):
    """The header of a roll: number of entries N, sum of tickets W, 32-byte rules digest, Tmax.

    >>> header = RollHeader(entries=2, tickets=5, rules_digest=bytes(32), tmax=10)
    >>> parse_header(header.pack()) == header
    True
    """

    entries: int
    tickets: int
    rules_digest: bytes
    tmax: int

    def pack(self) -> bytes:
        """Return `"SHKROLL1" || BE64 N || BE64 W || rules_digest || BE16 Tmax || BE16 16 || BE32 256`.

        >>> RollHeader(2, 5, bytes(32), 10).pack()[-8:].hex()
        '000a001000000100'
        """
        return _HEADER.pack(
            MAGIC, self.entries, self.tickets, self.rules_digest, self.tmax, ENTRY_BYTES, RUN_ENTRIES
        )


def parse_header(data: bytes) -> RollHeader:
    """Parse the 64 bytes of `RollHeader.pack`; ValueError for another length, magic or layout.

    >>> parse_header(b"PNG")
    Traceback (most recent call last):
    ...
    ValueError: expected a roll header of 64 bytes, got 3
    """
    if len(data) != HEADER_BYTES:
        raise ValueError(f"expected a roll header of {HEADER_BYTES} bytes, got {len(data)}")
    magic, entries, tickets, digest, tmax, entry_bytes, run_entries = _HEADER.unpack(data)
    if magic != MAGIC:
        raise ValueError(f"expected the magic {MAGIC!r}, got {magic!r}")
    if (entry_bytes, run_entries) != (ENTRY_BYTES, RUN_ENTRIES):
        raise ValueError(f"expected entries of 16 bytes in runs of 256, got {entry_bytes} and {run_entries}")
    return RollHeader(entries, tickets, digest, tmax)


def pack_entry(pseudonym: bytes, tickets: int) -> bytes:
    """Return one entry of the roll, `p14 || BE16 tickets`, 16 bytes.

    >>> pack_entry(b"A" * 14, 258)[-3:]
    b'A\\x01\\x02'
    """
    return _ENTRY.pack(_pseudonym(pseudonym), tickets)


def iterate_entries(body: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield `(pseudonym, tickets)` of the bytes after the header; ValueError unless entries are whole.

    >>> list(iterate_entries(pack_entry(b"A" * 14, 3)))
    [(b'AAAAAAAAAAAAAA', 3)]
    """
    if len(body) % ENTRY_BYTES:
        raise ValueError(f"expected whole entries of {ENTRY_BYTES} bytes, got {len(body)} bytes")
    return _ENTRY.iter_unpack(body)


def iterate_runs(body: bytes) -> Iterator[bytes]:
    """Yield the leaves of the roll's tree: runs of 256 entries, 4096 bytes, the last may be short.

    >>> [len(run) for run in iterate_runs(bytes(16 * 257))]
    [4096, 16]
    """
    return (body[start : start + RUN_BYTES] for start in range(0, len(body), RUN_BYTES))


def build_roll(entries: Iterable[tuple[bytes, int]], rules_digest: bytes, tmax: int) -> bytes:
    """Return a whole small roll in memory, header and entries sorted by pseudonym.

    ValueError for a repeated pseudonym or tickets outside 1 .. tmax.

    >>> roll = build_roll([(b"B" * 14, 1), (b"A" * 14, 2)], bytes(32), 10)
    >>> parse_header(roll[:64]).tickets, roll[64:66]
    (3, b'AA')
    """
    ordered = sorted(entries)
    if len({pseudonym for pseudonym, _ in ordered}) != len(ordered):
        raise ValueError("expected each pseudonym once, got one twice")
    for _, tickets in ordered:
        if not 1 <= tickets <= tmax:
            raise ValueError(f"expected tickets of 1 .. {tmax}, got {tickets}")
    header = RollHeader(len(ordered), sum(tickets for _, tickets in ordered), rules_digest, tmax)
    return header.pack() + b"".join(pack_entry(*entry) for entry in ordered)


def pack_total(pseudonym: bytes, total: int) -> bytes:
    """Return one row of the frozen totals, `p14 || BE32 total`, 18 bytes.

    >>> pack_total(b"A" * 14, 513)[-5:]
    b'A\\x00\\x00\\x02\\x01'
    """
    return _TOTAL.pack(_pseudonym(pseudonym), total)


def iterate_totals(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield `(pseudonym, total)` of frozen totals; ValueError unless whole rows of 18 bytes.

    >>> list(iterate_totals(pack_total(b"A" * 14, 77)))
    [(b'AAAAAAAAAAAAAA', 77)]
    """
    if len(data) % TOTAL_BYTES:
        raise ValueError(f"expected whole rows of {TOTAL_BYTES} bytes, got {len(data)} bytes")
    return _TOTAL.iter_unpack(data)


def _pseudonym(pseudonym: bytes) -> bytes:
    if len(pseudonym) != 14:  # struct would cut or pad it silently
        raise ValueError(f"expected a pseudonym of 14 bytes, got {len(pseudonym)}")
    return pseudonym
