"""Checkpoints of a ledger as text: C2SP tlog-checkpoint in a signed note (docs/ledger.md).

The formats are those of https://c2sp.org/tlog-checkpoint and https://c2sp.org/signed-note, so that the tools of
transparency logs, and their witnesses, can read what we sign. "Quoted" lines are from there.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"  # "0x01 - Ed25519 signatures as specified by this document."
DASH = "— "  # "em dash (U+2014), space (U+0020)"
KEY_BYTES, SIGNATURE_BYTES, ROOT_BYTES, ID_BYTES = 32, 64, 32, 4
LONGEST_NOTE = 1_000_000  # "Verifiers SHOULD apply a maximum limit ... to the overall size of a note"


class VerifierKey(NamedTuple):
    """Who may sign: the name in the signature line, and the 32 bytes of an Ed25519 public key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The 4 bytes before each signature: "SHA-256(key name || 0x0A || signature type || public key)[:4]".

        >>> parse_vkey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").key_id.hex()
        'c74f20a3'
        """
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:ID_BYTES]


class Checkpoint(NamedTuple):
    """What is signed: which ledger (a name without line breaks), how many entries, the 32-byte root over them."""

    origin: str
    size: int
    root: bytes


def verifier_key(name: str, seed: bytes) -> VerifierKey:
    """Return the public half of the Ed25519 key with this 32-byte seed (RFC 8032, "private key").

    ValueError for a name that no signature line can hold, and for a seed of another length.

    >>> format_vkey(verifier_key("example.com/log", bytes(32)))
    'example.com/log+1dde4531+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
    """
    return VerifierKey(
        check_name(name), Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    )


def format_vkey(key: VerifierKey) -> str:
    """Return the key as one word, "name+hexid+base64(0x01||key)", as golang.org/x/mod/sumdb/note reads it.

    >>> format_vkey(VerifierKey("n", bytes(32)))
    'n+6986284b+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    return f"{key.name}+{key.key_id.hex()}+{base64.b64encode(ED25519 + key.public).decode()}"


def parse_vkey(text: str) -> VerifierKey:
    """The inverse of `format_vkey`; ValueError for every other form, other kinds of keys included.

    >>> parse_vkey("n+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    Traceback (most recent call last):
    ...
    ValueError: expected a key as name+id+base64 of Ed25519, got 'n+00000000+AQAAAAAAAAAAAAAAAAAAAAA...'
    """
    name, _, rest = text.partition("+")
    material = rest.partition("+")[2]
    try:
        key = VerifierKey(check_name(name), decode_base64(material)[1:])
        if len(key.public) == KEY_BYTES and format_vkey(key) == text:
            return key
    except ValueError:
        pass
    raise ValueError(f"expected a key as name+id+base64 of Ed25519, got {_begin(text)}")


def format_checkpoint(checkpoint: Checkpoint) -> str:
    r"""Return the text that is signed: "origin", "tree size" and "root hash", each with its newline.

    ValueError where the origin would not be one line, the size is negative or the root has not 32 bytes.

    >>> format_checkpoint(Checkpoint("example.com/log", 3, bytes(32)))
    'example.com/log\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n'
    """
    origin, size, root = checkpoint
    if not origin or not _is_plain(origin) or "\n" in origin or size < 0 or len(root) != ROOT_BYTES:
        raise ValueError(f"expected an origin, a size and a root of {ROOT_BYTES} bytes, got {checkpoint}")
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    r"""The inverse of `format_checkpoint`; ValueError for every other form.

    "Any following lines are extension lines": we sign none, and what is not ours is refused.

    >>> parse_checkpoint("example.com/log\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").size
    3
    >>> parse_checkpoint("example.com/log\n03\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    Traceback (most recent call last):
    ...
    ValueError: expected the lines origin, size and root of a checkpoint, got 'example.com/log\n03\nAAAAAAAAAAAAAAA...'
    """
    lines = text.split("\n")
    try:
        checkpoint = Checkpoint(lines[0], int(lines[1]), decode_base64(lines[2]))
        if format_checkpoint(checkpoint) == text:  # "with no leading zeroes", and no other lines
            return checkpoint
    except (ValueError, IndexError):
        pass
    raise ValueError(f"expected the lines origin, size and root of a checkpoint, got {_begin(text)}")


