"""Percentiles of a list of times."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` of all are not above; None when there are none.

    >>> percentile([5.0, 1.0, 9.0, 3.0], 0.5), percentile([5.0, 1.0, 9.0, 3.0], 0.99)
    (3.0, 9.0)
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def quartile(values: Sequence[float]) -> float:
    """What a quarter stays below: the usual cost where now and then something else falls into the time."""
    found = percentile(values, 0.25)
    if found is None:
        raise ValueError("the quartile of nothing")
    return found
