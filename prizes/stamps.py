"""What time stampers have stamped, and until when a stamp counts (docs/draw.md, section 7)."""

from typing import Any

from django.db.models import OuterRef, Subquery

from engagement.ledger.witnessed import StamperState
from engagement.models import LedgerEntry, Show
from prizes.core.digests import beacon_round, drand_time
from prizes.models import Beacon, Draw, Stamp, Stamper, known


def stamper_rules(show: Show) -> list[dict[str, str]]:
    """Who stamps, as the rules of a draw say it: in the order of their names, each with its certificate's SHA-256."""
    return [{"name": row.name, "certificate": row.fingerprint} for row in show.stampers.order_by("name")]


def beacon_due(draw: Draw) -> int | None:
    """When the round is due that a frozen draw waits for, in UTC ms; None where it waits for none."""
    if draw.beacon_kind != Beacon.DRAND:
        return None
    frozen = known(draw.segment.freeze.frozen_at_ms) // 1000
    return drand_time(beacon_round(draw.beacon_kind, frozen, draw.promised["seal_margin_s"])) * 1000


def beacon_known_at(draw: Draw) -> int:
    """Before this moment nobody could know the beacon of a sealed draw, in UTC ms; of dice and of local bytes, when
    the ledger says that they were there. KeyError where the ledger has lost that entry.
    """
    if (due := beacon_due(draw)) is not None:
        return due
    told = LedgerEntry.objects.filter(show=draw.show_id, position=known(draw.beacon_ledger))
    at_ms: int | None = told.values_list("at_ms", flat=True).first()
    if at_ms is None:
        raise KeyError(draw.beacon_ledger)
    return at_ms


def stamps_of(draw: Draw, before_ms: int) -> list[Stamp]:
    """The stamps of a draw from before this moment, in the order of its rules; in one query where somebody is named."""
    names = [row["name"] for row in promised_stampers(draw.promised)]
    rows = {row.stamper: row for row in draw.stamps.filter(at_ms__lt=before_ms)} if names else {}
    return [rows[name] for name in names if name in rows]


def tell_stamps(draw: Draw) -> dict[str, str]:
    """The stamps of a drawn draw as the ledger tells of them: name to the SHA-256 of the token."""
    try:
        return {row.stamper: row.digest for row in stamps_of(draw, beacon_known_at(draw))}
    except KeyError:
        return {}  # the ledger was damaged


def promised_stampers(rules: dict[str, Any]) -> list[dict[str, str]]:
    """Who stamps by these rules; by those of the first version nobody."""
    found: list[dict[str, str]] = rules.get("stampers", [])
    return found


def describe_stampers(show: Show) -> list[StamperState]:
    """The last stamp of each time stamper of a show, and what is wrong with it; in one query."""
    last = Stamp.objects.filter(draw__show=OuterRef("show"), stamper=OuterRef("name")).order_by("-at_ms")
    found: dict[str, Any] = {
        "at_ms": Subquery(last.values("at_ms")[:1]),
        "seal_of": Subquery(last.values("draw__draw_id")[:1]),
    }
    rows = Stamper.objects.filter(show=show).annotate(**found).order_by("name")
    return [
        StamperState(row["name"], row["seal_of"], row["at_ms"], row["trouble"])
        for row in rows.values("name", "trouble", *found)
    ]
