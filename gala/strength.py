"""How hard a key is to guess. A key that somebody has typed, or copied from a page, is refused before the start.

Nobody can see from a text whether it is random. What can be seen is that it is not: letters that come again and again,
rows as on a keyboard or in the alphabet, words that everybody uses.
"""

import gzip
import math
from collections import Counter
from functools import cache
from pathlib import Path

import django

SHORTEST = 32  # characters; `openssl rand -hex 32` makes 64
LEAST_BITS = 70.0
# Between small letters, large ones and digits: 32 random hex digits have 14, a sentence with a number at its end one.
LEAST_TURNS = 3
INSECURE = "django-insecure-"  # begins the keys that Django makes for a file which everybody commits
LONGEST_WORD, SHORTEST_WORD = 12, 4
# What stands in examples and in other people's repositories; Django makes the last one for new projects.
KNOWN = (
    *("changeme", "change-me", "example", "insecure", "password", "secret", "default", "django-insecure"),
    *("correct", "horse", "battery", "staple"),
)


def weakness_of(key: str) -> str:
    """What is wrong with a key, without a part of it; nothing where nobody can guess it.

    >>> weakness_of("short")
    '5 characters'
    >>> weakness_of("change-me-change-me-change-me-change-me")
    'something that can be guessed'
    >>> weakness_of("c3f9a1d07be24458a6c0f1e29b7d3350")
    ''
    """
    if len(key) < SHORTEST:
        return f"{len(key)} characters"
    random = guess_bits(key) >= LEAST_BITS and _turns(key) >= LEAST_TURNS and not key.startswith(INSECURE)
    return "" if random else "something that can be guessed"


def guess_bits(key: str) -> float:
    """About so many bits are unknown of a text to somebody who knows words, rows and repetitions; an upper bound.

    >>> guess_bits("a" * 100) < 1, guess_bits("0123456789abcdefghijklmnopqrstuv") < 40
    (True, True)
    """
    rest = _without_repeats(_without_words(key))
    steps = [ord(one) - ord(two) for one, two in zip(rest[1:], rest, strict=False)]
    return min(len(rest) * _entropy(rest), (len(steps) + 1) * _entropy(steps))


def _turns(key: str) -> int:
    """How often the kind of character changes; a sentence has hardly any, whatever stands between its words."""
    kinds = [(one.isupper(), one.isdigit()) for one in key if one.isalnum()]
    return sum(one != two for one, two in zip(kinds[1:], kinds, strict=False))


def _entropy(values: str | list[int]) -> float:
    """Bits for each value, by how often each one comes."""
    counts = Counter(values).values()
    return -sum(count / len(values) * math.log2(count / len(values)) for count in counts)


def _without_words(key: str) -> str:
    """Each word that people use becomes one character."""
    found, at, lowered, words = [], 0, key.lower(), _words()
    while at < len(key):
        sizes = range(min(LONGEST_WORD, len(key) - at), SHORTEST_WORD - 1, -1)
        size = next((size for size in sizes if lowered[at : at + size] in words), 1)
        found.append(key[at])
        at += size
    return "".join(found)


def _without_repeats(text: str) -> str:
    """What stood there before, four characters or more, becomes one."""
    found, at = "", 0
    while at < len(text):
        size = SHORTEST_WORD
        if text[at : at + size] not in text[:at] or len(text) - at < size:
            found, at = found + text[at], at + 1
            continue
        while at + size < len(text) and text[at : at + size + 1] in text[:at]:
            size += 1
        found, at = found + text[at], at + size
    return found


@cache
def _words() -> frozenset[str]:
    """The 20,000 passwords that people use most, as Django brings them."""
    # By its path: to import the package takes five times as long as to read the file.
    packed = (Path(django.__file__).parent / "contrib/auth/common-passwords.txt.gz").read_bytes()
    return frozenset((*gzip.decompress(packed).decode().split(), *KNOWN))
