"""A fake Apple and a fake Google: they vouch for devices as the real ones do, with keys and a root of their own."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from fido2 import cbor
from fido2.cose import ES256
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey

NONCE = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
APP, PACKAGE = "ABCDE12345.com.example.app", "com.example.app"


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Apple:
    """A root, a certificate below it that signs for devices, and the attestation objects of apps."""

    def __init__(self, now: int) -> None:
        self.now = datetime.fromtimestamp(now / 1000, UTC)
        self._root_key, self._key = (
            ec.generate_private_key(ec.SECP384R1()),
            ec.generate_private_key(ec.SECP384R1()),
        )
        self.root = self._authority("Root", self._root_key, "Root", self._root_key)
        self.between = self._authority("Devices", self._key, "Root", self._root_key)

    def attest(
        self,
        challenge: str,
        *,
        app: str = APP,
        aaguid: bytes = b"appattest" + bytes(7),
        counter: int = 0,
        days: tuple[int, int] = (-1, 2),
        format_: str = "apple-appattest",
        credential: bytes = b"",
        without_nonce: bool = False,
    ) -> dict[str, Any]:
        """An attestation object of a new key, not yet written down."""
        key = ec.generate_private_key(ec.SECP256R1())
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        identity = credential or sha256(point)
        said = sha256(app.encode()) + b"\x40" + counter.to_bytes(4, "big")
        said += aaguid + len(identity).to_bytes(2, "big") + identity
        said += cbor.encode(ES256.from_cryptography_key(key.public_key()))
        nonce = sha256(said + sha256(challenge.encode()))
        leaf = self._begin("device", key, "Devices", days)
        leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if not without_nonce:
            value = x509.UnrecognizedExtension(NONCE, bytes.fromhex("3024a1220420") + nonce)
            leaf = leaf.add_extension(value, critical=False)
        signed = leaf.sign(self._key, hashes.SHA256())
        chain = [certificate.public_bytes(Encoding.DER) for certificate in (signed, self.between)]
        receipt = bytes(3_500)  # as long as Apple's
        return {"fmt": format_, "attStmt": {"x5c": chain, "receipt": receipt}, "authData": said}

    def _begin(
        self, name: str, key: ec.EllipticCurvePrivateKey, issuer: str, days: tuple[int, int]
    ) -> x509.CertificateBuilder:
        since, until = (self.now + timedelta(days=number) for number in days)
        builder = x509.CertificateBuilder(
            _name(issuer), _name(name), key.public_key(), x509.random_serial_number()
        )
        return builder.not_valid_before(since).not_valid_after(until)

    def _authority(
        self, name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signs: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        builder = self._begin(name, key, issuer, (-900, 900))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        own, above = (x509.SubjectKeyIdentifier.from_public_key(pair.public_key()) for pair in (key, signs))
        known = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(own, critical=False).add_extension(known, critical=False)
        return builder.add_extension(usage, critical=True).sign(signs, hashes.SHA384())


def written(said: Any) -> str:
    """As an app sends an attestation object."""
    return base64.b64encode(cbor.encode(said)).decode()


class Play:
    """Google Play's two keys for an app, and the tokens that it gives to devices."""

    def __init__(self) -> None:
        self.decryption = OctKey.generate_key(256, auto_kid=False)
        self.signing = ECKey.generate_key("P-256", auto_kid=False)

    @property
    def words(self) -> tuple[str, str]:
        """The keys as the Play Console shows them."""
        public = self.signing.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(self.decryption.raw_value).decode(), base64.b64encode(public).decode()

    def verdict(self, challenge: str, now: int) -> dict[str, Any]:
        """What Google says of a good device; times are texts there."""
        nonce = base64.urlsafe_b64encode(sha256(challenge.encode())).decode().rstrip("=")
        return {
            "requestDetails": {"requestPackageName": PACKAGE, "timestampMillis": str(now), "nonce": nonce},
            "appIntegrity": {
                "appRecognitionVerdict": "PLAY_RECOGNIZED",
                "packageName": PACKAGE,
                "certificateSha256Digest": ["6a6a1474b5cbbb2b1aa57e0bc3"],
                "versionCode": "42",
            },
            "deviceIntegrity": {"deviceRecognitionVerdict": ["MEETS_DEVICE_INTEGRITY"]},
            "accountDetails": {"appLicensingVerdict": "LICENSED"},
        }

    def token(self, said: Any) -> str:
        return self.seal(self.sign(said if isinstance(said, bytes) else json.dumps(said).encode()))

    def sign(self, payload: bytes) -> str:
        return jws.serialize_compact({"alg": "ES256"}, payload, self.signing)

    def seal(self, inner: str) -> str:
        names = ["A256KW", "A256GCM"]
        return jwe.encrypt_compact(
            {"alg": names[0], "enc": names[1]}, inner, self.decryption, algorithms=names
        )
