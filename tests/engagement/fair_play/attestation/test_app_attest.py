"""App Attest, with attestation objects of a fake Apple and with bytes that are none."""

import base64
import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from engagement.clock import now_ms
from engagement.fair_play.attestation.app_attest import APPLE, AppAttest, _parse
from engagement.fair_play.attestation.shape import NotVouched
from tests.devices import APP, Apple, written

NOW = now_ms()
FAKE = Apple(NOW)
SERVICE = AppAttest("iphone", APP, FAKE.root)
CHALLENGE = "a challenge"
GOOD = FAKE.attest(CHALLENGE)


def refusal(token: str, challenge: str = CHALLENGE, now: int = NOW) -> str:
    with pytest.raises(NotVouched) as caught:
        SERVICE.vouch(token, challenge, now)
    return str(caught.value)


def test_a_device_is_vouched_for_with_the_challenge_that_it_got() -> None:
    SERVICE.vouch(written(GOOD), CHALLENGE, NOW)
    assert "another challenge" in refusal(written(GOOD), "another one")


def test_the_root_is_apples_own() -> None:
    """Its SHA-256 is the one that Apple's certificate has in every public copy; it signs itself."""
    digest = hashlib.sha256(APPLE.public_bytes(Encoding.DER)).hexdigest()
    assert digest == "1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932"
    APPLE.verify_directly_issued_by(APPLE)
    with pytest.raises(NotVouched, match="do not lead to Apple's root"):
        AppAttest("iphone", APP, APPLE).vouch(written(GOOD), CHALLENGE, NOW)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"app": "ABCDE12345.com.example.other"}, "another app's"),
        ({"aaguid": b"appattestdevelop"}, "sandbox"),
        ({"aaguid": bytes(16)}, "none of App Attest"),
        ({"counter": 1}, "counter is 0"),
        ({"credential": bytes(32)}, "another key"),
        ({"days": (-4, -1)}, "not valid now"),
        ({"days": (1, 3)}, "not valid now"),
        ({"format_": "apple"}, "the format apple-appattest"),
        ({"format_": "none"}, "the format apple-appattest"),
        ({"without_nonce": True}, "expected an attestation object"),
    ],
)
def test_what_apple_would_not_have_said_here_is_named(changed: dict[str, Any], text: str) -> None:
    assert text in refusal(written(FAKE.attest(CHALLENGE, **changed)))


def with_chain(chain: Any) -> str:
    return written({**GOOD, "attStmt": {**GOOD["attStmt"], "x5c": chain}})


def test_another_chain_is_refused() -> None:
    other, chain = Apple(NOW), GOOD["attStmt"]["x5c"]
    assert "Apple's root" in refusal(written(other.attest(CHALLENGE)))
    assert "Apple's root" in refusal(with_chain(chain[:1]))
    assert "Apple's root" in refusal(with_chain([chain[0], other.between.public_bytes(Encoding.DER)]))
    assert "expected an attestation object" in refusal(with_chain(chain[::-1])), "an authority is no device"
    device_as_authority = FAKE.attest(CHALLENGE)["attStmt"]["x5c"][0]
    assert "Apple's root" in refusal(with_chain([chain[0], device_as_authority]))
    tampered = bytearray(chain[0])
    tampered[-1] ^= 1
    assert "Apple's root" in refusal(with_chain([bytes(tampered), chain[1]]))


def test_a_key_of_another_kind_is_no_device() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    leaf = x509.load_der_x509_certificate(GOOD["attStmt"]["x5c"][0])
    builder = x509.CertificateBuilder(leaf.issuer, leaf.subject, key.public_key(), leaf.serial_number)
    builder = builder.not_valid_before(leaf.not_valid_before_utc).not_valid_after(leaf.not_valid_after_utc)
    for extension in leaf.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(key, None).public_bytes(Encoding.DER)
    assert "expected an attestation object" in refusal(with_chain([signed, GOOD["attStmt"]["x5c"][1]]))


def raw(content: bytes) -> str:
    return base64.b64encode(content).decode()


BROKEN = {
    "nothing": "",
    "no base64": "not base64!",
    "no ASCII": "é" * 10,
    "cut base64": written(GOOD)[:-1],
    "cut CBOR": raw(cbor.encode(GOOD)[:-200]),
    "more behind it": raw(cbor.encode(GOOD) + bytes(3)),
    "a number": written(7),
    "a list": written([]),
    "an empty map": written({}),
    "a number as statement": written({**GOOD, "attStmt": 7}),
    "no certificates": with_chain([]),
    "a map of certificates": with_chain({}),
    "a number as certificate": with_chain([7]),
    "no certificate": with_chain([b"x"]),
    "six certificates": with_chain(GOOD["attStmt"]["x5c"] * 3),
    "a text as data": written({**GOOD, "authData": "text"}),
    "cut data": written({**GOOD, "authData": GOOD["authData"][:100]}),
    "more behind the data": written({**GOOD, "authData": GOOD["authData"] + bytes(1)}),
    "deep lists": raw(b"\x81" * 8_000),
    "deep maps": raw(b"\xa1" * 8_000),
    "a list of 2**64": raw(b"\x9b" + b"\xff" * 8),
    "bytes of 2**64": raw(b"\x5b" + b"\xff" * 8),
    "a tag": raw(b"\xd9\xd9\xf7\xa0"),
    "a list as key": raw(b"\xa1\x80\x01"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bytes_that_are_no_attestation_object_are_named_and_nothing_else(name: str) -> None:
    assert refusal(BROKEN[name]) == "expected an attestation object of App Attest in base64"


def test_an_object_without_a_key_is_refused() -> None:
    assert "another challenge" in refusal(written({**GOOD, "authData": bytes(37)}))


@given(st.data())
def test_nothing_but_what_apple_has_signed_is_vouched_for(data: st.DataObject) -> None:
    """Another byte may write the same down in another way; it says nothing else then."""
    content = bytearray(cbor.encode({**GOOD, "attStmt": {"x5c": GOOD["attStmt"]["x5c"]}}))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    token = raw(bytes(content[: data.draw(st.sampled_from([len(content), place + 1]))]))
    try:
        SERVICE.vouch(token, CHALLENGE, NOW)
    except NotVouched:
        return
    parts = _parse(token)
    assert parts.authenticator == GOOD["authData"]
    assert parts.leaf.public_bytes(Encoding.DER) == GOOD["attStmt"]["x5c"][0]


@given(st.binary(max_size=200))
def test_garbage_is_refused(content: bytes) -> None:
    refusal(raw(content))
