"""What commands take."""

import re
from argparse import ArgumentParser, ArgumentTypeError

from engagement.core.plain_text import check_plain

LARGEST = 2**63 - 1  # of a column


def whole_number(text: str) -> int:
    """A number that a row, or a column of one, may have.

    >>> whole_number("17")
    17
    """
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > LARGEST:
        raise ArgumentTypeError(f"expected a whole number of 0 to 2**63 - 1, got {text[:30]!r}")
    return int(text)


def plain_text(text: str) -> str:
    """A name or a reason, for the ledger; the parser says which of them is wrong.

    >>> plain_text("Olga")
    'Olga'
    """
    try:
        return check_plain("text", text)
    except ValueError as error:
        raise ArgumentTypeError(str(error).removeprefix("text: ")) from None


def add_name(parser: ArgumentParser) -> None:
    """`--as`, of every command that writes into the ledger."""
    what = "your name in the ledger, before that of your account"
    parser.add_argument("--as", dest="name", type=plain_text, help=what)
