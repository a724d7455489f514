"""What people and the conductor do to a segment. Each action does the whole thing: check, write with a ledger entry in
one transaction, and announce once that is committed: what phones and stages see, if that has changed. Phases change by
compare-and-set.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q

from engagement import wins as kept_wins
from engagement.broadcast import send_state, send_wins
from engagement.chinese import written_elsewhere
from engagement.clock import from_ms, now_ms, to_ms
from engagement.core.digests import parse_canonical
from engagement.core.messages import Cue, Naming, Prize, Result
from engagement.core.messages import Picture as ShownPicture
from engagement.core.phases import REPORTING, IllegalTransition, Phase, check_transition
from engagement.core.show_state import (
    Facts,
    Revocation,
    SegmentState,
    ShowState,
    bound_results,
    choose_current,
    find_next,
    is_more_to_come,
)
from engagement.fair_play.promised import describe_fair_play
from engagement.languages import say
from engagement.ledger.append import SYSTEM, append_entry, time_behind
from engagement.models import LedgerEntry, Segment, Show
from engagement.phrases import phase_text
from engagement.pictures.models import Picture, describe_picture
from engagement.restores import trouble_of
from engagement.wins import Step, Wins

log = logging.getLogger(__name__)

MAX_LEAD_S = 3600


class ActionRefused(Exception):
    """The action is not possible; nothing was changed. The text is for the operator."""


class DatabaseRestored(ActionRefused):
    """The database is older than what was announced from it: everything waits for a person (engagement/restores.py)."""


class Conflict(ActionRefused):
    """Somebody else was faster; the text says what happened."""


# --- what every action shares ---


def lock_segment(segment_id: int) -> Segment:
    """The segment, with its show's row locked until the transaction ends: actions on one show happen one by one."""
    try:
        segment = Segment.objects.select_related("show").get(pk=segment_id)
    except Segment.DoesNotExist:
        raise ActionRefused(say("there is no segment {segment_id}", segment_id=segment_id)) from None
    if trouble := trouble_of(segment.show):
        raise DatabaseRestored(trouble)
    Show.objects.select_for_update().get(pk=segment.show_id)
    segment.refresh_from_db()
    return segment


def change_phase(segment: Segment, new: Phase, now: int, **fields: Any) -> None:
    """Moves the segment on by compare-and-set; raises Conflict or IllegalTransition, and then nothing has changed."""
    old = Phase(segment.phase)
    check_transition(old, new)
    fields["phase_at"] = from_ms(now)
    changed = Segment.objects.filter(pk=segment.pk, phase=old).update(phase=new, **fields)
    if changed != 1:
        segment.refresh_from_db()
        raise Conflict(
            say(
                "{segment} is {phase} by now: {change}",
                segment=segment,
                phase=phase_text(segment.phase),
                change=last_change(segment),
            )
        )
    for name, value in {"phase": new, **fields}.items():
        setattr(segment, name, value)


def record_change(
    segment: Segment,
    action: str,
    *,
    actor: str,
    now: int,
    reason: str = "",
    details: dict[str, Any] | None = None,
    people: Mapping[str, str] | None = None,
    at_once: bool = True,
) -> LedgerEntry:
    """The other half of every action: the ledger entry, and the announcement once all of it is committed.

    Where it is not needed `at_once`, the conductor announces it within a second, together with what else has changed.
    """
    entry = append_entry(
        segment.show,
        action,
        actor=actor,
        reason=reason,
        details={"segment": segment.pk, "phase": str(segment.phase), **(details or {})},
        people=people,
        now=now,
    )
    announce_later(segment.show_id, at_once=at_once)
    return entry


def announce_later(show_id: int, *, at_once: bool = True) -> None:
    """What phones or screens see of a show may be another now; inside the transaction that changes it."""
    Show.objects.filter(pk=show_id).update(stale=True)
    if at_once:
        transaction.on_commit(lambda: announce(show_id))


