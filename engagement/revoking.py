"""Passes are taken back: of one viewer, of a kind, or all that were given before a time. Gateways obey with the state.

What was counted so far stays: who is not to be in the roll is excluded. A viewer of a host app who is revoked stays so,
whatever pass the app gives; a kind is revoked up to a time, so that later passes are good.
"""

import re

from django.db import transaction

from engagement.actions import ActionRefused, announce_later
from engagement.clock import from_ms, now_ms
from engagement.fair_play.core.origins import APP, KINDS
from engagement.fair_play.core.revoked import MOST_REVOCATIONS
from engagement.languages import say
from engagement.ledger.append import append_entry
from engagement.models import Show

PSEUDONYM = re.compile(r"[0-9a-f]{28}")


@transaction.atomic
def revoke_passes(
    show_id: int,
    *,
    viewer: str = "",
    kind: str = "",
    before: int | None = None,
    actor: str,
    reason: str,
    now: int | None = None,
) -> None:
    """Takes back the passes of a viewer (pseudonym in hex), or those of a kind ("": any) from before a time (UTC ms).

    ActionRefused for what is neither, for a time that is still to come, and past the most that a show can have.
    """
    now = now_ms() if now is None else now
    row = _describe(viewer, kind, now if before is None else before, now)
    if not (viewer or kind or before):
        raise ActionRefused(say("expected a viewer, a kind or a time: whose passes are to be revoked?"))
    if not reason.strip():
        raise ActionRefused(say("to revoke passes needs a reason"))
    show = Show.objects.select_for_update().get(pk=show_id)
    if row in show.revoked:
        raise ActionRefused(say("these passes are revoked already"))
    if len(show.revoked) >= MOST_REVOCATIONS:
        raise ActionRefused(
            say(
                "a show has at most {most_revocations} revocations: revoke by kind or time",
                most_revocations=MOST_REVOCATIONS,
            )
        )
    Show.objects.filter(pk=show_id).update(revoked=[*show.revoked, row])
    people = {"viewer": viewer} if viewer else None
    told = {name: value for name, value in row.items() if name != "viewer"}
    append_entry(show, "revoke", actor=actor, reason=reason.strip(), details=told, people=people, now=now)
    announce_later(show_id)


def _describe(viewer: str, kind: str, before: int, now: int) -> dict[str, str | int]:
    if viewer:
        if kind or not PSEUDONYM.fullmatch(viewer):
            raise ActionRefused(
                say("expected a pseudonym of 28 hex digits, and no kind, got {viewer}", viewer=repr(viewer))
            )
        return {"viewer": viewer}
    if kind and kind not in (APP, *KINDS):
        raise ActionRefused(
            say("expected a kind of {list}, got {kind}", list=", ".join((APP, *KINDS)), kind=repr(kind))
        )
    if not 0 < before <= now:
        raise ActionRefused(
            say(
                "expected a time that has been, got {at} UTC",
                at=from_ms(max(0, before)).strftime("%Y-%m-%d %H:%M:%S"),
            )
        )
    return {"kind": kind, "before": before}
