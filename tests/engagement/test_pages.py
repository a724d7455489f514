"""The phone page, the stage page, their QR codes and the ledger, as a browser gets them."""

import re

import pytest
import segno
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils.html import escape

from engagement.clock import now_ms
from engagement.fair_play.core.air_code import is_on_air
from engagement.fair_play.models import FairPlay
from engagement.ledger.append import append_entry
from engagement.ledger.checkpoints import keys_of
from engagement.ledger.core.checkpoints import format_vkey
from engagement.models import Show
from engagement.roles import AUDITOR, OPERATOR
from engagement.vault import open_secret
from prizes.steps.void import void_segment
from tests.cast import make_segment, make_show
from tests.guards import tamper
from tests.pages import page_of

pytestmark = pytest.mark.django_db

SEAL = "5a" * 32


@pytest.fixture
def show() -> Show:
    return make_show(slug="gala", title="Gala <b>", title_zh="晚会")


def crew(client: Client, role: str | None) -> Client:
    """The browser of somebody who has logged in; without a role, of an intruder with an account."""
    user = User.objects.create(username=role or "mallory", is_staff=role is not None)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return client


# --- languages ---


@pytest.mark.parametrize(
    ("query", "header", "language"),
    [
        ("", "", "en"),
        ("", "de-DE,de;q=0.9", "en"),
        ("", "de,zh-CN;q=0.8,en;q=0.7", "zh-Hans"),
        ("?lang=zh", "en-GB", "zh-Hans"),
        ("?lang=zh-HK", "en-GB", "zh-Hant-HK"),
        ("?lang=zh-hant", "en-GB", "zh-Hant-TW"),
        ("?lang=en", "zh-TW", "en"),
        ("?lang=xx", "zh", "zh-Hans"),
        ("", "en;q=0.1, zh;q=0.9", "zh-Hans"),
        ("", "zh;q=0, en", "en"),
        ("", "zh;q=0, de", "en"),
        ("", "zh;q=0", "en"),
        ("", "zh-Hant-TW, en", "zh-Hant-TW"),
        ("", "en, zh", "en"),
        ("", "zh, en", "zh-Hans"),
        ("", "de, *;q=0.5, en;q=0.1", "zh-Hans"),
        ("", "de, *;q=0.5", "en"),
        ("", "enm, zhx", "en"),  # Middle English is not English
        ("", "zh;q=2, zh;;;", "en"),
        ("", ", zh;q=0.9,, en;q=0.8,", "zh-Hans"),  # RFC 9110 lets elements be empty
        ("", "zh_CN;q=1, x y, zh;Q=.5, en;q=0.4", "zh-Hans"),  # what cannot be read takes nothing with it
        ("", "de, en;q=0", "en"),
        ("", "zh-" * 10_000, "zh-Hans"),
        ("", "zh-TW,zh;q=0.9,en;q=0.8", "zh-Hant-TW"),
        ("", "zh-HK,zh-TW;q=0.9", "zh-Hant-HK"),
        ("", "zh-MO, zh-HK;q=0.9", "zh-Hant-TW"),
        ("", "zh-Hant-HK", "zh-Hant-HK"),
        ("", "zh-Hans-HK", "zh-Hans"),  # written in Simplified, wherever that is
        ("", "zh-SG, en", "zh-Hans"),
        ("", "yue-Hant-HK, en", "zh-Hant-HK"),
        ("", "zh-TW;q=0.3, zh-CN;q=0.4, en;q=0.2", "zh-Hans"),
        ("", "zh-TW;q=0, zh", "zh-Hans"),
        ("", "zh;q=0, zh-TW", "zh-Hant-TW"),  # the more exact one counts
        ("", "*;q=0.9, en;q=0.1, zh;q=0", "en"),  # no Chinese is no Chinese
        ("", "*;q=0.9, en;q=0.1, zh-CN;q=0", "zh-Hant-TW"),
    ],
)
def test_a_page_speaks_the_language_asked_for_or_preferred(
    show: Show, query: str, header: str, language: str
) -> None:
    for page in ("play", "stage"):
        answer = Client().get(f"/{page}/gala/{query}", headers={"Accept-Language": header})
        assert f'<html lang="{language}">' in answer.text
        assert ("Accept-Language" in answer.get("Vary", "")) == (query in ("", "?lang=xx"))
        title = {"en": "Gala &lt;b&gt;", "zh-Hans": "晚会"}.get(language, "晚會")
        assert f"<title>{title}</title>" in answer.text


