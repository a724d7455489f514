"""Which language a page speaks: the one that was asked for, else what the browser prefers, else that of the feed."""

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, gettext, override, pgettext

from engagement.chinese import to_traditional
from engagement.middleware import Around

# Code, as in settings.LANGUAGES -> what `<html lang>` says, by which browsers choose the shapes of Han letters. The
# first one is for whoever prefers none of them.
TAGS = {"en": "en", "zh-hans": "zh-Hans", "zh-hant": "zh-Hant-TW", "zh-hk": "zh-Hant-HK"}
LANGUAGES = tuple(TAGS)
NAMES = "name of a viewer"  # the context of the words of a name
_NAME = re.compile(r"(\w+) (\w+) (\d\d)((?: \(\d+\))?)")
LONGEST_ACCEPTED = 500  # characters of an Accept-Language header; browsers send fewer than 100
# One of its elements: the language, with script and region, and its weight.
_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8}|\*)((?:-[A-Za-z0-9]{1,8})*)-?\s*(?:;\s*[qQ]=([01]|[01]?\.[0-9]{1,9}))?\s*"
)


def say(text: str, /, **values: Any) -> str:
    """An English text in the language of whoever asks, its {placeholders} filled with what stands there as it is.

    Where nobody asks, as in commands and in workers, it is English.

    >>> say("{segment} is armed already", segment="1. Coats")
    '1. Coats is armed already'
    """
    return gettext(text).format_map(values)


def mark(text: str) -> str:
    """Marks an English text that is said elsewhere, so that the catalogues get it; as in scripts."""
    return text


def retell(english: str, texts: Iterable[str]) -> str:
    """What was written down in English, by one of these texts, in the language of whoever reads it.

    >>> retell("ranking night-1/1/1", ("ranking {draw}",))
    'ranking night-1/1/1'
    """
    for text in texts:
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(text))
        if match := re.fullmatch(pattern, english, re.DOTALL):
            return say(text, **match.groupdict())
    return english


def fill(text: str, **values: Any) -> str:
    """A text with its {placeholders} filled; numbers are written as the browser writes them: 81,234.

    >>> fill("{count} tickets of {viewers} viewers", count=81_234, viewers="some")
    '81,234 tickets of some viewers'
    """
    return text.format_map({name: group(value) for name, value in values.items()})


def group(value: Any) -> Any:
    """Digits in groups of three, where it is a whole number."""
    return f"{value:,}" if isinstance(value, int) else value


def name_text(name: str) -> str:
    """The name of a viewer in the page's language, by its words; what is none stands there as it is.

    >>> name_text("Scarlet Eagle 47 (2)"), name_text("somebody")
    ('Scarlet Eagle 47 (2)', 'somebody')
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    words = {"colour": pgettext(NAMES, match[1]), "thing": pgettext(NAMES, match[2]), "number": match[3]}
    return fill(pgettext("name of a viewer", "{colour} {thing} {number}"), **words) + match[4]


def localize(text: str, text_zh: str) -> str:
    """A text that somebody has typed in English and in Simplified Chinese, or in one, for the page's language."""
    language = page_language()
    return to_traditional(text_zh, language) if text_zh and language != "en" else text


# --- which one ---


def page_language() -> str:
    """The language of the page that is being made, one of LANGUAGES."""
    language = get_language()
    return language if language in TAGS else LANGUAGES[0]


def asked_language(request: HttpRequest) -> str | None:
    """The one that the address asks for with ?lang=, in any usual spelling (`zh`, `zh-TW`)."""
    return language_of(request.GET.get("lang", ""))


def choose_language(request: HttpRequest, otherwise: str = "") -> str:
    """The one that was asked for, now or before, else the one that the browser prefers, else `otherwise`."""
    kept = language_of(request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, ""))
    accepted = request.headers.get("Accept-Language", "")
    return asked_language(request) or kept or preferred_language(accepted, otherwise)


