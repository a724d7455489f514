"""Witness, Quorum and Cosignature: who watches a show's ledger from outside, and what they have signed."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import parse_signature
from engagement.ledger.core.cosignatures import parse_witness_key
from engagement.models import EDITABLE, Show
from prizes.errands import URL

MOST_WITNESSES = 16  # of a show; "verifiers MUST accept at least up to 16 signatures" (C2SP signed-note)


class Witness(models.Model):
    """Somebody outside who cosigns the checkpoints of a show (docs/witness.md)."""

    show = models.ForeignKey(Show, models.CASCADE, related_name="witnesses")
    name = models.CharField(max_length=120, editable=False)  # as in its key
    key = models.CharField(
        max_length=200, help_text="Its public key, name+id+base64, as its program prints it; in the rules."
    )
    url = models.CharField(
        "address",
        max_length=200,
        validators=[
            RegexValidator(URL, "Expected http:// or https://, a host and perhaps a port and a path.")
        ],
        help_text="Where it answers, as in https://witness.example.com; redirects are not followed.",
    )
    # How many entries it has seen, by its own word; and why it does not cosign.
    known = models.PositiveBigIntegerField(default=0, editable=False)
    trouble = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        ordering = ("show", "name")
        verbose_name_plural = "witnesses"
        constraints = (models.UniqueConstraint(fields=["show", "name"], name="one_witness_of_a_name"),)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        try:
            key = parse_witness_key(self.key)
        except ValueError as error:
            raise ValidationError({"key": f"{error}."}) from None
        if self.show_id is None:
            return
        others = list(Witness.objects.filter(show=self.show_id).exclude(pk=self.pk))
        if self._state.adding:
            refuse_once_armed(self.show)
        if len(others) >= MOST_WITNESSES:
            raise ValidationError(f"A show has at most {MOST_WITNESSES} witnesses.")
        # One key under two names would count twice.
        if any(key.name == row.name or key.public == parse_witness_key(row.key).public for row in others):
            raise ValidationError({"key": "The show has a witness with this name or this key."})
        earlier = Cosignature.objects.filter(show=self.show_id, witness=key.name).first()
        if earlier is not None and parse_signature(earlier.line.removesuffix("\n"))[1] != key.key_id:
            raise ValidationError({"key": "Another key of this name has cosigned: choose another name."})
        if key.public in (own.public for own in keys_of(self.show)):
            raise ValidationError({"key": "This is the key of the ledger itself."})

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.name = parse_witness_key(self.key).name
        super().save(*args, **kwargs)


class Quorum(models.Model):
    """How many witnesses of a show have to have cosigned a seal; without a row: one, and the draw goes on."""

    class Unwitnessed(models.TextChoices):
        WAIT = "wait", "wait: the draw waits for them"
        GO_ON = "go on", "go on: the draw goes on and is labelled as not witnessed"

    show = models.OneToOneField(Show, models.CASCADE, related_name="quorum")
    needed = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_WITNESSES)],
        help_text="So many witnesses of the show have to have cosigned the seal before the beacon's round.",
    )
    unwitnessed = models.CharField(
        "without them", max_length=8, choices=Unwitnessed.choices, default=Unwitnessed.GO_ON
    )

    def __str__(self) -> str:
        return f"{self.needed} of the witnesses of {self.show}"

    def clean(self) -> None:
        if self._state.adding and self.show_id is not None:
            refuse_once_armed(self.show)


class Cosignature(models.Model):
    """What a witness has signed: a checkpoint of a show, and the time on its clock. Never changed."""

    show = models.ForeignKey(Show, models.PROTECT, related_name="cosignatures")
    size = models.PositiveBigIntegerField()
    witness = models.CharField(max_length=120)
    line = models.CharField(max_length=300)
    at_ms = models.BigIntegerField()  # on its clock

    class Meta:
        ordering = ("show", "size", "witness")
        constraints = (
            models.UniqueConstraint(fields=["show", "witness", "size"], name="one_cosignature_of_a_witness"),
        )

    def __str__(self) -> str:
        return f"{self.witness} under {self.size} entries of {self.show}"


def was_armed(show: Show) -> bool:
    """Whether rules of the show have been committed to: who witnesses stands in them."""
    return show.segments.exclude(phase__in=EDITABLE).exists()


def refuse_once_armed(show: Show) -> None:
    if was_armed(show):
        raise ValidationError(
            "A segment of the show was armed: its witnesses and their quorum stand in its rules."
        )
