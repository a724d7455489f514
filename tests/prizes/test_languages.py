"""Every page for viewers, and the way in for the crew, in each language: nothing English is left there."""

import re
from functools import cache
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.utils.html import escape
from django.utils.translation import get_language, override

from engagement.actions import ActionRefused
from engagement.languages import TAGS, say
from engagement.models import LedgerEntry, Segment, Show
from gala.catalogues import key_of
from prizes.lamps import tell_lamp
from prizes.models import Approval, Draw, Party
from prizes.steps.publish import publish_segment
from tests.cast import make_segment
from tests.catalogues import texts_of
from tests.prizes.published import make_draw
from tests.prizes.published import own_folder as own_folder

pytestmark = pytest.mark.django_db(transaction=True)

# Page -> what it says in each language, in the order of TAGS.
PAGES = {
    "/play/{show}/": ("You have won!", "恭喜您中奖！", "恭喜您中獎了！", "恭喜你中獎！"),
    "/stage/{show}/": ("Scan to join", "扫码参与", "掃碼參加", "掃碼參加"),
    "/draws/": ("Published draws", "已公布的抽奖", "已公布的抽獎", "已公布的抽獎"),
    "/shows/{show}/draws/": (
        "All that was promised",
        "本场晚会承诺过的一切",
        "本場晚會承諾過的一切",
        "本場晚會承諾過的一切",
    ),
    "/draws/{draw}/": ("How do we know?", "我们怎么知道？", "我們怎麼知道？", "我們怎麼知道？"),
    "/draws/{draw}/claim/": ("Your prize", "您的奖品", "您的獎品", "你的獎品"),
    "/draws/{draw}/certificate/": (
        "Certificate of a draw",
        "抽奖证书",
        "抽獎證明書",
        "抽獎證書",
    ),
    "/stub/": ("Make the sheet", "生成凭单", "產生憑單", "產生憑單"),
    "/login/": ("Password", "密码", "密碼", "密碼"),
    "/play/nothing/": ("There is nothing here", "这里没有内容", "這裡沒有內容", "這裡沒有內容"),
}
CHINESE = re.compile("[\u3400-\u9fff]")
# English in every language: names of programs, what is typed, and rules as they are promised.
DATA = re.compile(r"<(?:pre|code|title|noscript)\b.*?</(?:pre|code|title|noscript)>|<!--.*?-->", re.DOTALL)


@pytest.fixture
def draw() -> Draw:
    return make_draw().draw


@cache
def english_texts() -> list[str]:
    """What a page in another language must not say; sources are read once."""
    return [escape(text) for text in map(key_of, texts_of("django")) if "%" not in text and len(text) > 4]


def address(path: str, draw: Draw) -> str:
    return path.format(show=draw.show.slug, draw=draw.pk)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_wholly_in_its_language_and_says_what_that_depends_on(path: str, draw: Draw) -> None:
    english = english_texts()
    for (language, tag), said in zip(TAGS.items(), PAGES[path], strict=True):
        answer = Client().get(address(path, draw), headers={"Accept-Language": tag})
        page = " ".join(answer.text.split())
        assert f'<html lang="{tag}"' in page and said in page, language
        assert {"Accept-Language", "Cookie"} <= set(answer["Vary"].split(", "))
        if language != "en":
            left = [text for text in english if f">{text}<" in DATA.sub("", page)]
            assert left == [], language
        asked = Client().get(f"{address(path, draw)}?lang={language}", headers={"Accept-Language": "en"})
        assert f'<html lang="{tag}"' in asked.text and "Accept-Language" not in asked.get("Vary", "")


# The pages of the crew and of parties -> what each says in Simplified and in Hong Kong's Chinese.
CREW_PAGES = {
    "/console/": ("节目场次", "節目場次"),
    "/console/{show}/": ("全部公布", "全部公布"),
    "/console/{show}/claims/": ("候补队列", "候補隊列"),
    "/console/{show}/fair-play/": ("尚无统计。", "尚無統計。"),
    "/console/{show}/ledger/": ("最新检查点", "最新檢查點"),
    "/console/{show}/codes/": ("播出口令", "播出口令"),
    "/console/{show}/pictures/": ("备用画面", "備用畫面"),
    "/crew/": ("谁已登录", "誰已登入"),
    "/account/": ("第二重验证", "第二重驗證"),
    "/account/app/": ("验证器应用", "驗證器應用程式"),
    "/account/passkey/": ("通行密钥", "通行密鑰"),
    "/account/password/": ("再输入一次", "再輸入一次"),
    "/parties/": ("您的密值", "你的密值"),
}


@pytest.mark.parametrize("path", CREW_PAGES)
def test_a_page_of_the_crew_is_wholly_in_its_language(path: str, draw: Draw) -> None:
    dora = User.objects.create_superuser("dora", password="long enough a word")
    Party.objects.create(show=draw.show, name="notary", title="Notary", user=dora)
    client = Client()
    client.force_login(dora)
    english = english_texts()
    for language, said in zip(("zh-hans", "zh-hk"), CREW_PAGES[path], strict=True):
        answer = client.get(address(path, draw), headers={"Accept-Language": TAGS[language]})
        page = " ".join(answer.text.split())
        assert f'<html lang="{TAGS[language]}"' in page and said in page, language
        assert {"Accept-Language", "Cookie"} <= set(answer["Vary"].split(", "))
        assert [text for text in english if f">{text}<" in DATA.sub("", page)] == [], language


