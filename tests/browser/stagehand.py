"""`python -m tests.browser.stagehand`: sets up scenes in the night's database, whenever a test asks for one.

One process for all of them, because starting Python and Django takes a second of a processor. A line of JSON names the
scene and its arguments; a line of JSON answers.
"""

import json
import os
import sys
from itertools import count
from typing import Any

import django

CLAIM_S = 15
PASSWORD = "long enough for tests"
_numbers = count(1)


def night() -> dict[str, str]:
    """The show that most tests look at; the accounts of its crew."""
    from engagement.actions import announce_later
    from gala.demo import create_accounts
    from tests.cast import make_segment, make_show, take_many_guests

    show = take_many_guests(make_show(slug="night", title="Night of Coats", title_zh="大衣之夜"))
    make_segment(show, title="Red carpet", title_zh="红毯时刻", window_s=6)
    make_segment(show, title="Midnight duet", title_zh="午夜对唱", window_s=60)
    make_segment(show, title="Last minute", title_zh="最后一分钟", beacon="dice")
    announce_later(show.pk)
    return create_accounts()


def gala() -> dict[str, Any]:
    """A night of the demo whose second segment has two pieces and their pictures; the accounts of its crew."""
    from engagement.actions import announce_later
    from engagement.models import Show
    from engagement.pictures.keeping import keep_picture
    from gala.demo import DRAWINGS, FOLDER, create_accounts, create_night
    from prizes.models import Prize

    show = create_night("gala")
    Show.objects.filter(pk=show.pk).update(grace_ms=600)
    segment = show.segments.get(position=2)
    for prize in Prize.objects.filter(prize_list__segment=segment):
        drawing = keep_picture((FOLDER / f"{DRAWINGS[prize.garment]}.webp").read_bytes())
        Prize.objects.filter(pk=prize.pk).update(quantity=1, picture=drawing)
    announce_later(show.pk)
    return {**create_accounts(), "segment": segment.pk}


def sign(slug: str, text: str) -> str:
    """What the organiser of this show has put his name to."""
    from engagement.ledger.checkpoints import sign_text
    from engagement.models import Show

    return sign_text(Show.objects.get(slug=slug), text)


def command(*words: str) -> None:
    """One of manage.py."""
    from django.core.management import call_command

    call_command(*words, stdout=sys.stderr)


def crowded(slug: str, ways: list[str]) -> str:
    """A show whose budget for this machine is used up from the start; the code on air."""
    from engagement.actions import announce_later
    from engagement.clock import now_ms
    from engagement.fair_play.core.air_code import code_of
    from engagement.fair_play.models import FairPlay
    from engagement.vault import open_secret
    from tests.cast import make_segment, make_show

    show = make_show(slug=slug, title="Crowded")
    make_segment(show, title="Overture")
    FairPlay.objects.filter(show=show).update(passes_ipv4=0, ways=ways)
    announce_later(show.pk)
    return code_of(open_secret(show.k_show), "app", now_ms())


def hire(name: str, role: str) -> str:
    """One more of the crew, or a party; the password."""
    from prizes.accounts import ensure_account, give_password

    return give_password(ensure_account(name, role)[0])


def age_logins() -> None:
    """Everybody has logged in an hour ago."""
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session

    from engagement.clock import now_ms
    from prizes.logins import LOGGED_IN_AT

    for key in Session.objects.values_list("session_key", flat=True):
        session = SessionStore(key)
        session[LOGGED_IN_AT] = now_ms() - 3_600_000
        session.save()


def claims() -> int:
    """A show whose one prize has to be claimed soon; its segment."""
    from engagement.actions import announce_later
    from prizes.models import PrizeList
    from tests.cast import make_segment, make_show

    show = make_show(slug="claims", title="Night of Claims", title_zh="领奖之夜")
    segment = make_segment(show, title="Finale", window_s=6, prizes=1, reserves=1, publish_at_once=True)
    PrizeList.objects.filter(segment=segment).update(claim_s=CLAIM_S)
    announce_later(show.pk)
    return int(segment.pk)


