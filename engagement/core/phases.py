"""The phases of a segment, and the table of what may follow what."""

from enum import StrEnum


class Phase(StrEnum):
    """Where a segment is in its life."""

    DRAFT = "draft"
    ARMED = "armed"
    OPEN = "open"
    CLOSING = "closing"
    SEALED = "sealed"
    DRAWN = "drawn"
    PUBLISHED = "published"
    VOID = "void"
    SPOILED = "spoiled"


# An end state has an empty row. `void` was called off by a person before the freeze; `spoiled` got no seal in time.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.DRAFT: frozenset({Phase.ARMED, Phase.VOID}),
    Phase.ARMED: frozenset({Phase.OPEN, Phase.VOID}),
    Phase.OPEN: frozenset({Phase.CLOSING, Phase.VOID}),
    Phase.CLOSING: frozenset({Phase.SEALED, Phase.VOID, Phase.SPOILED}),
    Phase.SEALED: frozenset({Phase.DRAWN}),
    Phase.DRAWN: frozenset({Phase.PUBLISHED}),
    Phase.PUBLISHED: frozenset(),
    Phase.VOID: frozenset(),
    Phase.SPOILED: frozenset(),
}

# From the arming to the announcement.
UNDER_WAY = frozenset({Phase.ARMED, Phase.OPEN, Phase.CLOSING, Phase.SEALED, Phase.DRAWN})

# In which nothing is drawn any more.
CALLED_OFF = frozenset({Phase.VOID, Phase.SPOILED})

# Phases in which a gateway may still take reports; the window says whether it does now.
REPORTING = frozenset({Phase.ARMED, Phase.OPEN, Phase.CLOSING})


class IllegalTransition(ValueError):
    """The table has no such move; nothing was changed."""


def check_transition(old: Phase, new: Phase) -> None:
    """Raises IllegalTransition where the table has no `old -> new`.

    >>> check_transition(Phase.DRAFT, Phase.ARMED)
    >>> check_transition(Phase.SEALED, Phase.VOID)
    Traceback (most recent call last):
    ...
    engagement.core.phases.IllegalTransition: a sealed segment cannot become void; it can become drawn
    """
    if new not in TRANSITIONS[old]:
        allowed = " or ".join(sorted(TRANSITIONS[old])) or "nothing else any more"
        raise IllegalTransition(f"a {old} segment cannot become {new}; it can become {allowed}")
