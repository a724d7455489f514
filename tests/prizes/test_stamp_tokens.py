"""Time stamps as strangers check them: pure Python says the same as OpenSSL and the library that the server has."""

import base64
import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import VerifierBuilder, decode_timestamp_response

from engagement.clock import to_ms
from prizes import verify_draw as verifier
from prizes.stampers import format_request, sort_certificates
from tests.prizes.stamp_maker import (
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    SIGNING_V2,
    attribute,
    integer,
    make_answer,
    make_token,
    named,
    sign,
    stamp_info,
    value,
)
from tests.prizes.tsa import (
    EXPIRED,
    NOT_YET,
    NOW,
    STAMPING,
    STAMPS,
    Authority,
    Maker,
    authority,
    der,
    key_of,
    make_certificate,
    usage,
)
from tests.pythons import VERSIONS, find_python

SEAL, OTHER = "ab" * 32, "cd" * 32
STARTED, SLACK_MS = time.time() * 1000, 120_000


def ours(token: bytes, anchor: bytes, seal: str = SEAL) -> str:
    """What the published verifier has against a token; "" for nothing."""
    try:
        at = verifier.check_token(token, anchor, bytes.fromhex(seal))
    except verifier.Wrong as error:
        return str(error)
    # A token may have been made long before: by the first test that needed one.
    assert STARTED - SLACK_MS < at < time.time() * 1000 + SLACK_MS
    return ""


def library(answer: bytes, anchor: bytes, seal: str = SEAL) -> bool:
    try:
        found = VerifierBuilder(roots=[x509.load_der_x509_certificate(anchor)]).build()
        return found.verify(decode_timestamp_response(sort_certificates(answer)), bytes.fromhex(seal))
    except Exception:
        return False


def openssl(answer: bytes, anchor: bytes, folder: Path, seal: str = SEAL) -> bool:
    (folder / "answer.tsr").write_bytes(answer)
    root = x509.load_der_x509_certificate(anchor)
    (folder / "anchor.pem").write_bytes(root.public_bytes(Encoding.PEM))
    words = ["openssl", "ts", "-verify", "-digest", seal, "-in", "answer.tsr", "-CAfile", "anchor.pem"]
    return subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode == 0


def token_of(answer: bytes) -> bytes:
    return bytes(decode_timestamp_response(sort_certificates(answer)).time_stamp_token())


def all_agree(answer: bytes, anchor: bytes, folder: Path, seal: str = SEAL) -> str:
    """What ours has against it; the three agree whether there is anything."""
    said = ours(token_of(answer), anchor, seal)
    verdicts = said == "", library(answer, anchor, seal), openssl(answer, anchor, folder, seal)
    assert len(set(verdicts)) == 1, (verdicts, said)
    return said


