"""The names by which a show's winners are told: each once in a show, so that a host who says one means one person."""

from engagement.core.names import name_winners, stage_name
from prizes.models import Win


def give_names(show_id: int, wins: list[Win]) -> None:
    """Names wins that are not saved yet; inside the transaction that saves them, with the show locked.

    Whoever has had a win of the show before keeps the name.
    """
    before = Win.objects.filter(show=show_id)
    known = dict(
        before.filter(pseudonym__in=[win.pseudonym for win in wins]).values_list("pseudonym", "name")
    )
    new = [win for win in wins if win.pseudonym not in known]
    viewers = [bytes.fromhex(win.pseudonym) for win in new]
    bases = {stage_name(viewer) for viewer in viewers}
    doubled = before.filter(name__in=bases).values_list("name", flat=True).distinct()
    taken = {name: 1 + _count_others(show_id, name) for name in doubled}
    names = name_winners(viewers, taken)
    known.update(zip((win.pseudonym for win in new), names, strict=True))
    for win in wins:
        win.name = known[win.pseudonym]


def _count_others(show_id: int, name: str) -> int:
    """How many winners have this name with a number behind it."""
    others = Win.objects.filter(show=show_id, name__startswith=f"{name} (")
    return others.values("pseudonym").distinct().count()
