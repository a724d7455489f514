"""The setting PASS_ATTESTATION: what it may say, and what is wrong with it."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engagement.fair_play.attestation.app_attest import APPLE, AppAttest
from engagement.fair_play.attestation.play_integrity import PlayIntegrity
from engagement.fair_play.attestation.reading import BadService, read_services
from engagement.fair_play.attestation.siteverify import Siteverify
from tests.devices import APP, PACKAGE, Play

PLAY = Play()
OPENING, CHECKING = PLAY.words
LARGE = ec.generate_private_key(ec.SECP384R1()).public_key()
ANOTHER_CURVE = base64.b64encode(LARGE.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def test_each_form_is_read() -> None:
    found = read_services(
        (
            ("turnstile", "https://vouch.example/siteverify", "a-secret"),
            ("iphone", "app-attest", APP),
            ("android", "play-integrity", PACKAGE, OPENING, CHECKING),
        )
    )
    assert list(found) == ["turnstile", "iphone", "android"]
    assert found["turnstile"] == Siteverify("turnstile", "https://vouch.example/siteverify", "a-secret")
    assert found["iphone"] == AppAttest("iphone", APP, APPLE)
    android = found["android"]
    assert isinstance(android, PlayIntegrity) and android.package == PACKAGE
    assert android.decryption.raw_value == PLAY.decryption.raw_value
    assert [service.needs_challenge for service in found.values()] == [False, True, True]
    assert [service.threads for service in found.values()] == [8, 1, 1], "work here goes no faster with more"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("turnstile", "`name https://address secret`"),
        ("turnstile ftp://vouch.example s3cret", "`name https://address secret`"),
        ("turnstile https://vouch.example s3cret more", "`name https://address secret`"),
        ("iphone app-attest", "`name app-attest TEAM.bundle`"),
        ("iphone app-attest com.example.app", "ten characters of a team"),
        ("iphone app-attest abcde12345.com.example.app", "ten characters of a team"),
        ("iphone app-attest ABCDE12345.", "ten characters of a team"),
        ("android play-integrity com.example.app", "`name play-integrity package"),
        ("android play-integrity app OPENING CHECKING", "the name of a package"),
        ("android play-integrity com.example.app s3cret CHECKING", "a decryption key"),
        ("android play-integrity com.example.app CHECKING OPENING", "a decryption key"),
        ("android play-integrity com.example.app OPENING s3cret", "a verification key"),
        ("android play-integrity com.example.app OPENING OPENING", "a verification key"),
        ("android play-integrity com.example.app OPENING CURVE", "a verification key"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_is_told(line: str, expected: str) -> None:
    keys = {"OPENING": OPENING, "CHECKING": CHECKING, "CURVE": ANOTHER_CURVE}
    with pytest.raises(BadService) as caught:
        read_services((tuple(keys.get(word, word) for word in line.split()),))
    text = str(caught.value)
    assert expected in text and "s3cret" not in text and OPENING not in text


def test_two_services_of_one_name_are_refused() -> None:
    with pytest.raises(BadService, match="'iphone' twice"):
        read_services((("iphone", "app-attest", APP), ("iphone", "app-attest", APP)))
