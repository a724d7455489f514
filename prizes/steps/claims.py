"""What becomes of prizes after the draw: claimed, forfeited, disqualified; then the next reserve moves up by itself.

Every change happens with the show locked: the win by compare-and-set, a line of the record (Disposition) and an entry
of the ledger in one transaction, and the announcement after it. See docs/claims.md.
"""

import hmac
from functools import lru_cache
from typing import NamedTuple

import msgspec
from django.db import transaction
from django.db.models import Min

from engagement.actions import ActionRefused, Conflict, change_wins, lock_segment, record_change
from engagement.clock import from_ms, now_ms, to_ms
from engagement.core.digests import derive_pseudonym, derive_salt
from engagement.languages import say
from engagement.ledger.append import SYSTEM
from engagement.models import Segment
from engagement.passes import ANY_TIME, BadPass, check_pass
from engagement.show_keys import DESTROYED
from engagement.vault import open_secret
from prizes.core.dispositions import (
    CLAIMED,
    DEADLINE_PASSED,
    DECLINED,
    DISQUALIFIED,
    FORFEITED,
    WON,
    Change,
    Standing,
    follow,
    next_change,
    replay,
)
from prizes.core.record import STATUSES
from prizes.models import MAX_ATTEMPTS, Disposition, Disqualification, Draw, Prize, Win
from prizes.names import give_names
from prizes.phrases import status_text
from prizes.publication import read_drawn
from prizes.results import claim_s_of, describe_result, describe_wins
from prizes.steps.dispositions import write_disposition
from prizes.two_people import VALID_MS, refuse_same

WINNER = "winner"  # the actor of what a viewer does; which one stands in the details
SETTLED_AT_ONCE = 20  # draws in a second
LOOK_AGAIN_MS = 1_000


