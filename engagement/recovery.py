"""A person confirms that the database was restored: what had been announced since is over, and it lives on as it is.

Every show that is not over, or has lost something, gets a new epoch, so that gateways and phones take its states
whatever number theirs have, and forget what they have counted. A segment that is armed and was not opened gets a new
play: should it have been played already, nothing of that is found. One that was opened keeps its play, and with it the
totals that phones were told are counted.
"""

from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from redis.exceptions import RedisError

from engagement.actions import ActionRefused, announce
from engagement.clock import now_ms
from engagement.core.phases import CALLED_OFF, UNDER_WAY, Phase
from engagement.languages import say
from engagement.ledger.append import append_entry
from engagement.marks import Mark, mark_of, read_all_marks, replace_marks, unknown
from engagement.models import Installation, Restore, Segment, Show, new_epoch, new_play
from engagement.restores import find_lost, lost_marks, note, stranger, unconfirmed

OVER = (Phase.PUBLISHED, *CALLED_OFF)


def confirm_restore(*, actor: str, now: int | None = None) -> list[Show]:
    """Gives the database a new life, and the name of this installation; the shows whose ledgers tell of it.

    Those are the shows that have lost something or have something under way. All that are not over get a new epoch.
    ActionRefused where nothing is missing.
    """
    try:
        return _confirm(actor, now_ms() if now is None else now)
    except (RedisError, OSError):
        raise ActionRefused(
            say("Redis does not answer, and it knows what was announced: bring it back first.")
        ) from None


@transaction.atomic
def _confirm(actor: str, now: int) -> list[Show]:
    lost = _lost(now)
    slugs = {row["show"] for row in lost}
    unfinished = Segment.objects.exclude(phase__in=OVER).values("show")
    # Nights that were never played to their end are many: one statement for all of them, which the conductor announces.
    Show.objects.filter(Q(pk__in=unfinished) | Q(slug__in=slugs)).update(epoch=new_epoch(), stale=True)
    under_way = Segment.objects.filter(phase__in=UNDER_WAY).values("show")
    concerned = Show.objects.select_for_update().filter(Q(pk__in=under_way) | Q(slug__in=slugs))
    shows = list(concerned.order_by("pk"))
    marks = [_begin_anew(show, lost, actor, now) for show in shows]
    for show in shows:
        transaction.on_commit(partial(announce, show.pk))
    # Not after the commit: in between somebody would notice the restore once more. While this is not committed, it is
    # not confirmed either.
    replace_marks(unknown(read_all_marks()), marks)
    Restore.objects.filter(confirmed_at_ms=None).update(confirmed_at_ms=now, confirmed_by=actor)
    Installation.objects.update(name=settings.INSTALLATION)
    return shows


def _lost(now: int) -> list[dict[str, Any]]:
    """What was noticed, or is noticed now."""
    restore = unconfirmed()
    if restore is None:
        lost = lost_marks() or find_lost(now)
        if not lost and not stranger():
            raise ActionRefused(say("Nothing has to be confirmed: the database has all that was announced."))
        restore = note(lost, now)
    return list(restore.lost)


def _begin_anew(show: Show, lost: list[dict[str, Any]], actor: str, now: int) -> Mark:
    """New plays for what was armed in a show, and the entry that says that it has begun anew."""
    armed = show.segments.filter(phase=Phase.ARMED, opens_at=None)
    for segment in armed:
        armed.filter(pk=segment.pk).update(play=new_play(show))
    details = {
        "lost": [row for row in lost if row["show"] == show.slug],
        "segments": [segment.pk for segment in armed],
    }
    return mark_of(append_entry(show, "restore", actor=actor, now=now, details=details))