GOOD: dict[str, dict[str, Any]] = {
    "rsa": {},
    "rsa with SHA-384": {"digest": "sha384"},
    "rsa with SHA-512": {"digest": "sha512"},
    "p256": {"kind": "p256"},
    "p384": {"kind": "p384", "digest": "sha384"},
    "p384 with SHA-512": {"kind": "p384", "digest": "sha512"},
    "p256 with SHA-384": {"kind": "p256", "digest": "sha384"},
    "a certificate between": {"between": authority(0)},
    "a certificate between, of EC": {"between": authority(), "kind": "p256"},
    "the older way to name the certificate": {"ess": "sha1"},
    "another way to name it": {"ess": "sha512"},
    "an accuracy in fractions": {"accuracy": "secs:1, millisecs:500, microsecs:100"},
    "no usage of its key": {"signer": [(STAMPING, True)]},
    "content commitment": {"signer": [(usage(content_commitment=True), True), (STAMPING, True)]},
}
TWO_USES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING])
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"dates": EXPIRED}, "valid at"),
    "not valid yet": ({"dates": NOT_YET}, "valid at"),
    "of an expired root": ({"root_dates": EXPIRED}, "valid at"),
    "of an expired one between": ({"between": authority(), "between_dates": EXPIRED}, "valid at"),
    "for code": ({"signer": [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True)]}, "alone"),
    "for two uses": ({"signer": [(TWO_USES, True)]}, "alone"),
    "not critical": ({"signer": [(STAMPING, False)]}, "alone"),
    "by no authority": ({"between": [(x509.BasicConstraints(ca=False, path_length=None), True)]}, "a chain"),
    "by one that signs no certificates": (
        {"between": [(x509.BasicConstraints(ca=True, path_length=None), True), (usage(crl_sign=True), True)]},
        "a chain",
    ),
    "with an unknown critical extension": (
        {
            "signer": [
                *STAMPS,
                (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True),
            ]
        },
        "critical extensions",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_stamps_hold_for_all_three_and_those_of_another_seal_or_root_for_none(
    name: str, tmp_path: Path
) -> None:
    made = Authority(tmp_path / "a", **GOOD[name])
    answer = made.answer(SEAL)
    assert all_agree(answer, made.anchor, tmp_path) == ""
    assert "stamped digest: expected cdcd" in all_agree(answer, made.anchor, tmp_path, OTHER)
    stranger = Maker("root", key_of(GOOD[name].get("kind", "rsa"), 9))
    other = der(make_certificate(stranger, stranger, authority()))  # of the same name, with another key
    assert "a chain of certificates" in all_agree(answer, other, tmp_path)


@pytest.mark.parametrize("name", BAD)
def test_certificates_that_must_not_stamp_are_refused_by_all_three(name: str, tmp_path: Path) -> None:
    options, why = BAD[name]
    made = Authority(tmp_path / "a", **options)
    assert why in all_agree(make_answer(token_by(made)), made.anchor, tmp_path)


def token_by(made: Authority, content: bytes = b"", **changes: Any) -> bytes:
    """Made here: OpenSSL makes none with a certificate that it would refuse."""
    content = content or stamp_info(SEAL, NOW)
    return make_token(content, made.signer, made.key, made.certificates, digest=made.digest, **changes)


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_no_byte_can_be_changed_in_what_is_signed(kind: str, tmp_path: Path) -> None:
    """What still passes says the same, signed by the same: a certificate that nobody needs was changed, no more."""
    made, seal = Authority(tmp_path / "a", kind=kind), bytes.fromhex(SEAL)
    honest = token_of(made.answer(SEAL))
    at, passed = verifier.check_token(honest, made.anchor, seal), 0
    for place in range(len(honest)):
        for bit in (1, 0x10, 0x80):
            changed = honest[:place] + bytes([honest[place] ^ bit]) + honest[place + 1 :]
            try:
                found = verifier.check_token(changed, made.anchor, seal)
            except (verifier.Wrong, ValueError):
                continue
            passed += 1
            assert (found, *say(changed, made)) == (at, *say(honest, made)), place
    assert passed > 0


def say(token: bytes, made: Authority) -> tuple[Any, ...]:
    signed = verifier.read_signed_data(token)
    return signed._replace(certificates=[]), der(made.signer) in signed.certificates


# --- one thing after the other that a token must not say ---


def without(name: str) -> Callable[[dict[str, bytes]], object]:
    return lambda attributes: attributes.pop(name)


def instead(name: str, *values: bytes) -> Callable[[dict[str, bytes]], object]:
    return lambda attributes: attributes.update({name: attribute(name, *values)})


LONG = value(0x30, *[b"\5\0"] * 300)
CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "no content type": ({"change": without(CONTENT_TYPE)}, "one signed attribute"),
    "another content type": ({"change": instead(CONTENT_TYPE, named("1.2.3"))}, "content type"),
    "no digest": ({"change": without(MESSAGE_DIGEST)}, "one signed attribute"),
    "two digests": ({"change": instead(MESSAGE_DIGEST, value(4, b"a"), value(4, b"b"))}, "one signed attribute"),
    "another digest": ({"change": instead(MESSAGE_DIGEST, value(4, bytes(32)))}, "digest of the time stamp"),
    "no certificate named": ({"change": without(SIGNING_V2)}, "names the signer's certificate"),
    "another certificate named": (
        {"change": instead(SIGNING_V2, value(0x30, value(0x30, value(0x30, value(4, bytes(32))))))},
        "digest of the signer's certificate",
    ),
    "two signers": ({"signers": 2}, "one signer, got 2"),
    "another kind of content": ({"kind": "1.2.840.113549.1.7.1"}, "kind of what was signed"),
    "another digest of the seal": ({"content": stamp_info(SEAL, NOW, digest="sha384")}, "kind of the stamped digest"),
    "an unknown digest": ({"content": stamp_info(SEAL, NOW, digest="sha1")}, "SHA-256, SHA-384 or SHA-512"),
    "more than there is": ({"content": stamp_info(SEAL, NOW) + b"\5\0"}, "one value of DER"),
    "more inside": ({"content": stamp_info(SEAL, NOW, b"\5\0")}, "no more values"),
    "a critical extension": (
        {"content": stamp_info(SEAL, NOW, value(0xA1, value(0x30, named("1.2.3"), b"\1\1\xff", value(4))))},
        "no critical extension",
    ),
    "a strange accuracy": ({"content": stamp_info(SEAL, NOW, value(0x30, value(0x80, b"\x7f\xff")))}, "an accuracy"),
    "a time before there were any": (
        {"content": stamp_info(SEAL, NOW.replace(year=1969))}, "a time since 1970"),
    "values without end": ({"content": LONG}, "at most 256 values"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_token_must_not_say_is_named(name: str, tmp_path: Path) -> None:
    changes, why = CHANGED[name]
    made = Authority(tmp_path / "a", kind="p256")
    token = token_by(made, **changes)
    assert why in ours(token, made.anchor)
    assert ours(token_by(made), made.anchor) == ""


def test_a_signature_of_another_key_is_refused(tmp_path: Path) -> None:
    for kind in ("rsa", "p256", "p384"):
        made = Authority(tmp_path / kind, kind=kind)
        token = make_token(stamp_info(SEAL, NOW), made.signer, key_of(kind, 8), made.certificates)
        assert "a signature of the time stamper" in ours(token, made.anchor)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), "2048 to 8192 bits, got 1024"),
        (lambda: key_of("p521"), "the curve P-256 or P-384"),
        (ed25519.Ed25519PrivateKey.generate, "kind of a certificate's key"),
    ],
)
def test_keys_of_other_kinds_are_named(key: Callable[[], Any], why: str, tmp_path: Path) -> None:
    made, own = Authority(tmp_path / "a", kind="p256"), key()
    signer = make_certificate(Maker("signer", own), Maker("root", key_of("p256")), STAMPS)
    signs = own if not isinstance(own, ed25519.Ed25519PrivateKey) else key_of("p256", 2)
    certificates = [der(signer), made.anchor]
    assert why in ours(make_token(stamp_info(SEAL, NOW), signer, signs, certificates), made.anchor)


