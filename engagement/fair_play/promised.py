"""What a show promises, read from its rows: for the rules of its draws, for gateways, and for the ledger."""

from typing import Any

from engagement.core.show_state import FairPlayState
from engagement.fair_play.core.carriers import parse_carriers
from engagement.fair_play.core.promise import SHARED_KINDS, check_promise
from engagement.fair_play.models import FairPlay
from engagement.ledger.append import append_entry
from engagement.models import Feed, Show

CHANGE = "change"
OF_SHOW = ("guests_allowed", "max_hz", "burst", "grace_ms")
BY_TWO = "publish_by_two"  # who counts does not depend on it, but who tells the winners
OF_FAIR_PLAY = (
    "ways",
    "passes_ipv4",
    "passes_ipv6_64",
    "passes_ipv6_48",
    "carriers",
    "shared_entries",
    "most_tickets",
)


def fair_play_of(show: Show) -> FairPlay:
    """The row of this show as it is now; where it has none, what is promised unless somebody says otherwise."""
    return FairPlay.objects.filter(show=show.pk).first() or FairPlay(show=show)


def promise_of(show: Show) -> dict[str, Any]:
    """The field `fair_play` of the rules; ValueError for what cannot be promised."""
    row = fair_play_of(show)
    return check_promise(
        {
            "guests": show.guests_allowed,
            "max_hz": show.max_hz,
            "burst": show.burst,
            "grace_ms": show.grace_ms,
            "ways": row.ways,
            "passes": {
                "ipv4": row.passes_ipv4,
                "ipv6_48": row.passes_ipv6_48,
                "ipv6_64": row.passes_ipv6_64,
            },
            "carriers": parse_carriers(row.carriers),
            "most_tickets": row.most_tickets,
            "shared": {"kinds": list(SHARED_KINDS), "entries": row.shared_entries},
        }
    )


def describe_fair_play(show: Show) -> FairPlayState:
    """The same for gateways."""
    row = fair_play_of(show)
    return FairPlayState(
        ways=sorted(row.ways),
        passes_ipv4=row.passes_ipv4,
        passes_ipv6_64=row.passes_ipv6_64,
        passes_ipv6_48=row.passes_ipv6_48,
        carriers=parse_carriers(row.carriers),
        keeps_origins=show.guests_allowed or row.shared_entries > 0 or bool(row.most_tickets),
    )


# --- every change is told ---


def read_promised(show_id: int) -> dict[str, Any]:
    """Every field that decides who counts, and how many people publish, by name, as it stands in the database."""
    show = Show.objects.get(pk=show_id)
    row = fair_play_of(show)
    feeds = Feed.objects.filter(show=show_id).order_by("position", "pk").values_list("name", "delay_ms")
    return {
        **{name: getattr(show, name) for name in (*OF_SHOW, BY_TWO)},
        **{f"fair_play.{name}": getattr(row, name) for name in OF_FAIR_PLAY},
        "feeds": [list(feed) for feed in feeds],
    }


def tell_changes(show: Show, before: dict[str, Any], *, actor: str) -> list[str]:
    """One entry of the ledger for each field that was another `before`, in the transaction that has changed it.

    Returns the names of these fields.
    """
    after = read_promised(show.pk)
    changed = [field for field, value in after.items() if value != before[field]]
    for field in changed:
        details = {"field": field, "old": before[field], "new": after[field]}
        append_entry(show, CHANGE, actor=actor, details=details)
    return changed
