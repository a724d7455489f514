"""Which language a page for viewers speaks, and every text of it: one catalogue per language, which browsers read, too.

A catalogue is a script, so that a phone gets one small file that it keeps; what is between its outer braces is JSON.
"""

import json
import re
from pathlib import Path
from typing import Any

from django.http import HttpRequest

LANGUAGES = ("en", "zh")  # the first is for whoever prefers none of them
LONGEST_ACCEPTED = 500  # characters of an Accept-Language header; browsers send fewer than 100
# One of its elements: the language, without region and script, and its weight.
_RANGE = re.compile(r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]*)?\s*(?:;\s*[qQ]=([01]|[01]?\.[0-9]{1,9}))?\s*")
FOLDER = Path(__file__).parent / "static" / "engagement" / "texts"


def read_catalogue(language: str) -> dict[str, str]:
    """Key -> text, with {placeholders}."""
    script = (FOLDER / f"{language}.js").read_text(encoding="utf-8")
    texts: dict[str, str] = json.loads(script[script.index("{") : script.rindex("}") + 1])
    return texts


CATALOGUES = {language: read_catalogue(language) for language in LANGUAGES}


def say(language: str, key: str, **values: Any) -> str:
    """The text of this key, with its placeholders filled; numbers are written as the browser writes them: 81,234."""
    shown = {name: f"{value:,}" if isinstance(value, int) else value for name, value in values.items()}
    return CATALOGUES[language][key].format_map(shown)


def say_count(language: str, key: str, count: int) -> str:
    """The text for so many: `key_one` or `key_other`."""
    return say(language, f"{key}_{'one' if count == 1 else 'other'}", count=count)


def say_of(language: str, family: str, value: str, **values: Any) -> str:
    """The text for one of a few values, "under age" of "reason"; what is none of them stands there as it is."""
    key = f"{family}_{value.replace(' ', '_')}"
    return say(language, key, **values) if key in CATALOGUES[language] else value


def localize(language: str, text: str, text_zh: str) -> str:
    """A text that somebody has typed in both languages, or in one."""
    return text_zh if language == "zh" and text_zh else text


def choose_language(request: HttpRequest) -> str:
    """The one that was asked for with ?lang=, else the one that the browser prefers."""
    asked = request.GET.get("lang", "")
    return asked if asked in LANGUAGES else preferred_language(request.headers.get("Accept-Language", ""))


def preferred_language(accepted: str) -> str:
    """The language that an Accept-Language header gives the largest weight, the one named first where two have it.

    As in RFC 9110, 12.5.4: weight 0 means "not this one", and `*` stands for all languages that are not named. What
    cannot be read is passed over, and takes nothing else with it.

    >>> [preferred_language(accepted) for accepted in ("zh;q=0, en", "fr, zh-CN;q=0.8, en;q=0.7", ", zh;q=.9,,")]
    ['en', 'zh', 'zh']
    """
    found = map(_RANGE.fullmatch, accepted[:LONGEST_ACCEPTED].split(","))
    ranges = [(match[1].lower(), float(match[2] or 1)) for match in found if match]

    def rank(language: str) -> tuple[float, int]:
        named, others = [], []
        for place, (name, weight) in enumerate(ranges):
            if name == language:
                named.append((weight, -place))
            elif name == "*":
                others.append((weight, -place))
        weight, place = max(named or others, default=(0.0, 0))
        return (weight, place) if weight > 0 else (0.0, 0)

    return max(LANGUAGES, key=rank)
