"""Stamper and Stamp: who stamps the seals of a show with the time (RFC 3161), and what they have stamped."""

import base64
import hashlib

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from engagement.clock import now_ms
from engagement.models import Show
from prizes import verify_draw as verifier
from prizes.errands import URL
from prizes.witness_models import was_armed

MOST_STAMPERS = verifier.MOST_STAMPERS  # of a show
LONGEST_PEM = 16 * 1024


def read_pem(text: str) -> bytes:
    """The DER of the only certificate in a text; ValueError for none, more, or what is no certificate."""
    found = load_pem_x509_certificates(text.encode())
    if len(found) != 1:
        raise ValueError(f"expected one certificate, got {len(found)}")
    return found[0].public_bytes(Encoding.DER)


def key_in(certificate: bytes) -> bytes:
    """The public key of a certificate (both in DER)."""
    return verifier.read_certificate(certificate).key.whole


class Stamper(models.Model):
    """A time stamping authority that stamps the seals of a show (docs/draw.md, section 7)."""

    show = models.ForeignKey(Show, models.CASCADE, related_name="stampers")
    name = models.CharField(max_length=120, help_text="As people know it; in the rules of every draw.")
    url = models.CharField(
        "address",
        max_length=200,
        validators=[
            RegexValidator(URL, "Expected http:// or https://, a host and perhaps a port and a path.")
        ],
        help_text="Where it answers, as in https://tsa.example.com/tsr; redirects are not followed.",
    )
    certificate = models.TextField(
        max_length=LONGEST_PEM,
        help_text="Its root certificate, as PEM: what every stamp of its is checked against; in the rules.",
    )
    trouble = models.CharField(max_length=300, blank=True, editable=False)  # why there is no stamp of its

    class Meta:
        ordering = ("show", "name")
        verbose_name = "time stamper"
        constraints = (models.UniqueConstraint(fields=["show", "name"], name="one_stamper_of_a_name"),)

    def __str__(self) -> str:
        return self.name

    @property
    def der(self) -> bytes:
        return read_pem(self.certificate)

    @property
    def fingerprint(self) -> str:
        """As the rules name its certificate: SHA-256 of the DER, in hex."""
        return hashlib.sha256(self.der).hexdigest()

    def clean(self) -> None:
        try:
            verifier.check_anchor(self.der, now_ms())
        except (ValueError, verifier.Wrong) as error:
            raise ValidationError({"certificate": f"{error}."}) from None
        if self.show_id is None:
            return
        others = list(Stamper.objects.filter(show=self.show_id).exclude(pk=self.pk))
        if self._state.adding and was_armed(self.show):
            raise ValidationError("A segment of the show was armed: its time stampers stand in its rules.")
        if len(others) >= MOST_STAMPERS:
            raise ValidationError(f"A show has at most {MOST_STAMPERS} time stampers.")
        # One key under two names would count twice.
        if key_in(self.der) in [key_in(row.der) for row in others]:
            raise ValidationError({"certificate": "The show has a time stamper with this key."})


class Stamp(models.Model):
    """A time stamp of the seal of a draw, as it was verified. Never changed."""

    draw = models.ForeignKey("prizes.Draw", models.PROTECT, related_name="stamps")
    stamper = models.CharField(max_length=120)
    certificate = models.TextField()  # DER in base64, as the rules name it
    token = models.TextField()  # DER in base64
    at_ms = models.BigIntegerField()  # the latest moment that it can mean

    class Meta:
        ordering = ("draw", "stamper")
        constraints = (models.UniqueConstraint(fields=["draw", "stamper"], name="one_stamp_of_a_stamper"),)

    def __str__(self) -> str:
        return f"{self.stamper} on {self.draw}"

    @property
    def digest(self) -> str:
        """SHA-256 of the token, in hex."""
        return hashlib.sha256(base64.b64decode(self.token)).hexdigest()
