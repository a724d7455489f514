"""The rounds of drand (docs/draw.md, section 5). With prizes/errands.py the only module that opens
connections to the outside.

No source is trusted: every signature is verified here, against the public key that the chain's hash fixes.
"""

import hashlib
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from py_arkworks_bls12381 import GT, G1Point, G2Point

from prizes.core.digests import QUICKNET_CHAIN, QUICKNET_GENESIS, QUICKNET_PERIOD

log = logging.getLogger(__name__)

RELAY_S = 2  # the longest that one relay is waited for, from the look-up of its name to the last byte
MAX_ANSWER = 16 * 1024  # bytes; an answer has about 300
NOT_YET = (404, 425)  # what relays answer before a round exists
SIGNATURE_HEX = 96
HEX = frozenset("0123456789abcdef")

# drand's quicknet: what the hash of the chain is made of (BLS signatures on G1, RFC 9380).
QUICKNET_PUBLIC_KEY = (
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc2"
    "2b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
)
QUICKNET_GROUP = "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e"
HASH_TO_G1 = (
    b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"  # the suite of RFC 9380 under which quicknet signs
)


class BadSignature(ValueError):
    """What was offered is not the signature of the round; the text says what was expected and what came."""


class Fetched(NamedTuple):
    """What all sources said: the verified signature, or None; and what was wrong with those that were asked."""

    signature: bytes | None
    troubles: list[str]


# --- what is taken ---


def chain_hash() -> bytes:
    """The hash of the chain, from the public key that signatures are checked against."""
    numbers = QUICKNET_PERIOD.to_bytes(4, "big") + QUICKNET_GENESIS.to_bytes(8, "big")
    keys = bytes.fromhex(QUICKNET_PUBLIC_KEY) + bytes.fromhex(QUICKNET_GROUP)
    return hashlib.sha256(numbers + keys + b"quicknet").digest()


if (
    chain_hash() != QUICKNET_CHAIN
):  # the rules name the chain: with another key, we would check another promise
    raise RuntimeError(f"quicknet's key: expected the chain {QUICKNET_CHAIN.hex()}, got {chain_hash().hex()}")


def check_signature(round_number: int, signature: str) -> bytes:
    """The 48 bytes of a round's signature in hex, verified; raises BadSignature."""
    digits = signature.strip().lower()
    if len(digits) != SIGNATURE_HEX or not set(digits) <= HEX:
        raise BadSignature(
            f"expected a signature of {SIGNATURE_HEX} hex digits, got {len(digits)} characters"
        )
    if not _is_signed(round_number, bytes.fromhex(digits)):
        raise BadSignature(f"the signature {digits[:16]}… is not quicknet's for round {round_number}")
    return bytes.fromhex(digits)


def _is_signed(round_number: int, signature: bytes) -> bool:
    """Whether e(signature, g2) = e(H(round), key), and these bytes are the only ones for that point of the group."""
    try:
        message = hashlib.sha256(round_number.to_bytes(8, "big")).digest()
        point = G1Point.from_compressed_bytes(signature)  # on the curve, and of the prime order
    except (ValueError, OverflowError):
        return False
    key = G2Point.from_compressed_bytes(bytes.fromhex(QUICKNET_PUBLIC_KEY))
    hashed = G1Point.hash_to_curve(message, HASH_TO_G1)
    is_unique = point.to_compressed_bytes() == signature
    return is_unique and GT.pairing_check([point, -hashed], [G2Point(), key])


def read_pasted(round_number: int, typed: str) -> bytes:
    """The verified signature of a round, as hex or as the whole JSON of a relay; raises BadSignature."""
    text = typed.strip()
    if not text.startswith("{"):
        return check_signature(round_number, text)
    try:
        return _read_row(round_number, json.loads(text))
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadSignature):
            raise
        raise BadSignature("expected the hex digits of a signature, or the JSON of a relay") from None


def _read_row(round_number: int, row: Any) -> bytes:
    """The verified signature in one answer of drand's API."""
    if not isinstance(row, dict) or not isinstance(row.get("signature"), str):
        raise BadSignature("expected an object with round and signature")
    if row.get("round", round_number) != round_number:
        raise BadSignature(f"expected round {round_number}, got round {str(row['round'])[:20]}")
    return check_signature(round_number, row["signature"])