def language_of(tag: str) -> str | None:
    """The language of ours that a tag of BCP 47 means.

    >>> [language_of(tag) for tag in ("en-GB", "zh", "zh-SG", "zh-MO", "zh-Hant-HK", "zh-Hans-HK", "yue", "de")]
    ['en', 'zh-hans', 'zh-hans', 'zh-hant', 'zh-hk', 'zh-hans', 'zh-hk', None]
    """
    match = _RANGE.fullmatch(tag)
    return _meant(match[1].lower(), match[2].lower()) if match and match[3] is None else None


def _meant(language: str, rest: str) -> str | None:
    """Who writes `zh` alone has always been given Simplified; Cantonese is written as in Hong Kong."""
    if language not in ("zh", "yue"):
        return language if language in TAGS else None
    parts = rest.split("-")
    if "hans" in parts:
        return "zh-hans"
    if "hk" in parts or (language == "yue" and "cn" not in parts):
        return "zh-hk"
    return "zh-hant" if {"hant", "tw", "mo"} & set(parts) else "zh-hans"


@lru_cache(maxsize=1024)  # browsers send few different ones
def preferred_language(accepted: str, otherwise: str = "") -> str:
    """The language that an Accept-Language header gives the largest weight, the one named first where two have it.

    As in RFC 9110, 12.5.4: weight 0 means "not this one", and `*` stands for all languages that are not named. Who
    wants none of Chinese (`zh;q=0`) gets no Traditional by `*` either. What cannot be read is passed over, and takes
    nothing else with it. Where the header prefers none, it is `otherwise`, or English.

    >>> [preferred_language(accepted) for accepted in ("zh;q=0, en", "fr, zh-CN;q=0.8, en;q=0.7", ", zh-TW;q=.9,,")]
    ['en', 'zh-hans', 'zh-hant']
    >>> preferred_language("de, *;q=0.5", "zh-hk")
    'zh-hk'
    """
    found = map(_RANGE.fullmatch, accepted[:LONGEST_ACCEPTED].split(","))
    ranges = [
        (match[1].lower() + match[2], _meant(match[1].lower(), match[2].lower()), float(match[3] or 1))
        for match in found
        if match
    ]

    def rank(language: str) -> tuple[float, int]:
        weights: dict[str, list[tuple[float, int]]] = {"named": [], "family": [], "any": []}
        for place, (name, meant, weight) in enumerate(ranges):
            if meant == language:
                weights["named"].append((weight, -place))
            elif name == language.partition("-")[0] and weight == 0:
                weights["family"].append((weight, -place))
            elif name == "*":
                weights["any"].append((weight, -place))
        weight, place = max(next(filter(None, weights.values()), [(0.0, 0)]))
        return (weight, place) if weight > 0 else (0.0, 0)

    first = [otherwise] if otherwise in TAGS else []
    return max([*first, *LANGUAGES], key=rank)


# --- every page ---


class Languages(Around):
    """Middleware, around everything else, refusals and failures too: each page is made in the language of its reader.

    A language that was asked for is kept by the browser, in a cookie of this installation.
    """

    def enter(self, request: HttpRequest) -> AbstractContextManager[Any]:
        return override(choose_language(request))

    def finish(self, request: HttpRequest, answer: HttpResponse) -> HttpResponse:
        return finish_page(request, answer)


def finish_page(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """The same answer; a page says what its language depends on, and keeps the one that was asked for."""
    if 300 <= answer.status_code < 400 or not answer.headers.get("Content-Type", "").startswith("text/html"):
        return answer
    asked = asked_language(request)
    if asked is None:
        patch_vary_headers(answer, ["Accept-Language", "Cookie"])
    elif request.method == "GET" and request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME) != asked:
        answer.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            asked,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            secure=settings.LANGUAGE_COOKIE_SECURE,
            httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
            samesite="Lax",
        )
    return answer


def tell_language(request: HttpRequest | None = None) -> dict[str, Any]:
    """For templates (a context processor): the page's language, its tag for `<html lang>`, and the others."""
    language = page_language()
    others = [(code, TAGS[code], name) for code, name in settings.LANGUAGES if code != language]
    return {
        "language": language,
        "tag": TAGS[language],
        "own_name": dict(settings.LANGUAGES)[language],
        "others": others,
    }
