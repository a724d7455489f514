"""What people and the conductor do to a segment. Each action does the whole thing: check, write with a ledger entry in
one transaction, and announce once that is committed. Phases change by compare-and-set.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from engagement.broadcast import mark_complete, send_state
from engagement.clock import from_ms, now_ms, to_ms
from engagement.core.digests import parse_canonical
from engagement.core.phases import REPORTING, IllegalTransition, Phase, check_transition
from engagement.core.show_state import SegmentState, ShowState, choose_current
from engagement.ledger import SYSTEM, append_entry, time_behind
from engagement.models import LedgerEntry, Segment, Show

MAX_LEAD_S = 3600


class ActionRefused(Exception):
    """The action is not possible; nothing was changed. The text is for the operator."""


class Conflict(ActionRefused):
    """Somebody else was faster; the text says what happened."""


# --- what every action shares ---


def lock_segment(segment_id: int) -> Segment:
    """The segment, with its show's row locked until the transaction ends: actions on one show happen one by one."""
    try:
        segment = Segment.objects.select_related("show").get(pk=segment_id)
    except Segment.DoesNotExist:
        raise ActionRefused(f"there is no segment {segment_id}") from None
    Show.objects.select_for_update().get(pk=segment.show_id)
    segment.refresh_from_db()
    return segment


def change_phase(segment: Segment, new: Phase, **fields: Any) -> None:
    """Moves the segment on by compare-and-set; raises Conflict or IllegalTransition, and then nothing has changed."""
    old = Phase(segment.phase)
    check_transition(old, new)
    changed = Segment.objects.filter(pk=segment.pk, phase=old).update(phase=new, **fields)
    if changed != 1:
        segment.refresh_from_db()
        raise Conflict(f"{segment} is {segment.phase} by now: {last_change(segment)}")
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
) -> LedgerEntry:
    """The other half of every action: the ledger entry, and the announcement once all of it is committed."""
    entry = append_entry(
        segment.show,
        action,
        actor=actor,
        reason=reason,
        details={"segment": segment.pk, "phase": str(segment.phase), **(details or {})},
        now=now,
    )
    Show.objects.filter(pk=segment.show_id).update(seq=F("seq") + 1)
    transaction.on_commit(lambda: announce(segment.show_id))
    return entry


def last_change(segment: Segment) -> str:
    """What happened to the segment last, for whoever came second."""
    for entry in LedgerEntry.objects.filter(show=segment.show_id).order_by("-position")[:50]:
        if is_about(entry, segment):
            return f"{entry.action} by {entry.actor} at {from_ms(entry.at_ms):%H:%M:%S} UTC"
    return "nothing was recorded"


def is_about(entry: LedgerEntry, segment: Segment) -> bool:
    """Whether a ledger entry tells of this segment."""
    return bool(parse_canonical(entry.details.encode()).get("segment") == segment.pk)


def announce(show_id: int) -> None:
    """Tells all gateways the present state of a show."""
    send_state(describe_show(Show.objects.get(pk=show_id)))


def describe_show(show: Show) -> ShowState:
    """The state document of a show, from the database."""
    rundown = list(show.segments.all())
    described = [describe_segment(segment) for segment in rundown]
    current = choose_current(described)
    results = [result for segment in rundown for result in segment.announced_results]
    return ShowState(
        slug=show.slug,
        title=show.title,
        title_zh=show.title_zh,
        epoch=show.epoch,
        seq=show.seq,
        guests=show.guests_allowed,
        k_show=show.k_show,
        feeds={feed.name: feed.delay_ms for feed in show.feeds.all()},
        max_hz=show.max_hz,
        burst=show.burst,
        grace_ms=show.grace_ms,
        current=current,
        segments=[segment for segment in described if segment.id == current or segment.phase in REPORTING],
        # All of them: a winner of the first draw is told at every hello, and a reserve when it moves up days later.
        results=sorted(results, key=lambda result: -int(result["published_at"])),
    )


def describe_segment(segment: Segment) -> SegmentState:
    """One segment as gateways hold it."""
    return SegmentState(
        id=segment.pk,
        key=segment.key,
        title=segment.title,
        title_zh=segment.title_zh,
        phase=Phase(segment.phase),
        opens_at=None if segment.opens_at is None else to_ms(segment.opens_at),
        closes_at=None if segment.closes_at is None else to_ms(segment.closes_at),
        shards=segment.shards,
        prizes=segment.announced_prizes,
        seals=segment.announced_seals,
    )


# --- what operators do ---