def test_the_time_is_the_latest_that_it_can_mean(tmp_path: Path) -> None:
    made = Authority(tmp_path / "a", kind="p256")
    at = to_ms(NOW)
    for more, expected in (
        ((), 0),
        ((value(0x30, integer(2)),), 2000),
        ((value(0x30, integer(1), value(0x80, b"\1\xf4"), value(0x81, b"\1")),), 1501),
        ((value(0x30), b"\1\1\xff"), 0),
    ):
        token = token_by(made, stamp_info(SEAL, NOW, *more))
        assert verifier.check_token(token, made.anchor, bytes.fromhex(SEAL)) == at + expected


# --- the parts ---


@pytest.mark.parametrize("number", range(12))
def test_signatures_of_ecdsa_and_rsa_are_those_of_the_library(number: int) -> None:
    """Of random keys and messages, right and changed."""
    random = Random(number)
    kind, digest = random.choice(("p256", "p384", "rsa")), random.choice(("sha256", "sha384", "sha512"))
    key, message = key_of(kind, random.randrange(3)), random.randbytes(40)
    _, signature = sign(key, message, digest)
    form = (
        (Encoding.DER, PublicFormat.PKCS1)
        if kind == "rsa"
        else (Encoding.X962, PublicFormat.UncompressedPoint)
    )
    public, hashed = key.public_key().public_bytes(*form), hashlib.new(digest, message).digest()

    def holds(hashed: bytes, signature: bytes) -> bool:
        if kind == "rsa":
            return verifier.is_rsa_signed(public, digest, hashed, signature)
        curve = {"p256": "1.2.840.10045.3.1.7", "p384": "1.3.132.0.34"}[kind]
        return verifier.is_ec_signed(public, curve, hashed, signature)

    assert holds(hashed, signature)
    assert not holds(hashlib.new(digest, b"another").digest(), signature)
    if kind != "rsa":
        r, s = decode_dss_signature(signature)
        assert not holds(hashed, value(0x30, integer(r ^ 2), integer(s)))
        assert not holds(hashed, value(0x30, integer(0), integer(s)))
        assert not holds(hashed, value(0x30, integer(r), integer(verifier.CURVES["1.3.132.0.34"].n)))
    else:
        assert not holds(hashed, b"\0" + signature) and not holds(hashed, signature[:-1] + b"\0")


