"""The catalogues of texts: complete, the same in every language, and the only place for them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.template import Context, Template

from engagement.core.phases import Phase
from engagement.languages import CATALOGUES, FOLDER, say
from prizes.core.digests import beacon_strength
from prizes.core.dispositions import CLAIMED, DISQUALIFIED, FORFEITED, WON
from prizes.core.record import STATUSES
from prizes.models import Beacon, Draw
from prizes.story import WHOLE_CURRENCIES
from prizes.verdict import GROUNDS, STANDINGS

ROOT = Path(settings.BASE_DIR)
APPS = ("gala", "engagement", "prizes")
CHINESE = re.compile("[\u3400-\u9fff]")
# Chinese that is data, not a text of a page: the demo's prizes, names of languages, and examples.
WITH_CHINESE = {"gala/demo.py", "gala/settings.py", "engagement/core/show_state.py", "prizes/api/schemas.py"}


def sources() -> Iterator[tuple[str, str]]:
    """Path and content of everything that may say something to viewers, without the catalogues."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*")):
            if path.suffix in (".py", ".js", ".html", ".txt", ".css") and path.parent != FOLDER:
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def static(name: str) -> str:
    return next(text for path, text in sources() if path.endswith(name))


def families() -> dict[str, set[str]]:
    """Prefix -> the endings of the keys that are put together from a prefix and a value."""
    phases = {str(phase) for phase in Phase} - {Phase.DRAFT}
    receipt = static("receipt.js")
    typedef = r"@typedef \{((?:\"\w+\"(?: \| )?)+)\} %s"
    statuses, reasons = (
        re.findall(typedef % name, static("shake-client.js"))[0] for name in ("Status", "Reason")
    )
    verdicts = set(re.findall(r'verdict: "(\w+)"', receipt)) - {"taken"}
    verdicts |= {"mismatch", "fraud_seal", "fraud_ledger", "broken", "fraud_listed", "absent", "sealed"}
    verdicts |= {"won", "moved_up", "claimed", "disqualified", "spoiled"}
    verdicts |= {reason.replace(" ", "_") for reason in STATUSES[FORFEITED]}
    return {
        "moment_": phases | {"idle", "soon"},
        "status_": set(re.findall(r'"(\w+)"', statuses)),
        "sensor_": set(re.findall(r'"(\w+)"', reasons)) - {"ask"},
        "overloaded_": {"too_many"},
        "refused_": {"forgotten", "no_guests", "no_such_show", "no_way", "replaced", "revoked"},
        "reason_": {reason.replace(" ", "_") for reason in (*STATUSES[DISQUALIFIED], *STATUSES[FORFEITED])},
        "became_": {CLAIMED, FORFEITED, DISQUALIFIED, WON},
        "strength_": {beacon_strength(kind) for kind in Beacon.values},
        "drawstep_": set(Draw.Step.values),
        "span_": {
            f"{unit}_{count}" for unit in ("day", "hour", "minute", "second") for count in ("one", "other")
        },
        "standing_": set(STANDINGS),
        "chip_": set(GROUNDS),
        "ground_": set(GROUNDS),
        "why_": {name if name.startswith("beacon") else name.partition("_")[0] for name in GROUNDS},
        "verdict_": verdicts,
        "step_": set(re.findall(r'\b(?:step|require|equal|fromHex)\("(\w+)"', receipt))
        | {"format", "signature_open", "ledger_open"},
        "sheet_": {"holds", "wrong", "unknown"},
        "tickets_": {"one", "other"},
        "stub_": {"checked", "kept", "wrong", "equal", "too_few", "less", "less_uncertified", "uncertified"},
        "unlisted_": {"one", "other"},
    }


def said() -> set[str]:
    """The keys that the sources ask for by name."""
    ways = {".js": r'\bsay(?:Count)?\("(\w+)"', ".html": r'\{% say "(\w+)"', ".py": r'\bsay\(\w+, "(\w+)"'}
    found = {key for path, text in sources() for key in re.findall(ways.get(Path(path).suffix, "(?!)"), text)}
    return found - {"tickets", "unlisted"}  # of these there is one for 1, and one for many