def change_wins(show_id: int, describe: Callable[[], Wins]) -> None:
    """The next step of a show's wins: after the commit those are told whom it concerns, and nobody else.

    `describe` says what they have won, and is called inside the transaction, once all is written.
    """
    Show.objects.filter(pk=show_id).update(wins_step=F("wins_step") + 1)
    show, changed = Show.objects.only("slug", "epoch", "wins_step").get(pk=show_id), describe()
    transaction.on_commit(lambda: send_wins(show.slug, Step(show.epoch, show.wins_step), changed))


def end_cue(segment: Segment, now: int) -> None:
    """A segment that is armed or opened is what the screens show now; a standby picture goes by hand alone."""
    show = Show.objects.only("cue").get(pk=segment.show_id)
    if show.cue["kind"] not in ("auto", "standby"):
        Show.objects.filter(pk=segment.show_id).update(cue={"kind": "auto", "at": now})


def past_phase(segment: Segment) -> Conflict:
    """For whoever came second: the segment is past what was asked for."""
    return Conflict(
        say(
            "{segment} is {phase} already: {change}",
            segment=segment,
            phase=phase_text(segment.phase),
            change=last_change(segment),
        )
    )


def last_change(segment: Segment) -> str:
    """What happened to the segment last, for whoever came second."""
    for entry in LedgerEntry.objects.filter(show=segment.show_id).order_by("-position")[:50]:
        if is_about(entry, segment):
            return say(
                "{action} by {actor} at {at} UTC",
                action=entry.action,
                actor=entry.actor,
                at=from_ms(entry.at_ms).strftime("%H:%M:%S"),
            )
    return say("nothing was recorded")


def is_about(entry: LedgerEntry, segment: Segment) -> bool:
    """Whether a ledger entry tells of this segment."""
    return bool(parse_canonical(entry.details.encode()).get("segment") == segment.pk)


def announce(show_id: int) -> None:
    """Tells all gateways what has changed of a show; nothing where somebody has told it already.

    It comes after the commit of what it tells of: a failure here is not one of that. The conductor makes up for it.
    """
    try:
        state = number_state(show_id)
        if state is not None:
            send_state(state, lambda: kept_wins.describe_wins(show_id))
    except DatabaseError as error:
        log.warning("show %s is not announced yet: %s", show_id, error)
    except Exception:
        log.exception("show %s cannot be announced", show_id)


@transaction.atomic
def number_state(show_id: int) -> ShowState | None:
    """The state with its number, a new one only where everybody sees something new; None where nothing has changed.

    With the show locked: of two that announce at once, the second one finds what the first has told.
    """
    show = Show.objects.select_for_update().filter(pk=show_id, stale=True).first()
    if show is None:
        return None
    state = describe_show(show)
    news = int(state.digest != show.announced)
    Show.objects.filter(pk=show_id).update(stale=False, announced=state.digest, seq=F("seq") + news)
    return msgspec.structs.replace(state, seq=show.seq + news)


def describe_show(show: Show) -> ShowState:
    """The state document of a show, from the database."""
    rundown = list(show.segments.all())
    described = [describe_segment(segment) for segment in rundown]
    current = choose_current(described, show.cue["kind"])
    results = [result for segment in rundown for result in segment.announced_results]
    return ShowState(
        installation=settings.INSTALLATION,
        slug=show.slug,
        title=show.title,
        title_zh=show.title_zh,
        **written_elsewhere("title", show.title_zh),
        epoch=show.epoch,
        seq=show.seq,
        wins=show.wins_step,
        guests=show.guests_allowed,
        k_show=show.k_show,
        feeds={feed.name: feed.delay_ms for feed in show.feeds.all()},
        max_hz=show.max_hz,
        burst=show.burst,
        grace_ms=show.grace_ms,
        current=current,
        segments=[segment for segment in described if segment.id == current or segment.phase in REPORTING],
        results=bound_results(msgspec.convert(results, list[Result])),
        more_to_come=is_more_to_come(described, current),
        fair_play=describe_fair_play(show),
        revoked=msgspec.convert(show.revoked, list[Revocation]),
        next=find_next(described, current),
        cue=_describe_cue(show.cue, rundown),
        picture=_picture(show.picture, show.picture_alt, show.picture_alt_zh),
        standby_picture=_picture(show.standby_picture),
    )


