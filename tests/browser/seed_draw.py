"""`python -m tests.browser.seed_draw STEP`: a draw at that step in the night's database, and its viewers, as JSON.

STEP "evening": instead of a draw, a show of its own with an armed segment that publishes by itself.
"""

import json
import os
import sys
from typing import Any

import django


def main(step: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")
    django.setup()
    slug = f"seeded-{step}-{os.getpid()}"
    json.dump(evening(slug) if step == "evening" else stored_draw(slug, step), sys.stdout)


def evening(slug: str) -> dict[str, Any]:
    from engagement.actions import touch_show
    from tests.cast import armed_segment, make_show

    show = make_show(slug=slug)
    segment = armed_segment(show, window_s=5, publish_at_once=True)
    touch_show(show)
    return {"show": slug, "segment": segment.pk, "draw": segment.draws.get().pk}


def stored_draw(slug: str, step: str) -> dict[str, Any]:
    from tests.cast import make_show
    from tests.prizes.published import make_draw, sign_pass

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
    draw = stored.draw
    told = {"draw": draw.pk, "segment": draw.segment_id, "epoch": draw.show.epoch, "seal": draw.seal}
    return {**told, "show": slug, "viewers": viewers}


if __name__ == "__main__":
    main(sys.argv[1])
