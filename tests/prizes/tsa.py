"""Time stamping authorities for tests: certificates of their own, and `openssl ts -reply` behind an HTTP server."""

import contextlib
import datetime
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from rfc3161_client import decode_timestamp_response

from engagement.models import Show
from prizes.models import Stamper
from prizes.stampers import format_request, sort_certificates

PROGRAM = Path(__file__).with_name("tsa_server.py")
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
HASHES: dict[str, Any] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
CONFIG = """
[tsa]
default_tsa = own
[own]
serial = serial
signer_cert = signer.pem
signer_key = signer.key
certs = certs.pem
signer_digest = {digest}
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = {accuracy}
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
"""


@cache
def key_of(kind: str, number: int = 0) -> Any:
    """The same key at each call: making one of RSA takes a while."""
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(
        {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}[kind]
    )


class Dates(NamedTuple):
    since: datetime.datetime = NOW - DAY
    until: datetime.datetime = NOW + DAY


VALID, EXPIRED, NOT_YET = Dates(), Dates(NOW - 2 * DAY, NOW - DAY), Dates(NOW + DAY, NOW + 2 * DAY)


class Maker(NamedTuple):
    """Who signs certificates: a name and a key."""

    name: str
    key: Any
    digest: str = "sha256"


def name_of(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_certificate(
    subject: Maker,
    issuer: Maker,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    dates: Dates = VALID,
) -> x509.Certificate:
    builder = x509.CertificateBuilder(name_of(issuer.name), name_of(subject.name), subject.key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(dates.since).not_valid_after(dates.until)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, HASHES[issuer.digest])


def authority(length: int | None = None) -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.BasicConstraints(ca=True, path_length=length), True), (usage(key_cert_sign=True), True)]


def usage(**bits: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names})


STAMPING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
STAMPS: list[tuple[x509.ExtensionType, bool]] = [
    (x509.BasicConstraints(ca=False, path_length=None), False),
    (usage(digital_signature=True), True),
    (STAMPING, True),
]


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


class Authority:
    """A root, what lies between, and a signer, in a folder in which `openssl ts -reply` can work."""

    def __init__(
        self,
        folder: Path,
        *,
        kind: str = "rsa",
        digest: str = "sha256",
        signer: Sequence[tuple[x509.ExtensionType, bool]] = STAMPS,
        dates: Dates = VALID,
        root_dates: Dates = VALID,
        root_name: str = "root",
        between: Sequence[tuple[x509.ExtensionType, bool]] | None = None,
        between_dates: Dates = VALID,
        ess: str = "sha256",
        accuracy: str = "secs:1",
        number: int = 0,
    ) -> None:
        self.folder, self.digest = folder, digest
        folder.mkdir(parents=True, exist_ok=True)
        own = Maker(root_name, key_of(kind, number), digest)
        self.root = make_certificate(own, own, authority(), root_dates)
        issuer, chain = own, [self.root]
        if between is not None:
            issuer = Maker("between", key_of(kind, number + 1), digest)
            chain.insert(0, make_certificate(issuer, own, between, between_dates))
        self.key, self.chain = key_of(kind, number + 2), chain
        self.signer = make_certificate(Maker("signer", self.key), issuer, signer, dates)
        (folder / "openssl.cnf").write_text(CONFIG.format(digest=digest, ess=ess, accuracy=accuracy))
        (folder / "signer.pem").write_text(pem(self.signer))
        (folder / "root.pem").write_text(pem(self.root))
        (folder / "certs.pem").write_text("".join(map(pem, chain)))
        (folder / "signer.key").write_bytes(
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        (folder / "serial").write_text("01\n")

    @property
    def certificates(self) -> list[bytes]:
        """What comes with each token: the signer's, and those above it."""
        return [der(self.signer), *map(der, self.chain)]

    @property
    def anchor(self) -> bytes:
        return der(self.root)

    def answer(self, seal: str, nonce: int | None = None) -> bytes:
        """The TimeStampResp to a request for a seal."""
        query = format_request(seal, secrets.randbits(64) if nonce is None else nonce)
        command = ["openssl", "ts", "-reply", "-config", "openssl.cnf", "-queryfile", "/dev/stdin"]
        return subprocess.run(command, cwd=self.folder, input=query, capture_output=True, check=True).stdout

    def token(self, seal: str) -> bytes:
        return bytes(decode_timestamp_response(sort_certificates(self.answer(seal))).time_stamp_token())


class Running:
    """An authority that answers, its process, and where."""

    def __init__(self, authority: Authority, process: "subprocess.Popen[str]", port: int) -> None:
        self.authority, self.process = authority, process
        self.url = f"http://127.0.0.1:{port}/tsr"

    def asked(self) -> list[str]:
        """Ends it; what it was asked."""
        self.process.kill()
        assert self.process.stdout is not None
        return self.process.stdout.read().splitlines()


@contextlib.contextmanager
def running_tsa(authority: Authority, way: str = "honest") -> Iterator[Running]:
    command = [sys.executable, "-I", str(PROGRAM), str(authority.folder), way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield Running(authority, process, int(process.stdout.readline()))
        finally:
            process.kill()


def name_stamper(show: Show, authority: Authority, url: str, name: str = "tsa.example") -> Stamper:
    """As a director names it in the administration."""
    row = Stamper(show=show, name=name, url=url, certificate=pem(authority.root))
    row.full_clean()
    row.save()
    return row
