"""Tokens as no time stamper of OpenSSL's makes them: with any certificate, time and attribute."""

import base64
import datetime
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import Certificate

from engagement.clock import from_ms
from prizes import verify_draw as verifier
from prizes.models import Draw, Stamp, known
from tests.prizes.tsa import HASHES, Authority, der

Attributes = dict[str, bytes]
DIGESTS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
    "sha1": "1.3.14.3.2.26",
}
EC_SIGNATURES = {
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
STAMP_INFO, SIGNED_DATA = "1.2.840.113549.1.9.16.1.4", "1.2.840.113549.1.7.2"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SIGNING_V2 = "1.2.840.113549.1.9.16.2.47"


def value(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(size)]) + size + body


def integer(number: int) -> bytes:
    return value(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def named(text: str) -> bytes:
    first, second, *arcs = map(int, text.split("."))
    found = bytearray()
    for arc in (40 * first + second, *arcs):
        groups = [arc & 127]
        while arc := arc >> 7:
            groups.insert(0, arc & 127 | 128)
        found += bytes(groups)
    return value(6, bytes(found))


def algorithm(text: str, *given: bytes) -> bytes:
    return value(0x30, named(text), *given)


def time_text(at: datetime.datetime) -> bytes:
    return value(0x18, at.strftime("%Y%m%d%H%M%SZ").encode())


def stamp_info(
    seal: str, at: datetime.datetime, *more: bytes, digest: str = "sha256", nonce: int | None = None
) -> bytes:
    """TSTInfo; `more` comes between time and nonce."""
    imprint = value(0x30, algorithm(DIGESTS[digest], b"\5\0"), value(4, bytes.fromhex(seal)))
    numbers = [] if nonce is None else [integer(nonce)]
    return value(0x30, integer(1), named("1.2.3.4.1"), imprint, integer(7), time_text(at), *more, *numbers)


def attribute(name: str, *values: bytes) -> bytes:
    return value(0x30, named(name), value(0x31, *values))


def usual_attributes(content: bytes, signer: Certificate, digest: str) -> Attributes:
    told = value(0x30, value(0x30, value(0x30, value(4, hashlib.sha256(der(signer)).digest()))))
    return {
        CONTENT_TYPE: attribute(CONTENT_TYPE, named(STAMP_INFO)),
        MESSAGE_DIGEST: attribute(MESSAGE_DIGEST, value(4, hashlib.new(digest, content).digest())),
        SIGNING_V2: attribute(SIGNING_V2, told),
    }


def make_token(
    content: bytes,
    signer: Certificate,
    key: Any,
    certificates: Sequence[bytes],
    *,
    digest: str = "sha256",
    change: Callable[[Attributes], object] = lambda attributes: None,
    signers: int = 1,
    kind: str = STAMP_INFO,
) -> bytes:
    """A token over this content, by a signer with this key; `change` alters the attributes before they are signed."""
    attributes = usual_attributes(content, signer, digest)
    change(attributes)
    listed = b"".join(sorted(attributes.values()))
    issuer = value(0x30, signer.issuer.public_bytes(), integer(signer.serial_number))
    how = algorithm(DIGESTS[digest], b"\5\0")
    method, signature = sign(key, value(0x31, listed), digest)
    row = value(0x30, integer(1), issuer, how, value(0xA0, listed), method, value(4, signature))
    signed = value(
        0x30,
        integer(3),
        value(0x31, how),
        value(0x30, named(kind), value(0xA0, value(4, content))),
        value(0xA0, *sorted(certificates)),
        value(0x31, *[row] * signers),
    )
    return value(0x30, named(SIGNED_DATA), value(0xA0, signed))


def sign(key: Any, message: bytes, digest: str) -> tuple[bytes, bytes]:
    """The algorithm, and the signature."""
    if isinstance(key, rsa.RSAPrivateKey):
        signed = key.sign(message, padding.PKCS1v15(), HASHES[digest])
        return algorithm("1.2.840.113549.1.1.1", b"\5\0"), signed
    return algorithm(EC_SIGNATURES[digest]), key.sign(message, ec.ECDSA(HASHES[digest]))


def stamp_draw(draw: Draw, made: Authority, name: str = "tsa.example", *, late_s: int = 0) -> Stamp:
    """As a time stamper does it that is asked in the second of the seal, or so many seconds later."""
    at = from_ms(known(draw.sealed_at_ms) // 1000 * 1000 + late_s * 1000)
    token = make_token(stamp_info(draw.seal, at), made.signer, made.key, made.certificates)
    at_ms = verifier.check_token(token, made.anchor, bytes.fromhex(draw.seal))
    certificate, packed = (base64.b64encode(data).decode() for data in (made.anchor, token))
    return Stamp.objects.create(draw=draw, stamper=name, certificate=certificate, token=packed, at_ms=at_ms)


def make_answer(token: bytes) -> bytes:
    return value(0x30, value(0x30, integer(0)), token)
