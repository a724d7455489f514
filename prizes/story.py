"""A draw in the words of its public page: what was promised, what happened when, and what came of it."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext, ngettext

from engagement.actions import is_about
from engagement.clock import from_ms
from engagement.languages import fill
from engagement.models import LedgerEntry, Segment
from prizes.core.digests import beacon_strength, drand_time
from prizes.core.dispositions import SKIPPED, WON
from prizes.core.odds import place_odds
from prizes.garments import announced_prizes, name_pieces, words_of
from prizes.models import Beacon, Draw, Win
from prizes.parties import reveal_deadline
from prizes.phrases import BECAME, REASONS, STRENGTHS
from prizes.publication import PublishedRecord, dispositions_of
from prizes.results import free_pieces
from prizes.steps.beacon import round_of

RELAY = "https://api.drand.sh"
# ISO 4217: currencies whose smallest unit is the whole one. In all others that prizes are given in, it is a hundredth.
WHOLE_CURRENCIES = ("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF")


def group(number: int) -> str:
    """Digits in groups of three, as browsers write them on the other pages: 81,234."""
    return f"{number:,}"


def span(seconds: int) -> str:
    """A length of time in the largest unit that leaves no rest."""
    if seconds and seconds % 86_400 == 0:
        days = seconds // 86_400
        return fill(ngettext("1 day", "{count} days", days), count=days)
    if seconds and seconds % 3_600 == 0:
        hours = seconds // 3_600
        return fill(ngettext("1 hour", "{count} hours", hours), count=hours)
    if seconds and seconds % 60 == 0:
        minutes = seconds // 60
        return fill(ngettext("1 minute", "{count} minutes", minutes), count=minutes)
    return fill(ngettext("1 second", "{count} seconds", seconds), count=seconds)


def money(value_minor: int, currency: str) -> str:
    if currency in WHOLE_CURRENCIES:
        return f"{group(value_minor)} {currency}"
    return f"{group(value_minor // 100)}.{value_minor % 100:02} {currency}"


# --- the promise --------------------------------------------------------------------------------------------


def describe_promise(draw: Draw, rules: dict[str, Any]) -> dict[str, Any]:
    """What was fixed when the segment was armed, for a page."""
    words = {str(row["id"]): words_of(row) for row in announced_prizes(draw)}
    return {
        "prizes": [
            {
                **prize,
                **words.get(prize["id"].rpartition("-")[0], {}),
                "value": money(prize["value_minor"], prize["currency"]),
            }
            for prize in rules["prizes"]
        ],
        "tickets": "; ".join(
            fill(gettext("{shakes} shakes or more: {tickets}"), shakes=shakes, tickets=count)
            for shakes, count in rules["tickets"]
        ),
        "windows": "; ".join(_describe_window(row) for row in rules["windows"]),
        "seal_margin": span(rules["seal_margin_s"]),
        "reveal_deadline": span(rules["reveal_deadline_s"]),
        "claim": span(rules["claim_s"]),
    }


def _describe_window(row: dict[str, Any]) -> str:
    length, delay = f"{row['window_ms'] / 1000:g}", f"{row['delay_ms'] / 1000:g}"
    return fill(
        gettext("{feed}: {length} s, {delay} s behind the studio"),
        feed=row["feed"],
        length=length,
        delay=delay,
    )


# --- what happened when -------------------------------------------------------------------------------------


def timeline(draw: Draw) -> list[dict[str, Any]]:
    """Every step with its moment, None while it has not come."""
    segment, freeze = draw.segment, getattr(draw.segment, "freeze", None)
    roll = ""
    if draw.entries is not None:
        roll = fill(
            gettext("{viewers} viewers, {tickets} tickets"), viewers=draw.entries, tickets=draw.tickets or 0
        )
    rows = [
        _moment(gettext("Armed: rules, prizes and parties are committed to"), _from_ms(draw.committed_at_ms)),
        _moment(gettext("The window opens in the studio"), segment.opens_at, gettext("delayed feeds follow")),
        _moment(gettext("The window closes in the studio"), segment.closes_at),
        _moment(
            gettext("Frozen: the roll is complete"), _from_ms(freeze.frozen_at_ms if freeze else None), roll
        ),
        *_reveals(draw),
        _moment(gettext("Sealed: rules, roll, secrets and beacon are fixed"), _from_ms(draw.sealed_at_ms)),
        _beacon_moment(draw),
        _moment(gettext("Drawn, and checked by the second program"), draw.drawn_at),
        _moment(gettext("Published"), draw.published_at),
    ]
    return rows


def _reveals(draw: Draw) -> list[dict[str, Any]]:
    """Who has revealed, and after the seal who has not."""
    said = {row.party: from_ms(row.at_ms) for row in draw.revealed.all()}
    rows = [
        _moment(fill(gettext("{party} reveals its secret"), party=party), at) for party, at in said.items()
    ]
    promised = [party["name"] for party in draw.promised["parties"]]
    if draw.seal:
        rows += [
            _moment(
                fill(gettext("{party} did not reveal"), party=party),
                _from_ms(draw.sealed_at_ms),
                gettext("an empty field in the seal"),
            )
            for party in promised
            if party not in said
        ]
    return rows


def _moment(what: str, at: datetime | None, note: str = "") -> dict[str, Any]:
    return {"what": what, "at": at, "note": note}


def _from_ms(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def _beacon_moment(draw: Draw) -> dict[str, Any]:
    kind = draw.beacon_kind
    if kind == Beacon.DRAND:
        number = _named_round(draw)
        due = from_ms(drand_time(number) * 1000) if number else None
        note = fill(gettext("round {round}"), round=number) if number else ""
        return _moment(gettext("The beacon's round is due"), due, note)
    entry = None
    if draw.beacon_ledger is not None:
        entry = LedgerEntry.objects.filter(show=draw.show_id, position=draw.beacon_ledger).first()
    what = (
        gettext("Two operators agree on the dice")
        if kind == Beacon.DICE
        else gettext("This server throws its random bytes")
    )
    return _moment(what, _from_ms(entry.at_ms if entry else None))


def _named_round(draw: Draw) -> int:
    """The round of drand that a page may tell: 0 for other beacons, and while the freeze has not fixed one."""
    return 0 if reveal_deadline(draw) is None else round_of(draw)


def void_reason(draw: Draw) -> str:
    """Why the segment was called off, or spoiled, as the ledger tells it."""
    return void_reasons({draw.segment: draw.committed_ledger}).get(draw.segment_id, "")


def void_reasons(armed: dict[Segment, int]) -> dict[int, str]:
    """Segment -> why it was called off, in one query. `armed`: segments of one show, and where the ledger has their
    arming.
    """
    if not armed:
        return {}
    about = Q()
    for segment in armed:
        about |= Q(details__contains=f'"segment":{segment.pk}')
    told = LedgerEntry.objects.filter(
        about,
        show=next(iter(armed)).show_id,
        action__in=("void", "spoil"),
        position__gt=min(armed.values()),
    ).order_by("position")
    return {
        segment.pk: entry.reason
        for entry in told
        for segment, position in armed.items()
        if entry.position > position and is_about(entry, segment)
    }


# --- the beacon ---------------------------------------------------------------------------------------------


def describe_beacon(draw: Draw, rules: dict[str, Any], told: bool) -> dict[str, Any]:
    """Which beacon, how strong, and where else it can be looked up; its value only with the result."""
    kind = rules["beacon"]["kind"]
    number = _named_round(draw)
    look_up = f"{RELAY}/{rules['beacon']['chain']}/public/{number or 'ROUND'}"
    return {
        "kind": kind,
        "strength": STRENGTHS[beacon_strength(kind)],
        "round": group(number) if number else None,
        "look_up": look_up if kind == Beacon.DRAND else None,
        "value": draw.beacon_value if told else "",
        "digits": draw.beacon_proof.get("digits", "") if told else "",
        "signature": draw.beacon_proof.get("signature", "") if told else "",
    }


# --- odds and outcome ---------------------------------------------------------------------------------------


def describe_odds(draw: Draw, places: int) -> list[dict[str, str]]:
    """For each number of tickets: the exact chance to be ranked first, t of W, and about that to be among the first."""
    classes = tuple((tickets, viewers) for tickets, viewers in draw.classes)
    return [
        {
            "tickets": group(tickets),
            "viewers": group(viewers),
            "odds": f"{group(tickets)} / {group(draw.tickets or 0)}",
            "any": fill(gettext("1 in {count}"), count=_one_in(tickets, classes, places)),
        }
        for tickets, viewers in classes
    ]


@lru_cache(maxsize=256)
def _one_in(tickets: int, classes: tuple[tuple[int, int], ...], places: int) -> str:
    """The bounds of a large roll are closer to each other than what is shown of them."""
    low, high = place_odds(tickets, dict(classes), places)
    one_in = 2 / (low + high)
    return group(round(one_in)) if one_in >= 100 else f"{float(one_in):.1f}".removesuffix(".0")


def describe_outcome(draw: Draw, rules: dict[str, Any], record: PublishedRecord | None) -> dict[str, Any]:
    """Who won what and what became of it; what only the record tells is None where it is not stored."""
    named = name_pieces(draw, rules)
    titles = {
        row["id"]: fill(gettext("{title}, size {size}"), title=named[row["id"]], size=row["size"])
        for row in rules["prizes"]
    }
    wins = list(draw.wins.order_by("rank"))
    value = None if record is None else record.value
    told = dispositions_of(draw) if value is None else value["dispositions"]
    passed_over = sum(row["status"] == SKIPPED for row in told)
    used = passed_over + sum(row["status"] == WON for row in told)  # strictly in order
    return {
        "winners": [_describe_win(win, titles, told) for win in wins],
        "free": "; ".join(titles[piece] for piece in free_pieces([draw])[draw.pk]),
        "reserves": None if value is None else len(value["reserves"]) - used,
        "passed_over": passed_over,
        "skipped": None if value is None else _say_skipped(value),
        "cutoff": None if value is None else value["cutoff"],
    }


def _say_skipped(record: dict[str, Any]) -> str:
    skipped = [row for row in record["ranked"] if row["won"]]
    if not skipped:
        return gettext("Nobody was passed over in the draw for an earlier win.")
    ranks = [fill(gettext("rank {rank} ({draw})"), rank=row["rank"], draw=row["won"]) for row in skipped]
    return fill(
        gettext(
            "{count} passed over in the draw, because they had won in another draw of this show "
            "before: {ranks}."
        ),
        count=len(skipped),
        ranks=", ".join(ranks),
    )


def _describe_win(win: Win, titles: dict[str, str], told: Iterable[dict[str, Any]]) -> dict[str, Any]:
    own = [_say_became(row) for row in told if row["pseudonym"] == win.pseudonym and row["prize"]]
    open_yet = [gettext("not claimed yet")] if win.status == Win.Status.WON else []
    return {
        "rank": win.rank,
        "name": win.name,
        "prize": titles.get(win.piece_id, ""),
        "pseudonym": win.pseudonym,
        "status": "; ".join([*own, *open_yet]),
        "claim_by": win.claim_by if win.status == Win.Status.WON else None,
    }


def _say_became(row: dict[str, Any]) -> str:
    reason = str(REASONS.get(row["reason"], row["reason"]))
    return fill(str(BECAME[row["status"]]), reason=reason)