def witnessed(slug: str) -> str:
    """A show in which something was done; the public key of its ledger."""
    from engagement.ledger.append import append_entry
    from engagement.ledger.checkpoints import keys_of
    from engagement.ledger.core.checkpoints import format_vkey
    from tests.cast import make_segment, make_show

    show = make_show(slug=slug, title="Room")
    make_segment(show, title="Overture")
    for _ in range(3):
        append_entry(show, "test")
    return format_vkey(keys_of(show)[0])


def witness(slug: str, key: str, url: str) -> None:
    """Somebody who witnesses a show."""
    from engagement.models import Show
    from prizes.models import Quorum, Witness

    show = Show.objects.get(slug=slug)
    Witness.objects.create(show=show, key=key, url=url)
    Quorum.objects.get_or_create(show=show, defaults={"needed": 2, "unwitnessed": "wait"})


def room(slug: str) -> list[int]:
    """A show with two segments for a control room."""
    from tests.cast import make_segment, make_show

    show = make_show(slug=slug, title="Room")
    return [make_segment(show, title=title).pk for title in ("Overture", "Finale")]


def rename(segment: int, title: str) -> None:
    from engagement.models import Segment

    Segment.objects.filter(pk=segment).update(title=title)


def delete(segment: int) -> None:
    from engagement.models import Segment

    Segment.objects.filter(pk=segment).delete()


def vigil() -> int:
    """A show with a notary, who is called nora; its segment."""
    from engagement.actions import announce_later
    from prizes.models import Party
    from tests.cast import make_segment, make_show

    show = make_show(slug="vigil", title="Vigil")
    Party.objects.create(show=show, name="notary", title="Notary Nora", user=person("nora"))
    segment = make_segment(show, title="Overture", window_s=2)
    announce_later(show.pk)
    return int(segment.pk)


def aviary() -> dict[str, Any]:
    """A show with an armed segment, and a notary called carla who has canaries; the segment and its play."""
    from engagement.actions import announce_later
    from prizes.models import Party
    from tests.cast import arm, make_segment, make_show

    show = make_show(slug="aviary", title="Aviary")
    segment = arm(make_segment(show, title="Overture", publish_at_once=True))
    Party.objects.create(show=show, name="notary", title="Notary Carla", user=person("carla"))
    announce_later(show.pk)
    return {"segment": segment.pk, "play": segment.key}


def air(segment: int, totals: dict[str, int]) -> None:
    """The window is over, and so much was counted of each viewer; the conductor does the rest."""
    from engagement.models import Segment
    from tests.prizes.pipeline import ended

    ended(Segment.objects.get(pk=segment), {bytes.fromhex(viewer): total for viewer, total in totals.items()})


def told(slug: str, action: str) -> list[dict[str, Any]]:
    """The details of a ledger's entries of this kind."""
    from engagement.models import LedgerEntry

    entries = LedgerEntry.objects.filter(show__slug=slug, action=action).order_by("position")
    return [json.loads(entry.details) for entry in entries]


def watch() -> None:
    """A show with a party that has nothing to do, called wanda."""
    from prizes.models import Party
    from tests.cast import make_show

    show = make_show(slug="watch")
    Party.objects.create(show=show, name="watch", title="Watch", user=person("wanda"))


def person(name: str) -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_user(name, password=PASSWORD)


def evening() -> dict[str, Any]:
    """A show with an armed segment that publishes by itself."""
    from engagement.actions import announce_later
    from tests.cast import armed_segment, make_show

    slug = f"evening-{next(_numbers)}"
    show = make_show(slug=slug)
    segment = armed_segment(show, window_s=5, publish_at_once=True)
    announce_later(show.pk)
    return {"show": slug, "segment": segment.pk, "draw": segment.draws.get().pk}


def draw(step: str) -> dict[str, Any]:
    """A draw at that step, and its viewers."""
    from tests.cast import make_show
    from tests.prizes.published import make_draw, sign_pass

    slug = f"{step}-{next(_numbers)}"
    stored = make_draw(step, show=make_show(slug=slug), prior_rank=2)
    viewers = [
        {
            "uid": str(viewer.uid),
            "salt": viewer.salt.hex(),
            "viewer": viewer.pseudonym.hex(),
            "tickets": viewer.tickets,
            "pass": sign_pass(slug, viewer.uid),
        }
        for viewer in stored.viewers
    ]
    made = stored.draw
    told = {"draw": made.pk, "segment": made.segment_id, "epoch": made.show.epoch, "seal": made.seal}
    return {**told, "show": slug, "viewers": viewers}


