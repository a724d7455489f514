"""How long a show's personal data is kept, and its end: the show's key is destroyed (docs/privacy.md)."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from engagement.actions import ActionRefused
from engagement.clock import from_ms, now_ms
from engagement.languages import mark, say
from engagement.ledger.append import append_entry
from engagement.models import Show
from engagement.show_keys import DESTROYED, erase_show_key, lock_idle_show

IMPOSSIBLE = (
    "to tell who stands behind a pseudonym of this show: not for an auditor (show_key), a court, or the viewer",
    "to play in this show again, to renew a pass of it, or to arm another of its segments",
    "to check that pseudonyms were made with the promised key",
)
"""What nobody can do any more, once the key of a show is destroyed; draws can still be verified by everybody."""


def kept_until(show: Show) -> datetime:
    """Until when the key of a show is kept: RETENTION_DAYS after the last thing that happened in it."""
    last = show.segments.aggregate(closed=Max("closes_at"), published=Max("published_at"))
    claims = show.wins.aggregate(claim_by=Max("claim_by"))
    moments: list[datetime | None] = [last["closed"], last["published"], claims["claim_by"]]
    end = max([show.created_at, *(moment for moment in moments if moment is not None)])
    return end + timedelta(days=settings.RETENTION_DAYS)


@transaction.atomic
def destroy_show_key(show_id: int, *, actor: str, reason: str, now: int | None = None) -> None:
    """For good. ActionRefused before its time, without a reason, and while anything is under way."""
    now = now_ms() if now is None else now
    if not reason.strip():
        raise ActionRefused(say("to destroy the key needs a reason"))
    show = lock_idle_show(show_id, why=mark("destroyed"))
    until = kept_until(show)
    if from_ms(now) < until:
        raise ActionRefused(
            say(
                "the key of {show} is kept until {until} UTC, {retention_days} days after the last thing "
                "that happened in it (RETENTION_DAYS)",
                show=show,
                until=until.astimezone(UTC).strftime("%Y-%m-%d %H:%M"),
                retention_days=settings.RETENTION_DAYS,
            )
        )
    append_entry(show, "destroy key", actor=actor, reason=reason.strip(), now=now)
    erase_show_key(show)


def refuse_without_key(show: Show) -> None:
    """What needs pseudonyms of this show is over."""
    if show.k_show == DESTROYED:
        raise ActionRefused(say("the key of {show} was destroyed: nobody can play in it any more", show=show))
