"""What nobody does alone: one person asks, another one agrees within minutes, and then it is done. All of it is told by
the ledger.

Void and spoil need two people always, publish and the first name where the show asks for it, open while a lamp is red,
and exclusions, revoked passes and viewers who are forgotten once a segment of the show was armed. Agreed to is what was
asked for: the play of a segment, and the lamps that were red, are in the request. Repeats and disqualifications have
rows of their own, and the same rule for who is a second person (prizes/two_people.py).
"""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import F

from engagement.actions import ActionRefused, Conflict, open_segment
from engagement.clock import from_ms, now_ms
from engagement.languages import say
from engagement.ledger.append import append_entry, fit_text
from engagement.models import LONGEST_ACTOR, LONGEST_REASON, Segment, Show
from engagement.phrases import action_text
from engagement.restores import trouble_of
from engagement.revoking import revoke_passes
from prizes.exclusions import WHO, exclude_viewer, include_viewer
from prizes.forgetting import Kept, forget_viewer
from prizes.lamps import name_of, red_lamps, tell_lamp
from prizes.models import Approval, Exclusion
from prizes.steps.naming import name_next_winner
from prizes.steps.publish import publish_segment
from prizes.steps.spoil import spoil_by_hand
from prizes.steps.void import void_segment
from prizes.two_people import refuse_same
from prizes.witness_models import was_armed

REVOKE, FORGET = "revoke", "forget"
VALID_MS = 15 * 60_000
MOST_OPEN = (
    50  # requests of a show about viewers that wait at once; those about segments are as many as these
)
ALWAYS = frozenset({"void", "spoil"})
WITH_REASON = frozenset({"void", "spoil", "exclude", "include", REVOKE, FORGET})
MOST_LAMPS = 10  # are named in a request; of the others it has the number


# --- which things ---


def tell_asked(asked: Approval) -> str:
    """What is asked for, as people read it."""
    return say("{action} {what}", action=action_text(asked.action), what=asked.segment or asked.subject)


def lamps_before(segment: Segment, action: str, now: int) -> list[str]:
    """What is red while somebody wants to go on air."""
    return red_lamps(segment.show, now) if action == "open" else []


def tell_lamps(lamps: list[str]) -> dict[str, Any]:
    """What a request says of the lamps that are red."""
    if not lamps:
        return {}
    more = len(lamps) - MOST_LAMPS
    return {"lamps": lamps[:MOST_LAMPS], **({"more_lamps": more} if more > 0 else {})}


def needs_two(segment: Segment, action: str, lamps: list[str]) -> bool:
    """Whether this press is not enough."""
    tells = action == "publish" or (action == "name" and not segment.announced_naming)
    return action in ALWAYS or bool(lamps) or (tells and segment.show.publish_by_two)


def viewers_need_two(show: Show) -> bool:
    """Once something was armed, people who may take part have been told so: nobody takes one out alone."""
    return was_armed(show)


def open_requests(show_id: int, now: int) -> list[Approval]:
    """What waits for a second person."""
    waiting = Approval.objects.filter(show=show_id, approved=None, asked_at_ms__gt=now - VALID_MS)
    first = F("segment").asc(nulls_last=True)  # however many viewers somebody asks about
    return list(waiting.select_related("segment", "show").order_by(first, "asked_at_ms")[:MOST_OPEN])


# --- to ask, to agree, to refuse ---


@transaction.atomic
def ask(
    show: Show, action: str, subject: str, *, actor: str, session: str = "", segment: Segment | None = None,
    what: dict[str, Any] | None = None, reason: str = "", people: dict[str, str] | None = None,
    now: int | None = None,
) -> Approval:  # fmt: skip
    """The first of two people; ActionRefused where it was asked for already, Conflict by somebody else."""
    now = now_ms() if now is None else now
    _lock(show)
    _close_expired(show, now)
    if action in WITH_REASON and not reason.strip():
        raise ActionRefused(say("{action} needs a reason", action=action_text(action)))
    waiting = Approval.objects.filter(show=show, approved=None)
    if same := waiting.filter(action=action, subject=subject).first():
        raise Conflict(
            say(
                "{asked_by} has asked for it already, until {until}",
                asked_by=same.asked_by,
                until=_until(same),
            )
        )
    if segment is None and waiting.filter(segment=None).count() >= MOST_OPEN:
        raise ActionRefused(say("{most} requests wait for a second person already", most=MOST_OPEN))
    what = {**(what or {}), **_now_of(segment)}
    asked = Approval(
        show=show, segment=segment, action=action, subject=subject, what=what,
        reason=fit_text(LONGEST_REASON, reason.strip()), asked_by=fit_text(LONGEST_ACTOR, actor),
        asked_session=session, asked_at_ms=now,
    )  # fmt: skip
    _rehearse(asked, actor, now)
    asked.save(force_insert=True)
    _tell(asked, "ask approval", actor=actor, reason=asked.reason, people=people, now=now, **asked.what)
    return asked