def certified(step: str, beacon: str, witnesses: int) -> dict[str, Any]:
    """A real draw of a show with two named witnesses, of whom so many sign the seal at once."""
    from engagement.clock import now_ms
    from engagement.ledger.core.cosignatures import WitnessKey, format_witness_key
    from prizes import tasks
    from prizes.models import Cosignature, Quorum, Stamp, Stamper, Witness, known
    from prizes.steps import freeze
    from prizes.steps.beacon import enter_dice
    from prizes.steps.draw import run_draw
    from prizes.steps.publish import publish_segment
    from tests.cast import armed_segment, make_show
    from tests.prizes.pipeline import ended
    from tests.prizes.tsa import Maker, authority, key_of, make_certificate, pem

    slug = f"certified-{next(_numbers)}"
    show = make_show(slug=slug, title="Night of Coats", title_zh="大衣之夜")
    names = ("notary.example/gala", "paper.example/witness")
    for number, name in enumerate(names):
        key = format_witness_key(WitnessKey(name, bytes([number + 1]) * 32))
        Witness.objects.create(show=show, key=key, url="http://127.0.0.1:1")
    Quorum.objects.create(show=show, needed=2, unwitnessed="go on")
    root = Maker("root", key_of("p256"))
    certificate = pem(make_certificate(root, root, authority()))
    Stamper.objects.create(
        show=show, name="TSA of the example", url="http://127.0.0.1:1", certificate=certificate
    )
    segment = armed_segment(show, title="Red carpet", title_zh="红毯时刻", beacon=beacon)
    if step != "armed":
        ended(segment)
        tasks.advance_seal(segment.pk, lambda number: freeze.freeze_shard(segment.pk, number))
    draw = segment.draws.get()
    for name in names[:witnesses]:
        size, at = known(draw.sealed_ledger) + 1, now_ms()
        Cosignature.objects.create(show=show, size=size, witness=name, line=f"— {name} AAAA\n", at_ms=at)
    if witnesses:
        row = {"certificate": "AAAA", "token": "AAAA", "at_ms": known(draw.sealed_at_ms)}
        Stamp.objects.create(draw=draw, stamper="TSA of the example", **row)
    if step in ("drawn", "published"):
        for operator in ("olga", "oscar") if beacon == "dice" else ():
            enter_dice(segment.pk, "3141526535456323" * 3 + "12", actor=operator, now=now_ms() + 1000)
        run_draw(draw.pk)
    if step == "published":
        publish_segment(segment.pk, actor="olga")
    draw.refresh_from_db()
    return {"draw": draw.pk, "seal": draw.seal, "show": slug}


def called_off(slug: str, words: str, reason: str) -> None:
    """Two more segments of a show, in `words`: one of two prize lists that is called off, and one that is spoiled."""
    from engagement.models import Show
    from prizes.models import Prize, PrizeList
    from prizes.steps.void import void_segment
    from tests.cast import add_prize, arm, make_segment
    from tests.prizes.shows import spoil

    show = Show.objects.get(slug=slug)
    named: dict[str, Any] = {"celebrity": words, "garment": words}
    void, spoiled = (make_segment(show, title=words, prizes=1, beacon="local") for _ in range(2))
    add_prize(PrizeList.objects.create(segment=void, number=2), 1, **named)
    Prize.objects.filter(prize_list__segment=spoiled).update(**named)
    void_segment(arm(void).pk, actor="dirk", reason=reason)
    spoil(arm(spoiled))


SCENES = (
    age_logins,
    hire,
    night,
    gala,
    sign,
    command,
    claims,
    crowded,
    room,
    witnessed,
    witness,
    rename,
    delete,
    vigil,
    aviary,
    air,
    told,
    watch,
    evening,
    draw,
    certified,
    called_off,
)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")
    django.setup()
    scenes = {scene.__name__: scene for scene in SCENES}
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(scenes[name](*arguments)), flush=True)


if __name__ == "__main__":
    main()
