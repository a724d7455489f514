"""What gateways have counted of a segment: the details of the ledger's entries `counts` (docs/ledger.md, "Counts").

Figures never fall: what a gateway has once said stays, also when the gateway and its row in Redis are lost.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MOST_GATEWAYS = 200  # are named in an entry; what further ones have counted stands in one sum
LONGEST_NAME = 100
SOURCES = ("app", "attested", "code", "guest", "work")  # of passes: their kinds
LARGEST = (
    2**53
)  # no gateway counts further; a row with more would stay in the figures for ever, and fit no entry


class Figures(NamedTuple):
    """Of one gateway, or of several together: viewers who have reported, their shakes, and how many of them are users
    of the host app, who have no origin."""

    viewers: int
    shakes: int
    app: int


NOTHING = Figures(0, 0, 0)


class Counts(NamedTuple):
    """The figures of each gateway in the order of their first mention, and of those that are not named."""

    gateways: Mapping[str, Figures]
    others: Figures = NOTHING

    @property
    def total(self) -> Figures:
        """The sum over all gateways: at least what can be frozen, more where viewers have changed gateways."""
        return add_up([*self.gateways.values(), self.others])


def add_up(rows: Iterable[Figures]) -> Figures:
    """The sum of some figures.

    >>> add_up([Figures(1, 20, 1), Figures(2, 5, 0)])
    Figures(viewers=3, shakes=25, app=1)
    """
    figures = list(rows)
    return Figures(*(sum(row[place] for row in figures) for place in range(len(Figures._fields))))


def merge_counts(before: Counts, found: Mapping[str, Figures]) -> Counts:
    """What was told before, and what is found now: of each gateway the larger figures, and 200 of them by name.

    >>> before = Counts({"one": Figures(5, 80, 0)})
    >>> merge_counts(before, {"one": Figures(6, 75, 1), "two": Figures(1, 3, 0)}).gateways["one"]
    Figures(viewers=6, shakes=80, app=1)
    >>> merge_counts(before, {}).total
    Figures(viewers=5, shakes=80, app=0)
    """
    named = dict(before.gateways)
    unnamed: list[Figures] = []
    for name in sorted(found):
        if name in named or len(named) < MOST_GATEWAYS:
            named[name] = _larger(named.get(name, NOTHING), found[name])
        else:
            unnamed.append(found[name])
    return Counts(named, _larger(before.others, add_up(unnamed)))


def _larger(one: Figures, two: Figures) -> Figures:
    return Figures(*map(max, one, two))


def describe_counts(counts: Counts) -> dict[str, Any]:
    """The fields of an entry that tell them: sums, gateways by name, and the sum of the others where there are any.

    >>> describe_counts(Counts({"one": Figures(5, 80, 2)}))
    {'viewers': 5, 'shakes': 80, 'app': 2, 'gateways': [{'gateway': 'one', 'viewers': 5, 'shakes': 80, 'app': 2}]}
    """
    others = {} if counts.others == NOTHING else {"others": counts.others._asdict()}
    rows = [{"gateway": name, **figures._asdict()} for name, figures in counts.gateways.items()]
    return {**counts.total._asdict(), "gateways": rows, **others}


def parse_counts(details: Mapping[str, Any]) -> Counts:
    """The inverse of `describe_counts`; ValueError for anything that it does not make.

    >>> parse_counts(describe_counts(Counts({"one": Figures(5, 80, 2)}))).total
    Figures(viewers=5, shakes=80, app=2)
    """
    rows, others = details.get("gateways"), details.get("others")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("expected a list of gateways with what they have counted")
    gateways = {str(row.get("gateway")): _figures(row) for row in rows}
    counts = Counts(gateways, NOTHING if others is None else _figures(others))
    if len(gateways) != len(rows) or _figures(details) != counts.total:
        raise ValueError("expected each gateway once, and the sum of all of them")
    return counts


def _figures(row: Any) -> Figures:
    values = _numbers(row, Figures._fields)
    if values is None:
        raise ValueError(f"expected counted viewers and shakes, got {row!r}"[:200])
    return Figures(*values)


def _numbers(row: Any, names: Iterable[str]) -> list[int] | None:
    """The values of these fields, where it is an object that has them all, whole and not negative."""
    values = [row.get(name) if isinstance(row, dict) else None for name in names]
    numbers = [value for value in values if type(value) is int and value >= 0]
    return numbers if len(numbers) == len(values) else None


def read_row(row: Any) -> Figures | None:
    """The figures in a gateway's live counters; None for a gateway that counts no viewers, or what is no such row.

    `unsure` are shakes that another gateway may have counted, too: a ceiling has to hold them. A gateway that does not
    tell users of the host app from guests may have had only users.

    >>> read_row({"shakes": 70, "unsure": 5, "viewers": 3, "app": 1, "reports": 9, "clamped": 0})
    Figures(viewers=3, shakes=75, app=1)
    >>> read_row({"shakes": 70, "unsure": 5, "viewers": 3})
    Figures(viewers=3, shakes=75, app=3)
    >>> read_row({"shakes": 70}) is None
    True
    >>> read_row({"shakes": 2**53 + 1, "unsure": 0, "viewers": 1}) is None
    True
    """
    app = "app" if isinstance(row, dict) and "app" in row else "viewers"
    values = _numbers(row, ("viewers", "shakes", "unsure", app))
    if values is None or max(values) > LARGEST:
        return None
    return Figures(values[0], values[1] + values[2], values[3])


def read_passes(row: Any, source: str) -> int:
    """How many passes of this source a gateway has issued, by its row; 0 for what is no such row.

    >>> read_passes({"guest": 40, "app": -1}, "guest"), read_passes({"guest": 40, "app": -1}, "app")
    (40, 0)
    """
    values = _numbers(row, (source,))
    return values[0] if values is not None and values[0] <= LARGEST else 0


def passes_since(issued: Mapping[str, int], before: Mapping[str, Any]) -> dict[str, int]:
    """Passes issued by source since the last entry, which said `before`; 0 where Redis has forgotten some.

    >>> passes_since({"app": 7, "guest": 40}, {"app": 5, "guest": 50})
    {'app': 2, 'attested': 0, 'code': 0, 'guest': 0, 'work': 0}
    >>> passes_since({"guest": 3}, {})["guest"]
    3
    """
    return {source: max(0, issued.get(source, 0) - _number(before.get(source))) for source in SOURCES}


def _number(value: Any) -> int:
    return value if type(value) is int else 0


class Excess(NamedTuple):
    """By how much what was frozen is more than what was counted: nothing on an honest night."""

    viewers: int
    shakes: int
    app: int


def excess(counted: Figures, *, viewers: int, shakes: int, app: int) -> Excess:
    """Compare frozen viewers (or the entries of a roll), shakes and users of the host app with what the gateways had
    counted at the fence. A guest whose origin was taken away is one user more than that.

    >>> excess(Figures(100, 5_000, 0), viewers=98, shakes=5_000, app=0)
    Excess(viewers=0, shakes=0, app=0)
    >>> excess(Figures(100, 5_000, 0), viewers=110, shakes=5_600, app=3)
    Excess(viewers=10, shakes=600, app=3)
    """
    frozen = Figures(viewers, shakes, app)
    return Excess(*(max(0, came - most) for came, most in zip(frozen, counted, strict=True)))
