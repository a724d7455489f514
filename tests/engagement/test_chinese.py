"""What the crew types in Simplified Chinese, for readers in Taiwan and Hong Kong: on pages and on the wire."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation import override

from engagement.actions import describe_show
from engagement.chinese import to_traditional, written_elsewhere
from engagement.core.names import COLOURS, THINGS
from engagement.core.show_state import show_message, state_message
from engagement.languages import TAGS, localize, name_text
from gala.catalogues import LOCALES
from prizes.models import Prize
from prizes.steps.arm import describe_prize
from tests.cast import make_segment, make_show

STATIC = Path(settings.BASE_DIR) / "engagement/static/engagement"
NAMES = {
    "en": "Scarlet Eagle 47 (2)",
    "zh-hans": "绯红山鹰47号 (2)",
    "zh-hant": "緋紅山鷹47號 (2)",
    "zh-hk": "緋紅山鷹47號 (2)",
}


def test_a_text_is_written_as_its_reader_writes() -> None:
    told = {language: to_traditional("网络晚会里的软件", language) for language in TAGS}
    assert told == {
        "en": "网络晚会里的软件",
        "zh-hans": "网络晚会里的软件",
        "zh-hant": "網路晚會裡的軟體",
        "zh-hk": "網絡晚會裏的軟件",
    }
    assert to_traditional.cache_info().maxsize == 4096


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", {}),
        ("上衣", {}),
        ("银色礼服外套", {"garment_hant": "銀色禮服外套"}),
        ("网络之夜", {"garment_hant": "網路之夜", "garment_hk": "網絡之夜"}),
        ("里", {"garment_hant": "裡", "garment_hk": "裏"}),
        ("里" * 41, {"garment_hant": "裡" * 41}),
    ],
)
def test_only_what_differs_is_told(text: str, told: dict[str, str]) -> None:
    assert written_elsewhere("garment", text) == told


def test_a_page_shows_the_text_of_its_language_where_there_is_one() -> None:
    for language, text in (("en", "Night"), ("zh-hans", "红毯"), ("zh-hant", "紅毯"), ("zh-hk", "紅毯")):
        with override(language):
            assert localize("Night", "红毯") == text and localize("Night", "") == "Night"


@pytest.mark.django_db
def test_phones_are_told_of_titles_and_prizes_where_they_are_written_otherwise() -> None:
    show = make_show(slug="gala", title="Gala", title_zh="网络之夜")
    segment = make_segment(show, title="Opening", title_zh="红毯")
    plain = make_segment(show, position=2, title="Upper", title_zh="上")
    state = describe_show(show)
    told = state_message(state, None)
    assert (told.title_hant, told.title_hk) == ("網路之夜", "網絡之夜")
    assert show_message(state, "tv").title_hk == "網絡之夜"
    assert told.next is not None and told.next.title_hant == "紅毯"
    rows = {row.id: row for row in (state.segments or [])}
    assert plain.pk not in rows or rows[plain.pk].title_hant == ""
    prize = Prize.objects.filter(prize_list__segment=segment).first()
    assert prize is not None
    prize.celebrity_zh, prize.garment_zh = "林遥", "上衣"
    described = describe_prize(prize)
    assert described["celebrity_hant"] == "林遙"
    assert not described.keys() & {"celebrity_hk", "garment_hant", "garment_hk"}


@pytest.mark.parametrize("language", TAGS)
def test_a_name_is_said_in_the_language_of_the_page(language: str) -> None:
    with override(language):
        assert name_text("Scarlet Eagle 47 (2)") == NAMES[language]
        assert name_text("somebody else") == "somebody else"
        names = {name_text(f"{colour} {thing} 10") for colour in COLOURS for thing in THINGS}
    assert len(names) == len(COLOURS) * len(THINGS)


@pytest.mark.parametrize("language", TAGS)
def test_scripts_say_the_same(language: str, tmp_path: Path) -> None:
    """In Node.js, with the catalogue that the page of this language loads."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("scripts are tested in Node.js: install node (Debian: apt install nodejs)")
    learned = f'await import("{STATIC}/texts/{language}.js");' if language in LOCALES else ""
    script = tmp_path / "said.mjs"
    script.write_text(
        f'globalThis.document = {{ documentElement: {{ lang: "{TAGS[language]}" }} }};\n'
        f'const words = await import("{STATIC}/words.js");\n{learned}\n'
        'const prize = { garment: "Coat", garment_zh: "大衣外套", garment_hant: "大衣外套甲", garment_hk: "乙" };\n'
        "console.log(JSON.stringify([\n"
        '  words.nameText("Scarlet Eagle 47 (2)"), words.nameText("somebody"), words.localized(prize, "garment"),\n'
        '  words.localized({ title: "Night" }, "title"), words.sayCount("1 ticket", "{count} tickets", 81234),\n'
        '  words.sayCount("1 ticket", "{count} tickets", 1), words.say("Said {nowhere}", { nowhere: 5 }),\n'
        "]));\n"
    )
    done = subprocess.run([node, script], capture_output=True, text=True, check=True, timeout=60)
    garment = {"en": "Coat", "zh-hans": "大衣外套", "zh-hant": "大衣外套甲", "zh-hk": "乙"}[language]
    tickets = ["81,234 tickets", "1 ticket"] if language == "en" else ["81,234 票", "1 票"]
    assert json.loads(done.stdout) == [NAMES[language], "somebody", garment, "Night", *tickets, "Said 5"]