@transaction.atomic
def decide(
    approval_id: int, *, approve: bool, actor: str, session: str = "", now: int | None = None
) -> Approval:
    """Somebody else agrees, and it is done; or it is refused, by anybody. ActionRefused where it cannot be done: then
    the request stays."""
    now = now_ms() if now is None else now
    asked = Approval.objects.select_related("show", "segment").filter(pk=approval_id).first()
    if asked is None:
        raise ActionRefused(say("there is no request {approval_id}", approval_id=approval_id))
    _lock(asked.show)
    asked.refresh_from_db()
    if asked.approved is not None:
        raise Conflict(
            say(
                "{asked} was decided by {decided_by} already",
                asked=tell_asked(asked),
                decided_by=asked.decided_by or say("nobody in time"),
            )
        )
    if asked.asked_at_ms <= now - VALID_MS:
        raise ActionRefused(
            say(
                "{asked} was asked for until {until}: ask again", asked=tell_asked(asked), until=_until(asked)
            )
        )
    if approve:
        refuse_same(asked_by=asked.asked_by, asked_session=asked.asked_session, actor=actor, session=session)
        _refuse_another(asked, now)
    _close(asked, approve, actor, now)
    if approve:
        _tell(asked, "approve", actor=actor, people={"asked_by": asked.asked_by}, now=now)
        DO[asked.action](asked, actor, now)
    else:
        _tell(asked, "refuse approval", actor=actor, now=now)
    return asked


def press(
    segment: Segment, action: str, *, actor: str, session: str = "", what: dict[str, Any], reason: str = "",
    now: int | None = None, may_agree: Callable[[], None] = lambda: None,
) -> Approval:  # fmt: skip
    """A button that needs two people: the first press asks, that of a second person agrees.

    `may_agree` raises ActionRefused where this one is no such person; it is asked here, and not before: somebody else
    may have asked in between.
    """
    now = now_ms() if now is None else now
    waiting = Approval.objects.filter(
        show=segment.show_id,
        action=action,
        subject=str(segment.pk),
        approved=None,
        asked_at_ms__gt=now - VALID_MS,
    ).first()
    if waiting is not None:
        may_agree()
        return decide(waiting.pk, approve=True, actor=actor, session=session, now=now)
    return ask(
        segment.show, action, str(segment.pk), actor=actor, session=session, segment=segment, what=what,
        reason=reason, now=now,
    )  # fmt: skip


class _Possible(Exception):
    """It could be done now, and is taken back."""


def _rehearse(asked: Approval, actor: str, now: int) -> None:
    """ActionRefused where it could not be done at all, so that nobody is asked to agree to it."""
    try:
        with transaction.atomic():
            DO[asked.action](asked, actor, now)
            raise _Possible
    except _Possible:
        pass


def _now_of(segment: Segment | None) -> dict[str, str]:
    """Which play of the segment it is asked about, as it stands in the locked show; "": a draft."""
    if segment is None:
        return {}
    return {"play": Segment.objects.values_list("play", flat=True).get(pk=segment.pk)}


def _lock(show: Show) -> None:
    """Two who press at once line up here."""
    if trouble := trouble_of(show):
        raise ActionRefused(trouble)
    Show.objects.select_for_update().only("pk").get(pk=show.pk)


def _close_expired(show: Show, now: int) -> None:
    """Nobody has agreed in time: these stand in nobody's way any more."""
    over = Approval.objects.filter(show=show, approved=None, asked_at_ms__lte=now - VALID_MS)
    over.update(approved=False, decided_at_ms=now)


def _close(asked: Approval, approve: bool, actor: str, now: int) -> None:
    decided = {"approved": approve, "decided_by": fit_text(LONGEST_ACTOR, actor), "decided_at_ms": now}
    if not Approval.objects.filter(pk=asked.pk, approved=None).update(**decided):
        raise Conflict(say("{asked} was decided already", asked=tell_asked(asked)))
    asked.approved, asked.decided_by, asked.decided_at_ms = approve, actor, now


def _refuse_another(asked: Approval, now: int) -> None:
    """ActionRefused where things are not as they were when it was asked for: nobody has asked for what would be done.

    A draft that is armed meanwhile is another play: who wanted to call off an idea does not call off a promise.
    """
    segment = asked.segment
    if segment is None:
        return
    if segment.play != asked.what.get("play"):
        raise ActionRefused(
            say("{segment} was armed since it was asked for: refuse it, and ask again", segment=segment)
        )
    known = {name_of(lamp) for lamp in asked.what.get("lamps", ())}
    new = [lamp for lamp in lamps_before(segment, asked.action, now) if name_of(lamp) not in known]
    if len(new) > asked.what.get("more_lamps", 0):
        raise ActionRefused(
            say(
                "red since it was asked for: {lamps} Refuse it, and ask again",
                lamps=" ".join(map(tell_lamp, new[:3])),
            )
        )


