"""`python -m tests.browser.seed`: fills a fresh database with a show for the browser; prints the accounts as JSON."""

import json
import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gala.settings")
    django.setup()
    from engagement.actions import touch_show
    from gala.demo import create_accounts
    from tests.cast import make_segment, make_show

    show = make_show(slug="night", title="Night of Coats", title_zh="大衣之夜")
    make_segment(show, title="Red carpet", title_zh="红毯时刻", window_s=6)
    make_segment(show, title="Midnight duet", title_zh="午夜合唱", window_s=60)
    make_segment(show, title="Last minute", title_zh="最后一分钟", beacon="dice")
    touch_show(show)
    json.dump(create_accounts(), sys.stdout)


if __name__ == "__main__":
    main()
