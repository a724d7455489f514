"""`python -m tests.browser.seed_draw STEP`: a draw at that step in the night's database, and its viewers, as JSON."""

import json
import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")
    django.setup()
    from tests.cast import make_show
    from tests.prizes.published import make_draw, sign_pass

    show = make_show(slug=f"seeded-{sys.argv[1]}-{os.getpid()}")
    stored = make_draw(sys.argv[1], show=show, prior_rank=2)
    viewers = [
        {
            "uid": str(viewer.uid),
            "salt": viewer.salt.hex(),
            "viewer": viewer.pseudonym.hex(),
            "tickets": viewer.tickets,
            "pass": sign_pass(show.slug, viewer.uid),
        }
        for viewer in stored.viewers
    ]
    known = {"draw": stored.draw.pk, "segment": stored.draw.segment_id, "show": show.slug, "viewers": viewers}
    json.dump({**known, "seal": stored.draw.seal}, sys.stdout)


if __name__ == "__main__":
    main()
