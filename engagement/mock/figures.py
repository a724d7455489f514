"""What a crowd has seen and done: live figures while it runs, the summary at its end."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from engagement.mock.phone import Phone


@dataclass(slots=True)
class Figures:
    """Counters of a whole crowd."""

    passes: int = 0
    renewals: int = 0  # passes for a viewer that had one before
    reports_sent: int = 0
    acks: int = 0
    clamped: int = 0  # acks below what was reported
    reconnects: int = 0
    dropped: int = 0  # connections that were broken off on purpose
    closes: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    results_seen: Counter[int] = field(default_factory=Counter)
    won: dict[str, int] = field(default_factory=dict)
    claims: dict[str, str] = field(
        default_factory=dict
    )  # what came of the claim of a viewer: claimed, or a code
    ack_ms: Counter[int] = field(default_factory=Counter)  # how many acks took so many ms


def percentile(counted: Counter[int], share: float) -> int | None:
    """The value that `share` of all are not above; None when there are none.

    >>> percentile(Counter({10: 98, 500: 2}), 0.5), percentile(Counter({10: 98, 500: 2}), 0.99)
    (10, 500)
    """
    left = share * counted.total()
    for value in sorted(counted):
        left -= counted[value]
        if left <= 0:
            return value
    return None


def describe_segments(phones: Iterable[Phone]) -> dict[str, dict[str, dict[str, int]]]:
    """Per segment what was counted, acknowledged and signed, by pseudonym (hex); without phones that never shook."""
    segments: dict[str, dict[str, dict[str, int]]] = {}
    for phone in phones:
        for segment, count in phone.counts.items():
            if count.total:
                found = segments.setdefault(str(segment), {"acknowledged": {}, "counted": {}, "stubs": {}})
                found["counted"][phone.viewer] = count.total
                if count.acknowledged:
                    found["acknowledged"][phone.viewer] = count.acknowledged
                if segment in phone.stubs:
                    found["stubs"][phone.viewer] = phone.stubs[segment]["stub"]["total"]
    return segments


def describe_figures(figures: Figures) -> dict[str, Any]:
    """The figures as they stand in the summary."""
    return {
        "reports_sent": figures.reports_sent,
        "acks": figures.acks,
        "clamped": figures.clamped,
        "reconnects": figures.reconnects,
        "renewals": figures.renewals,
        "dropped": figures.dropped,
        "closes": {str(code): number for code, number in sorted(figures.closes.items())},
        "errors": dict(figures.errors),
        "results_seen": {str(draw): number for draw, number in figures.results_seen.items()},
        "won": figures.won,
        "claims": figures.claims,
        "ack_ms": {"p50": percentile(figures.ack_ms, 0.5), "p99": percentile(figures.ack_ms, 0.99)},
    }