def _describe_cue(cue: dict[str, Any], rundown: list[Segment]) -> Cue:
    """With the prize that it shows, which may be one of a segment that is over or still to come."""
    announced = (
        row for segment in rundown for row in segment.announced_prizes if row["id"] == cue.get("prize")
    )
    shown = next(announced, None)
    return msgspec.convert(cue if shown is None else {**cue, "shown": shown}, Cue)


def _picture(row: Picture | None, *alt: str) -> ShownPicture | None:
    described = describe_picture(row, *alt)
    return None if described is None else msgspec.convert(described, ShownPicture)


def describe_segment(segment: Segment) -> SegmentState:
    """One segment as gateways hold it."""
    return SegmentState(
        id=segment.pk,
        key=segment.key,
        title=segment.title,
        title_zh=segment.title_zh,
        **written_elsewhere("title", segment.title_zh),
        phase=Phase(segment.phase),
        opens_at=None if segment.opens_at is None else to_ms(segment.opens_at),
        closes_at=None if segment.closes_at is None else to_ms(segment.closes_at),
        shards=segment.shards,
        prizes=msgspec.convert(segment.announced_prizes, list[Prize]),
        seals=segment.announced_seals,
        checkpoint=segment.announced_checkpoint,
        phase_at=0 if segment.phase_at is None else to_ms(segment.phase_at),
        facts=msgspec.convert(segment.announced_facts, Facts),
        naming=msgspec.convert(segment.announced_naming, Naming) if segment.announced_naming else None,
    )


# --- what operators do ---


