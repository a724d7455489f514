"""FairPlay: what a show promises about guests, and about entries that come from one place."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.signals import post_save
from django.dispatch import receiver

from engagement.fair_play.core.carriers import parse_carriers
from engagement.fair_play.core.origins import WORK
from engagement.fair_play.core.promise import MOST_ENTRIES, MOST_PASSES, check_most_tickets, check_ways
from engagement.models import Show


def default_ways() -> list[str]:
    return [WORK]


class FairPlay(models.Model):
    """One for each show, made with it. Nothing in it changes while a segment of the show is armed or on air."""

    show = models.OneToOneField(Show, models.CASCADE, related_name="fair_play")
    ways = models.JSONField(
        default=default_ways,
        blank=True,
        help_text="How a guest earns a pass once the budget of the neighbourhood is used up.",
    )
    passes_ipv4 = models.PositiveIntegerField(
        "passes per IPv4 address",
        default=60,
        validators=[MaxValueValidator(MOST_PASSES)],
        help_text="Free guest passes per hour.",
    )
    passes_ipv6_64 = models.PositiveIntegerField(
        "passes per IPv6 /64",
        default=20,
        validators=[MaxValueValidator(MOST_PASSES)],
        help_text="Free guest passes per hour.",
    )
    passes_ipv6_48 = models.PositiveIntegerField(
        "passes per IPv6 /48",
        default=120,
        validators=[MaxValueValidator(MOST_PASSES)],
        help_text="Free guest passes per hour.",
    )
    carriers = models.TextField(
        default="",
        blank=True,
        help_text="One `prefix factor` per line: in these parts of the address space one address stands for many "
        "people, and the budgets are so many times larger.",
    )
    shared_entries = models.PositiveIntegerField(
        default=150,
        validators=[MaxValueValidator(MOST_ENTRIES)],
        help_text="Guests' entries of one address (IPv4) or /48 (IPv6) that count in a draw; 0: all of them.",
    )
    most_tickets = models.JSONField(
        default=dict,
        blank=True,
        help_text='The most tickets of an entry by the kind of its pass, such as {"guest": 3}; 0: it does not count.',
    )

    class Meta:
        verbose_name = verbose_name_plural = "fair play"

    def __str__(self) -> str:
        return f"fair play of {self.show}"

    def clean(self) -> None:
        checks = {"ways": check_ways, "carriers": parse_carriers, "most_tickets": check_most_tickets}
        errors = {}
        for field, check in checks.items():
            try:
                check(getattr(self, field))
            except ValueError as error:
                errors[field] = str(error)
        if errors:
            raise ValidationError(errors)


@receiver(post_save, sender=Show, dispatch_uid="engagement.fair_play.models")
def make_fair_play(instance: Show, created: bool, raw: bool, **_: Any) -> None:
    """A new show begins with what is promised unless somebody says otherwise."""
    if created and not raw:
        FairPlay.objects.create(show=instance)