def test_the_curves_are_those_of_the_standard() -> None:
    for curve in verifier.CURVES.values():
        assert (curve.y**2 - curve.x**3 + 3 * curve.x - curve.b) % curve.p == 0
        point, total = (curve.x, curve.y, 1), (0, 1, 0)
        for bit in bin(curve.n)[2:]:
            total = verifier.ec_double(total, curve.p)
            total = verifier.ec_add(total, point, curve.p) if bit == "1" else total
        assert total[2] % curve.p == 0


@pytest.mark.parametrize(
    "data",
    ["", "30", "3080", "308100", "3081050000000000", "30820001", "1f0100", "30850000000001", "0202"],
)
def test_only_the_one_form_of_der_is_read(data: str) -> None:
    with pytest.raises(verifier.Wrong):
        verifier.read_der(bytes.fromhex(data.ljust(len(data) + len(data) % 2, "0")))


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (verifier.number, "02020001"), (verifier.number, "0202ff80"), (verifier.number, "0200"),
        (verifier.name_of, "0602802a"), (verifier.name_of, "0600"), (verifier.name_of, "060181"),
        (verifier.bits, "03020100"), (verifier.bits, "0300"),
        (verifier.moment, "180d32303236303130313030303030305a"), (verifier.moment, "1802305a"),
        (verifier.moment, "1811323032363031303130303030303 02e305a".replace(" ", "")),
        (verifier.moment, "170b323630313031303030305a"),
    ],
)  # fmt: skip
def test_no_second_form_of_a_value_is_read(read: Callable[[Any], Any], data: str) -> None:
    with pytest.raises(verifier.Wrong):
        read(verifier.read_der(bytes.fromhex(data)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("19700101000000Z", 0), ("20000229120000Z", 951825600000), ("21000301000000.0004Z", 4107542400001)],
)
def test_moments_are_those_of_the_calendar(text: str, expected: int) -> None:
    assert verifier.moment(verifier.Der(0x18, text.encode(), b"")) == expected


def test_a_time_after_the_end_of_the_calendar_is_told_all_the_same() -> None:
    assert verifier.moment_text(253_402_300_799_000) == "9999-12-31 23:59:59 UTC"
    assert verifier.moment_text(10**24) == f"{10**24} ms after 1970"


def test_a_hostile_token_costs_no_time(tmp_path: Path) -> None:
    """Names that lead in circles, and a tower of values: neither many signatures nor many bytes are looked at."""
    keys, at = [key_of("p384", number) for number in range(12)], time.process_time()
    made = Authority(tmp_path / "a", kind="p384")
    loop = [
        der(make_certificate(Maker("root", key), Maker("root", keys[number - 1]), authority()))
        for number, key in enumerate(keys)
    ]
    token = make_token(stamp_info(SEAL, NOW), made.signer, made.key, [der(made.signer), *loop])
    assert ours(token, made.anchor) in ("", "expected a chain of certificates that is found sooner")
    tower = b""
    while len(tower) < verifier.MAX_TOKEN - 8:
        tower = value(0x30, tower)
    assert ours(tower, made.anchor) != "" and ours(bytes(verifier.MAX_TOKEN), made.anchor) != ""
    assert "at most" in ours(bytes(verifier.MAX_TOKEN + 1), made.anchor)
    assert time.process_time() - at < 2