class ClaimRefused(ActionRefused):
    """The viewer cannot have what was asked for; `code` is the one of the API (docs/claims.md)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# --- who is it? ---


def identify(draw: Draw, token: str, salt: str) -> str:
    """The pseudonym of whoever has this pass and this salt (hex); raises ClaimRefused.

    For a claim a pass does not expire: its signature says who the viewer is, and the salt, which only a hello with a
    valid pass was told, that it was theirs in time. The deadline of the claim is the limit.
    """
    slug = draw.show.slug
    try:
        uid = check_pass(token, slug, ANY_TIME).uid
    except BadPass as error:
        raise ClaimRefused("bad_pass", str(error)) from None
    if draw.show.k_show == DESTROYED:
        raise ClaimRefused("too_late", say("the show is over: who its viewers were is not kept any more"))
    derived = derive_salt(open_secret(draw.show.k_show), slug, uid)
    if not hmac.compare_digest(derived.hex(), salt):
        raise ClaimRefused("wrong_salt", say("the salt is not that of the viewer of this pass"))
    return derive_pseudonym(slug, uid, derived).hex()


# --- what a winner does ---


@transaction.atomic
def claim_prize(draw_id: int, pseudonym: str, *, now: int | None = None) -> tuple[Win, bool]:
    """The win, and whether it was claimed just now (and not before); raises ClaimRefused."""
    now = now_ms() if now is None else now
    draw = _lock(draw_id)
    win = win_of(draw, pseudonym)
    if win.status == Win.Status.CLAIMED:
        return win, False
    _refuse_unless_open(win, now)
    _retell(draw, [_dispose(draw, win, CLAIMED, "", actor=WINNER, now=now)])
    return win, True


@transaction.atomic
def decline_prize(draw_id: int, pseudonym: str, *, now: int | None = None) -> Win:
    """The winner does not want it: the next reserve gets it at once; raises ClaimRefused."""
    now = now_ms() if now is None else now
    draw = _lock(draw_id)
    win = win_of(draw, pseudonym)
    if win.status == Win.Status.CLAIMED:
        raise ClaimRefused("claimed", say("the prize is claimed already"))
    _refuse_unless_open(win, now)
    declined = _dispose(draw, win, FORFEITED, DECLINED, actor=WINNER, now=now)
    _retell(draw, [declined, *_move_up(draw, now)])
    return win


def win_of(draw: Draw, pseudonym: str) -> Win:
    """What a viewer has won in a draw, kept or lost; raises ClaimRefused for all others."""
    win = draw.wins.select_related("prize").filter(pseudonym=pseudonym).first()
    if win is None:
        raise ClaimRefused("not_a_winner", say("this viewer has won nothing in this draw"))
    return win


def _refuse_unless_open(win: Win, now: int) -> None:
    if win.status == Win.Status.DISQUALIFIED:
        raise ClaimRefused("disqualified", say("this win was disqualified"))
    if win.status == Win.Status.FORFEITED and _reason_of(win) == DECLINED:
        raise ClaimRefused("declined", say("this prize was declined"))
    if win.status == Win.Status.FORFEITED or is_late(win, now):
        raise ClaimRefused("too_late", say("the time to claim this prize is over"))


def _reason_of(win: Win) -> str:
    lost = Disposition.objects.filter(draw=win.draw_id, pseudonym=win.pseudonym, status=FORFEITED)
    return str(lost.values_list("reason", flat=True).get())


def is_late(win: Win, now: int) -> bool:
    """Whether the deadline has passed; the last millisecond still counts."""
    return win.claim_by is not None and now > to_ms(win.claim_by)


# --- what happens by itself ---


def find_due(now: int) -> list[int]:
    """Draws in which a deadline has passed, or a reserve waits and it is time to look again; those longest due first.

    None that has given up: it would stand in front of the others for ever.
    """
    late = Win.objects.filter(
        status=Win.Status.WON, claim_by__lt=from_ms(now), draw__attempts__lt=MAX_ATTEMPTS
    )
    waiting = Draw.objects.filter(settle_at_ms__lte=now, attempts__lt=MAX_ATTEMPTS).order_by("settle_at_ms")
    first = late.values_list("draw").annotate(since=Min("claim_by")).order_by("since")[:SETTLED_AT_ONCE]
    due = [int(draw_id) for draw_id, _ in first]
    due += waiting.values_list("pk", flat=True)[:SETTLED_AT_ONCE]
    return list(dict.fromkeys(due))


@transaction.atomic
def settle_draw(draw_id: int, *, now: int) -> list[Disposition]:
    """All that is due in one draw: the deadline first, then the reserves."""
    draw = _lock(draw_id)
    late = draw.wins.filter(status=Win.Status.WON, claim_by__lt=from_ms(now)).order_by("claim_by", "rank")
    rows = [_dispose(draw, win, FORFEITED, DEADLINE_PASSED, actor=SYSTEM, now=now) for win in late]
    rows += _move_up(draw, now)
    if rows:
        _retell(draw, rows)
    Draw.objects.filter(pk=draw.pk, attempts__gt=0).update(attempts=0, trouble="")
    return rows


# --- disqualification: one person asks, another one decides ---


@transaction.atomic
def ask_disqualification(
    win_id: int, reason: str, *, actor: str, session: str = "", now: int | None = None
) -> Disqualification:
    """Somebody says that a winner may not have won, for a reason of the closed list."""
    now = now_ms() if now is None else now
    if reason not in STATUSES[DISQUALIFIED]:
        expected = ", ".join(STATUSES[DISQUALIFIED])
        raise ActionRefused(
            say(
                "a disqualification needs one of these reasons: {expected}; got {reason}",
                expected=expected,
                reason=repr(reason),
            )
        )
    draw, win = _lock_win(win_id)
    if win.status not in Win.HELD:
        raise Conflict(say("{win} is {status} already", win=win, status=status_text(win.status)))
    _drop_expired(win, now)
    if pending := win.disqualifications.filter(approved=None).first():
        raise Conflict(
            say("{asked_by} has asked for it already; somebody else has to decide", asked_by=pending.asked_by)
        )
    fields = {"asked_by": actor, "asked_session": session, "asked_at": from_ms(now)}
    asked = Disqualification.objects.create(win=win, reason=reason, **fields)
    details = {"draw": draw.draw_id, "pseudonym": win.pseudonym}
    record_change(draw.segment, "ask disqualification", actor=actor, now=now, reason=reason, details=details)
    return asked


@transaction.atomic
def decide_disqualification(
    disqualification_id: int, approve: bool, *, actor: str, session: str = "", now: int | None = None
) -> Disqualification:
    """Somebody else approves, and the next reserve moves up; or refuses, and all stays as it is."""
    now = now_ms() if now is None else now
    asked = Disqualification.objects.filter(pk=disqualification_id).first()
    if asked is None:
        raise ActionRefused(
            say(
                "nobody has asked for disqualification {disqualification_id}",
                disqualification_id=disqualification_id,
            )
        )
    refuse_same(asked_by=asked.asked_by, asked_session=asked.asked_session, actor=actor, session=session)
    if asked.approved is None and to_ms(asked.asked_at) <= now - VALID_MS:
        raise ActionRefused(say("it was asked for more than a day ago: ask again"))
    draw, win = _lock_win(asked.win_id)
    decided = {"approved": approve, "decided_by": actor, "decided_at": from_ms(now)}
    if not Disqualification.objects.filter(pk=asked.pk, approved=None).update(**decided):
        asked.refresh_from_db()
        raise Conflict(say("{decided_by} has decided already", decided_by=asked.decided_by))
    if approve:
        actors = f"{asked.asked_by} and {actor}"
        lost = _dispose(draw, win, DISQUALIFIED, asked.reason, actor=actors, now=now)
        _retell(draw, [lost, *_move_up(draw, now)])
    else:
        details = {"draw": draw.draw_id, "pseudonym": win.pseudonym}
        record_change(draw.segment, "refuse disqualification", actor=actor, now=now, details=details)
    asked.refresh_from_db()
    return asked


def _drop_expired(win: Win, now: int) -> None:
    """What nobody has decided on within a day is over, and may be asked for anew."""
    late = win.disqualifications.filter(approved=None, asked_at__lte=from_ms(now - VALID_MS))
    late.update(approved=False, decided_by="", decided_at=from_ms(now))


# --- one change ---


def _lock(draw_id: int) -> Draw:
    """The published draw, with its show locked until the transaction ends."""
    draw = Draw.objects.filter(pk=draw_id, step=Draw.Step.PUBLISHED).only("segment").first()
    if draw is None:
        raise ClaimRefused("not_published", say("draw {draw_id} is not published", draw_id=draw_id))
    lock_segment(draw.segment_id)
    return Draw.objects.select_related("segment__show", "show").get(pk=draw_id)


def _lock_win(win_id: int) -> tuple[Draw, Win]:
    win = Win.objects.filter(pk=win_id).first()
    if win is None:
        raise ActionRefused(say("there is no win {win_id}", win_id=win_id))
    draw = _lock(win.draw_id)
    win.refresh_from_db()
    return draw, win


def _dispose(draw: Draw, win: Win, status: str, reason: str, *, actor: str, now: int) -> Disposition:
    """Changes what a win is, by compare-and-set: whoever comes second has changed nothing."""
    before = [Win.Status.WON] if status != DISQUALIFIED else Win.HELD
    if not Win.objects.filter(pk=win.pk, status__in=before).update(status=status):
        win.refresh_from_db()
        raise Conflict(say("{win} is {status} already", win=win, status=status_text(win.status)))
    win.status = status
    return write_disposition(draw, Change(win.pseudonym, win.piece_id, status, reason), actor=actor, now=now)


def _retell(draw: Draw, rows: list[Disposition]) -> None:
    """Those whom it concerns are told what has become of their prize, screens who holds it now; not the hall."""
    now = msgspec.to_builtins(describe_result(draw))
    results = [now if told["draw"] == draw.pk else told for told in draw.segment.announced_results]
    Segment.objects.filter(pk=draw.segment_id).update(announced_results=results)
    change_wins(draw.show_id, lambda: describe_wins(draw.show_id, {row.pseudonym for row in rows}))


# --- reserves ---


class Drawn(NamedTuple):
    """What the draw has decided: piece -> winner, and the reserves in order with their ranks."""

    winners: dict[str, str]
    reserves: dict[str, int]


def _drawn(draw: Draw) -> Drawn:
    return _read_drawn(draw.key, draw.record_digest)


@lru_cache(maxsize=256)
def _read_drawn(key: str, record_digest: str) -> Drawn:
    # A record is written once: asked every second, it is read once per process.
    record = read_drawn(key, record_digest)
    winners = {row["prize"]: row["pseudonym"] for row in record["winners"]}
    return Drawn(winners, {row["pseudonym"]: row["rank"] for row in record["reserves"]})


def standing_of(draw: Draw) -> Standing:
    """Who holds which piece, and who is in line, by the record and what has happened since.

    Needs no query where `segment` and `dispositions` were fetched with the draw.
    """
    drawn = _drawn(draw)
    rows = sorted(draw.dispositions.all(), key=lambda row: row.ledger)
    changes = (Change(row.pseudonym, row.piece, row.status, row.reason) for row in rows)
    return replay(drawn.winners, list(drawn.reserves), changes)


def waits_for(draw: Draw, standing: Standing) -> Draw | None:
    """The other draw of the show that the next reserve has to wait for, or None."""
    return find_waits(draw.show_id, {draw.pk: standing}).get(draw.pk)


def find_waits(show_id: int, standings: dict[int, Standing]) -> dict[int, Draw]:
    """For some draws of a show, the other draws that their next reserves have to wait for; two queries.

    While a draw runs, nobody gets a prize: it was told who has won before. And who has won in a draw that is not
    published yet is not passed over before the stage has told it.
    """
    running = Draw.objects.filter(show=show_id, step=Draw.Step.DRAWING).first()
    if running is not None:
        return dict.fromkeys(standings, running)
    first = {draw: standing.reserves[0] for draw, standing in standings.items() if standing.reserves}
    secret = Win.objects.filter(show=show_id, draw__step=Draw.Step.DRAWN, pseudonym__in=first.values())
    untold = {win.pseudonym: win.draw for win in secret.select_related("draw")}
    return {draw: untold[viewer] for draw, viewer in first.items() if viewer in untold}


def _move_up(draw: Draw, now: int) -> list[Disposition]:
    """Fills the free pieces with the reserves in order, as far as it goes now; notes when to look again."""
    rows: list[Disposition] = []
    standing, look_again = standing_of(draw), None
    while change := next_change(standing, _winners_elsewhere(draw, standing)):
        if waits_for(draw, standing):
            look_again = now + LOOK_AGAIN_MS
            break
        rows.append(write_disposition(draw, change, actor=SYSTEM, now=now))
        if change.status == WON:
            _give(draw, change, rows[-1].at_ms)
        standing = follow(standing, change)
    Draw.objects.filter(pk=draw.pk).update(settle_at_ms=look_again)
    return rows


def _winners_elsewhere(draw: Draw, standing: Standing) -> set[str]:
    """The reserves who have had a win of this show in another draw, whatever became of it."""
    wins = Win.objects.filter(show=draw.show_id, pseudonym__in=standing.reserves[:1])
    return set(wins.exclude(draw=draw.pk).values_list("pseudonym", flat=True))


def _give(draw: Draw, change: Change, now: int) -> None:
    prize, _, piece = change.prize.partition("-")
    win = Win(
        show=draw.show,
        draw=draw,
        prize=Prize(pk=int(prize)),
        piece=int(piece),
        rank=_drawn(draw).reserves[change.pseudonym],
        pseudonym=change.pseudonym,
        claim_by=from_ms(now + claim_s_of(draw) * 1000),
    )
    give_names(draw.show_id, [win])
    win.save(force_insert=True)