def test_a_button_answers_in_the_language_of_whoever_has_pressed_it(draw: Draw) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("dora", password="long enough a word"))
    button = f"/console/{draw.show.slug}/segments/{draw.segment_id}/arm/"
    for language, said in (
        ("zh-Hans", "已是“已公布”"),
        ("zh-TW", "已是「已公布」"),
        ("en", "is published"),
    ):
        headers = {"Accept": "application/json", "Accept-Language": language}
        answer = client.post(button, {"lead": "5"}, headers=headers)
        assert answer.status_code == 409 and said in answer.json()["message"]


def test_what_is_kept_of_a_red_lamp_is_told_to_each_in_their_own_language() -> None:
    with override("zh-hans"):
        kept = "Gateway one has not written for 5.3 s."
        assert tell_lamp(kept) == "网关 one 已有 5.3 秒未写入。"
        assert tell_lamp("somebody has typed this") == "somebody has typed this"


def test_each_page_offers_the_other_languages_in_their_own_words(draw: Draw) -> None:
    for path in PAGES:
        if path not in ("/stage/{show}/", "/play/nothing/"):  # nobody stands at the big screen
            page = Client().get(address(path, draw), headers={"Accept-Language": "zh-HK"}).text
            links = re.findall(r'lang=([a-z-]+)" lang="([A-Za-z-]+)" hreflang', page)
            assert links == [(code, tag) for code, tag in TAGS.items() if code != "zh-hk"], path


def test_who_mistypes_a_password_reads_so_in_the_language_of_the_page() -> None:
    User.objects.create_user("olga", password="long enough a word")
    form = {"username": "olga", "password": "wrong"}
    for tag, words in (
        ("zh-Hant-TW", "兩者都有大小寫之分"),
        ("zh-Hans", "两者都区分大小写"),
        ("en", "Capital letters"),
    ):
        assert words in Client().post("/login/", form, headers={"Accept-Language": tag}).text


NASTY = "<script>{0.__class__}</script>{segment}"


def test_a_title_with_braces_and_tags_is_said_as_it_is_and_escaped_on_pages(draw: Draw) -> None:
    Segment.objects.filter(pk=draw.segment_id).update(title=NASTY)
    client = Client()
    client.force_login(User.objects.create_superuser("dora", password="long enough a word"))
    button = f"/console/{draw.show.slug}/segments/{draw.segment_id}/arm/"
    for tag in TAGS.values():
        headers = {"Accept-Language": tag}
        told = client.post(button, {"lead": "5"}, headers={**headers, "Accept": "application/json"}).json()
        assert NASTY in told["message"]
        page = client.post(button, {"lead": "5"}, headers=headers, follow=True).text
        assert escape(NASTY) in page and NASTY not in page and "&amp;lt;script" not in page


# --- after a request, the thread speaks English again ---


def speak() -> str:
    return say("Redis does not answer. What was acknowledged is kept; please wait.")


def test_what_comes_after_a_request_in_the_same_thread_is_english(draw: Draw) -> None:
    """Django keeps a thread; a ledger entry, a lamp or the text of a task may be the next thing that it writes."""
    client = Client()
    client.force_login(User.objects.create_superuser("dora", password="long enough a word"))
    english = speak()
    button = f"/console/{draw.show.slug}/segments/{draw.segment_id}/arm/"
    asked: list[Any] = [
        lambda: client.get("/account/"),
        lambda: client.get("/nothing/at/all/"),
        lambda: client.post(button, {"lead": "5"}),
        lambda: client.get(f"/console/{draw.show.slug}/ledger/"),
        lambda: client.get("/draws/?lang=zh-hant"),
    ]
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-Hant-TW"
    for ask in asked:
        ask()
        assert (get_language(), speak()) == ("en", english)
        with pytest.raises(ActionRefused, match="is published already"):
            publish_segment(draw.segment_id, actor="system")


def test_what_is_written_down_in_a_request_is_english_whatever_its_language(show: Show) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("dora", password="long enough a word"))
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-Hant-TW"
    segment = make_segment(show)
    for name, sent in (("arm", {}), ("void", {"reason": "rain"})):
        told = client.post(
            f"/console/{show.slug}/segments/{segment.pk}/{name}/",
            sent,
            headers={"Accept": "application/json"},
        ).json()
        assert CHINESE.search(told["message"])
    rows = LedgerEntry.objects.filter(show=show)
    assert {"arm", "ask approval"} <= {row.action for row in rows}
    assert [row for row in rows if CHINESE.search(f"{row.action}{row.actor}{row.reason}{row.details}")] == []
    assert [
        row for row in Approval.objects.all() if CHINESE.search(f"{row.reason}{row.what}{row.action}")
    ] == []


async def test_a_view_that_waits_leaves_its_language_behind_too() -> None:
    english = speak()
    await AsyncClient().get("/play/nothing/", headers={"Accept-Language": "zh-Hant-TW"})
    assert speak() == english and await sync_to_async(speak)() == english
