"""The demo show of `make show`: a countdown gala with five feeds, and three console accounts. Names are invented."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from engagement.core.phases import Phase
from engagement.fair_play.models import FairPlay
from engagement.models import Feed, Segment, Show
from engagement.pictures.decoding import Busy
from engagement.pictures.keeping import keep_picture
from engagement.pictures.models import Picture
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

# Made by `make drawings` from the sources beside them.
FOLDER = Path(__file__).parent / "drawings"
DRAWINGS = {
    "Silver evening coat": "coat",
    "Velvet jacket": "jacket",
    "Embroidered dress": "dress",
    "Stage boots": "boots",
    "Bomber jacket": "bomber",
}
CLOCK = ("A clock just before midnight, between curtains", "幕布之间的时钟，即将指向午夜")

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


def add_pictures(show: Show) -> None:
    """Our own drawings, for what has none: those of an earlier night, or made anew, a second each.

    Where this machine has no time for that, the night has no pictures; it is whole without.
    """
    nights = Show.objects.filter(slug__startswith=SLUG)
    prizes = Prize.objects.filter(prize_list__segment__show__in=nights)
    with suppress(Busy):
        if show.picture is None:
            show.picture = _earlier(nights, "picture") or _drawn("show")
            show.standby_picture = _earlier(nights, "standby_picture") or _drawn("standby")
            show.picture_alt, show.picture_alt_zh = CLOCK
            show.save(update_fields=["picture", "standby_picture", "picture_alt", "picture_alt_zh"])
        bare = prizes.filter(picture=None, garment__in=DRAWINGS, prize_list__segment__phase=Phase.DRAFT)
        for prize in bare.filter(prize_list__segment__show=show):
            same = prizes.filter(garment=prize.garment)
            picture = _earlier(same, "picture") or _drawn(DRAWINGS[prize.garment])
            Prize.objects.filter(pk=prize.pk).update(picture=picture)


def _earlier(rows: QuerySet[Any], field: str) -> Picture | None:
    """That of the newest row that has one."""
    row = rows.exclude(**{field: None}).select_related(field).order_by("-pk").first()
    return None if row is None else getattr(row, field)


def _drawn(name: str) -> Picture:
    return keep_picture((FOLDER / f"{name}.webp").read_bytes())


def create_accounts() -> dict[str, str]:
    """One account per role with a fresh random password; name -> password."""
    return {role: give_password(ensure_account(role, role)[0]) for role in ROLES}
