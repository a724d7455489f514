"""When somebody counts as a second person: another account, at another login."""

from engagement.actions import ActionRefused
from engagement.languages import say

VALID_MS = (
    86_400_000  # how long a request about a draw that is over waits; those of a show on air are shorter
)


TERMINAL = "cli:"  # no account of the console has a colon in its name


def account_of(actor: str) -> str:
    """Who it was by account; a name that was given on a terminal (`--as`) makes nobody a second person.

    >>> account_of("olga (cli:root)"), account_of("olga")
    ('cli:root', 'olga')
    """
    _, opening, account = actor.rpartition(f" ({TERMINAL}")
    return f"{TERMINAL}{account.removesuffix(')')}" if opening else actor


def names_of(actor: str) -> set[str]:
    """Every name that somebody goes by: the account, and the one that was given on a terminal.

    >>> sorted(names_of("Dora (cli:root)")), names_of("dora")
    (['cli:root', 'dora'], {'dora'})
    """
    given, opening, _ = actor.rpartition(f" ({TERMINAL}")
    return {name.casefold() for name in (account_of(actor), given if opening else actor)}


def refuse_same(*, asked_by: str, asked_session: str, actor: str, session: str) -> None:
    """ActionRefused unless `actor` is a second person; a session that is not known ("") is like no other.

    On a terminal nobody logs in, and whoever is there is often in the control room, too: there one only asks.
    """
    if names_of(actor) & names_of(asked_by):
        raise ActionRefused(say("{actor} has asked for it: a second person has to decide", actor=actor))
    if account_of(actor).startswith(TERMINAL):
        raise ActionRefused(
            say(
                "{asked_by} has asked for it: a second person has to decide, in the control room",
                asked_by=asked_by,
            )
        )
    if session and session == asked_session:
        raise ActionRefused(
            say("it was asked for at this login: a second person has to decide, at a login of their own")
        )