def test_an_anchor_is_a_root_that_stamps_can_lead_to(tmp_path: Path) -> None:
    made = Authority(tmp_path / "a", kind="p256")
    verifier.check_anchor(made.anchor, to_ms(NOW))
    own = Maker("own", key_of("p256", 5))
    verifier.check_anchor(der(make_certificate(own, own, STAMPS)), to_ms(NOW))
    for certificate, why in (
        (der(made.signer), "issuer of a root certificate"),
        (der(make_certificate(own, own, [])), "time stamping alone"),
        (der(make_certificate(own, own._replace(key=key_of("p256", 6)), authority())), "signed itself"),
        (der(make_certificate(own, own, authority(), EXPIRED)), "valid at"),
        (b"junk", "a value of DER"),
    ):
        with pytest.raises(verifier.Wrong, match=why):
            verifier.check_anchor(certificate, to_ms(NOW))


def test_a_file_has_one_certificate(tmp_path: Path) -> None:
    text = (Authority(tmp_path / "a", kind="p256").folder / "root.pem").read_bytes()
    assert verifier.read_pem(b"Root of the example\n" + text)[:1] == b"0"
    for other in (b"", text + text, text.replace(b"CERTIFICATE", b"PRIVATE KEY"), text.replace(b"MII", b"=")):
        with pytest.raises(verifier.Wrong):
            verifier.read_pem(other)


def test_the_request_is_the_one_of_openssl(tmp_path: Path) -> None:
    (tmp_path / "query.tsq").write_bytes(format_request(SEAL, 0xFEDCBA9876543210))
    words = ["openssl", "ts", "-query", "-in", "query.tsq", "-text"]
    told = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for part in ("Hash Algorithm: sha256", "Nonce: 0xFEDCBA9876543210", "Certificate required: yes"):
        assert part in told
    made = ["openssl", "ts", "-query", "-digest", SEAL, "-sha256", "-no_nonce", "-cert", "-out", "own.tsq"]
    subprocess.run(made, cwd=tmp_path, capture_output=True, check=True)
    own = (tmp_path / "own.tsq").read_bytes()
    ours = format_request(SEAL, 1)
    assert ours == bytes([0x30, ours[1]]) + own[2:-3] + b"\2\1\1" + own[-3:]


TRIED = """
import base64, json, sys, verify_draw
for row in json.loads(sys.stdin.read()):
    anchor, token, seal = (base64.b64decode(row[name]) for name in ("anchor", "token", "seal"))
    try:
        print(verify_draw.check_token(token, anchor, seal))
    except verify_draw.Wrong as error:
        print(error)
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_says_the_same(version: str, tmp_path: Path) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not here")
    shutil.copy(verifier.__file__, tmp_path)
    rows, expected = [], []
    for kind, seal in (("rsa", SEAL), ("p256", SEAL), ("p384", SEAL), ("p256", OTHER)):
        made = Authority(tmp_path / kind / seal, kind=kind)
        parts = {"anchor": made.anchor, "token": made.token(SEAL), "seal": bytes.fromhex(seal)}
        rows.append({name: base64.b64encode(data).decode() for name, data in parts.items()})
        try:
            expected.append(str(verifier.check_token(parts["token"], parts["anchor"], parts["seal"])))
        except verifier.Wrong as error:
            expected.append(str(error))
    words = [python, "-W", "error", "-c", TRIED]
    told = json.dumps(rows)
    done = subprocess.run(words, cwd=tmp_path, input=told, capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (expected, "") and "stamped digest" in expected[-1]
