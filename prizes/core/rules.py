"""The rules of a draw, fixed before its segment opens (docs/draw.md, section 1)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engagement.fair_play.core.promise import EXAMPLE as FAIR_PLAY
from engagement.fair_play.core.promise import check_promise
from prizes.core.digests import (
    BEACON_KINDS,
    MAX_DICE_THROWS,
    MIN_DICE_THROWS,
    MIN_SEAL_MARGIN_S,
    QUICKNET_CHAIN,
)
from prizes.core.tickets import TicketTable

FORMAT = "shake-draw/v2/rules"
ALGORITHM = "aes256ctr-min/1"
SKIP_RULE = "one win per viewer per show, as of the seal"
VOID_RULE = (
    "before the freeze with a reason in the ledger, after it never; "
    "a draw without a seal in time is spoiled, and stays public"
)
BEACON_RULES = {
    "drand": "round ceil((t_freeze + seal_margin_s - genesis) / period) + 1; SHA-256 of its signature",
    "dice": "SHA-256 of the ASCII digits of the promised number of throws of a six-sided die, after the seal is shown",
    "local": "32 random bytes of the server; a rehearsal, not verifiable by the public",
}
MAX_EXTRA_RESERVES = 5  # R <= K + 5
MAX_WINDOW_MS = 86_400_000
MIN_CLAIM_S, MAX_CLAIM_S = 10, 31_536_000
MIN_PUBLISH_S, MAX_PUBLISH_S = 60, 31_536_000
UNWITNESSED = ("wait", "go on")
MOST_STAMPERS = 4

_PRIZE_FIELDS: dict[str, type] = {
    "id": str,
    "celebrity": str,
    "brand": str,
    "garment": str,
    "size": str,
    "title": str,
    "value_minor": int,
    "currency": str,
}
_WINDOW_FIELDS: dict[str, type] = {"feed": str, "delay_ms": int, "window_ms": int}
_PARTY_FIELDS: dict[str, type] = {"name": str, "commitment": str}
_WITNESS_FIELDS: dict[str, type] = {"name": str, "key": str}
_STAMPER_FIELDS: dict[str, type] = {"name": str, "certificate": str}


def build_rules(
    *,
    show_id: str,
    draw_id: str,
    tickets: Sequence[Sequence[int]],
    eligibility: str,
    prizes: Sequence[Mapping[str, Any]],
    reserves: int,
    windows: Sequence[Mapping[str, Any]],
    beacon_kind: str,
    parties: Sequence[Mapping[str, str]],
    k_show_commitment: str,
    exclusions_commitment: str,
    software_digest: str,
    verifier_digest: str,
    fair_play: Mapping[str, Any],
    seal_margin_s: int = 60,
    reveal_deadline_s: int = 15,
    claim_s: int = 259_200,
    publish_by_s: int = 86_400,
    throws: int = MIN_DICE_THROWS,
    witnesses: Sequence[Mapping[str, str]] = (),
    quorum: int = 0,
    unwitnessed: str = "go on",
    stampers: Sequence[Mapping[str, str]] = (),
    repeats: str = "",
    void_rule: str = VOID_RULE,
) -> dict[str, Any]:
    """Return the rules of one draw as a JSON value; its digest is the draw's rules digest.

    `prizes` are in drawing order, one winner each, with the keys id, celebrity, brand, garment, size, title (text),
    value_minor (integer, minor units of `currency`, three capital letters). `windows` have feed, delay_ms (behind
    the studio) and window_ms (length). `parties` have name and commitment, in the order of the seal.
    `seal_margin_s` are the seconds from the freeze to the beacon's round, `reveal_deadline_s` those from the last
    reveal to it, `claim_s` those that a winner has to claim, `publish_by_s` those from the seal until the result is
    public, a minute longer than the margin at least. `throws` is the number of throws of dice. `witnesses` have
    name and key (the text of a public key, docs/ledger.md); `quorum` of them sign the seal before the round, and
    `unwitnessed` says what happens without them. `stampers` have name and certificate (its SHA-256): who stamps the
    seal with the time. `fair_play` is what is promised about guests (`check_promise`). `repeats` is the id of the
    spoiled draw whose prizes are drawn again. Commitments and digests are 64 hex digits. Raises ValueError that says
    what was expected and what came.
    Source: docs/draw.md, section 1.

    >>> build_rules(**EXAMPLE)["tmax"]
    3
    >>> build_rules(**{**EXAMPLE, "reserves": 7})
    Traceback (most recent call last):
    ...
    ValueError: expected reserves of 0 .. 6, got 7
    """
    table = TicketTable(tickets)
    checked_prizes = _check_prizes(prizes)
    checked_witnesses = _check_witnesses(witnesses)
    return {
        "$format": FORMAT,
        "algorithm": ALGORITHM,
        "beacon": build_beacon_rule(beacon_kind, throws),
        "claim_s": _within("claim_s", claim_s, MIN_CLAIM_S, MAX_CLAIM_S),
        "draw_id": _text("draw_id", draw_id),
        "eligibility": _text("eligibility", eligibility),
        "exclusions_commitment": _digest("exclusions_commitment", exclusions_commitment),
        "fair_play": check_promise(fair_play),
        "k_show_commitment": _digest("k_show_commitment", k_show_commitment),
        "parties": _check_parties(parties),
        "prizes": checked_prizes,
        "publish_by_s": _within("publish_by_s", publish_by_s, seal_margin_s + MIN_PUBLISH_S, MAX_PUBLISH_S),
        "quorum": _within("quorum", quorum, 0, len(checked_witnesses)),
        "repeats": repeats,
        "reserves": _within("reserves", reserves, 0, len(checked_prizes) + MAX_EXTRA_RESERVES),
        "seal_margin_s": _within("seal_margin_s", seal_margin_s, MIN_SEAL_MARGIN_S, 86400),
        "reveal_deadline_s": _within("reveal_deadline_s", reveal_deadline_s, 1, seal_margin_s),
        "show_id": _text("show_id", show_id),
        "skip_rule": SKIP_RULE,
        "stampers": _check_stampers(stampers),
        "software_digest": _digest("software_digest", software_digest),
        "tickets": table.rows,
        "tmax": table.tmax,
        "unwitnessed": _one_of("unwitnessed", unwitnessed, UNWITNESSED),
        "verifier_digest": _digest("verifier_digest", verifier_digest),
        "void_rule": _text("void_rule", void_rule),
        "windows": _check_windows(windows),
        "winners": len(checked_prizes),
        "witnesses": checked_witnesses,
    }


def build_beacon_rule(kind: str, throws: int = MIN_DICE_THROWS) -> dict[str, Any]:
    """Return the beacon of the rules: kind, chain (hex, empty where there is none), rule, throws (0 but for dice).

    >>> build_beacon_rule("dice", 60)["throws"], build_beacon_rule("drand")["chain"][:8]
    (60, '52db9ba7')
    """
    if kind not in BEACON_KINDS:
        raise ValueError(f"expected a beacon of {', '.join(BEACON_KINDS)}, got {kind!r}")
    chain = QUICKNET_CHAIN.hex() if kind == "drand" else ""
    promised = _within("throws", throws, MIN_DICE_THROWS, MAX_DICE_THROWS) if kind == "dice" else 0
    return {"kind": kind, "chain": chain, "rule": BEACON_RULES[kind], "throws": promised}


def _check_prizes(prizes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not prizes:
        raise ValueError("expected at least one prize, got none")
    rows = [_fields("prize", prize, _PRIZE_FIELDS) for prize in prizes]
    for row in rows:
        _text("prize id", row["id"])
        _within("value_minor", row["value_minor"], 0, (1 << 53) - 1)
        if not re.fullmatch("[A-Z]{3}", row["currency"]):
            raise ValueError(f"expected a currency of three capital letters, got {row['currency']!r}")
    _distinct("prize id", [row["id"] for row in rows])
    return rows


def _check_windows(windows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not windows:
        raise ValueError("expected a window for at least one feed, got none")
    rows = [_fields("window", window, _WINDOW_FIELDS) for window in windows]
    for row in rows:
        _within("delay_ms", row["delay_ms"], 0, MAX_WINDOW_MS)
        _within("window_ms", row["window_ms"], 1, MAX_WINDOW_MS)
    _distinct("feed", [_text("feed", row["feed"]) for row in rows])
    return rows


def _check_parties(parties: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    if not parties:
        raise ValueError("expected at least one party, got none")
    rows = [_fields("party", party, _PARTY_FIELDS) for party in parties]
    for row in rows:
        _digest(f"commitment of {row['name']!r}", row["commitment"])
    _distinct("party", [_text("party name", row["name"]) for row in rows])
    return rows


def _check_witnesses(witnesses: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    rows = [_fields("witness", witness, _WITNESS_FIELDS) for witness in witnesses]
    _distinct("witness", [_text("witness name", row["name"]) for row in rows])
    # One key is one witness, whatever names it has.
    _distinct("key of a witness", [_text("witness key", row["key"]).split("+", 2)[-1] for row in rows])
    return rows


def _check_stampers(stampers: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    _within("number of time stampers", len(stampers), 0, MOST_STAMPERS)
    rows = [_fields("time stamper", stamper, _STAMPER_FIELDS) for stamper in stampers]
    _distinct("time stamper", [_text("time stamper's name", row["name"]) for row in rows])
    for row in rows:
        _digest(f"certificate of {row['name']!r}", row["certificate"])
    _distinct("certificate of a time stamper", [row["certificate"] for row in rows])
    return rows


def _fields(what: str, row: Mapping[str, Any], fields: dict[str, type]) -> dict[str, Any]:
    if set(row) != set(fields):
        raise ValueError(f"expected a {what} with {sorted(fields)}, got {sorted(row)}")
    for name, kind in fields.items():
        if type(row[name]) is not kind:
            raise ValueError(f"expected {name} of a {what} as {kind.__name__}, got {row[name]!r}")
    return dict(row)


def _text(name: str, value: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected {name} as text that is not empty, got {value!r}")
    return value


def _digest(name: str, value: str) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"expected {name} as 64 lower-case hex digits, got {value!r}")
    return value


def _within(name: str, value: int, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"expected {name} of {least} .. {most}, got {value!r}")
    return value


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError(f"expected {name} of {', '.join(known)}, got {value!r}")
    return value


def _distinct(name: str, values: list[str]) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"expected each {name} once, got {repeated[0]!r} again")


EXAMPLE: dict[str, Any] = {
    "show_id": "gala-2026",
    "draw_id": "gala-2026/seg-1/draw-1",
    "tickets": [[10, 1], [50, 2], [100, 3]],
    "eligibility": "Adults who live in the country of the broadcast.",
    "prizes": [
        {
            "id": "coat",
            "celebrity": "Lin Mei",
            "brand": "Atelier Nord",
            "garment": "coat",
            "size": "M",
            "title": "The coat of the opening number",
            "value_minor": 129900,
            "currency": "EUR",
        }
    ],
    "reserves": 2,
    "windows": [{"feed": "tv", "delay_ms": 1500, "window_ms": 60000}],
    "beacon_kind": "drand",
    "parties": [{"name": "operator", "commitment": "80" * 32}],
    "k_show_commitment": "11" * 32,
    "exclusions_commitment": "22" * 32,
    "software_digest": "33" * 32,
    "verifier_digest": "44" * 32,
    "fair_play": FAIR_PLAY,
}
"""Arguments of `build_rules` for examples and tests."""
