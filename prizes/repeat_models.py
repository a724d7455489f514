"""Repeat: the prizes of a spoiled segment are drawn again, if two people want it."""

from django.db import models
from django.db.models import F, Q

from engagement.models import LONGEST_ACTOR, LONGEST_REASON, Segment


class Repeat(models.Model):
    """One person asks with a reason, another one agrees; then there is a draft with the same prizes."""

    segment = models.ForeignKey(Segment, models.PROTECT, related_name="asked_repeats")
    reason = models.CharField(max_length=LONGEST_REASON)
    asked_by = models.CharField(max_length=LONGEST_ACTOR)
    asked_session = models.CharField(max_length=64, blank=True)  # a fingerprint of the login
    asked_at_ms = models.BigIntegerField(default=0)
    agreed_by = models.CharField(max_length=LONGEST_ACTOR, blank=True)
    draft = models.OneToOneField(Segment, models.PROTECT, related_name="repeats", null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=~Q(agreed_by=F("asked_by")), name="two_people_repeat"),
            models.CheckConstraint(
                condition=Q(draft=None, agreed_by="") | (~Q(draft=None) & ~Q(agreed_by="")),
                name="agreed_means_repeated",
            ),
        )

    def __str__(self) -> str:
        return f"repeat of {self.segment}"
