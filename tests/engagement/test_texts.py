"""The catalogues of texts: complete in every language, and no text for viewers stands anywhere else."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages import Message
from django.template import Context, Template
from django.utils.translation import gettext, ngettext, override

from engagement.core.phases import Phase
from engagement.core.plain_text import check_plain
from engagement.languages import TAGS, fill, retell, say
from engagement.phrases import picture_text, unseen_text
from engagement.pictures import decoder, decoding
from engagement.pictures.core import kinds
from engagement.pictures.core.sizes import MAX_BYTES, check_size
from gala.catalogues import LOCALES, SCRIPTS, compile_all, key_of, read_catalogue
from prizes import phrases
from prizes.core.digests import beacon_strength
from prizes.core.dispositions import CLAIMED, DISQUALIFIED, FORFEITED, WON
from prizes.core.record import STATUSES
from prizes.models import Beacon, Draw
from prizes.story import WHOLE_CURRENCIES
from prizes.verdict import GROUNDS, STANDINGS
from tests.catalogues import DOMAINS, catalogue_path, is_translated, sources, texts_of, written

CHINESE = re.compile("[\u3400-\u9fff]")
# Chinese that is data, not a text of a page: the demo's prizes, names of languages, and examples.
WITH_CHINESE = {
    "gala/demo.py",
    "gala/settings.py",
    "engagement/chinese.py",
    "engagement/core/show_state.py",
    "prizes/api/schemas.py",
}
PLACEHOLDER = re.compile(r"\{(\w+)\}|%\((\w+)\)s")
# What is said on the mainland and not there: the sign that nobody has read what a converter made.
MAINLAND = {
    "zh_Hant": "軟件 網絡 服務器 程序 文件 信息 鏈接 屏幕 打印 用戶 移動數據 賬 臺 視窗 二維碼 應用 同款 "
    "釋出 程式碼 進位制 銷燬 身份 加載 添加 哈希 你",
    "zh_HK": "軟件 網路 服務器 程序 文件 信息 鏈接 屏幕 打印 移動數據 賬 傳感器 窗口 用户 説 您 同款 "
    "加載 添加 哈希 銷燬 視頻 創建",
}
CATALOGUES = [(locale, domain) for locale in LOCALES.values() for domain in DOMAINS]


def static(name: str) -> str:
    return next(text for path, text in sources(".js") if path.endswith(name))


def keys_of(table: str, script: str) -> set[str]:
    """The keys of a table of texts in a script."""
    (found,) = re.findall(rf"export const {table} = \{{\n(.*?)\n\}};", static(script), re.DOTALL)
    return set(re.findall(r"^  (\w+): mark\(", found, re.MULTILINE))


def forms_of(message: Message) -> tuple[list[str], list[str]]:
    """English and translated forms of a text."""
    english = [message.id] if isinstance(message.id, str) else list(message.id)
    return english, [message.string] if isinstance(message.string, str) else list(message.string or ())


def placeholders(text: str) -> set[str]:
    return {one or other for one, other in PLACEHOLDER.findall(text)}


# --- the catalogues ---


def test_every_language_of_the_settings_has_catalogues_but_english() -> None:
    assert ["en", *LOCALES] == list(TAGS)
    assert all(catalogue_path(*one).exists() for one in CATALOGUES)


@pytest.mark.parametrize(("locale", "domain"), CATALOGUES)
def test_a_catalogue_has_every_text_of_the_sources_and_no_other(locale: str, domain: str) -> None:
    catalogue, said = read_catalogue(catalogue_path(locale, domain)), texts_of(domain)
    known = {key_of(message) for message in catalogue if message.id}
    wanted = {key_of(message) for message in said if message.id}
    assert (wanted - known, known - wanted) == (set(), set()), "run: make texts"
    assert not catalogue.obsolete
    catalogue.update(said, no_fuzzy_matching=True)
    assert written(catalogue, locale) == catalogue_path(locale, domain).read_bytes(), "run: make texts"


@pytest.mark.parametrize(("locale", "domain"), CATALOGUES)
def test_every_text_is_translated_with_the_same_placeholders(locale: str, domain: str) -> None:
    for message in read_catalogue(catalogue_path(locale, domain)):
        if message.id:
            english, translated = forms_of(message)
            assert is_translated(message), message.id
            assert all(text == text.strip() for text in (*english, *translated)), message.id
            for text in translated:
                assert placeholders(text) == placeholders(english[-1]), message.id


@pytest.mark.parametrize("locale", LOCALES.values())
def test_a_text_that_pages_and_scripts_say_is_the_same_in_both(locale: str) -> None:
    pages, scripts = (
        {key_of(one): one.string for one in read_catalogue(catalogue_path(locale, name)) if one.id}
        for name in DOMAINS
    )
    shared = pages.keys() & scripts.keys()
    assert len(shared) > 10
    assert {key: (pages[key], scripts[key]) for key in shared if pages[key] != scripts[key]} == {}


@pytest.mark.parametrize("locale", MAINLAND)
def test_traditional_chinese_has_the_words_of_its_own_country(locale: str) -> None:
    said = [text for name in DOMAINS for one in read_catalogue(catalogue_path(locale, name)) if one.id
            for text in forms_of(one)[1]]  # fmt: skip
    found = {word: text for word in MAINLAND[locale].split() for text in said if word in text}
    assert found == {}


@pytest.mark.parametrize("locale", LOCALES.values())
def test_quotation_marks_are_those_of_the_country(locale: str) -> None:
    foreign = "「」『』" if locale == "zh_Hans" else "“”‘’"
    said = [text for name in DOMAINS for one in read_catalogue(catalogue_path(locale, name)) if one.id
            for text in forms_of(one)[1]]  # fmt: skip
    assert [
        text
        for text in said
        if set(foreign) & set(text) or re.search(r'(?<![=\w/.])"[^">]*[\u3400-\u9fff]', text)
    ] == []


def test_the_garment_itself_is_the_prize() -> None:
    """同款 would promise another garment of the same model."""
    for locale, domain in CATALOGUES:
        assert "同款" not in catalogue_path(locale, domain).read_text(encoding="utf-8")
    assert not any("同款" in text for _, text in sources(".py", ".js", ".html"))


def test_what_is_compiled_is_what_stands_in_the_catalogues() -> None:
    compile_all()
    for code, locale in LOCALES.items():
        catalogue = read_catalogue(catalogue_path(locale, "djangojs"))
        told: dict[str, object] = {}
        for folder, words in SCRIPTS.values():
            script = (folder / f"{code}.js").read_text(encoding="utf-8")
            assert f'from "{words}"' in script
            told |= json.loads(script[script.index("learn({") + 6 : script.rindex(")")])
        assert told == {
            key_of(one): list(one.string) if isinstance(one.string, tuple) else one.string
            for one in catalogue
            if one.id
        }


# --- the sources ---


def test_no_chinese_stands_anywhere_else() -> None:
    found = {path for path, text in sources(".py", ".js", ".html", ".txt", ".css") if CHINESE.search(text)}
    assert found == WITH_CHINESE


def test_scripts_have_a_text_for_everything_that_may_come() -> None:
    client, receipt = static("shake-client.js"), static("receipt.js")
    typedef = r"@typedef \{((?:\"\w+\"(?: \| )?)+)\} %s"
    statuses, reasons = (
        set(re.findall(r'"(\w+)"', re.findall(typedef % name, client)[0])) for name in ("Status", "Reason")
    )
    assert keys_of("MOMENTS", "engagement/phrases.js") == {*map(str, Phase), "idle", "soon"} - {Phase.DRAFT}
    assert keys_of("STATUSES", "engagement/phrases.js") == statuses
    assert keys_of("SENSOR", "engagement/phrases.js") == reasons - {"ask"}
    assert keys_of("OVERLOADED", "engagement/phrases.js") == {"too_many"}
    assert keys_of("REFUSED", "engagement/phrases.js") == {
        "forgotten", "no_guests", "no_such_show", "no_way", "replaced", "revoked",
    }  # fmt: skip
    lost = {reason.replace(" ", "_") for reason in STATUSES[FORFEITED]}
    why = {reason.replace(" ", "_") for reason in STATUSES[DISQUALIFIED]}
    assert keys_of("REASONS", "prizes/phrases.js") == lost | why
    verdicts = set(re.findall(r'verdict: "(\w+)"', receipt)) - {"taken"}
    verdicts |= {"mismatch", "fraud_seal", "fraud_ledger", "broken", "fraud_listed", "absent", "sealed"}
    verdicts |= {"won", "moved_up", "claimed", "disqualified", "spoiled"}
    assert keys_of("VERDICTS", "prizes/phrases.js") == verdicts | lost
    steps = set(re.findall(r'\b(?:step|require|equal|fromHex)\("(\w+)"', receipt))
    assert keys_of("STEPS", "prizes/phrases.js") == steps | {"format", "signature_open", "ledger_open"}


def test_the_server_has_a_text_for_everything_that_may_be_true() -> None:
    assert set(phrases.REASONS) == {*STATUSES[DISQUALIFIED], *STATUSES[FORFEITED]}
    assert set(phrases.BECAME) == {CLAIMED, FORFEITED, DISQUALIFIED, WON}
    assert set(phrases.STRENGTHS) == {beacon_strength(kind) for kind in Beacon.values}
    assert set(phrases.STEPS) == set(Draw.Step)
    assert set(phrases.SENTENCES) == set(STANDINGS)
    assert set(phrases.CHIPS) == set(phrases.TEXTS) == set(GROUNDS)
    first_words = {name if name.startswith("beacon") else name.partition("_")[0] for name in GROUNDS}
    assert set(phrases.WHYS) == first_words


def test_a_script_says_only_what_the_extractor_finds() -> None:
    """What is said by a variable is marked where it stands."""
    for path, text in sources(".js"):
        if "words.js" in text and not path.endswith("/words.js"):
            made = re.findall(r"\b(?:say|mark)\(`|\bsayCount\((?!\s*\")", text)
            assert made == [], path


SAYING = {"say", "mark", "fill", "gettext", "ngettext", "pgettext", "pgettext_lazy"}


def never_translated(module: str) -> list[str]:
    """Calls that the extractor passes over: made of parts, or with an f-string anywhere."""
    return [
        ast.unparse(call)
        for call in ast.walk(ast.parse(module))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in SAYING
        if any(isinstance(part, ast.JoinedStr) for part in ast.walk(call))
        or isinstance(call.args[0], ast.BinOp)
        or (isinstance(call.args[0], ast.Call) and ast.unparse(call.args[0].func).endswith(".format"))
    ]


def test_the_server_says_only_what_the_extractor_finds() -> None:
    """Another `say` writes on a terminal."""
    speaking = {
        path: text
        for path, text in sources(".py")
        if "from engagement.languages import" in text or "gettext" in text
    }
    assert len(speaking) > 40
    assert {path: found for path, text in speaking.items() if (found := never_translated(text))} == {}


@pytest.mark.parametrize(
    "call",
    [
        'say(f"{draw} is over")',
        'say("Draw " + draw)',
        'gettext("Draw {}".format(1))',
        'say("x", at=f"{at:%H}")',
    ],
)
def test_a_call_that_the_extractor_passes_over_is_found(call: str) -> None:
    assert never_translated(call) == [ast.unparse(ast.parse(call))]
    assert never_translated('say("Draw {draw}", draw=draw)') == []


def english_in(template: str) -> set[str]:
    """What a template says outside of its translations: between tags, and in attributes that people read or hear."""
    bare = re.sub(r"\{% (blocktranslate|comment)\b.*?\{% end\1 %\}", "", template, flags=re.DOTALL)
    bare = re.sub(r"<(script|style|code|pre)\b.*?</\1>", "", bare, flags=re.DOTALL)
    bare = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "\0", bare, flags=re.DOTALL)
    tag = r"<(?:\"[^\"]*\"|[^\">])*>"  # an attribute may hold a >
    said = re.split(tag, bare)
    for found in re.findall(tag, bare):
        said += re.findall(r'\b(?:placeholder|aria-label|data-label|alt|title)="([^"]*)"', found)
    said += re.findall(r'\{%[^%]*\b(?:label|title|text)="([^"]*)"', template)
    spoken = (" ".join(DATA_IN_PAGES.sub(" ", text).split()) for text in said)
    return {text for text in spoken if re.search("[A-Za-z]{2}", text)}


# Units, names of files and of fields of addresses: the same in every language.
DATA_IN_PAGES = re.compile(
    r"\0|\bUTC\b|\bSHA-256\b|[\w-]+\.(?:py|jsonl?)\b|[?&]\w+=|data-\w+=|class=\"[\w -]*\"|api/\S+"
)
# Made once for all readers, in both languages or as data.
IN_NO_LANGUAGE = {
    "check_list.html", "check_list_item.html", "check_list_words.html", "report.html", "report_draw.html",
    "test_card.html",
}  # fmt: skip


def test_a_template_says_nothing_that_is_not_translated() -> None:
    found = {
        path: left
        for path, text in sources(".html")
        if Path(path).name not in IN_NO_LANGUAGE and (left := english_in(text))
    }
    assert found == {"prizes/templates/prizes/certificate.html": {'python3 --key " "'}}  # a command


@pytest.mark.parametrize(
    "text", ["<p>Draw {{ n }}</p>", '<input aria-label="Reason">', '{% include "a" with label="Arm" %}']
)
def test_a_text_that_is_not_translated_is_found(text: str) -> None:
    assert english_in(text)
    assert not english_in(
        '{% translate "Draw" %}<p>{% blocktranslate %}Draw {{ n }}{% endblocktranslate %}</p>'
    )


def test_a_script_says_nothing_that_is_not_translated() -> None:
    """A string of several words is one that the extractor has found."""
    known = {text for one in texts_of("djangojs") if one.id for text in forms_of(one)[0]}
    for path, script in sources(".js"):
        if path.startswith("prizes/") and not path.endswith("receipt.js"):
            code = re.sub(r"/\*.*?\*/|(?<![:\"])//[^\n]*", "", script, flags=re.DOTALL)
            strings = [one or other for one, other in re.findall(r'"((?:[^"\\\n]|\\.)*)"|`([^`]*)`', code)]
            sentences = [
                text for text in strings if re.match(r"[A-Z][a-z]* [a-z]+ |[a-z]+ [a-z]+ [a-z]+ ", text)
            ]
            left = [text for text in sentences if not any(text.replace("\\n", "\n") in one for one in known)]
            assert left == [], path


# --- how they are said ---


def test_what_somebody_has_typed_is_never_read_as_a_place_to_fill() -> None:
    """Braces, attributes and patterns stay what they are, also where a text is told again."""
    for typed in (
        "{x}",
        "{0.__class__}",
        "{segment.__class__.__mro__}",
        "%(show)s",
        "{",
        "}}",
        r"\g<0>(.+)",
        "<script>",
    ):
        for language in TAGS:
            with override(language):
                assert typed in say("{segment} is a draft: arm it first", segment=typed)
                assert typed in say("{subject} is excluded already", subject=say("{why}", why=typed))
                assert typed in fill("{name}, {count}", name=typed, count=2)
                assert typed in retell(
                    f"Draw {typed} has stopped. {typed}", ("Draw {draw} has stopped. {why}",)
                )
                assert retell(typed, ("ranking {draw}",)) == typed


def test_a_catalogue_can_name_a_place_only_not_what_belongs_to_it() -> None:
    for locale, domain in CATALOGUES:
        for message in read_catalogue(catalogue_path(locale, domain)):
            for text in forms_of(message)[1] if message.id else []:
                assert set(re.findall(r"\{[^}]*\}", text)) <= {
                    f"{{{name}}}" for name in placeholders(text)
                }, text


def refusals_of_pictures() -> Iterator[Exception]:
    beginnings = [magic for magic, _ in kinds._OTHERS]
    beginnings += [b"", b"<svg", b"<html>", b"what", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"]
    for beginning in beginnings:
        with pytest.raises(kinds.BadPicture) as refused:
            kinds.kind_of(beginning)
        yield refused.value
    for size in ((10_000, 5_000), (300, 300), (4_000, 400)):
        with pytest.raises(kinds.BadPicture) as refused:
            check_size(size)
        yield refused.value
    with pytest.raises(kinds.BadPicture) as refused:
        decoding.make_picture(bytes(MAX_BYTES + 1))
    yield refused.value
    yield from map(decoding.Busy, (decoding.SLOW, decoding.BUSY))
    yield from map(kinds.BadPicture, (decoder.NOT_WHOLE, decoder.TOO_MUCH))


def test_every_refusal_of_a_picture_is_told_in_each_language() -> None:
    for refusal in refusals_of_pictures():
        assert picture_text(refusal) == str(refusal)
        for language in TAGS.keys() - {"en"}:
            with override(language):
                assert not re.search("[a-z]{3} [a-z]", picture_text(refusal)), refusal
                assert CHINESE.search(picture_text(refusal)), refusal
    with pytest.raises(ValueError, match="got U") as unseen, override("zh-hk"):
        check_plain(say("reason"), "a\u202eb")
    with override("zh-hk"):
        assert unseen_text(unseen.value) == "原因：應為可見的字符，實際含有 U+202E (RIGHT-TO-LEFT OVERRIDE)"


def test_numbers_are_written_as_browsers_write_them() -> None:
    for language, text in (("en", "81,234 tickets"), ("zh-hans", "81,234 票"), ("zh-hk", "81,234 票")):
        with override(language):
            assert fill(ngettext("1 ticket", "{count} tickets", 81_234), count=81_234) == text
    with override("en"):
        assert fill(ngettext("1 ticket", "{count} tickets", 1), count=1) == "1 ticket"


def test_what_somebody_has_typed_is_escaped_once() -> None:
    page = Template(
        "{% load i18n texts %}{% blocktranslate with draw=text %}Draw {{ draw }}{% endblocktranslate %}"
    )
    told = page.render(Context({"text": "Coat & <b>"}))
    assert told == "Draw Coat &amp; &lt;b&gt;"
    joined = re.compile(r"\{% blocktranslate [^%]*\|(?:join|escape|safe)")  # it would be escaped twice
    assert [path for path, text in sources(".html") if joined.search(text)] == []


def test_browser_and_server_agree_on_currencies_without_a_smaller_unit() -> None:
    (listed,) = re.findall(r"WHOLE_CURRENCIES = \[(.*?)\]", static("words.js"))
    assert tuple(json.loads(f"[{listed}]")) == WHOLE_CURRENCIES


def test_without_a_catalogue_a_page_is_english(tmp_path: Path) -> None:
    with override("zh-hk"):
        assert gettext("This is said nowhere.") == "This is said nowhere."