def _until(asked: Approval) -> str:
    return f"{from_ms(asked.asked_at_ms + VALID_MS):%H:%M:%S} UTC"


def _tell(
    asked: Approval, entry: str, *, actor: str, now: int, reason: str = "", people: dict[str, str] | None = None,
    **more: Any,
) -> None:  # fmt: skip
    details = {"approval": asked.pk, "asked": asked.action, "segment": asked.segment_id, **more}
    append_entry(asked.show, entry, actor=actor, reason=reason, details=details, people=people, now=now)


# --- what is done then ---


def _segment(asked: Approval) -> int:
    if asked.segment_id is None:
        raise ActionRefused(say("the segment is not there any more"))
    return asked.segment_id


def _exclude(asked: Approval, actor: str, now: int) -> None:
    if Exclusion.objects.filter(show=asked.show, pseudonym=asked.subject).exists():
        raise Conflict(say("{subject} is excluded already", subject=asked.subject))
    exclude_viewer(Exclusion(show=asked.show, pseudonym=asked.subject, note=asked.reason[:120]), actor=actor)


def _include(asked: Approval, actor: str, now: int) -> None:
    row = Exclusion.objects.select_related("show").filter(show=asked.show, pseudonym=asked.subject).first()
    if row is None:
        raise Conflict(say("{subject} is not excluded any more", subject=asked.subject))
    include_viewer(row, actor=actor)


def ask_exclusion(row: Exclusion, action: str, *, actor: str, session: str = "", reason: str) -> Approval:
    """Of somebody who is to be excluded, or not any more, once something was armed."""
    return ask(
        row.show,
        action,
        row.pseudonym,
        actor=actor,
        session=session,
        reason=reason,
        people={WHO: row.pseudonym},
    )


@transaction.atomic
def revoke_by_rules(
    show: Show, *, viewer: str = "", kind: str = "", before: int | None = None, actor: str, reason: str
) -> Approval | None:
    """Takes passes back where one person may do it, else asks: who is sent away while people shake does not win.

    What has no time is revoked up to the moment of the agreement.
    """
    _lock(show)
    if not viewers_need_two(show):
        revoke_passes(show.pk, viewer=viewer, kind=kind, before=before, actor=actor, reason=reason)
        return None
    until = "now" if before is None else f"{from_ms(before):%Y-%m-%d %H:%M:%S} UTC"
    what = {"kind": kind, **({} if before is None else {"before": before})}
    return ask(
        show, REVOKE, viewer or f"passes ({kind or 'all'}) of before {until}", actor=actor, reason=reason,
        what={} if viewer else what, people={"viewer": viewer} if viewer else None,
    )  # fmt: skip


def _revoke(asked: Approval, actor: str, now: int) -> None:
    whose = asked.what or {"viewer": asked.subject}
    revoke_passes(asked.show_id, **whose, actor=actor, reason=asked.reason, now=now)


def forget_by_rules(show: Show, viewer: str, *, actor: str, reason: str) -> list[Kept] | None:
    """Erases what may be erased of a viewer where one person may do it; None: a second person is asked.

    Who is forgotten plays no more in this show, as with a pass that is revoked.
    """
    if not viewers_need_two(show):
        return forget_viewer(show.pk, viewer, actor=actor, reason=reason)
    ask(show, FORGET, viewer, actor=actor, reason=reason, people={"viewer": viewer})
    return None


def _forget(asked: Approval, actor: str, now: int) -> None:
    forget_viewer(asked.show_id, asked.subject, actor=actor, reason=asked.reason, now=now)


DO: dict[str, Callable[[Approval, str, int], Any]] = {
    "void": lambda asked, actor, now: void_segment(
        _segment(asked), actor=actor, reason=asked.reason, now=now
    ),
    "spoil": lambda asked, actor, now: spoil_by_hand(
        _segment(asked), actor=actor, reason=asked.reason, now=now
    ),
    "publish": lambda asked, actor, now: publish_segment(_segment(asked), actor=actor, now=now),
    "name": lambda asked, actor, now: name_next_winner(_segment(asked), named=0, actor=actor, now=now),
    "open": lambda asked, actor, now: open_segment(
        _segment(asked), actor=actor, lead_s=asked.what["lead_s"], now=now
    ),
    "exclude": _exclude,
    "include": _include,
    REVOKE: _revoke,
    FORGET: _forget,
}
