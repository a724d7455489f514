"""Text that people type and others read: names, titles, reasons. What nobody sees, or what turns lines, is refused."""

import unicodedata

# Of categories that are letters and marks, and yet nothing is seen: fillers, joiners, a blank in Braille.
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Controls; formats, which are overrides of direction and characters without a width; ends of lines and paragraphs.
REFUSED = frozenset({"Cc", "Cf", "Zl", "Zp"})
OF_LINES = frozenset("\n\r\t")


def check_plain(field: str, text: str, *, lines: bool = False) -> str:
    """Return the text as it is; ValueError that names the field where it has a character that nobody can see.

    `lines`: ends of lines and tabs are fine. Halves of surrogate pairs, as a terminal's undecodable bytes become, are
    left to whoever writes them down.

    >>> check_plain("title", "Soirée d’ouverture 🎉")
    'Soirée d’ouverture 🎉'
    >>> check_plain("reason", "said\u202eon air")
    Traceback (most recent call last):
    ...
    ValueError: reason: expected characters that can be seen, got U+202E (RIGHT-TO-LEFT OVERRIDE)
    >>> check_plain("rules", "one\\ntwo", lines=True)
    'one\\ntwo'
    """
    for letter in text:
        if lines and letter in OF_LINES:
            continue
        if not is_seen(letter):
            name = unicodedata.name(letter, "a control character")
            raise ValueError(
                f"{field}: expected characters that can be seen, got U+{ord(letter):04X} ({name})"
            )
    return text


def is_seen(letter: str) -> bool:
    """Whether somebody sees this character, and it turns no others around.

    >>> is_seen("é"), is_seen("\u202e")
    (True, False)
    """
    return letter not in INVISIBLE and unicodedata.category(letter) not in REFUSED


def leave_seen(text: str) -> str:
    """The characters of a text that somebody sees, for what is not typed by anybody, and so refused to nobody.

    >>> leave_seen("Studio\u202e browser\u3164")
    'Studio browser'
    """
    return "".join(filter(is_seen, text))
