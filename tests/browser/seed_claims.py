"""`python -m tests.browser.seed_claims`: a show whose one prize has to be claimed soon; prints its segment's id."""

import os

import django

CLAIM_S = 15


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")
    django.setup()
    from engagement.actions import touch_show
    from prizes.models import PrizeList
    from tests.cast import make_segment, make_show

    show = make_show(slug="claims", title="Night of Claims", title_zh="领奖之夜")
    segment = make_segment(show, title="Finale", window_s=6, prizes=1, reserves=1, publish_at_once=True)
    PrizeList.objects.filter(segment=segment).update(claim_s=CLAIM_S)
    touch_show(show)
    print(segment.pk)


if __name__ == "__main__":
    main()