# --- the sources ---


def fetch_round(round_number: int) -> Fetched:
    """Asks every source once, in order: the file of rounds, then the relays. The first that verifies is taken."""
    troubles = []
    for name, ask in _sources():
        try:
            signature = ask(round_number)
        except (OSError, ValueError, RecursionError) as error:
            troubles.append(f"{name}: {error}")
            log.warning("drand round %s: %s: %s", round_number, name, error)
            continue
        if signature is not None:
            return Fetched(signature, troubles)
    return Fetched(None, troubles)


def known_rounds(rounds: Iterable[int]) -> set[int]:
    """Those of these rounds that a relay has already; all relays are asked for all of them at the same time."""
    asked = [(base, number) for base in settings.DRAND_RELAYS for number in set(rounds)]
    if not asked:
        return set()

    def ask(base: str, number: int) -> int | None:
        try:
            return number if _ask_in_time(base, number) is not None else None
        except (OSError, ValueError, RecursionError) as error:
            log.warning("drand round %s: %s: %s", number, urlsplit(base).netloc, error)
            return None

    with ThreadPoolExecutor(len(asked)) as pool:
        found = pool.map(lambda one: ask(*one), asked)
        return {number for number in found if number is not None}


def _sources() -> Iterator[tuple[str, Callable[[int], bytes | None]]]:
    if settings.DRAND_ROUNDS_FILE:
        path = Path(settings.DRAND_ROUNDS_FILE)
        yield path.name, partial(_read_file, path)
    for base in settings.DRAND_RELAYS:
        yield urlsplit(base).netloc, partial(_ask_in_time, base)


def _read_file(path: Path, round_number: int) -> bytes | None:
    """A document with "rounds", or one object per line as relays give them; None while the round is not in it."""
    text = path.read_text(encoding="utf-8")
    rows = _rows_of(text)
    offered = [row for row in rows if isinstance(row, dict) and row.get("round") == round_number]
    wrong: BadSignature | None = None
    for row in offered:
        try:
            return _read_row(round_number, row)
        except BadSignature as error:
            wrong = error
    if wrong:
        raise wrong
    return None


def _rows_of(text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        return [row for line in text.splitlines() if (row := _parse_line(line)) is not None]
    rows = whole.get("rounds", [whole]) if isinstance(whole, dict) else whole
    return rows if isinstance(rows, list) else []


def _parse_line(line: str) -> Any:
    """One line; None for an empty one, and for one that is only half written."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _ask_in_time(base: str, round_number: int) -> bytes | None:
    """What a relay says within its time. In a thread of its own, because neither the look-up of a name nor an answer
    that comes byte by byte keeps to the timeout of a socket."""
    answers: SimpleQueue[bytes | Exception | None] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_ask_relay(base, round_number))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="drand relay", daemon=True).start()
    try:
        answer = answers.get(timeout=RELAY_S)
    except Empty:
        raise TimeoutError(f"no answer within {RELAY_S} s") from None
    if isinstance(answer, Exception):
        raise answer if isinstance(answer, OSError | ValueError) else OSError(f"no HTTP: {answer!r}")
    return answer


def _ask_relay(base: str, round_number: int) -> bytes | None:
    address = f"{base.rstrip('/')}/{QUICKNET_CHAIN.hex()}/public/{round_number}"
    request = urllib.request.Request(address, headers={"Accept": "application/json"})
    try:
        with _opener().open(request, timeout=RELAY_S) as answer:
            body = answer.read(MAX_ANSWER + 1)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in NOT_YET:
            return None
        raise OSError(f"answers {error.code}") from None
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from None
    if len(body) > MAX_ANSWER:
        raise OSError(f"answers more than {MAX_ANSWER} bytes")
    return read_pasted(round_number, body.decode("utf-8", "replace"))


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A relay answers itself, or it does not answer."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    # Without proxies: what http_proxy says on a studio's machine is meant for other things.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _StayHere)
