"""A draw in the words of its public page: what was promised, what happened when, and what came of it."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from engagement.actions import is_about
from engagement.clock import from_ms
from engagement.languages import say, say_count, say_of
from engagement.models import LedgerEntry
from prizes.core.digests import beacon_strength, drand_time
from prizes.core.dispositions import SKIPPED, WON
from prizes.core.odds import place_odds
from prizes.models import Beacon, Draw, Win
from prizes.parties import reveal_deadline
from prizes.publication import PublishedRecord, dispositions_of
from prizes.results import free_pieces
from prizes.steps.beacon import round_of

RELAY = "https://api.drand.sh"
# ISO 4217: currencies whose smallest unit is the whole one. In all others that prizes are given in, it is a hundredth.
WHOLE_CURRENCIES = ("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF")


def group(number: int) -> str:
    """Digits in groups of three, as browsers write them on the other pages: 81,234."""
    return f"{number:,}"


def span(language: str, seconds: int) -> str:
    """A length of time in the largest unit that leaves no rest."""
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % length == 0 and seconds >= length:
            return say_count(language, f"span_{name}", seconds // length)
    return say_count(language, "span_second", seconds)


def money(value_minor: int, currency: str) -> str:
    if currency in WHOLE_CURRENCIES:
        return f"{group(value_minor)} {currency}"
    return f"{group(value_minor // 100)}.{value_minor % 100:02} {currency}"


# --- the promise --------------------------------------------------------------------------------------------


def describe_promise(language: str, rules: dict[str, Any]) -> dict[str, Any]:
    """What was fixed when the segment was armed, for a page."""
    prizes = rules["prizes"]
    return {
        "prizes": [{**prize, "value": money(prize["value_minor"], prize["currency"])} for prize in prizes],
        "tickets": "; ".join(
            say(language, "draw_tickets_row", shakes=shakes, tickets=count)
            for shakes, count in rules["tickets"]
        ),
        "windows": "; ".join(_describe_window(language, row) for row in rules["windows"]),
        "seal_margin": span(language, rules["seal_margin_s"]),
        "reveal_deadline": span(language, rules["reveal_deadline_s"]),
        "claim": span(language, rules["claim_s"]),
    }


def _describe_window(language: str, row: dict[str, Any]) -> str:
    length, delay = f"{row['window_ms'] / 1000:g}", f"{row['delay_ms'] / 1000:g}"
    return say(language, "draw_window", feed=row["feed"], length=length, delay=delay)


# --- what happened when -------------------------------------------------------------------------------------


def timeline(language: str, draw: Draw) -> list[dict[str, Any]]:
    """Every step with its moment, None while it has not come."""
    segment, freeze = draw.segment, getattr(draw.segment, "freeze", None)
    roll = ""
    if draw.entries is not None:
        roll = say(language, "when_roll", viewers=draw.entries, tickets=draw.tickets or 0)
    rows = [
        _moment(say(language, "when_armed"), _from_ms(draw.committed_at_ms)),
        _moment(say(language, "when_opens"), segment.opens_at, say(language, "when_feeds")),
        _moment(say(language, "when_closes"), segment.closes_at),
        _moment(say(language, "when_frozen"), _from_ms(freeze.frozen_at_ms if freeze else None), roll),
        *_reveals(language, draw),
        _moment(say(language, "when_sealed"), _from_ms(draw.sealed_at_ms)),
        _beacon_moment(language, draw),
        _moment(say(language, "when_drawn"), draw.drawn_at),
        _moment(say(language, "when_published"), draw.published_at),
    ]
    return rows


def _reveals(language: str, draw: Draw) -> list[dict[str, Any]]:
    """Who has revealed, and after the seal who has not."""
    said = {row.party: from_ms(row.at_ms) for row in draw.revealed.all()}
    rows = [_moment(say(language, "when_reveals", party=party), at) for party, at in said.items()]
    promised = [party["name"] for party in draw.promised["parties"]]
    if draw.seal:
        rows += [
            _moment(
                say(language, "when_silent", party=party),
                _from_ms(draw.sealed_at_ms),
                say(language, "when_empty"),
            )
            for party in promised
            if party not in said
        ]
    return rows


def _moment(what: str, at: datetime | None, note: str = "") -> dict[str, Any]:
    return {"what": what, "at": at, "note": note}


def _from_ms(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def _beacon_moment(language: str, draw: Draw) -> dict[str, Any]:
    kind = draw.beacon_kind
    if kind == Beacon.DRAND:
        number = _named_round(draw)
        due = from_ms(drand_time(number) * 1000) if number else None
        note = say(language, "when_round", round=number) if number else ""
        return _moment(say(language, "when_due"), due, note)
    entry = None
    if draw.beacon_ledger is not None:
        entry = LedgerEntry.objects.filter(show=draw.show_id, position=draw.beacon_ledger).first()
    what = say(language, "when_dice") if kind == Beacon.DICE else say(language, "when_local")
    return _moment(what, _from_ms(entry.at_ms if entry else None))


def _named_round(draw: Draw) -> int:
    """The round of drand that a page may tell: 0 for other beacons, and while the freeze has not fixed one."""
    return 0 if reveal_deadline(draw) is None else round_of(draw)


def void_reason(draw: Draw) -> str:
    """Why the segment was called off, or spoiled, as the ledger tells it."""
    voided = LedgerEntry.objects.filter(
        show=draw.show_id,
        action__in=("void", "spoil"),
        position__gt=draw.committed_ledger,
        details__contains=f'"segment":{draw.segment_id}',
    )
    told = voided.order_by("-position")
    return next((entry.reason for entry in told if is_about(entry, draw.segment)), "")


# --- the beacon ---------------------------------------------------------------------------------------------


def describe_beacon(draw: Draw, rules: dict[str, Any], told: bool) -> dict[str, Any]:
    """Which beacon, how strong, and where else it can be looked up; its value only with the result."""
    kind = rules["beacon"]["kind"]
    number = _named_round(draw)
    look_up = f"{RELAY}/{rules['beacon']['chain']}/public/{number or 'ROUND'}"
    return {
        "kind": kind,
        "strength": beacon_strength(kind),
        "round": group(number) if number else None,
        "look_up": look_up if kind == Beacon.DRAND else None,
        "value": draw.beacon_value if told else "",
        "digits": draw.beacon_proof.get("digits", "") if told else "",
        "signature": draw.beacon_proof.get("signature", "") if told else "",
    }


# --- odds and outcome ---------------------------------------------------------------------------------------


def describe_odds(language: str, draw: Draw, places: int) -> list[dict[str, str]]:
    """For each number of tickets: the exact chance to be ranked first, t of W, and about that to be among the first."""
    classes = tuple((tickets, viewers) for tickets, viewers in draw.classes)
    return [
        {
            "tickets": group(tickets),
            "viewers": group(viewers),
            "odds": f"{group(tickets)} / {group(draw.tickets or 0)}",
            "any": say(language, "draw_odds_one_in", count=_one_in(tickets, classes, places)),
        }
        for tickets, viewers in classes
    ]


@lru_cache(maxsize=256)
def _one_in(tickets: int, classes: tuple[tuple[int, int], ...], places: int) -> str:
    """The bounds of a large roll are closer to each other than what is shown of them."""
    low, high = place_odds(tickets, dict(classes), places)
    one_in = 2 / (low + high)
    return group(round(one_in)) if one_in >= 100 else f"{float(one_in):.1f}".removesuffix(".0")


def describe_outcome(
    language: str, draw: Draw, rules: dict[str, Any], record: PublishedRecord | None
) -> dict[str, Any]:
    """Who won what and what became of it; what only the record tells is None where it is not stored."""
    titles = {
        row["id"]: say(language, "draw_prize", title=row["title"], size=row["size"])
        for row in rules["prizes"]
    }
    told = dispositions_of(draw)
    wins = list(draw.wins.order_by("rank"))
    value = None if record is None else record.value
    passed_over = sum(row["status"] == SKIPPED for row in told)
    used = passed_over + sum(row["status"] == WON for row in told)  # strictly in order
    return {
        "winners": [_describe_win(language, win, titles, told) for win in wins],
        "free": "; ".join(titles[piece] for piece in free_pieces([draw])[draw.pk]),
        "reserves": None if value is None else len(value["reserves"]) - used,
        "passed_over": passed_over,
        "skipped": None if value is None else _say_skipped(language, value),
        "cutoff": None if value is None else value["cutoff"],
    }


def _say_skipped(language: str, record: dict[str, Any]) -> str:
    skipped = [row for row in record["ranked"] if row["won"]]
    if not skipped:
        return say(language, "draw_nobody_skipped")
    ranks = [say(language, "draw_skipped_rank", rank=row["rank"], draw=row["won"]) for row in skipped]
    return say(language, "draw_skipped", count=len(skipped), ranks=", ".join(ranks))


def _describe_win(
    language: str, win: Win, titles: dict[str, str], told: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    own = [_say_became(language, row) for row in told if row["pseudonym"] == win.pseudonym and row["prize"]]
    open_yet = [say(language, "became_open")] if win.status == Win.Status.WON else []
    return {
        "rank": win.rank,
        "name": win.name,
        "prize": titles.get(win.piece_id, ""),
        "pseudonym": win.pseudonym,
        "status": "; ".join([*own, *open_yet]),
        "claim_by": win.claim_by if win.status == Win.Status.WON else None,
    }


def _say_became(language: str, row: dict[str, Any]) -> str:
    reason = say_of(language, "reason", row["reason"])
    return say_of(language, "became", row["status"], reason=reason)
