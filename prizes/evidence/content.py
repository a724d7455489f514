"""The evidence pack of a show, as far as it needs no files: lists, words and pictures (docs/evidence.md)."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from prizes.core.odds import first_odds, place_odds

FORMAT = "shake-evidence/v1"
MAX_DIGITS = 300
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ACTIONS: dict[str, str] = {
    "change": "Something that decides who counts is changed, before the arming",
    "exclude": "A viewer is excluded from the show's draws",
    "include": "A viewer is not excluded any more",
    "arm": "Rules, prizes and commitments are fixed",
    "open": "The opening of the window is set",
    "opened": "The window opens in the studio",
    "close": "The window is ended early",
    "closing": "The last feed's window has ended",
    "void": "The segment is called off",
    "spoil": "The segment is spoiled: it got no seal in time",
    "ask repeat": "Somebody asks to have the prizes of a spoiled segment drawn again",
    "repeat": "A second person agrees: the prizes of a spoiled segment are drawn again",
    "open key": "The key of the show's pseudonyms is opened to an auditor",
    "cue": "The crew puts something on the screens",
    "revoke": "Passes are taken back",
    "forget": "A viewer is forgotten, as far as the rules allow",
    "destroy key": "The key of the show's pseudonyms is destroyed, after its retention date",
    "gateway key": "The key with which a gateway signs what phones are told",
    "fence": "The tally is closed: no shake counts any more",
    "fence again": "The tally is collected and closed once more",
    "freeze": "The roll is complete",
    "counts": "What the gateways have counted so far",
    "uncounted": "The roll has more than the gateways have counted",
    "canaries": "Somebody commits to viewers of his own, who have to be in the roll",
    "canaries opened": "The viewers of such a commitment are shown",
    "reveal": "A party reveals its secret",
    "reveal refused": "A secret is refused",
    "seal": "Sealed: rules, roll, secrets and beacon are fixed",
    "draw": "The draw is asked for",
    "start": "The draw starts",
    "dice typed": "An operator has typed the throws",
    "beacon": "The beacon is known",
    "beacon refused": "A beacon is refused",
    "drawn": "Drawn, and confirmed by the second program",
    "disagreement": "Stopped: the second program does not confirm the draw",
    "name": "The host names a winner",
    "publish": "The winners are told",
    "claim": "A winner claims a prize",
    "forfeit": "A prize is forfeited",
    "ask approval": "Somebody asks for what two people have to agree to",
    "approve": "A second person agrees to what was asked for",
    "refuse approval": "What was asked for is refused, or withdrawn",
    "ask disqualification": "A disqualification is asked for",
    "refuse disqualification": "A disqualification is refused",
    "disqualify": "A winner is disqualified, by two people",
    "move up": "A reserve moves up",
    "skip reserve": "A reserve is passed over",
}
"""The actions of the ledger in words; one that is not listed keeps its own name."""

BEACONS = {
    "drand": "a round of drand quicknet, the public network of independent organisations; the seal fixes the round, "
    "and its signature is verified",
    "dice": "at least 50 throws of a six-sided die on air, after the seal was shown, typed in by two people",
    "local": "random bytes of the organiser's own server: a rehearsal, which nobody outside can verify",
}


class PackedFile(NamedTuple):
    """One file of a pack: its path in it, size in bytes, SHA-256 in hex, and what it is.

    >>> PackedFile("README.txt", 0, "", "how to check").path
    'README.txt'
    """

    path: str
    size: int
    sha256: str
    what: str


def format_sums(files: Iterable[PackedFile]) -> str:
    r"""Return the lines that `sha256sum -c` takes, in the order of the paths.

    ValueError for a path that such a line cannot hold as it is.

    >>> format_sums([PackedFile("b", 1, "00" * 32, ""), PackedFile("a", 1, "11" * 32, "")])[64:70]
    '  a\n00'
    """
    rows = sorted(files)
    for row in rows:
        if not re.fullmatch(r"[A-Za-z0-9._/-]+", row.path):
            raise ValueError(
                f"expected a path of letters, digits, dots, dashes and slashes, got {row.path!r}"
            )
    return "".join(f"{row.sha256}  {row.path}\n" for row in rows)


def checkpoint_address(slug: str) -> str:
    """Where the site gives out the latest checkpoint of a show, to be kept."""
    return f"/api/shows/{slug}/ledger/checkpoint"


def format_utc(ms: int) -> str:
    """Return UTC milliseconds since 1970 as ISO 8601; what no calendar holds, as the plain number.

    >>> format_utc(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    >>> format_utc(10**18)
    '1000000000000000000 ms'
    """
    try:
        moment = EPOCH + timedelta(milliseconds=ms)
    except OverflowError:  # somebody wrote it into the ledger; the pack shows what is there
        return f"{ms} ms"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_utc(ms: int) -> str:
    """Return UTC milliseconds since 1970 as people read it on paper.

    >>> show_utc(1_700_000_000_123)
    '2023-11-14 22:13:20.123'
    """
    return format_utc(ms).removesuffix("Z").replace("T", " ")


def format_span(ms: int) -> str:
    """Return a length of time in milliseconds for people, in its two largest units.

    >>> [format_span(ms) for ms in (0, 1_250, 61_000, 120_000, 7_380_000, 180_000_000, -500)]
    ['0.0 s', '1.2 s', '1 min 1 s', '2 min', '2 h 3 min', '2 d 2 h', '-0.5 s']
    """
    if ms < 0:
        return f"-{format_span(-ms)}"
    if ms < 60_000:
        return f"{ms // 1000}.{ms % 1000 // 100} s"
    seconds = ms // 1000
    units = ((86_400, 3_600, "d", "h"), (3_600, 60, "h", "min"), (60, 1, "min", "s"))
    large, small, unit, rest = next(row for row in units if seconds >= row[0])
    left = seconds % large // small
    return f"{seconds // large} {unit}" + (f" {left} {rest}" if left else "")


# --- the timeline ---


def timeline_row(entry: Mapping[str, Any], segments: Mapping[int, str]) -> dict[str, Any]:
    """Return one step of the as-run timeline for one exported entry of the ledger.

    `entry` has position, at (UTC ms), actor, action, reason and details; `segments` maps the ids in the details to
    titles. Source: docs/evidence.md.

    >>> entry = {"position": 1, "at": 0, "actor": "olga", "action": "seal", "reason": "", "details": {"draw": "d"}}
    >>> row = timeline_row(entry, {})
    >>> row["time"], row["draws"], row["what"]
    ('1970-01-01T00:00:00.000Z', ['d'], 'Sealed: rules, roll, secrets and beacon are fixed')
    """
    details = entry["details"] if isinstance(entry["details"], dict) else {}
    what = ACTIONS.get(entry["action"], entry["action"])
    return {
        "position": entry["position"],
        "time": format_utc(entry["at"]),
        "ms": entry["at"],
        "action": entry["action"],
        "what": f"{what} ({details['party']})" if "party" in details else what,
        "segment": segments.get(details.get("segment", -1), ""),
        "draws": _draws_in(details),
        "actor": entry["actor"],
        "reason": entry["reason"],
    }


def _draws_in(details: Mapping[str, Any]) -> list[str]:
    if "draw" in details:
        return [details["draw"]]
    named = details.get("rules") or details.get("records") or {}
    return sorted(named) if isinstance(named, dict) else []


COLUMNS = ("position", "time", "what", "segment", "draws", "actor", "reason", "action")


def format_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    r"""Return timeline rows as CSV (RFC 4180), with a byte order mark so that spreadsheets read it as UTF-8.

    A cell that a spreadsheet would take for a formula gets an apostrophe before it.

    >>> row = dict.fromkeys(COLUMNS, "=1+1") | {"position": 0, "draws": ["a", "b"]}
    >>> format_csv([row]).splitlines()[1]
    "0,'=1+1,'=1+1,'=1+1,a b,'=1+1,'=1+1,'=1+1"
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = {**row, "draws": " ".join(row["draws"])}
        writer.writerow(_harmless(str(cells[name])) for name in COLUMNS)
    return "\ufeff" + text.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


# --- words ---


def explain_rules(rules: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rules of a draw as headings and sentences; the prizes are a table of their own.

    >>> from prizes.core.rules import EXAMPLE, build_rules
    >>> dict(explain_rules(build_rules(**EXAMPLE)))["Tickets"]
    '1 for 10 shakes or more, 2 for 50 shakes or more, 3 for 100 shakes or more; fewer shakes, no ticket'
    """
    tickets = ", ".join(f"{count} for {shakes} shakes or more" for shakes, count in rules["tickets"])
    windows = "; ".join(
        f"{row['feed']}: {row['window_ms'] / 1000:g} s, {row['delay_ms'] / 1000:g} s behind the studio"
        for row in rules["windows"]
    )
    parties = ", ".join(party["name"] for party in rules["parties"])
    return [
        ("Who takes part", rules["eligibility"]),
        ("Tickets", f"{tickets}; fewer shakes, no ticket"),
        ("Windows", windows),
        ("Winners", f"{rules['winners']}, and {rules['reserves']} in reserve; {rules['skip_rule']}"),
        ("Randomness", BEACONS[rules["beacon"]["kind"]]),
        ("Secrets", f"of {parties}; revealed after the windows, {_deadline(rules)}"),
        ("Time to claim", f"{format_span(rules['claim_s'] * 1000)}, then the next reserve moves up"),
        ("Calling off", rules["void_rule"]),
    ]


def _deadline(rules: Mapping[str, Any]) -> str:
    """docs/draw.md, section 4."""
    before, margin = rules["reveal_deadline_s"], rules["seal_margin_s"]
    if rules["beacon"]["kind"] == "drand":
        return f"until {before} s before the beacon, which is at least {margin} s after the roll is frozen"
    return f"until {margin - before} s after the roll is frozen; the beacon comes after the seal"


def list_odds(classes: Sequence[Sequence[int]], winners: int) -> list[dict[str, Any]]:
    """Return for each class of viewers, [tickets, viewers], the chances of one of them.

    `first`: to be ranked first; `win`: to be among the first `winners`, between these two bounds, which are the same
    where the exact chance could be followed. All are exact fractions, None for one of more than `MAX_DIGITS` digits;
    `one_in` is the lower bound in words. Source: docs/draw.md, section 6.

    >>> row = list_odds([[2, 10], [5, 4]], 1)[0]
    >>> row["first"], row["win"], row["one_in"]
    ('1/20', ['1/20', '1/20'], '1 in 20.0')
    >>> list_odds([[1, 10**9], [2, 10**9]], 100)[0]["win"][1] is None
    True
    """
    table = {row[0]: row[1] for row in classes}
    everything = sum(tickets * viewers for tickets, viewers in classes)
    rows = []
    for tickets, viewers in classes:
        bounds = place_odds(tickets, table, winners)
        rows.append(
            {
                "tickets": tickets,
                "viewers": viewers,
                "first": str(first_odds(tickets, everything)),
                "win": [_fraction(bound) for bound in bounds],
                "one_in": f"1 in {float(1 / bounds[0]):,.1f}",
            }
        )
    return rows


def _fraction(value: Fraction) -> str | None:
    return str(value) if value.denominator < 10**MAX_DIGITS else None


# --- pictures: coordinates only, the report draws them ---

WIDTH = 720
MARGIN = 44


def lay_track(steps: Sequence[tuple[str, int | None]]) -> list[dict[str, Any]]:
    """Return the stations of a draw on a line: equal distances, because their order is what matters.

    `steps` are labels with UTC ms, None for what has not come; `gap` is the time since the station before, in words, to
    be written at `gap_x`. Coordinates are of a picture that is `WIDTH` wide.

    >>> [(stop["x"], stop["time"], stop["gap"]) for stop in lay_track([("a", 0), ("b", 1500), ("c", None)])]
    [(44, '00:00:00', ''), (360, '00:00:01', '+1.5 s'), (676, '', '')]
    """
    stops: list[dict[str, Any]] = []
    distance = (WIDTH - 2 * MARGIN) // max(1, len(steps) - 1)
    before = None
    for number, (label, ms) in enumerate(steps):
        x = MARGIN + number * distance
        gap = "" if ms is None or before is None else f"+{format_span(ms - before)}"
        time = "" if ms is None else format_utc(ms)[11:19]
        stops.append({"x": x, "gap_x": x - distance // 2, "label": label, "time": time, "gap": gap})
        before = ms
    return stops


class Lane(NamedTuple):
    """One segment in the picture of the night: when it was on air, in UTC ms, and the moments after it.

    >>> Lane("1. Coat", 0, 1000, [("seal", 1500)]).title
    '1. Coat'
    """

    title: str
    opens: int
    ends: int
    moments: Sequence[tuple[str, int]]


def lay_night(lanes: Sequence[Lane]) -> dict[str, Any]:
    """Return the picture of the night: lanes with a bar and dots on one scale of time, and marks of time below.

    >>> night = lay_night([Lane("a", 0, 30_000, [("seal", 60_000)])])
    >>> night["lanes"][0]["bar"], night["lanes"][0]["dots"][0]["x"], [mark["time"] for mark in night["marks"]][-1]
    ({'x': 160, 'width': 258}, 676, '00:01:00')
    >>> lay_night([])["lanes"]
    []
    """
    left, lane_height = 160, 26
    moments = [ms for lane in lanes for ms in (lane.opens, lane.ends, *(ms for _, ms in lane.moments))]
    first, last = min(moments, default=0), max(moments, default=1)

    def at(ms: int) -> int:
        return left + (WIDTH - MARGIN - left) * (ms - first) // max(1, last - first)

    rows = [
        {
            "title": lane.title if len(lane.title) <= 24 else f"{lane.title[:23]}…",
            "y": 14 + number * lane_height,
            "bar": {"x": at(lane.opens), "width": max(3, at(lane.ends) - at(lane.opens))},
            "dots": [{"kind": kind, "x": at(ms)} for kind, ms in lane.moments],
        }
        for number, lane in enumerate(lanes)
    ]
    marks = [first + (last - first) * quarter // 4 for quarter in range(5)]
    return {
        "lanes": rows,
        "marks": [{"x": at(ms), "time": format_utc(ms)[11:19]} for ms in marks],
        "left": left,
        "bottom": 14 + len(rows) * lane_height,
        "height": 48 + len(rows) * lane_height,
    }
