"""Pages as a browser reads them: where a line ends means nothing."""

from typing import Any


def page_of(answer: Any) -> str:
    """The text of an answer's HTML on one line."""
    return " ".join(answer.text.split())
