"""A published draw with people who can show that they have won."""

from collections.abc import Callable
from typing import Any, NamedTuple

from engagement.clock import from_ms, now_ms
from engagement.core.digests import derive_pseudonym, derive_salt
from engagement.models import Show
from engagement.passes import issue_pass
from engagement.vault import open_secret
from prizes.models import Disposition, Draw, PrizeList
from prizes.publication import record_of
from prizes.steps.claims import find_due, settle_draw
from prizes.steps.publish import publish_segment
from tests.cast import OPERATOR, arm, make_segment
from tests.prizes.pipeline import ended, run_all

CLAIM_S = 3_600  # longer than any run of the tests: a night may have been played at its start


class Person(NamedTuple):
    """A viewer with all that their phone keeps."""

    pseudonym: str
    token: str
    salt: str

    @property
    def proof(self) -> dict[str, str]:
        return {"pass": self.token, "salt": self.salt}


def make_people(show: Show, count: int) -> dict[str, Person]:
    """By pseudonym."""
    people = (person_of(show, uid) for uid in range(1, count + 1))
    return {person.pseudonym: person for person in people}


def person_of(show: Show, uid: int, **lifetime: Any) -> Person:
    salt = derive_salt(open_secret(show.k_show), show.slug, uid)
    pseudonym = derive_pseudonym(show.slug, uid, salt).hex()
    return Person(pseudonym, issue_pass(show.slug, uid, **lifetime), salt.hex())


def drawn_draw(show: Show, people: dict[str, Person], *, claim_s: int = CLAIM_S, **fields: Any) -> Draw:
    """Everybody has shaken ten times; nobody is told yet."""
    # As if an hour had passed since the last draw: their pace is another matter.
    Draw.objects.filter(show=show).update(started_at=from_ms(now_ms() - 3_600_000))
    segment = make_segment(show, **fields)
    PrizeList.objects.filter(segment=segment).update(claim_s=claim_s)
    return run_all(ended(arm(segment), {bytes.fromhex(viewer): 10 for viewer in people}))


def published_draw(
    show: Show,
    people: dict[str, Person],
    *,
    now: int | None = None,
    before_publication: Callable[[Draw], object] = lambda draw: None,
    **fields: Any,
) -> Draw:
    draw = drawn_draw(show, people, **fields)
    before_publication(draw)
    publish_segment(draw.segment_id, actor=OPERATOR, now=now)
    return Draw.objects.select_related("show", "segment").get(pk=draw.pk)


def settle_due(now: int) -> list[Disposition]:
    """Everything that is due, as the workers settle it."""
    return [row for pk in find_due(now) for row in settle_draw(pk, now=now)]


def reserves_of(draw: Draw) -> list[str]:
    return [row["pseudonym"] for row in record_of(draw).value["reserves"]]


def winners_of(draw: Draw) -> list[str]:
    """Everybody who has won in it, in the order of the ranking, whatever became of it."""
    return list(draw.wins.order_by("rank").values_list("pseudonym", flat=True))


def told(draw: Draw) -> list[dict[str, Any]]:
    """The winners as phones and the stage are told now."""
    draw.segment.refresh_from_db()
    return next(row["winners"] for row in draw.segment.announced_results if row["draw"] == draw.pk)