def test_a_show_without_a_chinese_title_shows_the_one_it_has(client: Client) -> None:
    make_show(slug="plain", title="Plain")
    assert "<title>Plain</title>" in client.get("/play/plain/?lang=zh").text


def test_traditional_readers_get_what_was_typed_in_simplified_chinese_as_they_write_it() -> None:
    show = make_show(slug="plain", title="Gala", title_zh="网络晚会里的软件")
    for lang, title in (
        ("zh-hans", show.title_zh),
        ("zh-hant", "網路晚會裡的軟體"),
        ("zh-hk", "網絡晚會裏的軟件"),
    ):
        assert f"<title>{title}</title>" in Client().get(f"/play/plain/?lang={lang}").text
    assert "<title>Gala</title>" in Client().get("/play/plain/?lang=en").text


def test_the_language_switch_keeps_the_feed(client: Client, show: Show) -> None:
    answer = client.get("/play/gala/?feed=tv&lang=zh")
    assert 'data-feed="tv"' in answer.text
    assert 'href="?feed=tv&amp;lang=en"' in answer.text and 'href="?feed=tv&amp;lang=zh-hk"' in answer.text
    assert "lang=zh-hans" not in answer.text.partition("</details>")[0]


def test_a_language_that_was_asked_for_is_kept_by_the_browser_for_all_pages(
    client: Client, show: Show
) -> None:
    answer = client.get("/play/gala/?lang=zh-TW", headers={"Accept-Language": "en"})
    (cookie,) = answer.cookies.values()
    assert (cookie.key, cookie.value) == (settings.LANGUAGE_COOKIE_NAME, "zh-hant")
    assert (cookie["samesite"], cookie["httponly"], cookie["path"]) == ("Lax", True, "/")
    for path, status in (("/stage/gala/", 200), ("/draws/", 200), ("/play/nowhere/", 404)):
        answer = client.get(path, headers={"Accept-Language": "en"})
        assert answer.status_code == status and '<html lang="zh-Hant-TW"' in answer.text
        assert {"Accept-Language", "Cookie"} <= set(answer["Vary"].split(", "))
        assert not answer.cookies
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "<x>"
    assert '<html lang="en">' in client.get("/play/gala/").text


def test_a_feed_speaks_to_who_prefers_none_of_our_languages(client: Client, show: Show) -> None:
    show.feeds.filter(name="tv").update(language="zh-hk")
    for page in ("play", "stage"):
        for query, header, language in (
            ("?feed=tv", "de", "zh-Hant-HK"),
            ("?feed=tv", "", "zh-Hant-HK"),
            ("?feed=tv", "de, *", "zh-Hant-HK"),
            ("?feed=tv", "de, en;q=0.1", "en"),
            ("?feed=app", "de", "en"),
            ("?feed=none", "", "en"),
            ("?feed=tv&lang=en", "de", "en"),
        ):
            answer = Client().get(f"/{page}/gala/{query}", headers={"Accept-Language": header})
            assert f'<html lang="{language}">' in answer.text, (page, query, header)


def test_what_is_no_page_varies_by_no_language(client: Client, show: Show) -> None:
    for path in ("/stage/gala/join.svg", "/verify_draw.py", "/api/shows/gala/draws", "/"):
        answer = client.get(path + "?lang=zh")
        assert "Accept-Language" not in answer.get("Vary", "") and not answer.cookies, path
        assert "Accept-Language" not in client.get(path).get("Vary", ""), path


