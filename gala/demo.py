"""The demo show of `make show`: a countdown gala with five feeds, and three console accounts. Names are invented."""

from typing import Any

from django.db import transaction

from engagement.core.phases import Phase
from engagement.fair_play.models import FairPlay
from engagement.models import Feed, Segment, Show
from engagement.roles import ROLES
from prizes.accounts import ensure_account, give_password
from prizes.models import Beacon, Prize, PrizeList

SLUG = "countdown-gala"

# name, title, delay behind the studio in ms
FEEDS = (
    ("app", "Shopping app", 400),
    ("player", "Video app", 900),
    ("tv", "Satellite television", 1_500),
    ("tvbox", "TV box", 2_500),
    ("web", "Web video", 3_500),
)

# This machine is one address, and its mock phones are many.
MOCK_PHONES = "127.0.0.0/8 10000\n::/48 10000"

# title, Chinese title, beacon, publish at once, prizes
SEGMENTS: tuple[tuple[str, str, str, bool, tuple[dict[str, Any], ...]], ...] = (
    (
        "Red carpet",
        "红毯时刻",
        Beacon.LOCAL,
        True,
        (
            {
                "celebrity": "Lin Yao", "celebrity_zh": "林遥", "brand": "Northlight", "garment": "Silver evening coat",
                "garment_zh": "银色晚装大衣", "size": "M", "quantity": 1, "value_minor": 680_000,
            },
            {
                "celebrity": "Marco Venn", "celebrity_zh": "马可·文", "brand": "Brume", "garment": "Velvet jacket",
                "garment_zh": "丝绒外套", "size": "L", "quantity": 2, "value_minor": 420_000,
            },
        ),
    ),
    (
        "Midnight duet",
        "午夜对唱",
        Beacon.LOCAL,
        False,
        (
            {
                "celebrity": "Su Wan", "celebrity_zh": "苏晚", "brand": "Paper Crane", "garment": "Embroidered dress",
                "garment_zh": "刺绣长裙", "size": "S", "quantity": 1, "value_minor": 990_000,
            },
            {
                "celebrity": "Ada Quill", "celebrity_zh": "艾达·奎尔", "brand": "Fieldwork", "garment": "Stage boots",
                "garment_zh": "舞台短靴", "size": "38", "quantity": 3, "value_minor": 150_000,
            },
        ),
    ),
    (
        "The last minute",
        "最后一分钟",
        Beacon.DICE,
        False,
        (
            {
                "celebrity": "Jin Hao", "celebrity_zh": "金浩", "brand": "Harbour & Sons", "garment": "Bomber jacket",
                "garment_zh": "飞行夹克", "size": "XL", "quantity": 5, "value_minor": 260_000,
            },
        ),
    ),
)  # fmt: skip


def current_night(*, go_on: bool) -> Show:
    """The last demo night where it is unplayed, or where we shall `go_on` with it; else a new one."""
    last = Show.objects.filter(slug__startswith=SLUG).order_by("-pk").first()
    if last is not None and (go_on or not last.segments.exclude(phase=Phase.DRAFT).exists()):
        return last
    return create_night(SLUG if last is None else _slug_after(last))


def _slug_after(last: Show) -> str:
    """The name of the night that follows; nobody counts the old ones."""
    number = last.slug.removeprefix(SLUG).removeprefix("-")
    return (
        f"{SLUG}-{int(number) + 1 if number.isdecimal() else max(2, last.pk + 1)}" if number else f"{SLUG}-2"
    )


@transaction.atomic
def create_night(slug: str) -> Show:
    """One show with feeds, segments and prizes."""
    show = Show.objects.create(slug=slug, title="Countdown Gala", title_zh="倒计时之夜", guests_allowed=True)
    FairPlay.objects.filter(show=show).update(carriers=MOCK_PHONES)
    for position, (name, title, delay_ms) in enumerate(FEEDS):
        Feed.objects.create(show=show, name=name, title=title, delay_ms=delay_ms, position=position)
    for position, (title, title_zh, beacon, at_once, prizes) in enumerate(SEGMENTS, 1):
        segment = Segment.objects.create(
            show=show, position=position, title=title, title_zh=title_zh, publish_at_once=at_once
        )
        prize_list = PrizeList.objects.create(segment=segment, beacon=beacon)
        for place, prize in enumerate(prizes, 1):
            Prize.objects.create(prize_list=prize_list, position=place, **prize)
    return show


def create_accounts() -> dict[str, str]:
    """One account per role with a fresh random password; name -> password."""
    return {role: give_password(ensure_account(role, role)[0]) for role in ROLES}
