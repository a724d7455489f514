"""The keys with which gateways sign stubs, in the ledger: once for each gateway's life and show on air.

A gateway signs for a show only after a heartbeat that names it. So whoever reads the heartbeats after the grace finds
every key that has signed, also that of a gateway that has died since.
"""

import logging
import re
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Min
from redis.exceptions import RedisError

from engagement import tally
from engagement.clock import now_ms, to_ms
from engagement.core.phases import REPORTING
from engagement.ledger.append import append_entry
from engagement.ledger.core.stubs import LONGEST_NAME, MOST_MS
from engagement.ledger.statements import GATEWAY_KEY, find_gateway_key
from engagement.models import Show

log = logging.getLogger(__name__)

SHOWS_AT_ONCE = 40  # on air, in a second
KEYS_AT_ONCE = 20  # written in a second: each is an entry with its checkpoint
REMEMBERED = 10_000
_KEY = re.compile("[0-9a-f]{64}")

_written: set[tuple[Any, ...]] = set()  # what is known to stand in a ledger, so that it is looked up once


class Signer(NamedTuple):
    """A gateway as its heartbeat tells it: its key in hex, since when it has that, and when it was heard of last."""

    gateway: str
    key: str
    since: int
    at: int


def certify_gateways(now: int | None = None) -> int:
    """Once a second: writes the keys down that no ledger has yet; how many. Redis being away is no error."""
    now = now_ms() if now is None else now
    shows = _on_air()
    if not shows:
        return 0
    try:
        beats = tally.read_gateways(now, silent_ms=tally.FORGET_MS)
    except (RedisError, OSError) as error:
        log.warning("the keys of the gateways cannot be read: %s", error)
        return 0
    missing = [
        (show, signer)
        for show in shows
        for signer in _signers(beats, show.slug)
        if _place(show, signer) not in _written and signer.at >= _opens_at(show, now)
    ]
    return sum(_certify(show, signer, now) for show, signer in missing[:KEYS_AT_ONCE])


def _on_air() -> list[Show]:
    """Shows with a segment that phones are told the times of, with the first of these, the newest first."""
    scheduled = Show.objects.filter(segments__phase__in=REPORTING, segments__opens_at__isnull=False)
    return list(scheduled.annotate(opens_at=Min("segments__opens_at")).order_by("-opens_at")[:SHOWS_AT_ONCE])


def _opens_at(show: Any, now: int) -> int:
    """Who was heard of before that, and not since, has signed nothing of what is on air."""
    return min(to_ms(show.opens_at), now - tally.ALIVE_MS)


def _signers(beats: dict[str, dict[str, Any]], slug: str) -> list[Signer]:
    """The gateways of a show, as far as stubs can name them; those of an older version have no key."""
    return [
        Signer(name, beat["key"], beat["since"], beat["at"])
        for name, beat in sorted(beats.items())
        if slug in beat["shows"]
        and len(name) <= LONGEST_NAME
        and _KEY.fullmatch(str(beat.get("key")))
        and isinstance(beat.get("since"), int)
        and 0 <= beat["since"] <= MOST_MS
    ]


def _place(show: Show, signer: Signer) -> tuple[Any, ...]:
    """This key in this show's ledger, of this life of the database."""
    return show.pk, show.k_show, show.epoch, signer.key


@transaction.atomic
def _certify(show: Show, signer: Signer, now: int) -> int:
    Show.objects.select_for_update().only("pk").get(pk=show.pk)  # two conductors line up
    found = find_gateway_key(show, signer.gateway)
    if found is None:
        details = {"gateway": signer.gateway, "key": signer.key, "from": signer.since}
        append_entry(show, GATEWAY_KEY, details=details, now=now)
    transaction.on_commit(lambda: _remember(_place(show, signer)))
    return int(found is None)


def _remember(place: tuple[Any, ...]) -> None:
    if len(_written) >= REMEMBERED:
        _written.clear()
    _written.add(place)
