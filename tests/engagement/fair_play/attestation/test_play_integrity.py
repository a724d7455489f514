"""Play Integrity, with tokens of a fake Google and with texts that are none."""

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe

from engagement.fair_play.attestation.play_integrity import PlayIntegrity
from engagement.fair_play.attestation.shape import NotVouched
from tests.devices import PACKAGE, Play

NOW = 1_700_000_000_000
FAKE = Play()
SERVICE = PlayIntegrity("android", PACKAGE, FAKE.decryption, FAKE.signing)
CHALLENGE = "a challenge"
GOOD = FAKE.verdict(CHALLENGE, NOW)


def refusal(token: str) -> str:
    with pytest.raises(NotVouched) as caught:
        SERVICE.vouch(token, CHALLENGE, NOW)
    return str(caught.value)


def changed(part: str, **fields: Any) -> str:
    return FAKE.token({**GOOD, part: {**GOOD[part], **fields}})


def test_a_device_is_vouched_for_with_the_challenge_that_it_got() -> None:
    SERVICE.vouch(FAKE.token(GOOD), CHALLENGE, NOW)
    nonce = GOOD["requestDetails"]["nonce"]
    SERVICE.vouch(changed("requestDetails", nonce=f"{nonce}="), CHALLENGE, NOW)
    SERVICE.vouch(changed("requestDetails", nonce="", requestHash=nonce), CHALLENGE, NOW)
    with pytest.raises(NotVouched, match="another challenge"):
        SERVICE.vouch(FAKE.token(GOOD), "another one", NOW)


@pytest.mark.parametrize(
    ("part", "fields", "text"),
    [
        ("requestDetails", {"nonce": ""}, "another challenge"),
        ("requestDetails", {"timestampMillis": str(NOW - 600_001)}, "too old"),
        ("requestDetails", {"timestampMillis": str(NOW + 60_001)}, "from the future"),
        ("requestDetails", {"requestPackageName": "com.example.other"}, "another app's"),
        ("appIntegrity", {"appRecognitionVerdict": "UNRECOGNIZED_VERSION"}, "not as Google Play has it"),
        ("appIntegrity", {"appRecognitionVerdict": "UNEVALUATED"}, "not as Google Play has it"),
        ("appIntegrity", {"packageName": "com.example.other"}, "not as Google Play has it"),
        ("deviceIntegrity", {"deviceRecognitionVerdict": []}, "does not meet"),
        ("deviceIntegrity", {"deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY"]}, "does not meet"),
        ("deviceIntegrity", {"deviceRecognitionVerdict": "MEETS_DEVICE_INTEGRITY"}, "expected a verdict"),
        ("requestDetails", {"timestampMillis": "soon"}, "expected a verdict"),
        ("requestDetails", {"nonce": 7}, "expected a verdict"),
        ("appIntegrity", {"appRecognitionVerdict": None}, "expected a verdict"),
    ],
)
def test_what_google_would_not_have_said_here_is_named(part: str, fields: dict[str, Any], text: str) -> None:
    assert text in refusal(changed(part, **fields))


def test_a_device_that_passes_no_check_is_named() -> None:
    assert "does not meet" in refusal(FAKE.token({**GOOD, "deviceIntegrity": {}}))


@pytest.mark.parametrize(
    "payload", [b"", b"7", b"[]", b"{}", b"[" * 5_000, b"\xff", b'{"requestDetails": 1e400}']
)
def test_a_signed_text_that_is_no_verdict_is_named(payload: bytes) -> None:
    assert refusal(FAKE.token(payload)) == "expected a verdict of Play Integrity in the token"


def test_keys_of_others_and_other_algorithms_are_refused() -> None:
    other, inner = Play(), FAKE.sign(json.dumps(GOOD).encode())
    assert "encrypted for this site" in refusal(other.token(GOOD))
    assert "not signed by Google" in refusal(FAKE.seal(other.sign(json.dumps(GOOD).encode())))
    assert "encrypted for this site" in refusal(inner), "signed only"
    unsigned = (
        base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + "." + inner.split(".")[1] + "."
    )
    assert "not signed by Google" in refusal(FAKE.seal(unsigned))
    head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
    text = f"{head}.{inner.split('.')[1]}"
    made = hmac.digest(FAKE.signing.as_pem(private=False), text.encode(), "sha256")
    confused = f"{text}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"
    assert "not signed by Google" in refusal(FAKE.seal(confused))
    names = ["dir", "A256GCM"]
    direct = jwe.encrypt_compact({"alg": names[0], "enc": names[1]}, inner, FAKE.decryption, algorithms=names)
    assert "encrypted for this site" in refusal(direct)


@pytest.mark.parametrize(
    "token", ["", ".", "....", "a.b.c.d.e", "é.é.é.é.é", "." * 11_000, "W1tb" * 2_500, "x" * 11_000]
)
def test_a_text_that_is_no_token_is_named(token: str) -> None:
    assert refusal(token) == "expected a token of Play Integrity, encrypted for this site"


def test_a_deep_header_is_named() -> None:
    deep = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 7_000).decode().rstrip("=")
    assert "encrypted for this site" in refusal(f"{deep}.a.a.a.a")
    assert "not signed by Google" in refusal(FAKE.seal(f"{deep}.a.a"))


@given(st.data())
def test_a_changed_character_is_refused_or_says_the_same(data: st.DataObject) -> None:
    """Nothing but Google's words comes out of a token, however it is written."""
    token = FAKE.token({**GOOD, "deviceIntegrity": {}})
    place = data.draw(st.integers(0, len(token) - 1))
    refusal(token[:place] + data.draw(st.characters(codec="utf-8")) + token[place + 1 :])
