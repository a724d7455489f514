"""What witnesses have cosigned, and how many have to have (docs/ledger.md, "Witnesses")."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import Count, F, OuterRef, Subquery

from engagement.actions import ActionRefused
from engagement.languages import say
from engagement.ledger.core.cosignatures import Cosigned
from engagement.ledger.witnessed import Below, Witnessing, WitnessState
from engagement.models import LedgerCheckpoint, Show
from prizes.models import Cosignature, Quorum, Witness


def witness_rules(show: Show) -> dict[str, Any]:
    """Who witnesses, as the rules of a draw say it: `witnesses` in the order of their names, `quorum` and
    `unwitnessed`. Raises ActionRefused where fewer witness than have to.
    """
    witnesses = [{"name": row.name, "key": row.key} for row in show.witnesses.order_by("name")]
    needed, unwitnessed = _quorum_of(show, len(witnesses))
    if needed > len(witnesses):
        raise ActionRefused(
            say(
                "{show} has {count} witnesses, and {needed} have to cosign: add some, or change the quorum",
                show=show,
                count=len(witnesses),
                needed=needed,
            )
        )
    return {"witnesses": witnesses, "quorum": needed, "unwitnessed": unwitnessed}


def _quorum_of(show: Show, witnesses: int) -> tuple[int, str]:
    row = Quorum.objects.filter(show=show).first()
    if row is None:
        return min(1, witnesses), str(Quorum.Unwitnessed.GO_ON)
    return row.needed, row.unwitnessed


def cosigned(show: Show, size: int) -> list[Cosigned]:
    """Who has cosigned the checkpoint of so many entries, in the order of their names."""
    rows = Cosignature.objects.filter(show=show, size=size).order_by("witness")
    return [Cosigned(row.witness, row.at_ms // 1000, row.line) for row in rows]


def read_below(show: Show, size: int) -> Below:
    """The signature lines that come below ours in the checkpoint of so many entries; in one query."""
    mine = Cosignature.objects.filter(show=OuterRef("show"), witness=OuterRef("name"), size=size)
    rows = Witness.objects.filter(show=show).annotate(line=Subquery(mine.values("line"))).order_by("name")
    lines = list(rows.values_list("line", flat=True))
    return Below([line for line in lines if line], None in lines)


def lines_by_size(show: Show) -> dict[int, list[str]]:
    """All that was cosigned of a show, by the size of the checkpoint; in one query."""
    found: dict[int, list[str]] = defaultdict(list)
    rows = Cosignature.objects.filter(show=show).order_by("size", "witness")
    for size, line in rows.values_list("size", "line"):
        found[size].append(line)
    return dict(found)


def quorum_reached(show: Show, at_least_size: int, rules: Mapping[str, Any] | None = None) -> bool:
    """Whether as many witnesses as have to have cosigned a checkpoint with these entries; true where none has to.

    By the rules of a draw, once they are promised; else by what would be promised now.
    """
    rules = witness_rules(show) if rules is None else rules
    names = [row["name"] for row in rules["witnesses"]]
    later = Cosignature.objects.filter(show=show, witness__in=names, size__gte=at_least_size)
    there: int = later.order_by().values("witness").distinct().count()
    return there >= int(rules["quorum"])


def witnessed_size(
    show: Show, names: Collection[str], at_least: int, at_most: int, before_ms: int
) -> int | None:
    """The checkpoint of these sizes that most of these witnesses have cosigned before this moment; the smallest one."""
    seen = Cosignature.objects.filter(
        show=show, witness__in=names, size__gte=at_least, size__lte=at_most, at_ms__lt=before_ms
    ).order_by()
    by_size = seen.values("size").annotate(count=Count("witness", distinct=True)).order_by("-count", "size")
    first = by_size.first()
    return None if first is None else int(first["size"])


def describe_witnesses(show: Show) -> Witnessing:
    """How far each witness of a show is; in one query."""
    last = Cosignature.objects.filter(show=OuterRef("show"), witness=OuterRef("name")).order_by("-size")
    ours = LedgerCheckpoint.objects.filter(show=OuterRef("show")).order_by("-size")
    found: dict[str, Any] = {
        "size": Subquery(last.values("size")[:1]),
        "at_ms": Subquery(last.values("at_ms")[:1]),
        "signed": Subquery(ours.values("size")[:1]),
        "needed": F("show__quorum__needed"),
        "unwitnessed": F("show__quorum__unwitnessed"),
    }
    there = Witness.objects.filter(show=show).annotate(**found).order_by("name")
    rows: list[dict[str, Any]] = list(there.values("name", "key", "trouble", *found))
    if not rows:
        return Witnessing([], 0, str(Quorum.Unwitnessed.GO_ON), 0)
    first = rows[0]
    known = [WitnessState(row["name"], row["key"], row["size"], row["at_ms"], row["trouble"]) for row in rows]
    return Witnessing(
        known,
        1 if first["needed"] is None else first["needed"],
        first["unwitnessed"] or str(Quorum.Unwitnessed.GO_ON),
        first["signed"] or 0,
    )