@transaction.atomic
def open_segment(segment_id: int, *, actor: str, lead_s: int = 5, now: int | None = None) -> Segment:
    """Schedules an armed segment: it opens in `lead_s` seconds, for as long as its rules say."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    now = time_behind(segment.show, now)  # never before it was armed, whatever the clock of that server says
    if not 0 <= lead_s <= MAX_LEAD_S:
        raise ActionRefused(
            say("lead: expected 0 to {most} seconds, got {lead_s}", most=MAX_LEAD_S, lead_s=lead_s)
        )
    _refuse_unless_armed(segment)
    opens_at = now + lead_s * 1000
    closes_at = opens_at + segment.window_s * 1000
    segment.opens_at, segment.closes_at = from_ms(opens_at), from_ms(closes_at)
    _refuse_overlap(segment)
    changed = Segment.objects.filter(pk=segment.pk, phase=Phase.ARMED, opens_at=None).update(
        opens_at=segment.opens_at, closes_at=segment.closes_at
    )
    if changed != 1:
        raise Conflict(
            say(
                "{segment} was changed by somebody else: {change}",
                segment=segment,
                change=last_change(segment),
            )
        )
    end_cue(segment, now)
    record_change(
        segment, "open", actor=actor, now=now, details={"opens_at": opens_at, "closes_at": closes_at}
    )
    return segment


def _refuse_unless_armed(segment: Segment) -> None:
    if segment.phase == Phase.DRAFT:
        raise ActionRefused(say("{segment} is a draft: arm it first", segment=segment))
    if segment.phase != Phase.ARMED:
        raise past_phase(segment)
    if segment.opens_at is not None:
        raise Conflict(
            say(
                "{segment} is scheduled already, for {opens_at} UTC: {change}",
                segment=segment,
                opens_at=segment.opens_at.strftime("%H:%M:%S"),
                change=last_change(segment),
            )
        )


def _refuse_overlap(segment: Segment) -> None:
    mine = segment.air_time
    scheduled = Q(phase=Phase.ARMED, opens_at__isnull=False) | Q(phase__in=[Phase.OPEN, Phase.CLOSING])
    for other in (
        Segment.objects.filter(scheduled, show=segment.show).exclude(pk=segment.pk).select_related("show")
    ):
        theirs = other.air_time
        if mine.opens_at < theirs.grace_ends_at and theirs.opens_at < mine.grace_ends_at:
            raise ActionRefused(
                say(
                    "{segment} would overlap with {other}, which is on air from {begin} to {end} UTC, all feeds "
                    "and the grace included",
                    segment=segment,
                    other=other,
                    begin=from_ms(theirs.opens_at).strftime("%H:%M:%S"),
                    end=from_ms(theirs.grace_ends_at).strftime("%H:%M:%S"),
                )
            )


@transaction.atomic
def close_segment(segment_id: int, *, actor: str, reason: str = "", now: int | None = None) -> Segment:
    """Ends the window now, in studio time; delayed feeds see the end after their delay, then comes the grace."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    # The conductor may be a second late with the phase; the clock says what is true.
    if segment.phase not in (Phase.ARMED, Phase.OPEN) and segment.phase != Phase.DRAFT:
        raise Conflict(
            say("{segment} is closed already: {change}", segment=segment, change=last_change(segment))
        )
    if segment.opens_at is None or segment.air_time.opens_at > now:
        raise ActionRefused(say("{segment} is not open yet, so there is nothing to close", segment=segment))
    # Only a window that still has its promised end can be cut short: the second of two clicks changes nothing.
    promised = from_ms(segment.air_time.opens_at + segment.window_s * 1000)
    changed = Segment.objects.filter(
        pk=segment.pk, phase=segment.phase, closes_at=promised, closes_at__gt=from_ms(now)
    ).update(closes_at=from_ms(now))
    if changed != 1:
        raise Conflict(
            say("{segment} is closed already: {change}", segment=segment, change=last_change(segment))
        )
    segment.closes_at = from_ms(now)
    record_change(segment, "close", actor=actor, now=now, reason=reason, details={"closes_at": now})
    return segment


# --- what the conductor does: it records what is already true ---


def move_due_segments(now: int | None = None) -> list[Segment]:
    """Opens and closes the segments whose time has come; returns those that were moved."""
    now = now_ms() if now is None else now
    on_air = Segment.objects.filter(phase__in=[Phase.OPEN, Phase.ARMED], opens_at__lte=from_ms(now))
    on_air = on_air.select_related("show").prefetch_related("show__feeds")
    # What ends goes first: only one segment of a show may be open.
    ends = [row for row in on_air if row.phase == Phase.OPEN and row.air_time.ends_at <= now]
    begins = [row for row in on_air if row.phase == Phase.ARMED and row.air_time.opens_at <= now]
    due = [(row, Phase.CLOSING) for row in ends] + [(row, Phase.OPEN) for row in begins]
    return [moved for row, phase in due if (moved := _move_due_segment(row.pk, phase, now)) is not None]


def _move_due_segment(segment_id: int, new: Phase, now: int) -> Segment | None:
    try:
        return _record_phase(segment_id, new, now)
    except (Conflict, DatabaseRestored, IllegalTransition):
        return None  # the same step ran twice, an operator was faster, or everything waits
    except IntegrityError:
        return None  # after an outage two are due: the next second ends the first and opens the second
    except DatabaseError:
        raise  # nobody can be moved now
    except Exception:
        log.exception("segment %s cannot become %s; all others go on", segment_id, new)
        return None


@transaction.atomic
def _record_phase(segment_id: int, new: Phase, now: int) -> Segment:
    segment = lock_segment(segment_id)
    change_phase(segment, new, now)
    record_change(segment, "opened" if new == Phase.OPEN else "closing", actor=SYSTEM, now=now)
    return segment
