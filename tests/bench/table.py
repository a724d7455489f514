"""The table of the gateway's benchmark: figures beside each other, ratios, targets met and missed."""

from collections.abc import Callable
from typing import Any, NamedTuple

OURS = "gateway"  # the key of the contender that the others are compared with
Rows = dict[str, dict[str, Any]]
Results = dict[str, Rows]


class Target(NamedTuple):
    """What a figure, or the ratio of ours to it, must reach."""

    text: str
    met: Callable[[dict[str, Any]], bool]


def times_as_much(least: float) -> Target:
    return Target(f"ours {least:g} x", lambda row: row["ratio"] is not None and row["ratio"] >= least)


def at_least(least: float, unit: str, *, failures: bool = False) -> Target:
    text = f">= {least:,g} {unit}" + (", no failure" if failures else "")
    return Target(text, lambda row: row["value"] >= least and not (failures and row["failures"]))


def at_most(most: float, unit: str) -> Target:
    return Target(f"<= {most:,g} {unit}", lambda row: row["value"] is not None and row["value"] <= most)


ALL_CONNECTED = Target("all connected", lambda row: row["failures"] == 0)
PACED = Target(
    "< 2,000 ms, paced, no disconnect",
    lambda row: row["value"] < 2_000 and row["disconnects"] == 0 and row["lengthened"],
)

# Of a measure, or of a group of them (the first word of their labels), and a contender.
TARGETS = {
    ("intake", "tutorial-pubsub"): times_as_much(15),
    ("intake", "tutorial-core"): times_as_much(15),
    ("intake", "ws"): times_as_much(1.0),
    ("fanout", "tutorial-pubsub"): times_as_much(30),
    ("fanout", "socketio"): times_as_much(1.3),
    ("fanout", "nchan"): times_as_much(1.0),
    ("memory", OURS): at_most(12, "KiB"),
    ("storm", OURS): at_least(4_000, "per s", failures=True),
    ("storm", "socketio"): times_as_much(2),
    ("flatness", OURS): at_most(1.3, "x"),
    ("processes", OURS): at_least(1.8, "x"),
    ("finals", OURS): at_most(1, "reports"),
    ("pace", OURS): PACED,
}


def compare(results: Results) -> None:
    """Adds to every row the ratio of ours to it."""
    for rows in results.values():
        ours = rows.get(OURS, {}).get("value")
        for key, row in rows.items():
            row["ratio"] = ours / row["value"] if ours and row["value"] and key != OURS else None


def judge(results: Results, large_storm: str) -> None:
    """Adds the targets, and whether they were met; they are for the full sizes."""
    for label, rows in results.items():
        for key, row in rows.items():
            target = ALL_CONNECTED if (label, key) == (large_storm, OURS) else find_target(label, key)
            if target is not None and row["value"] is not None and OURS in rows:
                row["target"], row["met"] = target.text, target.met(row)


def find_target(label: str, key: str) -> Target | None:
    return TARGETS.get((label.split()[0], key))


def broken_promises(results: Results) -> list[str]:
    """What went wrong at one of ours; what others lose is shown, but it is theirs."""
    return [
        f"{label}, {row['name']}: {what}"
        for label, rows in results.items()
        for key, row in rows.items()
        if key.startswith(OURS)
        for what in row["wrong"]
    ]


def format_table(results: Results) -> str:
    line = "{:<19} {:<22} {:>9} {:<15} {:>8}  {:<34} {}"
    lines = [line.format("measure", "contender", "value", "unit", "ours/it", "target", "details")]
    for label, rows in results.items():
        for row in rows.values():
            ratio = format_ratio(row["ratio"])
            target = f"{row['target']}: {'met' if row['met'] else 'MISSED'}" if "target" in row else ""
            details = "; ".join(filter(None, [row["details"], *row["wrong"]]))
            figures = format_value(row["value"]), row["unit"], ratio, target, details
            lines.append(line.format(label, row["name"], *figures).rstrip())
    return "\n".join(lines)


def format_ratio(ratio: float | None) -> str:
    """Around 1.0 a third digit says on which side of it.

    >>> format_ratio(1.304), format_ratio(0.997), format_ratio(None)
    ('1.30', '0.997', '')
    """
    if ratio is None:
        return ""
    return f"{ratio:.3f}" if 0.98 <= ratio <= 1.02 else f"{ratio:.2f}"


def format_value(value: float | None) -> str:
    """Three digits that count are enough.

    >>> format_value(151234.5), format_value(11.74), format_value(1.853), format_value(None)
    ('151,234', '11.7', '1.85', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