def test_what_stands_in_the_address_is_escaped(client: Client, show: Show) -> None:
    answer = client.get("/play/gala/", {"feed": '"><script>alert(1)</script>'})
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("path", ["/play/gala/", "/stage/gala/", "/console/gala/ledger/"])
def test_no_page_has_inline_scripts_or_styles_or_foreign_addresses(
    client: Client, show: Show, path: str
) -> None:
    page = crew(client, AUDITOR).get(path).text
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", page) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert all(source.startswith("/") for source in re.findall(r'\s(?:src|action)="([^"]*)"', page))


@pytest.mark.parametrize(
    "path", ["/play/nowhere/", "/stage/nowhere/", "/stage/nowhere/join.svg", "/seals/123.svg"]
)
def test_an_unknown_show_or_seal_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


# --- QR codes ---


def test_the_stage_shows_the_address_to_join_as_text_and_as_a_code(client: Client, show: Show) -> None:
    address = "http://localhost/play/gala/"
    assert address in client.get("/stage/gala/", headers={"Host": "localhost"}).text
    answer = client.get("/stage/gala/join.svg", headers={"Host": "localhost"})
    assert answer["Content-Type"] == "image/svg+xml"
    assert drawing(answer.text) == drawing(segno.make(address, error="m").svg_inline(border=3))


def test_a_seal_has_a_code_with_all_of_its_digits(client: Client) -> None:
    answer = client.get(f"/seals/{SEAL}.svg")
    assert drawing(answer.text) == drawing(segno.make(SEAL, error="m").svg_inline(border=3))
    assert "immutable" in answer["Cache-Control"]


def drawing(svg: str) -> str:
    """The modules of a QR code in an SVG."""
    (path,) = re.findall(r' d="([^"]+)"', svg)
    return path


# --- the first page ---


def test_the_crew_is_sent_to_the_console_and_viewers_to_the_newest_show(client: Client, show: Show) -> None:
    assert client.get("/")["Location"] == "/play/gala/"
    make_show(slug="newer")
    assert client.get("/")["Location"] == "/play/newer/"
    assert crew(client, OPERATOR).get("/")["Location"] == "/console/"


def test_without_a_show_the_first_page_says_so(client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "There is no show yet" in answer.text


# --- the ledger ---


def test_the_auditor_reads_what_was_done_and_that_the_chain_is_whole(client: Client, show: Show) -> None:
    segment = make_segment(show)
    void_segment(segment.pk, actor="dirk", reason="<rain>")
    page = crew(client, AUDITOR).get("/console/gala/ledger/").text
    assert "The chain is whole: all 1 entries" in page
    assert "&lt;rain&gt;" in page
    assert "dirk" in page


@pytest.mark.parametrize("damage", ["actor = 'nobody'", "details = 'no json'", "previous = 'no hex'"])
def test_a_changed_entry_is_shown_in_red(client: Client, show: Show, damage: str) -> None:
    for _ in range(2):
        void_segment(make_segment(show).pk, actor="dirk", reason="rain")
    tamper(f"UPDATE engagement_ledgerentry SET {damage} WHERE position = 1")
    page = crew(client, AUDITOR).get("/console/gala/ledger/").text
    assert "The ledger is not whole" in page
    assert "entry 1 was changed" in page
    assert (
        client.get("/console/gala/ledger/entries.jsonl").status_code == 200
    )  # what was made of it can be kept


def test_the_page_shows_the_latest_checkpoint_to_copy_and_to_photograph(client: Client, show: Show) -> None:
    void_segment(make_segment(show).pk, actor="dirk", reason="rain")
    note = show.checkpoints.get().note
    page = crew(client, AUDITOR).get("/console/gala/ledger/").text
    assert f'<pre class="mono" id="checkpoint">{note}</pre>' in page.replace("&#x27;", "'")
    assert escape(format_vkey(keys_of(show)[0])) in page
    code = client.get(re.findall(r'<img src="([^"]+)"', page)[0])
    assert drawing(code.text) == drawing(segno.make(note, error="m").svg_inline(border=3))
    assert client.get("/stage/gala/checkpoints/2.svg").status_code == 404


def test_the_page_says_of_every_checkpoint_whether_it_continues_the_one_before(
    client: Client, show: Show
) -> None:
    for _ in range(4):
        void_segment(make_segment(show).pk, actor="dirk", reason="rain")
    page = page_of(crew(client, AUDITOR).get("/console/gala/ledger/"))
    assert page.count("<td>yes</td>") == 3
    tamper("UPDATE engagement_ledgercheckpoint SET root = %s WHERE size = 2", "00" * 32)
    tamper("DELETE FROM engagement_ledgercheckpoint WHERE size = 4")
    page = page_of(client.get("/console/gala/ledger/"))
    assert page.count('<span class="bad">no</span>') == 2
    assert page.count('<td class="bad">none</td>') == 1
    assert page.count('class="mono bad"') == 1


def test_a_long_ledger_is_read_and_checked_in_parts(client: Client, show: Show, monkeypatch) -> None:
    monkeypatch.setattr("engagement.ledger.views.LEDGER_PAGE", 3)
    for number in range(7):
        append_entry(show, f"action-{number}")
    page = page_of(crew(client, AUDITOR).get("/console/gala/ledger/"))
    assert "the entries 4 to 6 follow from one another" in page
    assert "action-4" in page and "action-3" not in page and page.count("<td>yes</td>") == 3
    older = page_of(client.get("/console/gala/ledger/?before=4"))
    assert re.findall("<td>(action-.)</td>", older) == ["action-3", "action-2", "action-1"]
    assert 'href="?before=1" rel="next"' in older and 'href="?before=7" rel="prev"' in older
    tamper("UPDATE engagement_ledgerentry SET digest = %s WHERE position = 2", "ab" * 32)
    assert "The ledger is not whole" not in client.get("/console/gala/ledger/").text
    assert "entry 2 was changed" in client.get("/console/gala/ledger/?before=4").text
    assert "entry 3 does not follow" in client.get("/console/gala/ledger/?before=6").text


def test_what_everybody_may_read_is_linked_on_the_page_of_the_ledger(client: Client, show: Show) -> None:
    for action in ("seal", "ask disqualification"):
        append_entry(show, action)
    page = page_of(crew(client, AUDITOR).get("/console/gala/ledger/"))
    links = re.findall(r'href="(/api/shows/gala/ledger/statements/[^"]+)"', page)
    assert links == ["/api/shows/gala/ledger/statements/0?size=1"]
    assert client.get(links[0]).json()["entry"]["action"] == "seal"


def test_a_show_in_which_nothing_happened_has_nothing_to_keep(client: Client, show: Show) -> None:
    page = crew(client, AUDITOR).get("/console/gala/ledger/").text
    assert "The chain is whole: all 0 entries" in page
    assert 'id="checkpoint"' not in page


def test_the_ledger_is_for_those_who_may_read_it(client: Client, show: Show) -> None:
    for name in ("", "entries.jsonl", "checkpoints.jsonl"):
        address = f"/console/gala/ledger/{name}"
        assert Client().get(address)["Location"] == f"/login/?next={address}"
    assert crew(client, None).get("/console/gala/ledger/").status_code == 403
    assert client.get("/console/gala/ledger/entries.jsonl").status_code == 403


def test_the_page_of_a_failure_speaks_the_language_of_the_browser(show: Show) -> None:
    for accepted, words in (("zh-CN", "请返回并刷新页面"), ("de", "Go back, and reload the page")):
        client = Client(
            enforce_csrf_checks=True, headers={"Accept-Language": accepted, "Accept": "text/html"}
        )
        answer = client.post("/login/", {"username": "olga"})
        assert (answer.status_code, answer["Vary"]) == (403, "Accept-Language, Cookie")
        assert words in answer.text


# --- the codes on air ---


def test_the_crew_sees_the_code_of_each_feed_and_the_page_comes_anew(show: Show, client: Client) -> None:
    page = crew(client, OPERATOR).get("/console/gala/codes/")
    codes = re.findall(r'<dt>(\w+)</dt><dd class="number">(\d{6})</dd>', page.content.decode())
    assert [feed for feed, _ in codes] == ["App", "Television"]
    key = open_secret(show.k_show)
    for feed, (_, code) in zip(("app", "tv"), codes, strict=True):
        assert is_on_air(key, [feed], code, now_ms())
    refresh = re.search(r'http-equiv="refresh" content="(\d+)"', page.content.decode())
    assert refresh and 0 < int(refresh[1]) <= 60
    assert "no-store" in page.headers["Cache-Control"]
    assert 'id="not-taken"' in page.content.decode()
    FairPlay.objects.filter(show=show).update(ways=["code"])
    assert 'id="not-taken"' not in client.get("/console/gala/codes/").content.decode()


def test_nobody_else_sees_the_codes_on_air(show: Show, client: Client) -> None:
    assert client.get("/console/gala/codes/").status_code == 302
    assert crew(client, None).get("/console/gala/codes/").status_code == 403


def test_a_show_without_a_key_has_no_codes(show: Show, client: Client) -> None:
    Show.objects.filter(pk=show.pk).update(k_show="")
    page = crew(client, OPERATOR).get("/console/gala/codes/")
    assert page.status_code == 200 and 'class="number"' not in page.content.decode()
