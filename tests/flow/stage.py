"""`python -m tests.flow.stage WHAT …`: what happens on the stage of an installation, in one process; prints JSON."""

import json
import os
import sys
from typing import Any

import django

SLUG = "gala"


def name() -> str:
    """What all names of this installation in Redis begin with."""
    from django.conf import settings

    return f"gala-{settings.INSTALLATION}"


def build(title: str, slug: str = SLUG, beacon: str = "local") -> dict[str, Any]:
    """A show with one draft."""
    from engagement.actions import announce_later
    from tests.cast import make_segment, make_show

    show = make_show(slug=slug, title=title)
    segment = make_segment(
        show, title=f"Segment of {title}", prizes=1, reserves=0, beacon=beacon, window_s=300
    )
    announce_later(show.pk)
    return {"segment": segment.pk, "show": show.pk}


def open_now(segment: str) -> None:
    """Armed, and on air for five seconds: everybody has something to report at once."""
    from engagement.models import Segment
    from tests.cast import arm, put_on_air

    put_on_air(arm(Segment.objects.get(pk=segment)), left_ms=295_000)


def open_soon(segment: str) -> None:
    """Armed and opened by an operator."""
    from engagement.actions import open_segment
    from prizes.steps.arm import arm_segment

    arm_segment(int(segment), actor="olga")
    open_segment(int(segment), actor="olga", lead_s=1)


def provoke(times: str) -> None:
    """Arms, opens, closes and calls off one segment after the other: each of it is announced to everybody."""
    from engagement.actions import close_segment, open_segment
    from engagement.models import Show
    from prizes.steps.arm import arm_segment
    from prizes.steps.void import void_segment
    from tests.cast import make_segment

    for number in range(int(times)):
        segment = make_segment(Show.objects.get(slug=SLUG), title=f"Rehearsal {number}")
        arm_segment(segment.pk, actor="rehearsal")
        open_segment(segment.pk, actor="rehearsal", lead_s=0)
        close_segment(segment.pk, actor="rehearsal")
        void_segment(segment.pk, actor="rehearsal", reason="a rehearsal")


def beat() -> None:
    """As if a gateway lived: no lamp is red."""
    from tests.cast import a_gateway_lives

    a_gateway_lives()


def agree(slug: str) -> None:
    """A second person agrees to what was asked for."""
    from prizes.approvals import decide
    from prizes.models import Approval

    decide(Approval.objects.get(show__slug=slug, approved=None).pk, approve=True, actor="dora")


def frozen(segment: str) -> dict[str, int]:
    """The frozen totals of a segment: pseudonym in hex -> total."""
    from gala.rehearsal import read_frozen
    from prizes.models import Draw

    return read_frozen(Draw.objects.select_related("segment").get(segment=int(segment)))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")
    django.setup()
    scenes = {
        scene.__name__: scene for scene in (name, build, open_now, open_soon, provoke, beat, agree, frozen)
    }
    json.dump(scenes[sys.argv[1]](*sys.argv[2:]), sys.stdout)
