"""Compiles the catalogues of texts: what people write (`gala/locale/*/LC_MESSAGES/*.po`) into what Django reads
(`.mo`), and into scripts that browsers keep. Needs no settings: python -m gala.catalogues
"""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "gala" / "locale"
# Code, as in settings.LANGUAGES -> folder. English has no catalogue: its texts stand in the code.
LOCALES = {"zh-hans": "zh_Hans", "zh-hant": "zh_Hant", "zh-hk": "zh_HK"}
# The scripts of an app -> where its part of the catalogue goes, and how that finds words.js. What the phone page does
# not say is not in its part.
SCRIPTS = {
    "engagement": (ROOT / "engagement/static/engagement/texts", "../words.js"),
    "prizes": (ROOT / "prizes/static/prizes/texts", "../../engagement/words.js"),
}
CONTEXT_ENDS = "\x04"  # as in GNU gettext


def compile_all() -> None:
    """What is older than its source is made anew; whoever reads meanwhile finds the old or the new one, whole."""
    for code, folder in LOCALES.items():
        pages, scripts = (FOLDER / folder / "LC_MESSAGES" / f"{name}.po" for name in ("django", "djangojs"))
        _make(pages.with_suffix(".mo"), pages, compile_pages)
        for app, (texts, words) in SCRIPTS.items():
            _make(texts / f"{code}.js", scripts, partial(compile_script, app=app, words=words))


def _make(target: Path, source: Path, write: Callable[[Path], bytes]) -> None:
    newest = max(source.stat().st_mtime_ns, Path(__file__).stat().st_mtime_ns)
    if target.exists() and target.stat().st_mtime_ns >= newest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}")
    part.write_bytes(write(source))
    part.replace(target)


def read_catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name)


def compile_pages(source: Path) -> bytes:
    made = BytesIO()
    write_mo(made, read_catalogue(source))
    return made.getvalue()


def compile_script(source: Path, app: str, words: str) -> bytes:
    """A module that hands the texts of one app's scripts to words.js."""
    texts = dict(_texts_of(read_catalogue(source), app))
    told = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return f'import {{ learn }} from "{words}";\nlearn({told});\n'.encode()


def _texts_of(catalogue: Catalog, app: str) -> Iterator[tuple[str, str | list[str]]]:
    """Each text once, in the part of the first app that says it; of one that depends on a count, all forms."""
    for message in catalogue:
        apps = {path.partition("/")[0] for path, _ in message.locations}
        if message.id and app == min(apps):
            text = message.string
            yield key_of(message), list(text) if isinstance(text, tuple) else str(text)


def key_of(message: Message) -> str:
    text = message.id if isinstance(message.id, str) else message.id[0]
    return f"{message.context}{CONTEXT_ENDS}{text}" if message.context else text


if __name__ == "__main__":
    compile_all()
