"""What is kept of one viewer, and what of it can be erased before the show's key ends it all (docs/privacy.md)."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from engagement import tally
from engagement.actions import ActionRefused
from engagement.clock import now_ms
from engagement.core.digests import derive_pseudonym, derive_salt
from engagement.languages import mark, say
from engagement.ledger.append import append_entry
from engagement.models import Segment, Show
from engagement.revoking import PSEUDONYM, revoke_passes
from engagement.show_keys import lock_idle_show
from engagement.vault import open_secret
from prizes.retention import kept_until, refuse_without_key


class Kept(NamedTuple):
    """One thing that names the viewer: where, why it stays, or that it was erased."""

    where: str
    why: str
    erased: bool = False


def pseudonym_of(show: Show, uid: int) -> str:
    """The pseudonym of a user of the host app, 28 hex digits."""
    refuse_without_key(show)
    if not 0 <= uid < 1 << 64:
        raise ActionRefused(say("expected an id of 0 to 2**64 - 1, got {uid}", uid=uid))
    return derive_pseudonym(show.slug, uid, derive_salt(open_secret(show.k_show), show.slug, uid)).hex()


def forget_viewer(
    show_id: int, viewer: str, *, actor: str, reason: str, now: int | None = None
) -> list[Kept]:
    """Erases what the rules allow, and says what stays; ActionRefused while anything of the show is under way.

    The passes are revoked, and what Redis has of the viewer is removed, once that is committed. It may run any number
    of times.
    """
    now = now_ms() if now is None else now
    if not PSEUDONYM.fullmatch(viewer):
        raise ActionRefused(
            say("expected a pseudonym of 28 hex digits, got {viewer}", viewer=repr(viewer[:40]))
        )
    if not reason.strip():
        raise ActionRefused(say("to forget a viewer needs a reason"))
    removed: list[Segment] = []
    with transaction.atomic():
        show = lock_idle_show(show_id, why=mark("used to forget a viewer"))
        if {"viewer": viewer} not in show.revoked:
            revoke_passes(show_id, viewer=viewer, actor=actor, reason=reason, now=now)
        segments = list(show.segments.exclude(play="").order_by("position"))
        append_entry(show, "forget", actor=actor, reason=reason.strip(), people={"viewer": viewer}, now=now)
        transaction.on_commit(lambda: removed.extend(_remove(segments, bytes.fromhex(viewer))))
    return [*(_erased(segment) for segment in removed), *find_kept(show, viewer)]


def _remove(segments: list[Segment], viewer: bytes) -> Iterator[Segment]:
    """Out of Redis; those where there was something."""
    for segment in segments:
        if tally.forget_viewer(segment.key, segment.shards, viewer):
            yield segment


def _erased(segment: Segment) -> Kept:
    return Kept(f"{segment}: total and origin in Redis", "not needed any more", erased=True)


def find_kept(show: Show, viewer: str) -> Iterator[Kept]:
    """What names the viewer and stays, and until when the name can be led back to a person."""
    until = _day(kept_until(show))
    for segment in show.segments.filter(freeze__isnull=False).order_by("position"):
        why = f"under the seal: anybody can check the draw; a name for nobody from {until} on"
        yield Kept(f"{segment}: frozen totals and rolls, where the viewer shook", why)
    for win in show.wins.filter(pseudonym=viewer).select_related("prize"):
        yield Kept(f"{win}: record and ledger", "who holds a prize is public")
    if show.exclusions.filter(pseudonym=viewer).exists():
        yield Kept("the list of exclusions", "rules that are promised name it; a director removes it there")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
