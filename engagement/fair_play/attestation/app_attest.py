"""Apple's App Attest: an app on a real device has a key that Apple's root vouches for.

Source: Apple, "Validating apps that connect to your server", the steps for an attestation object. Nothing is asked
outside: the certificates come with the token. The receipt, with which Apple tells a risk, is not looked at.
"""

import base64
import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError
from fido2.webauthn import AttestationObject, AuthenticatorData

from engagement.fair_play.attestation.shape import NotVouched, digest_of

FORMAT = "apple-appattest"
NONCE = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
NONCE_HEAD = bytes.fromhex("3024a1220420")  # a sequence of one [1] with 32 bytes
PRODUCTION, SANDBOX = b"appattest" + bytes(7), b"appattestdevelop"
MOST_CERTIFICATES = 4  # Apple sends two
# "Apple App Attestation Root CA", until 2045; SHA-256
# 1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932
APPLE = x509.load_pem_x509_certificate(
    b"""-----BEGIN CERTIFICATE-----
MIICITCCAaegAwIBAgIQC/O+DvHN0uD7jG5yH2IXmDAKBggqhkjOPQQDAzBSMSYw
JAYDVQQDDB1BcHBsZSBBcHAgQXR0ZXN0YXRpb24gUm9vdCBDQTETMBEGA1UECgwK
QXBwbGUgSW5jLjETMBEGA1UECAwKQ2FsaWZvcm5pYTAeFw0yMDAzMTgxODMyNTNa
Fw00NTAzMTUwMDAwMDBaMFIxJjAkBgNVBAMMHUFwcGxlIEFwcCBBdHRlc3RhdGlv
biBSb290IENBMRMwEQYDVQQKDApBcHBsZSBJbmMuMRMwEQYDVQQIDApDYWxpZm9y
bmlhMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAERTHhmLW07ATaFQIEVwTtT4dyctdh
NbJhFs/Ii2FdCgAHGbpphY3+d8qjuDngIN3WVhQUBHAoMeQ/cLiP1sOUtgjqK9au
Yen1mMEvRq9Sk3Jm5X8U62H+xTD3FE9TgS41o0IwQDAPBgNVHRMBAf8EBTADAQH/
MB0GA1UdDgQWBBSskRBTM72+aEH/pwyp5frq5eWKoTAOBgNVHQ8BAf8EBAMCAQYw
CgYIKoZIzj0EAwMDaAAwZQIwQgFGnByvsiVbpTKwSga0kP0e8EeDS4+sQmTvb7vn
53O5+FRXgeLhpJ06ysC5PrOyAjEAp5U4xDgEgllF7En3VcE3iexZZtKeYnpqtijV
oyFraWVIyd/dganmrduC1bmTBGwD
-----END CERTIFICATE-----
"""
)
# What a parser says of bytes that are no attestation object
MALFORMED = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
    RecursionError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    Warning,  # of a certificate that is against the rules, where warnings are errors
)


class Parts(NamedTuple):
    """What an attestation object has in it."""

    format: str
    authenticator: AuthenticatorData
    leaf: x509.Certificate
    others: list[x509.Certificate]
    nonce: bytes  # as the leaf has it
    key: bytes  # the leaf's, as a point


@dataclass(frozen=True)
class AppAttest:
    """The devices that have this app: ten characters of a team, a dot, the app's bundle."""

    name: str
    app: str
    root: x509.Certificate
    needs_challenge: bool = True
    threads: int = 1

    def vouch(self, token: str, challenge: str, now: int) -> None:
        """Checks an attestation object in base64; raises NotVouched."""
        try:
            parts = _parse(token)
        except MALFORMED:
            raise NotVouched("expected an attestation object of App Attest in base64") from None
        _check_chain(parts, self.root, now)
        said = parts.authenticator
        if parts.nonce != NONCE_HEAD + hashlib.sha256(said + digest_of(challenge)).digest():
            raise NotVouched("the attestation is over another challenge")
        credential = said.credential_data
        if credential is None or credential.credential_id != hashlib.sha256(parts.key).digest():
            raise NotVouched("the attestation names another key than the one that is attested")
        if said.rp_id_hash != hashlib.sha256(self.app.encode()).digest():
            raise NotVouched("the attestation is another app's")
        if said.counter != 0:
            raise NotVouched("expected an attestation, whose counter is 0")
        if credential.aaguid == SANDBOX:
            raise NotVouched("the attestation was made in Apple's sandbox, not in production")
        if credential.aaguid != PRODUCTION:
            raise NotVouched("the key is none of App Attest")


def _parse(token: str) -> Parts:
    said = AttestationObject(base64.b64decode(token, validate=True))
    certificates = said.att_stmt["x5c"]
    if not (isinstance(certificates, list) and len(certificates) <= MOST_CERTIFICATES):
        raise ValueError("expected a list of certificates")
    leaf, *others = [x509.load_der_x509_certificate(certificate) for certificate in certificates]
    nonce = leaf.extensions.get_extension_for_oid(NONCE).value.public_bytes()
    key = leaf.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return Parts(said.fmt, said.auth_data, leaf, others, nonce, key)


def _check_chain(parts: Parts, root: x509.Certificate, now: int) -> None:
    """Signatures, dates, names, and who may sign whom; the leaf has no name of a server or a person."""
    if parts.format != FORMAT:
        raise NotVouched(f"expected an attestation object of the format {FORMAT}")
    policy = PolicyBuilder().store(Store([root])).time(datetime.fromtimestamp(now / 1000, UTC))
    policy = policy.extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
    )
    try:
        policy.build_client_verifier().verify(parts.leaf, parts.others)
    except (VerificationError, *MALFORMED):
        raise NotVouched("the certificates do not lead to Apple's root, or are not valid now") from None
