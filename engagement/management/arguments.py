"""What commands take."""

import re
from argparse import ArgumentTypeError

LARGEST = 2**63 - 1  # of a column


def whole_number(text: str) -> int:
    """A number that a row, or a column of one, may have.

    >>> whole_number("17")
    17
    """
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > LARGEST:
        raise ArgumentTypeError(f"expected a whole number of 0 to 2**63 - 1, got {text[:30]!r}")
    return int(text)
