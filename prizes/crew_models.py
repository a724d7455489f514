"""What is kept of the crew's logins: failed ones, sessions, and the account that is sealed on paper."""

from django.contrib.auth.models import User
from django.db import models

LONGEST_NEIGHBOUR = 45
LONGEST_BROWSER = 200


class FailedLogin(models.Model):
    """The failed logins of one account from one neighbour in the address space; never what was typed."""

    account = models.CharField(max_length=150)
    neighbour = models.CharField(max_length=LONGEST_NEIGHBOUR)
    failures = models.PositiveIntegerField(default=0)
    in_a_row = models.PositiveIntegerField(default=0)
    first_ms = models.BigIntegerField()
    last_ms = models.BigIntegerField(db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("account", "neighbour"), name="one_row_of_failures"),)

    def __str__(self) -> str:
        return f"{self.failures} failed logins of {self.account} from {self.neighbour}"


class CrewSession(models.Model):
    """Somebody who is logged in with one browser."""

    user = models.ForeignKey(User, models.CASCADE, related_name="crew_sessions")
    key = models.CharField(max_length=40, unique=True)
    begun_ms = models.BigIntegerField(db_index=True)
    neighbour = models.CharField(max_length=LONGEST_NEIGHBOUR)
    browser = models.CharField(max_length=LONGEST_BROWSER)

    class Meta:
        permissions = (("end_sessions", "Can end the sessions of others"),)

    def __str__(self) -> str:
        return f"session of {self.user}"


class BreakGlass(models.Model):
    """The account on paper: made by a command, spent by its first login."""

    user = models.OneToOneField(User, models.CASCADE, related_name="break_glass")
    made_ms = models.BigIntegerField()
    used_ms = models.BigIntegerField(null=True)
    used_from = models.CharField(max_length=LONGEST_NEIGHBOUR, blank=True)

    def __str__(self) -> str:
        return f"{self.user}, on paper"
