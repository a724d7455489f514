"""The keys of shows, from which salts and pseudonyms are made: opened to an auditor, encrypted anew, destroyed.

Once its key is destroyed, nobody can tell any more who stands behind the pseudonyms of a show: not with all ids of the
host app, and not with a backup whose STORAGE_KEYS are gone, too.
"""

from django.db import transaction

from engagement.actions import ActionRefused, announce_later
from engagement.core.phases import UNDER_WAY
from engagement.languages import mark, say
from engagement.ledger.append import append_entry
from engagement.models import Show
from engagement.phrases import phase_text
from engagement.vault import lock_secret, open_secret

DESTROYED = ""  # in the place of a key


def lock_idle_show(show_id: int, *, why: str) -> Show:
    """The show, locked until the transaction ends; ActionRefused while anything of it is under way."""
    show = Show.objects.select_for_update().get(pk=show_id)
    going = show.segments.filter(phase__in=UNDER_WAY).order_by("position").first()
    if going is not None:
        raise ActionRefused(
            say(
                "{going} is {phase}: the key of {show} is {why} once nothing is under way",
                going=going,
                phase=phase_text(going.phase),
                show=show,
                why=say(why),
            )
        )
    if show.k_show == DESTROYED:
        raise ActionRefused(say("the key of {show} was destroyed", show=show))
    return show


@transaction.atomic
def open_show_key(show_id: int, *, actor: str, reason: str, now: int | None = None) -> bytes:
    """The show's key, for an auditor who holds the rolls to the people behind them; the ledger tells of it.

    Whoever has it and the ids of the host app knows who stands behind each pseudonym: nothing may be under way.
    """
    if not reason.strip():
        raise ActionRefused(say("to open the key needs a reason"))
    show = lock_idle_show(show_id, why=mark("opened"))
    append_entry(show, "open key", actor=actor, reason=reason.strip(), now=now)
    return open_secret(show.k_show)


@transaction.atomic
def reencrypt_show_key(show_id: int) -> None:
    """Encrypts it with the first of STORAGE_KEYS; VaultError where no key of the list opens it.

    It may run any number of times, also while the show is on air.
    """
    show = Show.objects.select_for_update().get(pk=show_id)
    if show.k_show != DESTROYED:
        Show.objects.filter(pk=show_id).update(k_show=lock_secret(open_secret(show.k_show)))
        announce_later(show_id, at_once=False)  # gateways read it out of the state


def erase_show_key(show: Show) -> None:
    """Nothing of the key stays in the row of a locked show; gateways forget theirs with the next state."""
    Show.objects.filter(pk=show.pk).update(k_show=DESTROYED)
    announce_later(show.pk)
