"""What the crew puts on the screens in place of what the phase says: a prize, nothing, a standby picture."""

from django.db import transaction

from engagement.actions import ActionRefused, announce_later
from engagement.clock import now_ms
from engagement.languages import say
from engagement.ledger.append import append_entry
from engagement.models import Segment, Show
from engagement.restores import trouble_of

KINDS = ("auto", "announce", "prize", "clear", "standby")


@transaction.atomic
def set_cue(show_id: int, kind: str, *, prize: int | None = None, actor: str, now: int | None = None) -> None:
    """Puts something on all screens of a show; `prize` is one that was announced, and goes with that kind alone."""
    now = now_ms() if now is None else now
    show = Show.objects.select_for_update().get(pk=show_id)
    if trouble := trouble_of(show):
        raise ActionRefused(trouble)
    if kind not in KINDS:
        raise ActionRefused(
            say("expected a cue of {list}, got {kind}", list=", ".join(KINDS), kind=repr(kind[:20]))
        )
    if (kind == "prize") != (prize is not None):
        raise ActionRefused(say("the cue `prize` takes the number of a prize, the others take none"))
    if prize is not None and not _is_announced(show, prize):
        raise ActionRefused(say("prize {prize} is not one that this show has announced", prize=prize))
    cue = {"kind": kind, "at": now, **({} if prize is None else {"prize": prize})}
    Show.objects.filter(pk=show_id).update(cue=cue)
    details = {name: value for name, value in cue.items() if name != "at"}
    append_entry(show, "cue", actor=actor, details=details, now=now)
    announce_later(show_id)


def _is_announced(show: Show, prize: int) -> bool:
    rows = Segment.objects.filter(show=show).exclude(play="").values_list("announced_prizes", flat=True)
    return any(row["id"] == prize for prizes in rows for row in prizes)
