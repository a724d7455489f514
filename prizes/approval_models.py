"""Approval: what one person has asked for and another one has to agree to, before it is done."""

from django.db import models
from django.db.models import F, Q

from engagement.models import LONGEST_ACTOR, LONGEST_REASON, Segment, Show

LONGEST_SESSION = 64


class Approval(models.Model):
    """One person asks; another one, elsewhere, agrees or refuses. Whoever has asked may withdraw."""

    show = models.ForeignKey(Show, models.PROTECT, related_name="approvals")
    segment = models.ForeignKey(Segment, models.PROTECT, related_name="approvals", null=True)
    action = models.CharField(max_length=20)
    subject = models.CharField(max_length=64)  # of all that can be asked for at once: a segment, a viewer
    what = models.JSONField(default=dict)  # what was typed, and which lamps were red
    reason = models.CharField(max_length=LONGEST_REASON, blank=True)
    asked_by = models.CharField(max_length=LONGEST_ACTOR)
    asked_session = models.CharField(max_length=LONGEST_SESSION)  # a fingerprint of the login
    asked_at_ms = models.BigIntegerField()
    decided_by = models.CharField(max_length=LONGEST_ACTOR, blank=True)  # nobody: it has expired
    decided_at_ms = models.BigIntegerField(null=True)
    approved = models.BooleanField(null=True)

    class Meta:
        ordering = ("asked_at_ms",)
        permissions = (("decide_approval", "Can agree to what another person has asked for"),)
        constraints = (
            models.CheckConstraint(
                condition=~Q(approved=True, decided_by=F("asked_by")) & ~Q(approved=True, decided_by=""),
                name="two_people_approve",
            ),
            models.UniqueConstraint(
                fields=["show", "action", "subject"], condition=Q(approved=None), name="one_open_approval"
            ),
        )
        indexes = (models.Index(fields=["show"], condition=Q(approved=None), name="open_approvals"),)

    def __str__(self) -> str:
        return f"{self.action} {self.segment or self.subject}"