def sign_note(text: str, name: str, seed: bytes) -> str:
    r"""Return the signed note: the text, an empty line, and a signature line of the key with this name and seed.

    Ed25519 needs no randomness: the same text gives the same note. ValueError for text that is not lines of
    printable characters, and for names as in `verifier_key`.

    >>> print(sign_note("Hello.\n", "example.com/log", bytes(32)), end="")
    Hello.
    <BLANKLINE>
    — example.com/log Hd5FMSpFCRm0qiLvPPhjRoQBTCqugWP7KKsLZWVXncOIOxyG+vjuXqZ7/qCbK4E738PyxYRtkGzQuzKG5VyczEZKYgo=
    """
    key = verifier_key(name, seed)
    if not text.endswith("\n") or not _is_plain(text):
        raise ValueError(f"expected lines of text, got {_begin(text)}")
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(text.encode())
    return f"{text}\n{DASH}{name} {base64.b64encode(key.key_id + signature).decode()}\n"


def open_note(note: str, keys: Iterable[VerifierKey]) -> str:
    r"""Return the text of a note that one of these keys has signed; ValueError says what is wrong with it.

    Lines of other keys (witnesses who co-signed) are left alone; a known key's signature that does not hold spoils
    the note.

    >>> key = verifier_key("example.com/log", bytes(32))
    >>> open_note(sign_note("Hello.\n", "example.com/log", bytes(32)), [key])
    'Hello.\n'
    >>> open_note(sign_note("Hello.\n", "example.com/other", bytes(32)), [key])
    Traceback (most recent call last):
    ...
    ValueError: expected a signature of example.com/log+1dde4531, got example.com/other+ca72f247
    """
    text, lines = _split_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    trusted = [line for line in lines if line[:2] in known]
    for name, key_id, signature in trusted:
        if not is_signed(known[name, key_id].public, signature, text.encode()):
            raise ValueError(
                f"expected a signature of {name} over this text, got one over another or a damaged one"
            )
    if not trusted:
        raise ValueError(
            f"expected a signature of {_signers(known)}, got {_signers(line[:2] for line in lines)}"
        )
    return text


def _signers(names: Iterable[tuple[str, bytes]]) -> str:
    return ", ".join(f"{name}+{key_id.hex()}" for name, key_id in names)


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether the Ed25519 key of 32 bytes has signed the message; anything that is no signature has not.

    >>> is_signed(bytes(32), bytes(64), b"hello")
    False
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text with its last newline, and (name, key id, signature) of each line after "the last empty line"."""
    head, gap, tail = note.rpartition("\n\n")
    if len(note) > LONGEST_NOTE or not gap or not tail.endswith("\n") or not _is_plain(note):
        raise ValueError(f"expected text, an empty line and signatures, got {_begin(note)}")
    return head + "\n", [parse_signature(line) for line in tail[:-1].split("\n")]


def parse_signature(line: str) -> tuple[str, bytes, bytes]:
    r"""Return name, key id (4 bytes) and signature of a line without its newline; ValueError for any other.

    >>> parse_signature("— example.com/w Hd5FMSpFCRm0qg==")
    ('example.com/w', b'\x1d\xdeE1', b'*E\t\x19\xb4\xaa')
    """
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    try:
        raw = decode_base64(encoded)
        if line.startswith(DASH) and check_name(name) and len(raw) > ID_BYTES:
            return name, raw[:ID_BYTES], raw[ID_BYTES:]
    except ValueError:
        pass
    raise ValueError(f"expected a signature line, got {_begin(line)}")


def check_name(name: str) -> str:
    """Return the name; ValueError for what cannot be one.

    "Key names MUST be non-empty and MUST NOT contain any Unicode spaces or plus (U+002B) characters."

    >>> check_name("example.com/log")
    'example.com/log'
    """
    if not name or not _is_plain(name) or any(letter.isspace() or letter == "+" for letter in name):
        raise ValueError(f"expected a key name without spaces and plus, got {name!r}")
    return name


def _is_plain(text: str) -> bool:
    """ "MUST be valid UTF-8 and MUST NOT contain any ASCII control characters ... other than newline." """
    return not any((letter < " " and letter != "\n") or "\ud800" <= letter <= "\udfff" for letter in text)


def decode_base64(text: str) -> bytes:
    r"""Return the bytes of standard base64 in its one form; ValueError for every other.

    >>> decode_base64("AAE=")
    b'\x00\x01'
    """
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("expected base64 in its one form")
    return raw


def _begin(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:34]}...")
