"""Every text of the sources, and the catalogues that translate them.

`make texts` takes what is new into the catalogues and tells what they lack; tests/engagement/test_texts.py holds them
to it.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import write_po
from django.utils.translation.template import templatize

from engagement.core.names import COLOURS, THINGS
from engagement.languages import NAMES
from gala.catalogues import FOLDER, LOCALES, ROOT, compile_all, read_catalogue

APPS = ("engagement", "gala", "prizes")
DOMAINS = ("django", "djangojs")
Keywords = dict[str, tuple[int | tuple[int, str], ...] | None]
PYTHON_ALONE: Keywords = {
    "gettext": None,
    "_": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
}
PYTHON: Keywords = {**PYTHON_ALONE, "say": None, "mark": None}
SCRIPT: Keywords = {
    "say": None,
    "mark": None,
    "markIn": ((1, "c"), 2),
    "sayCount": (1, 2),
    "sayIn": ((1, "c"), 2),
}
HEADER = """msgid ""
msgstr ""
"Language: {locale}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""


def sources(*suffixes: str) -> Iterator[tuple[str, str]]:
    """Path and content of everything that may say something, without what is made from the catalogues."""
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*")):
            if path.suffix in suffixes and path.parent.name != "texts" and "vendor" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def texts_of(domain: str) -> Catalog:
    """What the sources say: pages and the server in one domain, scripts in the other."""
    found = Catalog()
    if domain == "djangojs":
        for path, text in sources(".js"):
            _add(found, path, "javascript", text, SCRIPT)
    else:
        for path, text in sources(".py"):
            speaks = "from engagement.languages import" in text  # another `say` writes on a terminal
            _add(found, path, "python", text, PYTHON if speaks else PYTHON_ALONE)
        for path, text in sources(".html", ".txt"):
            _add(found, path, "javascript", templatize(text, origin=path), PYTHON)
    for word in (*COLOURS, *THINGS):
        found.add(word, locations=[("engagement/core/names.py", 0)], context=NAMES)
    return found


def _add(found: Catalog, path: str, method: str, text: str, keywords: Keywords) -> None:
    for _, texts, _, context in extract(method, io.BytesIO(text.encode()), keywords):
        found.add(texts, locations=[(path, 0)], context=context)


def catalogue_path(locale: str, domain: str) -> Path:
    return FOLDER / locale / "LC_MESSAGES" / f"{domain}.po"


def take_up(locale: str, domain: str) -> list[str]:
    """Writes the catalogue as the sources are now; gives the texts without a translation."""
    path = catalogue_path(locale, domain)
    known = read_catalogue(path) if path.exists() else Catalog(locale=locale)
    known.update(texts_of(domain), no_fuzzy_matching=True)
    known.obsolete.clear()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written(known, locale))
    return [str(message.id) for message in known if message.id and not is_translated(message)]


def written(catalogue: Catalog, locale: str) -> bytes:
    made = io.BytesIO(HEADER.format(locale=locale).encode())
    made.seek(0, io.SEEK_END)
    write_po(made, catalogue, width=110, omit_header=True, include_lineno=False, sort_by_file=True)
    return made.getvalue()


def is_translated(message: Message) -> bool:
    forms = message.string if isinstance(message.string, (tuple, list)) else [message.string]
    return all(forms) and not message.fuzzy


def main() -> None:
    lack = {(locale, domain): take_up(locale, domain) for locale in LOCALES.values() for domain in DOMAINS}
    compile_all()
    for (locale, domain), texts in lack.items():
        for text in texts:
            print(f"{catalogue_path(locale, domain).relative_to(ROOT)} lacks: {text}")
    sys.exit(any(lack.values()))


if __name__ == "__main__":
    main()
