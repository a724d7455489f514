"""The console roles as Django groups: an operator runs segments, a director also approves, an auditor only reads.

A party of a draw has no role: its account is named in the party's row, and it sees its own page only.
"""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

OPERATOR, DIRECTOR, AUDITOR = "operator", "director", "auditor"
APPS = ("engagement", "prizes")
CONSOLE = "engagement.view_segment"  # who may do this is of the crew

_READS = Q(codename__startswith="view_")
_RUNS = Q(codename__in=["run_segment", "enter_dice", "ask_disqualification"])
_EDITS = Q(codename__regex=r"^(add|change|delete)_(show|fairplay|feed|segment|prizelist|prize)$")
_APPROVES = Q(
    codename__in=[
        "void_segment",
        "add_exclusion",
        "delete_exclusion",
        "approve_disqualification",
        "decide_approval",
        "confirm_restore",
        "end_sessions",
    ]
)
_INVITES = Q(codename__regex=r"^(add|change|delete)_(party|witness|quorum|stamper)$")
_VERIFIES = Q(codename__in=["audit_draw"])

ROLES = {
    OPERATOR: _READS | _RUNS | _EDITS,
    DIRECTOR: _READS | _RUNS | _EDITS | _APPROVES | _INVITES,
    AUDITOR: _READS | _VERIFIES,
}


def create_roles(**_: Any) -> None:
    """Makes the three groups and gives them exactly their permissions; runs after every migrate."""
    for name, wanted in ROLES.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.set(Permission.objects.filter(wanted, content_type__app_label__in=APPS))