def test_every_language_has_the_same_keys_in_the_same_order() -> None:
    first, *others = (list(CATALOGUES[language]) for language in CATALOGUES)
    assert all(keys == first for keys in others)


@pytest.mark.parametrize("language", CATALOGUES)
def test_no_key_of_a_catalogue_stands_there_twice_and_no_text_is_empty(language: str) -> None:
    script = (FOLDER / f"{language}.js").read_text(encoding="utf-8")
    pairs = json.loads(script[script.index("{") : script.rindex("}") + 1], object_pairs_hook=list)
    assert len(pairs) == len(dict(pairs)) == len(CATALOGUES[language])
    assert all(text.strip() == text != "" for _, text in pairs)


@pytest.mark.parametrize("key", list(CATALOGUES["en"]))
def test_a_text_has_the_same_placeholders_in_every_language(key: str) -> None:
    found = {
        language: sorted(set(re.findall(r"\{(\w+)\}", texts[key]))) for language, texts in CATALOGUES.items()
    }
    assert len(set(map(tuple, found.values()))) == 1, found


def test_every_key_that_is_asked_for_is_there() -> None:
    made = {prefix + ending for prefix, endings in families().items() for ending in endings}
    assert (said() | made) - set(CATALOGUES["en"]) == set()


def test_every_key_is_used() -> None:
    made = {prefix + ending for prefix, endings in families().items() for ending in endings}
    quoted = {word for _, text in sources() for word in re.findall(r"""["'](\w+)["']""", text)}
    assert set(CATALOGUES["en"]) - made - quoted == set()


def test_the_families_are_all_that_is_put_together() -> None:
    lines = [line for path, text in sources() if path.endswith(".js") for line in text.splitlines()]
    prefixes = {
        prefix
        for line in lines
        if re.search(r"\b(?:say|has)\(|startsWith", line)
        for prefix in re.findall(r"`(\w+_)\$\{", line)
    }
    counted = {f"{key}_" for line in lines for key in re.findall(r'sayCount\("(\w+)"', line)}
    others = [text for path, text in sources() if path.endswith((".py", ".html"))]
    chosen = {f"{name}_" for text in others for name in re.findall(r'say_of "(\w+)"', text)}
    chosen |= {f"{name}_" for text in others for name in re.findall(r'say_of\(language, "(\w+)"', text)}
    counted |= {name for text in others for name in re.findall(r'say_count\(language, f?"(\w+_)', text)}
    assert prefixes | counted | chosen == set(families())


def test_no_chinese_stands_anywhere_else() -> None:
    assert {path for path, text in sources() if CHINESE.search(text)} == WITH_CHINESE


def test_chinese_says_that_the_garment_itself_is_the_prize() -> None:
    everything = [*CATALOGUES["zh"].values(), *(text for _, text in sources())]
    assert not any("同款" in text for text in everything)  # "the same model" would be another garment
    assert (
        say("zh", "prize", brand="Brume", garment="外套", celebrity="林遥", size="L").count("林遥台上所穿")
        == 1
    )


def test_numbers_are_written_as_browsers_write_them() -> None:
    assert say("en", "tickets_other", count=81_234) == "81,234 tickets"
    assert say("zh", "tickets_other", count=81_234) == "81,234 票"


def test_what_somebody_has_typed_is_escaped_once() -> None:
    page = Template('{% load texts %}{% say "draw_free" prizes=prizes %}')
    told = page.render(Context({"language": "en", "prizes": "Coat & <b>"}))
    assert told == "Without a holder: Coat &amp; &lt;b&gt;."
    joined = re.compile(r"\{% say [^%]*\|(?:join|escape|safe)")  # a filter that escapes would do it twice
    assert [path for path, text in sources() if joined.search(text)] == []


def test_browser_and_server_agree_on_currencies_without_a_smaller_unit() -> None:
    (listed,) = re.findall(r"WHOLE_CURRENCIES = \[(.*?)\]", static("words.js"))
    assert tuple(json.loads(f"[{listed}]")) == WHOLE_CURRENCIES