@transaction.atomic
def open_segment(segment_id: int, *, actor: str, lead_s: int = 5, now: int | None = None) -> Segment:
    """Schedules an armed segment: it opens in `lead_s` seconds, for as long as its rules say."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    now = time_behind(segment.show, now)  # never before it was armed, whatever the clock of that server says
    if not 0 <= lead_s <= MAX_LEAD_S:
        raise ActionRefused(f"lead: expected 0 to {MAX_LEAD_S} seconds, got {lead_s}")
    _refuse_unless_armed(segment)
    opens_at = now + lead_s * 1000
    closes_at = opens_at + segment.window_s * 1000
    segment.opens_at, segment.closes_at = from_ms(opens_at), from_ms(closes_at)
    _refuse_overlap(segment)
    changed = Segment.objects.filter(pk=segment.pk, phase=Phase.ARMED, opens_at=None).update(
        opens_at=segment.opens_at, closes_at=segment.closes_at
    )
    if changed != 1:
        raise Conflict(f"{segment} was changed by somebody else: {last_change(segment)}")
    record_change(
        segment, "open", actor=actor, now=now, details={"opens_at": opens_at, "closes_at": closes_at}
    )
    return segment


def _refuse_unless_armed(segment: Segment) -> None:
    if segment.phase == Phase.DRAFT:
        raise ActionRefused(f"{segment} is a draft: arm it first")
    if segment.phase != Phase.ARMED:
        raise Conflict(f"{segment} is {segment.phase} already: {last_change(segment)}")
    if segment.opens_at is not None:
        raise Conflict(
            f"{segment} is scheduled already, for {segment.opens_at:%H:%M:%S} UTC: {last_change(segment)}"
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
                f"{segment} would overlap with {other}, which is on air from {from_ms(theirs.opens_at):%H:%M:%S} to "
                f"{from_ms(theirs.grace_ends_at):%H:%M:%S} UTC, all feeds and the grace included"
            )


@transaction.atomic
def close_segment(segment_id: int, *, actor: str, reason: str = "", now: int | None = None) -> Segment:
    """Ends the window now, in studio time; delayed feeds see the end after their delay, then comes the grace."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    # The conductor may be a second late with the phase; the clock says what is true.
    if segment.phase not in (Phase.ARMED, Phase.OPEN) and segment.phase != Phase.DRAFT:
        raise Conflict(f"{segment} is closed already: {last_change(segment)}")
    if segment.opens_at is None or segment.air_time.opens_at > now:
        raise ActionRefused(f"{segment} is not open yet, so there is nothing to close")
    # Only a window that still has its promised end can be cut short: the second of two clicks changes nothing.
    promised = from_ms(segment.air_time.opens_at + segment.window_s * 1000)
    changed = Segment.objects.filter(
        pk=segment.pk, phase=segment.phase, closes_at=promised, closes_at__gt=from_ms(now)
    ).update(closes_at=from_ms(now))
    if changed != 1:
        raise Conflict(f"{segment} is closed already: {last_change(segment)}")
    segment.closes_at = from_ms(now)
    record_change(segment, "close", actor=actor, now=now, reason=reason, details={"closes_at": now})
    return segment


@transaction.atomic
def void_segment(segment_id: int, *, actor: str, reason: str, now: int | None = None) -> Segment:
    """Calls the segment off, for a reason that everybody can read. Not possible after the seal."""
    now = now_ms() if now is None else now
    segment = lock_segment(segment_id)
    if not reason.strip():
        raise ActionRefused("void needs a reason")
    if segment.phase == Phase.VOID:
        raise Conflict(f"{segment} is void already: {last_change(segment)}")
    try:
        change_phase(segment, Phase.VOID)
    except IllegalTransition:
        raise ActionRefused(
            f"{segment} is {segment.phase}: after the seal nothing can be called off"
        ) from None
    record_change(segment, "void", actor=actor, now=now, reason=reason.strip())
    return segment


# --- what the conductor does: it records what is already true ---


def move_due_segments(now: int | None = None) -> list[Segment]:
    """Opens and closes the segments whose time has come; returns those that were moved."""
    now = now_ms() if now is None else now
    on_air = Segment.objects.filter(
        phase__in=[Phase.OPEN, Phase.ARMED], opens_at__isnull=False
    ).select_related("show")
    # What ends goes first: only one segment of a show may be open.
    ends = [row for row in on_air if row.phase == Phase.OPEN and row.air_time.ends_at <= now]
    begins = [row for row in on_air if row.phase == Phase.ARMED and row.air_time.opens_at <= now]
    due = [(row, Phase.CLOSING) for row in ends] + [(row, Phase.OPEN) for row in begins]
    return [moved for row, phase in due if (moved := _move_due_segment(row.pk, phase, now)) is not None]


def _move_due_segment(segment_id: int, new: Phase, now: int) -> Segment | None:
    try:
        return _record_phase(segment_id, new, now)
    except (Conflict, IllegalTransition):
        return None  # the same step ran twice, or an operator was faster
    except IntegrityError:
        return None  # after an outage two are due: the next second ends the first and opens the second


@transaction.atomic
def _record_phase(segment_id: int, new: Phase, now: int) -> Segment:
    segment = lock_segment(segment_id)
    change_phase(segment, new)
    record_change(segment, "opened" if new == Phase.OPEN else "closing", actor=SYSTEM, now=now)
    return segment


def heal_states() -> None:
    """Writes the state documents that Redis has lost or never got."""
    for show in Show.objects.prefetch_related("feeds"):
        send_state(describe_show(show))
    mark_complete()


@transaction.atomic
def touch_show(show: Show) -> None:
    """After an edit in the admin: a new number, so that gateways take the new state."""
    Show.objects.filter(pk=show.pk).update(seq=F("seq") + 1)
    transaction.on_commit(lambda: announce(show.pk))
