"""The draw side of a confirmed restore: numbers of draws are not given twice.

Receipts, rolls and promises are kept for ever by browsers and caches, under an address with the number of the draw. The
draws that were lost have had numbers that the database does not know any more. Nor does it know of another restore of
the same backup, and of the draws that were made after that: so the new numbers begin with a thousand drawn by lot.
"""

import secrets

from django.db import connection, transaction
from django.db.models import Max

from engagement import recovery
from engagement.models import Show
from prizes.models import Draw

LEAP = 1000  # more draws than anybody loses
LOTS = 10_000


def confirm_restore(*, actor: str, now: int | None = None) -> list[Show]:
    """Confirms the restore (engagement/recovery.py); draws that are made from now on have numbers of a new thousand."""
    with transaction.atomic():
        shows = recovery.confirm_restore(actor=actor, now=now)
        _leap()
    return shows


def _leap() -> None:
    newest = Draw.objects.aggregate(newest=Max("pk"))["newest"] or 0
    last = (newest // LEAP + 2 + secrets.randbelow(LOTS)) * LEAP
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT setval(pg_get_serial_sequence('prizes_draw', 'id'), %s)", [last])
            return
        cursor.execute("DELETE FROM sqlite_sequence WHERE name = 'prizes_draw'")
        cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('prizes_draw', %s)", [last])
