"""What witnesses sign: C2SP tlog-cosignature v1 with Ed25519, and the request of tlog-witness (docs/ledger.md).

The formats are those of https://c2sp.org/tlog-cosignature and https://c2sp.org/tlog-witness. "Quoted" lines are from
there.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engagement.ledger.core.checkpoints import (
    ID_BYTES,
    KEY_BYTES,
    SIGNATURE_BYTES,
    check_name,
    decode_base64,
    is_signed,
    parse_signature,
)

COSIGNATURE = b"\x04"  # "0x04 — Timestamped Ed25519 checkpoint cosignatures"
TIME_BYTES = 8
LAST_TIME = 2**63 - 1  # "It MUST NOT exceed 2^63 - 1"


class WitnessKey(NamedTuple):
    """Who may cosign: the name in the signature line, and the 32 bytes of an Ed25519 public key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The 4 bytes before each signature: "SHA-256(<name> || 0x0A || 0x04 || public key)[:4]".

        >>> WitnessKey("example.com/w", bytes(32)).key_id.hex()
        'b0f2fc9a'
        """
        return hashlib.sha256(self.name.encode() + b"\n" + COSIGNATURE + self.public).digest()[:ID_BYTES]


class Cosigned(NamedTuple):
    """A cosignature that holds: the witness's name, the time on its clock in POSIX seconds, the line with newline."""

    name: str
    time: int
    line: str


def format_witness_key(key: WitnessKey) -> str:
    """Return the key as one word, "name+hexid+base64(0x04||key)".

    >>> format_witness_key(WitnessKey("w", bytes(32)))
    'w+680f52bc+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return f"{key.name}+{key.key_id.hex()}+{base64.b64encode(COSIGNATURE + key.public).decode()}"


def parse_witness_key(text: str) -> WitnessKey:
    """The inverse of `format_witness_key`; ValueError for every other form, keys of logs included.

    >>> parse_witness_key("w+680f52bc+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").name
    'w'
    >>> parse_witness_key("w+6986284b+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    Traceback (most recent call last):
    ...
    ValueError: expected the key of a witness, name+id+base64 of 0x04 and Ed25519
    """
    name, _, rest = text.partition("+")
    try:
        key = WitnessKey(check_name(name), decode_base64(rest.partition("+")[2])[1:])
        if len(key.public) == KEY_BYTES and format_witness_key(key) == text:
            return key
    except ValueError:
        pass
    raise ValueError("expected the key of a witness, name+id+base64 of 0x04 and Ed25519")


def cosigned_message(text: str, time: int) -> bytes:
    """Return what a witness signs: "one header line and one timestamp line", and "the whole note body".

    `text` is the checkpoint with its last newline, `time` POSIX seconds.

    >>> cosigned_message("example.com/log\\n3\\nAAAA\\n", 1679315147)
    b'cosignature/v1\\ntime 1679315147\\nexample.com/log\\n3\\nAAAA\\n'
    """
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def read_cosignature(line: str, text: str, key: WitnessKey) -> Cosigned:
    """Return what the line of this key says of the checkpoint `text`; ValueError where it does not hold.

    The bytes of the line are the key's id, "timestamp" as 8 bytes "in big-endian order", and the signature.
    """
    name, key_id, raw = parse_signature(line.removesuffix("\n"))
    time = int.from_bytes(raw[:TIME_BYTES], "big")
    if (name, key_id) != (key.name, key.key_id):
        raise ValueError(
            f"expected a cosignature of {key.name}+{key.key_id.hex()}, got {name}+{key_id.hex()}"
        )
    is_whole = len(raw) == TIME_BYTES + SIGNATURE_BYTES and 0 < time <= LAST_TIME
    if not is_whole or not is_signed(key.public, raw[TIME_BYTES:], cosigned_message(text, time)):
        raise ValueError(f"the cosignature of {key.name} is not over this checkpoint")
    return Cosigned(name, time, line.removesuffix("\n") + "\n")


def find_cosignature(answer: str, text: str, key: WitnessKey) -> Cosigned:
    """Return the cosignature of this key in a witness's answer, "a sequence of one or more note signature lines".

    ValueError where there is none, and where one that has its name and id does not hold. "The client MUST ignore any
    cosignatures from unknown keys."
    """
    lines = answer.removesuffix("\n").split("\n")
    mine = [line for line in lines if parse_signature(line)[:2] == (key.name, key.key_id)]
    if not mine:
        raise ValueError(f"expected a cosignature of {key.name}+{key.key_id.hex()}, got none")
    first, *_ = [read_cosignature(line, text, key) for line in mine]
    return first


def add_lines(note: str, lines: Iterable[str]) -> str:
    """Return the signed note with more signature lines below those that it has.

    >>> add_lines("text\\n\\n— a AAAAAAA=\\n", ["— b AAAAAAA=\\n"])
    'text\\n\\n— a AAAAAAA=\\n— b AAAAAAA=\\n'
    """
    return note + "".join(lines)


def format_request(old: int, proof: Sequence[bytes], note: str) -> str:
    """Return the body of `add-checkpoint`: "an old size line, zero or more consistency proof lines, an empty line",
    and the signed note. The proof is of RFC 9162 from `old` entries to those of the note; empty from 0.

    >>> format_request(3, [bytes(32)], "note\\n")
    'old 3\\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\\n\\nnote\\n'
    """
    lines = "".join(base64.b64encode(node).decode() + "\n" for node in proof)
    return f"old {old}\n{lines}\n{note}"


def text_of(note: str) -> str:
    """Return the text that a signed note is over, with its last newline; it is not verified here.

    >>> text_of("text\\n\\n— a AAAAAAA=\\n")
    'text\\n'
    """
    return note.rpartition("\n\n")[0] + "\n"
